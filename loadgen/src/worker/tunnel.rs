//! Asking a forward proxy for a tunnel (RFC 9110 section 9.3.6): what is written first, and the reply to it. Not one byte
//! behind the reply is read: it is the target's.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::outcome::{Cause, Failure};

/// The longest head of a reply that is read, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// How a reply begins.
const VERSION: &[u8] = b"HTTP/1.";

/// How much is looked at together.
const LOOK: usize = 4 << 10;

/// What is read of a proxy's reply.
#[derive(Debug, Default)]
pub(super) struct Tunnel {
    head: Vec<u8>,
    /// Bytes of informational replies.
    read: usize,
}

impl Tunnel {
    /// Goes on until the proxy has agreed.
    ///
    /// # Errors
    /// It has refused, or what it says is not a reply.
    pub(super) fn poll(&mut self, tcp: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let mut space = [0; LOOK];
            let mut seen = ReadBuf::new(&mut space);
            let count = match ready!(tcp.poll_peek(cx, &mut seen)) {
                Ok(0) => {
                    let message = "the proxy closed the connection instead of answering CONNECT";
                    return Poll::Ready(Err(Failure::new(Cause::Proxy, message)));
                }
                Ok(count) => count,
                Err(error) => return Poll::Ready(Err(Failure::from_io(&error))),
            };
            let before = self.head.len();
            self.head.extend_from_slice(&seen.filled()[..count]);
            let searched = before.saturating_sub(3);
            let end = self.head[searched..].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let end = end.map(|at| searched + at + 4);
            self.head.truncate(end.unwrap_or(self.head.len()));
            // Only what is of the head.
            let mut taken = ReadBuf::new(&mut space[..self.head.len() - before]);
            if let Err(error) = ready!(Pin::new(&mut *tcp).poll_read(cx, &mut taken)) {
                return Poll::Ready(Err(Failure::from_io(&error)));
            }
            let begun = self.head.len().min(VERSION.len());
            if self.head[..begun] != VERSION[..begun] {
                return Poll::Ready(Err(Self::not_http()));
            } else if end.is_some() && self.head.starts_with(b"HTTP/1.1 1") {
                // Informational: the reply is still to come (RFC 9110 section 15.2).
                self.read += self.head.len();
                self.head.clear();
            } else if end.is_some() {
                return Poll::Ready(self.judge());
            }
            if self.read + self.head.len() > MAX_HEAD {
                let message = "the proxy's reply to CONNECT has more than 64K";
                return Poll::Ready(Err(Failure::new(Cause::Proxy, message)));
            }
        }
    }

    fn judge(&self) -> Result<(), Failure> {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        match status {
            Some([b'2', tens, ones]) if tens.is_ascii_digit() && ones.is_ascii_digit() => Ok(()),
            Some(status) if status.iter().all(u8::is_ascii_digit) => {
                let said: String = String::from_utf8_lossy(&line[9..])
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                let hint = if status == b"407" { ": --proxy=http://user:password@host:port" } else { "" };
                Err(Failure::new(Cause::Proxy, format!("the proxy answered CONNECT with {said}{hint}")))
            }
            _ => Err(Self::not_http()),
        }
    }

    fn not_http() -> Failure {
        Failure::new(Cause::Proxy, "the proxy's reply to CONNECT is not HTTP/1")
    }
}

/// Writes what is left of `out`; ready when all of it is written.
pub(super) fn poll_write(
    out: &mut Vec<u8>,
    socket: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        match ready!(Pin::new(&mut *socket).poll_write(cx, out))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => drop(out.drain(..count)),
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write as _, net::TcpListener};

    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn answered(pieces: &[&[u8]]) -> Result<TcpStream, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let writer = std::thread::spawn(move || {
            peer.set_nodelay(true).unwrap();
            pieces.iter().all(|piece| peer.write_all(piece).is_ok())
        });
        let mut tunnel = Tunnel::default();
        let result = poll_fn(|cx| tunnel.poll(&mut tcp, cx)).await;
        writer.join().unwrap();
        result.map(|()| tcp)
    }

    #[tokio::test]
    async fn what_is_behind_the_reply_is_left_to_the_target() {
        const PADDING: [u8; 9000] = [b'x'; 9000];
        for pieces in [
            &[&b"HTTP/1.1 200 OK\r\n\r\nhello"[..]][..],
            &[b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n", b"\r\nhello"],
            &[b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r", b"\nhello"],
            &[b"HTTP/1.0 299 \r\nx: ", &PADDING, b"\r\n", b"\r\nhello"],
        ] {
            let mut tcp = answered(pieces).await.unwrap();
            let mut rest = String::new();
            tcp.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "hello");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_proxy_said() {
        static ENDLESS: [u8; MAX_HEAD + 1] = [b'x'; MAX_HEAD + 1];
        for (pieces, said) in [
            (
                &[&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..]][..],
                "the proxy answered CONNECT with 407 Proxy Authentication Required: --proxy=http://user:password@host:port",
            ),
            (&[b"HTTP/1.1 403 \x1b[31mno\r\nx: y\r\n\r\n"], "the proxy answered CONNECT with 403 [31mno"),
            // Of which nothing more has to come.
            (&[b"SSH-2.0-x"], "the proxy's reply to CONNECT is not HTTP/1"),
            (&[b"HTTP/1.1 2xx\r\n\r\n"], "the proxy's reply to CONNECT is not HTTP/1"),
            (&[b"HTTP/1.1 200 OK\r\n"], "the proxy closed the connection instead of answering CONNECT"),
            (&[b""], "the proxy closed the connection instead of answering CONNECT"),
            (&[b"HTTP/1.1 200 ", &ENDLESS], "the proxy's reply to CONNECT has more than 64K"),
        ] {
            let failure = answered(pieces).await.unwrap_err();
            assert_eq!((failure.cause, &*failure.message), (Cause::Proxy, said));
        }
    }
}
