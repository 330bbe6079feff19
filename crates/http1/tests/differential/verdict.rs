//! What an end makes of what came, and where two differ in that.

use std::collections::{BTreeMap, BTreeSet};

use http1::Version;
use hyper::header::HeaderMap;

/// What was read of a message, part by part.
pub(crate) type Parts = BTreeMap<String, String>;

/// What came after the last whole message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing, or nothing that was read, because the connection was to end.
    #[default]
    Ends,
    /// Something that is refused.
    Refused,
    /// A message whose end did not come.
    Cut,
}

/// The messages that were taken, and what came after them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) messages: Vec<Parts>,
    pub(crate) outcome: Outcome,
}

pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Puts down fields by their lower-case names, because hyper keeps the order of duplicates alone.
pub(crate) fn put<'f>(parts: &mut Parts, what: &str, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
    for (name, value) in fields {
        let all = parts.entry(format!("{what} {}", text(&name.to_ascii_lowercase()))).or_default();
        *all = format!("{all}[{}]", text(value));
    }
}

pub(crate) fn put_map(parts: &mut Parts, what: &str, fields: &HeaderMap) {
    put(parts, what, fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
}

pub(crate) fn parts<const N: usize>(parts: [(&str, String); N]) -> Parts {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

pub(crate) fn version(version: Version) -> String {
    text(version.bytes())
}

/// Where both differ first, and what each has there. What is after the odd message is distinguished from it.
pub(crate) fn difference(ours: &Verdict, theirs: &Verdict, before: usize) -> Option<(String, String)> {
    if ours == theirs {
        return None;
    }
    let same = ours.messages.iter().zip(&theirs.messages).take_while(|(one, other)| one == other).count();
    let show = |verdict: &Verdict, other: &Verdict| {
        let what = match (verdict.messages.get(same), other.messages.get(same)) {
            (None, _) => match verdict.outcome {
                Outcome::Ends => "ends".to_owned(),
                Outcome::Refused => "refused".to_owned(),
                Outcome::Cut => "cut".to_owned(),
            },
            (Some(_), None) => "taken".to_owned(),
            (Some(one), Some(other)) => {
                let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
                let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
                let show = |name| format!("{name} {}", one.get(name).map_or("absent", |part| part));
                differ.map(show).collect::<Vec<_>>().join(", ")
            }
        };
        let place = if same < before {
            "early: "
        } else if same > before {
            "then "
        } else {
            ""
        };
        format!("{place}{what}")
    };
    Some((show(ours, theirs), show(theirs, ours)))
}
