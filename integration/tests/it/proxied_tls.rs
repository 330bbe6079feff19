//! nginx and Envoy end the TLS of loadgen: what both ends count agrees.

use std::{fs, path::Path};

use integration::{
    authority::{Authority, Key},
    binaries::loadgen_report,
    cases::{Cases, block_on},
    client::Protocol,
    metrics::{Metrics, REQUESTS},
    proxies::{ENVOY_TLS, NGINX_TLS},
    proxy::{Behind, Kind, Proxy},
    report::Report,
    server::Server,
    tools::require,
};
use serde_json::json;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for kind in [NGINX_TLS, ENVOY_TLS] {
        for protocol in Protocol::ALL {
            let name = format!("every_request_is_counted_over_{protocol}");
            cases = each(cases, kind, &name, async move |lab| {
                every_request_is_counted(&lab, protocol).await;
            });
        }
        cases = each(cases, kind, "the_preferred_protocol_is_agreed_on", async |lab| {
            the_preferred_protocol_is_agreed_on(&lab);
        });
        cases =
            each(cases, kind, "messages_are_echoed", async move |lab| messages_are_echoed(&lab, kind).await);
        cases = each(cases, kind, "every_call_is_counted", async |lab| every_call_is_counted(&lab).await);
        cases = each(cases, kind, "another_authority_is_not_trusted", async |lab| {
            another_authority_is_not_trusted(&lab).await;
        });
    }
    cases
}

/// A proxy that ends TLS, the server behind it, and the authority that has signed for the proxy.
struct Lab {
    server: Server,
    proxy: Proxy,
    authority: Authority,
}

fn each(cases: Cases, kind: Kind, name: &str, body: impl AsyncFnOnce(Lab) + Send + 'static) -> Cases {
    cases.named(format!("proxied_tls::{}::{name}", kind.tool), move || {
        let Some(program) = require(kind.tool) else { return };
        let server = Server::with(&["--instance=behind"]);
        let authority = Authority::root();
        let certificate = authority.issue("front", Key::Ecdsa);
        let text = |path: &Path| fs::read_to_string(path).expect("a file that was written");
        let files = [("front.pem", text(&certificate.chain) + &text(&certificate.key))];
        let behind = Behind { http: server.http, grpc: server.grpc };
        let proxy = Proxy::start_with(kind, &program, behind, &files);
        block_on(body(Lab { server, proxy, authority }));
    })
}

impl Lab {
    /// What loadgen reports where the authority is trusted.
    fn report(&self, args: &[&str]) -> Report {
        let ca = self.authority.file();
        loadgen_report(&[&["--cacert", ca.to_str().expect("a path in UTF-8")], args].concat())
    }

    /// The port where each version of HTTP is spoken.
    fn both(&self) -> u16 {
        self.proxy.fronts.h2c.port()
    }
}

/// Asserts that the server behind is the only one that has answered.
fn assert_behind(report: &Report) {
    let backends = &report.json()["backends"];
    assert_eq!(backends.to_string().matches("behind").count(), 1, "{backends:#}");
}

async fn every_request_is_counted(lab: &Lab, protocol: Protocol) {
    let (version, alone) = match protocol {
        Protocol::Http1 => ("--http1.1", lab.proxy.fronts.http1.port()),
        Protocol::Http2 => ("--http2", lab.both()),
    };
    let mut total = 0;
    for port in [alone, lab.both()] {
        for (load, count) in [
            (&["-n", "1000", "-c", "4"][..], 1000),
            (&["-n", "500", "-c", "4", "-r", "1500"], 500),
            // With a handshake for each.
            (&["-n", "30", "-c", "3", "--no-keepalive"], 30),
        ] {
            let report =
                lab.report(&[load, &[version, &format!("https://localhost:{port}/bin/1K")]].concat());
            report.assert_all_succeeded(count);
            assert_behind(&report);
            assert_eq!(report.number("/body_bytes"), count << 10, "{load:?}");
            let handshakes = report.number("/connections/tls/handshakes");
            assert_eq!(handshakes, report.number("/connections/opened"), "{load:?}");
            assert!(!load.contains(&"--no-keepalive") || handshakes >= count, "{load:?}: {handshakes}");
            total += count;
        }
    }
    let missing = lab.report(&[version, "-n", "200", &format!("https://localhost:{alone}/status/404")]);
    assert_eq!((missing.requests("client_errors"), missing.requests("succeeded")), (200, 0));
    let metrics = Metrics::until(lab.server.admin, |m| m.sum(REQUESTS, &[]) >= total + 200).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "bin"), ("status", "200")]), total);
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "status"), ("status", "404")]), 200);
    assert_eq!(metrics.sum(REQUESTS, &[]), total + 200, "{}", metrics.text());
}

