//! TLS with third-party clients: curl, openssl and h2load.

use std::{
    io::{Seek as _, Write as _},
    path::Path,
    process::Command,
};

use contract::pattern;
use integration::{
    authority::{Authority, Issued, Key},
    client::Protocol,
    foreign::output,
    metrics::{Metrics, REQUESTS},
    process::{Finished, Process},
    server::Server,
    tools::require,
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

tests!();

fn serve(certificate: &Issued, flags: &[String]) -> Server {
    let own = [
        "--tls-addr=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate.chain.display()),
        format!("--tls-key={}", certificate.key.display()),
    ];
    let flags: Vec<&str> = own.iter().chain(flags).map(String::as_str).collect();
    Server::with(&flags)
}

fn port(server: &Server) -> u16 {
    server.tls.expect("TLS is served").port()
}

fn curl(program: &Path, protocol: Protocol, authority: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "15", "--cacert"]);
    command.arg(authority).arg(if protocol == Protocol::Http1 { "--http1.1" } else { "--http2" });
    command
}

async fn curl_speaks_tls(protocol: Protocol) {
    let Some(program) = require("curl") else { return };
    let (authority, clients) = (Authority::root(), Authority::root());
    for (key, version) in [(Key::Ecdsa, "1.3"), (Key::Rsa, "1.2")] {
        let flags = [format!("--tls-client-ca={}", clients.file().display())];
        let server = serve(&authority.issue("server", key), &flags);
        let shown = clients.issue("curl", Key::Ecdsa);
        let command = |path: &str| {
            let mut command = curl(&program, protocol, &authority.file());
            command.args(["--tls-max", version, "--cert"]).arg(&shown.chain).arg("--key").arg(&shown.key);
            command.arg(format!("https://localhost:{}{path}", port(&server)));
            command
        };
        let echo = output(Process::start(&mut command("/")));
        let echo: Value = serde_json::from_str(&echo).unwrap_or_else(|error| panic!("{error}: {echo}"));
        let tls = &echo["tls"];
        assert_eq!(tls["version"], json!(format!("TLSv{version}")));
        assert_eq!((&tls["alpn"], &tls["sni"]), (&json!(protocol.alpn()), &json!("localhost")));
        assert_eq!(tls["client_subject"], json!("CN=curl, O=dummy"));
        let body = command("/bin/3M").output().expect("curl starts").stdout;
        assert_eq!((body.len(), pattern::verify(0, &body)), (3 << 20, Ok(())));
        let mut file = NamedTempFile::new().expect("a temporary file");
        file.write_all(&vec![b'x'; 3 << 20]).expect("the file is written");
        let data = format!("@{}", file.path().display());
        let said = output(Process::start(command("/upload").args(["--data-binary", &data])));
        let said: Value = serde_json::from_str(&said).expect("the reply is JSON");
        assert_eq!(said["bytes_received"], json!(3 << 20));
    }
}

async fn curl_trusts_our_own_certificate() {
    let Some(program) = require("curl") else { return };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let authority = folder.path().join("ca.pem");
    let own = format!("--tls-self-signed={}", authority.display());
    let server = Server::with(&["--tls-addr=[::]:0", &own, "--instance=pod-7.example"]);
    for host in ["localhost", "127.0.0.1", "[::1]", "pod-7.example"] {
        let mut command = curl(&program, Protocol::Http2, &authority);
        command.arg("--resolve").arg(format!("pod-7.example:{}:127.0.0.1", port(&server)));
        command.arg(format!("https://{host}:{}/health", port(&server)));
        assert_eq!(output(Process::start(&mut command)).trim_end(), r#"{"status":"ok"}"#, "{host}");
    }
    let strangers = Authority::root();
    let mut command = curl(&program, Protocol::Http2, &strangers.file());
    let refused = command.arg(format!("https://localhost:{}/", port(&server))).output().expect("curl starts");
    assert_eq!(
        refused.status.code(),
        Some(60),
        "curl has an exit code for a certificate that it does not trust"
    );
}

async fn h2load_counts_what_the_server_counts_over_tls(protocol: Protocol) {
    let Some(program) = require("h2load") else { return };
    let authority = Authority::root();
    let server = serve(&authority.issue("server", Key::Ecdsa), &[]);
    let mut command = Command::new(&program);
    command.args(["-n", "2001", "-c", "7", "-m", "20"]).arg(format!("--npn-list={}", protocol.alpn()));
    let said = output(Process::start(command.arg(format!("https://localhost:{}/bin/1K", port(&server)))));
    assert!(said.contains("2001 done, 2001 succeeded, 0 failed, 0 errored"), "{said}");
    let name = if protocol == Protocol::Http1 { "HTTP/1.1" } else { "HTTP/2" };
    let labels = [("protocol", name), ("status", "200"), ("endpoint", "bin")];
    Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &labels) == 2001).await;
}

