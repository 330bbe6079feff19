//! A comparison for programs, as `compare.schema.json` describes it.

use std::io::{self, Write};

use serde::Serialize;

use super::{Block, CPU, Comparison, JudgedBound, MEAN, P50, P99, RoundFigure, Typical, kept, typical};
use crate::{
    compare::{MedianInterval, Round, RoundTime, Tax},
    verdict::Judgement,
};

/// The JSON Schema of what programs get.
pub const SCHEMA: &str = include_str!("../../../compare.schema.json");

/// The version of what programs get.
pub const VERSION: u32 = 1;

impl Comparison {
    /// Writes it for programs.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let kept = kept(&self.blocks);
        let contender = |index: usize| OfSide {
            name: &self.sides[index].name,
            target: &self.sides[index].url,
            knee_rate_per_second: self.sides[index].knee.map(|knee| knee.rate),
            knee_is_lower_bound: self.sides[index].knee.map(|knee| knee.is_lower_bound),
            offered: self.requests(index).offered,
            failed: self.requests(index).failed,
            reopened_connections: self.requests(index).reopened,
            figures: OfFigures::of(&kept, index),
            taxes: if index == 0 { Vec::new() } else { self.taxes(index).iter().map(OfTax::of).collect() },
            sentence: (index > 0).then(|| self.sentence(index)),
        };
        let all = ComparisonDocument {
            version: VERSION,
            seed: self.seed,
            rate_per_second: self.rate,
            round_seconds: self.duration.as_secs_f64(),
            warmup_seconds: self.warmup.as_secs_f64(),
            blocks_wanted: self.blocks_wanted,
            cut_short: self.is_cut_short,
            contenders: (0..self.sides.len()).map(contender).collect(),
            blocks: self.blocks.iter().map(OfBlock::of).collect(),
            curve: self
                .curve
                .iter()
                .map(|point| OfPoint {
                    part_of_knee: point.part,
                    rates_per_second: &point.rates,
                    figures: (0..self.sides.len())
                        .map(|index| OfFigures::of(&super::kept(&point.blocks), index))
                        .collect(),
                    blocks: point.blocks.iter().map(OfBlock::of).collect(),
                })
                .collect(),
            thresholds: self.judged().into_iter().map(OfBound::of).collect(),
            not_alike: &self.faults,
            unknown: &self.unknown,
            warnings: self.warnings(),
        };
        serde_json::to_writer_pretty(&mut *out, &all)?;
        writeln!(out)
    }
}

#[derive(Serialize)]
struct ComparisonDocument<'a> {
    version: u32,
    seed: u64,
    rate_per_second: f64,
    round_seconds: f64,
    warmup_seconds: f64,
    blocks_wanted: usize,
    cut_short: bool,
    contenders: Vec<OfSide<'a>>,
    blocks: Vec<OfBlock<'a>>,
    curve: Vec<OfPoint<'a>>,
    thresholds: Vec<OfBound>,
    not_alike: &'a [String],
    unknown: &'a [String],
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct OfBound {
    threshold: String,
    contender: usize,
    found_us: Option<f64>,
    interval_us: Option<OfInterval>,
    judgement: &'static str,
}

impl OfBound {
    fn of(judged: JudgedBound) -> Self {
        Self {
            threshold: judged.threshold,
            contender: judged.contender,
            found_us: judged.found.map(|found| found / 1e3),
            interval_us: judged.interval.map(|interval| OfInterval::of(interval, 1e3)),
            judgement: match judged.judgement {
                Judgement::Passed => "passed",
                Judgement::Failed => "failed",
                Judgement::NotJudged => "not_judged",
            },
        }
    }
}

#[derive(Serialize)]
struct OfSide<'a> {
    name: &'a str,
    target: &'a str,
    knee_rate_per_second: Option<f64>,
    knee_is_lower_bound: Option<bool>,
    offered: u64,
    failed: u64,
    reopened_connections: u64,
    figures: OfFigures,
    taxes: Vec<OfTax>,
    sentence: Option<String>,
}

