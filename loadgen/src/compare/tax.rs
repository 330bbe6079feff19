//! What one contender takes more than another: differences of quantiles within a block, their median over blocks, and whether it
//! can be distinguished from nothing.
//!
//! Percentiles are never averaged. A difference is believed when it is there with and without loadgen's own delay, and by
//! intervals so wide that among all figures of all contenders one in twenty comparisons of a thing with itself finds any.

use super::{
    Round, RoundTime,
    interval::{MedianInterval, median, of_median, outside},
};

/// How often a comparison of a thing with itself may find a difference.
pub const MISS: f64 = 0.05;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaxFigure {
    /// The median of response time.
    P50,
    /// Its 99th percentile.
    P99,
    /// Its mean.
    Mean,
}

/// All that is compared, in the order in which figures are judged where there are too few blocks for all.
pub const FIGURES: [TaxFigure; 3] = [TaxFigure::P50, TaxFigure::P99, TaxFigure::Mean];

impl TaxFigure {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Mean => "mean",
        }
    }

    /// What it was in a round.
    #[must_use]
    pub fn of(self, round: &Round) -> Option<RoundTime> {
        match self {
            Self::P50 => round.p50,
            Self::P99 => round.p99,
            Self::Mean => round.mean,
        }
    }
}

/// What is found of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaxFinding {
    /// It takes longer.
    Slower,
    /// It takes less time.
    Faster,
    /// None that could be distinguished from nothing.
    NoDifference,
    /// Too few blocks, or a round without the figure.
    NotJudged,
}

impl TaxFinding {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::NoDifference => "no_difference",
            Self::NotJudged => "not_judged",
        }
    }
}

/// By how much a contender differs from the first one in a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tax {
    /// Which figure.
    pub figure: TaxFigure,
    /// The median of the differences within blocks, in nanoseconds; none if a round lacks the figure.
    pub estimate: Option<f64>,
    /// Where it lies by 95%; none with fewer than six blocks.
    pub interval: Option<MedianInterval>,
    /// The same without loadgen's own delay.
    pub undelayed: Option<MedianInterval>,
    /// How many times as long it takes, by the median of the logarithms of ratios within blocks.
    pub ratio: Option<f64>,
    /// Where that lies by 95%.
    pub ratio_interval: Option<MedianInterval>,
    /// What is found.
    pub found: TaxFinding,
}

/// What the contender of this index takes more than the first one, in each of [`FIGURES`], in a comparison of this number of
/// `contenders`. `blocks` are those that are kept, each with a round for each contender.
#[must_use]
pub fn judged_taxes(blocks: &[Vec<Round>], contender: usize, contenders: usize) -> Vec<Tax> {
    let pairs = contenders.saturating_sub(1).max(1);
    let judged = judged_figures(blocks.len(), pairs);
    let miss = MISS / (pairs * judged.max(1)) as f64;
    let tax = |(index, figure): (usize, &TaxFigure)| {
        let rounds = blocks.iter().map(|block| {
            let of = |contender: usize| block.get(contender).and_then(|round| figure.of(round));
            Some((of(0)?, of(contender)?))
        });
        let rounds: Option<Vec<(RoundTime, RoundTime)>> = rounds.collect();
        let rounds = rounds.filter(|rounds| !rounds.is_empty());
        of_figure(*figure, rounds.as_deref(), (index < judged).then_some(miss))
    };
    FIGURES.iter().enumerate().map(tax).collect()
}

/// How many of the figures can be judged with this number of blocks and pairs.
fn judged_figures(blocks: usize, pairs: usize) -> usize {
    let can = |figures: &usize| outside(blocks, MISS / (pairs * figures) as f64).is_some();
    (1..=FIGURES.len()).rev().find(can).unwrap_or(0)
}

/// Of pairs of the first contender's times and this one's.
fn of_figure(figure: TaxFigure, pairs: Option<&[(RoundTime, RoundTime)]>, miss: Option<f64>) -> Tax {
    let unknown = Tax {
        figure,
        estimate: None,
        interval: None,
        undelayed: None,
        ratio: None,
        ratio_interval: None,
        found: TaxFinding::NotJudged,
    };
    let Some(pairs) = pairs else { return unknown };
    let each = |of: fn(&(RoundTime, RoundTime)) -> f64| pairs.iter().map(of).collect::<Vec<_>>();
    let differences = each(|(first, own)| own.response - first.response);
    let undelayed = each(|(first, own)| own.undelayed - first.undelayed);
    let ratios = each(|(first, own)| (own.response.max(1.0) / first.response.max(1.0)).ln());
    let interval_of_ratio = of_median(&ratios, MISS).map(|MedianInterval { low, high, confidence }| {
        MedianInterval { low: low.exp(), high: high.exp(), confidence }
    });
    Tax {
        estimate: median(&differences),
        interval: of_median(&differences, MISS),
        undelayed: of_median(&undelayed, MISS),
        ratio: median(&ratios).map(f64::exp),
        ratio_interval: interval_of_ratio,
        found: miss.map_or(TaxFinding::NotJudged, |miss| found(&differences, &undelayed, miss)),
        ..unknown
    }
}

fn found(differences: &[f64], undelayed: &[f64], miss: f64) -> TaxFinding {
    match (of_median(differences, miss), of_median(undelayed, miss)) {
        (Some(with), Some(without)) if with.low > 0.0 && without.low > 0.0 => TaxFinding::Slower,
        (Some(with), Some(without)) if with.high < 0.0 && without.high < 0.0 => TaxFinding::Faster,
        (Some(_), Some(_)) => TaxFinding::NoDifference,
        _ => TaxFinding::NotJudged,
    }
}
