//! gRPC-Web: calls as browsers make them, over HTTP/1.1 and HTTP/2.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use contract::{
    echo::{EchoRequest, EchoResponse},
    pattern,
    test::{Metadata, Plan, PlannedStatus, TestRequest, TestResponse},
};
use grpc::web::Frame;
use integration::{
    client::{Client, Exchange, Protocol, Request, framed, gzip},
    server::Server,
};
use prost::Message;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc_calls::{CHECK, ECHO};

tests!();

const SERVER_STREAM: &str = "/dummy.v1.TestService/ServerStream";
const FORMS: [&str; 5] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
    "application/grpc-web-text; charset=utf-8",
];

fn is_text(form: &str) -> bool {
    form.contains("-text")
}

fn request(form: &str, method: &str, message: &impl Message) -> Request {
    let body = framed(&message.encode_to_vec(), false);
    let body = if is_text(form) { STANDARD.encode(body).into_bytes() } else { body };
    Request::post(method, body).field("content-type", form).field("x-grpc-web", "1")
}

/// The messages of a reply, and its trailers.
fn read<Answer: Message + Default>(form: &str, reply: &Exchange) -> (Vec<Answer>, Vec<String>) {
    assert_eq!(reply.status, 200);
    let expected = format!("application/grpc-web{}+proto", if is_text(form) { "-text" } else { "" });
    assert_eq!(reply.field("content-type"), Some(expected.as_str()));
    assert!(reply.trailers.is_empty(), "browsers can't see them");
    let body = if is_text(form) { decode(reply.text()) } else { reply.body.clone() };
    let (mut messages, mut trailers, mut rest) = (Vec::new(), Vec::new(), &body[..]);
    while let Some(frame) = Frame::read(&mut rest).expect("a frame") {
        assert!(trailers.is_empty(), "the trailers come last");
        match frame {
            Frame::Message { compressed, content } => {
                assert!(!compressed, "no browser expands it");
                messages.push(Answer::decode(content).expect("a message"));
            }
            Frame::Trailers(lines) => {
                let text = std::str::from_utf8(lines).expect("text");
                trailers.extend(text.split_terminator("\r\n").map(str::to_owned));
            }
        }
    }
    assert!(rest.is_empty(), "the last frame is whole");
    (messages, trailers)
}

/// Base64 that may be padded wherever the server has flushed.
fn decode(text: &str) -> Vec<u8> {
    let group = |group: &[u8]| STANDARD.decode(group).expect("base64");
    assert_eq!(text.len() % 4, 0);
    text.as_bytes().chunks(4).flat_map(group).collect()
}

async fn a_grpc_web_call_is_answered_in_binary_and_text(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let echo = EchoRequest { message: "hello".to_owned(), timestamp: 42, response_code: 0 };
    for form in FORMS {
        let reply = client.exchange(request(form, ECHO, &echo).field("x-own", "here")).await;
        let (messages, trailers) = read::<EchoResponse>(form, &reply);
        assert_eq!((messages.len(), messages[0].message.as_str()), (1, "hello"), "{form}");
        for (key, value) in [("x-own", "here"), (":authority", integration::client::HOST)] {
            assert_eq!(messages[0].metadata.get(key).map(String::as_str), Some(value));
        }
        assert_eq!(trailers, ["grpc-status: 0"]);
        let reply = client.exchange(request(form, CHECK, &HealthCheckRequest::default())).await;
        let (messages, trailers) = read::<HealthCheckResponse>(form, &reply);
        assert_eq!((messages[0].status, trailers), (1, vec!["grpc-status: 0".to_owned()]), "{form}");
    }
}

async fn streams_of_responses_end_with_a_frame_of_trailers(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (form, size) in FORMS.into_iter().flat_map(|form| [(form, 10), (form, 100_000)]) {
        let plan = Plan {
            count: Some(7),
            size,
            interval_ms: 1,
            status: Some(PlannedStatus {
                code: 8,
                message: "no more".to_owned(),
                after: Some(5),
                ..Default::default()
            }),
            headers: vec![Metadata { name: "x-own".to_owned(), text: "h".to_owned(), binary: Bytes::new() }],
            trailers: vec![Metadata { name: "x-own".to_owned(), text: "t".to_owned(), binary: Bytes::new() }],
            ..Plan::default()
        };
        let message = TestRequest { plan: Some(plan), payload: Bytes::new() };
        let reply = client.exchange(request(form, SERVER_STREAM, &message)).await;
        assert_eq!(reply.field("x-own"), Some("h"));
        let (messages, trailers) = read::<TestResponse>(form, &reply);
        assert_eq!(messages.len(), 5);
        for message in messages {
            assert_eq!(message.payload.len() as u64, size);
            assert_eq!(pattern::verify(0, &message.payload), Ok(()));
        }
        assert_eq!(trailers, ["grpc-status: 8", "grpc-message: no%20more", "x-own: t"], "{form}");
    }
}

