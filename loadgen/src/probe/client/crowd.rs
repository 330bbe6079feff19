//! What happened to many streams that were open at the same time.

use std::{collections::HashSet, fmt};

use ::http2::{Event, Head, Key};

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
    /// Those whose head had another status than 200, and that have not ended.
    others: HashSet<Key>,
}

impl Crowd {
    /// Takes in what has come; each stream is counted at its end.
    pub(super) fn take(&mut self, event: &Event<'_>, head: &Head) {
        match event {
            Event::Response { stream, end } => {
                if head.status() != 200 {
                    self.others.insert(*stream);
                }
                self.ended_if(*end, stream);
            }
            Event::Data { stream, end, .. } => self.ended_if(*end, stream),
            Event::Trailers { stream } => self.ended_if(true, stream),
            Event::Reset { stream, .. } | Event::Unprocessed { stream } => {
                self.others.remove(stream);
                self.refused += 1;
            }
            _ => {}
        }
    }

    fn ended_if(&mut self, end: bool, stream: &Key) {
        if end && self.others.remove(stream) {
            self.otherwise += 1;
        } else {
            self.answered += usize::from(end);
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
