//! One request and its reply on a stream.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};

use super::super::{
    engine::{Arrival, Head, Sink},
    failure::{Cause, Failure},
};
use crate::clock::Nanos;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) arrival: Arrival,
    submitted: Nanos,
    request: SendStream<Bytes>,
    reply: Reply,
}

#[derive(Debug)]
enum Reply {
    Awaited(ResponseFuture),
    Body { status: u16, instance: Option<u16>, body: RecvStream },
}

/// How a stream has ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The reply is complete: its status and the instance it names.
    Replied(u16, Option<u16>),
    /// The peer has not processed it and may be asked again.
    Unprocessed { going_away: bool },
    /// It failed.
    Failed(Failure),
}

impl Stream {
    pub(super) fn new(
        arrival: Arrival,
        submitted: Nanos,
        response: ResponseFuture,
        request: SendStream<Bytes>,
    ) -> Self {
        Self { arrival, submitted, request, reply: Reply::Awaited(response) }
    }

    pub(super) fn sent_before(&self, limit: Nanos) -> bool {
        self.submitted < limit
    }

    /// Tells the peer that nobody waits any longer.
    pub(super) fn cancel(mut self) -> Arrival {
        self.request.send_reset(Reason::CANCEL);
        self.arrival
    }

    /// Reads on; the stream's end, if it has come.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) -> Option<Ending> {
        match self.poll(cx, sink) {
            Poll::Pending => None,
            Poll::Ready(Ok((status, instance))) => Some(Ending::Replied(status, instance)),
            Poll::Ready(Err(error)) => Some(self.ending(&error)),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl Sink,
    ) -> Poll<Result<(u16, Option<u16>), h2::Error>> {
        if let Reply::Awaited(response) = &mut self.reply {
            let response = ready!(std::pin::Pin::new(response).poll(cx))?;
            sink.head(&Head::Fields(response.status(), response.headers()));
            let instance = response.headers().get(contract::field::INSTANCE);
            let instance = instance.map(|name| sink.instance(name.as_bytes()));
            let status = response.status().as_u16();
            self.reply = Reply::Body { status, instance, body: response.into_body() };
        }
        let Reply::Body { status, instance, body } = &mut self.reply else { return Poll::Pending };
        while let Some(part) = ready!(body.poll_data(cx)) {
            let part = part?;
            sink.body(&part);
            body.flow_control().release_capacity(part.len())?;
        }
        ready!(body.poll_trailers(cx))?;
        Poll::Ready(Ok((*status, *instance)))
    }

    fn ending(&self, error: &h2::Error) -> Ending {
        // A stream above GOAWAY's last id, like one that was refused, was not processed (RFC 9113 sections
        // 6.8 and 8.7), so that any method is safe to send again. The h2 crate gives the error of a received
        // GOAWAY to streams above the last id alone.
        let going_away = error.is_remote() && error.is_go_away();
        let refused = error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let awaited = matches!(self.reply, Reply::Awaited(_));
        let limit = if going_away { Arrival::MAX_SENT_AWAY } else { Arrival::MAX_RESENDS };
        if awaited && (going_away || refused) && self.arrival.resends < limit {
            return Ending::Unprocessed { going_away };
        }
        Ending::Failed(failure_of(error))
    }
}

/// What an error of the h2 crate means.
pub(super) fn failure_of(error: &h2::Error) -> Failure {
    if let Some(io) = error.get_io() {
        let closed = matches!(io.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::UnexpectedEof);
        if closed {
            return Failure::new(
                Cause::ClosedEarly,
                "the server closed the connection before the reply was complete",
            );
        }
        return Failure::from_io(io);
    }
    let code = error.reason().map_or(0, u32::from);
    let cause = match (error.is_remote(), error.is_go_away(), error.is_reset()) {
        (true, true, _) => Cause::GoAway(code),
        (true, _, true) => Cause::RstStream(code),
        _ => Cause::Protocol,
    };
    Failure::new(cause, error.to_string())
}
