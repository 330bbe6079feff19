//! The way of a call from an engine to tonic's services and back. Their request bodies must be `Send`, which an
//! engine's are not: messages of those that have not come whole cross by a bounded channel. Deadlines are kept here, since
//! without tonic's own server nobody else does. Messages are put together, and
//! expanded, on the engine's side, where their memory is counted. So is it known here when a request broke off: tonic takes
//! a request that is cancelled for one that has ended, and would say OK.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use grpc::message::Prefix;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body as _, Frame};
use tokio::sync::mpsc;
use tonic::Status;
use tower_service::Service;

use super::{
    fields::{CallFields, Coding},
    message::{self, Messages},
    status::{Deadline, GRPC, OK, fields, overdue, trailers, trailers_only},
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

/// Parts of a request that wait between engine and service: a prefix, or a message.
const CHANNEL: usize = 1;

/// A reply of tonic's that is on its way.
type Called = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

/// A service that tonic generated.
pub(super) struct Served {
    name: &'static str,
    call: Rc<dyn Fn(Request<RequestBody>) -> Called>,
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
        Self { name, call: Rc::new(move |request| service.clone().call(request)) }
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
        let (service, parts) = (Rc::clone(&self.call), parts(head));
        // What nobody here can read is refused by tonic.
        let coding = call_fields.coding().unwrap_or_default();
        let (body, around) = split(context, upload, coding, deadline);
        Answer::Waiting(Box::pin(
            async move { call(&*service, Request::from_parts(parts, body), around).await },
        ))
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The head of a request as tonic takes it. All values share one allocation.
fn parts(head: &Head<'_>) -> http::request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method).unwrap_or(Method::POST);
    parts.version = http::Version::HTTP_2;
    let mut bytes = BytesMut::with_capacity(head.target.len() + head.fields.size());
    bytes.extend_from_slice(head.target);
    for (_, value) in head.fields() {
        bytes.extend_from_slice(value);
    }
    let mut bytes = bytes.freeze();
    // What is no URI names no method either, and is answered as such.
    parts.uri = Uri::from_maybe_shared(bytes.split_to(head.target.len())).unwrap_or_default();
    parts.headers = HeaderMap::with_capacity(head.fields.len());
    for (name, value) in head.fields() {
        let value = bytes.split_to(value.len());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(value)) {
            parts.headers.append(name, value);
        }
    }
    parts
}

async fn call(
    service: &dyn Fn(Request<RequestBody>) -> Called,
    request: Request<RequestBody>,
    mut around: Around,
) -> Reply {
    let mut response = service(request);
    let response = poll_fn(|cx| match response.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => {
            if around.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            // What the pump has moved wakes the response.
            Poll::Pending
        }
    })
    .await;
    let Some(Ok(response)) = response else { return trailers_only(&overdue()) };
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
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let pump: Pump = Box::pin(pump(messages, Rc::clone(&hold), sender));
    (RequestBody(receiver), Around { pump: Some(pump), broken: None, hold, deadline })
}

/// Ends when the request does, or when the service reads no more of it.
///
/// # Errors
/// The request broke off, and the service learns of it.
async fn pump(
    mut messages: Messages,
    hold: Rc<Hold>,
    sender: mpsc::Sender<Result<Bytes, Status>>,
) -> Result<(), Status> {
    while let Some(next) = poll_fn(|cx| messages.poll_next(cx)).await {
        let next = next.and_then(|message| hold_twice(&hold, message.len()).map(|()| message));
        let message = match next {
            Ok(message) => message,
            Err(status) => {
                // When nobody receives it, the call has ended.
                return if sender.send(Err(status.clone())).await.is_ok() { Err(status) } else { Ok(()) };
            }
        };
        // Messages are below the largest --grpc-max-message, which is 2 GiB.
        let prefix = Prefix { compressed: false, length: message.len() as u32 };
        for part in [Bytes::copy_from_slice(&prefix.bytes()), message] {
            if sender.send(Ok(part)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A call holds its largest message, and a reply that is as large.
fn hold_twice(hold: &Hold, bytes: usize) -> Result<(), Status> {
    if hold.set_at_least(2 * bytes) { Ok(()) } else { Err(message::broken(&UploadError::TOO_MUCH)) }
}

/// Carries the body of a request across.
type Pump = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

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
    /// Ready when the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(ended) = pump.as_mut().poll(cx)
        {
            (self.pump, self.broken) = (None, ended.err());
        }
        self.deadline.poll(cx)
    }
}

/// The body of a request for tonic.
pub(super) struct RequestBody(mpsc::Receiver<Result<Bytes, Status>>);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.get_mut().0.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// The body of tonic's response for an engine.
struct ResponseBody {
    body: tonic::body::Body,
    around: Around,
}

impl Stream for ResponseBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.around.poll(cx).is_ready() => {
                return Poll::Ready(Some(trailers(&overdue())));
            }
            Poll::Pending => return Poll::Pending,
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
