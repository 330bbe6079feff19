//! Carries a call from an engine to tonic's services and its reply back. Their request bodies must be `Send`, which an
//! engine's are not: messages cross by a channel, one at a time. Deadlines are kept here, since
//! without tonic's own server nobody else does. Messages are put together, and
//! expanded, on the engine's side, where their memory is counted. So is it known here when a request broke off: tonic takes
//! a request that is cancelled for one that has ended, and would say OK.
//!
//! No service looks at metadata: requests come without.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use grpc::{message::Prefix, status::STATUS};
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body as _, Frame};
use tokio::sync::mpsc;
use tonic::Status;
use tower_service::Service;

use super::{
    Call,
    message::{Messages, within_budget},
    status::{Deadline, GRPC, OK, fields, trailers, trailers_only},
};
use crate::{
    budget::Hold,
    message::reply::{Answer, Body, Part, Reply, Stream},
};

/// A reply of tonic's that is on its way.
type Called = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, Infallible>> + Send>>;

/// A request's body on its way to a service.
type Pump = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// A service that tonic generated.
pub(super) struct Served {
    pub(super) name: &'static str,
    call: Box<dyn Fn(Request<RequestBody>) -> Called>,
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
        Self { name, call: Box::new(move |request| service.clone().call(request)) }
    }

    /// Calls the method that a request's target names.
    pub(super) fn call_method(&self, call: Call, target: &[u8]) -> Answer {
        let Call { messages, accepts_gzip, deadline, context } = call;
        let hold = Rc::new(Hold::new(&context.budget));
        let (sender, receiver) = mpsc::channel(PARTS);
        let mut request = Request::new(RequestBody(receiver));
        // An invalid URI names no method either, and is answered like an unknown one.
        *request.uri_mut() = Uri::try_from(target).unwrap_or_default();
        if accepts_gzip {
            request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        }
        let mut response = (self.call)(request);
        let pump = Box::pin(pump(messages, sender, Rc::clone(&hold)));
        let mut around = Around { pump: Some(pump), broken: None, hold, deadline };
        Answer::Waiting(Box::pin(async move {
            match poll_fn(|cx| around.poll_with(cx, |cx| response.as_mut().poll(cx))).await {
                Ok(Ok(response)) => reply(response, around),
                Err(status) => trailers_only(&status),
            }
        }))
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The reply that a response is.
fn reply(response: Response<tonic::body::Body>, around: Around) -> Reply {
    // A service takes a request that breaks off behind a message for a whole one, and has answered it.
    if let Some(status) = &around.broken {
        return trailers_only(status);
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(http::header::CONTENT_TYPE);
    let body = match body.is_end_stream() {
        true => Body::Bytes(Bytes::new()),
        false => Body::Stream(Box::new(ResponseBody { body, around })),
    };
    Reply { status: parts.status, fixed: GRPC, fields: fields(&parts.headers), body, special: None }
}

/// The parts of a message that cross: its prefix, and the rest.
const PARTS: usize = 2;

/// Gives a service the messages of a request, until it ends or the service takes no more of it.
///
/// # Errors
/// The request broke off.
async fn pump(mut messages: Messages, service: mpsc::Sender<Bytes>, hold: Rc<Hold>) -> Result<(), Status> {
    while let Some(message) = messages.next().await? {
        // A call holds its largest message, and a reply that is as large.
        within_budget(hold.set_at_least(2 * message.len()))?;
        let Ok(places) = service.reserve_many(PARTS).await else { break };
        // Messages are below the largest --grpc-max-message, which is 2 GiB.
        let prefix = Prefix { compressed: false, length: message.len() as u32 }.bytes();
        let parts = [Bytes::copy_from_slice(&prefix), message];
        places.zip(parts).for_each(|(place, part)| place.send(part));
    }
    Ok(())
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
    /// Asks the service, when it was given what has arrived.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        service: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Status>> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(ended) = pump.as_mut().poll(cx)
        {
            (self.pump, self.broken) = (None, ended.err());
        }
        match service(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.deadline.poll(cx).map(Err),
        }
    }
}

/// The body of a request for tonic.
pub(super) struct RequestBody(mpsc::Receiver<Bytes>);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(part))))
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
        let frame = ready!(around.poll_with(cx, |cx| Pin::new(body).poll_frame(cx)));
        Poll::Ready(match frame.and_then(Option::transpose) {
            Ok(frame) => frame.and_then(|frame| match frame.into_data() {
                Ok(data) => Some(Part::Data(data)),
                Err(frame) => frame.into_trailers().ok().map(|headers| match &around.broken {
                    Some(status) => trailers(status),
                    None if headers.len() == 1 && headers.get(STATUS).is_some_and(|code| code == "0") => {
                        Part::Constant(OK)
                    }
                    None => Part::Trailers(fields(&headers)),
                }),
            }),
            Err(status) => Some(trailers(&status)),
        })
    }
}
