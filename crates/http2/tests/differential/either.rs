//! What is odd from either end.

use http2::frame::{flag, kind};

use crate::script::{END, Odd, Script, WHOLE, field};

pub(crate) fn odd<S: Script>() -> Vec<Odd<S>> {
    [frames(), streams(), blocks(), fields()].concat()
}

/// Frames that are wrong by themselves, or just rare.
fn frames<S: Script>() -> Vec<Odd<S>> {
    vec![
        ("nothing", |_| ()),
        ("DATA on stream 0", |s| s.put(kind::DATA, 0, 0, b"x")),
        ("HEADERS on stream 0", |s| s.put(kind::HEADERS, WHOLE, 0, S::HEAD)),
        ("RST_STREAM on stream 0", |s| s.put(kind::RST_STREAM, 0, 0, &[0; 4])),
        ("PRIORITY on stream 0", |s| s.put(kind::PRIORITY, 0, 0, &[0, 0, 0, 1, 1])),
        ("SETTINGS on a stream", |s| s.put(kind::SETTINGS, 0, 1, b"")),
        ("PING on a stream", |s| s.put(kind::PING, 0, 1, &[0; 8])),
        ("GOAWAY on a stream", |s| s.put(kind::GOAWAY, 0, 1, &[0; 8])),
        ("SETTINGS of 5 bytes", |s| s.put(kind::SETTINGS, 0, 0, &[0; 5])),
        ("ACK with a payload", |s| s.put(kind::SETTINGS, flag::ACK, 0, &[0; 6])),
        ("an acknowledgement of nothing", |s| s.put(kind::SETTINGS, flag::ACK, 0, b"")),
        ("PING of 7 bytes", |s| s.put(kind::PING, 0, 0, &[0; 7])),
        ("PING of 9 bytes", |s| s.put(kind::PING, 0, 0, &[0; 9])),
        ("an answer to no PING", |s| s.put(kind::PING, flag::ACK, 0, b"whatever")),
        ("WINDOW_UPDATE of 3 bytes", |s| s.put(kind::WINDOW_UPDATE, 0, 0, &[0; 3])),
        ("GOAWAY of 7 bytes", |s| s.put(kind::GOAWAY, 0, 0, &[0; 7])),
        ("an unknown frame above the largest", |s| s.put(200, 0, 0, &[0; 16_385])),
        ("ENABLE_PUSH 2", |s| s.put(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])),
        ("a largest frame of 16383", |s| s.put(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])),
        ("a largest frame of 2^24", |s| s.put(kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0])),
        ("a window above 2^31 - 1 by SETTINGS", |s| s.put(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])),
        ("an unknown setting", |s| s.put(kind::SETTINGS, 0, 0, &[0xfa, 0xfa, 0, 0, 0, 1])),
        ("no window for the connection", |s| s.put(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("too much window for the connection", |s| {
            s.put(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])
        }),
        ("CONTINUATION of nothing", |s| s.put(kind::CONTINUATION, flag::END_HEADERS, 1, b"")),
        ("DATA of an idle stream of the server", |s| s.put(kind::DATA, 0, 2, b"x")),
        ("RST_STREAM of an idle stream of the server", |s| s.put(kind::RST_STREAM, 0, 2, &[0; 4])),
        ("WINDOW_UPDATE of an idle stream of the server", |s| {
            s.put(kind::WINDOW_UPDATE, 0, 2, &[0, 0, 0, 1]);
        }),
        ("an even stream", |s| s.put(kind::HEADERS, WHOLE, 2, S::HEAD)),
        ("DATA of an idle stream", |s| {
            let id = s.idle();
            s.put(kind::DATA, 0, id, b"x");
        }),
        ("RST_STREAM of an idle stream", |s| {
            let id = s.idle();
            s.put(kind::RST_STREAM, 0, id, &[0; 4]);
        }),
        ("WINDOW_UPDATE of an idle stream", |s| {
            let id = s.idle();
            s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
        }),
    ]
}

