//! Requests on their way in: what was read becomes heads, which are answered, and bodies, which their endpoints pull.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use http1::{
    Event, Version,
    request::{self, Rejection},
};

use super::{super::socket::CloseReason, After, Current, Driver};
use crate::{
    clock::now_ns,
    exchange,
    lifecycle::Lifecycle,
    message::{
        Head,
        reply::Answer,
        upload::{Inbox, Upload, UploadError},
    },
    protocol::Protocol,
};

/// What is read of requests whose turn has not come.
const MOST_AHEAD: usize = 64 << 10;

impl Driver<'_> {
    /// Reads once and takes in what came, if there is use for it. False: the connection is broken.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let context = self.context;
        let mut buffer = context.buffers.for_reading();
        let buffer = &mut *buffer;
        let takes = self.takes_input();
        let fresh = if takes { self.input.take_fresh(buffer) } else { None };
        let count = if let Some(count) = fresh {
            count
        } else {
            let ahead = self.context.budget.output(MOST_AHEAD);
            let waiting = self.input.rest.len();
            if self.input.has_ended || matches!(self.after, After::Break(_)) || !takes && waiting >= ahead {
                return Poll::Pending;
            }
            // Reads while a reply is made, too: so a client that is gone is noticed.
            match std::task::ready!(self.input.poll_more(self.socket, buffer, cx)) {
                Ok(Some(count)) => count,
                Ok(None) => {
                    self.peer_ended();
                    return Poll::Ready(true);
                }
                Err(_) => return Poll::Ready(false),
            }
        };
        let mut input = &buffer[..count];
        self.input.left = count;
        context.buffers.lend(&mut self.output);
        self.take_in(&mut input);
        // It waits for its turn or belongs to what follows, unless it begins a head.
        let waits = !(matches!(self.current, Current::Idle) && self.takes_input());
        if !self.input.keep(input, 0, waits) {
            let error = UploadError::TOO_MUCH;
            let rejection = Rejection { status: error.status.as_u16(), reason: error.reason() };
            self.reject(rejection, &request::RequestHead::default(), now_ns());
        }
        self.body_broken_off();
        Poll::Ready(true)
    }

    /// Whether the next bytes may be looked at: those of the current request's body, or of the next head.
    fn takes_input(&self) -> bool {
        match &self.current {
            Current::Idle => matches!(self.after, After::NextRequest),
            Current::Waiting { body: Some(inbox), .. } => !inbox.is_full(),
            _ => false,
        }
    }

    /// What is still being read of the current request's body.
    fn body(&self) -> Option<&Rc<Inbox>> {
        if let Current::Waiting { body, .. } = &self.current { body.as_ref() } else { None }
    }

    /// Whether the endpoint waits for more of the body.
    pub(super) fn awaits_body(&self) -> bool {
        self.body().is_some_and(|inbox| inbox.is_held_up())
    }

    fn take_in(&mut self, input: &mut &[u8]) {
        let mut head = self.resources.http1_head.take_or_else(Box::default);
        let head = &mut *head;
        let now = now_ns();
        while self.takes_input() && !self.has_enough() && !self.context.turn.step() {
            let next = self.reader.read(input, head);
            self.input.left = input.len();
            match next {
                Ok(None) => return,
                Ok(Some(Event::Head { end })) => self.request(head, end, now),
                Ok(Some(Event::Data(data))) => {
                    if let Some(inbox) = self.body() {
                        inbox.push(data);
                    }
                }
                Ok(Some(Event::End)) => {
                    let trailers = self.reader.trailers();
                    if let Some(inbox) = self.body()
                        && !trailers.is_empty()
                    {
                        inbox.trailers(trailers.iter());
                    }
                    self.body_ended(Ok(()));
                }
                Ok(Some(Event::Informational)) => {}
                Err(rejection) => return self.reject(rejection, head, now),
            }
        }
        // There is more than could be taken in now, if only the end of a body.
        self.input.is_fresh = !input.is_empty() || self.body().is_some();
    }

    /// Nothing more comes of the current request's body, if any was still to come.
    pub(super) fn body_ended(&mut self, how: Result<(), UploadError>) {
        if let Current::Waiting { body, .. } = &mut self.current
            && let Some(inbox) = body.take()
        {
            inbox.end(how);
        }
    }

    fn request(&mut self, fields: &request::RequestHead, end: bool, now: u64) {
        if !fields.keep_alive {
            self.after = After::Close(CloseReason::Complete);
        }
        let body = (!end).then(|| Inbox::new(&self.context.budget));
        let upload = Upload::new(body.as_ref());
        let connection = &self.socket.lifecycle;
        let head = head(fields, connection);
        let (flight, answer) =
            exchange::handle_request(&self.resources.exchange, connection, &head, upload, now);
        let mut expects_continue = fields.expect_continue;
        if let Some(directives) = flight.directives() {
            expects_continue &= !directives.withholds_continue;
            self.inform(&directives.interim);
        }
        let version = fields.version;
        match answer {
            Answer::Ready(reply) => self.respond(flight, reply, version, end),
            Answer::Waiting(reply) => {
                if let Some(inbox) = &body {
                    inbox.expect_continue(expects_continue);
                }
                self.current = Current::Waiting { flight, reply, body, version };
            }
        }
    }

    /// Responds to an invalid request, if the client can still be sent a response.
    fn reject(&mut self, rejection: Rejection, fields: &request::RequestHead, now: u64) {
        self.after = After::Break(CloseReason::Refused);
        if !matches!(self.current, Current::Idle) {
            return self.body_ended(Err(UploadError::malformed(rejection.reason)));
        }
        let connection = &self.socket.lifecycle;
        let head = head(fields, connection);
        let (flight, reply) = exchange::reject(
            &self.resources.exchange,
            connection,
            &head,
            rejection.status,
            rejection.reason,
            now,
        );
        self.respond(flight, reply, Version::Http11, true);
    }

    /// The client has closed its end: what has arrived completely is answered.
    fn peer_ended(&mut self) {
        self.socket.lifecycle.peer_ended();
        self.body_broken_off();
    }

    /// Breaks off a body of which nothing more comes, once all that came was taken in.
    fn body_broken_off(&mut self) {
        if self.input.is_exhausted() && self.body().is_some() {
            self.body_ended(Err(UploadError::CLOSED));
            self.after.close();
        }
    }
}

fn head<'h>(fields: &'h request::RequestHead, lifecycle: &'h Lifecycle) -> Head<'h> {
    let protocol = if fields.version == Version::Http10 { Protocol::Http10 } else { Protocol::Http11 };
    Head {
        method: &fields.method,
        target: &fields.target,
        origin: None,
        fields: &fields.fields,
        pseudo: 0,
        protocol,
        peer: &lifecycle.peer,
        orders: &lifecycle.orders,
    }
}
