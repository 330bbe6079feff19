//! Both servers: a client's bytes, and what comes of its requests.

mod differences;
mod odd;
mod script;

pub(crate) use differences::DIFFERENCES;
use http2::{Config, Connection, Event, Head, Role, frame::kind};
pub(crate) use odd::odd;
pub(crate) use script::Script;
use tokio::io::AsyncWriteExt;

use crate::{Verdict, Word, ending, frames, read_all, settle};

const WINDOW: u32 = 5_000;

/// What the output says: streams that were answered, and those that were refused. The others are neither.
fn verdict(output: &[u8]) -> Verdict {
    let mut verdict = Verdict::new();
    for (head, payload) in frames(output) {
        match (head.kind, ending(&head, payload)) {
            (kind::GOAWAY, code @ Some(_)) => {
                // Which streams were still served depends on when.
                return Verdict::from([(0, Word { code, ..Word::default() })]);
            }
            (kind::HEADERS, _) => {
                verdict.entry(head.stream).or_insert(Word { said: "served".into(), code: None });
            }
            (kind::RST_STREAM, code) => {
                verdict.insert(head.stream, Word { code, ..Word::default() });
            }
            _ => {}
        }
    }
    verdict
}

/// Our server answers requests that are complete when everything was taken in, as h2's does.
pub(crate) fn ours(script: &Script) -> Verdict {
    let mut config = Config::new(Role::Server);
    config.settings.initial_window_size = WINDOW;
    let mut conn = Connection::new(&config);
    let (mut head, mut input) = (Head::new(), &script.bytes[..]);
    let mut complete = Vec::new();
    while let Ok(Some(event)) = conn.receive(&mut input, &mut head) {
        match event {
            Event::Request { stream, end: true } | Event::Trailers { stream } => complete.push(stream),
            Event::Data { stream, end: true, .. } => complete.push(stream),
            _ => {}
        }
    }
    for key in complete {
        conn.head(key, true, |block| block.status(200));
    }
    verdict(conn.output.single().expect("heads are small"))
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<bytes::Bytes>) {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        if data.is_err() {
            return;
        }
    }
    if body.trailers().await.is_ok() {
        let _ = respond.send_response(http::Response::new(()), true);
    }
}

pub(crate) async fn theirs(script: &Script) -> Verdict {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(&script.bytes).await.unwrap();
    tokio::task::spawn_local(async move {
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(WINDOW);
        let Ok(mut connection) = builder.handshake::<_, bytes::Bytes>(server).await else { return };
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::task::spawn_local(answer(request, respond));
        }
    });
    settle().await;
    settle().await;
    settle().await;
    verdict(&read_all(&mut client))
}
