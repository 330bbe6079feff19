//! What a comparison of several ways to a server has found, for people and for programs.

mod json;
mod markdown;
mod tables;
mod text;

use std::time::Duration;

pub use json::{SCHEMA, VERSION};

use tables::{interval, signed};

use crate::{
    compare::{
        Bound, Bounded, Knee, MAX_OF_KNEE, MedianInterval, Round, Tax, TaxFinding, judged_taxes, median,
        of_median,
        rules::{Conditions, FEW_CPUS, Machine, Reason, RoundTrips},
        tax::MISS,
    },
    numbers::{count, decimal, plural, time},
    summary::Summary,
    verdict::Judgement,
};

/// One of those that were compared.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredContender {
    /// What it is called.
    pub name: String,
    /// Where its requests went.
    pub url: String,
    /// The highest rate that it holds, if that was searched.
    pub knee: Option<Knee>,
}

impl MeasuredContender {
    /// One whose knee is not known.
    #[must_use]
    pub fn new(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), url: url.to_owned(), knee: None }
    }
}

/// What happened to the requests of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Those that became due.
    pub offered: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// Connections that took the place of others.
    pub reopened: u64,
    /// Those that were answered completely, with any status.
    pub completed: u64,
    /// Bytes of bodies that came.
    pub body_bytes: u64,
}

impl RequestCounts {
    /// Bytes of a body, on average; none where too many failed for that to say anything of the others.
    fn body(&self) -> Option<f64> {
        let is_known = self.completed > 0 && !self.are_many_failed();
        is_known.then(|| self.body_bytes as f64 / self.completed as f64)
    }

    fn are_many_failed(&self) -> bool {
        self.failed * 100 > self.offered
    }
}

/// A block: each contender was measured once.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The contenders, by index, in the order in which they were measured.
    pub order: Vec<usize>,
    /// What was measured, by the contenders' index.
    pub rounds: Vec<Round>,
    /// What happened to requests, by the contenders' index.
    pub requests: Vec<RequestCounts>,
    /// Why it does not count; none if it does.
    pub discarded: Option<Reason>,
    /// The busiest worker of all rounds, as a share of its time.
    pub busiest: f64,
    /// The busiest dummy-server of all rounds; none where none says so.
    pub busiest_server: Option<f64>,
    /// How long a cache line took from CPU to CPU and back; none where that is not known.
    pub round_trips: Option<RoundTrips>,
    /// Whether a contender was on this machine.
    pub is_shared: bool,
}

impl Block {
    /// Before anything is measured.
    #[must_use]
    pub fn new(order: Vec<usize>) -> Self {
        let contenders = order.len();
        Self {
            order,
            rounds: vec![Round::default(); contenders],
            requests: vec![RequestCounts::default(); contenders],
            discarded: None,
            busiest: 0.0,
            busiest_server: None,
            round_trips: None,
            is_shared: false,
        }
    }

    /// What a contender's round was measured under, and how long a cache line took around it.
    ///
    /// Whether dummy-server was late is asked of the first contender alone: another one on the same CPUs may be what kept it from
    /// them, and its slowest blocks would not count.
    pub fn note(&mut self, contender: usize, conditions: &Conditions, round_trips: Option<RoundTrips>) {
        self.busiest = self.busiest.max(conditions.busy);
        let server = conditions.server.map(|server| server.busy);
        self.busiest_server = self.busiest_server.into_iter().chain(server).reduce(f64::max);
        self.round_trips = self.round_trips.into_iter().chain(round_trips).reduce(RoundTrips::and);
        let fault = || conditions.fault().filter(|fault| contender == 0 || *fault != Reason::ServerLate);
        let of_lines = || self.round_trips.and_then(RoundTrips::fault);
        self.discarded = self.discarded.or_else(fault).or_else(of_lines);
    }

    /// A contender was measured, with microseconds of a CPU for each request.
    pub fn add(&mut self, contender: usize, summary: &Summary, cpu: Option<f64>) {
        self.rounds[contender] = summary.round(cpu);
        self.requests[contender] = RequestCounts {
            offered: summary.records.counts.offered,
            failed: summary.failed(),
            reopened: summary.records.connections.reopened,
            completed: summary.records.counts.completed(),
            body_bytes: summary.records.body_bytes,
        };
        let is_loopback = |address: &String| address.starts_with("127.") || address.starts_with("[::1]");
        self.is_shared |= summary.run.addresses.iter().any(is_loopback);
    }
}

