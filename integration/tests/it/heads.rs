//! What a proxy changes in heads of requests and replies, as a verified run says it.

use std::path::Path;

use integration::{
    binaries::loadgen,
    planted::{Fault, Planted},
    proxies::{NGINX, nginx_configuration},
    proxy::{Behind, Fronts, Kind, Proxy},
    relay::{Habit, Relay},
    report::Report,
    rewrite::Rewrite,
    server::Server,
    tools::require,
};
use serde_json::Value;

tests!();

/// Kinds and fields of changes, each with how often.
type Changes = Vec<(String, String, u64)>;

const SENT: &str = "100";
/// How many of them are sampled: the first 64, and 8 parts of 8 numbers each behind those, of which the last ones begin at 96.
const SAMPLED: u64 = 64 + 4;
/// One of them.
const CHOSEN: u64 = 7;
/// What has a reply end with a trailer.
const TRAILER: &str = "dummy-trailer=x-total:8";

fn run(url: &str, more: &[&str]) -> Report {
    let args = ["--no-progress", "-o", "json", "--verify", "-c", "2", "-n", SENT, url];
    let finished = loadgen(&[&args[..], more].concat());
    assert_eq!(finished.code, Some(0), "{finished}");
    Report::parse(&finished.stdout)
}

/// The changes in one direction.
fn changes(report: &Report, direction: &str) -> Changes {
    let heads = &report.json()["verify"]["heads"];
    let text = |change: &Value, key: &str| change[key].as_str().unwrap_or_default().to_owned();
    let changes = heads[direction].as_array().unwrap_or_else(|| panic!("heads were compared: {heads:#}"));
    let told = |change: &Value| {
        (text(change, "kind"), text(change, "name"), change["count"].as_u64().unwrap_or_default())
    };
    changes.iter().map(told).collect()
}

/// The changes of trailers in one direction.
fn trailers(report: &Report, direction: &str) -> Vec<[String; 2]> {
    let changes = report.json()["verify"]["heads"][direction].as_array().expect("changes").iter();
    let of_trailers = changes.filter(|change| change["trailer"] == true);
    let told = |change: &Value| ["kind", "name"].map(|key| change[key].as_str().expect("a text").to_owned());
    of_trailers.map(told).collect()
}

fn is_one_of_the_last(sampled: u64) -> bool {
    // Behind the first ones it is drawn which of their part is sampled.
    (SAMPLED..=SAMPLED + 1).contains(&sampled)
}

/// The kinds and fields that are found through a proxy which does this to one request.
fn through(fault: Fault, more: &[&str]) -> (Changes, Changes) {
    let server = Server::with(&["--workers=2"]);
    let planted =
        Planted::start(server.http, move |number| if number == CHOSEN { fault } else { Fault::None });
    let report = run(&format!("http://{}/bin/1K", planted.address), more);
    assert!(is_one_of_the_last(report.number("/verify/heads/requests")), "{:#}", report.json()["verify"]);
    for direction in ["in_requests", "in_replies"] {
        for change in report.json()["verify"]["heads"][direction].as_array().expect("changes") {
            assert_eq!(change["number"], CHOSEN, "{change}");
        }
    }
    (changes(&report, "in_requests"), changes(&report, "in_replies"))
}

fn each_change_of_a_request_is_found_with_its_kind_its_field_and_its_number() {
    let headers = ["-H", "X-List: a", "-H", "X-List: b", "-H", "X-One: one", "-H", "Authorization: hunter2"];
    for (rewrite, kind, name) in [
        (Rewrite::Add("X-Forwarded-For", "127.0.0.1"), "added", "X-Forwarded-For"),
        (Rewrite::Drop("x-one"), "dropped", "X-One"),
        (Rewrite::Rename("x-one", "X-Uno"), "renamed", "X-One"),
        (Rewrite::Recase("x-one"), "recased", "X-One"),
        (Rewrite::Reorder, "reordered", ""),
        (Rewrite::Merge("x-list"), "merged", "X-List"),
        (Rewrite::Value("x-one", "two"), "value", "X-One"),
        (Rewrite::Value("authorization", "hunter3"), "value", "Authorization"),
        (Rewrite::First("/bin/1K", "/bin/1K?"), "target", ""),
        (Rewrite::First("HTTP/1.1", "HTTP/1.0"), "protocol", ""),
    ] {
        let (requests, replies) = through(Fault::Request(rewrite), &headers);
        assert_eq!(requests, [(kind.to_owned(), name.to_owned(), 1)], "{rewrite:?}");
        assert_eq!(replies, [], "{rewrite:?}");
    }
}

