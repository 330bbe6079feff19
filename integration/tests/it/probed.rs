//! `loadgen probe` through proxies whose behaviour is known.

use std::path::Path;

use integration::{
    binaries::loadgen,
    launch::Port,
    process::Finished,
    proxies::{HAPROXY, NGINX},
    proxy::{Behind, Kind, Proxy},
    relay::{Habit, Relay},
    server::Server,
    tools::require,
};
use serde_json::Value;

tests!();

/// Waits for what comes in the end; nothing is waited for through a proxy that does what it should.
const PATIENT: &str = "--timeout=40s";
/// For what does not come, where other things may take long.
const LONG: &str = "--timeout=10s";
/// For what does not come.
const BRIEF: &str = "--timeout=4s";

/// All rows of a matrix with one column, or with a direct one before it: name, variant, protocol and cell.
fn rows(finished: &Finished) -> Vec<(String, String, String, Value)> {
    let matrix: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let rows = matrix["rows"].as_array().expect("rows").iter();
    rows.map(|row| {
        let cell = row["cells"].as_array().and_then(|cells| cells.last()).expect("a cell").clone();
        (text(row, "name"), text(row, "variant"), text(row, "protocol"), cell)
    })
    .collect()
}

fn assert_clean(finished: &Finished, cases: usize) {
    assert_clean_over("HTTP/", finished, cases);
}

fn assert_clean_over(spoken: &str, finished: &Finished, cases: usize) {
    assert_eq!(finished.code, Some(0), "{finished}");
    let rows = rows(finished);
    let mut kept: Vec<&str> = Vec::new();
    for (name, variant, protocol, cell) in rows.iter().filter(|row| row.2.starts_with(spoken)) {
        match cell["state"].as_str() {
            Some("kept") => kept.push(name),
            Some("not_applicable") => {}
            // The silence of a server ends by no proxy of these in time.
            Some("described") if (name.as_str(), variant.as_str()) == ("repeated-post", "silence") => {}
            _ => panic!("{name} {variant} {protocol}: {cell:#}"),
        }
    }
    kept.dedup();
    assert_eq!(kept.len(), cases, "cases that are kept in a variant at least: {kept:?}");
}

fn the_server_itself_keeps_all_cases() {
    let server = Server::start();
    assert_clean(
        &loadgen(&["probe", PATIENT, "-o", "json", "--direct", &format!("h2c://{}", server.http)]),
        25,
    );
}

/// Refused and many streams are of HTTP/2.
fn a_faithful_proxy_of_http1_keeps_all_cases_that_apply() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::None);
    assert_clean(&loadgen(&["probe", LONG, "-o", "json", &format!("http://{}", relay.address)]), 23);
}

/// Of HTTP/1.1 it knows nothing, not even the fields that go no further: that is not applicable.
fn a_faithful_proxy_of_http2_keeps_all_cases() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::None);
    let finished = loadgen(&["probe", BRIEF, "-o", "json", &format!("h2c://{}", relay.address)]);
    // HTTP/1.0, half-close, framing and what Connection names are of HTTP/1.
    assert_clean_over("HTTP/2", &finished, 21);
    for variant in ["request", "reply"] {
        let is_it = |row: &&(String, String, String, Value)| {
            (row.0.as_str(), row.1.as_str(), row.2.as_str()) == ("hop-by-hop", variant, "HTTP/1.1")
        };
        let rows = rows(&finished);
        let cell = &rows.iter().find(is_it).expect("a row").3;
        assert_eq!(cell["state"], "not_applicable", "{cell:#}");
        assert!(cell["what"].as_str().is_some_and(|what| what.contains("relays bytes")), "{cell:#}");
    }
}

fn over_tls_both_protocols_are_asked() {
    let directory = tempfile::tempdir().expect("a folder");
    let own = format!("--tls-self-signed={}", directory.path().join("ca.pem").display());
    let server = Server::with(&["--tls-addr=127.0.0.1:0", &own]);
    let url = format!("https://{}", server.tls.expect("TLS is served"));
    assert_clean(&loadgen(&["probe", PATIENT, "-o", "json", "--insecure", "--direct", &url]), 25);
    let told = loadgen(&["probe", PATIENT, "-o", "json", "--only=authority", "--insecure", "--direct", &url]);
    assert!(told.stdout.contains("GET https://probe.invalid"), "the scheme that is spoken: {told}");
    let untrusted = loadgen(&["probe", BRIEF, "--direct", &url]);
    assert_eq!(untrusted.code, Some(1), "{untrusted}");
    assert!(untrusted.stderr.contains("TLS: "), "{untrusted}");
}

