//! HTTP/2 frame by frame (RFC 9113), from the server's side.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use crate::peer::{Peer, serve};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// `:status: 200` (RFC 7541 appendix A, entry 8).
pub(crate) const STATUS_200: &[u8] = &[0x88];

/// The server's side of a connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload))
    }

    pub(crate) fn reply(&mut self, stream: u32) -> io::Result<()> {
        self.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
        self.send(DATA, END_STREAM, stream, b"ok")
    }

    pub(crate) fn reset(&mut self, stream: u32, code: u32) -> io::Result<()> {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes())
    }

    pub(crate) fn go_away(&mut self, last: u32, code: u32) -> io::Result<()> {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    /// The next request's stream. Answers settings and pings on the way.
    pub(crate) fn request(&mut self) -> io::Result<u32> {
        self.until(HEADERS).map(|(stream, _)| stream)
    }

    /// The next frame of a type: its stream and what it carries. Answers settings and pings on the way.
    pub(crate) fn until(&mut self, kind: u8) -> io::Result<(u32, Vec<u8>)> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head)?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload)?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], head[4]) {
                (found, _) if found == kind => return Ok((stream, payload)),
                (SETTINGS, 0) => self.send(SETTINGS, 1, 0, &[])?,
                (PING, 0) => self.send(PING, 1, 0, &payload)?,
                _ => {}
            }
        }
    }

    /// Ends this side and reads what the client still sends, so that nothing sent before is lost in a reset.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)?;
        io::copy(&mut self.0, &mut io::sink()).map(drop)
    }
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A head with more fields than `status`, each a literal without indexing of an uncompressed name and value
/// (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// HEADERS with these fields on a stream.
pub(crate) fn head(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// Sends these settings, then leaves each connection to `handle`.
pub(crate) fn serve_http2(
    settings: &'static [u8],
    handle: impl Fn(usize, &mut Wire) -> io::Result<()> + Send + Sync + 'static,
) -> Peer {
    serve_http2_with_settings(move |_| settings, handle)
}

/// The same with settings for each connection.
pub(crate) fn serve_http2_with_settings(
    settings: impl Fn(usize) -> &'static [u8] + Send + Sync + 'static,
    handle: impl Fn(usize, &mut Wire) -> io::Result<()> + Send + Sync + 'static,
) -> Peer {
    serve(move |number, stream| {
        let mut wire = Wire(stream);
        let mut preface = [0; 24];
        let settings = settings(number);
        let greeted = wire.0.read_exact(&mut preface).and_then(|()| wire.send(SETTINGS, 0, 0, settings));
        // The client's leaving is the end of a connection, not of the test.
        let _ = greeted.and_then(|()| handle(number, &mut wire));
    })
}
