//! Third-party peers: the programs below `tests/it/foreign` in other languages, and servers for loadgen.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use contract::pattern;

use crate::{
    announce,
    authority::Issued,
    client::Protocol,
    launch::Launched,
    process::Process,
    proxies::nginx_configuration,
    tools::{find, lack, require},
};

/// What the servers have: the name of a file, and how many bytes of the pattern it holds.
pub const SITE: [(&str, usize); 2] = [("1K", 1 << 10), ("1M", 1 << 20)];

/// A file below `tests/it/foreign`.
#[must_use]
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign").join(name)
}

/// Builds the program in Go where Go is, which may take longer than a test is given: call it before the first test.
pub fn prepare() {
    if let Some(go) = find("go") {
        // What went wrong is for the tests that use it.
        let _ = built(&go);
    }
}

/// Go's net/http: the program made of `peer.go`; `None` when it cannot be had and the test is skipped.
///
/// # Panics
/// When it cannot be had and `REQUIRE_TOOLS=all` is set.
#[must_use]
pub fn go() -> Option<PathBuf> {
    let built = built(&require("go")?);
    built.inspect_err(|said| lack("go", &format!("does not build peer.go, which takes 1.24: {said}"))).ok()
}

/// Built once, with nothing but the standard library.
fn built(go: &Path) -> Result<PathBuf, &'static str> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its own path");
        let program = test.with_file_name("integration-go-peer");
        let mut command = Command::new(go);
        command.args(["build", "-o"]).arg(&program).arg(source("peer.go"));
        command.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
        let output =
            announce::building("the peer in Go", || command.output()).map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(program) } else { Err(said) }
    });
    built.as_ref().cloned().map_err(String::as_str)
}

/// A server of another make.
#[derive(Clone, Copy, Debug)]
pub struct OriginKind {
    /// How tests call it.
    pub name: &'static str,
    /// The protocols it speaks without TLS.
    pub speaks: &'static [Protocol],
    /// Whether it gives back the body of a POST.
    pub echoes: bool,
    program: fn() -> Option<PathBuf>,
    command: fn(&Path, &Setting<'_>) -> Command,
}

/// What a server is started for.
struct Setting<'a> {
    protocol: Protocol,
    address: SocketAddr,
    directory: &'a Path,
    /// The certificate, over TLS.
    certificate: Option<&'a Issued>,
}

/// nginx.
pub const NGINX: OriginKind = OriginKind {
    name: "nginx",
    speaks: &Protocol::ALL,
    echoes: false,
    program: || require("nginx"),
    command: |program, setting| {
        let mut command = Command::new(program);
        command.arg("-p").arg(setting.directory).args(["-e", "stderr", "-c"]);
        command.arg(setting.write(&nginx(setting)));
        command
    },
};

/// h2o.
pub const H2O: OriginKind = OriginKind {
    name: "h2o",
    speaks: &Protocol::ALL,
    echoes: false,
    program: || require("h2o"),
    command: |program, setting| {
        let mut command = Command::new(program);
        command.arg("-c").arg(setting.write(&h2o(setting)));
        command
    },
};

/// Caddy.
pub const CADDY: OriginKind = OriginKind {
    name: "caddy",
    speaks: &Protocol::ALL,
    echoes: false,
    program: || require("caddy"),
    command: |program, setting| caddy(program, setting, None),
};

/// Caddy over TLS in front of a server of HTTP; `None` when it is missing and the test is skipped.
#[must_use]
pub fn caddy_before(behind: SocketAddr, certificate: &Issued) -> Option<Launched<1>> {
    let program = require("caddy")?;
    Some(Launched::start("caddy", |[address], directory| {
        let setting =
            Setting { protocol: Protocol::Http2, address, directory, certificate: Some(certificate) };
        caddy(&program, &setting, Some(behind))
    }))
}

/// nghttpd, of nghttp2.
pub const NGHTTPD: OriginKind = OriginKind {
    name: "nghttpd",
    speaks: &[Protocol::Http2],
    echoes: true,
    program: || require("nghttpd"),
    command: |program, setting| nghttpd(program, setting, &[]),
};

/// nghttpd with windows of 255 and 65,535 bytes for bodies, padded frames and tables that hold nothing.
pub const NGHTTPD_NARROW: OriginKind = OriginKind {
    name: "nghttpd_narrow",
    command: |program, setting| {
        let narrow =
            ["--window-bits=8", "--padding=200", "--header-table-size=0", "--max-concurrent-streams=2"];
        nghttpd(program, setting, &narrow)
    },
    ..NGHTTPD
};

/// Go's net/http.
pub const GO: OriginKind = OriginKind {
    name: "go",
    speaks: &Protocol::ALL,
    echoes: true,
    program: go,
    command: |program, setting| {
        let mut command = Command::new(program);
        command.arg("server").arg(setting.address.to_string()).arg(setting.site());
        command
    },
};

/// Python's http.server, which keeps connections.
pub const PYTHON: OriginKind = OriginKind {
    name: "python",
    speaks: &[Protocol::Http1],
    echoes: true,
    program: || require("python3"),
    command: |program, setting| python(program, setting, "HTTP/1.1"),
};

/// The same, answering in HTTP/1.0: a connection for each request.
pub const PYTHON_OLD: OriginKind = OriginKind {
    name: "python_old",
    command: |program, setting| python(program, setting, "HTTP/1.0"),
    ..PYTHON
};

