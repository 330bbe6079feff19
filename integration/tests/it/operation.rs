//! dummy-server as an operator meets it: flags, exit codes, the admin port, logs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use integration::{
    binaries::{ServerProcess, command},
    client::{Client, Protocol, Request, fetch},
    metrics::{CONNECTIONS, Metrics},
    process::{Finished, Process},
    server::Server,
};
use rustix::process::Signal;

tests!();

/// How long a program that cannot run may take to say so.
const SOON: Duration = Duration::from_secs(10);

const ELSEWHERE: [&str; 3] = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];

/// On free ports, unless the arguments say otherwise.
fn run(args: &[&str]) -> Finished {
    let given = |flag: &str| args.iter().any(|arg| Some(*arg) == flag.split('=').next());
    let elsewhere = ELSEWHERE.iter().filter(|flag| !given(flag));
    Process::start(command("dummy-server").args(elsewhere).arg("--pprof-addr=").args(args)).finish(SOON)
}

fn bad_values_are_one_line_and_exit_2() {
    for arg in [
        "--buffer-size=63",
        "--buffer-size=4097",
        "--buffer-size=many",
        "--port=http",
        "--mem-interval=soon",
        "--log-level=loud",
        "--log-format=xml",
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
        assert!(finished.stderr.starts_with("dummy-server: error: "), "{arg}: {finished}");
        assert!(
            finished.stderr.contains("; accepted: ") && finished.stderr.contains("; example: "),
            "{finished}"
        );
    }
    for flag in ["--addr", "--grpc-addr", "--admin-addr", "--pprof-addr"] {
        let process = Process::start(command("dummy-server").arg(format!("{flag}=nonsense")));
        let finished = process.finish(SOON);
        assert_eq!(finished.code, Some(2), "{flag}: {finished}");
        assert!(finished.stderr.contains(flag), "the line names the flag: {finished}");
    }
}

fn an_empty_variable_means_what_the_empty_flag_means() {
    let help = Process::start(command("dummy-server").arg("--help")).finish(SOON).stdout;
    let flags =
        help.lines().filter_map(|line| line.trim_start().trim_start_matches("-p, ").strip_prefix("--"));
    let flags: Vec<_> =
        flags.filter_map(|flag| flag.split([' ', '[']).next()).filter(|flag| *flag != "help").collect();
    assert!(flags.len() > 40, "{flags:?}");
    let variable = |flag: &str| format!("DUMMY_SERVER_{}", flag.to_uppercase().replace('-', "_"));
    // The wrong flag is the last that is read: where an empty value is accepted, its message is all there is.
    let (mut typed, mut from_environment) = (Vec::new(), Vec::new());
    for flag in flags.iter().filter(|flag| **flag != "h2-header-table-size") {
        let wrong = "--h2-header-table-size=wrong";
        let mut command_line = command("dummy-server");
        command_line.args([&format!("--{flag}="), wrong]);
        typed.push(Process::start(&mut command_line).finish(SOON).stderr);
        let mut environment = command("dummy-server");
        environment.env(variable(flag), "").arg(wrong);
        let said = Process::start(&mut environment).finish(SOON).stderr;
        let name = variable(flag);
        from_environment.push(
            said.replace(&format!("{name}="), &format!("--{flag}=")).replace(&name, &format!("--{flag}")),
        );
    }
    assert_eq!(from_environment, typed);
    assert!(
        typed.iter().any(|said| said.contains("'wrong' for --h2-header-table-size; ")),
        "some may be empty: {typed:?}"
    );
    assert!(typed.iter().any(|said| said.contains("'' for --max-streams; ")), "others may not: {typed:?}");
}

