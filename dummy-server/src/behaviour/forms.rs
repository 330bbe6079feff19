//! Forms of values: how each is read, and how it is written so that it is read as the same.

use std::{
    fmt::{self, Write as _},
    num::NonZeroU64,
    ops::RangeInclusive,
    time::Duration,
};

use contract::quantity::{self, LARGEST_SIZE, Percent};
use http::StatusCode;

use super::asked::{Breach, Delay, Expectation, Gzip, Pair, Point, Shares, TimingDetail};
use crate::{boolean, cut::Cut};

/// Maximum number of statuses or delays with a share.
const MOST_SHARES: usize = 64;
/// Shapes of a Pareto distribution: below, all is the longest delay; above, all is the minimum.
const SHAPES: RangeInclusive<f64> = 0.01..=1000.0;
/// Bytes of content after which a reply can be broken off: one byte more can be announced.
const OFFSETS: RangeInclusive<u64> = 0..=LARGEST_SIZE - 1;
/// Bytes in a chunk.
const CHUNKS: RangeInclusive<u64> = 1..=16 << 20;
/// Longest key.
const LONGEST_KEY: usize = 128;

/// What is accepted, how it is read, and how it is shown so that it is read as the same.
pub(super) struct Form<T> {
    pub(super) accepted: &'static str,
    pub(super) read: fn(&str) -> Option<T>,
    pub(super) show: fn(&T) -> String,
}

impl<T> Form<T> {
    const fn new(accepted: &'static str, read: fn(&str) -> Option<T>, show: fn(&T) -> String) -> Self {
        Self { accepted, read, show }
    }
}

pub(super) const STATUS: Form<StatusCode> = Form::new("a status from 200 to 599", status, shown_status);
pub(super) const STATUSES: Form<Shares<StatusCode>> = Form::new(
    "a status from 200 to 599, or up to 64 with their percent: 503:10,500:5",
    |text| shares(text, status),
    |list| shown_shares(list, shown_status),
);
pub(super) const DURATION: Form<Duration> =
    Form::new("a duration such as 5ms, up to 1h", duration, |time| quantity::canonical(*time));
pub(super) const DELAYS: Form<Shares<Delay>> = Form::new(
    "5ms, uniform(1ms,20ms), normal(20ms,5ms), pareto(5ms,1.5), or up to 64 with their percent: \
     5ms:90,1s:10; up to 1h, pareto with a minimum above 0 and a shape from 0.01 to 1000",
    |text| shares(text, delay),
    |list| shown_shares(list, shown_delay),
);
pub(super) const COUNT: Form<u64> = Form::new(
    "a whole number from 1 to 18446744073709551615",
    |text| quantity::count_within(text, &(1..=u64::MAX)),
    u64::to_string,
);
pub(super) const NUMBER: Form<u64> =
    Form::new("a whole number from 0 to 18446744073709551615", quantity::count, u64::to_string);
pub(super) const FIELD: Form<Pair> = Form::new(
    "Name:value, a field name of RFC 9110 and a value without control characters",
    field,
    |(name, value)| format!("{name}:{value}"),
);
pub(super) const LINK: Form<String> = Form::new("a Link such as </a.css>;rel=preload", value, String::clone);
pub(super) const MEDIA_TYPE: Form<String> = Form::new("a media type such as text/html", value, String::clone);
pub(super) const KEY: Form<String> = Form::new(
    "1 to 128 characters",
    |text| value(text).filter(|key| key.len() <= LONGEST_KEY),
    String::clone,
);
/// A name alone asks for what it says.
pub(super) const SWITCH: Form<bool> = Form::new(
    boolean::ACCEPTED,
    |text| if text.is_empty() { Some(true) } else { boolean::read(text) },
    bool::to_string,
);
pub(super) const OFF: Form<()> =
    Form::new("off", |text| (text == "off").then_some(()), |()| "off".to_owned());
pub(super) const CHUNK: Form<u64> = Form::new(
    "bytes such as 100 or 4K, from 1 to 16M",
    |text| quantity::size_within(text, &CHUNKS),
    |size| quantity::canonical_size(*size),
);
pub(super) const RATE: Form<NonZeroU64> =
    Form::new("bytes per second such as 64K, from 1", quantity::byte_rate, |rate| {
        quantity::canonical_size(rate.get())
    });
pub(super) const GZIP: Form<Gzip> = Form::new(
    "negotiated or forced",
    |text| find(&Gzip::ALL, Gzip::name, text),
    |gzip| gzip.name().to_owned(),
);
pub(super) const TIMING_DETAIL: Form<TimingDetail> = Form::new(
    "worker, last-byte or all",
    |text| find(&TimingDetail::ALL, TimingDetail::name, text),
    |detail| detail.name().to_owned(),
);
pub(super) const EXPECTATION: Form<Expectation> = Form::new(
    "send, refuse or ignore",
    |text| find(&Expectation::ALL, Expectation::name, text),
    |expectation| expectation.name().to_owned(),
);
pub(super) const ABORT: Form<Breach> = Form::new(
    "rst, fin, hang, short, stream-reset(CODE) or goaway(CODE), then @before-headers, @after-headers or \
     @body(N), then :PERCENT, such as rst@body(100):10; N below 2^63 - 1",
    abort,
    shown_abort,
);

/// The value of that name.
fn find<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|value| name(*value) == text)
}

fn status(text: &str) -> Option<StatusCode> {
    let code = quantity::count_within(text, &(200..=599))?;
    StatusCode::from_u16(u16::try_from(code).ok()?).ok()
}

