//! dummy-server as an operator meets it: flags, exit codes, the admin port, logs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    time::Duration,
};

use integration::{
    binaries::{ServerProcess, command},
    cases::Cases,
    client::{Client, Protocol, Request, fetch},
    metrics::{CONNECTIONS, Metrics},
    process::{Finished, Process},
    server::Server,
};
use rustix::process::Signal;

pub(crate) fn tests() -> Cases {
    Cases::new()
        .test(bad_values_are_one_line_and_exit_2)
        .test(a_port_in_use_is_one_line_and_exit_1)
        .test_async(a_profile_port_in_use_is_a_warning_and_the_server_serves)
        .test_async(a_port_is_shared_only_on_purpose)
        .test_async(flags_in_the_form_of_go_work)
        .test_async(flags_are_environment_variables_too)
        .test(a_unix_socket_is_served)
        .over_each_protocol(clients_of_both_families_are_served_and_shown_as_what_they_are)
        .test_async(a_shorter_echo_is_a_flag)
        .test(the_help_lists_every_flag)
        .test_async(the_admin_port_tells_liveness_readiness_and_counts)
        .test_async(profiles_are_served_on_request)
        .test_async(requests_are_logged_when_asked)
}

/// How long a program that cannot run may take to say so.
const SOON: Duration = Duration::from_secs(10);

const ELSEWHERE: [&str; 3] = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];

fn run(args: &[&str]) -> Finished {
    Process::start(command("dummy-server").args(ELSEWHERE).arg("--pprof-addr=").args(args)).finish(SOON)
}

fn bad_values_are_one_line_and_exit_2() {
    for arg in [
        "--buffer-size=63",
        "--buffer-size=4097",
        "--buffer-size=many",
        "--mem-interval=soon",
        "--quiet=perhaps",
        "--workers=0",
        "--pin-cpus=perhaps",
        "--instance=two words",
        "--max-connections=0",
        "--max-streams=0",
        "--idle-timeout=-1s",
        "--header-timeout=soon",
        "--max-header-bytes=1",
        "--max-body-echo=-1",
        "--grpc-max-message=0",
        "--drain-delay=soon",
        "--drain-timeout=soon",
        "--behaviour=abort=explode",
        "--admin-token=short",
        "--admin-token-file=/no/such/file",
        "--access-log=xml",
        "--access-log-sample=0",
        "--h2-stream-window=0",
        "--h2-connection-window=1K",
        "--h2-max-frame-size=16M",
        "--h2-header-table-size=-1",
        "--no-such-flag",
        "stray",
    ] {
        let finished = run(&[arg]);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arg}: {finished}");
        assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{arg}: {finished}");
    }
    for flag in ["--addr", "--grpc-addr", "--admin-addr", "--pprof-addr"] {
        let process = Process::start(command("dummy-server").arg(format!("{flag}=nonsense")));
        let finished = process.finish(SOON);
        assert_eq!(finished.code, Some(2), "{flag}: {finished}");
        assert!(finished.stderr.contains(flag), "the line names the flag: {finished}");
    }
}

fn a_port_in_use_is_one_line_and_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ca = format!("--tls-self-signed={}", directory.path().join("ca.pem").display());
    for flag in ["--addr", "--grpc-addr", "--tls-addr", "--admin-addr"] {
        let mut command = command("dummy-server");
        for own in ELSEWHERE.iter().filter(|own| !own.starts_with(flag)) {
            command.arg(own);
        }
        command.args((flag == "--tls-addr").then_some(&ca)).arg("--pprof-addr=");
        let finished = Process::start(command.args([flag, &address])).finish(SOON);
        assert_eq!(finished.code, Some(1), "{flag}: {finished}");
        let complaints = finished.stderr.lines().filter(|line| line.contains(&address)).count();
        assert_eq!(complaints, 1, "{flag}: {finished}");
    }
}

async fn a_profile_port_in_use_is_a_warning_and_the_server_serves() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    let server = ServerProcess::start(&["--pprof-addr", &address]);
    let log = server.process().await_stderr("line with the addresses", |log| {
        log.contains("listening http=").then(|| log.to_owned())
    });
    let warning = log.lines().find(|line| line.contains("--pprof-addr")).expect("a warning");
    assert!(warning.contains(" WARN ") && warning.contains(&address), "{log}");
    assert!(!log.contains(" pprof="), "{log}");
    assert_eq!(Client::connect(Protocol::Http1, server.http).await.get("/health").await.status, 200);
    // An address that nobody could ever listen on is a mistake.
    let mut command = command("dummy-server");
    command.args(ELSEWHERE).arg("--pprof-addr=unix:/no/such/folder/socket");
    let finished = Process::start(&mut command).finish(SOON);
    assert_eq!(finished.code, Some(1), "{finished}");
}

