//! Several servers in one process of dummy-server: names and ports, and each drained, killed, made unhealthy and started
//! again by the admin port while the others serve.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Instant,
};

use integration::{
    PATIENCE,
    binaries::command,
    client::{Client, Exchange, GrpcClient, Protocol, Request, fetch, link},
    launch::Launched,
    metrics::{CONNECTIONS, IN_FLIGHT, Metrics, REQUESTS},
    process::{Finished, Process},
    proxies::NGINX,
    tools::require,
};
use rustix::process::Signal;
use serde_json::Value;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use crate::{
    grpc_calls::CHECK,
    operation::{SOON, run},
};

tests!();

/// A process with several servers.
struct Several {
    process: Process,
    admin: SocketAddr,
}

impl Several {
    /// Starts it on free ports, unless the flags say otherwise, and waits until it listens.
    fn start(flags: &[&str]) -> Self {
        let own = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];
        let given =
            |flag: &&&str| flags.iter().any(|other| other.split('=').next() == flag.split('=').next());
        let mut command = command("dummy-server");
        command.args(own.iter().filter(|flag| !given(flag))).arg("--pprof-addr=").args(flags);
        let process = Process::start(&mut command);
        let admin = process.await_stderr("line with the admin port", |log| {
            log.split_once(" listening admin=")?.1.split_whitespace().next()?.parse().ok()
        });
        Self { process, admin }
    }

    async fn ask(&self, method: &str, path: &str) -> Exchange {
        fetch(Protocol::Http1, self.admin, Request::new(method, path)).await
    }

    /// Asks a server for something, which it does.
    async fn order(&self, path: &str) -> Value {
        let reply = self.ask("POST", &format!("/instances/{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    async fn shown(&self, name: &str) -> Value {
        let reply = self.ask("GET", &format!("/instances/{name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits until a server is in this phase.
    async fn reaches(&self, name: &str, phase: &str) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.shown(name).await;
            if shown["phase"] == phase {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "it is not {phase}: {shown}");
            tokio::task::yield_now().await;
        }
    }

    async fn address(&self, name: &str, kind: &str) -> SocketAddr {
        let shown = self.shown(name).await;
        shown["addresses"][kind]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{shown}"))
    }

    async fn http(&self, name: &str) -> SocketAddr {
        self.address(name, "http").await
    }

    async fn finish(self) -> Finished {
        tokio::task::spawn_blocking(move || self.process.finish(SOON)).await.expect("it was waited for")
    }
}

/// Which server answers a request on a connection of its own.
async fn answered_by(address: SocketAddr) -> String {
    let reply = Client::connect(Protocol::Http1, address).await.get("/bin/10").await;
    assert_eq!(reply.status, 200);
    reply.field("x-dummy-instance").expect("a name").to_owned()
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A connection with a request that is not answered for a minute.
fn busy(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    stream
}

async fn each_has_a_name_ports_and_counters_of_its_own(protocol: Protocol) {
    let several = Several::start(&["--instances=3", "--instance=box"]);
    let list = several.ask("GET", "/instances").await.json();
    let names: Vec<_> =
        list["instances"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["box-1", "box-2", "box-3"]);
    let mut ports = BTreeSet::new();
    for (requests, name) in ["box-1", "box-2", "box-3"].into_iter().enumerate() {
        ports.extend([several.http(name).await.port(), several.address(name, "grpc").await.port()]);
        let mut client = Client::connect(protocol, several.http(name).await).await;
        for _ in 0..=requests {
            let reply = client.get("/bin/100").await;
            assert_eq!((reply.status, reply.field("x-dummy-instance")), (200, Some(name)));
        }
        assert_eq!(client.get("/").await.json()["_myhostname"], name);
        let shown = several.shown(name).await;
        assert_eq!(
            (&shown["phase"], &shown["ready"], &shown["starts"]),
            (&"serving".into(), &true.into(), &1.into())
        );
        assert_eq!(shown["connections"], 1, "{shown}");
    }
    assert_eq!(ports.len(), 6);
    let of = |name| [("instance", name), ("endpoint", "bin")];
    let all_counted = |metrics: &Metrics| metrics.sum(REQUESTS, &[("endpoint", "bin")]) == 6;
    let metrics = Metrics::until(several.admin, all_counted).await;
    assert_eq!(["box-1", "box-2", "box-3"].map(|name| metrics.sum(REQUESTS, &of(name))), [1, 2, 3]);
    // What the process has once has no name, and each help text stands once.
    assert!(metrics.text().lines().any(|line| line.starts_with("dummy_server_memory_budget_bytes ")));
    let helps = metrics.text().lines().filter(|line| line.starts_with("# TYPE dummy_server_requests_total "));
    assert_eq!(helps.count(), 1);
}

async fn connections_of_all_are_listed_with_names_and_ids_of_their_own() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--workers=2"]);
    let mut clients = Vec::new();
    for name in ["a", "b", "a", "b"] {
        let mut client = Client::connect(Protocol::Http1, several.http(name).await).await;
        client.get("/health").await;
        clients.push(client);
    }
    let list = several.ask("GET", "/connections").await.json();
    let connections = list["connections"].as_array().expect("a list");
    let of = |field: &str| connections.iter().map(|one| one[field].to_string()).collect::<Vec<_>>();
    assert_eq!(list["open"], 4);
    let mut names = of("instance");
    names.sort();
    assert_eq!(names, [r#""a""#, r#""a""#, r#""b""#, r#""b""#]);
    assert_eq!(of("id").into_iter().collect::<BTreeSet<_>>().len(), 4, "{list}");
    assert_eq!(of("worker").into_iter().collect::<BTreeSet<_>>().len(), 2, "{list}");
}

async fn ports_are_in_a_row() {
    let (base, several) = (0..50)
        .find_map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").ok()?;
            let base = free.local_addr().ok()?.port();
            let rest: io::Result<Vec<_>> = (1..3)
                .map(|step| TcpListener::bind(("127.0.0.1", base.checked_add(step).unwrap_or(1))))
                .collect();
            rest.ok().map(|rest| drop((free, rest)))?;
            Some((
                base,
                Several::start(&[
                    "--instances=3",
                    "--instance=x",
                    "--grpc-addr=",
                    &format!("--addr=127.0.0.1:{base}"),
                ]),
            ))
        })
        .expect("three free ports in a row");
    for (port, name) in (base..).zip(["x-1", "x-2", "x-3"]) {
        assert_eq!(answered_by(([127, 0, 0, 1], port).into()).await, name);
    }
    let said = several.process.await_stderr("lines with the addresses", |log| Some(log.to_owned()));
    assert!(said.contains(&format!("x-2 listening http=127.0.0.1:{}", base + 1)), "{said}");
}

async fn one_port_is_shared_and_the_others_serve_it_when_one_is_killed() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--instance-ports=shared"]);
    let address = several.http("a").await;
    assert_eq!(several.http("b").await, address);
    let seen = async || {
        let mut seen = BTreeSet::new();
        for _ in 0..64 {
            seen.insert(answered_by(address).await);
        }
        seen.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(seen().await, ["a", "b"]);
    several.order("a/kill").await;
    assert_eq!(seen().await, ["b"]);
    several.order("a/start").await;
    assert_eq!(seen().await, ["a", "b"]);
}

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
    assert_eq!(several.order("a/kill").await["phase"], "killed", "again, it is no mistake");
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

async fn an_unhealthy_one_says_so_and_serves() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let (a, b) = (several.http("a").await, several.http("b").await);
    let health = async |address| {
        let reply = Client::connect(Protocol::Http1, address).await.get("/health").await;
        (reply.status, reply.text().to_owned())
    };
    let mut grpc = GrpcClient::connect(several.address("a", "grpc").await).await;
    let mut checked = async || {
        let request = HealthCheckRequest::default();
        grpc.unary::<HealthCheckResponse>(CHECK, &request).await.0.map(|answer| answer.status())
    };
    assert_eq!(checked().await, Some(ServingStatus::Serving));
    let shown = several.order("a/unhealthy").await;
    assert_eq!((&shown["phase"], &shown["ready"]), (&"serving".into(), &false.into()));
    assert_eq!(health(a).await, (503, r#"{"status":"unhealthy"}"#.to_owned()));
    assert_eq!(checked().await, Some(ServingStatus::NotServing));
    assert_eq!(answered_by(a).await, "a");
    assert_eq!(health(b).await.0, 200);
    let ready = async |path: &str| several.ask("GET", path).await.status;
    assert_eq!((ready("/instances/a/readyz").await, ready("/instances/b/readyz").await), (503, 200));
    assert_eq!(ready("/readyz").await, 200, "one of them is ready");
    several.order("b/unhealthy").await;
    assert_eq!(ready("/readyz").await, 503);
    several.order("a/healthy").await;
    assert_eq!((health(a).await.0, checked().await), (200, Some(ServingStatus::Serving)));
    assert_eq!((ready("/readyz").await, ready("/instances/a/readyz").await), (200, 200));
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

async fn what_cannot_be_done_is_refused_with_what_can() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    for (method, path, status, error, accepted) in [
        ("GET", "/instances/c", 404, "unknown instance 'c'", "a, b"),
        ("POST", "/instances/c/kill", 404, "unknown instance 'c'", "a, b"),
        (
            "POST",
            "/instances/a/explode",
            404,
            "invalid action 'explode'",
            "drain, kill, start, unhealthy, healthy",
        ),
        (
            "POST",
            "/instances/a/start",
            409,
            "can't start instance 'a': it is running",
            "an instance that has ended or was killed",
        ),
    ] {
        let reply = several.ask(method, path).await;
        assert_eq!(reply.status, status, "{method} {path}");
        let said = reply.json();
        assert_eq!((&said["error"], &said["accepted"]), (&error.into(), &accepted.into()), "{method} {path}");
        assert!(said["example"].is_string(), "{said}");
    }
    several.order("a/kill").await;
    for action in ["drain", "unhealthy", "healthy"] {
        let reply = several.ask("POST", &format!("/instances/a/{action}")).await;
        assert_eq!((reply.status, &reply.json()["accepted"]), (409, &"start".into()), "{action}");
    }
    assert_eq!(several.ask("GET", "/instances/a/kill").await.status, 405);
    let page = Request::new("POST", "/instances/b/kill").field("origin", "http://elsewhere.example");
    assert_eq!(fetch(Protocol::Http1, several.admin, page).await.status, 403);
    assert_eq!(several.shown("b").await["phase"], "serving");
}

async fn a_token_is_required_to_list_and_to_change() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--admin-token=open-sesame"]);
    assert_eq!(several.ask("GET", "/instances").await.status, 401);
    assert_eq!(several.ask("POST", "/instances/a/kill").await.status, 401);
    let request = Request::new("POST", "/instances/a/kill").field("authorization", "Bearer open-sesame");
    assert_eq!(fetch(Protocol::Http1, several.admin, request).await.status, 200);
}

async fn a_default_behaviour_is_of_all() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--behaviour=status=503"]);
    let statuses = async || {
        let mut statuses = Vec::new();
        for name in ["a", "b"] {
            let address = several.http(name).await;
            statuses.push(Client::connect(Protocol::Http1, address).await.get("/bin/1").await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [503, 503]);
    let request = Request { body: b"status=418".to_vec(), ..Request::new("PUT", "/behaviour") };
    assert_eq!(fetch(Protocol::Http1, several.admin, request).await.status, 200);
    assert_eq!(statuses().await, [418, 418]);
    assert_eq!(several.ask("DELETE", "/behaviour").await.status, 200);
    assert_eq!(statuses().await, [200, 200]);
}

async fn lines_of_the_access_log_have_the_name() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--access-log=json"]);
    answered_by(several.http("b").await).await;
    several.order("b/kill").await;
    several.order("b/start").await;
    answered_by(several.http("b").await).await;
    several
        .process
        .await_stdout("two lines", |log| (log.matches(r#""instance":"b""#).count() == 2).then_some(()));
    several.process.signal(Signal::TERM);
    assert_eq!(several.finish().await.code, Some(0), "the log does not hold up the end");
}

async fn each_serves_tls_with_a_certificate_for_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("ca.pem");
    let own = format!("--tls-self-signed={}", path.display());
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--tls-addr=127.0.0.1:0", &own]);
    let trusting = link::trusting(&fs::read(&path).expect("the server has written its CA"));
    let (one, two) = (several.address("a", "tls").await, several.address("b", "tls").await);
    assert_ne!(one, two);
    for address in [one, two] {
        let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        link::Link::shake_hands(stream, trusting.clone()).await.expect("a handshake");
    }
}

fn flags_that_make_no_sense_together_are_one_line_and_exit_2() {
    for (flags, said) in [
        (
            &["--instances=0"][..],
            "invalid value '0' for --instances; accepted: a whole number from 1 to 64; example: ",
        ),
        (&["--instances=65"], "invalid value '65' for --instances; accepted: a whole number from 1 to 64"),
        (
            &["--instances=2", "--addr", "127.0.0.1:65535"],
            "2 servers in a row need ports up to 65536; accepted: a port from 1",
        ),
        (
            &["--instance-names=a,a"],
            "invalid value 'a,a' for --instance-names; accepted: 1 to 64 different names",
        ),
    ] {
        let finished = run(flags);
        assert_eq!((finished.code, finished.stderr.lines().count()), (Some(2), 1), "{flags:?}: {finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
}

async fn one_server_is_shown_and_has_no_label() {
    let mut command = command("dummy-server");
    command.args([
        "--addr=127.0.0.1:0",
        "--grpc-addr=",
        "--admin-addr=127.0.0.1:0",
        "--pprof-addr=",
        "--instance=x",
    ]);
    let process = Process::start(&mut command);
    let admin = process.await_stderr("line with the addresses", |log| {
        log.split_once(" listening http=")?.1.split_once(" admin=")?.1.split_whitespace().next()?.parse().ok()
    });
    let several = Several { process, admin };
    let http = several.http("x").await;
    assert_eq!(answered_by(http).await, "x");
    Metrics::until(admin, |metrics| metrics.sum(REQUESTS, &[("endpoint", "bin")]) == 1).await;
    assert!(!Metrics::read(admin).await.text().contains("instance="));
    several.order("x/kill").await;
    assert!(is_refused(http));
    several.order("x/start").await;
    assert_eq!(answered_by(http).await, "x");
    several.process.signal(Signal::TERM);
    assert_eq!(several.finish().await.code, Some(0));
}

fn balancing(front: SocketAddr, servers: [SocketAddr; 2], directory: &Path) -> String {
    let [one, two] = servers;
    let dir = directory.display();
    format!(
        "daemon off;
master_process off;
pid {dir}/pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  upstream both {{ server {one} max_fails=0; server {two} max_fails=0; keepalive 16; }}
  server {{
    listen {front};
    location / {{ proxy_pass http://both; proxy_http_version 1.1; proxy_set_header Connection ''; }}
  }}
}}
"
    )
}

async fn behind_nginx_the_other_answers_everything_when_one_is_killed() {
    let Some(program) = require(NGINX.tool) else { return };
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let servers = [several.http("a").await, several.http("b").await];
    let proxy = Launched::start(NGINX.tool, |[front]: [SocketAddr; 1], directory| {
        let file = directory.join("nginx.conf");
        fs::write(&file, balancing(front, servers, directory)).expect("a file is written");
        (NGINX.command)(&program, directory, &file)
    });
    let mut client = Client::connect(Protocol::Http1, proxy.addresses[0]).await;
    let mut seen = async |count| {
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let reply = client.get("/bin/1K").await;
            assert_eq!(reply.status, 200);
            seen.insert(reply.field("x-dummy-instance").expect("a name").to_owned());
        }
        seen.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(seen(20).await, ["a", "b"]);
    several.order("b/kill").await;
    assert_eq!(seen(40).await, ["a"]);
    several.order("b/start").await;
    assert_eq!(seen(20).await, ["a", "b"]);
    several.order("a/drain").await;
    several.reaches("a", "ended").await;
    assert_eq!(seen(40).await, ["b"]);
}
