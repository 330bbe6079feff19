//! loadgen's report, held against what the servers themselves have seen and counted.

use std::net::SocketAddr;

use integration::{
    ledgers::Ledgers,
    metrics::{Metrics, REQUESTS},
    report::Report,
};
use serde_json::Value;

/// How a request that did not get its own reply can have ended, each in one place, and whether it arrived at a server.
const FINDINGS: [(&str, bool); 9] = [
    ("never_arrived/answered_by_proxy", false),
    ("never_arrived/unanswered", false),
    ("never_arrived/not_written", false),
    ("cached", false),
    ("answered_in_place", true),
    ("cut_on_the_way_back", true),
    ("cut_by_the_server", true),
    ("given_up", true),
    ("crossed", true),
];

/// A kind of finding.
fn count(report: &Report, name: &str) -> u64 {
    report.number(&format!("/verify/{name}/count"))
}

/// How many requests were not given their own reply, and are in the report for that.
pub(super) fn hurt(report: &Report) -> u64 {
    FINDINGS.iter().map(|(name, _)| count(report, name)).sum::<u64>() + report.number("/verify/unjudged")
}

/// Asserts that each request is in one place of the report, and that the ledgers and the counters of the servers at this
/// admin port, which serve nothing else, say the same. Of a server that was killed nothing is left but the counters.
pub(super) async fn assert_agree(report: &Report, admin: SocketAddr) {
    let (verify, sent) = (&report.json()["verify"], report.requests("sent"));
    let (ledgers, metrics) = (Ledgers::read(admin, report).await, Metrics::read(admin).await);
    let number = |name: &str| report.number(&format!("/verify/{name}"));
    assert_eq!(number("sent"), sent, "{verify:#}");
    assert_eq!(report.requests("succeeded") + hurt(report), sent, "each is in one place: {verify:#}");
    for nothing in ["cached", "crossed", "foreign", "payload/truncated", "payload/corrupted"] {
        assert_eq!(count(report, nothing), 0, "{verify:#}");
    }

    assert_eq!(number("arrived"), ledgers.arrived(), "{verify:#}");
    assert_eq!(number("sightings"), ledgers.sightings(), "{verify:#}");
    let ended = |statement: &contract::ledger::Statement| {
        let cut = statement.cut_by_server + statement.cut_by_peer;
        statement.open + statement.whole + cut + statement.refused
    };
    assert_eq!(ledgers.sum(ended), ledgers.sightings(), "each sighting has one end");
    let answered = metrics.sum(REQUESTS, &[("endpoint", "bin"), ("status", "200")]);
    let is_complete = verify["epochs_lost"] == Value::Array(Vec::new());
    if is_complete {
        assert_eq!(number("unjudged"), 0, "{verify:#}");
        let missing: u64 =
            FINDINGS.iter().filter(|(_, came)| !came).map(|(name, _)| count(report, name)).sum();
        assert_eq!(missing, sent - ledgers.arrived(), "{verify:#}");
        let least = report.requests("succeeded") + count(report, "cut_on_the_way_back");
        let most = least + count(report, "answered_in_place") + count(report, "given_up");
        assert!((least..=most).contains(&ledgers.answered()), "{}: {verify:#}", ledgers.answered());
        assert!(answered >= ledgers.sum(|statement| statement.whole), "{answered}: {verify:#}");
    }
    assert!(answered >= report.requests("succeeded"), "{answered}: {verify:#}");

    for (name, came) in FINDINGS {
        let finding = verify.pointer(&format!("/{name}")).expect("a finding");
        let examples = finding["examples"].as_array().expect("examples");
        assert_eq!(examples.len() as u64, count(report, name).min(10), "{name}: {verify:#}");
        for example in examples {
            let number = example["number"].as_u64().expect("a number");
            assert_eq!(ledgers.has(number), came, "{name}: {example:#}");
        }
    }
}

/// Asserts that the parts before, while and after the command of a run are the whole of it, and say what went wrong. One that
/// was due before the command may have been under way when it ran, and been affected by it.
pub(super) fn assert_in_parts(report: &Report) {
    let parts = ["before", "during", "after"];
    let sum =
        |count: &str| parts.iter().map(|part| report.number(&format!("/during/{part}/{count}"))).sum::<u64>();
    let during = &report.json()["during"];
    assert_eq!(sum("succeeded"), report.requests("succeeded"), "{during:#}");
    assert_eq!(sum("unsuccessful"), hurt(report), "what was hurt is named: {during:#}");
    assert_eq!(during["code"], 0, "the command has done its work: {during:#}");
}
