//! The tables of a comparison, which text and Markdown have alike: a header, and rows of cells.

use std::borrow::Cow;

use super::{CPU, Comparison, MEAN, MeasuredContender, P50, P99, Typical, in_nanos, kept, typical};
use crate::{
    compare::{Knee, MedianInterval},
    numbers::{count, decimal, time},
};

/// The names of columns, and rows of as many cells.
pub(super) type Table = (Vec<Cow<'static, str>>, Vec<Vec<String>>);

impl Comparison {
    /// A table with a row for each contender.
    pub(super) fn sides_table(&self) -> Table {
        let has_cpu = self.blocks.iter().any(|block| block.rounds.iter().any(|round| round.cpu.is_some()));
        let has_knee = self.sides.iter().any(|side| side.knee.is_some());
        let mut header: Vec<Cow<'static, str>> = ["contender", "p50", "p99", "mean"].map(Cow::from).to_vec();
        header.extend(has_cpu.then_some("CPU/request".into()));
        header.extend(["requests", "failed"].map(Cow::from));
        header.extend(has_knee.then_some("knee/s".into()));
        header.push("target".into());
        let kept = kept(&self.blocks);
        let row = |(index, side): (usize, &MeasuredContender)| {
            let mut row = vec![side.name.clone()];
            row.extend([P50, P99, MEAN].map(|of| shown(typical(&kept, index, of))));
            row.extend(has_cpu.then(|| shown(typical(&kept, index, CPU).map(in_nanos))));
            let requests = self.requests(index);
            row.extend([count(requests.offered), count(requests.failed)]);
            row.extend(has_knee.then(|| side.knee.map_or("-".to_owned(), knee)));
            row.push(side.url.clone());
            row
        };
        (header, self.sides.iter().enumerate().map(row).collect())
    }

    /// A table with a row for each figure of each contender but the first.
    pub(super) fn taxes_table(&self) -> Table {
        let of = format!("more than {}", self.sides[0].name);
        let header = vec![
            of.into(),
            "".into(),
            "difference".into(),
            "interval".into(),
            "times".into(),
            "found".into(),
        ];
        let rows = (1..self.sides.len()).flat_map(|contender| {
            self.taxes(contender).into_iter().map(move |tax| {
                vec![
                    self.sides[contender].name.clone(),
                    tax.figure.as_str().to_owned(),
                    tax.estimate.map_or("-".to_owned(), signed),
                    tax.interval.map_or("-".to_owned(), interval),
                    tax.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
                    tax.found.as_str().replace('_', " "),
                ]
            })
        });
        (header, rows.collect())
    }

    /// A table with a row for each point of each contender's curve.
    pub(super) fn curve_table(&self) -> Table {
        let header = ["contender", "of its knee", "requests/s", "p50", "p99", "mean", "blocks"]
            .map(Cow::from)
            .to_vec();
        let rows = self.sides.iter().enumerate().flat_map(|(index, side)| {
            self.curve.iter().map(move |point| {
                let kept = kept(&point.blocks);
                let mut row = vec![
                    side.name.clone(),
                    format!("{:.0}%", point.part * 100.0),
                    point.rates.get(index).map_or("-".to_owned(), |rate| decimal(*rate)),
                ];
                row.extend([P50, P99, MEAN].map(|of| shown(typical(&kept, index, of))));
                row.push(kept.len().to_string());
                row
            })
        });
        (header, rows.collect())
    }
}

fn shown(typical: Option<Typical>) -> String {
    typical.map_or("-".to_owned(), |typical| time(typical.median))
}

fn knee(knee: Knee) -> String {
    format!("{}{}", if knee.is_lower_bound { ">= " } else { "" }, decimal(knee.rate))
}

/// A time with its sign.
pub(super) fn signed(ns: f64) -> String {
    let sign = if ns < 0.0 { "-" } else { "+" };
    format!("{sign}{}", time(ns.abs()))
}

/// From where to where, and how sure that is.
pub(super) fn interval(interval: MedianInterval) -> String {
    let MedianInterval { low, high, confidence } = interval;
    format!("{} to {} ({:.1}%)", signed(low), signed(high), confidence * 100.0)
}
