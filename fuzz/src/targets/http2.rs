//! Whole connections of HTTP/2. The same bytes in other pieces must give the same events and the same output, and
//! a caller that does all sorts of things must find its own books in agreement with the connection's.

use std::{collections::BTreeMap, io::IoSlice};

use http2::{Code, Config, Connection, Event, Head, Key, Limits, PREFACE, Role, frame};

use crate::feedback::met;

/// Bytes of an input before its frames: flags, and the size of pieces.
pub const CONFIG: usize = 2;

/// Words that frames are made of.
pub const WORDS: &[&[u8]] = &[
    &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84],
    &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88],
    &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    &[0, 0, 0, 4, 1, 0, 0, 0, 0],
    &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9],
    &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8],
    &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    &[0, 0, 8, 6, 1, 0, 0, 0, 0, b'd', b'r', b'a', b'i', b'n', b'i', b'n', b'g'],
    &[0x00, 14, b'c', b'o', b'n', b't', b'e', b'n', b't', b'-', b'l', b'e', b'n', b'g', b't', b'h', 1, b'3'],
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// No caller lets more wait.
const MOST_OUTPUT: usize = 256 << 10;

/// What the first byte of an input says.
#[derive(Clone, Copy, Debug)]
struct Flags(u8);

impl Flags {
    fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// The peer's preface needs not be in the input.
    fn settled(self) -> bool {
        self.has(0)
    }

    fn drains(self) -> bool {
        self.has(1)
    }

    fn changes_settings(self) -> bool {
        self.has(2)
    }

    fn config(self, role: Role) -> Config {
        let mut config = Config::new(role);
        if self.has(3) {
            config.settings.initial_window_size = 10;
        }
        if self.has(4) {
            config.settings.max_header_list_size = Some(200);
            config.settings.header_table_size = 64;
        }
        if self.has(5) {
            config.limits = Limits {
                block: 100,
                continuations: 3,
                resets: 3,
                stream_errors: 3,
                control: 10,
                updates: 20,
                empty: 3,
                list: 400,
                waiting_control: 60,
                settings_timeout_ms: 0,
            };
        }
        if self.has(6) {
            config.settings.max_concurrent_streams = Some(2);
            config.settings.enable_connect_protocol = role == Role::Server;
        }
        config
    }
}

/// Everything that a connection says, with content of a stream in a row put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    steps: Vec<(&'static str, u32, Vec<u8>)>,
    output: Vec<u8>,
}

impl Trace {
    fn add(&mut self, what: &'static str, stream: u32, detail: &[u8]) {
        met((what, self.steps.last().map(|last| last.0)));
        match self.steps.last_mut() {
            Some(last) if last.0 == "data" && what == "data" && last.1 == stream => {
                last.2.extend_from_slice(detail);
            }
            _ => self.steps.push((what, stream, detail.to_vec())),
        }
    }
}

/// A stream in the caller's books.
#[derive(Debug)]
struct Open {
    key: Key,
    local_done: bool,
    remote_done: bool,
    /// Content received and not released.
    held: usize,
}

/// A connection and its caller.
struct Caller {
    conn: Connection,
    role: Role,
    flags: Flags,
    /// Does no more than is the same whatever the pieces.
    calm: bool,
    open: BTreeMap<u32, Open>,
    trace: Trace,
    largest_frame: usize,
    pieces: usize,
}

impl Caller {
    fn new(role: Role, flags: Flags, calm: bool) -> Self {
        let mut caller = Self {
            conn: Connection::new(&flags.config(role)),
            role,
            flags,
            calm,
            open: BTreeMap::new(),
            trace: Trace::default(),
            largest_frame: 16_384,
            pieces: 0,
        };
        if flags.settled() {
            let mut preface = if role == Role::Server { PREFACE.to_vec() } else { Vec::new() };
            frame::head(&mut preface, 0, frame::kind::SETTINGS, 0, 0);
            frame::head(&mut preface, 0, frame::kind::SETTINGS, frame::flag::ACK, 0);
            let mut rest = &preface[..];
            while let Ok(Some(_)) = caller.conn.receive(&mut rest, &mut Head::new()) {}
            assert!(rest.is_empty() && !caller.conn.has_failed());
            caller.ask();
        }
        caller
    }

