//! gRPC: small messages that expand to many times the largest that is taken.

use contract::{
    echo::{EchoRequest, EchoResponse},
    test::{TestRequest, TestResponse},
};
use integration::{
    cases::Cases,
    client::{Call, GrpcClient, Protocol, Request, fetch, framed, gzip},
};
use prost::Message;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{LITTLE, Scene};
use crate::calls::{CHECK, ECHO, STREAM_ECHO};

pub(crate) fn tests() -> Cases {
    Cases::new()
        .test_async(a_small_message_that_expands_beyond_the_limit_is_refused)
        .over_each_protocol(so_it_is_when_it_comes_from_a_browser)
        .test_async(bombs_one_after_another_hold_up_nobody)
}

const RESOURCE_EXHAUSTED: i32 = 8;
const GZIP: [(&str, &str); 1] = [("grpc-encoding", "gzip")];

/// The largest message that the servers here take.
const MOST: usize = 1 << 20;
const LIMIT: &str = "--grpc-max-message=1M";
/// What bombs expand to; all of it would be more than an attack may take.
const EXPANDED: usize = 64 << 20;

const CALLS: [&str; 4] = [
    "/dummy.v1.TestService/Unary",
    "/dummy.v1.TestService/ClientStream",
    "/dummy.v1.TestService/ServerStream",
    "/dummy.v1.TestService/BidiStream",
];

fn echo(length: usize) -> EchoRequest {
    EchoRequest { message: "x".repeat(length), ..EchoRequest::default() }
}

fn test(length: usize) -> TestRequest {
    TestRequest { payload: vec![7; length].into(), plan: None }
}

/// The message in gzip with its prefix, and how many times its size it expands to.
fn bomb(message: &impl Message) -> Vec<u8> {
    let expanded = message.encode_to_vec();
    let packed = framed(&gzip(&expanded), 1);
    assert!(packed.len() * 500 < expanded.len(), "{} bytes of {}", packed.len(), expanded.len());
    packed
}

/// The status of a call of one message, and how many answers came before it.
async fn called<Answer: Message + Default>(
    client: &mut GrpcClient,
    method: &str,
    message: &[u8],
) -> (usize, i32) {
    let mut call: Call<Answer> = client.begin(method, &GZIP).await;
    call.send_bytes(message);
    call.finish_sending();
    let (answers, end) = call.rest().await;
    (answers.len(), end.status.code)
}

async fn a_small_message_that_expands_beyond_the_limit_is_refused() {
    let scene = Scene::start(&[LIMIT]).await;
    let (fits, goes_off) = (MOST - 1000, EXPANDED);
    for address in [scene.server.http, scene.server.grpc] {
        let mut client = GrpcClient::connect(address).await;
        for (length, end) in [(fits, (1, 0)), (goes_off, (0, RESOURCE_EXHAUSTED)), (fits, (1, 0))] {
            let message = bomb(&echo(length));
            for method in [ECHO, STREAM_ECHO] {
                assert_eq!(called::<EchoResponse>(&mut client, method, &message).await, end, "{method}");
            }
            let message = bomb(&test(length));
            for method in CALLS {
                assert_eq!(called::<TestResponse>(&mut client, method, &message).await, end, "{method}");
            }
        }
        let service = "x".repeat(goes_off);
        let message = bomb(&HealthCheckRequest { service });
        let end = called::<HealthCheckResponse>(&mut client, CHECK, &message).await;
        assert_eq!(end, (0, RESOURCE_EXHAUSTED));
    }
    scene.end(2 * LITTLE).await;
}

async fn so_it_is_when_it_comes_from_a_browser(protocol: Protocol) {
    let scene = Scene::start(&[LIMIT]).await;
    for (method, message) in [(ECHO, bomb(&echo(EXPANDED))), (CALLS[0], bomb(&test(EXPANDED)))] {
        let call = Request::post(method, message)
            .field("content-type", "application/grpc-web")
            .field("grpc-encoding", "gzip");
        let reply = fetch(protocol, scene.server.http, call).await;
        assert_eq!(reply.field("grpc-status"), Some(RESOURCE_EXHAUSTED.to_string().as_str()), "{method}");
    }
    scene.end(2 * LITTLE).await;
}

/// Each of them is taken, and costs as much as one that is not.
async fn bombs_one_after_another_hold_up_nobody() {
    const STREAMS: usize = 8;
    const EACH: usize = 64;
    let scene = Scene::start(&[LIMIT]).await;
    let length = MOST - 1000;
    let messages = bomb(&test(length)).repeat(EACH);
    let mut client = GrpcClient::connect(scene.server.grpc).await;
    let mut calls: Vec<Call<TestResponse>> = Vec::new();
    for _ in 0..STREAMS {
        let mut call = client.begin(CALLS[1], &GZIP).await;
        call.send_bytes(&messages);
        call.finish_sending();
        calls.push(call);
    }
    for call in calls {
        let (answers, end) = call.rest().await;
        assert_eq!((answers.len(), end.status.code), (1, 0));
        assert_eq!(answers[0].request_bytes, (EACH * length) as u64);
    }
    scene.end(2 * LITTLE).await;
}
