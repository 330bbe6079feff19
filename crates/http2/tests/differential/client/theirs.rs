//! The client of the crate h2.

use std::{cell::RefCell, future::poll_fn, rc::Rc};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use http2::{Code, PREFACE, frame};
use tokio::io::AsyncWriteExt;

use super::{
    Answers, WINDOW,
    answer::{Answer, FAILED},
    script::{Kind, SETTINGS_AND_ACK, Script},
    verdict,
};
use crate::{Verdict, read_all, settle};

fn fields(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// Reads a response, and reports each of its parts by `tell`.
async fn read(mut response: ResponseFuture, tell: impl Fn(&dyn Fn(&mut Answer))) -> Result<(), h2::Error> {
    while let Some(head) = poll_fn(|cx| response.poll_informational(cx)).await {
        let head = head?;
        tell(&|answer| answer.head(head.status().as_u16(), fields(head.headers())));
    }
    let (head, mut body) = response.await?.into_parts();
    tell(&|answer| answer.head(head.status.as_u16(), fields(&head.headers)));
    while let Some(data) = body.data().await {
        let data = data?;
        tell(&|answer| answer.content(&data));
    }
    match body.trailers().await? {
        Some(trailers) => tell(&|answer| answer.trailers(fields(&trailers))),
        None => tell(&Answer::end),
    }
    Ok(())
}

fn fail(answer: &mut Answer, error: &h2::Error) {
    let code = error.reason().map(|reason| Code(reason.into()));
    match code {
        Some(code) if error.is_reset() && error.is_remote() => answer.reset(code),
        _ if error.is_reset() => answer.fail(FAILED),
        _ if error.is_go_away() && error.is_remote() => answer.fail("unprocessed"),
        // The connection has ended: the output says why.
        _ => {}
    }
}

async fn ask(requests: &mut SendRequest<Bytes>, kind: Kind) -> (ResponseFuture, h2::SendStream<Bytes>) {
    poll_fn(|cx| requests.poll_ready(cx)).await.expect("the server sets no limit");
    let request = Request::builder().method(kind.method()).uri("http://a/").body(()).expect("it is legal");
    requests.send_request(request, kind != Kind::Post).expect("the connection is open")
}

pub(crate) async fn theirs(script: &Script) -> Verdict {
    let (mut server, client) = tokio::io::duplex(1 << 20);
    server.write_all(SETTINGS_AND_ACK).await.unwrap();
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).enable_push(false);
    let (mut requests, connection) = builder.handshake::<_, Bytes>(client).await.expect("nothing is wrong");
    tokio::task::spawn_local(connection);
    settle().await;
    let answers = Rc::new(RefCell::new(Answers::new()));
    let mut uploads = Vec::new();
    for kind in script.requests() {
        let (response, upload) = ask(&mut requests, kind).await;
        let id = response.stream_id().as_u32();
        answers.borrow_mut().insert(id, Answer::default());
        // What goes on to the end must not be reset because nothing holds it.
        if kind == Kind::Post {
            uploads.push(upload);
        }
        let answers = answers.clone();
        tokio::task::spawn_local(async move {
            let tell = |word: &dyn Fn(&mut Answer)| word(answers.borrow_mut().entry(id).or_default());
            if let Err(error) = read(response, tell).await {
                fail(answers.borrow_mut().entry(id).or_default(), &error);
            }
        });
    }
    settle().await;
    // Frame by frame, so that what is over is forgotten before the next one, as with ours.
    let mut rest = &script.bytes[..];
    while let Some(head) = frame::FrameHead::read(rest) {
        let (now, later) = rest.split_at(frame::HEAD + head.len);
        rest = later;
        if server.write_all(now).await.is_err() {
            // It has ended the connection.
            break;
        }
        settle().await;
    }
    let output = read_all(&mut server);
    let answers = answers.borrow();
    verdict(&answers, &output[PREFACE.len()..])
}
