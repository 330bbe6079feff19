//! Each exit code, verdict and outcome of a threshold, as the program gives it.

use std::time::Duration;

use integration::{
    binaries::{command, loadgen},
    metrics::{IN_FLIGHT, Metrics},
    process::{Finished, Process},
    report::Report,
    server::Server,
};
use rustix::process::Signal;
use tokio::net::TcpSocket;

tests!();

/// Runs loadgen against a path of a server.
fn run(server: &Server, line: &str, path: &str) -> (Finished, Report) {
    let url = format!("http://{}{path}", server.http);
    let args: Vec<_> =
        ["--no-progress", "-o", "json"].into_iter().chain(line.split_whitespace()).chain([&*url]).collect();
    let finished = loadgen(&args);
    let report = Report::parse(&finished.stdout);
    (finished, report)
}

async fn the_exit_code_reflects_the_outcome() {
    let server = Server::start();
    for (line, path, code, outcome) in [
        ("-n 50", "/status/204", 0, "succeeded"),
        ("-n 50", "/status/404", 1, "failed"),
        ("-n 50", "/status/503", 1, "failed"),
        ("-n 50", "/status/302", 1, "failed"),
        ("-n 50 --expect-status 404", "/status/404", 0, "succeeded"),
        ("-n 50 --expect-status 3xx,404", "/status/302", 0, "succeeded"),
        ("-n 50 --fail-on-error", "/status/503", 1, "failed"),
        // One in ten is answered otherwise.
        ("-n 50 --fail-on 5xx,transport", "/?dummy-fail-first=5&dummy-key=1", 3, "succeeded"),
        ("-n 50 --fail-on-error", "/?dummy-fail-first=5&dummy-key=2", 3, "succeeded"),
        (
            "-n 50 --fail-on 4xx,3xx,timeout,unanswered,dropped",
            "/?dummy-fail-first=5&dummy-key=3",
            0,
            "succeeded",
        ),
        ("-n 50 --fail-on unmet", "/?dummy-fail-first=5&dummy-key=4", 3, "succeeded"),
        ("-n 50 --threshold error_rate<50%", "/?dummy-fail-first=5&dummy-key=5", 0, "succeeded"),
        ("-n 50 --threshold error_rate<0.1%", "/?dummy-fail-first=5&dummy-key=6", 99, "succeeded"),
        (
            "-n 50 --threshold error_rate<0.1% --fail-on 5xx",
            "/?dummy-fail-first=5&dummy-key=7",
            99,
            "succeeded",
        ),
        ("-n 50 --threshold count(503)>=1", "/?dummy-fail-first=5&dummy-key=8", 0, "succeeded"),
        ("-n 50 --threshold rate>1e9", "/", 99, "succeeded"),
        ("-n 50 --threshold p(50)<60s", "/", 0, "succeeded"),
        ("-n 50 --threshold p(50)<1us", "/delay/5", 99, "succeeded"),
        ("-n 50 --threshold p(99)<60s", "/", 4, "succeeded"),
        ("-n 50 --threshold p(99)<60s --fail-on 5xx", "/?dummy-fail-first=5&dummy-key=9", 3, "succeeded"),
        ("-n 50 --timeout 100ms --fail-on timeout", "/delay/60000", 1, "failed"),
    ] {
        let (finished, report) = run(&server, line, path);
        assert_eq!(finished.code, Some(code), "{line} {path}: {finished}");
        assert_eq!(report.json()["outcome"], outcome, "{line} {path}");
    }
}

async fn an_unreachable_target_fails_and_is_named() {
    // Bound and not listening: no other process can take it.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = socket.local_addr().expect("it is bound");
    for scheme in ["http", "h2c"] {
        let url = format!("{scheme}://{address}");
        let finished = loadgen(&["--no-progress", "-n", "4", &url]);
        assert_eq!(finished.code, Some(1), "{finished}");
        let expected = format!("failed: no request succeeded: connection refused by {address}");
        let words: Vec<_> = finished.stdout.split_whitespace().collect();
        assert!(words.join(" ").contains(&expected), "{finished}");
    }
}

async fn invalid_arguments_are_exit_2_before_anything_is_sent() {
    let server = Server::start();
    for line in [
        "--threshold p(99)=1s",
        "--threshold fast",
        "--abort-on rate<1",
        "--expect-status 600",
        "--expect-status ok",
        "--fail-on 5x",
        "--fail-on all",
    ] {
        let url = format!("http://{}", server.http);
        let args: Vec<_> = line.split_whitespace().chain([&*url]).collect();
        let finished = loadgen(&args);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{line}: {finished}");
        assert!(
            finished.stderr.lines().count() == 1 && finished.stderr.contains("; example: --"),
            "{line}: {finished}"
        );
    }
}

