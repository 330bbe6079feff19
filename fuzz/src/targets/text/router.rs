//! Request targets: what leads somewhere has numbers within bounds, and what is refused says what works.

use std::time::Duration;

use contract::{field::TOKEN_KEY, id::Id, quantity::LARGEST_SIZE};
use dummy_server::fuzzing::{self, BadRoute, Route, Series};

use super::{MOST_MILLIS, text};
use crate::feedback::met;

/// Words that targets are made of.
pub const WORDS: &[&[u8]] = &[
    b"/",
    b"?",
    b"&",
    b"=",
    b"/bin/",
    b"/chunked/",
    b"/sse",
    b"/ndjson",
    b"/drip",
    b"/status/",
    b"/delay/",
    b"/ws",
    b"/ws/close",
    b"/nousage",
    b"/upload",
    b"size=",
    b"count=",
    b"delay=",
    b"jitter=",
    b"duration=",
    b"fragment=",
    b"ping=",
    b"chunked=true",
    b"digest=1",
    b"0",
    b"1",
    b"503",
    b"1K",
    b"100T",
    b"8388607T",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551616",
    b"10ms",
    b"1h",
    b"-1",
    b"%00",
    b"dummy-token=",
    b"dummy-token=00000abc-00-00000000000000ff-01",
];

/// Routes an input.
pub fn run(input: &[u8]) {
    find_token(input);
    let text = text(input);
    let (endpoint, routed) = fuzzing::target(&text);
    match routed {
        Ok(route) => {
            let (size, time) = greatest(route);
            assert!(size <= LARGEST_SIZE && time.as_millis() <= MOST_MILLIS, "{text}: {route:?}");
            met((endpoint, size.checked_ilog2(), time.is_zero()));
        }
        Err(BadRoute { error, accepted, example }) => {
            assert!(!error.is_empty() && !accepted.is_empty());
            assert!(fuzzing::target(example).1.is_ok(), "{example}");
            // What was wrong repeats the input: it would always be new.
            met((endpoint, accepted));
        }
    }
}

/// The greatest numbers of a route: in bytes, and the longest time.
fn greatest(route: Route) -> (u64, Duration) {
    let none = Duration::ZERO;
    match route {
        Route::Bin { size, .. } => (size, none),
        Route::Chunked { total, size, delay } => (total.max(size), delay),
        Route::Sse(Series { delay, jitter, .. }) | Route::Ndjson(Series { delay, jitter, .. }) => {
            (0, delay.max(jitter))
        }
        Route::Drip { size, duration, delay } => (size, duration.max(delay)),
        Route::Delay { reply, read } => (0, reply.max(read)),
        Route::WebSocket(options) => {
            (options.fragment.map_or(0, |size| size.get().into()), options.ping.unwrap_or(none))
        }
        Route::Echo
        | Route::Health
        | Route::Help
        | Route::Ledger { .. }
        | Route::Upload
        | Route::Digest
        | Route::Headers
        | Route::Ip
        | Route::Status(_)
        | Route::NoUsage(_) => (0, none),
    }
}

/// A token is found where one stands as it is written, and nowhere else.
fn find_token(target: &[u8]) {
    let token = fuzzing::token_in_query(target).and_then(Id::read);
    let starts_with = |pair: &[u8]| {
        let id = pair.strip_prefix(format!("{TOKEN_KEY}=").as_bytes()).and_then(Id::read);
        id.filter(|id| pair.ends_with(&id.text()))
    };
    let query = target.iter().position(|byte| *byte == b'?').map(|mark| &target[mark + 1..]);
    assert_eq!(token, query.unwrap_or_default().split(|byte| *byte == b'&').find_map(starts_with));
    met(("token", token.map(|id| (id.attempt == 0, id.load == 0))));
}
