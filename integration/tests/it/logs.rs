//! The access log, the log of the server itself, and its line of figures.

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
    time::Duration,
};

use integration::{
    binaries::{ServerProcess, command},
    client::{Client, Http1, Protocol, Request, fetch, patiently},
    metrics::{IN_FLIGHT, Metrics},
    process::Process,
    tools::require,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::admin::leave;

tests!();

/// How long an idle server may take to end.
const SOON: Duration = Duration::from_secs(10);

/// The line of the request for this target.
fn line(server: &ServerProcess, target: &str) -> Value {
    server.process().await_stdout("line of the request", |log| {
        let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut lines = lines.map(|line| serde_json::from_str(line).expect("each line is JSON"));
        lines.find(|line: &Value| line["target"] == target)
    })
}

async fn an_access_log_line_describes_the_request_and_its_reply(protocol: Protocol) {
    let server = ServerProcess::start(&["--access-log=json"]);
    let mut client = Client::connect(protocol, server.http).await;
    let peer = client.get("/").await.json()["source_addr"].clone();
    let name = match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    for (method, target, status, least_ms) in [
        ("GET", "/bin/1000?first", 200, 0.0),
        ("GET", "/bin/3000000", 200, 0.0),
        ("GET", "/bin/300?chunked=true", 200, 0.0),
        ("HEAD", "/bin/1000?head", 200, 0.0),
        ("GET", "/chunked/3?size=10&delay=20", 200, 40.0),
        ("GET", "/chunked/2?size=300000", 200, 0.0),
        ("GET", "/delay/30", 200, 30.0),
        ("GET", "/status/204", 204, 0.0),
        ("POST", "/bin/none", 400, 0.0),
    ] {
        let request = Request::new(method, target)
            .field("user-agent", "tests \"of\" logs")
            .field("x-request-id", "request 17")
            .field("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let reply = client.exchange(request).await;
        assert_eq!(reply.status, status, "{target}");
        let line = line(&server, target);
        assert_eq!((&line["method"], &line["status"]), (&method.into(), &status.into()), "{line}");
        assert_eq!((&line["bytes"], &line["protocol"]), (&reply.body.len().into(), &name.into()), "{line}");
        assert_eq!((&line["peer"], &line["request_id"]), (&peer, &"request 17".into()), "{line}");
        assert_eq!(line["user_agent"], "tests \"of\" logs", "{line}");
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
        let took = line["duration_ms"].as_f64().expect("milliseconds");
        assert!((least_ms..30_000.0).contains(&took), "{line}");
        let time: jiff::Timestamp = line["time"].as_str().expect("a time").parse().expect("RFC 3339");
        let ago = jiff::Timestamp::now().duration_since(time);
        assert!((0..60).contains(&ago.as_secs()), "{line}");
    }
}

async fn an_abandoned_request_is_logged_without_status(protocol: Protocol) {
    let server = ServerProcess::start(&["--access-log=json"]);
    let mut client = Client::connect(protocol, server.http).await;
    let waits = Request::get("/delay/60000");
    tokio::select! {
        reply = client.try_exchange(&waits) => panic!("nobody waits for {reply:?}"),
        _ = Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 1) => {}
    }
    leave(client);
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) == 0).await;
    let line = line(&server, "/delay/60000");
    assert_eq!((line.get("status"), &line["bytes"]), (None, &0.into()), "{line}");
}

async fn the_sample_flag_logs_every_nth_request(protocol: Protocol) {
    let server = ServerProcess::start(&["--workers=1", "--access-log=json", "--access-log-sample=10"]);
    let mut client = Client::connect(protocol, server.http).await;
    for number in 0..25 {
        client.get(&format!("/status/200?{number}")).await;
    }
    drop(client);
    server.signal(Signal::TERM);
    let finished = server.finish(SOON).await;
    let lines = finished.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let targets: Vec<Value> = lines.map(|line: Value| line["target"].clone()).collect();
    assert_eq!(targets, ["/status/200?0", "/status/200?10", "/status/200?20"]);
}

async fn a_grpc_call_is_logged() {
    let server = ServerProcess::start(&["--access-log=json"]);
    let mut client = Client::connect(Protocol::Http2, server.grpc).await;
    let call = Request::post("/echo.EchoService/Echo", [0; 5]).field("content-type", "application/grpc");
    let reply = client.exchange(call).await;
    assert!(reply.trailers.contains(&("grpc-status".to_owned(), "0".to_owned())), "{reply:?}");
    let line = line(&server, "/echo.EchoService/Echo");
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &reply.body.len().into()), "{line}");
}

