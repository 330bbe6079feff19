//! A part of something, from nothing to less than all of it.

use std::time::Duration;

use super::from_nanos;

/// How many bits a fraction has: those that an `f64` holds exactly.
const BITS: u32 = 53;

/// A number from 0 to below 1, in steps of 2^-53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u64);

impl Fraction {
    /// The fraction that the upper bits of a number make, which are as random as the number is.
    #[must_use]
    pub const fn of_bits(bits: u64) -> Self {
        Self(bits >> (u64::BITS - BITS))
    }

    /// As a float: at least 0, below 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / (1_u64 << BITS) as f64
    }

    /// This part of a whole number: below it, or 0.
    #[must_use]
    pub fn of_count(self, whole: u64) -> u64 {
        // A u64 times 53 bits fits, and what is left of it is below the whole.
        ((u128::from(whole) * u128::from(self.0)) >> BITS) as u64
    }

    /// This part of a time.
    #[must_use]
    pub fn of(self, whole: Duration) -> Duration {
        let nanos = whole.as_nanos();
        // The upper bits by themselves, so that no product overflows.
        let (upper, lower) = (nanos >> 64, nanos & u128::from(u64::MAX));
        let scaled = ((lower * u128::from(self.0)) >> BITS) + ((upper * u128::from(self.0)) << (64 - BITS));
        from_nanos(scaled)
    }
}
