//! Failures that are planted: each request has the fate that is expected of it, and is counted under that cause, by
//! loadgen and, as far as the server had a part in it, by the server.

use integration::{
    authority::{Authority, Issued, Key},
    binaries::loadgen_report,
    cases::{Cases, block_on},
    launch::Port,
    metrics::{Metrics, REQUESTS},
    report::Report,
};

use super::{
    figures::assert_adds_up,
    peers::{Silence, half_a_call, socket},
    spoken::{
        CALL, CALL_TLS, EACH, H2_TLS, H2C, HTTP1, HTTP1_TLS, Kind, SOCKET, SOCKET_H2, SOCKET_H2_TLS,
        SOCKET_TLS, STREAM, Served, Spoken,
    },
};

tests!();

/// What requests that fail are counted as.
const FAILED: &str = "transport_failed";
const TIMED_OUT: &str = "timed_out";
const CALL_ERRORS: &str = "call_errors";

/// The counter of replies that were broken off; label `fault`.
const ABORTS: &str = "dummy_server_aborts_total";

/// Of runs in which nothing else ends a request: longer than connections take to open on a busy machine.
const TIMEOUT: &str = "400ms";

/// Requests of a run.
const TOTAL: u64 = 6;

/// As many at a rate and as fast as they fail, one after the other on two connections.
const LOADS: [&[&str]; 2] = [&["-c", "2", "-n", "6"], &["-c", "2", "-n", "6", "-r", "400"]];

#[derive(Clone, Copy)]
struct Planted {
    name: &'static str,
    how: How,
    spoken: &'static [&'static Spoken],
    /// What all requests are counted as.
    fate: &'static str,
    /// What they are counted under, beside it.
    cause: &'static str,
}

#[derive(Clone, Copy)]
enum How {
    /// Nothing listens.
    ClosedPort,
    /// dummy-server breaks each reply off, some before they begin.
    Abort { what: &'static str, answered: bool },
    /// dummy-server takes its time.
    Delay,
    /// dummy-server keeps to the deadline of a call that it never answers.
    Deadline,
    /// A certificate that must not be trusted.
    Certificate(Certificate),
    /// The server speaks the other version of HTTP alone.
    Alpn,
    /// Calls are answered with half a message, and OK.
    HalfACall,
    /// Messages on WebSockets are not answered.
    Socket(Silence),
}

#[derive(Clone, Copy)]
enum Certificate {
    Untrusted,
    OtherName,
    Expired,
}

const fn abort(what: &'static str, answered: bool) -> How {
    How::Abort { what, answered }
}

const ALL: &[&Spoken] = &EACH;
const OVER_HTTP1: &[&Spoken] = &[&HTTP1, &HTTP1_TLS];
const OVER_HTTP2: &[&Spoken] = &[&H2C, &H2_TLS, &CALL, &STREAM];
const NO_SOCKETS: &[&Spoken] = &[&HTTP1, &H2C, &HTTP1_TLS, &H2_TLS, &CALL, &STREAM];
const OVER_TLS: &[&Spoken] = &[&HTTP1_TLS, &H2_TLS, &CALL_TLS, &SOCKET_TLS, &SOCKET_H2_TLS];
const CALLS: &[&Spoken] = &[&CALL, &STREAM];

const fn planted(
    name: &'static str,
    how: How,
    spoken: &'static [&'static Spoken],
    fate: &'static str,
    cause: &'static str,
) -> Planted {
    Planted { name, how, spoken, fate, cause }
}

