//! A client's bytes.

use http2::{
    Code, PREFACE,
    frame::{flag, kind},
};

use crate::{
    random::Random,
    script::{self, END, WHOLE, field, put},
};

pub(crate) const GET: &[u8] = &[0x82, 0x86, 0x84];
pub(crate) const POST: &[u8] = &[0x83, 0x86, 0x84];

pub(crate) struct Script {
    pub(crate) random: Random,
    pub(crate) bytes: Vec<u8>,
    pub(crate) next: u32,
    /// Streams whose request goes on.
    going_on: Vec<u32>,
}

impl script::Script for Script {
    const HEAD: &'static [u8] = POST;

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn fresh(&mut self) -> u32 {
        let id = self.next;
        self.next += 2 + 2 * u32::from(self.random.one_in(5));
        id
    }

    fn idle(&mut self) -> u32 {
        self.next + 10
    }
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = PREFACE.to_vec();
        put(&mut bytes, kind::SETTINGS, 0, 0, b"");
        put(&mut bytes, kind::SETTINGS, flag::ACK, 0, b"");
        Self { random: Random::new(seed), bytes, next: 1, going_on: Vec::new() }
    }

    fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put(&mut self.bytes, kind, flags, stream, payload);
    }

    fn begin(&mut self, end: bool) -> u32 {
        let id = script::Script::fresh(self);
        if !end {
            self.going_on.push(id);
        }
        id
    }

    /// One thing that every server must take.
    pub(crate) fn legal(&mut self) {
        let end = self.random.one_in(2);
        let flags = flag::END_HEADERS | if end { END } else { 0 };
        match self.random.below(12) {
            0 | 1 => {
                let id = self.begin(end);
                self.put(kind::HEADERS, flags, id, if end { GET } else { POST });
            }
            2 => {
                let id = self.begin(end);
                let padded = [&[2, 0, 0, 0, 0, 9][..], POST, &[0; 2]].concat();
                self.put(kind::HEADERS, flags | flag::PADDED | flag::PRIORITY, id, &padded);
            }
            3 => {
                let id = self.begin(end);
                self.put(kind::HEADERS, flags & END, id, POST);
                self.put(kind::CONTINUATION, flag::END_HEADERS, id, &field(b"a", b"b"));
            }
            4..=6 if !self.going_on.is_empty() => {
                let place = self.random.below(self.going_on.len());
                self.go_on(place);
            }
            7 => self.put(kind::PING, 0, 0, b"12345678"),
            8 => self.put(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 9, 9]),
            9 => self.put(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x10, 0]),
            10 => self.put(200, 0xff, 7, b"unknown"),
            _ => self.put(kind::PRIORITY, 0, self.next + 20, &[0, 0, 0, 0, 9]),
        }
    }

    /// Goes on with a request.
    fn go_on(&mut self, place: usize) {
        let id = self.going_on[place];
        let step = self.random.below(5);
        match step {
            0 => self.put(kind::DATA, 0, id, b"content"),
            1 => self.put(kind::DATA, flag::PADDED, id, b"\x03content\0\0\0"),
            2 => self.put(kind::DATA, END, id, b""),
            3 => self.put(kind::HEADERS, WHOLE, id, &field(b"t", b"u")),
            _ => self.put(kind::RST_STREAM, 0, id, &Code::CANCEL.0.to_be_bytes()),
        }
        if step > 1 {
            self.going_on.swap_remove(place);
        }
    }
}
