//! Path and query to endpoint: the only file that knows URL shapes. It does no IO.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use crate::{
    endpoints::websocket::{Mode, Options},
    quantity,
};

/// The largest body: what lengths on the wire and in libraries can hold.
const LARGEST: u64 = i64::MAX as u64;
/// How often a WebSocket may be asked to ping.
const PING_PERIODS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// What a request asks for, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/` and every path that is nothing else.
    Echo,
    /// `/health`
    Health,
    /// `/help`
    Help,
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
        /// Number of chunks.
        count: u64,
        /// Bytes in each.
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
        /// Before each 64 KiB of the request's body.
        read: Duration,
    },
    /// `/ws`, `/ws/*` and `/ws/close`, each with `?fragment=&ping=`
    WebSocket(Options),
    /// `/nousage` and what is below it.
    NoUsage(NoUsage),
}

/// Events or lines, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// How many; none is without end.
    pub(crate) count: Option<u64>,
    /// Between two of them.
    pub(crate) delay: Duration,
    /// Added to it by chance, at most.
    pub(crate) jitter: Duration,
}

/// The ways in which an LLM gateway's token counting can be led astray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoUsage {
    /// The echo without `usage`.
    Plain,
    /// The same as `text/plain`.
    WrongContentType,
    /// JSON that breaks off.
    BadJson,
    /// An empty body of type JSON.
    Empty,
}

/// The family of an endpoint: what metrics count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Echo,
    Health,
    Help,
    Bin,
    Chunked,
    Upload,
    Status,
    Delay,
    WebSocket,
    NoUsage,
    Digest,
    Headers,
    Ip,
    Sse,
    Ndjson,
    Drip,
    Grpc,
    /// No endpoint: the request was refused for its head.
    Rejected,
}

impl Endpoint {
    /// All of them, in the order of their discriminants, with their names in the metrics.
    pub(crate) const ALL: [(Self, &'static str); 18] = [
        (Self::Echo, "echo"),
        (Self::Health, "health"),
        (Self::Help, "help"),
        (Self::Bin, "bin"),
        (Self::Chunked, "chunked"),
        (Self::Upload, "upload"),
        (Self::Status, "status"),
        (Self::Delay, "delay"),
        (Self::WebSocket, "ws"),
        (Self::NoUsage, "nousage"),
        (Self::Digest, "digest"),
        (Self::Headers, "headers"),
        (Self::Ip, "ip"),
        (Self::Sse, "sse"),
        (Self::Ndjson, "ndjson"),
        (Self::Drip, "drip"),
        (Self::Grpc, "grpc"),
        (Self::Rejected, "rejected"),
    ];
}

/// A path or query that an endpoint can't make sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRoute {
    /// What was wrong.
    pub error: String,
    /// What is accepted.
    pub accepted: &'static str,
    /// A request that works.
    pub example: &'static str,
}

/// Targets that were routed before: steady traffic asks for few. Each has one place, by a hash.
#[derive(Debug)]
pub(crate) struct Known(Box<[KnownTarget; KNOWN]>);

const KNOWN: usize = 64;
/// Longer targets are not kept.
const LONGEST_KNOWN: usize = 40;

#[derive(Clone, Copy, Debug)]
struct KnownTarget {
    len: u8,
    text: [u8; LONGEST_KNOWN],
    endpoint: Endpoint,
    route: Route,
}

impl Default for Known {
    fn default() -> Self {
        let nothing =
            KnownTarget { len: 0, text: [0; LONGEST_KNOWN], endpoint: Endpoint::Echo, route: Route::Echo };
        Self(Box::new([nothing; KNOWN]))
    }
}

impl Known {
    /// Where a target leads, if it is known.
    #[inline]
    pub(crate) fn get(&self, target: &[u8]) -> Option<(Endpoint, Route)> {
        let known = &self.0[place(target)];
        let same = target.len() == usize::from(known.len) && known.text[..target.len()] == *target;
        (same && !target.is_empty()).then_some((known.endpoint, known.route))
    }

    /// Keeps where a target leads.
    pub(crate) fn keep(&mut self, target: &[u8], endpoint: Endpoint, route: Route) {
        if target.len() <= LONGEST_KNOWN {
            let known = &mut self.0[place(target)];
            *known = KnownTarget { len: target.len() as u8, text: [0; LONGEST_KNOWN], endpoint, route };
            known.text[..target.len()].copy_from_slice(target);
        }
    }
}

