//! gRPC: messages and deadlines as the protocol has them.

use std::time::{Duration, Instant};

use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    client::{Call, GrpcClient, framed},
    server::Server,
};
use prost::Message as _;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc_calls::{CHECK, ECHO, STREAM_ECHO, UNIMPLEMENTED, WATCH, WAYS, nothing_is_in_flight};

tests!();

async fn malformed_grpc_messages_are_refused() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let message = framed(&EchoRequest::default().encode_to_vec(), false);
    for way in WAYS {
        for (body, what) in [
            (&b""[..], "no message"),
            (&message[..3], "half a prefix"),
            (b"\0\0\0\0\x02x", "half a message"),
            (b"\x07\0\0\0\0", "no flag"),
            (b"\0\0\0\0\x01\xff", "no protobuf"),
        ] {
            let mut call: Call<EchoResponse> = client.begin(ECHO, way).await;
            call.send_bytes(body);
            call.finish_sending();
            let status = call.status().await;
            assert_eq!(status.code, INTERNAL, "{what}: {status:?}");
        }
    }
    let mut call: Call<EchoResponse> = client.begin(ECHO, &[]).await;
    call.send_compressed(&EchoRequest::default());
    call.finish_sending();
    assert_eq!(call.status().await.code, INTERNAL, "compressed, and nobody said how");
}

async fn messages_are_compressed_when_both_ends_support_it() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let request = EchoRequest { message: "x".repeat(1000), ..EchoRequest::default() };
    for (metadata, answers) in [
        (&[("grpc-encoding", "gzip")][..], 0),
        (&[("grpc-accept-encoding", "gzip"), ("grpc-encoding", "gzip")], 1),
        (&[("grpc-accept-encoding", "identity, deflate, gzip"), ("grpc-encoding", "gzip")], 1),
    ] {
        for method in [ECHO, STREAM_ECHO] {
            let mut call: Call<EchoResponse> = client.begin(method, metadata).await;
            call.send_compressed(&request);
            call.finish_sending();
            let (answer, end) = call.rest().await;
            assert_eq!((end.status.code, end.compressed), (0, answers), "{method} {metadata:?}");
            assert_eq!(answer[0].message.len(), 1000);
            assert_eq!(end.header("grpc-encoding"), (answers == 1).then_some("gzip"));
        }
    }
    let metadata = [("grpc-encoding", "zstd")];
    let mut call: Call<EchoResponse> = client.begin(ECHO, &metadata).await;
    call.send(&request);
    call.finish_sending();
    let end = call.end().await;
    assert_eq!(end.status.code, UNIMPLEMENTED);
    assert!(end.header("grpc-accept-encoding").is_some_and(|value| value.contains("gzip")), "{end:?}");
}

