//! Both servers, and what they are given.

mod differences;
mod odd;

use std::{cell::RefCell, convert::Infallible, pin::pin, rc::Rc};

use bytes::Bytes;
pub(crate) use differences::DIFFERENCES;
use http_body_util::Empty;
use http1::{Event, Limits, request};
use hyper::{body::Incoming, server, service::service_fn};
use hyper_util::rt::TokioIo;
pub(crate) use odd::ODD;
use tokio::io::AsyncWriteExt;

use crate::{
    oracle::{collect, outcome, settle},
    script::{Random, body, fields},
    verdict::{Outcome, Verdict, parts, put, put_map, text, version},
};

pub(crate) fn legal(random: &mut Random) -> Vec<u8> {
    let mut out = b"\r\n".repeat(random.pick(&[0, 0, 0, 1, 3]));
    let method = random.pick(&["GET", "POST", "HEAD", "OPTIONS", "x-~!", "get"]);
    let targets = ["/", "/a?b=c&d", "/%20//..", "http://a.b:80/c?d", "/?", "/a\"b", "*"];
    let target = random.pick(if method == "OPTIONS" { &targets } else { &targets[..6] });
    let is_old = random.below(5) == 0;
    out.extend_from_slice(format!("{method} {target} HTTP/1.{}\r\n", u8::from(!is_old)).as_bytes());
    fields(random, &mut out, 3);
    if is_old {
        out.extend_from_slice(b"Connection: x, Keep-Alive\r\n");
    } else {
        let host = random.pick(&["a", "a.b:80", "[::1]:9", "", "127.0.0.1"]);
        out.extend_from_slice(format!("hOST: {host}\r\n").as_bytes());
        out.extend_from_slice(
            random.pick(&["", "", "Expect: 100-continue\r\n", "Upgrade: x\r\n"]).as_bytes(),
        );
    }
    fields(random, &mut out, 3);
    if is_old {
        out.extend_from_slice(random.pick(&["\r\n", "Content-Length: 2\r\n\r\nab"]).as_bytes());
    } else {
        body(random, &mut out, false);
    }
    out
}

/// Our server stops where a connection is to end, as hyper's does.
pub(crate) fn ours(bytes: &[u8]) -> Verdict {
    let (mut reader, mut head) =
        (request::RequestReader::new(Limits::default()), request::RequestHead::default());
    let (mut verdict, mut body, mut input) = (Verdict::default(), Vec::new(), bytes);
    loop {
        let event = match reader.read(&mut input, &mut head) {
            Err(_) => return Verdict { outcome: Outcome::Refused, ..verdict },
            Ok(None) => {
                let is_whole = input.is_empty() && reader.is_idle();
                verdict.outcome = if is_whole { Outcome::Ends } else { Outcome::Cut };
                return verdict;
            }
            Ok(Some(event)) => event,
        };
        if let Event::Data(part) = event {
            body.extend_from_slice(part);
        }
        if !matches!(event, Event::Head { end: true } | Event::End) {
            continue;
        }
        let mut message = parts([
            ("method", text(&head.method)),
            ("target", text(&head.target)),
            ("version", version(head.version)),
            ("body", text(&std::mem::take(&mut body))),
        ]);
        put(&mut message, "field", head.fields.iter());
        put(&mut message, "trailer", reader.trailers().iter());
        verdict.messages.push(message);
        if !head.keep_alive {
            return verdict;
        }
    }
}

pub(crate) fn theirs(bytes: &[u8]) -> Verdict {
    let (mut client, io) = tokio::io::duplex(1 << 20);
    settle(pin!(client.write_all(bytes))).expect("there is room").unwrap();
    settle(pin!(client.shutdown())).expect("no one is waited for").unwrap();
    let verdict = Rc::new(RefCell::new(Verdict::default()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let verdict = verdict.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut message = parts([
                ("method", head.method.to_string()),
                ("target", text(head.uri.to_string().as_bytes())),
                ("version", format!("{:?}", head.version)),
            ]);
            put_map(&mut message, "field", &head.headers);
            match collect(&mut message, body).await {
                Ok(()) => verdict.borrow_mut().messages.push(message),
                Err(error) => verdict.borrow_mut().outcome = outcome(&error),
            }
            // Not 2xx, so that CONNECT makes no tunnel.
            let mut response = http::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = server::conn::http1::Builder::new();
    let connection = builder.half_close(true).serve_connection(TokioIo::new(io), service);
    let end = settle(pin!(connection)).expect("the client is gone");
    let mut verdict = verdict.take();
    if let (Err(error), Outcome::Ends) = (end, verdict.outcome) {
        verdict.outcome = outcome(&error);
    }
    verdict
}
