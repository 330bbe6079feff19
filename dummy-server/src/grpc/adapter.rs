//! The way of a call from an engine to tonic's services and back. Their request bodies must be `Send`, which an
//! engine's are not: those that have not come whole cross by a bounded channel. Deadlines are kept here, since
//! without tonic's own server nobody else does.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::{Body as _, Frame};
use tokio::{
    sync::mpsc,
    time::{Sleep, sleep},
};
use tonic::{Status, service::Routes};
use tower_service::Service as _;
use wire::Fields;

use crate::{
    connection::exchange::Head,
    reply::{Answer, Body, Fixed, Part, Reply, Stream},
    stats::Protocol,
    upload::Upload,
    worker::Worker,
};

/// Parts of a request that wait between engine and service.
const CHANNEL: usize = 4;
/// Bytes in each.
const PIECE: usize = 64 << 10;

const GRPC: Fixed = &[("content-type", "application/grpc")];

/// Calls the service and method that a request names.
pub(crate) fn answer(worker: &Rc<Worker>, head: &Head<'_>, upload: Upload) -> Answer {
    if head.protocol != Protocol::Http2 {
        let reply = Reply::refusal(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "gRPC is spoken over HTTP/2",
            "HTTP/2 by prior knowledge",
            "grpcurl -plaintext localhost:50051 list",
        );
        return crate::endpoints::after(upload, reply);
    }
    let deadline = head.fields.get("grpc-timeout").and_then(timeout);
    let (routes, parts) = (worker.grpc.clone(), parts(head));
    Answer::Waiting(Box::pin(call(routes, parts, upload, deadline)))
}

/// The head of a request as tonic takes it.
fn parts(head: &Head<'_>) -> http::request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method).unwrap_or(Method::POST);
    parts.version = http::Version::HTTP_2;
    // What is no URI names no service either, and is answered as such.
    parts.uri = Uri::try_from(head.target).unwrap_or_default();
    parts.headers = HeaderMap::with_capacity(head.fields.len());
    for (name, value) in head.fields() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            parts.headers.append(name, value);
        }
    }
    parts
}

async fn call(
    mut routes: Routes,
    parts: http::request::Parts,
    mut upload: Upload,
    deadline: Option<Duration>,
) -> Reply {
    let (body, pump): (_, Option<Pump>) = match upload.take_whole() {
        Some(bytes) => (RequestBody::Whole(Some(bytes)), None),
        None => {
            let (sender, receiver) = mpsc::channel(CHANNEL);
            (RequestBody::Parts(receiver), Some(Box::pin(pump(upload, sender))))
        }
    };
    let request = Request::from_parts(parts, tonic::body::Body::new(body));
    let mut around = Around { pump, deadline: deadline.map(|deadline| Box::pin(sleep(deadline))) };
    let mut response = std::pin::pin!(routes.call(request));
    let response = poll_fn(|cx| {
        if around.poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        response.as_mut().poll(cx).map(Some)
    })
    .await;
    let Some(Ok(response)) = response else { return trailers_only(&overdue()) };
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
    let body = Body::Stream(Box::new(ResponseBody { body, around }));
    Reply { status: parts.status, fixed, fields: fields(&parts.headers), body, special: None }
}

/// A response that is its own trailers.
fn trailers_only(status: &Status) -> Reply {
    let mut headers = HeaderMap::new();
    // Fails only when the message can't be a field, which ours can.
    let _ = status.add_header(&mut headers);
    let body = Body::Stream(Box::new(Nothing));
    Reply { status: StatusCode::OK, fixed: GRPC, fields: fields(&headers), body, special: None }
}

fn overdue() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

fn fields(headers: &HeaderMap) -> Fields {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// `grpc-timeout`: at most eight digits and a unit.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

async fn pump(mut upload: Upload, sender: mpsc::Sender<Result<Bytes, Status>>) {
    while let Ok(permit) = sender.reserve().await {
        match upload.pull(PIECE).await {
            Some(Ok(part)) => permit.send(Ok(part)),
            Some(Err(error)) => return permit.send(Err(Status::cancelled(error.to_string()))),
            None => return,
        }
    }
}

/// Carries the body of a request across.
type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// What goes on beside a call: its request's body, and its deadline.
struct Around {
    pump: Option<Pump>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Around {
    /// Ready when the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pump.as_mut().is_some_and(|pump| pump.as_mut().poll(cx).is_ready()) {
            self.pump = None;
        }
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// The body of a request for tonic.
enum RequestBody {
    Whole(Option<Bytes>),
    Parts(mpsc::Receiver<Result<Bytes, Status>>),
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let part = match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Self::Parts(parts) => parts.poll_recv(cx),
        };
        part.map(|part| part.map(|part| part.map(Frame::data)))
    }
}

/// The body of tonic's response for an engine.
struct ResponseBody {
    body: tonic::body::Body,
    around: Around,
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseBody")
    }
}

impl Stream for ResponseBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.around.poll(cx).is_ready() {
            return Poll::Ready(Some(trailers(&overdue())));
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.and_then(|frame| match frame.map(Frame::into_data) {
            Ok(Ok(data)) => Some(Part::Data(data)),
            Ok(Err(frame)) => frame.into_trailers().ok().map(|headers| Part::Trailers(fields(&headers))),
            Err(status) => Some(trailers(&status)),
        }))
    }
}

fn trailers(status: &Status) -> Part {
    let mut headers = HeaderMap::new();
    let _ = status.add_header(&mut headers);
    Part::Trailers(fields(&headers))
}

/// No content.
#[derive(Debug)]
struct Nothing;

impl Stream for Nothing {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Part>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_units() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100000000n", None),
            ("1s", None),
            ("S", None),
            ("-1S", None),
            ("", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }
}
