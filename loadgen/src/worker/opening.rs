//! Opening connections: all addresses of the target in turn, with a pause after failures. It knows no protocol.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;
use transport::{Socket, Stream};

use crate::clock::Nanos;

/// The pause after the first failure in a row; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Nanos = 1_000_000;

/// The longest pause between failures.
const MAX_PAUSE: Nanos = 16_000_000;

/// A connection in the making.
pub(super) struct Opening {
    tcp: Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Opening {
    /// Goes on until there is a stream that a protocol can begin on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let stream = ready!(self.tcp.as_mut().poll(cx))?;
        Poll::Ready(Ok(Stream::from(Socket::Tcp(stream))))
    }
}

/// Opens connections to the addresses of one target.
#[derive(Debug)]
pub(crate) struct Connector {
    addresses: Arc<[SocketAddr]>,
    next: usize,
    failures: u32,
    not_before: Nanos,
}

impl Connector {
    /// Begins with the address at `first`, so that workers begin with different ones.
    pub(crate) fn new(addresses: Arc<[SocketAddr]>, first: usize) -> Self {
        Self { addresses, next: first, failures: 0, not_before: 0 }
    }

    /// Begins to connect to the next address, and to the others if that fails, unless it is too early after a failure.
    pub(super) fn open(&mut self, now: Nanos) -> Option<Opening> {
        if now < self.not_before {
            return None;
        }
        let (addresses, first) = (Arc::clone(&self.addresses), self.next);
        self.next += 1;
        let tcp = Box::pin(async move {
            let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for offset in 0..addresses.len() {
                match TcpStream::connect(addresses[(first + offset) % addresses.len()]).await {
                    Ok(stream) => {
                        transport::stream::tune(&stream)?;
                        return Ok(stream);
                    }
                    Err(error) => last_error = error,
                }
            }
            Err(last_error)
        });
        Some(Opening { tcp })
    }

    /// A connection was made.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = 0;
    }

    /// A connection could not be made, or broke before it was of use.
    pub(crate) fn failed(&mut self, now: Nanos) {
        let pause = (FIRST_PAUSE << self.failures.min(4)).min(MAX_PAUSE);
        self.failures += 1;
        self.not_before = now + pause;
    }

    /// When the next attempt may be made, if that is not now.
    pub(crate) fn next_attempt(&self) -> Option<Nanos> {
        (self.not_before != 0).then_some(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_success() {
        let mut connector = Connector::new([([127, 0, 0, 1], 9).into()].into(), 0);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            connector.failed(0);
            pauses.push(connector.next_attempt().unwrap() / 1_000_000);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
        assert!(connector.open(15_999_999).is_none());
        assert!(connector.open(16_000_000).is_some());
        connector.succeeded();
        assert!(connector.next_attempt().is_none() && connector.open(0).is_some());
    }
}
