//! One value of one name. This file is the grammar: `/help` prints its table, requests are read by it, and what was read
//! is shown by it.

mod values;

use std::fmt;

use contract::quantity;

use self::values::{
    abort, add, byte_rate, delay, duration, field, one, positive, shares, shown_abort, shown_delay,
    shown_field, shown_shares, shown_status, status, switch, value,
};
use super::asked::{BadBehaviour, Behaviour, Expectation, Gzip};
use crate::boolean;

/// All that can be asked for.
pub(crate) const ACCEPTED: &str = "dummy-* query keys and x-dummy-* fields as GET /help lists them";
/// A request that asks for something.
pub(crate) const EXAMPLE: &str = "GET /bin/1K?dummy-abort=rst@body(100):10";

/// What a server may do by default.
pub(crate) const EXAMPLE_DEFAULT: &str =
    "curl -X PUT -d 'status=503:10&delay=5ms' http://localhost:9091/behaviour";

/// A name, how its value is written, what it does, how it is read, and how what was read is written.
type Entry = (
    &'static str,
    &'static str,
    &'static str,
    fn(&mut Behaviour, &str) -> Option<()>,
    fn(&Behaviour) -> Vec<String>,
);

/// Longest `key`.
const LONGEST_KEY: usize = 128;
/// Largest `chunk`.
const LARGEST_CHUNK: u64 = 16 << 20;

const SHARE: &str = "a status from 200 to 599, or up to 64 with their percent: 503:10,500:5";
const DURATION: &str = "a duration such as 5ms, up to 1h";
const DELAYS: &str = "5ms, uniform(1ms,20ms), normal(20ms,5ms), pareto(5ms,1.5), or up to 64 with their percent: \
                      5ms:90,1s:10; up to 1h, pareto with a minimum above 0 and a shape from 0.01 to 1000";
const COUNT: &str = "a whole number from 1 to 18446744073709551615";
const NUMBER: &str = "a whole number from 0 to 18446744073709551615";
const FIELD: &str = "Name:value, a field name of RFC 9110 and a value without control characters";
const RATE: &str = "bytes per second such as 64K, from 1";

