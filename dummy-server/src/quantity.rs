//! Sizes and durations as people write them.

use std::time::Duration;

/// Reads a number of bytes: digits, and one of K, M, G or T in either case for powers of 1024. None when it
/// is anything else or more than a `u64` holds.
#[must_use]
pub(crate) fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        b'T' => (&text[..text.len() - 1], 1 << 40),
        _ => (text, 1),
    };
    count(digits)?.checked_mul(unit)
}

/// Reads a whole number of digits alone: no sign, no space.
#[must_use]
pub(crate) fn count(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Reads a duration such as `10s`, `1m30s`, `1.5s`, `250ms`, or a bare `0`.
#[must_use]
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let signed: jiff::SignedDuration = text.parse().ok()?;
    signed.try_into().ok()
}

/// Writes a duration as [`duration`] reads it.
#[must_use]
pub(crate) fn shown(duration: Duration) -> String {
    // What is longer than signed seconds hold can't have been typed.
    format!("{:#}", jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024_in_either_case() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("1K", 1024),
            ("2m", 2 << 20),
            ("3G", 3 << 30),
            ("4t", 4 << 40),
            ("10000G", 10_000 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "K", "-1", "+1", "1.5K", "1KB", " 1", "0x10", "9999999999999T", "18446744073709551616"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_typed() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("10s", 10_000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for millis in [0, 1, 1500, 10_000, 90_000, 86_400_000] {
            let written = Duration::from_millis(millis);
            assert_eq!(duration(&shown(written)), Some(written), "{}", shown(written));
        }
        for text in ["", "10", "-1s", "s", "1 fortnight"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
