//! k6, over HTTP/1.1 at a rate: its executor `constant-arrival-rate`.

use std::fs;

use anyhow::Result;
use serde_json::Value;

use super::{Client, Outcome, Place, check_reply, milliseconds, url, words};
use crate::{load::Load, tools::Tool};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("k6", Some("version"));

/// What it runs.
const SCRIPT: &str = "k6.js";

/// k6.
#[derive(Debug)]
pub struct K6;

impl Client for K6 {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    /// It talks to nothing but the server: it would report its use otherwise.
    fn arguments(&self, _load: &Load, _port: u16) -> Vec<String> {
        let script = format!("{{dir}}/{SCRIPT}");
        words(["run", "--quiet", "--no-color", "--no-usage-report", "--address=", &script])
    }

    /// "http_reqs", "http_req_failed" and the time of the run, as the script prints them.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value =
            serde_json::from_str(printed.lines().rev().find(|line| line.starts_with('{'))?).ok()?;
        let sent = json.get("requests")?.as_u64()?;
        let failed = json.get("failed")?.as_u64()?;
        let seconds = json.get("milliseconds")?.as_f64()? / 1e3;
        Some(Outcome::closed(sent.checked_sub(failed)?, failed, seconds))
    }

    fn prepare(&self, load: &Load, at: &Place<'_>) -> Result<()> {
        fs::write(at.dir.join(SCRIPT), script(load, at.port))?;
        check_reply(load, at)
    }
}

/// A connection is that of a virtual user: there are as many as the others have connections.
fn script(load: &Load, port: u16) -> String {
    // It takes no less than a second, which is longer than a smoke test.
    let load = &Load { seconds: load.seconds.max(1.0), ..*load };
    let (url, rate, time) = (url(load, port), load.rate.unwrap_or_default(), milliseconds(load));
    let users = load.connections;
    format!(
        "import http from 'k6/http';
export const options = {{
  discardResponseBodies: true,
  scenarios: {{
    load: {{
      executor: 'constant-arrival-rate', rate: {rate}, timeUnit: '1s', duration: '{time}',
      preAllocatedVUs: {users}, maxVUs: {users}, gracefulStop: '5s',
    }},
  }},
}};
export default function () {{
  http.get('{url}');
}}
export function handleSummary({{ metrics, state }}) {{
  const failed = metrics.http_req_failed ? metrics.http_req_failed.values.passes : 0;
  const requests = metrics.http_reqs ? metrics.http_reqs.values.count : 0;
  return {{ stdout: JSON.stringify({{ requests, failed, milliseconds: state.testRunDurationMs }}) + '\\n' }};
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};
    use crate::args::Mode;

    #[test]
    fn replies_of_another_status_and_requests_without_one_are_errors() {
        let text = "\n{\"requests\":100,\"failed\":10,\"milliseconds\":2000}\n";
        assert_eq!(K6.read(text), Some(Outcome::closed(90, 10, 2.0)));
    }

    #[test]
    fn its_script_has_the_rate_and_a_user_for_each_connection() {
        let script = script(&load(Mode::Client, "arrival-error"), 7);
        for part in ["rate: 10000,", "maxVUs: 50,", "http.get('http://127.0.0.1:7/bin/1K')"] {
            assert!(script.contains(part), "no {part} in {script}");
        }
    }

    #[test]
    fn its_script_runs_for_the_second_that_it_needs_at_least() {
        for (seconds, duration) in [(0.5, "duration: '1000ms'"), (3.0, "duration: '3000ms'")] {
            let load = Load { seconds, ..load(Mode::Client, "arrival-error") };
            let script = script(&load, 7);
            assert!(script.contains(duration), "no {duration} in {script}");
        }
    }
}
