//! `--during`: a command is run while requests are sent, and the run goes on until they succeed again.

use std::{
    io,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::progress::note;
use crate::{
    clock::{Nanos, nanos},
    control::{Handle, Phase},
    numbers::seconds,
    recorder::without_arguments,
    summary::{Happened, Summary},
};

/// How often it is looked how the run is.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// How long requests may go on to fail after the command, before that is the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is run, and when.
#[derive(Clone, Debug)]
pub(super) struct During {
    /// For the shell.
    pub(super) command: String,
    /// How long requests are sent before it, and without a failure after it.
    pub(super) around: Duration,
}

/// A command that is run on its own thread.
#[derive(Debug)]
pub(super) struct WatchedCommand {
    around: Duration,
    run: Handle,
    /// Whether no more requests become due although the run was not stopped.
    load_ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<Happened>>,
}

impl During {
    /// Waits, runs the command, waits again, and ends the run.
    pub(super) fn watch(self, run: Handle) -> io::Result<WatchedCommand> {
        let thread = thread::Builder::new().name("loadgen-during".to_owned());
        let (around, load_ended) = (self.around, Arc::new(AtomicBool::new(false)));
        let (handle, has_ended) = (run.clone(), Arc::clone(&load_ended));
        let thread = thread.spawn(move || self.carry_out(&handle, &has_ended))?;
        Ok(WatchedCommand { around, run, load_ended, thread })
    }

    fn carry_out(&self, run: &Handle, load_ended: &AtomicBool) -> io::Result<Happened> {
        let is_going = || run.phase() == Phase::Run;
        while is_going() && run.elapsed().is_none_or(|elapsed| elapsed < self.around) {
            thread::sleep(EVERY);
        }
        thread::sleep(run.mark(0));
        let from = run.elapsed().unwrap_or_default();
        if !is_going() {
            note("the command was not run, as the run was stopped before");
            return Err(io::ErrorKind::Interrupted.into());
        }
        let result = self.run(run);
        thread::sleep(run.mark(1));
        let to = run.elapsed().unwrap_or_default();
        let is_run = result.is_ok();
        let status =
            result.inspect_err(|error| note(&format!("can't run the command: {error}"))).ok().flatten();
        let recovered = is_run && self.recovers(run, load_ended);
        run.done();
        let code = status.and_then(|status| status.code());
        let command = without_arguments(&self.command);
        Ok(Happened { command, code, from, to, recovered })
    }

    /// What it prints goes where progress goes: standard output is for the report.
    /// None if it can't be ended.
    fn run(&self, run: &Handle) -> io::Result<Option<ExitStatus>> {
        note(&format!("running: {}", self.command));
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null()).stdout(io::stderr());
        let mut child = ProcessGroup::spawn(command)?;
        let mut is_asked = false;
        let status = loop {
            match (child.try_wait()?, run.phase()) {
                (Some(status), _) => break status,
                (None, Phase::Run) => {}
                (None, Phase::Stop) if is_asked => {}
                (None, Phase::Stop) => {
                    note("the command is asked to end (SIGTERM)");
                    // It may belong to somebody else: it is waited for then, unless Ctrl+C is pressed again.
                    child.end(false).unwrap_or_else(|error| note(&format!("it can't be: {error}")));
                    is_asked = true;
                }
                // A second Ctrl+C waits for nothing.
                (None, Phase::Abort) => match child.end(true) {
                    Ok(()) => break child.wait()?,
                    Err(error) => {
                        note(&format!("the command can't be killed, and goes on: {error}"));
                        return Ok(None);
                    }
                },
            }
            thread::sleep(EVERY);
        };
        note(&format!("the command has ended: {status}"));
        Ok(Some(status))
    }

    /// Waits until no request has failed for as long as is asked for. False: that did not come.
    fn recovers(&self, run: &Handle, load_ended: &AtomicBool) -> bool {
        let began = Instant::now();
        let failed = || {
            let counts = run.snapshot().counts;
            counts.offered - counts.outstanding() - counts.succeeded
        };
        let mut recovery = Recovery { around: self.around, failed: failed(), since: Duration::ZERO };
        while run.phase() == Phase::Run {
            // No more can fail.
            if load_ended.load(Relaxed) {
                return true;
            }
            if let Some(recovered) = recovery.at(began.elapsed(), failed()) {
                return recovered;
            }
            thread::sleep(EVERY);
        }
        false
    }
}

