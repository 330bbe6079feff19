//! What loadgen and dummy-server speak with each other in the table.

use std::{fs, path::Path};

use integration::{
    authority::{Authority, Issued, Key},
    binaries::ServerProcess,
    metrics::{Metrics, REQUESTS},
    report::Report,
};

use super::sent;

/// What is spoken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) http2: bool,
    pub(super) tls: bool,
    /// Flags of loadgen for it.
    flags: &'static [&'static str],
    pub(super) path: &'static str,
    /// What the server calls it.
    pub(super) endpoint: &'static str,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Call,
    Message,
}

pub(super) const HTTP1: Spoken = Spoken {
    name: "http1",
    kind: Kind::Http,
    http2: false,
    tls: false,
    flags: &["--http1.1"],
    path: "/bin/100",
    endpoint: "bin",
};
pub(super) const H2C: Spoken = Spoken { name: "h2c", http2: true, flags: &["--http2"], ..HTTP1 };
pub(super) const HTTP1_TLS: Spoken = Spoken { name: "http1_tls", tls: true, ..HTTP1 };
pub(super) const H2_TLS: Spoken = Spoken { name: "h2_tls", tls: true, ..H2C };
pub(super) const CALL: Spoken = Spoken {
    name: "grpc",
    kind: Kind::Call,
    flags: &[],
    path: "/echo.EchoService/Echo",
    endpoint: "grpc",
    ..H2C
};
pub(super) const STREAM: Spoken =
    Spoken { name: "grpc_stream", flags: &["--messages", "3"], path: "/echo.EchoService/StreamEcho", ..CALL };
pub(super) const SOCKET: Spoken =
    Spoken { name: "websocket", kind: Kind::Message, flags: &[], path: "/ws", endpoint: "ws", ..HTTP1 };
pub(super) const SOCKET_H2: Spoken =
    Spoken { name: "websocket_h2", http2: true, flags: &["--http2"], ..SOCKET };

/// Each of them.
pub(super) const EACH: [&Spoken; 8] =
    [&HTTP1, &H2C, &HTTP1_TLS, &H2_TLS, &CALL, &STREAM, &SOCKET, &SOCKET_H2];

/// The same over TLS.
pub(super) const CALL_TLS: Spoken = Spoken { name: "grpc_tls", tls: true, ..CALL };
pub(super) const SOCKET_TLS: Spoken = Spoken { name: "websocket_tls", tls: true, ..SOCKET };
pub(super) const SOCKET_H2_TLS: Spoken = Spoken { name: "websocket_h2_tls", tls: true, ..SOCKET_H2 };

impl Spoken {
    /// The scheme of a target.
    pub(super) fn scheme(&self) -> &'static str {
        match (self.kind, self.tls) {
            (Kind::Http, false) => "http",
            (Kind::Http, true) => "https",
            (Kind::Call, false) => "grpc",
            (Kind::Call, true) => "grpcs",
            (Kind::Message, false) => "ws",
            (Kind::Message, true) => "wss",
        }
    }

    /// Flags of loadgen for it without those of TLS, with this number of streams on a connection.
    pub(super) fn flags(&self, streams: &'static str) -> Vec<&'static str> {
        let streams = ["-m", streams];
        let streams = if self.http2 { &streams[..] } else { &[] };
        self.flags.iter().chain(streams).copied().collect()
    }

    /// What requests are counted by at the server: its name for the protocol, and the status of a success.
    fn labels(&self) -> (&'static str, &'static str) {
        match (self.kind, self.http2) {
            (Kind::Message, false) => ("HTTP/1.1", "101"),
            (_, false) => ("HTTP/1.1", "200"),
            (_, true) => ("HTTP/2", "200"),
        }
    }
}

/// dummy-server as a process, and what it has counted so far.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) server: ServerProcess,
    pub(super) spoken: &'static Spoken,
    authority: Authority,
    file: String,
    /// Requests that are accounted for.
    pub(super) seen: u64,
}

impl Served {
    /// With flags of the server's own.
    pub(super) fn start(spoken: &'static Spoken, flags: &[&str]) -> Self {
        Self::showing(spoken, |authority| authority.issue("server", Key::Ecdsa), flags)
    }

    /// The same with a certificate of the test's own.
    pub(super) fn showing(
        spoken: &'static Spoken,
        issue: impl FnOnce(&Authority) -> Issued,
        flags: &[&str],
    ) -> Self {
        let authority = Authority::root();
        let file = authority.file().to_str().expect("a path in UTF-8").to_owned();
        let certificate = issue(&authority);
        let tls = [
            "--tls-addr=127.0.0.1:0".to_owned(),
            format!("--tls-cert={}", certificate.chain.display()),
            format!("--tls-key={}", certificate.key.display()),
        ];
        let tls = if spoken.tls { &tls[..] } else { &[] };
        let flags: Vec<&str> = tls.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        Self { server: ServerProcess::start(&flags), spoken, authority, file, seen: 0 }
    }

    /// Another server, trusted because this one is.
    pub(super) fn another(&self) -> Self {
        let other = Self::start(self.spoken, &[]);
        if self.spoken.tls {
            self.trust(&(self.authority.pem() + &other.authority.pem()));
        }
        other
    }

    /// Lets loadgen trust these authorities, and no others.
    pub(super) fn trust(&self, authorities: &str) {
        fs::write(&self.file, authorities).expect("a file is written");
    }

    /// For files of the test.
    pub(super) fn directory(&self) -> &Path {
        self.authority.directory()
    }

    /// Where it listens for what is spoken.
    pub(super) fn port(&self) -> u16 {
        if self.spoken.tls { self.server.tls.expect("TLS is served").port() } else { self.server.http.port() }
    }

    /// A target there.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.spoken.scheme(), self.port())
    }

    /// What loadgen takes beside the target, for this number of streams on a connection.
    pub(super) fn flags(&self, streams: &'static str) -> Vec<&str> {
        let trust = ["--cacert", &self.file];
        let trust = if self.spoken.tls { &trust[..] } else { &[] };
        trust.iter().copied().chain(self.spoken.flags(streams)).collect()
    }

    /// Asserts that the server has counted what the report says was sent, since this was asked last: the requests, or
    /// the WebSockets that carried them. With the endpoint, that all were for it.
    pub(super) async fn assert_counted(&mut self, report: &Report, endpoint: &str) {
        let expected = match self.spoken.kind {
            Kind::Http | Kind::Call => sent(report) + report.requests("resent"),
            Kind::Message => {
                let streams = if self.spoken.http2 { 3 } else { 1 };
                report.number("/connections/opened") * streams
            }
        };
        // As connections come and go, some end between two openings of WebSockets.
        let is_exact = self.spoken.kind != Kind::Message || report.json()["run"]["stages"].is_null();
        let expected = if is_exact { expected } else { report.number("/connections/opened") };
        self.seen += expected;
        let metrics = Metrics::until(self.server.admin, |m| m.sum(REQUESTS, &[]) >= self.seen).await;
        let found = metrics.sum(REQUESTS, &[]);
        assert!(!is_exact || found == self.seen, "{}\n{:#}", metrics.text(), report.json());
        self.seen = found;
        if !endpoint.is_empty() {
            let (protocol, status) = self.spoken.labels();
            let labels = [("endpoint", endpoint), ("protocol", protocol), ("status", status)];
            assert_eq!(metrics.sum(REQUESTS, &labels), self.seen, "{}", metrics.text());
        }
    }
}
