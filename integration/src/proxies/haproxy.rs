//! HAProxy 2.6 and later: each version of HTTP to the same version behind.

use std::{path::Path, process::Command};

use crate::proxy::{Behind, Fronts, Kind};

/// HAProxy.
pub const HAPROXY: Kind = Kind { tool: "haproxy", configuration, command };

/// The same, which says whose connections it makes, by version 1 of the PROXY protocol.
pub const HAPROXY_V1: Kind =
    Kind { configuration: |behind, fronts, _| configured("http", "send-proxy", behind, fronts), ..HAPROXY };

/// The same by version 2, with a checksum.
pub const HAPROXY_V2: Kind = Kind {
    configuration: |behind, fronts, _| {
        configured("http", "send-proxy-v2 proxy-v2-options crc32c", behind, fronts)
    },
    ..HAPROXY
};

/// The same, which hands on bytes and looks at none, so that they may be TLS.
pub const HAPROXY_TCP_V2: Kind =
    Kind { configuration: |behind, fronts, _| configured("tcp", "send-proxy-v2", behind, fronts), ..HAPROXY };

/// The same, which ends the client's TLS and says by version 2 what it knows of it. In its directory it looks for
/// `front.pem`, its certificate with the key, and for `clients.pem`, the authority of the clients' certificates; it lets
/// in those that show none or another.
pub const HAPROXY_TLS_V2: Kind = Kind {
    configuration: |behind, fronts, directory| {
        let said = "send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,cert-key,cert-sig,authority";
        let directory = directory.display();
        let verify =
            format!("verify optional ca-file {directory}/clients.pem ca-ignore-err all crt-ignore-err all");
        let tls = |alpn| format!("ssl crt {directory}/front.pem alpn {alpn} {verify}");
        Binds { mode: "http", http1: &tls("http/1.1"), h2: &tls("h2"), said }.configured(behind, fronts)
    },
    ..HAPROXY
};

fn configuration(behind: Behind, fronts: Fronts, _directory: &Path) -> String {
    configured("http", "", behind, fronts)
}

fn configured(mode: &str, said: &str, behind: Behind, fronts: Fronts) -> String {
    let h2 = if mode == "http" { "proto h2" } else { "" };
    Binds { mode, http1: "", h2, said }.configured(behind, fronts)
}

/// How it listens, and what it says to the servers behind.
struct Binds<'a> {
    mode: &'a str,
    http1: &'a str,
    h2: &'a str,
    said: &'a str,
}

impl Binds<'_> {
    fn configured(&self, behind: Behind, fronts: Fronts) -> String {
        let Self { mode, http1, h2, said } = self;
        let behind_h2 = if *mode == "http" { "proto h2" } else { "" };
        format!(
            "
global
  maxconn 4096
  nbthread 1

defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s

listen http1
  bind {http1_front} {http1}
  server dummy {http} {said}

listen h2c
  bind {h2c_front} {h2}
  server dummy {http} {behind_h2} {said}

listen grpc
  bind {grpc_front} {h2}
  server dummy {grpc} {behind_h2} {said}
",
            http = behind.http,
            grpc = behind.grpc,
            http1_front = fronts.http1,
            h2c_front = fronts.h2c,
            grpc_front = fronts.grpc,
        )
    }
}

fn command(program: &Path, _directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(configuration);
    command
}
