//! Opening connections, stage by stage: all addresses in turn, with a pause after failures; what comes before everything
//! else (a PROXY header, a forward proxy's tunnel); TLS. It knows no protocol.

use std::{
    cell::Cell,
    fmt, io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use transport::{Socket, Stream, proxy_protocol, tls::Facts};

use super::{
    dial::{Sources, dial},
    secured,
    tunnel::{self, Tunnel},
};
use crate::{
    clock::{Clock, Nanos},
    outcome::Failure,
    plan::{Offer, Site},
    resolve::Addresses,
    schedule::Part,
};

/// The pause after the first failure in a row; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Nanos = 1_000_000;

/// The longest pause between failures.
const MAX_PAUSE: Nanos = 16_000_000;

/// A connection in the making.
pub(super) struct Opening {
    stage: Stage,
    beginning: Beginning,
    clock: Clock,
}

enum Stage {
    Connecting(Pin<Box<dyn Future<Output = io::Result<Socket>>>>),
    /// What comes before everything else is written, and answered.
    Greeting {
        socket: Socket,
        out: Vec<u8>,
        tunnel: Option<Tunnel>,
        at: Nanos,
    },
    Handshake {
        stream: Stream,
        at: Nanos,
        since: Nanos,
    },
    Done,
}

/// What connections begin with, before their protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    sources: Sources,
    proxy_header: Option<proxy_protocol::Version>,
    /// What a proxy is asked for a tunnel with.
    connect: Option<Arc<[u8]>>,
    offer: Option<Arc<Offer>>,
}

impl Beginning {
    /// Of connections to a server, read at no more than that many bytes per second; with an offer, TLS is begun.
    pub(super) fn new(site: &Site, recv_rate: Option<u64>, offer: Option<Offer>) -> Self {
        let route = site.route();
        Self {
            sources: Sources::new(&route.sources).read_at(recv_rate),
            proxy_header: route.proxy_header,
            connect: route.connect_request(site.target()).map(Arc::from),
            offer: offer.map(Arc::new),
        }
    }

    /// The first bytes of a connection, which are neither TLS nor the protocol's.
    fn greeting(&self, socket: &Socket) -> Vec<u8> {
        let header = self.proxy_header.map(|version| {
            let addresses = match socket {
                Socket::Tcp(tcp) => tcp.local_addr().ok().zip(tcp.peer_addr().ok()),
                Socket::Unix(_) => None,
            };
            proxy_protocol::header(version, addresses)
        });
        [header.as_deref().unwrap_or_default(), self.connect.as_deref().unwrap_or_default()].concat()
    }
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
    /// What there is not yet; none before the connection itself is there.
    pub(super) fn awaited(&self) -> Option<&'static str> {
        match &self.stage {
            Stage::Greeting { tunnel: Some(_), .. } => Some("no answer of the proxy to CONNECT"),
            Stage::Handshake { .. } => Some("no end of the TLS handshake"),
            Stage::Connecting(_) | Stage::Greeting { .. } | Stage::Done => None,
        }
    }

    /// Goes on until there is a stream that a protocol can begin on.
    ///
    /// # Errors
    /// It could not be connected, or the handshake has failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Connected, Failure>> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Connecting(mut connecting) => {
                    let Poll::Ready(socket) = connecting.as_mut().poll(cx) else {
                        self.stage = Stage::Connecting(connecting);
                        return Poll::Pending;
                    };
                    let socket = socket.map_err(|error| Failure::from_io(&error))?;
                    let out = self.beginning.greeting(&socket);
                    let tunnel = self.beginning.connect.is_some().then(Tunnel::default);
                    Stage::Greeting { socket, out, tunnel, at: self.clock.now() }
                }
                Stage::Greeting { mut socket, mut out, mut tunnel, at } => {
                    if greet(&mut socket, &mut out, tunnel.as_mut(), cx)?.is_pending() {
                        self.stage = Stage::Greeting { socket, out, tunnel, at };
                        return Poll::Pending;
                    }
                    let mut stream = Stream::from(socket);
                    let Some(offer) = &self.beginning.offer else {
                        return Poll::Ready(Ok(Connected { stream, at, secured: None }));
                    };
                    stream
                        .begin_tls_as_client(Arc::clone(&offer.config), offer.name.clone())
                        .map_err(|failure| secured::explained(&failure, offer))?;
                    Stage::Handshake { stream, at, since: self.clock.now() }
                }
                Stage::Handshake { mut stream, at, since } => {
                    let Some(offer) = &self.beginning.offer else { return Poll::Pending };
                    let Poll::Ready(facts) = stream.poll_handshake(cx) else {
                        self.stage = Stage::Handshake { stream, at, since };
                        return Poll::Pending;
                    };
                    let facts = facts.map_err(|failure| secured::explained(&failure, offer))?;
                    let took = self.clock.now().saturating_sub(since);
                    let secured = match facts {
                        Some(facts) => {
                            secured::agreed(&facts, offer)?;
                            Some(Box::new(Secured { facts, took }))
                        }
                        None => None,
                    };
                    return Poll::Ready(Ok(Connected { stream, at, secured }));
                }
                Stage::Done => return Poll::Pending,
            };
        }
    }
}

/// Writes what comes before everything else, and reads what a proxy says to it.
fn greet(
    socket: &mut Socket,
    out: &mut Vec<u8>,
    tunnel: Option<&mut Tunnel>,
    cx: &mut Context<'_>,
) -> Result<Poll<()>, Failure> {
    let written = match socket {
        Socket::Tcp(tcp) => tunnel::poll_write(out, tcp, cx),
        Socket::Unix(unix) => tunnel::poll_write(out, unix, cx),
    };
    match written {
        Poll::Pending => return Ok(Poll::Pending),
        Poll::Ready(result) => result.map_err(|error| Failure::from_io(&error))?,
    }
    match (socket, tunnel) {
        (Socket::Tcp(tcp), Some(tunnel)) => match tunnel.poll(tcp, cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(result) => result.map(Poll::Ready),
        },
        _ => Ok(Poll::Ready(())),
    }
}

