//! The server's role: reads requests, strictly. A request is never answered here; the reader says what is wrong
//! with it and the status to answer with.

use memchr::memchr;
use wire::Fields;

use crate::{
    Event, Limits, Version,
    chunked::{Chunked, take},
    error::{
        BARE_CR, BARE_LF, CHUNKED_TWICE, CODING, CODING_AND_LENGTH, CODING_IN_HTTP10, EMPTY_LINES,
        EXPECTATION, HOST, LARGE_HEAD, LENGTH, LENGTHS, LONG_TARGET, MANY_HOSTS, METHOD, NO_HOST,
        NOT_CHUNKED, REQUEST_LINE, VERSION,
    },
    facts::{Expect, Facts, Host, Length},
    head::{Scan, Strictness, is_token, is_token_byte},
    target,
};

pub use crate::error::Rejection;

/// The most empty lines before a request line: some old clients send one after a body (RFC 9112 section 2.2).
const MAX_EMPTY_LINES: u8 = 4;

/// How much of the target of a refused request is kept, for the refusal and the log to name it.
const MOST_NAMED: usize = 2 << 10;

/// What a request's head says. One value serves all requests of a connection, or of many: reading overwrites it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// As it was sent: methods have a case.
    pub method: Vec<u8>,
    /// As it was sent, in one of the forms of RFC 9112 section 3.2: visible ASCII without `#`, or bytes from 0x80 up.
    pub target: Vec<u8>,
    /// Of the request line.
    pub version: Version,
    /// In the order, the case and the number in which they came; values without outer whitespace.
    pub fields: Fields,
    /// How long the body is.
    pub framing: RequestFraming,
    /// Whether the client lets the connection last after the response (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// The client waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1). Never set without
    /// a body to come, nor in HTTP/1.0.
    pub expect_continue: bool,
    /// The client offers another protocol: there are `Connection: upgrade` and Upgrade (RFC 9110 section 7.8).
    pub upgrade: bool,
}

/// How long a request's body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestFraming {
    /// The head says nothing: there is no body.
    #[default]
    None,
    /// This number of bytes; possibly 0.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Reads one request after the other.
///
/// What follows a request that asks for another protocol, or for a tunnel (CONNECT), is read as a request: a caller
/// that agrees to it stops reading here and takes the rest of its input.
#[derive(Debug)]
pub struct RequestReader {
    limits: Limits,
    state: State,
    scan: Scan,
    /// The request line of a head whose end has not come yet.
    line: Option<Line>,
    empty_lines: u8,
    chunked: Chunked,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    /// In a body, this many bytes before its end.
    Length(u64),
    Chunked,
}

/// Where the parts of a request line end.
#[derive(Clone, Copy, Debug)]
struct Line {
    method: usize,
    target: usize,
    end: usize,
    version: Version,
}

