//! What a plan expects of a reply beside that it comes: pure, fed with head and body, and asked once at the end.

use std::{borrow::Cow, fmt, ops::RangeInclusive, sync::Arc};

use contract::pattern::{self, Mismatch};
use grpc::Code;
use serde_json::Value;
use wire::Fields;

use super::{
    ExpectedStatus,
    encoding::{self, Decoded},
};
use crate::{clock::Nanos, numbers};

/// How much of a body is held for a check by default, in bytes.
pub(crate) const DEFAULT_HELD: u64 = 1 << 20;

/// The maximum that a plan may have kept of a body, in bytes.
pub(crate) const MAX_HELD: u64 = 64 << 20;

/// What is shown of what was found, in characters.
const SHOWN: usize = 80;

/// What is expected of a reply. All of it has to be met.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expectations {
    /// One of these statuses.
    pub(crate) status: Option<ExpectedStatus>,
    /// One of these statuses of a gRPC call.
    pub(crate) grpc_status: Option<ExpectedStatus>,
    /// Of fields, by their names in lower case.
    pub(crate) headers: Vec<(String, Text)>,
    /// These texts in the body.
    pub(crate) body_contains: Vec<String>,
    /// Of values in a body of JSON.
    pub(crate) json: Vec<(JsonPath, Json)>,
    /// The number of bytes in the body.
    pub(crate) size: Option<RangeInclusive<u64>>,
    /// A response time of at most so much.
    pub(crate) within: Option<Nanos>,
    /// The body that dummy-server generates.
    pub(crate) pattern: bool,
    /// How much of the body is held.
    pub(crate) most_held: usize,
}

/// What is expected of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// That it is there.
    Present,
    /// That it is this.
    Equals(String),
    /// That it has this in it.
    Contains(String),
}

/// What is expected of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// That it is there.
    Present,
    /// That it is this.
    Equals(Value),
}

/// The way to a value in JSON: `$.items[0].id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonPath {
    text: String,
    steps: Vec<PathStep>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Name(String),
    Index(usize),
}

/// The maximum number of steps of a path.
const MAX_STEPS: usize = 100;

impl JsonPath {
    /// Reads `$.items[0].id`, `items[0].id` or `$['a b']`. None: it is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        if !rest.is_empty() && rest.len() == text.len() && !rest.starts_with(['.', '[']) {
            (steps, rest) = first_name(rest)?;
        }
        while !rest.is_empty() {
            if steps.len() == MAX_STEPS {
                return None;
            }
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, behind) = quoted.split_once("']")?;
                steps.push(PathStep::Name(name.to_owned()));
                rest = behind;
            } else if let Some(index) = rest.strip_prefix('[') {
                let (index, behind) = index.split_once(']')?;
                let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
                steps.push(PathStep::Index(index.parse().ok().filter(|_| is_number)?));
                rest = behind;
            } else {
                let (name, behind) = first_name(rest.strip_prefix('.')?)?;
                steps.extend(name);
                rest = behind;
            }
        }
        (!text.is_empty()).then(|| Self { text: text.to_owned(), steps })
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.steps.iter().try_fold(value, |value, step| match step {
            PathStep::Name(name) => value.get(name),
            PathStep::Index(index) => value.get(index),
        })
    }
}

fn first_name(text: &str) -> Option<(Vec<PathStep>, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    (end > 0).then(|| (vec![PathStep::Name(text[..end].to_owned())], &text[end..]))
}

/// What is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What was expected.
    pub(crate) expected: String,
    /// What there was.
    pub(crate) found: String,
}

/// The check of one reply.
#[derive(Debug)]
pub(crate) struct Check {
    expectations: Arc<Expectations>,
    /// Of the head.
    fault: Option<Fault>,
    /// Of the body, if it is to be the generated one.
    unlike: Option<Mismatch>,
    length: u64,
    held: Vec<u8>,
    /// Whether there was more.
    is_cut: bool,
    /// What the body is compressed with, if it is and is looked through.
    encoding: Option<String>,
}

/// What is looked through of a body.
struct BodyText<'c> {
    bytes: Cow<'c, [u8]>,
    /// Whether there was more.
    is_cut: bool,
}

