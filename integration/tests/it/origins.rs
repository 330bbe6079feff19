//! loadgen against third-party servers: every request is sent once and succeeds, and every byte is read.

use integration::{
    binaries::loadgen_report,
    cases::Cases,
    client::Protocol,
    foreign::{GO, H2O, Kind, NGHTTPD, NGHTTPD_NARROW, NGINX, PYTHON, PYTHON_OLD},
};

use crate::counts::scheme;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for kind in [NGINX, H2O, NGHTTPD, NGHTTPD_NARROW, GO, PYTHON, PYTHON_OLD] {
        for protocol in kind.speaks {
            let name = format!("origins::{}::{protocol}", kind.name);
            cases = cases.named(name, move || every_request_succeeds(kind, *protocol));
        }
    }
    cases
}

fn every_request_succeeds(kind: Kind, protocol: Protocol) {
    let Some(server) = kind.start(protocol) else { return };
    let base = format!("{}://{}", scheme(protocol), server.addresses[0]);
    let run = |args: &[&str], path: &str, total: u64, body_bytes: u64| {
        let count = total.to_string();
        let report = loadgen_report(&[args, &["-n", &count, &format!("{base}{path}")]].concat());
        report.assert_all_succeeded(total);
        assert_eq!(report.number("/body_bytes"), total * body_bytes, "{args:?} {path}");
    };
    run(&["-c", "4"], "/1K", 1000, 1 << 10);
    run(&["-c", "7", "-m", "1", "--workers", "2"], "/1K", 501, 1 << 10);
    run(&["-r", "1000"], "/1K", 300, 1 << 10);
    run(&["-c", "2", "-m", "3"], "/1M", 12, 1 << 20);
    if kind.echoes {
        let body = "some body ".repeat(2000);
        run(&["-c", "2", "-X", "POST", "-b", &body], "/", 60, 20_000);
    }
}
