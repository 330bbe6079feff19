//! Numbers from text, arithmetic with them, and back: every size, count, time, percentage and rate that a stranger writes.
//!
//! What comes out of here is finite and within bounds, or it is `None`; no function panics, overflows or gives NaN for
//! any input. Nothing here knows where a number was written or how a refusal is worded: callers name the bounds.

mod fraction;
mod percent;

use std::{num::NonZeroU64, ops::RangeInclusive, time::Duration};

pub use self::{
    fraction::Fraction,
    percent::{Percent, total},
};

/// The largest size of a content, in bytes: what lengths on the wire and in libraries can hold.
pub const LARGEST_SIZE: u64 = i64::MAX as u64;

/// The longest time that any flag or option accepts: 8760 hours, a year of 365 days. Clocks can add it to any instant.
pub const LONGEST_TIME: Duration = Duration::from_secs(8760 * 3600);

/// The most milliseconds that paths and queries accept, some 49 days.
pub const MOST_MILLIS: u64 = u32::MAX as u64;

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Reads a number of bytes: digits, and one of K, M, G or T in either case for powers of 1024. None when it
/// is anything else or more than a `u64` holds.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let last = text.chars().next_back()?.to_ascii_uppercase();
    match UNITS.iter().find(|(unit, _)| *unit == last) {
        Some((_, factor)) => count(&text[..text.len() - 1])?.checked_mul(*factor),
        None => count(text),
    }
}

/// The same, within bounds.
#[must_use]
pub fn size_within(text: &str, bounds: &RangeInclusive<u64>) -> Option<u64> {
    size(text).filter(|size| bounds.contains(size))
}

/// Reads a whole number of digits alone: no sign, no space.
#[must_use]
pub fn count(text: &str) -> Option<u64> {
    if is_digits(text) { text.parse().ok() } else { None }
}

/// The same, within bounds.
#[must_use]
pub fn count_within(text: &str, bounds: &RangeInclusive<u64>) -> Option<u64> {
    count(text).filter(|count| bounds.contains(count))
}

/// Reads a whole number; one that no `u64` holds is the largest of those.
#[must_use]
pub fn saturating_count(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().unwrap_or(u64::MAX))
}

/// A number as people read it: with a comma for each thousand.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a number of milliseconds, at most [`MOST_MILLIS`].
#[must_use]
pub fn millis(text: &str) -> Option<Duration> {
    count_within(text, &(0..=MOST_MILLIS)).map(Duration::from_millis)
}

/// Reads a rate in bytes per second: a size from 1.
#[must_use]
pub fn byte_rate(text: &str) -> Option<NonZeroU64> {
    size(text).and_then(NonZeroU64::new)
}

/// Reads a number such as `1000`, `0.5` or `1e3`, within bounds: without a sign, finite.
#[must_use]
pub fn decimal_within(text: &str, bounds: &RangeInclusive<f64>) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = if plain { text.parse().ok()? } else { return None };
    (number.is_finite() && bounds.contains(&number)).then_some(number)
}

/// Reads a duration such as `10s`, `1m30s`, `1.5s`, `250ms`, or a bare `0`, at most `longest`.
#[must_use]
pub fn duration(text: &str, longest: Duration) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let signed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(signed).ok().filter(|duration| *duration <= longest)
}

/// Reads a duration, or a bare number of seconds such as `2` or `0.25`.
#[must_use]
pub fn duration_or_seconds(text: &str, longest: Duration) -> Option<Duration> {
    match decimal_within(text, &(0.0..=f64::MAX)) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= longest),
        None => duration(text, longest),
    }
}

/// Writes a duration for people, as [`duration`] reads it.
#[must_use]
pub fn shown(duration: Duration) -> String {
    // What is longer than signed seconds hold can't have been typed.
    format!("{:#}", jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX))
}

/// Writes a duration as one number with one unit, in ASCII and exactly, as [`duration`] reads it if it is at most
/// [`LONGEST_TIME`].
#[must_use]
pub fn canonical(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1)];
    let (unit, factor) =
        units.into_iter().find(|(_, factor)| nanos.is_multiple_of(*factor)).unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / factor)
}

/// Writes a size with the largest unit that leaves a whole number, as [`size`] reads it.
#[must_use]
pub fn canonical_size(size: u64) -> String {
    match UNITS.iter().find(|(_, factor)| size != 0 && size.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", size / factor),
        None => size.to_string(),
    }
}

/// All bytes of `count` pieces of `size` bytes, if no more than [`LARGEST_SIZE`].
#[must_use]
pub fn product(count: u64, size: u64) -> Option<u64> {
    count.checked_mul(size).filter(|total| *total <= LARGEST_SIZE)
}

/// How long `bytes` take at a rate.
#[must_use]
pub fn time_for(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanos = u128::from(bytes % rate) * NANOS_PER_SECOND / u128::from(rate.get());
    // Below a second, as the rest is below the rate.
    Duration::from_secs(bytes / rate).saturating_add(from_nanos(nanos))
}

/// The part `numerator / denominator` of a time, which is all of it when that is more than 1 or divides by 0.
#[must_use]
pub fn part_of(duration: Duration, numerator: u64, denominator: u64) -> Duration {
    if numerator >= denominator {
        return duration;
    }
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    // Divided in two steps, so that the product fits.
    let scaled = u128::from(seconds) * u128::from(numerator);
    let denominator = u128::from(denominator);
    let rest = scaled % denominator * NANOS_PER_SECOND + u128::from(nanos) * u128::from(numerator);
    let whole = u64::try_from(scaled / denominator).unwrap_or(u64::MAX);
    Duration::from_secs(whole).saturating_add(from_nanos(rest / denominator))
}

/// A number of seconds as a time from nothing to `longest`: NaN and what is negative are nothing.
#[must_use]
pub fn clamped_seconds(seconds: f64, longest: Duration) -> Duration {
    if seconds.is_nan() {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(longest, |duration| duration.min(longest))
}

/// The whole number next to a float: NaN and what is negative are 0, what is too large is the largest.
#[must_use]
pub fn rounded(number: f64) -> u64 {
    // That is what `as` means for floats.
    number.round() as u64
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

fn from_nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u64::MAX);
    // Below a second.
    Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32)
}

#[cfg(test)]
mod tests;
