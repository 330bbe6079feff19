//! Where dummy-server listens: ports in use, its own ports, shared ports, Unix domain sockets, both families.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::Path,
};

use integration::{
    binaries::{ServerProcess, command},
    client::{Client, Protocol, Request, fetch},
    launch::Port,
    process::Process,
};
use rustix::process::Signal;

use crate::operation::{ELSEWHERE, SOON, run};

tests!();

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
    // An address that can never be listened on is a mistake.
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
    let port = Port::keep().expect("a port");
    let free = port.address.to_string();
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

async fn servers_with_their_own_ports_run_side_by_side() {
    let mut seen = Vec::new();
    let mut servers = Vec::new();
    for flag in ["--port=0", "-p0", "-port=0"] {
        let server = Process::start(command("dummy-server").arg(flag));
        let addresses = server.await_stderr("line with the addresses", listening);
        let names: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["http", "grpc", "admin", "pprof"], "{flag}");
        // A GET is not a gRPC call.
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

async fn an_explicit_address_takes_precedence_over_the_port_flag() {
    let port = Port::keep().expect("a port");
    let kept = port.address;
    let mut command = command("dummy-server");
    command.env("DUMMY_SERVER_PORT", "0").env("DUMMY_SERVER_GRPC_ADDR", "");
    let server = Process::start(command.args(["--admin-addr", &kept.to_string()]));
    let addresses = server.await_stderr("line with the addresses", listening);
    let names: Vec<_> = addresses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["http", "admin", "pprof"]);
    assert_eq!(addresses[1].1, kept);
}

async fn a_port_is_shared_only_with_share_port() {
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
            if sent > 0 {
                // The one before has been obeyed. The last one may end the process before it is logged.
                process.await_stderr("signal in the log", |log| {
                    (log.matches(" SIG").count() >= sent).then_some(())
                });
            }
            process.signal(*signal);
        }
        let finished = process.finish(SOON);
        assert!(finished.code.is_some(), "{finished}");
        assert!(!path.exists(), "{signals:?}");
    }
}

fn a_file_at_the_path_of_a_unix_socket_is_named_and_kept() {
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
    // Killed, it has left its file behind, which is not in the way.
    assert!(path.exists());
    let second = serve_over(&path);
    assert!(ask_over(&path).starts_with("HTTP/1.1 200"));
    drop(second);
}

async fn ipv4_and_ipv6_clients_are_served_and_shown_as_such(protocol: Protocol) {
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
