//! What is read, what is refused, and that nothing panics or leaves its bounds at any extreme.

use super::*;

/// Numbers at which arithmetic goes wrong.
const EXTREMES: [u64; 12] = [
    0,
    1,
    2,
    999_999_999,
    1_000_000_000,
    u32::MAX as u64,
    1 << 32,
    (1 << 53) - 1,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

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
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(size(text), Some(bytes), "{text}");
        assert_eq!(size(&canonical_size(bytes)), Some(bytes), "{text}");
    }
}

#[test]
fn invalid_sizes_are_refused() {
    for text in [
        "",
        "K",
        "-1",
        "+1",
        "1.5K",
        "1KB",
        " 1",
        "0x10",
        "9999999999999T",
        "16777216T",
        "18446744073709551616",
        "\u{212a}",
        "1\u{212a}",
        "\u{660}",
    ] {
        assert_eq!(size(text), None, "{text}");
    }
    assert_eq!((size_within("2K", &(0..=2048)), size_within("2049", &(0..=2048))), (Some(2048), None));
    assert_eq!((saturating_count("99999999999999999999"), saturating_count("+1")), (Some(u64::MAX), None));
}

#[test]
fn durations_are_read_as_typed_up_to_the_longest() {
    for (text, millis) in
        [("0", 0), ("0s", 0), ("10s", 10_000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250)]
    {
        assert_eq!(duration(text, LONGEST_TIME), Some(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(duration("8760h", LONGEST_TIME), Some(LONGEST_TIME));
    for text in
        ["", "10", "-1s", "s", "1 fortnight", "8760h1ns", "9223372036854775807s", "99999999999999999999h"]
    {
        assert_eq!(duration(text, LONGEST_TIME), None, "{text}");
    }
}

#[test]
fn bare_seconds_are_read_where_they_are_accepted() {
    for (text, millis) in
        [("2", 2000), ("0.25", 250), ("1e1", 10_000), ("500ms", 500), ("31536000", 31_536_000_000)]
    {
        assert_eq!(duration_or_seconds(text, LONGEST_TIME), Some(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "-1", "NaN", "inf", "1e400", "31536001", "1e19", "ten"] {
        assert_eq!(duration_or_seconds(text, LONGEST_TIME), None, "{text}");
    }
}

#[test]
fn written_durations_are_read_again_as_the_same() {
    for nanos in EXTREMES {
        let duration = Duration::from_nanos(nanos).min(LONGEST_TIME);
        for written in [canonical(duration), shown(duration)] {
            assert_eq!(super::duration(&written, LONGEST_TIME), Some(duration), "{written}");
        }
        assert!(canonical(duration).is_ascii());
    }
}

#[test]
fn decimals_are_finite_and_within_bounds() {
    let bounds = 0.01..=1000.0;
    for (text, number) in [("0.01", 0.01), ("1000", 1000.0), ("1e3", 1000.0), (".5", 0.5), ("1.5", 1.5)] {
        assert_eq!(decimal_within(text, &bounds), Some(number), "{text}");
    }
    for text in ["0.009", "1000.1", "0", "-1", "+1", "NaN", "inf", "infinity", "1e400", "", ".", "1 ", "0x1"]
    {
        assert_eq!(decimal_within(text, &bounds), None, "{text}");
    }
}

#[test]
fn percentages_are_exact() {
    for (text, shown) in [
        ("0", "0"),
        ("100", "100"),
        ("33.3", "33.3"),
        ("12.50", "12.5"),
        ("0.000000001", "0.000000001"),
        ("5.", "5"),
        (".5", "0.5"),
        ("00100.0", "100"),
    ] {
        assert_eq!(Percent::read(text).map(|percent| percent.to_string()).as_deref(), Some(shown), "{text}");
    }
    for text in [
        "",
        ".",
        "-1",
        "+1",
        "1e1",
        "NaN",
        "101",
        "100.000000001",
        "0.0000000001",
        "1.1.1",
        "99999999999999999999",
    ] {
        assert_eq!(Percent::read(text), None, "{text}");
    }
    let parts = |texts: &[&str]| total(texts.iter().map(|text| Percent::read(text).unwrap()));
    assert_eq!(parts(&["33.3", "66.7"]), Some(Percent::ALL));
    assert_eq!(parts(&["33.3", "66.7", "0.0001"]), None);
    assert_eq!(total(std::iter::repeat_n(Percent::ALL, 1000)), None);
}

#[test]
fn draws_hit_and_pick_in_proportion_to_percentages() {
    let percent = |text| Percent::read(text).unwrap();
    let draw = |bits| Fraction::of_bits(bits);
    for bits in EXTREMES {
        assert!(Percent::ALL.hits(draw(bits)) && !percent("0").hits(draw(bits)));
        assert_eq!(Percent::pick([percent("0"), Percent::ALL], draw(bits)), Some(1));
    }
    assert_eq!(Percent::pick([percent("40"), percent("40")], draw(u64::MAX)), None);
    assert_eq!(Percent::pick([percent("50"), percent("50")], draw(1 << 63)), Some(1));
    assert!(percent("50").hits(draw((1 << 63) - 1)) && !percent("50").hits(draw(1 << 63)));
}

#[test]
fn parts_of_times_stay_within_them_at_every_extreme() {
    let times = EXTREMES.into_iter().flat_map(|n| [Duration::from_nanos(n), Duration::from_secs(n)]);
    for time in times.chain([Duration::MAX, LONGEST_TIME]) {
        for n in EXTREMES {
            let part = Fraction::of_bits(n).of(time);
            assert!(part < time || time.is_zero() && part.is_zero(), "{n} of {time:?}: {part:?}");
            for denominator in EXTREMES {
                assert!(part_of(time, n, denominator) <= time, "{n}/{denominator} of {time:?}");
            }
            if let Some(rate) = NonZeroU64::new(n) {
                assert!(time_for(u64::MAX, rate) >= time_for(1, rate));
            }
        }
    }
    assert_eq!(Fraction::of_bits(1 << 63).of(Duration::from_secs(3)), Duration::from_millis(1500));
    assert_eq!(part_of(Duration::from_secs(3), 1, 4), Duration::from_millis(750));
    assert_eq!(time_for(1500, NonZeroU64::new(1000).unwrap()), Duration::from_millis(1500));
    assert_eq!(time_for(u64::MAX, NonZeroU64::MIN), Duration::from_secs(u64::MAX));
}

#[test]
fn floats_become_times_and_counts_whatever_they_are() {
    let hour = Duration::from_secs(3600);
    for (seconds, expected) in [
        (f64::NAN, Duration::ZERO),
        (f64::NEG_INFINITY, Duration::ZERO),
        (-0.0, Duration::ZERO),
        (-1e-300, Duration::ZERO),
        (0.5, Duration::from_millis(500)),
        (3600.5, hour),
        (f64::MAX, hour),
        (f64::INFINITY, hour),
    ] {
        assert_eq!(clamped_seconds(seconds, hour), expected, "{seconds}");
        assert!(clamped_seconds(seconds, Duration::MAX) >= expected);
    }
    assert_eq!([f64::NAN, -1.0, 0.5, 1e300].map(rounded), [0, 0, 1, u64::MAX]);
}

#[test]
fn products_beyond_the_largest_size_are_refused() {
    assert_eq!(product(1 << 31, 1 << 31), Some(1 << 62));
    assert_eq!((product(3, LARGEST_SIZE), product(u64::MAX, u64::MAX)), (None, None));
    assert_eq!((product(1, LARGEST_SIZE), product(0, u64::MAX)), (Some(LARGEST_SIZE), Some(0)));
}

#[test]
fn thousands_are_grouped() {
    let shown = [0, 999, 1000, 123_456, 1_234_567, u64::MAX].map(grouped);
    assert_eq!(shown, ["0", "999", "1,000", "123,456", "1,234,567", "18,446,744,073,709,551,615"]);
}
