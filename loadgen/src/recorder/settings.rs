//! What ran, as far as reports show it and figures depend on it.

use std::time::Duration;

use contract::quantity::canonical_size;
use serde::{Deserialize, Serialize};
use transport::Address;

use super::plausible::is_printable;
use crate::{
    numbers::decimal,
    outcome::ExpectedStatus,
    plan::{Call, MAX_NAME, Plan, Shape, Target, site::protocols},
};

/// As long as a URL can be, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// The maximum number of addresses that are kept.
const MAX_ADDRESSES: usize = 8;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// What the load is called, if it is one of several at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_name: Option<String>,
    /// How long after all of them began this one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Duration>,
    /// Where the requests went, as a URL.
    pub target: String,
    /// How many servers there were, each with connections and limits of its own.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub targets: usize,
    /// The addresses that its name was found at.
    pub addresses: Vec<String>,
    /// The protocol's name.
    pub protocol: String,
    /// Whether a server could not be asked for it when the run began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_protocol_assumed: bool,
    /// The requests' method, or those of all of them with commas; of gRPC calls, what kind they are.
    pub method: String,
    /// Requests per second on average, in an open loop.
    pub rate_per_second: Option<f64>,
    /// The stages of the load, as they are written; of shards that had different ones, all with a plus in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<String>,
    /// The log that was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// What connections were held to, such as `--recv-rate 10K`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<String>,
    /// Whether requests were due at random times.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub poisson: bool,
    /// What random times followed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long requests were due at first that nothing but `Recorder::warmup` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Duration>,
    /// How long a request could be unsent after it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag: Option<Duration>,
    /// How much later than it was due a request was sent at most, to be sent together with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<Duration>,
    /// How long requests were to become due, if that was known beforehand.
    pub window: Option<Duration>,
    /// How many requests there were to be.
    pub total: Option<u64>,
    /// How long requests were to become due, where that was said.
    pub duration: Option<Duration>,
    /// Connections to begin with.
    pub connections: usize,
    /// The maximum number of connections.
    pub max_connections: usize,
    /// The maximum number of concurrent requests on each.
    pub streams: usize,
    /// Threads.
    pub workers: usize,
    /// The maximum number of requests in flight.
    pub max_in_flight: usize,
    /// How long a request might take once it was sent.
    pub timeout: Duration,
    /// Statuses that count as success beside 2xx and OK, as they were named.
    pub expected_status: Option<String>,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

/// The methods of all requests, and the kinds of calls, each once.
fn methods(plan: &Plan) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for request in plan.requests() {
        let method = match request.call().and_then(Call::prepared) {
            Some(call) => call.shape.name(),
            None => request.method.as_str(),
        };
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods.join(",").chars().take(LONGEST_TEXT).collect()
}

/// The rates of bytes that connections are held to.
fn throttle(plan: &Plan) -> Option<String> {
    let client = plan.client();
    let said = [("--recv-rate", client.recv_rate), ("--send-rate", client.send_rate)]
        .into_iter()
        .filter_map(|(flag, rate)| Some(format!("{flag} {}", canonical_size(rate?))));
    let said: Vec<_> = said.collect();
    (!said.is_empty()).then(|| said.join(" and "))
}

/// Of several requests, without their paths.
fn target(plan: &Plan) -> String {
    if plan.sites().len() > 1 {
        let all = plan.sites().iter().map(|site| Target { path: "/".to_owned(), ..site.target().clone() });
        let all: Vec<_> = all.map(|target| target.to_string()).collect();
        return all.join(", ").chars().take(LONGEST_TEXT).collect();
    }
    let target = plan.target();
    match plan.requests() {
        [request] if request.path() == target.path => target.to_string(),
        [request] => Target { path: request.path().to_owned(), ..target.clone() }.to_string(),
        _ => Target { path: "/".to_owned(), ..target.clone() }.to_string(),
    }
}

impl RunSettings {
    /// Those of a plan.
    #[must_use]
    pub fn of(plan: &Plan, addresses: &[Address]) -> Self {
        let load = plan.load();
        Self {
            load_name: load.name.clone(),
            start: Some(load.start).filter(|start| !start.is_zero()),
            target: target(plan),
            targets: plan.sites().len(),
            addresses: addresses.iter().take(MAX_ADDRESSES).map(ToString::to_string).collect(),
            protocol: protocols(plan.sites()).join(" and "),
            is_protocol_assumed: plan.sites().iter().any(|site| site.is_assumed),
            method: methods(plan),
            rate_per_second: load.mean_rate,
            stages: load.stages.clone(),
            replay: load.replay.clone(),
            throttle: throttle(plan),
            poisson: load.is_random(),
            seed: plan.seed(),
            warmup: Some(load.warmup).filter(|time| !time.is_zero()),
            max_lag: match load.shape {
                Shape::Open { max_lag, .. } => max_lag,
                Shape::Closed { .. } => None,
            },
            coalesce: match load.shape {
                Shape::Open { coalesce, .. } => coalesce,
                Shape::Closed { .. } => None,
            },
            window: load.planned(),
            total: load.total,
            duration: load.duration,
            connections: load.connections.get(),
            max_connections: load.max_connections.get(),
            streams: load.streams.get(),
            workers: plan.workers().get(),
            max_in_flight: load.max_in_flight.get(),
            timeout: load.timeout,
            expected_status: plan.expected_status().named().map(str::to_owned),
        }
    }

