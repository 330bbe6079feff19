//! gRPC: the echo service, health and reflection.

use std::time::{Duration, Instant};

use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    cases::Cases,
    client::{Call, Client, GrpcClient, Protocol, Request},
    metrics::{IN_FLIGHT, Metrics},
    server::Server,
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

pub(crate) fn tests() -> Cases {
    Cases::new()
        .test_async_and_tls(an_echo_has_every_field)
        .test_async_and_tls(a_response_code_becomes_the_status)
        .test_async_and_tls(a_stream_answers_each_message_before_the_next)
        .test_async(a_response_code_ends_the_stream)
        .test_async_and_tls(a_message_beyond_the_limit_is_refused)
        .test_async(an_unknown_method_is_unimplemented)
        .test_async_and_tls(health_is_serving)
        .test_async_and_tls(reflection_lists_the_services)
        .test_async_and_tls(a_call_that_waits_ends_at_its_deadline)
        .test_async(a_deadline_that_does_not_pass_changes_nothing)
        .test_async_and_tls(a_message_may_come_in_many_frames)
        .test_async_and_tls(a_call_that_is_cancelled_ends_on_the_server)
        .test_async(http1_is_not_spoken_on_the_grpc_port)
        .test_async(calls_are_taken_on_the_main_port_too)
}

pub(crate) const ECHO: &str = "/echo.EchoService/Echo";
pub(crate) const STREAM_ECHO: &str = "/echo.EchoService/StreamEcho";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
pub(crate) const WATCH: &str = "/grpc.health.v1.Health/Watch";

async fn an_echo_has_every_field() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let request = EchoRequest { message: "hello".to_owned(), timestamp: 42, response_code: 0 };
    let metadata = [("x-one", "first"), ("x-one", "second"), ("x-two", "2")];
    let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, &metadata).await;
    assert_eq!(status.code, 0);
    let answer = answer.expect("an answer");
    assert_eq!((answer.message.as_str(), answer.request_timestamp), ("hello", 42));
    assert!(answer.response_timestamp > 1_600_000_000_000_000_000, "nanoseconds of this century");
    assert!(!answer.server_hostname.is_empty() && answer.method.contains("Echo"), "{answer:?}");
    assert_eq!(answer.response_code, 0);
    assert_eq!(answer.metadata.get("x-one").map(String::as_str), Some("first"));
    assert_eq!(answer.metadata.get("x-two").map(String::as_str), Some("2"));
}

async fn calls_are_taken_on_the_main_port_too() {
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

async fn a_response_code_becomes_the_status() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for code in 1..=16 {
        let request = EchoRequest { message: "fail".to_owned(), timestamp: 0, response_code: code };
        let (answer, status) = client.unary::<EchoResponse>(ECHO, &request).await;
        assert!(answer.is_none());
        assert_eq!(status.code, code);
    }
}

async fn a_stream_answers_each_message_before_the_next() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, &[("x-one", "first")]).await;
    for number in 0..100 {
        call.send(&EchoRequest { message: format!("m{number}"), timestamp: number, response_code: 0 });
        let answer = call.next().await.expect("an answer");
        assert_eq!((answer.message, answer.request_timestamp), (format!("m{number}"), number));
        assert_eq!(answer.metadata.get("x-one").map(String::as_str), Some("first"));
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

async fn a_message_beyond_the_limit_is_refused() {
    let server = Server::with(&["--grpc-max-message=8M"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    let request = EchoRequest { message: "x".repeat(7 << 20), ..EchoRequest::default() };
    let (answer, status) = client.unary::<EchoResponse>(ECHO, &request).await;
    assert_eq!((answer.map(|a| a.message.len()), status.code), (Some(7 << 20), 0));
    let request = EchoRequest { message: "x".repeat(9 << 20), ..EchoRequest::default() };
    let (answer, status) = client.unary::<EchoResponse>(ECHO, &request).await;
    assert!(answer.is_none());
    assert!(status.code == 11 || status.code == 8, "OUT_OF_RANGE or RESOURCE_EXHAUSTED, not {status:?}");
}

async fn an_unknown_method_is_unimplemented() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for method in ["/echo.EchoService/Nothing", "/no.Such/Service"] {
        let (answer, status) = client.unary::<EchoResponse>(method, &EchoRequest::default()).await;
        assert_eq!((answer, status.code), (None, 12), "{method}");
    }
}

async fn health_is_serving() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    for (service, expected) in [("", 0), ("echo.EchoService", 0), ("no.Such", 5)] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let (answer, status) = client.unary::<HealthCheckResponse>(CHECK, &request).await;
        assert_eq!(status.code, expected, "{service:?}");
        assert_eq!(answer.map(|a| a.status), (expected == 0).then_some(ServingStatus::Serving as i32));
    }
}

async fn reflection_lists_the_services() {
    let server = Server::start();
    let mut client = GrpcClient::connect(server.grpc).await;
    let method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let mut call: Call<ServerReflectionResponse> = client.begin(method, &[]).await;
    call.send(&ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    });
    let answer = call.next().await.expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"echo.EchoService") && names.contains(&"grpc.health.v1.Health"), "{names:?}");
    call.finish_sending();
    assert_eq!(call.status().await.code, 0);
}

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
    for timeout in ["30S", "1H", "99999999H", "no duration"] {
        let metadata = [("grpc-timeout", timeout)];
        let (answer, status) =
            client.unary_with::<EchoResponse>(ECHO, &EchoRequest::default(), &metadata).await;
        assert_eq!((answer.is_some(), status.code), (true, 0), "{timeout}");
    }
}

async fn a_message_may_come_in_many_frames() {
    let server = Server::with(&["--grpc-max-message=16M"]);
    let mut client = GrpcClient::connect(server.grpc).await;
    for (length, piece) in [(20, 1), (100_000, 999), (8 << 20, 10_000)] {
        let request = EchoRequest { message: "x".repeat(length), ..EchoRequest::default() };
        for method in [ECHO, STREAM_ECHO] {
            let mut call: Call<EchoResponse> = client.begin(method, &[]).await;
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

async fn a_call_that_is_cancelled_ends_on_the_server() {
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

async fn nothing_is_in_flight(server: &Server) {
    for gauge in [IN_FLIGHT, "dummy_server_streams_open"] {
        Metrics::until(server.admin, |metrics| metrics.has(gauge) && metrics.sum(gauge, &[]) == 0).await;
    }
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
