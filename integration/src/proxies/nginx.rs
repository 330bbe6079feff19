//! nginx 1.22 and later: HTTP/1.1 to the server behind whatever the client speaks, and gRPC.

use std::{net::SocketAddr, path::Path, process::Command};

use crate::proxy::{Behind, Fronts, Kind};

/// nginx.
pub const NGINX: Kind = Kind {
    tool: "nginx",
    configuration: |behind, fronts, directory| configured("", "", behind, fronts, directory),
    command,
};

/// The same, which ends the client's TLS. In its directory it looks for `front.pem`, its certificate with the key. Where
/// it speaks HTTP/2, it offers HTTP/1.1, too.
pub const NGINX_TLS: Kind = Kind {
    configuration: |behind, fronts, directory| {
        let file = directory.join("front.pem");
        let file = file.display();
        let certificate = format!("  ssl_certificate {file};\n  ssl_certificate_key {file};\n");
        configured(" ssl", &certificate, behind, fronts, directory)
    },
    ..NGINX
};

/// `ssl` is a parameter of each `listen`.
fn configured(ssl: &str, certificate: &str, behind: Behind, fronts: Fronts, directory: &Path) -> String {
    // In 1.22 a port speaks either HTTP/1 or HTTP/2 without TLS, and HTTP/2 is a parameter of `listen`; later
    // versions still take it, with a warning.
    let locations = "
    location / {
      proxy_pass http://http;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection $connection_to_server;
      proxy_set_header Upgrade $http_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
    }";
    let http = format!(
        "  client_max_body_size 0;
{certificate}  keepalive_requests 1000000;
  map $http_upgrade $connection_to_server {{ default upgrade; '' ''; }}
  upstream http {{ server {http}; keepalive 64; keepalive_requests 1000000; }}
  upstream grpc {{ server {grpc}; keepalive 64; }}
  server {{
    listen {http1}{ssl};
{locations}
  }}
  server {{
    listen {h2c}{ssl} http2;
{locations}
  }}
  server {{
    listen {grpc_front}{ssl} http2;
    location / {{ grpc_pass grpc://grpc; }}
  }}
",
        http = behind.http,
        grpc = behind.grpc,
        http1 = fronts.http1,
        h2c = fronts.h2c,
        grpc_front = fronts.grpc,
    );
    nginx_configuration(&http, directory)
}

/// The configuration of an nginx that writes into this directory, with what its `http` block contains beyond that.
#[must_use]
pub fn nginx_configuration(http: &str, directory: &Path) -> String {
    let dir = directory.display();
    // One process, because killing a master leaves its workers behind.
    format!(
        "daemon off;
master_process off;
pid {dir}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
{http}}}
"
    )
}

/// The configuration of an nginx that balances requests over two servers, with what its `location` contains beyond that.
#[must_use]
pub fn nginx_balancing(
    location: &str,
    front: SocketAddr,
    servers: [SocketAddr; 2],
    directory: &Path,
) -> String {
    let [one, two] = servers;
    let http = format!(
        "  upstream both {{ server {one} max_fails=0; server {two} max_fails=0; keepalive 16; }}
  server {{
    listen {front};
    location / {{ proxy_pass http://both; proxy_http_version 1.1; proxy_set_header Connection ''; {location} }}
  }}
"
    );
    nginx_configuration(&http, directory)
}

fn command(program: &Path, directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    // `-e` keeps it from opening the system's log before it has read where ours is.
    command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(configuration);
    command
}
