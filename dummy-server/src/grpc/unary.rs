//! `echo.EchoService/Echo` without tonic: what [`super::echo`] does, for calls whose messages are not compressed.
//!
//! The metadata is written into the response while the head is at hand; everything else when the message has come.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use contract::echo::EchoRequest;
use grpc::message::PREFIX;
use http::StatusCode;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};
use tonic::{Code, Status};
use wire::Fields;

use super::{
    fields::{CallFields, Coding},
    message::{self, Messages},
    metadata::{self, AUTHORITY},
    status::{Deadline, GRPC, OK, overdue, trailers_only},
};
use crate::{
    budget::Hold,
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Body, Part, Reply, Stream},
        upload::{Upload, UploadError},
    },
    stats::Protocol,
};

/// What the response says of the method: its full name, as it is in the path.
const METHOD: &str = "/echo.EchoService/Echo";
/// Most fields of a call that is taken: names are compared each with each.
const MOST_FIELDS: usize = 64;
/// What numbers and keys of a response take, at most.
const NUMBERS: usize = 64;

/// The fields of a response, in `proto/echo.proto`.
mod tag {
    pub(super) const MESSAGE: u32 = 1;
    pub(super) const REQUEST_TIMESTAMP: u32 = 2;
    pub(super) const RESPONSE_TIMESTAMP: u32 = 3;
    pub(super) const SERVER_HOSTNAME: u32 = 4;
    pub(super) const METADATA: u32 = 5;
    pub(super) const METHOD: u32 = 6;
}

/// Whether a call can be answered here.
pub(super) fn takes(head: &Head<'_>, fields: &CallFields<'_>) -> bool {
    fields.encoding.is_none() && head.fields.len() <= MOST_FIELDS && fields.coding() == Ok(Coding::default())
}

/// Answers a call.
pub(super) fn answer(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    upload: Upload,
    mut deadline: Deadline,
) -> Answer {
    let context = Rc::clone(context);
    let most = context.config.limits.grpc_max_message;
    let metadata = metadata(head);
    let mut messages = Messages::new(&context, upload, false);
    Answer::Waiting(Box::pin(async move {
        let mut first = None;
        let message = poll_fn(|cx| match messages.poll_only(&mut first, cx) {
            Poll::Pending => deadline.poll(cx).map(|()| Err(overdue())),
            ready => ready,
        });
        let response = message.await.and_then(|message| respond(message, &context, &metadata, most));
        let hold = messages.into_hold();
        let response = response.and_then(|message| {
            if hold.set(message.len()) { Ok(message) } else { Err(message::broken(&UploadError::TOO_MUCH)) }
        });
        match response {
            Ok(message) => Reply {
                status: StatusCode::OK,
                fixed: GRPC,
                fields: Fields::new(),
                body: Body::Stream(Box::new(Once { message: Some(message), _hold: hold })),
                special: None,
            },
            Err(status) => trailers_only(&status),
        }
    }))
}

fn respond(message: Bytes, context: &ServerContext, metadata: &[u8], most: usize) -> Result<Bytes, Status> {
    let request = EchoRequest::decode(message).map_err(|error| Status::internal(error.to_string()))?;
    if request.response_code != 0 {
        let code = Code::from_i32(request.response_code);
        return Err(Status::new(code, format!("requested error: {code:?}")));
    }
    let hostname = &context.config.instance;
    let length = NUMBERS + request.message.len() + hostname.len() + metadata.len();
    let mut out = Vec::with_capacity(length);
    message::append(&mut out, false, |out| {
        bytes(out, tag::MESSAGE, request.message.as_bytes());
        number(out, tag::REQUEST_TIMESTAMP, request.timestamp);
        number(out, tag::RESPONSE_TIMESTAMP, now_ns());
        bytes(out, tag::SERVER_HOSTNAME, hostname.as_bytes());
        out.extend_from_slice(metadata);
        bytes(out, tag::METHOD, METHOD.as_bytes());
    });
    message::check_length(out.len() - PREFIX, most)?;
    Ok(out.into())
}

/// The metadata of a call, as entries of the response's map.
fn metadata(head: &Head<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.fields.size() + 6 * head.fields.len());
    // Over HTTP/2 they come so (RFC 9113 section 8.2.1).
    let lowercase = head.protocol == Protocol::Http2;
    if let Some(authority) = metadata::authority(head) {
        let name = AUTHORITY.as_bytes();
        entry(&mut out, name, &metadata::text(name, authority), true);
    }
    for (name, value) in metadata::first_of_each(head) {
        entry(&mut out, name, &value, lowercase);
    }
    out
}

/// Keys of an entry of metadata, and of the name and the value in it, as [`encode_key`] writes them.
const METADATA_KEY: u8 = (tag::METADATA as u8) << 3 | WireType::LengthDelimited as u8;
const NAME_KEY: u8 = 1 << 3 | WireType::LengthDelimited as u8;
const VALUE_KEY: u8 = 2 << 3 | WireType::LengthDelimited as u8;
/// Name and value of less than that, with their keys, have a length of one byte.
const SHORT: usize = 124;

/// Writes an entry, whose name becomes lowercase unless it `is_lowercase`.
fn entry(out: &mut Vec<u8>, name: &[u8], value: &[u8], is_lowercase: bool) {
    if name.len() + value.len() < SHORT {
        // Each length is one byte.
        let (name_length, value_length) = (name.len() as u8, value.len() as u8);
        out.extend_from_slice(&[METADATA_KEY, name_length + value_length + 4, NAME_KEY, name_length]);
        let start = out.len();
        out.extend_from_slice(name);
        if !is_lowercase {
            out[start..].make_ascii_lowercase();
        }
        out.extend_from_slice(&[VALUE_KEY, value_length]);
        out.extend_from_slice(value);
        return;
    }
    let length = |text: &[u8]| 1 + encoded_len_varint(text.len() as u64) + text.len();
    encode_key(tag::METADATA, WireType::LengthDelimited, out);
    encode_varint((length(name) + length(value)) as u64, out);
    for (tag, text) in [(1, name), (2, value)] {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text);
        if tag == 1 && !is_lowercase {
            let start = out.len() - name.len();
            out[start..].make_ascii_lowercase();
        }
    }
}

fn bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

fn number(out: &mut Vec<u8>, tag: u32, number: i64) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number.cast_unsigned(), out);
    }
}

/// Nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// One message, and that all went well.
#[derive(Debug)]
struct Once {
    message: Option<Bytes>,
    /// Until it is sent.
    _hold: Hold,
}

impl Stream for Once {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Part>> {
        Poll::Ready(Some(self.message.take().map_or(Part::Constant(OK), Part::Data)))
    }
}

#[cfg(test)]
mod tests {
    use contract::echo::EchoResponse;
    use prost::Message as _;

    use super::*;

    #[test]
    fn entries_of_any_length_are_read_as_they_were_written() {
        for length in [0, 1, 60, 61, 62, 63, 64, 100, 122, 123, 124, 127, 128, 300] {
            for name_length in [1, length / 2 + 1, 126, 200] {
                let (name, value) = ("N".repeat(name_length), "v".repeat(length));
                let mut out = Vec::new();
                entry(&mut out, name.as_bytes(), value.as_bytes(), false);
                let read = EchoResponse::decode(&out[..]).unwrap();
                assert_eq!(read.metadata.len(), 1);
                assert_eq!(read.metadata.get(&name.to_lowercase()), Some(&value), "{name_length} {length}");
            }
        }
    }
}