/// Opens connections to the addresses of one target.
#[derive(Debug)]
pub(crate) struct Connector {
    addresses: Addresses,
    beginning: Beginning,
    clock: Clock,
    /// Which address and which source are next, and how far apart those of one part are.
    next: usize,
    step: usize,
    failures: u32,
    /// How many there were before connections that were made, of which none has been of use yet.
    before: u32,
    not_before: Nanos,
    pace: Option<Rc<Cell<Pace>>>,
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
    /// A part's share of a rate of connections per second, from `now` on: the parts take turns.
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
    /// Of one part of all connections: the parts begin with different addresses and sources.
    pub(super) fn new(
        addresses: Addresses,
        beginning: Beginning,
        part: Part,
        pace: Option<Pace>,
        clock: Clock,
    ) -> Self {
        let (next, step) = (part.index() as usize, part.of() as usize);
        let pace = pace.map(|pace| Rc::new(Cell::new(pace)));
        Self { addresses, beginning, clock, next, step, failures: 0, before: 0, not_before: 0, pace }
    }

    /// Another one to the same target, which opens connections at the same pace by turns.
    pub(super) fn beside(&self) -> Self {
        let (addresses, beginning) = (self.addresses.clone(), self.beginning.clone());
        Self { addresses, beginning, failures: 0, before: 0, not_before: 0, pace: self.pace.clone(), ..*self }
    }

    /// Begins to connect to the next address, and to the others if that fails, unless it is too early after a failure.
    pub(super) fn open(&mut self, now: Nanos) -> Option<Opening> {
        if self.next_attempt().is_some_and(|at| now < at) {
            return None;
        }
        if let Some(shared) = &self.pace {
            let mut pace = shared.get();
            pace.take(now);
            shared.set(pace);
        }
        let turn = self.next;
        self.next = self.next.wrapping_add(self.step);
        // Each part goes through all addresses, and all parts through all sources.
        let first = turn / self.step + turn % self.step;
        let connecting = Box::pin(dial(self.addresses.get(), first, self.beginning.sources.clone(), turn));
        let stage = Stage::Connecting(connecting);
        Some(Opening { stage, beginning: self.beginning.clone(), clock: self.clock })
    }

    /// A connection was made.
    pub(super) fn succeeded(&mut self) {
        self.before = self.before.max(self.failures);
        self.failures = 0;
        self.not_before = 0;
    }

    /// A connection that was made is over, and was of use.
    pub(super) fn was_of_use(&mut self) {
        self.before = 0;
    }

    /// It was of none: that it was made ends no row of failures, so that the pauses go on growing.
    pub(super) fn was_of_no_use(&mut self) {
        self.failures = self.failures.max(self.before);
    }

    /// A connection could not be made, or broke before it was of use.
    pub(crate) fn failed(&mut self, now: Nanos) {
        let pause = (FIRST_PAUSE << self.failures.min(4)).min(MAX_PAUSE);
        self.failures += 1;
        self.not_before = now + pause;
    }

    /// When the next attempt may be made, if that is not now.
    pub(crate) fn next_attempt(&self) -> Option<Nanos> {
        let at = self.not_before.max(self.pace.as_ref().map_or(0, |pace| pace.get().next));
        (at != 0).then_some(at)
    }

    /// Whether connections are opened at a pace, however many are missing.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }
}

/// Has the server choose the protocol, on a connection that is closed then; what it has chosen.
///
/// # Errors
/// It could not be connected, or the handshake has failed.
pub(crate) async fn negotiate(
    addresses: &Addresses,
    site: &Site,
    offer: Offer,
    clock: Clock,
) -> Result<Option<Box<[u8]>>, Failure> {
    let beginning = Beginning::new(site, None, Some(offer));
    let connecting = Box::pin(dial(addresses.get(), 0, beginning.sources.clone(), 0));
    let mut opening = Opening { stage: Stage::Connecting(connecting), beginning, clock };
    let connected = std::future::poll_fn(|cx| opening.poll(cx)).await?;
    Ok(connected.secured.and_then(|secured| secured.facts.alpn))
}

#[cfg(test)]
mod tests {
    use transport::Address;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_success() {
        let address = Address::Tcp(([127, 0, 0, 1], 9).into());
        let addresses = Arc::<[Address]>::from([address]).into();
        let mut connector =
            Connector::new(addresses, Beginning::default(), Part::WHOLE, None, Clock::starting_now());
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

    #[test]
    fn connections_that_are_made_and_are_of_no_use_are_met_again_after_growing_pauses() {
        let address = Address::Tcp(([127, 0, 0, 1], 9).into());
        let addresses = Arc::<[Address]>::from([address]).into();
        let mut connector =
            Connector::new(addresses, Beginning::default(), Part::WHOLE, None, Clock::starting_now());
        let pause = |connector: &mut Connector| {
            connector.succeeded();
            assert!(connector.next_attempt().is_none(), "one that is made lets the next begin");
            connector.was_of_no_use();
            connector.failed(0);
            connector.next_attempt().unwrap() / 1_000_000
        };
        assert_eq!([(); 6].map(|()| pause(&mut connector)), [1, 2, 4, 8, 16, 16]);
        connector.succeeded();
        connector.was_of_use();
        assert_eq!(pause(&mut connector), 1);
    }
}