#[derive(Serialize)]
struct OfPoint<'a> {
    part_of_knee: f64,
    rates_per_second: &'a [f64],
    figures: Vec<OfFigures>,
    blocks: Vec<OfBlock<'a>>,
}

#[derive(Serialize)]
struct OfFigures {
    p50_us: Option<OfTypical>,
    p99_us: Option<OfTypical>,
    mean_us: Option<OfTypical>,
    cpu_us_per_request: Option<OfTypical>,
}

impl OfFigures {
    fn of(kept: &[Vec<Round>], index: usize) -> Self {
        let of = |figure: RoundFigure, unit: f64| {
            typical(kept, index, figure).map(|typical| OfTypical::of(typical, unit))
        };
        Self {
            p50_us: of(P50, 1e3),
            p99_us: of(P99, 1e3),
            mean_us: of(MEAN, 1e3),
            cpu_us_per_request: of(CPU, 1.0),
        }
    }
}

#[derive(Serialize)]
struct OfTypical {
    median: f64,
    interval: Option<OfInterval>,
}

impl OfTypical {
    fn of(typical: Typical, unit: f64) -> Self {
        Self {
            median: typical.median / unit,
            interval: typical.interval.map(|interval| OfInterval::of(interval, unit)),
        }
    }
}

#[derive(Serialize)]
struct OfInterval {
    low: f64,
    high: f64,
    confidence: f64,
}

impl OfInterval {
    fn of(interval: MedianInterval, unit: f64) -> Self {
        Self { low: interval.low / unit, high: interval.high / unit, confidence: interval.confidence }
    }
}

#[derive(Serialize)]
struct OfTax {
    figure: &'static str,
    difference_us: Option<f64>,
    difference_interval_us: Option<OfInterval>,
    ratio: Option<f64>,
    ratio_interval: Option<OfInterval>,
    found: &'static str,
}

impl OfTax {
    fn of(tax: &Tax) -> Self {
        Self {
            figure: tax.figure.as_str(),
            difference_us: tax.estimate.map(|estimate| estimate / 1e3),
            difference_interval_us: tax.interval.map(|interval| OfInterval::of(interval, 1e3)),
            ratio: tax.ratio,
            ratio_interval: tax.ratio_interval.map(|interval| OfInterval::of(interval, 1.0)),
            found: tax.found.as_str(),
        }
    }
}

#[derive(Serialize)]
struct OfBlock<'a> {
    order: &'a [usize],
    discarded: Option<&'static str>,
    busiest_worker: f64,
    busiest_server: Option<f64>,
    round_trip_ns: Option<[f64; 2]>,
    rounds: Vec<OfRounds>,
}

#[derive(Serialize)]
struct OfRounds {
    offered: u64,
    failed: u64,
    p50_us: Option<OfTimes>,
    p99_us: Option<OfTimes>,
    mean_us: Option<OfTimes>,
    cpu_us_per_request: Option<f64>,
}

#[derive(Serialize)]
struct OfTimes {
    response: f64,
    without_own_delay: f64,
}

impl<'a> OfBlock<'a> {
    fn of(block: &'a Block) -> Self {
        let times = |times: RoundTime| OfTimes {
            response: times.response / 1e3,
            without_own_delay: times.undelayed / 1e3,
        };
        let round = |(round, requests): (&Round, &super::RequestCounts)| OfRounds {
            offered: requests.offered,
            failed: requests.failed,
            p50_us: round.p50.map(times),
            p99_us: round.p99.map(times),
            mean_us: round.mean.map(times),
            cpu_us_per_request: round.cpu,
        };
        Self {
            order: &block.order,
            discarded: block.discarded.map(|reason| reason.as_str()),
            busiest_worker: block.busiest,
            busiest_server: block.busiest_server,
            round_trip_ns: block.round_trips.map(|trips| [trips.nearest, trips.farthest]),
            rounds: block.rounds.iter().zip(&block.requests).map(round).collect(),
        }
    }
}
