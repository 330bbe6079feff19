//! What became of many streams that were open at the same time.

use std::fmt;

use ::http2::{Event, Head};

/// Counts of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowd {
    pub(crate) opened: usize,
    /// With 200, and whole.
    pub(crate) answered: usize,
    /// With another status.
    pub(crate) otherwise: usize,
    /// By RST_STREAM, or below a GOAWAY.
    pub(crate) refused: usize,
}

impl Crowd {
    /// Takes in what has come.
    pub(super) fn take(&mut self, event: &Event<'_>, head: &Head) {
        match event {
            Event::Response { .. } if head.status() != 200 => self.otherwise += 1,
            Event::Response { end, .. } | Event::Data { end, .. } => self.answered += usize::from(*end),
            Event::Trailers { .. } => self.answered += 1,
            Event::Reset { .. } | Event::Unprocessed { .. } => self.refused += 1,
            _ => {}
        }
    }

    /// Whether all of them have ended.
    pub(super) fn is_over(&self) -> bool {
        self.answered + self.otherwise + self.refused >= self.opened
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} streams were answered with 200", self.answered, self.opened)?;
        for (count, how) in [(self.otherwise, "with another status"), (self.refused, "by a reset")] {
            if count > 0 {
                write!(f, ", {count} {how}")?;
            }
        }
        Ok(())
    }
}
