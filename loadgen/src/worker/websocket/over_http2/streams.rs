//! The WebSockets of one HTTP/2 connection by their streams, and what holds for all of them together: nothing that is asked
//! for each message looks at all of them.

use std::collections::VecDeque;

use http2::Key;

use super::super::{
    messages::{Handshaken, SocketMessages},
    socket::Socket,
};
use crate::{
    clock::Nanos,
    outcome::InFlight,
    worker::connection::{Limits, Sink},
};

/// How often WebSockets are looked through for pings that are due, at most.
const PING_INTERVAL: Nanos = 1_000_000;

/// A WebSocket on its stream.
pub(super) struct SocketStream {
    pub(super) key: Key,
    /// When CONNECT was sent.
    pub(super) since: Nanos,
    /// None until the handshake is done.
    pub(super) socket: Option<Box<Socket>>,
    /// Its shares of what holds for all.
    in_flight: usize,
    room: u64,
}

#[derive(Default)]
pub(super) struct SocketStreams {
    /// By the slots of their streams' keys.
    by_slot: Vec<Option<SocketStream>>,
    /// Which slots are in `roomy`.
    queued: Vec<bool>,
    /// Slots of WebSockets that may have room, in turn; an entry may be outdated.
    roomy: VecDeque<u32>,
    /// How many there are, and how many of them are open.
    count: usize,
    open: usize,
    in_flight: usize,
    room: u64,
    /// The oldest message in flight was sent then, or later; likewise CONNECTs without an answer.
    oldest: Option<Nanos>,
    oldest_connect: Option<Nanos>,
    /// No ping is due before, or is to be sent before.
    next_ping: Option<Nanos>,
}

impl SocketStreams {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn open_count(&self) -> usize {
        self.open
    }

