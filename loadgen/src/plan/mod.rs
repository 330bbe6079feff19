//! Everything decided before the first byte. A [`Plan`] is valid by construction: only its [`Builder`] makes one.
//!
//! [`target`] says where to, [`request`] what, [`load`] how much. Nothing here opens a socket, knows a command line or
//! prints.

pub mod accepted;
mod access_log;
mod builder;
pub mod call;
mod call_message;
mod call_options;
mod canary;
mod checked;
pub mod client;
mod contents;
mod expect;
pub mod file;
pub mod files;
pub(crate) mod known_keys;
pub mod lifetime;
pub mod load;
mod load_options;
pub mod message;
mod methods;
pub(crate) mod mix;
mod places;
mod proto_files;
pub(crate) mod redirect;
pub mod rendering;
pub mod replay;
pub mod request;
mod request_options;
mod requests;
pub mod route;
pub(crate) mod rows;
pub mod site;
pub mod stages;
mod stream_tokens;
pub mod target;
pub(crate) mod template;
mod tls;
pub(crate) mod upload;
pub mod verify;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

pub use builder::Builder;
pub use call::Call;
#[cfg(test)]
pub(crate) use call::Encoding;
pub(crate) use call_message::VaryingMessages;
pub use call_options::{CallOptions, MAX_MESSAGES};
pub(crate) use checked::check_expected_together;
pub use client::{Client, ClientOptions};
use command_line::Refusal;
pub use expect::{Expect, ExpectedText};
pub use files::{OtherEnd, together_within_files};
pub use lifetime::{Lifetime, Retry};
pub use load::{Load, OnOverload, Shape};
pub use message::Message;
pub use methods::MethodShape;
pub(crate) use methods::{contents, known, no_service};
use prost_reflect::DescriptorPool;
pub(crate) use proto_files::add as add_types;
pub use replay::Skipped;
pub use request::Request;
pub use request_options::{Body, MAX_BODY, RequestOptions, Share};
pub use requests::{MAX_NAME, MAX_NAMES, MAX_URLS};
pub(crate) use requests::{Names, Requests};
pub use route::Route;
pub(crate) use route::RouteOverride;
pub use site::Site;
pub(crate) use stream_tokens::{Answers, StreamMessages, StreamNumbers, of_streams};
pub(crate) use target::Endpoint;
pub use target::{Protocol, Target, Version};
pub(crate) use tls::{Offer, spoken};
pub use tls::{Tls, TlsOptions};
pub(crate) use verify::ECHO_STREAM;
pub use verify::{Ledgers, Verify};

use contract::id::{self, Ids};
use mix::Mix;
use template::Values;

use crate::{
    clock::Nanos,
    outcome::{Arrival, ExpectedStatus},
    schedule::Arrivals,
};

/// How many chains of redirects a worker follows at a time.
pub(crate) const MAX_CHAINS: usize = u16::MAX as usize;

/// The maximum number of threads that are accepted: with more of them than CPUs, a run takes longer to begin than to go on.
pub const MAX_WORKERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The maximum number of loads that a plan may have at the same time.
pub const MAX_LOADS: usize = 16;

/// A run, decided.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least one.
    sites: Vec<Site>,
    requests: Requests,
    seed: Option<u64>,
    message: Option<Message>,
    /// Lines of a log that is replayed that had nothing to send.
    skipped: Skipped,
    load: Load,
    lifetime: Lifetime,
    client: Client,
    workers: NonZeroUsize,
    pin_cpus: bool,
    expected_status: ExpectedStatus,
    /// Of each request, where that is not the same for all.
    expected_of: Arc<[ExpectedStatus]>,
    captures: bool,
    verify: Option<Verify>,
    has_phases: bool,
    /// Where what it says stands, if that is in a file.
    places: Option<Arc<places::ValuePlaces>>,
}

/// A mistake in what is wanted: one line that says what is wrong with which input, what is accepted, and an example.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PlanError(pub(crate) Refusal);

impl PlanError {
    /// There is nothing to send to, and why.
    pub(crate) fn without_target(why: &str) -> Self {
        let accepted = "host:port, h2c://host:port, http://host:port or https://host:port, each with an optional path, \
                        grpc://host:port or grpcs://host:port, ws://host:port or wss://host:port, or --embedded for a dummy-server in this process";
        Self(Refusal::new("no target", accepted, "loadgen localhost:8080").because(why))
    }
}

