//! The formats of a report, and what is done with reports that were kept, by the real program.

use std::{fs, time::Duration};

use integration::{
    binaries::{command, loadgen},
    metrics::{Metrics, REQUESTS},
    process::Process,
    report::Report,
    server::Server,
};
use rustix::process::Signal;

tests!();

async fn each_format_of_a_report_is_printed_and_written_to_files() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let url = format!("http://{}/", server.http);
    let files = ["a.json", "a.md", "a.csv", "a.txt"].map(path);
    let mut args = vec!["--no-progress", "-n", "20", "-o", "markdown", "--threshold", "error_rate<1%"];
    args.extend(files.iter().flat_map(|file| ["--report", file.as_str()]));
    args.push(&url);
    let finished = loadgen(&args);
    assert_eq!(finished.code, Some(0), "{finished}");
    let [json, markdown, csv, text] = files.map(|file| fs::read_to_string(file).expect("it is written"));
    assert_eq!(finished.stdout, markdown);
    assert!(markdown.contains("| Threshold | Result | Found |") && markdown.contains("| 200 | 20 |"));
    assert_eq!(Report::parse(&json).requests("succeeded"), 20);
    assert!(csv.starts_with("start_seconds,offered,unsuccessful,completed,errors,p50_us,p99_us,max_us\n"));
    assert!(text.contains("Verdict: succeeded"), "{text}");
    let finished = loadgen(&["--no-progress", "-n", "5", "-o", "csv", "--report", "-", &url]);
    assert_eq!(Report::parse(&finished.stdout).requests("succeeded"), 5);
    let finished = loadgen(&["-n", "5", "--report", "run.html", &url]);
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains(".json, .md, .csv or .txt"), "{finished}");
}

/// One line says why, and nothing is reported.
fn assert_refused(args: &[&str], code: i32, said: &str) {
    let finished = loadgen(args);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{args:?}: {finished}");
    assert!(finished.stderr.contains(said) && finished.stderr.lines().count() == 1, "{finished}");
}

async fn a_long_report_has_littles_check_where_the_time_went_and_the_intervals() {
    let server = Server::start();
    let url = format!("http://{}/delay/5?dummy-timing=all", server.http);
    for (format, named) in [("text", "Little's check"), ("markdown", "| Little's check |")] {
        let flags = ["--no-progress", "-n", "200", "-c", "4", "-o", format];
        let long = loadgen(&[&flags[..], &["--detail", "long", &url]].concat());
        let short = loadgen(&[&flags[..], &[&url]].concat());
        assert_eq!((long.code, short.code), (Some(0), Some(0)), "{long}");
        for figure in [named, "in the server", "Mean lag", "dummy-server's CPU", "completed"] {
            assert!(long.stdout.contains(figure), "{figure}: {long}");
        }
        assert!(
            !short.stdout.contains(named)
                && long.stdout.lines().all(|line| format != "text" || line.chars().count() <= 80),
            "{long}"
        );
    }
    let refused = loadgen(&["-n", "1", "--detail", "full", &url]);
    assert_eq!(refused.code, Some(2), "{refused}");
}

async fn kept_reports_are_shown_and_merged() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let [one, other, elsewhere, merged] = ["a.json", "b.json", "c.json", "merged.json"].map(path);
    let url = format!("http://{}/", server.http);
    let status = format!("http://{}/status/503", server.http);
    // They are merged as if they had gone on at the same time: all within a second.
    for (file, url) in [(&one, &url), (&other, &url), (&elsewhere, &status)] {
        let run = loadgen(&["--no-progress", "-n", "20", "--report", file, url]);
        let shown = loadgen(&["report", file]);
        assert_eq!((shown.code, shown.stdout), (run.code, run.stdout));
    }
    let crossed = loadgen(&["report", &one, "--threshold", "rate>1e9", "-o", "json"]);
    assert_eq!(crossed.code, Some(99), "{crossed}");
    let both = loadgen(&["merge", &one, &other]);
    assert_eq!(both.code, Some(0), "{both}");
    assert_eq!(Report::parse(&both.stdout).requests("succeeded"), 40);
    fs::write(&merged, &both.stdout).expect("it is written");
    let shown = loadgen(&["report", &merged]);
    assert!(shown.code == Some(0) && shown.stdout.contains("all 40 requests"), "{shown}");
    fs::write(path("old.json"), "{\"version\": 1}").expect("it is written");
    let (old, missing) = (path("old.json"), path("missing.json"));
    for (args, code, said) in [
        (&["merge", &one, &elsewhere][..], 2, "target differs"),
        (&["merge", &one, &other, &one], 2, "is in more than one of them, and would be counted twice"),
        (&["merge", &merged, &other], 2, "is in more than one of them, and would be counted twice"),
        (&["merge", &one], 2, "only one file"),
        (&["report"], 2, "no file"),
        (&["report", &missing], 1, "No such file"),
        (&["report", &old], 1, "unsupported version 1; supported: 2"),
    ] {
        assert_refused(args, code, said);
    }
}

