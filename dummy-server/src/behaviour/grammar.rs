//! One value of one name. This file is the grammar: `/help` prints its table.

use std::time::Duration;

use http::StatusCode;

use super::{BadBehaviour, Behaviour, Breach, Delay, Expectation, Fault, Gzip, Pair, Point, Shares};
use crate::{boolean, quantity};

/// All that can be asked for.
pub(crate) const ACCEPTED: &str = "dummy-* query keys and x-dummy-* fields as GET /help lists them";
/// A request that asks for something.
pub(crate) const EXAMPLE: &str = "GET /bin/1K?dummy-abort=rst@body(100):10";

/// What a server may do by default.
pub(crate) const EXAMPLE_DEFAULT: &str =
    "curl -X PUT -d 'status=503:10&delay=5ms' http://localhost:9091/behaviour";

/// A name, how its value is written, and what it does.
type Entry = (&'static str, &'static str, &'static str, fn(&mut Behaviour, &str) -> Option<()>);

/// Longest `key`.
const LONGEST_KEY: usize = 128;
/// Most fields, trailers or hints of one request.
const MOST_FIELDS: usize = 64;
/// Largest `chunk`: it is gathered in memory.
const LARGEST_CHUNK: u64 = 16 << 20;

const SHARE: &str = "a status from 200 to 599, or several with their percent: 503:10,500:5";
const DURATION: &str = "a duration such as 5ms";
const DELAYS: &str =
    "5ms, uniform(1ms,20ms), normal(20ms,5ms), pareto(5ms,1.5), or several with their percent: 5ms:90,1s:10";
const COUNT: &str = "a whole number from 1";
const NUMBER: &str = "a whole number";
const FIELD: &str = "Name:value, a field name of RFC 9110 and a value without control characters";
const RATE: &str = "bytes per second such as 64K, from 1";

/// The grammar.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    ("status", SHARE, "reply with another status", |to, text| {
        to.status = Some(shares(text, status)?);
        Some(())
    }),
    ("delay", DELAYS, "wait before the reply", |to, text| {
        to.delay = Some(shares(text, delay)?);
        Some(())
    }),
    ("inflight-delay", DURATION, "wait so long for each request in flight", |to, text| {
        to.inflight_delay = Some(duration(text)?);
        Some(())
    }),
    ("inflight-limit", COUNT, "503 when more requests are in flight", |to, text| {
        to.inflight_limit = Some(positive(text)?);
        Some(())
    }),
    ("header", FIELD, "add a field to the reply; may come again", |to, text| {
        add(&mut to.headers, field(text)?)
    }),
    ("trailer", FIELD, "add a trailer to the reply; may come again", |to, text| {
        add(&mut to.trailers, field(text)?)
    }),
    ("hints", "a Link such as </a.css>;rel=preload", "send 103 with it at once; may come again", |to, text| {
        value(text).and_then(|link| add(&mut to.hints, link))
    }),
    ("content-type", "a media type such as text/html", "reply with that content type", |to, text| {
        to.content_type = Some(value(text)?);
        Some(())
    }),
    ("no-length", boolean::ACCEPTED, "do not announce the length", |to, text| {
        to.no_length = Some(switch(text)?);
        Some(())
    }),
    ("chunk", "bytes such as 100 or 4K, from 1 to 16M", "chunks or DATA frames of that size", |to, text| {
        to.chunk = Some(quantity::size(text).filter(|size| (1..=LARGEST_CHUNK).contains(size))?);
        Some(())
    }),
    ("gzip", "negotiated or forced", "compress the content", |to, text| {
        to.gzip = Some(match text {
            "negotiated" => Gzip::Negotiated,
            "forced" => Gzip::Forced,
            _ => return None,
        });
        Some(())
    }),
    (
        "abort",
        "rst, fin, hang, short, stream-reset(CODE) or goaway(CODE), then @before-headers, @after-headers or @body(N), \
         then :PERCENT, such as rst@body(100):10",
        "break the reply off there",
        |to, text| {
            to.abort = Some(abort(text)?);
            Some(())
        },
    ),
    ("fail-first", COUNT, "status (or 503) and abort for so many requests of the key, then none", |to, text| {
        to.fail_first = Some(positive(text)?);
        Some(())
    }),
    ("key", "1 to 128 characters", "what fail-first counts by", |to, text| {
        to.key = Some(value(text).filter(|key| key.len() <= LONGEST_KEY)?);
        Some(())
    }),
    ("close-after", COUNT, "end the connection after so many requests", |to, text| {
        to.close_after = Some(positive(text)?);
        Some(())
    }),
    ("rate", RATE, "send the content so fast", |to, text| {
        to.rate = Some(rate(text)?);
        Some(())
    }),
    ("read-rate", RATE, "read the request's content so fast", |to, text| {
        to.read_rate = Some(rate(text)?);
        Some(())
    }),
    ("early", "a status from 200 to 599", "reply with it before the request's content is read", |to, text| {
        to.early = Some(status(text)?);
        Some(())
    }),
    ("continue", "send, refuse or ignore", "100 at once, 417, or no 100 when 100-continue is expected", |to, text| {
        to.expectation = Some(match text {
            "send" => Expectation::Send,
            "refuse" => Expectation::Refuse,
            "ignore" => Expectation::Ignore,
            _ => return None,
        });
        Some(())
    }),
    ("cors", boolean::ACCEPTED, "let pages of other origins read the reply, and answer preflights", |to, text| {
        to.cors = Some(switch(text)?);
        Some(())
    }),
    ("seed", NUMBER, "draw other lots", |to, text| {
        to.seed = Some(quantity::count(text)?);
        Some(())
    }),
    ("sequence", NUMBER, "draw this lot; otherwise the server counts", |to, text| {
        to.sequence = Some(quantity::count(text)?);
        Some(())
    }),
    ("default", "off", "do not do what the server does by default", |to, text| {
        to.without_default = (text == "off").then_some(true)?;
        Some(())
    }),
];

