//! Fields as they were on the wire: the echo's `headers_list` is what a proxy is compared by.

use integration::{
    cases::AndTls,
    client::{HOST, Http1, Protocol, Request, fetch, frames::Frames, patiently},
    server::Server,
};
use serde_json::Value;

tests!();

async fn names_are_canonical_in_the_echoed_map_of_headers(protocol: Protocol) {
    let server = Server::start();
    let request = Request::get("/")
        .field("x-request-id", "1")
        .field("X-REQUEST-ID", "2")
        .field("sec-ch-ua", "3")
        .field("x--odd-", "4")
        .field("dnt", "5");
    for target in ["/", "/headers"] {
        let request = Request { target: target.to_owned(), ..request.clone() };
        let echo = fetch(protocol, server.http, request).await.json();
        let headers = echo["headers"].as_object().expect("headers are an object");
        for (name, value) in [("X-Request-Id", "1, 2"), ("Sec-Ch-Ua", "3"), ("X--Odd-", "4"), ("Dnt", "5")] {
            assert_eq!(headers[name], value, "{name} in {echo:#}");
        }
        assert!(headers.keys().all(|name| !name.starts_with(|c: char| c.is_ascii_lowercase())), "{echo:#}");
    }
}

async fn cookie_fields_are_joined_by_semicolons(protocol: Protocol) {
    let server = Server::start();
    let sent = [("cookie", "a=1"), ("x-other", "x"), ("cookie", "b=2"), ("x-other", "y"), ("cookie", "c=3")];
    let echo = match protocol {
        Protocol::Http1 => {
            let lines: String = sent.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let mut client = Http1::connect(server.http).await;
            client.send(format!("GET / HTTP/1.1\r\n{lines}host: a\r\n\r\n").as_bytes()).await;
            patiently("a reply", client.reply("GET")).await.unwrap().json()
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            client.get(1, "/", &sent).await;
            let body = patiently("the echo", client.body(1)).await.unwrap();
            serde_json::from_slice(&body).expect("the echo is JSON")
        }
    };
    assert_eq!(echo["headers"]["Cookie"], "a=1; b=2; c=3", "{echo:#}");
    assert_eq!(echo["headers"]["X-Other"], "x, y", "{echo:#}");
    assert_eq!(list(&echo)[..sent.len()], owned(&sent));
}

async fn the_echo_keeps_order_and_repeats_of_fields(protocol: Protocol, _: AndTls) {
    let server = Server::start();
    let sent = [("x-c", "0"), ("x-a", "1"), ("accept", "*/*"), ("x-b", "2"), ("x-a", "3"), ("x-c", "")];
    match protocol {
        Protocol::Http1 => {
            let with_host = [&[("host", HOST)], &sent[..]].concat();
            assert_eq!(echoed_over_http1(&server, &with_host).await, owned(&with_host));
            // The host has no fixed place.
            let host_last = [&sent[..], &[("host", HOST)]].concat();
            assert_eq!(echoed_over_http1(&server, &host_last).await, owned(&host_last));
        }
        Protocol::Http2 => {
            let mut client = Frames::connect(server.http, &[]).await;
            client.get(1, "/", &sent).await;
            let body = patiently("the echo", client.body(1)).await.unwrap();
            let echo = serde_json::from_slice(&body).expect("the echo is JSON");
            assert_eq!(list(&echo), owned(&sent));
        }
    }
}

async fn the_echo_keeps_the_case_of_names_over_http1() {
    let server = Server::start();
    let sent = [("HOST", "dummy.test"), ("x-One", "1"), ("X-ONE", "2"), ("X-one", "3"), ("aCCEPT", "*/*")];
    assert_eq!(echoed_over_http1(&server, &sent).await, owned(&sent));
}

async fn echoed_over_http1(server: &Server, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = Http1::connect(server.http).await;
    client.send(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes()).await;
    list(&patiently("a reply", client.reply("GET")).await.unwrap().json())
}

fn list(echo: &Value) -> Vec<(String, String)> {
    let pairs = echo["headers_list"].as_array().expect("headers_list is a list of pairs");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
