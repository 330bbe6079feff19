//! Our own client.

use serde_json::Value;

use super::{
    Client, Outcome,
    ghz::{LENGTH, MESSAGE, METHOD},
    milliseconds, url, words,
};
use crate::{
    rows::{Load, Protocol},
    tools::Tool,
};

/// loadgen.
#[derive(Debug)]
pub struct Loadgen {
    tool: Tool,
    /// Whether it sends an id with each request.
    ids: bool,
    /// Whether its requests are gRPC calls.
    calls: bool,
}

/// Ours.
pub static LOADGEN: Loadgen = Loadgen { tool: Tool::Loadgen, ids: true, calls: false };
/// Ours before a change.
pub static LOADGEN_BEFORE: Loadgen = Loadgen { tool: Tool::LoadgenBefore, ids: true, calls: false };
/// Ours, sending no id with its requests.
pub static LOADGEN_WITHOUT_ID: Loadgen = Loadgen { tool: Tool::Loadgen, ids: false, calls: false };
/// Ours, making gRPC calls.
pub static LOADGEN_CALLS: Loadgen = Loadgen { tool: Tool::Loadgen, ids: true, calls: true };

impl Client for Loadgen {
    fn tool(&self) -> Option<Tool> {
        Some(self.tool)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let (connections, streams, url) =
            (load.connections.to_string(), load.streams.to_string(), url(load, port));
        let mut list = words(["--workers", "1", "-c", &connections, "-o", "json", "--no-progress"]);
        list.extend(match load.rate.zip(load.total()) {
            Some((rate, total)) => words(["--rate", &rate.to_string(), "--total", &total.to_string()]),
            None => words(["-d", &milliseconds(load)]),
        });
        if !self.ids {
            list.extend(words(["--request-id-header="]));
        }
        if self.calls {
            list.extend(words(["-m", &streams, "-b", MESSAGE, &format!("grpc://127.0.0.1:{port}/{METHOD}")]));
            return list;
        }
        list.extend(match load.protocol {
            Protocol::H2c => words(["-m", &streams, &url.replacen("http", "h2c", 1)]),
            _ => words([&url]),
        });
        list
    }

    fn content(&self, load: &Load) -> usize {
        if self.calls { LENGTH } else { load.body.size() }
    }

    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let requests = json.get("requests")?;
        let count = |name| requests.get(name)?.as_u64();
        let (sent, succeeded) = (count("sent")?, count("succeeded")?);
        Some(Outcome {
            requests: count("completed")?,
            // Dropped and never sent ones are errors too: no row allows any.
            errors: sent - succeeded + count("dropped")? + count("not_sent")?,
            seconds: json.get("elapsed_seconds").and_then(Value::as_f64),
            sent: Some(sent),
            lag_p99_us: json.get("release_lag_us")?.get("p99")?.as_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};
    use crate::args::Mode;

    #[test]
    fn loadgen_gets_rate_and_total_when_paced_else_a_duration() {
        let paced = LOADGEN.arguments(&load(Mode::Client, "paced"), 7).join(" ");
        assert!(paced.ends_with("--rate 10000 --total 5000 http://127.0.0.1:7/bin/1K"), "{paced}");
        let closed = LOADGEN.arguments(&load(Mode::Client, "h2c-closed"), 7).join(" ");
        assert!(closed.ends_with("-c 10 -o json --no-progress -d 500ms -m 100 h2c://127.0.0.1:7/bin/1K"));
    }

    #[test]
    fn calls_are_those_of_the_other_client() {
        let arguments = LOADGEN_CALLS.arguments(&load(Mode::Client, "grpc-closed"), 7).join(" ");
        let end = "-d 500ms -m 10 -b {\"message\":\"hello\"} grpc://127.0.0.1:7/echo.EchoService/Echo";
        assert!(arguments.ends_with(end), "{arguments}");
    }

    #[test]
    fn the_contender_without_ids_disables_the_id_header() {
        let load = load(Mode::Server, "h2c-id");
        let ids = [&LOADGEN, &LOADGEN_WITHOUT_ID]
            .map(|client| client.arguments(&load, 7).contains(&"--request-id-header=".to_owned()));
        assert_eq!(ids, [false, true]);
    }

    #[test]
    fn requests_that_did_not_succeed_count_as_errors() {
        let text = r#"{"requests":{"offered":100,"sent":97,"completed":96,"succeeded":95,"dropped":2,"not_sent":1},
            "release_lag_us":{"p99":61.5}}"#;
        let outcome = LOADGEN.read(text).unwrap();
        assert_eq!((outcome.requests, outcome.errors, outcome.sent), (96, 5, Some(97)));
        assert_eq!(outcome.lag_p99_us, Some(61.5));
    }
}
