//! Pseudo-random messages: what is written is read again, and no bytes are read differently in other pieces.

use http1::{Limits, Version, response::Kind, write};
use wire::Fields;

use crate::transcript::{self, Transcript};

/// A generator of numbers (xorshift), the same at every run.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, from: &[u8], most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }

    /// Fields of which none means anything.
    fn fields(&mut self, most: usize) -> Fields {
        let mut fields = Fields::new();
        for _ in 0..self.below(most + 1) {
            let name = [b"X".as_slice(), &self.bytes(b"aZ09-_.!#$%&'*+^`|~", 20)].concat();
            let value = self.bytes(b"aZ09 \t,;:=\"()<>@/[]?{}\\\x80\xff", 40);
            fields.push(name, value.trim_ascii());
        }
        fields
    }
}

/// How a body goes on the wire.
#[derive(Clone, Copy, PartialEq)]
enum Body {
    None,
    Length,
    Chunked,
}

/// Writes the rest of a message after its start line, and the entries that reading it makes.
/// The framing comes as the reader names it.
fn rest(random: &mut Random, out: &mut Vec<u8>, fields: &mut Fields, body: Body) -> (String, Vec<String>) {
    let bytes = random.bytes(b"abc\r\n\0\xff01", 300);
    let text = format!("body {:?}", String::from_utf8_lossy(&bytes));
    let framing = match body {
        Body::None => "None end".to_owned(),
        Body::Length => {
            fields.push("Content-Length", bytes.len().to_string());
            let end = if bytes.is_empty() { " end" } else { "" };
            format!("Length({}){end}", bytes.len())
        }
        Body::Chunked => {
            fields.push("Transfer-Encoding", "chunked");
            "Chunked".to_owned()
        }
    };
    for (name, value) in fields.iter() {
        write::field(out, name, value);
    }
    write::end_head(out);
    match body {
        Body::None => (framing, Vec::new()),
        Body::Length => {
            out.extend_from_slice(&bytes);
            (framing, if bytes.is_empty() { Vec::new() } else { vec![text] })
        }
        Body::Chunked => {
            let mut left = &bytes[..];
            while !left.is_empty() {
                let (chunk, after) = left.split_at(1 + random.below(left.len()));
                write::chunk_head(out, chunk.len() as u64);
                out.extend_from_slice(chunk);
                out.extend_from_slice(write::CHUNK_END);
                left = after;
            }
            let trailers = random.fields(3);
            write::last_chunk(out, &trailers);
            let trailers = (!trailers.is_empty()).then(|| format!("trailers {trailers:?}"));
            (framing, [text].into_iter().chain(trailers).collect())
        }
    }
}

/// Some requests one after the other, and the entries that reading them makes.
fn requests(random: &mut Random) -> (Vec<u8>, Vec<String>) {
    let (mut out, mut entries) = (Vec::new(), Vec::new());
    for _ in 0..1 + random.below(4) {
        let method = random.pick(&[&b"GET"[..], b"POST", b"x-~", b"CONNECT"]);
        let target = [b"/".as_slice(), &random.bytes(b"aZ09%?&/\\\"<>\x80", 60)].concat();
        let mut fields: Fields = [("hOsT", "a.example:8080")].into_iter().collect();
        for (name, value) in random.fields(20).iter() {
            fields.push(name, value);
        }
        let (mut version, mut close) = (Version::Http11, "");
        let body = random.pick(&[Body::None, Body::Length, Body::Chunked]);
        if body != Body::Chunked && random.below(3) == 0 {
            (version, close) = (Version::Http10, " close");
        }
        write::request_line(&mut out, method, &target, version);
        let (framing, after) = rest(random, &mut out, &mut fields, body);
        let framing = match framing.strip_suffix(" end") {
            Some(framing) => format!("{framing}{close} end"),
            None => format!("{framing}{close}"),
        };
        let (method, target) = (String::from_utf8_lossy(method), String::from_utf8_lossy(&target));
        entries.push(format!("{method} {target} {version:?} {fields:?} {framing}"));
        entries.extend(after);
    }
    (out, entries)
}

