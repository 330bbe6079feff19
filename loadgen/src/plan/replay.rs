//! A replay of an access log: its requests, in the order and at the distances in which they began.
//!
//! Logs are written when requests end, often to the second: what took long is due that much earlier, and what shares a
//! second is spread over it.

use std::{
    io::{self, BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use super::{
    PlanError,
    accepted::{self, refused_because},
    access_log::{self, Logged},
    target::{self, Braces},
};
use contract::quantity::LONGEST_TIME;

use crate::clock::Nanos;

/// The maximum number of requests of a log.
pub const MAX_REPLAYED: usize = 1_000_000;

/// The maximum number of bytes of the targets of all of them.
const MAX_TARGETS: usize = 1 << 30;

/// The longest line, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// A line that is skipped is at most this long, in bytes: what has no line ends at all is not a log.
const MAX_SKIPPED: u64 = 16 << 20;

/// The maximum number of lines that are looked at.
const MAX_LINES: u64 = 100_000_000;

/// The largest log, in bytes.
const MAX_LOG: u64 = 16 << 30;

/// Different methods, at most.
const MAX_METHODS: usize = 32;

/// How fast it is, from a thousandth to a thousand times as fast as it was.
pub(crate) const SPEEDS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// A log that has been read.
#[derive(Clone, Debug)]
pub(super) struct ReplayLog {
    /// When each request is due, in nanoseconds after the start, in order.
    pub(super) due: Arc<[Nanos]>,
    /// Which method each has, by its index.
    pub(super) methods_of: Vec<u32>,
    /// Each method with the paths of its requests, in order.
    pub(super) methods: Vec<(String, Vec<String>)>,
    pub(super) skipped: Skipped,
}

/// Lines that had no request that can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many there were.
    pub lines: u64,
    /// Where the first one was, and what it lacked.
    pub first: Option<(u64, String)>,
}

impl Skipped {
    fn add(&mut self, line: u64, why: &str) {
        self.lines += 1;
        self.first.get_or_insert_with(|| (line, why.to_owned()));
    }
}

impl ReplayLog {
    /// Reads a file, whose time passes `speed` times as fast; at most the first `total` requests, and those that are due
    /// before `length` has passed.
    pub(super) fn read(path: &Path, speed: f64) -> Result<Self, PlanError> {
        let refused = |why: String| refused_because(&accepted::REPLAY, path.display(), why);
        let file = runtime::files::open(path).map_err(|error| refused(error.to_string()))?;
        let mut reader = BufReader::with_capacity(1 << 20, io::Read::take(file, MAX_LOG));
        let (mut all, mut skipped, mut bytes) = (Vec::new(), Skipped::default(), 0);
        let mut line = Vec::new();
        for number in 1..=MAX_LINES {
            line.clear();
            let count = io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line);
            match count.map_err(|error| refused(error.to_string()))? {
                0 => break,
                count if count as u64 == MAX_LINE && !line.ends_with(b"\n") => {
                    skipped.add(number, "more than 64K");
                    if !skip_line(&mut reader).map_err(|error| refused(error.to_string()))? {
                        return Err(refused(format!("line {number} is longer than 16M")));
                    }
                    continue;
                }
                _ => {}
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                skipped.add(number, "not UTF-8");
                continue;
            };
            if text.trim().is_empty() {
                continue;
            }
            match access_log::read(text).and_then(|logged| sendable(&logged).map(|()| logged)) {
                Ok(logged) => {
                    bytes += logged.path.len();
                    all.push(logged);
                }
                Err(why) => skipped.add(number, why),
            }
            if all.len() > MAX_REPLAYED || bytes > MAX_TARGETS {
                return Err(refused(format!(
                    "it has more than {MAX_REPLAYED} requests, or targets of more than 1G"
                )));
            }
        }
        let is_cut = reader.get_ref().limit() == 0
            || !reader.fill_buf().map_err(|error| refused(error.to_string()))?.is_empty();
        if is_cut {
            return Err(refused(format!("it has more than 16G, or {MAX_LINES} lines")));
        }
        Self::of(all, speed, skipped).map_err(refused)
    }

    fn of(mut all: Vec<Logged>, speed: f64, skipped: Skipped) -> Result<Self, String> {
        if all.is_empty() {
            let first = skipped.first.as_ref().map(|(line, why)| format!(": line {line} has {why}"));
            return Err(format!("it has no request{}", first.unwrap_or_default()));
        }
        spread(&mut all);
        all.iter_mut().for_each(|logged| logged.at -= logged.took);
        // Those of the same time stay in the order of the log.
        all.sort_by_key(|logged| logged.at);
        let begin = all[0].at;
        let length = (all[all.len() - 1].at - begin) as f64 / speed;
        if length > LONGEST_TIME.as_nanos() as f64 {
            let years = length / 1e9 / 86_400.0 / 365.0;
            return Err(format!(
                "it would last for {years:.1} years, from its first request to its last; at most 8760h"
            ));
        }
        let due = |logged: &Logged| ((logged.at - begin) as f64 / speed) as Nanos;
        let due: Arc<[Nanos]> = all.iter().map(due).collect();
        let mut methods: Vec<(String, Vec<String>)> = Vec::new();
        let mut methods_of = Vec::with_capacity(all.len());
        for Logged { method, path, .. } in all {
            let index = match methods.iter().position(|(known, _)| *known == method) {
                Some(index) => index,
                None if methods.len() == MAX_METHODS => {
                    return Err(format!("it has more than {MAX_METHODS} different methods"));
                }
                None => {
                    methods.push((method, Vec::new()));
                    methods.len() - 1
                }
            };
            methods[index].1.push(path);
            methods_of.push(index as u32);
        }
        Ok(Self { due, methods_of, methods, skipped })
    }
}

