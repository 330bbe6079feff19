//! loadgen as a user meets it: Ctrl+C, exit codes, where output goes.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use integration::{
    binaries::{ServerProcess, command, loadgen},
    client::{Protocol, Request, fetch, patiently},
    launch::Port,
    metrics::{IN_FLIGHT, Metrics, REQUESTS},
    peers::{BadHttp1, bad_http1},
    process::{Finished, Process},
    report::Report,
    server::Server,
};
use rustix::process::Signal;

tests!();

async fn ctrl_c_lets_requests_in_flight_finish() {
    let server = Server::start();
    for scheme in ["http", "h2c"] {
        let before = server.metrics().await.sum(REQUESTS, &[]);
        let url = format!("{scheme}://{}/delay/300", server.http);
        let args = ["--no-progress", "-o", "json", "-r", "100", "-d", "30s", &url];
        let run = Process::start(command("loadgen").args(args));
        Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= before + 20).await;
        run.signal(Signal::INT);
        let finished = run.finish(Duration::from_secs(10));
        assert_eq!(finished.code, Some(130), "{finished}");
        let report = Report::parse(&finished.stdout);
        assert_eq!(report.json()["interrupted"], true);
        let sent = report.requests("sent");
        assert!(sent >= 20);
        assert_eq!(report.requests("succeeded"), sent, "{:#}", report.json());
        let counted = Metrics::until(server.admin, |m| m.sum(REQUESTS, &[]) >= before + sent).await;
        assert_eq!(counted.sum(REQUESTS, &[]), before + sent);
    }
}

async fn a_second_ctrl_c_exits_immediately() {
    let server = Server::start();
    let url = format!("http://{}/delay/60000", server.http);
    let args = ["-o", "json", "-n", "50", "-c", "5", "--timeout", "60s", &url];
    let mut run = Process::start(command("loadgen").args(args));
    Metrics::until(server.admin, |m| m.sum(IN_FLIGHT, &[]) >= 5).await;
    run.signal(Signal::INT);
    // It says that it waits, and for what a second one is.
    run.await_stderr("line on the drain", |text| text.contains("\ndraining, 5 in flight\n").then_some(()));
    assert!(!run.has_ended(), "it waits for what is in flight");
    run.signal(Signal::INT);
    let finished = run.finish(Duration::from_secs(10));
    assert_eq!(finished.code, Some(130), "{finished}");
}

/// As by a debugger, or a machine that sleeps.
async fn a_reply_received_while_loadgen_was_stopped_is_not_a_timeout() {
    /// Enough are stopped that some of them are amid a turn.
    const PROCESSES: u64 = 12;
    let server = Server::start();
    for scheme in ["http", "h2c"] {
        let url = format!("{scheme}://{}/delay/3000", server.http);
        let args = ["--no-progress", "-o", "json", "-n", "1", "--timeout", "4s", &url];
        let runs: Vec<_> = (0..PROCESSES).map(|_| Process::start(command("loadgen").args(args))).collect();
        Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= PROCESSES).await;
        runs.iter().for_each(|run| run.signal(Signal::STOP));
        // As long as that, their replies have arrived, and their timeouts are over.
        let later = fetch(Protocol::Http1, server.http, Request::new("GET", "/delay/4500")).await;
        assert_eq!(later.status, 200);
        runs.iter().for_each(|run| run.signal(Signal::CONT));
        for run in runs {
            let finished = run.finish(Duration::from_secs(10));
            let report = Report::parse(&finished.stdout);
            assert_eq!(report.requests("succeeded"), 1, "{scheme}: {:#}", report.json());
        }
    }
}

