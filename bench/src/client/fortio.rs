//! fortio, over HTTP/1.1 at a rate.

use serde_json::Value;

use super::{Client, Outcome, url, words};
use crate::{load::Load, tools::Tool};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("fortio", Some("version"));

/// fortio.
#[derive(Debug)]
pub struct Fortio;

impl Client for Fortio {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    /// Without `-uniform` all of its connections would send together.
    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let (connections, rate) = (load.connections.to_string(), load.rate.unwrap_or_default().to_string());
        let total = load.total().unwrap_or_default().to_string();
        let url = url(load, port);
        words([
            "load",
            "-quiet",
            "-uniform",
            "-json",
            "-",
            "-c",
            &connections,
            "-qps",
            &rate,
            "-n",
            &total,
            &url,
        ])
    }

    /// "RetCodes" and "ActualDuration" of its JSON.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let sum = |wanted: bool| -> Option<u64> {
            let codes = json.get("RetCodes")?.as_object()?;
            let of_kind = codes.iter().filter(|(status, _)| status.starts_with('2') == wanted);
            Some(of_kind.filter_map(|(_, count)| count.as_u64()).sum())
        };
        let seconds = json.get("ActualDuration")?.as_f64()? / 1e9;
        Some(Outcome::closed(sum(true)?, sum(false)?, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_another_status_and_requests_without_one_are_errors() {
        let text = r#"{"ActualQPS":50.1,"ActualDuration":2000000000,"RetCodes":{"-1":3,"200":90,"503":7}}"#;
        assert_eq!(Fortio.read(text), Some(Outcome::closed(90, 10, 2.0)));
    }
}
