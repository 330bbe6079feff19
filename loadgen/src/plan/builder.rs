//! What is wanted of a run, option by option, and the check that makes a plan of it. Options have the names, and the bounds,
//! of the command line.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Body, ClientOptions, OnOverload, Plan, PlanError, RequestOptions, Retry, TlsOptions, Version,
    call::Encoding, call_options::ProtoFiles, lifetime, load_options::LoadOptions, message,
    places::ValuePlaces, route, target::Braces, tls, verify,
};
use crate::outcome::ExpectedStatus;

/// A plan in the making: see [`Plan::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) target: String,
    /// Others that requests go to in turn.
    pub(super) others: Vec<String>,
    /// What some targets have of TLS that is their own, and where in a file that is said.
    pub(super) own_tls: Vec<(String, TlsOptions, String)>,
    pub(super) version: Version,
    pub(super) tls: tls::RunTlsOptions,
    pub(super) workers: Option<usize>,
    pub(super) pin_cpus: bool,
    pub(super) expected_status: ExpectedStatus,
    pub(super) load: LoadOptions,
    pub(super) lifetime: lifetime::LifetimeOptions,
    pub(super) route: route::RouteOptions,
    pub(super) client: ClientOptions,
    pub(super) id_header: String,
    /// The only request, or what the others have where they say nothing else.
    pub(super) request: RequestOptions,
    pub(super) requests: Vec<RequestOptions>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) replay: Option<PathBuf>,
    pub(super) speed: Option<f64>,
    pub(super) braces: Braces,
    pub(super) seed: Option<u64>,
    pub(super) places: Option<Arc<ValuePlaces>>,
    /// Types of all calls' messages.
    pub(super) protos: ProtoFiles,
    pub(super) message: message::MessageOptions,
    pub(super) verify: verify::VerifyOptions,
    /// How many loads there are at the same time, with this one.
    pub(super) loads: usize,
}

