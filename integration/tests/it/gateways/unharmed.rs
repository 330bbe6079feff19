//! Nothing happens, and not one alarm is raised: GETs and POSTs over each pair of protocols.

use std::fs;

use integration::{
    cases::Cases,
    gateways::{ALL, ENVOY, Gateway, Pair},
    ledgers::Ledgers,
    metrics::{Metrics, REQUESTS},
};

use super::{Lab, both_ends, each, verified};

tests!();

const SENT: u64 = 2000;

fn rows() -> Cases {
    let mut cases = Cases::new();
    for gateway in ALL {
        for pair in gateway.pairs {
            let name = format!("unharmed::{}::{pair}", gateway.name);
            cases = each(cases, &name, async move || nothing_is_found(gateway, *pair).await);
        }
    }
    cases
}

async fn nothing_is_found(gateway: Gateway, pair: Pair) {
    let Some(Lab { server, proxy, _certificate }) = Lab::start(gateway, pair) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "target: {}\nrequests:\n- {{path: /bin/1K}}\n- {{path: /bin/2K, method: POST, body: 'a body of {{{{seq}}}}'}}\n\
         load: {{total: {SENT}, connections: 4}}\n",
        proxy.url()
    );
    fs::write(&plan, text).expect("the plan is written");
    let (plan, ledger) = (plan.display().to_string(), server.admin.to_string());
    let trust = if pair == Pair::TlsToHttp1 { &["-k"][..] } else { &[] };
    let (report, finished) = verified(&[&["--zero-loss", "--ledger", &ledger, "-f", &plan], trust].concat());
    assert_eq!(finished.code, Some(0), "{finished}");
    report.assert_all_succeeded(SENT);
    both_ends::assert_agree(&report, server.admin).await;
    let ledgers = Ledgers::read(server.admin, &report).await;
    assert_eq!((ledgers.arrived(), ledgers.sightings(), ledgers.answered()), (SENT, SENT, SENT));
    let counted = Metrics::read(server.admin).await.sum(REQUESTS, &[("endpoint", "bin"), ("status", "200")]);
    // A canary for each kind of request has gone ahead.
    let canaries = report.json()["verify"]["tokens"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!(counted, SENT + canaries, "the server's own counter");
    assert_eq!(report.number("/verify/arrived"), SENT);
}

/// Envoy shares memory with the one that replaces it, and leaves it to others to take that away.
fn an_envoy_leaves_no_shared_memory_behind() {
    let Some(lab) = Lab::start(ENVOY, Pair::Http1) else { return };
    let memory = lab.proxy.left_behind().expect("it shares memory").to_owned();
    assert!(memory.exists(), "{}", memory.display());
    drop(lab);
    assert!(!memory.exists(), "{}", memory.display());
}
