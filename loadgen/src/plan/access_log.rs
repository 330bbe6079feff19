//! Lines of access logs, as servers and proxies write them: when a request began, its method and its target.
//!
//! Pure: nothing here opens a file.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};
use serde_json::{Map, Value};

/// A request, as a line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logged {
    /// When it began, or when it ended if its duration is not known, in nanoseconds since the Unix epoch.
    pub(super) at: i128,
    /// How much later it may have been: the stamp has only whole seconds.
    pub(super) is_coarse: bool,
    /// How long it took, where the stamp is of its end, in nanoseconds.
    pub(super) took: i128,
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
}

const SECOND: i128 = 1_000_000_000;

/// Reads a line of any known form.
///
/// # Errors
/// It has none of them, or no request.
pub(super) fn read(line: &str) -> Result<Logged, &'static str> {
    let line = line.trim();
    if line.starts_with('{') {
        let object: Map<String, Value> = serde_json::from_str(line).map_err(|_| "not a JSON object")?;
        return json(&object);
    }
    // The request stands between quotes, whatever stands around it.
    let request = quoted(line).find_map(|text| request(text).ok());
    let request = request.ok_or_else(|| match quoted(line).any(|text| text.starts_with("CONNECT ")) {
        true => "CONNECT, which asks for a tunnel and is not sent",
        false => "no request between quotes",
    })?;
    let (method, path) = request;
    let (at, is_coarse, is_end) = stamp(line).ok_or("no time")?;
    let took = if is_end { duration(line).unwrap_or(0) } else { 0 };
    Ok(Logged { at, is_coarse, took, method, path })
}

/// What stands between quotes; a quote that is escaped is part of it.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begin = rest.find('"')? + 1;
        let mut end = begin;
        loop {
            end += rest[end..].find(['"', '\\'])?;
            if rest[end..].starts_with('"') {
                break;
            }
            end += 1;
            end += rest[end..].chars().next()?.len_utf8();
        }
        let text = &rest[begin..end];
        rest = &rest[end + 1..];
        Some(text)
    })
}

/// `GET /path HTTP/1.1`, or without the version.
fn request(text: &str) -> Result<(String, String), &'static str> {
    let mut words = text.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err("no request") };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Err("no method");
    }
    match (words.next(), words.next()) {
        (None, _) => {}
        (Some(version), None) if version.starts_with("HTTP/") => {}
        _ => return Err("no version"),
    }
    Ok((method.to_owned(), path(target)?))
}

/// The path of a target, which may be a whole URL.
fn path(target: &str) -> Result<String, &'static str> {
    let target = target.split('#').next().unwrap_or_default();
    if target.starts_with('/') {
        return Ok(target.to_owned());
    }
    let (_, rest) = target.split_once("://").ok_or("no path")?;
    Ok(rest.find('/').map_or_else(|| "/".to_owned(), |begin| rest[begin..].to_owned()))
}

/// The first time in a line, whether it has only whole seconds, and whether it is of the end of the request.
fn stamp(line: &str) -> Option<(i128, bool, bool)> {
    let bracketed = line.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?.0)));
    // HAProxy's own line has a process before its brackets: haproxy[123].
    let bracketed = match bracketed {
        Some((before, text))
            if before.ends_with("haproxy") || text.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            let rest = line.split_once(']').map_or("", |(_, rest)| rest);
            rest.split_once('[').and_then(|(_, rest)| Some(rest.split_once(']')?.0))
        }
        other => other.map(|(_, text)| text),
    };
    if let Some(text) = bracketed {
        if let Some(at) = common(text) {
            return Some((at, true, true));
        }
        if let Some(at) = haproxy(text) {
            return Some((at, false, false));
        }
        if let Some(at) = rfc3339(text) {
            return Some((at, !text.contains('.'), false));
        }
    }
    // Ours begins with the time at which the request came.
    let first = line.split_ascii_whitespace().next()?;
    rfc3339(first).map(|at| (at, !first.contains('.'), false))
}

/// `10/Oct/2000:13:55:36 -0700`.
fn common(text: &str) -> Option<i128> {
    let parsed = strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    Some(parsed.to_timestamp().ok()?.as_nanosecond())
}

/// `06/Feb/2009:12:14:14.655`, in UTC.
fn haproxy(text: &str) -> Option<i128> {
    let parsed = strtime::parse("%d/%b/%Y:%H:%M:%S%.f", text).ok()?;
    let time: DateTime = parsed.to_datetime().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond())
}

