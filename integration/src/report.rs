//! What loadgen has counted, from its JSON report.

use serde_json::Value;

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    json: Value,
}

impl Report {
    /// Reads a report and checks the identities that hold for each run.
    ///
    /// # Panics
    /// When it is not a report, or does not add up.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let json = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        let report = Self { json };
        let sum = |parts: &[&str]| parts.iter().map(|part| report.requests(part)).sum::<u64>();
        assert_eq!(report.requests("offered"), sum(&["sent", "dropped", "not_sent"]), "{text}");
        let ends = ["completed", "transport_failed", "timed_out", "unanswered"];
        assert_eq!(report.requests("sent"), sum(&ends), "{text}");
        let classes = ["succeeded", "redirects", "client_errors", "server_errors", "call_errors"];
        assert_eq!(report.requests("completed"), sum(&classes), "{text}");
        report
    }

    /// A count of `requests`.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn requests(&self, name: &str) -> u64 {
        self.number(&format!("/requests/{name}"))
    }

    /// A whole number, rounded down, by its JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, pointer: &str) -> u64 {
        let value = self.json.pointer(pointer);
        let number = value.and_then(|v| v.as_u64().or_else(|| v.as_f64().map(|f| f as u64)));
        number.unwrap_or_else(|| panic!("no number at {pointer} of {:#}", self.json))
    }

    /// The whole report.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Asserts that this many requests were offered, and that each was sent once and succeeded.
    ///
    /// # Panics
    /// When it is otherwise.
    pub fn assert_all_succeeded(&self, count: u64) {
        for name in ["offered", "sent", "completed", "succeeded"] {
            assert_eq!(self.requests(name), count, "{name}: {:#}", self.json);
        }
        assert_eq!(self.requests("resent"), 0, "{:#}", self.json);
    }
}