/// The end of a target tells more than its beginning.
fn place(target: &[u8]) -> usize {
    let end =
        target.iter().rev().take(8).fold(target.len() as u64, |hash, byte| hash << 8 ^ u64::from(*byte));
    (end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
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

fn websocket(mode: Mode, query: &str) -> Result<Route, BadRoute> {
    let bad = |name: &str, value: &str| BadRoute {
        error: format!("'{value}' is no {name}"),
        accepted: "/ws?fragment={size}&ping={duration}: a size from 1 byte to 1G, a duration from 10ms to 1h",
        example: "/ws?fragment=1K&ping=500ms",
    };
    let mut options = Options::plain(mode);
    if let Some(value) = parameter(query, "fragment") {
        let size = quantity::size(value).filter(|size| *size <= 1 << 30);
        let size = size.and_then(|size| NonZeroU32::new(size as u32));
        options.fragment = Some(size.ok_or_else(|| bad("fragment", value))?);
    }
    if let Some(value) = parameter(query, "ping") {
        let period = quantity::duration(value).filter(|period| PING_PERIODS.contains(period));
        options.ping = Some(period.ok_or_else(|| bad("ping", value))?);
    }
    Ok(Route::WebSocket(options))
}

fn bin(rest: &str, query: &str) -> Result<Route, BadRoute> {
    let size = quantity::size(rest).filter(|&size| size > 0 && size <= LARGEST).ok_or_else(|| BadRoute {
        error: format!("'{rest}' is no size"),
        accepted: "/bin/{size}: bytes from 1, or with K, M, G or T for powers of 1024, below 2^63",
        example: "/bin/64K",
    })?;
    let asked = |key| parameter(query, key).is_some_and(|value| matches!(value, "true" | "1" | "yes" | "on"));
    Ok(Route::Bin { size, chunked: asked("chunked"), digest: asked("digest") })
}

fn series(query: &str, example: &'static str) -> Result<Series, BadRoute> {
    let bad = |key: &str, text: &str| BadRoute {
        error: format!("'{text}' for {key}"),
        accepted: "?count={number}&delay={milliseconds}&jitter={milliseconds}: whole numbers; 0 is a count without end",
        example,
    };
    let read = |key, default, read: fn(&str) -> Option<u64>| match parameter(query, key) {
        None => Ok(default),
        Some(text) => read(text).ok_or_else(|| bad(key, text)),
    };
    let millis = |text: &str| millis(text).map(|delay| delay.as_millis() as u64);
    let count = read("count", 10, quantity::count)?;
    let delay = Duration::from_millis(read("delay", 1000, millis)?);
    let jitter = Duration::from_millis(read("jitter", 0, millis)?);
    Ok(Series { count: (count > 0).then_some(count), delay, jitter })
}

fn drip(query: &str) -> Result<Route, BadRoute> {
    let bad = |key: &str, text: &str| BadRoute {
        error: format!("'{text}' for {key}"),
        accepted: "/drip?size={bytes}&duration={milliseconds}&delay={milliseconds}: size from 1",
        example: "/drip?size=1K&duration=2000&delay=500",
    };
    let size = match parameter(query, "size") {
        None => 10,
        Some(text) => quantity::size(text)
            .filter(|size| (1..=LARGEST).contains(size))
            .ok_or_else(|| bad("size", text))?,
    };
    let time = |key, default| match parameter(query, key) {
        None => Ok(Duration::from_millis(default)),
        Some(text) => millis(text).ok_or_else(|| bad(key, text)),
    };
    Ok(Route::Drip { size, duration: time("duration", 2000)?, delay: time("delay", 0)? })
}

fn chunked(rest: &str, query: &str) -> Result<Route, BadRoute> {
    let bad = |error: String| BadRoute {
        error,
        accepted: "/chunked/{count}?size={bytes}&delay={milliseconds}: count and size from 1, delay from 0",
        example: "/chunked/10?size=1024&delay=100",
    };
    let count = quantity::count(rest)
        .filter(|&count| count > 0)
        .ok_or_else(|| bad(format!("'{rest}' is no count of chunks")))?;
    let size = match parameter(query, "size") {
        None => 1024,
        Some(text) => quantity::size(text)
            .filter(|&size| size > 0)
            .ok_or_else(|| bad(format!("'{text}' is no size of a chunk")))?,
    };
    let delay = match parameter(query, "delay") {
        None => Duration::ZERO,
        Some(text) => millis(text).ok_or_else(|| bad(format!("'{text}' is no delay in milliseconds")))?,
    };
    if count.checked_mul(size).is_none_or(|total| total > LARGEST) {
        return Err(bad(format!("{count} chunks of {size} bytes are more than 2^63 bytes")));
    }
    Ok(Route::Chunked { count, size, delay })
}

fn delay(rest: &str) -> Result<Route, BadRoute> {
    let (reply, read) = rest.split_once('/').map_or((rest, None), |(reply, read)| (reply, Some(read)));
    let bad = |error: String| BadRoute {
        error,
        accepted: "/delay/{reply_ms} or /delay/{reply_ms}/{read_ms}: whole milliseconds, not both 0",
        example: "/delay/250/10",
    };
    let number =
        |text: &str| millis(text).ok_or_else(|| bad(format!("'{text}' is no number of milliseconds")));
    let (reply, read) = (number(reply)?, read.map_or(Ok(Duration::ZERO), number)?);
    if reply.is_zero() && read.is_zero() {
        return Err(bad("both delays are 0".to_owned()));
    }
    Ok(Route::Delay { reply, read })
}

fn status(rest: &str) -> Result<Route, BadRoute> {
    quantity::count(rest)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (200..=599).contains(code))
        .map(Route::Status)
        .ok_or_else(|| BadRoute {
            error: format!("'{rest}' is no status of a final response"),
            accepted: "/status/{code}: 200 to 599",
            example: "/status/503",
        })
}

/// At most about 49 days, which timers can hold.
fn millis(text: &str) -> Option<Duration> {
    quantity::count(text).filter(|&millis| millis <= u64::from(u32::MAX)).map(Duration::from_millis)
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
mod tests {
    use super::*;

    fn ok(target: &str) -> Route {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        route(path, query).1.unwrap()
    }

    #[test]
    fn every_endpoint_is_found() {
        let ms = Duration::from_millis;
        for (target, expected) in [
            ("/", Route::Echo),
            ("/anything/else?x=1", Route::Echo),
            ("/wsfoo", Route::Echo),
            ("/bin", Route::Echo),
            ("/upload/x", Route::Echo),
            ("/health", Route::Health),
            ("/help", Route::Help),
            ("/bin/1", Route::Bin { size: 1, chunked: false, digest: false }),
            ("/bin/10000G", Route::Bin { size: 10_000 << 30, chunked: false, digest: false }),
            ("/bin/2k?chunked=on", Route::Bin { size: 2048, chunked: true, digest: false }),
            ("/bin/2k?chunked=no", Route::Bin { size: 2048, chunked: false, digest: false }),
            ("/bin/7?digest=1", Route::Bin { size: 7, chunked: false, digest: true }),
            ("/digest", Route::Digest),
            ("/headers", Route::Headers),
            ("/ip", Route::Ip),
            ("/sse", Route::Sse(Series { count: Some(10), delay: ms(1000), jitter: ms(0) })),
            (
                "/ndjson?count=0&jitter=5&delay=2",
                Route::Ndjson(Series { count: None, delay: ms(2), jitter: ms(5) }),
            ),
            ("/drip", Route::Drip { size: 10, duration: ms(2000), delay: ms(0) }),
            ("/drip?delay=5&size=1K&duration=9", Route::Drip { size: 1024, duration: ms(9), delay: ms(5) }),
            ("/chunked/3", Route::Chunked { count: 3, size: 1024, delay: ms(0) }),
            ("/chunked/3?delay=5&size=7", Route::Chunked { count: 3, size: 7, delay: ms(5) }),
            ("/upload", Route::Upload),
            ("/status/200", Route::Status(200)),
            ("/status/599", Route::Status(599)),
            ("/delay/5", Route::Delay { reply: ms(5), read: ms(0) }),
            ("/delay/0/7", Route::Delay { reply: ms(0), read: ms(7) }),
            ("/ws", Route::WebSocket(Options::plain(Mode::Echo))),
            ("/ws/room/1?x=1", Route::WebSocket(Options::plain(Mode::Echo))),
            ("/ws/close", Route::WebSocket(Options::plain(Mode::EchoOnceAndClose))),
            (
                "/ws?ping=1s&fragment=2K",
                Route::WebSocket(Options {
                    fragment: NonZeroU32::new(2048),
                    ping: Some(ms(1000)),
                    ..Options::plain(Mode::Echo)
                }),
            ),
            ("/nousage", Route::NoUsage(NoUsage::Plain)),
            ("/nousage/wrongct", Route::NoUsage(NoUsage::WrongContentType)),
            ("/nousage/badjson", Route::NoUsage(NoUsage::BadJson)),
            ("/nousage/empty", Route::NoUsage(NoUsage::Empty)),
        ] {
            assert_eq!(ok(target), expected, "{target}");
        }
    }

    #[test]
    fn what_is_known_is_what_was_found() {
        let mut known = Known::default();
        let targets = ["/", "/bin/1K", "/bin/2K", "/bin/1K?chunked=1", "/status/404", "/x/y"];
        for _ in 0..2 {
            for target in targets {
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let (endpoint, found) = route(path, query);
                let found = found.unwrap();
                if let Some(remembered) = known.get(target.as_bytes()) {
                    assert_eq!(remembered, (endpoint, found), "{target}");
                }
                known.keep(target.as_bytes(), endpoint, found);
                assert_eq!(known.get(target.as_bytes()), Some((endpoint, found)), "{target}");
            }
        }
        assert_eq!(known.get(b""), None);
        assert_eq!(known.get("/long".repeat(99).as_bytes()), None);
    }

    #[test]
    fn bad_parameters_are_named_and_keep_their_endpoint() {
        for (target, endpoint) in [
            ("/bin/", Endpoint::Bin),
            ("/bin/0", Endpoint::Bin),
            ("/bin/-1", Endpoint::Bin),
            ("/bin/invalid", Endpoint::Bin),
            ("/bin/9999999999999T", Endpoint::Bin),
            ("/bin/9223372036854775808", Endpoint::Bin),
            ("/chunked/1?size=9223372036854775808", Endpoint::Chunked),
            ("/chunked/", Endpoint::Chunked),
            ("/chunked/0", Endpoint::Chunked),
            ("/chunked/abc", Endpoint::Chunked),
            ("/chunked/3?size=0", Endpoint::Chunked),
            ("/chunked/3?size=x", Endpoint::Chunked),
            ("/chunked/3?delay=-1", Endpoint::Chunked),
            ("/chunked/9223372036854775807?size=3", Endpoint::Chunked),
            ("/sse?count=x", Endpoint::Sse),
            ("/sse?delay=-1", Endpoint::Sse),
            ("/ndjson?jitter=1s", Endpoint::Ndjson),
            ("/drip?size=0", Endpoint::Drip),
            ("/drip?duration=soon", Endpoint::Drip),
            ("/status/", Endpoint::Status),
            ("/status/abc", Endpoint::Status),
            ("/status/199", Endpoint::Status),
            ("/status/600", Endpoint::Status),
            ("/status/200/x", Endpoint::Status),
            ("/delay/", Endpoint::Delay),
            ("/delay/0", Endpoint::Delay),
            ("/delay/0/0", Endpoint::Delay),
            ("/delay/1/x", Endpoint::Delay),
            ("/delay/1/2/3", Endpoint::Delay),
            ("/ws?fragment=0", Endpoint::WebSocket),
            ("/ws?fragment=2G", Endpoint::WebSocket),
            ("/ws?fragment=x", Endpoint::WebSocket),
            ("/ws/close?ping=1ms", Endpoint::WebSocket),
            ("/ws?ping=soon", Endpoint::WebSocket),
        ] {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let (found, result) = route(path, query);
            assert_eq!(found, endpoint, "{target}");
            let bad = result.expect_err(target);
            let (example_path, example_query) = bad.example.split_once('?').unwrap_or((bad.example, ""));
            assert!(route(example_path, example_query).1.is_ok(), "the example of {target} works");
        }
    }

    #[test]
    fn endpoints_are_listed_in_order() {
        for (index, (endpoint, _)) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, index);
        }
    }
}
