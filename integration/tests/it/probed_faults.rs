//! `loadgen probe` when its proxy dies, talks nonsense or is slow, when it is interrupted, and when its report can't be kept.

use std::os::unix::fs::symlink;

use integration::{
    PATIENCE,
    binaries::{command, loadgen},
    launch::Port,
    process::{Finished, Process},
    relay::{Habit, Relay},
    server::Server,
};
use rustix::process::Signal;
use serde_json::Value;

tests!();

/// The states of all rows of the first column: name, variant and state.
fn states(finished: &Finished) -> Vec<(String, String, String)> {
    let matrix: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = matrix["rows"].as_array().expect("rows").iter();
    rows.map(|row| (text(&row["name"]), text(&row["variant"]), text(&row["cells"][0]["state"]))).collect()
}

fn assert_states(finished: &Finished, expected: &[(&str, &str)]) {
    let found: Vec<_> = states(finished).into_iter().map(|(_, variant, state)| (variant, state)).collect();
    let found: Vec<_> = found.iter().map(|(variant, state)| (variant.as_str(), state.as_str())).collect();
    assert_eq!(found, expected, "{finished}");
}

const HALF: [(&str, &str); 4] =
    [("reset", "kept"), ("close", "kept"), ("status-503", "unasked"), ("silence", "unasked")];

fn through(habit: Habit, format: &str) -> Finished {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, habit);
    let url = format!("http://{}", relay.address);
    // A proxy that has gone is given three times the limit to come back.
    loadgen(&["probe", "--timeout=2s", "--only=repeated-post", "-o", format, &url])
}

fn cases_through_a_proxy_that_has_died_could_not_be_asked() {
    let finished = through(Habit::Die, "json");
    assert_states(&finished, &HALF);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("2 of 4 could not be asked"), "{finished}");
    assert!(finished.stderr.contains("refused"), "what happened is said: {finished}");
}

fn cases_through_a_proxy_that_talks_nonsense_could_not_be_asked() {
    let finished = through(Habit::Garble, "json");
    assert_states(&finished, &HALF);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("not HTTP"), "{finished}");
    let text = through(Habit::Garble, "text");
    assert!(text.stdout.contains("could not be asked: "), "{text}");
    assert!(!text.stdout.contains("All that applies is kept"), "{text}");
}

/// It takes longer for a round trip than a quarter of the limit.
fn a_slow_way_alone_breaks_no_rule() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::Slow);
    let url = format!("http://{}", relay.address);
    let only = "--only=continue,streamed-reply";
    let finished = loadgen(&["probe", "--timeout=4s", only, "-o", "json", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(states(&finished).iter().all(|(_, _, state)| state == "kept"), "{finished}");
}

fn variables_are_not_read() {
    let mut listing = command("loadgen");
    listing.env("LOADGEN_RATE", "x").env("LOADGEN_TIMEOUT", "soon").args(["probe", "--list"]);
    let finished = Process::start(&mut listing).finish(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("repeated-post"), "{finished}");
}

fn an_interrupted_probe_reports_what_it_has_found() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let server = Server::start();
        let (relay, targets) = Relay::telling(server.http, Habit::HoldUploads);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("probe.json");
        let url = format!("http://{}", relay.address);
        let report = format!("--report={}", file.display());
        let words = ["probe", "--timeout=10m", "--only=cut-reply,continue", "-o", "json", &report, &url];
        let process = Process::start(command("loadgen").args(words));
        // There, the head of an upload is held, and it waits for 100 for minutes.
        while !targets.recv_timeout(PATIENCE).expect("a request").contains("dummy-continue=send") {}
        process.signal(signal);
        let finished = process.finish(PATIENCE);
        assert_eq!(finished.code, Some(130), "{finished}");
        let expected = ["length-close", "length-reset", "chunked-close", "chunked-reset"]
            .map(|variant| (variant, "kept"));
        let all = [&expected[..], &[("sent", "not_asked"), ("refused", "not_asked")]].concat();
        assert_states(&finished, &all);
        let matrix: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(matrix["interrupted"], true);
        assert_eq!(std::fs::read_to_string(file).expect("a report"), finished.stdout);
    }
}

fn an_interrupted_cell_keeps_the_rounds_that_have_ended() {
    let server = Server::start();
    let (relay, targets) = Relay::telling(server.http, Habit::None);
    let url = format!("http://{}", relay.address);
    let words = ["probe", "--only=early-hints", "--rounds=100", "-o", "json", &url];
    let process = Process::start(command("loadgen").args(words));
    // The second one is asked when the first one has ended.
    for _ in 0..2 {
        while !targets.recv_timeout(PATIENCE).expect("a request").contains("dummy-hints") {}
    }
    process.signal(Signal::INT);
    let finished = process.finish(PATIENCE);
    assert_eq!(finished.code, Some(130), "{finished}");
    let matrix: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let cell = &matrix["rows"][0]["cells"][0];
    let rounds = cell["rounds"].as_array().expect("rounds").len();
    assert_eq!(cell["state"], "kept", "{cell:#}");
    let expected = format!("103 came with its Link; interrupted after {rounds} of 100");
    assert_eq!(cell["what"], expected.as_str(), "{cell:#}");
}

fn a_report_of_a_probe_that_does_not_begin_leaves_no_file() {
    let kept = Port::keep().expect("a port");
    let nobody = kept.address;
    let folder = tempfile::tempdir().expect("a folder");
    let (new, old) = (folder.path().join("new.json"), folder.path().join("old.json"));
    std::fs::write(&old, "old").expect("a file");
    let reports = [&new, &old].map(|file| format!("--report={}", file.display()));
    let finished = loadgen(&["probe", "--timeout=1s", &reports[0], &reports[1], &format!("http://{nobody}")]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(!new.exists(), "{finished}");
    assert_eq!(std::fs::read_to_string(&old).expect("a file"), "old");
}

fn all_reports_that_cannot_be_kept_are_named() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let full = ["one.json", "two.html"].map(|name| folder.path().join(name));
    for file in &full {
        symlink("/dev/full", file).expect("a link");
    }
    let reports = full.map(|file| format!("--report={}", file.display()));
    let url = format!("http://{}", server.http);
    let finished = loadgen(&["probe", "--only=early-hints", &reports[0], &reports[1], "--direct", &url]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("one.json") && finished.stderr.contains("two.html"), "{finished}");
}

fn a_report_that_cannot_be_kept_is_printed_all_the_same() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (full, good) = (folder.path().join("full.json"), folder.path().join("good.json"));
    symlink("/dev/full", &full).expect("a link");
    let reports = [&full, &good].map(|file| format!("--report={}", file.display()));
    let url = format!("http://{}", server.http);
    let finished = loadgen(&["probe", "--only=early-hints", &reports[0], &reports[1], "--direct", &url]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stdout.contains("13 early-hints one HTTP/1.1  kept"), "{finished}");
    assert!(finished.stderr.contains("can't write the --report file"), "{finished}");
    assert!(good.exists() && std::fs::metadata(good).expect("a report").len() > 0, "the other one is kept");
}
