//! What loadgen finds out before a verified run, with dummy-server behind a proxy that removes tokens.

use std::sync::atomic::{AtomicU64, Ordering};

use integration::{
    binaries::loadgen,
    planted::{Fault, Planted},
    process::Finished,
    report::Report,
    server::Server,
};
use serde_json::Value;

tests!();

const SENT: u64 = 50;

/// Through a proxy that does this to every request with a token.
fn through(server: &Server, fault: Fault, more: &[&str]) -> Finished {
    let planted = Planted::start(server.http, move |_| fault);
    let (total, url) = (SENT.to_string(), format!("http://{}/bin/1K?a=b", planted.address));
    loadgen(&[&["--no-progress", "--zero-loss", "-c", "2", "-n", &total], more, &[&url]].concat())
}

fn tokens(report: &Report) -> Vec<[String; 3]> {
    let tokens = report.json()["verify"]["tokens"].as_array().expect("tokens");
    let of = |survival: &Value| {
        ["method", "requests", "replies"].map(|key| survival[key].as_str().expect("a text").to_owned())
    };
    tokens.iter().map(of).collect()
}

fn canaries_are_of_no_run_and_survive_where_nothing_removes_them() {
    let server = Server::with(&["--workers=2"]);
    let ledger = server.admin.to_string();
    for url in [format!("http://{}/bin/1K", server.http), format!("grpc://{}", server.grpc)] {
        let args =
            ["--no-progress", "-o", "json", "--zero-loss", "-n", "50", "-c", "2", "--ledger", &ledger, &url];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{finished}");
        let report = Report::parse(&finished.stdout);
        let method = if url.starts_with("grpc") { "call" } else { "GET" };
        assert_eq!(tokens(&report), [[method, "field", "field"].map(str::to_owned)]);
        for count in ["sent", "arrived", "sightings"] {
            assert_eq!(report.number(&format!("/verify/{count}")), SENT, "{count}");
        }
    }
}

fn each_method_has_a_canary() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "target: http://{}\nrequests:\n- {{path: /bin/1K}}\n- {{path: /bin/2K}}\n\
         - {{path: '/?dummy-status=201', method: PUT, body: x}}\nload: {{total: 50, connections: 2}}\n",
        server.http
    );
    std::fs::write(&plan, text).expect("the plan is written");
    let plan = plan.to_str().expect("a path in UTF-8");
    let finished = loadgen(&["--no-progress", "-o", "json", "--zero-loss", "-f", plan]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let wanted = [["GET", "field", "field"], ["PUT", "field", "field"]];
    assert_eq!(tokens(&Report::parse(&finished.stdout)), wanted.map(|survival| survival.map(str::to_owned)));
}

fn where_the_field_is_removed_tokens_go_in_the_query_and_all_is_proven() {
    let server = Server::with(&["--workers=2"]);
    let finished = through(&server, Fault::TakeToken, &["-o", "json"]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = Report::parse(&finished.stdout);
    assert_eq!(tokens(&report), [["GET", "query", "field"].map(str::to_owned)]);
    assert_eq!((report.number("/verify/arrived"), report.number("/verify/sightings")), (SENT, SENT));
    assert!(finished.stderr.contains("tokens go in the query"), "{finished}");
    // What the plan has in the query and in placeholders stays.
    let text = through(&server, Fault::TakeToken, &["-X", "POST", "-b", "{{seq}}"]);
    assert_eq!(text.code, Some(0), "{text}");
    assert!(text.stdout.contains("each of 50 requests arrived once"), "{text}");
    assert!(text.stdout.contains("tokens go in the query"), "{text}");
}

fn where_replies_lose_tokens_it_is_said_what_can_not_be_told() {
    let server = Server::with(&["--workers=2"]);
    let ledger = server.admin.to_string();
    for (fault, requests) in [(Fault::TakeSeen, "field"), (Fault::TakeBoth, "query")] {
        let finished = through(&server, fault, &["-o", "json", "--ledger", &ledger]);
        assert_eq!(finished.code, Some(99), "not all is proven: {finished}");
        assert!(finished.stderr.contains("stripped from replies"), "{finished}");
        let report = Report::parse(&finished.stdout);
        assert_eq!(tokens(&report), [["GET", requests, "stripped"].map(str::to_owned)]);
        let verify = &report.json()["verify"];
        assert_eq!((verify["arrived"].as_u64(), verify["unjudged"].as_u64()), (Some(SENT), Some(0)));
        assert_eq!(verify["answered_in_place"]["count"], 0, "nothing is claimed: {verify:#}");
        let off = verify["off"][0].as_str().expect("what is off");
        assert!(off.contains("crossed, cached and answered in between cannot be known"), "{off}");
    }
    let text = through(&server, Fault::TakeSeen, &["--ledger", &ledger]).stdout;
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("nothing is known to have happened to 50 requests, and not all is proven"),
        "{text}"
    );
    assert!(text.contains("crossed, cached and answered in between cannot be known"), "{text}");
}

