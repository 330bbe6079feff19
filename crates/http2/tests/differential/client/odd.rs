//! What is odd from a server.

use http2::frame::{flag, kind};

use super::script::{Kind, OK, Script};
use crate::{
    either,
    script::{END, Odd, Script as _, WHOLE, field},
};

pub(crate) fn odd() -> Vec<Odd<Script>> {
    [either::odd(), HEADS.to_vec(), ORDER.to_vec(), CONTENT.to_vec(), CONNECTION.to_vec()].concat()
}

fn status(value: &[u8]) -> Vec<u8> {
    field(b":status", value)
}

impl Script {
    /// An informational head.
    fn interim(&mut self, id: u32, flags: u8, more: &[u8]) {
        self.put(kind::HEADERS, flags | flag::END_HEADERS, id, &[&status(b"103"), more].concat());
    }

    /// A final head with more fields.
    fn answer(&mut self, id: u32, flags: u8, status: &[u8], length: &[u8]) {
        let block = [status, &field(b"content-length", length)].concat();
        self.put(kind::HEADERS, flags | flag::END_HEADERS, id, &block);
    }

    fn data(&mut self, id: u32, flags: u8, bytes: usize) {
        let content = vec![b'x'; bytes];
        content.chunks(16_384).for_each(|part| self.put(kind::DATA, flags, id, part));
    }

    fn goaway(&mut self, last: u32, code: u8) {
        self.put(kind::GOAWAY, 0, 0, &[&last.to_be_bytes()[..], &[0, 0, 0, code]].concat());
    }

    fn promise(&mut self, id: u32, promised: u8) {
        self.put(kind::PUSH_PROMISE, flag::END_HEADERS, id, &[0, 0, 0, promised, 0x82, 0x86, 0x84]);
    }
}

/// Heads of responses.
const HEADS: &[Odd<Script>] = &[
    ("no status", |s| s.message(&field(b"a", b"b"))),
    ("no fields", |s| s.message(b"")),
    ("two statuses", |s| s.message(&[0x88, 0x88])),
    ("a status after a field", |s| s.message(&[&field(b"a", b"b"), OK].concat())),
    ("an empty status", |s| s.message(&status(b""))),
    ("a status of two digits", |s| s.message(&status(b"20"))),
    ("a status of four digits", |s| s.message(&status(b"2000"))),
    ("a status of letters", |s| s.message(&status(b"2xx"))),
    ("a status with a space", |s| s.message(&status(b"200 "))),
    ("a status below 100", |s| s.message(&status(b"099"))),
    ("a status above 599", |s| s.message(&status(b"999"))),
    ("status 101", |s| {
        let id = s.fresh();
        s.put(kind::HEADERS, flag::END_HEADERS, id, &status(b"101"));
    }),
    ("a path in a response", |s| s.message(&[0x88, 0x84])),
    ("a method in a response", |s| s.message(&[0x82, 0x88])),
    ("a request for a response", |s| s.message(&[0x82, 0x86, 0x84])),
    ("content-length in 204", |s| {
        let id = s.fresh();
        s.answer(id, END, &[0x89], b"5");
    }),
    ("content-length in 304", |s| {
        let id = s.fresh();
        s.answer(id, END, &[0x8b], b"5");
    }),
    ("content-length for HEAD", |s| {
        let id = s.spare(Kind::Head);
        s.answer(id, END, OK, b"5");
    }),
    ("content-length of letters for HEAD", |s| {
        let id = s.spare(Kind::Head);
        s.answer(id, END, OK, b"x");
    }),
];

/// Frames of a response out of order.
const ORDER: &[Odd<Script>] = &[
    ("DATA before the head", |s| {
        let id = s.fresh();
        s.data(id, 0, 1);
    }),
    ("an end before the head", |s| {
        let id = s.fresh();
        s.put(kind::DATA, END, id, b"");
    }),
    ("DATA after an informational head alone", |s| {
        let id = s.fresh();
        s.interim(id, 0, b"");
        s.data(id, 0, 1);
    }),
    ("an informational head with an end", |s| {
        let id = s.fresh();
        s.interim(id, END, b"");
    }),
    ("an informational head with content-length", |s| {
        let id = s.fresh();
        s.interim(id, 0, &field(b"content-length", b"5"));
        s.put(kind::HEADERS, WHOLE, id, OK);
    }),
    ("an informational head that is malformed", |s| {
        let id = s.fresh();
        s.interim(id, 0, &field(b"connection", b"x"));
    }),
    ("an informational head after the final one", |s| {
        let id = s.open();
        s.interim(id, 0, b"");
    }),
    ("twenty informational heads", |s| {
        let id = s.fresh();
        (0..20).for_each(|_| s.interim(id, 0, b""));
        s.put(kind::HEADERS, WHOLE, id, OK);
    }),
    ("two final heads", |s| {
        let id = s.open();
        s.put(kind::HEADERS, flag::END_HEADERS, id, OK);
    }),
    ("DATA after trailers", |s| {
        let id = s.open();
        s.put(kind::HEADERS, WHOLE, id, &field(b"a", b"b"));
        s.data(id, 0, 1);
    }),
    ("RST_STREAM after the end", |s| {
        let id = s.complete();
        s.put(kind::RST_STREAM, 0, id, &[0; 4]);
    }),
    ("DATA after the end, while content is sent", |s| {
        let id = s.spare(Kind::Post);
        s.put(kind::HEADERS, WHOLE, id, OK);
        s.data(id, 0, 1);
    }),
    ("HEADERS after the end, while content is sent", |s| {
        let id = s.spare(Kind::Post);
        s.put(kind::HEADERS, WHOLE, id, OK);
        s.put(kind::HEADERS, WHOLE, id, &field(b"a", b"b"));
    }),
    ("RST_STREAM after the end, while content is sent", |s| {
        let id = s.spare(Kind::Post);
        s.put(kind::HEADERS, WHOLE, id, OK);
        s.put(kind::RST_STREAM, 0, id, &[0; 4]);
    }),
    ("RST_STREAM without an error before the end", |s| {
        let id = s.spare(Kind::Post);
        s.put(kind::HEADERS, flag::END_HEADERS, id, OK);
        s.data(id, 0, 1);
        s.put(kind::RST_STREAM, 0, id, &[0; 4]);
    }),
    ("HEADERS of an idle stream", |s| {
        let id = s.idle();
        s.put(kind::HEADERS, WHOLE, id, OK);
    }),
    ("PRIORITY of an idle stream", |s| {
        let id = s.idle();
        s.put(kind::PRIORITY, 0, id, &[0; 5]);
    }),
    ("PRIORITY of an even stream", |s| s.put(kind::PRIORITY, 0, 2, &[0; 5])),
];

