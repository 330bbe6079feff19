//! What loadgen has kept of a run, read again: what is accepted is written as it was read, can be merged with itself, and
//! can be reported.

use loadgen::{Summary, report};

use crate::feedback::met;

/// Words that records are made of.
pub const WORDS: &[&[u8]] = &[
    b"{\"version\":1,\"summary\":",
    b"\"records\":",
    b"\"counts\":",
    b"\"offered\":",
    b"\"times\":",
    b"\"statuses\":{\"200\":1}",
    b"\"failures\":[[{\"GoAway\":11},{\"count\":1,\"example\":\"\",\"request_id\":\"\"}]]",
    b"\"intervals\":[1000000000,[]]",
    b"\"successes\":[1000000,\"AQAAAAAAAAA=\"]",
    b"\"in_flight\":340282366920938463463374607431768211455",
    b"18446744073709551615",
    b"9007199254740992",
    b"null",
    b"HISTEwAAAAIAAAAAAAAAAgAAAAAAAAABAAAAAAAAAAI/8AAAAAAAAA==",
    b"1e400",
    b"-1",
    b"0",
];

/// Reads an input.
pub fn run(mut input: &[u8]) {
    let summary = match Summary::read(&mut input) {
        Ok(summary) => summary,
        Err(error) => {
            // Without what it quotes.
            let kind = |c: &char| c.is_ascii_alphabetic() || " :".contains(*c);
            return met(error.to_string().chars().take_while(kind).collect::<String>());
        }
    };
    let written = |summary: &Summary| {
        let mut out = Vec::new();
        assert!(summary.write(&mut out).is_ok(), "memory takes it");
        out
    };
    let first = written(&summary);
    let again = Summary::read(&mut first.as_slice());
    assert!(again.is_ok_and(|again| written(&again) == first), "it is read as it was written");
    let mut merged = summary.records.clone();
    merged.merge(&summary.records);
    let mut out = Vec::new();
    assert!(
        report::json::write(&summary, &mut out).is_ok() && report::text::write(&summary, &mut out).is_ok()
    );
    met((
        summary.verdict().as_str(),
        summary.records.failures.iter().count(),
        summary.records.backends.sorted().len(),
    ));
}
