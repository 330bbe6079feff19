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
    dial::{SocketOptions, dial},
    secured,
    tunnel::{self, Tunnel},
};
use crate::{
    clock::{Clock, Nanos},
    outcome::{Cause, Failure},
    plan::{Offer, Site},
    resolve::Addresses,
    schedule::Part,
};

/// The pause after the first failure in a row; it doubles, up to what depends on what waits.
const FIRST_PAUSE: Nanos = 1_000_000;

/// The longest pause where requests wait: an attempt that fails ends those, so that there are no more attempts than requests.
const MAX_PAUSE_OF_REQUESTS: Nanos = 16_000_000;

/// Where messages wait for their WebSocket, which is to be open whether or not they do.
const MAX_PAUSE_OF_MESSAGES: Nanos = 100_000_000;

/// Where nothing waits: a server that is down, or refuses all, is not to be asked by thousands of connections all the time.
const MAX_PAUSE: Nanos = 1_000_000_000;

/// A failure this long after the last one begins a new row: pauses are half as long.
const END_OF_A_ROW: Nanos = 2 * MAX_PAUSE;

/// Failures in a row, and the pause that follows from them. Attempts that began together count as one, however many they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// How many there were before connections that were made, of which none has been of use yet.
    before: u32,
    /// When the last one failed, and when the last one did that counts.
    at: Nanos,
    counted_at: Nanos,
}

impl Backoff {
    /// One that began at `since` has failed: it could not be made, or broke before it was of use.
    pub(super) fn failed(&mut self, at: Nanos, since: Nanos) {
        if at.saturating_sub(self.at) > END_OF_A_ROW {
            (self.failures, self.before) = (0, 0);
        }
        // That one was made ends no row if it was of no use.
        self.failures = self.failures.max(self.before);
        // Not by the last failure: where attempts overlap, none begins behind the one before it.
        if self.failures == 0 || since >= self.counted_at {
            self.failures = self.failures.saturating_add(1);
            self.counted_at = at;
        }
        self.at = at;
    }

    /// One that began at `since` was made: if that was after the last failure, others may begin immediately.
    pub(super) fn succeeded(&mut self, since: Nanos) {
        if since >= self.at {
            self.before = self.before.max(self.failures);
            self.failures = 0;
        }
    }

    /// One that was made is over, and was of use.
    pub(super) fn was_of_use(&mut self) {
        self.before = 0;
    }

    /// When the next attempt may be made, after a pause of no more than `longest`; 0: now.
    fn next(&self, longest: Nanos) -> Nanos {
        match self.failures {
            0 => 0,
            failures => self.at.saturating_add((FIRST_PAUSE << (failures - 1).min(10)).min(longest)),
        }
    }

    /// When the next may be made for which nothing waits; 0: now.
    pub(super) fn next_unawaited(&self) -> Nanos {
        self.next(MAX_PAUSE)
    }

    /// When the next may be made for which messages may wait; 0: now.
    pub(super) fn next_of_messages(&self) -> Nanos {
        self.next(MAX_PAUSE_OF_MESSAGES)
    }
}

/// A connection in the making.
pub(super) struct Opening {
    stage: OpeningStage,
    beginning: Beginning,
    clock: Clock,
}

enum OpeningStage {
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
    options: SocketOptions,
    proxy_header: Option<proxy_protocol::HeaderVersion>,
    /// What a proxy is asked for a tunnel with.
    connect: Option<Arc<[u8]>>,
    offer: Option<Arc<Offer>>,
}