/// Frames that are wrong because of their stream.
fn streams<S: Script>() -> Vec<Odd<S>> {
    vec![
        ("RST_STREAM of 3 bytes", |s| {
            let id = s.open();
            s.put(kind::RST_STREAM, 0, id, &[0; 3]);
        }),
        ("RST_STREAM of a code that is unknown", |s| {
            let id = s.open();
            s.put(kind::RST_STREAM, 0, id, &[9; 4]);
        }),
        ("PRIORITY of 4 bytes", |s| {
            let id = s.open();
            s.put(kind::PRIORITY, 0, id, &[0; 4]);
        }),
        ("PRIORITY that depends on itself", |s| {
            let id = s.open();
            s.put(kind::PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[9]].concat());
        }),
        ("DATA above the largest frame", |s| {
            let id = s.open();
            s.put(kind::DATA, 0, id, &[0; 16_385]);
        }),
        ("DATA with more padding than frame", |s| {
            let id = s.open();
            s.put(kind::DATA, flag::PADDED, id, &[2, 0]);
        }),
        ("DATA without room for its padding", |s| {
            let id = s.open();
            s.put(kind::DATA, flag::PADDED, id, b"");
        }),
        ("DATA that is padding alone", |s| {
            let id = s.open();
            s.put(kind::DATA, flag::PADDED | END, id, &[2, 0, 0]);
        }),
        ("no window for a stream", |s| {
            let id = s.open();
            s.put(kind::WINDOW_UPDATE, 0, id, &[0; 4]);
        }),
        ("too much window for a stream", |s| {
            let id = s.open();
            s.put(kind::WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0xff, 0xff]);
        }),
        ("DATA after the end", |s| {
            let id = s.complete();
            s.put(kind::DATA, 0, id, b"x");
        }),
        ("END_STREAM twice", |s| {
            let id = s.complete();
            s.put(kind::DATA, END, id, b"");
        }),
        ("HEADERS after the end", |s| {
            let id = s.complete();
            s.put(kind::HEADERS, WHOLE, id, &field(b"a", b"b"));
        }),
        ("WINDOW_UPDATE after the end", |s| {
            let id = s.complete();
            s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
        }),
        ("PRIORITY after the end", |s| {
            let id = s.complete();
            s.put(kind::PRIORITY, 0, id, &[0; 5]);
        }),
        ("DATA after RST_STREAM", |s| {
            let id = s.reset();
            s.put(kind::DATA, 0, id, b"x");
        }),
        ("HEADERS after RST_STREAM", |s| {
            let id = s.reset();
            s.put(kind::HEADERS, WHOLE, id, S::HEAD);
        }),
        ("WINDOW_UPDATE after RST_STREAM", |s| {
            let id = s.reset();
            s.put(kind::WINDOW_UPDATE, 0, id, &[0, 0, 0, 1]);
        }),
        ("RST_STREAM twice", |s| {
            let id = s.reset();
            s.put(kind::RST_STREAM, 0, id, &[0; 4]);
        }),
        ("trailers without an end", |s| {
            let id = s.open();
            s.put(kind::HEADERS, flag::END_HEADERS, id, &field(b"a", b"b"));
        }),
        ("trailers with a pseudo-field", |s| {
            let id = s.open();
            s.put(kind::HEADERS, WHOLE, id, S::HEAD);
        }),
        ("trailers with a name in upper case", |s| {
            let id = s.open();
            s.put(kind::HEADERS, WHOLE, id, &field(b"A", b"b"));
        }),
        ("trailers with connection", |s| {
            let id = s.open();
            s.put(kind::HEADERS, WHOLE, id, &field(b"connection", b"close"));
        }),
    ]
}

