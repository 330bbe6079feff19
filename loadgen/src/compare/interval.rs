//! The median of some values and where the true one lies, by order statistics: whatever the distribution is.

/// Where a median lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MedianInterval {
    /// From here.
    pub low: f64,
    /// To here.
    pub high: f64,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
}

impl MedianInterval {
    /// Whether a value lies within.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The median; none of no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(sorted[middle - 1], upper)) }
}

/// Where the median of what the values are drawn from lies, by as narrow an interval as misses it with a probability of at most
/// `miss`; none if there are too few values for that.
#[must_use]
pub fn of_median(values: &[f64], miss: f64) -> Option<MedianInterval> {
    let (outside, missed) = outside(values.len(), miss)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[outside], sorted[sorted.len() - 1 - outside]);
    Some(MedianInterval { low, high, confidence: 1.0 - missed })
}

/// How many of `n` sorted values lie below the interval, and as many above, and with which probability it misses the median.
pub(super) fn outside(n: usize, miss: f64) -> Option<(usize, f64)> {
    // A value lies below the median as often as above it: the number of those below is binomial.
    let mut ways = 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let (mut missed, mut found) = (0.0, None);
    for below in 0..n.div_ceil(2) {
        missed += 2.0 * ways;
        if missed > miss {
            break;
        }
        found = Some((below, missed));
        ways *= (n - below) as f64 / (below + 1) as f64;
    }
    found
}
