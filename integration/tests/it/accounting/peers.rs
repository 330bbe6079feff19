//! Servers that leave messages incomplete, where dummy-server cannot be made to.

use bytes::Bytes;
use h2::server;
use http::{HeaderMap, HeaderValue, Response};
use integration::peers::Peer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Answers each call with half a message, and says that it went well.
pub(super) fn half_a_call() -> Peer {
    Peer::start(async |stream| {
        let Ok(mut connection) = server::handshake(stream).await else { return };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let head = Response::builder().header("content-type", "application/grpc").body(());
            let Ok(mut body) = respond.send_response(head.expect("a head"), false) else { continue };
            // A message of ten bytes (the gRPC protocol over HTTP/2: Length-Prefixed-Message), and four of them.
            let _ = body.send_data(Bytes::from_static(&[0, 0, 0, 0, 10, 10, 8, b'h', b'a']), false);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let _ = body.send_trailers(trailers);
        }
    })
}

/// How a message on a WebSocket ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Silence {
    /// Half a frame comes back, and the connection ends.
    HalfAFrame,
    /// Nothing does.
    Whole,
}

/// Takes opening handshakes, and leaves messages without an echo.
pub(super) fn socket(silence: Silence) -> Peer {
    Peer::start(async move |stream| {
        // The client may have had enough already.
        let _ = serve(stream, silence).await;
    })
}

async fn serve(mut stream: TcpStream, silence: Silence) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let at = head.find("sec-websocket-key: ").expect("a key") + "sec-websocket-key: ".len();
    // A key of 16 bytes is 24 characters (RFC 6455 section 4.1).
    let accept = websocket::handshake::accept(&bytes[at..at + 24]).expect("a key");
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut frame = [0; 4096];
    while stream.read(&mut frame).await? > 0 {
        if let Silence::HalfAFrame = silence {
            // A text of 64 bytes, without the last ones.
            stream.write_all(b"\x81\x40half of it").await?;
            stream.shutdown().await?;
            // One that is closed with something unread is reset.
            while stream.read(&mut frame).await? > 0 {}
            return Ok(());
        }
    }
    Ok(())
}