/// Names, meanings and forms, for `/help`.
pub(crate) fn help() -> String {
    let entry = |(name, form, does, _): &Entry| format!("{name:<15} {does}\n{:15} = {form}\n", "");
    TABLE.iter().map(entry).collect()
}

/// Reads the value of a name.
pub(super) fn read(behaviour: &mut Behaviour, name: &str, text: &str) -> Result<(), BadBehaviour> {
    let Some((name, form, _, read)) = TABLE.iter().find(|(known, ..)| *known == name) else {
        return Err(BadBehaviour { error: format!("there is no dummy-{name}"), accepted: ACCEPTED });
    };
    read(behaviour, text)
        .ok_or_else(|| BadBehaviour { error: format!("'{text}' for dummy-{name}"), accepted: form })
}

fn positive(text: &str) -> Option<u64> {
    quantity::count(text).filter(|count| *count > 0)
}

fn rate(text: &str) -> Option<u64> {
    quantity::size(text).filter(|rate| *rate > 0)
}

fn status(text: &str) -> Option<StatusCode> {
    let code = quantity::count(text).filter(|code| (200..=599).contains(code))?;
    StatusCode::from_u16(code as u16).ok()
}

fn duration(text: &str) -> Option<Duration> {
    quantity::duration(text).filter(|duration| *duration <= Delay::LONGEST)
}

/// A name alone asks for what it says.
fn switch(text: &str) -> Option<bool> {
    if text.is_empty() { Some(true) } else { boolean::read(text) }
}

/// A field's value that is not empty.
fn value(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
    fits.then(|| text.to_owned())
}

fn field(text: &str) -> Option<Pair> {
    let (name, rest) = text.split_once(':')?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let named = !name.is_empty() && name.bytes().all(token);
    let content = if rest.trim().is_empty() { Some(String::new()) } else { value(rest) };
    named.then(|| Some((name.to_owned(), content?)))?
}

fn add<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    (list.len() < MOST_FIELDS).then(|| list.push(item))
}

