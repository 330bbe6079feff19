//! `/help`: the list of endpoints.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;

use crate::{
    behaviour,
    reply::{self, Body, Reply},
};

const TEXT: &str = "\
/                             echo of the request as JSON, as for every path that is not listed
/health                       200 {\"status\":\"ok\"}, 503 {\"status\":\"draining\"} while draining
/help                         this list
/bin/{size}                   {size} bytes of A-Z0-9 repeated; K, M, G, T for powers of 1024; one Range
/bin/{size}?chunked=true      the same without Content-Length
/chunked/{count}              {count} chunks, each sent by itself
    ?size=1024&delay=0        bytes in each, milliseconds between them
/upload                       reads and counts the request body
/status/{code}                that status, 200 to 599
/delay/{ms}                   replies after {ms} milliseconds
/delay/{reply_ms}/{read_ms}   and waits {read_ms} before it reads each 64 KiB of the request body
/ws, /ws/*                    WebSocket echo, over HTTP/1.1 or HTTP/2 (extended CONNECT)
    ?fragment=1K&ping=1s      the echo in frames of at most 1K, and a ping each second
/ws/close                     WebSocket that echoes one message and closes
/nousage                      the echo without \"usage\"
/nousage/wrongct              the same as text/plain
/nousage/badjson              broken JSON
/nousage/empty                no body, but a JSON content type

Every method is accepted (WebSocket: GET). HTTP/1.1, HTTP/1.0, h2c by prior knowledge and gRPC on this port.
gRPC, on its own port too: echo.EchoService (Echo, StreamEcho), health, reflection.

Every endpoint misbehaves on request: by query keys with dummy- before the name (?dummy-delay=5ms), by fields with
x-dummy- before it (x-dummy-abort: rst@body(100):10), and for all requests by --behaviour and the admin port.
";

/// All of it, with the grammar of what can be asked for.
static PAGE: LazyLock<String> = LazyLock::new(|| format!("{TEXT}\n{}", behaviour::help()));

/// The reply to `/help`.
pub(super) fn reply() -> Reply {
    let body = Body::Bytes(Bytes::from_static(PAGE.as_bytes()));
    Reply::new(StatusCode::OK, reply::TEXT, body)
}