async fn a_port_is_shared_only_on_purpose() {
    let first = ServerProcess::start(&["--share-port"]);
    let address = first.http.to_string();
    let finished = Process::start(command("dummy-server").args([
        "--addr",
        &address,
        "--grpc-addr=",
        "--admin-addr=",
        "--pprof-addr=",
    ]))
    .finish(SOON);
    assert_eq!(finished.code, Some(1), "{finished}");
    let second = ServerProcess::start(&["--share-port", "--addr", &address, "--instance=second"]);
    assert_eq!(second.http, first.http);
    first.signal(Signal::TERM);
    assert_eq!(first.finish(SOON).await.code, Some(0));
    let reply = Client::connect(Protocol::Http1, second.http).await.get("/health").await;
    assert_eq!(reply.field("x-dummy-instance"), Some("second"));
}

async fn flags_in_the_form_of_go_work() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pidfile = directory.path().join("pid");
    let process = Process::start(command("dummy-server").args([
        "-addr=127.0.0.1:0",
        "-grpc-addr=127.0.0.1:0",
        "-admin-addr=127.0.0.1:0",
        "-pprof-addr=",
        "-buffer-size=64",
        "-mem-interval=0",
        "-quiet=false",
        &format!("-pidfile={}", pidfile.display()),
    ]));
    process.await_stderr("line with the addresses", |log| log.contains("listening http=").then_some(()));
    assert_eq!(fs::read_to_string(&pidfile).expect("the pidfile is there").trim(), process.id().to_string());
    process.signal(Signal::TERM);
    assert_eq!(process.finish(SOON).code, Some(0));
    assert!(!pidfile.exists(), "the pidfile is removed at the end");
}

async fn flags_are_environment_variables_too() {
    let mut command = command("dummy-server");
    for (name, value) in [("ADDR", "127.0.0.1:0"), ("GRPC_ADDR", ""), ("ADMIN_ADDR", ""), ("PPROF_ADDR", "")]
    {
        command.env(format!("DUMMY_SERVER_{name}"), value);
    }
    let process = Process::start(command.env("DUMMY_SERVER_INSTANCE", "from-the-environment"));
    let http = process.await_stderr("line with the address", |log| {
        let rest = log.split_once("listening http=")?.1;
        rest.split_whitespace().next()?.parse().ok()
    });
    let reply = Client::connect(Protocol::Http1, http).await.get("/health").await;
    assert_eq!(reply.field("x-dummy-instance"), Some("from-the-environment"));
}

fn a_unix_socket_is_served() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    let args = ["--addr", &address, "--grpc-addr=", "--admin-addr=", "--pprof-addr="];
    let process = Process::start(command("dummy-server").args(args));
    process.await_stderr("line with the address", |log| log.contains(&address).then_some(()));
    let mut stream = UnixStream::connect(&path).expect("connected");
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("received");
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("{\"status\":\"ok\"}"), "{reply}");
    process.signal(Signal::TERM);
    assert_eq!(process.finish(SOON).code, Some(0));
}

async fn clients_of_both_families_are_served_and_shown_as_what_they_are(protocol: Protocol) {
    for flag in ["--addr=[::]:0", "-addr=:0"] {
        let server = ServerProcess::start(&[flag, "--access-log=text"]);
        for loopback in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let address = SocketAddr::new(loopback, server.http.port());
            let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
            let own = stream.local_addr().expect("an address").to_string();
            let mut client = Client::on(protocol, stream).await.expect("a connection");
            let echo = client.get("/").await.json();
            assert_eq!(echo["source_addr"], own, "{flag}");
            assert_eq!(echo["destination_addr"], address.to_string(), "{flag}");
            let ip = client.get("/ip").await.json();
            assert_eq!(ip["origin"], loopback.to_string(), "{flag}");
            let listed = fetch(Protocol::Http1, server.admin, Request::get("/connections")).await.json();
            let peers = listed["connections"].as_array().expect("a list").iter().map(|one| &one["peer"]);
            assert!(peers.into_iter().any(|peer| peer == &own), "{flag}: {listed}");
            server.process().await_stdout("line of the request", |log| log.contains(&own).then_some(()));
        }
    }
}

