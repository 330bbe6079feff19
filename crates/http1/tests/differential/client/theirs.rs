//! The client of the crate hyper.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::Empty;
use http1::response::Kind;
use hyper::{client, header::HeaderMap};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{Exchange, put_then};
use crate::{
    oracle::{POLLS, collect, outcome, poll, settle},
    verdict::{Outcome, Parts, Verdict, parts, put_map, text},
};

fn parts_of(status: http::StatusCode, version: http::Version, fields: &HeaderMap) -> Parts {
    let mut message = parts([("status", status.as_u16().to_string()), ("version", format!("{version:?}"))]);
    put_map(&mut message, "field", fields);
    message
}

fn request(kind: Kind) -> http::Request<Empty<Bytes>> {
    let mut request = http::Request::new(Empty::new());
    let (method, target) = match kind {
        Kind::Usual => (http::Method::GET, "/"),
        Kind::Head => (http::Method::HEAD, "/"),
        Kind::Connect => (http::Method::CONNECT, "a:80"),
        Kind::Upgrade => {
            request.headers_mut().insert("upgrade", http::HeaderValue::from_static("x"));
            request.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
            (http::Method::GET, "/")
        }
    };
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().expect("it is legal");
    request
}

async fn read_request(server: &mut DuplexStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(server.read_u8().await.expect("the client is there"));
    }
}

pub(crate) fn theirs(exchanges: &[Exchange]) -> Verdict {
    let (mut server, io) = tokio::io::duplex(1 << 20);
    let handshake = pin!(client::conn::http1::handshake(TokioIo::new(io)));
    let (mut sender, connection) = settle(handshake).expect("nothing is sent").unwrap();
    let mut connection = Some(Box::pin(connection));
    let mut ended = Ok(());
    let verdict = Arc::new(Mutex::new(Verdict::default()));
    let mut drive = || {
        if let Some(end) = connection.as_mut().and_then(|connection| poll(connection.as_mut())) {
            connection = None;
            ended = end;
        }
        (connection.is_none(), ended.as_ref().err().map(outcome))
    };
    for (kind, bytes) in exchanges {
        let mut request = request(*kind);
        let interim = verdict.clone();
        hyper::ext::on_informational(&mut request, move |response| {
            let parts = parts_of(response.status(), response.version(), response.headers());
            interim.lock().unwrap().messages.push(parts);
        });
        let mut exchange = Box::pin(async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let mut parts = parts_of(head.status, head.version, &head.headers);
            collect(&mut parts, body).await?;
            Ok::<_, hyper::Error>(parts)
        });
        let mut turn = || {
            (0..POLLS).find_map(|_| {
                drive();
                poll(exchange.as_mut())
            })
        };
        let early = turn();
        assert!(early.is_none(), "there is no response yet");
        settle(pin!(read_request(&mut server))).expect("the request was sent");
        settle(pin!(server.write_all(bytes))).expect("there is room").unwrap();
        let result = turn().unwrap_or_else(|| {
            settle(pin!(server.shutdown())).expect("no one is waited for").unwrap();
            turn().unwrap_or_else(|| panic!("nothing more can come {kind:?} {}", text(bytes)))
        });
        drop(exchange);
        let (is_over, refusal) = (0..POLLS).map(|_| drive()).last().unwrap_or_default();
        let mut verdict = verdict.lock().unwrap();
        match result {
            Ok(mut parts) => {
                // What is refused now came after this message, which did not end the connection.
                put_then(&mut parts, !is_over || refusal.is_some());
                verdict.messages.push(parts);
                verdict.outcome = refusal.unwrap_or_default();
            }
            Err(error) => verdict.outcome = outcome(&error),
        }
        if is_over || verdict.outcome != Outcome::Ends {
            break;
        }
    }
    std::mem::take(&mut *verdict.lock().unwrap())
}
