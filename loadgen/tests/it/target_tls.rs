//! TLS of several targets in one run, each with what is its own; and what is said of certificates that can't be used.

use std::{
    io,
    net::{Shutdown, TcpStream},
    path::PathBuf,
    thread,
};

use loadgen::{Run, Summary, plan::file::PlanFile};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    peer::{failures, finish, run, serve},
    server::Server,
};

/// An authority, and what it has signed for a server and for a client, in files of a folder.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { folder: tempfile::tempdir().unwrap(), issuer };
        authority.write("ca.pem", &authority.issuer.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["127.0.0.1".to_owned(), "own.example".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority.issuer).unwrap();
            authority.write(&format!("{name}.pem"), &certificate.pem());
            authority.write(&format!("{name}.key"), &key.serialize_pem());
        }
        authority
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A server that shows what it has signed, and prefers these protocols.
    fn preferring(&self, alpn: &str) -> Server {
        let of = |flag: &str, name: &str| format!("--tls-{flag}={}", self.path(name).display());
        let [cert, key] = [of("cert", "server.pem"), of("key", "server.key")];
        Server::with(&["--tls-addr=127.0.0.1:0", &cert, &key, &format!("--tls-alpn={alpn}")])
    }

    /// A server that shows what it has signed, and wants the same of its clients.
    fn server(&self) -> Server {
        let of = |flag: &str, name: &str| format!("--tls-{flag}={}", self.path(name).display());
        let files = [of("cert", "server.pem"), of("key", "server.key"), of("client-ca", "ca.pem")];
        let [cert, key, ca] = &files;
        Server::with(&["--tls-addr=127.0.0.1:0", "--tls-client-auth=required", cert, key, ca])
    }
}

fn planned(text: &str, beside: &Authority) -> Summary {
    let file = PlanFile::parse(text, "plan.yaml", beside.folder.path()).unwrap();
    finish(Run::new(file.builder(None).unwrap().build().unwrap()))
}

#[test]
fn each_target_has_its_own_authority_and_certificate() {
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (server_a, server_b) = (a.server(), b.server());
    let own = |of: &Authority, names: [&str; 3]| {
        let [ca, cert, key] = names.map(|name| of.path(name).display().to_string());
        format!("cacert: {ca}, cert: {cert}, key: {key}")
    };
    let of_b = own(&b, ["ca.pem", "client.pem", "client.key"]);
    for (of_a, version) in [
        ("cacert: ca.pem, cert: client.pem, key: client.key", "Any"),
        ("insecure: true, cert: client.pem, key: client.key, tls_min_version: 1.3", "Any"),
        ("cacert: ca.pem, sni: own.example, cert: client.pem, key: client.key", "Http1"),
        ("cacert: ca.pem, sni: own.example, cert: client.pem, key: client.key", "Http2"),
    ] {
        let text = format!(
            "targets: [{{url: 'https://{}', {of_a}}}, {{url: 'https://{}', {of_b}}}]\n\
             defaults: {{path: /bin/7}}\nload: {{total: 20, connections: 2}}\n",
            server_a.tls(),
            server_b.tls()
        );
        let version = match version {
            "Http1" => loadgen::plan::Version::Http1,
            "Http2" => loadgen::plan::Version::Http2,
            _ => loadgen::plan::Version::Any,
        };
        let file = PlanFile::parse(&text, "plan.yaml", a.folder.path()).unwrap();
        let plan = file.builder(None).unwrap().version(version).build().unwrap();
        let summary = finish(Run::new(plan));
        assert_eq!(summary.records.counts.succeeded, 20, "{of_a}: {:?}", failures(&summary));
        assert_eq!(summary.records.body_bytes, 140, "{of_a}");
    }
}

#[test]
fn a_target_without_its_own_has_what_the_run_has() {
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (server_a, server_b) = (a.server(), b.server());
    let text = format!(
        "targets: ['https://{}', {{url: 'https://{}', cacert: {}}}]\n\
         load: {{total: 8, connections: 2, timeout: 5s}}\n",
        server_a.tls(),
        server_b.tls(),
        b.path("ca.pem").display()
    );
    let file = PlanFile::parse(&text, "plan.yaml", a.folder.path()).unwrap();
    let builder = file.builder(None).unwrap().version(loadgen::plan::Version::Http1);
    let builder = builder.cacert(a.path("ca.pem"));
    let plan = builder.identity(Some(a.path("client.pem")), Some(a.path("client.key"))).build().unwrap();
    let summary = finish(Run::new(plan));
    // The other one is shown the run's certificate, which another authority has signed.
    assert_eq!((summary.records.counts.succeeded, summary.records.counts.transport_failed), (4, 4));
    let causes: Vec<_> = failures(&summary).into_iter().map(|(cause, _)| cause).collect();
    assert_eq!(causes, ["client certificate"], "{causes:?}");
}

