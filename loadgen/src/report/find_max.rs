//! What a search for the highest rate has found, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    numbers::{count, decimal, time},
    search::{Evidence, SearchEnd},
    verdict::{Percentile, Slo, Step, Time},
};

/// The JSON Schema of what programs get.
pub const SCHEMA: &str = include_str!("../../find-max.schema.json");

/// The version of what programs get.
pub const VERSION: u32 = 1;

/// The columns.
const HEADER: [&str; 6] = ["requests/s", "achieved", "p50", "p99", "failed", "result"];

/// A search that is over.
#[derive(Clone, Copy, Debug)]
pub struct SearchReport<'a> {
    /// What had to hold.
    pub slo: &'a Slo,
    /// All steps, in their order.
    pub steps: &'a [Step],
    /// The highest rate that was held.
    pub held: Option<f64>,
    /// The lowest rate that was not held.
    pub broken: Option<f64>,
    /// How it has ended; none if it was cut short.
    pub end: Option<SearchEnd>,
}

impl SearchReport<'_> {
    /// What was found, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let slo = self.slo;
        let because = |at: f64| format!("at {} requests/s, {}", rate(at), self.why(at));
        match (self.end, self.held) {
            (Some(SearchEnd::Found { held, broken }), _) => {
                format!("{} requests/s is the highest rate that held {slo}: {}", rate(held), because(broken))
            }
            (Some(SearchEnd::NotHeld { broken }), _) => {
                let serves_none = self.steps.iter().all(|step| step.failed == step.offered);
                let advice = if serves_none { "" } else { "; a lower --start-rate may" };
                format!("not even {} requests/s held {slo}: {}{advice}", rate(broken), self.why(broken))
            }
            (Some(SearchEnd::MaxHeld { held }), _) => {
                format!(">= {} requests/s held {slo}: that is --max-rate, and nothing broke", rate(held))
            }
            (Some(SearchEnd::Limited { held: Some(held), at }), _) => {
                let bound = self.broken.map(|broken| format!("; {}", because(broken))).unwrap_or_default();
                format!(">= {} requests/s held {slo}: {}{bound}", rate(held), because(at))
            }
            (Some(SearchEnd::Limited { held: None, at }), _) => {
                format!("nothing can be said of the target: {}; a lower --start-rate may do", because(at))
            }
            (None, Some(held)) => {
                let bound = self.broken.map(|broken| format!("; {}", because(broken))).unwrap_or_default();
                format!("cut short: >= {} requests/s held {slo}{bound}", rate(held))
            }
            (None, None) => "cut short before any rate was held".to_owned(),
        }
    }

    /// Why a rate was not held.
    fn why(&self, at: f64) -> &str {
        self.last_at(at).map_or("it was not held", |step| &step.why)
    }

    /// The last step at a rate in which something stood in the way.
    fn last_at(&self, rate: f64) -> Option<&Step> {
        let is_at_it = |step: &&Step| step.rate.total_cmp(&rate).is_eq() && !step.why.is_empty();
        self.steps.iter().rev().find(is_at_it)
    }

    /// What the limit was at the lowest rate that was not held, where the sentence does not say it.
    fn limit(&self) -> Option<String> {
        let step = self.last_at(self.broken?)?;
        let sentence = step.limit_sentence.as_ref().filter(|sentence| **sentence != step.why)?;
        Some(format!("Limit at {} requests/s: {sentence}", rate(step.rate)))
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "Maximum rate: {}", self.sentence())?;
        if let Some(limit) = self.limit() {
            writeln!(out, "{limit}")?;
        }
        if self.steps.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        let rows = self.steps.iter().map(|step| {
            [
                rate(step.rate),
                rate(step.achieved),
                percentile(step.p50),
                percentile(step.p99),
                count(step.failed),
                result(step),
            ]
        });
        for [asked, achieved, p50, p99, failed, result] in
            std::iter::once(HEADER.map(str::to_owned)).chain(rows)
        {
            writeln!(out, "{asked:>10} {achieved:>11} {p50:>11} {p99:>11} {failed:>9}  {result}")?;
        }
        Ok(())
    }

    /// Writes it for programs, as `find-max.schema.json` describes it.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = SearchDocument {
            version: VERSION,
            slo: self.slo.to_string(),
            result: match self.end {
                Some(SearchEnd::Found { .. }) => "found",
                Some(SearchEnd::NotHeld { .. }) => "not_held",
                Some(SearchEnd::MaxHeld { .. }) => "max_rate_held",
                Some(SearchEnd::Limited { .. }) => "loadgen_limited",
                None => "cut_short",
            },
            sentence: self.sentence(),
            held_rate_per_second: self.held,
            broken_rate_per_second: self.broken,
            steps: self.steps.iter().map(OfStep::of).collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &all)?;
        writeln!(out)
    }
}

