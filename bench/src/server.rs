//! The servers: how each is configured and started. All serve the same bytes under the same paths.

use std::{fs, io, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{Body, Protocol},
    process::{Process, free_port},
    responder::Responder,
    tools::{Tool, Tools},
};

/// How often a server is started again on another port, should the first have been taken meanwhile.
const ATTEMPTS: u32 = 3;

/// A kind of server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Server {
    /// Ours.
    DummyServer,
    /// Ours before a change.
    DummyServerBefore,
    /// nginx serving a file from its cache of open files.
    NginxFile,
    /// nginx with the body in its configuration.
    NginxReturn,
    /// h2o serving a file.
    H2o,
    /// nghttpd serving a file.
    Nghttpd,
    /// tonic's own server with the services of the gRPC rows.
    Tonic,
    /// An echo on tokio-tungstenite.
    Tungstenite,
    /// The bare responder of this program.
    Responder,
    /// The same, which notes when each request of HTTP/1.1 arrives.
    Recorder,
}

impl Server {
    /// The program it takes, if it is not this one.
    #[must_use]
    pub const fn tool(self) -> Option<Tool> {
        match self {
            Self::DummyServer => Some(Tool::DummyServer),
            Self::DummyServerBefore => Some(Tool::DummyServerBefore),
            Self::NginxFile | Self::NginxReturn => Some(Tool::Nginx),
            Self::H2o => Some(Tool::H2o),
            Self::Nghttpd => Some(Tool::Nghttpd),
            Self::Tonic => Some(Tool::Tonic),
            Self::Tungstenite => Some(Tool::Tungstenite),
            Self::Responder | Self::Recorder => None,
        }
    }

    /// Name of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DummyServer => "dummy-server",
            Self::DummyServerBefore => "dummy-server-before",
            Self::NginxFile => "nginx-file",
            Self::NginxReturn => "nginx-return",
            Self::H2o => "h2o",
            Self::Nghttpd => "nghttpd",
            Self::Tonic => "tonic",
            Self::Tungstenite => "tungstenite",
            Self::Responder => "responder",
            Self::Recorder => "recorder",
        }
    }

    /// Its configuration file or, without one, its arguments; `{port}` and `{dir}` stand for what differs
    /// from start to start.
    #[must_use]
    pub fn configuration(self, protocol: Protocol) -> String {
        match self {
            Self::DummyServer | Self::DummyServerBefore => dummy_server(protocol),
            Self::NginxFile => nginx(protocol, "root {dir}/www;"),
            Self::NginxReturn => {
                let body = String::from_utf8(Body::K1.bytes()).unwrap_or_default();
                nginx(protocol, &format!("return 200 \"{body}\";"))
            }
            Self::H2o => h2o(rustix::process::geteuid().is_root()),
            Self::Nghttpd => NGHTTPD.to_owned(),
            Self::Tonic | Self::Tungstenite => "127.0.0.1:{port}\n".to_owned(),
            Self::Responder | Self::Recorder => String::new(),
        }
    }
}

/// A server that runs, and stops when dropped.
#[derive(Debug)]
pub enum Running {
    /// A separate process.
    Process(Process, u16),
    /// A thread of this process.
    Responder(Responder),
}

impl Running {
    /// Starts `server` on `cpu` and waits until it accepts; its files go to `dir`.
    ///
    /// # Errors
    /// It is not installed, or does not come up.
    pub fn start(server: Server, protocol: Protocol, tools: &Tools, cpu: usize, dir: &Path) -> Result<Self> {
        let Some(tool) = server.tool() else {
            let body = Body::K1.bytes();
            let recorder = server == Server::Recorder;
            let start = if recorder { Responder::start_noting } else { Responder::start };
            return Ok(Self::Responder(start(cpu, &body)?));
        };
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let command = configured(tools.command(tool)?, server, protocol, port, dir)?;
            let mut process = Process::start(command, cpu, dir, server.name())?;
            match process.await_port(port) {
                Ok(()) => return Ok(Self::Process(process, port)),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Process(_, port) => *port,
            Self::Responder(responder) => responder.port(),
        }
    }

    /// CPU time until now.
    ///
    /// # Errors
    /// The server has ended.
    pub fn cpu(&self) -> io::Result<Duration> {
        match self {
            Self::Process(process, _) => crate::cpu::of_process(process.id()),
            Self::Responder(responder) => responder.cpu(),
        }
    }

    /// The instants of arrivals since this was last asked, in nanoseconds of an arbitrary start; none if it notes none.
    #[must_use]
    pub fn take_arrivals(&self) -> Option<Vec<u64>> {
        match self {
            Self::Process(..) => None,
            Self::Responder(responder) => responder.take_arrivals(),
        }
    }

    /// Bytes of its memory that are resident now.
    ///
    /// # Errors
    /// The server has ended, or is a thread of this process.
    pub fn resident(&self) -> io::Result<u64> {
        match self {
            Self::Process(process, _) => crate::memory::resident(process.id()),
            Self::Responder(_) => Err(io::Error::other("the responder has no separate memory")),
        }
    }
}

/// Writes the files that servers serve below `dir`: each body under each of its paths.
///
/// # Errors
/// The files cannot be written.
pub fn write_site(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("www/bin"))?;
    for body in [Body::K1, Body::M1] {
        for path in body.paths() {
            fs::write(dir.join("www").join(&path[1..]), body.bytes())?;
        }
    }
    Ok(())
}