/// Without a word about the version: HTTP/2 where it is offered.
fn the_preferred_protocol_is_agreed_on(lab: &Lab) {
    for (port, alpn) in [(lab.both(), "h2"), (lab.proxy.fronts.http1.port(), "http/1.1")] {
        let report = lab.report(&["-n", "100", &format!("https://localhost:{port}/bin/1K")]);
        report.assert_all_succeeded(100);
        let agreed = report.json()["connections"]["tls"]["agreed"].to_string();
        assert!(agreed.contains(&format!("ALPN {alpn}")), "{agreed}");
    }
}

async fn messages_are_echoed(lab: &Lab, kind: Kind) {
    let mut sockets = [0; 2];
    // Behind the second port, Envoy speaks HTTP/2 and begins WebSockets by extended CONNECT.
    for (index, port) in [lab.proxy.fronts.http1.port(), lab.both()].into_iter().enumerate() {
        let url = format!("wss://localhost:{port}/ws");
        for load in [&["-n", "600", "-c", "4"][..], &["-n", "200", "-c", "2", "-r", "600"]] {
            let report = lab.report(&[load, &[&url]].concat());
            report.assert_all_succeeded(load[1].parse().expect("a number"));
            assert_eq!(report.number("/websocket/lost"), 0);
            assert_behind(&report);
            sockets[index] += report.number("/connections/opened");
        }
    }
    let all = sockets.iter().sum();
    let metrics = Metrics::until(lab.server.admin, |m| m.sum(REQUESTS, &[]) >= all).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "ws")]), all, "{}", metrics.text());
    let connected = if kind.tool == "envoy" { sockets[1] } else { 0 };
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "ws"), ("protocol", "HTTP/2")]), connected);
}

async fn every_call_is_counted(lab: &Lab) {
    let base = format!("grpcs://localhost:{}/echo.EchoService/", lab.proxy.fronts.grpc.port());
    let (unary, stream) = (format!("{base}Echo"), format!("{base}StreamEcho"));
    for load in [&["-n", "1000", "-c", "3"][..], &["-n", "300", "-c", "3", "-r", "1000"]] {
        let report = lab.report(&[load, &[&unary]].concat());
        let count = load[1].parse().expect("a number");
        report.assert_all_succeeded(count);
        assert_eq!(report.json()["grpc"]["statuses"], json!({ "OK": count }));
    }
    let report = lab.report(&["-n", "100", "-c", "3", "--messages", "20", &stream]);
    report.assert_all_succeeded(100);
    let messages = ["/grpc/messages_sent", "/grpc/messages_received"].map(|name| report.number(name));
    assert_eq!(messages, [2000, 2000]);
    let denied = lab.report(&["-n", "50", "-b", "{\"message\": \"x\", \"responseCode\": 7}", &unary]);
    assert_eq!(denied.json()["grpc"]["statuses"], json!({ "PERMISSION_DENIED": 50 }));
    // One question to reflection, about the message that was given.
    let calls = 1000 + 300 + 100 + 50 + 1;
    let labels = [("endpoint", "grpc"), ("protocol", "HTTP/2"), ("status", "200")];
    let metrics = Metrics::until(lab.server.admin, |m| m.sum(REQUESTS, &labels) >= calls).await;
    assert_eq!(metrics.sum(REQUESTS, &[]), calls, "{}", metrics.text());
}

async fn another_authority_is_not_trusted(lab: &Lab) {
    let other = Authority::root();
    let file = other.file();
    let trust = ["--cacert", file.to_str().expect("a path in UTF-8"), "--http1.1", "-n", "20"];
    let report = loadgen_report(&[&trust[..], &[&format!("https://localhost:{}/", lab.both())]].concat());
    assert_eq!((report.requests("succeeded"), report.requests("transport_failed")), (0, 20));
    assert_eq!(Metrics::read(lab.server.admin).await.sum(REQUESTS, &[]), 0);
}
