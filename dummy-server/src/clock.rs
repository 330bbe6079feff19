//! The time as replies state it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time in nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The value of `Date`, written once a second.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// For an instant in nanoseconds since the Unix epoch.
    pub(crate) fn date(&mut self, now_ns: u64) -> &[u8] {
        let second = now_ns / 1_000_000_000;
        if self.second != second {
            self.second = second;
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        self.text.as_bytes()
    }
}
