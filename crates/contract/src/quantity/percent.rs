//! Percentages without floats, so that several of them add up exactly.

use std::fmt;

use super::Fraction;

/// Digits after the point.
const DIGITS: usize = 9;
/// One percent in the smallest steps.
const ONE: u64 = 1_000_000_000;

/// From 0 to 100 percent, with up to nine digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u64);

impl Percent {
    /// All.
    pub const ALL: Self = Self(100 * ONE);

    /// Reads digits with at most one point; none when it is anything else or more than 100.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || part.len() > DIGITS || !digits(whole) || !digits(part) {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Nine digits fit.
        let part: u64 = format!("{part:0<DIGITS$}").parse().ok()?;
        let percent = Self(whole.checked_mul(ONE)?.checked_add(part)?);
        (percent <= Self::ALL).then_some(percent)
    }

    /// Whether a draw is among this part of all draws.
    #[must_use]
    pub fn hits(self, draw: Fraction) -> bool {
        draw.of_count(Self::ALL.0) < self.0
    }

    /// Which of several parts beside each other a draw is in, if it is in any.
    #[must_use]
    pub fn pick(parts: impl IntoIterator<Item = Self>, draw: Fraction) -> Option<usize> {
        let mut left = draw.of_count(Self::ALL.0);
        for (index, part) in parts.into_iter().enumerate() {
            match left.checked_sub(part.0) {
                None => return Some(index),
                Some(rest) => left = rest,
            }
        }
        None
    }
}

/// The sum of several percentages, if that is at most 100.
#[must_use]
pub fn total(parts: impl IntoIterator<Item = Percent>) -> Option<Percent> {
    let sum = parts.into_iter().try_fold(0_u64, |sum, part| sum.checked_add(part.0))?;
    (sum <= Percent::ALL.0).then_some(Percent(sum))
}

impl fmt::Display for Percent {
    /// As [`Percent::read`] reads it, without needless digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / ONE)?;
        match self.0 % ONE {
            0 => Ok(()),
            part => write!(f, ".{}", format!("{part:0DIGITS$}").trim_end_matches('0')),
        }
    }
}
