//! Where targets lead, and which are refused.

use super::*;

fn ok(target: &str) -> Route {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    route(path, query).1.unwrap()
}

fn plain(mode: Mode) -> Options {
    Options { mode, fragment: None, ping: None }
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
        ("/chunked/3", Route::Chunked { total: 3072, size: 1024, delay: ms(0) }),
        ("/chunked/3?delay=5&size=7", Route::Chunked { total: 21, size: 7, delay: ms(5) }),
        ("/upload", Route::Upload),
        ("/status/200", Route::Status(200)),
        ("/status/599", Route::Status(599)),
        ("/delay/5", Route::Delay { reply: ms(5), read: ms(0) }),
        ("/delay/0/7", Route::Delay { reply: ms(0), read: ms(7) }),
        ("/ws", Route::WebSocket(plain(Mode::Echo))),
        ("/ws/room/1?x=1", Route::WebSocket(plain(Mode::Echo))),
        ("/ws/close", Route::WebSocket(plain(Mode::EchoOnceAndClose))),
        (
            "/ws?ping=1s&fragment=2K",
            Route::WebSocket(Options {
                fragment: NonZeroU32::new(2048),
                ping: Some(ms(1000)),
                ..plain(Mode::Echo)
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
    for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
        assert_eq!(endpoint as usize, index);
    }
}
