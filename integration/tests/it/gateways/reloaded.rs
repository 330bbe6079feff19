//! A proxy is reloaded under load: what was hurt by it is in the report, and the server says the same.

use std::time::{Duration, Instant};

use integration::{
    PATIENCE,
    cases::Cases,
    gateways::{ALL, Gateway, Pair},
};

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
        cases = each(cases, &name, async move || both_ends_tell_what_was_hurt(gateway).await);
    }
    cases
}

async fn both_ends_tell_what_was_hurt(gateway: Gateway) {
    let Some(lab) = Lab::start(gateway, Pair::Http1) else { return };
    let (before, url) = (lab.proxy.processes(), format!("{}/bin/1K", lab.proxy.url()));
    let ledger = lab.server.admin.to_string();
    let limits = ["-r", "400", "-d", "20s", "-X", "POST", AROUND];
    let (report, _) =
        verified(&[&limits[..], &["--during", lab.proxy.reload(), "--ledger", &ledger, &url]].concat());
    both_ends::assert_in_parts(&report);
    both_ends::assert_agree(&report, lab.server.admin).await;
    // One that does not hear its signal would have lost nothing.
    let began = Instant::now();
    while gateway.replaces_processes && lab.proxy.processes() == before {
        assert!(began.elapsed() < PATIENCE, "the same processes go on: {before:?}");
        tokio::time::sleep(LOOK).await;
    }
}
