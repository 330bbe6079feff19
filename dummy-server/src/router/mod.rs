//! Path and query to endpoint: the only file that knows URL shapes. It does no IO.

mod known;

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use contract::quantity::{self, LARGEST_SIZE};

pub(crate) use self::known::KnownTargets;
use crate::{
    boolean,
    message::websocket::{Mode, Options},
    stats::Endpoint,
};

/// Sizes of bodies.
const SIZES: RangeInclusive<u64> = 1..=LARGEST_SIZE;
/// Sizes of a WebSocket's frames.
const FRAGMENTS: RangeInclusive<u64> = 1..=1 << 30;
/// Statuses of final responses.
const STATUSES: RangeInclusive<u64> = 200..=599;
/// How often a WebSocket may be asked to ping.
const PING_PERIODS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// What a request asks for, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/` and every path that is nothing else.
    Echo,
    /// `/health`
    Health,
    /// `/help`
    Help,
    /// `/ledger?run=&load=`
    Ledger {
        /// Of a verified run.
        run: u32,
        /// Within it.
        load: u8,
    },
    /// `/bin/{size}?chunked=&digest=`
    Bin {
        /// Bytes.
        size: u64,
        /// Without `Content-Length`.
        chunked: bool,
        /// With a digest of the content as trailer.
        digest: bool,
    },
    /// `/chunked/{count}?size=&delay=`
    Chunked {
        /// Bytes in all chunks.
        total: u64,
        /// Bytes in each chunk.
        size: u64,
        /// Between two of them.
        delay: Duration,
    },
    /// `/upload`
    Upload,
    /// `/digest`
    Digest,
    /// `/headers`
    Headers,
    /// `/ip`
    Ip,
    /// `/sse?count=&delay=&jitter=`
    Sse(Series),
    /// `/ndjson?count=&delay=&jitter=`
    Ndjson(Series),
    /// `/drip?size=&duration=&delay=`
    Drip {
        /// Bytes.
        size: u64,
        /// From the first byte to the last.
        duration: Duration,
        /// Before the first byte.
        delay: Duration,
    },
    /// `/status/{code}`
    Status(u16),
    /// `/delay/{ms}` and `/delay/{reply_ms}/{read_ms}`
    Delay {
        /// Before the reply.
        reply: Duration,
        /// Between two reads of 64 KiB of the request's body.
        read: Duration,
    },
    /// `/ws`, `/ws/*` and `/ws/close`, each with `?fragment=&ping=`
    WebSocket(Options),
    /// `/nousage` and what is below it.
    NoUsage(NoUsage),
}

/// Events or lines, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// How many; none is without end.
    pub count: Option<u64>,
    /// Between two of them.
    pub delay: Duration,
    /// Added to it by chance, at most.
    pub jitter: Duration,
}

/// The ways in which an LLM gateway's token counting can be led astray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoUsage {
    /// The echo without `usage`.
    Plain,
    /// The same as `text/plain`.
    WrongContentType,
    /// JSON that breaks off.
    BadJson,
    /// An empty body of type JSON.
    Empty,
}

/// A path or query that an endpoint can't make sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRoute {
    /// What was wrong.
    pub error: String,
    /// What is accepted.
    pub accepted: &'static str,
    /// A request that works.
    pub example: &'static str,
}