/// Content that must not be, or not so much.
const CONTENT: &[Odd<Script>] = &[
    ("content after 204", |s| {
        let id = s.fresh();
        s.put(kind::HEADERS, flag::END_HEADERS, id, &[0x89]);
        s.data(id, END, 1);
    }),
    ("content after 304", |s| {
        let id = s.fresh();
        s.answer(id, 0, &[0x8b], b"1");
        s.data(id, END, 1);
    }),
    ("content for HEAD", |s| {
        let id = s.spare(Kind::Head);
        s.answer(id, 0, OK, b"1");
        s.data(id, END, 1);
    }),
    ("an end in a frame of its own after 304", |s| {
        let id = s.fresh();
        s.answer(id, 0, &[0x8b], b"5");
        s.put(kind::DATA, END, id, b"");
    }),
    ("an end in a frame of its own for HEAD", |s| {
        let id = s.spare(Kind::Head);
        s.answer(id, 0, OK, b"5");
        s.put(kind::DATA, END, id, b"");
    }),
    ("trailers for HEAD", |s| {
        let id = s.spare(Kind::Head);
        s.answer(id, 0, OK, b"5");
        s.put(kind::HEADERS, WHOLE, id, &field(b"a", b"b"));
    }),
    ("as much as the window of a stream", |s| {
        let id = s.open();
        s.data(id, 0, 40_000);
    }),
    ("more than the window of a stream", |s| {
        let id = s.open();
        s.data(id, 0, 40_001);
    }),
    ("more than the window of a stream by padding", |s| {
        let id = s.open();
        s.data(id, 0, 39_998);
        s.put(kind::DATA, flag::PADDED, id, &[2, 0, 0]);
    }),
    ("more than the window of the connection", |s| {
        let (one, other) = (s.open(), s.open());
        s.data(one, 0, 35_000);
        s.data(other, 0, 31_000);
    }),
    ("too much window for a stream by SETTINGS", |s| {
        let id = s.spare(Kind::Post);
        s.put(kind::WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0, 0]);
        s.put(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0, 0, 0]);
    }),
    ("empty DATA", |s| {
        let id = s.open();
        (0..3).for_each(|_| s.put(kind::DATA, 0, id, b""));
    }),
];

/// Frames of the connection.
const CONNECTION: &[Odd<Script>] = &[
    ("ENABLE_PUSH 1", |s| s.put(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 1])),
    ("ENABLE_PUSH 0", |s| s.put(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0])),
    ("no streams allowed", |s| s.put(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0])),
    ("ENABLE_CONNECT_PROTOCOL 2", |s| s.put(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 2])),
    ("ENABLE_CONNECT_PROTOCOL taken back", |s| {
        s.put(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1]);
        s.put(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 0]);
    }),
    ("PUSH_PROMISE", |s| {
        let id = s.fresh();
        s.promise(id, 2);
    }),
    ("PUSH_PROMISE on stream 0", |s| s.promise(0, 2)),
    ("PUSH_PROMISE of an odd stream", |s| {
        let id = s.fresh();
        s.promise(id, 99);
    }),
    ("PUSH_PROMISE of 3 bytes", |s| {
        let id = s.fresh();
        s.put(kind::PUSH_PROMISE, flag::END_HEADERS, id, &[0; 3]);
    }),
    ("GOAWAY that disowns all", |s| s.goaway(0, 0)),
    ("GOAWAY that disowns all, with an error", |s| s.goaway(0, 2)),
    ("GOAWAY that disowns none", |s| {
        let id = s.idle();
        s.goaway(id, 0);
    }),
    ("GOAWAY that disowns none, with an error", |s| s.goaway(0x7fff_ffff, 11)),
    ("GOAWAY that disowns some", |s| {
        let (id, _) = (s.spare(Kind::Get), s.spare(Kind::Post));
        s.goaway(id, 0);
        s.put(kind::HEADERS, WHOLE, id, OK);
    }),
    ("GOAWAY with an even stream", |s| s.goaway(0x7fff_fffe, 0)),
    ("GOAWAY twice, the second lower", |s| {
        s.goaway(0x7fff_ffff, 0);
        let id = s.idle();
        s.goaway(id, 0);
    }),
    ("GOAWAY twice, the second higher", |s| {
        s.goaway(0x7fff_fff1, 0);
        s.goaway(0x7fff_fff3, 0);
    }),
    ("HEADERS on a stream that was disowned", |s| {
        let (one, other) = (s.spare(Kind::Get), s.spare(Kind::Get));
        s.goaway(one, 0);
        s.put(kind::HEADERS, WHOLE, other, OK);
    }),
    ("a promise after GOAWAY", |s| {
        let id = s.fresh();
        s.goaway(0x7fff_ffff, 0);
        s.promise(id, 2);
    }),
];
