//! Traefik with its file provider, which reads its file again when that changes.
//!
//! Recommended: health checks of the servers behind it (the documentation of services). What it would ask of its authors'
//! machines is switched off in both.

use std::{fs, path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting};

/// Traefik.
pub const TRAEFIK: Gateway = Gateway {
    name: "traefik",
    tool: "traefik",
    version: &["version"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: false,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    // A file with the same content is the same configuration.
    reload: Reload::Shell(|_, _, file| {
        let file = file.with_extension("yaml");
        format!("sed -i \"s/requests-[0-9]*/requests-$(date +%s%N)/\" {}", file.display())
    }),
};

fn configuration(setting: &Setting<'_>) -> String {
    let scheme = if setting.pair == Pair::H2c { "h2c" } else { "http" };
    let tls = setting.over_tls(|chain, key| {
        let (chain, key) = (chain.display(), key.display());
        format!(
            "tls:\n  stores: {{default: {{defaultCertificate: {{certFile: {chain}, keyFile: {key}}}}}}}\n"
        )
    });
    let check = Setting::only_if(
        setting.tuning.is_recommended(),
        "        healthCheck: {path: /health, interval: 500ms, timeout: 1s}\n",
    );
    format!(
        "http:
  routers:
    requests-0: {{rule: \"PathPrefix(`/`)\", service: servers{over_tls}}}
  services:
    servers:
      loadBalancer:
        servers:
{servers}{check}{tls}",
        over_tls = Setting::only_if(!tls.is_empty(), ", tls: {}"),
        servers = setting.each(|_, address| format!("        - url: \"{scheme}://{address}\"\n")),
    )
}

fn command(program: &Path, setting: &Setting<'_>, file: &Path) -> Command {
    // It detects the format by this name.
    let named = file.with_extension("yaml");
    fs::copy(file, &named).expect("a file is written");
    let mut command = Command::new(program);
    command.args([
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=ERROR",
    ]);
    command.arg(format!("--entrypoints.front.address={}", setting.front));
    command.arg(format!("--providers.file.filename={}", named.display()));
    command
}