fn where_no_token_arrives_nothing_is_claimed_and_nothing_is_proven() {
    let server = Server::start();
    let finished = through(&server, Fault::TakeTokens, &["-o", "json"]);
    assert_eq!(finished.code, Some(99), "{finished}");
    assert!(finished.stderr.contains("nothing is proven of those that no server has seen"), "{finished}");
    let report = Report::parse(&finished.stdout);
    assert_eq!(tokens(&report), [["GET", "stripped", "unknown"].map(str::to_owned)]);
    let verify = &report.json()["verify"];
    assert_eq!(verify["unjudged"].as_u64(), Some(SENT), "{verify:#}");
    assert_eq!(verify["never_arrived"]["answered_by_proxy"]["count"], 0, "{verify:#}");
}

fn the_canary_of_one_load_is_not_taken_for_that_of_another() {
    let server = Server::start();
    // The first one, of the first load, arrives; nothing else does.
    let before = AtomicU64::new(0);
    let planted = Planted::start(server.http, move |_| match before.fetch_add(1, Ordering::Relaxed) {
        0 => Fault::None,
        _ => Fault::TakeTokens,
    });
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "target: http://{}/bin/1K\nloads:\n- {{name: one, total: 5, connections: 1}}\n\
         - {{name: two, total: 5, connections: 1}}\n",
        planted.address
    );
    std::fs::write(&plan, text).expect("the plan is written");
    let plan = plan.to_str().expect("a path in UTF-8");
    let finished = loadgen(&["--no-progress", "-o", "json", "--verify", "-f", plan]);
    assert!(finished.stderr.contains("no token gets to a server and back"), "{finished}");
    let report = Report::parse(&finished.stdout);
    let of = |load: usize| report.json()["loads"][load]["verify"]["tokens"][0].clone();
    assert_eq!((&of(0)["requests"], &of(0)["replies"]), (&"field".into(), &"field".into()));
    assert_eq!((&of(1)["requests"], &of(1)["replies"]), (&"stripped".into(), &"unknown".into()));
}

fn the_reply_of_something_in_between_says_nothing_of_tokens() {
    let server = Server::start();
    let ledger = server.admin.to_string();
    for status in [301, 401, 404, 429] {
        let finished = through(&server, Fault::Answer(status), &["-o", "json", "--ledger", &ledger]);
        let report = Report::parse(&finished.stdout);
        assert_eq!(tokens(&report), [["GET", "unknown", "unknown"].map(str::to_owned)], "{status}");
        let verify = &report.json()["verify"];
        assert_eq!(verify["never_arrived"]["answered_by_proxy"]["count"], SENT, "{verify:#}");
    }
}

fn a_success_that_no_server_has_seen_and_that_names_none_is_undecided() {
    let server = Server::start();
    let ledger = server.admin.to_string();
    let finished = through(&server, Fault::Answer(200), &["-o", "json", "--ledger", &ledger]);
    assert_eq!(finished.code, Some(99), "{finished}");
    assert!(finished.stderr.contains("tokens are stripped both ways cannot be known"), "{finished}");
    let report = Report::parse(&finished.stdout);
    assert_eq!(tokens(&report), [["GET", "undecided", "unknown"].map(str::to_owned)]);
    let verify = &report.json()["verify"];
    assert_eq!(verify["unjudged"].as_u64(), Some(SENT), "nothing is claimed: {verify:#}");
    assert_eq!(verify["never_arrived"]["answered_by_proxy"]["count"], 0, "{verify:#}");
}
