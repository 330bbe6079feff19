//! The values of directives: data alone.

use std::time::Duration;

use contract::quantity::Percent;

use crate::{cut::Cut, named::named};

/// Name and value of a field.
pub(crate) type Pair = (String, String);

/// Each with its share, all together at most 100 percent; nothing is drawn for the rest.
pub(crate) type Shares<T> = Vec<(T, Percent)>;

/// How long to wait. The longest is [`Delay::LONGEST`], whatever is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delay {
    Constant(Duration),
    /// From the first to the second.
    Uniform(Duration, Duration),
    /// Mean and standard deviation; never less than nothing.
    Normal(Duration, Duration),
    /// The least, above 0, and the shape: the smaller it is, the longer the tail.
    Pareto(Duration, f64),
}

impl Delay {
    /// The longest that can be asked for.
    pub(crate) const LONGEST: Duration = Duration::from_secs(3600);
}

named! {
    /// When content is sent with gzip coding.
    pub(crate) enum Gzip {
        /// When the request accepts it.
        Negotiated = "negotiated",
        /// Even when it does not.
        Forced = "forced",
    }
}

named! {
    /// What a reply reports in `Server-Timing` beside its own instants.
    pub(crate) enum TimingDetail {
        /// How busy the worker is, in the head.
        Worker = "worker",
        /// When the kernel had taken the last byte of the content, in the trailers.
        LastByte = "last-byte",
        /// Both.
        All = "all",
    }
}

named! {
    /// What a request that expects 100 (Continue) gets.
    pub(crate) enum Expectation {
        /// 100 immediately, expected or not.
        Send = "send",
        /// 417.
        Refuse = "refuse",
        /// No 100.
        Ignore = "ignore",
    }
}

/// How and where a reply is broken off, and its share of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Breach {
    pub(crate) cut: Cut,
    pub(crate) point: Point,
    pub(crate) percent: Percent,
}

/// Where a reply is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeHeaders,
    AfterHeaders,
    /// After this number of bytes of content, or all of it when that is less.
    Body(u64),
    /// Half-way through the content, as far as its length is known.
    Middle,
}

/// A value that can't be made sense of, or a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}; accepted: {accepted}")]
pub struct BadBehaviour {
    /// What was wrong.
    pub(crate) error: String,
    /// What is accepted.
    pub(crate) accepted: &'static str,
}
