//! Caddy, whose administration listens on a socket in its directory.
//!
//! Recommended: requests in turns, health checks, and time to find another server when one refuses connections (the
//! documentation of `reverse_proxy` has them under load balancing and health checks).

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting};

/// Caddy.
pub const CADDY: Gateway = Gateway {
    name: "caddy",
    tool: "caddy",
    // Built by `go install`, `caddy version` says "unknown".
    version: &["build-info"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: false,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Shell(|program, directory, file| {
        format!(
            "XDG_DATA_HOME={dir} XDG_CONFIG_HOME={dir} {} reload --force --adapter caddyfile --config {} --address unix/{dir}/admin.sock",
            program.display(),
            file.display(),
            dir = directory.display(),
        )
    }),
};

fn configuration(setting: &Setting<'_>) -> String {
    let scheme = if setting.certificate.is_some() { "https" } else { "http" };
    let tls = setting.over_tls(|chain, key| format!("  tls {} {}\n", chain.display(), key.display()));
    let behind = if setting.pair == Pair::H2c { "h2c://" } else { "" };
    let more = Setting::only_if(
        setting.tuning.is_recommended(),
        " {
    lb_policy round_robin
    lb_try_duration 2s
    health_uri /health
    health_interval 500ms
    fail_duration 2s
  }",
    );
    format!(
        "{{
  admin unix/{dir}/admin.sock
  auto_https off
  persist_config off
  storage file_system {dir}/storage
  servers {{
    protocols h1 h2 h2c
  }}
  log {{
    level ERROR
  }}
}}
{scheme}://:{port} {{
  bind {host}
{tls}  reverse_proxy{servers}{more}
}}
",
        dir = setting.directory.display(),
        host = setting.front.ip(),
        port = setting.front.port(),
        servers = setting.each(|_, address| format!(" {behind}{address}")),
    )
}

fn command(program: &Path, setting: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("XDG_DATA_HOME", setting.directory).env("XDG_CONFIG_HOME", setting.directory);
    command
}
