//! What the scripts of both roles are made of: legal parts of messages, and where something odd may stand.

/// A generator of numbers (xorshift), the same at every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, from: &[u8], most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }
}

/// Fields that are legal in any message and mean nothing.
pub(crate) fn fields(random: &mut Random, out: &mut Vec<u8>, most: usize) {
    for _ in 0..random.below(most + 1) {
        out.push(b'x');
        out.extend(random.bytes(b"aZ09-_.!#$%&'*+^`|~", 8));
        out.push(b':');
        out.extend(random.bytes(b" \t", 3));
        out.extend(random.bytes(b"aZ09 \t,;:=\"()<>@/[]?{}\\\x80\xff", 20));
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields that frame a body, the end of the head, and the body.
pub(crate) fn body(random: &mut Random, out: &mut Vec<u8>, is_needed: bool) {
    let bytes = random.bytes(b"abc\r\n\0\xff01", 60);
    match random.below(3) {
        0 if !is_needed => out.extend_from_slice(b"\r\n"),
        1 => {
            let zeros = random.pick(&["", "", "00"]);
            out.extend_from_slice(format!("content-LENGTH: {zeros}{}\r\n\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(&bytes);
        }
        _ => {
            out.extend_from_slice(
                random
                    .pick(&[
                        "Transfer-Encoding: chunked\r\n\r\n",
                        "transfer-encoding:CHUNKED\r\n\r\n",
                        "Transfer-Encoding: ,chunked\r\n\r\n",
                    ])
                    .as_bytes(),
            );
            let mut left = &bytes[..];
            while !left.is_empty() {
                let (chunk, rest) = left.split_at(1 + random.below(left.len()));
                let size = if random.below(2) == 0 {
                    format!("{:x}", chunk.len())
                } else {
                    format!("{:04X}", chunk.len())
                };
                let extension = random.pick(&["", "", ";a", ";a=b", " ; a = \"b c\"", ";a=b;c=\"\\\"\""]);
                out.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
                left = rest;
            }
            out.extend_from_slice(random.pick(&["0\r\n", "000\r\n", "0;last\r\n"]).as_bytes());
            fields(random, out, 2);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Where what is odd stands in a message that is legal otherwise.
pub(crate) enum Odd {
    /// It is the whole message.
    Whole(&'static [&'static str]),
    /// It is the first line, without its end.
    Line(&'static [&'static str]),
    /// It is one or more of the field lines, without the last end; nothing else frames a request.
    Field(&'static [&'static str]),
    /// It is the last of the field lines, the empty line and the body.
    Rest(&'static [&'static str]),
    /// It is a chunked body.
    Chunks(&'static [&'static str]),
}

use Odd::{Chunks, Field, Line, Rest, Whole};

impl Odd {
    /// `line` and `host` are legal, and `end` frames no body.
    pub(crate) fn message(&self, random: &mut Random, line: &str, host: &str, end: &str) -> Vec<u8> {
        let (Whole(ways) | Line(ways) | Field(ways) | Rest(ways) | Chunks(ways)) = self;
        let way = random.pick(ways);
        if matches!(self, Whole(_)) {
            return way.as_bytes().to_vec();
        }
        let mut out = if matches!(self, Line(_)) { way } else { line }.as_bytes().to_vec();
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(host.as_bytes());
        fields(random, &mut out, 2);
        match self {
            Whole(_) | Line(_) => out.extend_from_slice(format!("{end}\r\n").as_bytes()),
            Field(_) => {
                // Otherwise what is to come would be the first field in some rounds only.
                out.extend_from_slice(format!("before: x\r\n{way}\r\n").as_bytes());
                fields(random, &mut out, 2);
                out.extend_from_slice(format!("{end}\r\n").as_bytes());
            }
            Rest(_) => out.extend_from_slice(way.as_bytes()),
            Chunks(_) => out.extend_from_slice(format!("Transfer-Encoding: chunked\r\n\r\n{way}").as_bytes()),
        }
        out
    }
}

pub(crate) const FIELDS_101: &str = const {
    const BYTES: [u8; 101 * 6 - 2] = {
        let mut bytes = [0; 101 * 6 - 2];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = b"o: x\r\n"[at % 6];
            at += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
};