#[test]
fn options_that_no_target_can_have_are_refused_in_their_place() {
    let authority = Authority::new("a");
    for (targets, said) in [
        ("[{url: 'http://a', cacert: ca.pem}]", "plan.yaml:1:11: cacert with the target http://a:80/"),
        ("[{url: 'https://a', cert: client.pem}]", "plan.yaml:1:11: cert needs key"),
        ("[{url: 'https://a', cacert: none.pem}]", "plan.yaml:1:11: "),
        ("[{cacert: ca.pem}]", "plan.yaml:1:11: a target without a url"),
        ("[{url: 'https://a', sni: ''}]", "plan.yaml:1:11: "),
        ("[{url: 'https://a', insecure: 1}]", "plan.yaml:1:40: invalid value '1' for insecure"),
        ("[{url: 'https://a', insecure: true, cacert: b}]", "insecure and cacert exclude each other"),
        ("[{url: 'https://a', tls_min_version: 1.1}]", "invalid value '1.1' for tls_min_version"),
        ("[{url: 'https://a', x: 1}]", "x"),
        (
            "[{url: 'https://a', insecure: true}, {url: 'https://a:443', sni: b}]",
            "plan.yaml:1:47: https://a:443/ for the second time",
        ),
    ] {
        let text = format!("targets: {targets}\n");
        let refused = PlanFile::parse(&text, "plan.yaml", authority.folder.path())
            .and_then(|file| file.builder(None)?.build())
            .unwrap_err()
            .to_string();
        assert!(refused.contains(said) && refused.contains("example: "), "{targets}: {refused}");
    }
}

#[test]
fn a_target_given_beside_the_plan_has_nothing_of_its_targets() {
    let authority = Authority::new("a");
    let text = "targets: [{url: 'https://a', cacert: none.pem}]\n";
    let file = PlanFile::parse(text, "plan.yaml", authority.folder.path()).unwrap();
    assert!(file.builder(Some("http://b")).unwrap().build().is_ok());
}

#[test]
fn an_authority_that_is_its_own_server_gets_advice() {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [cert, key_file] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let server = Server::with(&[
        "--tls-addr=127.0.0.1:0",
        &format!("--tls-cert={}", cert.display()),
        &format!("--tls-key={}", key_file.display()),
    ]);
    let url = format!("https://{}", server.tls());
    let summary = run(&format!("-n 1 -c 1 --http2 --cacert {} {url}", cert.display()));
    let (_, seen) = summary.records.failures.iter().next().unwrap();
    assert!(seen.example.contains("(CA:TRUE)") && seen.example.contains("--insecure"), "{}", seen.example);
    assert_eq!(run(&format!("-n 1 -c 1 --http2 --insecure {url}")).records.counts.succeeded, 1);
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_where_the_server_speaks_http1_alone() {
    let server = Authority::new("a").preferring("http/1.1");
    let summary = run(&format!("-n 2 -c 1 https://{}", server.tls()));
    assert_eq!(failures(&summary), [("untrusted certificate".to_owned(), 2)]);
}

#[test]
fn a_server_that_is_not_there_when_its_protocol_is_asked_for_is_spoken_to_in_http1_and_the_report_says_so() {
    for alpn in ["http/1.1", "h2,http/1.1"] {
        let server = Authority::new("a").preferring(alpn);
        let tls = server.tls();
        // The first connection is the one that asks.
        let late = serve(move |number, client| {
            if number == 0 {
                return;
            }
            let server = TcpStream::connect(tls).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let there = thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to) = (server, client);
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
            there.join().unwrap();
        });
        let summary = run(&format!("-k -n 4 -c 1 https://{}", late.address));
        assert_eq!(
            (summary.records.counts.succeeded, &*summary.run.protocol),
            (4, "HTTP/1.1 over TLS"),
            "{alpn}"
        );
        let warnings = summary.warnings();
        assert!(
            warnings
                .iter()
                .any(|warning| warning.starts_with("HTTP/1.1 was spoken, as the server could not be asked")),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_plan_of_one_target_has_its_own_tls_too() {
    let authority = Authority::new("a");
    let server = authority.server();
    let own = "cacert: ca.pem, cert: client.pem, key: client.key";
    let text = format!(
        "targets: [{{url: 'https://{}', {own}}}]\nload: {{total: 4, connections: 1}}\n",
        server.tls()
    );
    assert_eq!(planned(&text, &authority).records.counts.succeeded, 4);
}
