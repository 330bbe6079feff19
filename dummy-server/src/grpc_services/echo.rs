//! `echo.EchoService`: each response repeats its request, with the metadata of the call.
//!
//! The metadata is written as it stands in responses while the head is at hand; everything else when a message has arrived.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use contract::{echo::EchoRequest, ledger::stream_message_id};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};
use tonic::{Code, Status};
use wire::Fields;

use super::{
    Call,
    message::{self, BATCH, Messages, within_budget},
    metadata::{self, AUTHORITY},
    status::{Deadline, Interruption, OK, reply, trailers, trailers_only},
};
use crate::{
    budget::Hold,
    clock::now_ns,
    context::ServerContext,
    ledger::Noted,
    message::{
        Head,
        reply::{Answer, Body, Part, Stream, Whole},
    },
    protocol::Protocol,
};

/// Its name, as paths and health checks have it.
pub(super) const NAME: &str = "echo.EchoService";

/// What responses say of their method: its full name, as it is in the path.
const ECHO: &str = "/echo.EchoService/Echo";
const STREAM_ECHO: &str = "/echo.EchoService/StreamEcho";
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
    pub(super) const NUMBER: u32 = 8;
}

/// Starts a call of `method`; `None` if the service has no such method.
pub(super) fn call_method(call: Call, head: &Head<'_>, method: &[u8]) -> Option<Answer> {
    let method = match method {
        b"Echo" => ECHO,
        b"StreamEcho" => STREAM_ECHO,
        _ => return None,
    };
    let Call { messages, accepts_gzip, deadline, context } = call;
    let responder = Responder { method, metadata: metadata(head), compressed: accepts_gzip, context };
    Some(match method {
        ECHO => unary(responder, messages, deadline),
        _ => stream(responder, messages, deadline),
    })
}

/// What all responses of a call have in common.
struct Responder {
    method: &'static str,
    /// As entries of the response's map.
    metadata: Vec<u8>,
    /// Whether responses are compressed.
    compressed: bool,
    context: Rc<ServerContext>,
}

impl Responder {
    /// Adds the response to a request; `place` says which place it has among those with tokens, if it has one.
    fn respond(
        &self,
        request: Bytes,
        place: impl FnOnce(&str) -> Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        let request = EchoRequest::decode(request).map_err(|error| Status::internal(error.to_string()))?;
        let place = place(&request.message);
        if request.response_code != 0 {
            let code = Code::from_i32(request.response_code);
            return Err(Status::new(code, format!("requested error: {code:?}")));
        }
        let hostname = &self.context.config.instance;
        let room = NUMBERS + request.message.len() + hostname.len() + self.metadata.len();
        if out.capacity() == 0 {
            // Most calls have one response: a first allocation takes less than one that may have to move.
            *out = Vec::with_capacity(room);
        }
        out.reserve(room);
        let mut length = 0;
        message::append(out, self.compressed, |out| {
            let start = out.len();
            bytes(out, tag::MESSAGE, request.message.as_bytes());
            number(out, tag::REQUEST_TIMESTAMP, request.timestamp);
            number(out, tag::RESPONSE_TIMESTAMP, now_ns().cast_signed());
            bytes(out, tag::SERVER_HOSTNAME, hostname.as_bytes());
            out.extend_from_slice(&self.metadata);
            bytes(out, tag::METHOD, self.method.as_bytes());
            if let Some(place) = place {
                number(out, tag::NUMBER, place.cast_signed());
            }
            length = out.len() - start;
        });
        if self.compressed {
            self.context.turn.long_step();
        }
        message::check_length(length, self.context.config.limits.grpc_max_message)
    }
}

fn unary(responder: Responder, mut messages: Messages, mut deadline: Deadline) -> Answer {
    Answer::Waiting(Box::pin(async move {
        let mut response = Vec::new();
        let request = deadline.limit(messages.only()).await;
        let responded = request.and_then(|request| responder.respond(request, |_| None, &mut response));
        let hold = messages.into_hold();
        match responded.and_then(|()| within_budget(hold.set(response.len()))) {
            Ok(()) => {
                let body = Whole::body(response.into(), Part::Constant(OK), Some(hold));
                reply(Fields::new(), responder.compressed, body)
            }
            Err(status) => trailers_only(&status),
        }
    }))
}

fn stream(responder: Responder, messages: Messages, deadline: Deadline) -> Answer {
    let hold = Hold::new(&responder.context.budget);
    let interruption = Interruption::new(deadline, &responder.context.shutdown);
    let compressed = responder.compressed;
    let responses = Responses { responder, messages, interruption, hold, noted: Noted::default(), end: None };
    Answer::Ready(reply(Fields::new(), compressed, Body::Stream(Box::new(responses))))
}

/// A response to each request of a stream.
struct Responses {
    responder: Responder,
    messages: Messages,
    interruption: Interruption,
    /// For the responses that were given last.
    hold: Hold,
    /// Those of verified runs that were given last.
    noted: Noted,
    /// The trailers, when there are no more responses.
    end: Option<Part>,
}

impl Responses {
    /// Adds the response to the next request. False: there are no more.
    fn poll_respond(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<bool, Status>> {
        let next = ready!(self.messages.poll_next_until(&mut self.interruption, cx))?;
        let Some(request) = next else { return Poll::Ready(Ok(false)) };
        let start = out.len();
        let (noted, ledger) = (&mut self.noted, &self.responder.context.ledger);
        let mut is_noted = false;
        // One without a token costs a look at its first bytes.
        let place = |message: &str| {
            let id = stream_message_id(message.as_bytes())?;
            is_noted = true;
            Some(noted.saw(id, message.len(), ledger))
        };
        let responded = self.responder.respond(request, place, out);
        let responded = responded.and_then(|()| within_budget(self.hold.set(out.len())));
        self.messages.forget_last();
        Poll::Ready(match responded {
            Ok(()) => Ok(true),
            Err(status) => {
                out.truncate(start);
                if is_noted {
                    self.noted.broken_off(true);
                }
                Err(status)
            }
        })
    }
}

impl Stream for Responses {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        // What was given last has been handed over.
        self.noted.handed_over();
        let mut batch = Vec::new();
        while self.end.is_none() && batch.len() < BATCH {
            match self.poll_respond(&mut batch, cx) {
                Poll::Pending if batch.is_empty() => {
                    self.hold.note(0);
                    return Poll::Pending;
                }
                // What is awaited is polled again, after this.
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => self.end = Some(Part::Constant(OK)),
                Poll::Ready(Err(status)) => self.end = Some(trailers(&status)),
            }
        }
        let responses = (!batch.is_empty()).then(|| Part::Data(batch.into()));
        Poll::Ready(responses.or_else(|| self.end.take()))
    }
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