fn percent(text: &str) -> Option<f64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = if digits { text.parse().ok()? } else { return None };
    (0.0..=100.0).contains(&number).then_some(number)
}

/// One item, or several with their percent.
fn shares<T>(text: &str, read: fn(&str) -> Option<T>) -> Option<Shares<T>> {
    let items = outer_commas(text);
    let alone = items.len() == 1;
    let mut shares = Vec::with_capacity(items.len());
    for item in items {
        shares.push(match item.rsplit_once(':') {
            Some((item, share)) => (read(item)?, percent(share)?),
            None if alone => (read(item)?, 100.0),
            None => return None,
        });
    }
    let total: f64 = shares.iter().map(|(_, share)| share).sum();
    // Shares such as 33.3 do not add up exactly.
    (total <= 100.000_1).then_some(shares)
}

/// Splits at commas that are in no parentheses.
fn outer_commas(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .collect()
}

/// What stands in parentheses behind `name`.
fn argument<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

fn delay(text: &str) -> Option<Delay> {
    let two = |text: &'_ str| -> Option<(Duration, String)> {
        let (first, second) = text.split_once(',')?;
        Some((duration(first.trim())?, second.trim().to_owned()))
    };
    if let Some(bounds) = argument(text, "uniform") {
        let (least, most) = two(bounds)?;
        let most = duration(&most).filter(|most| *most >= least)?;
        return Some(Delay::Uniform(least, most));
    }
    if let Some(parameters) = argument(text, "normal") {
        let (mean, deviation) = two(parameters)?;
        return Some(Delay::Normal(mean, duration(&deviation)?));
    }
    if let Some(parameters) = argument(text, "pareto") {
        let (least, shape) = two(parameters)?;
        let shape: f64 = shape.parse().ok()?;
        return (shape > 0.0 && shape.is_finite()).then_some(Delay::Pareto(least, shape));
    }
    duration(text).map(Delay::Constant)
}

fn abort(text: &str) -> Option<Breach> {
    let (text, percent) = match text.rsplit_once(':') {
        Some((text, share)) => (text, percent(share)?),
        None => (text, 100.0),
    };
    let (fault, point) = match text.split_once('@') {
        Some((fault, point)) => (fault, Some(point)),
        None => (text, None),
    };
    let fault = match fault {
        "rst" => Fault::Rst,
        "fin" => Fault::Fin,
        "hang" => Fault::Hang,
        "short" => Fault::Short,
        "stream-reset" => Fault::StreamReset(http2::Code::INTERNAL_ERROR.0),
        "goaway" => Fault::GoAway(http2::Code::NO_ERROR.0),
        other => match (argument(other, "stream-reset"), argument(other, "goaway")) {
            (Some(code), _) => Fault::StreamReset(self::code(code)?),
            (_, Some(code)) => Fault::GoAway(self::code(code)?),
            _ => return None,
        },
    };
    let point = match point {
        None if fault == Fault::Short => Point::Middle,
        None | Some("before-headers") => Point::BeforeHeaders,
        Some("after-headers") => Point::AfterHeaders,
        Some(other) => Point::Body(quantity::size(argument(other, "body")?)?),
    };
    Some(Breach { fault, point, percent })
}

