//! A client and a server joined by a link in memory, in steps that a seed decides: who does something next, how
//! many bytes the link carries, who changes its mind. Whatever happens, every stream ends once at each end, its
//! bytes are what was sent, the output is bounded, windows come back and nothing is left over.

#[path = "../src/random.rs"]
mod random;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IoSlice,
};

use bytes::Bytes;
use http2::{Code, Config, Connection, Event, Head, Key, Role, frame};
use random::Random;

/// An end sends content only while less than this waits in its output, and reads while less than four times that.
const OUTPUT: usize = 4096;
/// No output is ever longer.
const MOST_OUTPUT: usize = 64 << 10;
/// A run that takes longer is stuck.
const STEPS: usize = 400_000;

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
struct World {
    seed: u64,
    /// The most bytes that the link carries at once.
    piece: usize,
    /// The largest initial window of a stream.
    window: usize,
    /// The longest content.
    content: usize,
    requests: u32,
    /// Once in so many steps each: 0 is never.
    resets: usize,
    settings: usize,
    drain: bool,
    loss: bool,
}

/// A stream as one end's caller sees it.
#[derive(Debug)]
struct Exchange {
    key: Key,
    to_send: usize,
    sent: usize,
    received: usize,
    /// What the peer has said that it will send, and whether by `content-length`.
    expected: Option<usize>,
    local_done: bool,
    remote_done: bool,
    /// Server: reply only when the request is complete.
    patient: bool,
    replied: bool,
}

/// One end with its caller.
struct End {
    role: Role,
    conn: Connection,
    head: Head,
    /// Arrived, not taken in.
    inbox: Vec<u8>,
    exchanges: BTreeMap<u32, Exchange>,
    /// Received content that the caller has not used up.
    held: Vec<(Key, usize)>,
    /// Identifiers of all streams that ever were, and of those among them that have ended.
    seen: BTreeSet<u32>,
    ended: BTreeMap<u32, &'static str>,
    opened: u32,
    changes: u32,
    /// DATA that it sent and window that it was given for it, by what was on the wire.
    spent: u64,
    given: u64,
    /// For reading frames off its output.
    wire: Vec<u8>,
    preface: usize,
}

fn byte(id: u32, role: Role, at: usize) -> u8 {
    (id as usize * 31 + at * 7 + at / 256 + if role == Role::Client { 100 } else { 0 }) as u8
}

fn content(id: u32, role: Role, range: std::ops::Range<usize>) -> Bytes {
    range.map(|at| byte(id, role, at)).collect()
}

