//! How calls end: statuses as fields, and what ends a call early.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use grpc::{CONTENT_TYPE, Code, timeout};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, Sleep, sleep};
use tonic::{Status, metadata::MetadataValue};
use wire::Fields;

use crate::{
    drain::{Phase, Shutdown},
    message::reply::{Body, Fixed, Part, Reply},
};

pub(super) const GRPC: Fixed = &[("content-type", CONTENT_TYPE)];
/// The trailers of a call that went well and says nothing else.
pub(super) const OK: Fixed = &[(grpc::status::STATUS, "0")];

/// A response of these fields; `compressed`: its messages are.
pub(super) fn reply(mut fields: Fields, compressed: bool, body: Body) -> Reply {
    if compressed {
        fields.push("grpc-encoding", "gzip");
    }
    Reply { status: StatusCode::OK, fixed: GRPC, fields, body, special: None }
}

/// A response that is its own trailers: a head that ends the stream, or else clients look for the status behind it.
pub(super) fn trailers_only(status: &Status) -> Reply {
    reply(fields_of(status), false, Body::Bytes(Bytes::new()))
}

/// The refusal of a call whose messages have a code that nobody here can read.
pub(super) fn unknown_coding(name: &[u8]) -> Status {
    let name = String::from_utf8_lossy(name);
    let mut status =
        Status::unimplemented(format!("grpc-encoding: '{name}'; accepted are identity and gzip"));
    let accepted = MetadataValue::from_static("identity,gzip");
    status.metadata_mut().insert("grpc-accept-encoding", accepted);
    status
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
pub(super) struct Deadline(Option<Pin<Box<Sleep>>>);

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
        Ok(Self(Some(Box::pin(sleep(timeout)))))
    }

    /// Ready when it has passed: the status of the call.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx).map(|()| overdue()),
            None => Poll::Pending,
        }
    }

    /// What is awaited, if it comes before.
    pub(super) async fn limit<T>(
        &mut self,
        awaited: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| match awaited.as_mut().poll(cx) {
            Poll::Pending => self.poll(cx).map(Err),
            ready => ready,
        })
        .await
    }
}

fn overdue() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// The status of calls that the drain ends.
fn draining() -> Status {
    Status::unavailable("server is draining")
}

/// What ends a call from outside: its deadline, and the drain where the call yields to it.
pub(super) struct Interruption {
    deadline: Deadline,
    /// The moment from which the drain ends what waits. It is one subscription, however often it is polled.
    drained: Pin<Box<dyn Future<Output = ()>>>,
}

impl Interruption {
    pub(super) fn new(deadline: Deadline, shutdown: &Shutdown) -> Self {
        let shutdown = shutdown.clone();
        Self { deadline, drained: Box::pin(async move { shutdown.reached(Phase::Closing).await }) }
    }

    /// Ready when it has come: the status of the call. It must not be polled again after that.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, yields: bool) -> Poll<Status> {
        if let Poll::Ready(overdue) = self.deadline.poll(cx) {
            return Poll::Ready(overdue);
        }
        if yields { self.drained.as_mut().poll(cx).map(|()| draining()) } else { Poll::Pending }
    }

    /// The same for callers that don't wait, and know whether the drain is to end the call.
    pub(super) fn has_come(&self, drained: bool) -> Option<Status> {
        if self.deadline.0.as_ref().is_some_and(|sleep| Instant::now() >= sleep.deadline()) {
            return Some(overdue());
        }
        drained.then(draining)
    }
}
