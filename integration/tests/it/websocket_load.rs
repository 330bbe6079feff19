//! WebSockets of loadgen: counted as the server counts them, over every transport.

use integration::{
    authority::{Authority, Key},
    binaries::{loadgen, loadgen_report},
    cases::{Cases, block_on},
    client::Protocol,
    foreign::python_websockets,
    metrics::{Metrics, REQUESTS},
    report::Report,
    server::Server,
};

tests!();

/// Messages, each with its echo, and none beside them.
fn assert_echoed(report: &Report, messages: u64, size: u64) {
    report.assert_all_succeeded(messages);
    assert_eq!(report.number("/body_bytes"), messages * size);
    for kind in ["lost", "wrong", "unsolicited"] {
        assert_eq!(report.number(&format!("/websocket/{kind}")), 0, "{kind}");
    }
}

fn rows() -> Cases {
    let mut cases = Cases::new();
    for protocol in Protocol::ALL {
        cases = cases.named(format!("websocket_load::every_message_is_echoed::{protocol}"), move || {
            block_on(is_exact(protocol, false));
        });
        cases = cases.named(format!("websocket_load::every_message_is_echoed::{protocol}_tls"), move || {
            block_on(is_exact(protocol, true));
        });
    }
    cases
}

async fn is_exact(protocol: Protocol, tls: bool) {
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let server = Server::with(&[
        "--tls-addr=127.0.0.1:0",
        &format!("--tls-cert={}", certificate.chain.display()),
        &format!("--tls-key={}", certificate.key.display()),
    ]);
    let ca = authority.file();
    let mut base = Vec::new();
    let url = if tls {
        base.extend(["--cacert", ca.to_str().expect("a path in UTF-8")]);
        format!("wss://localhost:{}/ws", server.tls.expect("TLS is served").port())
    } else {
        format!("ws://{}/ws", server.http)
    };
    let (status, each) = match protocol {
        Protocol::Http1 => ("101", 1),
        Protocol::Http2 => {
            base.extend(["--http2", "-m", "5"]);
            ("200", 5)
        }
    };
    let run = |args: &[&str]| loadgen_report(&[&base[..], args, &[&url]].concat());
    assert_echoed(&run(&["-n", "2001", "-c", "3"]), 2001, 64);
    assert_echoed(&run(&["-n", "600", "-r", "1200", "-c", "6", "--workers", "2"]), 600, 64);
    assert_echoed(&run(&["-n", "20", "-c", "2", "--message-size", "1M", "--binary"]), 20, 1 << 20);
    assert_echoed(&run(&["-n", "100", "-c", "2", "-b", "message {{random 10 99}} of {{uuid}}"]), 100, 50);
    let sockets = (3 + 6 + 2 + 2) * each;
    let labels = [("endpoint", "ws"), ("status", status)];
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &labels) >= sockets).await;
    assert_eq!(metrics.sum(REQUESTS, &[]), sockets, "{}", metrics.text());
}

async fn a_path_without_websockets_is_named_and_fails() {
    let server = Server::start();
    for (args, said) in [
        (&["-n", "5"][..], "the handshake of a WebSocket with 200 OK"),
        (&["-n", "5", "--http2"], "the handshake of a WebSocket with"),
        (&["--once"], "the handshake of a WebSocket with 200 OK"),
    ] {
        let url = format!("ws://{}/bin/1K", server.http);
        let finished = loadgen(&[&["--no-progress"], args, &[&url]].concat());
        assert_eq!(finished.code, Some(1), "{args:?}: {finished}");
        let all = format!("{}{}", finished.stdout, finished.stderr).replace("\n  ", " ");
        assert!(all.contains(said), "{args:?}: {finished}");
    }
}

async fn websockets_that_the_server_closes_are_opened_again() {
    let server = Server::start();
    let url = format!("ws://{}/ws/close", server.http);
    // The server answers one message on each WebSocket, and closes it.
    let report = loadgen_report(&["-n", "12", "-c", "3", &url]);
    assert_eq!(report.requests("offered"), 12);
    assert!(report.number("/connections/closed_by_server") > 0, "{:#}", report.json()["connections"]);
}

async fn a_server_in_python_echoes() {
    let Some(server) = python_websockets() else { return };
    let url = format!("ws://{}", server.addresses[0]);
    assert_echoed(&loadgen_report(&["-n", "1000", "-c", "4", &url]), 1000, 64);
    assert_echoed(
        &loadgen_report(&["-n", "300", "-r", "600", "-c", "2", "--ping-interval", "50ms", &url]),
        300,
        64,
    );
    assert_echoed(&loadgen_report(&["-n", "6", "-c", "2", "--message-size", "1M", &url]), 6, 1 << 20);
}