async fn a_message_that_expands_beyond_the_limit_is_refused() {
    let server = Server::with(&["--grpc-max-message=1M"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let request = EchoRequest { message: "x".repeat(2 << 20), ..EchoRequest::default() };
    let mut call: Call<EchoResponse> = client.begin(ECHO, &[("grpc-encoding", "gzip")]).await;
    call.send_compressed(&request);
    call.finish_sending();
    assert_eq!(call.status().await.code, RESOURCE_EXHAUSTED);
}

async fn a_message_beyond_the_limit_is_refused() {
    let server = Server::with(&["--grpc-max-message=8M"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    for way in WAYS {
        let request = EchoRequest { message: "x".repeat(7 << 20), ..EchoRequest::default() };
        let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, way).await;
        assert_eq!((answer.map(|a| a.message.len()), status.code), (Some(7 << 20), 0));
        let request = EchoRequest { message: "x".repeat(9 << 20), ..EchoRequest::default() };
        let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, way).await;
        assert_eq!((answer, status.code), (None, RESOURCE_EXHAUSTED), "{way:?}");
        let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, way).await;
        let small = framed(&EchoRequest::default().encode_to_vec(), false);
        call.send_bytes(&[small, framed(&request.encode_to_vec(), false)].concat());
        let (answers, end) = call.rest().await;
        assert_eq!((answers.len(), end.status.code), (1, RESOURCE_EXHAUSTED), "{way:?}");
        // Its metadata makes the response larger than the request was.
        let request = EchoRequest { message: "x".repeat((8 << 20) - 8), ..EchoRequest::default() };
        for method in [ECHO, STREAM_ECHO] {
            let mut call: Call<EchoResponse> = client.begin(method, way).await;
            call.send(&request);
            call.finish_sending();
            assert_eq!(call.end().await.status.code, RESOURCE_EXHAUSTED, "{method} {way:?}");
        }
    }
    let check = HealthCheckRequest { service: "x".repeat(9 << 20) };
    let (_, status) = client.unary::<HealthCheckResponse>(CHECK, &check).await;
    assert_eq!(status.code, RESOURCE_EXHAUSTED, "services of others have the same limit");
}

/// The code of a message beyond a limit.
const RESOURCE_EXHAUSTED: i32 = 8;

const INTERNAL: i32 = 13;

/// The code of DEADLINE_EXCEEDED.
const OVERDUE: i32 = 4;

async fn a_call_that_waits_ends_at_its_deadline() {
    const DEADLINE: Duration = Duration::from_millis(50);
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let timeout = [("grpc-timeout", "50m")];

    let begun = Instant::now();
    let mut watch: Call<HealthCheckResponse> = client.begin(WATCH, &timeout).await;
    watch.send(&HealthCheckRequest::default());
    watch.finish_sending();
    assert!(watch.next().await.is_some(), "the state of the beginning");
    assert_eq!(watch.status().await.code, OVERDUE);
    assert_in_time(begun, DEADLINE);

    let begun = Instant::now();
    let mut stream: Call<EchoResponse> = client.begin(STREAM_ECHO, &timeout).await;
    stream.send(&EchoRequest::default());
    assert!(stream.next().await.is_some());
    assert_eq!(stream.status().await.code, OVERDUE);
    assert_in_time(begun, DEADLINE);

    // A call whose message never comes has no reply that could have begun.
    let begun = Instant::now();
    let unary: Call<EchoResponse> = client.begin(ECHO, &timeout).await;
    assert_eq!(unary.status().await.code, OVERDUE);
    assert_in_time(begun, DEADLINE);

    nothing_is_in_flight(&server).await;
    let (_, status) = client.unary::<EchoResponse>(ECHO, &EchoRequest::default()).await;
    assert_eq!(status.code, 0, "the connection goes on");
}

fn assert_in_time(begun: Instant, deadline: Duration) {
    let elapsed = begun.elapsed();
    assert!((deadline..deadline + Duration::from_secs(10)).contains(&elapsed), "{elapsed:?}");
}

async fn a_deadline_that_does_not_pass_changes_nothing() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for (timeout, way) in ["30S", "1H", "99999999H"].into_iter().flat_map(|text| WAYS.map(|way| (text, way)))
    {
        let metadata = [way, &[("grpc-timeout", timeout)]].concat();
        let (answer, status) =
            client.unary_with::<EchoResponse>(ECHO, &EchoRequest::default(), &metadata).await;
        assert_eq!((answer.is_some(), status.code), (true, 0), "{timeout}");
    }
}

async fn an_invalid_or_zero_grpc_timeout_is_refused() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for (timeout, code) in [("no duration", 3), ("1", 3), ("123456789S", 3), ("-1S", 3), ("0S", OVERDUE)] {
        let metadata = [("grpc-timeout", timeout)];
        for method in [ECHO, STREAM_ECHO, CHECK] {
            let call: Call<EchoResponse> = client.begin(method, &metadata).await;
            let status = call.status().await;
            assert_eq!(status.code, code, "{timeout} {status:?}");
            assert!(
                code == OVERDUE || status.message.starts_with("invalid%20grpc-timeout%20'"),
                "{status:?}"
            );
        }
    }
}

async fn a_message_may_come_in_many_frames() {
    let server = Server::with(&["--grpc-max-message=16M"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let ways = [(ECHO, WAYS[0]), (ECHO, WAYS[1]), (STREAM_ECHO, WAYS[0])];
    for (length, piece) in [(20, 1), (100_000, 999), (8 << 20, 10_000)] {
        let request = EchoRequest { message: "x".repeat(length), ..EchoRequest::default() };
        for (method, way) in ways {
            let mut call: Call<EchoResponse> = client.begin(method, way).await;
            call.send_in_pieces(&request, piece);
            // The stream's answer does not wait for the end of the calls.
            if method == ECHO {
                call.finish_sending();
            }
            assert_eq!(call.next().await.map(|answer| answer.message.len()), Some(length), "{method}");
            if method == STREAM_ECHO {
                call.finish_sending();
            }
            assert_eq!(call.status().await.code, 0, "{method}");
        }
    }
}
