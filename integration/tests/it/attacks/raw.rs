//! Requests as bytes, for attackers that send many.

use contract::test::{Plan, TestRequest};
use integration::client::framed;
use prost::Message as _;
use websocket::{opcode, write};

/// A head of HTTP/1.
pub(super) fn http1_request(method: &str, target: &str, version: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/{version}\r\nHost: attack\r\n{fields}\r\n").into_bytes()
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a frame's length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The preface of a client that can take as much as there is, at most 16 MiB in a frame.
pub(super) fn http2_preface() -> Vec<u8> {
    http2_preface_with_window(0x7fff_ffff)
}

/// The same with another window for each stream.
pub(super) fn http2_preface_with_window(window: u32) -> Vec<u8> {
    let settings = [&[0, 4][..], &window.to_be_bytes(), &[0, 5, 0, 0xff, 0xff, 0xff]].concat();
    let window = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &settings), frame(8, 0, 0, &window)]
        .concat()
}

/// HEADERS of a request; `end`: without content.
pub(super) fn http2_request(
    id: u32,
    method: &str,
    path: &str,
    end: bool,
    fields: &[(&str, &str)],
) -> Vec<u8> {
    let text = |bytes: &str| [&[u8::try_from(bytes.len()).expect("short")][..], bytes.as_bytes()].concat();
    // Literals without indexing, some of the names from the static table (RFC 7541 section 6.2.2).
    let mut block =
        [&[0x02][..], &text(method), &[0x86, 0x04], &text(path), &[0x01], &text("attack")].concat();
    for (name, value) in fields {
        block.extend([&[0][..], &text(name), &text(value)].concat());
    }
    frame(1, 4 | u8::from(end), id, &block)
}

/// A handshake of WebSocket over HTTP/1.
pub(super) fn websocket_request(target: &str) -> Vec<u8> {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    http1_request("GET", target, "1.1", fields)
}

/// A mask that changes nothing.
const MASK: Option<[u8; 4]> = Some([0; 4]);

/// A frame of WebSocket.
pub(super) fn websocket_frame(opcode: u8, last: bool, content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write::frame(&mut frame, opcode, last, content, MASK);
    frame
}

/// The head of a binary frame of that length.
pub(super) fn websocket_head(length: u64) -> Vec<u8> {
    let mut head = Vec::new();
    write::head(&mut head, opcode::BINARY, true, length, MASK);
    head
}

/// How many responses of what size are asked for.
pub(super) const PLAN_OF_SMALL_MESSAGES: (u64, u64) = (1_000_000_000, 0);
pub(super) const PLAN_OF_LARGE_MESSAGES: (u64, u64) = (1_000_000_000, (10 << 20) - 512);

/// A call of `ServerStream` whose responses come in gzip if asked.
pub(super) fn grpc_call(id: u32, (count, size): (u64, u64), gzip: bool) -> Vec<u8> {
    let plan = Plan { count: Some(count), size, ..Plan::default() };
    let request = TestRequest { plan: Some(plan), ..TestRequest::default() }.encode_to_vec();
    let fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-accept-encoding", "gzip")];
    let fields = if gzip { &fields[..] } else { &fields[..2] };
    let head = http2_request(id, "POST", "/dummy.v1.TestService/ServerStream", false, fields);
    [head, frame(0, 1, id, &framed(&request, false))].concat()
}
