//! What a comparison is held against: `nginx.p(99)<2ms`, and whether that is known well enough to be.
//!
//! ```text
//! bound      = [ contender "." ] figure comparison time
//! figure     = "p(50)" | "p(99)" | "mean" | "cpu"
//! comparison = "<" | "<=" | ">" | ">="
//! time       = a duration as 2ms or 1.5s, which may be negative; a bare number is seconds
//! ```
//! Each but `cpu` is what a contender takes more than the first one; `cpu` is CPU time for each request. Without a contender it is
//! of each but the first. Spaces around its parts are ignored.

use std::{fmt, str::FromStr};

use contract::quantity::{self, LONGEST_TIME};

use super::{MedianInterval, TaxFigure};
use crate::comparison::Comparator;

/// What is accepted, for messages.
pub const ACCEPTED: &str = "the name of a contender and a dot, or neither; p(50), p(99), mean or cpu; <, <=, > or >=; and a time, like \
                            'nginx.p(99)<2ms'";

/// A bound on what contenders take more than the first one, or on CPU time for each request.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    text: String,
    contender: Option<String>,
    figure: Bounded,
    comparison: Comparator,
    /// In nanoseconds.
    value: f64,
}

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// What it takes more than the first one.
    More(TaxFigure),
    /// CPU time for each request.
    Cpu,
}

impl FromStr for Bound {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.trim()).ok_or(ACCEPTED)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Option<Bound> {
    let (subject, comparison, value) = Comparator::split(text)?;
    let (contender, figure) = [
        ("p(50)", Bounded::More(TaxFigure::P50)),
        ("p(99)", Bounded::More(TaxFigure::P99)),
        ("mean", Bounded::More(TaxFigure::Mean)),
        ("cpu", Bounded::Cpu),
    ]
    .into_iter()
    .find_map(|(name, figure)| Some((subject.strip_suffix(name)?, figure)))?;
    let contender = match contender {
        "" => None,
        name => Some(name.strip_suffix('.').filter(|name| is_name(name))?.to_owned()),
    };
    let (sign, size) = value.strip_prefix('-').map_or((1.0, value), |size| (-1.0, size));
    let value = sign * quantity::duration_or_seconds(size, LONGEST_TIME)?.as_nanos() as f64;
    let mut text = text.to_owned();
    if size.ends_with(|c: char| c.is_ascii_digit()) {
        // Others take a number for milliseconds.
        text.push('s');
    }
    Some(Bound { text, contender, figure, comparison, value })
}

/// Whether a contender can be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    /// The longest name, in bytes.
    const MAX_NAME: usize = 32;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_letter)
}

impl Bound {
    /// Whose figure it is of; none: of each but the first one.
    #[must_use]
    pub fn contender(&self) -> Option<&str> {
        self.contender.as_deref()
    }

    /// What it bounds.
    #[must_use]
    pub fn figure(&self) -> Bounded {
        self.figure
    }

    /// Whether it holds, by where the figure lies with and without loadgen's own delay, which makes figures larger: an upper bound if
    /// it does in all of the first interval, a lower one in all of both; and none if it does in none of either. None: that is not
    /// known well enough.
    #[must_use]
    pub fn holds(&self, found: Option<MedianInterval>, undelayed: Option<MedianInterval>) -> Option<bool> {
        let (found, undelayed) = (found?, undelayed?);
        let holds = |value| self.comparison.holds(value, self.value);
        match [found.low, found.high, undelayed.low, undelayed.high].map(holds) {
            [true, true, true, true] => Some(true),
            [true, true, ..] if self.comparison.is_upper() => Some(true),
            [false, false, false, false] => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_people_write_them() {
        use Bounded::{Cpu, More};
        for (text, contender, figure, comparison, value) in [
            ("nginx.p(99)<2ms", Some("nginx"), More(TaxFigure::P99), Comparator::Below, 2e6),
            (" a.b-c_1.p(50) <= 150us ", Some("a.b-c_1"), More(TaxFigure::P50), Comparator::AtMost, 1.5e5),
            ("mean>-1ms", None, More(TaxFigure::Mean), Comparator::Above, -1e6),
            ("cpu<50us", None, Cpu, Comparator::Below, 5e4),
            ("cpu.cpu>=0s", Some("cpu"), Cpu, Comparator::AtLeast, 0.0),
        ] {
            let bound: Bound = text.parse().unwrap();
            assert_eq!((bound.contender(), bound.figure, bound.comparison), (contender, figure, comparison));
            assert!((bound.value - value).abs() < 1e-6, "{text}: {}", bound.value);
            assert_eq!(bound.to_string(), text.trim());
        }
        assert_eq!("p(99)<1".parse::<Bound>().unwrap().to_string(), "p(99)<1s");
        assert!(format!("{}.cpu<8760h", "x".repeat(32)).parse::<Bound>().is_ok());
    }

    #[test]
    fn anything_else_is_answered_with_what_is_accepted() {
        for text in [
            "",
            "<",
            "p(99)",
            "p(99)<",
            "p(99)<fast",
            "p(99.9)<1s",
            "p(50)=1s",
            ".p(99)<1s",
            "a b.p(99)<1s",
            "nginxp(99)<1s",
            "a..<1s",
            "cpu<8761h",
            "cpu<--1s",
            "rate>5",
            "p(99)<1s<2s",
        ] {
            assert_eq!(text.parse::<Bound>(), Err(ACCEPTED), "{text}");
        }
        assert!(format!("{}.cpu<1s", "x".repeat(33)).parse::<Bound>().is_err());
    }

    #[test]
    fn a_bound_holds_in_all_of_the_interval_and_is_crossed_in_none_of_it_without_own_delay_either() {
        let bound: Bound = "p(99)<2ms".parse().unwrap();
        let from =
            |low: f64, high: f64| Some(MedianInterval { low: low * 1e6, high: high * 1e6, confidence: 0.98 });
        for (found, undelayed, holds) in [
            (from(0.5, 1.9), from(0.4, 1.8), Some(true)),
            (from(0.5, 2.0), from(0.4, 1.8), None),
            (from(2.0, 3.0), from(2.0, 2.9), Some(false)),
            (from(2.0, 3.0), from(1.9, 2.9), None),
            (None, from(1.0, 1.0), None),
            (from(1.0, 1.0), None, None),
        ] {
            assert_eq!(bound.holds(found, undelayed), holds, "{found:?} {undelayed:?}");
        }
        // What is no less than that only with loadgen's own delay is not known to be.
        let bound: Bound = "p(99)>2ms".parse().unwrap();
        for (found, undelayed, holds) in [
            (from(2.1, 3.0), from(2.1, 2.9), Some(true)),
            (from(2.1, 3.0), from(1.9, 2.9), None),
            (from(1.0, 2.0), from(0.9, 1.9), Some(false)),
            (from(1.0, 2.1), from(0.9, 1.9), None),
        ] {
            assert_eq!(bound.holds(found, undelayed), holds, "{found:?} {undelayed:?}");
        }
    }
}
