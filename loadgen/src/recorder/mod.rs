//! What a worker has counted and timed. Owned by the worker, merged when all are done; its size doesn't grow
//! with the number of requests.

mod availability;
mod backends;
mod binned;
mod bits;
mod by_request;
mod by_status;
mod calls;
mod connections;
mod counts;
mod encoded;
mod failures;
mod flow;
mod idle;
mod intervals;
mod origin;
mod phases;
mod plausible;
mod reached;
mod record;
mod recording;
mod server_report;
mod settings;
mod sockets;
mod split;
mod streams;
mod times;
mod trend;
mod unmet;
mod verified;

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

pub use availability::{Availability, Span};
pub use backends::{Backend, Backends};
pub use binned::{Bin, Binned};
pub use by_request::{ByRequest, RequestRecords};
use by_status::STATUSES;
pub use calls::{CallErrors, Calls, MessageCount, MessageFlow};
pub use connections::Connections;
use contract::id::Ids;
pub use counts::Counts;
pub use failures::{Failures, Seen};
pub use flow::{Flow, Returned};
pub use idle::Idle;
pub use intervals::{Interval, Intervals};
pub(crate) use origin::MAX_LABELS;
pub use origin::Origin;
pub(crate) use origin::without_arguments;
pub use phases::{PhaseFigures, Phases};
pub use reached::Reached;
pub(crate) use recording::Recording;
pub use server_report::{ReportedLoad, ReportedTimes, ServerReport};
pub use settings::RunSettings;
pub use sockets::Sockets;
pub(crate) use split::{PartTimes, Split};
pub(crate) use streams::{Numbers, OfStream, OutOfOrder, Streams, settled};
pub use times::{Snapshot, Times};
pub(crate) use trend::slope;
pub use trend::{Parts, Trend};
pub use unmet::Unmet;
pub(crate) use verified::{Hurt, MAX_EPOCHS, Sampled, Verified, fate, reason};

use crate::{
    clock::Nanos,
    outcome::{Arrival, Exchange, ExpectedStatus},
    plan::Plan,
};

/// The longest time that a histogram distinguishes: an hour, in nanoseconds.
pub const LONGEST: Nanos = 3_600_000_000_000;

/// What connections have carried, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Of replies' bodies, also of those that are still running.
    pub(crate) bodies: u64,
    /// Written.
    pub(crate) sent: u64,
    /// Read.
    pub(crate) received: u64,
    /// Messages of gRPC calls that were sent, and that came.
    pub(crate) messages: (u64, u64),
}

