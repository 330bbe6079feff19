//! Metadata of a call as the echo shows it, which is how the Go library gives it to a service: the first value of each
//! key, keys in lower case, `:authority` among them, and binary values decoded.

use std::{borrow::Cow, collections::HashSet};

use base64::Engine as _;
use grpc::web::BASE64;

use crate::message::Head;

/// The key of what the client takes this server to be: HTTP/2's pseudo-field, or else Host.
pub(super) const AUTHORITY: &str = ":authority";

/// The value of [`AUTHORITY`].
pub(super) fn authority<'h>(head: &Head<'h>) -> Option<&'h [u8]> {
    let authority = head.origin.map(|(_, authority)| authority).filter(|authority| !authority.is_empty());
    authority.or_else(|| head.fields.get("host"))
}

/// The most fields that are compared with each other; of more, the names that came are remembered.
const FEW: usize = 16;

/// Names and values of fields, the first of each name.
pub(super) fn first_of_each<'h>(head: &'h Head<'_>) -> impl Iterator<Item = (&'h [u8], Cow<'h, [u8]>)> {
    let mut seen = (head.fields.len() > FEW).then(HashSet::new);
    let mut is_first = move |index: usize, name: &[u8]| match &mut seen {
        Some(seen) => seen.insert(name.to_ascii_lowercase()),
        None => !head
            .fields()
            .take(index)
            .any(|(before, _)| before.len() == name.len() && before.eq_ignore_ascii_case(name)),
    };
    head.fields()
        .enumerate()
        // Host stands under `:authority`.
        .filter(move |(index, (name, _))| !name.eq_ignore_ascii_case(b"host") && is_first(*index, name))
        .map(|(_, (name, value))| (name, text(name, value)))
}

/// A value as text, which is UTF-8. One of a key in `-bin` is decoded; what is not UTF-8 after that can't be in a `string`
/// of protobuf, and stands as U+FFFD. What is not base64 stays as it came.
pub(super) fn text<'v>(name: &[u8], value: &'v [u8]) -> Cow<'v, [u8]> {
    if name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b"-bin") {
        // Several values may have been joined by a proxy.
        let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
        if let Ok(bytes) = BASE64.decode(first) {
            return Cow::Owned(utf8(&bytes).into_owned());
        }
    }
    utf8(value)
}

fn utf8(value: &[u8]) -> Cow<'_, [u8]> {
    // Most are, and that is seen faster.
    if value.is_ascii() {
        return Cow::Borrowed(value);
    }
    match String::from_utf8_lossy(value) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_are_decoded_and_others_are_not() {
        for (name, value, expected) in [
            ("x-own", "aGk=", "aGk="),
            ("x-own-bin", "aGk=", "hi"),
            ("x-own-bin", "aGk", "hi"),
            ("X-Own-Bin", "aGk", "hi"),
            ("x-own-bin", "aGk,eW8", "hi"),
            ("x-own-bin", "", ""),
            ("x-own-bin", "AP8", "\0\u{fffd}"),
            ("x-own-bin", "!?", "!?"),
            ("-bin", "aGk", "aGk"),
        ] {
            assert_eq!(&*text(name.as_bytes(), value.as_bytes()), expected.as_bytes(), "{name}: {value}");
        }
        assert_eq!(&*text(b"x", b"\xff"), "\u{fffd}".as_bytes());
    }
}
