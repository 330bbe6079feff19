//! Numbers from text: what is read is within bounds, and what is written is read as the same. Before the text are two
//! numbers of eight bytes, with which there is arithmetic.

use std::{num::NonZeroU64, time::Duration};

use contract::quantity::{self, Fraction, LARGEST_SIZE, LONGEST_TIME, Percent};

use super::{MOST_MILLIS, number, text};
use crate::feedback::met;

/// Words that numbers are made of.
pub const WORDS: &[&[u8]] = &[
    b"0",
    b"1",
    b"9",
    b"99999999999999999999",
    b"18446744073709551615",
    b"9223372036854775807",
    b"4294967295",
    b"100.0001",
    b"33.3",
    b"K",
    b"m",
    b"G",
    b"T",
    b"h",
    b"ms",
    b"us",
    b"ns",
    b"s",
    b".",
    b"-",
    b"+",
    b"e",
    b"e308",
    b"NaN",
    b"inf",
    b"8760h",
    b"1h30m",
    b"PT1H",
    b" ",
    b"\xe2\x84\xaa",
    &[0; 8],
    &[0xff; 8],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// Reads an input by every reader, and does arithmetic with what comes of it.
pub fn run(input: &[u8]) {
    let (a, rest) = number(input);
    let (b, rest) = number(rest);
    let text = text(rest);
    let size = quantity::size(&text);
    if let Some(size) = size {
        assert_eq!(quantity::size(&quantity::canonical_size(size)), Some(size));
        assert!(quantity::saturating_count(&text).is_none_or(|count| count == size));
    }
    let duration = quantity::duration(&text, LONGEST_TIME);
    let either = quantity::duration_or_seconds(&text, LONGEST_TIME);
    for duration in [duration, either].into_iter().flatten() {
        assert!(duration <= LONGEST_TIME);
        for written in [quantity::canonical(duration), quantity::shown(duration)] {
            assert_eq!(quantity::duration(&written, LONGEST_TIME), Some(duration), "{written}");
        }
    }
    let decimal = quantity::decimal_within(&text, &(0.01..=1000.0));
    assert!(decimal.is_none_or(|decimal| (0.01..=1000.0).contains(&decimal)));
    let millis = quantity::millis(&text);
    assert!(millis.is_none_or(|time| time.as_millis() <= MOST_MILLIS));
    let percent = Percent::read(&text);
    if let Some(percent) = percent {
        assert!(percent <= Percent::ALL && Percent::read(&percent.to_string()) == Some(percent));
        assert!(
            !percent.hits(Fraction::of_bits(a)) || Percent::pick([percent], Fraction::of_bits(a)) == Some(0)
        );
    }
    met((
        size.map(u64::checked_ilog2),
        duration.is_some(),
        either.is_some(),
        decimal.is_some(),
        percent.is_some(),
    ));
    arithmetic(a, b, either.unwrap_or_default());
}

fn arithmetic(a: u64, b: u64, time: Duration) {
    let product = quantity::product(a, b);
    assert!(product.is_none_or(|product| product <= LARGEST_SIZE));
    let fraction = Fraction::of_bits(a);
    for time in [time, Duration::from_nanos(b), Duration::new(b, 999_999_999)] {
        assert!(fraction.of(time) <= time && quantity::part_of(time, a, b) <= time);
    }
    assert!(fraction.of_count(b) <= b);
    if let Some(rate) = NonZeroU64::new(b) {
        assert!(quantity::time_for(a, rate) <= Duration::from_secs(a));
    }
    let float = f64::from_bits(a);
    assert!(quantity::clamped_seconds(float, time) <= time);
    assert!(float.is_nan() || quantity::rounded(float) == 0 || float > 0.0);
    met(("arithmetic", product.is_some(), float.is_nan(), a.leading_zeros() / 8, b.leading_zeros() / 8));
}