/// What a worker, or after merging a run, has recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorder {
    /// Where the requests have ended.
    pub counts: Counts,
    /// Where those have ended that were due in the warm-up, which are nowhere else; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Counts>,
    /// How long they took.
    pub times: Times,
    /// Replies by status.
    #[serde(with = "by_status")]
    statuses: Vec<u64>,
    /// Why requests failed.
    pub failures: Failures,
    /// Who answered.
    pub backends: Backends,
    /// How it went, second by second.
    pub intervals: Intervals,
    /// What happened to connections.
    pub connections: Connections,
    /// What came back, by the millisecond.
    pub flow: Flow,
    /// Which part of requests' times grew.
    pub trend: Trend,
    /// What dummy-server reports of its own part.
    #[serde(default, skip_serializing_if = "ServerReport::is_empty")]
    pub server_report: ServerReport,
    /// What happened to each of several requests.
    #[serde(default, skip_serializing_if = "ByRequest::is_empty")]
    pub requests: ByRequest,
    /// Replies that were not as the plan expects.
    #[serde(default, skip_serializing_if = "Unmet::is_empty")]
    pub unmet: Unmet,
    /// What came of gRPC calls, if requests are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Box<Calls>>,
    /// What came of WebSockets beyond their messages, if requests are messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets: Option<Box<Sockets>>,
    /// What came of requests before, while and after something happened, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<Box<Phases>>,
    /// When the target was there.
    pub availability: Availability,
    /// The first time that no more connections were allowed: how many there were, and why.
    pub limited: Option<(usize, String)>,
    /// What there was not while requests waited for a first connection until the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unopened: Option<String>,
    /// Which bounds were reached while requests waited to be sent; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
    /// Connections that were closed because they broke the protocol while no request was at work on them, and what the
    /// first one did.
    pub unasked: Option<(u64, String)>,
    /// Bytes of replies' bodies.
    pub body_bytes: u64,
    /// Bytes written to connections, whatever they were.
    pub bytes_sent: u64,
    /// Bytes read from connections, whatever they were.
    pub bytes_received: u64,
    /// The longest time for which loadgen itself was kept from running, and all such times of a worker together, in nanoseconds,
    /// as far as they are longer than 10 ms.
    pub held_up: (Nanos, Nanos),
    /// Nanoseconds in flight of all requests together, as far as they lie within the time in which requests were to
    /// become due, if that was known.
    pub in_flight: u128,
    /// What was exchanged, if it is to be shown.
    #[serde(skip)]
    pub(crate) exchange: Option<Box<Exchange>>,
    /// What was exchanged before that, if several exchanges are to be looked at: the last ones of them.
    #[serde(skip)]
    pub(crate) earlier: Vec<Exchange>,
    /// What is known of each request of a verified run.
    #[serde(skip)]
    pub(crate) verified: Option<Box<Verified>>,
    /// What is known of each message of its streams, if any of them carry tokens.
    #[serde(skip)]
    pub(crate) streams: Option<Box<Streams>>,
    /// Redirects that were followed before that, each with head and body of what was sent next.
    #[serde(skip)]
    pub(crate) redirects: Vec<(Exchange, (String, Vec<u8>))>,
    #[serde(with = "run_and_load")]
    ids: Ids,
    /// Which replies are successes.
    #[serde(skip)]
    expected: ExpectedStatus,
    /// Which replies to each request are successes, where that is not the same for all.
    #[serde(skip)]
    expected_of: Arc<[ExpectedStatus]>,
    /// Which of several targets each request goes to.
    #[serde(skip)]
    targets: Option<Box<TargetNames>>,
    /// When requests were to become due.
    #[serde(skip)]
    window: Range<Nanos>,
    /// What the server's clock shows when this one shows zero.
    #[serde(skip)]
    epoch: Nanos,
}

/// Several targets, and which of them each request goes to.
#[derive(Clone, Debug)]
struct TargetNames {
    names: Vec<String>,
    of_requests: Arc<[u16]>,
}

impl TargetNames {
    /// Those of a plan; none if there is one alone.
    fn of(plan: &Plan) -> Option<Box<Self>> {
        let of_requests = plan.sites_of_requests();
        let names = || plan.sites().iter().map(|site| site.target().to_string()).collect();
        (!of_requests.is_empty()).then(|| Box::new(Self { names: names(), of_requests }))
    }

    /// Where an arrival went; none where redirects may have led it elsewhere.
    fn of_arrival(&self, arrival: &Arrival) -> Option<&str> {
        let site = self.of_requests.get(arrival.request as usize).filter(|_| arrival.chain == 0)?;
        self.names.get(usize::from(*site)).map(String::as_str)
    }
}

/// Ids as the numbers of run and load.
mod run_and_load {
    use contract::id::Ids;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(ids: &Ids, to: S) -> Result<S::Ok, S::Error> {
        (ids.run, ids.load).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Ids, D::Error> {
        <(u32, u8)>::deserialize(from).map(|(run, load)| Ids { run, load })
    }
}

impl Recorder {
    /// An empty recorder of the run with these ids; replies with an `expected` status are successes.
    #[must_use]
    pub fn new(ids: Ids, expected: ExpectedStatus) -> Self {
        Self {
            counts: Counts::default(),
            warmup: None,
            times: Times::default(),
            statuses: vec![0; STATUSES],
            failures: Failures::default(),
            backends: Backends::default(),
            intervals: Intervals::default(),
            connections: Connections::default(),
            flow: Flow::default(),
            trend: Trend::default(),
            server_report: ServerReport::default(),
            requests: ByRequest::default(),
            unmet: Unmet::default(),
            calls: None,
            sockets: None,
            phases: None,
            availability: Availability::default(),
            limited: None,
            unopened: None,
            reached: None,
            unasked: None,
            body_bytes: 0,
            bytes_sent: 0,
            bytes_received: 0,
            held_up: (0, 0),
            in_flight: 0,
            exchange: None,
            earlier: Vec::new(),
            verified: None,
            streams: None,
            redirects: Vec::new(),
            ids,
            expected,
            expected_of: Arc::default(),
            targets: None,
            window: 0..Nanos::MAX,
            epoch: 0,
        }
    }