/// Finds the endpoint of a path and query. The family is known even when the parameters are bad.
pub(crate) fn route(path: &str, query: &str) -> (Endpoint, Result<Route, BadRoute>) {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (first, rest) = match path.bytes().position(|byte| byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    };
    match (first, rest) {
        ("bin", Some(rest)) => (Endpoint::Bin, bin(rest, query)),
        ("chunked", Some(rest)) => (Endpoint::Chunked, chunked(rest, query)),
        ("delay", Some(rest)) => (Endpoint::Delay, delay(rest)),
        ("status", Some(rest)) => (Endpoint::Status, status(rest)),
        ("upload", None) => (Endpoint::Upload, Ok(Route::Upload)),
        ("digest", None) => (Endpoint::Digest, Ok(Route::Digest)),
        ("headers", None) => (Endpoint::Headers, Ok(Route::Headers)),
        ("ip", None) => (Endpoint::Ip, Ok(Route::Ip)),
        ("sse", None) => (Endpoint::Sse, series(query, "/sse?count=3&delay=100").map(Route::Sse)),
        ("ndjson", None) => (Endpoint::Ndjson, series(query, "/ndjson?count=3&delay=100").map(Route::Ndjson)),
        ("drip", None) => (Endpoint::Drip, drip(query)),
        ("health", None) => (Endpoint::Health, Ok(Route::Health)),
        ("ledger", None) => (Endpoint::Ledger, ledger(query).map(|(run, load)| Route::Ledger { run, load })),
        ("help", None) => (Endpoint::Help, Ok(Route::Help)),
        ("ws", Some("close")) => (Endpoint::WebSocket, websocket(Mode::EchoOnceAndClose, query)),
        ("ws", _) => (Endpoint::WebSocket, websocket(Mode::Echo, query)),
        ("nousage", rest) => (Endpoint::NoUsage, Ok(Route::NoUsage(no_usage(rest)))),
        _ => (Endpoint::Echo, Ok(Route::Echo)),
    }
}

fn no_usage(rest: Option<&str>) -> NoUsage {
    match rest {
        Some("wrongct") => NoUsage::WrongContentType,
        Some("badjson") => NoUsage::BadJson,
        Some("empty") => NoUsage::Empty,
        _ => NoUsage::Plain,
    }
}

/// How an endpoint's parameters are written.
#[derive(Clone, Copy)]
struct Syntax {
    accepted: &'static str,
    example: &'static str,
}

impl Syntax {
    fn bad(self, error: String) -> BadRoute {
        BadRoute { error, accepted: self.accepted, example: self.example }
    }