/// A part of each one's knee, at which it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// From 0 to 1.
    pub part: f64,
    /// The rate of each contender, in requests per second.
    pub rates: Vec<f64>,
    /// What was measured.
    pub blocks: Vec<Block>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What the order within blocks and the times of requests followed from.
    pub seed: u64,
    /// How many blocks were to count.
    pub blocks_wanted: usize,
    /// Those that were compared: the first with each of the others.
    pub sides: Vec<MeasuredContender>,
    /// The rate of all, in requests per second.
    pub rate: f64,
    /// How long requests became due in a round.
    pub duration: Duration,
    /// How long they did before that, which does not count.
    pub warmup: Duration,
    /// All blocks, those that were discarded among them.
    pub blocks: Vec<Block>,
    /// Points at parts of each one's knee, if they were wanted.
    pub curve: Vec<Point>,
    /// How contenders differ in what they do.
    pub faults: Vec<String>,
    /// What could not be found out of that.
    pub unknown: Vec<String>,
    /// Whether it did not come to its end.
    pub is_cut_short: bool,
    /// CPUs that loadgen could use.
    pub cpus: usize,
    /// What it is held against.
    pub bounds: Vec<Bound>,
}

/// A bound, what was found of a contender, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedBound {
    /// The bound as it was given.
    pub threshold: String,
    /// The contender, by index.
    pub contender: usize,
    /// The median over blocks, in nanoseconds; none if a round lacks the figure.
    pub found: Option<f64>,
    /// Where it lies.
    pub interval: Option<MedianInterval>,
    /// What came of it.
    pub judgement: Judgement,
}

/// The median of a figure over blocks, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Typical {
    pub(super) median: f64,
    pub(super) interval: Option<MedianInterval>,
}

/// A figure of a round.
type RoundFigure = fn(&Round) -> Option<f64>;

/// What is shown of each contender, in nanoseconds, and microseconds of CPU time.
const P50: RoundFigure = |round| round.p50.map(|times| times.response);
const P99: RoundFigure = |round| round.p99.map(|times| times.response);
const MEAN: RoundFigure = |round| round.mean.map(|times| times.response);
const CPU: RoundFigure = |round| round.cpu;

impl Comparison {
    /// Before anything is measured.
    #[must_use]
    pub fn new(seed: u64, blocks_wanted: usize, sides: Vec<MeasuredContender>) -> Self {
        Self {
            seed,
            blocks_wanted,
            sides,
            rate: 0.0,
            duration: Duration::ZERO,
            warmup: Duration::ZERO,
            blocks: Vec::new(),
            curve: Vec::new(),
            faults: Vec::new(),
            unknown: Vec::new(),
            is_cut_short: false,
            cpus: runtime::cpus::available().get(),
            bounds: Vec::new(),
        }
    }

    /// What came of the bounds, of each contender that they are of.
    #[must_use]
    pub fn judged(&self) -> Vec<JudgedBound> {
        let judged = |bound: &Bound, contender: usize| {
            let (found, interval, undelayed) = match bound.figure() {
                Bounded::More(figure) => {
                    let taxes = self.taxes(contender);
                    let tax = taxes.iter().find(|tax| tax.figure == figure);
                    (
                        tax.and_then(|tax| tax.estimate),
                        tax.and_then(|tax| tax.interval),
                        tax.and_then(|tax| tax.undelayed),
                    )
                }
                Bounded::Cpu => {
                    let cpu = typical(&kept(&self.blocks), contender, CPU).map(in_nanos);
                    let interval = cpu.and_then(|cpu| cpu.interval);
                    (cpu.map(|cpu| cpu.median), interval, interval)
                }
            };
            let judgement = match bound.holds(interval, undelayed) {
                Some(true) => Judgement::Passed,
                Some(false) => Judgement::Failed,
                None => Judgement::NotJudged,
            };
            JudgedBound { threshold: bound.to_string(), contender, found, interval, judgement }
        };
        let is_of = |bound: &Bound, index: usize| match bound.contender() {
            Some(name) => self.sides[index].name == name,
            None => index > 0,
        };
        let each = self.bounds.iter().flat_map(|bound| {
            (0..self.sides.len())
                .filter(move |index| is_of(bound, *index))
                .map(move |index| judged(bound, index))
        });
        each.collect()
    }