fn bad_arguments_are_one_line_and_exit_2() {
    let peer = bad_http1(BadHttp1::NeverAnswers);
    let url = format!("http://{}/", peer.address);
    for args in [
        &["--rate", "many"][..],
        &["--rate", "-1"],
        &["--rate", "0"],
        &["--total", "0"],
        &["--total", "many"],
        &["--duration", "long"],
        &["--connections", "0"],
        &["--streams", "0"],
        &["--timeout", "0"],
        &["--workers", "0"],
        &["--on-overload", "panic"],
        &["--output", "xml"],
        &["--header", "no colon"],
        &["--method", "NO METHOD"],
        &["--unknown"],
    ] {
        let finished = loadgen(&[&["--no-progress"], args, &[&url]].concat());
        assert_eq!(finished.code, Some(2), "{args:?}: {finished}");
        assert!(finished.stdout.is_empty(), "{args:?}: {finished}");
        assert_one_line(args, &finished.stderr);
    }
    for target in ["ftp://localhost/", "http://", "http://localhost:99999/", "http://[::1/"] {
        let finished = loadgen(&["--no-progress", "--total", "1", target]);
        assert_eq!(finished.code, Some(2), "{target}: {finished}");
        assert_one_line(&[target], &finished.stderr);
    }
    assert_eq!(peer.connections(), 0, "nothing was sent");
}

fn assert_one_line(args: &[&str], stderr: &str) {
    assert!(stderr.starts_with("loadgen: error: "), "{args:?}: {stderr}");
    assert!(stderr.contains("; accepted: ") && stderr.contains("; example: "), "{args:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{args:?}: {stderr}");
}

