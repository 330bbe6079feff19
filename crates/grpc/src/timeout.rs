//! The value of `grpc-timeout`: at most eight digits and a unit. When it begins is up to the caller.

use std::time::Duration;

/// The field.
pub const TIMEOUT: &str = "grpc-timeout";

const MOST_DIGITS: usize = 8;
const LARGEST: u128 = 99_999_999;

/// Reads a value; `None` if it is not a valid timeout.
#[must_use]
pub fn read(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The value for a timeout in the finest unit that it fits into, rounded up; at most 99999999 hours.
#[must_use]
pub fn value(timeout: Duration) -> String {
    const UNITS: [(char, u128); 6] = [
        ('n', 1),
        ('u', 1_000),
        ('m', 1_000_000),
        ('S', 1_000_000_000),
        ('M', 60_000_000_000),
        ('H', 3_600_000_000_000),
    ];
    let nanos = timeout.as_nanos();
    let fitting = UNITS.into_iter().map(|(unit, size)| (unit, nanos.div_ceil(size)));
    let (unit, number) = fitting.into_iter().find(|(_, number)| *number <= LARGEST).unwrap_or(('H', LARGEST));
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_units() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100000000n", None),
            ("1s", None),
            ("S", None),
            ("-1S", None),
            ("", None),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_timeout_is_written_in_the_finest_unit_that_it_fits_into() {
        for (timeout, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_001), "100001u"),
            (Duration::from_secs(50), "50000000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(u64::from(u32::MAX)), "71582789M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(value(timeout), text);
            let again = read(text.as_bytes()).unwrap();
            assert!(again >= timeout || timeout == Duration::MAX);
        }
    }
}