impl Beginning {
    /// Of connections to a server, read at no more than that many bytes per second; with an offer, TLS is begun.
    pub(super) fn new(site: &Site, recv_rate: Option<u64>, offer: Option<Offer>) -> Self {
        let route = site.route();
        Self {
            options: SocketOptions::new(&route.sources).read_at(recv_rate),
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
    /// What is not there yet; none before the connection itself is.
    pub(super) fn awaited(&self) -> Option<&'static str> {
        match &self.stage {
            OpeningStage::Greeting { tunnel: Some(_), .. } => Some("no answer of the proxy to CONNECT"),
            OpeningStage::Handshake { .. } => Some("no end of the TLS handshake"),
            OpeningStage::Connecting(_) | OpeningStage::Greeting { .. } | OpeningStage::Done => None,
        }
    }

    /// Goes on until there is a stream that a protocol can begin on.
    ///
    /// # Errors
    /// It could not be connected, or the handshake has failed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Connected, Failure>> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, OpeningStage::Done) {
                OpeningStage::Connecting(mut connecting) => {
                    let Poll::Ready(socket) = connecting.as_mut().poll(cx) else {
                        self.stage = OpeningStage::Connecting(connecting);
                        return Poll::Pending;
                    };
                    let socket = socket.map_err(|error| Failure::from_io(&error))?;
                    let out = self.beginning.greeting(&socket);
                    let tunnel = self.beginning.connect.is_some().then(Tunnel::default);
                    OpeningStage::Greeting { socket, out, tunnel, at: self.clock.now() }
                }
                OpeningStage::Greeting { mut socket, mut out, mut tunnel, at } => {
                    if greet(&mut socket, &mut out, tunnel.as_mut(), cx)?.is_pending() {
                        self.stage = OpeningStage::Greeting { socket, out, tunnel, at };
                        return Poll::Pending;
                    }
                    let mut stream = Stream::from(socket);
                    let Some(offer) = &self.beginning.offer else {
                        return Poll::Ready(Ok(Connected { stream, at, secured: None }));
                    };
                    stream
                        .begin_tls_as_client(Arc::clone(&offer.config), offer.name.clone())
                        .map_err(|failure| secured::explained(&failure, offer))?;
                    OpeningStage::Handshake { stream, at, since: self.clock.now() }
                }
                OpeningStage::Handshake { mut stream, at, since } => {
                    let Some(offer) = &self.beginning.offer else { return Poll::Pending };
                    let Poll::Ready(facts) = stream.poll_handshake(cx) else {
                        self.stage = OpeningStage::Handshake { stream, at, since };
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
                OpeningStage::Done => return Poll::Pending,
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
    backoff: Backoff,
    /// The longest pause where something waits.
    longest: Nanos,
    pace: Option<Rc<Cell<OpeningPace>>>,
}

/// How fast connections are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpeningPace {
    /// Nanoseconds between two of them.
    interval: Nanos,
    /// When the next one may begin.
    next: Nanos,
}

/// What was missed is made up for if it was missed by this at most.
const MAX_CATCH_UP: Nanos = 50_000_000;

impl OpeningPace {
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
        pace: Option<OpeningPace>,
        clock: Clock,
    ) -> Self {
        let (next, step) = (part.index() as usize, part.of() as usize);
        let pace = pace.map(|pace| Rc::new(Cell::new(pace)));
        let (backoff, longest) = (Backoff::default(), MAX_PAUSE_OF_REQUESTS);
        Self { addresses, beginning, clock, next, step, backoff, longest, pace }
    }

    /// For WebSockets.
    pub(super) fn for_messages(self) -> Self {
        Self { longest: MAX_PAUSE_OF_MESSAGES, ..self }
    }

    /// Another one to the same target, and the two open connections at this pace together, in turn.
    pub(super) fn beside(&self) -> Self {
        let (addresses, beginning) = (self.addresses.clone(), self.beginning.clone());
        Self { addresses, beginning, backoff: Backoff::default(), pace: self.pace.clone(), ..*self }
    }

    /// Begins to connect to the next address, and to the others if that fails, unless it is too early after a failure;
    /// `is_awaited`: something waits for it.
    pub(super) fn open(&mut self, now: Nanos, is_awaited: bool) -> Option<Opening> {
        if self.next_attempt(is_awaited).is_some_and(|at| now < at) {
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
        let connecting = Box::pin(dial(self.addresses.get(), first, self.beginning.options.clone(), turn));
        let stage = OpeningStage::Connecting(connecting);
        Some(Opening { stage, beginning: self.beginning.clone(), clock: self.clock })
    }

    /// A connection that began at `since` was made.
    pub(super) fn succeeded(&mut self, since: Nanos) {
        self.backoff.succeeded(since);
    }

    /// A connection that was made is over, and was of use.
    pub(super) fn was_of_use(&mut self) {
        self.backoff.was_of_use();
    }

    /// A connection that began at `since` could not be made, or broke before it was of use.
    pub(crate) fn failed(&mut self, now: Nanos, since: Nanos) {
        self.backoff.failed(now, since);
    }

    /// Why a connection has failed that the peer has answered nothing on: with what else that may come of.
    pub(super) fn explained(&self, why: Failure) -> Failure {
        let is_first_answer = matches!(
            why.cause,
            Cause::Protocol | Cause::NotTls | Cause::Tls | Cause::ClosedEarly | Cause::Reset
        );
        match self.beginning.proxy_header {
            Some(_) if is_first_answer => Failure {
                message: format!(
                    "{}; or the server does not take PROXY headers (--proxy-protocol)",
                    why.message
                ),
                ..why
            },
            _ => why,
        }
    }

    /// When the next attempt may be made, if that is not now; `is_awaited`: something waits for it.
    pub(crate) fn next_attempt(&self, is_awaited: bool) -> Option<Nanos> {
        let not_before =
            if is_awaited { self.backoff.next(self.longest) } else { self.backoff.next_unawaited() };
        let at = not_before.max(self.pace.as_ref().map_or(0, |pace| pace.get().next));
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
    let connecting = Box::pin(dial(addresses.get(), 0, beginning.options.clone(), 0));
    let mut opening = Opening { stage: OpeningStage::Connecting(connecting), beginning, clock };
    let connected = std::future::poll_fn(|cx| opening.poll(cx)).await?;
    Ok(connected.secured.and_then(|secured| secured.facts.alpn))
}

#[cfg(test)]
mod tests {
    use transport::Address;

    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    fn connector() -> Connector {
        let address = Address::Tcp(([127, 0, 0, 1], 9).into());
        let addresses = Arc::<[Address]>::from([address]).into();
        Connector::new(addresses, Beginning::default(), Part::WHOLE, None, Clock::starting_now())
    }

    /// The pauses after attempts that fail immediately, each made as early as it may be; the first one now.
    fn pauses<const N: usize>(connector: &mut Connector, is_awaited: bool, mut now: Nanos) -> [Nanos; N] {
        [(); N].map(|()| {
            connector.failed(now, now);
            let next = connector.next_attempt(is_awaited).unwrap();
            assert!(connector.open(next - 1, is_awaited).is_none());
            assert!(connector.open(next, is_awaited).is_some());
            let pause = next - now;
            now = next;
            pause / MILLISECOND
        })
    }

    #[test]
    fn pauses_double_up_to_a_limit_that_is_longer_where_nothing_waits_and_end_with_success() {
        let now = 9_000 * MILLISECOND;
        assert_eq!(pauses(&mut connector(), true, now), [1, 2, 4, 8, 16, 16, 16]);
        let mut of_messages = connector().for_messages();
        assert_eq!(pauses(&mut of_messages, true, now), [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        let mut connector = connector();
        let all: [_; 12] = pauses(&mut connector, false, now);
        assert_eq!(all, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
        connector.succeeded(now + all.iter().sum::<Nanos>() * MILLISECOND);
        assert!(connector.next_attempt(false).is_none() && connector.open(0, false).is_some());
    }

    #[test]
    fn attempts_that_begin_together_and_fail_count_as_one() {
        let mut connector = connector();
        for round in 0..3 {
            let began = connector.next_attempt(false).unwrap_or(9_000 * MILLISECOND);
            for failed in 1..=100 {
                connector.failed(began + failed, began);
            }
            let pause = connector.next_attempt(false).unwrap() - (began + 100);
            assert_eq!(pause / MILLISECOND, 1 << round);
        }
        // One that began before the last failure shows nothing of the time after it.
        let before = connector.next_attempt(false);
        connector.succeeded(9_000 * MILLISECOND);
        assert_eq!(connector.next_attempt(false), before);
    }

    #[test]
    fn a_failure_long_after_the_last_one_begins_a_new_row() {
        let mut connector = connector();
        let first: [_; 11] = pauses(&mut connector, false, 9_000 * MILLISECOND);
        assert_eq!(first[10], 1000);
        assert_eq!(pauses(&mut connector, false, 60_000 * MILLISECOND), [1, 2]);
    }

    #[test]
    fn connections_that_are_made_and_are_of_no_use_are_met_again_after_growing_pauses() {
        let mut connector = connector();
        let mut now = 9_000 * MILLISECOND;
        let mut pause = |connector: &mut Connector| {
            connector.succeeded(now);
            assert!(connector.next_attempt(true).is_none(), "one that is made lets the next begin");
            connector.failed(now, now);
            let next = connector.next_attempt(true).unwrap();
            let pause = next - now;
            now = next;
            pause / MILLISECOND
        };
        assert_eq!([(); 6].map(|()| pause(&mut connector)), [1, 2, 4, 8, 16, 16]);
        connector.succeeded(u64::MAX);
        connector.was_of_use();
        assert_eq!(pause(&mut connector), 1);
    }
}
