//! Where the time of verified requests went, in figures.

use serde::{Deserialize, Serialize};

use crate::recorder::{PartTimes, Split};

/// Service times of complete replies, in parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSplit {
    /// Those whose server shares its clock with loadgen; none if no server does.
    pub ways: Option<Ways>,
    /// Head seen by the server to head of the reply handed over, of all.
    pub server_us: PartFigures,
    /// Both ways together, of requests whose ways are not distinguished: their server's clock is another.
    pub outside_us: PartFigures,
    /// Replies without a server's instants.
    pub untold: u64,
    /// Replies whose instants do not lie within the service time in their order: they are in no part.
    pub impossible: u64,
}

/// Both ways by themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ways {
    /// Head written to head seen by the server.
    pub there_us: PartFigures,
    /// Head of the reply handed over to last byte read.
    pub back_us: PartFigures,
}

/// One part, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFigures {
    /// Of how many requests.
    pub count: u64,
    /// The means of all parts of the same requests add up to that of the whole.
    pub mean: f64,
    /// Half of them took no longer.
    pub p50: f64,
    /// 90% of them took no longer.
    pub p90: f64,
    /// 99% of them took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl TimeSplit {
    /// None where no reply has said anything.
    pub(super) fn of(split: &Split) -> Option<Self> {
        let Split { there, back, server, outside, untold, impossible, .. } = split;
        let ways = || Ways { there_us: PartFigures::of(there), back_us: PartFigures::of(back) };
        (server.count() > 0 || *impossible > 0).then(|| Self {
            ways: (there.count() > 0).then(ways),
            server_us: PartFigures::of(server),
            outside_us: PartFigures::of(outside),
            untold: *untold,
            impossible: *impossible,
        })
    }
}

impl PartFigures {
    fn of(times: &PartTimes) -> Self {
        let Some(histogram) = times.histogram() else { return Self::default() };
        let us = |ns: u64| ns as f64 / 1e3;
        let quantile = |quantile: f64| us(histogram.value_at_quantile(quantile));
        let count = histogram.len();
        Self {
            count,
            mean: times.sum as f64 / count.max(1) as f64 / 1e3,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: us(histogram.max()),
        }
    }
}