async fn odd_bytes_are_escaped() {
    const AGENT: &[u8] = b"a\"\\\xff\tb";
    for (format, expected) in [("json", "\"a\\\"\\\\\u{fffd}\\tb\""), ("text", r#""a\"\\\xff\tb""#)] {
        let server = ServerProcess::start(&[&format!("--access-log={format}")]);
        let mut client = Http1::connect(server.http).await;
        client.send(&[b"GET /odd HTTP/1.1\r\nHost: x\r\nUser-Agent: ", AGENT, b"\r\n\r\n"].concat()).await;
        assert_eq!(patiently("a reply", client.reply("GET")).await.unwrap().status, 200);
        let line = server.process().await_stdout("line of the request", |log| {
            log.lines().find(|line| line.contains(expected)).map(str::to_owned)
        });
        assert!(line.contains("/odd"), "{line}");
    }
}

/// More lines than the pipe and the queue have room for.
async fn an_unread_access_log_does_not_block_requests() {
    const BATCH: usize = 500;
    let server = ServerProcess::start_unread(&["--workers=1", "--access-log=text"]);
    let mut client = Http1::connect(server.http).await;
    let requests = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(BATCH);
    let dropped = async {
        loop {
            client.send(&requests).await;
            for _ in 0..BATCH {
                assert_eq!(client.reply("GET").await.unwrap().status, 200);
            }
            let metrics = server.metrics().await;
            if metrics.sum("dummy_server_access_log_dropped_total", &[]) > 0 {
                break;
            }
        }
    };
    patiently("a line that has no room", dropped).await;
    server.signal(Signal::TERM);
    drop(client);
    assert_eq!(server.finish(SOON).await.code, Some(0), "the end does not wait for a reader for ever");
}

async fn figures_are_logged_per_interval_and_in_total() {
    let server = ServerProcess::start(&["--mem-interval=100ms"]);
    let mut first = Client::connect(Protocol::Http1, server.http).await;
    let mut second = Client::connect(Protocol::Http2, server.http).await;
    for client in [&mut first, &mut second] {
        client.get("/health").await;
    }
    first.get("/health").await;
    drop(second);
    Metrics::until(server.admin, |metrics| metrics.sum("dummy_server_connections_open", &[]) == 1).await;
    let figure = |line: &str, name: &str| -> Option<u64> {
        let prefix = format!("{name}=");
        line.split_whitespace().find_map(|word| word.strip_prefix(&prefix)?.parse().ok())
    };
    let log = server.process().await_stderr("line of an interval without anything", |log| {
        let last = log.lines().rfind(|line| line.contains("in_flight="))?;
        let quiet = figure(last, "new_requests") == Some(0) && figure(last, "requests") == Some(3);
        (quiet && figure(last, "connections_open") == Some(1)).then(|| log.to_owned())
    });
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("in_flight=")).collect();
    for (new, all, expected) in [("new_requests", "requests", 3), ("new_connections", "connections", 2)] {
        let sum: Option<u64> = lines.iter().map(|line| figure(line, new)).sum();
        assert_eq!(sum, Some(expected), "{new} in {lines:?}");
        assert_eq!(lines.last().and_then(|line| figure(line, all)), Some(expected), "{all} in {lines:?}");
    }
    let last = lines.last().expect("a line");
    assert!(figure(last, "resident_mib").is_some_and(|size| size > 0), "{last}");
    assert_eq!(figure(last, "in_flight"), Some(0), "{last}");
}

async fn figures_are_logged_only_on_request() {
    let process = Process::start(command("dummy-server").args(["--port=0", "--pprof-addr="]));
    let admin: SocketAddr = process.await_stderr("line with the addresses", |log| {
        log.split_once(" admin=")?.1.split_whitespace().next()?.parse().ok()
    });
    let shown = fetch(Protocol::Http1, admin, Request::get("/config")).await.json();
    assert_eq!(shown["config"].get("mem-interval"), Some(&Value::Null));
}

/// A start that fails logs one line of level info before it does, and then says why.
fn the_level_of_the_log_is_a_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    for (level, lines) in [("error", 1), ("warn", 1), ("info", 2), ("debug", 2), ("trace", 2)] {
        let flag = format!("--log-level={level}");
        let finished = Process::start(command("dummy-server").args([&flag, "--addr", &address])).finish(SOON);
        let logged = finished.stderr.lines().filter(|line| line.contains(" INFO ")).count();
        assert_eq!((finished.code, logged + 1), (Some(1), lines), "{level}: {finished}");
        assert!(finished.stderr.contains("dummy-server: error: can't listen"), "{level}: {finished}");
    }
}

fn the_log_is_json_on_request() {
    let process = Process::start(command("dummy-server").args(["--port=0", "--log-format=json"]));
    process.await_stderr("line with the addresses", |log| log.contains("listening http=").then_some(()));
    process.signal(Signal::TERM);
    let finished = process.finish(SOON);
    assert_eq!(finished.code, Some(0), "{finished}");
    let lines: Vec<Value> =
        finished.stderr.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().expect("a message")).collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert!(
        messages[1].starts_with("listening http=") && messages[2..] == ["SIGTERM", "drained"],
        "{messages:?}"
    );
    assert!(lines[0]["now"].is_u64() && lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
}

fn on_a_terminal_only_server_log_lines_are_printed() {
    let Some(script) = require("script") else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pidfile = directory.path().join("pid");
    let server = command("dummy-server");
    let line = format!("exec {} --port=0 --pidfile={}", server.get_program().display(), pidfile.display());
    // script gives the program a terminal, and copies what is shown on it.
    let process =
        Process::start(Command::new(script).args(["--quiet", "--return", "--command", &line, "/dev/null"]));
    process.await_stdout("line with the addresses", |text| text.contains("listening http=").then_some(()));
    let pid =
        std::fs::read_to_string(&pidfile).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
    kill_process(pid.expect("the server's id"), Signal::TERM).expect("the server is there");
    let finished = process.finish(SOON);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("drained"), "{finished}");
    for line in finished.stdout.lines() {
        assert!(line.contains(" INFO ") && !line.contains('\x1b'), "{finished}");
    }
}
