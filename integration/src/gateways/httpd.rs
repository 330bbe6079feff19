//! Apache httpd with the event MPM and only the modules that it needs.
//!
//! Recommended: connections to the servers behind that are reused, a short time until a server that has failed is asked
//! again, and upgrades passed on (the documentation of `ProxyPass`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Gateway, Pair, Reload, Setting, is_root};

/// Apache httpd.
pub const HTTPD: Gateway = Gateway {
    name: "httpd",
    tool: "apache2",
    version: &["-v"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: true,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Signal("USR1"),
};

fn configuration(setting: &Setting<'_>) -> String {
    let is_recommended = setting.tuning.is_recommended();
    let scheme = if setting.pair == Pair::H2c { "h2c" } else { "http" };
    let has_several = setting.servers.len() > 1;
    let tls = setting.over_tls(|chain, key| {
        let (chain, key) = (chain.display(), key.display());
        format!(
            "SSLEngine on\nSSLCertificateFile {chain}\nSSLCertificateKeyFile {key}\nProtocols h2 http/1.1\n"
        )
    });
    let wanted = [
        ("mpm_event", true),
        ("authz_core", true),
        ("proxy", true),
        ("proxy_http", true),
        ("slotmem_shm", has_several),
        ("proxy_balancer", has_several),
        ("lbmethod_byrequests", has_several),
        ("http2", setting.pair != Pair::Http1),
        ("proxy_http2", setting.pair == Pair::H2c),
        ("ssl", !tls.is_empty()),
    ];
    let modules = modules().display().to_string();
    let load = |(name, is_wanted): &(&str, bool)| match is_wanted {
        true => format!("LoadModule {name}_module {modules}/mod_{name}.so\n"),
        false => String::new(),
    };
    // `upgrade` is of the module for HTTP/1.1 alone.
    let upgrade = Setting::only_if(is_recommended && setting.pair != Pair::H2c, " upgrade=websocket");
    let options = Setting::only_if(is_recommended, " enablereuse=on retry=1 connectiontimeout=5");
    let pass = if has_several {
        let members =
            setting.each(|_, address| format!("  BalancerMember {scheme}://{address}{options}{upgrade}\n"));
        format!("<Proxy balancer://servers>\n{members}</Proxy>\nProxyPass / balancer://servers/\n")
    } else {
        setting.each(|_, address| format!("ProxyPass / {scheme}://{address}/{options}{upgrade}\n"))
    };
    format!(
        "{load}ServerName localhost
ServerRoot {dir}
DefaultRuntimeDir {dir}
PidFile {dir}/pid
Mutex pthread
ErrorLog /dev/stderr
LogLevel error
{user}Listen {front}
{tls}{h2c}{pass}",
        load = wanted.iter().map(load).collect::<String>(),
        dir = setting.directory.display(),
        user = Setting::only_if(is_root(), "User www-data\nGroup www-data\n"),
        front = setting.front,
        h2c = Setting::only_if(setting.pair.is_h2c_in_front(), "Protocols h2c http/1.1\n"),
    )
}

/// Where distributions put them.
fn modules() -> PathBuf {
    let places = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/local/apache2/modules"];
    places.iter().map(PathBuf::from).find(|place| place.exists()).unwrap_or_else(|| places[0].into())
}

fn command(program: &Path, _: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-D", "FOREGROUND", "-f"]).arg(file);
    command
}
