//! What happened in one round, on one line of time: sent and received by the client, seen and replied by the server.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// How many lines are kept, and how many characters of each.
const MAX_LINES: usize = 64;
const MAX_TEXT: usize = 400;

/// At which end something happened, and in which direction it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// By the client.
    Sent,
    /// By the server.
    Seen,
    /// By the server.
    Replied,
    /// By the client.
    Received,
}

impl Side {
    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Seen => "seen",
            Self::Replied => "replied",
            Self::Received => "received",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, in microseconds since the round began: what the server says, by its own clock.
    pub at_us: i64,
    /// Where.
    pub side: Side,
    /// What.
    pub text: String,
}

/// The lines of a round.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    began: Instant,
    began_ns: u64,
    lines: Vec<Line>,
    left_out: usize,
}

impl Transcript {
    pub(super) fn beginning_now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Self { began: Instant::now(), began_ns, lines: Vec::new(), left_out: 0 }
    }

    /// Something happens here and now.
    pub(super) fn note(&mut self, side: Side, text: impl AsRef<str>) {
        let at_us = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.add(at_us, side, text.as_ref());
    }

    /// Something has happened at the server, by its clock: nanoseconds since the Unix epoch.
    pub(super) fn note_at(&mut self, ns: u64, side: Side, text: impl AsRef<str>) {
        let since = i128::from(ns) - i128::from(self.began_ns);
        self.add(i64::try_from(since / 1000).unwrap_or(0), side, text.as_ref());
    }

    fn add(&mut self, at_us: i64, side: Side, text: &str) {
        let text = if text.chars().count() > MAX_TEXT {
            text.chars().take(MAX_TEXT).chain(['…']).collect()
        } else {
            text.to_owned()
        };
        let line = Line { at_us, side, text };
        if self
            .lines
            .iter()
            .any(|known| (known.side, &known.text) == (line.side, &line.text) && known.at_us == at_us)
        {
            return;
        }
        if self.lines.len() < MAX_LINES { self.lines.push(line) } else { self.left_out += 1 }
    }

    /// In the order of time.
    pub(super) fn lines(mut self) -> Vec<Line> {
        self.lines.sort_by_key(|line| line.at_us);
        if let (Some(last), 1..) = (self.lines.last(), self.left_out) {
            let text = format!("and {} lines more, which are left out", self.left_out);
            self.lines.push(Line { at_us: last.at_us, side: last.side, text });
        }
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_the_order_of_time_and_bounded() {
        let mut transcript = Transcript::beginning_now();
        transcript.note(Side::Received, "late");
        let early = transcript.began_ns - 5_000;
        transcript.note_at(early, Side::Seen, "x".repeat(MAX_TEXT + 1));
        for number in 0..MAX_LINES {
            transcript.note(Side::Sent, number.to_string());
        }
        let lines = transcript.lines();
        assert_eq!((lines[0].at_us, lines[0].side), (-5, Side::Seen));
        assert_eq!(lines[0].text.chars().count(), MAX_TEXT + 1);
        assert!(lines.is_sorted_by_key(|line| line.at_us));
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert!(lines[MAX_LINES].text.starts_with("and 2 lines more"));
    }
}
