//! Replies on their way out: heads as lines, and content as much as there is room for.

use std::task::{Context, Poll};

use bytes::Bytes;
use contract::pattern;
use http1::{Version, write};
use wire::Output;

use super::{super::socket::CloseReason, After, Current, Driver, MOST_OUTPUT};
use crate::{
    cut::Cut,
    exchange::{Content, FieldWriter, Finished, Flight},
    lifecycle::orders::Order,
    message::reply::{Part, Reply},
};

/// Bytes in a chunk of a body without announced length.
const UNSIZED_PIECE: u64 = 256 << 10;

pub(super) struct SendingReply {
    content: Content,
    chunking: Chunking,
    /// What comes next is made when all that waits has been written.
    flushes: bool,
    /// There was no room for all of it, or no time.
    full: bool,
    flight: Flight,
}

impl Driver<'_> {
    /// Writes informational replies.
    pub(super) fn inform(&mut self, interim: &[(u16, wire::Fields)]) {
        let out = self.output.buffer();
        for (status, fields) in interim {
            write::status_line(out, Version::Http11, *status, write::reason(*status).as_bytes());
            fields.iter().for_each(|(name, value)| write::field(out, name, value));
            write::end_head(out);
        }
    }

    /// Sends a reply, or its beginning; `is_read_whole` says whether all of its request was read.
    pub(super) fn respond(
        &mut self,
        mut flight: Flight,
        reply: Reply,
        version: Version,
        is_read_whole: bool,
    ) {
        if let Some(special) = &reply.special {
            if let Some(cut) = special.cut {
                flight.cut(cut, false);
                drop(flight);
                return self.cut_off(cut);
            }
            if special.close {
                self.after.close();
            }
            if let Some(options) = special.upgrade {
                let finished = flight.finish(&self.resources.exchange, reply);
                self.write_head(&finished, version, false);
                self.current = Current::Upgrading(options, finished.flight);
                return;
            }
        }
        let mut finished = flight.finish(&self.resources.exchange, reply);
        let content = std::mem::replace(&mut finished.content, Content::None);
        let unsized_ = finished.length.is_none() && !matches!(content, Content::None);
        let chunked = unsized_ && !finished.bodiless && version == Version::Http11;
        // A body that nobody has read stands where the next request would; one without a length ends with the
        // connection.
        if !is_read_whole {
            // The rest may still be under way, and must not make a reset of the close.
            self.after = After::Close(CloseReason::Refused);
        } else if unsized_ && !chunked || self.is_last() {
            self.after.close();
        }
        self.write_head(&finished, version, chunked);
        let Finished { mut flight, .. } = finished;
        match content {
            Content::None => {}
            Content::Bytes(bytes) => {
                flight.sent(bytes.len() as u64);
                self.output.push(bytes);
                if let Some(hold) = flight.take_hold() {
                    self.replies.push_back((
                        self.socket.lifecycle.accounting.bytes_sent() + self.output.len() as u64,
                        hold,
                    ));
                }
            }
            Content::Pattern { mut range, sized: true } if range.left() <= MOST_OUTPUT as u64 => {
                flight.sent(range.left());
                push_range(&mut self.output, &mut range);
            }
            content => {
                flight.goes_on();
                let chunking = Chunking { coded: chunked, left: 0 };
                let (flushes, full) = (false, false);
                self.current = Current::Sending(SendingReply { content, chunking, flushes, full, flight });
                return;
            }
        }
        flight.whole();
        self.replied();
    }

    /// Breaks off: nothing but what is in the output is sent.
    pub(super) fn cut_off(&mut self, cut: Cut) {
        if let Current::Sending(sending) = &mut self.current {
            sending.flight.cut(cut, false);
        }
        self.socket.lifecycle.break_off();
        self.after = After::Break(CloseReason::Cut(cut));
        self.current = Current::Idle;
    }

    /// Whether the drain wants this to be the last reply: nothing that follows has arrived.
    fn is_last(&self) -> bool {
        self.orders.strongest() == Order::Drain && !self.input.has_more() && !self.socket.has_input()
    }

    fn write_head(&mut self, finished: &Finished, version: Version, chunked: bool) {
        let out = self.output.buffer();
        let status = finished.status.as_u16();
        write::status_line(out, version, status, write::reason(status).as_bytes());
        finished.write_fields(&self.resources.exchange, &mut Lines(out));
        if chunked {
            write::field(out, b"transfer-encoding", b"chunked");
        }
        match (self.after, version) {
            (After::Close(_) | After::Break(_), _) if status != 101 => {
                write::field(out, b"connection", b"close");
            }
            (After::NextRequest, Version::Http10) => write::field(out, b"connection", b"keep-alive"),
            _ => {}
        }
        write::end_head(out);
    }

    /// The last byte of a reply is in the output.
    pub(super) fn replied(&mut self) {
        self.current = Current::Idle;
        if self.input.has_more() {
            self.input.is_fresh = true;
            self.socket.lifecycle.patience.head_begun();
        }
    }

    /// Sends content until enough waits, or the turn is over. True: the reply is complete.
    pub(super) fn send(&mut self, cx: &mut Context<'_>) -> bool {
        let Current::Sending(sending) = &mut self.current else { return false };
        let SendingReply { content, chunking, flushes, full, flight } = sending;
        let output = &mut self.output;
        let most = self.context.budget.output(MOST_OUTPUT);
        while !*flushes && output.len() < most && !self.context.turn.step() {
            match content {
                Content::Pattern { range, .. } => {
                    let room = (most - output.len()) as u64;
                    flight.sent(chunking.push_range(output, range, room));
                    if range.left() == 0 {
                        return self.last_part(&wire::Fields::new());
                    }
                }
                Content::Stream(stream) => match stream.poll_next(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Some(Part::Chunk(size))) => chunking.begin(output, size),
                    Poll::Ready(Some(Part::Data(data))) => {
                        flight.sent(data.len() as u64);
                        chunking.push(output, data);
                    }
                    Poll::Ready(Some(Part::Flush)) => *flushes = true,
                    Poll::Ready(Some(Part::Trailers(trailers))) => return self.last_part(&trailers),
                    Poll::Ready(Some(Part::Cut(cut))) => {
                        self.cut_off(cut);
                        return true;
                    }
                    Poll::Ready(Some(Part::Constant(trailers))) => {
                        return self.last_part(&trailers.iter().copied().collect());
                    }
                    Poll::Ready(None) => return self.last_part(&wire::Fields::new()),
                },
                Content::None | Content::Bytes(_) => break,
            }
        }
        *full = true;
        false
    }

    /// Content has ended.
    fn last_part(&mut self, trailers: &wire::Fields) -> bool {
        if let Current::Sending(SendingReply { chunking, flight, .. }) = &mut self.current {
            flight.whole();
            if chunking.coded {
                flight.trailers(trailers.iter());
                write::last_chunk(self.output.buffer(), trailers);
            }
        }
        self.replied();
        true
    }

    /// All that waited has been written. True: content was waiting for that.
    pub(super) fn flushed(&mut self) -> bool {
        let Current::Sending(SendingReply { content, flushes, full, .. }) = &mut self.current else {
            return false;
        };
        // A stream says by itself when there is more, if it was asked.
        !matches!(content, Content::Stream(_)) || std::mem::take(flushes) || std::mem::take(full)
    }
}

