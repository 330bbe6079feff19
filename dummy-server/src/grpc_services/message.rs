//! The messages of a call as they come, expanded where they are compressed with gzip: within the turn of their worker and
//! its memory. Their framing is the job of the crate `grpc`.

use std::{
    future::poll_fn,
    io::{Read as _, Write as _},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, buf};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use grpc::message::{Invalid, Limits, PREFIX, Reader};
use http::StatusCode;
use tonic::{Code, Status};

use super::status::Interruption;
use crate::{
    budget::Hold,
    context::ServerContext,
    message::upload::{Upload, UploadError},
    turn::{Turn, give_way},
};

/// Responses that are ready together share a piece of at most this many bytes: clients take many small ones for an attack.
pub(super) const BATCH: usize = 16 << 10;
/// What a decompressor takes.
const EXPANDER: usize = 48 << 10;
/// Bytes that are taken of a body in one piece.
const PIECE: usize = 64 << 10;

/// The messages of a request as they come.
#[derive(Debug)]
pub(super) struct Messages {
    upload: Upload,
    reader: Reader,
    /// A message that is being expanded.
    expanding: Option<Expanding>,
    /// Largest message, in bytes.
    most: usize,
    turn: Rc<Turn>,
    /// For what has arrived of a message, and for the one that was given last.
    hold: Hold,
}

/// A message in gzip, and what it has become so far.
#[derive(Debug)]
struct Expanding {
    decoder: GzDecoder<buf::Reader<Bytes>>,
    expanded: Vec<u8>,
}

impl Messages {
    pub(super) fn new(context: &ServerContext, upload: Upload, gzip: bool) -> Self {
        let most = context.config.limits.grpc_max_message;
        let reader = Reader::new(Limits { message: most, compressed: gzip });
        let (turn, hold) = (Rc::clone(&context.turn), Hold::new(&context.budget));
        Self { upload, reader, expanding: None, most, turn, hold }
    }

    /// What it holds, for the reply to a message.
    pub(super) fn into_hold(self) -> Hold {
        self.hold
    }

    /// The next message; none at the end of the request.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if self.turn.step() {
                return give_way(cx);
            }
            if let Some(message) = self.take()? {
                self.keep(self.reader.len() + message.len())?;
                return Poll::Ready(Ok(Some(message)));
            }
            if self.expanding.is_some() {
                continue;
            }
            match ready!(self.upload.poll_pull(PIECE, cx)) {
                Some(part) => {
                    self.reader.push(part.map_err(|error| broken(&error))?);
                    self.keep(self.reader.len())?;
                }
                None if self.reader.is_empty() => return Poll::Ready(Ok(None)),
                None => {
                    self.reader.clear();
                    return Poll::Ready(Err(Status::internal("the request ended within a message")));
                }
            }
        }
    }

    /// Releases the memory of the last message.
    pub(super) fn forget_last(&self) {
        // It is less than before.
        let _ = self.hold.set(self.reader.len());
    }

    /// Holds this number of bytes from now on.
    fn keep(&mut self, bytes: usize) -> Result<(), Status> {
        within_budget(self.hold.set(bytes)).inspect_err(|_| {
            self.reader.clear();
            self.expanding = None;
        })
    }

    /// [`Messages::poll_next`], awaited.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Messages::poll_next`] of a stream, which the `interruption` ends while it waits for its client.
    pub(super) fn poll_next_until(
        &mut self,
        interruption: &mut Interruption,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Status>> {
        match self.poll_next(cx) {
            // Only what waits for the client yields to the drain, and not what waits for its turn.
            Poll::Pending => interruption.poll(cx, !self.turn.is_over()).map(Err),
            ready => ready,
        }
    }

    /// The one message of a request that has no other, at its end.
    pub(super) async fn only(&mut self) -> Result<Bytes, Status> {
        let first = self.next().await?.ok_or_else(|| Status::internal("the request has no message"))?;
        match self.next().await? {
            Some(_) => Err(Status::internal("more than one message in a request that has one")),
            None => Ok(first),
        }
    }

    /// A message that has arrived completely, or been expanded to its end.
    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(expanding) = &mut self.expanding {
            let ended = expanding.go_on(self.most)?;
            self.turn.long_step();
            let held = self.reader.len() + expanding.expanded.len() + EXPANDER;
            self.keep(held)?;
            let ended = if ended { self.expanding.take() } else { None };
            return Ok(ended.map(|expanding| expanding.expanded.into()));
        }
        let Some(message) = self.reader.take().map_err(|invalid| refused(invalid, self.most))? else {
            return Ok(None);
        };
        if !message.compressed {
            return Ok(Some(message.content));
        }
        let decoder = GzDecoder::new(message.content.reader());
        self.expanding = Some(Expanding { decoder, expanded: Vec::new() });
        Ok(None)
    }
}

impl Expanding {
    /// Expands a piece more, to at most `most` bytes in all. True: that was the last.
    fn go_on(&mut self, most: usize) -> Result<bool, Status> {
        let limit = PIECE.min(most + 1 - self.expanded.len()) as u64;
        let count = self.decoder.by_ref().take(limit).read_to_end(&mut self.expanded);
        let count = count
            .map_err(|error| Status::internal(format!("invalid gzip in a compressed message: {error}")))?;
        if self.expanded.len() > most {
            return Err(Status::resource_exhausted(format!(
                "a message of more than {most} bytes when expanded (--grpc-max-message)"
            )));
        }
        Ok((count as u64) < limit)
    }
}

