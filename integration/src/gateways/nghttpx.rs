//! nghttpx of nghttp2: a worker process that SIGHUP replaces.
//!
//! Its documentation recommends nothing for a reverse proxy beyond what it does by itself.

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting};

/// nghttpx.
pub const NGHTTPX: Gateway = Gateway {
    name: "nghttpx",
    tool: "nghttpx",
    version: &["--version"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: true,
    has_recommendation: false,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Signal("HUP"),
};

fn configuration(setting: &Setting<'_>) -> String {
    let tls = setting.over_tls(|chain, key| {
        format!("private-key-file={}\ncertificate-file={}\nno-ocsp=yes\n", key.display(), chain.display())
    });
    let proto = Setting::only_if(setting.pair == Pair::H2c, ";;proto=h2");
    format!(
        "frontend={host},{port}{no_tls}
{backends}workers=1
errorlog-file=/dev/stderr
accesslog-file=
{tls}",
        host = setting.front.ip(),
        port = setting.front.port(),
        no_tls = Setting::only_if(tls.is_empty(), ";no-tls"),
        backends = setting.each(|_, address| format!("backend={},{}{proto}\n", address.ip(), address.port())),
    )
}

fn command(program: &Path, _: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(format!("--conf={}", file.display()));
    command
}
