//! Faults and shaping on request: what a client asks for by query keys `dummy-*` or fields `x-dummy-*`, and what the
//! server does by default.
//!
//! The way of the data: `grammar` reads texts into a [`Behaviour`]; [`decide`] draws from it, by `chance`, what
//! happens to one request; `apply` has that happen to its endpoint and reply, whose content `body` reshapes. What
//! requests share is in `shared`, which only those that ask for it touch. Nothing here writes to a socket: an engine
//! executes the reply that comes of it.

mod apply;
mod body;
mod chance;
mod decide;
mod grammar;
mod shared;
mod source;

use std::{num::NonZeroU64, time::Duration};

use contract::quantity::Percent;
use http::StatusCode;

pub(crate) use self::{
    apply::{Manners, answer},
    body::Pace,
    chance::lot,
    grammar::{EXAMPLE, EXAMPLE_DEFAULT, help},
    shared::Shared,
};
use crate::{connection::exchange::Head, router, stats::Protocol};

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
    /// Values of `Link` in a 103 (Early Hints), which comes at once.
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
    /// `status` and `abort` hold for so many requests of `key` alone.
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
    pub(crate) fault: Fault,
    pub(crate) point: Point,
    pub(crate) percent: Percent,
}

/// How a reply is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// TCP RST.
    Rst,
    /// TCP FIN.
    Fin,
    /// Nothing more comes.
    Hang,
    /// The content is shorter than announced.
    Short,
    /// RST_STREAM with this code.
    StreamReset(u32),
    /// GOAWAY with this code, and the end of the connection.
    GoAway(u32),
}

impl Fault {
    /// All of them by their names in the metrics, in the order of [`Fault::index`].
    pub(crate) const NAMES: [&'static str; 6] = ["rst", "fin", "hang", "short", "stream-reset", "goaway"];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Rst => 0,
            Self::Fin => 1,
            Self::Hang => 2,
            Self::Short => 3,
            Self::StreamReset(_) => 4,
            Self::GoAway(_) => 5,
        }
    }
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

/// Prefix of query keys.
const KEY: &str = "dummy-";
/// Prefix of fields.
const FIELD: &str = "x-dummy-";

/// Whether a field of that name asks for anything.
#[inline]
pub(crate) fn is_asked_by(name: &[u8]) -> bool {
    name.len() > FIELD.len() && name[..FIELD.len()].eq_ignore_ascii_case(FIELD.as_bytes())
}

/// Whether a query has a key that asks for anything.
pub(crate) fn in_query(query: &str) -> bool {
    router::pairs(query).any(|pair| pair.starts_with(KEY))
}

impl Behaviour {
    /// Reads what the server is to do by default: `name=value` pairs as in a query, `dummy-` before a name or not.
    pub(crate) fn parse(text: &str) -> Result<Self, BadBehaviour> {
        let mut asked = Self::default();
        for (key, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            grammar::read(&mut asked, key.strip_prefix(KEY).unwrap_or(&key), &value)?;
        }
        asked.checked()
    }

    /// Reads what a request asks for, by fields and by query; what it does not ask for is as by default.
    pub(crate) fn of(head: &Head<'_>, default: Option<&Self>) -> Result<Self, BadBehaviour> {
        let mut asked = Self::default();
        for (name, value) in head.fields() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if let Some(name) = name.strip_prefix(FIELD)
                && name != "instance"
            {
                grammar::read(&mut asked, name, String::from_utf8_lossy(value).trim())?;
            }
        }
        let query = head.target.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
        for (key, value) in form_urlencoded::parse(query) {
            if let Some(name) = key.strip_prefix(KEY) {
                grammar::read(&mut asked, name, &value)?;
            }
        }
        let mut asked = asked.checked()?;
        if let Some(Breach { fault, .. }) = asked.abort
            && fault.needs_http2()
            && head.protocol != Protocol::Http2
        {
            return Err(BadBehaviour {
                error: format!("dummy-abort={} over {}", Fault::NAMES[fault.index()], head.protocol.name()),
                accepted: "rst, fin, hang and short over HTTP/1; stream-reset and goaway over HTTP/2 alone",
            });
        }
        match default {
            Some(default) if !asked.without_default => asked.fill(default),
            _ => {}
        }
        Ok(asked)
    }

    /// The delays that a seed and a sequence draw, of each distribution one.
    pub(crate) fn draws(&self, seed: u64, sequence: u64) -> Vec<Duration> {
        let chance = chance::Chance::new(seed, sequence);
        self.delay.iter().flatten().map(|(delay, _)| chance.delay(*delay)).collect()
    }

    /// Takes what is not asked for from `default`.
    fn fill(&mut self, default: &Self) {
        fn option<T: Clone>(own: &mut Option<T>, default: &Option<T>) {
            if own.is_none() {
                own.clone_from(default);
            }
        }
        fn list<T: Clone>(own: &mut Vec<T>, default: &[T]) {
            if own.is_empty() {
                own.extend_from_slice(default);
            }
        }
        option(&mut self.status, &default.status);
        option(&mut self.delay, &default.delay);
        option(&mut self.inflight_delay, &default.inflight_delay);
        option(&mut self.inflight_limit, &default.inflight_limit);
        list(&mut self.headers, &default.headers);
        list(&mut self.trailers, &default.trailers);
        list(&mut self.hints, &default.hints);
        option(&mut self.content_type, &default.content_type);
        option(&mut self.no_length, &default.no_length);
        option(&mut self.chunk, &default.chunk);
        option(&mut self.gzip, &default.gzip);
        option(&mut self.abort, &default.abort);
        option(&mut self.fail_first, &default.fail_first);
        option(&mut self.key, &default.key);
        option(&mut self.close_after, &default.close_after);
        option(&mut self.rate, &default.rate);
        option(&mut self.read_rate, &default.read_rate);
        option(&mut self.early, &default.early);
        option(&mut self.expectation, &default.expectation);
        option(&mut self.cors, &default.cors);
        option(&mut self.seed, &default.seed);
        option(&mut self.sequence, &default.sequence);
    }

    /// What one value at a time can't tell.
    fn checked(self) -> Result<Self, BadBehaviour> {
        let short = self.abort.filter(|abort| abort.fault == Fault::Short);
        if let Some(Breach { point: Point::BeforeHeaders, .. }) = short {
            return Err(BadBehaviour {
                error: "abort=short needs content that falls short".to_owned(),
                accepted: "short@after-headers or short@body(N)",
            });
        }
        Ok(self)
    }
}
