//! `/help`: the list of endpoints.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;

use crate::{
    behaviour,
    message::reply::{self, Body, Reply},
};

const TEXT: &str = "\
/                             echo of the request as JSON, as for every path that is not listed
/health                       200 {\"status\":\"ok\"}, 503 {\"status\":\"draining\"} while draining
/help                         this list
/ledger?run={run}&load=0       what was seen of a verified run of loadgen
/bin/{size}                   {size} bytes of A-Z0-9 repeated; K, M, G, T for powers of 1024; one Range
/bin/{size}?chunked=true      the same without Content-Length
/bin/{size}?digest=true       and with a Content-Digest trailer
/chunked/{count}              {count} chunks, each sent by itself
    ?size=1024&delay=0        bytes in each, milliseconds between them
/upload                       reads and counts the request body
/digest                       CRC-32C and SHA-256 of the request body, in JSON and as trailers
/headers                      the fields of the request
/ip                           the address that the connection comes from
/sse, /ndjson                 server-sent events, lines of JSON
    ?count=10&delay=1000      how many (0 is without end), milliseconds between them
    &jitter=0                 milliseconds added at most
/drip                         bytes evenly over a time
    ?size=10&duration=2000    bytes, milliseconds
    &delay=0                  milliseconds before the first
/status/{code}                that status, 200 to 599
/delay/{ms}                   replies after {ms} milliseconds
/delay/{reply_ms}/{read_ms}   and waits {read_ms} between reads of 64 KiB of the request body, which is echoed
/ws, /ws/*                    WebSocket echo, over HTTP/1.1 or HTTP/2 (extended CONNECT)
    ?fragment=1K&ping=1s      the echo in frames of at most 1K, and a ping each second
/ws/close                     WebSocket that echoes one message and closes
/nousage                      the echo without \"usage\"
/nousage/wrongct              the same as text/plain
/nousage/badjson              broken JSON
/nousage/empty                no body, but a JSON content type

Sizes are below 2^63 bytes, count * size too; milliseconds are whole numbers up to 4294967295 (49 days); fragments are
1 byte to 1G, pings 10ms to 1h apart.

Every method is accepted (WebSocket: GET). HTTP/1.1, HTTP/1.0, h2c by prior knowledge and gRPC on this port.
gRPC, on its own port too: echo.EchoService (Echo, StreamEcho), dummy.v1.TestService (Unary, ClientStream,
ServerStream, BidiStream: the plan in the first request says how to answer), health, reflection; gzip; gRPC-Web.
    grpcurl -plaintext localhost:8080 describe dummy.v1.Plan

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
