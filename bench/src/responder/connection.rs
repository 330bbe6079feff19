//! One client of the responder: what it speaks, what of it is not whole yet, and one write for one read.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use http2::PREFACE;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
};

use super::{h2c, http1};

/// The maximum number of bytes read in one go, and so the maximum that one write answers. A client may send frames of 16 KiB
/// (RFC 9113 section 4.2), which fit.
const READ_SIZE: usize = 64 * 1024;

/// How long a client may take no byte of its replies before it is closed.
const WRITE_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// What all connections share.
pub(super) struct Work {
    buffer: Vec<u8>,
    out: Vec<u8>,
    replies: Replies,
    /// Requests of HTTP/1.1 that were answered.
    pub(super) http1_requests: usize,
}

/// The one reply, in both protocols.
struct Replies {
    http1: Vec<u8>,
    h2c: h2c::Reply,
}

/// A client.
pub(super) struct Connection {
    stream: TcpStream,
    session: Session,
    /// The start of a preface or a frame whose rest has not come.
    rest: Vec<u8>,
}

/// What a client speaks.
enum Session {
    /// What came so far may begin a preface.
    Unknown,
    /// How many bytes of the empty line the last read ended with.
    Http1 {
        matched: usize,
    },
    H2c,
}

impl Work {
    /// Buffers, and replies with `body`.
    pub(super) fn new(body: &[u8]) -> Self {
        let replies = Replies { http1: http1::reply(body), h2c: h2c::Reply::new(body) };
        Self { buffer: vec![0; READ_SIZE], out: Vec::new(), replies, http1_requests: 0 }
    }
}

impl Connection {
    /// A client that has said nothing yet.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, session: Session::Unknown, rest: Vec::new() }
    }

    /// Reads once and answers by one write; false if the client has closed, or must be closed.
    pub(super) fn turn(&mut self, work: &mut Work) -> io::Result<bool> {
        let kept = self.rest.len();
        // What is kept goes in front of what is read, and only stays kept if that is not enough.
        let read = self.stream.read(&mut work.buffer[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        work.buffer[..kept].copy_from_slice(&self.rest);
        self.rest.clear();
        work.out.clear();
        let done = self.session.answer(&work.buffer[..kept + read], &work.replies, &mut work.out);
        self.rest.extend_from_slice(&work.buffer[done..kept + read]);
        if matches!(self.session, Session::Http1 { .. }) {
            work.http1_requests += work.out.len() / work.replies.http1.len();
        }
        // A frame that does not fit the buffer would never be whole.
        Ok(self.rest.len() < READ_SIZE && self.write(&work.out))
    }

    /// Writes all of `bytes`, waiting for a client that is slow to read; false for one that does not.
    fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
                    match rustix::event::poll(&mut fds, Some(&WRITE_WITHIN)) {
                        Ok(1..) | Err(Errno::INTR) => {}
                        Ok(0) | Err(_) => return false,
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl Session {
    /// Adds the replies that `bytes` ask for to `out`, and gives how many bytes are done with.
    fn answer(&mut self, bytes: &[u8], replies: &Replies, out: &mut Vec<u8>) -> usize {
        let mut start = 0;
        if matches!(self, Self::Unknown) {
            if bytes.starts_with(PREFACE) {
                *self = Self::H2c;
                start = PREFACE.len();
                h2c::greet(out);
            } else if PREFACE.starts_with(bytes) {
                return 0;
            } else {
                *self = Self::Http1 { matched: 0 };
            }
        }
        match self {
            Self::Http1 { matched } => {
                for _ in 0..http1::count_ends(bytes, matched) {
                    out.extend_from_slice(&replies.http1);
                }
                bytes.len()
            }
            Self::Unknown | Self::H2c => start + h2c::answer(&bytes[start..], &replies.h2c, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use http2::frame::{HEAD, flag, kind};

    use super::*;

    /// What is answered to `bytes` that come in pieces of `size`.
    fn answered(bytes: &[u8], size: usize) -> Vec<u8> {
        let replies = Replies { http1: http1::reply(b"hello"), h2c: h2c::Reply::new(b"hello") };
        let (mut session, mut pending, mut out) = (Session::Unknown, Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            pending.extend_from_slice(piece);
            let done = session.answer(&pending, &replies, &mut out);
            pending.drain(..done);
        }
        assert!(pending.is_empty(), "pieces of {size}");
        out
    }

    #[test]
    fn http1_and_h2c_are_detected_at_any_split() {
        // The first letter may begin a preface.
        let http1 = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut h2c = PREFACE.to_vec();
        http2::frame::head(&mut h2c, 0, kind::SETTINGS, 0, 0);
        http2::frame::head(&mut h2c, 1, kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1);
        h2c.push(0x82);
        let whole = answered(&h2c, h2c.len());
        assert!(whole.ends_with(b"hello") && whole[HEAD - 6] == kind::SETTINGS, "{whole:?}");
        for size in 1..=h2c.len() {
            assert_eq!(answered(http1, size), http1::reply(b"hello"), "pieces of {size}");
            assert_eq!(answered(&h2c, size), whole, "pieces of {size}");
        }
    }
}