fn each_change_of_a_reply_is_found_with_its_kind_its_field_and_its_number() {
    for (rewrite, kind, name) in [
        (Rewrite::Add("Via", "1.1 planted"), "added", "Via"),
        (Rewrite::Drop("date"), "dropped", "date"),
        (Rewrite::Recase("date"), "recased", "date"),
        (Rewrite::Value("content-type", "text/html"), "value", "content-type"),
        (Rewrite::First("200", "203"), "status", ""),
    ] {
        let (requests, replies) = through(Fault::Reply(rewrite), &[]);
        assert_eq!(replies, [(kind.to_owned(), name.to_owned(), 1)], "{rewrite:?}");
        assert_eq!(requests, [], "{rewrite:?}");
    }
}

fn nothing_is_changed_by_a_faithful_proxy_or_by_none_in_any_protocol() {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, |_| Fault::None);
    let plain = |address| format!("http://{address}/bin/1K");
    let h2c = |path: &str| format!("h2c://{}{path}", server.http);
    let varying = ["-H", "X-Seq: {{seq}}", "-H", "x-random: {{random 1 1000000}}", "-H", "Cookie: a=b; c=d"];
    let trailer = ["-X", "POST", "-b", "{{seq}}", "--trailer", "X-Sum: 7"];
    let body = ["-X", "POST", "-b", "{{seq}}", "-H", "x-due: {{now ms}}"];
    for (url, more) in [
        (plain(planted.address), &[][..]),
        (plain(planted.address), &varying),
        (plain(server.http), &varying),
        (h2c("/bin/1K"), &varying),
        (h2c("/chunked/20"), &[]),
        (h2c("/bin/1K?dummy-header=X-Case:A"), &[]),
        (format!("http://{}/echo", server.http), &body),
        (h2c("/echo"), &body),
        (format!("http://{}/echo?{TRAILER}", server.http), &trailer),
        (h2c(&format!("/echo?{TRAILER}")), &trailer),
        (
            format!("http://{}/bin/1K?dummy-status=302&dummy-header=Location:/bin/2K", server.http),
            &["--follow=2"],
        ),
        // The port for calls alone answers that question, too.
        (format!("grpc://{}", server.grpc), &[]),
    ] {
        let report = run(&url, more);
        let heads = &report.json()["verify"]["heads"];
        assert!(is_one_of_the_last(report.number("/verify/heads/requests")), "{url}: {heads:#}");
        if !more.contains(&"--follow=2") {
            assert_eq!(heads["replies"], heads["requests"], "{url}");
        }
        assert_eq!(changes(&report, "in_requests"), [], "{url}: {heads:#}");
        assert_eq!(changes(&report, "in_replies"), [], "{url}: {heads:#}");
        let connections = &heads["connections"];
        assert_eq!(connections["opened"], connections["seen"], "{url}: {heads:#}");
    }
}

/// What the programs between do with trailers, in either version of HTTP: nginx drops those of requests and replies, unless they are of
/// calls.
fn trailers_that_are_dropped_are_found_and_the_status_of_calls_stays() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::MergeTrailers);
    let report = run(&format!("http://{}/bin/1K?{TRAILER}", relay.address), &[]);
    let dropped = |name: &str| [["dropped", name].map(str::to_owned)];
    assert_eq!(trailers(&report, "in_replies"), dropped("x-total"));
    assert_eq!(trailers(&report, "in_requests"), [] as [[String; 2]; 0]);
    let has_moved =
        changes(&report, "in_replies").iter().any(|(kind, name, _)| kind == "added" && name == "x-total");
    assert!(has_moved, "to the head: {:#}", report.json()["verify"]["heads"]);

    let Some(program) = require(NGINX.tool) else { return };
    let proxy = Proxy::start(NGINX, &program, Behind { http: server.http, grpc: server.grpc });
    let path = format!("/echo?{TRAILER}");
    let url = format!("http://{}{path}", proxy.fronts.http1);
    let report = run(&url, &["-X", "POST", "-b", "{{seq}}", "--trailer", "X-Sum: 7"]);
    assert_eq!(trailers(&report, "in_requests"), dropped("X-Sum"));
    assert_eq!(trailers(&report, "in_replies"), dropped("x-total"));
    // Over HTTP/2 some refuse those of requests.
    let report = run(&format!("h2c://{}{path}", proxy.fronts.h2c), &["-X", "POST", "-b", "{{seq}}"]);
    assert_eq!(trailers(&report, "in_replies"), dropped("x-total"));
    let report = run(&format!("grpc://{}", proxy.fronts.grpc), &["--ledger", &server.admin.to_string()]);
    assert!(report.number("/verify/heads/replies") > 0);
    assert_eq!(trailers(&report, "in_replies"), [] as [[String; 2]; 0]);
}

