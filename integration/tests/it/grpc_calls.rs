//! gRPC: the echo service, health and reflection.

use std::net::Shutdown;

use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    PATIENCE,
    cases::AndTls,
    client::{
        Call, Client, GrpcClient, Http2, Protocol, Request, framed,
        frames::{END_STREAM, Frames, kind},
        patiently,
    },
    metrics::{IN_FLIGHT, Metrics},
    process::Process,
    server::Server,
    tools::require,
};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

tests!();

pub(crate) const ECHO: &str = "/echo.EchoService/Echo";
pub(crate) const STREAM_ECHO: &str = "/echo.EchoService/StreamEcho";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// How the messages of a call are coded: nothing is said of it, they are as they are, or they may be compressed both ways.
pub(crate) const WAYS: [&[(&str, &str)]; 3] = [
    &[],
    &[("grpc-encoding", "identity")],
    &[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity,gzip")],
];

async fn an_echo_has_every_field(_: AndTls) {
    let server = Server::with(&["--instance=here"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let request = EchoRequest { message: "hello, wörld".to_owned(), timestamp: -42, response_code: 0 };
    let own = [
        ("x-one", "first"),
        ("x-one", "second"),
        ("x-two", "2"),
        ("x-empty", ""),
        ("x-own-bin", "aGk="),
        ("x-unpadded-bin", "aGk"),
        ("x-odd-bin", "AP8"),
        ("x-broken-bin", "?"),
    ];
    for way in WAYS {
        let metadata = [&own[..], way].concat();
        let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, &metadata).await;
        assert_eq!(status.code, 0);
        let mut answer = answer.expect("an answer");
        assert!(answer.response_timestamp > 1_600_000_000_000_000_000, "nanoseconds of this century");
        answer.response_timestamp = 0;
        let common = [
            (":authority", integration::client::HOST),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let own = [
            ("x-one", "first"),
            ("x-two", "2"),
            ("x-empty", ""),
            ("x-own-bin", "hi"),
            ("x-unpadded-bin", "hi"),
            // A string of protobuf is UTF-8.
            ("x-odd-bin", "\0\u{fffd}"),
            ("x-broken-bin", "?"),
        ];
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let expected = EchoResponse {
            message: "hello, wörld".to_owned(),
            request_timestamp: -42,
            response_timestamp: 0,
            server_hostname: "here".to_owned(),
            metadata: common.iter().chain(&own).chain(way).map(pair).collect(),
            method: ECHO.to_owned(),
            response_code: 0,
            number: 0,
        };
        assert_eq!(answer, expected, "{way:?}");
    }
}

async fn grpc_calls_are_served_on_the_main_port_too() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.http).await;
    let request = EchoRequest { message: "hello".to_owned(), timestamp: 42, response_code: 0 };
    let (answer, status) = client.unary::<EchoResponse>(ECHO, &request).await;
    assert_eq!((status.code, answer.expect("an answer").message.as_str()), (0, "hello"));
    let check = HealthCheckRequest { service: String::new() };
    let (answer, _) = client.unary::<HealthCheckResponse>(CHECK, &check).await;
    assert_eq!(answer.expect("an answer").status(), ServingStatus::Serving);
    // The same path with another content type is a request like any other.
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    let echo = client.exchange(Request::post(ECHO, "{}").field("content-type", "application/json")).await;
    assert_eq!((echo.status, echo.json()["body"].as_str()), (200, Some("{}")));
}

async fn a_status_without_messages_is_kept_when_trailers_are_asked_for() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let unknown = HealthCheckRequest { service: "nope".to_owned() };
    for field in [("x-dummy-timing", "all"), ("x-dummy-trailer", "a:b")] {
        let (_, status) = client.unary_with::<HealthCheckResponse>(CHECK, &unknown, &[field]).await;
        assert_eq!(status.code, 5, "{field:?}: {status:?}");
        let request = EchoRequest { message: "fail".to_owned(), timestamp: 0, response_code: 7 };
        let (_, status) = client.unary_with::<EchoResponse>(ECHO, &request, &[field]).await;
        assert_eq!(status.code, 7, "{field:?}: {status:?}");
    }
}