/// One step, in a line.
#[must_use]
pub fn line(step: &Step) -> String {
    format!(
        "{} requests/s: p50 {}, p99 {}, {} failed: {}",
        rate(step.rate),
        percentile(step.p50),
        percentile(step.p99),
        count(step.failed),
        result(step)
    )
}

fn result(step: &Step) -> String {
    match step.evidence {
        Evidence::Held => "held".to_owned(),
        Evidence::NotHeld => format!("not held: {}", step.why),
        Evidence::Limited { held: true } => format!("held, but {}", step.why),
        Evidence::Limited { held: false } => step.why.clone(),
    }
}

/// With three digits also below 1.
fn rate(value: f64) -> String {
    match value {
        ..=0.0 => "0".to_owned(),
        ..1.0 => {
            let digits = (2.0 - value.log10().floor()) as usize;
            format!("{value:.digits$}").trim_end_matches('0').to_owned()
        }
        _ => decimal(value),
    }
}

fn percentile(percentile: Option<Percentile>) -> String {
    match percentile {
        None => "-".to_owned(),
        Some(Percentile { is_n_too_small: true, .. }) => "-".to_owned(),
        Some(Percentile { time: Time::Band { response, .. }, .. }) => time(response as f64),
        Some(Percentile { time: Time::AtLeast(at_least), .. }) => format!(">= {}", time(at_least as f64)),
    }
}

#[derive(Serialize)]
struct SearchDocument<'a> {
    version: u32,
    slo: String,
    result: &'static str,
    sentence: String,
    held_rate_per_second: Option<f64>,
    broken_rate_per_second: Option<f64>,
    steps: Vec<OfStep<'a>>,
}

#[derive(Serialize)]
struct OfStep<'a> {
    rate_per_second: f64,
    achieved_rate_per_second: f64,
    offered: u64,
    failed: u64,
    p50_us: Option<OfPercentile>,
    p99_us: Option<OfPercentile>,
    outcome: &'static str,
    limit: &'static str,
    limit_sentence: Option<&'a str>,
    result: &'static str,
    why: &'a str,
    thresholds: Vec<OfThreshold<'a>>,
}

#[derive(Serialize)]
struct OfPercentile {
    response: f64,
    without_own_delay: Option<f64>,
    at_least: bool,
    n_too_small: bool,
}

#[derive(Serialize)]
struct OfThreshold<'a> {
    threshold: &'a str,
    result: &'static str,
    found: &'a str,
}

impl<'a> OfStep<'a> {
    fn of(step: &'a Step) -> Self {
        let thresholds = step.judged.iter().map(|judged| OfThreshold {
            threshold: &judged.threshold,
            result: judged.judgement.as_str(),
            found: &judged.found,
        });
        Self {
            rate_per_second: step.rate,
            achieved_rate_per_second: step.achieved,
            offered: step.offered,
            failed: step.failed,
            p50_us: step.p50.map(OfPercentile::of),
            p99_us: step.p99.map(OfPercentile::of),
            outcome: step.outcome.as_str(),
            limit: step.limit.as_str(),
            limit_sentence: step.limit_sentence.as_deref(),
            result: match step.evidence {
                Evidence::Held => "held",
                Evidence::NotHeld => "not_held",
                Evidence::Limited { held: true } => "held_but_loadgen_limited",
                Evidence::Limited { held: false } => "loadgen_limited",
            },
            why: &step.why,
            thresholds: thresholds.collect(),
        }
    }
}

