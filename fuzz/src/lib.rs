//! Fuzz targets for what reads bytes from strangers: HPACK, both roles of HTTP/2, both roles of HTTP/1, PROXY headers,
//! frames of WebSocket, content codings; request targets, behaviours, numbers, gRPC plans, ranges, loadgen's arguments and what it has kept of runs, ledgers; and whole
//! requests to a server in this process. They need no more than stable Rust: inputs are mutated with a seed, and kept when a target says
//! that it met something new ([`feedback`]), instead of by instrumented code.
//!
//! ```text
//! cargo run -p fuzz -- http2-server --seconds 60 --seed 7
//! ```
//!
//! A target is a function of bytes that panics when something is wrong: not only when the code under test panics,
//! but also when the same bytes in other pieces mean something else, or when what is kept does not agree with what
//! was said. Inputs that fail are saved, and become files in `corpus/<target>/` with the fix; the tests replay all
//! of those. Nothing here opens a socket or reads a clock but `main.rs` and
//! [`targets::live`].

pub mod feedback;
pub mod mutate;
#[path = "../../crates/http2/src/random.rs"]
mod random;
pub mod targets;

/// A target and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its folder in `corpus/`.
    pub name: &'static str,
    /// Takes an input; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Words that inputs are made of, for the mutations.
    pub words: &'static [&'static [u8]],
    /// Bytes of an input before its frames, if it is made of frames of HTTP/2.
    pub frames_after: Option<usize>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "hpack", run: targets::hpack::run, words: targets::hpack::WORDS, frames_after: None },
    Target {
        name: "http2-server",
        run: targets::http2::server,
        words: targets::http2::WORDS,
        frames_after: Some(targets::http2::CONFIG),
    },
    Target {
        name: "http2-client",
        run: targets::http2::client,
        words: targets::http2::WORDS,
        frames_after: Some(targets::http2::CONFIG),
    },
    Target {
        name: "http1-request",
        run: targets::http1::request,
        words: targets::http1::WORDS,
        frames_after: None,
    },
    Target {
        name: "http1-response",
        run: targets::http1::response,
        words: targets::http1::WORDS,
        frames_after: None,
    },
    Target {
        name: "proxy-header",
        run: targets::proxy_header::run,
        words: targets::proxy_header::WORDS,
        frames_after: None,
    },
    Target {
        name: "websocket",
        run: targets::websocket::run,
        words: targets::websocket::WORDS,
        frames_after: None,
    },
    Target {
        name: "content-coding",
        run: targets::content_coding::run,
        words: targets::content_coding::WORDS,
        frames_after: None,
    },
    Target {
        name: "plan-file",
        run: targets::text::plan_file::run,
        words: targets::text::plan_file::WORDS,
        frames_after: None,
    },
    Target {
        name: "access-log",
        run: targets::text::access_log::run,
        words: targets::text::access_log::WORDS,
        frames_after: None,
    },
    Target {
        name: "template",
        run: targets::text::template::run,
        words: targets::text::template::WORDS,
        frames_after: None,
    },
    Target {
        name: "router",
        run: targets::text::router::run,
        words: targets::text::router::WORDS,
        frames_after: None,
    },
    Target {
        name: "behaviour",
        run: targets::text::behaviour::run,
        words: targets::text::behaviour::WORDS,
        frames_after: None,
    },
    Target {
        name: "quantity",
        run: targets::text::quantity::run,
        words: targets::text::quantity::WORDS,
        frames_after: None,
    },
    Target {
        name: "plan",
        run: targets::text::plan::run,
        words: targets::text::plan::WORDS,
        frames_after: None,
    },
    Target {
        name: "range",
        run: targets::text::range::run,
        words: targets::text::range::WORDS,
        frames_after: None,
    },
    Target {
        name: "arguments",
        run: targets::text::arguments::run,
        words: targets::text::arguments::WORDS,
        frames_after: None,
    },
    Target {
        name: "records",
        run: targets::text::records::run,
        words: targets::text::records::WORDS,
        frames_after: None,
    },
    Target {
        name: "ledger",
        run: targets::text::ledger::run,
        words: targets::text::ledger::WORDS,
        frames_after: None,
    },
    Target {
        name: "put-behaviour",
        run: targets::live::put_behaviour,
        words: targets::text::behaviour::WORDS,
        frames_after: None,
    },
    Target { name: "live", run: targets::live::requests, words: targets::live::WORDS, frames_after: None },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
