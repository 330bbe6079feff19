//! What an end does by itself: it asks, sends, gives window back and cancels. And the link, which
//! carries what it wrote.

use std::io::IoSlice;

use bytes::Bytes;
use http2::{Code, Role, frame};

use crate::{MOST_OUTPUT, OUTPUT, end::End, random::Random, world::World};

pub(crate) fn byte(id: u32, role: Role, at: usize) -> u8 {
    (id as usize * 31 + at * 7 + at / 256 + if role == Role::Client { 100 } else { 0 }) as u8
}

fn content(id: u32, role: Role, range: std::ops::Range<usize>) -> Bytes {
    range.map(|at| byte(id, role, at)).collect()
}

impl End {
    /// Opens a stream, if the server takes one.
    pub(crate) fn ask(&mut self, world: &World, random: &mut Random) {
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

    pub(crate) fn send(&mut self, random: &mut Random) {
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

    pub(crate) fn release(&mut self, random: &mut Random) {
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

    pub(crate) fn change_mind(&mut self, world: &World, random: &mut Random) {
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
        while let Some(head) = frame::FrameHead::read(&self.wire)
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

    pub(crate) fn check(&self) {
        assert!(self.conn.output.len() < MOST_OUTPUT, "the output is bounded");
        assert_eq!(self.conn.open_streams(), self.exchanges.len(), "{:?}: both count the same", self.role);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.exchanges.is_empty()
            && self.held.is_empty()
            && self.conn.output.is_empty()
            && self.inbox.is_empty()
    }
}

pub(crate) fn carry(from: &mut End, to: &mut End, piece: usize) {
    let bytes = from.take(piece);
    to.inbox.extend_from_slice(&bytes);
    let (given, spent) = from.count();
    from.spent += spent;
    to.given += given;
}