fn shown_status(status: &StatusCode) -> String {
    status.as_str().to_owned()
}

fn duration(text: &str) -> Option<Duration> {
    quantity::duration(text, Delay::LONGEST)
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
    if name.is_empty() || !name.bytes().all(token) {
        return None;
    }
    let content = if rest.trim().is_empty() { String::new() } else { value(rest)? };
    Some((name.to_owned(), content))
}

/// One item, or several with their percent.
fn shares<T>(text: &str, read: fn(&str) -> Option<T>) -> Option<Shares<T>> {
    let items: Vec<&str> = outer_commas(text).take(MOST_SHARES + 1).collect();
    let share = |item: &&str| match item.rsplit_once(':') {
        Some((item, share)) => Some((read(item)?, Percent::read(share)?)),
        None if items.len() == 1 => Some((read(item)?, Percent::ALL)),
        None => None,
    };
    let shares: Shares<T> = items.iter().map(share).collect::<Option<_>>()?;
    quantity::total(shares.iter().map(|(_, share)| *share))?;
    (shares.len() <= MOST_SHARES).then_some(shares)
}

fn shown_shares<T>(shares: &Shares<T>, show: fn(&T) -> String) -> String {
    if let [(item, Percent::ALL)] = &shares[..] {
        return show(item);
    }
    let shown = |(item, share): &(T, Percent)| format!("{}:{share}", show(item));
    shares.iter().map(shown).collect::<Vec<_>>().join(",")
}

/// Splits at commas that are in no parentheses.
fn outer_commas(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.split(move |c| {
        inside = c == '(' || inside && c != ')';
        c == ',' && !inside
    })
}

fn delay(text: &str) -> Option<Delay> {
    let Some((name, parameters)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
        return duration(text).map(Delay::Constant);
    };
    let (first, second) = parameters.split_once(',')?;
    let (first, second) = (duration(first.trim())?, second.trim());
    match name {
        "uniform" => Some(Delay::Uniform(first, duration(second).filter(|most| *most >= first)?)),
        "normal" => Some(Delay::Normal(first, duration(second)?)),
        "pareto" if !first.is_zero() => {
            Some(Delay::Pareto(first, quantity::decimal_within(second, &SHAPES)?))
        }
        _ => None,
    }
}

fn shown_delay(delay: &Delay) -> String {
    let time = quantity::canonical;
    match *delay {
        Delay::Constant(delay) => time(delay),
        Delay::Uniform(least, most) => format!("uniform({},{})", time(least), time(most)),
        Delay::Normal(mean, deviation) => format!("normal({},{})", time(mean), time(deviation)),
        Delay::Pareto(least, shape) => format!("pareto({},{shape})", time(least)),
    }
}

fn abort(text: &str) -> Option<Breach> {
    let (text, percent) = match text.rsplit_once(':') {
        Some((text, share)) => (text, Percent::read(share)?),
        None => (text, Percent::ALL),
    };
    let (cut, point) = match text.split_once('@') {
        Some((cut, point)) => (cut, Some(point)),
        None => (text, None),
    };
    let (cut, code) = match cut.split_once('(') {
        Some((cut, code)) => (cut, Some(error_code(code.strip_suffix(')')?)?)),
        None => (cut, None),
    };
    let cut = match (cut, code) {
        ("rst", None) => Cut::Reset,
        ("fin", None) => Cut::Close,
        ("hang", None) => Cut::Hang,
        ("short", None) => Cut::Short,
        ("stream-reset", code) => Cut::ResetStream(code.unwrap_or(http2::Code::INTERNAL_ERROR.0)),
        ("goaway", code) => Cut::GoAway(code.unwrap_or(http2::Code::NO_ERROR.0)),
        _ => return None,
    };
    let point = match point {
        None if cut == Cut::Short => Point::Middle,
        None | Some("before-headers") => Point::BeforeHeaders,
        Some("after-headers") => Point::AfterHeaders,
        Some(other) => {
            let offset = other.strip_prefix("body(")?.strip_suffix(')')?;
            Point::Body(quantity::size_within(offset, &OFFSETS)?)
        }
    };
    Some(Breach { cut, point, percent })
}

fn shown_abort(abort: &Breach) -> String {
    let Breach { cut, point, percent } = *abort;
    let name = Cut::NAMES[cut.index()];
    let cut = match cut {
        Cut::ResetStream(code) | Cut::GoAway(code) => format!("{name}({code})"),
        Cut::Reset | Cut::Close | Cut::Hang | Cut::Short => name.to_owned(),
    };
    let point = match point {
        // Only what falls short has a middle.
        Point::Middle => String::new(),
        Point::BeforeHeaders => "@before-headers".to_owned(),
        Point::AfterHeaders => "@after-headers".to_owned(),
        Point::Body(offset) => format!("@body({})", quantity::canonical_size(offset)),
    };
    let share = if percent == Percent::ALL { String::new() } else { format!(":{percent}") };
    format!("{cut}{point}{share}")
}

/// A code of RFC 9113 section 7 by number or name; numbers without a name are taken too.
fn error_code(text: &str) -> Option<u32> {
    text.trim().parse().ok().map(|http2::Code(code)| code)
}

/// Writes a value as a query has it: what would end it or mean something else is percent-encoded.
pub(super) fn encode(text: &str, to: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"%&+#".contains(&byte) {
            to.write_char(char::from(byte))?;
        } else {
            write!(to, "%{byte:02X}")?;
        }
    }
    Ok(())
}
