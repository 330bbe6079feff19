//! What a [`Plan`] asks for, checked: each value has a limit, and what is refused is named with what is accepted.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use contract::test::{Metadata, Plan, PlannedStatus};
use prost::{
    Message as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{Code, Status};
use wire::Fields;

use super::status;

/// Maximum number of responses to one request.
const MOST_RESPONSES: u64 = 1_000_000_000;
/// Longest delay and interval: an hour.
const LONGEST_MS: u64 = 3_600_000;
/// Maximum number of headers, and of trailers.
const MOST_METADATA: usize = 64;
/// Maximum size in bytes of names and values of the headers, and of the trailers with the status's message and details.
const MOST_METADATA_BYTES: usize = 16 << 10;
/// Maximum size in bytes of a plan as it arrives: twice what one that is accepted can have.
const MOST_PLAN: usize = 96 << 10;
/// The field of a request that holds it.
const PLAN: u32 = 2;
/// How much of a name or value is repeated when it is refused.
const SHOWN: usize = 40;
/// What a response takes beside its payload, at most.
const AROUND_PAYLOAD: usize = 512;

/// Names that a server has its own use for, or that HTTP/2 forbids (RFC 9113 section 8.2.2).
const RESERVED: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "host",
    "keep-alive",
    "proxy-connection",
    "server-timing",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-dummy-instance",
];

/// Refuses a request whose plan is too large for anything but harm, before it is decoded: entries of two bytes each
/// would take forty times as much.
///
/// # Errors
/// It is, or the request is malformed.
pub(crate) fn weigh(request: &[u8]) -> Result<(), Status> {
    if request.len() <= MOST_PLAN {
        return Ok(());
    }
    let plan = plan_length(request).map_err(|error| Status::internal(error.to_string()))?;
    if plan > MOST_PLAN as u64 {
        let text = format!("plan: {plan} bytes are not accepted; accepted are at most {MOST_PLAN}");
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}

/// Bytes of all that a request says in the field of the plan.
fn plan_length(mut request: &[u8]) -> Result<u64, prost::DecodeError> {
    let mut plan = 0_u64;
    while !request.is_empty() {
        let (tag, wire_type) = decode_key(&mut request)?;
        if tag == PLAN && wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut request)?;
            plan = plan.saturating_add(length);
            // What is cut off is found when it is decoded.
            request = request.get(usize::try_from(length).unwrap_or(usize::MAX)..).unwrap_or_default();
        } else {
            skip_field(wire_type, tag, &mut request, DecodeContext::default())?;
        }
    }
    Ok(plan)
}

/// A plan that can be carried out.
#[derive(Debug, Default)]
pub struct Script {
    /// Responses to each request.
    pub count: u64,
    /// Bytes of payload in each.
    pub size: usize,
    /// Between two of them.
    pub interval: Duration,
    /// Before the reply begins.
    pub delay: Duration,
    /// The reply never begins.
    pub never: bool,
    /// How many responses come before the status.
    pub after: Option<u64>,
    /// Metadata before the first response.
    pub headers: Fields,
    /// The end of the call: the status and the metadata behind it.
    pub trailers: Fields,
}

impl Script {
    /// Checks a plan. `streams`: there may be several responses; `most`: the largest message, in bytes.
    ///
    /// # Errors
    /// The status that names what is not accepted.
    pub fn read(plan: Plan, streams: bool, most: usize) -> Result<Self, Status> {
        let largest = most.saturating_sub(AROUND_PAYLOAD) as u64;
        let count = plan.count.unwrap_or(1);
        if count != 1 && !streams {
            return Err(refused("count", count, "1, as the response is not a stream"));
        }
        at_most("count", count, MOST_RESPONSES)?;
        let size = at_most("size", plan.size, largest)?;
        let interval = at_most("interval_ms", plan.interval_ms, LONGEST_MS)?;
        let delay = at_most("delay_ms", plan.delay_ms, LONGEST_MS)?;
        let after = plan.status.as_ref().map(|status| status.after.unwrap_or(0));
        let mut trailers = end(plan.status.unwrap_or_default())?;
        metadata("trailers", &plan.trailers, &mut trailers)?;
        let mut headers = Fields::new();
        metadata("headers", &plan.headers, &mut headers)?;
        Ok(Self {
            count,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            interval: Duration::from_millis(interval),
            delay: Duration::from_millis(delay),
            never: plan.never,
            after,
            headers,
            trailers,
        })
    }
}