impl RequestReader {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let (scan, chunked) = (Scan::default(), Chunked::default());
        Self { limits, state: State::Head, scan, line: None, empty_lines: 0, chunked }
    }

    /// Reads on; takes what it used off the front of `input`. `None`: more bytes are needed, and what is left in
    /// `input` must be offered again, in one piece with them. That may be an unfinished head, line of a chunk or
    /// trailers, which [`Limits`] bounds, but never data.
    ///
    /// # Errors
    /// When the request must be refused. No more can be read then. `head` has its method and the beginning of its
    /// target, unchecked, as far as there is a request line, and nothing else.
    #[inline]
    pub fn read<'i>(
        &mut self,
        input: &mut &'i [u8],
        head: &mut RequestHead,
    ) -> Result<Option<Event<'i>>, Rejection> {
        let event = self.next(input, head);
        if event.is_err() {
            self.name_refused(input, head);
        }
        event
    }

    fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
        head: &mut RequestHead,
    ) -> Result<Option<Event<'i>>, Rejection> {
        match &mut self.state {
            State::Head => self.head(input, head),
            State::Length(0) => {
                self.state = State::Head;
                Ok(Some(Event::End))
            }
            State::Length(left) => Ok(take(input, left).map(Event::Data)),
            State::Chunked => {
                let event = self.chunked.read(input, &self.limits, Strictness::Strict)?;
                if event == Some(Event::End) {
                    self.state = State::Head;
                }
                Ok(event)
            }
        }
    }

    /// The trailers of the body that has ended, until the next head is read; empty if it had none.
    #[must_use]
    pub fn trailers(&self) -> &Fields {
        self.chunked.trailers()
    }

    /// Whether it is between two requests, or before the first. Part of a head may wait in the caller's input.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Whether a head was read and the end of its body was not.
    #[must_use]
    pub fn in_body(&self) -> bool {
        !self.is_idle()
    }

    fn head<'i>(
        &mut self,
        input: &mut &'i [u8],
        head: &mut RequestHead,
    ) -> Result<Option<Event<'i>>, Rejection> {
        if self.scan.is_fresh() && !self.skip_empty_lines(input)? {
            return Ok(None);
        }
        let window = &input[..input.len().min(self.limits.head)];
        let is_full = window.len() == self.limits.head;
        let line = match self.line {
            Some(line) => line,
            None => match self.scan.line(window) {
                Some(end) => *self.line.insert(request_line(&window[..end], self.limits.head / 2)?),
                None if is_full => return Err(LONG_TARGET),
                None => return Ok(None),
            },
        };
        let Some(end) = self.scan.section(window, Strictness::Strict, self.limits.fields)? else {
            return if is_full { Err(LARGE_HEAD) } else { Ok(None) };
        };
        let (bytes, rest) = input.split_at(end);
        fill(head, bytes, line, &self.scan)?;
        *input = rest;
        (self.scan, self.line, self.empty_lines) = (Scan::default(), None, 0);
        self.chunked.begin();
        self.state = match head.framing {
            RequestFraming::None | RequestFraming::Length(0) => State::Head,
            RequestFraming::Length(length) => State::Length(length),
            RequestFraming::Chunked => State::Chunked,
        };
        Ok(Some(Event::Head { end: self.is_idle() }))
    }

    /// Puts in `head` what names the request that is refused, which is still in the input.
    #[cold]
    fn name_refused(&self, input: &[u8], head: &mut RequestHead) {
        *head = RequestHead::default();
        if self.in_body() {
            return;
        }
        let end = memchr::memchr2(b'\r', b'\n', input).unwrap_or(input.len());
        let Some(method) = memchr(b' ', &input[..end]) else { return };
        let (method, rest) = (&input[..method], &input[method + 1..end]);
        if !is_token(method) {
            return;
        }
        let target = match memchr::memrchr(b' ', rest) {
            Some(version) if rest[version + 1..].starts_with(b"HTTP/") => &rest[..version],
            _ => rest,
        };
        head.method.extend_from_slice(&method[..method.len().min(MOST_NAMED)]);
        head.target.extend_from_slice(&target[..target.len().min(MOST_NAMED)]);
    }

    /// Section 2.2. Whether a request line has begun.
    fn skip_empty_lines(&mut self, input: &mut &[u8]) -> Result<bool, Rejection> {
        loop {
            *input = match *input {
                [b'\r', b'\n', rest @ ..] => rest,
                [] | [b'\r'] => return Ok(false),
                [b'\r', ..] => return Err(BARE_CR),
                [b'\n', ..] => return Err(BARE_LF),
                // Another protocol is refused before a line has ended, which may never happen.
                [first, ..] if !is_token_byte(*first) => return Err(METHOD),
                _ => return Ok(true),
            };
            self.empty_lines += 1;
            if self.empty_lines > MAX_EMPTY_LINES {
                return Err(EMPTY_LINES);
            }
        }
    }
}