const EVERY: [Planted; 23] = [
    planted("refused", How::ClosedPort, ALL, FAILED, "refused"),
    planted("reset", abort("rst", false), ALL, FAILED, "reset"),
    planted(
        "reset_in_the_body",
        abort("rst@body(10)", true),
        &[&HTTP1, &H2C, &HTTP1_TLS, &H2_TLS, &CALL, &STREAM, &SOCKET_H2],
        FAILED,
        "reset",
    ),
    planted("closed", abort("fin", false), ALL, FAILED, "closed early"),
    planted(
        "goaway_that_leaves_requests_out",
        abort("goaway(NO_ERROR)", false),
        OVER_HTTP2,
        FAILED,
        "GOAWAY NO_ERROR",
    ),
    planted(
        "goaway",
        abort("goaway(ENHANCE_YOUR_CALM)@after-headers", true),
        OVER_HTTP2,
        FAILED,
        "GOAWAY ENHANCE_YOUR_CALM",
    ),
    planted(
        "goaway_at_the_handshake",
        abort("goaway(ENHANCE_YOUR_CALM)@after-headers", true),
        &[&SOCKET_H2],
        FAILED,
        "GOAWAY ENHANCE_YOUR_CALM",
    ),
    planted(
        "rst_stream",
        abort("stream-reset(CANCEL)", false),
        &[&H2C, &H2_TLS, &CALL, &STREAM, &SOCKET_H2],
        FAILED,
        "RST_STREAM CANCEL",
    ),
    planted(
        "rst_stream_that_refuses",
        abort("stream-reset(REFUSED_STREAM)", false),
        OVER_HTTP2,
        FAILED,
        "RST_STREAM REFUSED_STREAM",
    ),
    planted(
        "rst_stream_in_the_body",
        abort("stream-reset(CANCEL)@body(10)", true),
        &[&H2C, &H2_TLS, &CALL, &STREAM, &SOCKET_H2],
        FAILED,
        "RST_STREAM CANCEL",
    ),
    planted("half_a_message", abort("short@body(10)", true), OVER_HTTP1, FAILED, "closed early"),
    planted("half_a_message", abort("short@body(10)", true), OVER_HTTP2, FAILED, "protocol error"),
    planted("half_a_message", abort("fin@body(10)", true), &[&SOCKET_H2], FAILED, "closed early"),
    planted("half_a_message", How::Socket(Silence::HalfAFrame), &[&SOCKET], FAILED, "closed early"),
    planted("half_a_message_and_ok", How::HalfACall, CALLS, FAILED, "protocol error"),
    planted("untrusted", How::Certificate(Certificate::Untrusted), OVER_TLS, FAILED, "untrusted certificate"),
    planted(
        "other_name",
        How::Certificate(Certificate::OtherName),
        OVER_TLS,
        FAILED,
        "certificate of another name",
    ),
    planted("expired", How::Certificate(Certificate::Expired), OVER_TLS, FAILED, "expired certificate"),
    planted("other_alpn", How::Alpn, OVER_TLS, FAILED, "ALPN mismatch"),
    planted("deadline", How::Deadline, CALLS, CALL_ERRORS, "DEADLINE_EXCEEDED"),
    planted("timeout", How::Delay, NO_SOCKETS, TIMED_OUT, "timeout"),
    planted("timeout", How::Socket(Silence::Whole), &[&SOCKET], TIMED_OUT, "timeout"),
    planted("timeout", abort("hang@body(10)", true), &[&SOCKET_H2], TIMED_OUT, "timeout"),
];

fn every_planted_failure() -> Cases {
    let mut cases = Cases::new();
    for planted in EVERY {
        for spoken in planted.spoken {
            let name = format!("accounting::{}::{}", spoken.name, planted.name);
            cases = cases.named(name, move || block_on(is_counted(planted, spoken)));
        }
    }
    cases
}

async fn is_counted(planted: Planted, spoken: &'static Spoken) {
    match planted.how {
        How::ClosedPort => {
            let port = Port::keep().expect("loopback has a free port");
            let url = format!("{}://{}{}", spoken.scheme(), port.address, spoken.path);
            planted.run(spoken, &spoken.flags("1"), &url);
        }
        How::Abort { what, answered } => broken_off(planted, spoken, what, answered).await,
        How::Delay => {
            let served = Served::start(spoken, &[]);
            let more = ["-H", "x-dummy-delay: 60s", "--timeout", TIMEOUT];
            // A rate leaves requests behind that find no stream in time.
            planted.run(spoken, &[&served.flags("3")[..], &more].concat(), &served.url(spoken.path));
        }
        How::Deadline => deadline(planted, spoken).await,
        How::Certificate(kind) => {
            let served = Served::showing(spoken, |authority| kind.issue(authority), &[]);
            if let Certificate::Untrusted = kind {
                served.trust(&Authority::root().pem());
            }
            let more: &[&str] = match kind {
                Certificate::OtherName => &["--sni", "other.test"],
                Certificate::Untrusted | Certificate::Expired => &[],
            };
            planted.run(spoken, &[&served.flags("1")[..], more].concat(), &served.url(spoken.path));
            nothing_was_asked(&served).await;
        }
        How::Alpn => {
            let other = if spoken.http2 { "--tls-alpn=http/1.1" } else { "--tls-alpn=h2" };
            let served = Served::start(spoken, &[other]);
            planted.run(spoken, &served.flags("1"), &served.url(spoken.path));
            nothing_was_asked(&served).await;
        }
        How::HalfACall => {
            let peer = half_a_call();
            let url = format!("grpc://{}{}", peer.address, spoken.path);
            planted.run(spoken, &spoken.flags("1"), &url);
        }
        How::Socket(silence) => {
            let peer = socket(silence);
            let patience: &[&str] = match silence {
                Silence::Whole => &["--timeout", TIMEOUT],
                Silence::HalfAFrame => &[],
            };
            let flags = [&spoken.flags("1")[..], patience].concat();
            for report in planted.run(spoken, &flags, &format!("ws://{}/", peer.address)) {
                assert_eq!(report.number("/websocket/lost"), TOTAL, "{:#}", report.json());
            }
        }
    }
}

impl Planted {
    /// Runs each load, whose requests all have this fate and no other.
    fn run(self, spoken: &Spoken, flags: &[&str], url: &str) -> Vec<Report> {
        LOADS.map(|load| self.run_one(spoken, &[flags, load, &[url]].concat())).into()
    }

