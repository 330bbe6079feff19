//! gRPC: calls of `dummy.v1.TestService` that take their time, and what ends them.

use std::time::{Duration, Instant};

use contract::test::Plan;
use dummy_server::Ended;
use integration::{
    binaries::ServerProcess,
    client::GrpcClient,
    metrics::{IN_FLIGHT, Metrics},
};

use crate::planned_calls::{KINDS, STREAMS, ask, begin, start};

const OVERDUE: i32 = 4;
const UNAVAILABLE: i32 = 14;

tests!();

async fn delays_and_intervals_are_kept() {
    let (_server, mut client) = start().await;
    for kind in KINDS {
        let begun = Instant::now();
        let (responses, _) = ask(&mut client, kind, Plan { delay_ms: 60, ..Plan::default() }).await;
        assert_eq!(responses.len(), 1);
        assert!(begun.elapsed() >= Duration::from_millis(60), "{kind}");
    }
    for kind in STREAMS {
        let begun = Instant::now();
        let plan = Plan { count: Some(4), interval_ms: 30, ..Plan::default() };
        let (responses, _) = ask(&mut client, kind, plan).await;
        assert_eq!(responses.len(), 4);
        assert!(begun.elapsed() >= Duration::from_millis(90), "{kind}");
    }
}

async fn a_call_that_is_never_answered_ends_at_its_deadline() {
    let (server, mut client) = start().await;
    let never = Plan { never: true, ..Plan::default() };
    for kind in KINDS {
        let begun = Instant::now();
        let mut call = begin(&mut client, kind, never.clone(), &[("grpc-timeout", "50m")]).await;
        call.finish_sending();
        assert_eq!(call.status().await.code, OVERDUE, "{kind}");
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }
    let mut held = begin(&mut client, "Unary", never, &[]).await;
    held.finish_sending();
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1).await;
    drop(held);
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 0).await;
}

async fn a_deadline_ends_a_stream_that_never_pauses() {
    let (_server, mut client) = start().await;
    let plan = Plan { count: Some(1_000_000_000), size: 5000, ..Plan::default() };
    let mut call = begin(&mut client, "ServerStream", plan, &[("grpc-timeout", "100m")]).await;
    call.finish_sending();
    let (responses, end) = call.rest().await;
    assert_eq!(end.status.code, OVERDUE);
    assert!(!responses.is_empty());
    assert!(responses.iter().all(|response| response.payload.len() == 5000), "each of them is whole");
}

async fn streams_end_with_the_drain() {
    let (server, mut client) = start().await;
    let mut calls = Vec::new();
    let slow = Plan { count: Some(1000), interval_ms: 3_600_000, ..Plan::default() };
    for kind in STREAMS {
        let mut call = begin(&mut client, kind, slow.clone(), &[]).await;
        call.finish_sending();
        assert!(call.next().await.is_some());
        calls.push(call);
    }
    // One that waits for requests, one whose requests have not ended, and one that is not answered.
    let mut call = begin(&mut client, "BidiStream", Plan::default(), &[]).await;
    assert!(call.next().await.is_some());
    calls.push(call);
    calls.push(begin(&mut client, "ClientStream", Plan::default(), &[]).await);
    let mut call = begin(&mut client, "Unary", Plan { never: true, ..Plan::default() }, &[]).await;
    call.finish_sending();
    calls.push(call);
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 5).await;
    server.drain();
    for call in calls {
        let status = call.status().await;
        assert_eq!(status.code, UNAVAILABLE, "{status:?}");
    }
    assert_eq!(server.join(), Ended::Drained);
}

async fn a_call_with_one_response_completes_during_the_drain() {
    let (server, mut client) = start().await;
    let plan = Plan { delay_ms: 300, ..Plan::default() };
    let mut call = begin(&mut client, "Unary", plan, &[]).await;
    call.finish_sending();
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1).await;
    server.drain();
    let (responses, end) = call.rest().await;
    assert_eq!((responses.len(), end.status.code), (1, 0));
}

async fn a_client_that_reads_slowly_holds_no_memory() {
    /// All responses that are begun have ten times as much.
    const MOST: u64 = 40 << 20;
    let server = ServerProcess::start(&["--workers=1"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let plan = Plan { count: Some(1000), size: 8 << 20, ..Plan::default() };
    // Each response waits for window, which the client does not give.
    let mut calls = Vec::new();
    for _ in 0..50 {
        let mut call = begin(&mut client, "ServerStream", plan.clone(), &[]).await;
        call.finish_sending();
        calls.push(call);
    }
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 50).await;
    let mut other = GrpcClient::connect(server.grpc).await;
    let (_, end) = ask(&mut other, "Unary", Plan::default()).await;
    assert_eq!(end.status.code, 0, "others are served");
    let resident = server.metrics().await.sum("dummy_server_resident_memory_bytes", &[]);
    assert!(resident > 0 && resident < MOST, "{resident} bytes are resident");
    drop(calls);
}
