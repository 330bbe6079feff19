//! ghz, which makes gRPC calls.

use serde_json::Value;

use super::{Client, Outcome, milliseconds, words};
use crate::{load::Load, tools::Tool};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("ghz", Some("--version"));

/// The method that is called, and its message in JSON.
pub(super) const METHOD: &str = "echo.EchoService/Echo";
/// See [`METHOD`].
pub(super) const MESSAGE: &str = "{\"message\":\"hello\"}";
/// Bytes of the message with its prefix.
pub(super) const LENGTH: usize = 12;

/// ghz.
#[derive(Debug)]
pub struct Ghz;

impl Client for Ghz {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let (connections, all) =
            (load.connections.to_string(), (load.connections * load.streams).to_string());
        let (time, address) = (milliseconds(load), format!("127.0.0.1:{port}"));
        let mut list = words(["--insecure", "--cpus", "1", "--call", METHOD, "-d", MESSAGE, "-O", "json"]);
        list.extend(words([
            "-c",
            &all,
            "--connections",
            &connections,
            "-z",
            &time,
            "--duration-stop",
            "wait",
        ]));
        list.push(address);
        list
    }

    /// Calls, nanoseconds, and calls by their status.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let (count, total) = (json.get("count")?.as_u64()?, json.get("total")?.as_f64()?);
        let ok = json.get("statusCodeDistribution")?.get("OK").map_or(Some(0), Value::as_u64)?;
        Some(Outcome::closed(count, count.saturating_sub(ok), total / 1e9))
    }

    fn content(&self, _: &Load) -> usize {
        LENGTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_with_another_status_than_ok_count_as_errors() {
        let text = r#"{"count":1000,"total":2000000000,"average":1,"statusCodeDistribution":{"OK":990,"Unavailable":10}}"#;
        assert_eq!(Ghz.read(text), Some(Outcome::closed(1000, 10, 2.0)));
        assert_eq!(Ghz.read(r#"{"count":1000,"total":2000000000}"#), None);
    }
}
