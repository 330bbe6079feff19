//! HTTP/1.0 and HTTP/1.1 by this project's own engine: one request after the other, pipelined ones without a
//! wait, and the output of one wake-up in one system call.

mod sending;

use std::{
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http1::{
    Event, Version,
    request::{self, Rejection},
    write,
};
use wire::Output;

use self::sending::Sending;
use super::{
    resources::Resources,
    socket::{self, ByteStream, Ending, SharedSocket, keep_rest},
};
use crate::{
    budget::{Hold, counted},
    clock::now_ns,
    endpoints::websocket,
    exchange::{self, Flight, Pending},
    lifecycle::{Lifecycle, orders::Order},
    message::{
        Head,
        reply::{Answer, Awaited},
        upload::{Inbox, Upload, UploadError},
        websocket::Options,
    },
    settings::Port,
    stats::Protocol,
    turn::give_way,
};

/// While so much output waits, nothing more is read or sent.
const MOST_OUTPUT: usize = 256 << 10;
/// What is read of requests whose turn has not come.
const MOST_AHEAD: usize = 64 << 10;

/// Serves a connection until it ends; `first` was read already.
pub(super) async fn serve(port: Port, first: Vec<u8>, resources: &Rc<Resources>, socket: &Rc<SharedSocket>) {
    let limits = http1::Limits {
        head: resources.context.config.limits.max_header_bytes as usize,
        ..Default::default()
    };
    let mut driver = Driver {
        reader: request::Reader::new(limits),
        output: Output::new(),
        port,
        resources,
        socket,
        current: Current::Idle,
        body_open: false,
        keep_alive: true,
        rest: first,
        fresh_rest: true,
        left: 0,
        ended: false,
        failed: false,
        ending: Ending::Complete,
        rest_hold: Hold::new(&resources.budget),
        output_hold: Hold::new(&resources.budget),
        replies: VecDeque::new(),
    };
    match poll_fn(|cx| driver.poll(cx)).await {
        End::Closed(ending) => socket::end(socket, ending).await,
        End::Upgrade(options, mut flight) => {
            flight.goes_on();
            let before = socket.lifecycle.accounting.bytes_sent();
            let wire = ByteStream::new(Bytes::from(std::mem::take(&mut driver.rest)), Rc::clone(socket));
            drop(driver);
            websocket::serve(wire, options, &resources.context, &socket.lifecycle).await;
            flight.sent(socket.lifecycle.accounting.bytes_sent() - before);
            socket::send_close_notify(socket).await;
        }
    }
}

enum End {
    Closed(Ending),
    Upgrade(Options, Flight),
}

struct Driver<'a> {
    reader: request::Reader,
    output: Output,
    port: Port,
    resources: &'a Rc<Resources>,
    socket: &'a Rc<SharedSocket>,
    current: Current,
    /// The body of the current request is still being read.
    body_open: bool,
    /// The connection goes on after the current reply.
    keep_alive: bool,
    /// Read and not taken in.
    rest: Vec<u8>,
    /// Nobody has looked at `rest` since what it waited for came about.
    fresh_rest: bool,
    /// How much was read and not taken in, while that is not in `rest`.
    left: usize,
    /// The client sends nothing more.
    ended: bool,
    /// What the client sent makes no sense: nothing more is read.
    failed: bool,
    /// How the connection ends when it does by itself.
    ending: Ending,
    /// For what is read and not taken in, for the output, and for large replies in it.
    rest_hold: Hold,
    output_hold: Hold,
    /// By where they end among all bytes that are written.
    replies: VecDeque<(u64, Hold)>,
}

/// The request that is being answered.
enum Current {
    Idle,
    Waiting { pending: Option<Pending>, reply: Awaited, inbox: Option<Rc<Inbox>>, asked: Asked },
    Sending(Sending),
    Upgrading(Options, Option<Flight>),
}

