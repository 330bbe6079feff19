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

async fn kept_reports_are_shown_and_merged() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
    let [one, other, elsewhere, merged] = ["a.json", "b.json", "c.json", "merged.json"].map(path);
    let url = format!("http://{}/", server.http);
    let status = format!("http://{}/status/503", server.http);
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
        (&["merge", &one], 2, "only one file"),
        (&["report"], 2, "no file"),
        (&["report", &missing], 1, "No such file"),
        (&["report", &old], 1, "unsupported version 1; supported: 2"),
    ] {
        let finished = loadgen(args);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{args:?}: {finished}");
        assert!(finished.stderr.contains(said) && finished.stderr.lines().count() == 1, "{finished}");
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
