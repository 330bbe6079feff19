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

fn configuration(behind: Behind, fronts: Fronts, _directory: &Path) -> String {
    configured("http", "", behind, fronts)
}

fn configured(mode: &str, options: &str, behind: Behind, fronts: Fronts) -> String {
    let h2 = if mode == "http" { "proto h2" } else { "" };
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
  bind {http1}
  server dummy {http} {options}

listen h2c
  bind {h2c} {h2}
  server dummy {http} {h2} {options}

listen grpc
  bind {grpc_front} {h2}
  server dummy {grpc} {h2} {options}
",
        http = behind.http,
        grpc = behind.grpc,
        http1 = fronts.http1,
        h2c = fronts.h2c,
        grpc_front = fronts.grpc,
    )
}

fn command(program: &Path, _directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(configuration);
    command
}
