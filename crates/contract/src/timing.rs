//! The `Server-Timing` field (W3C Server Timing) of every reply of dummy-server.
//!
//! ```text
//! Server-Timing: app;dur=0.043;desc=1790000000.123456789-1790000000.123499789
//! ```
//! `desc` holds two instants in seconds since the Unix epoch with nine decimals: when the request's head had
//! been read, and when its reply was handed to the protocol engine. `dur` is
//! their distance in milliseconds with three decimals, as the specification wants durations.
//!
//! On request (`dummy-timing`) there are two more entries:
//! ```text
//! Server-Timing: worker;dur=0.412;desc=0.973
//! Server-Timing: done;dur=12.345;desc=1790000000.123456789-1790000000.135801789
//! ```
//! `worker`, in the head, is a [`WorkerLoad`]. `done`, in the trailers, is another [`Timing`], whose second instant is when
//! the kernel had taken the last byte of the content.

/// Writes [`Timing`]s, many of which share instants or at least seconds.
#[derive(Clone, Debug, Default)]
pub struct TimingWriter {
    received: Instant,
    replied: Instant,
    text: Vec<u8>,
}

/// An instant and its text.
#[derive(Clone, Copy, Debug, Default)]
struct Instant {
    ns: u64,
    second: u64,
    text: [u8; INSTANT],
}

/// Bytes of an instant between the years 2001 and 2286.
const INSTANT: usize = 20;
const TEN_DIGITS: std::ops::Range<u64> = 1_000_000_000..10_000_000_000;

impl Instant {
    fn set(&mut self, ns: u64) {
        if self.ns == ns {
            return;
        }
        self.ns = ns;
        let second = ns / 1_000_000_000;
        if self.second != second {
            self.second = second;
            self.text[..10].copy_from_slice(&digits::<10>(second));
            self.text[10] = b'.';
        }
        self.text[11..].copy_from_slice(&nine_digits((ns % 1_000_000_000) as u32));
    }
}

impl TimingWriter {
    /// The field's value: the same as [`Timing::write`] writes.
    pub fn value(&mut self, timing: Timing) -> &[u8] {
        self.text.clear();
        let ten_digits = |ns: u64| TEN_DIGITS.contains(&(ns / 1_000_000_000));
        if !ten_digits(timing.received_ns) || !ten_digits(timing.replied_ns) {
            timing.write(&mut self.text);
            return &self.text;
        }
        self.received.set(timing.received_ns);
        self.replied.set(timing.replied_ns);
        write_duration(APP, timing.duration_ns(), &mut self.text);
        self.text.extend_from_slice(&self.received.text);
        self.text.push(b'-');
        self.text.extend_from_slice(&self.replied.text);
        &self.text
    }
}

/// What a `Server-Timing` field of dummy-server says, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When the request's head had been read.
    pub received_ns: u64,
    /// When the reply was handed to the protocol engine.
    pub replied_ns: u64,
}

impl Timing {
    /// The server's own time for the request, in nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.replied_ns.saturating_sub(self.received_ns)
    }

    /// Appends the field's value.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_as(APP, out);
    }

    /// Appends the value of the field in the trailers: [`replied_ns`](Self::replied_ns) is when the kernel had taken the last
    /// byte of the content.
    pub fn write_done(&self, out: &mut Vec<u8>) {
        self.write_as(DONE, out);
    }

    fn write_as(&self, name: &str, out: &mut Vec<u8>) {
        write_duration(name, self.duration_ns(), out);
        write_instant(self.received_ns, out);
        out.push(b'-');
        write_instant(self.replied_ns, out);
    }

    /// Reads a field's value; entries that others have added are passed over.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Self::parse_as(APP, value)
    }

    /// Reads the value of the field in the trailers: see [`write_done`](Self::write_done). None if it has no such entry.
    #[must_use]
    pub fn parse_done(value: &str) -> Option<Self> {
        Self::parse_as(DONE, value)
    }

    fn parse_as(name: &str, value: &str) -> Option<Self> {
        entries(name, value).find_map(|parameters| {
            let (received, replied) = parameter("desc=", parameters)?.split_once('-')?;
            Some(Self { received_ns: parse_instant(received)?, replied_ns: parse_instant(replied)? })
        })
    }
}

/// How busy the worker of dummy-server was that replied, between the last two times that it looked: it does so every half
/// second, or more often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLoad {
    /// How late its timer was when it last fired, in nanoseconds.
    pub turn_lag_ns: u64,
    /// The share of a CPU that its thread had, in thousandths: 0 to 1000.
    pub cpu_permille: u16,
}

impl WorkerLoad {
    /// Appends the field's value: `dur` is the lag in milliseconds, `desc` the share of a CPU from 0 to 1.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_duration(WORKER, self.turn_lag_ns, out);
        let permille = u64::from(self.cpu_permille.min(1000));
        out.extend_from_slice(&digits::<1>(permille / 1000));
        out.push(b'.');
        out.extend_from_slice(&digits::<3>(permille % 1000));
    }

    /// Reads a field's value; entries that others have added are passed over. None if the entry is missing, or not one of
    /// dummy-server.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        entries(WORKER, value).find_map(|parameters| {
            let lag_us = thousandths(parameter("dur=", parameters)?)?;
            let cpu_permille = thousandths(parameter("desc=", parameters)?)?;
            Some(Self {
                turn_lag_ns: lag_us.checked_mul(1000)?,
                cpu_permille: u16::try_from(cpu_permille).ok().filter(|permille| *permille <= 1000)?,
            })
        })
    }
}