fn nginx_repeats_no_post_and_passes_websockets_and_targets_on() {
    assert_kept_by(NGINX);
}

fn haproxy_repeats_no_post_and_passes_websockets_and_targets_on() {
    assert_kept_by(HAPROXY);
}

fn assert_kept_by(kind: Kind) {
    let Some(program) = require(kind.tool) else { return };
    let server = Server::start();
    let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
    let url = format!("http://{}", proxy.fronts.http1);
    let only = "--only=repeated-post,target,websocket";
    assert_clean(&loadgen(&["probe", LONG, "-o", "json", only, &url]), 3);
    // What else it does is its own affair, but it can be asked.
    let all = loadgen(&["probe", BRIEF, "-o", "json", &url]);
    assert!(matches!(all.code, Some(0 | 99)), "{all}");
    for (name, variant, _, cell) in rows(&all) {
        let what = cell["what"].as_str().expect("a text");
        assert!(!what.contains("/ledger"), "{name} {variant}: {what}");
    }
}

/// What is found through a proxy with a habit: the state of each variant that is named, over one protocol.
pub(super) fn assert_found(relay: &Relay, protocol: &str, case: &str, role: &str, expected: &[(&str, &str)]) {
    let scheme = if protocol == "HTTP/2" { "h2c" } else { "http" };
    let url = format!("{scheme}://{}", relay.address);
    let finished = loadgen(&["probe", BRIEF, "-o", "json", "--role", role, "--only", case, &url]);
    let rows = rows(&finished);
    for (variant, state) in expected {
        let is_it = |row: &&(String, String, String, Value)| row.1 == *variant && row.2 == protocol;
        let cell = &rows.iter().find(is_it).expect("a row").3;
        assert_eq!(cell["state"], *state, "{case} {variant} over {protocol}: {cell:#}");
        assert_eq!(cell["breaks_a_must"], *state == "broken", "{cell:#}");
        // Without TLS, curl has no command for many streams.
        let has_curl = cell["curl"].as_str().is_some_and(|curl| curl.contains("curl "));
        assert_eq!(has_curl, case != "stream-limit", "{cell:#}");
        let transcript = cell["rounds"][0]["transcript"].as_array().expect("a transcript");
        assert!(transcript.iter().any(|line| line["side"] == "sent"), "{cell:#}");
    }
    let is_broken = expected.iter().any(|(_, state)| *state == "broken");
    assert_eq!(finished.code, Some(if is_broken { 99 } else { 0 }), "{finished}");
}

pub(super) fn assert_found_over_http1(habit: Habit, case: &str, role: &str, expected: &[(&str, &str)]) {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, habit);
    assert_found(&relay, "HTTP/1.1", case, role, expected);
}

fn a_repeated_post_is_a_change_of_a_gateway_and_broken_by_a_proxy() {
    let of = |state| [("reset", state), ("close", state), ("status-503", state), ("silence", "described")];
    assert_found_over_http1(Habit::Repeat, "repeated-post", "gateway", &of("changed"));
    assert_found_over_http1(Habit::Repeat, "repeated-post", "proxy", &of("broken"));
}

fn a_cut_reply_that_ends_cleanly_is_broken() {
    let expected = [("chunked-close", "broken"), ("chunked-reset", "broken"), ("length-close", "kept")];
    assert_found_over_http1(Habit::EndCutReplies, "cut-reply", "gateway", &expected);
}

fn a_request_on_a_connection_that_has_ended_is_answered_by_the_proxy() {
    let expected = [("get", "answered_itself"), ("post", "answered_itself")];
    assert_found_over_http1(Habit::ReuseEnded, "idle-race", "gateway", &expected);
}

fn a_reply_that_waits_for_the_upload_is_held_back() {
    let expected = [("length", "changed"), ("chunked", "changed")];
    assert_found_over_http1(Habit::HoldUploads, "early-reply", "gateway", &expected);
}

fn a_reply_to_another_request_is_broken() {
    assert_found_over_http1(
        Habit::Cross,
        "afterwards",
        "gateway",
        &[("early-reply", "broken"), ("no-reply", "broken")],
    );
}

