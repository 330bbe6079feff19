//! What each client prints, read into one shape. A text without the expected numbers is no outcome: a
//! client that changes its words is noticed and never counted as zero.

use serde_json::Value;

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Requests with a whole reply, whatever its status.
    pub requests: u64,
    /// Requests without a whole reply, and replies that are no success.
    pub errors: u64,
    /// How long the client measured by its own word.
    pub seconds: Option<f64>,
    /// Requests sent, where the client counts them apart.
    pub sent: Option<u64>,
    /// 99th percentile of due to picked up, microseconds, where the client paces.
    pub lag_p99_us: Option<f64>,
}

impl Outcome {
    const fn closed(requests: u64, errors: u64, seconds: f64) -> Self {
        Self { requests, errors, seconds: Some(seconds), sent: None, lag_p99_us: None }
    }
}

/// "  99230 requests in 3.00s, ..."; errors are mentioned when there are any.
pub(super) fn wrk(text: &str) -> Option<Outcome> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let seconds = span(rest.split(',').next()?)?;
    let mut errors = 0;
    for line in text.lines() {
        if let Some((_, list)) = line.split_once("Socket errors:") {
            errors += list.split(',').filter_map(last_number).sum::<u64>();
        } else if let Some((_, count)) = line.split_once("Non-2xx or 3xx responses:") {
            errors += last_number(count)?;
        }
    }
    Some(Outcome::closed(requests.parse().ok()?, errors, seconds))
}

/// "finished in 1.00s, ...", "requests: 10 total, 10 started, 10 done, ...", "status codes: 10 2xx, ...".
pub(super) fn h2load(text: &str) -> Option<Outcome> {
    let after = |start| text.lines().find_map(|line: &str| line.strip_prefix(start));
    let seconds = span(after("finished in ")?.split(',').next()?)?;
    let counts = after("requests: ")?;
    let requests = before(counts, "done")?;
    // Failed are errored and timed-out ones together.
    let failed = before(counts, "failed")?;
    let statuses = after("status codes: ")?;
    let refused = ["3xx", "4xx", "5xx"].iter().map(|class| before(statuses, class)).sum::<Option<u64>>()?;
    Some(Outcome::closed(requests, failed + refused, seconds))
}

/// "Total: 1.0 secs", "Requests/sec: 10.0", lists of "[200] 10 responses" and "[3] some error".
pub(super) fn hey(text: &str) -> Option<Outcome> {
    let after = |start| text.lines().find_map(|line: &str| line.trim().strip_prefix(start));
    let seconds: f64 = after("Total:")?.split_whitespace().next()?.parse().ok()?;
    // The list of statuses stops counting at a million; the rate does not.
    let rate: f64 = after("Requests/sec:")?.trim().parse().ok()?;
    let statuses = text.split_once("Status code distribution:")?.1;
    let (statuses, failures) = statuses.split_once("Error distribution:").unwrap_or((statuses, ""));
    let refused: u64 =
        listed(statuses).filter(|(status, _)| !(200..300).contains(status)).filter_map(|(_, n)| n).sum();
    let failed: u64 = listed(failures).map(|(count, _)| count).sum();
    Some(Outcome::closed((seconds * rate).round() as u64 - failed, refused + failed, seconds))
}

/// JSON; what the end of the time cut off is no error.
pub(super) fn oha(text: &str) -> Option<Outcome> {
    const CUT_OFF: &str = "aborted due to deadline";
    let json: Value = serde_json::from_str(text).ok()?;
    let statuses = json.get("statusCodeDistribution")?.as_object()?;
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let requests = statuses.values().map(count).sum();
    let refused: u64 =
        statuses.iter().filter(|(status, _)| !status.starts_with('2')).map(|(_, n)| count(n)).sum();
    let failures = json.get("errorDistribution")?.as_object()?;
    let failed: u64 = failures.iter().filter(|(what, _)| *what != CUT_OFF).map(|(_, n)| count(n)).sum();
    let seconds = json.get("summary")?.get("total")?.as_f64()?;
    Some(Outcome::closed(requests, refused + failed, seconds))
}

/// The report of loadgen.
pub(super) fn loadgen(text: &str) -> Option<Outcome> {
    let json: Value = serde_json::from_str(text).ok()?;
    let requests = json.get("requests")?;
    let count = |name| requests.get(name)?.as_u64();
    let (sent, succeeded) = (count("sent")?, count("succeeded")?);
    Some(Outcome {
        requests: count("completed")?,
        // Dropped and never sent ones are errors too: no row allows any.
        errors: sent - succeeded + count("dropped")? + count("not_sent")?,
        seconds: json.get("elapsed_seconds").and_then(Value::as_f64),
        sent: Some(sent),
        lag_p99_us: json.get("release_lag_us")?.get("p99")?.as_f64(),
    })
}