async fn a_shorter_echo_is_a_flag() {
    let server = Server::with(&["--max-body-echo=10"]);
    for protocol in Protocol::ALL {
        let mut client = Client::connect(protocol, server.http).await;
        let echo = client.exchange(Request::post("/", "0123456789a")).await.json();
        assert_eq!((&echo["body"], &echo["body_size"]), (&"0123456789".into(), &11.into()));
        assert_eq!(echo["body_truncated"], true);
    }
}

fn the_help_lists_every_flag() {
    let finished = Process::start(command("dummy-server").arg("--help")).finish(SOON);
    assert_eq!(finished.code, Some(0));
    for flag in [
        "addr",
        "grpc-addr",
        "admin-addr",
        "pprof-addr",
        "buffer-size",
        "mem-interval",
        "pidfile",
        "quiet",
        "workers",
        "pin-cpus",
        "instance",
        "share-port",
        "cors",
        "max-connections",
        "max-streams",
        "idle-timeout",
        "max-connection-age",
        "header-timeout",
        "max-header-bytes",
        "max-body-echo",
        "grpc-max-message",
        "drain-delay",
        "drain-timeout",
        "admin-token",
        "admin-token-file",
        "access-log",
        "access-log-sample",
        "h2-stream-window",
        "h2-connection-window",
        "h2-max-frame-size",
        "h2-header-table-size",
    ] {
        assert!(
            finished.stdout.contains(&format!("--{flag} "))
                || finished.stdout.contains(&format!("--{flag}[")),
            "{flag}: {finished}"
        );
        let variable = format!("DUMMY_SERVER_{}", flag.replace('-', "_").to_uppercase());
        assert!(finished.stdout.contains(&variable), "{variable}: {finished}");
    }
}

async fn the_admin_port_tells_liveness_readiness_and_counts() {
    let server = Server::start();
    let mut admin = Client::connect(Protocol::Http1, server.admin).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
    }
    let mut clients = Vec::new();
    for (protocol, name) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::Http2, "HTTP/2")] {
        let mut client = Client::connect(protocol, server.http).await;
        for _ in 0..3 {
            client.get("/bin/1000").await;
        }
        Metrics::until(server.admin, |metrics| {
            metrics.sum(
                "dummy_server_requests_total",
                &[("endpoint", "bin"), ("protocol", name), ("status", "200")],
            ) == 3
        })
        .await;
        // Bytes are counted when they are written, which is after the reply was.
        Metrics::until(server.admin, |metrics| {
            metrics.sum("dummy_server_sent_bytes_total", &[]) >= 3000
                && metrics.sum("dummy_server_received_bytes_total", &[]) > 0
        })
        .await;
        clients.push(client);
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum(CONNECTIONS, &[]), 2);
    for name in ["dummy_server_streams_open", "dummy_server_requests_in_flight", "dummy_server_draining"] {
        assert!(metrics.has(name), "{name} is missing in {}", metrics.text());
        assert_eq!(metrics.sum(name, &[]), 0, "{name}");
    }
}

async fn profiles_are_served_on_request() {
    let server = ServerProcess::start(&["--pprof-addr", "127.0.0.1:0"]);
    let pprof = server.process().await_stderr("address of the profile port", |log| {
        let rest = log.split_once("pprof=")?.1;
        rest.split_whitespace().next()?.parse().ok()
    });
    let mut client = Client::connect(Protocol::Http1, pprof).await;
    let profile = client.get("/debug/pprof/profile?seconds=1").await;
    assert_eq!(profile.status, 200, "{profile:?}");
    assert!(!profile.body.is_empty());
}

async fn requests_are_logged_when_asked() {
    let server = ServerProcess::start(&["--quiet=false"]);
    for protocol in Protocol::ALL {
        let path = format!("/status/404?over={protocol}");
        assert_eq!(Client::connect(protocol, server.http).await.get(&path).await.status, 404);
        let line = server.process().await_stdout("line of the request", |log| {
            log.lines().find(|line| line.contains(&path)).map(str::to_owned)
        });
        assert!(line.contains("404") && line.contains("GET"), "{line}");
    }
}