/// What the texts of all requests with placeholders depend on.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    seed: u64,
    epoch: Nanos,
    mix: Mix,
}

impl Texts {
    /// What the text of one sending depends on.
    pub(crate) fn values<'v>(
        &self,
        arrival: &Arrival,
        rows: Option<&'v rows::Rows>,
        id: Option<&'v id::Text>,
    ) -> Values<'v> {
        Values {
            seed: self.seed,
            number: arrival.number,
            due: self.epoch.saturating_add(arrival.due),
            row: rows.map(|rows| (rows, self.mix.choice(arrival.number).rank)),
            length: 0,
            crc32c: 0,
            id,
        }
    }
}

impl Plan {
    /// Begins a plan for a target: `host:port`, `h2c://host:port`, `http://host:port` or `https://host:port`, with a path if you like,
    /// `grpc://host:port/package.Service/Method`, or `ws://host:port`, with a path. What is not said is as on the command line.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use loadgen::Plan;
    ///
    /// let plan = Plan::builder("http://localhost:8080/bin/1K").rate(100.0).duration(Duration::from_secs(5)).build()?;
    /// assert_eq!(plan.load().window(), Some(Duration::from_secs(5)));
    /// assert!(Plan::builder("localhost:8080").connections(0).build().is_err());
    /// # Ok::<(), loadgen::PlanError>(())
    /// ```
    #[must_use]
    pub fn builder(target: impl Into<String>) -> Builder {
        Builder::new(target.into())
    }