/// "1.00s", "12.5ms", "1.02m": what wrk and h2load write.
fn span(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

fn last_number(text: &str) -> Option<u64> {
    text.split_whitespace().last()?.parse().ok()
}

/// The number before `word` in "10 total, 3 done".
fn before(text: &str, word: &str) -> Option<u64> {
    text.split(',').find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
}

/// The numbers of lines like "[200] 10 responses": the one in brackets, and the one after it.
fn listed(text: &str) -> impl Iterator<Item = (u64, Option<u64>)> {
    text.lines().filter_map(|line| {
        let (bracketed, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
        Some((bracketed.parse().ok()?, rest.split_whitespace().next().and_then(|word| word.parse().ok())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_without_and_with_errors() {
        let clean = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 50 connections\n\
            \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n  559210 requests in 3.10s, 601.25MB read\n\
            Requests/sec: 180390.32\n";
        assert_eq!(wrk(clean), Some(Outcome::closed(559_210, 0, 3.1)));
        let bad = "  90 requests in 1.02m, 1.25MB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n\
            \x20 Non-2xx or 3xx responses: 5\n";
        assert_eq!(wrk(bad).unwrap().errors, 15);
        assert!((wrk(bad).unwrap().seconds.unwrap() - 61.2).abs() < 1e-9);
    }

    #[test]
    fn h2load_is_read_without_and_with_errors() {
        let clean = "finished in 1.00s, 99230.00 req/s, 99.65MB/s\n\
            requests: 99230 total, 99250 started, 99230 done, 99230 succeeded, 0 failed, 0 errored, 0 timeout\n\
            status codes: 99230 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(h2load(clean), Some(Outcome::closed(99_230, 0, 1.0)));
        let bad = "finished in 12.50ms, 1.00 req/s, 1MB/s\n\
            requests: 10 total, 10 started, 8 done, 5 succeeded, 2 failed, 2 errored, 0 timeout\n\
            status codes: 5 2xx, 0 3xx, 1 4xx, 2 5xx\n";
        assert_eq!(h2load(bad), Some(Outcome::closed(8, 5, 0.0125)));
    }

    #[test]
    fn hey_is_read_without_and_with_errors() {
        let clean = "\nSummary:\n  Total:\t2.0000 secs\n  Requests/sec:\t500.0000\n\n\
            Status code distribution:\n  [200]\t1000 responses\n\n";
        assert_eq!(hey(clean), Some(Outcome::closed(1000, 0, 2.0)));
        let bad = "  Total:\t2.0000 secs\n  Requests/sec:\t500.0\n\nStatus code distribution:\n\
            \x20 [200]\t990 responses\n  [500]\t7 responses\n\nError distribution:\n  [3]\tGet \"http://[::1]:9\": refused\n";
        assert_eq!(hey(bad), Some(Outcome::closed(997, 10, 2.0)));
    }

    #[test]
    fn oha_is_read_and_what_the_deadline_cut_off_is_no_error() {
        let text = r#"{"summary":{"successRate":1.0,"total":3.0,"requestsPerSec":10.0},
            "statusCodeDistribution":{"200":25,"503":5},
            "errorDistribution":{"aborted due to deadline":50,"connection refused":2}}"#;
        assert_eq!(oha(text), Some(Outcome::closed(30, 7, 3.0)));
    }

    #[test]
    fn loadgen_is_read_and_whatever_did_not_succeed_is_an_error() {
        let text = r#"{"requests":{"offered":100,"sent":97,"completed":96,"succeeded":95,"dropped":2,"not_sent":1},
            "release_lag_us":{"p99":61.5}}"#;
        let outcome = loadgen(text).unwrap();
        assert_eq!((outcome.requests, outcome.errors, outcome.sent), (96, 5, Some(97)));
        assert_eq!(outcome.lag_p99_us, Some(61.5));
    }

    #[test]
    fn what_is_not_understood_is_no_outcome() {
        for text in ["", "{}", "usage: try --help\n", "requests: many\n"] {
            for read in [wrk, h2load, hey, oha, loadgen] {
                assert_eq!(read(text), None, "{text:?}");
            }
        }
    }
}