/// Adds the arguments, and writes the configuration file where there is one.
fn configured(
    mut command: Command,
    server: Server,
    protocol: Protocol,
    port: u16,
    dir: &Path,
) -> Result<Command> {
    let folder = dir.to_str().context("the temporary folder's name is not UTF-8")?;
    let text = server.configuration(protocol).replace("{port}", &port.to_string()).replace("{dir}", folder);
    match server {
        Server::DummyServer
        | Server::DummyServerBefore
        | Server::Nghttpd
        | Server::Tonic
        | Server::Tungstenite
        | Server::Responder
        | Server::Recorder => {
            command.args(text.lines().filter(|line| !line.is_empty()));
        }
        Server::NginxFile | Server::NginxReturn | Server::H2o => {
            let file = dir.join(format!("{}.conf", server.name()));
            fs::write(&file, text)?;
            command.arg("-c").arg(file);
        }
    }
    Ok(command)
}

/// One argument a line; extra listeners off, so that one core serves one port. The one for HTTP cannot be.
fn dummy_server(protocol: Protocol) -> String {
    let listen = match protocol {
        Protocol::Http1 | Protocol::H2c | Protocol::WebSocket => "--addr=127.0.0.1:{port}",
        Protocol::Tls | Protocol::TlsH2 => {
            "\
--addr=127.0.0.1:0
--tls-addr=127.0.0.1:{port}
--tls-cert={dir}/tls.pem
--tls-key={dir}/tls.key
--tls-min-version=1.3"
        }
    };
    format!(
        "{listen}
--grpc-addr=
--admin-addr=
--pprof-addr=
--pidfile=
--mem-interval=0
--workers=1
--instance=bench
"
    )
}

/// One argument a line. 1000 streams are more than any row opens.
const NGHTTPD: &str = "\
--no-tls
--workers=1
--max-concurrent-streams=1000
--address=127.0.0.1
--htdocs={dir}/www
{port}
";

fn nginx(protocol: Protocol, location: &str) -> String {
    let listen = match protocol {
        Protocol::Http1 | Protocol::WebSocket => ";".to_owned(),
        Protocol::H2c => " http2;".to_owned(),
        Protocol::Tls => format!(" ssl;{NGINX_TLS}"),
        Protocol::TlsH2 => format!(" ssl http2;{NGINX_TLS}"),
    };
    // One process, because killing a master leaves its workers behind.
    format!(
        "daemon off;
master_process off;
pid {{dir}}/nginx.pid;
error_log stderr crit;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path {{dir}}/nginx-body;
    proxy_temp_path {{dir}}/nginx-proxy;
    fastcgi_temp_path {{dir}}/nginx-fastcgi;
    uwsgi_temp_path {{dir}}/nginx-uwsgi;
    scgi_temp_path {{dir}}/nginx-scgi;
    server {{
        listen 127.0.0.1:{{port}}{listen}
        location / {{
            {location}
        }}
    }}
}}
"
    )
}

/// Tickets, and a cache of sessions besides, as its guides have it.
const NGINX_TLS: &str = "
        ssl_certificate {dir}/tls.pem;
        ssl_certificate_key {dir}/tls.key;
        ssl_protocols TLSv1.3;
        ssl_session_tickets on;
        ssl_session_cache shared:tls:10m;";

fn h2o(root: bool) -> String {
    // As root h2o becomes the user nobody, which may not read a temporary folder.
    let user = if root { "user: root\n" } else { "" };
    format!(
        "{user}num-threads: 1
max-connections: 16384
http1-request-timeout: 3600
http2-idle-timeout: 3600
pid-file: {{dir}}/h2o.pid
listen:
  host: 127.0.0.1
  port: {{port}}
hosts:
  default:
    paths:
      /:
        file.dir: {{dir}}/www
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{CERTIFICATE, KEY};

    #[test]
    fn nginx_listens_for_http2_in_h2c_rows_alone() {
        assert!(Server::NginxFile.configuration(Protocol::H2c).contains("{port} http2;"));
        assert!(Server::NginxFile.configuration(Protocol::Http1).contains("{port};"));
    }

    #[test]
    fn over_tls_servers_show_the_certificate_of_the_run() {
        for server in [Server::DummyServer, Server::NginxFile, Server::NginxReturn] {
            let text = server.configuration(Protocol::Tls);
            for file in [CERTIFICATE, KEY] {
                assert!(text.contains(&format!("{{dir}}/{file}")), "{text}");
                assert!(!server.configuration(Protocol::Http1).contains(file), "{text}");
            }
        }
    }

    #[test]
    fn nginx_returns_the_whole_payload() {
        let text = Server::NginxReturn.configuration(Protocol::Http1);
        let body = text.split('"').nth(1).unwrap();
        assert_eq!(body.len(), 1024);
        assert_eq!(contract::pattern::verify(0, body.as_bytes()), Ok(()));
    }

    #[test]
    fn h2o_stays_root_when_root_runs_it() {
        assert!(h2o(true).starts_with("user: root\n"));
        assert!(h2o(false).starts_with("num-threads: 1\n"));
    }

    #[test]
    fn the_site_holds_the_payload_in_both_sizes() {
        let dir = tempfile::tempdir().unwrap();
        write_site(dir.path()).unwrap();
        for (path, size) in [("/bin/1K", 1024), ("/bin/1024", 1024), ("/bin/1M", 1 << 20)] {
            let bytes = fs::read(dir.path().join(format!("www{path}"))).unwrap();
            assert_eq!(bytes.len(), size);
            assert_eq!(contract::pattern::verify(0, &bytes), Ok(()));
        }
    }
}