impl Check {
    /// Of a reply of which this is expected.
    pub(crate) fn new(expectations: Arc<Expectations>) -> Self {
        Self {
            expectations,
            fault: None,
            unlike: None,
            length: 0,
            held: Vec::new(),
            is_cut: false,
            encoding: None,
        }
    }

    pub(super) fn head(&mut self, fields: &Fields) {
        self.encoding = if self.expectations.needs_body() { encoding::of(fields) } else { None };
        self.fault = self.expectations.headers.iter().find_map(|(name, expected)| {
            let is_met = fields.get_all(name).any(|value| expected.is_met(&String::from_utf8_lossy(value)));
            let first = || fields.get(name).map(|value| quoted(&String::from_utf8_lossy(value)));
            (!is_met).then(|| Fault {
                expected: format!("header {name} {expected}"),
                found: first().unwrap_or_else(|| "it is not there".to_owned()),
            })
        });
    }

    pub(super) fn body(&mut self, part: &[u8]) {
        if self.expectations.pattern && self.unlike.is_none() {
            self.unlike = pattern::verify(self.length, part).err();
        }
        self.length += part.len() as u64;
        if self.expectations.needs_body() {
            let room = self.expectations.most_held - self.held.len();
            self.is_cut |= part.len() > room;
            self.held.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    /// What of a complete reply is not as expected, first.
    pub(crate) fn fault(
        &self,
        status: u16,
        code: Option<Code>,
        length: u64,
        response: Nanos,
    ) -> Option<Fault> {
        let Expectations { status: statuses, grpc_status, body_contains, json, size, within, .. } =
            &*self.expectations;
        if let Some(statuses) = statuses
            && !statuses.contains(status)
        {
            let expected = format!("status {}", statuses.named().unwrap_or_default());
            return Some(Fault { expected, found: format!("status {status}") });
        }
        if let Some(codes) = grpc_status
            && !code.is_some_and(|code| codes.contains_code(code))
        {
            let expected = format!("grpc_status {}", codes.named().unwrap_or_default());
            let found = code.map_or_else(|| format!("HTTP status {status}"), |code| code.name().to_owned());
            return Some(Fault { expected, found });
        }
        if let Some(fault) = &self.fault {
            return Some(fault.clone());
        }
        if let Some(size) = size
            && !size.contains(&length)
        {
            let expected = format!("size {} to {}", size.start(), size.end());
            return Some(Fault { expected, found: format!("{length} bytes") });
        }
        if let Some(unlike) = &self.unlike {
            return Some(Fault { expected: "payload pattern".to_owned(), found: unlike.to_string() });
        }
        if self.expectations.needs_body()
            && let Some(fault) = self.body_fault(body_contains, json)
        {
            return Some(fault);
        }
        if let Some(within) = within.filter(|within| response > *within) {
            let time = |nanos: Nanos| numbers::time(nanos as f64);
            return Some(Fault { expected: format!("within {}", time(within)), found: time(response) });
        }
        None
    }

    /// What of the content is not as expected, first; of one that is compressed, as it was before.
    fn body_fault(&self, body_contains: &[String], json: &[(JsonPath, Json)]) -> Option<Fault> {
        let content = match self.content() {
            Ok(content) => content,
            Err(why) => {
                let contains = body_contains.first().map(|text| format!("body contains {}", quoted(text)));
                let of_json = json.first().map(|(path, expected)| format!("json {} {expected}", path.text));
                let found = format!("the body can't be decoded: {why}");
                return Some(Fault { expected: contains.or(of_json)?, found });
            }
        };
        for text in body_contains {
            if memchr::memmem::find(&content.bytes, text.as_bytes()).is_none() {
                let expected = format!("body contains {}", quoted(text));
                return Some(Fault { expected, found: content.found() });
            }
        }
        if json.is_empty() {
            return None;
        }
        let body = serde_json::from_slice::<Value>(&content.bytes).ok();
        json.iter().find_map(|(path, expected)| {
            let fault = |found: String| Fault { expected: format!("json {} {expected}", path.text), found };
            let Some(body) = &body else { return Some(fault(format!("no JSON: {}", content.found()))) };
            match (path.find(body), expected) {
                (None, _) => Some(fault("it is not there".to_owned())),
                (Some(_), Json::Present) => None,
                (Some(value), Json::Equals(wanted)) if is_same(value, wanted) => None,
                (Some(value), Json::Equals(_)) => Some(fault(shortened(&value.to_string()))),
            }
        })
    }

    fn content(&self) -> Result<BodyText<'_>, String> {
        let Some(encoding) = &self.encoding else {
            return Ok(BodyText { bytes: Cow::Borrowed(&self.held), is_cut: self.is_cut });
        };
        let most = self.expectations.most_held;
        let Decoded { content, is_cut } = encoding::decoded(encoding, &self.held, self.is_cut, most)?;
        Ok(BodyText { bytes: Cow::Owned(content), is_cut })
    }
}

impl BodyText<'_> {
    fn found(&self) -> String {
        let cut = if self.is_cut { " (the body is longer than what is held of it)" } else { "" };
        let shown = &self.bytes[..self.bytes.len().min(4 * SHOWN)];
        format!("{}{cut}", quoted(&String::from_utf8_lossy(shown)))
    }
}

