//! Reverse proxies of nine makes between the two programs: what both ends say of each request through them.
//!
//! Of a proxy is asked nothing but that it passes requests on when nothing happens. When something does, it may lose some: what
//! is asserted is that loadgen's report and the servers' ledgers say the same of them.

mod both_ends;
mod probed;
mod reloaded;
mod restarted;
mod slow;
mod unharmed;

use integration::{
    authority::{Authority, Issued, Key},
    binaries::loadgen,
    cases::{Cases, block_on},
    gateways::{Gateway, Pair, Running, Tuning},
    process::Finished,
    report::Report,
    server::Server,
};

tests!();

/// A proxy as its authors recommend it, and the server behind it.
struct Lab {
    server: Server,
    proxy: Running,
    _certificate: Option<(Authority, Issued)>,
}

impl Lab {
    /// `None` when the proxy is missing and the test is skipped.
    fn start(gateway: Gateway, pair: Pair) -> Option<Self> {
        let program = gateway.require()?;
        let server = Server::with(&["--instance=behind"]);
        let certificate = (pair == Pair::TlsToHttp1).then(|| {
            let authority = Authority::root();
            let issued = authority.issue("front", Key::Ecdsa);
            (authority, issued)
        });
        let issued = certificate.as_ref().map(|(_, issued)| issued);
        let proxy = gateway.start(&program, pair, Tuning::Recommended, &[server.http], issued);
        Some(Self { server, proxy, _certificate: certificate })
    }
}

/// Adds a test of a proxy.
fn each(cases: Cases, name: &str, body: impl AsyncFnOnce() + Send + 'static) -> Cases {
    cases.named(format!("gateways::{name}"), move || block_on(body()))
}

/// A verified run with a JSON report, whatever it finds.
fn verified(args: &[&str]) -> (Report, Finished) {
    let finished = loadgen(&[&["--no-progress", "-o", "json", "--verify"], args].concat());
    // It reports also when fewer than half succeed.
    assert!(matches!(finished.code, Some(0 | 1 | 99)), "{args:?}: {finished}");
    (Report::parse(&finished.stdout), finished)
}