/// A code of RFC 9113 section 7 by number or name; numbers without a name are taken too.
fn code(text: &str) -> Option<u32> {
    text.trim().parse().ok().map(|http2::Code(code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Behaviour {
        Behaviour::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn statuses_and_delays_have_shares() {
        let status = |code| StatusCode::from_u16(code).unwrap();
        let asked = read("status=503:10,500:5&delay=5ms:90,uniform(1ms,20ms):10");
        assert_eq!(asked.status, Some(vec![(status(503), 10.0), (status(500), 5.0)]));
        let delays = vec![(Delay::Constant(ms(5)), 90.0), (Delay::Uniform(ms(1), ms(20)), 10.0)];
        assert_eq!(asked.delay, Some(delays));
        assert_eq!(read("dummy-status=404").status, Some(vec![(status(404), 100.0)]));
        assert_eq!(read("delay=normal(20ms,5ms)").delay, Some(vec![(Delay::Normal(ms(20), ms(5)), 100.0)]));
        assert_eq!(read("delay=pareto(5ms, 1.5):2").delay, Some(vec![(Delay::Pareto(ms(5), 1.5), 2.0)]));
        assert_eq!(read("status=503:33.3,500:66.7").status.map(|list| list.len()), Some(2));
    }

    #[test]
    fn aborts_have_a_fault_a_point_and_a_share() {
        for (text, fault, point, percent) in [
            ("rst", Fault::Rst, Point::BeforeHeaders, 100.0),
            ("fin@after-headers", Fault::Fin, Point::AfterHeaders, 100.0),
            ("hang@body(2K):12.5", Fault::Hang, Point::Body(2048), 12.5),
            ("short", Fault::Short, Point::Middle, 100.0),
            ("short@body(0)", Fault::Short, Point::Body(0), 100.0),
            ("stream-reset", Fault::StreamReset(2), Point::BeforeHeaders, 100.0),
            ("stream-reset(cancel)@body(1)", Fault::StreamReset(8), Point::Body(1), 100.0),
            ("stream-reset(ENHANCE-YOUR-CALM)", Fault::StreamReset(11), Point::BeforeHeaders, 100.0),
            ("goaway(77):1", Fault::GoAway(77), Point::BeforeHeaders, 1.0),
        ] {
            let expected = Breach { fault, point, percent };
            assert_eq!(read(&format!("abort={text}")).abort, Some(expected), "{text}");
        }
    }

    #[test]
    fn fields_keep_their_case_and_may_come_again() {
        let asked = read(
            "header=X-One:a%20b&header=x-one:&trailer=T: c&hints=<%2Fa>;rel=preload&key=k&no-length&cors=FALSE",
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(asked.headers, [pair("X-One", "a b"), pair("x-one", "")]);
        assert_eq!(asked.trailers, [pair("T", "c")]);
        assert_eq!(asked.hints, ["</a>;rel=preload"]);
        assert_eq!((asked.no_length, asked.cors), (Some(true), Some(false)));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_what_is_accepted() {
        for text in [
            "status=199",
            "status=503:101",
            "status=503:60,500:60",
            "status=503,500",
            "status=",
            "status=503:-1",
            "status=503:1e1",
            "delay=5",
            "delay=uniform(20ms,1ms)",
            "delay=uniform(1ms)",
            "delay=2h",
            "delay=-1ms",
            "delay=pareto(1ms,0)",
            "delay=normal(1ms,x)",
            "inflight-limit=0",
            "header=nothing",
            "header=a b:c",
            "header=a:b%0d%0ac",
            "header=:x",
            "trailer=x",
            "hints=",
            "content-type=",
            "no-length=maybe",
            "cors=maybe",
            "chunk=0",
            "chunk=17M",
            "gzip=br",
            "abort=explode",
            "abort=rst@somewhere",
            "abort=rst@body",
            "abort=rst@body(x)",
            "abort=rst:200",
            "abort=short@before-headers",
            "abort=stream-reset(nothing)",
            "fail-first=0",
            "key=",
            "close-after=0",
            "rate=0",
            "rate=fast",
            "read-rate=",
            "early=100",
            "continue=maybe",
            "seed=x",
            "sequence=-1",
            "default=on",
            "nonsense=1",
        ] {
            let bad = Behaviour::parse(text).expect_err(text);
            let name = text.split('=').next().unwrap_or_default();
            assert!(bad.error.contains(name), "{text}: {}", bad.error);
            assert!(!bad.accepted.is_empty());
        }
        assert!(Behaviour::parse(&format!("key={}", "k".repeat(129))).is_err());
        assert!(Behaviour::parse(&"header=a:b&".repeat(65)).is_err());
    }

    #[test]
    fn every_name_is_in_the_help() {
        let help = help();
        for (name, ..) in TABLE {
            assert!(help.lines().any(|line| line.split(' ').next() == Some(name)), "{name}");
        }
    }
}
