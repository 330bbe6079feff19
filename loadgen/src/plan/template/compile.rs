//! From a text to its segments, or to what is wrong with it.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Instant, MAX_RENDERED, MAX_RENDERED_FIELD, MAX_TEMPLATE, Segment, Template};
use crate::plan::rows::{Rows, is_of_a_field};

/// What is accepted, for messages.
pub(crate) const ACCEPTED: &str = "{{seq}}, {{uuid}}, {{random 1 100}}, {{pick a b c}}, {{now}}, {{now ms}}, {{env NAME}}, \
                                   {{row.name}} of a request with rows, and {{'{{'}} for two braces";

/// What a value in a path is not encoded of (RFC 3986 section 2.3).
pub(super) const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names beyond this are shown cut.
const LONGEST_SHOWN: usize = 40;

/// Where a text stands, and so what a value in it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextContext {
    /// In a path or a query: values are percent-encoded.
    Path,
    /// In the value of a header field: no value has a control character.
    Field,
    /// In a body: values are as they are.
    Body,
    /// In JSON, outside of texts: values are as they are.
    Json,
    /// In a text of JSON: values are written as a part of it (RFC 8259 section 7).
    JsonText,
}

impl TextContext {
    /// The longest that a text there may become, in bytes.
    fn longest(self) -> usize {
        match self {
            Self::Path | Self::Field => MAX_RENDERED_FIELD,
            Self::Body | Self::Json | Self::JsonText => MAX_RENDERED,
        }
    }

    /// The place behind a text that stands here: quotes begin and end texts of JSON.
    fn behind(self, text: &[u8]) -> Self {
        let (mut place, mut is_escaped) = (self, false);
        for byte in text {
            place = match (place, byte) {
                (Self::Json, b'"') => Self::JsonText,
                (Self::JsonText, b'"') if !is_escaped => Self::Json,
                _ => place,
            };
            is_escaped = !is_escaped && *byte == b'\\';
        }
        place
    }
}

/// What placeholders take their values from.
pub(crate) struct ValueSources<'s> {
    /// The rows of the request.
    pub(crate) rows: Option<&'s Rows>,
    /// The environment.
    pub(crate) env: &'s dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for ValueSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueSources").field("rows", &self.rows.is_some()).finish_non_exhaustive()
    }
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at position {position}")]
pub(crate) struct TemplateError {
    /// What is wrong.
    pub(crate) what: String,
    /// The character where the placeholder begins, counted from 1.
    pub(crate) position: usize,
}

/// Whether a text has the beginning of a placeholder.
pub(crate) fn has_placeholder(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"{{").is_some()
}

/// Where the placeholder that `text` begins with ends, behind its braces.
pub(crate) fn placeholder_end(text: &[u8]) -> Option<usize> {
    let mut is_quoted = false;
    let mut at = 2;
    while at < text.len() {
        match text[at] {
            b'\'' => is_quoted = !is_quoted,
            b'}' if !is_quoted && text.get(at + 1) == Some(&b'}') => return Some(at + 2),
            _ => {}
        }
        at += 1;
    }
    None
}

impl Template {
    /// Compiles a text. `salt` distinguishes its placeholders from those of other texts of the same request.
    ///
    /// # Errors
    /// The first placeholder that is not one of [`ACCEPTED`], and where it begins.
    pub(crate) fn compile(
        text: &[u8],
        place: TextContext,
        salt: u64,
        sources: &ValueSources<'_>,
    ) -> Result<Self, TemplateError> {
        let mut template = Self::default();
        let position = |at: usize| String::from_utf8_lossy(&text[..at]).chars().count() + 1;
        let (mut at, mut longest, most) = (0, 0_usize, place.longest());
        let mut place = place;
        while let Some(begin) = memchr::memmem::find(&text[at..], b"{{").map(|begin| at + begin) {
            let error = |what: String| TemplateError { what, position: position(begin) };
            if text.len() > MAX_TEMPLATE {
                return Err(error(format!(
                    "a text of {} bytes with placeholders, more than {MAX_TEMPLATE}, the first",
                    text.len()
                )));
            }
            template.push_text(&text[at..begin]);
            place = place.behind(&text[at..begin]);
            let length =
                placeholder_end(&text[begin..]).ok_or_else(|| error("'{{' without '}}'".to_owned()))?;
            let inner = std::str::from_utf8(&text[begin + 2..begin + length - 2])
                .map_err(|_| error("a placeholder that is not UTF-8".to_owned()))?;
            let made = placeholder(inner, place, salt.wrapping_add(begin as u64), sources).map_err(error)?;
            longest = longest.saturating_add(made.longest(sources.rows));
            match made {
                Segment::Text(text) => template.push_text(&text),
                segment => template.segments.push(segment),
            }
            at = begin + length;
            if longest.saturating_add(text.len()) > most {
                return Err(error(format!("it becomes longer than {most} bytes with the placeholder")));
            }
        }
        template.push_text(&text[at..]);
        Ok(template)
    }
}

/// What a text that is to stand in a path as it is can't have there.
const NOT_IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\');