/// Whether values are the same; 1 and 1.0 are.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| Some(number) == other.as_f64())
}

impl Expectations {
    fn needs_body(&self) -> bool {
        !self.body_contains.is_empty() || !self.json.is_empty()
    }

    /// What is expected, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(status) = &self.status {
            lines.push(format!("status {}", status.named().unwrap_or_default()));
        }
        if let Some(codes) = &self.grpc_status {
            lines.push(format!("grpc_status {}", codes.named().unwrap_or_default()));
        }
        lines.extend(self.headers.iter().map(|(name, text)| format!("header {name} {text}")));
        lines.extend(self.size.iter().map(|size| format!("size {} to {}", size.start(), size.end())));
        lines.extend(self.pattern.then(|| "payload pattern".to_owned()));
        lines.extend(self.body_contains.iter().map(|text| format!("body contains {}", quoted(text))));
        lines.extend(self.json.iter().map(|(path, json)| format!("json {} {json}", path.text)));
        lines.extend(self.within.iter().map(|time| format!("within {}", numbers::time(*time as f64))));
        lines
    }

    /// Whether nothing is expected.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self { most_held: self.most_held, ..Self::default() }
    }
}

impl Text {
    fn is_met(&self, value: &str) -> bool {
        match self {
            Self::Present => true,
            Self::Equals(text) => value == text,
            Self::Contains(text) => value.contains(text.as_str()),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("is present"),
            Self::Equals(text) => write!(f, "is {}", quoted(text)),
            Self::Contains(text) => write!(f, "contains {}", quoted(text)),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("is present"),
            Self::Equals(value) => write!(f, "is {}", shortened(&value.to_string())),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", shortened(text))
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(expectations: Expectations, fields: &[(&str, &str)], parts: &[&[u8]]) -> Option<Fault> {
        let mut check =
            Check::new(Arc::new(Expectations { most_held: expectations.most_held.max(20), ..expectations }));
        let mut head = Fields::new();
        fields.iter().for_each(|(name, value)| head.push(name, value));
        check.head(&head);
        parts.iter().for_each(|part| check.body(part));
        let length = parts.iter().map(|part| part.len() as u64).sum();
        check.fault(200, Some(Code::NotFound), length, 1_000_000)
    }

    #[test]
    fn each_expectation_is_met_or_says_what_was_found() {
        let json = |path: &str, value: Json| Expectations {
            json: vec![(JsonPath::parse(path).unwrap(), value)],
            ..Expectations::default()
        };
        let header = |text| Expectations {
            headers: vec![("content-type".to_owned(), text)],
            ..Expectations::default()
        };
        let status = |text| Some(ExpectedStatus::of_replies(text).unwrap());
        let codes = |text| Some(ExpectedStatus::of_calls(text).unwrap());
        for (expectations, met) in [
            (Expectations::default(), true),
            (Expectations { status: status("200,404"), ..Expectations::default() }, true),
            (Expectations { status: status("404"), ..Expectations::default() }, false),
            (Expectations { grpc_status: codes("OK,NOT_FOUND"), ..Expectations::default() }, true),
            (Expectations { grpc_status: codes("OK"), ..Expectations::default() }, false),
            (header(Text::Present), true),
            (header(Text::Equals("text/html".to_owned())), true),
            (header(Text::Contains("html".to_owned())), true),
            (header(Text::Equals("html".to_owned())), false),
            (
                Expectations { headers: vec![("x".to_owned(), Text::Present)], ..Expectations::default() },
                false,
            ),
            (Expectations { body_contains: vec!["a\":[1".to_owned()], ..Expectations::default() }, true),
            (Expectations { body_contains: vec!["b".to_owned()], ..Expectations::default() }, false),
            (Expectations { size: Some(14..=14), ..Expectations::default() }, true),
            (Expectations { size: Some(0..=13), ..Expectations::default() }, false),
            (Expectations { within: Some(1_000_000), ..Expectations::default() }, true),
            (Expectations { within: Some(999_999), ..Expectations::default() }, false),
            (Expectations { pattern: true, ..Expectations::default() }, false),
            (json("$.a[1]", Json::Equals(json!(true))), true),
            (json("a[0]", Json::Equals(json!(1))), true),
            (json("$['a'][0]", Json::Present), true),
            (json("$", Json::Present), true),
            (json("$.a[2]", Json::Present), false),
            (json("$.a[0]", Json::Equals(json!("1"))), false),
        ] {
            let shown = format!("{expectations:?}");
            let fields = [("content-type", "text/plain"), ("content-type", "text/html")];
            let found = check(expectations, &fields, &[b"{\"a\":", b"[1,true]}"]);
            assert_eq!(found.is_none(), met, "{shown}: {found:?}");
        }
        let generated = Expectations { pattern: true, ..Expectations::default() };
        assert_eq!(check(generated.clone(), &[], &[&pattern::ALPHABET[..5], &pattern::ALPHABET[5..9]]), None);
        assert!(check(generated, &[], &[&pattern::ALPHABET[..5], b"x"]).is_some());
        let found = check(json("$.a", Json::Present), &[], &[b"<html>"]).unwrap();
        assert_eq!((&*found.expected, &*found.found), ("json $.a is present", "no JSON: '<html>'"));
    }

    #[test]
    fn no_more_of_a_body_is_held_than_allowed() {
        let text =
            Expectations { body_contains: vec!["end".to_owned()], most_held: 20, ..Expectations::default() };
        let found = check(text.clone(), &[], &[&[b'x'; 15], b"xxxxxend"]).unwrap();
        assert!(found.found.contains("longer than what is held"), "{found:?}");
        assert_eq!(check(text, &[], &[&[b'x'; 15], b"xxend"]), None);
    }

    #[test]
    fn a_compressed_body_is_looked_through_as_it_was_before() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"{\"a\":[1,true]}").unwrap();
        let gzip = gzip.finish().unwrap();
        let texts = |text: &str| Expectations {
            body_contains: vec![text.to_owned()],
            json: vec![(JsonPath::parse("a[0]").unwrap(), Json::Equals(json!(1)))],
            most_held: 100,
            ..Expectations::default()
        };
        let (one, rest) = gzip.split_at(9);
        let coded = [("content-encoding", "gzip")];
        assert_eq!(check(texts("[1,true]"), &coded, &[one, rest]), None);
        let found = check(texts("[2"), &coded, &[one, rest]).unwrap();
        assert_eq!((&*found.expected, &*found.found), ("body contains '[2'", "'{\"a\":[1,true]}'"));
        // Without the field it is what it is.
        assert!(check(texts("[1,true]"), &[], &[one, rest]).is_some());
        let found = check(texts("[1"), &coded, &[b"no gzip"]).unwrap();
        assert!(found.found.starts_with("the body can't be decoded: it is not gzip: "), "{found:?}");
        // Sizes are those on the wire.
        let length = gzip.len() as u64;
        let size = Expectations { size: Some(length..=length), ..Expectations::default() };
        assert_eq!(check(size, &coded, &[one, rest]), None);
    }

    #[test]
    fn a_path_is_read_or_refused() {
        for text in ["", ".", "$.", "$..a", "$[", "$[x]", "$[-1]", "$[]", "a..b", "$['a", "$a", "[+1]"] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
        let long = format!("${}", ".a".repeat(MAX_STEPS));
        assert!(JsonPath::parse(&long).is_some() && JsonPath::parse(&format!("{long}.a")).is_none());
    }
}
