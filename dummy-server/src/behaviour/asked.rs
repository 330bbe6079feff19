//! What can be asked for: data alone.

use std::{num::NonZeroU64, time::Duration};

use contract::quantity::Percent;
use http::StatusCode;

use crate::cut::Cut;

/// What is asked for. What is empty or none is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Behaviour {
    /// These statuses in place of the endpoint's, with their share.
    pub(crate) status: Option<Shares<StatusCode>>,
    /// Waited before the reply.
    pub(crate) delay: Option<Shares<Delay>>,
    /// Waited for each request in flight that asks for this, itself among them.
    pub(crate) inflight_delay: Option<Duration>,
    /// 503 when more requests than that are in flight.
    pub(crate) inflight_limit: Option<u64>,
    /// Fields of the reply, beside its own.
    pub(crate) headers: Vec<Pair>,
    /// Trailers of the reply, beside its own.
    pub(crate) trailers: Vec<Pair>,
    /// Values of `Link` in a 103 (Early Hints), which is sent immediately.
    pub(crate) hints: Vec<String>,
    /// In place of the endpoint's.
    pub(crate) content_type: Option<String>,
    /// Without an announced length.
    pub(crate) no_length: Option<bool>,
    /// Bytes in each chunk or DATA frame.
    pub(crate) chunk: Option<u64>,
    /// gzip coding of the content.
    pub(crate) gzip: Option<Gzip>,
    /// How the reply is broken off.
    pub(crate) abort: Option<Breach>,
    /// `status` and `abort` apply to the first N requests of each `key`.
    pub(crate) fail_first: Option<u64>,
    /// What `fail_first` counts by.
    pub(crate) key: Option<String>,
    /// The connection ends after so many requests.
    pub(crate) close_after: Option<u64>,
    /// Bytes of content per second.
    pub(crate) rate: Option<NonZeroU64>,
    /// Bytes of the request's content that are read per second.
    pub(crate) read_rate: Option<NonZeroU64>,
    /// The final reply comes before the request's content is read.
    pub(crate) early: Option<StatusCode>,
    /// What an expectation of 100 (Continue) meets.
    pub(crate) expectation: Option<Expectation>,
    /// Whether pages of other origins may read the reply.
    pub(crate) cors: Option<bool>,
    /// Another seed draws other lots.
    pub(crate) seed: Option<u64>,
    /// The number of the draw; otherwise the server counts.
    pub(crate) sequence: Option<u64>,
    /// What the server does by default does not hold for this request.
    pub(crate) without_default: bool,
}

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

/// When content is sent with gzip coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gzip {
    /// When the request accepts it.
    Negotiated,
    /// Even when it does not.
    Forced,
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
    /// After so many bytes of content, or all of it when that is less.
    Body(u64),
    /// Half-way through the content, as far as its length is known.
    Middle,
}

/// What a request that expects 100 (Continue) gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// 100 at once, expected or not.
    Send,
    /// 417.
    Refuse,
    /// No 100.
    Ignore,
}

/// A value that can't be made sense of, or a name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}; accepted: {accepted}")]
pub(crate) struct BadBehaviour {
    /// What was wrong.
    pub(crate) error: String,
    /// What is accepted.
    pub(crate) accepted: &'static str,
}
