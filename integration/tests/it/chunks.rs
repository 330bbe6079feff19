//! `/chunked` in the smallest chunks over HTTP/2: each is its own frame, and none is made before there is
//! somebody to take it.

use contract::pattern;
use integration::{
    binaries::ServerProcess,
    client::{
        Client, Protocol,
        frames::{Frame, Frames, kind},
        patiently,
    },
    metrics::{IN_FLIGHT, Metrics},
    server::Server,
};

tests!();

async fn each_chunk_is_sent_as_its_own_piece(protocol: Protocol) {
    const COUNT: usize = 2000;
    let server = Server::start();
    let target = format!("/chunked/{COUNT}?size=1");
    let (pieces, body) = match protocol {
        Protocol::Http1 => {
            let reply = Client::connect(protocol, server.http).await.get(&target).await;
            (reply.pieces, reply.body)
        }
        // The h2 crate treats this many small frames as an attack.
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            client.get(1, &target, &[]).await;
            let mut frames = Vec::new();
            while !frames.last().is_some_and(Frame::ends) {
                frames.push(patiently("a chunk", client.await_frame(kind::DATA, 1)).await.unwrap());
            }
            let pieces = frames.iter().map(|frame| frame.payload.len()).collect();
            (pieces, frames.into_iter().flat_map(|frame| frame.payload).collect())
        }
    };
    assert_eq!(pieces, [1; COUNT]);
    assert_eq!(pattern::verify(0, &body), Ok(()));
}

async fn unread_chunks_take_no_memory() {
    const STREAMS: u32 = 50;
    /// The largest window (RFC 9113 section 6.9.1): only the socket holds the server back.
    const WINDOW: u32 = (1 << 31) - 1;
    const INITIAL: u32 = (1 << 16) - 1;
    const SENT: u64 = 1 << 20;
    const MOST: u64 = 16 << 20;
    let server = ServerProcess::start(&["--workers", "1"]);
    let mut bystander = Client::connect(Protocol::Http1, server.http).await;
    assert_eq!(bystander.get("/bin/1000").await.status, 200);
    let before = server.metrics().await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 4.
    let mut client = Frames::connect(server.http, &[(4, WINDOW)]).await;
    client.send(kind::WINDOW_UPDATE, 0, 0, &(WINDOW - INITIAL).to_be_bytes()).await;
    for number in 0..STREAMS {
        client.get(2 * number + 1, "/chunked/1000000000?size=1", &[]).await;
    }
    let sent = "dummy_server_sent_bytes_total";
    let begun = before.sum(sent, &[]);
    Metrics::until(server.admin, |metrics| {
        metrics.sum(IN_FLIGHT, &[]) >= u64::from(STREAMS) && metrics.sum(sent, &[]) >= begun + SENT
    })
    .await;
    // The same worker goes on with those that no client reads whenever it has answered one that does.
    for _ in 0..500 {
        assert_eq!(bystander.get("/bin/1000").await.body.len(), 1000);
    }
    let resident = |metrics: &Metrics| metrics.sum("dummy_server_resident_memory_bytes", &[]);
    let (before, after) = (resident(&before), resident(&server.metrics().await));
    assert!(before > 0 && after < before + MOST, "{before} bytes were resident, and then {after}");
}
