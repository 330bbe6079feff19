//! HAProxy in the mode of a master and a worker, so that it can be reloaded.
//!
//! Recommended: health checks, and another server for a request that could not be sent to the first (`option redispatch`).

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting};

/// HAProxy.
pub const HAPROXY: Gateway = Gateway {
    name: "haproxy",
    tool: "haproxy",
    version: &["-v"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: true,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Signal("USR2"),
};

fn configuration(setting: &Setting<'_>) -> String {
    let is_recommended = setting.tuning.is_recommended();
    // HAProxy reads the chain and the key from one file, or the key from a file beside it.
    let tls = setting.over_tls(|chain, key| {
        let both = [chain, key].map(|file| std::fs::read_to_string(file).expect("the certificate is there"));
        let file = setting.directory.join("front.pem");
        std::fs::write(&file, both.concat()).expect("a file is written");
        format!(" ssl crt {} alpn h2,http/1.1", file.display())
    });
    let h2 = |is_so| Setting::only_if(is_so, " proto h2");
    let check = Setting::only_if(is_recommended, " check inter 500ms");
    let behind = h2(setting.pair == Pair::H2c);
    format!(
        "global
  maxconn 4096
  nbthread 1

defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
{tunnel}
frontend front
  bind {front}{front_h2}{tls}
  default_backend servers

backend servers
  balance roundrobin
{health}{servers}",
        tunnel = Setting::only_if(
            is_recommended,
            "  timeout http-request 10s\n  timeout tunnel 1h\n  retries 3\n  option redispatch\n"
        ),
        front = setting.front,
        front_h2 = h2(setting.pair.is_h2c_in_front()),
        health = Setting::only_if(
            is_recommended,
            "  option httpchk\n  http-check send meth GET uri /health ver HTTP/1.1 hdr Host localhost\n"
        ),
        servers = setting.each(|name, address| format!("  server {name} {address}{behind}{check}\n")),
    )
}

fn command(program: &Path, _: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    // A master in the foreground.
    command.args(["-W", "-db", "-f"]).arg(file);
    command
}
