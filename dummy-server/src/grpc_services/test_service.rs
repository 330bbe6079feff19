//! `dummy.v1.TestService`: calls of every kind, carried out by their [`Script`]. Payloads are pieces of the
//! pattern and are not copied, unless they are small or compressed.

use std::{
    future::poll_fn,
    io::Write as _,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use contract::{
    ledger::stream_message_id,
    pattern::Range,
    test::{TestRequest, TestResponse},
};
use flate2::{Compression, write::GzEncoder};
use grpc::message::{PREFIX, set_prefix};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use tokio::time::sleep;
use tonic::Status;
use wire::Fields;

use super::{
    Call,
    message::{self, BATCH, Messages},
    plan::{self, Script},
    status::{Interruption, fields_of, reply, trailers_only},
    tokens::Tokens,
};
use crate::{
    budget::{COMPRESSOR, Hold},
    context::ServerContext,
    drain::Phase,
    message::{
        reply::{Answer, Body, Part, Reply, Stream},
        timetable::Timetable,
    },
    named::named,
    turn::{Turn, give_way},
};

/// Its name, as paths and health checks have it.
pub(super) const NAME: &str = "dummy.v1.TestService";

/// The field `payload` of a response.
const PAYLOAD: u32 = 1;
/// Payloads up to this many bytes go into one piece with their message.
const SMALL: usize = 4 << 10;
/// Bytes of a larger payload in one piece.
const PIECE: u64 = 64 << 10;
/// The same where it is compressed.
const COMPRESSED: u64 = 16 << 10;

named! {
    /// The kinds of calls, by their methods.
    pub(crate) enum Kind {
        Unary = "Unary",
        ClientStream = "ClientStream",
        ServerStream = "ServerStream",
        BidiStream = "BidiStream",
    }
}

impl Kind {
    /// Whether there may be several responses.
    fn streams(self) -> bool {
        matches!(self, Self::ServerStream | Self::BidiStream)
    }
}

/// Starts a call of `method`; `None` if the service has no such method.
pub(super) fn call_method(call: Call, method: &[u8]) -> Option<Answer> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == method)?;
    let Call { messages, accepts_gzip, deadline, context } = call;
    let conversation = ScriptedCall {
        kind,
        messages,
        compressed: accepts_gzip,
        script: Box::default(),
        requests: 0,
        request_bytes: 0,
        tokens: None,
        sent: 0,
        left: 0,
        awaited: false,
        payload: context.pattern.range(0, 0),
        packing: None,
        timetable: Timetable::default(),
        end: None,
        interruption: Interruption::new(deadline, &context.shutdown),
        context,
    };
    Some(Answer::Waiting(Box::pin(conversation.begin())))
}

/// A call in progress; as a [`Stream`], its responses and trailers.
struct ScriptedCall {
    kind: Kind,
    messages: Messages,
    /// Whether responses are compressed.
    compressed: bool,
    /// It asks for nothing before the first request was read.
    script: Box<Script>,
    /// Requests read, and bytes of their payloads.
    requests: u64,
    request_bytes: u64,
    /// Of requests of a verified run.
    tokens: Option<Box<Tokens>>,
    /// Responses begun.
    sent: u64,
    /// Responses to come to the last request.
    left: u64,
    /// Whether the next request had not come when the responses to the last one had been sent.
    awaited: bool,
    /// What is left of the payload of the current response.
    payload: Range,
    /// The current response, while it is compressed.
    packing: Option<Box<Packing>>,
    /// When the next response is due.
    timetable: Timetable,
    /// The trailers, when there are no more responses.
    end: Option<Fields>,
    interruption: Interruption,
    context: Rc<ServerContext>,
}

impl ScriptedCall {
    /// Reads what comes before the reply, waits as the plan says, and gives the reply.
    async fn begin(mut self) -> Reply {
        match self.open().await {
            Ok(headers) => reply(headers, self.compressed, Body::Stream(Box::new(self))),
            Err(status) => trailers_only(&status),
        }
    }

