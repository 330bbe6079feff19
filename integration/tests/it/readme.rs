//! README.md does what it says: its blocks of commands are run as they are printed, in their order.
//!
//! They run in a network namespace of the test, where all ports are free. A block that comes to listen is a server: it
//! runs on beside the blocks that follow, until the next server takes its ports. Three things differ from a reader's
//! machine: `cargo run` and `cargo install` take the programs that the tests have built, loadgen runs for a second
//! where it is given a duration, and a block for a container engine or a cluster is left to a separate test.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use integration::{
    binaries,
    cases::is_full,
    process::{Finished, Process},
    tools,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

tests!();

/// How long a block may run that does not come to listen.
pub(crate) const LONGEST: Duration = Duration::from_secs(150);

/// Commands that fail on purpose, by a part of them, and how.
const FAILING: [(&str, &[&str]); 2] =
    [("rst@body(100):10", &["18", "56"]), ("\"status\": {\"code\": 8", &["72"])];

fn commands_of_the_readme_do_what_it_says() {
    let tools = ["bash", "curl", "grpcurl", "openssl"].map(tools::require);
    let Some(sandbox) = Sandbox::new() else { return };
    if tools.contains(&None) {
        return;
    }
    let mut server: Option<Server> = None;
    let (mut servers, mut others) = (0, 0);
    for block in blocks().iter().filter(|block| !is_for_an_engine(block)) {
        if starts_a_server(block)
            && let Some(before) = server.take()
        {
            before.stop();
        }
        let pidfile = sandbox.directory.path().join("pid");
        let process = sandbox.start(block, &pidfile);
        if process.seek_stderr(LONGEST, |text| text.contains("listening http=").then_some(())).is_some() {
            assert!(starts_a_server(block), "this has come to listen:\n{block}");
            server = Some(Server::new(process, &pidfile));
            servers += 1;
        } else {
            assert_done(block, &process.finish(LONGEST));
            others += 1;
        }
    }
    server.expect("the last server still runs").stop();
    assert!(servers >= 4 && others >= 8, "{servers} servers and {others} other blocks were found");
}

/// Commands that were not to fail have not failed.
fn assert_done(block: &str, finished: &Finished) {
    for failed in finished.stderr.lines().filter_map(|line| line.strip_prefix("failed with ")) {
        let expected = FAILING.iter().any(|(part, codes)| {
            failed.contains(part) && codes.iter().any(|code| failed.starts_with(&format!("{code}: ")))
        });
        assert!(expected, "{block}\n{finished}");
    }
    if block.contains("loadgen -") || block.contains("-p loadgen") {
        assert!(finished.stdout.contains("Verdict"), "{block}\n{finished}");
        assert!(!finished.stdout.contains("refused"), "{block}\n{finished}");
    }
}

fn blocks() -> Vec<String> {
    let text = fs::read_to_string(top().join("README.md")).expect("there is a README");
    // The text between fences is every second part.
    let blocks = text.split("```").skip(1).step_by(2);
    // A language stands behind the fence of what is not a command.
    blocks.filter_map(|block| block.strip_prefix('\n').map(str::to_owned)).collect()
}

fn is_for_an_engine(block: &str) -> bool {
    ["docker ", "kind ", "helm ", "kubectl "].iter().any(|program| block.contains(program))
}

fn starts_a_server(block: &str) -> bool {
    block.lines().any(|line| line.starts_with("dummy-server") || line.contains("-p dummy-server"))
}

/// A server of a block, which is ended however the test ends.
struct Server {
    process: Option<Process>,
    pid: Pid,
}

impl Server {
    fn new(process: Process, pidfile: &Path) -> Self {
        let text = fs::read_to_string(pidfile).expect("a server that listens has written its id");
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
        Self { process: Some(process), pid }
    }

