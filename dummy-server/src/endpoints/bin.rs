//! `/bin/{size}`: that many bytes of the payload pattern, or one range of them (RFC 9110 section 14), and
//! `/chunked/{count}?size=&delay=`: chunks of it, each on the wire by itself.

use std::time::Duration;

use contract::{pattern::Pattern, quantity};
use http::StatusCode;

use crate::message::{
    Head,
    reply::{Body, Chunks, Fixed, Reply, TEXT},
};

const BINARY: Fixed = &[
    ("content-type", "application/octet-stream"),
    ("content-disposition", "attachment; filename=\"data.bin\""),
];

/// The reply to `/bin/{size}`.
pub(super) fn reply(pattern: Pattern, head: &Head<'_>, size: u64, chunked: bool) -> Reply {
    let wanted = if head.method == b"GET" { head.fields.get("range") } else { None };
    // With If-Range a range is wanted of what the validator names (RFC 9110 section 13.1.5), and there is none here.
    let wanted = wanted.filter(|_| !head.fields.contains("if-range"));
    let found = wanted.and_then(|value| range(std::str::from_utf8(value).ok()?, size));
    if let Some(None) = found {
        let mut reply = Reply::refusal(
            StatusCode::RANGE_NOT_SATISFIABLE,
            &format!("no byte of that range is among the {size}"),
            "Range: bytes=first-last, bytes=first- or bytes=-count",
            "Range: bytes=0-99",
        );
        reply.fields.push("content-range", format!("bytes */{size}"));
        return reply;
    }
    let part = found.flatten();
    let (start, length) = part.map_or((0, size), |(first, last)| (first, last - first + 1));
    let body = Body::Pattern { range: pattern.range(start, length), sized: !chunked };
    let mut reply = Reply::new(StatusCode::OK, BINARY, body);
    if let Some((first, last)) = part {
        reply.status = StatusCode::PARTIAL_CONTENT;
        reply.fields.push("content-range", format!("bytes {first}-{last}/{size}"));
    }
    reply
}

/// The reply to `/chunked/{count}`: `total` bytes, `size` in each chunk.
pub(super) fn chunked(pattern: Pattern, total: u64, size: u64, delay: Duration) -> Reply {
    let chunks = Chunks::new(pattern.range(0, total), size, delay);
    Reply::new(StatusCode::OK, TEXT, Body::Chunks(Box::new(chunks)))
}

/// First and last byte of the one range asked for; `Some(None)` when it can't be satisfied; none when there
/// is no range, or one that a server may ignore (several ranges, another unit, bad syntax).
pub fn range(value: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = value.strip_prefix("bytes=")?.trim().split_once('-')?;
    // More digits than a u64 holds are a number beyond every body.
    let number = quantity::saturating_count;
    // Of nothing, no byte is the last: no range of it can be satisfied.
    let end = size.saturating_sub(1);
    let found = match (first, last) {
        ("", count) => {
            let count = number(count)?.min(size);
            (size - count, end, count > 0)
        }
        (first, "") => (number(first)?, end, true),
        (first, last) => (number(first)?, number(last)?, true),
    };
    let (first, last, some) = found;
    if some && last < first && first < size {
        return None;
    }
    Some((some && first < size).then(|| (first, last.min(end))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood() {
        for (value, expected) in [
            ("bytes=0-0", Some(Some((0, 0)))),
            ("bytes=10-19", Some(Some((10, 19)))),
            ("bytes=90-500", Some(Some((90, 99)))),
            ("bytes=90-99999999999999999999", Some(Some((90, 99)))),
            ("bytes=95-", Some(Some((95, 99)))),
            ("bytes=-5", Some(Some((95, 99)))),
            ("bytes=-500", Some(Some((0, 99)))),
            ("bytes=100-", Some(None)),
            ("bytes=100-200", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=9-5", None),
            ("bytes=99999999999999999999-", Some(None)),
            ("bytes=-99999999999999999999", Some(Some((0, 99)))),
            ("bytes=0-18446744073709551615", Some(Some((0, 99)))),
            ("bytes=+1-2", None),
            ("bytes=0-1,5-6", None),
            ("bytes=a-b", None),
            ("bytes=-", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(range(value, 100), expected, "{value}");
        }
        for value in ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0"] {
            assert_eq!(range(value, 0), Some(None), "{value} of nothing");
        }
    }
}