/// The command with all that it has started.
#[derive(Debug)]
struct ProcessGroup(Child);

impl ProcessGroup {
    fn spawn(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        runtime::memory::with_huge_pages_again();
        command.spawn().map(Self)
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }

    /// Asks all of it to end, or kills it.
    #[cfg(unix)]
    fn end(&mut self, kill: bool) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process_group};
        let signal = if kill { Signal::KILL } else { Signal::TERM };
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let Some(group) = group else { return Ok(()) };
        kill_process_group(group, signal)?;
        // One that was stopped, as it has asked the terminal for something in the background, gets it when it goes on.
        let _ = kill_process_group(group, Signal::CONT);
        Ok(())
    }

    #[cfg(not(unix))]
    fn end(&mut self, _kill: bool) -> io::Result<()> {
        self.0.kill()
    }
}

/// Whether requests succeed again, by how many have failed until then.
#[derive(Debug)]
struct Recovery {
    /// Without a failure for this time, they do.
    around: Duration,
    /// How many had failed when it was looked last, and since when it is that many.
    failed: u64,
    since: Duration,
}

impl Recovery {
    /// So long after the command `failed` have failed: whether requests succeed again, or will not; none if that is open.
    fn at(&mut self, elapsed: Duration, failed: u64) -> Option<bool> {
        if failed != self.failed {
            (self.failed, self.since) = (failed, elapsed);
        }
        if elapsed.saturating_sub(self.since) >= self.around {
            return Some(true);
        }
        (elapsed >= PATIENCE + self.around).then_some(false)
    }
}

impl WatchedCommand {
    /// That the command is waited for, and how long it has run; none if it has ended.
    fn waits(&self) -> Option<String> {
        let [began, ended] = self.run.marks();
        let now = self.run.start()?.saturating_add(nanos(self.run.elapsed()?));
        let so_far = seconds(now.saturating_sub(began));
        (ended == Nanos::MAX).then(|| {
            format!("load has ended; waiting for the command of --during, {so_far} so far; Ctrl+C ends it")
        })
    }

    /// The run is over: what happened is noted in what came of it.
    pub(super) fn end(self, summary: &mut Summary) {
        self.load_ended.store(true, Relaxed);
        if !self.thread.is_finished()
            && self.run.phase() == Phase::Run
            && let Some(line) = self.waits()
        {
            note(&line);
        }
        if let Ok(Ok(happened)) = self.thread.join() {
            // It was as long as that, and not as long as it might have been.
            summary.run.window = summary.run.window.map(|_| summary.arrivals_lasted);
            summary.run.duration = None;
            // A request that hangs fails at its timeout, but counts by when it was due.
            let last = summary.records.phases.as_deref().and_then(|phases| phases.unsuccessful);
            let mut until = nanos(summary.arrivals_lasted.saturating_sub(self.around));
            let mut happened = happened;
            // What fails while the command runs is not held against it, unless the load has ended before.
            if happened.to <= summary.arrivals_lasted {
                until = until.max(nanos(happened.to));
            }
            happened.recovered &= last.is_none_or(|(_, last)| last <= until);
            summary.happened = Some(Box::new(happened));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found when, of requests that fail as the function says, looked at ten times a second.
    fn found(around: u64, failed: impl Fn(Duration) -> u64) -> (bool, Duration) {
        let mut recovery = Recovery { around: Duration::from_secs(around), failed: 0, since: Duration::ZERO };
        let mut looks = (0..).map(|look| EVERY * look);
        let end = looks.find_map(|at| Some((recovery.at(at, failed(at))?, at)));
        end.expect("it ends in any case")
    }

    #[test]
    fn requests_succeed_again_when_none_has_failed_for_long_enough() {
        let seconds = Duration::from_secs;
        assert_eq!(found(5, |_| 0), (true, seconds(5)));
        assert_eq!(found(5, |at| at.min(seconds(3)).as_millis() as u64), (true, seconds(8)));
        // A failure just before the end begins the wait anew, and those of a minute are waited for.
        assert_eq!(
            found(5, |at| u64::from(at >= Duration::from_millis(4900))),
            (true, Duration::from_millis(9900))
        );
        assert_eq!(found(5, |at| at.min(seconds(60)).as_millis() as u64), (true, seconds(65)));
        assert_eq!(found(5, |at| at.as_millis() as u64), (false, seconds(65)));
        assert_eq!(found(0, |at| at.as_millis() as u64), (true, Duration::ZERO));
    }
}
