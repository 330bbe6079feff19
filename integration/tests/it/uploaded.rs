//! What a verified run finds out about bodies of requests: they arrive as they were sent, or else it is known which did not, and where they differ.

use std::{fs, path::Path};

use integration::{
    binaries::loadgen,
    planted::{Fault, Planted},
    report::Report,
    server::Server,
};
use serde_json::Value;

tests!();

const SENT: u64 = 200;
const EVERY: u64 = 50;
const HURT: u64 = SENT / EVERY;
const LENGTH: usize = 64 << 10;
/// Blocks that have their own checksum.
const BLOCK: u64 = 1024;

fn is_chosen(number: u64) -> bool {
    number % EVERY == 7
}

/// A body that repeats nothing, in a file.
fn body(folder: &Path) -> String {
    let mut state = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let path = folder.join("body");
    fs::write(&path, bytes.take(LENGTH).collect::<Vec<_>>()).expect("the body is written");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn uploaded(fault: fn(u64) -> Fault, more: &[&str]) -> Report {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, move |number| match is_chosen(number) {
        true => fault(number),
        false => Fault::None,
    });
    let (total, url) = (SENT.to_string(), format!("http://{}/upload", planted.address));
    let args = ["--no-progress", "-o", "json", "--verify", "-c", "4", "-n", &total, &url];
    let finished = loadgen(&[&args, more].concat());
    let report = Report::parse(&finished.stdout);
    assert_eq!(report.json()["verify"]["off"], Value::Array(Vec::new()), "{finished}");
    report
}

/// The count of a finding, with the number, offset and words of its first example.
fn first(report: &Report, finding: &str) -> (u64, u64, Option<u64>, String) {
    let found = report.json().pointer(&format!("/verify{finding}")).expect("a finding");
    let example = &found["examples"][0];
    let what = example["what"].as_str().unwrap_or_else(|| panic!("{found:#}")).to_owned();
    (found["count"].as_u64().unwrap(), example["number"].as_u64().unwrap(), example["offset"].as_u64(), what)
}

fn uploads_that_differ_are_reported_by_number_and_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = body(folder.path());
    for more in [&["--body-file", &file][..], &["--body-file", &file, "--chunked"]] {
        for (fault, offset) in [
            ((|_| Fault::FlipUpload(40_000)) as fn(u64) -> Fault, 40_000 / BLOCK * BLOCK),
            (|_| Fault::SwapUpload(16 << 10), 0),
            (|_| Fault::ShortenUpload(1000), 1000),
        ] {
            let report = uploaded(fault, more);
            let (count, number, at, what) = first(&report, "/uploads/differing");
            // Those that were damaged last may be reported first.
            assert_eq!((count, number % EVERY, at), (HURT, 7, Some(offset)), "{what}");
            assert_eq!(what.contains("ends cleanly after 1,000 of 65,536 bytes"), offset == 1000, "{what}");
            assert_eq!(report.number("/verify/uploads/checked"), SENT);
            let all: Value = report.json()["verify"]["uploads"]["differing"]["examples"].clone();
            let numbers = all.as_array().unwrap().iter().map(|example| example["number"].as_u64().unwrap());
            assert!(numbers.clone().all(is_chosen) && numbers.count() as u64 == HURT, "{all:#}");
        }
    }
}

fn uploads_with_placeholders_are_compared_too() {
    let report = uploaded(|_| Fault::ShortenUpload(3), &["--body", "number {{seq}}"]);
    let (count, number, offset, what) = first(&report, "/uploads/differing");
    assert_eq!((count, number % EVERY, offset), (HURT, 7, Some(3)), "{what}");
    assert_eq!(report.number("/verify/uploads/checked"), SENT);
}

fn an_upload_that_breaks_off_is_cut_on_the_way_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = body(folder.path());
    let report = uploaded(|_| Fault::CutUpload(1000), &["--body-file", &file]);
    let (count, number, ..) = first(&report, "/cut_on_the_way_there");
    assert_eq!((count, number), (HURT, 7));
    for finding in ["/cut_on_the_way_back/count", "/cut_by_the_server/count", "/uploads/differing/count"] {
        assert_eq!(report.number(&format!("/verify{finding}")), 0, "{finding}");
    }
    assert_eq!(report.number("/verify/uploads/checked"), SENT - HURT);
}

fn faithful_uploads_raise_no_alarm_in_any_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = body(folder.path());
    let server = Server::with(&["--workers=2"]);
    for (scheme, path) in [("http", "/upload"), ("h2c", "/upload"), ("http", "/echo"), ("h2c", "/bin/1K")] {
        for more in
            [&["--body-file", &file][..], &["--body", "{{seq}} {{uuid}}"], &["--body", "", "--chunked"]]
        {
            let url = format!("{scheme}://{}{path}", server.http);
            let args = ["--no-progress", "-o", "json", "--zero-loss", "-n", "100", &url];
            let finished = loadgen(&[&args, more].concat());
            assert_eq!(finished.code, Some(0), "{url} {more:?}: {finished}");
            let checked = Report::parse(&finished.stdout).number("/verify/uploads/checked");
            // Over HTTP/2, what is empty is not a body.
            assert!(
                checked == 100 || checked == 0 && scheme == "h2c" && more.len() > 2,
                "{url} {more:?}: {checked}"
            );
        }
    }
}