async fn only_results_go_to_standard_output() {
    let server = Server::start();
    let url = format!("h2c://{}/", server.http);
    let finished = loadgen(&["-r", "50", "-d", "1500ms", "-o", "json", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(Report::parse(&finished.stdout).requests("succeeded"), 75);
    assert!(finished.stderr.is_empty(), "off a terminal, progress is a line every 10 s: {finished}");
    let finished = loadgen(&["-r", "50", "-t", "10", "--no-progress", &url]);
    assert!(finished.stderr.is_empty(), "{finished}");
    for word in ["p50", "p99.9", "max", "Verdict"] {
        assert!(finished.stdout.contains(word), "{word} is missing: {finished}");
    }
}

async fn a_closed_standard_output_is_not_an_error() {
    let server = Server::start();
    let url = format!("http://{}/", server.http);
    let mut run = command("loadgen");
    run.args(["--no-progress", "-n", "5", &url]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = run.spawn().unwrap();
    drop(run.stdout.take());
    let finished = run.wait_with_output().unwrap();
    assert_eq!((finished.status.code(), String::from_utf8_lossy(&finished.stderr).as_ref()), (Some(0), ""));
}

async fn once_prints_one_exchange() {
    let server = Server::with(&["--instance=only-me"]);
    for scheme in ["http", "h2c"] {
        let before = server.metrics().await.sum(REQUESTS, &[]);
        let url = format!("{scheme}://{}/status/404", server.http);
        let finished = loadgen(&["--once", "-H", "x-mine: 1", &url]);
        assert_eq!(finished.code, Some(0), "{finished}");
        for part in ["404", "only-me", "x-mine", "status_message"] {
            assert!(finished.stdout.contains(part), "{part} is missing: {finished}");
        }
        assert_eq!(server.metrics().await.sum(REQUESTS, &[]), before + 1);
    }
}

async fn a_report_is_written_to_a_file() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("report.json");
    let url = format!("http://{}/", server.http);
    let finished = loadgen(&["--no-progress", "-n", "10", "--report", file.to_str().unwrap(), &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = Report::parse(&std::fs::read_to_string(&file).expect("the report is written"));
    assert_eq!(report.requests("succeeded"), 10);
    assert!(!finished.stdout.trim_start().starts_with('{'), "the text is for the terminal: {finished}");
    let nowhere = directory.path().join("no/such/place.json");
    let finished = loadgen(&["--no-progress", "-n", "10", "--report", nowhere.to_str().unwrap(), &url]);
    assert_eq!(finished.code, Some(1), "{finished}");
}

fn without_arguments_the_embedded_server_is_loaded() {
    let finished = Process::start(&mut command("loadgen")).finish(Duration::from_secs(30));
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.starts_with("A dummy-server was started in this process, on "), "{finished}");
    let mut offered = finished.stdout.lines().filter_map(|line| line.trim().strip_prefix("offered "));
    assert_eq!(offered.next().map(str::trim), Some("15,000"), "5,000/s for 3 s: {finished}");
}

/// A script whose variable is empty by mistake must not load our own server instead.
fn a_missing_target_is_an_error_unless_embedded_is_requested() {
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = command("loadgen");
        command.envs(variables.iter().copied()).args(args);
        Process::start(&mut command).finish(Duration::from_secs(20))
    };
    const EMPTY: &[(&str, &str)] = &[("LOADGEN_URL", "")];
    for (variables, args, why) in [
        (&[][..], &["-r", "10"][..], "none is given"),
        (&[], &["--no-progress"], "none is given"),
        (&[("LOADGEN_RATE", "10")], &["-n", "10"], "none is given"),
        (&[("LOADGEN_RATE", "10"), ("LOADGEN_DURATION", "1s")], &[], "none is given"),
        (&[], &[""], "it is empty"),
        (&[], &["-u", ""], "--url is empty"),
        (EMPTY, &[], "LOADGEN_URL is empty"),
        (EMPTY, &["-r", "10"], "LOADGEN_URL is empty"),
    ] {
        let finished = run(variables, args);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{variables:?} {args:?}: {finished}"
        );
        assert_one_line(args, &finished.stderr);
        let start = format!("loadgen: error: no target: {why}; accepted: ");
        assert!(finished.stderr.starts_with(&start), "{finished}");
        assert!(finished.stderr.contains("--embedded"), "{finished}");
    }
    for (variables, args) in [
        (&[][..], &["--embedded", "-n", "20", "--no-progress"][..]),
        (EMPTY, &["--embedded", "-n", "20", "--no-progress"]),
        (
            &[("LOADGEN_EMBEDDED", "true"), ("LOADGEN_RATE", ""), ("LOADGEN_DURATION", "")],
            &["-n", "20", "--no-progress"],
        ),
        (&[("LOADGEN_EMBEDDED", "true"), ("LOADGEN_TOTAL", "20"), ("LOADGEN_NO_PROGRESS", "true")], &[]),
    ] {
        let finished = run(variables, args);
        assert_eq!(
            (finished.code, finished.stderr.as_str()),
            (Some(0), ""),
            "{variables:?} {args:?}: {finished}"
        );
        assert!(finished.stdout.contains("A dummy-server was started in this process"), "{finished}");
    }
}

async fn an_invalid_environment_variable_is_named() {
    let server = Server::start();
    let url = format!("http://{}/", server.http);
    for (variable, value, example) in [
        ("LOADGEN_RATE", "many", "LOADGEN_RATE=1000"),
        ("LOADGEN_RATE", "0", "LOADGEN_RATE=1000"),
        ("LOADGEN_DURATION", "-5s", "LOADGEN_DURATION=1m30s"),
        ("LOADGEN_CONNECTIONS", "0", "LOADGEN_CONNECTIONS=10"),
        ("LOADGEN_OUTPUT", "xml", "LOADGEN_OUTPUT=text"),
        ("LOADGEN_HTTP2", "maybe", "LOADGEN_HTTP2=true"),
        ("LOADGEN_HEADER", "no colon", "LOADGEN_HEADER='accept: text/html'"),
    ] {
        let mut command = command("loadgen");
        let finished = Process::start(command.env(variable, value).args(["-n", "1", &url]))
            .finish(Duration::from_secs(20));
        assert_eq!(finished.code, Some(2), "{finished}");
        assert_one_line(&[variable], &finished.stderr);
        let start = format!("loadgen: error: invalid value '{value}' for {variable}");
        assert!(finished.stderr.starts_with(&start), "{finished}");
        assert!(finished.stderr.trim_end().ends_with(&format!("; example: {example}")), "{finished}");
    }
}

async fn fields_and_empty_bodies_arrive_as_typed() {
    let server = Server::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "").expect("a file is written");
    let empty = empty.to_str().expect("text");
    for (scheme, names) in [("http", ["X-B", "x-b", "HoSt"]), ("h2c", ["x-b", "x-b", ":authority"])] {
        for body in [["-b", ""], ["--body-file", empty]] {
            let url = format!("{scheme}://{}/x", server.http);
            let fields = ["-H", "X-B: 1", "-H", "HoSt: b.example", "-H", "x-b: 2"];
            let finished = loadgen(&[&["--once"], &fields[..], &body, &[&url]].concat());
            assert_eq!(finished.code, Some(0), "{finished}");
            let (sent, reply) = finished.stdout.split_once("\n\n").expect("a head");
            assert!(sent.starts_with("POST /x ") && sent.contains("\ncontent-length: 0\n"), "{finished}");
            let echo = &reply[reply.find('{').expect("an echo")..=reply.rfind('}').expect("an echo")];
            let echo: serde_json::Value = serde_json::from_str(echo).expect("an echo is JSON");
            let found: Vec<_> = echo["headers_list"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|field| (field[0].as_str().unwrap_or_default(), field[1].as_str().unwrap_or_default()))
                .filter(|(name, _)| ["x-b", "host"].contains(&name.to_lowercase().as_str()))
                .collect();
            let expected = match scheme {
                "http" => vec![(names[0], "1"), (names[2], "b.example"), (names[1], "2")],
                _ => vec![(names[0], "1"), (names[1], "2")],
            };
            assert_eq!(found, expected, "{echo:#}");
            assert_eq!(
                (&echo["method"], &echo["uri"]),
                (&"POST".into(), &"http://b.example/x".into()),
                "{echo:#}"
            );
        }
    }
}