/// One request by `openssl s_client`, which reports much about the connection.
fn s_client(program: &Path, server: &Server, authority: &Path, args: &[&str]) -> Finished {
    let mut request = NamedTempFile::new().expect("a temporary file");
    request
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("the file is written");
    request.rewind().expect("a file can be read again");
    let mut command = Command::new(program);
    command.args(["s_client", "-ign_eof", "-verify_return_error", "-servername", "localhost"]);
    command
        .arg("-connect")
        .arg(format!("127.0.0.1:{}", port(server)))
        .arg("-CAfile")
        .arg(authority)
        .args(args);
    let input = request.reopen().expect("the file is there");
    Process::with_input(&mut command, input).finish(integration::PATIENCE)
}

fn openssl_is_held_to_the_minimum_version() {
    let Some(program) = require("openssl") else { return };
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Rsa);
    for (floor, version, accepted) in [
        ("1.2", "-tls1_1", false),
        ("1.2", "-tls1_2", true),
        ("1.3", "-tls1_2", false),
        ("1.3", "-tls1_3", true),
    ] {
        let server = serve(&certificate, &[format!("--tls-min-version={floor}")]);
        let finished = s_client(&program, &server, &authority.file(), &[version]);
        assert_eq!(finished.stdout.contains("HTTP/1.1 200 "), accepted, "{floor} {version}: {finished}");
        // Security levels of this openssl may keep it from even trying 1.1.
        let alert = finished.stderr.contains("alert protocol version") || version == "-tls1_1";
        assert!(accepted || alert, "{floor} {version}: {finished}");
    }
}

fn openssl_resumes_sessions() {
    let Some(program) = require("openssl") else { return };
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (tickets, version) in [(true, "-tls1_2"), (true, "-tls1_3"), (false, "-tls1_2"), (false, "-tls1_3")] {
        let server = serve(&certificate, &[format!("--tls-tickets={tickets}")]);
        let session = folder.path().join(format!("{tickets}{version}"));
        let session = session.to_str().expect("a path of text");
        let first = s_client(&program, &server, &authority.file(), &[version, "-sess_out", session]);
        assert!(
            first.stdout.contains("\nNew, TLSv1") && first.stdout.contains("\"resumed\":false"),
            "{first}"
        );
        if !tickets {
            assert!(!Path::new(session).exists(), "there is no session to come back to");
            continue;
        }
        let second = s_client(&program, &server, &authority.file(), &[version, "-sess_in", session]);
        assert!(second.stdout.contains("\nReused, TLSv1"), "{second}");
        assert!(second.stdout.contains("\"resumed\":true"), "{second}");
    }
}

fn openssl_sends_a_client_certificate() {
    let Some(program) = require("openssl") else { return };
    let (authority, clients) = (Authority::root(), Authority::root());
    let flags = [format!("--tls-client-ca={}", clients.file().display())];
    let server = serve(&authority.issue("server", Key::Ecdsa), &flags);
    let shown = clients.issue("openssl", Key::Rsa);
    let (chain, key) = (shown.chain.to_str().expect("a text"), shown.key.to_str().expect("a text"));
    let finished = s_client(&program, &server, &authority.file(), &["-cert", chain, "-key", key]);
    let mut command = Command::new(&program);
    command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in", chain]);
    let fingerprint = output(Process::start(&mut command));
    let fingerprint =
        fingerprint.trim().split_once('=').expect("a fingerprint").1.replace(':', "").to_lowercase();
    assert!(finished.stdout.contains(&format!("\"client_fingerprint\":\"{fingerprint}\"")), "{finished}");
    let without = s_client(&program, &server, &authority.file(), &[]);
    assert!(without.stderr.contains("alert certificate required"), "{without}");
}
