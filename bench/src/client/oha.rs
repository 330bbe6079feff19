//! oha, over both versions of HTTP.

use serde_json::Value;

use super::{Client, Outcome, milliseconds, url, words};
use crate::{
    load::{Load, Protocol},
    tools::Tool,
};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("oha", Some("--version"));

/// oha.
#[derive(Debug)]
pub struct Oha;

impl Client for Oha {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let connections = load.connections.to_string();
        let mut list = words(["-c", &connections, "--no-tui", "--output-format", "json"]);
        list.extend(match load.rate.zip(load.total()) {
            Some((rate, total)) => words(["-q", &rate.to_string(), "-n", &total.to_string()]),
            None => words(["-z", &milliseconds(load)]),
        });
        if matches!(load.protocol, Protocol::Tls | Protocol::TlsH2) {
            list.extend(words(["--insecure"]));
        }
        if matches!(load.protocol, Protocol::H2c | Protocol::TlsH2) {
            list.extend(words(["--http2", "-p", &load.streams.to_string()]));
        }
        list.push(url(load, port));
        list
    }

    /// JSON; requests cut off at the end of the time are not errors.
    fn read(&self, printed: &str) -> Option<Outcome> {
        const CUT_OFF: &str = "aborted due to deadline";
        let json: Value = serde_json::from_str(printed).ok()?;
        let statuses = json.get("statusCodeDistribution")?.as_object()?;
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let requests = statuses.values().map(count).sum();
        let refused: u64 =
            statuses.iter().filter(|(status, _)| !status.starts_with('2')).map(|(_, n)| count(n)).sum();
        let failures = json.get("errorDistribution")?.as_object()?;
        let failed: u64 = failures.iter().filter(|(what, _)| *what != CUT_OFF).map(|(_, n)| count(n)).sum();
        let seconds = json.get("summary")?.get("total")?.as_f64()?;
        Some(Outcome::closed(requests, refused + failed, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_aborted_by_the_deadline_are_not_errors() {
        let text = r#"{"summary":{"successRate":1.0,"total":3.0,"requestsPerSec":10.0},
            "statusCodeDistribution":{"200":25,"503":5},
            "errorDistribution":{"aborted due to deadline":50,"connection refused":2}}"#;
        assert_eq!(Oha.read(text), Some(Outcome::closed(30, 7, 3.0)));
    }
}
