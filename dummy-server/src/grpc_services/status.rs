//! How calls end: statuses as fields, and what ends a call early.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use grpc::{CONTENT_TYPE, Code, timeout};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use wire::Fields;

use crate::{
    drain::{Phase, Shutdown},
    message::reply::{Body, Fixed, Part, Reply},
};

pub(super) const GRPC: Fixed = &[("content-type", CONTENT_TYPE)];
/// The trailers of a call that went well and says nothing else.
pub(super) const OK: Fixed = &[(grpc::status::STATUS, "0")];

/// A response that is its own trailers: a head that ends the stream, or else clients look for the status behind it.
pub(super) fn trailers_only(status: &Status) -> Reply {
    let body = Body::Bytes(Bytes::new());
    Reply { status: StatusCode::OK, fixed: GRPC, fields: fields_of(status), body, special: None }
}

/// The refusal of a call whose messages have a code that nobody here can read.
pub(super) fn unknown_coding(name: &[u8]) -> Reply {
    let name = String::from_utf8_lossy(name);
    let status = Status::unimplemented(format!("grpc-encoding: '{name}'; accepted are identity and gzip"));
    let mut reply = trailers_only(&status);
    reply.fields.push("grpc-accept-encoding", "identity,gzip");
    reply
}

/// A status as fields.
pub(super) fn fields_of(status: &Status) -> Fields {
    let mut fields = fields(status.metadata().as_ref());
    let code = Code::from_number(status.code() as i32).unwrap_or(Code::Unknown);
    grpc::status::write(&mut fields, code, status.message(), status.details());
    fields
}

/// A status as the end of a stream.
pub(super) fn trailers(status: &Status) -> Part {
    Part::Trailers(fields_of(status))
}

/// The fields of a map.
pub(super) fn fields(headers: &HeaderMap) -> Fields {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// When a call ends, whether it is done or not.
#[derive(Debug, Default)]
pub(super) struct Deadline(Option<(Instant, Pin<Box<Sleep>>)>);

impl Deadline {
    /// Reads `grpc-timeout`; the status of a call whose value is none or that is overdue from the start.
    pub(super) fn read(value: Option<&[u8]>) -> Result<Self, Status> {
        let Some(value) = value else { return Ok(Self(None)) };
        let accepted = || {
            let value = String::from_utf8_lossy(value);
            Status::invalid_argument(format!(
                "invalid grpc-timeout '{value}'; accepted: 1 to 8 digits and a unit of H, M, S, m, u, n; example: 5S"
            ))
        };
        let timeout = timeout::read(value).ok_or_else(accepted)?;
        if timeout.is_zero() {
            return Err(overdue());
        }
        // The longest is 11,415 years, which the clock can hold.
        Ok(Self(Some((Instant::now() + timeout, Box::pin(sleep(timeout))))))
    }

    /// Ready when it has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some((_, sleep)) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// Whether it has passed, for callers that don't wait.
    pub(super) fn has_passed(&self) -> bool {
        self.0.as_ref().is_some_and(|(at, _)| Instant::now() >= *at)
    }
}

pub(super) fn overdue() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// The status of calls that the drain ends.
pub(super) fn draining() -> Status {
    Status::unavailable("server is draining")
}

/// The moment from which the drain ends what waits. It is one subscription, however often it is polled.
pub(super) struct Drained(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Drained {
    pub(super) fn new(shutdown: &Shutdown) -> Self {
        let shutdown = shutdown.clone();
        Self(Box::pin(async move { shutdown.reached(Phase::Closing).await }))
    }

    /// Ready when it has come; must not be polled again after that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
