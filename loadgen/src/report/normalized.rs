//! A histogram that a long tail does not squash into one bin: it spans a fixed multiple of the shortest time, in bins of the same
//! width, and one bin has all that is beyond.

use std::num::NonZeroU32;

use hdrhistogram::Histogram;

use crate::clock::Nanos;

/// Bins of the same width.
const BINS: u128 = 10;

/// What a bin has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NormalizedBin {
    /// The longest time in it; of the last one, the longest of all.
    pub(super) up_to: Nanos,
    /// How many.
    pub(super) count: u64,
    /// Whether it has all that is beyond the others.
    pub(super) is_tail: bool,
}

/// The bins up to `factor` times the shortest time, or to the longest where that is less or there is no factor, and one for
/// what is beyond.
pub(super) fn bins(times: &Histogram<u64>, factor: Option<NonZeroU32>) -> Vec<NormalizedBin> {
    if times.is_empty() {
        return Vec::new();
    }
    let span = span(times, factor);
    let bound = |bin: u128| (u128::from(span) * bin).div_ceil(BINS) as Nanos;
    let mut bins: Vec<_> =
        (1..=BINS).map(|bin| NormalizedBin { up_to: bound(bin), count: 0, is_tail: false }).collect();
    let mut tail = NormalizedBin { up_to: times.max(), count: 0, is_tail: true };
    for value in times.iter_recorded() {
        // The last value stands for all that are not distinguished from the longest.
        let time = value.value_iterated_to().min(times.max());
        let bin = bins.iter_mut().find(|bin| time <= bin.up_to).unwrap_or(&mut tail);
        bin.count += value.count_at_value();
    }
    bins.extend((span < times.max()).then_some(tail));
    bins
}

/// What the bins of the same width span.
pub(super) fn span(times: &Histogram<u64>, factor: Option<NonZeroU32>) -> Nanos {
    let most = factor.map_or(Nanos::MAX, |factor| times.min().saturating_mul(factor.get().into()));
    most.min(times.max())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64], factor: u32) -> Vec<(Nanos, u64, bool)> {
        let mut times = Histogram::<u64>::new(3).unwrap();
        values.iter().for_each(|value| times.record(*value).unwrap());
        let bins = bins(&times, NonZeroU32::new(factor));
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), values.len() as u64, "{bins:?}");
        bins.into_iter().map(|bin| (bin.up_to, bin.count, bin.is_tail)).collect()
    }

    #[test]
    fn bins_span_a_multiple_of_the_shortest_time_and_the_last_has_the_rest() {
        let bins = of(&[100, 110, 250, 900, 1000, 1010, 5000, 100_000], 10);
        assert_eq!(bins.len(), 11);
        let counted: Vec<_> = bins.iter().filter(|(_, count, _)| *count > 0).copied().collect();
        let last = bins[10];
        assert_eq!(
            counted[..5],
            [(100, 1, false), (200, 1, false), (300, 1, false), (900, 1, false), (1000, 1, false)]
        );
        assert!(last.1 == 3 && last.2 && last.0.abs_diff(100_000) < 100, "{last:?}");
    }

    #[test]
    fn without_a_tail_the_longest_time_ends_the_last_bin() {
        let bins = of(&[100, 150, 200], 10);
        assert_eq!((bins.len(), bins[9]), (10, (200, 1, false)));
        assert_eq!(of(&[7; 5], 2).iter().map(|(_, count, _)| count).sum::<u64>(), 5);
        assert_eq!(of(&[], 2), []);
        assert_eq!(of(&[100, 9000], 0).len(), 10, "no factor, no tail");
    }

    #[test]
    fn no_time_and_no_factor_is_too_large_or_too_small() {
        for factor in [2, u32::MAX] {
            assert_eq!(of(&[0, 0, 1], factor).iter().filter(|(_, count, _)| *count > 0).count(), 2);
            of(&[1, 3_600_000_000_000], factor);
            of(&[u64::MAX / 4, u64::MAX / 2], factor);
        }
    }
}
