//! Shares, and what requests share: draws that can be repeated, keys that fail first, overload, connections that end.

use integration::{
    client::{Client, Http1, Http2, Line, Protocol, Request, fetch, patiently},
    server::Server,
};

tests!();

/// How often each status came of 200 requests, over connections enough that every worker has some.
async fn statuses(workers: &str, seed: u32) -> Vec<usize> {
    let server = Server::with(&["--workers", workers]);
    let mut counts = vec![0; 3];
    for client in 0..20 {
        let protocol = Protocol::ALL[client % 2];
        let mut client = Client::connect(protocol, server.http).await;
        for _ in 0..10 {
            let target = format!("/bin/1?dummy-status=503:20,500:10&dummy-seed={seed}");
            match client.get(&target).await.status {
                200 => counts[0] += 1,
                503 => counts[1] += 1,
                500 => counts[2] += 1,
                other => panic!("{other}"),
            }
        }
    }
    counts
}

async fn a_seed_gives_the_same_run_on_any_number_of_workers() {
    let one = statuses("1", 5).await;
    assert_eq!(one, statuses("4", 5).await);
    assert!(one[1].abs_diff(40) < 20 && one[2].abs_diff(20) < 15, "{one:?}");
}

async fn the_sequence_number_alone_decides_the_draw(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let mut run = async || {
        let mut statuses = Vec::new();
        for sequence in 0..30 {
            let target = format!("/bin/1?dummy-status=503:50&dummy-sequence={sequence}");
            statuses.push(client.get(&target).await.status);
        }
        statuses
    };
    let first = run().await;
    assert_eq!(first, run().await);
    assert!(first.contains(&200) && first.contains(&503));
}

async fn the_first_requests_of_a_key_fail(protocol: Protocol) {
    let server = Server::start();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        for key in ["a", "b"] {
            // Each on its own connection, which may be another worker's.
            let request = Request::get("/bin/1?dummy-fail-first=2").field("x-dummy-key", key);
            statuses.push(fetch(protocol, server.http, request).await.status);
        }
    }
    assert_eq!(statuses, [503, 503, 503, 503, 200, 200, 200, 200]);
    let reset = Request::get("/bin/1?dummy-fail-first=1&dummy-key=c&dummy-abort=rst");
    let mut client = Client::connect(protocol, server.http).await;
    client.try_exchange(&reset).await.expect_err("it is reset");
    assert_eq!(fetch(protocol, server.http, reset).await.status, 200);
}

async fn requests_over_the_in_flight_limit_are_refused(protocol: Protocol) {
    let server = Server::start();
    let slow = "/bin/1?dummy-inflight-delay=300ms&dummy-inflight-limit=3";
    let requests = (0..6).map(|_| fetch(protocol, server.http, Request::get(slow)));
    let replies = futures_util::future::join_all(requests).await;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert_eq!((served, refused.len()), (3, 3));
    assert!(refused.iter().all(|reply| reply.field("retry-after") == Some("1")));
    assert_eq!(fetch(protocol, server.http, Request::get(slow)).await.status, 200);
    // A request is in flight until its last byte is out, or its client is gone.
    let long = Request::get("/drip?size=2&duration=3600000&dummy-inflight-limit=1");
    let (http1, http2);
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&long)).await;
            patiently("a head", client.exactly(12)).await.unwrap();
            (http1, http2) = (Some(client), None);
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (response, _) = client.open(&long, true).await.unwrap();
            let response = patiently("a head", response).await.unwrap();
            assert_eq!(response.status(), 200);
            (http1, http2) = (None, Some((client, response)));
        }
    }
    let another = Request::get("/bin/1?dummy-inflight-limit=1");
    assert_eq!(fetch(protocol, server.http, another.clone()).await.status, 503);
    drop((http1, http2));
    let served = async { while fetch(protocol, server.http, another.clone()).await.status != 200 {} };
    patiently("room for another", served).await;
}

async fn close_after_closes_an_http1_connection() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    for number in 1..=3 {
        client.send(&Line::of(&Request::get("/bin/5?dummy-close-after=3"))).await;
        let reply = patiently("a reply", client.reply("GET")).await.unwrap();
        assert_eq!(reply.field("connection"), (number == 3).then_some("close"));
    }
    assert!(patiently("a close", client.to_end()).await.unwrap().is_empty());
}

async fn close_after_sends_goaway_over_http2() {
    use integration::client::frames::{Frames, kind};
    let server = Server::start();
    let mut client = Frames::connect(server.http, &[]).await;
    for stream in [1, 3, 5] {
        client.get(stream, "/bin/5?dummy-close-after=3", &[]).await;
    }
    let go_away = patiently("GOAWAY", client.await_frame(kind::GOAWAY, 0)).await.unwrap().go_away();
    assert_eq!(go_away.map(|(_, code)| code), Some(0));
}
