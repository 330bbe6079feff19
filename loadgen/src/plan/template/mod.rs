//! Texts with placeholders: `/items/{{seq}}`. A text is compiled once into segments, and rendered for each request into a
//! buffer that is reused.
//!
//! What is rendered depends on nothing but the run's seed, the request's number, when it was due, and its row: sent
//! again, a request has the same bytes. Nothing here reads a clock, a file or the environment.

mod compile;
mod render;

pub(crate) use compile::{ACCEPTED, TextContext, ValueSources, has_placeholder, placeholder_end};
pub(crate) use render::Values;

/// The longest text that is accepted with placeholders in it, in bytes.
pub(crate) const MAX_TEMPLATE: usize = 1 << 20;

/// The longest that a text may become, in bytes.
pub(crate) const MAX_RENDERED: usize = 16 << 20;

/// The longest that a path or the value of a header field may become, in bytes.
pub(crate) const MAX_RENDERED_FIELD: usize = 64 << 10;

/// A text, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

/// A part of a text. A salt distinguishes placeholders that draw from the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(Vec<u8>),
    /// The number of the request.
    Seq,
    /// A UUID, version 4.
    Uuid {
        salt: u64,
    },
    /// A whole number from `low` to `low + span`.
    Random {
        low: i64,
        span: u64,
        salt: u64,
    },
    Pick {
        choices: Box<[Box<[u8]>]>,
        salt: u64,
    },
    /// When the request was due.
    Now(Instant),
    /// A column of the request's row.
    Row {
        column: usize,
        place: TextContext,
    },
    /// How long the request's body is.
    Length,
    /// Length and checksum of the request's body.
    Announced,
    /// The request's id.
    Id,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instant {
    /// RFC 3339 in UTC, with milliseconds.
    Rfc3339,
    /// In units of this many nanoseconds since the Unix epoch.
    Since(u64),
}

impl Template {
    /// The text, if there is no placeholder in it.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(&[]),
            [Segment::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether values in it are drawn.
    pub(crate) fn is_random(&self) -> bool {
        let is_drawn = |segment: &Segment| {
            matches!(segment, Segment::Uuid { .. } | Segment::Random { .. } | Segment::Pick { .. })
        };
        self.segments.iter().any(is_drawn)
    }

    /// How many [variants](Self::variant) there are: as many as the longest list of choices has, and two of whole numbers.
    pub(crate) fn variants(&self) -> u64 {
        let choices = |segment: &Segment| match segment {
            Segment::Pick { choices, .. } => choices.len() as u64,
            Segment::Random { .. } => 2,
            _ => 1,
        };
        self.segments.iter().map(choices).max().unwrap_or(1)
    }

    /// The same with one value in place of each draw: the smallest or the largest whole number, and a choice in turn.
    pub(crate) fn variant(&self, number: u64) -> Self {
        let mut variant = Self::default();
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => variant.push_text(text),
                Segment::Random { low, span, .. } => {
                    let value =
                        if number.is_multiple_of(2) { *low } else { low.wrapping_add_unsigned(*span) };
                    variant.push_text(value.to_string().as_bytes());
                }
                Segment::Pick { choices, .. } => {
                    variant.push_text(&choices[(number % choices.len() as u64) as usize]);
                }
                segment => variant.segments.push(segment.clone()),
            }
        }
        variant
    }

    /// Adds a text.
    pub(crate) fn push_text(&mut self, text: &[u8]) {
        match self.segments.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Text(before)) => before.extend_from_slice(text),
            _ => self.segments.push(Segment::Text(text.into())),
        }
    }

    /// Adds another one.
    pub(crate) fn push(&mut self, other: &Self) {
        for segment in &other.segments {
            match segment {
                Segment::Text(text) => self.push_text(text),
                segment => self.segments.push(segment.clone()),
            }
        }
    }

    /// Adds the length of the request's body.
    pub(crate) fn push_length(&mut self) {
        self.segments.push(Segment::Length);
    }

    /// What is announced of the request's body.
    pub(crate) fn of_announced() -> Self {
        Self { segments: vec![Segment::Announced] }
    }

    /// Whether it is what is announced of the request's body.
    pub(crate) fn announces(&self) -> bool {
        self.segments.contains(&Segment::Announced)
    }

    /// Adds the request's id.
    pub(crate) fn push_id(&mut self) {
        self.segments.push(Segment::Id);
    }

    /// The column of a row, as it is.
    pub(crate) fn of_column(column: usize) -> Self {
        Self { segments: vec![Segment::Row { column, place: TextContext::Body }] }
    }
}
