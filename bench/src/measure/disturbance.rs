//! What made a round worse than the machine allows: which rounds are measured again, and which are kept.

/// What a round suffers from at most before it is measured again.
#[derive(Clone, Copy, Debug)]
pub struct DisturbanceLimits {
    /// The share (0 to 1) of a measurement's CPU time that the hypervisor may take.
    pub stolen: f64,
    /// Nanoseconds of a cache line's round trip between the two CPUs.
    pub round_trip: f64,
}

impl DisturbanceLimits {
    /// Every round is as good as another.
    pub const NONE: Self = Self { stolen: f64::INFINITY, round_trip: f64::INFINITY };
}

/// The worst of a round's measurements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disturbance {
    stolen: f64,
    round_trip: f64,
}

impl Disturbance {
    /// Adds a measurement: the share that was stolen from it, and the round trips before and after it.
    pub(super) fn add(&mut self, stolen: f64, round_trips: &[f64]) {
        self.stolen = self.stolen.max(stolen);
        self.round_trip = round_trips.iter().copied().fold(self.round_trip, f64::max);
    }

    pub(super) fn is_within(self, limits: DisturbanceLimits) -> bool {
        self.stolen <= limits.stolen && self.round_trip <= limits.round_trip
    }

    /// How many times what is allowed it was, by the worse of the two; 0 within the limits.
    fn excess(self, limits: DisturbanceLimits) -> f64 {
        if self.is_within(limits) {
            return 0.0;
        }
        let of = |value: f64, limit: f64| value / limit.max(f64::EPSILON);
        of(self.stolen, limits.stolen).max(of(self.round_trip, limits.round_trip))
    }
}

/// The `count` rounds that were disturbed least, counted from 1; the earlier ones where it was the same.
pub(super) fn least(rounds: &[Disturbance], limits: DisturbanceLimits, count: usize) -> Vec<u32> {
    let mut rounds: Vec<_> = (1..).zip(rounds.iter().map(|round| round.excess(limits))).collect();
    rounds.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    rounds.into_iter().take(count).map(|(round, _)| round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DisturbanceLimits = DisturbanceLimits { stolen: 0.05, round_trip: 100.0 };

    fn kept(rounds: &[(f64, f64)], count: usize) -> Vec<u32> {
        let rounds: Vec<_> =
            rounds.iter().map(|&(stolen, round_trip)| Disturbance { stolen, round_trip }).collect();
        least(&rounds, LIMITS, count)
    }

    #[test]
    fn the_rounds_that_were_disturbed_least_are_kept() {
        // Twice and six times what may be stolen, then three times the round trip.
        let rounds = [(0.0, 50.0), (0.3, 50.0), (0.1, 50.0), (0.04, 99.0), (0.0, 300.0)];
        assert_eq!(kept(&rounds, 3), [1, 4, 3]);
        assert_eq!(kept(&rounds, 4), [1, 4, 3, 5]);
        assert_eq!(kept(&[(0.2, 50.0), (0.2, 50.0)], 1), [1]);
        assert_eq!(kept(&[(0.2, 50.0)], 5), [1]);
    }

    #[test]
    fn a_round_is_as_good_as_its_worst_measurement() {
        let mut round = Disturbance::default();
        assert!(round.is_within(LIMITS));
        round.add(0.01, &[50.0, 60.0]);
        // One CPU has no round trip.
        round.add(0.02, &[]);
        assert!(round.is_within(LIMITS));
        let mut far = round;
        far.add(0.0, &[300.0, 50.0]);
        assert!(!far.is_within(LIMITS));
        assert!(far.is_within(DisturbanceLimits::NONE));
        round.add(0.06, &[50.0, 50.0]);
        assert!(!round.is_within(LIMITS));
    }

    #[test]
    fn the_least_disturbed_rounds_are_kept_even_over_the_limit() {
        let limits = DisturbanceLimits { stolen: 0.0, ..LIMITS };
        let rounds = [0.3, 0.1, 0.2].map(|stolen| Disturbance { stolen, round_trip: 50.0 });
        assert_eq!(least(&rounds, limits, 2), [2, 3]);
    }
}
