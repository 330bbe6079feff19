//! One end with its caller: what it keeps, and what it does with what it reads.

use std::collections::{BTreeMap, BTreeSet};

use http2::{Config, Connection, Event, Head, Key, Role};

use crate::{OUTPUT, random::Random, sending::byte, world::World};

/// A stream as one end's caller sees it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) key: Key,
    pub(crate) to_send: usize,
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// What the peer has said that it will send, and whether by `content-length`.
    pub(crate) expected: Option<usize>,
    pub(crate) local_done: bool,
    pub(crate) remote_done: bool,
    /// Server: reply only when the request is complete.
    pub(crate) patient: bool,
    pub(crate) replied: bool,
}

/// One end with its caller.
pub(crate) struct End {
    pub(crate) role: Role,
    pub(crate) conn: Connection,
    pub(crate) head: Head,
    /// Arrived, not taken in.
    pub(crate) inbox: Vec<u8>,
    pub(crate) exchanges: BTreeMap<u32, Exchange>,
    /// Received content that the caller has not used up.
    pub(crate) held: Vec<(Key, usize)>,
    /// Identifiers of all streams that ever were, and of those among them that have ended.
    pub(crate) seen: BTreeSet<u32>,
    pub(crate) ended: BTreeMap<u32, &'static str>,
    pub(crate) opened: u32,
    pub(crate) changes: u32,
    /// DATA that it sent and window that it was given for it, by what was on the wire.
    pub(crate) spent: u64,
    pub(crate) given: u64,
    /// For reading frames off its output.
    pub(crate) wire: Vec<u8>,
    pub(crate) preface: usize,
}

fn other(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

impl End {
    pub(crate) fn new(role: Role, world: &World, random: &mut Random) -> Self {
        let mut config = Config::new(role);
        config.settings.initial_window_size = 1 + random.below(world.window) as u32;
        config.settings.header_table_size = random.pick(&[0, 100, 4096, 10_000]);
        if role == Role::Server {
            config.settings.max_concurrent_streams = Some(1 + random.below(20) as u32);
        }
        Self {
            role,
            conn: Connection::new(&config),
            head: Head::new(),
            inbox: Vec::new(),
            exchanges: BTreeMap::new(),
            held: Vec::new(),
            seen: BTreeSet::new(),
            ended: BTreeMap::new(),
            opened: 0,
            changes: 0,
            spent: 0,
            given: 0,
            wire: Vec::new(),
            preface: if role == Role::Client { http2::PREFACE.len() } else { 0 },
        }
    }

    pub(crate) fn finished(&mut self, id: u32, how: &'static str) {
        assert!(self.exchanges.remove(&id).is_some(), "{:?}: {id} ends ({how}) and was not open", self.role);
        assert_eq!(self.ended.insert(id, how), None, "{:?}: {id} ends once", self.role);
    }

    fn settle(&mut self, id: u32) {
        if self.exchanges.get(&id).is_some_and(|exchange| exchange.local_done && exchange.remote_done) {
            self.finished(id, "well");
        }
    }

    pub(crate) fn start(&mut self, key: Key, to_send: usize, local_done: bool) {
        assert!(self.seen.insert(key.id), "{} is new", key.id);
        let exchange = Exchange {
            key,
            to_send,
            sent: 0,
            received: 0,
            expected: None,
            local_done,
            remote_done: false,
            patient: false,
            replied: false,
        };
        self.exchanges.insert(key.id, exchange);
    }

    /// Takes in what has arrived.
    pub(crate) fn read(&mut self, random: &mut Random) {
        if self.conn.output.len() >= 4 * OUTPUT {
            return;
        }
        let inbox = std::mem::take(&mut self.inbox);
        let mut input = &inbox[..];
        let mut head = std::mem::take(&mut self.head);
        loop {
            match self.conn.receive(&mut input, &mut head) {
                Ok(Some(event)) => self.happened(&event, &head, random),
                Ok(None) => break,
                Err(error) => panic!("{:?}: {error}", self.role),
            }
        }
        self.inbox = input.to_vec();
        self.head = head;
    }

    fn happened(&mut self, event: &Event<'_>, head: &Head, random: &mut Random) {
        match *event {
            Event::Request { stream, end } => {
                let wanted = head.fields().get("x-wanted").expect("a field of every request");
                let wanted = std::str::from_utf8(wanted).unwrap().parse().unwrap();
                self.start(stream, wanted, false);
                let exchange = self.exchanges.get_mut(&stream.id).unwrap();
                exchange.patient = random.one_in(2);
                exchange.expected = head.content_length().map(|length| length as usize);
                if end {
                    self.remote_ended(stream.id);
                }
                self.reply(stream.id, random);
            }
            Event::Malformed { .. } => unreachable!("nobody breaks rules here"),
            Event::Informational { stream } => assert!(self.exchanges.contains_key(&stream.id)),
            Event::Response { stream, end } => {
                let exchange = self.exchanges.get_mut(&stream.id).expect("it is open");
                exchange.expected = head.content_length().map(|length| length as usize);
                if end {
                    self.remote_ended(stream.id);
                }
            }
            Event::Data { stream, data, end } => {
                let role = other(self.role);
                let exchange = self.exchanges.get_mut(&stream.id).expect("it is open");
                for got in data {
                    assert_eq!(*got, byte(stream.id, role, exchange.received), "content is intact");
                    exchange.received += 1;
                }
                self.held.push((stream, data.len()));
                if end {
                    self.remote_ended(stream.id);
                    self.reply(stream.id, random);
                }
            }
            Event::Trailers { stream } => {
                assert_eq!(head.fields().get("x-trailer"), Some(&b"t"[..]));
                self.remote_ended(stream.id);
                self.reply(stream.id, random);
            }
            Event::Reset { stream, by_peer, .. } => {
                assert!(by_peer, "nobody breaks rules here");
                self.finished(stream.id, "reset by the peer");
            }
            Event::Unprocessed { stream } => self.finished(stream.id, "unprocessed"),
            Event::GoAway { .. } | Event::Settings | Event::Pong(_) => {}
        }
    }

    fn remote_ended(&mut self, id: u32) {
        let exchange = self.exchanges.get_mut(&id).expect("it is open");
        assert!(!exchange.remote_done);
        exchange.remote_done = true;
        assert!(exchange.expected.is_none_or(|expected| expected == exchange.received), "content is whole");
        self.settle(id);
    }

    /// Server: begins the reply, when it is time.
    fn reply(&mut self, id: u32, random: &mut Random) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let waits = exchange.patient && !exchange.remote_done;
        if self.role == Role::Client || exchange.replied || waits {
            return;
        }
        exchange.replied = true;
        if random.one_in(4) {
            self.conn.head(exchange.key, false, |block| block.status(103));
        }
        let none = exchange.to_send == 0;
        let (key, length) = (exchange.key, exchange.to_send.to_string());
        self.conn.head(key, none, |block| {
            block.status(200);
            block.constant(b"server", b"simulated");
            block.varying(b"content-length", length.as_bytes());
        });
        if none {
            self.local_ended(id, random);
        } else {
            self.conn.want(key);
        }
    }

    pub(crate) fn local_ended(&mut self, id: u32, random: &mut Random) {
        let exchange = self.exchanges.get_mut(&id).expect("it is open");
        exchange.local_done = true;
        if self.role == Role::Server && !exchange.remote_done && random.one_in(2) {
            self.conn.finish(exchange.key);
            return self.finished(id, "finished early");
        }
        self.settle(id);
    }
}
