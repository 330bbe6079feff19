//! What dummy-server may use up: files, connections, memory, and every worker it has.

use std::time::Duration;

use integration::{
    binaries::ServerProcess,
    cases::AndTls,
    client::{Client, Exchange, Http1, Http2, Line, Protocol, Request, patiently},
    metrics::{CONNECTIONS, CONNECTIONS_OF_WORKER, Metrics},
    server::Server,
};
use rustix::process::Signal;

tests!();

/// How long an idle server may take to end.
const SOON: Duration = Duration::from_secs(10);

async fn out_of_files_accept_backs_off_and_recovers() {
    const FILES: u32 = 80;
    let server = ServerProcess::start_with_files(FILES, &[]);
    // The admin port needs a file for a reading too, so its connection is opened while there are some.
    let mut admin = Client::connect(Protocol::Http1, server.admin).await;
    assert_eq!(admin.get("/livez").await.status, 200);
    let mut clients = Vec::new();
    for _ in 0..2 * FILES {
        clients.push(Http1::connect(server.http).await);
    }
    // Those that were accepted are served all the while.
    clients[0].send(&Line::of(&Request::get("/health"))).await;
    assert_eq!(patiently("a reply", clients[0].reply("GET")).await.unwrap().status, 200);
    // The sixth comes after five pauses that double, and few with it. A loop that does not back off makes thousands
    // between one look and the next.
    let several = async {
        loop {
            match accept_errors(&admin.get("/metrics").await) {
                0..6 => {}
                errors => break errors,
            }
        }
    };
    let errors = patiently("errors of accept", several).await;
    assert!(errors < 100, "accept does not back off: {errors}");
    drop(clients);
    let mut client = Client::connect(Protocol::Http1, server.http).await;
    assert_eq!(client.get("/health").await.status, 200);
    server.signal(Signal::TERM);
    assert_eq!(server.finish(SOON).await.code, Some(0));
}

fn accept_errors(metrics: &Exchange) -> u64 {
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("dummy_server_accept_errors_total "));
    line.expect("errors of accept are counted").parse().expect("a count")
}

async fn connections_beyond_the_limit_are_closed() {
    const LIMIT: usize = 5;
    let server = Server::with(&["--max-connections=5"]);
    let mut kept = Vec::new();
    for _ in 0..LIMIT {
        let mut client = Client::connect(Protocol::Http1, server.http).await;
        assert_eq!(client.get("/health").await.status, 200);
        kept.push(client);
    }
    let mut extra = Http1::connect(server.http).await;
    assert!(patiently("a close", extra.until_closed()).await.is_empty());
    assert_eq!(kept[0].get("/health").await.status, 200);
    kept.clear();
    Metrics::until(server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == 0).await;
    assert_eq!(Client::connect(Protocol::Http1, server.http).await.get("/health").await.status, 200);
}

async fn endless_bodies_cost_no_memory(protocol: Protocol, _: AndTls) {
    const READ: usize = 32 << 20;
    const MOST: u64 = 200 << 20;
    let server = ServerProcess::start(&[]);
    for target in ["/bin/100G", "/bin/100G?chunked=true", "/chunked/1000000?size=1000000"] {
        // A part is read, so that the server is well into it; the rest waits for a reader.
        let (mut http1, mut http2);
        match protocol {
            Protocol::Http1 => {
                http1 = Http1::connect(server.http).await;
                http1.send(&Line::of(&Request::get(target))).await;
                patiently("a part of the body", http1.exactly(READ)).await.unwrap();
            }
            Protocol::Http2 => {
                http2 = Http2::connect(server.http).await;
                let (response, _) = http2.open(&Request::get(target), true).await.unwrap();
                let mut body = patiently("a head", response).await.unwrap().into_body();
                let mut read = 0;
                while read < READ {
                    let piece = patiently("a part of the body", body.data()).await.unwrap().unwrap();
                    body.flow_control().release_capacity(piece.len()).unwrap();
                    read += piece.len();
                }
            }
        }
        let resident = server.metrics().await.sum("dummy_server_resident_memory_bytes", &[]);
        assert!(resident > 0 && resident < MOST, "{target}: {resident} bytes are resident");
    }
}

/// A process that is given the next connection before it knows of the last would give both to one worker.
async fn two_long_connections_use_both_workers() {
    for restart in 1..=20 {
        let server = ServerProcess::start(&["--workers", "2"]);
        let mut first = Client::connect(Protocol::Http1, server.http).await;
        assert_eq!(first.get("/health").await.status, 200);
        let mut second = Client::connect(Protocol::Http1, server.http).await;
        assert_eq!(second.get("/health").await.status, 200);
        let metrics = server.metrics().await;
        let open = ["0", "1"].map(|worker| metrics.sum(CONNECTIONS_OF_WORKER, &[("worker", worker)]));
        assert_eq!(open, [1, 1], "restart {restart}");
        for client in [&mut first, &mut second] {
            assert_eq!(client.get("/bin/10").await.body.len(), 10);
        }
    }
}
