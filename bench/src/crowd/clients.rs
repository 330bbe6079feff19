//! The conductor's end of a client: the commands to it, and its reports.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::client::Order;
use crate::{
    interrupt,
    tools::{Tool, Tools},
};

/// Lines that wait to be heard; a client says one at a time.
const LINES: usize = 4;
/// How long to wait between two looks at an interrupt.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A client that runs; killed when dropped.
#[derive(Debug)]
pub(super) struct CrowdClient {
    child: Child,
    input: ChildStdin,
    said: Receiver<String>,
}

impl CrowdClient {
    pub(super) fn start(tools: &Tools, order: &Order) -> Result<Self> {
        let mut command = tools.command(Tool::CrowdClient)?;
        command.args(order.words()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("a client could not be started")?;
        let input = child.stdin.take().context("a client without an input")?;
        let output = child.stdout.take().context("a client without an output")?;
        let (say, said) = sync_channel(LINES);
        // It ends with the client's output.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, said })
    }

    pub(super) fn ask(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("a client has ended")?;
        Ok(self.input.flush()?)
    }

    /// Waits until it says `word` and this number, and nothing else.
    pub(super) fn heard(&self, word: &str, number: u64, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let line = loop {
            interrupt::check()?;
            match self.said.recv_timeout(LOOK_EVERY) {
                Ok(line) => break line,
                Err(RecvTimeoutError::Disconnected) => bail!("a client has ended without a word"),
                Err(RecvTimeoutError::Timeout) => {
                    ensure!(Instant::now() < deadline, "a client has not {word} {number} within {within:?}");
                }
            }
        };
        let mut words = line.split(' ');
        let as_expected = words.next() == Some(word) && words.next() == Some(number.to_string().as_str());
        ensure!(as_expected, "a client says {line:?}, not \"{word} {number}\"");
        Ok(())
    }
}

impl Drop for CrowdClient {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
