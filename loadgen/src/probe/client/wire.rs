//! The bytes of one connection: each read and each write has an end.

use std::{future::poll_fn, io};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use transport::{Address, Socket, Stream, tls::Problem};

use super::{super::gate::Gate, Cut};
use crate::plan::{Protocol, spoken};

/// What a server says that does not speak a protocol.
const OTHER: Cut = Cut::NotSpoken("another protocol was agreed on by ALPN, or none");
/// The maximum number of bytes that wait here unread.
const MAX_INPUT: usize = 1 << 20;
/// The maximum number of bytes that are read from one connection.
const MAX_READ: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    pub(super) input: Vec<u8>,
    pub(super) has_ended: bool,
    read: u64,
}

impl Wire {
    pub(super) async fn connect(gate: &Gate, protocol: Protocol, until: Instant) -> Result<Self, Cut> {
        let connecting = async {
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in gate.addresses.iter() {
                let Address::Tcp(address) = address else { continue };
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let tcp =
            timeout_at(until, connecting).await.map_err(|_| Cut::TimedOut)?.map_err(|error| cut(&error))?;
        tcp.set_nodelay(true).map_err(|error| cut(&error))?;
        let mut stream = Stream::from(Socket::Tcp(tcp));
        if let Some(tls) = gate.site.tls() {
            let offer = tls.offer(Some(protocol));
            let failed = |why: String| Cut::Failed(format!("TLS: {why}"));
            stream
                .begin_tls_as_client(offer.config, offer.name)
                .map_err(|failure| failed(failure.to_string()))?;
            let shaking = timeout_at(until, poll_fn(|cx| stream.poll_handshake(cx))).await;
            let facts =
                shaking.map_err(|_| Cut::TimedOut)?.map_err(|failure| match Problem::from(&failure) {
                    Problem::Alpn => OTHER,
                    _ => failed(failure.to_string()),
                })?;
            let agreed = spoken(facts.and_then(|facts| facts.alpn).as_deref());
            if agreed != Some(protocol) {
                return Err(OTHER);
            }
        }
        Ok(Self { stream, input: Vec::new(), has_ended: false, read: 0 })
    }

    pub(super) async fn write(&mut self, bytes: &[u8], until: Instant) -> Result<(), Cut> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout_at(until, writing).await.map_err(|_| Cut::TimedOut)?.map_err(|error| cut(&error))
    }

    /// Sends FIN, over TLS behind `close_notify`.
    pub(super) async fn end_sending(&mut self, until: Instant) -> Result<(), Cut> {
        let ending = timeout_at(until, self.stream.shutdown()).await;
        ending.map_err(|_| Cut::TimedOut)?.map_err(|error| cut(&error))
    }

    /// Reads more into `input`; after its end, nothing comes.
    pub(super) async fn read(&mut self, until: Instant) -> Result<(), Cut> {
        if self.input.len() >= MAX_INPUT || self.read >= MAX_READ {
            return Err(Cut::TooMuch);
        }
        let reading = timeout_at(until, self.stream.read_buf(&mut self.input)).await;
        let count = reading.map_err(|_| Cut::TimedOut)?.map_err(|error| {
            self.has_ended = true;
            cut(&error)
        })?;
        self.read += count as u64;
        self.has_ended = count == 0;
        Ok(())
    }

    /// Ends it with RST.
    pub(super) fn reset(self) {
        self.stream.reset_on_close();
    }
}

fn cut(error: &io::Error) -> Cut {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            Cut::Reset
        }
        io::ErrorKind::UnexpectedEof => Cut::Closed,
        _ => Cut::Failed(error.to_string()),
    }
}
