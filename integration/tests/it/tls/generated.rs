//! loadgen over TLS: what it agrees on, and why it does not.

use std::time::Duration;

use integration::{
    authority::{Authority, Key},
    binaries::{ServerProcess, command, loadgen, loadgen_report},
    process::{Finished, Process},
    server::Server,
};

use super::{flags, serve};

tests!();

/// Every run of loadgen here is meant to end before this time is up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The URL of a server's port with TLS, by a name that its certificate has.
fn url(server: &Server, path: &str) -> String {
    format!("https://localhost:{}{path}", server.tls.expect("TLS is served").port())
}

async fn the_server_chooses_the_protocol_and_the_report_has_what_was_agreed_on() {
    let authority = Authority::root();
    let server = serve(&authority.issue("generated", Key::Ecdsa), &[]);
    let ca = authority.file().to_str().expect("it is text").to_owned();
    for (flags, protocol, alpn) in [
        (&[][..], "HTTP/2 over TLS", "ALPN h2"),
        (&["--http2"], "HTTP/2 over TLS", "ALPN h2"),
        (&["--http1.1"], "HTTP/1.1 over TLS", "ALPN http/1.1"),
    ] {
        let target = url(&server, "/bin/1K");
        let own = ["-n", "200", "-c", "4", "--cacert", &*ca];
        let report = loadgen_report(&[&own[..], flags, &[&*target]].concat());
        report.assert_all_succeeded(200);
        assert_eq!(report.json()["run"]["protocol"], protocol);
        let tls = &report.json()["connections"]["tls"];
        assert!(tls["handshakes"].as_u64().is_some_and(|count| count >= 4), "{tls}");
        let agreed = tls["agreed"].as_object().expect("what was agreed on");
        assert!(agreed.keys().all(|what| what.starts_with("TLSv1.3 TLS_") && what.ends_with(alpn)), "{tls}");
        assert_eq!(report.number("/body_bytes"), 200 << 10);
    }
}

fn failed(args: &[&str]) -> Finished {
    let finished = loadgen(&[&["--no-progress", "-n", "3", "-c", "1"], args].concat());
    assert_eq!(finished.code, Some(1), "{args:?}: {finished}");
    finished
}

/// Said in a run and by `--once`, with what to do.
fn assert_said(cause: &str, advice: &str, args: &[&str]) {
    let run = failed(args);
    let once = loadgen(&[&["--once"], args].concat());
    assert_eq!(once.code, Some(1), "{once}");
    for finished in [run, once] {
        let words = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(cause) && words.contains(advice), "{cause}, {advice}: {finished}");
    }
}

async fn each_failed_handshake_has_its_own_cause_and_says_what_to_do() {
    let authority = Authority::root();
    let server = serve(&authority.issue("generated", Key::Ecdsa), &[]);
    let ca = authority.file().to_str().expect("it is text").to_owned();
    let target = url(&server, "/");
    let another = Authority::root();
    let other = another.file().to_str().expect("it is text").to_owned();
    assert_said("untrusted certificate", "--cacert", &["--cacert", &other, &target]);
    assert_said(
        "certificate of another name",
        "(--sni asks for one)",
        &["--cacert", &ca, "--sni", "example.org", &target],
    );
    let plain = format!("https://{}/", server.http);
    assert_said("not TLS", &format!("write http://{}", server.http), &["--insecure", &plain]);
    let without = format!("http://{}/", server.tls.expect("TLS is served"));
    assert_said("protocol error", "https://", &[&without]);
    let expired = serve(&authority.issue_expired("expired", Key::Ecdsa), &[]);
    assert_said("expired certificate", "--insecure", &["--cacert", &ca, &url(&expired, "/")]);
    let only_http1 = serve(&authority.issue("http1", Key::Ecdsa), &["--tls-alpn=http/1.1"]);
    let trusting = ["--cacert", &*ca];
    assert_said(
        "ALPN mismatch",
        "try --http1.1",
        &[&trusting[..], &["--http2", &url(&only_http1, "/")]].concat(),
    );
    let call = url(&only_http1, "/echo.EchoService/Echo").replace("https", "grpcs");
    assert_said("ALPN mismatch", "has to offer h2", &[&trusting[..], &[&*call]].concat());
    let asking = format!("--tls-client-ca={}", authority.file().display());
    let asking = serve(&authority.issue("asking", Key::Ecdsa), &[&asking, "--tls-client-auth=required"]);
    assert_said("client certificate", "--cert and --key", &[&trusting[..], &[&*url(&asking, "/")]].concat());
    // Whatever the certificate, and by address.
    let by_address = format!("https://{}/", server.tls.expect("TLS is served"));
    assert_eq!(loadgen(&["--once", "-k", &by_address]).code, Some(0));
}