fn rfc3339(text: &str) -> Option<i128> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond)
}

/// `rt=0.005`, `request_time=0.005` or `duration=0.005`, in seconds.
fn duration(line: &str) -> Option<i128> {
    const NAMES: [&str; 3] = ["rt=", "request_time=", "duration="];
    // What a client has sent stands between quotes; a value may, too.
    let mut own = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(begin) = rest.find('"') {
        own.push_str(&rest[..begin]);
        let Some(text) = quoted(&rest[begin..]).next() else { break };
        if rest[..begin].ends_with('=') {
            own.push_str(text);
        }
        own.push(' ');
        rest = &rest[begin + text.len() + 2..];
    }
    own.push_str(rest);
    let value = own
        .split([' ', '\t', ',', ';'])
        .rev()
        .find_map(|word| NAMES.iter().find_map(|name| word.strip_prefix(name)))?;
    nanoseconds(value, SECOND)
}

/// A number of units of `unit` nanoseconds each, at most a day.
fn nanoseconds(text: &str, unit: i128) -> Option<i128> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)?;
    Some((value * unit as f64) as i128).filter(|time| *time <= 86_400 * SECOND)
}

fn json(object: &Map<String, Value>) -> Result<Logged, &'static str> {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| match object.get(*name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let (method, path) = match text(&["request", "request_line"]).map(|line| request(&line)) {
        Some(Ok(found)) => found,
        _ => {
            let method = text(&["method", "request_method", "verb", "http_method"]).ok_or("no method")?;
            let target = text(&["target", "request_uri", "uri", "path", "url"]).ok_or("no path")?;
            request(&format!("{} {target}", method.to_ascii_uppercase()))?
        }
    };
    let units = [
        (&["duration_ms", "latency_ms", "request_time_ms", "response_time_ms"][..], SECOND / 1000),
        (&["duration_us"], SECOND / 1_000_000),
        (&["duration_ns"], 1),
        (&["request_time", "duration", "latency", "duration_s", "response_time"], SECOND),
    ];
    let took = units.iter().find_map(|(names, unit)| {
        let text = text(names)?;
        nanoseconds(&text, *unit).or_else(|| {
            // With its own unit, such as 12ms.
            let time = contract::quantity::duration(&text, Duration::from_secs(86_400))?;
            i128::try_from(time.as_nanos()).ok()
        })
    });
    // Ours, and Envoy's, are of the beginning.
    let is_ours = object.contains_key("peer") && object.contains_key("duration_ms");
    let (stamp, is_end) = match text(&["start_time", "start", "received"]) {
        Some(stamp) => (stamp, false),
        None => {
            let names =
                ["time", "@timestamp", "timestamp", "ts", "time_iso8601", "time_local", "msec", "date"];
            (text(&names).ok_or("no time")?, !is_ours)
        }
    };
    let (at, is_coarse) = instant(&stamp).ok_or("no time")?;
    Ok(Logged { at, is_coarse, took: took.filter(|_| is_end).unwrap_or(0), method, path })
}