    /// What came of the bounds, in sentences.
    fn judgements(&self) -> Vec<String> {
        let sentence = |judged: JudgedBound| {
            let found = judged.found.map_or("no figure".to_owned(), signed);
            let interval = judged.interval.map(|known| format!(", {}", interval(known))).unwrap_or_default();
            let name = &self.sides[judged.contender].name;
            format!("{} of {name}: {} ({found}{interval})", judged.threshold, judged.judgement.as_str())
        };
        self.judged().into_iter().map(sentence).collect()
    }

    /// What the contender of this index takes more than the first one.
    #[must_use]
    pub fn taxes(&self, contender: usize) -> Vec<Tax> {
        judged_taxes(&kept(&self.blocks), contender, self.sides.len())
    }

    /// Whether there are enough blocks to say whether each of the others differs from the first one.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        (1..self.sides.len())
            .all(|contender| self.taxes(contender).iter().any(|tax| tax.found != TaxFinding::NotJudged))
    }

    /// What was found of the contender of this index, in one sentence.
    #[must_use]
    pub fn sentence(&self, contender: usize) -> String {
        let (name, first) = (&self.sides[contender].name, &self.sides[0].name);
        let taxes = self.taxes(contender);
        let rate = decimal(self.rate);
        let of = |found: TaxFinding| taxes.iter().filter(move |tax| tax.found == found);
        let said = |found: TaxFinding| {
            let each = of(found).map(|tax| {
                let by = tax.estimate.map_or_else(String::new, |estimate| time(estimate.abs()));
                let interval = tax
                    .interval
                    .map(|interval| format!(" ({})", spoken(interval, found)))
                    .unwrap_or_default();
                format!("{by}{interval} at the {}", tax.figure.as_str())
            });
            each.collect::<Vec<_>>().join(" and ")
        };
        let names =
            |found: TaxFinding| of(found).map(|tax| tax.figure.as_str()).collect::<Vec<_>>().join(" and ");
        let mut parts = Vec::new();
        for (found, word) in [(TaxFinding::Slower, "slower"), (TaxFinding::Faster, "faster")] {
            if of(found).next().is_some() {
                parts.push(format!("{word} than {first} by {}", said(found)));
            }
        }
        match names(TaxFinding::NoDifference) {
            none if none.is_empty() => {}
            _ if parts.is_empty() => parts.push(format!("no difference from {first} was found")),
            some => parts.push(format!("no difference was found at the {some}")),
        }
        match names(TaxFinding::NotJudged) {
            none if none.is_empty() => {}
            some => parts.push(format!("the {some} can't be judged")),
        }
        if let Some(cpu) = typical(&kept(&self.blocks), contender, CPU).map(in_nanos) {
            let said = format!("{} of CPU time for each request", time(cpu.median));
            // Times are those of the machine, where there are few CPUs.
            let place = if self.cpus <= FEW_CPUS { 0 } else { parts.len() };
            parts.insert(place, said);
        }
        let RequestCounts { offered, failed, .. } = self.requests(contender);
        if self.requests(contender).are_many_failed() {
            parts.insert(0, format!("{} of {} requests failed", count(failed), count(offered)));
        }
        format!("{name} at {rate} requests/s: {}", parts.join("; "))
    }

    /// What one has to know of it before the figures: of each of the others, in a sentence.
    fn sentences(&self) -> impl Iterator<Item = String> {
        (1..self.sides.len()).map(|contender| self.sentence(contender))
    }

    /// How it was measured, in a sentence.
    fn method(&self) -> String {
        let kept = kept(&self.blocks).len();
        let discarded = self.discarded();
        let all: usize = discarded.iter().map(|(_, count)| count).sum();
        let why: Vec<_> = discarded.iter().map(|(reason, count)| format!("{count} as {reason}")).collect();
        let all = plural(all as u64, "block");
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
        format!(
            "{kept} of {} blocks with a round of {} for each, in random order, with Poisson arrivals (seed {}); {all} discarded{why}",
            self.blocks_wanted,
            time(self.duration.as_nanos() as f64),
            self.seed
        )
    }

    /// How many blocks were discarded, by reason.
    fn discarded(&self) -> Vec<(Reason, usize)> {
        let count =
            |reason: &Reason| self.blocks.iter().filter(|block| block.discarded == Some(*reason)).count();
        Reason::ALL.iter().map(|reason| (*reason, count(reason))).filter(|(_, count)| *count > 0).collect()
    }

    /// The requests of a contender in the blocks that count.
    fn requests(&self, contender: usize) -> RequestCounts {
        let kept = self.blocks.iter().filter(|block| block.discarded.is_none());
        kept.fold(RequestCounts::default(), |sum, block| {
            let RequestCounts { offered, failed, reopened, completed, body_bytes } =
                block.requests[contender];
            RequestCounts {
                offered: sum.offered + offered,
                failed: sum.failed + failed,
                reopened: sum.reopened + reopened,
                completed: sum.completed + completed,
                body_bytes: sum.body_bytes + body_bytes,
            }
        })
    }

    /// How contenders that were alike at first were not while they were measured: bodies of another size than the first one's.
    #[must_use]
    pub fn unlike_while_measured(&self) -> Option<String> {
        /// How much sizes may differ, as the mix of what succeeded may, and a few pages that report errors make them.
        const MAX_DIFFERENCE: f64 = 0.1;
        const MIN_DIFFERENCE: f64 = 16.0;
        let first = self.requests(0).body()?;
        (1..self.sides.len()).find_map(|contender| {
            let body = self.requests(contender).body()?;
            let differs = (body - first).abs() > (first.max(body) * MAX_DIFFERENCE).max(MIN_DIFFERENCE);
            differs.then(|| {
                let (name, direct) = (&self.sides[contender].name, &self.sides[0].name);
                format!(
                    "{name} sent {} bytes a response while it was measured, {direct} {}",
                    count(body.round() as u64),
                    count(first.round() as u64)
                )
            })
        })
    }

    /// What is to be known beside the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.is_cut_short {
            warnings.push("cut short: these are the blocks that were measured until then".to_owned());
        }
        let slowest = self.sides.iter().filter_map(|side| side.knee).map(|knee| knee.rate).reduce(f64::min);
        match slowest {
            Some(knee) if self.rate > knee * MAX_OF_KNEE * (1.0 + 1e-9) => warnings.push(format!(
                "{} requests/s are more than half of the slowest one's knee, {}: queues are part of the times",
                decimal(self.rate),
                decimal(knee)
            )),
            Some(_) => {}
            None => warnings.push(
                "whether the rate is at most half of the slowest one's knee was not looked for, as --rate was given"
                    .to_owned(),
            ),
        }
        for (index, side) in self.sides.iter().enumerate() {
            let RequestCounts { failed, reopened, offered, .. } = self.requests(index);
            if failed > 0 {
                warnings.push(format!(
                    "{}: {} of {} requests did not succeed; each counts with the time until it failed, and as slower than all that succeeded",
                    side.name,
                    count(failed),
                    count(offered)
                ));
            }
            if reopened > 0 {
                let closed = count(reopened);
                warnings.push(format!(
                    "{}: {closed} connections were closed and opened again while it was measured",
                    side.name
                ));
            }
        }
        let points = self.curve.iter().flat_map(|point| &point.blocks);
        let blocks = || self.blocks.iter().chain(points.clone());
        let machine = Machine {
            cpus: self.cpus,
            busiest: blocks().map(|block| block.busiest).fold(0.0, f64::max),
            busiest_server: blocks().filter_map(|block| block.busiest_server).fold(0.0, f64::max),
            is_shared: blocks().any(|block| block.is_shared),
        };
        warnings.extend(machine.warnings());
        warnings
    }
}

