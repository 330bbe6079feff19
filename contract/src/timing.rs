//! The `Server-Timing` field (W3C Server Timing) of every reply of dummy-server.
//!
//! ```text
//! Server-Timing: app;dur=0.043;desc=1790000000.123456789-1790000000.123499789
//! ```
//! `desc` holds two instants in seconds since the Unix epoch with nine decimals: when the request's head had
//! been read, and when its reply was handed to the protocol engine. `dur` is
//! their distance in milliseconds with three decimals, as the specification wants durations.

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
        out.extend_from_slice(b"app;dur=");
        let micros = self.duration_ns() / 1000;
        out.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
        out.push(b'.');
        write_padded(micros % 1000, 1000, out);
        out.extend_from_slice(b";desc=");
        write_instant(self.received_ns, out);
        out.push(b'-');
        write_instant(self.replied_ns, out);
    }

    /// Reads a field's value; entries that others have added are passed over.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        value.split(',').find_map(|entry| {
            let parameters = entry.trim().strip_prefix("app;")?;
            let described =
                parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("desc="))?;
            let (received, replied) = described.split_once('-')?;
            Some(Self { received_ns: parse_instant(received)?, replied_ns: parse_instant(replied)? })
        })
    }
}

fn write_instant(ns: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(ns / 1_000_000_000).as_bytes());
    out.push(b'.');
    write_padded(ns % 1_000_000_000, 1_000_000_000, out);
}

/// Writes `value` with as many digits as `limit`, which is a power of ten above it, has zeros.
fn write_padded(value: u64, limit: u64, out: &mut Vec<u8>) {
    // The leading 1 of the sum keeps the zeros; it is left out.
    out.extend_from_slice(&itoa::Buffer::new().format(limit + value).as_bytes()[1..]);
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
    fn what_was_written_is_read_back_among_others_entries() {
        let timing = Timing { received_ns: 1, replied_ns: 5_000_000_002 };
        assert_eq!(Timing::parse(&text(timing)), Some(timing));
        assert_eq!(Timing::parse(&format!("edge;dur=1.5, {}, cdn;desc=\"x\"", text(timing))), Some(timing));
    }

    #[test]
    fn anything_else_is_not_ours() {
        for value in ["", "app", "edge;dur=1", "app;desc=1.5-2.5", "app;dur=1", "app;desc=1.000000000"] {
            assert_eq!(Timing::parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_negative_duration() {
        assert!(text(Timing { received_ns: 10, replied_ns: 5 }).starts_with("app;dur=0.000;"));
    }
}