    /// Client: opens streams of several kinds.
    fn ask(&mut self) {
        for kind in 0..4 {
            let (end, bodiless) = (kind != 1, kind == 2);
            let opened = self.conn.open(end, bodiless, |block| {
                block.constant(b":method", if bodiless { b"HEAD" } else { b"POST" });
                block.constant(b":path", b"/");
            });
            if let Some(key) = opened {
                self.open.insert(key.id, Open { key, local_done: end, remote_done: false, held: 0 });
                if !end {
                    self.conn.want(key);
                }
            }
        }
    }

    /// Takes in what there is. False: the connection has ended.
    fn read(&mut self, input: &mut &[u8], head: &mut Head) -> bool {
        loop {
            let before = input.len();
            match self.conn.receive(input, head) {
                Ok(Some(event)) => {
                    assert!(input.len() < before || matches!(event, Event::Unprocessed { .. }), "it goes on");
                    self.happened(&event, head);
                }
                Ok(None) => return true,
                Err(error) => {
                    met(error.reason);
                    self.trace.add(error.reason, 0, b"");
                    assert!(self.conn.has_failed());
                    assert_eq!(self.conn.receive(&mut &b"\0\0\0"[..], head), Ok(None));
                    return false;
                }
            }
        }
    }

    fn happened(&mut self, event: &Event<'_>, head: &Head) {
        match *event {
            Event::Request { stream, end } => {
                self.trace.add("request", stream.id, head.path());
                let open = Open { key: stream, local_done: false, remote_done: end, held: 0 };
                assert!(self.open.insert(stream.id, open).is_none(), "it is new");
                assert!(head.is_too_large() || !head.method().is_empty());
                self.answer(stream);
            }
            Event::Malformed { stream, reason } => {
                self.trace.add("malformed", stream, reason.as_bytes());
                assert!(!self.open.contains_key(&stream), "it was not opened");
            }
            Event::Informational { stream } => {
                assert!((100..200).contains(&head.status()) && self.open.contains_key(&stream.id));
                self.trace.add("informational", stream.id, b"");
            }
            Event::Response { stream, end } => {
                assert!((200..1000).contains(&head.status()));
                self.trace.add("response", stream.id, &head.status().to_be_bytes());
                self.remote(stream.id, end);
            }
            Event::Data { stream, data, end } => {
                self.trace.add("data", stream.id, data);
                self.open.get_mut(&stream.id).expect("it is open").held += data.len();
                if end {
                    self.trace.add("end", stream.id, b"");
                }
                self.remote(stream.id, end);
            }
            Event::Trailers { stream } => {
                assert_eq!(head.pseudo_fields(), 0);
                self.trace.add("trailers", stream.id, b"");
                self.remote(stream.id, true);
            }
            Event::Reset { stream, code, by_peer, .. } => {
                self.trace.add(
                    if by_peer { "reset by peer" } else { "reset" },
                    stream.id,
                    &code.0.to_be_bytes(),
                );
                assert!(self.open.remove(&stream.id).is_some(), "it was open");
            }
            Event::Unprocessed { stream } => {
                self.trace.add("unprocessed", stream.id, b"");
                assert!(self.open.remove(&stream.id).is_some(), "it was open");
            }
            Event::GoAway { last, code, debug } => {
                self.trace.add("goaway", last, &[&code.0.to_be_bytes(), debug].concat());
            }
            Event::Settings => {
                self.trace.add("settings", 0, b"");
                self.largest_frame = self.largest_frame.max(self.conn.remote().max_frame_size as usize);
            }
            Event::Pong(payload) => self.trace.add("pong", 0, &payload),
        }
    }

    fn remote(&mut self, id: u32, end: bool) {
        let open = self.open.get_mut(&id).expect("it is open");
        open.remote_done |= end;
        self.settle(id);
    }

    fn settle(&mut self, id: u32) {
        if self.open.get(&id).is_some_and(|open| open.local_done && open.remote_done) {
            self.open.remove(&id);
        }
    }

    /// Server: what it does with a request follows from its number.
    fn answer(&mut self, key: Key) {
        match key.id / 2 % 4 {
            0 => {
                self.conn.head(key, true, |block| block.status(204));
                self.local(key.id);
            }
            1 => {
                self.conn.head(key, false, |block| block.status(200));
                if !self.calm {
                    self.conn.want(key);
                }
            }
            2 => {
                self.conn.reset(key, Code::CANCEL);
                self.open.remove(&key.id);
            }
            _ => {}
        }
    }

