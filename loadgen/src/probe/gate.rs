//! Where a column of the matrix is: its address, and the tokens of the requests that are sent there.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use command_line::Refusal;
use contract::id::{Id, Ids};
use transport::Address;

use super::caches::NumberedRequests;
use crate::{
    plan::{Plan, PlanError, Protocol, Site, Version},
    resolve::Addresses,
};

/// How many round trips are waited for what comes soon or never.
const ROUND_TRIPS: u32 = 10;
/// After how many of them silence says something.
const ENOUGH: u32 = 3;
/// How long what most likely never comes is waited for on a fast way.
const MOMENT: Duration = Duration::from_millis(300);

/// A proxy, or the server itself.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) is_direct: bool,
    pub(super) is_insecure: bool,
    pub(super) site: Site,
    pub(super) addresses: Arc<[Address]>,
    /// What stands before each path.
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) ids: Ids,
    next: Cell<u64>,
    /// How long a question to the servers takes that is answered immediately, through the proxy and with its own connection:
    /// the longest time, of which half is forgotten with each question.
    rtt: Cell<Duration>,
    /// Whether servers could not be asked when this was tried last, for as long as that is tried.
    pub(super) is_cut_off: Cell<bool>,
    /// Of the servers that have replied.
    pub(super) epochs: RefCell<BTreeSet<u32>>,
    /// What was asked for here.
    pub(super) requests: RefCell<NumberedRequests>,
    /// What was spoken with them, as they say, by whether HTTP/2 is spoken here.
    pub(super) upstream: RefCell<BTreeMap<bool, String>>,
}

/// What was typed of a column, and checked.
#[derive(Clone, Debug)]
pub struct ColumnOptions {
    name: String,
    pub(super) url: String,
    pub(super) is_direct: bool,
    is_insecure: bool,
    plan: Box<Plan>,
}

impl ColumnOptions {
    /// A column of this name; `insecure`: any certificate is trusted.
    ///
    /// # Errors
    /// The URL is invalid, or not one of HTTP.
    pub fn new(name: &str, url: &str, is_direct: bool, insecure: bool) -> Result<Self, PlanError> {
        check(url)?;
        let insecure = insecure && url.starts_with("https://");
        let plan =
            Plan::builder(url).version(Version::Any).insecure(insecure).connections(1).total(1).build()?;
        Ok(Self {
            name: name.to_owned(),
            url: url.to_owned(),
            is_direct,
            is_insecure: insecure,
            plan: Box::new(plan),
        })
    }

    /// As it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the URL says may be spoken: HTTP/1.1 always.
    pub(super) fn protocols(&self) -> &'static [Protocol] {
        let target = self.plan.sites()[0].target();
        let has_http2 = target.tls || target.protocol == Protocol::Http2;
        if has_http2 { &[Protocol::Http1, Protocol::Http2] } else { &[Protocol::Http1] }
    }
}

/// What a target of loads may be, and one of a probe may not.
fn check(url: &str) -> Result<(), PlanError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let wrong = match scheme {
        Some(scheme) if !["http", "https", "h2c"].contains(&scheme) => {
            format!("invalid URL '{url}': a probe does not begin with {scheme}://")
        }
        _ if url.contains(['?', '#']) => format!("invalid URL '{url}': it has a query or a fragment"),
        _ => return Ok(()),
    };
    let accepted = "http://, h2c:// or https:// with a host, a port and a path, or host:port";
    Err(PlanError(Refusal::new(wrong, accepted, "loadgen probe nginx=http://localhost:8081")))
}

/// How many servers are known apart: one that invents epochs makes no more.
const MAX_SERVERS: usize = 256;

impl Gate {
    /// A server has said that it began with this epoch.
    pub(super) fn knows(&self, epoch: u32) {
        let mut epochs = self.epochs.borrow_mut();
        if epochs.len() < MAX_SERVERS {
            epochs.insert(epoch);
        }
    }

    /// Looks its name up.
    pub(super) fn open(wanted: &ColumnOptions, timeout: Duration) -> anyhow::Result<Self> {
        let site = wanted.plan.sites()[0].clone();
        let path = site.target().path.clone();
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self {
            name: wanted.name.clone(),
            url: wanted.url.clone(),
            is_direct: wanted.is_direct,
            is_insecure: wanted.is_insecure,
            addresses: Addresses::of(&site)?.get(),
            prefix: path,
            site,
            timeout,
            ids: Ids { run: rand::random(), load: 0 },
            next: Cell::new(0),
            rtt: Cell::new(Duration::ZERO),
            is_cut_off: Cell::new(false),
            epochs: RefCell::default(),
            requests: RefCell::default(),
            upstream: RefCell::default(),
        })
    }

    /// Takes in how long a question took.
    pub(super) fn measured(&self, time: Duration) {
        self.rtt.set(time.max(self.rtt.get() / 2));
    }

    /// For how long something that comes soon or never is waited for: a quarter of the limit of waits, or as long as many questions
    /// take that are answered immediately, but no longer than that limit.
    pub(super) fn patience(&self) -> Duration {
        (self.timeout / 4).max((self.rtt.get() * ROUND_TRIPS).min(self.timeout))
    }

    /// For how long what most likely never comes is waited for: not for long, but longer than silence takes to say something.
    pub(super) fn moment(&self) -> Duration {
        (self.timeout / 8).min(MOMENT).max((self.rtt.get() * ENOUGH).min(self.timeout))
    }

    /// Whether the way through the proxy is so slow that what has not come within this time may still come.
    pub(super) fn is_slow_for(&self, waited: Duration) -> bool {
        self.rtt.get() * ENOUGH > waited
    }

    pub(super) fn next_id(&self) -> Id {
        let number = self.next.get();
        self.next.set(number + 1);
        self.ids.of(number, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_way_is_waited_for_longer_and_never_beyond_the_limit() {
        let wanted = ColumnOptions::new("a", "http://127.0.0.1:1", false, false).unwrap();
        let gate = Gate::open(&wanted, Duration::from_secs(8)).unwrap();
        let waits = |rtt: u64| {
            gate.rtt.set(Duration::from_millis(rtt));
            (gate.moment().as_millis(), gate.patience().as_millis())
        };
        assert_eq!(waits(10), (300, 2000));
        assert_eq!(waits(500), (1500, 5000));
        assert_eq!(waits(5000), (8000, 8000));
    }
}