fn a_client_that_has_gone_unnoticed_is_reported() {
    assert_found_over_http1(Habit::IgnoreAborts, "client-abort", "gateway", &[("waiting", "changed")]);
}

fn a_reply_that_is_held_back_is_reported() {
    let expected = [("events", "changed"), ("chunks", "changed"), ("length", "changed")];
    assert_found_over_http1(Habit::HoldReplies, "streamed-reply", "gateway", &expected);
}

fn an_upload_that_is_held_back_is_reported() {
    let expected = [("length", "changed"), ("chunked", "changed")];
    assert_found_over_http1(Habit::HoldUploads, "streamed-upload", "gateway", &expected);
}

fn a_reset_that_ends_cleanly_is_broken() {
    assert_found_over_http1(Habit::EndCutReplies, "reset-code", "gateway", &[("connection", "broken")]);
}

/// The MUST about that is of HTTP/1.1.
fn a_reset_of_http2_that_ends_cleanly_is_a_change() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::EndResets);
    let expected = [("cancel", "changed"), ("internal-error", "changed"), ("enhance-your-calm", "changed")];
    assert_found(&relay, "HTTP/2", "reset-code", "gateway", &expected);
}

fn another_code_of_a_reset_is_a_change() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::RenameResets);
    let expected = [("cancel", "changed"), ("internal-error", "changed"), ("enhance-your-calm", "changed")];
    assert_found(&relay, "HTTP/2", "reset-code", "gateway", &expected);
    assert_found(
        &relay,
        "HTTP/2",
        "refused-stream",
        "gateway",
        &[("refused-stream", "changed"), ("goaway", "kept")],
    );
}

fn a_refusal_without_goaway_is_a_change() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::DropGoaways);
    assert_found(
        &relay,
        "HTTP/2",
        "refused-stream",
        "gateway",
        &[("goaway", "changed"), ("refused-stream", "kept")],
    );
}

fn a_trailer_in_the_header_section_is_broken() {
    assert_found_over_http1(
        Habit::MergeTrailers,
        "trailers",
        "gateway",
        &[("reply", "broken"), ("request", "kept")],
    );
}

fn a_client_that_waits_for_100_in_vain_is_a_broken_rule() {
    let expected = [("sent", "broken"), ("refused", "broken")];
    for (role, quoted) in [("gateway", "MUST NOT wait for the content"), ("proxy", "a proxy MUST either")] {
        let server = Server::start();
        let relay = Relay::of_exchanges(server.http, Habit::HoldUploads);
        assert_found(&relay, "HTTP/1.1", "continue", role, &expected);
        let url = format!("http://{}", relay.address);
        let text = loadgen(&["probe", BRIEF, "--role", role, "--only=continue", &url]).stdout;
        assert!(text.contains(quoted), "{role}: {text}");
    }
}

fn another_interim_reply_is_not_taken_for_100() {
    assert_found_over_http1(Habit::SayProcessing, "continue", "gateway", &[("sent", "broken")]);
}

fn dropped_interim_replies_are_reported() {
    assert_found_over_http1(Habit::DropInterims, "early-hints", "gateway", &[("one", "changed")]);
    assert_found_over_http1(Habit::DropInterims, "early-hints", "proxy", &[("one", "broken")]);
}

fn a_changed_target_is_reported_with_what_arrived() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::ChangeTargets);
    let expected = [("double-slash", "changed"), ("dot-segments", "changed"), ("encoded-letter", "changed")];
    assert_found(&relay, "HTTP/1.1", "target", "gateway", &expected);
    let finished = loadgen(&["probe", "--only=14", &format!("http://{}", relay.address)]);
    assert!(finished.stdout.contains("/x//y arrived as /changed"), "{finished}");
}

fn an_upgrade_that_does_not_arrive_is_reported() {
    let expected = [("echo", "changed"), ("ping", "changed"), ("close-code", "changed")];
    assert_found_over_http1(Habit::DropUpgrades, "websocket", "gateway", &expected);
}