/// What the reply has to know of its request.
#[derive(Clone, Copy)]
struct Asked {
    version: Version,
    /// The client waits for 100 (Continue).
    expects_continue: bool,
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
        self.resources.turn.begin();
        if self.socket.lifecycle.has_stalled(|| !self.output.is_empty() || self.awaits_body()) {
            if !self.output.is_empty() {
                return Poll::Ready(End::Closed(Ending::Abandoned));
            }
            // The endpoint says what it has got so far, and the connection ends.
            self.body_ended(Err(UploadError::STALLED));
            (self.failed, self.keep_alive) = (true, false);
            self.ending = Ending::Refused;
        }
        let mut read = false;
        loop {
            if self.socket.lifecycle.order() == Order::Close {
                return Poll::Ready(End::Closed(Ending::Abandoned));
            }
            let mut moved = self.work(cx);
            match socket::poll_output(self.socket, &mut self.output, cx) {
                Poll::Ready(Ok(())) => {
                    self.replies_written();
                    if let Some(end) = self.end() {
                        return Poll::Ready(end);
                    }
                    moved |= self.flushed();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed(Ending::Abandoned)),
                Poll::Pending if self.has_enough() => {
                    self.replies_written();
                    return Poll::Pending;
                }
                Poll::Pending => self.replies_written(),
            }
            // However much there is to send, each turn reads once.
            if std::mem::replace(&mut read, true) && self.resources.turn.long_step() {
                return give_way(cx);
            }
            match self.read(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(End::Closed(Ending::Abandoned)),
                Poll::Pending if moved || self.resources.turn.is_over() => {}
                Poll::Pending => {
                    self.rest_a_while();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether and how the connection ends, when nothing waits to be written.
    fn end(&mut self) -> Option<End> {
        match &mut self.current {
            Current::Upgrading(options, flight) => Some(End::Upgrade(*options, flight.take()?)),
            Current::Idle => {
                let over = !self.keep_alive || self.failed || self.ended && !self.fresh_rest;
                let drained = self.socket.lifecycle.order() == Order::Drain
                    && self.left == 0
                    && self.socket.may_close();
                (over || drained).then_some(End::Closed(self.ending))
            }
            _ => None,
        }
    }

    /// Reads once and takes in what came, if there is use for it. False: the connection is broken.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let resources = Rc::clone(self.resources);
        let mut buffer = resources.read_buffer.borrow_mut();
        let takes = self.takes_input();
        let count = if takes && std::mem::take(&mut self.fresh_rest) {
            let count = self.rest.len();
            buffer[..count].copy_from_slice(&self.rest);
            count
        } else {
            let ahead = self.resources.budget.output(MOST_AHEAD);
            if self.ended || self.failed || !takes && self.rest.len() >= ahead {
                return Poll::Pending;
            }
            // Reads while a reply is made, too: so a client that is gone is noticed.
            match std::task::ready!(socket::poll_read(self.socket, &self.rest, &mut buffer, cx)) {
                Ok(count) if count == self.rest.len() => {
                    self.peer_ended();
                    return Poll::Ready(true);
                }
                Ok(count) => count,
                Err(_) => return Poll::Ready(false),
            }
        };
        let mut input = &buffer[..count];
        self.left = count;
        self.resources.context.lend(&mut self.output);
        self.take_in(&mut input);
        keep_rest(&mut self.rest, input);
        let held = counted(self.rest.capacity());
        let awaits_head = matches!(self.current, Current::Idle) && self.takes_input() && !self.fresh_rest;
        if !awaits_head {
            // It waits for its turn, or belongs to what follows.
            self.rest_hold.note(held);
        } else if !self.rest_hold.set(held) {
            self.rest = Vec::new();
            self.left = 0;
            let error = UploadError::TOO_MUCH;
            let rejection = Rejection { status: error.status.as_u16(), reason: error.reason() };
            self.reject(rejection, &request::Head::default(), now_ns());
        }
        self.body_broken_off();
        Poll::Ready(true)
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
        self.output.len() >= self.resources.budget.output(MOST_OUTPUT)
    }

    /// Whether the next bytes may be looked at: those of the current request's body, or of the next head.
    fn takes_input(&self) -> bool {
        match &self.current {
            Current::Idle => self.keep_alive && !self.failed,
            Current::Waiting { inbox: Some(inbox), .. } => self.body_open && !inbox.is_full(),
            _ => false,
        }
    }

    /// Whether the endpoint waits for more of the body.
    fn awaits_body(&self) -> bool {
        let inbox = if let Current::Waiting { inbox, .. } = &self.current { inbox.as_ref() } else { None };
        self.body_open && inbox.is_some_and(|inbox| inbox.is_held_up())
    }

    fn take_in(&mut self, input: &mut &[u8]) {
        let resources = Rc::clone(self.resources);
        let mut head = resources.http1_head.borrow_mut();
        let now = now_ns();
        while self.takes_input() && !self.has_enough() && !self.resources.turn.step() {
            let next = self.reader.read(input, &mut head);
            self.left = input.len();
            match next {
                Ok(None) => return,
                Ok(Some(Event::Head { end })) => self.request(&head, end, now),
                Ok(Some(Event::Data(data))) => {
                    if let Current::Waiting { inbox: Some(inbox), .. } = &self.current {
                        inbox.push(data);
                    }
                }
                Ok(Some(Event::End)) => {
                    let trailers = self.reader.trailers();
                    if let Current::Waiting { inbox: Some(inbox), .. } = &self.current
                        && !trailers.is_empty()
                    {
                        inbox.trailers(trailers.iter());
                    }
                    self.body_ended(Ok(()));
                }
                Ok(Some(Event::Informational)) => {}
                Err(rejection) => return self.reject(rejection, &head, now),
            }
        }
        // There is more than could be taken in now, if only the end of a body.
        self.fresh_rest = !input.is_empty() || self.body_open;
    }

    fn body_ended(&mut self, how: Result<(), UploadError>) {
        self.body_open = false;
        if let Current::Waiting { inbox: Some(inbox), .. } = &self.current {
            inbox.end(how);
        }
    }

    fn request(&mut self, fields: &request::Head, end: bool, now: u64) {
        let mut asked = Asked { version: fields.version, expects_continue: fields.expect_continue && !end };
        self.keep_alive = fields.keep_alive;
        self.body_open = !end;
        let inbox = (!end).then(|| Inbox::new(&self.resources.budget));
        let upload = inbox.as_ref().map_or_else(Upload::none, Upload::from);
        let head = head(fields, self.port, &self.socket.lifecycle);
        let (pending, answer) = exchange::answer(&self.resources.exchange, &head, upload, now);
        if let Some(manners) = pending.manners() {
            asked.expects_continue &= !manners.withholds_continue;
            self.inform(&manners.interim);
        }
        match answer {
            Answer::Ready(reply) => self.respond(pending, reply, asked),
            Answer::Waiting(reply) => {
                self.current = Current::Waiting { pending: Some(pending), reply, inbox, asked };
            }
        }
    }

    /// Answers what is no request, as far as there is anybody to answer.
    fn reject(&mut self, rejection: Rejection, fields: &request::Head, now: u64) {
        self.failed = true;
        self.keep_alive = false;
        self.ending = Ending::Refused;
        if !matches!(self.current, Current::Idle) {
            return self.body_ended(Err(UploadError::malformed(rejection.reason)));
        }
        self.body_open = false;
        let head = head(fields, self.port, &self.socket.lifecycle);
        let (pending, reply) =
            exchange::reject(&self.resources.exchange, &head, rejection.status, rejection.reason, now);
        self.respond(pending, reply, Asked { version: Version::Http11, expects_continue: false });
    }

    /// Goes on with the current request. True: something has come of it that input may follow.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.current {
            Current::Waiting { pending, reply, inbox, asked } => match reply.as_mut().poll(cx) {
                Poll::Ready(reply) => {
                    let asked = *asked;
                    if let Some(pending) = pending.take() {
                        self.respond(pending, reply, asked);
                    }
                    true
                }
                Poll::Pending => {
                    // Only who waits for the body wants it (RFC 9110 section 10.1.1).
                    let awaited = inbox.as_ref().is_some_and(|inbox| inbox.is_awaited());
                    if awaited && std::mem::take(&mut asked.expects_continue) {
                        self.output.copy(write::CONTINUE);
                    }
                    false
                }
            },
            Current::Sending(_) => self.send(cx),
            _ => false,
        }
    }

    /// The client has closed its end: what has come whole is answered.
    fn peer_ended(&mut self) {
        self.ended = true;
        self.socket.lifecycle.peer_ended();
        self.body_broken_off();
    }

    /// Breaks off a body of which nothing more comes, once all that came was taken in.
    fn body_broken_off(&mut self) {
        if self.ended && self.body_open && !self.fresh_rest {
            self.body_ended(Err(UploadError::CLOSED));
            self.keep_alive = false;
        }
    }

    /// Nothing to do: gives back what an idle connection needs no memory for.
    fn rest_a_while(&mut self) {
        self.resources.context.take_back(&mut self.output);
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
    }
}

fn head<'h>(fields: &'h request::Head, port: Port, lifecycle: &'h Rc<Lifecycle>) -> Head<'h> {
    let protocol = if fields.version == Version::Http10 { Protocol::Http10 } else { Protocol::Http11 };
    Head {
        method: &fields.method,
        target: &fields.target,
        origin: None,
        fields: &fields.fields,
        pseudo: 0,
        protocol,
        port,
        number: lifecycle.accounting.requests() + 1,
        lifecycle,
    }
}