/// The method and the target of the request that a line of a log has, if it can be sent.
#[must_use]
pub fn request_of(line: &str) -> Option<(String, String)> {
    let logged = access_log::read(line).ok()?;
    sendable(&logged).ok()?;
    Some((logged.method, logged.path))
}

/// Goes on to the end of a line; false: it is too far.
fn skip_line(reader: &mut impl BufRead) -> io::Result<bool> {
    let mut skipped = 0;
    while skipped < MAX_SKIPPED {
        let part = reader.fill_buf()?;
        let end = part.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(part.len(), |end| end + 1);
        let is_end = part.is_empty() || end.is_some();
        reader.consume(count);
        if is_end {
            return Ok(true);
        }
        skipped += count as u64;
    }
    Ok(false)
}

/// Whether it can be sent.
fn sendable(logged: &Logged) -> Result<(), &'static str> {
    let is_method = logged.method.parse::<http::Method>().is_ok_and(|method| method != http::Method::CONNECT);
    if !is_method {
        return Err("no method that can be sent");
    }
    target::path(&logged.path, Braces::Literal).map(drop).map_err(|_| "a path that can't be sent")
}

/// Requests whose stamps share a whole second lie evenly within it.
fn spread(all: &mut [Logged]) {
    const SECOND: i128 = 1_000_000_000;
    let mut of_second = std::collections::HashMap::<i128, (u64, u64)>::new();
    for logged in all.iter().filter(|logged| logged.is_coarse) {
        of_second.entry(logged.at).or_default().0 += 1;
    }
    for logged in all.iter_mut().filter(|logged| logged.is_coarse) {
        if let Some((count, nth)) = of_second.get_mut(&logged.at) {
            logged.at += SECOND * i128::from(*nth) / i128::from(*count);
            *nth += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(at_ms: i64, is_coarse: bool, took_ms: i64, path: &str) -> Logged {
        Logged {
            at: i128::from(at_ms) * 1_000_000,
            is_coarse,
            took: i128::from(took_ms) * 1_000_000,
            method: if path.contains("post") { "POST" } else { "GET" }.to_owned(),
            path: path.to_owned(),
        }
    }

    fn due_ms(replay: &ReplayLog) -> Vec<u64> {
        replay.due.iter().map(|at| at / 1_000_000).collect()
    }

    #[test]
    fn a_second_is_spread_what_took_long_began_before_and_all_is_sorted() {
        let all = vec![
            logged(1000, true, 0, "/a"),
            logged(1000, true, 0, "/post"),
            logged(2000, true, 0, "/b"),
            logged(1000, true, 500, "/c"),
            logged(1000, true, 0, "/d"),
        ];
        let replay = ReplayLog::of(all, 1.0, Skipped::default()).unwrap();
        // /a at 1000, /post at 1250, /c at 1500 less 500, /d at 1750, /b at 2000.
        assert_eq!(due_ms(&replay), [0, 0, 250, 750, 1000]);
        assert_eq!(replay.methods_of, [0, 0, 1, 0, 0]);
        let paths: Vec<_> =
            replay.methods.iter().map(|(method, paths)| (method.as_str(), paths.join(" "))).collect();
        assert_eq!(paths, [("GET", "/a /c /d /b".to_owned()), ("POST", "/post".to_owned())]);
    }

    #[test]
    fn time_passes_as_fast_as_is_said() {
        let all =
            || vec![logged(0, false, 0, "/a"), logged(1000, false, 0, "/b"), logged(3000, false, 0, "/c")];
        for (speed, expected) in [(2.0, [0, 500, 1500]), (0.5, [0, 2000, 6000]), (1000.0, [0, 1, 3])] {
            assert_eq!(due_ms(&ReplayLog::of(all(), speed, Skipped::default()).unwrap()), expected);
        }
    }
}