/// Names of entries.
const APP: &str = "app";
const WORKER: &str = "worker";
const DONE: &str = "done";

/// The parameters of all entries of a name.
fn entries<'v>(name: &str, value: &'v str) -> impl Iterator<Item = &'v str> {
    value.split(',').filter_map(move |entry| entry.trim().strip_prefix(name)?.strip_prefix(';'))
}

/// The value of a parameter.
fn parameter<'v>(name: &str, parameters: &'v str) -> Option<&'v str> {
    parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix(name))
}

/// A number with three decimals, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if decimals.len() != 3 || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(decimals.parse().ok()?)
}

/// Name and duration of an entry, and the beginning of its description.
fn write_duration(name: &str, ns: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b";dur=");
    let micros = ns / 1000;
    match micros / 1000 {
        0 => out.push(b'0'),
        millis => out.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes()),
    }
    out.push(b'.');
    out.extend_from_slice(&digits::<3>(micros % 1000));
    out.extend_from_slice(b";desc=");
}

fn write_instant(ns: u64, out: &mut Vec<u8>) {
    let seconds = ns / 1_000_000_000;
    out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    out.push(b'.');
    out.extend_from_slice(&digits::<9>(ns % 1_000_000_000));
}

/// The last `N` digits of a number. Their count is known, which makes this the fastest way.
fn digits<const N: usize>(mut value: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    let mut at = N;
    while at >= 2 {
        let pair = (value % 100) as u8;
        value /= 100;
        text[at - 2] = b'0' + pair / 10;
        text[at - 1] = b'0' + pair % 10;
        at -= 2;
    }
    if at == 1 {
        text[0] = b'0' + (value % 10) as u8;
    }
    text
}

/// Nine digits in two steps that do not wait for each other.
fn nine_digits(value: u32) -> [u8; 9] {
    let (high, low) = (value / 10_000, value % 10_000);
    let mut text = [0; 9];
    text[..5].copy_from_slice(&digits::<5>(u64::from(high)));
    text[5..].copy_from_slice(&digits::<4>(u64::from(low)));
    text
}

fn parse_instant(text: &str) -> Option<u64> {
    let (seconds, nanos) = text.split_once('.')?;
    if nanos.len() != 9 {
        return None;
    }
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(timing: Timing) -> String {
        let mut out = Vec::new();
        timing.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_format_is_fixed() {
        let timing = Timing { received_ns: 1_790_000_000_000_456_789, replied_ns: 1_790_000_000_042_999_789 };
        assert_eq!(text(timing), "app;dur=42.543;desc=1790000000.000456789-1790000000.042999789");
    }

    #[test]
    fn the_caching_writer_writes_the_same_value() {
        let mut writer = TimingWriter::default();
        let base = 1_790_000_000_000_000_000;
        for (received, replied) in [(0, 0), (0, 5), (0, 999_999_999), (7, 1_000_000_003), (7, 12_345_678_901)]
        {
            let timing = Timing { received_ns: base + received, replied_ns: base + replied };
            assert_eq!(String::from_utf8_lossy(writer.value(timing)), text(timing));
        }
        let early = Timing { received_ns: 1, replied_ns: base };
        assert_eq!(String::from_utf8_lossy(writer.value(early)), text(early));
    }

    #[test]
    fn a_timing_is_parsed_among_other_entries() {
        let timing = Timing { received_ns: 1, replied_ns: 5_000_000_002 };
        assert_eq!(Timing::parse(&text(timing)), Some(timing));
        assert_eq!(Timing::parse(&format!("edge;dur=1.5, {}, cdn;desc=\"x\"", text(timing))), Some(timing));
    }

    #[test]
    fn what_is_reported_on_request_is_read_as_it_was_written() {
        for load in [
            WorkerLoad::default(),
            WorkerLoad { turn_lag_ns: 412_000, cpu_permille: 973 },
            WorkerLoad { turn_lag_ns: 18_446_744_073_709_551_000, cpu_permille: 1000 },
        ] {
            let mut out = Vec::new();
            load.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(WorkerLoad::parse(&format!("edge;dur=1.5, {text}")), Some(load), "{text}");
            assert_eq!(Timing::parse(&text), None);
        }
        let timing = Timing { received_ns: 1_790_000_000_123_456_789, replied_ns: 1_790_000_000_135_801_789 };
        let mut out = Vec::new();
        timing.write_done(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "done;dur=12.345;desc=1790000000.123456789-1790000000.135801789");
        assert_eq!(Timing::parse_done(&text), Some(timing));
        assert_eq!(Timing::parse(&text), None, "it is of the trailers");
        for value in [
            "worker",
            "worker;dur=1;desc=0.5",
            "worker;dur=1.000;desc=1.001",
            "worker;dur=1.000;desc=0.5",
            "worker;dur=99999999999999999999.000;desc=0.500",
            "worker;dur=18446744073709552.000;desc=0.500",
            "worker;dur=1.+10;desc=0.500",
            "worker;dur=+1.000;desc=0.500",
        ] {
            assert_eq!(WorkerLoad::parse(value), None, "{value}");
        }
    }

    #[test]
    fn foreign_or_malformed_server_timing_is_ignored() {
        for value in ["", "app", "edge;dur=1", "app;desc=1.5-2.5", "app;dur=1", "app;desc=1.000000000"] {
            assert_eq!(Timing::parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_negative_duration() {
        assert!(text(Timing { received_ns: 10, replied_ns: 5 }).starts_with("app;dur=0.000;"));
    }
}
