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
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Another protocol.
    WebSocket,
}

/// What the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskedBody {
    Word,
    /// This number of `x`.
    Filler(u64),
    /// An empty gRPC message.
    Message,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) authority: String,
    /// Host and port, with the port in any case.
    pub(crate) place: String,
    pub(crate) is_secure: bool,
    /// Whether any certificate is trusted.
    pub(crate) is_insecure: bool,
    pub(crate) fields: Fields,
    pub(crate) content: Framing,
    pub(crate) body: AskedBody,
    /// Options of `curl` that repeat what else the client does.
    pub(crate) habits: &'static str,
    pub(crate) id: Id,
    /// Whether servers note it.
    pub(crate) is_noted: bool,
}

impl Ask {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn content(self, content: Framing) -> Self {
        let body = match content {
            Framing::Length(length) if length != 5 => AskedBody::Filler(length),
            _ => self.body,
        };
        Self { content, body, ..self }
    }

    pub(crate) fn body(self, body: AskedBody) -> Self {
        Self { body, ..self }
    }

    /// An option that has curl do what the client does beside the request.
    pub(crate) fn curl_with(self, habits: &'static str) -> Self {
        Self { habits, ..self }
    }

    /// The fields that are sent beside those that the protocol needs.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = (&str, String)> {
        let token = || (TOKEN, String::from_utf8_lossy(&self.id.text()).into_owned());
        let own = self.fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
        own.chain(self.is_noted.then(token))
    }

    /// As text, with the token behind its fields.
    pub(crate) fn written(&self, line: &str, fields: &[&str], rest: &str) -> String {
        let token = self.all_fields().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        format!("{line}\r\n{fields}{token}\r\n{rest}")
    }

    /// A command that sends a text.
    pub(crate) fn curl_of(&self, text: &str) -> String {
        let text = text.replace('\\', r"\\").replace('%', "%%").replace('\r', r"\r").replace('\n', r"\n");
        let client = if self.is_secure {
            format!("openssl s_client -quiet -connect {}", self.place)
        } else {
            format!("curl -sS -m 2 telnet://{}", self.place)
        };
        format!("printf {} | {client}", quoted(&text))
    }

    /// A command that sends the same on many streams of one connection, as far as the server allows them: none without TLS, where
    /// curl 7.88 fails with more than one.
    pub(crate) fn curl_of_many(&self, count: usize) -> Option<String> {
        if !self.is_secure {
            return None;
        }
        // What is behind # is not sent, and has curl repeat it.
        let repeated = Self { target: format!("{}#[1-{count}]", self.target), ..self.clone() };
        let curl = repeated.curl(true)?;
        Some(curl.replacen(" --path-as-is", &format!(" -Z --parallel-max {count} --path-as-is"), 1))
    }

    /// A command that sends the same, though not with the same timing: none if curl can't.
    pub(crate) fn curl(&self, is_http2: bool) -> Option<String> {
        if is_http2 && self.content == Framing::WebSocket {
            return None;
        }
        let version = match (is_http2, self.is_secure) {
            (false, _) => "--http1.1",
            (true, true) => "--http2",
            (true, false) => "--http2-prior-knowledge",
        };
        let feeds = match self.body {
            _ if matches!(self.content, Framing::None | Framing::WebSocket) => String::new(),
            AskedBody::Word => "printf probe | ".to_owned(),
            AskedBody::Filler(length) => format!("head -c {length} /dev/zero | tr '\\0' x | "),
            AskedBody::Message => r"printf '\0\0\0\0\0' | ".to_owned(),
        };
        let mut words = vec![format!("{feeds}curl -sSiN --path-as-is"), version.to_owned()];
        words.extend(self.is_insecure.then(|| "-k".to_owned()));
        words.extend((!self.habits.is_empty()).then(|| self.habits.to_owned()));
        match self.method {
            "GET" | "CONNECT" => {}
            "HEAD" => words.push("-I".to_owned()),
            method => words.push(format!("-X {method}")),
        }
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        words.extend(fields.map(|field| format!("-H {}", quoted(&field))));
        let has = |name| get(&self.fields, name).is_some();
        match self.content {
            Framing::None => {}
            Framing::Length(_) | Framing::Chunked => {
                // Of what curl adds by itself, what makes a difference.
                words.extend((!has("expect")).then(|| "-H 'Expect:'".to_owned()));
                words.extend((!has("content-type")).then(|| "-H 'Content-Type:'".to_owned()));
                let from_input = if self.content == Framing::Chunked { "-T -" } else { "--data-binary @-" };
                words.push(from_input.to_owned());
            }
            Framing::WebSocket => words.push(
                "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                 -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='"
                    .to_owned(),
            ),
        }
        let scheme = if self.is_secure { "https" } else { "http" };
        words.push(quoted(&format!("{scheme}://{}{}", self.authority, self.target)));
        Some(words.join(" "))
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
            authority: "host".to_owned(),
            place: "host:80".to_owned(),
            is_secure: false,
            is_insecure: false,
            fields: Vec::new(),
            content: Framing::Length(5),
            body: AskedBody::Word,
            habits: "",
            id,
            is_noted: true,
        };
        assert_eq!(
            ask.clone().with("X-A", "it's").curl(true).unwrap(),
            r"printf probe | curl -sSiN --path-as-is --http2-prior-knowledge -X POST -H 'X-A: it'\''s' -H 'Expect:' -H 'Content-Type:' --data-binary @- 'http://host/a?b='\''c'\''&d'"
        );
        let filled = ask.clone().content(Framing::Length(1000)).curl(false).unwrap();
        assert!(filled.starts_with(r"head -c 1000 /dev/zero | tr '\0' x | curl "), "{filled}");
        assert_eq!(ask.curl_of("a\r\n"), r"printf 'a\r\n' | curl -sS -m 2 telnet://host:80");
        let secure = Ask { is_secure: true, place: "[::1]:443".to_owned(), ..ask.clone() };
        assert!(
            secure.curl_of("a").ends_with("s_client -quiet -connect [::1]:443"),
            "{}",
            secure.curl_of("a")
        );
        let many = Ask { method: "GET", target: "/delay/100".to_owned(), content: Framing::None, ..secure };
        assert_eq!(
            many.curl_of_many(100).unwrap(),
            "curl -sSiN -Z --parallel-max 100 --path-as-is --http2 'https://host/delay/100#[1-100]'"
        );
        assert_eq!(ask.curl_of_many(100), None);
        assert_eq!(ask.content(Framing::WebSocket).curl(true), None);
    }
}