/// The segment of what stands between braces.
fn placeholder(
    inner: &str,
    place: TextContext,
    salt: u64,
    sources: &ValueSources<'_>,
) -> Result<Segment, String> {
    let words = words(inner)?;
    let Some((Word { text: name, is_quoted }, values)) = words.split_first() else {
        return Err("an empty placeholder".to_owned());
    };
    if *is_quoted {
        return match values {
            [] if place == TextContext::Path => {
                Ok(Segment::Text(utf8_percent_encode(name, NOT_IN_PATH).to_string().into_bytes()))
            }
            [] => encoded(name, place, "text").map(|text| Segment::Text(text.into())),
            _ => Err("more than one text in a placeholder".to_owned()),
        };
    }
    let text = |values: &[Word<'_>]| values.iter().map(|word| word.text.to_owned()).collect::<Vec<_>>();
    match (*name, text(values).as_slice()) {
        ("seq", []) => Ok(Segment::Seq),
        ("uuid", []) => Ok(Segment::Uuid { salt }),
        ("random", [low, high]) => {
            let bounds = low.parse::<i64>().ok().zip(high.parse::<i64>().ok());
            let (low, high) = bounds.filter(|(low, high)| low <= high).ok_or_else(|| {
                format!("'random {}' without two whole numbers in order", shown(&format!("{low} {high}")))
            })?;
            Ok(Segment::Random { low, span: high.abs_diff(low), salt })
        }
        ("pick", choices @ [_, ..]) => {
            let choices = choices.iter().map(|choice| encoded(choice, place, "pick"));
            Ok(Segment::Pick { choices: choices.collect::<Result<_, _>>()?, salt })
        }
        ("now", []) => Ok(Segment::Now(Instant::Rfc3339)),
        ("now", [unit]) => match unit.as_str() {
            "s" => Ok(Segment::Now(Instant::Since(1_000_000_000))),
            "ms" => Ok(Segment::Now(Instant::Since(1_000_000))),
            "us" => Ok(Segment::Now(Instant::Since(1_000))),
            "ns" => Ok(Segment::Now(Instant::Since(1))),
            other => Err(format!("'now {}' of no unit among s, ms, us and ns", shown(other))),
        },
        ("env", [name]) => {
            let value = (sources.env)(name)
                .ok_or_else(|| format!("'env {}' of a variable that is not set", shown(name)))?;
            encoded(&value, place, "env").map(|text| Segment::Text(text.into()))
        }
        ("row", [column]) => row(column, place, sources.rows),
        (name, []) if name.starts_with("row.") => row(&name["row.".len()..], place, sources.rows),
        ("seq" | "uuid" | "random" | "pick" | "now" | "env" | "row", values) => {
            Err(format!("'{name}' with {} values", values.len()))
        }
        (name, _) => Err(format!("unknown placeholder '{}'", shown(name))),
    }
}

fn row(name: &str, place: TextContext, rows: Option<&Rows>) -> Result<Segment, String> {
    let Some(rows) = rows else {
        return Err(format!("'row.{}' in a request without rows", shown(name)));
    };
    let column = rows.column(name).ok_or_else(|| {
        let known: Vec<_> = rows.columns().iter().take(20).map(|column| shown(column)).collect();
        format!("'row.{}' of no column among {}", shown(name), known.join(", "))
    })?;
    if place == TextContext::Field && !rows.is_of_fields(column) {
        return Err(format!("'row.{}' has a value with a control character, in a header field", shown(name)));
    }
    Ok(Segment::Row { column, place })
}

/// A value as it stands there.
fn encoded(value: &str, place: TextContext, of: &str) -> Result<Box<[u8]>, String> {
    match place {
        TextContext::Path => Ok(utf8_percent_encode(value, IN_PATH).to_string().into_bytes().into()),
        TextContext::Field if !is_of_a_field(value) => {
            Err(format!("'{of}' has a value with a control character, in a header field"))
        }
        TextContext::JsonText => Ok(part_of_json(value).into_bytes().into()),
        TextContext::Field | TextContext::Body | TextContext::Json => Ok(value.as_bytes().into()),
    }
}

/// A value as a part of a text in JSON.
pub(super) fn part_of_json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn shown(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).collect()
}

/// A word, or a text in quotes.
struct Word<'t> {
    text: &'t str,
    is_quoted: bool,
}

impl Segment {
    /// The longest that it is rendered, in bytes.
    fn longest(&self, rows: Option<&Rows>) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Uuid { .. } => 36,
            Self::Pick { choices, .. } => choices.iter().map(|choice| choice.len()).max().unwrap_or(0),
            Self::Row { column, place } => {
                let longest = rows.map_or(0, |rows| rows.longest(*column));
                match place {
                    // Each byte may be encoded as three.
                    TextContext::Path => longest.saturating_mul(3),
                    // A control character becomes six.
                    TextContext::JsonText => longest.saturating_mul(6),
                    TextContext::Field | TextContext::Body | TextContext::Json => longest,
                }
            }
            Self::Seq | Self::Random { .. } | Self::Now(_) | Self::Length | Self::Announced | Self::Id => 40,
        }
    }
}