async fn a_coding_that_is_not_spoken_is_refused_by_every_service() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for coding in ["deflate", "zstd"] {
        let field = [("grpc-encoding", coding)];
        let check = HealthCheckRequest { service: String::new() };
        let (_, status) = client.unary_with::<HealthCheckResponse>(CHECK, &check, &field).await;
        assert_eq!(status.code, 12, "{coding}: {status:?}");
        let request = EchoRequest { message: "hello".to_owned(), timestamp: 42, response_code: 0 };
        let (_, status) = client.unary_with::<EchoResponse>(ECHO, &request, &field).await;
        assert_eq!(status.code, 12, "{coding}: {status:?}");
    }
}

async fn a_response_code_becomes_the_status(_: AndTls) {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for (code, way) in (1..=16).flat_map(|code| WAYS.map(|way| (code, way))) {
        let request = EchoRequest { message: "fail".to_owned(), timestamp: 0, response_code: code };
        let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, way).await;
        assert!(answer.is_none());
        assert_eq!(status.code, code);
        assert!(status.message.starts_with("requested%20error:%20"), "{status:?}");
    }
}

async fn an_immediately_failing_call_gets_a_trailers_only_response() {
    let server = Server::start();
    let failing = EchoRequest { response_code: 9, ..EchoRequest::default() };
    let body = framed(&failing.encode_to_vec(), false);
    for (way, method) in WAYS.into_iter().flat_map(|way| [(way, ECHO), (way, "/no.Such/Method")]) {
        let fields = [&[("content-type", "application/grpc"), ("te", "trailers")], way].concat();
        let mut frames = Frames::connect(server.http, &[]).await;
        frames.post(1, method, &fields).await;
        frames.send(kind::DATA, END_STREAM, 1, &body).await;
        let head = patiently("a head", frames.await_frame(kind::HEADERS, 1)).await.unwrap();
        assert!(head.ends(), "{method} {way:?}: clients would miss the status");
    }
}

fn grpcurl_reads_statuses() {
    let Some(grpcurl) = require("grpcurl") else { return };
    let server = Server::start();
    let address = server.http.to_string();
    for (message, said) in
        [(r#"{"response_code": 9}"#, "FailedPrecondition"), (r#"{"message": "x"}"#, "\"x\"")]
    {
        let mut command = std::process::Command::new(&grpcurl);
        command.args(["-plaintext", "-d", message, &address, "echo.EchoService/Echo"]);
        let finished = Process::start(&mut command).finish(PATIENCE).to_string();
        assert!(finished.contains(said), "{finished}");
    }
}

async fn a_stream_answers_each_message_before_the_next(_: AndTls) {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, &[("x-one", "first")]).await;
    for number in 0..100 {
        call.send(&EchoRequest { message: format!("m{number}"), timestamp: number, response_code: 0 });
        let answer = call.next().await.expect("an answer");
        assert_eq!((answer.message, answer.request_timestamp), (format!("m{number}"), number));
        assert_eq!(answer.metadata.get("x-one").map(String::as_str), Some("first"));
        assert_eq!(answer.metadata.get(":authority").map(String::as_str), Some(integration::client::HOST));
        assert_eq!(answer.method, STREAM_ECHO);
    }
    call.finish_sending();
    assert_eq!(call.status().await.code, 0);
}

async fn a_response_code_ends_the_stream() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, &[]).await;
    for response_code in [0, 0, 9] {
        call.send(&EchoRequest { response_code, ..EchoRequest::default() });
    }
    assert!(call.next().await.is_some() && call.next().await.is_some());
    assert_eq!(call.status().await.code, 9);
}

async fn an_unknown_method_is_unimplemented() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for method in
        ["/echo.EchoService/Nothing", "/dummy.v1.TestService/Nothing", "/no.Such/Service", "/", "/x"]
    {
        let (answer, status) = client.unary::<EchoResponse>(method, &EchoRequest::default()).await;
        assert_eq!((answer, status.code), (None, UNIMPLEMENTED), "{method}");
    }
}

