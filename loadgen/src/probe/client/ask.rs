//! A request of a probe, as it is written and as `curl` would send it.

use contract::{field::TOKEN, id::Id};

/// Names and values, in order.
pub(crate) type Fields = Vec<(String, String)>;

/// The first value of a field.
pub(crate) fn get<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// What follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    None,
    Length(u64),
    Chunked,
    /// Another protocol.
    WebSocket,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) authority: String,
    pub(crate) is_secure: bool,
    pub(crate) fields: Fields,
    pub(crate) content: Content,
    pub(crate) id: Id,
    /// Whether servers note it.
    pub(crate) is_noted: bool,
}

impl Ask {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn content(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// The fields that are sent beside those that the protocol needs.
    pub(super) fn all_fields(&self) -> impl Iterator<Item = (&str, String)> {
        let token = || (TOKEN, String::from_utf8_lossy(&self.id.text()).into_owned());
        let own = self.fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
        own.chain(self.is_noted.then(token))
    }

    /// A command that sends the same, though not with the same timing.
    pub(crate) fn curl(&self, is_http2: bool) -> String {
        let version = match (is_http2, self.is_secure) {
            (false, _) => "--http1.1",
            (true, true) => "--http2",
            (true, false) => "--http2-prior-knowledge",
        };
        let mut words = vec!["curl -sSi --path-as-is".to_owned(), version.to_owned()];
        if self.method != "GET" && self.method != "CONNECT" {
            words.push(format!("-X {}", self.method));
        }
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        words.extend(fields.map(|field| format!("-H {}", quoted(&field))));
        match self.content {
            Content::None => {}
            Content::Length(_) => words.push("--data-binary probe".to_owned()),
            Content::Chunked => words.push("-H 'Transfer-Encoding: chunked' --data-binary probe".to_owned()),
            Content::WebSocket => words.push(
                "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                 -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='"
                    .to_owned(),
            ),
        }
        let scheme = if self.is_secure { "https" } else { "http" };
        words.push(quoted(&format!("{scheme}://{}{}", self.authority, self.target)));
        words.join(" ")
    }
}

/// As a word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curl_line_says_the_same_and_quotes_what_a_shell_would_read() {
        let id = Id { run: 1, load: 0, number: 2, attempt: 0 };
        let ask = Ask {
            method: "POST",
            target: "/a?b='c'&d".to_owned(),
            authority: "host:80".to_owned(),
            is_secure: false,
            fields: Vec::new(),
            content: Content::Length(5),
            id,
            is_noted: true,
        };
        assert_eq!(
            ask.with("X-A", "it's").curl(true),
            r"curl -sSi --path-as-is --http2-prior-knowledge -X POST -H 'X-A: it'\''s' --data-binary probe 'http://host:80/a?b='\''c'\''&d'"
        );
    }
}
