//! The client's role: reads responses, leniently where RFC 9112 leaves the choice, but never about where a body
//! ends.

use wire::Fields;

use crate::{
    Event, Limits, Version,
    chunked::{Chunked, take},
    error::{CHUNKED_TWICE, CODING_AND_LENGTH, LARGE_HEAD, LENGTH, LENGTHS},
    facts::{Facts, Length},
    head::{Scan, Strictness},
    memory::{Memory, Recalled},
};

pub use crate::error::Broken;

const NO_RESPONSE: Broken = Broken("expected a response in HTTP/1.0 or HTTP/1.1, got something else");
const LOW_STATUS: Broken = Broken("the status is below 100");
const SWITCHED: Broken = Broken("the server switched protocols unasked");
const CUT: Broken = Broken("the connection was closed within a response");

/// What a response's head says. One value serves all responses of a connection, or of many: reading overwrites it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// As it was sent; often empty.
    pub reason: Vec<u8>,
    /// Of the status line.
    pub version: Version,
    /// In the order, the case and the number in which they came; values without outer whitespace.
    pub fields: Fields,
    /// How long the body is. What a response to HEAD would have had is only in the fields.
    pub framing: ResponseFraming,
    /// Whether the connection can take another request after this response (RFC 9112 section 9.3).
    pub keep_alive: bool,
    memory: Memory,
}

impl ResponseHead {
    /// Takes over the head that was read last, if `window` begins with the same, except for values that say nothing about framing or
    /// connection: where it ends, and what else it says.
    #[inline]
    fn recall(&mut self, window: &[u8], most: usize) -> Option<(usize, Facts)> {
        let (end, recalled) = self.memory.recall(window, most, &mut self.fields)?;
        let Recalled { version, status, reason, facts } = *recalled;
        (self.version, self.status) = (version, status);
        self.reason.clear();
        self.reason.extend_from_slice(window.get(REASON..reason).unwrap_or_default());
        Some((end, facts))
    }

    #[cfg(test)]
    pub(crate) fn remembers(&self, bytes: &[u8]) -> bool {
        self.memory.remembers(bytes)
    }
}

/// How long a response's body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is no body, whatever the fields say.
    #[default]
    None,
    /// This number of bytes; possibly 0.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the server closes the connection.
    UntilClose,
}

/// What kind of request a response answers: it cannot be framed without that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Any other.
    #[default]
    Usual,
    /// HEAD: no body follows, whatever the fields say.
    Head,
    /// CONNECT: a 2xx makes the connection a tunnel.
    Connect,
    /// One that offers another protocol: 101 is a good answer.
    Upgrade,
}

/// Reads one response after the other.
///
/// After 101, or 2xx to CONNECT, the bytes are not HTTP/1 any more: the reader leaves them alone for good.
#[derive(Debug)]
pub struct ResponseReader {
    limits: Limits,
    state: State,
    kind: Kind,
    scan: Scan,
    /// The status line of a head whose end has not come yet.
    line: Option<Line>,
    begun: bool,
    chunked: Chunked,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    /// In a body, this many bytes before its end.
    Length(u64),
    Chunked,
    UntilClose,
    /// Another protocol has begun.
    Switched,
}

/// What a status line says, and where its reason ends.
#[derive(Clone, Copy, Debug)]
struct Line {
    version: Version,
    status: u16,
    reason: usize,
    end: usize,
}

/// Where the reason begins: after version, space, status and space.
const REASON: usize = 13;

