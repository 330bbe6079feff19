//! What a caller has learned of its requests.

use std::collections::BTreeMap;

use http2::Code;

pub(crate) type Answers = BTreeMap<u32, Answer>;

/// What is said of a stream that the peer broke a rule on.
pub(crate) const FAILED: &str = "failed";

/// What has come of a request, one word after the other.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) said: String,
    /// Nothing more can come of it.
    pub(crate) is_over: bool,
}

impl Answer {
    fn say(&mut self, what: &str) {
        if !self.said.is_empty() {
            self.said.push(' ');
        }
        self.said.push_str(what);
    }

    pub(crate) fn head<'f>(&mut self, status: u16, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        self.say(&status.to_string());
        self.fields(fields);
    }

    pub(crate) fn content(&mut self, data: &[u8]) {
        if !data.is_empty() {
            self.say(&data.escape_ascii().to_string());
        }
    }

    pub(crate) fn trailers<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        self.say("trailers");
        self.fields(fields);
        self.end();
    }

    fn fields<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        for (name, value) in fields {
            self.say(&format!("{}:{}", name.escape_ascii(), value.escape_ascii()));
        }
    }

    pub(crate) fn end(&mut self) {
        self.say("end");
        self.is_over = true;
    }

    /// An error takes the place of what came before it, of which callers need not have learned.
    pub(crate) fn fail(&mut self, why: &str) {
        if !self.is_over {
            why.clone_into(&mut self.said);
            self.is_over = true;
        }
    }

    /// The peer has reset the stream.
    pub(crate) fn reset(&mut self, code: Code) {
        self.fail(&format!("reset by the server: {code}"));
    }
}
