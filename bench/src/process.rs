//! Started processes: on one CPU, their output in files, killed by handle when dropped, also after an error.

use std::{
    fs::{self, File},
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::interrupt;

/// How long a server may take until it accepts.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long to wait between two looks at an interrupt, and between two attempts to connect.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process that lives no longer than this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Becomes readable when the process ends.
    end: OwnedFd,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` on `cpu`; its output goes to files in `folder` that start with `name`.
    ///
    /// # Errors
    /// The program cannot be started, or the CPU is not ours to use.
    pub fn start(mut command: Command, cpu: usize, folder: &Path, name: &str) -> Result<Self> {
        let (stdout, stderr) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        // A child starts with the affinity of the thread that starts it: a separate thread is pinned, so
        // that this one stays where it was.
        let child = thread::scope(|scope| {
            let starter = scope.spawn(|| -> Result<Child> {
                runtime::affinity::pin(cpu).with_context(|| format!("CPU {cpu} cannot be used"))?;
                command.spawn().with_context(|| format!("{name} could not be started"))
            });
            starter.join().map_err(|_| anyhow!("the thread that starts {name} panicked"))?
        })?;
        let pid =
            i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        let end = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { child, end, name: name.to_owned(), stdout, stderr })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process accepts connections on `port`.
    ///
    /// # Errors
    /// The process ended before, took too long, or the user interrupted.
    pub fn await_port(&mut self, port: u16) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // The process first: another program may have been faster to take the port.
            if self.has_ended_within(Duration::ZERO)? {
                bail!("{} ended immediately: {}", self.name, self.complaint());
            }
            if TcpStream::connect_timeout(&address, READY_WITHIN).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} accepts no connection after {READY_WITHIN:?}: {}", self.name, self.complaint());
            }
            self.has_ended_within(LOOK_EVERY)?;
            interrupt::check()?;
        }
    }

    /// Waits until the process has ended and gives what it printed.
    ///
    /// # Errors
    /// It takes longer than `limit`, or the user interrupted; it is killed then.
    pub fn finish(mut self, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        while !self.has_ended_within(LOOK_EVERY * 10)? {
            interrupt::check()?;
            if Instant::now() > deadline {
                bail!("{} did not end within {limit:?}: {}", self.name, self.complaint());
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} failed ({status}): {}", self.name, self.complaint());
        }
        let output = fs::read(&self.stdout)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Checks that the process has not ended.
    ///
    /// # Errors
    /// It has.
    pub fn check_running(&self) -> Result<()> {
        if self.has_ended_within(Duration::ZERO)? {
            bail!("{} ended too early", self.name);
        }
        Ok(())
    }

    /// Waits for the process to end, for this time at most, and returns whether it has.
    ///
    /// # Errors
    /// The system does not know.
    pub fn has_ended_within(&self, wait: Duration) -> Result<bool> {
        let mut fds = [PollFd::new(&self.end, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&Timespec::try_from(wait)?)) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The last lines the process printed, in one line.
    fn complaint(&self) -> String {
        let read = |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
        let text = read(&self.stderr).unwrap_or_default() + &read(&self.stdout).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        if last.is_empty() { "it printed nothing".to_owned() } else { last.join(" | ") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago. Another program may take it first: a start on it is tried again.
///
/// # Errors
/// No port is free.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn start(script: &str, folder: &Path) -> Process {
        let cpu = *runtime::affinity::allowed().last().unwrap();
        Process::start(shell(script), cpu, folder, "shell").unwrap()
    }

    #[test]
    fn a_finished_process_hands_over_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let output = start("echo seen", folder.path()).finish(Duration::from_secs(30)).unwrap();
        assert_eq!(output, "seen\n");
    }

    #[test]
    fn a_failing_process_is_an_error_that_quotes_it() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("echo no such flag >&2; exit 3", folder.path());
        let error = process.finish(Duration::from_secs(30)).unwrap_err().to_string();
        assert!(error.contains("no such flag") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_process_that_takes_too_long_is_an_error_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("exec sleep 1000", folder.path());
        let id = process.id();
        let error = process.finish(Duration::from_millis(1)).unwrap_err().to_string();
        assert!(error.contains("did not end within"), "{error}");
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn waiting_for_the_port_ends_when_the_server_exits() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = start("echo port taken >&2; exit 1", folder.path());
        let error = process.await_port(free_port().unwrap()).unwrap_err().to_string();
        assert!(error.contains("port taken"), "{error}");
    }

    #[test]
    fn a_started_process_is_pinned_and_the_starter_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let before = runtime::affinity::allowed();
        let process = start("grep Cpus_allowed_list /proc/self/status", folder.path());
        let output = process.finish(Duration::from_secs(30)).unwrap();
        let list = output.split_whitespace().last().unwrap().to_owned();
        assert_eq!(list, before.last().unwrap().to_string());
        assert_eq!(runtime::affinity::allowed(), before);
    }
}
