//! Random draws that can be repeated: each is a hash of a seed, the number of the request and what it decides, so
//! that a run gives the same decisions on any number of workers. Whatever is drawn is within its bounds.

use std::{f64::consts::TAU, time::Duration};

use contract::quantity::{self, Fraction, Percent};

use super::asked::{Delay, Shares};

/// The draws of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    seed: u64,
    sequence: u64,
}

/// What a draw decides.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    Status = 1,
    Abort,
    Delay,
    Length,
    SecondLength,
}

impl Chance {
    pub(super) fn new(seed: u64, sequence: u64) -> Self {
        Self { seed, sequence }
    }

    /// A number from 0 to below 1.
    pub(super) fn unit(self, what: For) -> Fraction {
        let mixed = mix(mix(mix(self.seed).wrapping_add(self.sequence)).wrapping_add(what as u64));
        Fraction::of_bits(mixed)
    }

    /// Whether a share in percent was drawn.
    pub(super) fn hits(self, what: For, percent: Percent) -> bool {
        percent.hits(self.unit(what))
    }

    /// The one that was drawn, if it was any.
    pub(super) fn one_of<T: Copy>(self, what: For, shares: &Shares<T>) -> Option<T> {
        let drawn = Percent::pick(shares.iter().map(|(_, share)| *share), self.unit(what))?;
        Some(shares[drawn].0)
    }

    /// A length of time from a distribution: at most [`Delay::LONGEST`].
    pub(super) fn delay(self, delay: Delay) -> Duration {
        let (first, second) = (self.unit(For::Length), self.unit(For::SecondLength));
        let seconds = match delay {
            Delay::Constant(delay) => return delay.min(Delay::LONGEST),
            Delay::Uniform(least, most) => {
                let drawn = least.saturating_add(first.of(most.saturating_sub(least)));
                return drawn.min(Delay::LONGEST);
            }
            // The transform of Box and Muller.
            Delay::Normal(mean, deviation) => {
                let normal = (-2.0 * (1.0 - first.as_f64()).ln()).sqrt() * (TAU * second.as_f64()).cos();
                mean.as_secs_f64() + normal * deviation.as_secs_f64()
            }
            Delay::Pareto(least, shape) => least.as_secs_f64() / (1.0 - first.as_f64()).powf(1.0 / shape),
        };
        quantity::clamped_seconds(seconds, Delay::LONGEST)
    }
}

/// A number from 0 to below 1, the same for the same `sequence`.
pub(crate) fn draw(sequence: u64) -> Fraction {
    Chance::new(0, sequence).unit(For::Length)
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 20_000;

    fn draws(seed: u64) -> impl Iterator<Item = Chance> {
        (0..DRAWS).map(move |sequence| Chance::new(seed, sequence))
    }

    fn mean(delay: Delay) -> f64 {
        draws(3).map(|chance| chance.delay(delay).as_secs_f64()).sum::<f64>() / DRAWS as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_draws_and_another_gives_others() {
        let drawn = |seed| draws(seed).take(50).map(|chance| chance.unit(For::Status)).collect::<Vec<_>>();
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let chance = Chance::new(1, 1);
        assert_ne!(chance.unit(For::Status), chance.unit(For::Abort));
    }

    #[test]
    fn each_outcome_comes_as_often_as_its_share_says() {
        let percent = |text| Percent::read(text).unwrap();
        let shares = vec![('a', percent("10")), ('b', percent("30"))];
        let count = |wanted| draws(7).filter(|chance| chance.one_of(For::Status, &shares) == wanted).count();
        for (wanted, percent) in [(Some('a'), 10), (Some('b'), 30), (None, 60)] {
            let expected = DRAWS as usize * percent / 100;
            assert!(count(wanted).abs_diff(expected) < DRAWS as usize / 100, "{wanted:?}: {}", count(wanted));
        }
        assert_eq!(draws(7).filter(|chance| chance.hits(For::Abort, percent("0"))).count(), 0);
        assert_eq!(draws(7).filter(|chance| chance.hits(For::Abort, Percent::ALL)).count(), DRAWS as usize);
    }

    #[test]
    fn distributions_have_their_means() {
        let ms = Duration::from_millis;
        for (delay, expected) in [
            (Delay::Constant(ms(5)), 0.005),
            (Delay::Uniform(ms(10), ms(30)), 0.020),
            (Delay::Normal(ms(50), ms(10)), 0.050),
            // Its mean is shape / (shape - 1) times the least.
            (Delay::Pareto(ms(10), 3.0), 0.015),
        ] {
            let found = mean(delay);
            assert!((found / expected - 1.0).abs() < 0.03, "{delay:?}: {found}");
        }
    }

    #[test]
    fn no_distribution_draws_more_than_the_longest_delay_for_any_parameters() {
        let times = [0, 1, 1_000_000, 3_600_000_000_000].map(Duration::from_nanos);
        let shapes = [f64::MIN_POSITIVE, 1e-6, 0.01, 1.0, 1000.0, f64::MAX];
        let pairs = times.into_iter().flat_map(|one| times.map(|other| (one, other)));
        let delays = pairs.flat_map(|(one, other)| {
            let paretos = shapes.map(|shape| Delay::Pareto(one, shape));
            [Delay::Constant(one), Delay::Uniform(one, other), Delay::Normal(one, other)]
                .into_iter()
                .chain(paretos)
        });
        for delay in delays {
            for chance in draws(1).take(300).chain([Chance::new(u64::MAX, u64::MAX)]) {
                let drawn = chance.delay(delay);
                assert!(drawn <= Delay::LONGEST, "{delay:?}: {drawn:?}");
                if let Delay::Pareto(least, _) = delay {
                    assert!(drawn >= least, "{delay:?}: {drawn:?}");
                }
            }
        }
    }
}
