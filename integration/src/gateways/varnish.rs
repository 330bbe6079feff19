//! Varnish, which is a cache and by default answers from it.
//!
//! Recommended, for what is not to be cached: `return (pass)`, and `return (pipe)` for upgrades (its documentation of
//! WebSockets); several servers in turns by the director that comes with it.

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting};

/// Varnish.
pub const VARNISH: Gateway = Gateway {
    name: "varnish",
    tool: "varnishd",
    version: &["-V"],
    pairs: &[Pair::Http1, Pair::H2cToHttp1],
    balances: Ok(()),
    replaces_processes: false,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Shell(|_, directory, file| {
        let admin = format!("varnishadm -n {}/work", directory.display());
        format!("name=r$$; {admin} vcl.load $name {} && {admin} vcl.use $name", file.display())
    }),
};

fn configuration(setting: &Setting<'_>) -> String {
    let has_several = setting.servers.len() > 1;
    let probe = Setting::only_if(
        setting.tuning.is_recommended(),
        "  .probe = { .url = \"/health\"; .interval = 500ms; .initial = 3; }\n",
    );
    let backends = setting.each(|name, address| {
        let (host, port) = (address.ip(), address.port());
        format!("backend {name} {{\n  .host = \"{host}\";\n  .port = \"{port}\";\n{probe}}}\n")
    });
    let members = setting.each(|name, _| format!("  servers.add_backend({name});\n"));
    let (import, director, hint) = match has_several {
        true => (
            "import directors;\n",
            format!("sub vcl_init {{\n  new servers = directors.round_robin();\n{members}}}\n"),
            "  set req.backend_hint = servers.backend();\n",
        ),
        false => ("", String::new(), ""),
    };
    let pass = Setting::only_if(
        setting.tuning.is_recommended(),
        "  if (req.http.upgrade ~ \"(?i)websocket\") { return (pipe); }\n  return (pass);\n",
    );
    let receive = match [hint, pass].concat() {
        lines if lines.is_empty() => lines,
        lines => format!("sub vcl_recv {{\n{lines}}}\n"),
    };
    let pipe = Setting::only_if(
        setting.tuning.is_recommended(),
        "sub vcl_pipe {
  if (req.http.upgrade) {
    set bereq.http.upgrade = req.http.upgrade;
    set bereq.http.connection = req.http.connection;
  }
}
",
    );
    format!("vcl 4.1;\n{import}{backends}{director}{receive}{pipe}")
}

fn command(program: &Path, setting: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    // It compiles its configuration in its own directory, which another user may not enter.
    command.args(["-j", "none", "-F", "-n"]).arg(setting.directory.join("work"));
    command.arg("-a").arg(setting.front.to_string()).arg("-f").arg(file).args(["-s", "malloc,32m"]);
    if setting.pair.is_h2c_in_front() {
        command.args(["-p", "feature=+http2"]);
    }
    command
}
