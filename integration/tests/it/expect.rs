//! `Expect: 100-continue` (RFC 9110 section 10.1.1): 100 is sent when the body is wanted, and to no client that has
//! sent it already or could not understand.

use std::future::poll_fn;

use bytes::Bytes;
use integration::{
    cases::AndTls,
    client::{Client, Http1, Http2, Line, Protocol, Request, patiently},
    metrics::{Metrics, RECEIVED},
    server::Server,
};
use serde_json::{Value, json};

tests!();

const BODY: &[u8] = b"body";

/// Sends a head that expects 100, and the body when 100 has arrived: the final reply.
async fn expecting(protocol: Protocol, server: &Server, target: &str) -> (u16, Value) {
    let length = BODY.len().to_string();
    let request =
        Request::new("POST", target).field("expect", "100-continue").field("content-length", &length);
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            client.send(&Line::of(&request)).await;
            let interim = patiently("100 (Continue)", client.head()).await.unwrap();
            assert_eq!((interim.status, interim.fields.len()), (100, 0), "{target}");
            client.send(BODY).await;
            let reply = patiently("a reply", client.reply("POST")).await.unwrap();
            assert_eq!(reply.field("connection"), None, "{target}: the connection goes on");
            (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (mut response, mut body) = client.open(&request, false).await.unwrap();
            let interim = patiently("100 (Continue)", poll_fn(|cx| response.poll_informational(cx))).await;
            let interim = interim.expect("an informational reply").unwrap();
            assert_eq!((interim.status().as_u16(), interim.headers().len()), (100, 0), "{target}");
            body.send_data(Bytes::from_static(BODY), true).unwrap();
            let reply = patiently("a reply", Http2::read(response)).await.unwrap();
            (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
        }
    }
}

async fn continue_is_sent_wherever_a_body_is_read(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    for target in ["/upload", "/", "/delay/1", "/status/404", "/bin/10", "/health", "/nousage", "/status/bad"]
    {
        let (status, reply) = expecting(protocol, &server, target).await;
        let expected = match target {
            "/status/404" => 404,
            "/status/bad" => 400,
            _ => 200,
        };
        assert_eq!(status, expected, "{target}");
        if target == "/upload" {
            assert_eq!(reply["bytes_received"], json!(BODY.len()));
        }
    }
}

async fn a_slow_reader_sends_continue_before_it_waits(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    // It waits between two pieces, for an hour, and there is one.
    let (status, reply) = expecting(protocol, &server, "/delay/0/3600000").await;
    assert_eq!((status, &reply["body_size"]), (200, &json!(BODY.len())));
}

async fn continue_is_not_sent_without_an_expect_field(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    match protocol {
        Protocol::Http1 => {
            let mut client = Http1::connect(server.http).await;
            head_then_body(&server, &mut client, "POST /upload HTTP/1.1\r\nHost: x\r\n").await;
        }
        Protocol::Http2 => {
            let mut client = Http2::connect(server.http).await;
            let (mut response, mut body) =
                client.open(&Request::new("POST", "/upload"), false).await.unwrap();
            // The server answers another request after it has read this one's head.
            assert_eq!(patiently("a reply", exchange(&mut client, "/health")).await, 200);
            body.send_data(Bytes::from_static(BODY), true).unwrap();
            let interim = patiently("a reply", poll_fn(|cx| response.poll_informational(cx))).await;
            assert!(interim.is_none(), "{interim:?}");
            assert_eq!(patiently("a reply", response).await.unwrap().status(), 200);
        }
    }
}

async fn continue_is_not_sent_once_the_body_has_arrived() {
    let server = Server::start();
    for body in [
        "Content-Length: 4\r\n\r\nbody",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "Content-Length: 0\r\n\r\n",
        "\r\n",
    ] {
        let mut client = Http1::connect(server.http).await;
        let request = format!("POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{body}");
        client.send(request.as_bytes()).await;
        assert_eq!(patiently("a head", client.head()).await.unwrap().status, 200, "{body}");
    }
}

async fn continue_is_not_sent_in_http_1_0() {
    let server = Server::start();
    let mut client = Http1::connect(server.http).await;
    head_then_body(&server, &mut client, "POST /upload HTTP/1.0\r\nExpect: 100-continue\r\n").await;
}

/// Sends a head, the body once the server has read that, and asserts that the first head in reply is the final.
async fn head_then_body(server: &Server, client: &mut Http1, head: &str) {
    let head = format!("{head}Content-Length: {}\r\n\r\n", BODY.len());
    let before = server.metrics().await.sum(RECEIVED, &[]);
    client.send(head.as_bytes()).await;
    Metrics::until(server.admin, |metrics| metrics.sum(RECEIVED, &[]) >= before + head.len() as u64).await;
    // The worker is done with what it has read when it has answered somebody else.
    assert_eq!(Client::connect(Protocol::Http1, server.http).await.get("/health").await.status, 200);
    client.send(BODY).await;
    assert_eq!(patiently("a head", client.head()).await.unwrap().status, 200);
}

async fn exchange(client: &mut Http2, target: &str) -> u16 {
    let (response, _) = client.open(&Request::get(target), true).await.unwrap();
    response.await.unwrap().status().as_u16()
}