impl OfPercentile {
    fn of(percentile: Percentile) -> Self {
        let (response, undelayed, at_least) = match percentile.time {
            Time::Band { response, undelayed } => (response, Some(undelayed), false),
            Time::AtLeast(response) => (response, None, true),
        };
        Self {
            response: response as f64 / 1e3,
            without_own_delay: undelayed.map(|undelayed| undelayed as f64 / 1e3),
            at_least,
            n_too_small: percentile.is_n_too_small,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::planted::{MILLI, Planted, run};

    /// Steps at these rates, which a target holds up to 250 requests per second.
    fn steps(slo: &Slo, rates: &[f64]) -> Vec<Step> {
        let step = |rate: &f64| {
            let service = if *rate > 250.0 { 90 * MILLI } else { 2 * MILLI };
            slo.judge(
                *rate,
                &run(&format!("-r {rate} -d 10s a:1"), |_, _| Planted { service, ..Planted::default() }),
            )
        };
        rates.iter().map(step).collect()
    }

    fn written(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_result_is_one_sentence_and_the_steps_are_a_table() {
        let slo: Slo = "p(99)<20ms && error_rate<0.1%".parse().unwrap();
        let steps = steps(&slo, &[200.0, 283.0, 283.0]);
        let found = SearchReport {
            slo: &slo,
            steps: &steps,
            held: Some(200.0),
            broken: Some(283.0),
            end: Some(SearchEnd::Found { held: 200.0, broken: 283.0 }),
        };
        let text = "\
Maximum rate: 200 requests/s is the highest rate that held p(99)<20ms && error_rate<0.1%: at 283 requests/s, p(99) was 90.0 ms

requests/s    achieved         p50         p99    failed  result
       200         200     2.00 ms     2.00 ms         0  held
       283         283     90.0 ms     90.0 ms         0  not held: p(99) was 90.0 ms
       283         283     90.0 ms     90.0 ms         0  not held: p(99) was 90.0 ms
";
        assert_eq!(written(|out| found.text(out)), text);
        assert_eq!(line(&steps[0]), "200 requests/s: p50 2.00 ms, p99 2.00 ms, 0 failed: held");
    }

    #[test]
    fn what_the_limit_was_is_said_where_a_bound_was_crossed() {
        let slo: Slo = "p(50)<1ms".parse().unwrap();
        let grows = |_, at| Planted { service: 2 * MILLI + at / 5, ..Planted::default() };
        let steps = [slo.judge(500.0, &run("-r 500 -d 10s a:1", grows))];
        let end = Some(SearchEnd::NotHeld { broken: 500.0 });
        let found = SearchReport { slo: &slo, steps: &steps, held: None, broken: Some(500.0), end };
        let text = written(|out| found.text(out));
        let limit = "\nLimit at 500 requests/s: the target was the limit, or a proxy in front of it: ";
        assert!(text.contains(limit), "{text}");
        let json: Value = serde_json::from_str(&written(|out| found.json(out))).unwrap();
        assert_eq!(json["steps"][0]["limit"], "target");
    }

    #[test]
    fn every_end_has_its_own_sentence_and_json_as_its_schema_says() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let slo: Slo = "p(99)<20ms".parse().unwrap();
        let steps = steps(&slo, &[200.0, 300.0]);
        let why = "p(99) was 90.0 ms";
        for (end, held, broken, result, said) in [
            (
                Some(SearchEnd::Found { held: 200.0, broken: 300.0 }),
                Some(200.0),
                Some(300.0),
                "found",
                format!("200 requests/s is the highest rate that held p(99)<20ms: at 300 requests/s, {why}"),
            ),
            (
                Some(SearchEnd::NotHeld { broken: 300.0 }),
                None,
                Some(300.0),
                "not_held",
                format!("not even 300 requests/s held p(99)<20ms: {why}; a lower --start-rate may"),
            ),
            (
                Some(SearchEnd::MaxHeld { held: 200.0 }),
                Some(200.0),
                None,
                "max_rate_held",
                ">= 200 requests/s held p(99)<20ms: that is --max-rate, and nothing broke".to_owned(),
            ),
            (
                Some(SearchEnd::Limited { held: Some(200.0), at: 300.0 }),
                Some(200.0),
                None,
                "loadgen_limited",
                format!(">= 200 requests/s held p(99)<20ms: at 300 requests/s, {why}"),
            ),
            (
                Some(SearchEnd::Limited { held: None, at: 300.0 }),
                None,
                None,
                "loadgen_limited",
                format!(
                    "nothing can be said of the target: at 300 requests/s, {why}; a lower --start-rate may do"
                ),
            ),
            (
                None,
                Some(200.0),
                Some(300.0),
                "cut_short",
                format!("cut short: >= 200 requests/s held p(99)<20ms; at 300 requests/s, {why}"),
            ),
            (None, None, None, "cut_short", "cut short before any rate was held".to_owned()),
        ] {
            let found = SearchReport { slo: &slo, steps: &steps, held, broken, end };
            assert_eq!(found.sentence(), said);
            let json: Value = serde_json::from_str(&written(|out| found.json(out))).unwrap();
            let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!((&json["result"], &json["sentence"]), (&result.into(), &said.into()));
            assert_eq!(json["steps"][1]["p99_us"]["response"].as_f64().map(f64::round), Some(90_046.0));
        }
        assert!(!validator.is_valid(&serde_json::json!({ "version": 1 })), "the schema demands something");
    }

    #[test]
    fn low_rates_are_shown_with_all_of_their_digits() {
        for (value, shown) in [(0.0141, "0.0141"), (0.5, "0.5"), (12.3, "12.30"), (1410.0, "1,410")] {
            assert_eq!(rate(value), shown);
        }
    }
}
