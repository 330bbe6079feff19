//! Servers that break HTTP/2, or use a rule of it that clients forget.

use bytes::Bytes;
use h2::{Reason, server};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Peer;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHttp2 {
    /// Closes after the preface.
    ClosesAtOnce,
    /// Says GOAWAY before any request.
    GoAwayAtOnce,
    /// Answers every stream with RST_STREAM (INTERNAL_ERROR).
    ResetsStreams,
    /// Refuses every stream with RST_STREAM (REFUSED_STREAM), which says that it was not processed.
    RefusesStreams,
    /// Sends a head and resets within the body.
    ResetsInBody,
    /// Sends settings and then bytes that are not frames.
    Garbage,
    /// Answers in HTTP/1.1.
    SpeaksHttp1,
    /// Never answers, not even with settings.
    NeverAnswers,
}

impl BadHttp2 {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ClosesAtOnce,
        Self::GoAwayAtOnce,
        Self::ResetsStreams,
        Self::RefusesStreams,
        Self::ResetsInBody,
        Self::Garbage,
        Self::SpeaksHttp1,
        Self::NeverAnswers,
    ];
}

/// A server that behaves so.
#[must_use]
pub fn bad_http2(how: BadHttp2) -> Peer {
    Peer::start(async move |stream| serve(stream, how).await)
}

/// Empty SETTINGS.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// GOAWAY with last stream 0 and NO_ERROR.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

async fn serve(mut stream: TcpStream, how: BadHttp2) {
    let opening: &[&[u8]] = match how {
        BadHttp2::ResetsStreams | BadHttp2::RefusesStreams | BadHttp2::ResetsInBody => {
            return frames(stream, how).await;
        }
        BadHttp2::ClosesAtOnce => {
            let mut preface = [0; 24];
            let _ = stream.read_exact(&mut preface).await;
            return;
        }
        BadHttp2::GoAwayAtOnce => &[SETTINGS, GOAWAY],
        BadHttp2::Garbage => &[SETTINGS, &[0xff; 64]],
        BadHttp2::SpeaksHttp1 => {
            &[b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"]
        }
        BadHttp2::NeverAnswers => &[],
    };
    // The client may have had enough already, and what it sends is of no interest.
    let _ = stream.write_all(&opening.concat()).await;
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}

async fn frames(stream: TcpStream, how: BadHttp2) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        match how {
            BadHttp2::ResetsInBody => {
                let head = http::Response::builder().header("content-length", "100").body(());
                let head = head.expect("a constant head is valid");
                if let Ok(mut body) = respond.send_response(head, false) {
                    let _ = body.send_data(Bytes::from_static(b"only this"), false);
                    body.send_reset(Reason::INTERNAL_ERROR);
                }
            }
            BadHttp2::RefusesStreams => respond.send_reset(Reason::REFUSED_STREAM),
            _ => respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
