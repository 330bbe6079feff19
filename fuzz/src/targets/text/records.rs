//! What loadgen has kept of a run, read again: what is accepted is written as it was read, can be merged with itself, and
//! can be reported.

use loadgen::{Summary, report};

use crate::feedback::met;

/// Words that records are made of.
pub const WORDS: &[&[u8]] = &[
    b"{\"version\":2,\"records\":",
    b"\"records\":",
    b"\"counts\":",
    b"\"offered\":",
    b"\"times\":",
    b"\"statuses\":{\"200\":1}",
    b"\"failures\":[[{\"GoAway\":11},{\"count\":1,\"example\":\"\",\"request_id\":\"\"}]]",
    b"\"intervals\":[1000000000,[]]",
    b"\"good\":[1000000,\"AQAAAAAAAAA=\"]",
    b"\"flow\":[1000000,[[1,10]]]",
    b"\"trend\":[10000000,[[1,2,3,4,5,6,7]]]",
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
    let report = report::Report::from(&summary);
    assert!(report::json::write(report, &mut out).is_ok());
    assert!(report::text::write(report, report::text::Style::Plain, &mut out).is_ok());
    met((
        summary.outcome().as_str(),
        summary.limit().as_str(),
        summary.records.failures.iter().count(),
        summary.records.backends.sorted().len(),
    ));
}
