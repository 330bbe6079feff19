//! What crosses a drain: requests that were sent before their client could know of it.

use std::time::Duration;

use integration::{
    binaries::ServerProcess,
    client::{
        Http1, Line, Protocol, Request,
        frames::{ACK, END_STREAM, Frames, STATUS_200, kind},
        patiently,
    },
    metrics::{IN_FLIGHT, Metrics},
    server::Server,
};
use rustix::process::Signal;

tests!();

/// Far below the drain timeout, far above what an end takes.
const SOON: Duration = Duration::from_secs(10);

/// The stream of the first GOAWAY: all that the client may still open (RFC 9113 section 6.8).
const ANY_STREAM: u32 = (1 << 31) - 1;

async fn a_partly_received_pipelined_request_is_awaited_and_answered() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let mut idle = Http1::connect(server.http).await;
    idle.send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", idle.reply("GET")).await.unwrap().status, 200);
    let mut client = Http1::connect(server.http).await;
    let second = Line::of(&Request::get("/bin/8"));
    let (half, rest) = second.split_at(second.len() / 2);
    client.send(&[&Line::of(&Request::get("/bin/7")), half].concat()).await;
    let first = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((first.body.len(), first.field("connection")), (7, None));
    server.signal(Signal::TERM);
    // A connection without a request is closed, by which the test sees that the drain has begun.
    assert!(patiently("a close", idle.to_end()).await.unwrap().is_empty());
    client.send(rest).await;
    let reply = patiently("a reply", client.reply("GET")).await.unwrap();
    assert_eq!((reply.body.len(), reply.field("connection")), (8, Some("close")));
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn pipelined_requests_that_came_whole_are_all_answered() {
    const BEHIND: usize = 20;
    let server = ServerProcess::start(&[]);
    let mut client = Http1::connect(server.http).await;
    let targets = (1..=BEHIND).map(|size| format!("/bin/{size}"));
    let behind: Vec<u8> = targets.flat_map(|target| Line::of(&Request::get(&target))).collect();
    client.send(&[Line::of(&Request::get("/delay/1000")), behind].concat()).await;
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    server.signal(Signal::TERM);
    let mut closes = Vec::new();
    for number in 0..=BEHIND {
        let reply = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(number == 0 || reply.body.len() == number, "{number}: {reply:?}");
        closes.extend(reply.field("connection").map(|value| (number, value.to_owned())));
    }
    assert_eq!(closes, [(BEHIND, "close".to_owned())], "only the last reply announces the close");
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

/// The same without a drain: a client that has closed its end has not given up its requests.
async fn pipelined_requests_are_answered_after_a_half_close() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    let targets = ["/delay/50", "/bin/7", "/delay/50", "/bin/8"];
    client.send(&targets.map(|target| Line::of(&Request::get(target))).concat()).await;
    client.finish_sending().await;
    for target in targets {
        let reply = patiently("a reply", client.reply("GET")).await;
        assert_eq!(reply.unwrap_or_else(|error| panic!("{target}: {error:#}")).status, 200, "{target}");
    }
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
}

async fn a_client_that_resets_is_not_waited_for(protocol: Protocol) {
    let server = ServerProcess::start(&[]);
    let slow = Request::get("/delay/60000");
    let hang_up: Box<dyn FnOnce()> = match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&slow)).await;
            Box::new(|| client.reset())
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            client.get(1, &slow.target, &[]).await;
            Box::new(|| client.reset())
        }
    };
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    server.signal(Signal::TERM);
    Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_draining", &[]) == 1).await;
    hang_up();
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

async fn streams_opened_before_goaway_was_seen_are_served() {
    let server = ServerProcess::start(&[]);
    let mut client = Frames::connect(server.http, &[]).await;
    client.post(1, "/upload", &[]).await;
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    server.signal(Signal::TERM);
    let go_away = patiently("GOAWAY", client.await_frame(kind::GOAWAY, 0)).await.unwrap().go_away();
    assert_eq!(go_away, Some((ANY_STREAM, 0)), "it takes back nothing yet");
    let ping = patiently("PING", client.await_frame(kind::PING, 0)).await.unwrap();
    // As a client does that has not read so far.
    client.get(3, "/bin/7", &[]).await;
    let head = patiently("a head", client.await_frame(kind::HEADERS, 3)).await.unwrap();
    assert_eq!(head.payload[0], STATUS_200);
    let body = patiently("a body", client.await_frame(kind::DATA, 3)).await.unwrap();
    assert!(body.ends() && body.payload.len() == 7, "{body:?}");
    client.send(kind::PING, ACK, 0, &ping.payload).await;
    let go_away = patiently("GOAWAY", client.await_frame(kind::GOAWAY, 0)).await.unwrap().go_away();
    assert_eq!(go_away, Some((3, 0)), "from here on nothing is taken");
    client.send(kind::DATA, END_STREAM, 1, b"all of it").await;
    let head = patiently("a head", client.await_frame(kind::HEADERS, 1)).await.unwrap();
    assert_eq!(head.payload[0], STATUS_200);
    while let Some(frame) = patiently("the end", client.next()).await.unwrap() {
        assert!(matches!(frame.kind, kind::DATA | kind::WINDOW_UPDATE), "{frame:?}");
    }
    assert_eq!(server.finish(SOON).await.code, Some(0));
}
