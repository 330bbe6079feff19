//! h2o in the mode of a master and its workers, so that it can be reloaded.
//!
//! Recommended: the host as the client sent it, and upgrades passed on (the documentation of its proxy directives).

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting, is_root};

/// h2o.
pub const H2O: Gateway = Gateway {
    name: "h2o",
    tool: "h2o",
    version: &["-v"],
    pairs: &Pair::HTTP1_BEHIND,
    balances: Err("h2o 2.2 has one server behind each path"),
    replaces_processes: true,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Signal("HUP"),
};

fn configuration(setting: &Setting<'_>) -> String {
    let ssl = setting.over_tls(|chain, key| {
        format!("  ssl:\n    certificate-file: {}\n    key-file: {}\n", chain.display(), key.display())
    });
    let more = Setting::only_if(
        setting.tuning.is_recommended(),
        "        proxy.preserve-host: ON\n        proxy.websocket: ON\n",
    );
    let server = setting.servers[0];
    format!(
        "{user}num-threads: 1
pid-file: {dir}/pid
listen:
  host: {host}
  port: {port}
{ssl}hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://{server}/
{more}",
        // As root h2o becomes the user nobody, which may not read a temporary folder.
        user = Setting::only_if(is_root(), "user: root\n"),
        dir = setting.directory.display(),
        host = setting.front.ip(),
        port = setting.front.port(),
    )
}

fn command(program: &Path, _: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-m", "master", "-c"]).arg(file);
    command
}
