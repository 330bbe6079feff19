//! The forms of a report, and what is done with reports that were kept, by the real program.

use std::fs;

use integration::{binaries::loadgen, report::Report, server::Server};

tests!();

async fn each_form_of_a_report_is_printed_and_written_to_files() {
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
