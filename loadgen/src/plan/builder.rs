//! What is wanted of a run, option by option, and the check that makes a plan of it. Options are named, and their bounds
//! told, as on the command line.

use std::{collections::BTreeSet, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use command_line::Refusal;

use super::{
    Body, Call, Client, ClientOptions, Expect, Lifetime, Load, MAX_WORKERS, Message, OnOverload, Plan,
    PlanError, Request, RequestOptions, Requests, Retry, Target, Version, accepted, call,
    contents::Contents,
    lifetime, load, message,
    places::Places,
    replay::{self, Replay, Skipped},
    request::Common,
    route,
    site::{self, OfSite, Targets},
    target::Braces,
    tls,
};
use crate::outcome::ExpectedStatus;

/// A plan in the making: see [`Plan::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    target: String,
    /// Others that requests go to by turns.
    others: Vec<String>,
    version: Version,
    tls: tls::Wanted,
    workers: Option<usize>,
    pin_cpus: bool,
    expected_status: ExpectedStatus,
    load: load::Wanted,
    lifetime: lifetime::Wanted,
    route: route::Wanted,
    pub(super) client: ClientOptions,
    id_header: String,
    /// The only request, or what the others have where they say nothing else.
    request: RequestOptions,
    requests: Vec<RequestOptions>,
    url_file: Option<PathBuf>,
    replay: Option<PathBuf>,
    speed: Option<f64>,
    braces: Braces,
    seed: Option<u64>,
    places: Option<Arc<Places>>,
    call: call::Wanted,
    message: message::Wanted,
}

