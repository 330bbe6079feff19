//! wrk, over HTTP/1.1.

use super::{Client, Outcome, span, url, whole};
use crate::{load::Load, tools::Tool};

/// The program.
pub(crate) const PROGRAM: Tool = Tool::Client("wrk", Some("-v"));

/// wrk.
#[derive(Debug)]
pub struct Wrk;

impl Client for Wrk {
    fn tool(&self) -> Option<Tool> {
        Some(PROGRAM)
    }

    fn arguments(&self, load: &Load, port: u16) -> Vec<String> {
        vec!["-t1".to_owned(), format!("-c{}", load.connections), whole("-d", load, "s"), url(load, port)]
    }

    /// "  99230 requests in 3.00s, ..."; errors are mentioned when there are any.
    fn read(&self, printed: &str) -> Option<Outcome> {
        let last_number = |text: &str| text.split_whitespace().last()?.parse::<u64>().ok();
        let line = printed.lines().find(|line| line.contains(" requests in "))?;
        let (requests, rest) = line.trim().split_once(" requests in ")?;
        let seconds = span(rest.split(',').next()?)?;
        let mut errors = 0;
        for line in printed.lines() {
            if let Some((_, list)) = line.split_once("Socket errors:") {
                errors += list.split(',').filter_map(last_number).sum::<u64>();
            } else if let Some((_, count)) = line.split_once("Non-2xx or 3xx responses:") {
                errors += last_number(count)?;
            }
        }
        Some(Outcome::closed(requests.parse().ok()?, errors, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_parsed_with_and_without_errors() {
        let clean = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 50 connections\n\
            \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n  559210 requests in 3.10s, 601.25MB read\n\
            Requests/sec: 180390.32\n";
        assert_eq!(Wrk.read(clean), Some(Outcome::closed(559_210, 0, 3.1)));
        let bad = "  90 requests in 1.02m, 1.25MB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n\
            \x20 Non-2xx or 3xx responses: 5\n";
        let bad = Wrk.read(bad).unwrap();
        assert_eq!(bad.errors, 15);
        assert!((bad.seconds.unwrap() - 61.2).abs() < 1e-9);
    }
}