/// Blocks that are wrong whatever their fields mean.
fn blocks<S: Script>() -> Vec<Odd<S>> {
    vec![
        ("a block that is interrupted", |s| {
            let id = s.fresh();
            s.put(kind::HEADERS, END, id, S::HEAD);
            s.put(kind::PING, 0, 0, &[0; 8]);
        }),
        ("a block that goes on elsewhere", |s| {
            let id = s.fresh();
            s.put(kind::HEADERS, END, id, S::HEAD);
            s.put(kind::CONTINUATION, flag::END_HEADERS, id + 2, b"");
        }),
        ("HEADERS with more padding than frame", |s| {
            let id = s.fresh();
            s.put(kind::HEADERS, flag::PADDED | WHOLE, id, &[&[4][..], S::HEAD].concat());
        }),
        ("HEADERS without room for its priority", |s| {
            let id = s.fresh();
            s.put(kind::HEADERS, flag::PRIORITY | WHOLE, id, &[0; 4]);
        }),
        ("HEADERS that depend on themselves", |s| {
            let id = s.fresh();
            let block = [&id.to_be_bytes()[..], &[9], S::HEAD].concat();
            s.put(kind::HEADERS, flag::PRIORITY | WHOLE, id, &block);
        }),
        ("an index of nothing", |s| s.message(&[S::HEAD, &[0xff, 0x20]].concat())),
        ("index 0", |s| s.message(&[0x80])),
        ("a string that breaks off", |s| s.message(&[S::HEAD, &[0, 9, b'a']].concat())),
        ("an integer without end", |s| s.message(&[S::HEAD, &[0xff; 12]].concat())),
        ("a table above what is allowed", |s| s.message(&[&[0x3f, 0xe2, 0x1f], S::HEAD].concat())),
        ("a table resized at the end of a block", |s| s.message(&[S::HEAD, &[0x20]].concat())),
        ("padding of Huffman code with zeros", |s| {
            s.message(&[S::HEAD, &[0, 1, b'a', 0x81, 0b0001_1000]].concat());
        }),
    ]
}

/// Fields that make any message malformed, or only seem to.
fn fields<S: Script>() -> Vec<Odd<S>> {
    vec![
        ("an unknown pseudo-field", |s| s.message_with(b":other", b"x")),
        ("a name in upper case", |s| s.message_with(b"Upper", b"x")),
        ("a name with a space", |s| s.message_with(b"a b", b"x")),
        ("an empty name", |s| s.message_with(b"", b"x")),
        ("an empty value", |s| s.message_with(b"a", b"")),
        ("a value with a line feed", |s| s.message_with(b"a", b"x\ny")),
        ("a value with NUL", |s| s.message_with(b"a", b"x\0y")),
        ("a value above ASCII", |s| s.message_with(b"a", b"x\xffy")),
        ("a value with a space before it", |s| s.message_with(b"a", b" x")),
        ("connection", |s| s.message_with(b"connection", b"close")),
        ("keep-alive", |s| s.message_with(b"keep-alive", b"1")),
        ("proxy-connection", |s| s.message_with(b"proxy-connection", b"x")),
        ("upgrade", |s| s.message_with(b"upgrade", b"h2c")),
        ("transfer-encoding", |s| s.message_with(b"transfer-encoding", b"chunked")),
        ("te of gzip", |s| s.message_with(b"te", b"gzip")),
        ("te of trailers", |s| s.message_with(b"te", b"trailers")),
        ("content-length of 0 without content", |s| s.message_with(b"content-length", b"0")),
        ("content-length without content", |s| s.message_with(b"content-length", b"1")),
        ("content-length of letters", |s| s.message_with(b"content-length", b"x")),
        ("content-length with a sign", |s| s.content_with(b"content-length", b"+1", b"x")),
        ("an empty content-length", |s| s.message_with(b"content-length", b"")),
        ("content-length above 2^64", |s| s.message_with(b"content-length", b"18446744073709551616")),
        ("content-lengths that differ", |s| {
            let two = [field(b"content-length", b"0"), field(b"content-length", b"1")].concat();
            s.message(&[S::HEAD, &two].concat());
        }),
        ("content-lengths that are equal", |s| {
            let two = field(b"content-length", b"0").repeat(2);
            s.message(&[S::HEAD, &two].concat());
        }),
        ("more content than its length", |s| s.content_with(b"content-length", b"3", b"four")),
        ("less content than its length", |s| s.content_with(b"content-length", b"3", b"2b")),
        ("trailers before all of the length", |s| {
            let id = s.fresh();
            let block = [S::HEAD, &field(b"content-length", b"3")].concat();
            s.put(kind::HEADERS, flag::END_HEADERS, id, &block);
            s.put(kind::HEADERS, WHOLE, id, &field(b"a", b"b"));
        }),
    ]
}