async fn an_immediately_failing_call_has_its_status_in_the_header(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let failing = EchoRequest { response_code: 9, ..EchoRequest::default() };
    for form in FORMS {
        for (method, code) in [(ECHO, "9"), ("/no.Such/Method", "12")] {
            let reply = client.exchange(request(form, method, &failing)).await;
            let (messages, trailers) = read::<EchoResponse>(form, &reply);
            assert!(messages.is_empty() && trailers.is_empty(), "{form}");
            assert_eq!(reply.field("grpc-status"), Some(code), "{form} {method}");
            assert!(reply.field("grpc-message").is_some());
        }
    }
}

async fn grpc_web_is_allowed_from_other_origins(protocol: Protocol) {
    let server = Server::start();
    for address in [server.http, server.grpc] {
        is_let_in(Client::connect(protocol, address).await).await;
    }
    // OPTIONS without the question is an echo as ever.
    let mut client = Client::connect(protocol, server.http).await;
    let reply = client.exchange(Request::new("OPTIONS", "/").field("origin", "http://page.test")).await;
    assert_eq!((reply.status, reply.json()["method"].as_str()), (200, Some("OPTIONS")));
}

async fn is_let_in(mut client: Client) {
    let asked = "content-type,x-grpc-web,x-own";
    let preflight = Request::new("OPTIONS", ECHO)
        .field("origin", "http://page.test")
        .field("access-control-request-method", "POST")
        .field("access-control-request-headers", asked);
    let reply = client.exchange(preflight).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.field("access-control-allow-origin"), Some("http://page.test"));
    assert_eq!(reply.field("access-control-allow-methods"), Some("POST"));
    assert_eq!(reply.field("access-control-allow-headers"), Some(asked));
    let echo = request(FORMS[0], ECHO, &EchoRequest::default()).field("origin", "http://page.test");
    let reply = client.exchange(echo).await;
    assert_eq!(reply.field("access-control-allow-origin"), Some("http://page.test"));
    let exposed = reply.field("access-control-expose-headers").expect("a list");
    assert!(exposed.contains("grpc-status") && exposed.contains("grpc-message"), "{exposed}");
    // Without an origin there is nothing to allow.
    let reply = client.exchange(request(FORMS[0], ECHO, &EchoRequest::default())).await;
    assert_eq!(reply.field("access-control-allow-origin"), None);
}

async fn malformed_grpc_web_requests_are_refused(protocol: Protocol) {
    let server = Server::with(&["--grpc-max-message=10K"]);
    let mut client = Client::connect(protocol, server.http).await;
    let large = EchoRequest { message: "x".repeat(20_000), ..EchoRequest::default() };
    let of = |form: &str, body: &[u8]| Request::post(ECHO, body).field("content-type", form);
    for (request, code) in [
        (of(FORMS[0], b""), "13"),
        (of(FORMS[2], b""), "13"),
        (of(FORMS[2], b"!!!!"), "13"),
        (of(FORMS[2], b"AAAAA"), "13"),
        (of(FORMS[0], b"\0\0\0\0\x09x"), "13"),
        (request(FORMS[0], ECHO, &large), "8"),
        (request(FORMS[2], ECHO, &large), "8"),
    ] {
        let reply = client.exchange(request.clone()).await;
        let status = reply.field("grpc-status");
        assert_eq!(status, Some(code), "{:?}: {:?}", reply.field("grpc-message"), request.fields);
        // What is beyond the limit is not read, and would stand where the next request would.
        client = Client::connect(protocol, server.http).await;
    }
}

async fn messages_may_be_compressed(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let echo = EchoRequest { message: "x".repeat(1000), ..EchoRequest::default() };
    let body = framed(&gzip(&echo.encode_to_vec()), true);
    let request = Request::post(ECHO, body).field("content-type", FORMS[0]).field("grpc-encoding", "gzip");
    let (messages, trailers) = read::<EchoResponse>(FORMS[0], &client.exchange(request).await);
    assert_eq!(messages[0].message, echo.message);
    assert_eq!(trailers, ["grpc-status: 0"]);
}

async fn grpc_timeout_ends_grpc_web_calls(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    let ask =
        |plan| request(FORMS[0], SERVER_STREAM, &TestRequest { plan: Some(plan), payload: Bytes::new() });
    let never = ask(Plan { never: true, ..Plan::default() }).field("grpc-timeout", "50m");
    assert_eq!(client.exchange(never).await.field("grpc-status"), Some("4"));
    let slow = Plan { count: Some(9), interval_ms: 3_600_000, ..Plan::default() };
    let reply = client.exchange(ask(slow).field("grpc-timeout", "50m")).await;
    let (messages, trailers) = read::<TestResponse>(FORMS[0], &reply);
    assert_eq!(messages.len(), 1);
    assert!(trailers[0] == "grpc-status: 4", "{trailers:?}");
}