/// Some responses one after the other with the kinds of their requests, and the entries that reading them makes.
fn responses(random: &mut Random) -> (Vec<u8>, Vec<Kind>, Vec<String>) {
    let (mut out, mut kinds, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..1 + random.below(4) {
        if random.below(3) == 0 {
            out.extend_from_slice(write::CONTINUE);
            entries.push("interim 100 \"Continue\" Http11 [] None".to_owned());
        }
        let kind = random.pick(&[Kind::Usual, Kind::Head, Kind::Connect, Kind::Upgrade]);
        let body = if kind == Kind::Head { Body::None } else { random.pick(&[Body::Length, Body::Chunked]) };
        let status = random.pick(&[404, 500, 302, 999]);
        let reason = write::reason(status);
        write::status_line(&mut out, Version::Http11, status, reason.as_bytes());
        let mut fields = random.fields(20);
        if kind == Kind::Head {
            fields.push("content-length", "12345");
        }
        let (framing, after) = rest(random, &mut out, &mut fields, body);
        entries.push(format!("{status} {reason:?} Http11 {fields:?} {framing}"));
        entries.extend(after);
        kinds.push(kind);
    }
    (out, kinds, entries)
}

/// Pieces of pseudo-random sizes, mostly small.
fn pieces(random: &mut Random) -> impl Iterator<Item = usize> {
    std::iter::repeat_with(|| {
        let most = random.pick(&[1, 3, 20, 1000]);
        1 + random.below(most)
    })
}

#[test]
fn random_messages_round_trip() {
    for seed in 0..400 {
        let random = &mut Random::new(seed);
        let (wire, expected) = requests(random);
        let seen = transcript::requests(&wire, Limits::default(), pieces(random));
        assert_eq!(seen.entries, expected, "seed {seed}");
        let (wire, kinds, expected) = responses(random);
        let seen = transcript::responses(&wire, &kinds, Limits::default(), pieces(random));
        assert_eq!(seen.entries, expected, "seed {seed}");
    }
}

/// Changes a few bytes to others that mean something somewhere.
fn damage(random: &mut Random, wire: &mut Vec<u8>) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(wire.len());
        let byte = random.pick(b"\r\n\r\n\0 \t:;,09afxG\x7f\xff");
        match random.below(4) {
            0 => wire[at] = byte,
            1 => wire.insert(at, byte),
            2 if wire.len() > 1 => drop(wire.remove(at)),
            _ => {
                let part = wire[at..(at + random.below(30)).min(wire.len())].to_vec();
                let to = random.below(wire.len());
                wire.splice(to..to, part);
            }
        }
    }
}

#[test]
fn damaged_messages_are_parsed_the_same_at_any_split() {
    // Small enough that some messages meet them.
    let limits = Limits { head: 700, fields: 18, trailers: 100, chunk_line: 12, extensions: 60 };
    let (mut good, mut bad) = (0, 0);
    let mut compare = |seed: u64, read: &dyn Fn(&mut dyn Iterator<Item = usize>) -> Transcript| {
        let whole = read(&mut [usize::MAX >> 1].into_iter());
        for step in [1, 2, 7] {
            assert_eq!(read(&mut std::iter::repeat(step)), whole, "seed {seed} in pieces of {step}");
        }
        let is_whole =
            whole.entries.last().is_some_and(|entry| entry.starts_with("body") || entry.ends_with("end"));
        *(if is_whole { &mut good } else { &mut bad }) += 1;
    };
    for seed in 0..300 {
        let random = &mut Random::new(seed);
        let (mut wire, _) = requests(random);
        damage(random, &mut wire);
        compare(seed, &|pieces| transcript::requests(&wire, limits, pieces));
        let (mut wire, kinds, _) = responses(random);
        damage(random, &mut wire);
        compare(seed, &|pieces| transcript::responses(&wire, &kinds, limits, pieces));
    }
    assert!(good > 50 && bad > 300, "{good} were good and {bad} bad: the damage is too small or too large");
}
