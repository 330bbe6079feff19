//! From segments to bytes: nothing is allocated but the room of the buffer.

use std::fmt::Write as _;

use bytes::BufMut;
use contract::{id, ledger::Announced};
use percent_encoding::utf8_percent_encode;

use super::{
    Instant, Segment, Template, TextContext,
    compile::{IN_PATH, part_of_json},
};
use crate::{clock::Nanos, plan::rows::Rows};

/// What a request's text depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'v> {
    /// Of the run.
    pub(crate) seed: u64,
    /// The request's number.
    pub(crate) number: u64,
    /// When it was due, in nanoseconds since the Unix epoch.
    pub(crate) due: Nanos,
    /// The rows, and which of them.
    pub(crate) row: Option<(&'v Rows, u64)>,
    /// The length of the body.
    pub(crate) length: usize,
    /// Its CRC-32C, where that is announced.
    pub(crate) crc32c: u32,
    /// The request's id, if it carries one.
    pub(crate) id: Option<&'v id::Text>,
}

impl Values<'_> {
    /// The same with this body, whose checksum `is_announced`.
    #[inline]
    pub(crate) fn of_body(&self, body: &[u8], is_announced: bool) -> Self {
        let crc32c = if is_announced { Announced::of(body).crc32c } else { 0 };
        Self { length: body.len(), crc32c, ..*self }
    }
}

impl Template {
    /// Writes the text of one request.
    pub(crate) fn render(&self, values: &Values<'_>, out: &mut impl BufMut) {
        for segment in &self.segments {
            segment.render(values, out);
        }
    }
}

impl Segment {
    fn render(&self, values: &Values<'_>, out: &mut impl BufMut) {
        match self {
            Self::Text(text) => out.put_slice(text),
            Self::Seq => whole(values.number, out),
            Self::Uuid { salt } => out.put_slice(&uuid(values, *salt)),
            Self::Random { low, span, salt } => {
                // Evenly, but for one part in 2^64 of the span.
                let drawn = (u128::from(draw(values, *salt)) * (u128::from(*span) + 1)) >> 64;
                whole(low.wrapping_add_unsigned(drawn as u64), out);
            }
            Self::Pick { choices, salt } => {
                let drawn = (u128::from(draw(values, *salt)) * choices.len() as u128) >> 64;
                out.put_slice(&choices[drawn as usize]);
            }
            Self::Now(Instant::Since(unit)) => whole(values.due / unit, out),
            Self::Now(Instant::Rfc3339) => rfc3339(values.due, out),
            Self::Row { column, place } => {
                let value = values.row.map_or("", |(rows, row)| rows.value(row, *column));
                match place {
                    TextContext::Path => {
                        utf8_percent_encode(value, IN_PATH).for_each(|part| out.put_slice(part.as_bytes()));
                    }
                    TextContext::JsonText => out.put_slice(part_of_json(value).as_bytes()),
                    TextContext::Field | TextContext::Body | TextContext::Json => {
                        out.put_slice(value.as_bytes())
                    }
                }
            }
            Self::Length => whole(values.length as u64, out),
            Self::Announced => {
                let announced = Announced { length: values.length as u64, crc32c: values.crc32c };
                out.put_slice(announced.text().as_bytes());
            }
            Self::Id => out.put_slice(values.id.map_or(&[][..], |id| &id[..])),
        }
    }
}

fn whole(number: impl itoa::Integer, out: &mut impl BufMut) {
    out.put_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number that depends on the run, the request and the placeholder, and looks like nothing else (SplitMix64).
fn draw(values: &Values<'_>, salt: u64) -> u64 {
    mix(values.seed ^ mix(values.number ^ mix(salt)))
}

fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Version 4 and variant 1 of RFC 9562.
fn uuid(values: &Values<'_>, salt: u64) -> [u8; 36] {
    let high = draw(values, salt) & !0xf000 | 0x4000;
    let low = draw(values, !salt) & !(0b11 << 62) | 0b10 << 62;
    let digits = u128::from(high) << 64 | u128::from(low);
    let mut text = [b'-'; 36];
    let mut place = 0;
    for nibble in (0..32).rev() {
        if matches!(place, 8 | 13 | 18 | 23) {
            place += 1;
        }
        text[place] = b"0123456789abcdef"[(digits >> (nibble * 4) & 0xf) as usize];
        place += 1;
    }
    text
}

fn rfc3339(due: Nanos, out: &mut impl BufMut) {
    // Years until 2262 fit into either type.
    let instant = jiff::Timestamp::from_nanosecond(i128::from(due)).unwrap_or_default();
    let written = write!(Writer(out), "{instant:.3}");
    debug_assert!(written.is_ok(), "a buffer takes any text");
}

struct Writer<'o, O>(&'o mut O);

