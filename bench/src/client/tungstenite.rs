//! The WebSocket client of this package, on tokio-tungstenite.

use serde_json::Value;

use super::{Client, MESSAGE, Outcome};
use crate::{load::Load, tools::Tool};

/// The client on tokio-tungstenite.
#[derive(Debug)]
pub struct Tungstenite;

impl Client for Tungstenite {
    fn tool(&self) -> Option<Tool> {
        Some(Tool::TungsteniteClient)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        vec![format!("127.0.0.1:{port}"), load.connections.to_string(), load.seconds.to_string()]
    }

    fn read(&self, printed: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(printed).ok()?;
        let count = |name| json.get(name)?.as_u64();
        Some(Outcome::closed(count("messages")?, count("failed")?, json.get("seconds")?.as_f64()?))
    }

    fn content(&self, _: &Load) -> usize {
        MESSAGE
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};
    use crate::args::Mode;

    #[test]
    fn connections_and_seconds_are_passed_and_failures_are_read() {
        let arguments = Tungstenite.arguments(&load(Mode::Client, "ws-closed"), 7);
        assert_eq!(arguments, ["127.0.0.1:7", "50", "0.5"]);
        let text = "{\"messages\":100,\"failed\":2,\"seconds\":0.5}\n";
        assert_eq!(Tungstenite.read(text), Some(Outcome::closed(100, 2, 0.5)));
    }
}