    fn local(&mut self, id: u32) {
        if let Some(open) = self.open.get_mut(&id) {
            open.local_done = true;
        }
        self.settle(id);
    }

    /// What a busy caller does between two reads.
    fn act(&mut self) {
        self.pieces += 1;
        while self.conn.output.len() < 64 << 10
            && let Some(key) = self.conn.next_ready()
        {
            let room = self.conn.data_room(key);
            assert!(room > 0 && self.open.contains_key(&key.id));
            let last = self.pieces.is_multiple_of(3);
            self.conn.data_static(key, &[b'x'; 5000][..room.min(5000)], last);
            if last {
                self.local(key.id);
            } else if self.conn.output.len() < 32 << 10 {
                self.conn.want(key);
            }
        }
        for open in self.open.values_mut() {
            let part = open.held.div_ceil(2);
            self.conn.release(open.key, part);
            open.held -= part;
        }
        if self.pieces == 3 && self.flags.drains() && self.role == Role::Server {
            self.conn.drain();
        }
        if self.pieces == 5 && self.flags.changes_settings() {
            self.conn.change_settings(|settings| {
                settings.initial_window_size = 5 + settings.initial_window_size / 2;
                settings.header_table_size = 32;
                settings.max_frame_size = 16_384;
            });
        }
        if self.pieces.is_multiple_of(7)
            && let Some((&id, open)) = self.open.iter().next_back()
        {
            self.conn.reset(open.key, Code::INTERNAL_ERROR);
            self.open.remove(&id);
        }
        if let Err(error) = self.conn.tick(self.pieces as u64 * 400) {
            met(error.reason);
        }
        if self.role == Role::Client && self.pieces.is_multiple_of(11) {
            self.ask();
        }
    }

    /// Takes what is to be written, which must be whole frames of a size that the peer takes.
    fn write(&mut self) -> Vec<u8> {
        assert!(self.conn.output.len() < MOST_OUTPUT, "the output is bounded");
        let mut bytes = Vec::new();
        while !self.conn.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.conn.output.slices(&mut slices);
            let some: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter()).copied().collect();
            self.conn.output.advance(some.len());
            bytes.extend(some);
        }
        bytes
    }

    fn check_frames(&self, bytes: &[u8]) {
        let mut rest = bytes.strip_prefix(&PREFACE[..]).unwrap_or(bytes);
        while !rest.is_empty() {
            let head = frame::FrameHead::read(rest).expect("a whole frame");
            assert!(head.len <= self.largest_frame && head.len <= rest.len() - frame::HEAD);
            met(("out", head.kind, head.flags));
            rest = &rest[frame::HEAD + head.len..];
        }
    }
}

fn drive(role: Role, flags: Flags, input: &[u8], piece: usize, calm: bool) -> Trace {
    let mut caller = Caller::new(role, flags, calm);
    let mut head = Head::new();
    let mut waiting: Vec<u8> = Vec::new();
    for part in input.chunks(piece.max(1)) {
        waiting.extend_from_slice(part);
        let mut rest = &waiting[..];
        let goes_on = caller.read(&mut rest, &mut head);
        waiting = rest.to_vec();
        if goes_on {
            assert_eq!(caller.conn.open_streams(), caller.open.len(), "both keep the same books");
        }
        if !calm {
            caller.act();
            let bytes = caller.write();
            caller.check_frames(&bytes);
        }
        if !goes_on || caller.conn.has_failed() {
            break;
        }
    }
    let bytes = caller.write();
    caller.check_frames(&bytes);
    caller.trace.output = bytes;
    caller.trace
}

fn connection(role: Role, input: &[u8]) {
    let [flags, piece, rest @ ..] = input else { return };
    let flags = Flags(*flags);
    let piece = usize::from(*piece) + 1;
    let whole = drive(role, flags, rest, rest.len(), true);
    for piece in [1, piece] {
        let split = drive(role, flags, rest, piece, true);
        assert!(split == whole, "in pieces of {piece}:\n{split:?}\n{whole:?}");
    }
    drive(role, flags, rest, piece, false);
}

/// The server's role.
pub fn server(input: &[u8]) {
    connection(Role::Server, input);
}

/// The client's role.
pub fn client(input: &[u8]) {
    connection(Role::Client, input);
}
