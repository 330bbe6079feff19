//! Numbers as people read them.

pub(crate) use contract::quantity::grouped as count;

use crate::clock::Nanos;

/// A rate: whole from a hundred on, or with two decimals if it isn't; with two digits, such as `0.0012`, if it is small.
pub(crate) fn decimal(value: f64) -> String {
    if value > 0.0 && value < 0.1 {
        // Nothing that is measured is smaller than the last of them.
        let decimals = (1.0 - value.log10().floor()).min(18.0) as usize;
        let text = format!("{value:.decimals$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let value = if value >= 100.0 { value.round() } else { value };
    let hundredths = contract::quantity::rounded(value * 100.0);
    match hundredths % 100 {
        0 => count(hundredths / 100),
        rest => format!("{}.{rest:02}", count(hundredths / 100)),
    }
}

/// The share that succeeded, from 0 to 1, as a percentage: with one decimal, or three where few failed, and never rounded up
/// to all of them.
pub(crate) fn success_percent(ratio: f64) -> String {
    let steps = if ratio < 0.999 { 10.0 } else { 1000.0 };
    // A ratio that can't be written in binary is not rounded down to the step below.
    format!("{}%", (ratio * 100.0 * steps + 1e-6).floor() / steps)
}

/// A number of things, of which one is called otherwise than several.
pub(crate) fn several(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A number of things, which get an s where they are several.
pub(crate) fn plural(number: u64, one: &str) -> String {
    several(number, one, &format!("{one}s"))
}

/// Nanoseconds with a unit and three digits.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        // Rounded, it is less than a thousand.
        ..999.5e3 => (ns / 1e3, "us"),
        ..999.5e6 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// The same, of a whole number.
pub(crate) fn seconds(ns: Nanos) -> String {
    time(ns as f64)
}

/// Bytes with a unit of powers of ten.
pub(crate) fn bytes(value: f64) -> String {
    let (value, unit) = match value {
        ..1e3 => (value, "B"),
        ..1e6 => (value / 1e3, "kB"),
        ..1e9 => (value / 1e6, "MB"),
        _ => (value / 1e9, "GB"),
    };
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([1000.0, 0.5, 12.345, 4999.6].map(decimal), ["1,000", "0.50", "12.35", "5,000"]);
        assert_eq!(
            [0.05, 0.001, 0.00123, 2.5e-7, 0.0].map(decimal),
            ["0.05", "0.001", "0.0012", "0.00000025", "0"]
        );
        assert_eq!(
            [0.0, 850.0, 12_345.0, 1_500_000.0, 123e6, 12.3e9].map(time),
            ["0.00 us", "0.85 us", "12.3 us", "1.50 ms", "123 ms", "12.3 s"]
        );
        assert_eq!(
            [999.4e3, 999.6e3, 9.996e6, 99.96e6, 999.4e6, 999.6e6].map(time),
            ["999 us", "1.00 ms", "10.0 ms", "100 ms", "999 ms", "1.00 s"]
        );
        assert_eq!(
            [0.0, 2.0 / 3.0, 0.9989, 0.999, 0.9999996, 1.0].map(success_percent),
            ["0%", "66.6%", "99.8%", "99.9%", "99.999%", "100%"]
        );
        assert_eq!(
            [0, 1, 2000].map(|number| several(number, "reply", "replies")),
            ["0 replies", "1 reply", "2,000 replies"]
        );
        assert_eq!([1, 2].map(|number| plural(number, "round")), ["1 round", "2 rounds"]);
        assert_eq!([10.0, 2500.0, 3e9].map(bytes), ["10.0 B", "2.5 kB", "3.0 GB"]);
    }
}
