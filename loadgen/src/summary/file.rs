//! A summary as JSON, for a program that reports, compares or merges it later.

use std::io::{self, Read, Write};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::Summary;

/// The version of the form. It changes when a field changes its meaning, comes or goes.
pub const VERSION: u32 = 2;

/// The longest that is read, in bytes: three times what the longest run is expected to need.
const MAX_LENGTH: u64 = 16 << 20;

/// Why a file is not a valid summary.
#[derive(Debug, thiserror::Error)]
#[error("invalid records: {0}")]
pub struct InvalidRecords(String);

impl InvalidRecords {
    pub(super) fn of(why: String) -> Self {
        Self(why)
    }

    // By value, as `map_err` has it.
    #[expect(clippy::needless_pass_by_value)]
    pub(super) fn from_json(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

#[derive(Serialize)]
struct SummaryDocument<'s> {
    version: u32,
    records: &'s Summary,
}

/// A report has more beside, which follows from it.
#[derive(Deserialize)]
struct ReadSummary {
    #[serde(rename = "version")]
    _version: SupportedVersion,
    records: Summary,
}

/// The version that is read.
struct SupportedVersion;

impl<'de> Deserialize<'de> for SupportedVersion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            VERSION => Ok(Self),
            other => Err(D::Error::custom(format!("unsupported version {other}; supported: {VERSION}"))),
        }
    }
}

impl Summary {
    /// Writes all of it but a captured exchange, as JSON and a line end.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &SummaryDocument { version: VERSION, records: self })?;
        writeln!(out)
    }

    /// Reads what [`Summary::write`] has written.
    ///
    /// # Errors
    /// It is something else, longer than any summary, of another version, or its counts do not add up.
    pub fn read(from: &mut dyn Read) -> Result<Self, InvalidRecords> {
        parse(&text(from, MAX_LENGTH)?)
    }
}

/// All of a file of at most `longest` bytes.
pub(super) fn text(from: &mut dyn Read, longest: u64) -> Result<Vec<u8>, InvalidRecords> {
    let mut text = Vec::new();
    from.take(longest + 1).read_to_end(&mut text).map_err(|error| InvalidRecords(error.to_string()))?;
    if text.len() as u64 > longest {
        return Err(InvalidRecords(format!("longer than {longest} bytes")));
    }
    Ok(text)
}

