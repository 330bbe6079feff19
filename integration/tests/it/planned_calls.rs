//! gRPC: `dummy.v1.TestService`, whose replies are what the caller asks for.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use contract::{
    pattern,
    test::{Metadata, Plan, PlannedStatus, TestRequest, TestResponse},
};
use integration::{
    PATIENCE,
    client::{Call, End, GrpcClient},
    process::Process,
    server::Server,
    tools::require,
};
use prost::Message as _;
use prost_types::Any;

tests!();

pub(crate) const KINDS: [&str; 4] = ["Unary", "ClientStream", "ServerStream", "BidiStream"];
pub(crate) const STREAMS: [&str; 2] = ["ServerStream", "BidiStream"];

const INVALID_ARGUMENT: i32 = 3;

fn path(kind: &str) -> String {
    format!("/dummy.v1.TestService/{kind}")
}

/// A call with its first request.
pub(crate) async fn begin(
    client: &mut GrpcClient,
    kind: &str,
    plan: Plan,
    metadata: &[(&str, &str)],
) -> Call<TestResponse> {
    let mut call = client.begin(&path(kind), metadata).await;
    call.send(&TestRequest { plan: Some(plan), payload: Bytes::new() });
    call
}

/// A call of one request, to its end.
pub(crate) async fn ask(client: &mut GrpcClient, kind: &str, plan: Plan) -> (Vec<TestResponse>, End) {
    let mut call = begin(client, kind, plan, &[]).await;
    call.finish_sending();
    call.rest().await
}

pub(crate) async fn start() -> (Server, GrpcClient) {
    let server = Server::start();
    let client = GrpcClient::connect(server.grpc).await;
    (server, client)
}

async fn a_call_without_a_plan_has_one_response() {
    let server = Server::with(&["--instance=here"]);
    for address in [server.grpc, server.http] {
        let mut client = GrpcClient::connect(address).await;
        for kind in KINDS {
            let mut call: Call<TestResponse> = client.begin(&path(kind), &[]).await;
            call.send(&TestRequest::default());
            call.finish_sending();
            let (responses, end) = call.rest().await;
            let expected = TestResponse {
                number: 1,
                requests: 1,
                instance: "here".to_owned(),
                ..TestResponse::default()
            };
            assert_eq!((responses, end.status.code), (vec![expected], 0), "{kind}");
            assert_eq!(end.trailers.len(), 1, "{end:?}");
        }
    }
}

async fn requests_and_their_bytes_are_counted() {
    let (_server, mut client) = start().await;
    let payload = Bytes::from_static(&[7; 1000]);
    for count in [0, 1, 100] {
        let mut call: Call<TestResponse> = client.begin(&path("ClientStream"), &[]).await;
        for _ in 0..count {
            call.send(&TestRequest { payload: payload.clone(), plan: None });
        }
        call.finish_sending();
        let (responses, end) = call.rest().await;
        assert_eq!((responses.len(), end.status.code), (1, 0));
        assert_eq!((responses[0].requests, responses[0].request_bytes), (count, count * 1000));
    }
    // Without a request there is nothing to respond to, or no call at all.
    for (kind, code) in [("BidiStream", 0), ("Unary", 13), ("ServerStream", 13)] {
        let mut call: Call<TestResponse> = client.begin(&path(kind), &[]).await;
        call.finish_sending();
        assert_eq!(call.status().await.code, code, "{kind}");
    }
    for kind in ["Unary", "ServerStream"] {
        let mut call = begin(&mut client, kind, Plan::default(), &[]).await;
        call.send(&TestRequest::default());
        call.finish_sending();
        assert_eq!(call.status().await.code, 13, "{kind} has one request");
    }
}

async fn payloads_are_the_pattern() {
    let (_server, mut client) = start().await;
    for size in [1, 36, 1000, 4096, 4097, 65_536, 300_000, 5 << 20] {
        for kind in KINDS {
            let (responses, end) = ask(&mut client, kind, Plan { size, ..Plan::default() }).await;
            assert_eq!((responses.len(), end.status.code), (1, 0));
            assert_eq!(responses[0].payload.len() as u64, size, "{kind}");
            assert_eq!(pattern::verify(0, &responses[0].payload), Ok(()));
        }
    }
}

