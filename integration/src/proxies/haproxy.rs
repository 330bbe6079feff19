//! HAProxy 2.6 and later: each version of HTTP to the same version behind.

use std::{path::Path, process::Command};

use crate::proxy::{Behind, Fronts, Kind};

/// HAProxy.
pub const HAPROXY: Kind = Kind { tool: "haproxy", configuration, command };

fn configuration(behind: Behind, fronts: Fronts, _directory: &Path) -> String {
    format!(
        "
global
  maxconn 4096
  nbthread 1

defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s

listen http1
  bind {http1}
  server dummy {http}

listen h2c
  bind {h2c} proto h2
  server dummy {http} proto h2

listen grpc
  bind {grpc_front} proto h2
  server dummy {grpc} proto h2
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