async fn a_run_is_stopped_as_soon_as_a_threshold_is_crossed() {
    let server = Server::start();
    for line in
        ["--abort-on error_rate<10%", "--abort-on p(50)<1ms", "--abort-on unanswered<3 --timeout 50ms"]
    {
        let path = if line.contains("error") { "/?dummy-status=503:25" } else { "/delay/100" };
        let url = format!("http://{}{path}", server.http);
        let args = format!("--no-progress -o json -r 200 -d 60s {line} {url}");
        let run = Process::start(command("loadgen").args(args.split_whitespace()));
        let finished = run.finish(Duration::from_secs(20));
        let expected = if line.contains("unanswered") { 1 } else { 99 };
        assert_eq!(finished.code, Some(expected), "{line}: {finished}");
        assert!(finished.stderr.contains("was crossed (--abort-on)"), "{line}: {finished}");
        let report = Report::parse(&finished.stdout);
        let by = report.json()["aborted_by"].as_str().unwrap_or_default();
        assert!(by.ends_with(" was crossed") && line.contains(&by[..by.len() - 12]), "{line}: {by}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kept.json");
        std::fs::write(&file, &finished.stdout).expect("it is written");
        let shown = loadgen(&["report", file.to_str().expect("it is text")]);
        let words = shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(shown.code, Some(expected), "{line}: {shown}");
        assert!(words.contains(&format!("by --abort-on, as {by}")), "{line}: {shown}");
    }
}

async fn a_kept_report_is_held_against_the_thresholds_of_its_run() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kept.json");
    let file = file.to_str().expect("it is text");
    let url = format!("http://{}/", server.http);
    let bounds = ["--threshold", "error_rate>1%", "--threshold", "unanswered<1"];
    let run = loadgen(&[&["--no-progress", "-n", "20", "--report", file][..], &bounds, &[&url]].concat());
    let shown = loadgen(&["report", file]);
    assert_eq!((run.code, run.stdout.contains("error_rate>1%")), (Some(99), true), "{run}");
    assert_eq!((shown.code, &shown.stdout), (run.code, &run.stdout));
    // Others take their place.
    let other = loadgen(&["report", file, "--threshold", "error_rate<1%"]);
    assert_eq!((other.code, other.stdout.contains("error_rate>1%")), (Some(0), false), "{other}");
}

async fn an_interrupt_takes_precedence_in_the_exit_code() {
    let server = Server::start();
    let url = format!("http://{}/delay/100", server.http);
    let args = ["--no-progress", "-d", "60s", "--threshold", "p(50)<1us", "--fail-on", "unanswered", &url];
    let run = Process::start(command("loadgen").args(args));
    Metrics::until(server.admin, |metrics| metrics.sum(IN_FLIGHT, &[]) >= 1).await;
    run.signal(Signal::INT);
    assert_eq!(run.finish(Duration::from_secs(10)).code, Some(130));
}

async fn each_outcome_of_a_threshold_is_in_both_reports() {
    let server = Server::start();
    let line = "-n 50 --threshold error_rate<1% --threshold error_rate>1% --threshold p(99)<1s";
    let (finished, report) = run(&server, line, "/");
    assert_eq!(finished.code, Some(99), "{finished}");
    let results: Vec<_> =
        report.json()["thresholds"].as_array().into_iter().flatten().map(|one| &one["result"]).collect();
    assert_eq!(results, ["passed", "failed", "not judged"]);
    let url = format!("http://{}/", server.http);
    let args: Vec<_> = ["--no-progress"].into_iter().chain(line.split_whitespace()).chain([&*url]).collect();
    let text = loadgen(&args).stdout;
    for result in ["passed", "failed", "not judged"] {
        assert!(
            text.lines()
                .any(|line| line.contains(result) && line.contains("0.000%") | line.contains("n too small")),
            "{text}"
        );
    }
}

async fn a_report_has_its_origin_without_secrets() {
    let server = Server::start();
    let line = "-n 5 --label build=1.2 --label=empty= -H authorization:hunter2 -b hunter2";
    let (finished, report) = run(&server, line, "/");
    let origin = &report.json()["origin"];
    assert_eq!(
        (&origin["labels"]["build"], &origin["labels"]["empty"]),
        (&"1.2".into(), &"".into()),
        "{origin:#}"
    );
    assert!(
        origin["started_ms"].as_u64() > Some(1_700_000_000_000) && origin["cpus"].as_u64() > Some(0),
        "{origin:#}"
    );
    assert!(origin["command"].to_string().contains("authorization: [redacted]"), "{origin:#}");
    assert!(!finished.stdout.contains("hunter2"), "{finished}");
    let twice = loadgen(&["--label=a=1", "--label=a=2", "a:1"]);
    assert!(twice.code == Some(2) && twice.stderr.contains("a name is given twice"), "{twice}");
    let many: Vec<_> = (0..257).map(|number| format!("--label={number}=x")).collect();
    let args: Vec<_> = many.iter().map(String::as_str).chain(["a:1"]).collect();
    let many = loadgen(&args);
    assert!(many.code == Some(2) && many.stderr.contains("at most 256"), "{many}");
    for label in ["", "x", "=x"] {
        let finished = loadgen(&["--label", label, "a:1"]);
        assert!(finished.code == Some(2) && finished.stderr.contains("name=value"), "{finished}");
    }
}
