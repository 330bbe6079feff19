//! A rate that changes over time, piece by piece, and its integral: how many requests are due by a time, and when a number
//! of them is reached.
//!
//! All of it is exact, in whole numbers: a rate is a whole number of millionths of a request per second, and what is
//! integrated is counted in halves of a billionth of that. An estimate in floats is corrected until it is the instant.

use std::{sync::Arc, time::Duration};

use contract::quantity::rounded;

use super::{LATEST, Stage};
use crate::clock::{Nanos, nanos};

/// How much of the integral a request is: a request per second for a second, in [`Profile`]'s measure.
pub(super) const REQUEST: u128 = 2_000_000_000_000_000;

const MICROS: f64 = 1e6;

/// Pieces of a rate, one after the other. A clone shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pieces: Arc<[Piece]>,
}

/// A rate that is constant or changes evenly, in millionths of a request per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: Nanos,
    length: Nanos,
    from: u64,
    to: u64,
    /// The integral until its start.
    before: u128,
}

impl Profile {
    /// These stages, one after the other.
    ///
    /// # Panics
    /// When a rate is not from 0 to 10^8.
    pub(super) fn new(stages: &[Stage]) -> Self {
        let (mut start, mut before) = (0, 0);
        let piece = |stage: &Stage| {
            let bounds = 0.0..=1e8;
            assert!(bounds.contains(&stage.from) && bounds.contains(&stage.to), "a rate is from 0 to 10^8");
            let length = nanos(stage.length).min(LATEST - start);
            let (from, to) = (rounded(stage.from * MICROS), rounded(stage.to * MICROS));
            let piece = Piece { start, length, from, to, before };
            (start, before) = (start + length, piece.end());
            piece
        };
        Self { pieces: stages.iter().map(piece).collect() }
    }

    /// How long all of it is.
    pub(super) fn length(&self) -> Nanos {
        self.pieces.last().map_or(0, |last| last.start + last.length)
    }

    /// When the integral goes beyond `mass`, rounded down to a nanosecond; none if it never does. `piece` is where the one
    /// before was found, if that was not more.
    #[inline]
    pub(super) fn instant(&self, piece: &mut usize, mass: u128) -> Option<Nanos> {
        let found = loop {
            let found = self.pieces.get(*piece)?;
            if mass < found.end() {
                break found;
            }
            *piece += 1;
        };
        Some(found.start + found.instant(mass - found.before))
    }

    /// How many requests are due before a time, if one is due each time that the integral goes beyond a whole number, and the
    /// first when it goes beyond 0.
    pub(super) fn count_before(&self, at: Nanos) -> u64 {
        let after = self.pieces.partition_point(|piece| piece.start < at);
        let Some(piece) = after.checked_sub(1).map(|index| self.pieces[index]) else { return 0 };
        let mass = piece.before + piece.mass((at - piece.start).min(piece.length));
        u64::try_from(mass.div_ceil(REQUEST)).unwrap_or(u64::MAX)
    }
}

impl Piece {
    /// The integral at its end.
    fn end(&self) -> u128 {
        self.before + (u128::from(self.from) + u128::from(self.to)) * u128::from(self.length)
    }

    /// The integral from its start, rounded up.
    fn mass(&self, time: Nanos) -> u128 {
        let even = 2 * u128::from(self.from) * u128::from(time);
        let slope = u128::from(self.from.abs_diff(self.to));
        if slope == 0 || self.length == 0 {
            return even;
        }
        // slope * time^2 / length, whose product alone could be too large.
        let (time, length) = (u128::from(time), u128::from(self.length));
        let (whole, rest) = (slope * time / length, slope * time % length);
        let (more, rest) = (rest * time / length, rest * time % length);
        let change = whole * time + more;
        if self.to > self.from { even + change + u128::from(rest > 0) } else { even - change }
    }

    /// The last nanosecond at which the integral from its start is `mass` at most; that is less than at its end.
    fn instant(&self, mass: u128) -> Nanos {
        if self.from == self.to {
            return (mass / (2 * u128::from(self.from))) as Nanos;
        }
        let mut time = self.estimate(mass).min(self.length);
        while time > 0 && self.mass(time) > mass {
            time -= 1;
        }
        while time < self.length && self.mass(time + 1) <= mass {
            time += 1;
        }
        time
    }

    /// About when the integral is `mass`: from the end at which the rate is lower, so that no digits cancel out.
    fn estimate(&self, mass: u128) -> Nanos {
        let (low, high) = (self.from.min(self.to) as f64, self.from.max(self.to) as f64);
        let from_low = |mass: u128| {
            let (mass, growth) = (mass as f64, (high - low) / self.length as f64);
            rounded(2.0 * mass / (2.0 * low + (4.0 * low * low + 4.0 * growth * mass).sqrt()))
        };
        if self.from < self.to {
            return from_low(mass);
        }
        let all = self.end() - self.before;
        self.length.saturating_sub(from_low(all - mass))
    }
}

/// A stage that lasts for ever.
pub(super) fn endless(rate: f64) -> Stage {
    Stage { length: Duration::from_nanos(LATEST), from: rate, to: rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_the_last_nanosecond_that_does_not_go_beyond_at_any_scale() {
        let year = Duration::from_secs(365 * 24 * 3600);
        for (length, from, to) in [
            (Duration::from_nanos(1), 0.0, 1e8),
            (Duration::from_secs(10), 0.0, 1000.0),
            (Duration::from_secs(10), 1000.0, 0.0),
            (Duration::from_secs(3600), 999.999_999, 1000.0),
            (year, 0.0, 1e8),
            (year, 1e8, 0.0),
            (year, 1e8 - 1.0, 1e8),
            (2 * year, 1e8, 1e8),
            (year, 0.001, 0.002),
            (year, 0.0, 0.000_001),
        ] {
            let profile = Profile::new(&[Stage { length, from, to }]);
            let piece = profile.pieces[0];
            let all = piece.end();
            let masses = (0..=1000).map(|share| all / 1000 * share).chain([1, all - 1, all / 7 * 3 + 1]);
            for mass in masses.filter(|mass| *mass < all) {
                let at = profile.instant(&mut 0, mass).unwrap();
                assert!(at < piece.length && piece.mass(at) <= mass, "{mass} of {piece:?}");
                assert!(piece.mass(at + 1) > mass, "{mass} of {piece:?}");
            }
            assert_eq!(profile.instant(&mut 0, all), None);
            assert_eq!(piece.mass(piece.length), all);
        }
    }
}