async fn sessions_are_resumed_unless_that_is_refused() {
    let authority = Authority::root();
    let server = serve(&authority.issue("generated", Key::Ecdsa), &[]);
    let ca = authority.file().to_str().expect("it is text").to_owned();
    // Each request ends its connection.
    let target = url(&server, "/bin/10?dummy-close-after=1");
    let own = ["-n", "40", "-c", "1", "--http1.1", "--cacert", &*ca];
    let report = loadgen_report(&[&own[..], &[&*target]].concat());
    assert!(report.number("/connections/tls/resumed") > 30, "{:#}", report.json()["connections"]);
    let report = loadgen_report(&[&own[..], &["--no-tls-resumption", &*target]].concat());
    assert_eq!(report.number("/connections/tls/resumed"), 0);
    assert!(report.number("/connections/tls/handshakes") >= 40);
}

fn options_of_tls_are_checked_before_the_run() {
    for (args, said) in [
        (&["--cacert", "ca.pem", "http://localhost"][..], "--cacert with the target http://localhost:80/"),
        (&["-k", "localhost:80"], "--insecure with the target"),
        (&["--cert", "a.pem", "https://localhost"], "--cert needs --key"),
        (&["--key", "a.pem", "https://localhost"], "--key needs --cert"),
        (&["--cacert", "/missing", "https://localhost"], "can't read /missing"),
        (&["-k", "--sni", "a b", "https://localhost"], "'a b' for --sni"),
        (&["--http2", "--http1.1", "https://localhost"], "exclude each other"),
        (&["-k", "--cacert", "x", "https://localhost"], "exclude each other"),
        (&["--tls-min-version", "1.1", "https://localhost"], "1.2"),
    ] {
        let finished = loadgen(&[&["-n", "1"], args].concat());
        assert_eq!(finished.code, Some(2), "{args:?}: {finished}");
        assert!(finished.stderr.contains(said), "{args:?}: {finished}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    }
}

async fn a_client_shows_its_certificate_and_the_server_reports_it() {
    let authority = Authority::root();
    let ca = authority.file().to_str().expect("it is text").to_owned();
    let asking = format!("--tls-client-ca={ca}");
    let server = serve(&authority.issue("asking", Key::Ecdsa), &[&asking, "--tls-client-auth=required"]);
    let shown = authority.issue("client-7", Key::Ecdsa);
    let (cert, key) = (shown.chain.to_str().expect("text"), shown.key.to_str().expect("text"));
    for version in ["--http1.1", "--http2"] {
        let args = ["--once", version, "--cacert", &ca, "--cert", cert, "--key", key, &*url(&server, "/")];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(finished.stdout.contains("CN=client-7"), "{finished}");
    }
}

async fn a_minimum_version_is_asked_for() {
    let authority = Authority::root();
    let ca = authority.file().to_str().expect("it is text").to_owned();
    let server = serve(&authority.issue("generated", Key::Ecdsa), &["--tls-min-version=1.3"]);
    let old = ["--once", "--cacert", &ca, "--tls-min-version", "1.3", &*url(&server, "/")];
    let finished = loadgen(&old);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert!(finished.stdout.contains("TLSv1.3"), "{finished}");
}

async fn secrets_of_sessions_are_logged_at_both_ends_and_are_the_same() {
    let authority = Authority::root();
    let (ca, folder) = (authority.file(), authority.directory());
    let (theirs, ours) = (folder.join("server.keys"), folder.join("client.keys"));
    let issued = authority.issue("generated", Key::Ecdsa);
    let flags = flags(&issued);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = ServerProcess::start_with_variable("SSLKEYLOGFILE", &theirs, &flags);
    let target = format!("https://{}/", server.tls.expect("TLS is served"));
    let args = ["--once", "--cacert", ca.to_str().expect("text"), &target];
    let finished = Process::start(command("loadgen").env("SSLKEYLOGFILE", &ours).args(args)).finish(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished}");
    let lines = |file: &std::path::Path| {
        let text = std::fs::read_to_string(file).expect("secrets were logged");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let ours = lines(&ours);
    assert!(ours.iter().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{ours:?}");
    assert_eq!(ours, lines(&theirs));
}

async fn a_file_that_secrets_can_not_be_logged_to_is_named_once_and_the_server_serves() {
    let authority = Authority::root();
    let flags = flags(&authority.issue("generated", Key::Ecdsa));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let folder = authority.directory();
    let server = ServerProcess::start_with_variable("SSLKEYLOGFILE", folder, &flags);
    let (ca, target) = (authority.file(), format!("https://{}/", server.tls.expect("TLS is served")));
    let finished = loadgen(&["--once", "--cacert", ca.to_str().expect("text"), &target]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let said = format!("can't append to {}, which SSLKEYLOGFILE names: ", folder.display());
    let count = server.process().await_stderr("the warning", |log| {
        let count = log.matches(&said).count();
        (count > 0).then_some(count)
    });
    assert_eq!(count, 1);
}
