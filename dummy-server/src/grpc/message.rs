//! Messages on the wire: five bytes of prefix and the message, which may be compressed with gzip.
//!
//! What is received takes memory as it comes and never by what a prefix announces.

use std::{
    io::{Read as _, Write as _},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tonic::Status;

use super::{
    expansion::{Expansion, give_way},
    lengths,
};
use crate::{connection::exchange::Head, upload::Upload};

/// The flag and the length in front of a message.
pub(super) const PREFIX: usize = 5;
/// Bytes that are taken of a body at once.
const PIECE: usize = 64 << 10;

/// What codes messages may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coding {
    /// Requests may be compressed with gzip.
    pub(super) requests: bool,
    /// The client takes replies that are.
    pub(super) replies: bool,
}

impl Coding {
    /// Reads `grpc-encoding` and `grpc-accept-encoding`; the value of the first when nobody here can read it.
    pub(super) fn of<'h>(head: &Head<'h>) -> Result<Self, &'h [u8]> {
        let requests = match head.fields.get("grpc-encoding") {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(other) => return Err(other),
        };
        Ok(Self { requests, replies: head.fields.has_token("grpc-accept-encoding", "gzip") })
    }
}

/// The messages of a request as they come.
#[derive(Debug)]
pub(super) struct Messages {
    upload: Upload,
    buffer: BytesMut,
    /// Largest message, in bytes.
    most: usize,
    /// None: no message may be compressed.
    gzip: Option<Rc<Expansion>>,
}

impl Messages {
    pub(super) fn new(upload: Upload, most: usize, gzip: Option<Rc<Expansion>>) -> Self {
        Self { upload, buffer: BytesMut::new(), most, gzip }
    }

    /// The next message; none at the end of the request.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            match self.take() {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(message))) => return Poll::Ready(Some(Ok(message))),
                Poll::Ready(Err(status)) => return Poll::Ready(Some(Err(status))),
                Poll::Pending => return give_way(cx),
            }
            match ready!(self.upload.poll_pull(PIECE, cx)) {
                Some(Ok(part)) => self.add(part),
                Some(Err(error)) => return Poll::Ready(Some(Err(Status::cancelled(error.to_string())))),
                None if self.buffer.is_empty() => return Poll::Ready(None),
                None => {
                    self.buffer.clear();
                    return Poll::Ready(Some(Err(Status::internal("the request ended within a message"))));
                }
            }
        }
    }

    /// The one message of a request that has no other, at its end.
    pub(super) fn poll_only(
        &mut self,
        first: &mut Option<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Status>> {
        loop {
            match (ready!(self.poll_next(cx)).transpose()?, &first) {
                (Some(message), None) => *first = Some(message),
                (Some(_), Some(_)) => {
                    return Poll::Ready(Err(Status::internal(
                        "more than one message in a request that has one",
                    )));
                }
                (None, _) => {
                    let missing = || Status::internal("the request has no message");
                    return Poll::Ready(first.take().ok_or_else(missing));
                }
            }
        }
    }

    fn add(&mut self, part: Bytes) {
        if self.buffer.is_empty() {
            // It is the only handle of its bytes, unless it is a piece of a larger part.
            self.buffer = part.try_into_mut().unwrap_or_else(|part| BytesMut::from(&part[..]));
        } else {
            self.buffer.extend_from_slice(&part);
        }
    }

    /// A message that has come whole. Pending: it is to be expanded, and others have their turn before.
    fn take(&mut self) -> Poll<Result<Option<Bytes>, Status>> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Poll::Ready(Ok(None)) };
        let [flag, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        let expansion = match (flag, &self.gzip) {
            (0, _) => None,
            (1, Some(expansion)) => Some(Rc::clone(expansion)),
            (1, None) => {
                return refused(Status::internal("a compressed message without grpc-encoding"));
            }
            _ => {
                let text = format!("{flag} is no flag of a message; accepted are 0 and 1");
                return refused(Status::internal(text));
            }
        };
        if let Err(status) = lengths::check(length, self.most) {
            return refused(status);
        }
        if self.buffer.len() < PREFIX + length {
            return Poll::Ready(Ok(None));
        }
        if expansion.as_ref().is_some_and(|expansion| expansion.is_turn_over()) {
            return Poll::Pending;
        }
        let message = match self.buffer.len() == PREFIX + length {
            // Mostly it is all there is, and then nothing is left to share its memory with.
            true => std::mem::take(&mut self.buffer).freeze().slice(PREFIX..),
            false => {
                self.buffer.advance(PREFIX);
                self.buffer.split_to(length).freeze()
            }
        };
        Poll::Ready(match expansion {
            Some(expansion) => expand(&message, self.most, &expansion).map(Some),
            None => Ok(Some(message)),
        })
    }
}

fn refused<T>(status: Status) -> Poll<Result<T, Status>> {
    Poll::Ready(Err(status))
}