async fn a_response_of_the_largest_size_is_sent() {
    let server = Server::with(&["--grpc-max-message=1M", &format!("--instance={}", "i".repeat(256))]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let size = (1 << 20) - 512;
    let (responses, end) = ask(&mut client, "Unary", Plan { size, ..Plan::default() }).await;
    assert_eq!(end.status.code, 0);
    assert!(responses[0].encoded_len() <= 1 << 20);
    let (_, end) = ask(&mut client, "Unary", Plan { size: size + 1, ..Plan::default() }).await;
    assert_eq!(end.status.code, INVALID_ARGUMENT);
}

async fn streams_have_as_many_responses_as_planned() {
    let (_server, mut client) = start().await;
    for kind in STREAMS {
        for (count, size) in [(0, 0), (1, 0), (1000, 10), (20, 100_000)] {
            let plan = Plan { count: Some(count), size, ..Plan::default() };
            let (responses, end) = ask(&mut client, kind, plan).await;
            assert_eq!((responses.len() as u64, end.status.code), (count, 0), "{kind}");
            let numbers: Vec<u64> = responses.iter().map(|response| response.number).collect();
            assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
            assert!(responses.iter().all(|response| response.payload.len() as u64 == size));
        }
    }
}

async fn a_response_comes_before_the_next_request() {
    let (_server, mut client) = start().await;
    let plan = Plan { count: Some(3), ..Plan::default() };
    let mut call = begin(&mut client, "BidiStream", plan, &[]).await;
    for request in 1..=20 {
        for response in 1..=3 {
            let found = call.next().await.expect("a response");
            assert_eq!((found.requests, found.number), (request, (request - 1) * 3 + response));
        }
        call.send(&TestRequest::default());
    }
    call.finish_sending();
    assert_eq!(call.rest().await.0.len(), 3);
}

fn planned(code: i32, after: Option<u64>) -> Option<PlannedStatus> {
    Some(PlannedStatus { code, message: "as planned: 100%".to_owned(), details: Vec::new(), after })
}

async fn a_status_comes_with_message_and_details() {
    let (_server, mut client) = start().await;
    let details = vec![
        Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(), value: vec![10, 1, b'x'] },
        Any { type_url: "example.com/Anything".to_owned(), value: vec![0xff; 300] },
    ];
    for (kind, code) in KINDS.into_iter().flat_map(|kind| (0..=16).map(move |code| (kind, code))) {
        let status = PlannedStatus { details: details.clone(), ..planned(code, None).unwrap() };
        let (responses, end) = ask(&mut client, kind, Plan { status: Some(status), ..Plan::default() }).await;
        assert!(responses.is_empty());
        assert_eq!(
            (end.status.code, end.status.message.as_str()),
            (code, "as%20planned:%20100%25"),
            "{kind}"
        );
        let sent = end.trailer("grpc-status-details-bin").expect("details");
        let sent = STANDARD_NO_PAD.decode(sent).expect("base64 without padding");
        let sent = tonic_types::Status::decode(&sent[..]).expect("google.rpc.Status");
        assert_eq!((sent.code, sent.message.as_str()), (code, "as planned: 100%"));
        assert_eq!(sent.details, details);
    }
}

async fn a_status_may_end_a_stream_early() {
    let (_server, mut client) = start().await;
    for kind in STREAMS {
        for after in [0, 1, 7, 10, 99] {
            let plan = Plan { count: Some(10), status: planned(8, Some(after)), ..Plan::default() };
            let (responses, end) = ask(&mut client, kind, plan).await;
            assert_eq!((responses.len() as u64, end.status.code), (after.min(10), 8), "{kind} {after}");
        }
    }
    // A response and an error, which no client expects of a call with one response.
    let plan = Plan { status: planned(8, Some(1)), ..Plan::default() };
    let (responses, end) = ask(&mut client, "Unary", plan).await;
    assert_eq!((responses.len(), end.status.code), (1, 8));
}

fn text(name: &str, text: &str) -> Metadata {
    Metadata { name: name.to_owned(), text: text.to_owned(), binary: Bytes::new() }
}

async fn metadata_is_sent_as_headers_and_trailers() {
    let (_server, mut client) = start().await;
    let binary =
        Metadata { name: "a-bin".to_owned(), binary: Bytes::from_static(b"\0\xff"), text: String::new() };
    let of = |fields: &[(String, String)]| -> Vec<String> {
        let own = fields.iter().filter(|(name, _)| name.starts_with("x-own") || name.ends_with("-bin"));
        own.map(|(name, value)| format!("{name}={value}")).collect()
    };
    for (kind, status) in KINDS.into_iter().flat_map(|kind| [(kind, None), (kind, planned(5, None))]) {
        let code = status.as_ref().map_or(0, |status| status.code);
        let plan = Plan {
            headers: vec![text("x-own-h", "1"), binary.clone(), text("x-own-h", "two words")],
            trailers: vec![binary.clone(), text("x-own-t", "")],
            status,
            ..Plan::default()
        };
        let (_, end) = ask(&mut client, kind, plan).await;
        assert_eq!(end.status.code, code);
        assert_eq!(of(&end.headers), ["x-own-h=1", "x-own-h=two words", "a-bin=AP8"], "{kind}");
        assert_eq!(of(&end.trailers), ["a-bin=AP8", "x-own-t="], "{kind}");
    }
    // More than a frame holds.
    let many: Vec<Metadata> = (0..60).map(|n| text(&format!("x-own-{n}"), &"v".repeat(250))).collect();
    let plan = Plan { headers: many.clone(), trailers: many, ..Plan::default() };
    let (_, end) = ask(&mut client, "Unary", plan).await;
    assert_eq!((of(&end.headers).len(), of(&end.trailers).len()), (60, 60));
}