impl Builder {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            others: Vec::new(),
            version: Version::Any,
            tls: tls::Wanted::default(),
            workers: None,
            pin_cpus: false,
            expected_status: ExpectedStatus::default(),
            load: load::Wanted::default(),
            lifetime: lifetime::Wanted::default(),
            route: route::Wanted::default(),
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
            call: call::Wanted::default(),
            message: message::Wanted::default(),
        }
    }

    /// Another target: requests that name none go to all of them by turns. May be repeated.
    #[must_use]
    pub fn another_target(mut self, target: impl Into<String>) -> Self {
        self.others.push(target.into());
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

    /// Requests that are due for so long at first, at the rate or with the connections of the beginning, are counted apart
    /// and measured by nothing; the total and the duration begin behind it.
    #[must_use]
    pub fn warmup(mut self, time: Duration) -> Self {
        self.load.warmup = Some(time);
        self
    }

    /// A request that could not be sent for so long after it was due is dropped; with a rate or stages of a rate alone.
    #[must_use]
    pub fn max_lag(mut self, time: Duration) -> Self {
        self.load.max_lag = Some(time);
        self
    }

    /// What becomes of a request that is due when no more may be in flight. It waits by default.
    #[must_use]
    pub fn on_overload(mut self, on_overload: OnOverload) -> Self {
        self.load.on_overload = on_overload;
        self
    }

    /// Exactly so many requests.
    #[must_use]
    pub fn total(mut self, total: u64) -> Self {
        self.load.total = Some(total);
        self
    }

    /// How long requests become due: [`load::DEFAULT_DURATION`] unless there is a total.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.load.duration = Some(duration);
        self
    }

    /// At most so many requests at once.
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

    /// Streams at once on each HTTP/2 connection.
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
    pub fn proxy_protocol(mut self, version: transport::proxy_protocol::Version) -> Self {
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

    /// What is sent again when a connection breaks or a server refuses a request.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.lifetime.retry = retry;
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
    pub(super) fn with_places(mut self, places: Arc<Places>) -> Self {
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
            (self.load.connections, self.load.poisson, self.load.max_lag) = (None, false, None);
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

    /// A file of paths or URLs of the target, one on each line: requests go to them by turns. Braces in it are braces.
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
        self.call.protos.push(file.into());
        self
    }

    /// A folder in which the imports of [`Builder::proto`] files are looked for, in place of the files' own folders. May be
    /// repeated.
    #[must_use]
    pub fn proto_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.call.proto_paths.push(folder.into());
        self
    }

    /// Whether the body is the message of a gRPC call as it is, and no JSON.
    #[must_use]
    pub fn raw_message(mut self, raw: bool) -> Self {
        self.call.raw = raw;
        self
    }

    /// How long a gRPC call may take, as the server is told (`grpc-timeout`).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.call.deadline = Some(deadline);
        self
    }

    /// What the messages of a gRPC call are compressed with.
    #[must_use]
    pub fn grpc_encoding(mut self, encoding: call::Encoding) -> Self {
        self.call.encoding = encoding;
        self
    }

    /// How many messages a gRPC call sends, of a method that takes a stream of them.
    #[must_use]
    pub fn messages(mut self, count: u64) -> Self {
        self.call.messages = Some(count);
        self
    }

    /// The time between two messages of a gRPC call; zero: as fast as the server takes them.
    #[must_use]
    pub fn message_interval(mut self, interval: Duration) -> Self {
        self.call.message_interval = Some(interval);
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

    /// What goes with a gRPC call.
    fn check_call(&self) -> Result<(), PlanError> {
        let RequestOptions { path, rows, body, expect, chunked, trailers, expect_continue, .. } =
            &self.request;
        let several = !self.requests.is_empty() || self.url_file.is_some();
        let refused = [
            (
                self.expected_status.named().is_some(),
                "--expect-status with a gRPC call",
                "it with other targets: a call succeeds with the status OK",
            ),
            (
                several,
                "a gRPC target with several requests",
                "one call, so far: of the method in the target's path",
            ),
            (path.is_some(), "a path beside a gRPC target", "the method in the target's path"),
            (
                rows.is_some() || matches!(body, Some(Body::Template(_))),
                "placeholders in a gRPC call",
                "a message of JSON in body or body_file",
            ),
            (
                *chunked == Some(true) || !trailers.is_empty(),
                "chunks or trailers of a gRPC call",
                "neither: it has no length, and nothing behind its messages",
            ),
            (
                *expect_continue == Some(true),
                "--expect-continue with a gRPC call",
                "it with other targets: a call is sent at once",
            ),
            (
                *expect != Expect::default(),
                "expectations of a gRPC call",
                "none, so far: a call succeeds with the status OK",
            ),
        ];
        match refused.into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, shown, accepted)) => {
                Err(PlanError(Refusal::new(shown, accepted, "loadgen grpc://localhost:8080")))
            }
            None => Ok(()),
        }
    }

    /// What goes with messages on WebSockets.
    fn check_messages(&self) -> Result<(), PlanError> {
        let refused = [
            (
                self.expected_status.named().is_some(),
                "--expect-status with a WebSocket",
                "it with other targets: a message succeeds with its echo",
            ),
            (
                self.requests.len() > 1 || self.url_file.is_some(),
                "a WebSocket with several requests",
                "one message, possibly with placeholders, on each connection of the target's path",
            ),
            (
                self.request.chunked == Some(true)
                    || !self.request.trailers.is_empty()
                    || self.request.expect_continue == Some(true),
                "chunks, trailers or an expectation of 100 with a WebSocket",
                "them with requests: messages have a form of their own",
            ),
            (
                self.client.recv_rate.or(self.client.send_rate).is_some() || self.client.pipeline.is_some(),
                "--recv-rate, --send-rate or --pipeline with a WebSocket",
                "them with requests, so far",
            ),
            (
                self.requests
                    .iter()
                    .chain([&self.request])
                    .any(|request| request.expect != Expect::default()),
                "expectations of a WebSocket",
                "none: a message succeeds with its echo",
            ),
        ];
        match refused.into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, shown, accepted)) => {
                Err(PlanError(Refusal::new(shown, accepted, "loadgen ws://localhost:8080/ws")))
            }
            None => Ok(()),
        }
    }

    /// Which requests go to which targets; none with one request of the target, as it is.
    fn spread(&mut self, targets: &mut Targets) -> Result<Vec<OfSite>, PlanError> {
        let mut several = self.requests.clone();
        let is_plain = self.others.is_empty() && self.request.target.is_none();
        if several.is_empty() && is_plain {
            return Ok(Vec::new());
        }
        if self.url_file.is_some() && !is_plain {
            let accepted = "one target, to which all URLs go";
            let shown = "--url-file with several targets";
            return Err(PlanError(Refusal::new(
                shown,
                accepted,
                "--url-file=urls.txt http://localhost:8080",
            )));
        }
        let mut by_default = Vec::new();
        if !self.others.is_empty() {
            by_default.push(self.target.clone());
            by_default.append(&mut self.others);
        }
        if several.is_empty() {
            several.push(RequestOptions::default());
        }
        // What they say of a target is said here.
        for options in &mut several {
            options.target = options.target.take().or_else(|| self.request.target.clone());
        }
        let has_path = self.request.path.is_some();
        site::spread(targets, &by_default, has_path, several, self.places.as_deref())
    }

    /// The log that is replayed, if one is, and what people are told of it.
    fn read_log(&self, target: &Target, has_several: bool) -> Result<Option<(Replay, String)>, PlanError> {
        let Some(path) = &self.replay else {
            return match self.speed {
                None => Ok(None),
                Some(_) => {
                    let accepted = "--speed together with --replay";
                    Err(PlanError(Refusal::new(
                        "--speed needs --replay",
                        accepted,
                        "--replay=access.log --speed=2x",
                    )))
                }
            };
        };
        let options = &self.request;
        let refused = [
            (
                target.grpc || target.websocket,
                "--replay with calls or messages",
                "it with an http:// or https:// target",
            ),
            (
                has_several,
                "--replay with several requests or targets",
                "it alone: what is sent is in the log",
            ),
            (self.url_file.is_some(), "--replay and --url-file exclude each other", "one of them"),
            (options.method.is_some(), "--method with --replay", "no method: those of the log are sent"),
            (
                options.path.is_some() || options.rows.is_some(),
                "a path or rows with --replay",
                "neither: paths are in the log",
            ),
        ];
        if let Some((_, shown, accepted)) = refused.into_iter().find(|(is_given, ..)| *is_given) {
            let example = "loadgen --replay=access.log http://localhost:8080";
            return Err(PlanError(Refusal::new(shown, accepted, example)));
        }
        let speed = self.speed.unwrap_or(1.0);
        if !replay::SPEEDS.contains(&speed) {
            return Err(accepted::refused(&accepted::SPEED, speed));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let said: String =
            format!("{name} at {speed}x").chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(Some((Replay::read(path, speed)?, said)))
    }

    fn checked(mut self) -> Result<Plan, PlanError> {
        let target = Target::parse_with(&self.target, self.version, self.braces)?;
        let lifetime = Lifetime::new(&self.lifetime)?;
        let mut targets = Targets::new(target.clone(), self.version, self.braces);
        let several = self.spread(&mut targets)?;
        let labels = targets.labels();
        let sites = targets.sites(&self.tls, &self.route)?;
        let contents = Contents::default();
        // A message in JSON has braces of its own.
        let braces = if target.grpc { Braces::Literal } else { self.braces };
        let common: Vec<_> = sites
            .iter()
            .zip(&labels)
            .map(|(site, label)| Common {
                target: site.target(),
                id_header: &self.id_header,
                braces,
                lifetime: &lifetime,
                route: site.route(),
                contents: &contents,
                label: (sites.len() > 1).then_some(label.as_str()),
            })
            .collect();
        if !target.grpc {
            self.call.refuse(&target)?;
        }
        if !target.websocket {
            self.message.refuse(&target)?;
        }
        let mut message = None;
        let replay = self.read_log(&target, !several.is_empty())?;
        let mut skipped = Skipped::default();
        if let Some((log, said)) = &replay {
            self.load.replay = Some((Arc::clone(&log.due), said.clone()));
            skipped = log.skipped.clone();
            if let Some(total) = self.load.total.filter(|total| *total > log.due.len() as u64) {
                let accepted = format!("at most {}, which the log has", log.due.len());
                return Err(PlanError(Refusal::of_value(
                    "total",
                    total,
                    accepted,
                    log.due.len().to_string(),
                )));
            }
        }
        let (mut requests, call) = match &self.url_file {
            _ if let Some((log, _)) = replay => {
                (Requests::replayed(common[0], &self.request, log.methods, &log.methods_of)?, None)
            }
            _ if target.grpc => {
                self.check_call()?;
                let mut request = Request::new(common[0], self.request)?;
                let call = Call::new(&target, &self.call, &mut request)?;
                (Requests::only(request)?, Some(call))
            }
            _ if target.websocket => {
                self.check_messages()?;
                let options = match self.requests.pop() {
                    Some(only) => only.over(&self.request),
                    None => self.request,
                };
                let share = options.share;
                let request = Request::new(common[0], options).and_then(|mut request| {
                    message = Some(Message::new(&target, &self.message, &mut request)?);
                    Ok(request)
                });
                let request = request.map_err(|PlanError(refusal)| match self.places.as_deref() {
                    Some(places) => PlanError(places.told_of_request(0, refusal)),
                    None => PlanError(refusal),
                })?;
                (Requests::only_of(request, share)?, None)
            }
            None if several.is_empty() => (Requests::only(Request::new(common[0], self.request)?)?, None),
            None => (Requests::new(&common, &self.request, several, self.places.as_deref())?, None),
            Some(file) => (Requests::of_urls(common[0], self.version, self.request, file)?, None),
        };
        drop(common);
        // To those that no request goes to, there are no connections.
        let sites = requests.used(sites);
        let target = sites[0].target().clone();
        let of_client =
            sites.iter().map(super::Site::target).find(|target| target.protocol == super::Protocol::Http2);
        let client = Client::new(of_client.unwrap_or(&target), &self.client)?;
        self.load.total = requests.total(self.load.total)?;
        let lifetime = match target.http10 {
            true => lifetime.of_http10(requests.all().iter().all(Request::keeps_alive)),
            false => lifetime,
        };
        let has_counts = requests.has_counts();
        let load = Load::new(&target, &self.load, &lifetime, client.pipeline)?;
        let is_counted = load.arrivals().is_some_and(|arrivals| arrivals.count().is_some());
        if sites.len() > 1 && load.total.is_some() && !load.warmup.is_zero() && load.arrivals().is_none() {
            let accepted = "a duration in place of the total, or a rate";
            let shown = "a total of requests to several targets after a warm-up of a closed loop";
            return Err(PlanError(Refusal::new(shown, accepted, "duration: 10s")));
        }
        if has_counts && !load.warmup.is_zero() && !is_counted {
            // How many of each are in the warm-up is known afterwards alone.
            let accepted = "weights in place of counts, or requests that are due evenly at a rate";
            let shown = "requests with a count after a warm-up of a closed loop, or at random times";
            return Err(PlanError(Refusal::new(shown, accepted, "weight: 3")));
        }
        // Each worker has a connection and a request of its own.
        let most = load.connections.min(load.max_in_flight).min(MAX_WORKERS);
        let workers = match self.workers {
            Some(workers) => NonZeroUsize::new(workers).filter(|workers| *workers <= most).ok_or_else(|| {
                let accepted = format!(
                    "a whole number from 1 to {most}, no more than connections, requests in flight and {MAX_WORKERS}"
                );
                PlanError(Refusal::of_value("workers", workers, accepted, most.to_string()))
            })?,
            None => runtime::cpus::available().min(most),
        };
        let workers = match (&message, load.arrivals()) {
            (Some(_), Some(_)) => evenly(workers, load.connections, self.workers.is_some())?,
            _ => workers,
        };
        let expected_status = match &message {
            Some(_) => ExpectedStatus::of_messages(),
            None => self.expected_status,
        };
        let (expected_status, expected_of) = expected(expected_status, requests.all())?;
        Ok(Plan {
            sites,
            requests,
            seed: self.seed,
            call,
            message,
            skipped,
            load,
            lifetime,
            client,
            workers,
            pin_cpus: self.pin_cpus,
            expected_status,
            expected_of,
            captures: false,
        })
    }
}

