//! Lines of access logs: what is taken from one can be sent as it is.

use loadgen::plan::{Target, Version};

use super::text;
use crate::feedback::met;

/// Words that lines are made of.
pub const WORDS: &[&[u8]] = &[
    b"127.0.0.1 - - [27/Nov/2026:12:00:01 +0000] \"GET /a HTTP/1.1\" 200 2",
    b"[2026-11-27T12:00:00.310Z]",
    b"[27/Nov/2026:12:00:03.655]",
    b"2026-11-27T12:00:00Z",
    b"haproxy[1]:",
    b"\"POST /x HTTP/2\"",
    b"\"GET http://a/b#c\"",
    b"rt=0.25",
    b"duration=1e300",
    b"{\"time\":",
    b"\"method\":\"GET\"",
    b"\"path\":\"/\"",
    b"\"duration_ms\":1.5",
    b"\"msec\":1795780806.25",
    b"99999999999999999999",
    b"}",
    b",",
    b"\"",
    b"\\",
    b"[",
    b"]",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    let text = text(input);
    for line in text.lines() {
        let found = loadgen::plan::replay::request_of(line);
        if let Some((method, path)) = &found {
            assert!(!method.is_empty() && path.starts_with('/'), "{line}");
            let target = Target::parse(&format!("http://a{path}"), Version::Any);
            assert!(target.is_ok_and(|target| target.path == *path), "{line}: {path}");
        }
        met((found.is_some(), found.map(|(method, path)| (method.len().min(9), path.len().min(9)))));
    }
}