impl Builder {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            others: Vec::new(),
            own_tls: Vec::new(),
            version: Version::Any,
            tls: tls::RunTlsOptions::default(),
            workers: None,
            pin_cpus: false,
            expected_status: ExpectedStatus::default(),
            load: LoadOptions::default(),
            lifetime: lifetime::LifetimeOptions::default(),
            route: route::RouteOptions::default(),
            client: ClientOptions::default(),
            id_header: contract::field::REQUEST_ID.to_owned(),
            request: RequestOptions::default(),
            requests: Vec::new(),
            url_file: None,
            replay: None,
            speed: None,
            braces: Braces::Placeholder,
            seed: None,
            places: None,
            protos: ProtoFiles::default(),
            message: message::MessageOptions::default(),
            verify: verify::VerifyOptions::default(),
            loads: 1,
        }
    }

    /// Another target: requests that name none go to all of them in turn. May be repeated.
    #[must_use]
    pub fn another_target(mut self, target: impl Into<String>) -> Self {
        self.others.push(target.into());
        self
    }

    /// What one of the targets has of TLS in place of what the run has.
    #[must_use]
    pub fn target_tls(self, target: impl Into<String>, options: TlsOptions) -> Self {
        let target = target.into();
        let place = format!("the options of {target}");
        self.target_tls_at(target, options, place)
    }

    /// The same, which is said at a place of a file.
    pub(super) fn target_tls_at(mut self, target: String, options: TlsOptions, place: String) -> Self {
        self.own_tls.push((target, options, place));
        self
    }

    /// What is spoken where the target leaves it open: HTTP/2 without TLS also for an `http://` target, and one of both over
    /// TLS.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// A file of certificates in PEM: servers whose certificates lead to one of them are trusted, in place of those that
    /// lead to an authority of this system.
    #[must_use]
    pub fn cacert(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.cacert = Some(file.into());
        self
    }

    /// Whether any server is trusted, whatever its certificate.
    #[must_use]
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.tls.insecure = insecure;
        self
    }

    /// Who the client is, for servers that ask: files of a chain of certificates and of the key of the first, in PEM.
    #[must_use]
    pub fn identity(mut self, cert: Option<PathBuf>, key: Option<PathBuf>) -> Self {
        (self.tls.cert, self.tls.key) = (cert, key);
        self
    }

    /// The server name to ask for and to hold the certificate against, in place of the target's host.
    #[must_use]
    pub fn sni(mut self, name: impl Into<String>) -> Self {
        self.tls.sni = Some(name.into());
        self
    }

    /// The lowest version of TLS that is accepted.
    #[must_use]
    pub fn tls_min_version(mut self, version: transport::tls::Version) -> Self {
        self.tls.min_version = version;
        self
    }

    /// Whether TLS sessions are resumed: connections after the first ones then have shorter handshakes.
    #[must_use]
    pub fn tls_resumption(mut self, resumption: bool) -> Self {
        self.tls.resumption = resumption;
        self
    }

    /// Requests per second, evenly spread and not slowed by replies. Without it, each slot sends its next request when
    /// its last one ended.
    #[must_use]
    pub fn rate(mut self, per_second: f64) -> Self {
        self.load.rate = Some(per_second);
        self
    }

    /// A rate, or in a closed loop connections, that change from stage to stage: see `--stages`. It excludes a rate and a
    /// duration.
    #[must_use]
    pub fn stages(mut self, stages: impl Into<String>) -> Self {
        self.load.stages = Some(stages.into());
        self
    }

    /// Whether requests are due at random times (a Poisson process) of this rate, or of these stages.
    #[must_use]
    pub fn poisson(mut self, poisson: bool) -> Self {
        self.load.poisson = poisson;
        self
    }

    /// What random times and values in placeholders follow from, so that they can be repeated: by default the run's id.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        (self.load.seed, self.seed) = (Some(seed), Some(seed));
        self
    }

    /// Requests that are due within this time at first, at the rate or with the connections of the beginning, are counted apart
    /// and measured by nothing; the total and the duration begin behind it.
    #[must_use]
    pub fn warmup(mut self, time: Duration) -> Self {
        self.load.warmup = Some(time);
        self
    }

    /// A request that could not be sent within this time after it was due is dropped; with a rate or stages of a rate alone.
    #[must_use]
    pub fn max_lag(mut self, time: Duration) -> Self {
        self.load.max_lag = Some(time);
        self
    }

    /// A request is sent up to this much later than it was due, together with those that are due meanwhile, so that they share a
    /// wake-up on either side; with a rate or stages of a rate alone. It counts as lag, and in the response time.
    #[must_use]
    pub fn coalesce(mut self, time: Duration) -> Self {
        self.load.coalesce = Some(time);
        self
    }

    /// What happens to a request that is due when no more may be in flight. It waits by default.
    #[must_use]
    pub fn on_overload(mut self, on_overload: OnOverload) -> Self {
        self.load.on_overload = on_overload;
        self
    }

    /// The exact number of requests.
    #[must_use]
    pub fn total(mut self, total: u64) -> Self {
        self.load.total = Some(total);
        self
    }

    /// How long requests become due: [`load::DEFAULT_DURATION`](super::load::DEFAULT_DURATION) unless there is a total.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.load.duration = Some(duration);
        self
    }

    /// The maximum number of requests in flight.
    #[must_use]
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.load.max_in_flight = count;
        self
    }

    /// Connections to begin with. With a rate, HTTP/1.1 opens more when all are busy.
    #[must_use]
    pub fn connections(mut self, count: usize) -> Self {
        self.load.connections = Some(count);
        self
    }

    /// Whether there are never more connections than to begin with.
    #[must_use]
    pub fn fixed_connections(mut self, fixed: bool) -> Self {
        self.load.fixed_connections = fixed;
        self
    }

    /// Concurrent streams on each HTTP/2 connection.
    #[must_use]
    pub fn streams(mut self, count: usize) -> Self {
        self.load.streams = count;
        self
    }

    /// How long a request may take once it is sent.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.load.timeout = timeout;
        self
    }

    /// How long a connection may take to open.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.load.connect_timeout = timeout;
        self
    }

    /// Where connections go in place of the target: a host and a port. What requests say, and the name in TLS, stays.
    #[must_use]
    pub fn connect_to(mut self, place: impl Into<String>) -> Self {
        self.route.connect_to = Some(place.into());
        self
    }

    /// The Unix socket that connections go to in place of the target.
    #[must_use]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.route.unix_socket = Some(path.into());
        self
    }

    /// Addresses of a name, as `HOST:PORT:ADDRESS[,ADDRESS]...`, in place of those that the system knows.
    #[must_use]
    pub fn resolve(mut self, entry: impl Into<String>) -> Self {
        self.route.resolve.push(entry.into());
        self
    }

    /// How often the name is looked up again; new connections go to what was found last.
    #[must_use]
    pub fn resolve_every(mut self, every: Duration) -> Self {
        self.route.resolve_every = Some(every);
        self
    }

    /// The addresses that connections come from, in turn, such as `127.0.0.2-127.0.0.9`.
    #[must_use]
    pub fn bind(mut self, addresses: impl Into<String>) -> Self {
        self.route.bind = Some(addresses.into());
        self
    }

    /// The PROXY header that connections begin with.
    #[must_use]
    pub fn proxy_protocol(mut self, version: transport::proxy_protocol::HeaderVersion) -> Self {
        self.route.proxy_header = Some(version);
        self
    }

    /// The forward proxy that the target is asked for, as `http://[user:password@]host:port`; `tunnel`: by CONNECT also for
    /// `http://` targets.
    #[must_use]
    pub fn proxy(mut self, proxy: Option<String>, tunnel: bool) -> Self {
        (self.route.proxy, self.route.tunnel) = (proxy, tunnel);
        self
    }

    /// How many requests a connection has before it is closed and another takes its place.
    #[must_use]
    pub fn requests_per_connection(mut self, count: u64) -> Self {
        self.lifetime.requests = Some(count);
        self
    }

    /// Whether connections are used for more than one request. HTTP/1.1 says `Connection: close` if they are not.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.lifetime.keep_alive = keep_alive;
        self
    }

    /// How long a connection takes requests before it is closed and another takes its place.
    #[must_use]
    pub fn connection_age(mut self, age: Duration) -> Self {
        self.lifetime.age = Some(age);
        self
    }

    /// How many connections are opened per second at most, from the beginning on.
    #[must_use]
    pub fn connections_per_second(mut self, rate: f64) -> Self {
        self.lifetime.per_second = Some(rate);
        self
    }

    /// What is retried when a connection breaks or a server refuses a request.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.lifetime.retry = retry;
        self
    }

    /// What the load is called beside others that go on [together](crate::Together) with it.
    #[must_use]
    pub fn load_name(mut self, name: impl Into<String>) -> Self {
        self.load.name = Some(name.into());
        self
    }

    /// How long after those that go on [together](crate::Together) with it the load begins.
    #[must_use]
    pub fn start(mut self, after: Duration) -> Self {
        self.load.start = Some(after);
        self
    }

    /// One of this number of loads at the same time: they share the CPUs.
    pub(super) fn among(mut self, loads: usize) -> Self {
        self.loads = loads;
        self
    }

    /// Threads: by default one for each CPU that the process may use, at most one for each connection.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count);
        self
    }

    /// Whether each thread is pinned to a CPU.
    #[must_use]
    pub fn pin_cpus(mut self, pin: bool) -> Self {
        self.pin_cpus = pin;
        self
    }

    /// Which replies are successes: 2xx by default.
    #[must_use]
    pub fn expect_status(mut self, expected: ExpectedStatus) -> Self {
        self.expected_status = expected;
        self
    }

    /// The method: by default GET, or POST with a body.
    #[must_use]
    pub fn method(mut self, name: impl Into<String>) -> Self {
        self.request.method = Some(name.into());
        self
    }

    /// One more header field, as `name: value`. Over HTTP/1.1, order, case and duplicates of names are kept.
    #[must_use]
    pub fn header(mut self, field: impl Into<String>) -> Self {
        self.request.headers.push(field.into());
        self
    }

    /// The body: an empty one is one, too, and is announced by `content-length: 0`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.request.body = Some(Body::Bytes(body.into()));
        self
    }

    /// The body, from a file that is read when the plan is built.
    #[must_use]
    pub fn body_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.request.body = Some(Body::File(path.into()));
        self
    }

    /// Whether the body is sent in chunks over HTTP/1.1 (`transfer-encoding: chunked`), and without `content-length` over
    /// HTTP/2.
    #[must_use]
    pub fn chunked(mut self, chunked: bool) -> Self {
        self.request.chunked = Some(chunked);
        self
    }

    /// Whether a body is held back until the server asks for it (`100 Continue`), or has been silent for a second.
    #[must_use]
    pub fn expect_continue(mut self, expect: bool) -> Self {
        self.request.expect_continue = Some(expect);
        self
    }

    /// One more field behind the body, as `name: value`, as it is. The body is sent in chunks then.
    #[must_use]
    pub fn trailer(mut self, field: impl Into<String>) -> Self {
        self.request.trailers.push(field.into());
        self
    }

    /// The header field that carries each request's id; empty sends none.
    #[must_use]
    pub fn request_id_header(mut self, name: impl Into<String>) -> Self {
        self.id_header = name.into();
        self
    }

    /// What requests have where they say nothing else, and the only request if there are no others.
    #[must_use]
    pub fn defaults(mut self, defaults: RequestOptions) -> Self {
        self.request = defaults;
        self
    }

    /// With the places in a file of what it says.
    pub(super) fn with_places(mut self, places: Arc<ValuePlaces>) -> Self {
        self.places = Some(places);
        self
    }

    /// Without the fields of this name that a file has.
    pub(crate) fn without_header(mut self, field: &str) -> Self {
        let name = |field: &str| field.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        let typed = name(field);
        self.request.headers.retain(|field| name(field) != typed);
        self
    }

    /// Without the trailers that a file has.
    pub(crate) fn without_trailers(mut self) -> Self {
        self.request.trailers.clear();
        self
    }

    /// Without the stages that a file has.
    pub(crate) fn without_stages(mut self) -> Self {
        self.load.stages = None;
        self
    }

    /// Without the rate and the duration that a file has; `closed`: and without what goes with no closed loop.
    pub(crate) fn without_rate(mut self, closed: bool) -> Self {
        (self.load.rate, self.load.duration) = (None, None);
        if closed {
            (self.load.connections, self.load.poisson) = (None, false);
            (self.load.max_lag, self.load.coalesce) = (None, None);
        }
        self
    }

    /// What follows is not from a file.
    pub(crate) fn typed(mut self, option: &str) -> Self {
        if let Some(places) = &mut self.places {
            Arc::make_mut(places).forget(option);
        }
        self
    }

    /// One of several requests, of which each has its share. What it does not say is as without it.
    #[must_use]
    pub fn request(mut self, request: RequestOptions) -> Self {
        self.requests.push(request);
        self
    }

    /// A file of paths or URLs of the target, one on each line: requests go to them in turn. Braces in it are braces.
    #[must_use]
    pub fn url_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.url_file = Some(path.into());
        self
    }

    /// Whether `{{...}}` in path, header fields and body is a placeholder, as it is by default.
    #[must_use]
    pub fn templates(mut self, templates: bool) -> Self {
        self.braces = if templates { Braces::Placeholder } else { Braces::Literal };
        self
    }

    /// An access log whose requests are sent at the times at which they began there: common, combined, HAProxy's, Envoy's,
    /// dummy-server's, or JSON lines.
    #[must_use]
    pub fn replay(mut self, log: impl Into<PathBuf>) -> Self {
        self.replay = Some(log.into());
        self
    }

    /// How many times as fast as it did time passes in a [replay](Self::replay).
    #[must_use]
    pub fn speed(mut self, times: f64) -> Self {
        self.speed = Some(times);
        self
    }

    /// A file with the types of a gRPC call's messages, in place of asking the server: a `.proto` source, or a set of
    /// descriptors. May be repeated.
    #[must_use]
    pub fn proto(mut self, file: impl Into<PathBuf>) -> Self {
        self.protos.files.push(file.into());
        self
    }

    /// A folder in which the imports of [`Builder::proto`] files are looked for, in place of the files' own folders. May be
    /// repeated.
    #[must_use]
    pub fn proto_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.protos.paths.push(folder.into());
        self
    }

    /// Whether the body is the message of a gRPC call as it is, and no JSON.
    #[must_use]
    pub fn raw_message(mut self, raw: bool) -> Self {
        self.request.call.raw = Some(raw);
        self
    }

    /// The deadline of a gRPC call, which is sent to the server (`grpc-timeout`).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.request.call.deadline = Some(deadline);
        self
    }

    /// What the messages of a gRPC call are compressed with.
    #[must_use]
    pub fn grpc_encoding(mut self, encoding: Encoding) -> Self {
        self.request.call.encoding = Some(encoding);
        self
    }

    /// How many messages a gRPC call sends, of a method that takes a stream of them.
    #[must_use]
    pub fn messages(mut self, count: u64) -> Self {
        self.request.call.messages = Some(count);
        self
    }

    /// The time between two messages of a gRPC call; zero: as fast as the server takes them.
    #[must_use]
    pub fn message_interval(mut self, interval: Duration) -> Self {
        self.request.call.message_interval = Some(interval);
        self
    }

    /// How long messages on WebSockets are, in bytes, where no body is given. They say their numbers.
    #[must_use]
    pub fn message_size(mut self, bytes: u64) -> Self {
        self.message.size = Some(bytes);
        self
    }

    /// Whether messages on WebSockets are binary, also where they could be text.
    #[must_use]
    pub fn binary(mut self, binary: bool) -> Self {
        self.message.binary = binary;
        self
    }

    /// How long each WebSocket waits before it sends a ping, and then another one.
    #[must_use]
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.message.ping_interval = Some(interval);
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// The first mistake, with what is accepted.
    pub fn build(self) -> Result<Plan, PlanError> {
        let places = self.places.clone();
        self.checked().map_err(|PlanError(refusal)| match places {
            Some(places) => PlanError(places.told(refusal)),
            None => PlanError(refusal),
        })
    }
}
