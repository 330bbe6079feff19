//! vegeta, over HTTP/1.1 at a rate.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Client, GRACE, Outcome, Place, Run, check_reply, milliseconds, url, words};
use crate::{cpu, load::Load, process::Process, tools::Tool};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("vegeta", None);

/// What it asks for.
const TARGETS: &str = "vegeta.targets";
/// Where it keeps what it measured, of which another run makes a report.
const RESULTS: &str = "vegeta.results";

/// vegeta.
#[derive(Debug)]
pub struct Vegeta;

impl Client for Vegeta {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, _port: u16) -> Vec<String> {
        let (targets, results) = (format!("{{dir}}/{TARGETS}"), format!("{{dir}}/{RESULTS}"));
        let (rate, time) = (load.rate.unwrap_or_default().to_string(), milliseconds(load));
        // Where replies are late it has more workers, but no more connections than the others: without a limit there can
        // be thousands, of which a server closes some.
        let connections = load.connections.to_string();
        words([
            "attack",
            "-targets",
            &targets,
            "-output",
            &results,
            "-rate",
            &rate,
            "-duration",
            &time,
            "-workers",
            &connections,
            "-max-connections",
            &connections,
        ])
    }

    /// "requests" and "status_codes" of its report in JSON.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let sent = json.get("requests")?.as_u64()?;
        let succeeded: u64 = json
            .get("status_codes")?
            .as_object()?
            .iter()
            .filter(|(status, _)| status.starts_with('2'))
            .filter_map(|(_, count)| count.as_u64())
            .sum();
        let seconds = json.get("duration")?.as_f64()? / 1e9;
        Some(Outcome::closed(succeeded, sent - succeeded, seconds))
    }

    /// Its CPU time is that of sending and of keeping what came, not of the report.
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        fs::write(at.dir.join(TARGETS), format!("GET {}\n", url(load, at.port)))?;
        let folder = at.dir.to_str().context("the temporary folder's name is not UTF-8")?;
        let start = |arguments: Vec<String>| {
            let mut command = at.tools.command(PROGRAM)?;
            command.args(arguments.iter().map(|word| word.replace("{dir}", folder)));
            Process::start(command, at.cpu, at.dir, PROGRAM.name())?.finish(load.time() + GRACE)
        };
        let before = cpu::of_ended_children()?;
        start(self.arguments(load, at.port))?;
        let cpu = cpu::of_ended_children()?.saturating_sub(before);
        let printed = start(words(["report", "-type=json", &format!("{{dir}}/{RESULTS}")]))?;
        let outcome = self.read(&printed).context("the output of vegeta is not understood")?;
        Ok(Run { outcome, cpu, printed, held: None })
    }

    fn prepare(&self, load: &Load, at: &Place<'_>) -> Result<()> {
        check_reply(load, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_another_status_and_requests_without_one_are_errors() {
        let text = r#"{"latencies":{"mean":1},"duration":2000000000,"requests":100,
            "status_codes":{"0":2,"200":90,"503":8},"errors":["refused"]}"#;
        assert_eq!(Vegeta.read(text), Some(Outcome::closed(90, 10, 2.0)));
    }
}
