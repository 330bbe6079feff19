//! Replies on their way out: in turn, and as much of each as there is room for.

use std::task::{Context, Poll};

use bytes::Bytes;
use contract::pattern;
use http2::{Code, Key};

use super::{
    super::socket::CloseReason,
    Driver, SHARE,
    fields::Fields,
    streams::{Slot, Work},
};
use crate::{
    cut::Cut,
    exchange::{Content, Finished, Flight, Pending},
    lifecycle::orders::Order,
    message::reply::{Part, Reply, Stream},
};

pub(super) struct SendingStream {
    pub(super) content: Content,
    /// What is left of the current chunk.
    pub(super) chunk: Option<pattern::Range>,
    pub(super) flight: Flight,
}

impl SendingStream {
    /// Ready when the next chunk is due.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.content {
            Content::Chunks(chunks) => chunks.timetable.poll(cx),
            _ => Poll::Ready(()),
        }
    }
}

/// What came of sending a stream.
enum Streamed {
    /// It is complete.
    All,
    /// There is no room for more.
    Part,
    /// There is nothing to send yet.
    Awaited,
    /// What comes next waits until all before it is on the wire.
    Flush,
    /// It was broken off.
    Cut(Cut),
}

impl Driver<'_> {
    /// Sends informational replies.
    pub(super) fn inform(&mut self, key: Key, interim: &[(u16, ::wire::Fields)]) {
        for (status, fields) in interim {
            self.conn.head(key, false, |block| {
                block.status(*status);
                fields.iter().for_each(|(name, value)| block.varying(name, value));
            });
        }
    }

    /// Sends a reply, or its beginning.
    pub(super) fn respond(&mut self, key: Key, pending: Pending, reply: Reply) {
        if self.is_cut() {
            if key.id > self.last_processed {
                pending.refused_by(Cut::GoAway(0));
            }
            return;
        }
        if let Some(special) = &reply.special {
            if let Some(cut) = special.cut {
                // Not even begun: the client may send it again (RFC 9113 section 8.7).
                let refused =
                    matches!(cut, Cut::GoAway(_)) || cut == Cut::ResetStream(Code::REFUSED_STREAM.0);
                pending.cut(cut, refused);
                return self.cut_off(key, cut, key.id.saturating_sub(2));
            }
            if special.close {
                self.socket.lifecycle.give(Order::Drain);
            }
        }
        let mut finished = pending.finish(reply);
        let content = std::mem::replace(&mut finished.content, Content::None);
        let nothing = matches!(content, Content::None);
        let prepared = &mut self.prepared;
        self.conn.head(key, nothing, |block| {
            block.status(finished.status.as_u16());
            finished.write_fields(&mut Fields { block, prepared });
        });
        let Finished { mut flight, .. } = finished;
        if nothing {
            flight.whole();
            return self.replied(key);
        }
        // Most replies are short and fit in one piece.
        if let Content::Pattern { mut range, .. } = content {
            let (room, length) = (self.conn.data_room(key).min(SHARE), range.left());
            if length <= room as u64 && self.send_range(key, &mut range, room, true) {
                flight.sent(length);
                flight.whole();
                return self.replied(key);
            }
            let content = Content::Pattern { range, sized: true };
            return self.send(key, SendingStream { content, chunk: None, flight });
        }
        self.send(key, SendingStream { content, chunk: None, flight });
    }

    /// Breaks off a stream, or the connection, with `last` as the last stream that was processed.
    pub(super) fn cut_off(&mut self, key: Key, cut: Cut, last: u32) {
        if self.is_cut() {
            return;
        }
        match cut {
            Cut::ResetStream(code) => return self.reset(key, Code(code)),
            Cut::Hang => return self.reset(key, Code::CANCEL),
            Cut::GoAway(code) => {
                self.socket.lifecycle.break_off();
                http2::frame::goaway(self.conn.output.buffer(), last, code, b"");
                self.refuse_above(last, cut);
                self.cut = Some(CloseReason::Complete);
            }
            Cut::Close | Cut::Reset | Cut::Short => {
                self.socket.lifecycle.break_off();
                self.cut = Some(CloseReason::Cut(cut));
            }
        }
        self.orders.wake();
    }

    /// GOAWAY has informed the client that streams above `last` are not processed, so that it can retry them (RFC 9113 section 6.8).
    fn refuse_above(&mut self, last: u32, cut: Cut) {
        self.last_processed = last;
        for slot in self.slots.iter_mut().filter(|slot| slot.id > last) {
            match std::mem::take(&mut slot.work) {
                Work::None => {}
                Work::Waiting(pending, _) => pending.refused_by(cut),
                Work::Sending(mut sending) | Work::Pausing(mut sending) | Work::Awaiting(mut sending) => {
                    sending.flight.refused_by(cut);
                }
            }
        }
    }

    fn reset(&mut self, key: Key, code: Code) {
        if let Some(slot) = self.known(key) {
            *slot = Slot::default();
        }
        self.conn.reset(key, code);
    }

    /// The last byte of a reply is in the output.
    pub(super) fn replied(&mut self, key: Key) {
        self.conn.finish(key);
        if let Some(slot) = self.known(key) {
            *slot = Slot::default();
        }
    }

    /// Sends content, as much as there is room for, and a turn's worth at most.
    pub(super) fn send(&mut self, key: Key, mut sending: SendingStream) {
        if self.is_cut() {
            return;
        }
        let room = self.conn.data_room(key).min(SHARE);
        if !sending.content.fits(room) {
            sending.flight.goes_on();
        }
        let flight = &mut sending.flight;
        let done = match &mut sending.content {
            Content::None => true,
            Content::Bytes(bytes) => {
                let part = bytes.split_to(room.min(bytes.len()));
                flight.sent(part.len() as u64);
                let done = bytes.is_empty();
                self.conn.data(key, part, done);
                done
            }
            Content::Pattern { range, .. } => {
                let before = range.left();
                let done = self.send_range(key, range, room, true);
                flight.sent(before - range.left());
                done
            }
            Content::Chunks(chunks) => {
                chunks.timetable.begin();
                let mut chunk = match sending.chunk.take() {
                    Some(chunk) => chunk,
                    None => chunks.next().unwrap_or_else(|| chunks.range.clone()),
                };
                let (last, before) = (chunks.range.left() == 0, chunk.left());
                let done = self.send_range(key, &mut chunk, room, last);
                flight.sent(before - chunk.left());
                if done && !last {
                    let slot = self.slot(key);
                    slot.work = Work::Sending(sending);
                    self.wait_for_flush(key);
                    return;
                }
                sending.chunk = Some(chunk);
                done
            }
            Content::Stream(stream, rest) => match self.send_stream(key, stream, rest, room, flight) {
                Streamed::All => true,
                Streamed::Part => false,
                Streamed::Flush => {
                    self.slot(key).work = Work::Sending(sending);
                    self.wait_for_flush(key);
                    return;
                }
                Streamed::Cut(cut) => {
                    flight.cut(cut, false);
                    return self.cut_off(key, cut, key.id);
                }
                Streamed::Awaited => {
                    self.waiting += 1;
                    self.slot(key).work = Work::Awaiting(sending);
                    return;
                }
            },
        };
        if done {
            sending.flight.whole();
            return self.replied(key);
        }
        self.slot(key).work = Work::Sending(sending);
        self.conn.want(key);
    }

    /// Sends what comes from a stream, as much as there is room for.
    fn send_stream(
        &mut self,
        key: Key,
        stream: &mut Box<dyn Stream>,
        rest: &mut Bytes,
        room: usize,
        flight: &mut Flight,
    ) -> Streamed {
        let mut room = room;
        let waker = self.waker(key);
        let mut polled = false;
        loop {
            if !rest.is_empty() {
                let part = rest.split_to(room.min(rest.len()));
                room -= part.len();
                flight.sent(part.len() as u64);
                self.conn.data(key, part, false);
                if !rest.is_empty() {
                    return Streamed::Part;
                }
            }
            let enough = || self.resources.turn.step() || self.has_enough(&self.resources.budget);
            if room == 0 && stream.needs_room() || std::mem::replace(&mut polled, true) && enough() {
                return Streamed::Part;
            }
            let next = stream.poll_next(&mut Context::from_waker(&waker));
            // An endpoint that streams may go on reading meanwhile.
            let inbox = self.known(key).and_then(|slot| slot.inbox.clone());
            self.conn.release(key, inbox.map_or(0, |inbox| inbox.take_pulled()));
            match next {
                Poll::Pending => return Streamed::Awaited,
                Poll::Ready(Some(Part::Data(data))) => *rest = data,
                // Frames end where there is no more room.
                Poll::Ready(Some(Part::Chunk(_))) => {}
                Poll::Ready(Some(Part::Flush)) => return Streamed::Flush,
                Poll::Ready(Some(Part::Trailers(trailers))) => {
                    flight.trailers(trailers.iter());
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers.iter() {
                            block.varying(name, value);
                        }
                    });
                    return Streamed::All;
                }
                Poll::Ready(Some(Part::Cut(cut @ Cut::Short))) => {
                    flight.cut(cut, false);
                    self.conn.data_static(key, b"", true);
                    return Streamed::All;
                }
                Poll::Ready(Some(Part::Cut(cut))) => return Streamed::Cut(cut),
                Poll::Ready(Some(Part::Constant(trailers))) => {
                    flight.trailers(trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers {
                            block.constant(name.as_bytes(), value.as_bytes());
                        }
                    });
                    return Streamed::All;
                }
                Poll::Ready(None) => {
                    self.conn.data_static(key, b"", true);
                    return Streamed::All;
                }
            }
        }
    }

    /// Sends of a range what there is room for. True: nothing is left of it; `end` then ends the stream.
    fn send_range(&mut self, key: Key, range: &mut pattern::Range, room: usize, end: bool) -> bool {
        let mut room = room as u64;
        while room > 0 && range.left() > 0 {
            let piece = range.piece(room);
            room -= piece.len() as u64;
            self.conn.data_static(key, piece, end && range.left() == 0);
        }
        range.left() == 0
    }

    /// Lets streams send for which there is room, in turn.
    pub(super) fn send_ready(&mut self) {
        while !self.has_enough(&self.resources.budget) && !self.resources.turn.step() {
            let Some(key) = self.conn.next_ready() else { return };
            let Some(slot) = self.known(key) else { continue };
            match std::mem::take(&mut slot.work) {
                Work::Sending(sending) => self.send(key, sending),
                other => slot.work = other,
            }
        }
    }

    /// A stream goes on when all that is in the output now is on the wire.
    fn wait_for_flush(&mut self, key: Key) {
        let end = self.socket.lifecycle.accounting.bytes_sent() + self.conn.output.len() as u64;
        self.after_flush.push_back((end, key));
    }

    /// Streams that wait until what was before is on the wire. True: there were some.
    pub(super) fn go_on_after_flush(&mut self) -> bool {
        let written = self.socket.lifecycle.accounting.bytes_sent();
        let mut any = false;
        // What they put out now is behind all that.
        for _ in 0..self.after_flush.len() {
            let Some((_, key)) = self.after_flush.pop_front_if(|(end, _)| *end <= written) else { break };
            any = true;
            let Some(slot) = self.known(key) else { continue };
            let Work::Sending(mut sending) = std::mem::take(&mut slot.work) else { continue };
            let Content::Chunks(chunks) = &mut sending.content else {
                self.send(key, sending);
                continue;
            };
            chunks.timetable.advance(chunks.delay);
            slot.work = Work::Pausing(sending);
            self.waiting += 1;
            self.work_on(key);
        }
        any
    }
}
