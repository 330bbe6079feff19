//! A proxy is reloaded under load: what was affected is in the report, and the server says the same.

use std::{collections::BTreeSet, time::Duration};

use integration::{
    cases::Cases,
    client::patiently,
    gateways::{ALL, Gateway, Pair, Running},
};
use tokio::time::interval;

use super::{Lab, both_ends, each, verified};

tests!();

/// Longer than Envoy's old process stays.
const AROUND: &str = "--around=2500ms";
/// How often it is looked whether processes have come and gone.
const LOOK: Duration = Duration::from_millis(20);

fn rows() -> Cases {
    let mut cases = Cases::new();
    for gateway in ALL {
        let name = format!("reloaded::{}", gateway.name);
        cases = each(cases, &name, async move || both_ends_report_what_was_damaged(gateway).await);
    }
    cases
}

async fn both_ends_report_what_was_damaged(gateway: Gateway) {
    let Some(lab) = Lab::start(gateway, Pair::Http1) else { return };
    let (before, url) = (lab.proxy.processes(), format!("{}/bin/1K", lab.proxy.url()));
    let ledger = lab.server.admin.to_string();
    let limits = ["-r", "400", "-d", "20s", "-X", "POST", AROUND];
    let (report, _) =
        verified(&[&limits[..], &["--during", lab.proxy.reload(), "--ledger", &ledger, &url]].concat());
    both_ends::assert_in_parts(&report);
    both_ends::assert_agree(&report, lab.server.admin).await;
    // One that does not hear its signal would have lost nothing.
    if gateway.replaces_processes {
        patiently("other processes", replaced(&lab.proxy, &before)).await;
    }
}

/// Waits until others run than these.
async fn replaced(proxy: &Running, before: &BTreeSet<u32>) {
    let mut looks = interval(LOOK);
    while proxy.processes() == *before {
        looks.tick().await;
    }
}
