//! All of h2spec, on dummy-server.

use std::{fs, process::Command};

use integration::{PATIENCE, process::Process, server::Server, tools::require};
use tempfile::NamedTempFile;

tests!();

/// How many cases the pinned version has.
const CASES: usize = 146;

/// A case that may fail, by its section and title as h2spec has them, and the text that allows it.
struct Exception {
    section: &'static str,
    title: &'static str,
    allowed_by: &'static str,
}

const EXCEPTIONS: [Exception; 1] = [Exception {
    section: "http2/3.5",
    title: "Sends invalid connection preface",
    allowed_by: "RFC 9113 section 3.4 has GOAWAY left out where the preface shows that the peer does not speak \
                 HTTP/2; on a port for both versions it is an invalid request line, which RFC 9112 section 3 \
                 answers with 400 and an end. h2spec takes that reply for a frame that breaks off",
}];

fn h2spec_finds_no_fault() {
    let Some(h2spec) = require("h2spec") else { return };
    let server = Server::start();
    // The endpoints differ in when they reply: immediately, with more than a window, after the body, later.
    for path in ["/", "/bin/100k", "/upload", "/chunked/3?delay=1", "/delay/1"] {
        let report = NamedTempFile::new().expect("a temporary file");
        let mut command = Command::new(&h2spec);
        command.args(["--strict", "--timeout=2", "--host=127.0.0.1"]);
        command.arg(format!("--port={}", server.http.port())).arg(format!("--path={path}"));
        command.arg("--junit-report").arg(report.path());
        let finished = Process::start(&mut command).finish(PATIENCE);
        let report = fs::read_to_string(report.path()).expect("h2spec writes a report");
        let cases = cases(&report);
        assert_eq!(cases.len(), CASES, "the whole of h2spec ran: {finished}");
        let unexpected: Vec<_> = cases.iter().filter(|case| !case.passed && !case.is_excepted()).collect();
        let (_, failures) = finished.stdout.split_once("Failures:").unwrap_or_default();
        assert!(unexpected.is_empty(), "{path}: {unexpected:#?}\n{failures}");
    }
}

#[derive(Debug)]
struct Case<'a> {
    section: &'a str,
    title: &'a str,
    /// Neither failed nor was skipped.
    passed: bool,
}

impl Case<'_> {
    fn is_excepted(&self) -> bool {
        let same = |other: &&Exception| other.section == self.section && other.title == self.title;
        EXCEPTIONS.iter().find(same).is_some_and(|exception| !exception.allowed_by.is_empty())
    }
}

/// The cases of the JUnit report. One that has passed is an empty element.
fn cases(report: &str) -> Vec<Case<'_>> {
    let elements = report.split("<testcase ").skip(1);
    elements
        .map(|element| {
            let attribute = |name: &str| {
                let (_, rest) = element.split_once(&format!("{name}=\"")).expect("a case has its attributes");
                rest.split('"').next().unwrap_or_default()
            };
            let (_, content) = element.split_once('>').expect("an element has a start");
            Case {
                section: attribute("package"),
                title: attribute("classname"),
                passed: content.starts_with("</testcase>"),
            }
        })
        .collect()
}
