//! gRPC: the echo service, health and reflection.

use contract::echo::{EchoRequest, EchoResponse};
use integration::{
    cases::Cases,
    client::{Call, GrpcClient},
    server::Server,
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

pub(crate) fn tests() -> Cases {
    Cases::new()
        .test_async(an_echo_has_every_field)
        .test_async(a_response_code_becomes_the_status)
        .test_async(a_stream_answers_each_message_before_the_next)
        .test_async(a_response_code_ends_the_stream)
        .test_async(a_message_beyond_the_limit_is_refused)
        .test_async(an_unknown_method_is_unimplemented)
        .test_async(health_is_serving)
        .test_async(reflection_lists_the_services)
}

pub(crate) const ECHO: &str = "/echo.EchoService/Echo";
pub(crate) const STREAM_ECHO: &str = "/echo.EchoService/StreamEcho";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";

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
