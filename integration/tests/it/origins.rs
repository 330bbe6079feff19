//! loadgen against third-party servers: every request is sent once and succeeds, and every byte is read.

use integration::{
    authority::{Authority, Key},
    binaries::{command, loadgen_report},
    cases::Cases,
    client::Protocol,
    foreign::{
        CADDY, GO, H2O, NGHTTPD, NGHTTPD_NARROW, NGINX, OriginKind, PYTHON, PYTHON_OLD, caddy_before, go_grpc,
    },
    launch::Launched,
    metrics::{Metrics, REQUESTS},
    proxies::HAPROXY_TLS_V2,
    proxy::{Behind, Proxy},
    server::Server,
    tools::require,
};
use serde_json::json;

use crate::counts::scheme;

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for kind in [NGINX, H2O, CADDY, NGHTTPD, NGHTTPD_NARROW, GO, PYTHON, PYTHON_OLD] {
        for protocol in kind.speaks {
            let name = format!("origins::{}::{protocol}", kind.name);
            cases = cases.named(name, move || every_request_succeeds(kind, *protocol));
        }
    }
    for kind in [NGINX, H2O, CADDY] {
        for protocol in Protocol::ALL {
            let name = format!("origins::{}::{protocol}_tls", kind.name);
            cases = cases.named(name, move || every_request_succeeds_over_tls(kind, protocol));
        }
    }
    cases
}

