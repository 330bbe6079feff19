//! A connection of the crowd: opened, used once, left alone, and perhaps used again.
//!
//! loadgen is not the crowd's client: it holds no connection until it is made to look at it again, and each of these
//! takes one request, then lies idle for as long as others take to open.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use http2::{
    PREFACE,
    frame::{FrameHead, HEAD, flag, head, kind},
};

use crate::{
    load::{Body, Protocol},
    probe,
};

/// How long one exchange may take.
const WITHIN: Duration = Duration::from_secs(10);

/// The first stream of a connection.
const FIRST: u32 = 1;

/// Whether the server has not closed a connection, on which nothing is under way.
pub(crate) fn is_open(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let open = match stream.peek(&mut [0]) {
        Ok(waiting) => waiting > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    open && stream.set_nonblocking(false).is_ok()
}

/// A connection for one request now and another later.
#[derive(Debug)]
pub(crate) struct Used {
    stream: TcpStream,
    protocol: Protocol,
    port: u16,
    /// Requests so far.
    times: u32,
}

impl Used {
    /// Of a socket that is connected to `port`.
    pub(crate) fn new(stream: TcpStream, protocol: Protocol, port: u16) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WITHIN))?;
        stream.set_write_timeout(Some(WITHIN))?;
        Ok(Self { stream, protocol, port, times: 0 })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Asks for a body.
    pub(crate) fn ask(&mut self, body: Body) -> Result<()> {
        self.times += 1;
        match self.protocol {
            Protocol::Http1 => probe::ask_http1(&mut self.stream, self.port, body.path()),
            Protocol::H2c => Ok(self.stream.write_all(&request(self.port, body.path(), self.stream_id()))?),
            Protocol::WebSocket | Protocol::Tls | Protocol::TlsH2 => bail!("the crowd does not speak it"),
        }
    }

    /// Reads what was asked for, and compares it.
    pub(crate) fn answered(&mut self, body: Body) -> Result<()> {
        let (status, bytes) = match self.protocol {
            // What it says of its status is compressed; the first request was asked with all of HTTP/2.
            Protocol::H2c => (200, h2c(&mut self.stream, self.times == 1)?),
            _ => probe::http1_reply(&mut self.stream)?,
        };
        probe::compare(body.path(), body.size(), status, &bytes)
    }

    /// The stream of the last request.
    fn stream_id(&self) -> u32 {
        2 * self.times - 1
    }
}

/// Reads the body of a reply; of the first on a connection with both sides' SETTINGS in force.
fn h2c(stream: &mut TcpStream, first: bool) -> Result<Vec<u8>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let (mut body, mut ended, mut settled) = (Vec::new(), false, !first);
    while !(ended && settled) {
        let read = stream.read(&mut piece).context("no whole reply came")?;
        ensure!(read > 0, "the connection was closed after {} bytes of a body", body.len());
        bytes.extend_from_slice(&piece[..read]);
        while let Some(frame) = FrameHead::read(&bytes) {
            let Some(payload) = bytes.get(HEAD..HEAD + frame.len) else { break };
            match frame.kind {
                kind::DATA => body.extend_from_slice(payload),
                kind::SETTINGS if !frame.has(flag::ACK) => {
                    let mut acknowledgement = Vec::new();
                    head(&mut acknowledgement, 0, kind::SETTINGS, flag::ACK, 0);
                    stream.write_all(&acknowledgement)?;
                    settled = true;
                }
                kind::RST_STREAM | kind::GOAWAY => bail!("the server refused the request"),
                _ => {}
            }
            ended |= matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.has(flag::END_STREAM);
            bytes.drain(..HEAD + frame.len);
        }
    }
    Ok(body)
}

/// A GET on a stream (RFC 9113 section 8.3.1); before the first, the preface and SETTINGS that change nothing (section
/// 3.4).
fn request(port: u16, path: &str, id: u32) -> Vec<u8> {
    // Two fields of HPACK's static table, and two literals without indexing with names from it (RFC 7541
    // section 6 and appendix A). Both values fit the one byte of their length.
    const GET: u8 = 0x82;
    const HTTP: u8 = 0x86;
    const PATH: u8 = 4;
    const AUTHORITY: u8 = 1;
    let authority = format!("127.0.0.1:{port}");
    let mut block = vec![GET, HTTP];
    for (name, value) in [(PATH, path), (AUTHORITY, &authority)] {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
    let mut bytes = Vec::new();
    if id == FIRST {
        bytes.extend_from_slice(PREFACE);
        head(&mut bytes, 0, kind::SETTINGS, 0, 0);
    }
    head(&mut bytes, block.len(), kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id);
    bytes.extend_from_slice(&block);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::responder::Responder;

    fn used(responder: &Responder, protocol: Protocol) -> Result<Used> {
        let port = responder.port();
        let mut used = Used::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?, protocol, port)?;
        used.ask(Body::K1)?;
        used.answered(Body::K1)?;
        Ok(used)
    }

    #[test]
    fn connections_stay_open_in_both_protocols_until_the_server_closes_them() {
        let cpu = runtime::affinity::allowed()[0];
        for protocol in [Protocol::Http1, Protocol::H2c] {
            let responder = Responder::start(cpu, &Body::K1.bytes()).unwrap();
            let mut connection = used(&responder, protocol).unwrap();
            assert!(is_open(connection.stream()));
            connection.ask(Body::K1).unwrap();
            connection.answered(Body::K1).unwrap();
            drop(responder);
            assert!(!is_open(connection.stream()));
        }
    }

    #[test]
    fn a_reply_that_is_not_the_payload_is_refused() {
        let cpu = runtime::affinity::allowed()[0];
        let responder = Responder::start(cpu, &[b'!'; 1024]).unwrap();
        for protocol in [Protocol::Http1, Protocol::H2c] {
            let error = used(&responder, protocol).unwrap_err().to_string();
            assert!(error.contains("not the payload"), "{error}");
        }
    }
}