    /// The metadata before the first response.
    async fn open(&mut self) -> Result<Fields, Status> {
        // Without a request there is nothing asked for.
        if !poll_fn(|cx| self.poll_request(cx)).await? {
            if matches!(self.kind, Kind::Unary | Kind::ServerStream) {
                return Err(Status::internal("the request has no message"));
            }
            self.plan(None)?;
        }
        if self.kind != Kind::BidiStream {
            while poll_fn(|cx| self.poll_request(cx)).await? {
                if self.kind != Kind::ClientStream {
                    return Err(Status::internal("more than one message in a request that has one"));
                }
            }
        }
        self.left = match (self.kind, self.requests) {
            // Nobody has asked yet.
            (Kind::BidiStream, 0) => 0,
            _ => self.script.count,
        };
        if self.script.never {
            return Err(poll_fn(|cx| self.interruption.poll(cx, true)).await);
        }
        if !self.script.delay.is_zero() {
            let mut delay = Box::pin(sleep(self.script.delay));
            poll_fn(|cx| match delay.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                // What gives one response is let finish by the drain.
                Poll::Pending => self.interruption.poll(cx, self.kind.streams()).map(Err),
            })
            .await?;
        }
        Ok(std::mem::take(&mut self.script.headers))
    }

    /// Reads a request. False: there are no more.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Status>> {
        let next = ready!(self.messages.poll_next_until(&mut self.interruption, cx))?;
        let Some(message) = next else { return Poll::Ready(Ok(false)) };
        plan::weigh(&message)?;
        let request = TestRequest::decode(message).map_err(|error| Status::internal(error.to_string()))?;
        self.messages.forget_last();
        self.requests += 1;
        self.request_bytes += request.payload.len() as u64;
        // One without a token costs a look at its first bytes.
        if let Some(id) = stream_message_id(&request.payload) {
            let is_of_stream = matches!(self.kind, Kind::ClientStream | Kind::BidiStream);
            let ledger = Some(&self.context.ledger).filter(|_| is_of_stream);
            self.tokens.get_or_insert_default().came(id, &request.payload, ledger);
        } else if let Some(tokens) = &mut self.tokens {
            tokens.came_unread();
        }
        match (self.requests, request.plan) {
            (1, plan) => self.plan(plan)?,
            (_, None) => {}
            (_, Some(_)) => {
                let text = "plan: it is not accepted in a later request; accepted is one in the first";
                return Poll::Ready(Err(Status::invalid_argument(text)));
            }
        }
        Poll::Ready(Ok(true))
    }

    fn plan(&mut self, plan: Option<contract::test::Plan>) -> Result<(), Status> {
        let most = self.context.config.limits.grpc_max_message;
        *self.script = Script::read(plan.unwrap_or_default(), self.kind.streams(), most)?;
        Ok(())
    }

    /// Whether another response is to be sent now; else the call has ended.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Status>> {
        // What gives one response is let finish by the drain.
        let drained = self.kind.streams() && self.context.shutdown.phase() >= Phase::Closing;
        if let Some(status) = self.interruption.has_come(drained) {
            return Poll::Ready(Err(status));
        }
        if self.script.after.is_some_and(|after| self.sent >= after) {
            return Poll::Ready(Ok(false));
        }
        while self.left == 0 {
            if self.kind != Kind::BidiStream {
                return Poll::Ready(Ok(false));
            }
            let Poll::Ready(next) = self.poll_request(cx) else {
                self.awaited = true;
                return Poll::Pending;
            };
            if !next? {
                return Poll::Ready(Ok(false));
            }
            self.left = self.script.count;
        }
        if std::mem::take(&mut self.awaited) {
            self.timetable.catch_up();
        }
        if self.timetable.poll(cx).is_pending() {
            return self.interruption.poll(cx, true).map(Err);
        }
        self.timetable.begin();
        self.timetable.advance(self.script.interval);
        self.left -= 1;
        self.sent += 1;
        Poll::Ready(Ok(true))
    }

    /// Adds a response. What is left of a large payload is in `self.payload` then; one that is to be compressed is not
    /// added but in `self.packing`.
    fn respond(&mut self, out: &mut Vec<u8>) {
        let size = self.script.size;
        let response = TestResponse {
            number: self.sent,
            requests: self.requests,
            request_bytes: self.request_bytes,
            instance: self.context.instance.to_owned(),
            ..self.tokens.as_mut().map(|tokens| tokens.tell()).unwrap_or_default()
        };
        let whole = size <= SMALL;
        let start = out.len();
        let payload = &mut self.payload;
        *payload = self.context.pattern.range(0, size as u64);
        let write = |out: &mut Vec<u8>| {
            // Memory takes all.
            let _ = response.encode(out);
            if size > 0 {
                encode_key(PAYLOAD, WireType::LengthDelimited, out);
                encode_varint(size as u64, out);
            }
        };
        if self.compressed && !whole {
            let mut head = Vec::new();
            write(&mut head);
            let payload = payload.split_to(u64::MAX);
            let hold = Hold::new(&self.context.budget);
            self.packing = Some(Box::new(Packing { head, encoder: None, payload, hold }));
            return;
        }
        message::append(out, self.compressed, |out| {
            write(out);
            while whole && payload.left() > 0 {
                out.extend_from_slice(payload.piece(u64::MAX));
            }
        });
        if !whole {
            let length = out.len() - start - PREFIX + size;
            set_prefix(&mut out[start..], length, false);
        }
    }
}

