//! `--during`: a command is run while requests are sent, and the run goes on until they succeed again.

use std::{
    io,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::progress::note;
use crate::{
    clock::nanos,
    control::{Handle, Phase},
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

/// A command that is run on a thread of its own.
#[derive(Debug)]
pub(super) struct Watching {
    around: Duration,
    thread: thread::JoinHandle<io::Result<Happened>>,
}

impl During {
    /// Waits, runs the command, waits again, and ends the run.
    pub(super) fn watch(self, run: Handle) -> io::Result<Watching> {
        let thread = thread::Builder::new().name("loadgen-during".to_owned());
        let around = self.around;
        Ok(Watching { around, thread: thread.spawn(move || self.carry_out(&run))? })
    }

    fn carry_out(&self, run: &Handle) -> io::Result<Happened> {
        let is_going = || run.phase() == Phase::Run;
        while is_going() && run.elapsed().is_none_or(|elapsed| elapsed < self.around) {
            thread::sleep(EVERY);
        }
        thread::sleep(run.mark(0));
        let from = run.elapsed().unwrap_or_default();
        let result = if is_going() { self.run(run) } else { Err(io::ErrorKind::Interrupted.into()) };
        thread::sleep(run.mark(1));
        let to = run.elapsed().unwrap_or_default();
        let is_run = result.is_ok();
        let code = result.inspect_err(|error| note(&format!("can't run the command: {error}"))).ok();
        let recovered = is_run && self.recovers(run);
        run.done();
        let code = code.and_then(|status| status.code());
        Ok(Happened { command: self.command.clone(), code, from, to, recovered })
    }

    /// What it prints goes where progress goes: standard output is for the report.
    fn run(&self, run: &Handle) -> io::Result<ExitStatus> {
        note(&format!("running: {}", self.command));
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null()).stdout(io::stderr());
        let mut child = command.spawn()?;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                // Whoever presses Ctrl+C twice waits for nothing.
                None if run.phase() == Phase::Abort => {
                    child.kill()?;
                    break child.wait()?;
                }
                None => thread::sleep(EVERY),
            }
        };
        note(&format!("the command has ended: {status}"));
        Ok(status)
    }

    /// Waits until no request has failed for as long as is asked for. False: that did not come.
    fn recovers(&self, run: &Handle) -> bool {
        let began = Instant::now();
        let failed = || {
            let counts = run.snapshot().counts;
            counts.offered - counts.outstanding() - counts.succeeded
        };
        let (mut before, mut since) = (failed(), Instant::now());
        while run.phase() == Phase::Run {
            if since.elapsed() >= self.around {
                return true;
            }
            if began.elapsed() >= PATIENCE + self.around {
                return false;
            }
            thread::sleep(EVERY);
            let now = failed();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
        false
    }
}

impl Watching {
    /// The run is over: what happened is noted in what came of it.
    pub(super) fn end(self, summary: &mut Summary) {
        if let Ok(Ok(happened)) = self.thread.join() {
            // It was as long as that, and not as long as it might have been.
            summary.run.window = summary.run.window.map(|_| summary.arrivals_lasted);
            summary.run.duration = None;
            // What hangs is no failure before its timeout: it counts by when it was due.
            let last = summary.records.phases.as_deref().and_then(|phases| phases.unsuccessful);
            let until = nanos(summary.arrivals_lasted.saturating_sub(self.around));
            let mut happened = happened;
            happened.recovered &= last.is_none_or(|(_, last)| last <= until.max(nanos(happened.to)));
            summary.happened = Some(Box::new(happened));
        }
    }
}