    /// How many messages wait for their echoes.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many more messages they take.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.room).unwrap_or(usize::MAX)
    }

    /// When [`SocketStreams::expire`] may have something to do, at the earliest.
    pub(super) fn next_wake(&self, limits: &Limits) -> Option<Nanos> {
        let message = self.oldest.map(|at| at.saturating_add(limits.timeout));
        let connect = self.oldest_connect.map(|at| at.saturating_add(limits.connect_timeout));
        earlier(message, connect)
    }

    pub(super) fn next_ping(&self) -> Option<Nanos> {
        self.next_ping
    }

    /// CONNECT was sent on this stream.
    pub(super) fn connect(&mut self, key: Key, now: Nanos) {
        let slot = key.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize_with(slot + 1, || None);
            self.queued.resize(slot + 1, false);
        }
        self.by_slot[slot] = Some(SocketStream { key, since: now, socket: None, in_flight: 0, room: 0 });
        self.count += 1;
        self.oldest_connect = earlier(self.oldest_connect, Some(now));
    }

    /// The handshake on this stream is done; when it was begun, unless it was done before.
    pub(super) fn open(
        &mut self,
        key: Key,
        messages: &SocketMessages,
        handshaken: Handshaken,
        now: Nanos,
        limits: &Limits,
    ) -> Option<Nanos> {
        if let Some(on) = find(&mut self.by_slot, key)
            && on.socket.is_none()
        {
            on.socket = Some(Box::new(Socket::new(messages, handshaken, now)));
            let since = on.since;
            self.open += 1;
            self.change(key, limits, |_| ());
            return Some(since);
        }
        None
    }

    pub(super) fn contains(&mut self, key: Key) -> bool {
        find(&mut self.by_slot, key).is_some()
    }

    /// Whatever happens to an open WebSocket happens here.
    pub(super) fn change<T>(
        &mut self,
        key: Key,
        limits: &Limits,
        change: impl FnOnce(&mut Socket) -> T,
    ) -> Option<T> {
        let on = find(&mut self.by_slot, key)?;
        let socket = on.socket.as_deref_mut()?;
        let result = change(socket);
        // A sum of them is within 64 bits, however many streams there are.
        let (in_flight, room) = (socket.in_flight(), socket.room(limits).min(u32::MAX as usize) as u64);
        self.in_flight = self.in_flight - on.in_flight + in_flight;
        self.room = self.room - on.room + room;
        (on.in_flight, on.room) = (in_flight, room);
        if room > 0 && !std::mem::replace(&mut self.queued[key.slot as usize], true) {
            self.roomy.push_back(key.slot);
        }
        self.oldest = earlier(self.oldest, socket.oldest());
        self.next_ping = earlier(self.next_ping, Some(socket.next_ping()).filter(|at| *at < Nanos::MAX));
        Some(result)
    }

    /// A message was given to the kernel.
    pub(super) fn written(&mut self, key: Key, number: u64, at: Nanos) {
        if let Some(SocketStream { socket: Some(socket), .. }) = find(&mut self.by_slot, key) {
            socket.written(number, at);
        }
    }

    /// The one with room whose turn it is.
    pub(super) fn take_roomy(&mut self) -> Option<Key> {
        while let Some(slot) = self.roomy.pop_front() {
            self.queued[slot as usize] = false;
            if let Some(Some(on)) = self.by_slot.get(slot as usize)
                && on.room > 0
            {
                return Some(on.key);
            }
        }
        None
    }

    /// It is over.
    pub(super) fn remove(&mut self, key: Key) -> Option<SocketStream> {
        let on = self.by_slot.get_mut(key.slot as usize)?.take_if(|on| on.key == key)?;
        self.count -= 1;
        self.open -= usize::from(on.socket.is_some());
        self.in_flight -= on.in_flight;
        self.room -= on.room;
        Some(on)
    }

    /// Sends the pings that are due.
    pub(super) fn ping(
        &mut self,
        now: Nanos,
        interval: Nanos,
        limits: &Limits,
        sink: &mut impl Sink,
        mut sent: impl FnMut(Key),
    ) {
        if self.next_ping.is_none_or(|at| at > now) {
            return;
        }
        self.next_ping = None;
        for key in self.open_keys() {
            let pings = |socket: &mut Socket| {
                let is_due = socket.next_ping() <= now;
                socket.ping_if_due(now, interval, sink);
                is_due
            };
            if self.change(key, limits, pings) == Some(true) {
                sent(key);
            }
        }
        self.next_ping = self.next_ping.map(|at| at.max(now.saturating_add(PING_INTERVAL)));
    }

    /// Ends what has taken too long. True: the connection has to be driven for it.
    pub(super) fn expire(&mut self, now: Nanos, limits: &Limits, sink: &mut impl Sink) -> bool {
        if self.next_wake(limits).is_none_or(|at| at > now) {
            return false;
        }
        let connects = self.by_slot.iter().flatten().filter(|on| on.socket.is_none()).map(|on| on.since);
        self.oldest_connect = connects.min();
        self.oldest = None;
        let mut has_ended =
            self.oldest_connect.is_some_and(|at| at.saturating_add(limits.connect_timeout) <= now);
        for key in self.open_keys() {
            has_ended |=
                self.change(key, limits, |socket| socket.expire(now, limits.timeout, sink)) == Some(true);
        }
        has_ended
    }

    /// Those that this end has to end: they can't be used any more, or have had no answer to CONNECT since `since`.
    pub(super) fn useless(&self, since: Option<Nanos>) -> Vec<Key> {
        let is_useless = |on: &&SocketStream| match &on.socket {
            Some(socket) => socket.out_of_step().is_some(),
            None => since.is_some_and(|since| on.since <= since),
        };
        self.by_slot.iter().flatten().filter(is_useless).map(|on| on.key).collect()
    }

    pub(super) fn all_open(&mut self) -> impl Iterator<Item = (Key, &mut Socket)> {
        self.by_slot.iter_mut().flatten().filter_map(|on| Some((on.key, on.socket.as_deref_mut()?)))
    }

    pub(super) fn take_in_flight(&mut self) -> Vec<InFlight> {
        self.all_open().flat_map(|(_, socket)| socket.take_in_flight()).collect()
    }

    fn open_keys(&self) -> Vec<Key> {
        self.by_slot.iter().flatten().filter(|on| on.socket.is_some()).map(|on| on.key).collect()
    }
}

fn find(by_slot: &mut [Option<SocketStream>], key: Key) -> Option<&mut SocketStream> {
    by_slot.get_mut(key.slot as usize)?.as_mut().filter(|on| on.key == key)
}

fn earlier(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    one.into_iter().chain(other).min()
}
