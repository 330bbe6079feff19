//! nginx, one worker under a master, so that it can be reloaded.
//!
//! Recommended: HTTP/1.1 and connections that are kept to the servers behind (the documentation of `keepalive`), and upgrades
//! passed on (that of WebSocket proxying). Without them nginx speaks HTTP/1.0 there, a connection for each request.

use std::{path::Path, process::Command};

use super::{Gateway, Pair, Reload, Setting, is_root};

/// nginx.
pub const NGINX: Gateway = Gateway {
    name: "nginx",
    tool: "nginx",
    version: &["-v"],
    pairs: &Pair::HTTP1_BEHIND,
    balances: Ok(()),
    replaces_processes: true,
    has_recommendation: true,
    configuration,
    command,
    left_behind: |_| None,
    reload: Reload::Signal("HUP"),
};

fn configuration(setting: &Setting<'_>) -> String {
    let is_recommended = setting.tuning.is_recommended();
    let h2 = Setting::only_if(setting.pair.is_h2c_in_front(), " http2");
    let tls = setting.over_tls(|chain, key| {
        let (chain, key) = (chain.display(), key.display());
        format!(" ssl http2;\n    ssl_certificate {chain};\n    ssl_certificate_key {key}")
    });
    let kept = Setting::only_if(is_recommended, "    keepalive 32;\n");
    let upgrades = Setting::only_if(
        is_recommended,
        "  map $http_upgrade $connection_to_server { default upgrade; '' ''; }\n",
    );
    let location = Setting::only_if(
        is_recommended,
        "      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_to_server;
",
    );
    format!(
        "daemon off;
worker_processes 1;
pid {dir}/pid;
error_log stderr error;
{user}events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
{upgrades}  upstream servers {{
{servers}{kept}  }}
  server {{
    listen {front}{h2}{tls};
    location / {{
      proxy_pass http://servers;
{location}    }}
  }}
}}
",
        dir = setting.directory.display(),
        user = Setting::only_if(is_root(), "user root;\n"),
        servers = setting.each(|_, address| format!("    server {address};\n")),
        front = setting.front,
    )
}

fn command(program: &Path, setting: &Setting<'_>, file: &Path) -> Command {
    let mut command = Command::new(program);
    // `-e` keeps it from opening the system's log before it has read where ours is.
    command.arg("-p").arg(setting.directory).args(["-e", "stderr", "-c"]).arg(file);
    command
}