fn refused(field: &str, value: impl std::fmt::Display, accepted: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("plan.{field}: {value} is not accepted; accepted is {accepted}"))
}

fn at_most(field: &str, value: u64, most: u64) -> Result<u64, Status> {
    if value <= most { Ok(value) } else { Err(refused(field, value, format_args!("0 to {most}"))) }
}

/// The status as fields.
fn end(planned: PlannedStatus) -> Result<Fields, Status> {
    let PlannedStatus { code, message, details, .. } = planned;
    if !(0..=16).contains(&code) {
        return Err(refused("status.code", code, "0 to 16"));
    }
    let details = match details.is_empty() {
        true => Bytes::new(),
        false => tonic_types::Status { code, message: message.clone(), details }.encode_to_vec().into(),
    };
    let fields = status::fields_of(&Status::with_details(Code::from_i32(code), message, details));
    if fields.size() > MOST_METADATA_BYTES {
        let accepted = format!("at most {MOST_METADATA_BYTES} bytes of message and details");
        return Err(refused("status", format!("{} bytes", fields.size()), accepted));
    }
    Ok(fields)
}

/// Adds metadata to fields.
fn metadata(field: &str, list: &[Metadata], out: &mut Fields) -> Result<(), Status> {
    if list.len() > MOST_METADATA {
        let found = format!("{} entries", list.len());
        return Err(refused(field, found, format!("at most {MOST_METADATA}")));
    }
    for (index, entry) in list.iter().enumerate() {
        let wrong = |part: &str, value: &str, accepted: &str| {
            let value: String = value.chars().take(SHOWN).collect();
            refused(&format!("{field}[{index}].{part}"), format_args!("'{value}'"), accepted)
        };
        let name = entry.name.as_str();
        if !is_name(name) {
            let accepted = "lower-case letters, digits, '-', '_' and '.', no grpc-* and no name that HTTP or the \
                server needs itself";
            return Err(wrong("name", name, accepted));
        }
        match name.ends_with("-bin") {
            true if !entry.text.is_empty() => {
                return Err(wrong("text", &entry.text, "nothing: names that end in -bin have binary values"));
            }
            true => out.push(name, STANDARD_NO_PAD.encode(&entry.binary)),
            false if !entry.binary.is_empty() => {
                return Err(wrong(
                    "binary",
                    "...",
                    "nothing: only names that end in -bin have binary values",
                ));
            }
            false if !is_text(&entry.text) => {
                return Err(wrong("text", &entry.text, "visible ASCII, with spaces inside"));
            }
            false => out.push(name, &entry.text),
        }
        if out.size() > MOST_METADATA_BYTES {
            let found = format!("{} bytes", out.size());
            return Err(refused(field, found, format!("at most {MOST_METADATA_BYTES}")));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed) && !name.starts_with("grpc-") && !RESERVED.contains(&name)
}

fn is_text(text: &str) -> bool {
    text.trim_matches(' ') == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Metadata {
        Metadata { name: name.to_owned(), text: text.to_owned(), binary: Bytes::new() }
    }

    fn binary(name: &str, binary: &'static [u8]) -> Metadata {
        Metadata { name: name.to_owned(), text: String::new(), binary: Bytes::from_static(binary) }
    }

    #[test]
    fn an_empty_plan_is_one_empty_response_and_ok() {
        let script = Script::read(Plan::default(), false, 1 << 20).unwrap();
        assert_eq!((script.count, script.size, script.after), (1, 0, None));
        assert_eq!(script.trailers.iter().collect::<Vec<_>>(), [(&b"grpc-status"[..], &b"0"[..])]);
    }

    #[test]
    fn status_and_metadata_become_fields_in_order() {
        let plan = Plan {
            status: Some(PlannedStatus { code: 8, message: "no more".to_owned(), ..Default::default() }),
            headers: vec![text("b", "1"), text("a", "x y"), text("b", "2")],
            trailers: vec![binary("t-bin", b"\0\xff"), text("t", "")],
            ..Plan::default()
        };
        let script = Script::read(plan, false, 1 << 20).unwrap();
        let pairs = |fields: &Fields| -> Vec<String> {
            let pair =
                |(name, value)| [String::from_utf8_lossy(name), String::from_utf8_lossy(value)].join("=");
            fields.iter().map(pair).collect()
        };
        assert_eq!(pairs(&script.headers), ["b=1", "a=x y", "b=2"]);
        assert_eq!(pairs(&script.trailers), ["grpc-status=8", "grpc-message=no%20more", "t-bin=AP8", "t="]);
        assert_eq!(script.after, Some(0));
    }

    #[test]
    fn invalid_plans_are_refused_with_what_is_wrong() {
        let status = |code| Some(PlannedStatus { code, ..PlannedStatus::default() });
        let long = "x".repeat(MOST_METADATA_BYTES);
        for (field, plan) in [
            ("plan.count:", Plan { count: Some(2), ..Plan::default() }),
            ("plan.count:", Plan { count: Some(0), ..Plan::default() }),
            ("plan.size:", Plan { size: (1 << 20) - 511, ..Plan::default() }),
            ("plan.interval_ms:", Plan { interval_ms: 3_600_001, ..Plan::default() }),
            ("plan.delay_ms:", Plan { delay_ms: u64::MAX, ..Plan::default() }),
            ("plan.status.code:", Plan { status: status(17), ..Plan::default() }),
            ("plan.status.code:", Plan { status: status(-1), ..Plan::default() }),
            ("plan.headers[0].name:", Plan { headers: vec![text("Upper", "")], ..Plan::default() }),
            (
                "plan.headers[1].name:",
                Plan { headers: vec![text("a", ""), text("grpc-x", "")], ..Plan::default() },
            ),
            ("plan.headers[0].name:", Plan { headers: vec![text("te", "")], ..Plan::default() }),
            ("plan.trailers[0].name:", Plan { trailers: vec![text("", "")], ..Plan::default() }),
            ("plan.trailers[0].text:", Plan { trailers: vec![text("a", "\n")], ..Plan::default() }),
            ("plan.trailers[0].text:", Plan { trailers: vec![text("a-bin", "x")], ..Plan::default() }),
            ("plan.trailers[0].binary:", Plan { trailers: vec![binary("a", b"x")], ..Plan::default() }),
            ("plan.headers:", Plan { headers: vec![text("a", ""); 65], ..Plan::default() }),
            ("plan.headers:", Plan { headers: vec![text("a", &long)], ..Plan::default() }),
        ] {
            let status = Script::read(plan, false, 1 << 20).expect_err(field);
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(status.message().starts_with(field), "{}", status.message());
            assert!(status.message().contains("accepted is"), "{}", status.message());
        }
    }

    #[test]
    fn several_responses_are_for_streams() {
        for count in [0, 2, MOST_RESPONSES] {
            let plan = Plan { count: Some(count), ..Plan::default() };
            assert_eq!(Script::read(plan, true, 1 << 20).unwrap().count, count);
        }
        let plan = Plan { count: Some(MOST_RESPONSES + 1), ..Plan::default() };
        assert!(Script::read(plan, true, 1 << 20).is_err());
    }
}
