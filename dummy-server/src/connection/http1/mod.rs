//! HTTP/1.0 and HTTP/1.1 by this project's own engine: one request after the other, pipelined ones without a
//! wait, and the output of one wake-up in one system call.

mod receiving;
mod sending;

use std::{
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http1::{Version, request, write};
use wire::Output;

use self::sending::SendingReply;
use super::{
    input::Input,
    resources::Resources,
    socket::{self, ByteStream, CloseReason, SharedSocket},
};
use crate::{
    budget::{Hold, counted},
    context::ServerContext,
    endpoints::websocket,
    exchange::Flight,
    lifecycle::orders::{Order, Orders},
    message::{
        reply::Awaited,
        upload::{Inbox, UploadError},
        websocket::Options,
    },
    turn::give_way,
};

/// While so much output waits, nothing more is read or sent.
const MOST_OUTPUT: usize = 256 << 10;
/// Serves a connection until it ends; `first` was read already.
pub(super) async fn serve(first: Vec<u8>, resources: &Resources, socket: &Rc<SharedSocket>) {
    let context = &resources.exchange.context;
    let limits =
        http1::Limits { head: context.config.limits.max_header_bytes as usize, ..Default::default() };
    let mut driver = Driver {
        reader: request::RequestReader::new(limits),
        output: Output::new(),
        resources,
        context,
        socket,
        orders: &socket.lifecycle.orders,
        current: Current::Idle,
        after: After::NextRequest,
        input: Input::new(first, &context.budget),
        output_hold: Hold::new(&context.budget),
        replies: VecDeque::new(),
    };
    match poll_fn(|cx| driver.poll(cx)).await {
        End::Closed(ending) => socket::end(socket, ending).await,
        End::Upgrade(options, mut flight) => {
            flight.goes_on();
            let before = socket.lifecycle.accounting.bytes_sent();
            let wire = ByteStream::new(Bytes::from(driver.input.rest), Rc::clone(socket));
            websocket::serve(wire, options, context, &socket.lifecycle.orders).await;
            flight.sent(socket.lifecycle.accounting.bytes_sent() - before);
            flight.whole();
            socket::send_close_notify(socket).await;
        }
    }
}

enum End {
    Closed(CloseReason),
    Upgrade(Options, Flight),
}

struct Driver<'a> {
    reader: request::RequestReader,
    output: Output,
    resources: &'a Resources,
    context: &'a ServerContext,
    socket: &'a Rc<SharedSocket>,
    /// The connection's, closer at hand.
    orders: &'a Orders,
    current: Current,
    after: After,
    input: Input,
    /// For the output, and for large replies in it.
    output_hold: Hold,
    /// By where they end among all bytes that are written.
    replies: VecDeque<(u64, Hold)>,
}

/// The request that is being answered.
enum Current {
    Idle,
    /// The endpoint has not replied; `body` is there for as long as more of it is to come.
    Waiting {
        flight: Flight,
        reply: Awaited,
        body: Option<Rc<Inbox>>,
        version: Version,
    },
    Sending(SendingReply),
    Upgrading(Options, Flight),
}

/// What follows the current request, or the last one.
#[derive(Clone, Copy)]
enum After {
    NextRequest,
    /// The end of the connection. It is read on until then, so that a client that is gone is noticed.
    Close(CloseReason),
    /// The end of the connection; nothing more is read.
    Break(CloseReason),
}

impl After {
    /// No request follows.
    fn close(&mut self) {
        if matches!(self, Self::NextRequest) {
            *self = Self::Close(CloseReason::Complete);
        }
    }
}

impl Driver<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let end = self.take_turn(cx);
        if end.is_pending() {
            self.output_hold.note(counted(self.output.buffer().len()));
        }
        end
    }

    fn take_turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.socket.lifecycle.begin_turn(cx);
        self.context.turn.begin();
        if self.socket.lifecycle.patience.has_stalled(|| !self.output.is_empty() || self.awaits_body()) {
            if !self.output.is_empty() {
                self.socket.lifecycle.break_off();
                return Poll::Ready(End::Closed(CloseReason::Abandoned));
            }
            // The endpoint says what it has got so far, and the connection ends.
            self.body_ended(Err(UploadError::STALLED));
            self.after = After::Break(CloseReason::Refused);
        }
        let mut read = false;
        loop {
            if self.orders.strongest() == Order::Close {
                return Poll::Ready(End::Closed(CloseReason::Abandoned));
            }
            let mut moved = self.work(cx);
            let written = socket::poll_output(self.socket, &mut self.output, cx);
            self.replies_written();
            match written {
                Poll::Ready(Ok(())) => {
                    if let Some(end) = self.end() {
                        return Poll::Ready(end);
                    }
                    moved |= self.flushed();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed(CloseReason::Abandoned)),
                Poll::Pending if self.has_enough() => return Poll::Pending,
                Poll::Pending => {}
            }
            // However much there is to send, each turn reads once.
            if std::mem::replace(&mut read, true) && self.context.turn.long_step() {
                return give_way(cx);
            }
            match self.read(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(End::Closed(CloseReason::Abandoned)),
                Poll::Pending if moved || self.context.turn.is_over() => {}
                Poll::Pending => {
                    self.context.buffers.take_back(&mut self.output);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether and how the connection ends, when nothing waits to be written.
    fn end(&mut self) -> Option<End> {
        match self.current {
            Current::Upgrading(..) => {
                let current = std::mem::replace(&mut self.current, Current::Idle);
                let Current::Upgrading(options, flight) = current else { return None };
                Some(End::Upgrade(options, flight))
            }
            Current::Idle => match self.after {
                After::NextRequest => {
                    let drained = self.orders.strongest() == Order::Drain
                        && !self.input.has_more()
                        && self.socket.may_close();
                    (drained || self.input.is_exhausted()).then_some(End::Closed(CloseReason::Complete))
                }
                After::Close(ending) | After::Break(ending) => Some(End::Closed(ending)),
            },
            _ => None,
        }
    }

    /// Holds no more of large replies that are written.
    fn replies_written(&mut self) {
        let written = self.socket.lifecycle.accounting.bytes_sent();
        while self.replies.front().is_some_and(|(end, _)| *end <= written) {
            self.replies.pop_front();
        }
    }

    /// Whether so much output waits that no more is made.
    fn has_enough(&self) -> bool {
        self.output.len() >= self.context.budget.output(MOST_OUTPUT)
    }

    /// Goes on with the current request. True: it got so far that input may follow.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.current {
            Current::Waiting { reply, body, .. } => match reply.as_mut().poll(cx) {
                Poll::Ready(reply) => {
                    let current = std::mem::replace(&mut self.current, Current::Idle);
                    if let Current::Waiting { flight, body, version, .. } = current {
                        self.respond(flight, reply, version, body.is_none());
                    }
                    true
                }
                Poll::Pending => {
                    if body.as_ref().is_some_and(|inbox| inbox.take_continue()) {
                        self.output.copy(write::CONTINUE);
                    }
                    false
                }
            },
            Current::Sending(_) => self.send(cx),
            _ => false,
        }
    }
}