fn words(inner: &str) -> Result<Vec<Word<'_>>, String> {
    let mut words = Vec::new();
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        let (text, is_quoted, behind) = match rest.strip_prefix('\'') {
            Some(quoted) => {
                let (text, behind) =
                    quoted.split_once('\'').ok_or_else(|| "a quote that does not end".to_owned())?;
                (text, true, behind)
            }
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], false, &rest[end..])
            }
        };
        words.push(Word { text, is_quoted });
        rest = behind.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str, place: TextContext) -> Result<Template, TemplateError> {
        let rows = Rows::csv(b"id,name\n1,a b\n2,\"c\r\nd\"\n").unwrap();
        let env = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        Template::compile(text.as_bytes(), place, 0, &ValueSources { rows: Some(&rows), env: &env })
    }

    #[test]
    fn a_text_without_placeholders_is_itself() {
        for text in ["", "/a/b?c=d", "{ \"a\": { \"b\": 1 }}", "{'a}}'", "{"] {
            let template = compile(text, TextContext::Body).unwrap();
            assert_eq!(template.constant(), Some(text.as_bytes()), "{text}");
        }
        assert_eq!(compile("a{{'{{'}}b", TextContext::Body).unwrap().constant(), Some(&b"a{{b"[..]));
        assert_eq!(
            compile("{{env HOME}}", TextContext::Path).unwrap().constant(),
            Some(&b"%2Fhome%2Fme"[..])
        );
        assert_eq!(
            compile("{{ env 'HOME' }}", TextContext::Body).unwrap().constant(),
            Some(&b"/home/me"[..])
        );
    }

    #[test]
    fn values_in_a_text_of_json_are_a_part_of_it() {
        let rows = Rows::csv("v\n\"a\"\"\\ü\t\"\n".as_bytes()).unwrap();
        let sources = ValueSources { rows: Some(&rows), env: &|_| Some("\"".to_owned()) };
        for (text, expected) in [
            (r#"{"a":"{{row.v}}"}"#, "{\"a\":\"a\\\"\\\\ü\\t\"}"),
            (r#"{"\"":"\\","a":"{{pick '"'}}"}"#, r#"{"\"":"\\","a":"\""}"#),
            (r#"{"a":"{{env X}}","b":{{'"x"'}}}"#, r#"{"a":"\"","b":"x"}"#),
        ] {
            let template = Template::compile(text.as_bytes(), TextContext::Json, 0, &sources).unwrap();
            let values = super::super::Values {
                seed: 0,
                number: 0,
                due: 0,
                row: Some((&rows, 0)),
                length: 0,
                crc32c: 0,
                id: None,
            };
            let mut out = Vec::new();
            template.render(&values, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        for (text, what) in [
            ("{{", "'{{' without '}}' at position 1"),
            ("ü{{seq}", "'{{' without '}}' at position 2"),
            ("{{}}", "an empty placeholder at position 1"),
            ("{{seq}}{{sequ}}", "unknown placeholder 'sequ' at position 8"),
            ("{{seq 1}}", "'seq' with 1 values"),
            ("{{random 1}}", "'random' with 1 values"),
            ("{{random 5 1}}", "'random 5 1' without two whole numbers in order"),
            ("{{random 1.5 2}}", "'random 1.5 2' without"),
            ("{{random 1 9223372036854775808}}", "without two whole numbers"),
            ("{{pick}}", "'pick' with 0 values"),
            ("{{now h}}", "'now h' of no unit among s, ms, us and ns"),
            ("{{env NONE}}", "'env NONE' of a variable that is not set"),
            ("{{row.x}}", "'row.x' of no column among id, name"),
            ("{{'a}}", "'{{' without '}}'"),
            ("{{'a' 'b'}}", "more than one text"),
            ("{{row.name}}", "'row.name' has a value with a control character, in a header field"),
            ("{{pick a 'b\nc'}}", "'pick' has a value with a control character"),
        ] {
            let error = compile(text, TextContext::Field).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
        let env = |_: &str| None;
        let none = ValueSources { rows: None, env: &env };
        let error = Template::compile(b"{{row.a}}", TextContext::Body, 0, &none).unwrap_err();
        assert!(error.to_string().contains("in a request without rows"), "{error}");
        let long = format!("{}{{{{seq}}}}", "x".repeat(MAX_TEMPLATE));
        let error = Template::compile(long.as_bytes(), TextContext::Body, 0, &none).unwrap_err();
        assert!(error.to_string().contains("more than 1048576"), "{error}");
        let longest = format!("{}{{{{seq}}}}", "x".repeat(MAX_TEMPLATE - 7));
        assert!(Template::compile(longest.as_bytes(), TextContext::Body, 0, &none).is_ok());
        let wide = format!("n\n{}\n", "y".repeat(1 << 20));
        let rows = Rows::csv(wide.as_bytes()).unwrap();
        let many = "{{row.n}}".repeat(17);
        let wide = ValueSources { rows: Some(&rows), env: &env };
        let error = Template::compile(many.as_bytes(), TextContext::Body, 0, &wide).unwrap_err();
        assert!(error.to_string().contains("longer than 16777216 bytes"), "{error}");
    }
}