/// A time in any form, and whether it has only whole seconds.
fn instant(text: &str) -> Option<(i128, bool)> {
    if let Some(at) = rfc3339(text) {
        return Some((at, !text.contains('.')));
    }
    if let Some(at) = common(text) {
        return Some((at, true));
    }
    // Since the Unix epoch: seconds, or if that would be far in the future, milliseconds and so on.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i128 = whole.parse::<u64>().ok()?.into();
    let units = [(11, SECOND), (14, 1_000_000), (17, 1000)];
    let unit = units.iter().find(|(digits, _)| whole < 10_i128.pow(*digits)).map_or(1, |(_, unit)| *unit);
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let fraction_ns = digits.parse::<u32>().ok()?;
    Some((whole * unit + i128::from(fraction_ns) * unit / SECOND, unit == SECOND && fraction.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In milliseconds since 2026-11-27T12:00:00Z: the beginning as it is known, and how long it took.
    fn read_at(line: &str) -> (i128, i128, bool, String, String) {
        let Logged { at, is_coarse, took, method, path } =
            read(line).unwrap_or_else(|why| panic!("{line}: {why}"));
        let base = "2026-11-27T12:00:00Z".parse::<Timestamp>().unwrap().as_nanosecond();
        ((at - base) / 1_000_000, took / 1_000_000, is_coarse, method, path)
    }

    #[test]
    fn lines_of_all_forms_are_read() {
        for (line, at, took, is_coarse, method, path) in [
            (
                r#"127.0.0.1 - frank [27/Nov/2026:12:00:01 +0000] "GET /a?b=c HTTP/1.0" 200 2326"#,
                1000,
                0,
                true,
                "GET",
                "/a?b=c",
            ),
            (
                r#"::1 - - [27/Nov/2026:13:00:02 +0100] "POST /x HTTP/2.0" 201 0 "http://a/" "curl/8 \"q\"" rt=0.250"#,
                2000,
                250,
                true,
                "POST",
                "/x",
            ),
            (
                r#"Nov 27 12:00:03 lb haproxy[14389]: 10.0.1.2:33317 [27/Nov/2026:12:00:03.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1""#,
                3655,
                0,
                false,
                "GET",
                "/index.html",
            ),
            (
                r#"[2026-11-27T12:00:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21" "locations" "tcp://10.0.2.1:80""#,
                310,
                0,
                false,
                "POST",
                "/api/v1/locations",
            ),
            (
                r#"2026-11-27T12:00:00.123456Z 127.0.0.1:4321 "GET /bin/1K HTTP/1.1" 200 1024 1.234ms "curl/8" "-" -"#,
                123,
                0,
                false,
                "GET",
                "/bin/1K",
            ),
            (
                r#"{"time":"2026-11-27T12:00:00.123456Z","peer":"127.0.0.1:4321","method":"GET","target":"/","protocol":"HTTP/1.1","status":200,"bytes":1024,"duration_ms":100.5}"#,
                123,
                0,
                false,
                "GET",
                "/",
            ),
            (
                r#"{"time_iso8601":"2026-11-27T12:00:05+00:00","request":"DELETE /y HTTP/1.1","request_time":"1.5"}"#,
                5000,
                1500,
                true,
                "DELETE",
                "/y",
            ),
            (
                r#"{"start_time":"2026-11-27T12:00:05.5Z","method":"get","path":"/p","duration":7}"#,
                5500,
                0,
                false,
                "GET",
                "/p",
            ),
            (
                r#"::1 - - [27/Nov/2026:12:00:02 +0000] "GET /x HTTP/1.1" 200 0 "-" "bot; rt=4000" rt="0.100""#,
                2000,
                100,
                true,
                "GET",
                "/x",
            ),
            (r#"{"msec":1795780806.25,"verb":"PUT","url":"https://h:1/u?v"}"#, 6250, 0, false, "PUT", "/u?v"),
            (r#"{"ts":1795780806250,"method":"GET","uri":"http://h"}"#, 6250, 0, false, "GET", "/"),
        ] {
            let found = read_at(line);
            assert_eq!(found, (at, took, is_coarse, method.to_owned(), path.to_owned()), "{line}");
        }
    }

    #[test]
    fn lines_without_a_request_or_a_time_are_reported() {
        for (line, why) in [
            ("", "no request between quotes"),
            (r#"127.0.0.1 - - [27/Nov/2026:12:00:01 +0000] "-" 400 0"#, "no request between quotes"),
            (
                r#"127.0.0.1 - - [27/Nov/2026:12:00:01 +0000] "\x16\x03\x01 a" 400 0"#,
                "no request between quotes",
            ),
            (r#"127.0.0.1 - - [yesterday] "GET / HTTP/1.1" 200 0"#, "no time"),
            (
                r#"127.0.0.1 - - [27/Nov/2026:12:00:01 +0000] "CONNECT a:1 HTTP/1.1" 200 0"#,
                "CONNECT, which asks for a tunnel and is not sent",
            ),
            (r#""unfinished"#, "no request between quotes"),
            (r#""\"#, "no request between quotes"),
            ("{", "not a JSON object"),
            ("{}", "no method"),
            (r#"{"method":"GET"}"#, "no path"),
            (r#"{"method":"GET","path":"/"}"#, "no time"),
            (r#"{"method":"GET","path":"/","time":"-1"}"#, "no time"),
            (r#"{"method":"GET","path":"/","time":99999999999999999999}"#, "no time"),
        ] {
            assert_eq!(read(line).map_err(str::to_owned), Err(why.to_owned()), "{line}");
        }
    }
}