async fn health_is_serving(_: AndTls) {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for (service, expected) in [("", 0), ("echo.EchoService", 0), ("dummy.v1.TestService", 0), ("no.Such", 5)]
    {
        let request = HealthCheckRequest { service: service.to_owned() };
        let (answer, status) = client.unary::<HealthCheckResponse>(CHECK, &request).await;
        assert_eq!(status.code, expected, "{service:?}");
        assert_eq!(answer.map(|a| a.status), (expected == 0).then_some(ServingStatus::Serving as i32));
    }
}

async fn a_watch_follows_the_drain() {
    let server = Server::with(&["--drain-delay=300ms"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut watches: Vec<Call<HealthCheckResponse>> = Vec::new();
    for service in ["", "echo.EchoService", "dummy.v1.TestService", "no.Such"] {
        let mut watch = client.begin(WATCH, &[]).await;
        watch.send(&HealthCheckRequest { service: service.to_owned() });
        watch.finish_sending();
        watches.push(watch);
    }
    let mut unknown = watches.pop().expect("there are four");
    assert_eq!(unknown.next().await.expect("a state").status(), ServingStatus::ServiceUnknown);
    for watch in &mut watches {
        assert_eq!(watch.next().await.expect("a state").status(), ServingStatus::Serving);
    }
    server.drain();
    for mut watch in watches {
        assert_eq!(watch.next().await.expect("a state").status(), ServingStatus::NotServing);
        assert_eq!(watch.status().await.code, 0, "it does not hold up the end");
    }
    assert_eq!(unknown.status().await.code, 0);
}

async fn reflection_knows_every_service(_: AndTls) {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.http).await;
    for version in ["v1", "v1alpha"] {
        // The messages of both versions are the same.
        let method = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let mut call: Call<ServerReflectionResponse> = client.begin(&method, &[]).await;
        let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        call.send(&ask(MessageRequest::ListServices(String::new())));
        let answer = call.next().await.expect("an answer").message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
        for name in ["echo.EchoService", "dummy.v1.TestService", "grpc.health.v1.Health"] {
            assert!(names.contains(&name), "{names:?}");
            call.send(&ask(MessageRequest::FileContainingSymbol(name.to_owned())));
            let answer = call.next().await.expect("an answer").message_response;
            let Some(MessageResponse::FileDescriptorResponse(files)) = answer else { panic!("{answer:?}") };
            assert!(!files.file_descriptor_proto.is_empty());
        }
        call.finish_sending();
        assert_eq!(call.status().await.code, 0);
    }
}

const CANCELLED: i32 = 1;
pub(crate) const UNIMPLEMENTED: i32 = 12;

async fn a_call_that_is_cancelled_ends_on_the_server(_: AndTls) {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut stream: Call<EchoResponse> = client.begin(STREAM_ECHO, &[]).await;
    stream.send(&EchoRequest::default());
    assert!(stream.next().await.is_some());
    let mut watch: Call<HealthCheckResponse> = client.begin(WATCH, &[]).await;
    watch.send(&HealthCheckRequest::default());
    watch.finish_sending();
    assert!(watch.next().await.is_some());
    let unary: Call<EchoResponse> = client.begin(ECHO, &[]).await;
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 3).await;
    // What is dropped is reset by the client.
    drop((stream, watch, unary));
    nothing_is_in_flight(&server).await;
    let (_, status) = client.unary::<EchoResponse>(ECHO, &EchoRequest::default()).await;
    assert_eq!(status.code, 0, "the connection goes on");
}

/// A client that has made a call, and another handle of its socket, to close its end with: the settings have been
/// exchanged, and nothing has to be written after the close.
async fn connect_with_handle(server: &Server) -> (GrpcClient, std::net::TcpStream) {
    let socket = TcpStream::connect(server.grpc).await.expect("connected").into_std().expect("a socket");
    let handle = socket.try_clone().expect("another handle");
    let socket = TcpStream::from_std(socket).expect("a socket");
    let connection = Http2::on(socket, &h2::client::Builder::new()).await.expect("a connection");
    let mut client = GrpcClient::on(connection);
    let (_, status) = client.unary::<EchoResponse>(ECHO, &EchoRequest::default()).await;
    assert_eq!(status.code, 0);
    (client, handle)
}

