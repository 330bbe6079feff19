//! Reverse proxies of nine makes: how each is configured and started for one or two servers behind it, and how it is made
//! to read its configuration again.
//!
//! What tests or the record ask of a proxy is asked of all of [`ALL`]: nothing here knows what a proxy is expected to do. A
//! configuration is either the least with which it works, or what its authors' documentation recommends for a reverse proxy
//! ([`Tuning`]); both are generated for one pair of protocols and one port.

mod caddy;
mod envoy;
mod h2o;
mod haproxy;
mod httpd;
mod nghttpx;
mod nginx;
mod traefik;
mod varnish;

use std::{
    collections::BTreeSet,
    fmt, fs,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{PATIENCE, authority::Issued, launch::Launched, tools};

pub use self::{
    caddy::CADDY, envoy::ENVOY, h2o::H2O, haproxy::HAPROXY, httpd::HTTPD, nghttpx::NGHTTPX, nginx::NGINX,
    traefik::TRAEFIK, varnish::VARNISH,
};

/// The time from one request to the next while a proxy passes none on.
const PAUSE: Duration = Duration::from_millis(20);

/// All that are known.
pub const ALL: [Gateway; 9] = [NGINX, HAPROXY, ENVOY, CADDY, HTTPD, H2O, NGHTTPX, VARNISH, TRAEFIK];

/// A reverse proxy.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    /// How it is called here, and in names of tests.
    pub name: &'static str,
    /// The name of the executable.
    pub tool: &'static str,
    /// What makes the executable print its version.
    version: &'static [&'static str],
    /// The pairs of protocols that it is configured for.
    pub pairs: &'static [Pair],
    /// Whether it spreads requests over several servers, or why it does not.
    pub balances: Result<(), &'static str>,
    /// Whether a reload replaces its processes.
    pub replaces_processes: bool,
    /// Whether what its authors recommend is another configuration than the least.
    pub has_recommendation: bool,
    configuration: fn(&Setting<'_>) -> String,
    /// The command line, given the program and the file of the configuration.
    command: fn(&Path, &Setting<'_>, &Path) -> Command,
    /// What it does not take away itself at its end, outside its directory, given where it listens.
    left_behind: fn(SocketAddr) -> Option<PathBuf>,
    reload: Reload,
}

/// What is spoken to a proxy, and what it speaks to the servers behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pair {
    /// HTTP/1.1 on both sides.
    Http1,
    /// HTTP/2 by prior knowledge, and HTTP/1.1 behind.
    H2cToHttp1,
    /// HTTP/2 by prior knowledge on both sides.
    H2c,
    /// TLS, with HTTP/2 where it is offered, and HTTP/1.1 behind.
    TlsToHttp1,
}

/// How much of a configuration is written down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tuning {
    /// As little as makes it pass requests on.
    Minimal,
    /// What its documentation recommends for a reverse proxy whose replies are not to be cached.
    Recommended,
}

/// What a proxy is started for.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The protocols.
    pub pair: Pair,
    /// How much is configured.
    pub tuning: Tuning,
    /// Where it listens.
    pub front: SocketAddr,
    /// Where the servers behind it are.
    pub servers: &'a [SocketAddr],
    /// Where it may write.
    pub directory: &'a Path,
    /// Over TLS, its certificate.
    pub certificate: Option<&'a Issued>,
}

/// How a proxy is made to read its configuration again.
#[derive(Clone, Copy, Debug)]
enum Reload {
    /// By a signal to the process that was started.
    Signal(&'static str),
    /// By words for a shell, given the program, its directory and the file of the configuration.
    Shell(fn(&Path, &Path, &Path) -> String),
}

/// A running proxy; it and its processes are killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub front: SocketAddr,
    pair: Pair,
    reload: String,
    configuration: String,
    left_behind: Option<PathBuf>,
    launched: Launched<1>,
}

impl Gateway {
    /// Where its program is; `None` when it is missing and the running test is skipped.
    ///
    /// # Panics
    /// When it is missing and `REQUIRE_TOOLS=all` is set.
    #[must_use]
    pub fn require(&self) -> Option<PathBuf> {
        tools::require(self.tool)
    }