/// As many workers that each has as many connections as the others: what is due goes around the connections.
fn evenly(
    workers: NonZeroUsize,
    connections: NonZeroUsize,
    is_said: bool,
) -> Result<NonZeroUsize, PlanError> {
    let fits = |count: &NonZeroUsize| connections.get().is_multiple_of(count.get());
    if is_said && !fits(&workers) {
        let accepted =
            "a number that the connections can be divided by: messages of a rate go around all of them";
        return Err(PlanError(Refusal::of_value("workers", workers, accepted, "1")));
    }
    let candidates = (1..=workers.get()).rev().filter_map(NonZeroUsize::new);
    Ok(candidates.into_iter().find(fits).unwrap_or(NonZeroUsize::MIN))
}

/// Which replies are successes: those of the run, and those that each request expects. The first are of all requests
/// together, the others of each, unless none expects any.
fn expected(
    of_run: ExpectedStatus,
    requests: &[Request],
) -> Result<(ExpectedStatus, Arc<[ExpectedStatus]>), PlanError> {
    let expectations: Vec<_> = requests.iter().map(Request::expectations).collect();
    let named = |index: usize| expectations.get(index)?.as_ref()?.status.as_ref()?.named();
    let all: BTreeSet<&str> = (0..requests.len()).filter_map(named).collect();
    if all.is_empty() {
        return Ok((of_run, Arc::default()));
    }
    let with = |text: &str| {
        let refused = |_| PlanError(Refusal::of_value("status", text, "statuses", "200,404"));
        of_run.clone().with(text).map_err(refused)
    };
    let of_each = (0..requests.len()).map(|index| named(index).map_or_else(|| Ok(of_run.clone()), with));
    let of_each = of_each.collect::<Result<Vec<_>, _>>()?;
    Ok((with(&all.into_iter().collect::<Vec<_>>().join(","))?, of_each.into()))
}