/// The report of one run.
pub(super) fn parse(text: &[u8]) -> Result<Summary, InvalidRecords> {
    if text.len() as u64 > MAX_LENGTH {
        return Err(InvalidRecords(format!("longer than {MAX_LENGTH} bytes")));
    }
    let kept: ReadSummary = serde_json::from_slice(text).map_err(InvalidRecords::from_json)?;
    if !kept.records.is_plausible() {
        return Err(InvalidRecords(
            "its counts do not add up, or exceed those of any run; or a text has control characters"
                .to_owned(),
        ));
    }
    let shares = [Some(kept.records.busiest_worker), kept.records.run_delay];
    if shares.into_iter().flatten().any(|share| !(0.0..=1.0).contains(&share)) {
        return Err(InvalidRecords("a share that is not from 0 to 1".to_owned()));
    }
    Ok(kept.records)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use contract::id::Ids;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        outcome::{Arrival, Cause, ExpectedStatus, Failure, InFlight, Outcome},
        plan::Plan,
        recorder::{Origin, Recorder, RunSettings},
        report::text::Style,
    };

    const SECOND: u64 = 1_000_000_000;

    /// As much as a run can have: each kind of everything, for hours.
    fn largest() -> Summary {
        let mut records = Recorder::new(Ids { run: u32::MAX, load: 0 }, ExpectedStatus::default());
        records.start(0, Some(SECOND), 0);
        let failures: Vec<_> =
            (0..200).map(|code| Failure::new(Cause::GoAway(code), "x".repeat(500))).collect();
        for number in 0..40_000_u64 {
            let due = number * SECOND / 2;
            records.picked_up(due, due + number % 5_000_000, 1);
            let written = due + number % 50_000_000;
            // Times of all sizes.
            let at = written + (1 << (number % 44)) + number;
            let arrival = Arrival { written: Some(written), ..Arrival::new(number, due, due) };
            let mut in_flight = InFlight::new(arrival, due);
            in_flight.reply.status = (number % 1000) as u16;
            in_flight.reply.instance = Some(records.instance(format!("{:0128}", number % 300).as_bytes()));
            let outcome = match failures.get(number as usize) {
                Some(failure) => Outcome::Failed(failure),
                None => Outcome::Replied,
            };
            records.ended(in_flight.ended(at, outcome), at);
        }
        records.limited(7, &"y".repeat(300));
        records.in_flight = u128::MAX / 4096;
        let plan = Plan::builder("h2c://a:1").rate(2.0).total(40_000).build().unwrap();
        Summary {
            happened: None,
            verification: None,
            origin: Origin::here(1),
            run: RunSettings::of(&plan, &[]),
            records,
            elapsed: Duration::from_secs(20_000),
            arrivals_lasted: Duration::from_secs(20_000),
            busiest_worker: 0.1 + 0.2,
            run_delay: Some(0.1),
            interrupted: true,
            aborted_by: Some("p(99)<1ms was crossed".to_owned()),
        }
    }

    fn written(summary: &Summary) -> Vec<u8> {
        let mut out = Vec::new();
        summary.write(&mut out).unwrap();
        out
    }

    fn refused(value: &Value) -> String {
        Summary::read(&mut value.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_largest_is_read_as_it_was_written_and_short() {
        let summary = largest();
        let text = written(&summary);
        assert!(text.len() < 5_000_000, "{} bytes", text.len());
        let read = Summary::read(&mut text.as_slice()).unwrap();
        assert_eq!(written(&read), text);
        assert_eq!(read.run, summary.run);
        assert_eq!(read.records.times, summary.records.times);
        assert_eq!(read.records.counts, summary.records.counts);
        let report = |summary: &Summary| {
            let (mut json, mut text) = (Vec::new(), Vec::new());
            crate::report::json::write(summary.into(), &mut json).unwrap();
            crate::report::text::write(summary.into(), Style::Plain, &mut text).unwrap();
            (json, text)
        };
        assert_eq!(report(&read), report(&summary), "reports show the same");
    }

    #[test]
    fn what_was_read_merges_like_what_was_recorded() {
        let summary = largest();
        let read = Summary::read(&mut written(&summary).as_slice()).unwrap();
        let (mut one, mut other) = (summary.records.clone(), read.records.clone());
        one.merge(&summary.records);
        other.merge(&read.records);
        let text = |records: &Recorder| serde_json::to_string(records).unwrap();
        assert_eq!(text(&one), text(&other));
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let mut largest = largest();
        // More than a `Value` can hold.
        largest.records.in_flight = 1;
        let good: Value = serde_json::from_slice(&written(&largest)).unwrap();
        assert!(Summary::read(&mut good.to_string().as_bytes()).is_ok());
        let with = |path: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
            refused(&changed)
        };
        let backends = vec![good["records"]["records"]["backends"][0].clone(); 300];
        for (path, value, said) in [
            ("/version", json!(1), "unsupported version 1; supported: 2"),
            ("/version", json!("1"), "invalid type"),
            ("/records/records/counts/offered", json!(1), "do not add up"),
            ("/records/records/counts/resent", json!(u64::MAX), "do not add up"),
            ("/records/records/body_bytes", json!(u64::MAX), "exceed those of any run"),
            ("/records/records/failures/0/1/count", json!(u64::MAX), "exceed those of any run"),
            ("/records/records/intervals/1/0/errors", json!(u64::MAX), "exceed those of any run"),
            ("/records/records/connections/opened", json!(u64::MAX), "exceed those of any run"),
            ("/records/records/times/lag", json!("AAAA"), "invalid histogram"),
            ("/records/records/times/lag", json!(7), "invalid type"),
            ("/records/records/statuses", json!({ "1000": 1 }), "a status of 1000"),
            ("/records/records/statuses", json!({ "200": 1 }), "do not add up"),
            ("/records/records/failures/0/1/example", json!("\u{1b}[2J"), "control characters"),
            ("/records/records/backends", json!(backends), "longer than 257"),
            ("/records/records/intervals/0", json!(3), "bins of 3 ns"),
            ("/records/records/intervals/0", json!(0), "bins of 0 ns"),
            ("/records/records/availability/good/1", json!("AA=="), "another size"),
            ("/records/records/flow/0", json!(3), "bins of 3 ns"),
            ("/records/records/trend/1/0/0", json!(u64::MAX), "exceed those of any run"),
            ("/records/run/expected_status", json!("700"), "control characters"),
            ("/records/elapsed/secs", json!(-1), "invalid value"),
            ("/records/origin/host", json!("\u{1b}[2J"), "control characters"),
            ("/records/origin/labels", json!({ "a": "\n" }), "control characters"),
            ("/records/run/streams", json!(null), "invalid type"),
            ("/records/run/target", json!("h2c://a/\u{7}"), "control characters"),
        ] {
            let error = with(path, value);
            assert!(error.starts_with("invalid records: ") && error.contains(said), "{path}: {error}");
        }
        let mut more = good.clone();
        more["records"]["more"] = json!(1);
        assert!(refused(&more).contains("unknown field"), "{}", refused(&more));
        for text in ["", "{}", "[]", "{\"version\":2}", "nonsense"] {
            assert!(Summary::read(&mut text.as_bytes()).is_err(), "{text}");
        }
        let endless = io::repeat(b' ');
        assert!(Summary::read(&mut { endless }).unwrap_err().to_string().contains("bytes"));
    }
}
