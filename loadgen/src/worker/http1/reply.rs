//! Reads replies of HTTP/1.1 and HTTP/1.0 (RFC 9112): bytes in, events out. It knows no socket and no clock.

use std::mem::MaybeUninit;

use super::{
    super::engine::{Head, Sink},
    chunked::Chunked,
};

/// The longest head of a reply.
const MAX_HEAD: usize = 64 * 1024;

/// The most fields of a reply.
const MAX_FIELDS: usize = 100;

/// What the peer did against the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) &'static str);

/// A reply whose last byte was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) status: u16,
    pub(crate) instance: Option<u16>,
    /// Whether the connection can be used again.
    pub(crate) reusable: bool,
}

/// Reads one reply after the other.
#[derive(Debug, Default)]
pub(crate) struct ReplyReader {
    state: State,
    /// The beginning of a head whose end has not come yet.
    stash: Vec<u8>,
    facts: Facts,
    /// Whether any byte of this reply was read.
    begun: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    status: u16,
    instance: Option<u16>,
    keep_alive: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Head,
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

/// What is known of a body from its head.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    other_coding: bool,
}

impl ReplyReader {
    /// Whether any byte of the current reply was read.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Reads on. Returns how much of `input` belonged to the reply, and the reply's end if it was reached;
    /// the reader is then ready for the next one.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        to_head_request: bool,
        sink: &mut impl Sink,
    ) -> Result<(usize, Option<Complete>), Broken> {
        self.begun |= !input.is_empty();
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let (used, ended) = match self.state {
                State::Head => self.head(rest, to_head_request, sink)?,
                State::Length(left) => self.length(rest, left, sink),
                State::UntilClose => {
                    sink.body(rest);
                    (rest.len(), false)
                }
                State::Chunked(ref mut chunked) => chunked.read(rest, sink)?,
            };
            at += used;
            if ended {
                return Ok((at, Some(self.complete(true))));
            }
        }
        Ok((at, None))
    }

    /// The peer has closed the connection: that ends a body which lasts until then.
    pub(crate) fn close(&mut self) -> Option<Complete> {
        matches!(self.state, State::UntilClose).then(|| self.complete(false))
    }

    fn complete(&mut self, framed: bool) -> Complete {
        let facts = self.facts;
        self.state = State::Head;
        self.begun = false;
        Complete { status: facts.status, instance: facts.instance, reusable: framed && facts.keep_alive }
    }

    fn head(
        &mut self,
        rest: &[u8],
        to_head_request: bool,
        sink: &mut impl Sink,
    ) -> Result<(usize, bool), Broken> {
        if self.stash.is_empty() {
            if let Some((length, ended)) = self.parse_head(rest, to_head_request, sink)? {
                return Ok((length, ended));
            }
            self.stash.extend_from_slice(rest);
        } else {
            let before = self.stash.len();
            let mut stash = std::mem::take(&mut self.stash);
            stash.extend_from_slice(rest);
            if let Some((length, ended)) = self.parse_head(&stash, to_head_request, sink)? {
                stash.clear();
                self.stash = stash;
                return Ok((length - before, ended));
            }
            self.stash = stash;
        }
        if self.stash.len() > MAX_HEAD {
            return Err(Broken("the reply's head is longer than 64 KiB"));
        }
        Ok((rest.len(), false))
    }

    /// `None`: the head's end has not come yet.
    fn parse_head(
        &mut self,
        bytes: &[u8],
        to_head_request: bool,
        sink: &mut impl Sink,
    ) -> Result<Option<(usize, bool)>, Broken> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut reply = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut reply, bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Broken("the reply has more than 100 fields")),
            Err(_) => return Err(Broken("the reply is no HTTP/1 reply")),
        };
        let status = reply.code.unwrap_or_default();
        if status < 100 {
            return Err(Broken("the reply's status is below 100"));
        }
        if status == 101 {
            return Err(Broken("the server switched protocols unasked"));
        }
        if status < 200 {
            return Ok(Some((length, false)));
        }
        self.facts = Facts { status, instance: None, keep_alive: reply.version == Some(1) };
        let mut framing = Framing::default();
        for field in reply.headers.iter() {
            self.field(field, &mut framing, sink)?;
        }
        sink.head(&Head::Raw(&bytes[..length]));
        let bodiless = to_head_request || matches!(status, 204 | 304);
        self.state = match framing {
            _ if bodiless => return Ok(Some((length, true))),
            Framing { chunked: true, .. } => State::Chunked(Chunked::default()),
            Framing { other_coding: true, .. } => State::UntilClose,
            Framing { length: Some(0), .. } => return Ok(Some((length, true))),
            Framing { length: Some(left), .. } => State::Length(left),
            _ => State::UntilClose,
        };
        Ok(Some((length, false)))
    }

    fn field(
        &mut self,
        field: &httparse::Header<'_>,
        framing: &mut Framing,
        sink: &mut impl Sink,
    ) -> Result<(), Broken> {
        // The length sorts out nearly all names before a comparison.
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.facts.keep_alive = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        self.facts.keep_alive = true;
                    }
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = decimal(field.value).ok_or(Broken("the reply's content-length is no number"))?;
                if framing.length.replace(length).is_some_and(|other| other != length) {
                    return Err(Broken("the reply has two content-lengths"));
                }
            }
            16 if field.name.eq_ignore_ascii_case(contract::field::INSTANCE) => {
                self.facts.instance = Some(sink.instance(field.value));
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                let last = field.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                framing.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
                framing.other_coding = !framing.chunked;
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&mut self, rest: &[u8], left: u64, sink: &mut impl Sink) -> (usize, bool) {
        let part = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        sink.body(part);
        let left = left - part.len() as u64;
        self.state = State::Length(left);
        (part.len(), left == 0)
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    // A sign would pass as a number.
    value.first().filter(|byte| byte.is_ascii_digit())?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::engine::{Arrival, Ended};
    use super::super::super::failure::Failure;
    use super::*;

    #[derive(Default)]
    struct Seen {
        body: Vec<u8>,
        instance: Vec<u8>,
    }

    impl Sink for Seen {
        fn ended(&mut self, _: &Ended<'_>) {}
        fn again(&mut self, _: Arrival) {}
        fn unreachable(&mut self, _: u64, _: &Failure) {}
        fn roomier(&mut self) {}
        fn limited(&mut self, _: usize, _: &Failure) {}
        fn instance(&mut self, name: &[u8]) -> u16 {
            self.instance = name.to_vec();
            7
        }
        fn head(&mut self, _: &Head<'_>) {}
        fn body(&mut self, part: &[u8]) {
            self.body.extend_from_slice(part);
        }
    }

    type Read = Result<(Vec<Complete>, String), Broken>;

    /// Reads `wire` in pieces of `step` bytes, then a close.
    fn read_by(wire: &str, step: usize, to_head_request: bool) -> Read {
        let (mut reader, mut seen, mut replies) = (ReplyReader::default(), Seen::default(), Vec::new());
        for piece in wire.as_bytes().chunks(step) {
            let mut at = 0;
            while at < piece.len() {
                let (used, complete) = reader.read(&piece[at..], to_head_request, &mut seen)?;
                at += used;
                replies.extend(complete);
            }
        }
        replies.extend(reader.close());
        Ok((replies, String::from_utf8(seen.body).unwrap()))
    }

    /// Reads `wire` in pieces of every size: the result must be the same.
    fn read(wire: &str, to_head_request: bool) -> Read {
        let whole = read_by(wire, wire.len(), to_head_request);
        for step in 1..wire.len() {
            assert_eq!(read_by(wire, step, to_head_request), whole, "in pieces of {step}");
        }
        whole
    }

    fn reply(status: u16, reusable: bool) -> Complete {
        Complete { status, instance: None, reusable }
    }

    #[test]
    fn bodies_of_every_framing_end_where_they_should() {
        for (wire, expected, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", reply(200, true), "hello"),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", reply(404, true), ""),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", reply(200, false), "until the end"),
            ("HTTP/1.1 204 No Content\r\n\r\n", reply(204, true), ""),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", reply(304, true), ""),
            (
                "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx",
                reply(200, false),
                "x",
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", reply(200, false), "x"),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
                reply(200, true),
                "x",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                reply(200, true),
                "hello0123456789",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno",
                reply(500, true),
                "no",
            ),
        ] {
            assert_eq!(read(wire, false), Ok((vec![expected], body.to_owned())), "{wire}");
        }
    }

    #[test]
    fn replies_to_head_have_no_body_whatever_they_say() {
        let wire = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(wire, true), Ok((vec![reply(200, true); 2], String::new())));
    }

    #[test]
    fn replies_follow_one_another() {
        let wire =
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\nb";
        assert_eq!(read(wire, false), Ok((vec![reply(200, true), reply(201, true)], "ab".to_owned())));
    }

    #[test]
    fn the_instance_is_taken_from_its_field() {
        let (mut reader, mut seen) = (ReplyReader::default(), Seen::default());
        let wire = b"HTTP/1.1 200 OK\r\nX-Dummy-Instance: pod-1\r\nContent-Length: 0\r\n\r\n";
        let (used, complete) = reader.read(wire, false, &mut seen).unwrap();
        assert_eq!((used, complete.unwrap().instance), (wire.len(), Some(7)));
        assert_eq!(seen.instance, b"pod-1");
    }

    #[test]
    fn a_close_in_the_middle_is_no_end() {
        for wire in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            assert_eq!(read_by(wire, 3, false).unwrap().0, []);
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for wire in [
            "garbage, no more than garbage\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n".to_owned(),
            "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
            "HTTP/1.1 099 Too Low\r\n\r\n".to_owned(),
            "HTTP/1.1 000 Nothing\r\n\r\n".to_owned(),
            format!("{chunked}\r\n"),
            format!("{chunked}x\r\n"),
            format!("{chunked}10000000000000000\r\n"),
            format!("{chunked}1\r\nab\r\n"),
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1)),
        ] {
            assert!(read_by(&wire, wire.len(), false).is_err(), "{wire}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(MAX_HEAD));
        assert!(read_by(&endless, 1000, false).is_err());
    }
}
