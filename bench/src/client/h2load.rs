//! h2load, of nghttp2.

use std::fs;

use anyhow::Result;

use super::{Client, Outcome, Place, check_reply, mixed::mixed, span, url, whole, words};
use crate::{
    load::{Body, Load, Protocol},
    probe,
    tools::Tool,
};

/// Name of the file of mixed paths.
const PATHS: &str = "mixed-paths.txt";

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("h2load", Some("--version"));

/// h2load.
#[derive(Debug)]
pub struct H2load {
    /// A field of each request.
    field: Option<&'static str>,
    /// Whether it asks for the paths of [`mixed`] instead of the body's.
    mixed: bool,
}

/// h2load.
pub static H2LOAD: H2load = H2load { field: None, mixed: false };
/// With a field that asks for a behaviour.
pub static H2LOAD_ASKING: H2load = H2load { field: Some("x-dummy-header: x-asked: 1"), mixed: false };
/// With paths of [`Body::K1`] that are all different.
pub static H2LOAD_MIXED: H2load = H2load { field: None, mixed: true };

impl Client for H2load {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        let (connections, streams) = (format!("-c{}", load.connections), format!("-m{}", load.streams));
        let mut list = words(["-t1", &connections, &streams, &whole("-D", load, "")]);
        if load.protocol == Protocol::Http1 {
            list.extend(words(["--h1"]));
        }
        if let Some(field) = self.field {
            list.extend(words(["-H", field]));
        }
        list.extend(if self.mixed {
            // Without the base it would ask as the first path says, which names no host.
            words(["-i", &format!("{{dir}}/{PATHS}"), "-B", &format!("http://127.0.0.1:{port}")])
        } else {
            words([&url(load, port)])
        });
        list
    }

    /// "finished in 1.00s, ...", "requests: 10 total, 10 started, 10 done, ...", "status codes: 10 2xx, ...".
    fn read(&self, printed: &str) -> Option<Outcome> {
        let after = |start| printed.lines().find_map(|line: &str| line.strip_prefix(start));
        let seconds = span(after("finished in ")?.split(',').next()?)?;
        let counts = after("requests: ")?;
        let requests = before(counts, "done")?;
        // Failed are errored and timed-out ones together.
        let failed = before(counts, "failed")?;
        let statuses = after("status codes: ")?;
        let refused =
            ["3xx", "4xx", "5xx"].iter().map(|class| before(statuses, class)).sum::<Option<u64>>()?;
        Some(Outcome::closed(requests, failed + refused, seconds))
    }

    fn prepare(&self, load: &Load, at: &Place<'_>) -> Result<()> {
        if !self.mixed {
            return check_reply(load, at);
        }
        fs::write(at.dir.join(PATHS), mixed().map(|path| path + "\n").collect::<String>())?;
        // One path of each kind.
        let mut samples = mixed().take(Body::K1.paths().len());
        samples.try_for_each(|path| probe::check(at.port, load.protocol, &path, Body::K1.size()))
    }
}

/// The number before `word` in "10 total, 3 done".
fn before(text: &str, word: &str) -> Option<u64> {
    text.split(',').find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::load, *};
    use crate::{args::Mode, responder::Responder, tools::Tools};

    #[test]
    fn h2load_reads_mixed_paths_from_a_file() {
        let words = H2LOAD_MIXED.arguments(&load(Mode::Server, "h2c-mixed"), 7).join(" ");
        assert_eq!(words, "-t1 -c10 -m100 -D1 -i {dir}/mixed-paths.txt -B http://127.0.0.1:7");
        let dir = tempfile::tempdir().unwrap();
        let server = Responder::start(runtime::affinity::allowed()[0], &Body::K1.bytes()).unwrap();
        let at = Place { port: server.port(), cpu: 0, tools: &Tools::at([]), dir: dir.path() };
        // The bare responder answers every path.
        H2LOAD_MIXED.prepare(&load(Mode::Server, "h2c-mixed"), &at).unwrap();
        let text = fs::read_to_string(dir.path().join(PATHS)).unwrap();
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.starts_with("/bin/1K?id="), "{}", &text[..100]);
    }

    #[test]
    fn output_is_parsed_with_and_without_errors() {
        let clean = "finished in 1.00s, 99230.00 req/s, 99.65MB/s\n\
            requests: 99230 total, 99250 started, 99230 done, 99230 succeeded, 0 failed, 0 errored, 0 timeout\n\
            status codes: 99230 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(H2LOAD.read(clean), Some(Outcome::closed(99_230, 0, 1.0)));
        let bad = "finished in 12.50ms, 1.00 req/s, 1MB/s\n\
            requests: 10 total, 10 started, 8 done, 5 succeeded, 2 failed, 2 errored, 0 timeout\n\
            status codes: 5 2xx, 0 3xx, 1 4xx, 2 5xx\n";
        assert_eq!(H2LOAD.read(bad), Some(Outcome::closed(8, 5, 0.0125)));
    }
}
