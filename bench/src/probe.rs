//! One request before any measuring: a server that answers something else is not compared.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use http::{Request, Version};

use crate::load::Protocol;

/// How long one exchange may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Asks for `path` and checks the status and every byte of the body, which is `size` bytes of the payload.
///
/// # Errors
/// What differs, or that there was no reply.
pub fn check(port: u16, protocol: Protocol, path: &str, size: usize) -> Result<()> {
    let (status, body) = match protocol {
        Protocol::Http1 => {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(WITHIN))?;
            http1(&mut stream, port, path)?
        }
        Protocol::H2c => h2c(port, path)?,
        Protocol::WebSocket | Protocol::Tls | Protocol::TlsH2 => bail!("such a reply is checked by loadgen"),
    };
    compare(path, size, status, &body)
}

/// Checks a reply to `path`: the status, and that the body is `size` bytes of the payload.
pub(crate) fn compare(path: &str, size: usize, status: u16, body: &[u8]) -> Result<()> {
    ensure!(status == 200, "{path} was answered with status {status}");
    ensure!(body.len() == size, "the reply to {path} has {} bytes instead of {size}", body.len());
    if let Err(mismatch) = contract::pattern::verify(0, body) {
        bail!("the reply to {path} is not the payload: {mismatch}");
    }
    Ok(())
}

/// One exchange on a connection to `port`: the status and the body.
pub(crate) fn http1(stream: &mut TcpStream, port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
    ask_http1(stream, port, path)?;
    http1_reply(stream)
}

/// Sends a request.
pub(crate) fn ask_http1(stream: &mut TcpStream, port: u16, path: &str) -> Result<()> {
    // In one piece: the stream would send each part of a formatted text by itself.
    Ok(stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n").as_bytes())?)
}

/// Reads its reply: the status and the body.
pub(crate) fn http1_reply(stream: &mut TcpStream) -> Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(reply) = parse(&bytes)? {
            return Ok(reply);
        }
        let read = stream.read(&mut piece).context("no whole reply came")?;
        ensure!(read > 0, "the connection was closed after {} bytes of a reply", bytes.len());
        bytes.extend_from_slice(&piece[..read]);
    }
}

/// The status and body, once they are complete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(start) = head.parse(bytes)? else { return Ok(None) };
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("the reply has no content-length")?;
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    let status = head.code.context("the reply has no status")?;
    let body = &bytes[start..];
    ensure!(body.len() <= length, "the reply goes on after its content-length");
    Ok((body.len() == length).then(|| (status, body.to_vec())))
}

fn h2c(port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(WITHIN, exchange(port, path)).await? })
}

async fn exchange(port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    let reply = async {
        let uri = format!("http://127.0.0.1:{port}{path}");
        let request = Request::get(uri).version(Version::HTTP_2).body(())?;
        let (response, _) = sender.ready().await?.send_request(request, true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            bytes.extend_from_slice(&piece);
        }
        Ok((head.status.as_u16(), bytes))
    };
    tokio::select! {
        reply = reply => reply,
        ended = connection => {
            ended?;
            bail!("the connection was closed before the reply")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responder::Responder;

    fn body(len: usize) -> Vec<u8> {
        contract::pattern::ALPHABET.iter().copied().cycle().take(len).collect()
    }

    /// What is found wrong with the responder's `body`, in each protocol.
    fn check_body(body: &[u8], size: usize) -> [Result<()>; 2] {
        let responder = Responder::start(runtime::affinity::allowed()[0], body).unwrap();
        [Protocol::Http1, Protocol::H2c].map(|protocol| check(responder.port(), protocol, "/bin/1K", size))
    }

    #[test]
    fn the_payload_passes() {
        for result in check_body(&body(1024), 1024) {
            result.unwrap();
        }
    }

    #[test]
    fn a_short_body_is_refused() {
        for result in check_body(&body(1023), 1024) {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("1023 bytes instead of 1024"), "{error}");
        }
    }

    #[test]
    fn other_bytes_of_the_right_length_are_refused() {
        let mut bytes = body(1024);
        bytes[700] = b'!';
        for result in check_body(&bytes, 1024) {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("not the payload"), "{error}");
        }
    }

    #[test]
    fn a_reply_is_complete_with_its_last_byte() {
        let reply = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
        for cut in 0..reply.len() {
            assert_eq!(parse(&reply[..cut]).unwrap(), None, "cut at {cut}");
        }
        assert_eq!(parse(reply).unwrap(), Some((404, b"no".to_vec())));
    }
}