    fn run_one(self, spoken: &Spoken, args: &[&str]) -> Report {
        let report = loadgen_report(args);
        let json = report.json();
        assert_adds_up(&report);
        for name in ["offered", "sent", self.fate] {
            assert_eq!(report.requests(name), TOTAL, "{name}: {json:#}");
        }
        assert_eq!(json["outcome"], "failed");
        if self.fate == CALL_ERRORS {
            assert_eq!(json["grpc"]["statuses"][self.cause], TOTAL, "{json:#}");
        } else {
            let failures = json["failures"].as_array().expect("a list");
            assert_eq!(failures.len(), 1, "{failures:#?}");
            assert_eq!((&failures[0]["cause"], &failures[0]["count"]), (&self.cause.into(), &TOTAL.into()));
        }
        assert_eq!(json["grpc"].is_null(), spoken.kind != Kind::Call, "{json:#}");
        assert_eq!(json["websocket"].is_null(), spoken.kind != Kind::Message, "{json:#}");
        report
    }
}

/// dummy-server aborts replies: its count of aborts equals failed plus resent requests.
async fn broken_off(planted: Planted, spoken: &'static Spoken, what: &str, answered: bool) {
    let mut served = Served::start(spoken, &[]);
    let field = format!("x-dummy-abort: {what}");
    let silent: &[&str] = if what.starts_with("hang") { &["--timeout", TIMEOUT] } else { &[] };
    let flags = [&served.flags("1")[..], &["-H", &field], silent].concat();
    let reports = planted.run(spoken, &flags, &served.url(spoken.path));
    let again: u64 = reports.iter().map(|report| report.requests("resent")).sum();
    let expected = reports.len() as u64 * TOTAL + again;
    let fault = what.split(['@', '(']).next().unwrap_or_default();
    let aborts = |metrics: &Metrics| metrics.sum(ABORTS, &[("fault", fault)]);
    if spoken.kind == Kind::Message {
        // A WebSocket may have several messages, and is opened again whether there is another or not.
        let least = reports.len() as u64 * 2;
        Metrics::until(served.server.admin, |metrics| aborts(metrics) >= least).await;
        return;
    }
    let metrics = Metrics::until(served.server.admin, |metrics| aborts(metrics) >= expected).await;
    let requests = metrics.sum(REQUESTS, &[]);
    assert_eq!(aborts(&metrics), expected, "{}", metrics.text());
    // A reply that has not begun is none.
    assert_eq!(requests, if answered { expected } else { 0 }, "{}", metrics.text());
    served.seen = requests;
    if !answered {
        half_of_all(&mut served).await;
    }
}

/// Some requests fail, and others do not.
async fn half_of_all(served: &mut Served) {
    let before = served.server.metrics().await.sum(ABORTS, &[("fault", "rst")]);
    let url = served.url(served.spoken.path);
    let more = ["-c", "2", "-n", "40", "-H", "x-dummy-abort: rst:50", "-H", "x-dummy-seed: 3", &url];
    let report = loadgen_report(&[&served.flags("1")[..], &more].concat());
    assert_adds_up(&report);
    let (failed, succeeded) = (report.requests("transport_failed"), report.requests("succeeded"));
    assert_eq!((report.requests("offered"), failed + succeeded), (40, 40), "{:#}", report.json());
    assert!(succeeded > 0, "{:#}", report.json());
    let (all, broken_off) = (served.seen + succeeded, before + failed + report.requests("resent"));
    let counts = |metrics: &Metrics| (metrics.sum(REQUESTS, &[]), metrics.sum(ABORTS, &[("fault", "rst")]));
    let is_reached = |metrics: &Metrics| counts(metrics).0 >= all && counts(metrics).1 >= broken_off;
    let metrics = Metrics::until(served.server.admin, is_reached).await;
    assert_eq!(counts(&metrics), (all, broken_off), "{:#}", report.json());
}

/// Calls that are never answered, of methods that are planned by their first message.
async fn deadline(planted: Planted, spoken: &'static Spoken) {
    let served = Served::start(spoken, &[]);
    let method = if spoken.path == CALL.path { "Unary" } else { "BidiStream" };
    let url = served.url(&format!("/dummy.v1.TestService/{method}"));
    let more = ["--deadline", "40ms", "-b", "{\"plan\": {\"never\": true}}"];
    let reports = planted.run(spoken, &[&served.flags("1")[..], &more].concat(), &url);
    // One question to reflection before each run.
    let expected = reports.len() as u64 * (TOTAL + 1);
    let metrics = Metrics::until(served.server.admin, |m| m.sum(REQUESTS, &[]) >= expected).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "grpc"), ("status", "200")]), expected);
    assert_eq!(metrics.sum(REQUESTS, &[]), expected, "{}", metrics.text());
}

impl Certificate {
    fn issue(self, authority: &Authority) -> Issued {
        match self {
            Self::Untrusted | Self::OtherName => authority.issue("server", Key::Ecdsa),
            Self::Expired => authority.issue_expired("server", Key::Ecdsa),
        }
    }
}

/// The server has seen handshakes that came to nothing, and not one request.
async fn nothing_was_asked(served: &Served) {
    let handshakes = "dummy_server_tls_handshake_failures_total";
    let metrics = Metrics::until(served.server.admin, |metrics| metrics.sum(handshakes, &[]) > 0).await;
    assert_eq!(metrics.sum(REQUESTS, &[]), 0, "{}", metrics.text());
}
