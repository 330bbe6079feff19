//! Slow clients, slow servers and, where everything has its full size, a gigabyte each way through each proxy.

use std::fs;

use integration::{
    cases::{Cases, is_full},
    gateways::{ALL, Gateway, Pair},
};

use super::{Lab, both_ends, each, verified};

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for gateway in ALL {
        let name = |what: &str| format!("slow::{}::{what}", gateway.name);
        cases = each(cases, &name("both_ends_agree"), async move || both_ends_agree(gateway).await);
        if is_full() {
            cases =
                each(cases, &name("a_gigabyte_each_way"), async move || a_gigabyte_each_way(gateway).await);
        }
    }
    cases
}

/// A client that reads 256 KiB in a second, and a server that writes as slowly and waits before it does.
async fn both_ends_agree(gateway: Gateway) {
    let Some(lab) = Lab::start(gateway, Pair::Http1) else { return };
    let ledger = lab.server.admin.to_string();
    let shared = ["--zero-loss", "-c", "4", "-n", "8", "--ledger", &ledger];
    let clients = format!("{}/bin/100K", lab.proxy.url());
    let servers = format!("{clients}?dummy-rate=256K&dummy-delay=uniform(1ms,50ms)");
    for own in [&["--recv-rate=256K", &clients][..], &[&servers]] {
        let (report, finished) = verified(&[&shared, own].concat());
        assert_eq!(finished.code, Some(0), "{finished}");
        report.assert_all_succeeded(8);
    }
}

/// Up in four parts, as large as loadgen takes them.
async fn a_gigabyte_each_way(gateway: Gateway) {
    let Some(lab) = Lab::start(gateway, Pair::Http1) else { return };
    let ledger = lab.server.admin.to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body");
    fs::File::create(&body).and_then(|file| file.set_len(256 << 20)).expect("a file with a hole");
    let (down, up) = (format!("{}/bin/1G", lab.proxy.url()), format!("{}/upload", lab.proxy.url()));
    let body = format!("@{}", body.display());
    let shared = ["-c", "1", "--timeout=200s", "--ledger", &ledger];
    for (count, own) in [(1, &["-n", "1", &down][..]), (4, &["-n", "4", "-X", "POST", "-b", &body, &up])] {
        let (report, finished) = verified(&[&shared, own].concat());
        // Whether it takes bodies of that size is the proxy's own affair, and so is what it answers if it does not.
        assert_eq!(report.requests("succeeded") + both_ends::hurt(&report), count, "{finished}");
    }
}