/// Reads a request line with its end (section 3): method, one space, target, one space, version.
fn request_line(bytes: &[u8], longest_target: usize) -> Result<Line, Rejection> {
    let [line @ .., b'\r', b'\n'] = bytes else { return Err(BARE_LF) };
    let method = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
    match line.get(method) {
        Some(b' ') if method > 0 => {}
        None => return Err(REQUEST_LINE),
        _ => return Err(METHOD),
    }
    let rest = &line[method + 1..];
    let target = memchr(b' ', rest).ok_or(REQUEST_LINE)?;
    let checked = target::check(&line[..method], &rest[..target]);
    let version = match &rest[target + 1..] {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        // RFC 9110 section 2.5: a later minor version is served as the latest that is known.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Version::Http11,
        // RFC 9110 section 15.6.6.
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(VERSION),
        _ => return Err(checked.err().unwrap_or(REQUEST_LINE)),
    };
    // After the version: what a target may be is said for this one.
    checked?;
    if target > longest_target {
        return Err(LONG_TARGET);
    }
    Ok(Line { method, target: method + 1 + target, end: bytes.len(), version })
}

/// Puts what a whole head says in `head`.
fn fill(head: &mut RequestHead, bytes: &[u8], line: Line, scan: &Scan) -> Result<(), Rejection> {
    let version = line.version;
    head.method.clear();
    head.method.extend_from_slice(&bytes[..line.method]);
    head.target.clear();
    head.target.extend_from_slice(&bytes[line.method + 1..line.target]);
    head.fields.clear();
    let mut facts = Facts::default();
    scan.fields(&bytes[line.end..], |name, value| {
        facts.add(name, value);
        head.fields.push(name, value);
        Ok(())
    })?;
    check_host(&facts, version)?;
    head.version = version;
    head.framing = framing(&facts, version)?;
    head.keep_alive = facts.persists(version);
    head.upgrade = facts.upgrades(version);
    // RFC 9110 section 10.1.1: HTTP/1.0 has no 100, and without a body there is nothing to wait with.
    let has_body = !matches!(head.framing, RequestFraming::None | RequestFraming::Length(0));
    head.expect_continue = match facts.expect {
        Expect::Other => return Err(EXPECTATION),
        Expect::Continue => version == Version::Http11 && has_body,
        Expect::Nothing => false,
    };
    Ok(())
}

/// Section 3.2: one valid host, which only HTTP/1.0 may leave out.
fn check_host(facts: &Facts, version: Version) -> Result<(), Rejection> {
    match facts.host {
        Host::Absent if version == Version::Http11 => Err(NO_HOST),
        Host::Absent | Host::Valid => Ok(()),
        Host::Invalid => Err(HOST),
        Host::Several => Err(MANY_HOSTS),
    }
}

/// Section 6.3. Whatever two recipients could frame differently is refused: that is how requests are smuggled
/// (section 11.2).
fn framing(facts: &Facts, version: Version) -> Result<RequestFraming, Rejection> {
    let codings = facts.codings;
    if !codings.present {
        return match facts.length {
            Length::Absent => Ok(RequestFraming::None),
            Length::Is(length) => Ok(RequestFraming::Length(length)),
            Length::Invalid => Err(LENGTH),
            Length::Differ => Err(LENGTHS),
        };
    }
    // Section 6.1: what one hop frames by a coding, a hop of HTTP/1.0 did not.
    if version == Version::Http10 {
        return Err(CODING_IN_HTTP10);
    }
    // Section 6.1 would let a server go by the coding; refusing shows what the proxy let pass.
    if facts.length != Length::Absent {
        return Err(CODING_AND_LENGTH);
    }
    // Section 7.1: no sender may apply chunked twice.
    if codings.chunked_twice {
        return Err(CHUNKED_TWICE);
    }
    // Section 6.3 rule 4: without chunked at the end the length is unknown.
    if !codings.chunked_last {
        return Err(NOT_CHUNKED);
    }
    // Section 6.1: the body would be handed on still encoded.
    if codings.other {
        return Err(CODING);
    }
    Ok(RequestFraming::Chunked)
}
