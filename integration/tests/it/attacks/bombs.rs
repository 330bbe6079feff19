//! gRPC: small messages that expand to many times the maximum size.

use contract::{
    echo::{EchoRequest, EchoResponse},
    test::{Metadata, Plan, TestRequest, TestResponse},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use integration::client::{Call, GrpcClient, Http2, Protocol, Request, fetch, framed, gzip};
use prost::Message;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{FEWEST, LITTLE, Scene};
use crate::grpc_calls::{CHECK, ECHO, STREAM_ECHO};

tests!();

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
    let packed = framed(&gzip(&expanded), true);
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

async fn a_grpc_web_message_that_expands_beyond_the_limit_is_refused(protocol: Protocol) {
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
async fn consecutive_bombs_do_not_delay_others() {
    const STREAMS: usize = 8;
    // They fit into the window of a stream and come all together.
    const EACH: usize = 200;
    let scene = Scene::start(&[LIMIT]).await;
    let length = MOST - 1000;
    let messages = bomb(&test(length)).repeat(EACH);
    let mut client = GrpcClient::connect(scene.server.grpc).await;
    let before = *scene.answered.borrow();
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
    let meanwhile = *scene.answered.borrow() - before;
    assert!(meanwhile >= FEWEST, "others were answered {meanwhile} times");
    // All of the streams may be within a message.
    scene.end(3 * LITTLE).await;
}

/// Decoded, entries of two bytes take forty times as much.
async fn a_plan_of_many_entries_is_refused() {
    const INVALID_ARGUMENT: i32 = 3;
    let scene = Scene::start(&["--grpc-max-message=4M"]).await;
    let entry = Plan { headers: vec![Metadata::default()], ..Plan::default() }.encode_to_vec();
    let mut request = Vec::new();
    prost::encoding::bytes::encode(2, &entry.repeat(1 << 20), &mut request);
    // It is the same in several parts.
    let part = request.len();
    prost::encoding::bytes::encode(2, &entry.repeat(1 << 19), &mut request);
    let mut client = GrpcClient::connect(scene.server.grpc).await;
    for (message, compressed) in
        [(&request, false), (&request[..part].to_vec(), false), (&gzip(&request), true)]
    {
        let message = framed(message, compressed);
        for method in CALLS {
            let end = called::<TestResponse>(&mut client, method, &message).await;
            assert_eq!(end, (0, INVALID_ARGUMENT), "{method}");
        }
    }
    // Read whole, a request takes a few times its size.
    scene.end(4 * LITTLE).await;
}

/// A reply is as large as what its request expanded to, and waits as long as the client likes: few may do so
/// concurrently.
async fn memory_of_replies_to_bombs_is_limited() {
    const CALLS: usize = 300;
    let scene = Scene::start(&[LIMIT, "--memory-budget=32M"]).await;
    let message = bomb(&echo(MOST - 1000));
    for method in [ECHO, STREAM_ECHO] {
        let mut builder = h2::client::Builder::new();
        // A streamed reply with no window at all would not even be begun.
        builder.initial_window_size(1).max_concurrent_reset_streams(CALLS);
        let mut client = GrpcClient::on(Http2::connect_with(scene.server.grpc, &builder).await);
        let mut calls: Vec<Call<EchoResponse>> = Vec::new();
        for _ in 0..CALLS {
            let mut call = client.begin(method, &GZIP).await;
            call.send_bytes(&message);
            call.finish_sending();
            calls.push(call);
        }
        let mut ends: FuturesUnordered<_> = calls.into_iter().map(Call::status).collect();
        for _ in 0..CALLS * 3 / 4 {
            let status = ends.next().await.expect("another call");
            assert_eq!(status.code, RESOURCE_EXHAUSTED, "{status:?}");
        }
        drop(ends);
        drop(client);
        scene.only_the_bystander_is_left().await;
        // What they held is given back.
        let mut client = GrpcClient::connect(scene.server.grpc).await;
        assert_eq!(called::<EchoResponse>(&mut client, method, &message).await, (1, 0));
    }
    scene.end(8 * LITTLE).await;
}