/// Expands a message to at most `most` bytes.
fn expand(message: &[u8], most: usize, expansion: &Expansion) -> Result<Bytes, Status> {
    let mut expanded = Vec::new();
    let limit = most as u64 + 1;
    let read = GzDecoder::new(message).take(limit).read_to_end(&mut expanded);
    expansion.spend(expanded.len());
    if let Err(error) = read {
        return Err(Status::internal(format!("a message that is no gzip: {error}")));
    }
    if expanded.len() > most {
        return Err(Status::resource_exhausted(format!(
            "a message of more than {most} bytes when expanded (--grpc-max-message)"
        )));
    }
    Ok(expanded.into())
}

/// Adds the message that `write` writes, with its prefix.
pub(super) fn append(out: &mut Vec<u8>, gzip: bool, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + PREFIX, 0);
    if gzip {
        let mut message = Vec::new();
        write(&mut message);
        let mut encoder = GzEncoder::new(&mut *out, Compression::fast());
        // Writing to memory does not fail.
        let _ = encoder.write_all(&message).and_then(|()| encoder.try_finish());
    } else {
        write(out);
    }
    let length = out.len() - start - PREFIX;
    set_prefix(&mut out[start..], length, gzip);
}

/// Writes the prefix of a message of so many bytes.
pub(super) fn set_prefix(framed: &mut [u8], length: usize, gzip: bool) {
    framed[0] = u8::from(gzip);
    // Lengths are below the largest --grpc-max-message, which is 2 GiB.
    framed[1..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::upload::Inbox;

    fn framed(message: &[u8], gzip: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, gzip, |out| out.extend_from_slice(message));
        out
    }

    /// What is read of a body that comes in pieces of `size`.
    fn read(body: &[u8], size: usize, most: usize, gzip: bool) -> Vec<Result<Bytes, tonic::Code>> {
        let inbox = Inbox::new();
        let mut messages = Messages::new(Upload::from(&inbox), most, gzip.then(Rc::default));
        let mut cx = Context::from_waker(Waker::noop());
        let mut found = Vec::new();
        for piece in body.chunks(size) {
            inbox.push(piece);
            while let Poll::Ready(Some(next)) = messages.poll_next(&mut cx) {
                let failed = next.is_err();
                found.push(next.map_err(|status| status.code()));
                if failed {
                    return found;
                }
            }
        }
        inbox.end(Ok(()));
        while let Poll::Ready(Some(next)) = messages.poll_next(&mut cx) {
            found.push(next.map_err(|status| status.code()));
        }
        found
    }

    #[test]
    fn messages_are_read_in_pieces_of_any_size() {
        for gzip in [false, true] {
            let body = [framed(b"one", gzip), framed(b"", false), framed(&[7; 1000], gzip)].concat();
            for size in [1, 2, 5, 7, 100, body.len()] {
                let expected = [&b"one"[..], b"", &[7; 1000]].map(|part| Ok(Bytes::copy_from_slice(part)));
                assert_eq!(read(&body, size, 1000, gzip), expected, "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        use tonic::Code;
        let bomb = framed(&vec![0; 100_000], true);
        for (body, gzip, code) in [
            (&b"\0\0\0\0\x02x"[..], false, Code::Internal),
            (b"\x02\0\0\0\x01x", false, Code::Internal),
            (b"\x01\0\0\0\x01x", false, Code::Internal),
            (b"\x01\0\0\0\x01x", true, Code::Internal),
            (b"\0\0\0\x03\xe9", false, Code::ResourceExhausted),
            (&bomb, true, Code::ResourceExhausted),
        ] {
            assert_eq!(read(body, body.len(), 1000, gzip), [Err(code)], "{body:?}");
        }
    }

    #[test]
    fn messages_that_expand_far_wait_for_the_next_turn() {
        const LARGE: usize = 300 << 10;
        let expansion = Rc::new(Expansion::default());
        let inbox = Inbox::new();
        let mut messages = Messages::new(Upload::from(&inbox), LARGE, Some(Rc::clone(&expansion)));
        let small = framed(b"small", false);
        for _ in 0..9 {
            inbox.push(&[framed(&vec![0; LARGE], true), small.clone()].concat());
        }
        inbox.end(Ok(()));
        let mut cx = Context::from_waker(Waker::noop());
        let mut turns = Vec::new();
        let mut over = false;
        while !over {
            expansion.begin_turn();
            let mut taken = 0;
            while let Poll::Ready(next) = messages.poll_next(&mut cx) {
                over = next.is_none();
                if over {
                    break;
                }
                taken += usize::from(next.unwrap().unwrap().len() == LARGE);
            }
            assert!(over || messages.poll_next(&mut cx).is_pending(), "not before the next turn");
            turns.push(taken);
        }
        // Each ends with the message that exceeds it.
        assert_eq!(turns, [4, 4, 1]);
    }

    #[test]
    fn a_message_of_the_largest_size_is_taken() {
        for gzip in [false, true] {
            assert_eq!(read(&framed(&[1; 1000], gzip), 9999, 1000, gzip).len(), 1);
            assert!(read(&framed(&[1; 1001], gzip), 9999, 1000, gzip)[0].is_err());
        }
    }
}
