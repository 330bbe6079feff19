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
    exchange::{Content, Finished, Flight},
    lifecycle::orders::Order,
    message::reply::{Part, Reply},
};

pub(super) struct SendingStream {
    content: Content,
    /// What was taken from it, if it is a stream, and not sent.
    rest: Bytes,
    flight: Flight,
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
    pub(super) fn respond(&mut self, key: Key, mut flight: Flight, reply: Reply) {
        if self.cut.is_some() {
            if key.id > self.last_processed {
                flight.refused_by(Cut::GoAway(0));
            }
            return;
        }
        if let Some(special) = &reply.special {
            if let Some(cut) = special.cut {
                // Not even begun: the client may send it again (RFC 9113 section 8.7).
                let refused =
                    matches!(cut, Cut::GoAway(_)) || cut == Cut::ResetStream(Code::REFUSED_STREAM.0);
                flight.cut(cut, refused);
                drop(flight);
                return self.cut_off(key, cut, key.id.saturating_sub(2));
            }
            if special.close {
                self.socket.lifecycle.give(Order::Drain);
            }
        }
        let mut finished = flight.finish(&self.resources.exchange, reply);
        let mut content = std::mem::replace(&mut finished.content, Content::None);
        let nothing = matches!(content, Content::None);
        let (prepared, exchange) = (&mut self.prepared, &self.resources.exchange);
        self.conn.head(key, nothing, |block| {
            block.status(finished.status.as_u16());
            finished.write_fields(exchange, &mut Fields { block, prepared });
        });
        let Finished { mut flight, .. } = finished;
        if nothing {
            flight.whole();
            return self.replied(key);
        }
        // Most replies are short and fit in one piece.
        if let Content::Pattern { mut range, .. } = content {
            let (room, length) = (self.conn.data_room(key).min(SHARE), range.left());
            if length <= room as u64 && self.send_range(key, &mut range, room) {
                flight.sent(length);
                flight.whole();
                return self.replied(key);
            }
            content = Content::Pattern { range, sized: true };
        }
        self.send(key, SendingStream { content, rest: Bytes::new(), flight });
    }

    /// Breaks off a stream, or the connection, with `last` as the last stream that was processed.
    pub(super) fn cut_off(&mut self, key: Key, cut: Cut, last: u32) {
        if self.cut.is_some() {
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
                Work::Waiting(mut flight, _) => flight.refused_by(cut),
                Work::Sending(mut sending) | Work::Awaiting(mut sending) => sending.flight.refused_by(cut),
            }
        }
    }

    fn reset(&mut self, key: Key, code: Code) {
        self.clear(key);
        self.conn.reset(key, code);
    }

    /// Nothing is kept of the stream any more.
    fn clear(&mut self, key: Key) {
        if let Some(slot) = self.known(key) {
            *slot = Slot::default();
        }
    }

    /// The last byte of a reply is in the output.
    pub(super) fn replied(&mut self, key: Key) {
        self.conn.finish(key);
        self.clear(key);
    }

    /// Sends content, as much as there is room for, and a turn's worth at most.
    pub(super) fn send(&mut self, key: Key, mut sending: SendingStream) {
        if self.cut.is_some() {
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
                let done = self.send_range(key, range, room);
                flight.sent(before - range.left());
                done
            }
            Content::Stream(_) => return self.send_stream(key, sending, room),
        };
        if done {
            sending.flight.whole();
            return self.replied(key);
        }
        self.send_later(key, sending);
    }

    /// Goes on when there is room again, and other streams have had their turn.
    pub(super) fn send_later(&mut self, key: Key, sending: SendingStream) {
        self.slot(key).work = Work::Sending(sending);
        self.conn.want(key);
    }

    /// Sends what comes from a stream, as much as there is room for.
    fn send_stream(&mut self, key: Key, mut sending: SendingStream, mut room: usize) {
        let SendingStream { content: Content::Stream(stream), rest, flight } = &mut sending else { return };
        let waker = self.waker(key);
        let mut polled = false;
        loop {
            if !rest.is_empty() {
                let part = rest.split_to(room.min(rest.len()));
                room -= part.len();
                flight.sent(part.len() as u64);
                let end = rest.is_empty() && stream.is_over();
                self.conn.data(key, part, end);
                if end {
                    break;
                }
                if !rest.is_empty() {
                    return self.send_later(key, sending);
                }
            }
            let enough = || self.context.turn.step() || self.has_enough();
            if room == 0 && stream.needs_room() || std::mem::replace(&mut polled, true) && enough() {
                return self.send_later(key, sending);
            }
            let next = stream.poll_next(&mut Context::from_waker(&waker));
            // An endpoint that streams may go on reading meanwhile.
            let inbox = self.known(key).and_then(|slot| slot.inbox.clone());
            self.conn.release(key, inbox.map_or(0, |inbox| inbox.take_pulled()));
            match next {
                Poll::Pending => {
                    self.waiting += 1;
                    self.slot(key).work = Work::Awaiting(sending);
                    return;
                }
                Poll::Ready(Some(Part::Data(data))) => *rest = data,
                // Frames end where there is no more room.
                Poll::Ready(Some(Part::Chunk(_))) => {}
                Poll::Ready(Some(Part::Flush)) => {
                    self.slot(key).work = Work::Sending(sending);
                    return self.wait_for_flush(key);
                }
                Poll::Ready(Some(Part::Trailers(trailers))) => {
                    flight.trailers(trailers.iter());
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers.iter() {
                            block.varying(name, value);
                        }
                    });
                    break;
                }
                Poll::Ready(Some(Part::Cut(cut @ Cut::Short))) => {
                    flight.cut(cut, false);
                    self.conn.data_static(key, b"", true);
                    break;
                }
                Poll::Ready(Some(Part::Cut(cut))) => {
                    flight.cut(cut, false);
                    return self.cut_off(key, cut, key.id);
                }
                Poll::Ready(Some(Part::Constant(trailers))) => {
                    flight.trailers(trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers {
                            block.constant(name.as_bytes(), value.as_bytes());
                        }
                    });
                    break;
                }
                Poll::Ready(None) => {
                    self.conn.data_static(key, b"", true);
                    break;
                }
            }
        }
        flight.whole();
        self.replied(key);
    }

    /// Sends of a range what there is room for. True: nothing is left of it, and the stream has ended.
    fn send_range(&mut self, key: Key, range: &mut pattern::Range, room: usize) -> bool {
        let mut room = room as u64;
        while room > 0 && range.left() > 0 {
            let piece = range.piece(room);
            room -= piece.len() as u64;
            self.conn.data_static(key, piece, range.left() == 0);
        }
        range.left() == 0
    }

    /// Lets streams send for which there is room, in turn.
    pub(super) fn send_ready(&mut self) {
        while !self.has_enough() && !self.context.turn.step() {
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
            if let Work::Sending(sending) = std::mem::take(&mut slot.work) {
                self.send(key, sending);
            }
        }
        any
    }
}
