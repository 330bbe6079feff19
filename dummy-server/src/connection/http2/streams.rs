//! The streams of a connection between wake-ups: what their endpoints and clients have done, and which go on.

use std::{
    rc::Rc,
    task::{Context, Poll, Waker},
};

use http2::Key;

use super::{Driver, sending::SendingStream};
use crate::{
    exchange::{self, Flight},
    lifecycle::Lifecycle,
    message::{
        Head,
        reply::{Answer, Awaited, Body},
        upload::{Inbox, Upload, UploadError},
    },
    protocol::Protocol,
};

/// What is kept of a stream between wake-ups.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) id: u32,
    pub(super) inbox: Option<Rc<Inbox>>,
    pub(super) work: Work,
}

#[derive(Default)]
pub(super) enum Work {
    #[default]
    None,
    /// The endpoint has not replied.
    Waiting(Flight, Awaited),
    /// The reply is being sent.
    Sending(SendingStream),
    /// More content is awaited.
    Awaiting(SendingStream),
}

impl Driver<'_> {
    pub(super) fn request(&mut self, key: Key, end: bool, fields: &http2::Head, now: u64) {
        let connection = &self.socket.lifecycle;
        let head = head(fields, connection);
        if fields.is_too_large() || fields.has_foreign_scheme() {
            let (status, reason) = if fields.is_too_large() {
                (431, "the fields are longer than allowed")
            } else {
                (421, "the scheme of the request target is neither http nor https")
            };
            let (flight, reply) =
                exchange::reject(&self.resources.exchange, connection, &head, status, reason, now);
            return self.respond(key, flight, reply);
        }
        let inbox = (!end).then(|| Inbox::new(&self.context.budget));
        let upload = Upload::new(inbox.as_ref());
        let mut expects_continue = !end && head.fields.has_token("expect", "100-continue");
        let (flight, answer) =
            exchange::handle_request(&self.resources.exchange, connection, &head, upload, now);
        if let Some(directives) = flight.directives() {
            expects_continue &= !directives.withholds_continue;
            self.inform(key, &directives.interim);
        }
        match answer {
            Answer::Ready(reply) => {
                if inbox.is_some() && matches!(reply.body, Body::Stream(_)) {
                    self.slot(key).inbox = inbox;
                }
                self.respond(key, flight, reply);
            }
            Answer::Waiting(reply) => {
                if let Some(inbox) = &inbox {
                    inbox.expect_continue(expects_continue);
                }
                self.waiting += 1;
                let slot = self.slot(key);
                slot.inbox = inbox;
                slot.work = Work::Waiting(flight, reply);
                self.fresh.push(key);
            }
        }
    }

    /// A request that broke a rule: its stream is gone, and only the access log shows it.
    pub(super) fn malformed(&self, fields: &http2::Head, now: u64) {
        let connection = &self.socket.lifecycle;
        let head = head(fields, connection);
        drop(exchange::rejected(&self.resources.exchange, connection, &head, now));
    }

    pub(super) fn slot(&mut self, key: Key) -> &mut Slot {
        let index = key.slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        if slot.id != key.id {
            *slot = Slot { id: key.id, ..Slot::default() };
        }
        slot
    }

    /// What is kept of a stream, if it still is that stream.
    pub(super) fn known(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots.get_mut(key.slot as usize).filter(|slot| slot.id == key.id)
    }

    pub(super) fn upload(&mut self, key: Key, data: &[u8], end: bool) {
        if !data.is_empty() {
            self.socket.lifecycle.patience.moved();
        }
        match self.known(key).and_then(|slot| slot.inbox.clone()) {
            Some(inbox) => {
                inbox.push(data);
                if end {
                    inbox.end(Ok(()));
                }
                self.conn.release(key, inbox.take_pulled());
            }
            None => self.conn.release(key, data.len()),
        }
    }

    /// The stream has ended.
    pub(super) fn forget(&mut self, key: Key, why: &'static str) {
        let Some(slot) = self.known(key) else { return };
        let slot = std::mem::take(slot);
        if let Some(inbox) = slot.inbox {
            inbox.end(Err(UploadError::malformed(why)));
        }
        if slot.work.waits() {
            self.waiting -= 1;
        }
    }

    /// Asks endpoints whose request has come by now and goes on with those that were woken, as many as the turn allows.
    pub(super) fn work_on_woken(&mut self) {
        self.ready.take(&mut self.woken);
        for slot in self.woken.drain(..) {
            self.keys[slot as usize].taken();
            self.fresh.extend(self.slots.get(slot as usize).map(|found| Key { slot, id: found.id }));
        }
        let mut done = 0;
        while let Some(key) = self.fresh.get(done) {
            done += 1;
            self.work_on(*key);
            if self.context.turn.step() {
                break;
            }
        }
        self.fresh.drain(..done);
    }

    /// Polls what a stream waits for.
    pub(super) fn work_on(&mut self, key: Key) {
        let waker = self.waker(key);
        let mut cx = Context::from_waker(&waker);
        let Some(slot) = self.known(key) else { return };
        match std::mem::take(&mut slot.work) {
            Work::Waiting(flight, mut reply) => {
                let polled = reply.as_mut().poll(&mut cx);
                let pulled = slot.inbox.as_ref().map_or(0, |inbox| inbox.take_pulled());
                match polled {
                    Poll::Ready(reply) => {
                        self.waiting -= 1;
                        self.conn.release(key, pulled);
                        self.respond(key, flight, reply);
                    }
                    Poll::Pending => {
                        slot.work = Work::Waiting(flight, reply);
                        if slot.inbox.as_ref().is_some_and(|inbox| inbox.take_continue()) {
                            self.conn.head(key, false, |block| block.status(100));
                        }
                        self.conn.release(key, pulled);
                    }
                }
            }
            Work::Awaiting(sending) => {
                self.waiting -= 1;
                if self.conn.data_room(key) == 0 {
                    // Trailers need no room, and nobody would ask for them until there is some.
                    self.send(key, sending);
                } else {
                    self.send_later(key, sending);
                }
            }
            other => slot.work = other,
        }
    }

    /// Has all asked that wait: the connection is about to end.
    pub(super) fn ask_all(&mut self) {
        let waits = |slot: &&Slot| matches!(slot.work, Work::Awaiting(_) | Work::Waiting(..));
        let slots = self.slots.iter().zip(0_u32..).filter(|(slot, _)| waits(slot));
        self.fresh.extend(slots.map(|(slot, index)| Key { slot: index, id: slot.id }));
    }

    pub(super) fn waker(&mut self, key: Key) -> Waker {
        while self.keys.len() <= key.slot as usize {
            self.keys.push(self.ready.waker(self.keys.len() as u32));
        }
        self.keys[key.slot as usize].waker().clone()
    }
}

fn head<'h>(fields: &'h http2::Head, lifecycle: &'h Lifecycle) -> Head<'h> {
    Head {
        method: fields.method(),
        target: fields.path(),
        origin: Some((fields.scheme().unwrap_or_default(), fields.authority().unwrap_or_default())),
        fields: fields.fields(),
        pseudo: fields.pseudo_fields(),
        protocol: Protocol::Http2,
        peer: &lifecycle.peer,
        orders: &lifecycle.orders,
    }
}

impl Slot {
    /// Whether its endpoint waits for the client's bytes.
    pub(super) fn is_held_up(&self) -> bool {
        matches!(self.work, Work::Waiting(..)) && self.inbox.as_ref().is_some_and(|inbox| inbox.is_held_up())
    }
}

impl Work {
    /// Whether something else than the client's window is awaited.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Waiting(..) | Self::Awaiting(_))
    }
}