    /// Where the requests go; of several targets, the first.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.sites[0].target()
    }

    /// All servers that requests go to, at least one.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The server that a request goes to.
    #[must_use]
    pub fn site_of(&self, request: usize) -> &Site {
        let index = self.requests.sites().get(request).copied().unwrap_or(0);
        &self.sites[usize::from(index)]
    }

    /// Which server each request goes to, by index; empty where there is one.
    pub(crate) fn sites_of_requests(&self) -> Arc<[u16]> {
        if self.sites.len() > 1 { self.requests.sites() } else { Arc::default() }
    }

    /// The same with the protocol that a server has chosen; HTTP/1.1 where it could not be asked.
    #[must_use]
    pub(crate) fn speaking(mut self, site: usize, chosen: Option<Protocol>) -> Self {
        let protocol = chosen.unwrap_or(Protocol::Http1);
        self.sites[site].target.protocol = protocol;
        self.sites[site].target.negotiated = false;
        self.sites[site].is_assumed = chosen.is_none();
        if site == 0 {
            self.load.speak(protocol);
        }
        self
    }

    /// One for each server, with the first request that goes there alone.
    pub(crate) fn each(&self) -> Result<Vec<Self>, PlanError> {
        if self.sites.len() == 1 {
            return Ok(vec![self.clone()]);
        }
        let sites = self.requests.sites();
        let of = (0..self.sites.len()).filter_map(|site| {
            let request = sites.iter().position(|of| usize::from(*of) == site)?;
            Some((site, self.requests()[request].clone()))
        });
        let plan = |(site, request): (usize, Request)| {
            let mut plan = self.clone();
            plan.sites = vec![self.sites[site].clone()];
            plan.load.speak(plan.target().protocol);
            plan.requests = Requests::only(request)?;
            plan.expected_of = Arc::default();
            Ok(plan)
        };
        of.map(plan).collect()
    }

    /// What is sent: the first of several requests.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.requests()[0]
    }

    /// All that is sent, at least one request.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        self.requests.all()
    }

    /// How requests are distinguished in reports; none with one alone.
    pub(crate) fn names(&self) -> &Names {
        self.requests.names()
    }

    /// Which request each arrival sends, where this number of parts share the arrivals.
    pub(crate) fn mix(&self, parts: u64) -> Mix {
        // A total does not say how many there are with the warm-up.
        let total = self.load.total.filter(|_| self.load.warmup.is_zero());
        let count = self.load.arrivals().and_then(Arrivals::count);
        self.requests.mix().clone().over(count.or(total), parts)
    }

    /// What the texts of requests with placeholders depend on; the wall clock shows `epoch` when the run's clock shows
    /// zero.
    pub(crate) fn texts(&self, ids: Ids, epoch: Nanos, parts: u64) -> Texts {
        Texts { seed: self.seed.unwrap_or_else(|| u64::from(ids.run)), epoch, mix: self.mix(parts) }
    }

    /// All requests that are gRPC calls, as such.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.requests().iter().filter_map(Request::call)
    }

    /// Those that go to one server and whose messages have types that are not known yet.
    pub(crate) fn unknown_calls(&self, site: usize) -> impl Iterator<Item = &Call> {
        let sites = self.requests.sites();
        let of_site =
            self.requests().iter().enumerate().filter(move |(index, _)| usize::from(sites[*index]) == site);
        of_site.filter_map(|(_, request)| request.call()).filter(|call| call.prepared().is_none())
    }

    /// Lines of a log that is replayed that had no request that can be sent.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What is sent on WebSockets, if they are spoken.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    /// The same with the types of the messages of calls to one server, which are those of `source`.
    pub(crate) fn knowing(
        mut self,
        site: usize,
        types: &DescriptorPool,
        source: &str,
    ) -> Result<Self, PlanError> {
        self.requests = self.requests.knowing(site, types, source)?;
        Ok(self)
    }

    /// One call of another method of one of the servers, with the metadata of the first call there, and the bytes of these
    /// messages.
    pub(crate) fn asking(&self, site: usize, path: &str, messages: &[Vec<u8>]) -> Result<Self, PlanError> {
        let sites = self.requests.sites();
        let first = sites.iter().position(|of| usize::from(*of) == site).unwrap_or(0);
        let mut plan = self.clone();
        plan.sites = vec![self.sites[site].clone()];
        plan.sites[0].target.path = path.to_owned();
        plan.load.speak(plan.target().protocol);
        let call = Call::of_bytes(plan.target(), messages)?;
        let mut request = self.requests()[first].of_another(path, call);
        if plan.verify.take().is_some() {
            // What is proven of a run is not of this call: servers are not to note it.
            request.id_field = None;
        }
        plan.requests = Requests::only(request)?;
        plan.expected_of = Arc::default();
        // Nobody waits for it as for a request of the run.
        Ok(plan.for_one_exchange().within(self.load.connect_timeout))
    }

    /// One GET of another path of one of its servers, which is not waited for like a request of the run.
    pub(crate) fn getting(&self, site: usize, path: &str) -> Result<Self, PlanError> {
        let mut plan = self.clone();
        plan.sites = vec![self.sites[site].clone()];
        plan.sites[0].target.path = path.to_owned();
        (plan.sites[0].target.grpc, plan.sites[0].target.websocket) = (false, false);
        let of_site = (0..self.requests().len())
            .find(|request| std::ptr::eq(self.site_of(*request), &self.sites[site]));
        plan.requests = Requests::only(self.requests()[of_site.unwrap_or(0)].of_getting(path))?;
        (plan.message, plan.verify) = (None, None);
        (plan.expected_status, plan.expected_of) = (ExpectedStatus::default(), Arc::default());
        plan.load.speak(plan.target().protocol);
        Ok(plan.for_one_exchange().within(self.load.connect_timeout))
    }

    /// How much, how fast and for how long.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// How connections get to the first target.
    #[must_use]
    pub fn route(&self) -> &Route {
        self.sites[0].route()
    }

    /// What happens to connections.
    #[must_use]
    pub fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// How connections behave.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What random times and values in placeholders follow from, once that is known.
    pub(crate) fn seed(&self) -> Option<u64> {
        self.load.seed.or(self.seed)
    }

    /// Threads.
    #[must_use]
    pub fn workers(&self) -> NonZeroUsize {
        self.workers
    }

    /// Whether each thread is pinned to a CPU.
    #[must_use]
    pub fn pin_cpus(&self) -> bool {
        self.pin_cpus
    }

    /// Which replies are successes.
    #[must_use]
    pub fn expected_status(&self) -> &ExpectedStatus {
        &self.expected_status
    }

    /// Which replies to each request are successes; none where that is the same for all.
    pub(crate) fn expected_status_of_requests(&self) -> Arc<[ExpectedStatus]> {
        Arc::clone(&self.expected_of)
    }

    /// What is proven of the run, if that is wanted.
    #[must_use]
    pub fn verify(&self) -> Option<&Verify> {
        self.verify.as_ref()
    }

    /// How messages of streams are numbered, if any of them carry tokens.
    pub(crate) fn stream_numbers(&self) -> Option<StreamNumbers> {
        let numbers = self.calls().filter_map(Call::prepared).filter_map(call::PreparedCall::numbers);
        numbers.max().map(StreamNumbers::of)
    }

    /// Whether requests before, while and after something happens are distinguished.
    pub(crate) fn has_phases(&self) -> bool {
        self.has_phases
    }

    /// The same, with those distinguished.
    #[must_use]
    pub(crate) fn with_phases(self) -> Self {
        Self { has_phases: true, ..self }
    }

    /// Whether what is exchanged is kept, to be shown.
    pub(crate) fn captures(&self) -> bool {
        self.captures
    }

    /// The same with draws that follow from `seed`, unless they follow from another that was given.
    #[must_use]
    pub(crate) fn drawing(mut self, seed: u64) -> Self {
        self.load.draw(seed);
        if self.requests.are_random() {
            self.seed.get_or_insert(seed);
        }
        self
    }

    /// The same, for one request on one connection, of which all is kept.
    #[must_use]
    pub(crate) fn for_one_exchange(mut self) -> Self {
        self.workers = NonZeroUsize::MIN;
        self.captures = true;
        self.load = self.load.for_one_exchange();
        self.client = self.client.for_one_exchange();
        self
    }

    /// The same, for `count` requests on one connection, one after the other, all of which are kept.
    #[must_use]
    pub(crate) fn for_exchanges(mut self, count: u64) -> Self {
        self = self.for_one_exchange();
        self.load.total = Some(count);
        self
    }

    /// The same at another rate, which is one that a plan accepts. A closed loop stays as it is.
    #[must_use]
    pub(crate) fn at_rate(&self, rate: f64) -> Self {
        let mut plan = self.clone();
        plan.load.set_rate(rate);
        plan
    }

    /// The same, with draws that follow from another seed.
    #[must_use]
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.load.seed = Some(seed);
        self.load.draw(seed);
        self
    }

    /// The same, with no more than `left` for each of its timeouts.
    #[must_use]
    pub(crate) fn within(mut self, left: Duration) -> Self {
        self.load.timeout = self.load.timeout.min(left);
        self.load.connect_timeout = self.load.connect_timeout.min(left);
        self
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Args;

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        Plan::try_from(&Args::try_parse_from(words).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn workers_never_outnumber_connections() {
        assert_eq!(plan("-c 1 localhost:80").unwrap().workers.get(), 1);
        assert_eq!(plan("--max-in-flight 1 localhost:80").unwrap().workers.get(), 1);
        assert_eq!(plan("-c 3 --workers 3 localhost:80").unwrap().workers.get(), 3);
        assert!(plan("-c 3 --workers 4 localhost:80").unwrap_err().contains("1 to 3"));
        assert!(plan("--workers 0 localhost:80").unwrap_err().contains("1 to 10"));
    }

    #[test]
    fn what_is_asked_of_servers_is_not_part_of_a_verified_run() {
        let verified = plan("--verify grpc://localhost:80/a.B/C").unwrap();
        assert!(verified.verify().is_some() && verified.request().id_field.is_some());
        let asking = verified.asking(0, "/d.E/F", &[Vec::new()]).unwrap();
        assert!(
            asking.verify().is_none() && asking.request().id_field.is_none() && asking.calls().count() == 1
        );
        let getting = verified.getting(0, "/ledger").unwrap();
        assert!(getting.verify().is_none() && getting.request().id_field.is_none());
        assert_eq!((getting.calls().count(), getting.target().grpc), (0, false));
    }

    #[test]
    fn a_target_must_be_given() {
        assert!(plan("--rate 10").unwrap_err().contains("or --embedded"));
        assert!(plan("-u http://localhost").is_ok());
    }
}