fn rounds_that_differ_are_unstable() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::DropInterimsInTurn);
    let url = format!("http://{}", relay.address);
    let finished =
        loadgen(&["probe", BRIEF, "--only=early-hints", "--rounds=2", "--role=proxy", "-o", "json", &url]);
    let cell = &rows(&finished)[0].3;
    assert_eq!((&cell["state"], &cell["breaks_a_must"]), (&"unstable".into(), &true.into()), "{cell:#}");
    assert_eq!(cell["what"], "kept in 1 of 2, else broken: 103 was dropped");
    assert_eq!(finished.code, Some(99), "{finished}");
}

fn several_proxies_make_a_matrix_in_every_format() {
    let server = Server::start();
    let good = Relay::of_exchanges(server.http, Habit::None);
    let bad = Relay::of_exchanges(server.http, Habit::EndCutReplies);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let reports = ["probe.html", "probe.md", "probe.json"].map(|name| format!("--report={}", file(name)));
    let direct = format!("http://{}", server.http);
    let said = ["--note=good=1.26, minimal", "--disputed=<bad>/cut-reply=https://example.com/1"];
    let (good, bad) = (format!("good=http://{}", good.address), format!("<bad>=http://{}", bad.address));
    let words = [
        &["probe", BRIEF, "--only=cut-reply", "--direct", &direct, &good, &bad],
        &said[..],
        &reports.each_ref().map(String::as_str)[..],
    ];
    let finished = loadgen(&words.concat());
    assert_eq!(finished.code, Some(99), "{finished}");
    let row = finished.stdout.lines().find(|line| line.contains("chunked-reset")).expect("a row");
    let states: Vec<&str> = row.split_whitespace().skip(4).collect();
    assert_eq!(states, ["kept", "kept", "broken"], "{finished}");
    assert!(finished.stdout.contains("MUST record the message as incomplete"), "{finished}");
    let read = |name: &str| std::fs::read_to_string(file(name)).expect("a report");
    let (html, markdown) = (read("probe.html"), read("probe.md"));
    assert!(
        html.contains("&lt;bad&gt;") && !html.contains("<bad>") && html.contains("RFC 9112 section 8"),
        "{html}"
    );
    for loaded in ["src=", "href=", "@import", "url(", "<script"] {
        assert!(!html.contains(loaded), "one file: {loaded}");
    }
    for side in ["sent", "seen", "replied", "received"] {
        assert!(html.contains(&format!(" us  {side:<8}  ")), "{side}");
    }
    assert!(markdown.contains("| kept | kept | **broken** |") && markdown.contains(r"\<bad\>"), "{markdown}");
    let json: Value = serde_json::from_str(&read("probe.json")).expect("JSON");
    assert_eq!(json["columns"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["columns"][0]["is_direct"], true);
    assert_eq!(json["columns"][1]["note"], "1.26, minimal");
    assert!(json["rows"][0]["cells"][1]["disputed"].is_null());
    assert_eq!(json["rows"][0]["cells"][2]["disputed"], "https://example.com/1");
    assert!(
        html.contains("<p>1.26, minimal</p>") && html.contains("<summary>broken (disputed)</summary>"),
        "{html}"
    );
    assert!(markdown.contains("\n### good\n\n1.26, minimal\n"), "{markdown}");
    assert!(finished.stdout.contains("disputed: https://example.com/1"), "{finished}");
}

fn a_probe_whose_direct_column_is_not_clean_says_that_it_could_not_judge() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::DropInterims);
    let direct = format!("http://{}", relay.address);
    let finished = loadgen(&["probe", BRIEF, "--only=early-hints", "--direct", &direct]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(
        finished.stderr.contains("could not judge") && finished.stderr.contains("early-hints"),
        "{finished}"
    );
}

fn a_server_that_is_not_a_dummy_server_is_an_error() {
    let kept = Port::keep().expect("a port");
    let nobody = kept.address;
    let finished = loadgen(&["probe", BRIEF, &format!("http://{nobody}")]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("no dummy-server answers"), "{finished}");
}

/// The page in docs names the cases of the program.
fn the_page_about_cases_lists_them_all() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/probe.md");
    let page = std::fs::read_to_string(page).expect("docs/probe.md");
    let list = loadgen(&["probe", "--list"]).stdout;
    for line in list.lines() {
        let (number, rest) = line.trim().split_once(' ').expect("a number");
        let (name, title) = rest.trim().split_once(' ').expect("a name");
        let row = format!("| {number} | `{name}` | {} |", title.trim());
        assert!(page.contains(&row), "{row}");
    }
    assert_eq!(list.lines().count(), 32);
}