impl<O: BufMut> std::fmt::Write for Writer<'_, O> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.put_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::template::ValueSources;

    fn rows() -> Rows {
        Rows::csv("id,name\n1,a b\n2,ü/ß\n".as_bytes()).unwrap()
    }

    fn rendered(text: &str, place: TextContext, seed: u64, number: u64) -> String {
        let rows = rows();
        let sources = ValueSources { rows: Some(&rows), env: &|_| None };
        let template = Template::compile(text.as_bytes(), place, 7, &sources).unwrap();
        let values = Values {
            seed,
            number,
            due: 1_790_000_000_123_456_789,
            row: Some((&rows, number)),
            length: 5,
            crc32c: 0,
            id: None,
        };
        let mut out = Vec::new();
        template.render(&values, &mut out);
        let mut again = bytes::BytesMut::new();
        template.render(&values, &mut again);
        assert_eq!(out, again, "a resend has the same bytes");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_are_what_they_say() {
        for (text, expected) in [
            ("/items/{{seq}}", "/items/41"),
            ("{{now}}", "2026-09-21T14:13:20.123Z"),
            ("{{now s}} {{now ms}}", "1790000000 1790000000123"),
            ("{{now us}} {{now ns}}", "1790000000123456 1790000000123456789"),
            ("{{random 7 7}}", "7"),
            ("{{pick one}}", "one"),
            ("{\"id\":{{row.id}},\"name\":\"{{row 'name'}}\"}", "{\"id\":2,\"name\":\"ü/ß\"}"),
            ("{{'{{'}}seq}}", "{{seq}}"),
        ] {
            assert_eq!(rendered(text, TextContext::Body, 1, 41), expected, "{text}");
        }
        assert_eq!(rendered("/x/{{row.name}}", TextContext::Path, 1, 0), "/x/a%20b");
        assert_eq!(rendered("/x/{{row.name}}", TextContext::Path, 1, 3), "/x/%C3%BC%2F%C3%9F");
        assert_eq!(rendered("/{{pick 'a/b?'}}", TextContext::Path, 1, 3), "/a%2Fb%3F");
    }

    #[test]
    fn drawn_values_differ_by_request_run_and_place_and_are_spread_evenly() {
        let uuids: Vec<_> =
            (0..1000).map(|number| rendered("{{uuid}}", TextContext::Body, number % 2, number)).collect();
        let mut unique = uuids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), uuids.len());
        for uuid in &uuids {
            let parts: Vec<_> = uuid.split('-').map(str::len).collect();
            assert_eq!((parts, uuid.as_bytes()[14]), (vec![8, 4, 4, 4, 12], b'4'), "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
        let two = rendered("{{uuid}} {{uuid}}", TextContext::Body, 1, 1);
        assert_ne!(two[..36], two[37..]);
        assert_ne!(
            rendered("{{uuid}}", TextContext::Body, 1, 1),
            rendered("{{uuid}}", TextContext::Body, 2, 1)
        );
        let mut seen = [0_u32; 4];
        for number in 0..4000 {
            let drawn: usize = rendered("{{random -1 2}}", TextContext::Body, 9, number)
                .parse::<i64>()
                .map(|drawn| (drawn + 1) as usize)
                .unwrap();
            seen[drawn] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        let mut picked: Vec<_> =
            (0..100).map(|number| rendered("{{pick a b c}}", TextContext::Body, 3, number)).collect();
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked, ["a", "b", "c"]);
        let whole = rendered("{{random -9223372036854775808 9223372036854775807}}", TextContext::Body, 3, 4);
        assert!(whole.parse::<i64>().is_ok());
    }
}