fn every_request_succeeds(kind: OriginKind, protocol: Protocol) {
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

/// What loadgen takes for a protocol over TLS, where this authority is trusted.
fn over_tls(protocol: Protocol, authority: &str) -> [&str; 3] {
    let version = match protocol {
        Protocol::Http1 => "--http1.1",
        Protocol::Http2 => "--http2",
    };
    ["--cacert", authority, version]
}

fn every_request_succeeds_over_tls(kind: OriginKind, protocol: Protocol) {
    let authority = Authority::root();
    let Some(server) = kind.start_tls(protocol, &authority.issue("server", Key::Ecdsa)) else { return };
    let base = format!("https://localhost:{}", server.addresses[0].port());
    let (ca, version) = (authority.file(), protocol.alpn());
    let flags = over_tls(protocol, ca.to_str().expect("a path in UTF-8"));
    for (args, path, total, size) in [
        (&["-c", "4"][..], "/1K", 500, 1 << 10),
        (&["-c", "2", "-r", "1000"], "/1K", 200, 1 << 10),
        // With a handshake for each.
        (&["-c", "2", "--no-keepalive"], "/1K", 20, 1 << 10),
        (&["-c", "2", "-m", "3"], "/1M", 6, 1 << 20),
    ] {
        let (count, url) = (total.to_string(), format!("{base}{path}"));
        let report = loadgen_report(&[&flags[..], args, &["-n", &count, &url]].concat());
        report.assert_all_succeeded(total);
        assert_eq!(report.number("/body_bytes"), total * size, "{args:?} {path}");
        let agreed = report.json()["connections"]["tls"]["agreed"].to_string();
        assert!(agreed.contains(&format!("ALPN {version}")), "{agreed}");
    }
}

/// Without TLS and over it: unary calls, and streams either way.
async fn calls_to_a_server_in_go_succeed() {
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let ca = authority.file();
    let ca = ["--cacert", ca.to_str().expect("a path in UTF-8")];
    for (scheme, certificate, trust) in [("grpc", None, &[][..]), ("grpcs", Some(&certificate), &ca)] {
        let Some(server) = go_grpc(certificate) else { return };
        let run = |method: &str, body: &str, more: &[&str]| {
            let port = server.addresses[0].port();
            let url = format!("{scheme}://localhost:{port}/grpc.testing.TestService/{method}");
            let args = ["-c", "2", "-m", "5", "-b", body, &url];
            loadgen_report(&[trust, more, &args].concat())
        };
        let message = json!({ "response_size": 100, "payload": { "body": "AAAA" } }).to_string();
        for load in
            [&["-n", "500"][..], &["-n", "200", "-r", "1000"], &["-n", "50", "--grpc-encoding", "gzip"]]
        {
            run("UnaryCall", &message, load).assert_all_succeeded(load[1].parse().expect("a number"));
        }
        let messages = json!({ "response_parameters": [{ "size": 10 }, { "size": 20_000 }] }).to_string();
        let report = run("StreamingOutputCall", &messages, &["-n", "50"]);
        report.assert_all_succeeded(50);
        assert_eq!(report.number("/grpc/messages_received"), 100);
        let one = json!({ "response_parameters": [{ "size": 10 }] }).to_string();
        let report = run("FullDuplexCall", &one, &["-n", "50", "--messages", "3"]);
        report.assert_all_succeeded(50);
        assert_eq!(
            (report.number("/grpc/messages_sent"), report.number("/grpc/messages_received")),
            (150, 150)
        );
        let status = json!({ "response_status": { "code": 7, "message": "not for you" } }).to_string();
        let report = run("UnaryCall", &status, &["-n", "30"]);
        assert_eq!(report.json()["grpc"]["statuses"], json!({ "PERMISSION_DENIED": 30 }));
        assert_eq!(report.json()["grpc"]["errors"][0]["example"], "not for you");
        let slow = json!({ "response_parameters": [{ "size": 10, "interval_us": 60_000_000 }] }).to_string();
        let report = run("StreamingOutputCall", &slow, &["-n", "12", "--deadline", "50ms"]);
        // This server resets streams whose method does not keep the deadline.
        assert_eq!(report.json()["grpc"]["statuses"], json!({ "DEADLINE_EXCEEDED": 12 }));
    }
}

async fn calls_to_a_server_of_tonic_succeed() {
    let server = Launched::start("tonic-server", |[address], _| {
        let mut command = command("tonic-server");
        command.arg(address.to_string());
        command
    });
    let url = format!("grpc://{}/echo.EchoService/", server.addresses[0]);
    for load in [&["-n", "500"][..], &["-n", "200", "-r", "1000"]] {
        let report = loadgen_report(&[load, &["-c", "2", "-m", "5", &format!("{url}Echo")]].concat());
        report.assert_all_succeeded(load[1].parse().expect("a number"));
    }
    let report = loadgen_report(&["-n", "30", &format!("{url}StreamEcho")]);
    assert_eq!(report.json()["grpc"]["statuses"], json!({ "UNIMPLEMENTED": 30 }));
}

/// HTTP and WebSockets through Caddy, which ends TLS.
async fn what_caddy_passes_on_is_counted() {
    let server = Server::with(&["--instance=behind"]);
    let authority = Authority::root();
    let Some(caddy) = caddy_before(server.http, &authority.issue("server", Key::Ecdsa)) else { return };
    let (port, ca) = (caddy.addresses[0].port(), authority.file());
    let trust = ["--cacert", ca.to_str().expect("a path in UTF-8")];
    for version in ["--http1.1", "--http2"] {
        let url = format!("https://localhost:{port}/bin/1K");
        loadgen_report(&[&trust[..], &["-n", "300", "-c", "3", version, &url]].concat())
            .assert_all_succeeded(300);
    }
    let url = format!("wss://localhost:{port}/ws");
    let report = loadgen_report(&[&trust[..], &["-n", "300", "-c", "3", &url]].concat());
    report.assert_all_succeeded(300);
    assert_eq!(report.number("/websocket/lost"), 0);
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 603).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "bin"), ("status", "200")]), 600);
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "ws"), ("status", "101")]), 3);
}

/// HAProxy ends TLS.
async fn what_haproxy_passes_on_is_counted(protocol: Protocol) {
    let Some(program) = require(HAPROXY_TLS_V2.tool) else { return };
    let server = Server::with(&["--proxy-protocol=required"]);
    let authority = Authority::root();
    let certificate = authority.issue("front", Key::Ecdsa);
    let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("a file that was written");
    let files =
        [("front.pem", text(&certificate.chain) + &text(&certificate.key)), ("clients.pem", authority.pem())];
    let behind = Behind { http: server.http, grpc: server.grpc };
    let proxy = Proxy::start_with(HAPROXY_TLS_V2, &program, behind, &files);
    let ca = authority.file();
    let flags = over_tls(protocol, ca.to_str().expect("a path in UTF-8"));
    let front = match protocol {
        Protocol::Http1 => proxy.fronts.http1,
        Protocol::Http2 => proxy.fronts.h2c,
    };
    let run = |load: &[&str], url: &str| loadgen_report(&[&flags[..], load, &[url]].concat());
    let url = format!("https://localhost:{}/bin/1K", front.port());
    run(&["-n", "300", "-c", "3"], &url).assert_all_succeeded(300);
    run(&["-n", "200", "-c", "3", "-r", "1000"], &url).assert_all_succeeded(200);
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 500).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "bin"), ("status", "200")]), 500);
}