/// The grammar.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    ("status", SHARE, "reply with another status", |to, text| {
        to.status = Some(shares(text, status)?);
        Some(())
    }, |of| one(&of.status, |list| shown_shares(list, shown_status))),
    ("delay", DELAYS, "wait before the reply", |to, text| {
        to.delay = Some(shares(text, delay)?);
        Some(())
    }, |of| one(&of.delay, |list| shown_shares(list, shown_delay))),
    ("inflight-delay", DURATION, "wait so long for each request in flight, 1h in all", |to, text| {
        to.inflight_delay = Some(duration(text)?);
        Some(())
    }, |of| one(&of.inflight_delay, |delay| quantity::canonical(*delay))),
    ("inflight-limit", COUNT, "503 when more requests are in flight", |to, text| {
        to.inflight_limit = Some(positive(text)?);
        Some(())
    }, |of| one(&of.inflight_limit, u64::to_string)),
    ("header", FIELD, "add a field to the reply; may come again", |to, text| {
        add(&mut to.headers, field(text)?)
    }, |of| of.headers.iter().map(shown_field).collect()),
    ("trailer", FIELD, "add a trailer to the reply; may come again", |to, text| {
        add(&mut to.trailers, field(text)?)
    }, |of| of.trailers.iter().map(shown_field).collect()),
    ("hints", "a Link such as </a.css>;rel=preload", "send 103 with it at once; may come again", |to, text| {
        value(text).and_then(|link| add(&mut to.hints, link))
    }, |of| of.hints.clone()),
    ("content-type", "a media type such as text/html", "reply with that content type", |to, text| {
        to.content_type = Some(value(text)?);
        Some(())
    }, |of| one(&of.content_type, String::clone)),
    ("no-length", boolean::ACCEPTED, "do not announce the length", |to, text| {
        to.no_length = Some(switch(text)?);
        Some(())
    }, |of| one(&of.no_length, bool::to_string)),
    ("chunk", "bytes such as 100 or 4K, from 1 to 16M", "chunks or DATA frames of that size (64K at most if compressed or streamed)", |to, text| {
        to.chunk = Some(quantity::size_within(text, &(1..=LARGEST_CHUNK))?);
        Some(())
    }, |of| one(&of.chunk, |size| quantity::canonical_size(*size))),
    ("gzip", "negotiated or forced", "compress the content", |to, text| {
        to.gzip = Some(match text {
            "negotiated" => Gzip::Negotiated,
            "forced" => Gzip::Forced,
            _ => return None,
        });
        Some(())
    }, |of| one(&of.gzip, |gzip| match gzip {
        Gzip::Negotiated => "negotiated".to_owned(),
        Gzip::Forced => "forced".to_owned(),
    })),
    (
        "abort",
        "rst, fin, hang, short, stream-reset(CODE) or goaway(CODE), then @before-headers, @after-headers or @body(N), \
         then :PERCENT, such as rst@body(100):10; N below 2^63 - 1",
        "break the reply off there",
        |to, text| {
            to.abort = Some(abort(text)?);
            Some(())
        },
        |of| one(&of.abort, shown_abort),
    ),
    ("fail-first", COUNT, "status (or 503) and abort for so many requests of the key, then none", |to, text| {
        to.fail_first = Some(positive(text)?);
        Some(())
    }, |of| one(&of.fail_first, u64::to_string)),
    ("key", "1 to 128 characters", "what fail-first counts by", |to, text| {
        to.key = Some(value(text).filter(|key| key.len() <= LONGEST_KEY)?);
        Some(())
    }, |of| one(&of.key, String::clone)),
    ("close-after", COUNT, "end the connection after so many requests", |to, text| {
        to.close_after = Some(positive(text)?);
        Some(())
    }, |of| one(&of.close_after, u64::to_string)),
    ("rate", RATE, "send the content so fast", |to, text| {
        to.rate = Some(byte_rate(text)?);
        Some(())
    }, |of| one(&of.rate, |rate| quantity::canonical_size(rate.get()))),
    ("read-rate", RATE, "read the request's content so fast", |to, text| {
        to.read_rate = Some(byte_rate(text)?);
        Some(())
    }, |of| one(&of.read_rate, |rate| quantity::canonical_size(rate.get()))),
    ("early", "a status from 200 to 599", "reply with it before the request's content is read", |to, text| {
        to.early = Some(status(text)?);
        Some(())
    }, |of| one(&of.early, shown_status)),
    ("continue", "send, refuse or ignore", "100 at once, 417, or no 100 when 100-continue is expected", |to, text| {
        to.expectation = Some(match text {
            "send" => Expectation::Send,
            "refuse" => Expectation::Refuse,
            "ignore" => Expectation::Ignore,
            _ => return None,
        });
        Some(())
    }, |of| one(&of.expectation, |expectation| match expectation {
        Expectation::Send => "send".to_owned(),
        Expectation::Refuse => "refuse".to_owned(),
        Expectation::Ignore => "ignore".to_owned(),
    })),
    ("cors", boolean::ACCEPTED, "let pages of other origins read the reply, and answer preflights", |to, text| {
        to.cors = Some(switch(text)?);
        Some(())
    }, |of| one(&of.cors, bool::to_string)),
    ("seed", NUMBER, "draw other lots", |to, text| {
        to.seed = Some(quantity::count(text)?);
        Some(())
    }, |of| one(&of.seed, u64::to_string)),
    ("sequence", NUMBER, "draw this lot; otherwise the server counts", |to, text| {
        to.sequence = Some(quantity::count(text)?);
        Some(())
    }, |of| one(&of.sequence, u64::to_string)),
    ("default", "off", "do not do what the server does by default", |to, text| {
        to.without_default = (text == "off").then_some(true)?;
        Some(())
    }, |of| if of.without_default { vec!["off".to_owned()] } else { Vec::new() }),
];

/// Names, meanings and forms, for `/help`.
pub(crate) fn help() -> String {
    let entry = |(name, form, does, ..): &Entry| format!("{name:<15} {does}\n{:15} = {form}\n", "");
    TABLE.iter().map(entry).collect()
}

/// Reads the value of a name.
pub(super) fn read(behaviour: &mut Behaviour, name: &str, text: &str) -> Result<(), BadBehaviour> {
    let Some((name, form, _, read, _)) = TABLE.iter().find(|(known, ..)| *known == name) else {
        return Err(BadBehaviour { error: format!("there is no dummy-{name}"), accepted: ACCEPTED });
    };
    read(behaviour, text)
        .ok_or_else(|| BadBehaviour { error: format!("'{text}' for dummy-{name}"), accepted: form })
}

impl fmt::Display for Behaviour {
    /// The canonical form: pairs as in a query, in the order of the table, which [`Behaviour::parse`] reads as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, .., show) in TABLE {
            for text in show(self) {
                write!(f, "{separator}{name}=")?;
                values::encode(&text, f)?;
                separator = "&";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