fn other(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

impl End {
    fn new(role: Role, world: &World, random: &mut Random) -> Self {
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

    fn finished(&mut self, id: u32, how: &'static str) {
        assert!(self.exchanges.remove(&id).is_some(), "{:?}: {id} ends ({how}) and was not open", self.role);
        assert_eq!(self.ended.insert(id, how), None, "{:?}: {id} ends once", self.role);
    }

    fn settle(&mut self, id: u32) {
        if self.exchanges.get(&id).is_some_and(|exchange| exchange.local_done && exchange.remote_done) {
            self.finished(id, "well");
        }
    }

    /// Opens a stream, if the server takes one.
    fn ask(&mut self, world: &World, random: &mut Random) {
        if self.opened == world.requests || self.conn.room() == 0 {
            return;
        }
        let to_send = if random.one_in(3) { 0 } else { random.below(world.content) };
        let wanted = random.below(world.content).to_string();
        let told = random.one_in(2);
        let key = self.conn.open(to_send == 0, false, |block| {
            block.constant(b":method", b"POST");
            block.constant(b":scheme", b"http");
            block.constant(b":path", b"/");
            block.constant(b"x-constant", b"the same in all requests");
            block.varying(b"x-wanted", wanted.as_bytes());
            if told {
                block.varying(b"content-length", to_send.to_string().as_bytes());
            }
        });
        let key = key.expect("there is room");
        self.opened += 1;
        self.start(key, to_send, to_send == 0);
        if to_send > 0 {
            self.conn.want(key);
        }
    }

    fn start(&mut self, key: Key, to_send: usize, local_done: bool) {
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
    fn read(&mut self, random: &mut Random) {
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

    fn local_ended(&mut self, id: u32, random: &mut Random) {
        let exchange = self.exchanges.get_mut(&id).expect("it is open");
        exchange.local_done = true;
        if self.role == Role::Server && !exchange.remote_done && random.one_in(2) {
            self.conn.finish(exchange.key);
            return self.finished(id, "finished early");
        }
        self.settle(id);
    }

    fn send(&mut self, random: &mut Random) {
        while self.conn.output.len() < OUTPUT {
            let Some(key) = self.conn.next_ready() else { break };
            let room = self.conn.data_room(key);
            assert!(room > 0, "it is ready");
            let exchange = self.exchanges.get_mut(&key.id).expect("it is open");
            let left = exchange.to_send - exchange.sent;
            let part = left.min(room).min(1 + random.below(2 * OUTPUT));
            let all = part == left;
            let by_trailers = random.one_in(2);
            let bytes = content(key.id, self.role, exchange.sent..exchange.sent + part);
            exchange.sent += part;
            self.conn.data(key, bytes, all && !by_trailers);
            if !all {
                self.conn.want(key);
                continue;
            }
            if by_trailers {
                self.conn.head(key, true, |block| block.varying(b"x-trailer", b"t"));
            }
            self.local_ended(key.id, random);
        }
    }

    fn release(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            if !self.held.is_empty() {
                let place = random.below(self.held.len());
                let (key, bytes) = &mut self.held[place];
                let part = random.below(*bytes + 1).max(*bytes / 2);
                self.conn.release(*key, part);
                *bytes -= part;
                if *bytes == 0 {
                    self.held.swap_remove(place);
                }
            }
        }
    }

    fn change_mind(&mut self, world: &World, random: &mut Random) {
        if world.resets > 0
            && random.one_in(world.resets)
            && let Some((&id, exchange)) = self.exchanges.iter().nth(random.below(20))
        {
            self.conn.reset(exchange.key, Code::CANCEL);
            self.finished(id, "reset here");
        }
        let due = world.settings > 0 && random.one_in(world.settings);
        let stopped = self.changes > 0 && random.one_in(50);
        if due && self.changes < 30 || stopped && self.changes % 2 == 1 {
            self.changes += 1;
            // The last one always leaves a window.
            let least = usize::from(self.changes.is_multiple_of(2));
            let window = (least + random.below(world.window)) as u32;
            let table = random.pick(&[0, 50, 4096]);
            self.conn.change_settings(|settings| {
                settings.initial_window_size = window;
                settings.header_table_size = table;
            });
        }
    }

    /// Takes some bytes out of the output, and looks at the frames among them.
    fn take(&mut self, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = self.conn.output.slices(&mut slices);
        let bytes: Vec<u8> =
            slices[..count].iter().flat_map(|slice| slice.iter()).take(most).copied().collect();
        self.conn.output.advance(bytes.len());
        self.wire.extend_from_slice(&bytes);
        bytes
    }

    /// Window that this end gives and content that it sends, of the connection as a whole.
    fn count(&mut self) -> (u64, u64) {
        let (mut given, mut spent) = (0, 0);
        let before = self.preface.min(self.wire.len());
        self.preface -= before;
        self.wire.drain(..before);
        while let Some(head) = frame::Head::read(&self.wire)
            && self.wire.len() >= frame::HEAD + head.len
        {
            if head.kind == frame::kind::DATA {
                spent += head.len as u64;
            }
            if head.kind == frame::kind::WINDOW_UPDATE && head.stream == 0 {
                given += u64::from(u32::from_be_bytes(self.wire[9..13].try_into().unwrap()));
            }
            self.wire.drain(..frame::HEAD + head.len);
        }
        (given, spent)
    }

    fn check(&self) {
        assert!(self.conn.output.len() < MOST_OUTPUT, "the output is bounded");
        assert_eq!(self.conn.open_streams(), self.exchanges.len(), "{:?}: both count the same", self.role);
    }

    fn is_idle(&self) -> bool {
        self.exchanges.is_empty()
            && self.held.is_empty()
            && self.conn.output.is_empty()
            && self.inbox.is_empty()
    }
}

fn carry(from: &mut End, to: &mut End, piece: usize) {
    let bytes = from.take(piece);
    to.inbox.extend_from_slice(&bytes);
    let (given, spent) = from.count();
    from.spent += spent;
    to.given += given;
}

struct Outcome {
    client: End,
    server: End,
    lost: bool,
}

fn run(world: World) -> Outcome {
    let mut random = Random::new(world.seed);
    let mut client = End::new(Role::Client, &world, &mut random);
    let mut server = End::new(Role::Server, &world, &mut random);
    let drain_at = if world.drain { random.below(1500) } else { usize::MAX };
    let loss_at = if world.loss { random.below(4000) } else { usize::MAX };
    for step in 0..STEPS {
        let end = if random.one_in(2) { &mut client } else { &mut server };
        match random.below(6) {
            0 => {
                let piece = 1 + random.below(world.piece);
                carry(&mut client, &mut server, piece);
            }
            1 => {
                let piece = 1 + random.below(world.piece);
                carry(&mut server, &mut client, piece);
            }
            2 => end.send(&mut random),
            3 => end.release(&mut random),
            4 => end.change_mind(&world, &mut random),
            _ => {
                client.ask(&world, &mut random);
                client.read(&mut random);
                server.read(&mut random);
            }
        }
        client.check();
        server.check();
        if step == drain_at {
            server.conn.drain();
            // At once, so that what is on its way is disowned.
            if random.one_in(2) {
                server.conn.finish_drain();
            }
        }
        if step == loss_at {
            return after_loss(client, server, &world, &mut random);
        }
        let asked = client.opened == world.requests || client.conn.is_going_away();
        // A change of windows to nothing is always taken back.
        let settled = client.changes.is_multiple_of(2) && server.changes.is_multiple_of(2);
        if asked && settled && step > drain_at.wrapping_add(1) && client.is_idle() && server.is_idle() {
            return Outcome { client, server, lost: false };
        }
    }
    panic!("{world:?} is stuck: {:?} {:?}", client.exchanges, server.exchanges);
}

/// One of both ends is gone, with what was on the way: the other goes on until it notices.
fn after_loss(mut client: End, mut server: End, world: &World, random: &mut Random) -> Outcome {
    let left = if random.one_in(2) { &mut client } else { &mut server };
    for _ in 0..500 {
        match random.below(4) {
            0 => left.send(random),
            1 => left.release(random),
            2 => left.change_mind(world, random),
            _ => left.read(random),
        }
        left.check();
    }
    for end in [&mut client, &mut server] {
        let open: Vec<u32> = end.exchanges.keys().copied().collect();
        open.into_iter().for_each(|id| end.finished(id, "lost"));
    }
    Outcome { client, server, lost: true }
}

/// What holds at the end of every run.
fn judge(world: World) -> Outcome {
    let outcome = run(world);
    let Outcome { client, server, lost } = &outcome;
    for end in [client, server] {
        let ended: Vec<u32> = end.ended.keys().copied().collect();
        assert!(ended.iter().eq(&end.seen), "{world:?}: every stream ends");
        assert!(*lost || end.conn.open_streams() == 0, "{world:?}: nothing is left over");
        // All but what is less than an update is worth has come back.
        let missing = end.spent - end.given.min(end.spent);
        assert!(*lost || missing <= 65_535 / 2, "{world:?}: {:?} lost {missing} bytes of window", end.role);
        assert!(end.given <= end.spent, "{world:?}: no more than was taken");
    }
    for (id, how) in &client.ended {
        assert!(*how != "unprocessed" || !server.seen.contains(id), "{world:?}: {id} was processed");
        let calm = world.resets == 0 && !world.drain && !lost;
        let finished = server.ended.get(id) == Some(&"finished early");
        assert!(!calm || *how == "well" || finished, "{world:?}: {id} ended {how}");
    }
    assert!(server.seen.is_subset(&client.seen));
    outcome
}

const CALM: World = World {
    seed: 0,
    piece: 100,
    window: 100,
    content: 2000,
    requests: 30,
    resets: 0,
    settings: 0,
    drain: false,
    loss: false,
};

#[test]
fn every_stream_ends_well_over_a_link_of_any_grain() {
    for piece in [1, 2, 3, 5, 8, 9, 10, 17, 100, 1000, 20_000] {
        let content = if piece < 10 { 300 } else { 2000 };
        for seed in 0..3 {
            let Outcome { client, .. } = judge(World { seed, piece, content, ..CALM });
            assert_eq!(client.ended.len(), 30);
        }
    }
}

#[test]
fn windows_that_change_during_the_run_lose_nothing() {
    for seed in 100..130 {
        judge(World { seed, settings: 100, ..CALM });
    }
    for seed in 130..140 {
        judge(World { seed, settings: 100, window: 5, content: 100, piece: 30, ..CALM });
    }
}

#[test]
fn the_window_of_the_connection_is_shared_without_standing_still() {
    let large = World { window: 70_000, content: 60_000, piece: 30_000, ..CALM };
    for seed in 200..206 {
        judge(World { seed, ..large });
        judge(World { seed, settings: 200, resets: 200, ..large });
    }
}

#[test]
fn streams_that_either_end_resets_end_once_at_both() {
    let mut resets = 0;
    for seed in 300..340 {
        let Outcome { client, server, .. } =
            judge(World { seed, resets: 10, requests: 60, settings: 300, ..CALM });
        resets +=
            client.ended.values().chain(server.ended.values()).filter(|how| **how == "reset here").count();
    }
    assert!(resets > 200, "only {resets}");
}

#[test]
fn a_drain_at_any_moment_ends_every_stream_and_processes_none_that_it_disowns() {
    let (mut unprocessed, mut well) = (0, 0);
    for seed in 400..460 {
        let world =
            World { seed, drain: true, requests: 100, piece: 30, resets: (seed % 2) as usize * 50, ..CALM };
        let Outcome { client, .. } = judge(world);
        unprocessed += client.ended.values().filter(|how| **how == "unprocessed").count();
        well += client.ended.values().filter(|how| **how == "well").count();
    }
    assert!(unprocessed > 0 && well > 100, "{unprocessed} unprocessed, {well} well");
}

#[test]
fn the_loss_of_an_end_at_any_moment_leaves_the_other_bounded() {
    let mut lost = 0;
    for seed in 500..560_u64 {
        let drain = seed.is_multiple_of(3);
        let Outcome { client, .. } =
            judge(World { seed, loss: true, drain, resets: 40, requests: 60, ..CALM });
        lost += client.ended.values().filter(|how| **how == "lost").count();
    }
    assert!(lost > 100, "only {lost}");
}
