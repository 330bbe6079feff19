//! What is odd from a client.

use http2::frame::{flag, kind};

use super::script::{GET, Script};
use crate::{
    either,
    script::{Odd, Script as _, WHOLE, field},
};

pub(crate) fn odd() -> Vec<Odd<Script>> {
    [either::odd(), STREAMS.to_vec(), HEADS.to_vec()].concat()
}

const STREAMS: &[Odd<Script>] = &[
    ("an identifier that was passed over", |s| {
        s.next += 2;
        let passed = s.next - 2;
        s.message(GET);
        s.put(kind::HEADERS, WHOLE, passed, GET);
    }),
    ("PUSH_PROMISE of a client", |s| {
        let id = s.open();
        s.put(kind::PUSH_PROMISE, flag::END_HEADERS, id, &[0, 0, 0, 2, 0x82]);
    }),
    ("more than the window of a stream", |s| {
        let id = s.open();
        s.put(kind::DATA, 0, id, &[0; 5_001]);
    }),
    ("a second GOAWAY with a higher stream", |s| {
        s.put(kind::GOAWAY, 0, 0, &[0; 8]);
        s.put(kind::GOAWAY, 0, 0, &[0, 0, 0, 2, 0, 0, 0, 0]);
    }),
];

const HEADS: &[Odd<Script>] = &[
    ("no path", |s| s.message(&[0x82, 0x86])),
    ("an empty path", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"")].concat())),
    ("a path of no form", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"foo")].concat())),
    ("a path with a space", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"/a b")].concat())),
    ("a path with a fragment", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"/a#b")].concat())),
    ("an asterisk without OPTIONS", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"*")].concat())),
    ("a URL for a path", |s| s.message(&[&[0x82, 0x86][..], &field(b":path", b"http://a/b")].concat())),
    ("no scheme", |s| s.message(&[0x82, 0x84])),
    ("no method", |s| s.message(&[0x86, 0x84])),
    ("two methods", |s| s.message(&[0x82, 0x82, 0x86, 0x84])),
    ("a status", |s| s.message_with(b":status", b"200")),
    ("a pseudo-field after a field", |s| {
        s.message(&[&[0x82, 0x86][..], &field(b"a", b"b"), &[0x84]].concat());
    }),
    ("host besides authority", |s| {
        s.message(&[GET, &field(b":authority", b"a"), &field(b"host", b"a")].concat());
    }),
    ("host that is not authority", |s| {
        s.message(&[GET, &field(b":authority", b"a"), &field(b"host", b"b")].concat());
    }),
    ("protocol that was not offered", |s| {
        let block = [&field(b":method", b"CONNECT")[..], &[0x86, 0x84], &field(b":protocol", b"x")].concat();
        s.message(&[&block[..], &field(b":authority", b"a")].concat());
    }),
];
