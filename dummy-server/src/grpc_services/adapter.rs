//! Carries a call from an engine to tonic's services and its reply back. Their request bodies must be `Send`, which an
//! engine's are not: messages cross by [`handover`](super::handover), one at a time. Deadlines are kept here, since
//! without tonic's own server nobody else does. Messages are put together, and
//! expanded, on the engine's side, where their memory is counted. So is it known here when a request broke off: tonic takes
//! a request that is cancelled for one that has ended, and would say OK.

use std::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use grpc::message::Prefix;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body as _, Frame};
use tonic::Status;
use tower_service::Service;

use super::{
    fields::{CallFields, Coding},
    handover::{Receiver, Room, Sender, handover},
    message::{self, Messages},
    status::{Deadline, GRPC, OK, fields, overdue, trailers, trailers_only, unknown_coding},
};
use crate::{
    budget::Hold,
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Body, Fixed, Part, Reply, Stream},
        upload::{Upload, UploadError},
    },
};

/// The field with the coding of a request's messages.
const CODING: &[u8] = b"grpc-encoding";
/// An empty message with its prefix.
const EMPTY: &[u8] = &[0; grpc::message::PREFIX];
/// A message of at most this many bytes is copied behind its prefix.
const SMALL: usize = 1 << 10;

/// A reply of tonic's that is on its way.
type Called = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

/// A service that tonic generated.
pub(super) struct Served {
    name: &'static str,
    call: Box<dyn Fn(Request<RequestBody>) -> Called>,
    /// The target of the last call: most name the same method.
    last: RefCell<Uri>,
}