    /// Whether an address is another one that can be kept.
    pub(crate) fn has_room_for(&self, address: &String) -> bool {
        self.addresses.len() < MAX_ADDRESSES && !self.addresses.contains(address)
    }

    /// Whether reports can print it: what was read may hold anything.
    pub(crate) fn is_plausible(&self) -> bool {
        let texts = [&self.target, &self.protocol, &self.method].into_iter();
        self.addresses.len() <= MAX_ADDRESSES
            && texts
                .chain(&self.addresses)
                .chain(&self.expected_status)
                .chain(&self.stages)
                .chain(&self.replay)
                .chain(&self.throttle)
                .all(|text| is_printable(text, LONGEST_TEXT))
            && self.load_name.as_ref().is_none_or(|name| is_printable(name, MAX_NAME))
            && self.expected().is_some()
    }

    /// Whether a reply with this status is a success.
    #[must_use]
    pub fn expects(&self, status: u16) -> bool {
        self.expected().unwrap_or_default().contains(status)
    }

    fn expected(&self) -> Option<ExpectedStatus> {
        let named = self.expected_status.as_deref();
        named.map_or(Some(ExpectedStatus::default()), |text| ExpectedStatus::default().with(text).ok())
    }

    /// How requests came to be due, in words.
    #[must_use]
    pub fn load(&self) -> String {
        let seed = self.seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
        self.load_without_seed() + &seed
    }

    /// The same, without what is another one in each run.
    #[must_use]
    pub fn load_without_seed(&self) -> String {
        let kind = if self.is_open_loop() { "open loop" } else { "closed loop" };
        let random = if self.poisson { " Poisson" } else { "" };
        if let Some(log) = &self.replay {
            return format!("{kind}, replay of {log}");
        }
        match (&self.stages, self.rate_per_second) {
            (Some(stages), _) => format!("{kind},{random} stages {}", spaced(stages)),
            (None, Some(rate)) => {
                let rate = decimal(rate);
                format!("{kind},{random} {rate} request{}/s", if rate == "1" { "" } else { "s" })
            }
            (None, None) => kind.to_owned(),
        }
    }

    /// The addresses that are named where something failed: of several targets, it may have been any.
    #[must_use]
    pub fn tried(&self) -> &[String] {
        if self.targets > 1 { &[] } else { &self.addresses }
    }

    /// How many requests could be in flight.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let of_each = self.max_in_flight.min(self.max_connections.saturating_mul(self.streams));
        let most = of_each.saturating_mul(self.targets);
        self.total.and_then(|total| usize::try_from(total).ok()).map_or(most, |total| most.min(total))
    }

    /// Whether concurrent requests on a connection were those of HTTP/1.1, one behind the other.
    #[must_use]
    pub fn pipelines(&self) -> bool {
        self.streams > 1 && self.protocol.starts_with("HTTP/1.1")
    }

    /// Whether requests were due by a schedule.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.rate_per_second.is_some()
    }
}

/// The maximum number of stages that are shown for people.
const MAX_SHOWN: usize = 12;

/// Stages for people, abridged where there are many.
fn spaced(stages: &str) -> String {
    let all: Vec<_> = stages.split(',').collect();
    let mut shown = all.iter().take(MAX_SHOWN).copied().collect::<Vec<_>>().join(", ");
    if all.len() > MAX_SHOWN {
        shown += &format!(" and {} more", all.len() - MAX_SHOWN);
    }
    shown
}

#[cfg(test)]
mod tests {
    use crate::planted::{Planted, run};

    #[test]
    fn the_load_is_described_in_words() {
        let told = |line: &str| run(&format!("{line} a:1"), |_, _| Planted::default()).run.load();
        assert_eq!(told("-r 10 -d 1s"), "open loop, 10 requests/s");
        assert_eq!(told("-r 1 -d 1s"), "open loop, 1 request/s");
        assert_eq!(told("-r 10 -d 1s --poisson --seed 7"), "open loop, Poisson 10 requests/s (seed 7)");
        assert_eq!(told("--stages 1s@5,1s@5..9"), "open loop, stages 1s@5, 1s@5..9");
        let many = vec!["10ms@100"; 20].join(",");
        assert!(told(&format!("--stages {many}")).ends_with("10ms@100 and 8 more"));
    }
}