    /// An empty recorder of a plan's run with these ids.
    #[must_use]
    pub fn of(plan: &Plan, ids: Ids) -> Self {
        Self {
            requests: ByRequest::of(plan.names()),
            expected_of: plan.expected_status_of_requests(),
            calls: plan.calls().next().map(|_| Box::default()),
            sockets: plan.message().map(|_| Box::default()),
            verified: plan.verify().map(|_| Box::new(Verified::of(plan.message().is_some()))),
            streams: plan.stream_numbers().map(|_| Box::default()),
            phases: plan.has_phases().then(Box::default),
            targets: TargetNames::of(plan),
            ..Self::new(ids, plan.expected_status().clone())
        }
    }

    /// The ids of the run's requests.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// Replies by status, those seen alone; messages have none.
    pub fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(self.statuses.iter().copied()).skip(1).filter(|(_, count)| *count > 0)
    }

    /// The same as of a start that lies so much earlier: what is recorded by time moves by whole bins, to the nearest.
    pub(crate) fn delay(&mut self, by: Nanos) {
        self.intervals.delay(by);
        self.flow.delay(by);
        if let Some(calls) = &mut self.calls {
            calls.delay(by);
        }
        self.trend.delay(by);
        self.availability.delay(by);
    }

    /// Adds what another worker of the run has recorded.
    pub fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        if let Some(warmup) = &other.warmup {
            self.warmup().merge(warmup);
        }
        self.times.merge(&other.times);
        for (count, more) in self.statuses.iter_mut().zip(&other.statuses) {
            *count += more;
        }
        self.failures.merge(&other.failures);
        self.backends.merge(&other.backends);
        self.intervals.merge(&other.intervals);
        self.flow.merge(&other.flow);
        self.trend.merge(&other.trend);
        self.server_report.merge(&other.server_report);
        if let Some(calls) = &other.calls {
            self.calls().merge(calls);
        }
        if let Some(sockets) = &other.sockets {
            self.sockets.get_or_insert_default().merge(sockets);
        }
        if let Some(phases) = &other.phases {
            self.phases.get_or_insert_default().merge(phases);
        }
        self.availability.merge(&other.availability);
        self.requests.merge(&other.requests);
        self.unmet.merge(&other.unmet);
        self.connections.merge(&other.connections);
        self.limited = match (self.limited.take(), &other.limited) {
            (Some((mine, why)), Some((theirs, _))) => Some((mine + theirs, why)),
            (mine, theirs) => mine.or_else(|| theirs.clone()),
        };
        if self.unopened.is_none() {
            self.unopened.clone_from(&other.unopened);
        }
        if let Some(reached) = other.reached {
            self.reached.get_or_insert_default().merge(reached);
        }
        if let Some((more, what)) = &other.unasked {
            self.unasked.get_or_insert_with(|| (0, what.clone())).0 += more;
        }
        if let Some(exchange) = &other.exchange {
            self.exchange = Some(exchange.clone());
            self.redirects.clone_from(&other.redirects);
        }
        self.earlier.extend(other.earlier.iter().cloned());
        if let (Some(verified), Some(other)) = (&mut self.verified, &other.verified) {
            verified.merge(other);
        }
        if let (Some(streams), Some(other)) = (&mut self.streams, &other.streams) {
            streams.merge(other);
        }
        self.body_bytes += other.body_bytes;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        // Workers are held up at the same time, most likely.
        self.held_up = (self.held_up.0.max(other.held_up.0), self.held_up.1.max(other.held_up.1));
        self.in_flight += other.in_flight;
    }

    /// Brings a snapshot for progress up to date.
    pub(crate) fn snapshot(&self, snapshot: &mut Snapshot) {
        snapshot.counts = self.counts;
        for (shown, times) in
            [(&mut snapshot.response, &self.times.response), (&mut snapshot.undelayed, &self.times.undelayed)]
        {
            let set = shown.set_to(times);
            debug_assert!(set.is_ok(), "{set:?}");
        }
    }
}

#[cfg(test)]
mod tests;