/// A response on its way through a compressor.
#[derive(Debug)]
struct Packing {
    /// What comes before the payload.
    head: Vec<u8>,
    /// None before there is memory for it; the prefix, and what came out so far.
    encoder: Option<GzEncoder<Vec<u8>>>,
    payload: Range,
    hold: Hold,
}

impl Packing {
    /// The message with its prefix, after as many turns as it takes.
    fn poll(&mut self, turn: &Turn, cx: &mut Context<'_>) -> Poll<Bytes> {
        ready!(self.hold.poll_set(COMPRESSOR, cx));
        let encoder =
            self.encoder.get_or_insert_with(|| GzEncoder::new(vec![0; PREFIX], Compression::fast()));
        // Writing to memory does not fail.
        let _ = encoder.write_all(&std::mem::take(&mut self.head));
        while self.payload.left() > 0 {
            if turn.long_step() {
                return give_way(cx);
            }
            let _ = encoder.write_all(self.payload.piece(COMPRESSED));
        }
        let _ = encoder.try_finish();
        let mut framed = std::mem::take(encoder.get_mut());
        let length = framed.len() - PREFIX;
        set_prefix(&mut framed, length, true);
        Poll::Ready(framed.into())
    }
}

impl Stream for ScriptedCall {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.payload.left() > 0 {
            return Poll::Ready(Some(Part::Data(Bytes::from_static(self.payload.piece(PIECE)))));
        }
        if let Some(packing) = &mut self.packing {
            let framed = ready!(packing.poll(&self.context.turn, cx));
            self.packing = None;
            return Poll::Ready(Some(Part::Data(framed)));
        }
        let mut batch = Vec::new();
        let whole = |this: &Self| this.payload.left() == 0 && this.packing.is_none();
        while self.end.is_none() && whole(self) && batch.len() < BATCH {
            if self.context.turn.is_over() {
                if batch.is_empty() {
                    return give_way(cx);
                }
                break;
            }
            match self.poll_turn(cx) {
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                // What is awaited is polled again, after this.
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {
                    self.respond(&mut batch);
                    let _ = if self.compressed {
                        self.context.turn.long_step()
                    } else {
                        self.context.turn.step()
                    };
                }
                Poll::Ready(Ok(false)) => self.end = Some(std::mem::take(&mut self.script.trailers)),
                Poll::Ready(Err(status)) => self.end = Some(fields_of(&status)),
            }
        }
        if !batch.is_empty() {
            return Poll::Ready(Some(Part::Data(batch.into())));
        }
        if self.packing.is_some() {
            return self.poll_next(cx);
        }
        let end = self.end.as_mut().map(std::mem::take);
        Poll::Ready(end.filter(|fields| !fields.is_empty()).map(Part::Trailers))
    }
}