fn a_report_for_people_has_a_block_of_changes_and_shows_no_secret() {
    let server = Server::start();
    let fault = Fault::Request(Rewrite::Value("authorization", "Bearer hunter3"));
    let planted = Planted::start(server.http, move |_| fault);
    let url = format!("http://{}/bin/1K", planted.address);
    for output in ["text", "markdown", "json"] {
        let secret = ["-H", "Authorization: Bearer hunter2", "-H", "Cookie: hunter4"];
        let args = ["--no-progress", "-o", output, "--verify", "-c", "1", "-n", "10", &url];
        let finished = loadgen(&[&args[..], &secret].concat());
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(!finished.stdout.contains("hunter"), "{finished}");
        let words = match output {
            "json" => &["\"kind\": \"value\"", "\"name\": \"Authorization\""],
            _ => &["What the proxy changed in requests", "changed the value of Authorization"],
        };
        let text = finished.stdout.replace("\":", "\": ").replace(":  ", ": ");
        assert!(words.iter().all(|word| text.contains(word)), "{finished}");
    }
    let direct = format!("http://{}/bin/1K", server.http);
    let finished = loadgen(&["--no-progress", "--verify", "-c", "1", "-n", "10", &direct]);
    assert!(finished.stdout.contains("Heads of 10 requests and 10 of their replies arrived"), "{finished}");
}

fn connections_are_counted_on_either_side() {
    let server = Server::with(&["--workers=2"]);
    // Whatever is sent twice at the same time takes one more connection.
    let planted =
        Planted::start(server.http, |number| if number % 10 == 3 { Fault::Double } else { Fault::None });
    let report = run(&format!("http://{}/bin/1K", planted.address), &[]);
    let connections = &report.json()["verify"]["heads"]["connections"];
    assert_eq!((&connections["opened"], &connections["seen"]), (&2.into(), &12.into()), "{connections}");
}

/// What an nginx does that is configured with nothing but where to pass requests.
fn nginx_as_it_is_changes_what_its_manual_says() {
    let Some(program) = require(NGINX.tool) else { return };
    let server = Server::start();
    let kind = Kind { configuration: bare, ..NGINX };
    let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
    let url = format!("http://{}/bin/1K", proxy.fronts.http1);
    let report = run(&url, &["-H", "X-One: one", "-H", "x_under: score"]);
    let heads = &report.json()["verify"]["heads"];
    let requests = changes(&report, "in_requests");
    let kinds = |changes: &[(String, String, u64)]| {
        let mut kinds: Vec<_> = changes.iter().map(|(kind, name, _)| format!("{kind} {name}")).collect();
        kinds.sort_unstable();
        kinds
    };
    let has = |wanted: &str| kinds(&requests).iter().any(|kind| kind.eq_ignore_ascii_case(wanted));
    for wanted in ["value host", "dropped x_under"] {
        assert!(has(wanted), "{wanted}: {heads:#}");
    }
    // Since 1.29.7 it speaks HTTP/1.1 with its servers and keeps connections.
    assert_eq!(has("protocol "), has("added connection"), "{heads:#}");
    assert!(!requests.iter().any(|(_, name, _)| name.eq_ignore_ascii_case("x-one")), "{heads:#}");
    let replies = kinds(&changes(&report, "in_replies"));
    assert!(replies.contains(&"added Server".to_owned()), "{heads:#}");
    if has("protocol ") {
        assert_eq!(heads["connections"], serde_json::json!({"opened": 2, "seen": 100}));
    }
}

fn bare(behind: Behind, fronts: Fronts, directory: &Path) -> String {
    let Fronts { http1, h2c, grpc } = fronts;
    let location = format!("location / {{ proxy_pass http://{}; }}", behind.http);
    let of = |port| format!("  server {{ listen {port}; {location} }}\n");
    nginx_configuration(&[http1, h2c, grpc].map(of).concat(), directory)
}
