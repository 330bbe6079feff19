//! The two programs as a user starts them.

use std::{
    env,
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    announce,
    cases::is_full,
    client::link,
    metrics::Metrics,
    process::{Finished, Process},
    report::Report,
    server::OverTls,
};

/// Every run of loadgen in these tests is meant to end before this time is up.
const LONGEST_RUN: Duration = Duration::from_secs(150);
/// The same where everything has its full size.
const LONGEST_FULL_RUN: Duration = Duration::from_secs(540);

/// Builds the programs, which may take longer than a test is given: call it before the first test.
///
/// # Panics
/// When they cannot be built.
pub fn prepare() {
    directory();
}

/// Where the programs lie; built once.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| announce::building("dummy-server and loadgen", build))
}

/// A command that starts a program of this workspace, in the profile of the tests; built once.
///
/// The environment is the test's own without the programs' variables.
///
/// # Panics
/// When the programs cannot be built.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(directory().join(program));
    for (name, _) in env::vars_os() {
        let ours = name.to_str().is_some_and(|n| n.starts_with("DUMMY_SERVER_") || n.starts_with("LOADGEN_"));
        if ours {
            command.env_remove(name);
        }
    }
    command
}

/// Starts loadgen and waits for its end.
///
/// # Panics
/// When it takes far longer than any test means it to.
#[must_use]
pub fn loadgen(args: &[&str]) -> Finished {
    let longest = if is_full() { LONGEST_FULL_RUN } else { LONGEST_RUN };
    Process::start(command("loadgen").args(args)).finish(longest)
}

/// Runs loadgen with a JSON report, without progress.
///
/// # Panics
/// When it does not exit with 0 and a report.
#[must_use]
pub fn loadgen_report(args: &[&str]) -> Report {
    let finished = loadgen(&[&["--no-progress", "-o", "json"], args].concat());
    assert!(matches!(finished.code, Some(0 | 1)), "loadgen {args:?}: {finished}");
    let report = Report::parse(&finished.stdout);
    let has_failed = report.json()["outcome"] == "failed";
    assert_eq!(finished.code, Some(i32::from(has_failed)), "loadgen {args:?}: {finished}");
    report
}

/// dummy-server as a separate process.
#[derive(Debug)]
pub struct ServerProcess {
    process: Process,
    /// Where HTTP is served; in a test over TLS, the TLS port.
    pub http: SocketAddr,
    /// Where gRPC is served; in a test over TLS, the TLS port.
    pub grpc: SocketAddr,
    /// The TLS port, if the test needs one.
    pub tls: Option<SocketAddr>,
    /// Where readiness and metrics are.
    pub admin: SocketAddr,
}

impl ServerProcess {
    /// Starts it with these flags after the harness's own, and waits until it listens.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        Self::launch(&mut command("dummy-server"), flags)
    }

    /// The same, with an open-file limit.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start_with_files(limit: u32, flags: &[&str]) -> Self {
        let server = command("dummy-server");
        // The shell's builtin sets the limit of the process that the program then takes over.
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\"")).arg(server.get_program());
        Self::launch(&mut shell, flags)
    }

    /// The same, but its standard output is not read.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start_unread(flags: &[&str]) -> Self {
        let mut command = command("dummy-server");
        Self::listening(Process::unread(with_flags(&mut command, flags), Stdio::null()), None)
    }

    /// The same, with a variable of its environment.
    ///
    /// # Panics
    /// When it does not come to listen.
    #[must_use]
    pub fn start_with_variable(name: &str, value: impl AsRef<OsStr>, flags: &[&str]) -> Self {
        Self::launch(command("dummy-server").env(name, value), flags)
    }

    fn launch(command: &mut Command, flags: &[&str]) -> Self {
        let over_tls = link::is_over_tls().then(OverTls::new);
        let tls_flags = over_tls.as_ref().map(OverTls::flags).unwrap_or_default();
        let flags: Vec<&str> = tls_flags.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        Self::listening(Process::start(with_flags(command, &flags)), over_tls)
    }

    fn listening(process: Process, over_tls: Option<OverTls>) -> Self {
        let Listening { mut http, mut grpc, tls, admin } =
            process.await_stderr("line with the addresses", Listening::of);
        if let Some(over_tls) = over_tls {
            http = over_tls.port(tls.expect("TLS is served"));
            grpc = http;
        }
        Self { process, http, grpc, tls, admin }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for its end, while the test's own connections go on.
    ///
    /// # Panics
    /// When it does not end within `patience`.
    pub async fn finish(self, patience: Duration) -> Finished {
        match tokio::task::spawn_blocking(move || self.process.finish(patience)).await {
            Ok(finished) => finished,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// What it has counted so far.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(self.admin).await
    }
}

/// Adds the harness's own flags and those of a test.
fn with_flags<'a>(command: &'a mut Command, flags: &[&str]) -> &'a mut Command {
    let own = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--pprof-addr="];
    // A flag that a test gives, in whatever form, replaces the harness's.
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().trim_start_matches('-').to_owned();
    let given: Vec<String> = flags.iter().map(|flag| name(flag)).collect();
    let kept = own.iter().filter(|flag| !given.contains(&name(flag)));
    command.args(kept).args(flags)
}

/// Where a server says that it listens.
struct Listening {
    http: SocketAddr,
    grpc: SocketAddr,
    tls: Option<SocketAddr>,
    admin: SocketAddr,
}

impl Listening {
    fn of(log: &str) -> Option<Self> {
        let line = log.lines().find(|line| line.contains("listening http="))?;
        let address = |name: &str| {
            let prefix = format!("{name}=");
            line.split_whitespace().find_map(|word| word.strip_prefix(&prefix))?.parse().ok()
        };
        Some(Self {
            http: address("http")?,
            grpc: address("grpc")?,
            tls: address("tls"),
            admin: address("admin")?,
        })
    }
}

/// Builds both programs with the profile of this test, into the directory that it was built into.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    // <target>/<profile>/deps/it-<hash>
    let directory = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned();
    let profile = match directory.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in a workspace");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--locked",
            // With the same features as in `cargo test --workspace`, or else every dependency is built again.
            "--workspace",
            "--tests",
            "--bins",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(directory.parent().expect("the profile lies in a target directory"))
        .current_dir(workspace)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "cargo cannot build the programs");
    directory
}