impl Served {
    /// The service of that full name.
    pub(super) fn new<S>(name: &'static str, service: S) -> Self
    where
        S: Service<
                Request<RequestBody>,
                Response = Response<tonic::body::Body>,
                Error = Infallible,
                Future = Called,
            > + Clone
            + 'static,
    {
        // A clone is a handle of the same service.
        let call = Box::new(move |request| service.clone().call(request));
        Self { name, call, last: RefCell::default() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Calls the method that a request names.
    pub(super) fn call_method(
        &self,
        context: &Rc<ServerContext>,
        head: &Head<'_>,
        call_fields: &CallFields<'_>,
        upload: Upload,
        deadline: Deadline,
    ) -> Answer {
        let coding = match call_fields.coding() {
            Ok(coding) => coding,
            Err(other) => return Answer::Ready(unknown_coding(other)),
        };
        let (body, around) = split(context, upload, coding, deadline);
        let mut request = Request::new(body);
        self.fill(&mut request, head);
        let response = (self.call)(request);
        Answer::Waiting(Box::pin(PendingCall { response, around: Some(around) }))
    }

    /// Gives a request its head as tonic takes it. All values share one allocation.
    fn fill(&self, request: &mut Request<RequestBody>, head: &Head<'_>) {
        *request.method_mut() = Method::from_bytes(head.method).unwrap_or(Method::POST);
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = self.uri(head.target);
        let mut bytes = BytesMut::with_capacity(head.fields().map(|(_, value)| value.len()).sum());
        head.fields().for_each(|(_, value)| bytes.extend_from_slice(value));
        let mut bytes = bytes.freeze();
        let mut headers = HeaderMap::with_capacity(head.fields().count());
        for (name, value) in head.fields() {
            let value = bytes.split_to(value.len());
            if name.eq_ignore_ascii_case(CODING) {
                // Messages are expanded when they cross.
                continue;
            }
            if let (Some(name), Ok(value)) = (header_name(name), HeaderValue::from_maybe_shared(value)) {
                headers.append(name, value);
            }
        }
        *request.headers_mut() = headers;
    }

    fn uri(&self, target: &[u8]) -> Uri {
        let mut last = self.last.borrow_mut();
        let is_path = last.authority().is_none() && last.query().is_none();
        if !is_path || last.path().as_bytes() != target {
            // An invalid URI names no method either, and is answered like an unknown one.
            *last = Uri::try_from(target).unwrap_or_default();
        }
        last.clone()
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The name of a field; those that most calls have are not parsed.
fn header_name(name: &[u8]) -> Option<HeaderName> {
    static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
    static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
    static REQUEST_ID: HeaderName = HeaderName::from_static(contract::field::REQUEST_ID);
    Some(match name {
        b"content-type" => http::header::CONTENT_TYPE,
        b"user-agent" => http::header::USER_AGENT,
        b"te" => http::header::TE,
        b"grpc-accept-encoding" => ACCEPT_ENCODING.clone(),
        b"grpc-timeout" => TIMEOUT.clone(),
        b"x-request-id" => REQUEST_ID.clone(),
        name => HeaderName::from_bytes(name).ok()?,
    })
}

/// A call until its response begins.
struct PendingCall {
    response: Called,
    /// None once it has begun.
    around: Option<Around>,
}

impl Future for PendingCall {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let Self { response, around } = self.get_mut();
        let Some(going_on) = around else { return Poll::Pending };
        let response = ready!(going_on.poll_with(cx, |cx| response.as_mut().poll(cx)));
        Poll::Ready(match (response, around.take()) {
            (Some(Ok(response)), Some(around)) => reply(response, around),
            _ => trailers_only(&overdue()),
        })
    }
}

/// The reply that a response is.
fn reply(response: Response<tonic::body::Body>, around: Around) -> Reply {
    // A service takes a request that breaks off behind a message for a whole one, and has answered it.
    if let Some(status) = &around.broken {
        return trailers_only(status);
    }
    let (mut parts, body) = response.into_parts();
    let content_type = parts.headers.remove(http::header::CONTENT_TYPE);
    let fixed: Fixed = match content_type {
        Some(text) if text == GRPC[0].1 => GRPC,
        Some(other) => {
            parts.headers.insert(http::header::CONTENT_TYPE, other);
            &[]
        }
        None => &[],
    };
    let body = match body.is_end_stream() {
        true => Body::Bytes(Bytes::new()),
        false => Body::Stream(Box::new(ResponseBody { body, around })),
    };
    Reply { status: parts.status, fixed, fields: fields(&parts.headers), body, special: None }
}

/// Where a service gets the messages of a request from, and what goes on beside it.
fn split(
    context: &ServerContext,
    upload: Upload,
    coding: Coding,
    deadline: Deadline,
) -> (RequestBody, Around) {
    // tonic's own way of expanding messages knows neither of turns nor of what others hold.
    let messages = Messages::new(context, upload, coding.requests);
    let hold = Rc::new(Hold::new(&context.budget));
    let (sender, receiver) = handover();
    let pump = Pump { messages, hold: Rc::clone(&hold), sender };
    (RequestBody { receiver, rest: None }, Around { pump: Some(pump), broken: None, hold, deadline })
}

/// A call holds its largest message, and a reply that is as large.
fn hold_twice(hold: &Hold, bytes: usize) -> Result<(), Status> {
    if hold.set_at_least(2 * bytes) { Ok(()) } else { Err(message::broken(&UploadError::TOO_MUCH)) }
}

/// Carries the messages of a request across, until it ends or the service reads no more of it.
struct Pump {
    messages: Messages,
    hold: Rc<Hold>,
    sender: Sender,
}

impl Pump {
    /// Carries what has arrived. Ready at the end.
    ///
    /// # Errors
    /// The request broke off, and the service learns of it.
    fn poll(&mut self, moved: &mut bool, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            if ready!(self.sender.poll_room(cx)) == Room::Refused {
                return Poll::Ready(Ok(()));
            }
            let Some(next) = ready!(self.messages.poll_next(cx)) else { return Poll::Ready(Ok(())) };
            let next = next.and_then(|message| hold_twice(&self.hold, message.len()).map(|()| message));
            let broken = next.as_ref().err().cloned();
            *moved = true;
            self.sender.send(next, cx);
            if let Some(status) = broken {
                return Poll::Ready(Err(status));
            }
        }
    }
}

/// What goes on beside a call: its request's body, and its deadline.
struct Around {
    pump: Option<Pump>,
    /// The status of a request that broke off: that of its call, whatever the service makes of it.
    broken: Option<Status>,
    /// For as long as the reply may be as large as the request.
    #[expect(dead_code, reason = "its end counts")]
    hold: Rc<Hold>,
    deadline: Deadline,
}

impl Around {
    /// Carries what has arrived of the request. True: the service may go on.
    fn carry(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(ended) = pump.poll(&mut moved, cx)
        {
            pump.sender.end(cx);
            (self.pump, self.broken) = (None, ended.err());
            moved = true;
        }
        moved
    }

    /// Asks the service until it waits for what has not come. None: the deadline has passed.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut service: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        self.carry(cx);
        loop {
            if let Poll::Ready(done) = service(cx) {
                return Poll::Ready(Some(done));
            }
            if self.deadline.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if !self.carry(cx) {
                return Poll::Pending;
            }
        }
    }
}

/// The body of a request for tonic.
pub(super) struct RequestBody {
    receiver: Receiver,
    /// A message whose prefix has been taken.
    rest: Option<Bytes>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(message) = this.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        let Some(message) = ready!(this.receiver.poll_receive(cx)).transpose()? else {
            return Poll::Ready(None);
        };
        // Messages are below the largest --grpc-max-message, which is 2 GiB.
        let prefix = Prefix { compressed: false, length: message.len() as u32 }.bytes();
        let first = if message.is_empty() {
            Bytes::from_static(EMPTY)
        } else if message.len() <= SMALL {
            let mut whole = BytesMut::with_capacity(prefix.len() + message.len());
            whole.extend_from_slice(&prefix);
            whole.extend_from_slice(&message);
            whole.freeze()
        } else {
            this.rest = Some(message);
            Bytes::copy_from_slice(&prefix)
        };
        Poll::Ready(Some(Ok(Frame::data(first))))
    }
}

/// The body of tonic's response for an engine.
struct ResponseBody {
    body: tonic::body::Body,
    around: Around,
}

impl Stream for ResponseBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let Self { body, around } = self;
        let Some(frame) = ready!(around.poll_with(cx, |cx| Pin::new(&mut *body).poll_frame(cx))) else {
            return Poll::Ready(Some(trailers(&overdue())));
        };
        Poll::Ready(frame.and_then(|frame| match frame.map(Frame::into_data) {
            Ok(Ok(data)) => Some(Part::Data(data)),
            Ok(Err(frame)) => frame.into_trailers().ok().map(|headers| match &self.around.broken {
                Some(status) => trailers(status),
                None => last(&headers),
            }),
            Err(status) => Some(trailers(&status)),
        }))
    }
}

fn last(headers: &HeaderMap) -> Part {
    let status = headers.get(OK[0].0).map(HeaderValue::as_bytes);
    match (headers.len(), status) {
        (1, Some(b"0")) => Part::Constant(OK),
        _ => Part::Trailers(fields(headers)),
    }
}
