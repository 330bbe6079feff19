//! dummy-server as an operator meets it: flags, exit codes, the admin port, logs.

use std::{fs, time::Duration};

use integration::{
    binaries::{ServerProcess, command},
    client::{Client, Protocol, Request},
    metrics::{CONNECTIONS, Metrics},
    process::{Finished, Process},
    server::Server,
};
use rustix::process::Signal;

tests!();

/// How long a program that cannot run may take to report it.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Ports of dummy-server that no other process has.
pub(crate) const ELSEWHERE: [&str; 3] =
    ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];

/// On free ports, unless the arguments say otherwise.
pub(crate) fn run(args: &[&str]) -> Finished {
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
        "--ledger-push=https://localhost:9092",
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

fn an_invalid_environment_variable_is_named() {
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
        "ledger-push",
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

async fn the_admin_port_reports_liveness_readiness_and_counts() {
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