    fn stop(mut self) {
        kill_process(self.pid, Signal::TERM).expect("the server is there");
        let finished = self.process.take().expect("it is stopped once").finish(LONGEST);
        assert_eq!(finished.code, Some(0), "{finished}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            // It may have ended by itself.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// A folder and a network of a test's own.
pub(crate) struct Sandbox {
    pub(crate) directory: TempDir,
    /// Lives in the namespace, which lasts as long as it does.
    holder: Process,
    /// How to enter the namespace.
    enter: Vec<&'static str>,
}

impl Sandbox {
    /// `None` when the system does not permit namespaces.
    pub(crate) fn new() -> Option<Self> {
        let (unshare, ip) = (tools::require("unshare")?, tools::require("ip")?);
        tools::require("nsenter")?;
        let permitted = |flags: &[&str]| {
            let mut attempt = Command::new(&unshare);
            attempt
                .args(flags)
                .arg("true")
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let (leave, enter) = if permitted(&["--net"]) {
            (&["--net"][..], vec!["--net"])
        } else if permitted(&["--map-root-user", "--net"]) {
            (&["--map-root-user", "--net"][..], vec!["--user", "--preserve-credentials", "--net"])
        } else {
            tools::lack("unshare", "network namespaces are not permitted");
            return None;
        };
        let script = format!("{} link set lo up && echo ready && exec sleep 3600", ip.display());
        let holder = Process::start(Command::new(&unshare).args(leave).args(["sh", "-c", &script]));
        holder.await_stdout("namespace with a loopback", |text| text.contains("ready").then_some(()));
        let directory = TempDir::with_prefix("dummy-readme-").expect("a temporary directory");
        stand_in(&directory.path().join("bin"));
        Some(Self { directory, holder, enter })
    }

    pub(crate) fn start(&self, block: &str, pidfile: &Path) -> Process {
        // Its own file: bash reads its script bit by bit, and a server's is still being read.
        let script = tempfile::Builder::new().suffix(".sh").tempfile_in(self.directory.path());
        let (_, script) = script.and_then(|file| Ok(file.keep()?)).expect("a file is made");
        // Commands after one that has failed are still run, as by a reader.
        let text = format!("trap 'echo \"failed with $?: $BASH_COMMAND\" >&2' ERR\n{block}");
        fs::write(&script, text).expect("a file is written");
        let mut path = self.directory.path().join("bin").into_os_string();
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let grpcurl = tools::require("grpcurl").and_then(|file| Some(file.parent()?.to_owned()));
        path.push(":");
        path.push(grpcurl.unwrap_or_default());
        let mut command = Command::new("nsenter");
        // The tests' own variables of the two programs.
        for (name, _) in binaries::command("loadgen").get_envs() {
            command.env_remove(name);
        }
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.args(["--target", &self.holder.id().to_string()]).args(&self.enter).arg("bash").arg(&script);
        command.env("PATH", path).env("DUMMY_SERVER_PIDFILE", pidfile).current_dir(self.directory.path());
        Process::start(&mut command)
    }
}

/// Makes the programs that blocks name: ours, and what stands in for cargo.
fn stand_in(directory: &Path) {
    fs::create_dir(directory).expect("a folder is made");
    let ours = |program| binaries::command(program).get_program().to_owned().into_string().expect("text");
    let (server, loadgen, top) = (ours("dummy-server"), ours("loadgen"), top());
    let top = top.display();
    let scripts = [
        ("dummy-server", format!("exec '{server}' \"$@\"\n")),
        (
            "loadgen",
            format!(
                "words=()\n\
                 while (($#)); do\n\
                     words+=(\"$1\")\n\
                     case $1 in -d | --duration) shift; words+=(1s) ;; esac\n\
                     shift\n\
                 done\n\
                 exec '{loadgen}' \"${{words[@]}}\"\n"
            ),
        ),
        (
            "cargo",
            format!(
                "case $* in\n\
                 'install --path '*) test -f \"{top}/$3/src/main.rs\" ;;\n\
                 'test --workspace') ;;\n\
                 'run --release -p '*) program=$4; shift 4; [[ $1 != -- ]] || shift; exec \"$program\" \"$@\" ;;\n\
                 *) echo \"cargo $*: not known to the test\" >&2; exit 64 ;;\n\
                 esac\n"
            ),
        ),
    ];
    for (name, script) in scripts {
        let path = directory.join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}")).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it becomes executable");
    }
}

/// Takes minutes, images and the network: `.ci/full` builds the images and sets `FULL`.
fn container_commands_of_the_readme_do_what_it_says() {
    let engine = Command::new("docker").arg("info").stdin(Stdio::null()).output();
    if !is_full() || !engine.is_ok_and(|output| output.status.success()) {
        return tools::skip("docker-engine", "no engine, or FULL is not set");
    }
    for block in blocks().iter().filter(|block| is_for_an_engine(block)) {
        let cluster = block.contains("kind ");
        if cluster && ["kind", "kubectl", "helm"].iter().any(|tool| Command::new(tool).output().is_err()) {
            tools::skip("kind", "not installed, or kubectl or helm is not");
            continue;
        }
        // bash becomes the last command, which gets the signal.
        let process = Process::start(Command::new("bash").args(["-e", "-c", block]).current_dir(top()));
        let finished = if cluster {
            let finished = process.finish(Duration::from_secs(280));
            // The next run makes a new one.
            let _ = Command::new("kind").args(["delete", "cluster"]).output();
            finished
        } else {
            let done = |text: &str| text.contains("exited with code 0").then_some(());
            assert!(process.seek_stdout(Duration::from_secs(200), done).is_some(), "loadgen has not ended");
            process.signal(Signal::INT);
            process.finish(LONGEST)
        };
        assert!(finished.stdout.contains("Verdict"), "{finished}");
    }
}

/// The rows of SECURITY.md that begin with a flag have its default beside it.
fn the_security_policy_names_flags_with_their_defaults() {
    let text = fs::read_to_string(top().join("SECURITY.md")).expect("there is a SECURITY.md");
    let help = Process::start(binaries::command("dummy-server").arg("--help")).finish(LONGEST).stdout;
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (flag, default) = (cells[1], cells[2]);
        let (_, of_flag) = help.split_once(&format!("{flag} <")).unwrap_or_else(|| panic!("no flag {flag}"));
        let of_flag = of_flag.split("\n\n      --").next().unwrap_or_default();
        assert!(of_flag.contains(&format!("[default: {default}]")), "{row}\n{of_flag}");
        rows += 1;
    }
    assert!(rows > 10, "the rows were found");
    let readme = fs::read_to_string(top().join("README.md")).expect("there is a README");
    assert!(readme.contains("(SECURITY.md)"));
}

pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the package lies in a workspace")
}
