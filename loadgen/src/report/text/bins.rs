//! The histogram of response times, in bins that suit how far they are spread.

use std::{
    io::{self, Write},
    num::NonZeroU32,
};

use hdrhistogram::Histogram;

use crate::{clock::Nanos, numbers::count, report::normalized};

/// The widest bar of the histogram, in characters.
const BAR: usize = 40;

/// Bins that grow by powers of ten are for times that are spread wider than this.
const WIDE: u64 = 20;

/// About this number of bins of the same width otherwise.
const BINS: u64 = 10;

pub(super) fn write(
    response: &Histogram<u64>,
    normalization: Option<NonZeroU32>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if response.len() < 2 {
        return Ok(());
    }
    let mut tail = None;
    let bins: Vec<_> = match normalization {
        None => bins(response).into_iter().filter(|(_, count)| *count > 0).collect(),
        Some(factor) => {
            let mut bins = normalized::bins(response, Some(factor));
            tail = bins.pop_if(|bin| bin.is_tail);
            bins.into_iter().map(|bin| (bin.up_to, bin.count)).collect()
        }
    };
    let counts = bins.iter().map(|(_, count)| *count).chain(tail.map(|tail| tail.count));
    let highest = counts.max().unwrap_or(1).max(1);
    writeln!(out, "Response time of successes, up to")?;
    for (bound, in_bin) in bins {
        line(&bound_name(bound), in_bin, highest, out)?;
    }
    if let Some(tail) = tail {
        line(&bound_name(tail.up_to), tail.count, highest, out)?;
        writeln!(out, "The last bin has all that is beyond the others.")?;
    }
    writeln!(out)
}

fn line(name: &str, in_bin: u64, highest: u64, out: &mut dyn Write) -> io::Result<()> {
    let bar = "#".repeat((in_bin as u128 * BAR as u128).div_ceil(u128::from(highest)) as usize);
    let line = format!("  {name:>10} {:>14} {bar}", count(in_bin));
    writeln!(out, "{}", line.trim_end())
}

/// Upper bound and count of each bin.
fn bins(response: &Histogram<u64>) -> Vec<(Nanos, u64)> {
    let (min, max) = (response.min(), response.max());
    let mut bounds: Box<dyn Iterator<Item = Nanos>> = if max / min.max(1) >= WIDE {
        Box::new((3..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power))))
    } else {
        let step = step((max - min) / BINS);
        Box::new((min / step + 1..).map(move |bin| bin * step))
    };
    let mut bins: Vec<(Nanos, u64)> = Vec::new();
    let mut values = response.iter_recorded().peekable();
    while values.peek().is_some() {
        let Some(bound) = bounds.next() else { break };
        let mut in_bin = 0;
        while let Some(value) = values.next_if(|value| value.value_iterated_to() <= bound) {
            in_bin += value.count_at_value();
        }
        if in_bin > 0 || !bins.is_empty() {
            bins.push((bound, in_bin));
        }
    }
    bins
}

/// A width of 1, 2 or 5 of a power of ten that is at least so much, a microsecond at least.
fn step(least: Nanos) -> Nanos {
    let steps = (3..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    steps.into_iter().find(|step| *step >= least).unwrap_or(u64::MAX)
}

fn bound_name(bound: Nanos) -> String {
    let (unit, name) = match bound {
        0..1_000_000 => (1000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    // A bound has at most two digits more than its unit.
    let text = format!("{:.3}", bound as f64 / unit as f64);
    format!("{} {name}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Vec<(Nanos, u64)> {
        let mut response = Histogram::<u64>::new(3).unwrap();
        values.iter().for_each(|value| response.record(*value).unwrap());
        let bins = bins(&response);
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
        bins
    }

    #[test]
    fn times_that_are_spread_wide_have_bins_by_powers_of_ten() {
        let bins = of(&[1500, 1600, 4000, 90_000, 3_000_000_000]);
        assert_eq!((bins[0], bins[1], bins[2]), ((2000, 2), (5000, 1), (10_000, 0)));
        assert_eq!(bins.last(), Some(&(5_000_000_000, 1)));
    }

    #[test]
    fn times_that_are_close_together_have_bins_of_the_same_width() {
        let values: Vec<_> = (0..100).map(|number| 20_000_000 + number * 100_000).collect();
        let bins = of(&values);
        assert!((8..=12).contains(&bins.len()), "{bins:?}");
        assert!(bins.iter().zip(&bins[1..]).all(|(one, next)| next.0 - one.0 == bins[1].0 - bins[0].0));
        assert_eq!(of(&[5000; 7]), [(6000, 7)]);
    }

    #[test]
    fn bounds_are_written_as_short_as_they_are() {
        assert_eq!(
            [2000, 50_000, 21_500_000, 1_000_000_000].map(bound_name),
            ["2 us", "50 us", "21.5 ms", "1 s"]
        );
    }
}
