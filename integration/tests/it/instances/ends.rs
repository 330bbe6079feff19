//! Kills, drains and new starts of one server, and the end of the process.

use std::{
    fs,
    io::{self, Read as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use integration::{
    PATIENCE,
    client::{Client, Protocol, Request},
    metrics::{CONNECTIONS, IN_FLIGHT, Metrics, REQUESTS},
};
use rustix::process::Signal;
use serde_json::Value;

use super::{Several, answered_by, busy, is_refused};

tests!();

async fn a_kill_resets_the_connections_of_one_and_of_no_other() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let (a, b) = (several.http("a").await, several.http("b").await);
    let mut killed = [busy(a), busy(a), busy(a)];
    let mut idle = TcpStream::connect(a).expect("connected");
    let mut other = Client::connect(Protocol::Http1, b).await;
    assert_eq!(other.get("/bin/1").await.status, 200);
    Metrics::until(several.admin, |metrics| {
        metrics.sum(IN_FLIGHT, &[("instance", "a")]) == 3
            && metrics.sum(CONNECTIONS, &[("instance", "a")]) == 4
    })
    .await;
    let shown = several.order("a/kill").await;
    assert_eq!((&shown["phase"], &shown["ready"]), (&"killed".into(), &false.into()));
    assert_eq!((&shown["connections"], &shown["in_flight"]), (&0.into(), &0.into()), "{shown}");
    for stream in killed.iter_mut().chain([&mut idle]) {
        let error = stream.read(&mut [0; 1]).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    assert!(is_refused(a));
    assert_eq!(
        other.get("/bin/1").await.field("x-dummy-instance"),
        Some("b"),
        "its connection is still there"
    );
    assert_eq!(several.ask("GET", "/readyz").await.status, 200);
    assert_eq!(several.order("a/kill").await["phase"], "killed", "again, it is not an error");
}

async fn a_drain_of_one_ends_what_is_in_flight_and_the_process_goes_on(protocol: Protocol) {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let (a, b) = (several.http("a").await, several.http("b").await);
    let mut client = Client::connect(protocol, a).await;
    let drain = async {
        Metrics::until(several.admin, |metrics| metrics.sum(IN_FLIGHT, &[("instance", "a")]) == 1).await;
        several.order("a/drain").await
    };
    let (reply, shown) = tokio::join!(client.exchange(Request::get("/chunked/10?size=100&delay=100")), drain);
    assert_eq!((reply.status, reply.body.len()), (200, 1000));
    assert!(shown["phase"] == "draining" && shown["ready"] == false, "{shown}");
    several.reaches("a", "ended").await;
    assert!(is_refused(a));
    assert_eq!(answered_by(b).await, "b");
    let metrics = Metrics::read(several.admin).await;
    assert_eq!(["a", "b"].map(|name| metrics.sum("dummy_server_draining", &[("instance", name)])), [1, 0]);
    // The other ends too, and the process does not.
    several.order("b/drain").await;
    several.reaches("b", "ended").await;
    assert_eq!(
        (several.ask("GET", "/livez").await.status, several.ask("GET", "/readyz").await.status),
        (200, 503)
    );
    several.order("b/start").await;
    assert_eq!(several.ask("GET", "/readyz").await.status, 200);
    several.process.signal(Signal::TERM);
    assert_eq!(several.finish().await.code, Some(0));
}

async fn a_drain_of_one_is_cut_when_its_timeout_is_up() {
    let several = Several::start(&[
        "--instances=2",
        "--instance-names=a,b",
        "--drain-delay=100ms",
        "--drain-timeout=100ms",
    ]);
    let mut cut = busy(several.http("a").await);
    Metrics::until(several.admin, |metrics| metrics.sum(IN_FLIGHT, &[("instance", "a")]) == 1).await;
    several.order("a/drain").await;
    several.reaches("a", "ended").await;
    assert!(matches!(cut.read(&mut [0; 1]), Ok(0) | Err(_)), "no reply");
    assert_eq!(several.shown("b").await["phase"], "serving");
}

async fn one_that_was_killed_or_drained_starts_again_at_its_address() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let before = several.shown("a").await;
    let http = several.http("a").await;
    assert_eq!(answered_by(http).await, "a");
    several.order("a/kill").await;
    let again = several.order("a/start").await;
    assert_eq!(
        (&again["phase"], &again["ready"], &again["starts"]),
        (&"serving".into(), &true.into(), &2.into())
    );
    assert_eq!(again["addresses"], before["addresses"]);
    let started = |shown: &Value| shown["started"].as_str().expect("a time").to_owned();
    assert!(started(&again) > started(&before), "{again}");
    assert_eq!(answered_by(http).await, "a");
    several.order("a/unhealthy").await;
    several.order("a/drain").await;
    several.reaches("a", "ended").await;
    assert_eq!(several.order("a/start").await["ready"], true, "it begins anew");
    assert_eq!(answered_by(http).await, "a");
    // Its counters go on.
    let counted = |metrics: &Metrics| metrics.sum(REQUESTS, &[("instance", "a"), ("endpoint", "bin")]) == 3;
    Metrics::until(several.admin, counted).await;
}

async fn kills_and_starts_leave_nothing_behind() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--workers=4"]);
    let count = |what: &str| {
        fs::read_dir(format!("/proc/{}/{what}", several.process.id())).expect("a process").count()
    };
    let http = several.http("a").await;
    let round = async || {
        let mut client = Client::connect(Protocol::Http2, http).await;
        assert_eq!(client.exchange(Request::post("/upload", vec![b'x'; 300_000])).await.status, 200);
        several.order("a/kill").await;
        several.order("a/start").await;
    };
    round().await;
    let before = (count("task"), count("fd"));
    for _ in 0..20 {
        round().await;
    }
    // The thread of the last worker may not have gone yet, or a connection of the admin port.
    let begun = Instant::now();
    while (count("task"), count("fd")) > before {
        assert!(begun.elapsed() < PATIENCE, "{:?}, and before {before:?}", (count("task"), count("fd")));
        tokio::task::yield_now().await;
    }
    let metrics = Metrics::read(several.admin).await;
    assert_eq!((metrics.sum(CONNECTIONS, &[]), metrics.sum(IN_FLIGHT, &[])), (0, 0));
}

