//! What loadgen has kept of a run, its rounds, or several loads, read again: what is accepted is written as it was read, can be merged with
//! itself, compared, and reported in each format.

use loadgen::{
    Summary,
    report::{
        self, Report,
        diff::{Diff, DiffOfLoads},
        text::Style,
    },
    summary::{KeptReport, Loads, Rounds, RoundsOfLoads},
};

use crate::feedback::met;

/// Words that records are made of.
pub const WORDS: &[&[u8]] = &[
    b"{\"version\":2,\"records\":",
    b"{\"version\":2,\"rounds\":[",
    b"{\"version\":2,\"loads\":[",
    b"{\"version\":2,\"rounds\":[{\"version\":2,\"loads\":[",
    b"\"load_name\":\"a\",",
    b"\"start\":{\"secs\":1,\"nanos\":0},",
    b"\"started_ms\":",
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
    let rounds = match KeptReport::read(&mut input) {
        Ok(KeptReport::Rounds(rounds)) => rounds,
        Ok(KeptReport::Loads(loads)) => return of_loads(&loads),
        Ok(KeptReport::RoundsOfLoads(rounds)) => return of_rounds(&rounds),
        Err(error) => {
            // Without what it quotes.
            let kind = |c: &char| c.is_ascii_alphabetic() || " :".contains(*c);
            return met(error.to_string().chars().take_while(kind).collect::<String>());
        }
    };
    let rounds = rounds.as_slice();
    rounds.iter().for_each(of_one);
    let reports: Vec<_> = rounds.iter().map(Report::from).collect();
    let mut out = Vec::new();
    assert!(report::json::write_rounds(&reports, &mut out).is_ok());
    assert!(Rounds::read(&mut out.as_slice()).is_ok(), "rounds are read as they were written");
    assert!(report::text::rounds::write(&reports, Style::Plain, &mut out).is_ok());
    assert!(report::markdown::write_rounds(&reports, &mut out).is_ok());
    assert!(report::csv::write_rounds(&reports, &mut out).is_ok());
    let diff = Diff::new(&rounds[..1], rounds, Some(0.05));
    assert!(diff.text(&mut out).and(diff.json(&mut out)).and(diff.markdown(&mut out)).is_ok());
    met(rounds.len());
}

fn of_loads(loads: &Loads) {
    loads.as_slice().iter().for_each(of_one);
    let reports: Vec<_> = loads.as_slice().iter().map(Report::from).collect();
    let mut out = Vec::new();
    assert!(report::json::write_loads(&reports, &mut out).is_ok());
    assert!(
        matches!(KeptReport::read(&mut out.as_slice()), Ok(KeptReport::Loads(_))),
        "as they were written"
    );
    assert!(report::text::loads::write(&reports, Style::Plain, &mut out).is_ok());
    assert!(report::markdown::write_loads(&reports, &mut out).is_ok());
    assert!(report::csv::write_loads(&reports, &mut out).is_ok());
    let mut merged = loads.clone();
    if merged.merge(loads).is_ok() && merged.as_slice().iter().all(Summary::is_plausible) {
        let reports: Vec<_> = merged.as_slice().iter().map(Report::from).collect();
        let mut out = Vec::new();
        assert!(report::json::write_loads(&reports, &mut out).is_ok());
        assert!(KeptReport::read(&mut out.as_slice()).is_ok(), "what was merged is read again");
    }
    met(("loads", reports.len()));
}

fn of_rounds(rounds: &RoundsOfLoads) {
    rounds.as_slice().iter().for_each(of_loads);
    let reports: Vec<_> =
        rounds.as_slice().iter().flat_map(|round| round.as_slice()).map(Report::from).collect();
    let mut out = Vec::new();
    assert!(report::json::write_rounds_of_loads(&reports, &mut out).is_ok());
    assert!(KeptReport::read(&mut out.as_slice()).is_ok(), "as they were written");
    assert!(report::text::loads::write_rounds(&reports, Style::Plain, &mut out).is_ok());
    assert!(report::markdown::write_rounds_of_loads(&reports, &mut out).is_ok());
    assert!(report::csv::write_rounds_of_loads(&reports, &mut out).is_ok());
    let of = |(name, rounds): (&str, Vec<Summary>)| (name.to_owned(), Diff::new(&rounds, &rounds, None));
    let diff = DiffOfLoads(rounds.by_load().map(of).collect());
    assert!(diff.text(&mut out).and(diff.json(&mut out)).and(diff.markdown(&mut out)).is_ok());
    met(("rounds of loads", reports.len()));
}

fn of_one(summary: &Summary) {
    let written = |summary: &Summary| {
        let mut out = Vec::new();
        assert!(summary.write(&mut out).is_ok(), "memory takes it");
        out
    };
    let first = written(summary);
    let again = Summary::read(&mut first.as_slice());
    assert!(again.is_ok_and(|again| written(&again) == first), "it is read as it was written");
    // A shard that began half a second later.
    let (mut merged, mut other) = (summary.clone(), summary.clone());
    other.origin.started_ms = other.origin.started_ms.saturating_add(500);
    if merged.merge(&other).is_ok() && merged.is_plausible() {
        assert!(Summary::read(&mut written(&merged).as_slice()).is_ok(), "what was merged is read again");
    }
    let mut out = Vec::new();
    let report = Report::from(&merged);
    assert!(report::json::write(report, &mut out).is_ok());
    assert!(report::text::write(report, Style::Plain, &mut out).is_ok());
    assert!(report::markdown::write(report, &mut out).is_ok());
    assert!(report::csv::write(report, &mut out).is_ok());
    met((
        summary.outcome().as_str(),
        summary.limit().as_str(),
        summary.records.failures.iter().count(),
        summary.records.backends.sorted().len(),
    ));
}
