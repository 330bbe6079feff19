//! Opening connections: all addresses of the target in turn, with a pause after failures; then TLS, if it is spoken there.
//! It knows no protocol.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;
use transport::{Socket, Stream, tls::Facts};

use super::secured;
use crate::{
    clock::{Clock, Nanos},
    outcome::Failure,
    plan::Offer,
    schedule::Part,
};

/// The pause after the first failure in a row; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Nanos = 1_000_000;

/// The longest pause between failures.
const MAX_PAUSE: Nanos = 16_000_000;

/// A connection in the making.
pub(super) struct Opening {
    stage: Stage,
    offer: Option<Arc<Offer>>,
    clock: Clock,
}

enum Stage {
    Tcp(Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>),
    Handshake { stream: Stream, since: Nanos },
}

/// A stream that a protocol can begin on.
#[derive(Debug)]
pub(super) struct Connected {
    /// The stream.
    pub(super) stream: Stream,
    /// When TCP was connected.
    pub(super) at: Nanos,
    /// What came of the handshake, with TLS.
    pub(super) secured: Option<Box<Secured>>,
}

/// What came of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    /// What was agreed on.
    pub(crate) facts: Facts,
    /// Nanoseconds that it took.
    pub(crate) took: Nanos,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Opening {
    /// Goes on until there is a stream that a protocol can begin on.
    ///
    /// # Errors
    /// It could not be connected, or the handshake has failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Connected, Failure>> {
        loop {
            match &mut self.stage {
                Stage::Tcp(tcp) => {
                    let tcp = ready!(tcp.as_mut().poll(cx)).map_err(|error| Failure::from_io(&error))?;
                    let (mut stream, at) = (Stream::from(Socket::Tcp(tcp)), self.clock.now());
                    let Some(offer) = &self.offer else {
                        return Poll::Ready(Ok(Connected { stream, at, secured: None }));
                    };
                    stream
                        .begin_tls_as_client(Arc::clone(&offer.config), offer.name.clone())
                        .map_err(|failure| secured::explained(&failure, offer))?;
                    self.stage = Stage::Handshake { stream, since: at };
                }
                Stage::Handshake { stream, since } => {
                    let Some(offer) = &self.offer else { unreachable!("there is a handshake") };
                    let facts = ready!(stream.poll_handshake(cx))
                        .map_err(|failure| secured::explained(&failure, offer))?;
                    let at = *since;
                    let Stage::Handshake { stream, .. } = std::mem::replace(&mut self.stage, ended()) else {
                        unreachable!("it was this stage")
                    };
                    let took = self.clock.now().saturating_sub(at);
                    let secured = match facts {
                        Some(facts) => {
                            secured::agreed(&facts, offer)?;
                            Some(Box::new(Secured { facts, took }))
                        }
                        None => None,
                    };
                    return Poll::Ready(Ok(Connected { stream, at, secured }));
                }
            }
        }
    }
}

/// Nobody asks again.
fn ended() -> Stage {
    Stage::Tcp(Box::pin(std::future::pending()))
}

/// Opens connections to the addresses of one target.
#[derive(Debug)]
pub(crate) struct Connector {
    addresses: Arc<[SocketAddr]>,
    offer: Option<Arc<Offer>>,
    clock: Clock,
    next: usize,
    failures: u32,
    not_before: Nanos,
    pace: Option<Pace>,
}

/// How fast connections are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Nanoseconds between two of them.
    interval: Nanos,
    /// When the next one may begin.
    next: Nanos,
}

/// What was missed is made up for if it was missed by no more than this.
const MAX_CATCH_UP: Nanos = 50_000_000;

impl Pace {
    /// A part's share of so many connections per second, from `now` on: the parts take turns.
    pub(crate) fn new(per_second: f64, part: Part, now: Nanos) -> Self {
        let between = 1e9 / per_second;
        let interval = (between * part.of() as f64).max(1.0) as Nanos;
        Self { interval, next: now.saturating_add((between * part.index() as f64) as Nanos) }
    }

    /// Takes the next turn, which has come.
    fn take(&mut self, now: Nanos) {
        self.next = self.next.max(now.saturating_sub(MAX_CATCH_UP)).saturating_add(self.interval);
    }
}

impl Connector {
    /// Begins with the address at `first`, so that workers begin with different ones; with an offer, TLS is begun on each
    /// connection.
    pub(crate) fn new(
        addresses: Arc<[SocketAddr]>,
        first: usize,
        offer: Option<Offer>,
        pace: Option<Pace>,
        clock: Clock,
    ) -> Self {
        let offer = offer.map(Arc::new);
        Self { addresses, offer, clock, next: first, failures: 0, not_before: 0, pace }
    }

    /// Begins to connect to the next address, and to the others if that fails, unless it is too early after a failure.
    pub(super) fn open(&mut self, now: Nanos) -> Option<Opening> {
        if self.next_attempt().is_some_and(|at| now < at) {
            return None;
        }
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
        let (addresses, first) = (Arc::clone(&self.addresses), self.next);
        self.next += 1;
        let tcp = Box::pin(connect(addresses, first));
        Some(Opening { stage: Stage::Tcp(tcp), offer: self.offer.clone(), clock: self.clock })
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
        let at = self.not_before.max(self.pace.map_or(0, |pace| pace.next));
        (at != 0).then_some(at)
    }

    /// Whether connections are opened at a pace, however many are missing.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }
}

/// Connects to the address at `first`, and to the others in turn if that fails.
async fn connect(addresses: Arc<[SocketAddr]>, first: usize) -> io::Result<TcpStream> {
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
}

/// Has the server choose the protocol, on a connection that is closed then; what it has chosen.
///
/// # Errors
/// It could not be connected, or the handshake has failed.
pub(crate) async fn negotiate(
    addresses: Arc<[SocketAddr]>,
    offer: Offer,
    clock: Clock,
) -> Result<Option<Box<[u8]>>, Failure> {
    let tcp = Box::pin(connect(addresses, 0));
    let mut opening = Opening { stage: Stage::Tcp(tcp), offer: Some(Arc::new(offer)), clock };
    let connected = std::future::poll_fn(|cx| opening.poll(cx)).await?;
    Ok(connected.secured.and_then(|secured| secured.facts.alpn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_success() {
        let addresses = [([127, 0, 0, 1], 9).into()].into();
        let mut connector = Connector::new(addresses, 0, None, None, Clock::starting_now());
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