async fn an_ipv6_address_may_have_a_zone() {
    let server = Server::with(&["--addr=[::1]:0"]);
    let port = server.http.port();
    for target in
        [format!("http://[::1%25lo]:{port}/"), format!("[::1%lo]:{port}"), format!("[::1%1]:{port}")]
    {
        let finished = loadgen(&["--once", &target]);
        assert_eq!(finished.code, Some(0), "{finished}");
        // The zone means nothing to the server.
        assert!(finished.stdout.to_lowercase().contains(&format!(": [::1]:{port}\n")), "{finished}");
    }
    let finished = loadgen(&["--once", &format!("[fe80::1%nowhere]:{port}")]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert_one_line(&["a zone"], &finished.stderr);
    assert!(
        finished.stderr.contains("can't find interface 'nowhere' of h2c://[fe80::1%25nowhere]"),
        "{finished}"
    );
}

fn exit_codes_are_in_the_help() {
    let finished = loadgen(&["--help"]);
    assert_eq!(finished.code, Some(0));
    for code in ["130", "interrupted", "--fail-on-error", "LOADGEN_RATE"] {
        assert!(finished.stdout.contains(code), "{code} is missing: {finished}");
    }
}

/// Runs loadgen with a limit of open files.
fn with_files(limit: u32, args: &[&str]) -> Finished {
    let program = command("loadgen");
    // The shell's builtin sets the limit of the process that the program then takes over.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\"")).arg(program.get_program());
    Process::start(shell.args(args)).finish(Duration::from_secs(30))
}

async fn connections_beyond_the_open_file_limit_are_refused_before_the_run() {
    let server = Server::start();
    for scheme in ["http", "h2c"] {
        let url = format!("{scheme}://{}/bin/1", server.http);
        let before = server.metrics().await.sum(REQUESTS, &[]);
        let finished = with_files(256, &["--no-progress", "-c", "300", "-n", "300", &url]);
        assert_eq!(finished.code, Some(2), "{finished}");
        for part in ["'300' for --connections", "may open 256 files (ulimit -n)", "; example: --connections="]
        {
            assert!(finished.stderr.contains(part), "{part} is missing: {finished}");
        }
        assert_eq!(finished.stdout, "", "{finished}");
        assert_eq!(server.metrics().await.sum(REQUESTS, &[]), before);
        // What it says does fit.
        let fits = finished.stderr.trim().rsplit('=').next().expect("a number");
        let args = ["--no-progress", "-o", "json", "-c", fits, "-n", "1000", &url];
        let finished = with_files(256, &args);
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{fits}: {finished}");
        Report::parse(&finished.stdout).assert_all_succeeded(1000);
    }
}

async fn connections_on_demand_stay_within_the_open_file_limit() {
    let server = Server::start();
    let url = format!("http://{}/delay/400", server.http);
    let args = ["--no-progress", "-o", "json", "-r", "400", "-d", "1s", &url];
    let finished = with_files(120, &args);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stderr.contains("it may open 120 files (ulimit -n)"), "{finished}");
    assert_eq!(Report::parse(&finished.stdout).requests("succeeded"), 400, "{finished}");
}