/// Content on its way into chunks, if it is to be in chunks (RFC 9112 section 7.1). A chunk is announced whole, and its
/// content follows as there is room.
struct Chunking {
    coded: bool,
    /// What is still to come of the chunk that was begun.
    left: u64,
}

impl Chunking {
    /// Begins a chunk of `size` bytes; the one before is complete.
    fn begin(&mut self, output: &mut Output, size: u64) {
        debug_assert_eq!(self.left, 0, "a chunk within a chunk");
        if self.coded && size > 0 {
            write::chunk_head(output.buffer(), size);
        }
        self.left = size;
    }

    /// A number of bytes of the chunk were added.
    fn added(&mut self, output: &mut Output, count: u64) {
        self.left -= count;
        if self.coded && self.left == 0 && count > 0 {
            output.copy(write::CHUNK_END);
        }
    }

    /// Adds of a range as much as there is room for, in chunks of [`UNSIZED_PIECE`]; how many bytes that were.
    fn push_range(&mut self, output: &mut Output, range: &mut pattern::Range, room: u64) -> u64 {
        if self.left == 0 {
            self.begin(output, UNSIZED_PIECE.min(range.left()));
        }
        let mut part = range.split_to(self.left.min(room));
        let count = part.left();
        push_range(output, &mut part);
        self.added(output, count);
        count
    }

    /// Adds bytes: the next of the chunk that was begun, or else a chunk of their own.
    fn push(&mut self, output: &mut Output, mut data: Bytes) {
        while !data.is_empty() {
            if self.left == 0 {
                self.begin(output, data.len() as u64);
            }
            let part = data.split_to(usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len()));
            let count = part.len() as u64;
            output.push(part);
            self.added(output, count);
        }
    }
}

fn push_range(output: &mut Output, range: &mut pattern::Range) {
    while range.left() > 0 {
        output.push_static(range.piece(u64::MAX));
    }
}

/// Fields as lines.
struct Lines<'a>(&'a mut Vec<u8>);

impl FieldWriter for Lines<'_> {
    fn varying(&mut self, name: &str, value: &[u8]) {
        write::field(self.0, name.as_bytes(), value);
    }
}