    /// The value of a query's key, or `default` where it has none.
    fn value<T>(
        self,
        query: &str,
        key: &str,
        default: T,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadRoute> {
        let Some(text) = parameter(query, key) else { return Ok(default) };
        read(text).ok_or_else(|| self.bad(format!("invalid {key} '{text}'")))
    }

    /// A time in milliseconds.
    fn millis(self, query: &str, key: &str, default: u64) -> Result<Duration, BadRoute> {
        self.value(query, key, Duration::from_millis(default), quantity::millis)
    }
}

fn websocket(mode: Mode, query: &str) -> Result<Route, BadRoute> {
    let syntax = Syntax {
        accepted: "/ws?fragment={size}&ping={duration}: a size from 1 byte to 1G, a duration from 10ms to 1h",
        example: "/ws?fragment=1K&ping=500ms",
    };
    let fragment = syntax.value(query, "fragment", None, |text| {
        let size = quantity::size_within(text, &FRAGMENTS)?;
        Some(Some(NonZeroU32::new(u32::try_from(size).ok()?)?))
    })?;
    let ping = syntax.value(query, "ping", None, |text| {
        let period = quantity::duration(text, *PING_PERIODS.end())?;
        PING_PERIODS.contains(&period).then_some(Some(period))
    })?;
    Ok(Route::WebSocket(Options { mode, fragment, ping }))
}

fn bin(rest: &str, query: &str) -> Result<Route, BadRoute> {
    let size = size(rest).ok_or_else(|| BadRoute {
        error: format!("invalid size '{rest}'"),
        accepted: "/bin/{size}: bytes from 1, or with K, M, G or T for powers of 1024, below 2^63",
        example: "/bin/64K",
    })?;
    let asked = |key| parameter(query, key).and_then(boolean::read) == Some(true);
    Ok(Route::Bin { size, chunked: asked("chunked"), digest: asked("digest") })
}

fn size(text: &str) -> Option<u64> {
    quantity::size_within(text, &SIZES)
}

fn series(query: &str, example: &'static str) -> Result<Series, BadRoute> {
    let syntax = Syntax {
        accepted: "?count={number}&delay={milliseconds}&jitter={milliseconds}: whole numbers, milliseconds up to \
                   4294967295; a count of 0 is without end",
        example,
    };
    let count = syntax.value(query, "count", 10, quantity::count)?;
    let (delay, jitter) = (syntax.millis(query, "delay", 1000)?, syntax.millis(query, "jitter", 0)?);
    Ok(Series { count: (count > 0).then_some(count), delay, jitter })
}

fn drip(query: &str) -> Result<Route, BadRoute> {
    let syntax = Syntax {
        accepted: "/drip?size={bytes}&duration={milliseconds}&delay={milliseconds}: size from 1, below 2^63; \
                   milliseconds up to 4294967295",
        example: "/drip?size=1K&duration=2000&delay=500",
    };
    let size = syntax.value(query, "size", 10, size)?;
    let (duration, delay) = (syntax.millis(query, "duration", 2000)?, syntax.millis(query, "delay", 0)?);
    Ok(Route::Drip { size, duration, delay })
}

fn chunked(rest: &str, query: &str) -> Result<Route, BadRoute> {
    let syntax = Syntax {
        accepted: "/chunked/{count}?size={bytes}&delay={milliseconds}: count and size from 1, count * size below \
                   2^63, delay from 0 to 4294967295",
        example: "/chunked/10?size=1024&delay=100",
    };
    let count = quantity::count_within(rest, &SIZES)
        .ok_or_else(|| syntax.bad(format!("invalid count of chunks '{rest}'")))?;
    let text = parameter(query, "size").unwrap_or("1024");
    let size = size(text).ok_or_else(|| syntax.bad(format!("invalid size of a chunk '{text}'")))?;
    let text = parameter(query, "delay").unwrap_or("0");
    let delay = quantity::millis(text)
        .ok_or_else(|| syntax.bad(format!("invalid delay '{text}' in milliseconds")))?;
    let total = quantity::product(count, size)
        .ok_or_else(|| syntax.bad(format!("{count} chunks of {size} bytes are not less than 2^63 bytes")))?;
    Ok(Route::Chunked { total, size, delay })
}

fn delay(rest: &str) -> Result<Route, BadRoute> {
    let syntax = Syntax {
        accepted: "/delay/{reply_ms} or /delay/{reply_ms}/{read_ms}: whole milliseconds up to 4294967295, not both 0",
        example: "/delay/250/10",
    };
    let number = |text: &str| {
        quantity::millis(text).ok_or_else(|| syntax.bad(format!("invalid number of milliseconds '{text}'")))
    };
    let (reply, read) = rest.split_once('/').unwrap_or((rest, "0"));
    let (reply, read) = (number(reply)?, number(read)?);
    if reply.is_zero() && read.is_zero() {
        return Err(syntax.bad("both delays are 0".to_owned()));
    }
    Ok(Route::Delay { reply, read })
}

fn status(rest: &str) -> Result<Route, BadRoute> {
    quantity::count_within(rest, &STATUSES)
        .and_then(|code| u16::try_from(code).ok())
        .map(Route::Status)
        .ok_or_else(|| BadRoute {
            error: format!("invalid status '{rest}' of a final response"),
            accepted: "/status/{code}: 200 to 599",
            example: "/status/503",
        })
}

/// Reads the query of `/ledger`, wherever it is asked for: the run, and the load within it.
pub(crate) fn ledger(query: &str) -> Result<(u32, u8), BadRoute> {
    let syntax = Syntax {
        accepted: "/ledger?run={run}&load={load}: the run as eight hexadecimal digits, the load from 0 (without it) to 255",
        example: "/ledger?run=0123abcd",
    };
    let run = parameter(query, "run").unwrap_or_default();
    let is_hex = run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u32::from_str_radix(run, 16).ok().filter(|_| is_hex);
    let id = id.ok_or_else(|| syntax.bad(format!("invalid run '{run}'")))?;
    let load = syntax.value(query, "load", 0, |text| {
        quantity::count_within(text, &(0..=255)).and_then(|load| u8::try_from(load).ok())
    })?;
    Ok((id, load))
}

/// The first value of a query's key. No endpoint has a parameter that needs percent decoding.
fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    pairs(query).find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

/// What a query has between its `&`.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!query.is_empty()).then_some(query);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr(b'&', text.as_bytes()) else { return rest.take() };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests;