impl ResponseReader {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (scan, chunked) = (Scan::default(), Chunked::default());
        let (state, kind) = (State::Head, Kind::Usual);
        Self { limits, state, kind, scan, line: None, begun: false, chunked }
    }

    /// The next final head answers this kind of request; the one after it a usual one, unless this is called
    /// again.
    pub fn expect(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Reads on; takes what it used off the front of `input`. `None`: more bytes are needed, and what is left in
    /// `input` must be offered again, in one piece with them. That may be an unfinished head, line of a chunk or
    /// trailers, which [`Limits`] bounds, but never data.
    ///
    /// # Errors
    /// When the server has broken the protocol. No more can be read then.
    pub fn read<'i>(
        &mut self,
        input: &mut &'i [u8],
        head: &mut ResponseHead,
    ) -> Result<Option<Event<'i>>, Broken> {
        let event = match &mut self.state {
            State::Head => self.head(input, head)?,
            State::Length(0) => Some(Event::End),
            State::Length(left) => take(input, left).map(Event::Data),
            State::Chunked => self.chunked.read(input, &self.limits, Strictness::Lenient)?,
            State::UntilClose => take(input, &mut { u64::MAX }).map(Event::Data),
            State::Switched => None,
        };
        if event == Some(Event::End) {
            (self.state, self.begun) = (State::Head, false);
        }
        Ok(event)
    }

    /// The server has closed the connection. `true`: that ended a body that lasts until then (no
    /// [`Event::End`] comes). `false`: nothing had begun, or another protocol was spoken.
    ///
    /// # Errors
    /// When a response is cut.
    pub fn close(&mut self) -> Result<bool, Broken> {
        match self.state {
            State::UntilClose => {
                (self.state, self.begun) = (State::Head, false);
                Ok(true)
            }
            State::Head if !self.begun => Ok(false),
            State::Switched => Ok(false),
            State::Head | State::Length(_) | State::Chunked => Err(CUT),
        }
    }

    /// Whether any byte of the current response was seen, including those of an interim one or of an unfinished head.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The trailers of the body that has ended, until the next head is read; empty if it had none.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.chunked.trailers()
    }

    fn head<'i>(
        &mut self,
        input: &mut &'i [u8],
        head: &mut ResponseHead,
    ) -> Result<Option<Event<'i>>, Broken> {
        let window = &input[..input.len().min(self.limits.head)];
        let is_first = !self.begun;
        if is_first && let Some((end, facts)) = head.recall(window, self.limits.fields) {
            *input = &input[end..];
            return self.ends(head, &facts).map(Some);
        }
        self.begun |= !input.is_empty();
        let is_full = window.len() == self.limits.head;
        let line = match self.line {
            Some(line) => line,
            None => {
                // Another protocol is detected before a line has ended, which may never happen.
                if !window.iter().zip(b"HTTP/1.").all(|(byte, expected)| byte == expected) {
                    return Err(NO_RESPONSE);
                }
                match self.scan.line(window) {
                    Some(end) => *self.line.insert(status_line(&window[..end])?),
                    None if is_full => return Err(LARGE_HEAD.into()),
                    None => return Ok(None),
                }
            }
        };
        let Some(end) = self.scan.section(window, Strictness::Lenient, self.limits.fields)? else {
            return if is_full { Err(LARGE_HEAD.into()) } else { Ok(None) };
        };
        let (bytes, rest) = input.split_at(end);
        let facts = fill(head, bytes, line, &self.scan)?;
        if is_first {
            let Line { version, status, reason, end } = line;
            head.memory.missed(bytes, end, &head.fields, Recalled { version, status, reason, facts });
        }
        *input = rest;
        (self.scan, self.line) = (Scan::default(), None);
        self.ends(head, &facts).map(Some)
    }

    /// A head is complete.
    #[inline]
    fn ends<'i>(&mut self, head: &mut ResponseHead, facts: &Facts) -> Result<Event<'i>, Broken> {
        self.state = self.conclude(head, facts)?;
        self.begun = true;
        self.chunked.begin();
        if matches!(head.status, 100 | 102..200) {
            return Ok(Event::Informational);
        }
        self.kind = Kind::Usual;
        let end = matches!(self.state, State::Head | State::Switched);
        self.begun = !end;
        Ok(Event::Head { end })
    }

    /// Decides on the body (section 6.3) and on the connection; the state that follows.
    fn conclude(&self, head: &mut ResponseHead, facts: &Facts) -> Result<State, Broken> {
        head.framing = ResponseFraming::None;
        head.keep_alive = facts.persists(head.version);
        // Section 6.3 rule 2: the fields of a 2xx to CONNECT do not frame what follows.
        let is_tunnel = self.kind == Kind::Connect && matches!(head.status, 200..300);
        if is_tunnel || head.status == 101 {
            head.keep_alive = false;
            // RFC 9110 section 15.2.2.
            return if is_tunnel || self.kind == Kind::Upgrade { Ok(State::Switched) } else { Err(SWITCHED) };
        }
        // Section 6.3 rule 1.
        if head.status < 200 {
            return Ok(State::Head);
        }
        // Section 6.3 rule 3: perhaps response splitting, which is not to be taken for a success.
        if facts.codings.present && facts.length != Length::Absent {
            return Err(CODING_AND_LENGTH.into());
        }
        // Section 6.1: somebody on the way may have framed it differently.
        if facts.codings.present && head.version == Version::Http10 {
            head.keep_alive = false;
        }
        // Section 6.3 rule 1 comes before those that refuse: the end is known whatever the fields say.
        if self.kind == Kind::Head || matches!(head.status, 204 | 304) {
            return Ok(State::Head);
        }
        head.framing = framing(facts)?;
        Ok(match head.framing {
            ResponseFraming::None | ResponseFraming::Length(0) => State::Head,
            ResponseFraming::Length(length) => State::Length(length),
            ResponseFraming::Chunked => State::Chunked,
            ResponseFraming::UntilClose => {
                head.keep_alive = false;
                State::UntilClose
            }
        })
    }
}