    /// Where its program is, if it is installed.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        tools::find(self.tool)
    }

    /// What the program says of its version.
    #[must_use]
    pub fn version(&self, program: &Path) -> String {
        let output = Command::new(program).args(self.version).output();
        let Ok(output) = output else { return "unknown".to_owned() };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        // The module that a program in Go was built from comes after its compiler, whose version is another. Paths of the machine
        // are of no interest.
        let mut lines = said.lines().filter(|line| line.contains(|c: char| c.is_ascii_digit()));
        let line = match lines.clone().find_map(|line| line.strip_prefix("mod\t")) {
            Some(module) => module.split("\th1:").next().unwrap_or(module),
            None => lines.next().unwrap_or("unknown"),
        };
        let words = line.split_whitespace().filter(|word| !word.starts_with('/'));
        words.take(6).collect::<Vec<_>>().join(" ").trim_end_matches([',', ';']).to_owned()
    }

    /// Starts it in front of these servers, and waits until it passes requests on.
    ///
    /// # Panics
    /// When it does not come to that; the message has what it said.
    #[must_use]
    pub fn start(
        &self,
        program: &Path,
        pair: Pair,
        tuning: Tuning,
        servers: &[SocketAddr],
        certificate: Option<&Issued>,
    ) -> Running {
        let launched = Launched::start(self.name, |[front], directory| {
            let setting = Setting { pair, tuning, front, servers, directory, certificate };
            let file = directory.join("proxy.conf");
            fs::write(&file, (self.configuration)(&setting)).expect("a file is written");
            let mut command = (self.command)(program, &setting, &file);
            // It may have child processes, which have to end with it.
            command.process_group(0);
            command
        });
        let (front, id) = (launched.addresses[0], launched.process().id());
        let file = launched.directory().join("proxy.conf");
        let reload = match self.reload {
            Reload::Signal(signal) => format!("kill -{signal} {id}"),
            Reload::Shell(words) => words(program, launched.directory(), &file),
        };
        let configuration = fs::read_to_string(&file).expect("it was written");
        let left_behind = (self.left_behind)(front);
        let running = Running { front, pair, reload, configuration, left_behind, launched };
        running.await_requests();
        running
    }
}

impl Running {
    /// The beginning of a target for loadgen.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.pair {
            Pair::Http1 => "http",
            Pair::H2cToHttp1 | Pair::H2c => "h2c",
            Pair::TlsToHttp1 => "https",
        };
        format!("{scheme}://{}", self.front)
    }

    /// Some accept connections before they know where requests go.
    fn await_requests(&self) {
        let began = Instant::now();
        let version = if self.pair.is_h2c_in_front() { "--http2-prior-knowledge" } else { "--http1.1" };
        let url = format!("{}/health", self.url().replace("h2c://", "http://"));
        loop {
            let mut curl = Command::new("curl");
            curl.args(["-sk", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", version, &url]);
            let output = curl.output().unwrap_or_else(|error| panic!("curl is needed: {error}"));
            if output.stdout == b"200" {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it does not pass requests on: {output:?}");
            self.launched.process().wait_for_end(PAUSE);
        }
    }

    /// A command for a shell that has it read its configuration again.
    #[must_use]
    pub fn reload(&self) -> &str {
        &self.reload
    }

    /// Its configuration, in which nothing is left of this machine but loopback addresses.
    #[must_use]
    pub fn configuration(&self) -> String {
        self.configuration.replace(&self.launched.directory().display().to_string(), "{dir}")
    }

    /// What is taken away when it is dropped, as it does not do so itself.
    #[must_use]
    pub fn left_behind(&self) -> Option<&Path> {
        self.left_behind.as_deref()
    }

    /// The id of the process that was started.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.launched.process().id()
    }

    /// The ids of that process and of those that it has started.
    ///
    /// # Panics
    /// When the system does not say.
    #[must_use]
    pub fn processes(&self) -> BTreeSet<u32> {
        let own = self.id().to_string();
        let entries = fs::read_dir("/proc").expect("processes are listed").flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_of_group = |id: &u32| {
            // One that has just ended has no line.
            let line = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // Behind the name in parentheses: the state, the parent, and the group.
            line.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)) == Some(&own)
        };
        ids.filter(is_of_group).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.left_behind.as_ref().map(fs::remove_file);
    }
}

impl Pair {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http1, Self::H2cToHttp1, Self::H2c, Self::TlsToHttp1];
    /// Without HTTP/2 to the servers behind.
    const HTTP1_BEHIND: [Self; 3] = [Self::Http1, Self::H2cToHttp1, Self::TlsToHttp1];

    /// Whether HTTP/2 by prior knowledge is spoken to the proxy.
    fn is_h2c_in_front(self) -> bool {
        matches!(self, Self::H2cToHttp1 | Self::H2c)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1_to_http1",
            Self::H2cToHttp1 => "h2c_to_http1",
            Self::H2c => "h2c_to_h2c",
            Self::TlsToHttp1 => "tls_to_http1",
        })
    }
}

impl Tuning {
    fn is_recommended(self) -> bool {
        self == Self::Recommended
    }
}

impl Setting<'_> {
    /// `text`, if TLS is ended here, given the files of the certificate and its key.
    fn over_tls(&self, text: impl Fn(&Path, &Path) -> String) -> String {
        self.certificate.map_or_else(String::new, |issued| text(&issued.chain, &issued.key))
    }

    /// A text for each server, given its name and address.
    fn each(&self, text: impl Fn(&str, SocketAddr) -> String) -> String {
        ["a", "b", "c", "d"].iter().zip(self.servers).map(|(name, server)| text(name, *server)).collect()
    }

    /// `text`, if that is so.
    fn only_if(is_so: bool, text: &str) -> &str {
        if is_so { text } else { "" }
    }
}

/// Whether programs that give up the rights of root have to be configured not to.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