impl OriginKind {
    /// Starts the server with its site; `None` when it is missing and the test is skipped.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start(self, protocol: Protocol) -> Option<Launched<1>> {
        self.launch(protocol, None)
    }

    /// The same over TLS, of those that are configured for it here: nginx, h2o and Caddy.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start_tls(self, protocol: Protocol, certificate: &Issued) -> Option<Launched<1>> {
        self.launch(protocol, Some(certificate))
    }

    fn launch(self, protocol: Protocol, certificate: Option<&Issued>) -> Option<Launched<1>> {
        let program = (self.program)()?;
        Some(Launched::start(self.name, |[address], directory| {
            let setting = Setting { protocol, address, directory, certificate };
            write_site(&setting.site());
            (self.command)(&program, &setting)
        }))
    }
}

impl Setting<'_> {
    fn site(&self) -> PathBuf {
        self.directory.join("www")
    }

    fn write(&self, configuration: &str) -> PathBuf {
        let file = self.directory.join("configuration");
        fs::write(&file, configuration).expect("a file is written");
        file
    }
}

fn write_site(directory: &Path) {
    fs::create_dir(directory).expect("a folder is made");
    for (name, size) in SITE {
        let bytes: Vec<u8> = (0..size as u64).map(pattern::byte_at).collect();
        fs::write(directory.join(name), bytes).expect("a file is written");
    }
}

fn nginx(setting: &Setting<'_>) -> String {
    let mut parameter = if setting.protocol == Protocol::Http2 { " http2" } else { "" }.to_owned();
    if let Some(certificate) = setting.certificate {
        let (chain, key) = (certificate.chain.display(), certificate.key.display());
        parameter += &format!(" ssl; ssl_certificate {chain}; ssl_certificate_key {key}");
    }
    let http = format!(
        "  server {{
    listen {address}{parameter};
    root {dir}/www;
  }}
",
        dir = setting.directory.display(),
        address = setting.address,
    );
    nginx_configuration(&http, setting.directory)
}

fn h2o(setting: &Setting<'_>) -> String {
    // As root h2o becomes the user nobody, which may not read a temporary folder.
    let user = if rustix::process::geteuid().is_root() { "user: root\n" } else { "" };
    let ssl = setting.certificate.map_or_else(String::new, |certificate| {
        let (chain, key) = (certificate.chain.display(), certificate.key.display());
        format!("  ssl:\n    certificate-file: {chain}\n    key-file: {key}\n")
    });
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
        file.dir: {dir}/www
",
        dir = setting.directory.display(),
        host = setting.address.ip(),
        port = setting.address.port(),
    )
}

fn caddy(program: &Path, setting: &Setting<'_>, behind: Option<SocketAddr>) -> Command {
    let dir = setting.directory.display();
    let (scheme, tls) = match setting.certificate {
        Some(certificate) => {
            ("https", format!("tls {} {}", certificate.chain.display(), certificate.key.display()))
        }
        None => ("http", String::new()),
    };
    let handler = match behind {
        Some(behind) => format!("reverse_proxy {behind}"),
        None => format!("root * {dir}/www\n  file_server"),
    };
    // It listens only where it is configured to, and asks no client for certificates.
    let configuration = format!(
        "{{
  admin off
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
  {tls}
  {handler}
}}
",
        host = setting.address.ip(),
        port = setting.address.port(),
    );
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(setting.write(&configuration));
    command.env("XDG_DATA_HOME", setting.directory).env("XDG_CONFIG_HOME", setting.directory);
    command
}

/// A server of gRPC on Go's own library, over TLS with a certificate; `None` when it is missing and the test is
/// skipped.
#[must_use]
pub fn go_grpc(certificate: Option<&Issued>) -> Option<Launched<1>> {
    let program = require("go-grpc-server")?;
    Some(Launched::start("go-grpc-server", |[address], _| {
        let mut command = Command::new(&program);
        command.arg(address.to_string());
        if let Some(certificate) = certificate {
            command.arg(&certificate.chain).arg(&certificate.key);
        }
        command
    }))
}

fn nghttpd(program: &Path, setting: &Setting<'_>, flags: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--no-tls", "--echo-upload"]).args(flags);
    command.arg(format!("--address={}", setting.address.ip()));
    command.arg(format!("--htdocs={}", setting.site().display())).arg(setting.address.port().to_string());
    command
}

fn python(program: &Path, setting: &Setting<'_>, version: &str) -> Command {
    let mut command = script(program, "server.py");
    command.arg(version).arg(setting.address.ip().to_string()).arg(setting.address.port().to_string());
    command.arg(setting.site());
    command
}

/// Python's websockets, which echoes; `None` when it is missing and the test is skipped.
#[must_use]
pub fn python_websockets() -> Option<Launched<1>> {
    let program = require("python3-websockets")?;
    Some(Launched::start("websockets", |[address], _| {
        let mut command = script(&program, "websocket.py");
        command.arg(address.ip().to_string()).arg(address.port().to_string());
        command
    }))
}

/// A command that runs one of the Python programs, and leaves no compiled files beside it.
#[must_use]
pub fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg("-B").arg(source(name));
    command
}

/// Runs a client to its end and gives what it printed.
///
/// # Panics
/// When it does not exit with 0; the message has what it said.
#[must_use]
pub fn output(process: Process) -> String {
    let finished = process.finish(crate::PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished}");
    finished.stdout
}