async fn a_report_of_an_interrupted_run_is_shown_with_its_exit_code() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    let file = file.to_str().expect("it is text");
    let url = format!("http://{}/", server.http);
    let run = Process::start(command("loadgen").args(["-r", "50", "-d", "60s", "--report", file, &url]));
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 5).await;
    run.signal(Signal::INT);
    assert_eq!(run.finish(Duration::from_secs(10)).code, Some(130));
    assert_eq!(loadgen(&["report", file]).code, Some(130));
}

async fn rounds_of_a_run_are_reported_and_compared() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let [old, new] = ["old.json", "new.json"].map(path);
    let [fast, slow] = ["/delay/1/0", "/delay/20/0"].map(|path| format!("http://{}{path}", server.http));
    for (file, url) in [(&old, &fast), (&new, &slow)] {
        let run = loadgen(&["-n", "60", "-c", "2", "--repeat", "4", "--report", file, url]);
        assert_eq!(run.code, Some(0), "{run}");
        assert!(run.stdout.contains("4 rounds of GET") && run.stdout.contains("Round 4: 100%"), "{run}");
        assert!(run.stderr.contains("round 4 of 4"), "{run}");
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{run}");
        let shown = loadgen(&["report", file]);
        assert_eq!((shown.code, shown.stdout), (run.code, run.stdout));
        let csv = loadgen(&["report", file, "-o", "csv"]);
        assert!(csv.stdout.starts_with("round,start_seconds,") && csv.stdout.contains("\n4,0,"), "{csv}");
        let markdown = loadgen(&["report", file, "-o", "markdown"]);
        assert!(markdown.stdout.contains("| median |"), "{markdown}");
    }
    assert_eq!(loadgen(&["report", &old, "--threshold", "p(50)<1us"]).code, Some(99));
    let worse = loadgen(&["diff", &old, &new, "--fail-on-regression", "5%"]);
    assert_eq!(worse.code, Some(99), "{worse}");
    let line = worse.stdout.lines().find(|line| line.starts_with("p50 ")).expect("a line of p50");
    assert!(line.ends_with("regression"), "{worse}");
    let better = loadgen(&["diff", &new, &old]);
    assert!(better.code == Some(0) && better.stdout.contains("better"), "{better}");
    // A percentile that too few requests stand behind can't be compared.
    assert_eq!(loadgen(&["diff", &new, &old, "--fail-on-regression", "0.05"]).code, Some(4));
    for (args, code, said) in [
        (&["diff", &old][..], 2, "only one file"),
        (&["diff", &old, &new, "-o", "csv"], 2, "text, json or markdown"),
        (&["diff", &old, &new, "--fail-on-regression=-1%"], 2, "from 0% to 1000%"),
        (&["diff", &old, &new, "--fail-on-regression", "5"], 2, "or a share below 1, like 0.05"),
        (&["merge", &old, &new], 2, "has 4 rounds"),
        (&["--repeat", "0", &fast], 2, "from 1 to 100"),
        (&["--repeat", "101", &fast], 2, "from 1 to 100"),
        (&["--repeat", "2", "--once", &fast], 2, "--once with --repeat"),
    ] {
        assert_refused(args, code, said);
    }
}

async fn an_interrupt_ends_all_rounds() {
    // In the middle of a long round, and in or between short ones.
    for load in [&["-r", "50", "-d", "60s", "--repeat", "9"][..], &["-n", "1", "--repeat", "100"]] {
        let server = Server::start();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("run.json");
        let file = file.to_str().expect("it is text");
        let url = format!("http://{}/delay/20/0", server.http);
        let run = Process::start(command("loadgen").args(load).args(["--report", file, &url]));
        Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 5).await;
        run.signal(Signal::INT);
        let finished = run.finish(Duration::from_secs(10));
        assert_eq!(finished.code, Some(130), "{finished}");
        assert!(!finished.stderr.contains("round 100 of 100"), "{finished}");
        let shown = loadgen(&["report", file]);
        assert!(!shown.stdout.is_empty() && shown.stderr.is_empty(), "{shown}");
    }
}