async fn one_that_cannot_start_says_why() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let http = several.http("a").await;
    several.order("a/kill").await;
    let taken = TcpListener::bind(http).expect("its port is free");
    let reply = several.ask("POST", "/instances/a/start").await;
    assert_eq!(reply.status, 409);
    let error = reply.json()["error"].as_str().expect("a text").to_owned();
    let expected =
        format!("can't start instance 'a': can't listen on {http} (--addr): another process listens there");
    assert!(error.starts_with(&expected), "{error}");
    drop(taken);
    several.order("a/start").await;
    assert_eq!(answered_by(http).await, "a");
}

async fn sigterm_drains_all_that_run(protocol: Protocol) {
    let several = Several::start(&["--instances=3", "--instance-names=a,b,c"]);
    several.order("c/kill").await;
    let (mut one, mut two) = (
        Client::connect(protocol, several.http("a").await).await,
        Client::connect(protocol, several.http("b").await).await,
    );
    let signal = async {
        Metrics::until(several.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 2).await;
        several.process.signal(Signal::TERM);
    };
    let long = "/chunked/10?size=100&delay=100";
    let (first, second, ()) = tokio::join!(one.get(long), two.get(long), signal);
    assert_eq!((first.body.len(), second.body.len()), (1000, 1000));
    let finished = several.finish().await;
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("drained"), "{finished}");
}

async fn a_second_signal_cuts_all() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let _busy = (busy(several.http("a").await), busy(several.http("b").await));
    Metrics::until(several.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 2).await;
    several.process.signal(Signal::TERM);
    several.process.await_stderr("signal in the log", |log| log.contains(" SIGTERM").then_some(()));
    several.process.signal(Signal::TERM);
    let finished = several.finish().await;
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("ended with open connections connections=2"), "{finished}");
}