async fn a_body_file_without_end_is_refused() {
    let server = Server::start();
    let url = format!("http://{}/upload", server.http);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let sparse = directory.path().join("sparse");
    std::fs::File::create(&sparse).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    for path in ["/dev/zero", sparse.to_str().expect("text")] {
        let finished = loadgen(&["--no-progress", "-n", "1", "--body-file", path, &url]);
        assert_eq!(finished.code, Some(2), "{finished}");
        assert_one_line(&["--body-file", path], &finished.stderr);
        assert!(finished.stderr.contains(path) && finished.stderr.contains("at most 256M"), "{finished}");
    }
}

fn url(protocol: Protocol, address: SocketAddr) -> String {
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    format!("{scheme}://{address}/bin/10")
}

/// A wait is not part of the run: neither its requests nor its errors are in the report.
fn assert_only_the_run_is_reported(run: Process) {
    let finished = run.finish(Duration::from_secs(20));
    assert_eq!(finished.code, Some(0), "{finished}");
    Report::parse(&finished.stdout).assert_all_succeeded(10);
}

async fn waits_until_the_target_answers(protocol: Protocol) {
    let port = Port::keep().expect("loopback has a free port");
    let url = url(protocol, port.address);
    let run = Process::start(command("loadgen").args(["--wait-for-target=1m", "-n10", "-o", "json", &url]));
    run.await_stderr("note that it waits", |text| {
        text.contains(&format!("waiting for {url}: ")).then_some(())
    });
    let server = ServerProcess::start(&["--addr", &port.address.to_string()]);
    assert_only_the_run_is_reported(run);
    let counted = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 11).await;
    assert_eq!(counted.sum(REQUESTS, &[]), 11, "ten, and the one that was waited for");
}

async fn waits_while_the_target_answers_with_503(protocol: Protocol) {
    let server = Server::with(&["--behaviour=status=503"]);
    let url = url(protocol, server.http);
    let run = Process::start(command("loadgen").args(["--wait-for-target=1m", "-n10", "-o", "json", &url]));
    run.await_stderr("note that it waits", |text| text.contains("the last response was 503").then_some(()));
    let removed = fetch(Protocol::Http1, server.admin, Request::new("DELETE", "/behaviour")).await;
    assert_eq!(removed.status, 200);
    assert_only_the_run_is_reported(run);
}

async fn a_target_that_does_not_answer_in_time_is_named(protocol: Protocol) {
    let kept = Port::keep().expect("a port");
    let closed = kept.address;
    let silent = bad_http1(BadHttp1::NeverAnswers);
    for (address, reasons) in
        [(closed, ["refused", "refused"]), (silent.address, ["no response", "connect timeout"])]
    {
        let url = url(protocol, address);
        let finished = loadgen(&["--no-progress", "--wait-for-target=300ms", "-n10", &url]);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished}");
        assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{finished}");
        let start = format!("loadgen: error: {url} has not answered within 300 ms (--wait-for-target): ");
        let reason = finished.stderr.strip_prefix(&start).unwrap_or_else(|| panic!("{finished}"));
        assert!(reasons.iter().any(|expected| reason.contains(expected)), "{finished}");
    }
}

async fn ctrl_c_ends_the_wait_for_the_target() {
    let kept = Port::keep().expect("a port");
    let closed = kept.address;
    let silent = bad_http1(BadHttp1::NeverAnswers);
    for (address, signal) in [(closed, Signal::INT), (silent.address, Signal::TERM)] {
        let url = url(Protocol::Http1, address);
        let run = Process::start(command("loadgen").args(["--wait-for-target=1h", "--timeout=1h", &url]));
        if address == closed {
            run.await_stderr("note that it waits", |text| text.contains("waiting for").then_some(()));
        } else {
            patiently("a request", async {
                while silent.connections() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        run.signal(signal);
        let finished = run.finish(Duration::from_secs(10));
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(130), ""), "{finished}");
        assert!(!finished.stderr.contains("in flight"), "nothing has been sent: {finished}");
    }
}