/// A request whose content broke off.
pub(super) fn broken(error: &UploadError) -> Status {
    let text = error.to_string();
    if error.status == StatusCode::SERVICE_UNAVAILABLE {
        return Status::resource_exhausted(text);
    }
    Status::cancelled(text)
}

/// The status of a call for which there is no memory, unless what it holds fits.
pub(super) fn within_budget(fits: bool) -> Result<(), Status> {
    if fits { Ok(()) } else { Err(broken(&UploadError::TOO_MUCH)) }
}

/// The status of a message that is invalid, or that is not accepted.
fn refused(invalid: Invalid, most: usize) -> Status {
    let limit = match invalid {
        Invalid::TooLarge { .. } => format!(": at most {most} are accepted (--grpc-max-message)"),
        Invalid::Flag(_) | Invalid::Compressed => String::new(),
    };
    Status::new(Code::from_i32(invalid.code() as i32), format!("{invalid}{limit}"))
}

/// Whether a message of this length in bytes is accepted.
pub(super) fn check_length(length: usize, most: usize) -> Result<(), Status> {
    if length <= most { Ok(()) } else { Err(refused(Invalid::TooLarge { length }, most)) }
}

/// Adds the message that `write` adds, with its prefix.
pub(super) fn append(out: &mut Vec<u8>, gzip: bool, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    grpc::message::append(out, false, write);
    if gzip {
        let message = out.split_off(start + PREFIX);
        out.truncate(start);
        grpc::message::append(out, true, |out| {
            let mut encoder = GzEncoder::new(out, Compression::fast());
            // Writing to memory does not fail.
            let _ = encoder.write_all(&message).and_then(|()| encoder.try_finish());
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::{super::tests::context, *};
    use crate::{budget::Budget, message::upload::Inbox};

    fn framed(message: &[u8], gzip: bool) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, gzip, |out| out.extend_from_slice(message));
        out
    }

    /// What is read of a body that comes in pieces of `size`.
    fn read(body: &[u8], size: usize, most: usize, gzip: bool) -> Vec<Result<Bytes, Code>> {
        let context = context(most, &Budget::of(1 << 30));
        let (inbox, turn) = (Inbox::new(&context.budget), &context.turn);
        let mut messages = Messages::new(&context, Upload::new(Some(&inbox)), gzip);
        let mut cx = Context::from_waker(Waker::noop());
        let mut found = Vec::new();
        for piece in body.chunks(size) {
            inbox.push(piece);
            turn.begin();
            while let Poll::Ready(Some(next)) = messages.poll_next(&mut cx).map(Result::transpose) {
                turn.begin();
                let failed = next.is_err();
                found.push(next.map_err(|status| status.code()));
                if failed {
                    return found;
                }
            }
        }
        inbox.end(Ok(()));
        turn.begin();
        while let Poll::Ready(Some(next)) = messages.poll_next(&mut cx).map(Result::transpose) {
            turn.begin();
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
    fn invalid_messages_are_refused() {
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
    fn a_message_is_expanded_over_as_many_turns_as_it_takes() {
        const LARGE: usize = 10 << 20;
        let context = context(LARGE, &Budget::of(1 << 30));
        let (inbox, turn) = (Inbox::new(&context.budget), &context.turn);
        let mut messages = Messages::new(&context, Upload::new(Some(&inbox)), true);
        inbox.push(&framed(&vec![7; LARGE], true));
        inbox.end(Ok(()));
        let mut cx = Context::from_waker(Waker::noop());
        turn.end_now();
        assert!(messages.poll_next(&mut cx).is_pending(), "not before the next turn");
        let mut turns = 0;
        let message = loop {
            turn.begin();
            turns += 1;
            if let Poll::Ready(next) = messages.poll_next(&mut cx) {
                break next.unwrap().unwrap();
            }
        };
        assert!(message.len() == LARGE && message.iter().all(|byte| *byte == 7));
        assert!(turns > 1, "10 MiB are more than a turn's work");
    }

    #[test]
    fn a_message_for_which_there_is_no_memory_is_refused() {
        let context = context(10 << 20, &Budget::of(1 << 20));
        for gzip in [false, true] {
            let (inbox, turn) = (Inbox::new(&context.budget), &context.turn);
            let mut messages = Messages::new(&context, Upload::new(Some(&inbox)), gzip);
            let body = framed(&vec![7; 2 << 20], gzip);
            let mut cx = Context::from_waker(Waker::noop());
            let mut pieces = body.chunks(100 << 10);
            let code = loop {
                pieces.next().map_or_else(|| inbox.end(Ok(())), |piece| inbox.push(piece));
                turn.begin();
                if let Poll::Ready(next) = messages.poll_next(&mut cx) {
                    break next.unwrap_err().code();
                }
            };
            assert_eq!(code, Code::ResourceExhausted);
        }
    }

    #[test]
    fn a_message_of_the_largest_size_is_taken() {
        for gzip in [false, true] {
            assert_eq!(read(&framed(&[1; 1000], gzip), 9999, 1000, gzip).len(), 1);
            assert!(read(&framed(&[1; 1001], gzip), 9999, 1000, gzip)[0].is_err());
        }
    }
}