/// The client closes its end of the connection where messages could follow, and still reads how its call ends.
async fn a_call_whose_request_is_cut_off_is_cancelled() {
    let server = Server::start();
    for (method, way) in [STREAM_ECHO, ECHO].into_iter().flat_map(|method| WAYS.map(|way| (method, way))) {
        for (messages, part) in [(1, &b""[..]), (1, b"\0\0\0"), (0, b""), (0, b"\0\0\0\0\x09x")] {
            let (mut client, end) = connect_with_handle(&server).await;
            let mut call: Call<EchoResponse> = client.begin(method, way).await;
            for _ in 0..messages {
                call.send(&EchoRequest::default());
            }
            call.send_bytes(part);
            if method == STREAM_ECHO && messages > 0 {
                assert!(call.next().await.is_some());
            }
            Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1).await;
            end.shutdown(Shutdown::Write).expect("an end");
            let (answers, end) = call.rest().await;
            assert!(answers.is_empty(), "{method} {way:?} {messages} {part:?}: {answers:?}");
            assert_eq!(end.status.code, CANCELLED, "{method} {way:?} {messages} {part:?}: {:?}", end.status);
            assert!(end.status.message.contains("broke%20off"), "{:?}", end.status);
            nothing_is_in_flight(&server).await;
        }
    }
}

/// One that would go on for ever, whose request has no end.
async fn a_watch_whose_request_is_cut_off_is_cancelled() {
    let server = Server::start();
    let (mut client, end) = connect_with_handle(&server).await;
    let mut watch: Call<HealthCheckResponse> = client.begin(WATCH, &[]).await;
    watch.send(&HealthCheckRequest::default());
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1).await;
    end.shutdown(Shutdown::Write).expect("an end");
    let (answers, end) = watch.rest().await;
    assert_eq!((answers.len(), end.status.code), (0, CANCELLED), "{:?}", end.status);
    nothing_is_in_flight(&server).await;
}

pub(crate) async fn nothing_is_in_flight(server: &Server) {
    for gauge in [IN_FLIGHT, "dummy_server_streams_open"] {
        Metrics::until(server.admin, |metrics| metrics.has(gauge) && metrics.sum(gauge, &[]) == 0).await;
    }
}

async fn requests_other_than_grpc_are_refused_on_the_grpc_port() {
    let server = Server::start();
    let mut client = Client::connect(Protocol::Http2, server.grpc).await;
    let typed = |content_type: &str| Request::post(ECHO, "hello").field("content-type", content_type);
    for (request, status) in [
        (typed("text/plain"), 415),
        (typed("application/json"), 415),
        (typed("application/grpcurl"), 415),
        (Request::post(ECHO, "hello"), 415),
        (Request::get("/"), 405),
        (Request::get("/health"), 405),
        (Request::new("GET", ECHO).field("content-type", "application/grpc"), 405),
        (Request::new("PUT", ECHO).field("content-type", "application/grpc-web"), 405),
        (Request::new("OPTIONS", ECHO), 405),
    ] {
        let what = format!("{} {:?}", request.method, request.fields);
        let reply = client.exchange(request).await;
        assert_eq!(reply.status, status, "{what}");
        assert_eq!(reply.field("allow"), (status == 405).then_some("POST"), "{what}");
        assert!(reply.json()["accepted"].is_string() && reply.field("grpc-status").is_none(), "{what}");
    }
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"] {
        let body = framed(&EchoRequest::default().encode_to_vec(), false);
        let reply = client.exchange(Request::post(ECHO, body).field("content-type", content_type)).await;
        assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/grpc")));
        assert_eq!(reply.trailers, [("grpc-status".to_owned(), "0".to_owned())], "{content_type}");
    }
    // On the main port, what is not a call is a request like any other.
    let mut client = Client::connect(Protocol::Http2, server.http).await;
    assert_eq!(client.exchange(typed("application/grpcurl")).await.json()["body"], "hello");
}

async fn http1_is_not_spoken_on_the_grpc_port() {
    let server = Server::start();
    let mut client = Client::connect(Protocol::Http1, server.grpc).await;
    for request in [Request::get("/"), Request::post(ECHO, "some body"), Request::get("/health")] {
        let target = request.target.clone();
        let reply = client.exchange(request).await;
        assert_eq!(reply.status, 505, "{target}");
        assert!(reply.json()["accepted"].is_string(), "{target}: {}", reply.text());
    }
}
