//! `loadgen probe` with a column that can't be asked, or not over each protocol.

use integration::{
    binaries::loadgen,
    launch::Port,
    process::Finished,
    relay::{Habit, Relay},
    server::Server,
};
use serde_json::Value;

tests!();

/// The states of the cells of each row, by its protocol.
fn states(finished: &Finished) -> Vec<(String, Vec<String>)> {
    let matrix: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = matrix["rows"].as_array().expect("rows").iter();
    let cells = |row: &Value| {
        row["cells"].as_array().expect("cells").iter().map(|cell| text(&cell["state"])).collect()
    };
    rows.map(|row| (text(&row["protocol"]), cells(row))).collect()
}

fn assert_row(finished: &Finished, protocol: &str, expected: &[&str]) {
    let states = states(finished);
    let (_, cells) = states.iter().find(|(spoken, _)| spoken == protocol).expect("a row");
    assert_eq!(cells, expected, "{finished}");
}

fn probe(urls: &[&str]) -> Finished {
    loadgen(&[&["probe", "--timeout=4s", "--only=early-hints", "-o", "json"], urls].concat())
}

fn a_column_that_cannot_be_reached_does_not_keep_others_from_being_asked() {
    let server = Server::start();
    let kept = Port::keep().expect("a port");
    let nobody = kept.address;
    let (gone, good) = (format!("gone=http://{nobody}"), format!("good=http://{}", server.http));
    let finished = probe(&[&gone, "unknown=http://unknown.invalid:1", &good]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert_row(&finished, "HTTP/1.1", &["unasked", "unasked", "kept"]);
    let said = "no dummy-server answers at gone";
    assert!(finished.stderr.contains(said), "{finished}");
    assert!(finished.stdout.contains("can't find unknown"), "{finished}");
}

fn where_no_column_can_be_asked_the_report_says_why_of_each() {
    let kept = Port::keep().expect("a port");
    let nobody = kept.address;
    let finished = probe(&[&format!("gone=http://{nobody}"), "unknown=http://unknown.invalid:1"]);
    assert_eq!(finished.code, Some(1), "{finished}");
    for said in ["no dummy-server answers at gone", "can't find unknown"] {
        assert!(finished.stderr.contains(said), "{finished}");
    }
}

fn http2_that_begins_and_fails_could_not_be_asked() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::ResetReplies);
    let finished = probe(&[&format!("h2c://{}", relay.address)]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert_row(&finished, "HTTP/1.1", &["kept"]);
    assert_row(&finished, "HTTP/2", &["unasked"]);
    assert!(finished.stderr.contains("RST_STREAM with INTERNAL_ERROR"), "{finished}");
}

fn http2_whose_preface_is_refused_is_not_spoken() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::None);
    let (through, direct) = (format!("h2c://{}", relay.address), format!("h2c://{}", server.http));
    let finished = probe(&["--direct", &direct, &through]);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_row(&finished, "HTTP/1.1", &["kept", "kept"]);
    assert_row(&finished, "HTTP/2", &["kept", "not_applicable"]);
    assert!(finished.stdout.contains("its preface was refused"), "{finished}");
}

fn http2_that_alpn_refuses_is_not_spoken() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = format!("--tls-self-signed={}", folder.path().join("ca.pem").display());
    let server = Server::with(&["--tls-addr=127.0.0.1:0", &own, "--tls-alpn=http/1.1"]);
    let one = format!("one=https://{}", server.tls.expect("TLS is served"));
    let other = format!("other=h2c://{}", server.http);
    let finished = probe(&["--insecure", &one, &other]);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_row(&finished, "HTTP/1.1", &["kept", "kept"]);
    assert_row(&finished, "HTTP/2", &["not_applicable", "kept"]);
}
