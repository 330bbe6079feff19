//! Servers behind a proxy are killed and restarted under load: what was affected is in the report, and those that are left
//! say the same.

use integration::{
    cases::Cases,
    gateways::{ALL, Gateway, HAPROXY, NGINX, Pair, Running, Tuning},
    report::Report,
    tools::require,
};
use serde_json::Value;

use super::{both_ends, each, verified};
use crate::instances::Several;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for gateway in ALL.iter().filter(|gateway| gateway.balances.is_ok()) {
        let (name, gateway) = (format!("restarted::{}::one_of_two_is_killed", gateway.name), *gateway);
        cases = each(cases, &name, async move || one_of_two_is_killed(gateway).await);
    }
    for gateway in [NGINX, HAPROXY] {
        let name = format!("restarted::{}::both_are_restarted_in_turn", gateway.name);
        cases = each(cases, &name, async move || both_are_restarted_in_turn(gateway).await);
    }
    cases
}

/// A proxy as its authors recommend it, and the two servers behind it; `None` when something is missing and the test is
/// skipped.
async fn two_behind(gateway: Gateway) -> Option<(Several, Running)> {
    let program = gateway.require()?;
    require("curl")?;
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--drain-delay=300ms"]);
    let servers = [several.http("a").await, several.http("b").await];
    let proxy = gateway.start(&program, Pair::Http1, Tuning::Recommended, &servers, None);
    Some((several, proxy))
}

fn run(several: &Several, proxy: &Running, rate: &str, command: &str) -> Report {
    let (url, ledger) = (format!("{}/bin/1K", proxy.url()), several.admin.to_string());
    let limits = ["-X", "POST", "-r", rate, "-d", "20s", "--around=700ms", "--timeout=10s"];
    verified(&[&limits[..], &["--during", command, "--ledger", &ledger, &url]].concat()).0
}

async fn one_of_two_is_killed(gateway: Gateway) {
    let Some((several, proxy)) = two_behind(gateway).await else { return };
    let kill = format!("curl -fsSX POST http://{}/instances/a/kill", several.admin);
    let report = run(&several, &proxy, "400", &kill);
    both_ends::assert_in_parts(&report);
    both_ends::assert_agree(&report, several.admin).await;
    let verify = &report.json()["verify"];
    // What the killed one has seen went with it, and the report says so.
    let lost = verify["epochs_lost"].as_array().expect("a list");
    assert_eq!(lost.len(), 1, "{verify:#}");
    let replies = lost[0][1].as_u64().expect("replies");
    assert!(replies > 0, "both have served: {verify:#}");
    let by_others = verify["servers"].as_array().expect("servers").iter();
    let by_others: u64 = by_others.map(|server| server["replies"].as_u64().expect("replies")).sum();
    assert_eq!(by_others + replies, report.requests("succeeded"), "{verify:#}");
}

/// As an operator would: each is drained, has ended, is started, and serves, before it is the other's turn.
async fn both_are_restarted_in_turn(gateway: Gateway) {
    let Some((several, proxy)) = two_behind(gateway).await else { return };
    let command = format!(
        "set -e
         becomes() {{ n=0; until \"$@\"; do n=$((n + 1)); [ $n -lt 300 ]; sleep 0.05; done; }}
         has_ended() {{ curl -fsS $url | grep -q '\"phase\": \"ended\"'; }}
         serves() {{ curl -fsS $url/readyz; }}
         for name in a b; do
           url=http://{}/instances/$name
           curl -fsSX POST $url/drain
           becomes has_ended
           curl -fsSX POST $url/start
           becomes serves
         done",
        several.admin
    );
    let report = run(&several, &proxy, "2000", &command);
    both_ends::assert_in_parts(&report);
    both_ends::assert_agree(&report, several.admin).await;
    let verify = &report.json()["verify"];
    assert_eq!(verify["epochs_lost"], Value::Array(Vec::new()), "drained servers can be asked: {verify:#}");
    // Whether a proxy asks a server again soon after it has come back is its own affair.
    for name in ["a", "b"] {
        assert_eq!(several.shown(name).await["starts"], 2, "{name}");
        let is_it = |server: &Value| server["instance"] == name;
        assert!(verify["servers"].as_array().is_some_and(|servers| servers.iter().any(is_it)), "{verify:#}");
    }
}