fn a_wrong_variable_is_named() {
    for (variable, value, example) in [
        ("DUMMY_SERVER_IDLE_TIMEOUT", "-5s", "DUMMY_SERVER_IDLE_TIMEOUT=75s"),
        ("DUMMY_SERVER_MAX_STREAMS", "0", "DUMMY_SERVER_MAX_STREAMS=100"),
        ("DUMMY_SERVER_BEHAVIOUR", "abort=explode", "DUMMY_SERVER_BEHAVIOUR='status=503:10&delay=5ms'"),
        ("DUMMY_SERVER_QUIET", "perhaps", "DUMMY_SERVER_QUIET=false"),
    ] {
        let finished = Process::start(command("dummy-server").env(variable, value)).finish(SOON);
        assert_eq!(finished.code, Some(2), "{finished}");
        let start = format!("dummy-server: error: invalid value '{value}' for {variable}");
        assert!(finished.stderr.starts_with(&start), "{finished}");
        assert!(finished.stderr.trim_end().ends_with(&format!("; example: {example}")), "{finished}");
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

fn a_port_in_use_is_named_with_a_port_to_take_instead() {
    let taken = TcpListener::bind("[::]:0").expect("a free port");
    let port = taken.local_addr().expect("a bound port").port();
    let said = |args: &[&str]| {
        let finished = Process::start(command("dummy-server").args(args)).finish(SOON);
        assert_eq!(finished.code, Some(1), "{finished}");
        finished.stderr.lines().last().expect("a line").to_owned()
    };
    let moved = said(&["--port", &port.to_string()]);
    let start = format!(
        "dummy-server: error: can't listen on [::]:{port} (--addr): another process listens there; accepted: "
    );
    let rest = moved.strip_prefix(&start).unwrap_or_else(|| panic!("{moved}"));
    let proposed = rest.rsplit("; example: --port=").next().and_then(|port| port.parse::<u16>().ok());
    let proposed = proposed.expect("a port");
    assert_ne!(proposed, port);
    // --port would not move an address that is given.
    let address = format!("127.0.0.1:{port}");
    let given = said(&["--port=0", "--admin-addr", &address]);
    assert!(
        given.contains(
            "another process listens there; accepted: another port; example: --admin-addr=127.0.0.1:"
        ),
        "{given}"
    );
    let free =
        TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").to_string();
    let given = said(&["--port=0", "--grpc-addr", &free, "--admin-addr", &free]);
    assert!(
        given.contains(
            "(--admin-addr): --grpc-addr has the same port; accepted: another port; example: --admin-addr="
        ),
        "{given}"
    );
}

/// The addresses in the line that says that a server listens, by name.
fn listening(log: &str) -> Option<Vec<(String, SocketAddr)>> {
    let line = log.lines().find_map(|line| line.split_once("listening "))?.1;
    let words = line.split_whitespace().filter_map(|word| word.split_once('='));
    words.map(|(name, address)| Some((name.to_owned(), address.parse().ok()?))).collect()
}

async fn servers_with_ports_of_their_own_run_side_by_side() {
    let mut seen = Vec::new();
    let mut servers = Vec::new();
    for flag in ["--port=0", "-p0", "-port=0"] {
        let server = Process::start(command("dummy-server").arg(flag));
        let addresses = server.await_stderr("line with the addresses", listening);
        let names: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["http", "grpc", "admin", "pprof"], "{flag}");
        // A GET is no call.
        let asked = [("/health", 200), ("/health", 405), ("/livez", 200), ("/debug/pprof/", 200)];
        for ((_, address), (path, status)) in addresses.iter().zip(asked) {
            let protocol = if path == "/health" { Protocol::Http2 } else { Protocol::Http1 };
            let loopback = SocketAddr::from(([127, 0, 0, 1], address.port()));
            let reply = Client::connect(protocol, loopback).await.get(path).await;
            assert_eq!(reply.status, status, "{flag} {path}");
            assert!(!seen.contains(address), "{address} is there twice");
            seen.push(*address);
        }
        servers.push(server);
    }
}

async fn an_address_that_is_given_stays_where_it_is() {
    let kept = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let mut command = command("dummy-server");
    command.env("DUMMY_SERVER_PORT", "0").env("DUMMY_SERVER_GRPC_ADDR", "");
    let server = Process::start(command.args(["--admin-addr", &kept.to_string()]));
    let addresses = server.await_stderr("line with the addresses", listening);
    let names: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["http", "admin", "pprof"]);
    assert_eq!(addresses[1].1, kept);
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

/// One request over a Unix domain socket.
fn ask_over(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("connected");
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("received");
    reply
}

fn serve_over(path: &Path) -> Process {
    let address = format!("unix:{}", path.display());
    let args = ["--addr", &address, "--grpc-addr=", "--admin-addr=", "--pprof-addr="];
    let process = Process::start(command("dummy-server").args(args));
    process
        .await_stderr("line with the address", |log| log.contains(&format!("http={address}")).then_some(()));
    process
}

fn a_unix_socket_is_served_and_its_file_removed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("socket");
    for signals in [&[Signal::TERM][..], &[Signal::INT], &[Signal::TERM, Signal::TERM]] {
        let process = serve_over(&path);
        let reply = ask_over(&path);
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("{\"status\":\"ok\"}"), "{reply}");
        // Where two signals are sent, something is in flight that the second cuts off.
        let mut busy = UnixStream::connect(&path).expect("connected");
        let path_asked = if signals.len() == 2 { "/delay/60000" } else { "/health" };
        busy.write_all(format!("GET {path_asked} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
        for (sent, signal) in signals.iter().enumerate() {
            process.signal(*signal);
            process
                .await_stderr("signal in the log", |log| (log.matches(" SIG").count() > sent).then_some(()));
        }
        let finished = process.finish(SOON);
        assert!(finished.code.is_some(), "{finished}");
        assert!(!path.exists(), "{signals:?}");
    }
}

fn a_file_in_the_place_of_a_unix_socket_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notes.txt");
    fs::write(&path, "precious").expect("written");
    let finished = run(&["--grpc-addr", &format!("unix:{}", path.display())]);
    assert_eq!(finished.code, Some(1), "{finished}");
    let line = finished.stderr.lines().last().expect("a line");
    assert!(line.contains("notes.txt (--grpc-addr): a file that is not a socket is there"), "{line}");
    assert_eq!(fs::read_to_string(&path).expect("the file is there"), "precious");

    let path = directory.path().join("socket");
    let first = serve_over(&path);
    let finished = run(&["--grpc-addr", &format!("unix:{}", path.display())]);
    let line = finished.stderr.lines().last().expect("a line");
    assert!(
        line.contains("(--grpc-addr): another process listens there; accepted: another path; example: "),
        "{line}"
    );
    assert!(ask_over(&path).starts_with("HTTP/1.1 200"), "the first one is still served");
    drop(first);
    // Killed, it has left its file behind, which is in nobody's way.
    assert!(path.exists());
    let second = serve_over(&path);
    assert!(ask_over(&path).starts_with("HTTP/1.1 200"));
    drop(second);
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
        "port",
        "log-level",
        "log-format",
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
    }
    // Variables are explained once.
    assert_eq!(finished.stdout.matches("DUMMY_SERVER_ADDR").count(), 1, "{finished}");
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