async fn an_invalid_plan_is_refused() {
    let (_server, mut client) = start().await;
    for (kind, field, plan) in [
        ("Unary", "plan.count:", Plan { count: Some(2), ..Plan::default() }),
        ("ClientStream", "plan.count:", Plan { count: Some(0), ..Plan::default() }),
        ("BidiStream", "plan.count:", Plan { count: Some(u64::MAX), ..Plan::default() }),
        ("ServerStream", "plan.size:", Plan { size: 10 << 20, ..Plan::default() }),
        ("Unary", "plan.delay_ms:", Plan { delay_ms: 3_600_001, ..Plan::default() }),
        ("Unary", "plan.status.code:", Plan { status: planned(17, None), ..Plan::default() }),
        ("Unary", "plan.headers[0].name:", Plan { headers: vec![text("te", "x")], ..Plan::default() }),
        ("Unary", "plan.trailers[0].text:", Plan { trailers: vec![text("x", "\u{e9}")], ..Plan::default() }),
    ] {
        let (responses, end) = ask(&mut client, kind, plan).await;
        assert!(responses.is_empty());
        assert_eq!(end.status.code, INVALID_ARGUMENT, "{field}");
        let message = end.status.message.replace("%20", " ");
        assert!(message.starts_with(field) && message.contains("accepted is"), "{message}");
    }
}

async fn a_plan_in_a_later_request_is_refused() {
    let (_server, mut client) = start().await;
    for kind in ["ClientStream", "BidiStream"] {
        let mut call = begin(&mut client, kind, Plan::default(), &[]).await;
        call.send(&TestRequest { plan: Some(Plan::default()), ..TestRequest::default() });
        let (_, end) = call.rest().await;
        assert_eq!(end.status.code, INVALID_ARGUMENT, "{kind}");
        assert!(end.status.message.starts_with("plan:"), "{end:?}");
    }
}

async fn messages_are_compressed_as_announced() {
    let (_server, mut client) = start().await;
    let payload = Bytes::from_static(&[7; 100_000]);
    let plan = Plan { size: 100_000, ..Plan::default() };
    let request = TestRequest { payload, plan: Some(plan) };
    for kind in KINDS {
        for (gzip, metadata) in [
            (0, &[("grpc-encoding", "gzip")][..]),
            (1, &[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")]),
        ] {
            let mut call: Call<TestResponse> = client.begin(&path(kind), metadata).await;
            call.send_compressed(&request);
            call.finish_sending();
            let (responses, end) = call.rest().await;
            assert_eq!((end.status.code, end.compressed, responses.len()), (0, gzip, 1), "{kind}");
            assert_eq!(responses[0].request_bytes, 100_000);
            assert_eq!(pattern::verify(0, &responses[0].payload), Ok(()));
            assert_eq!(end.header("grpc-encoding"), (gzip == 1).then_some("gzip"));
        }
        let mut call: Call<TestResponse> = client.begin(&path(kind), &[("grpc-encoding", "br")]).await;
        call.send(&TestRequest::default());
        let end = call.end().await;
        assert_eq!(end.status.code, 12, "{kind}");
        assert_eq!(end.header("grpc-accept-encoding"), Some("identity,gzip"));
    }
}

fn grpcurl_calls_every_kind() {
    let Some(grpcurl) = require("grpcurl") else { return };
    let server = Server::start();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&grpcurl);
        command.arg("-plaintext").args(arguments);
        Process::start(&mut command).finish(PATIENCE)
    };
    let address = server.http.to_string();
    let plan = r#"{"plan": {"size": 5, "headers": [{"name": "x-own", "text": "here"}]}}"#;
    for kind in KINDS {
        let method = format!("dummy.v1.TestService/{kind}");
        let finished = run(&["-v", "-d", plan, &address, &method]);
        assert_eq!(finished.code, Some(0), "{finished}");
        let said = finished.to_string();
        assert!(said.contains("QUJDREU=") && said.contains("x-own: here"), "{said}");
    }
    let plan = r#"{"plan": {"status": {"code": 8, "message": "no more", "details":
        [{"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}]}}}"#;
    let finished = run(&["-d", plan, &address, "dummy.v1.TestService/Unary"]);
    let said = finished.to_string();
    assert!(said.contains("ResourceExhausted") && said.contains("no more") && said.contains("3s"), "{said}");
    let said = run(&["-plaintext", &address, "list"]).to_string();
    assert!(said.contains("dummy.v1.TestService"), "{said}");
}