/// The rounds of the blocks that count.
fn kept(blocks: &[Block]) -> Vec<Vec<Round>> {
    blocks.iter().filter(|block| block.discarded.is_none()).map(|block| block.rounds.clone()).collect()
}

/// The median over blocks of a contender's figure; none if a round lacks it.
fn typical(kept: &[Vec<Round>], contender: usize, of: RoundFigure) -> Option<Typical> {
    let values: Option<Vec<f64>> = kept.iter().map(|rounds| of(&rounds[contender])).collect();
    let values = values?;
    Some(Typical { median: median(&values)?, interval: of_median(&values, MISS) })
}

/// Of microseconds.
fn in_nanos(typical: Typical) -> Typical {
    let scaled = |MedianInterval { low, high, confidence }| MedianInterval {
        low: low * 1e3,
        high: high * 1e3,
        confidence,
    };
    Typical { median: typical.median * 1e3, interval: typical.interval.map(scaled) }
}

/// From where to where, in a sentence that says in which direction, and how sure that is.
fn spoken(interval: MedianInterval, found: TaxFinding) -> String {
    let MedianInterval { low, high, confidence } = interval;
    let (least, most) = if found == TaxFinding::Faster { (-high, -low) } else { (low, high) };
    format!("{} to {}, {:.1}%", time(least), time(most), confidence * 100.0)
}

#[cfg(test)]
mod tests;
