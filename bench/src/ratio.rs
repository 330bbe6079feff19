//! Medians and their spread. A round's ratio compares two measurements that lie seconds apart, so that what
//! drifts on the machine weighs on both.

/// The median of some rounds with the extremes beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest value.
    pub min: f64,
    /// The middle value, or the mean of the two in the middle.
    pub median: f64,
    /// The largest value.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; none if there are none or one is not a finite number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { min, median: f64::midpoint(low, high), max })
    }

    /// The spread of `ours / theirs`, round by round.
    #[must_use]
    pub fn of_ratio(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        Self::of(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_rounds_has_its_middle_as_median() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!(spread, Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
    }

    #[test]
    fn an_even_number_of_rounds_has_the_mean_of_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 100.0]);
        assert_eq!(spread, Some(Spread { min: 1.0, median: 3.0, max: 100.0 }));
    }

    #[test]
    fn no_rounds_and_impossible_values_have_no_spread() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
        assert_eq!(Spread::of_ratio(&[1.0], &[0.0]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_not_of_medians() {
        // Medians alone would give 2 / 10.
        let spread = Spread::of_ratio(&[1.0, 2.0, 30.0], &[10.0, 4.0, 10.0]);
        assert_eq!(spread, Some(Spread { min: 0.1, median: 0.5, max: 3.0 }));
    }
}