/// Reads a status line with its end (section 4): version, one space, three digits, one space, reason. The last
/// space may be missing with the reason, as many servers have it.
fn status_line(bytes: &[u8]) -> Result<Line, Broken> {
    let line = match bytes {
        [line @ .., b'\r', b'\n'] | [line @ .., b'\n'] => line,
        line => line,
    };
    let (start, rest) = line.split_at_checked(12).ok_or(NO_RESPONSE)?;
    let version = match &start[..9] {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        // RFC 9110 section 2.5: a later minor version is read as the latest that is known.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b' '] => Version::Http11,
        _ => return Err(NO_RESPONSE),
    };
    let digits = &start[9..];
    let is_reason = match rest {
        [] => true,
        [b' ', reason @ ..] => !reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'),
        _ => false,
    };
    if !is_reason || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NO_RESPONSE);
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    if status < 100 {
        return Err(LOW_STATUS);
    }
    Ok(Line { version, status, reason: line.len(), end: bytes.len() })
}

/// Puts what is written in a whole head in `head`; what it means is returned.
fn fill(head: &mut ResponseHead, bytes: &[u8], line: Line, scan: &Scan) -> Result<Facts, Broken> {
    head.version = line.version;
    head.status = line.status;
    head.reason.clear();
    head.reason.extend_from_slice(bytes.get(REASON..line.reason).unwrap_or_default());
    head.fields.clear();
    let mut facts = Facts::default();
    scan.fields(&bytes[line.end..], |name, value| {
        facts.add(name, value);
        head.fields.push(name, value);
        Ok(())
    })?;
    Ok(facts)
}

/// Section 6.3 rules 4 to 8.
fn framing(facts: &Facts) -> Result<ResponseFraming, Broken> {
    let codings = facts.codings;
    if codings.present {
        return match codings.chunked_last {
            // Section 7.1: no sender may apply it twice, and what is within would not be found.
            _ if codings.chunked_twice => Err(CHUNKED_TWICE.into()),
            true => Ok(ResponseFraming::Chunked),
            false => Ok(ResponseFraming::UntilClose),
        };
    }
    match facts.length {
        Length::Absent => Ok(ResponseFraming::UntilClose),
        Length::Is(length) => Ok(ResponseFraming::Length(length)),
        Length::Invalid => Err(LENGTH.into()),
        Length::Differ => Err(LENGTHS.into()),
    }
}
