//! HTTP/1.0 and HTTP/1.1 by hyper: executes replies, upgrades to WebSocket, and closes without losing a
//! request.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response, Version, header};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Sleep, sleep},
};

use super::{
    exchange::{self, Content, Head, Pending, Piece},
    state::{Flight, Order, State},
    wire::Wire,
};
use crate::{
    endpoints::websocket::{self, Mode},
    reply::{Answer, Chunks, Reply, Upload},
    stats::Protocol,
    worker::Worker,
};

/// After the last reply, how long input that was not read is thrown away, so that it does not make the
/// kernel reset the connection and destroy the reply.
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub(super) async fn serve(wire: Wire, worker: &Rc<Worker>, state: &Rc<State>) {
    let upgrade = Rc::new(RefCell::new(None));
    let service = {
        let (worker, state, upgrade) = (Rc::clone(worker), Rc::clone(state), Rc::clone(&upgrade));
        service_fn(move |request| respond(request, &worker, &state, &upgrade))
    };
    let mut connection = builder(worker).serve_connection(TokioIo::new(wire), service);
    let mut told = false;
    let result = poll_fn(|cx| {
        state.register(cx);
        match state.order() {
            Order::Close => return Poll::Ready(None),
            // hyper would drop what it has not yet written of a reply after which it closes anyway.
            Order::Drain if !told && !state.write_blocked.get() && (state.is_busy() || state.may_close()) => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            _ => {}
        }
        connection.poll_without_shutdown(cx).map(Some)
    })
    .await;
    let parts = connection.into_parts();
    let mut wire = parts.io.into_inner();
    let upgrade = upgrade.borrow_mut().take();
    match (upgrade, result) {
        (Some((mode, _flight)), Some(Ok(()))) => {
            let wire = wire.with_prefix(parts.read_buf);
            websocket::serve(wire, mode, state).await;
        }
        (None, Some(_)) => linger(&mut wire, state).await,
        _ => {}
    }
}

fn builder(worker: &Worker) -> Builder {
    let mut builder = Builder::new();
    let head = worker.config.limits.max_header_bytes as usize;
    // Not with `pipeline_flush`: it turns `writev` off, which copies whole bodies into one buffer, and holds a
    // reply back while a part of the next request has been read.
    builder.half_close(true).writev(true).max_header_size(head).max_buf_size(head.max(64 << 10) + (8 << 10));
    builder
}

/// Ends the connection such that the peer gets all that was sent.
async fn linger(wire: &mut Wire, state: &State) {
    if wire.shutdown().await.is_err() || !state.stream.borrow().has_input() {
        return;
    }
    let mut rest = vec![0; 16 << 10];
    let read = async { while matches!(wire.read(&mut rest).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(LINGER, read).await;
}

type Upgrade = RefCell<Option<(Mode, Flight)>>;

fn respond(
    request: Request<Incoming>,
    worker: &Rc<Worker>,
    state: &Rc<State>,
    upgrade: &Rc<Upgrade>,
) -> Reaction {
    let (parts, body) = request.into_parts();
    let protocol = if parts.version == Version::HTTP_10 { Protocol::Http10 } else { Protocol::Http11 };
    let head = Head {
        method: parts.method,
        uri: parts.uri,
        fields: parts.headers,
        protocol,
        state: Rc::clone(state),
    };
    let (pending, answer) = exchange::answer(worker, &head, Upload::http1(body));
    match answer {
        Answer::Ready(reply) => Reaction::Ready(Some(response(pending, reply, state))),
        Answer::Waiting(reply) => {
            Reaction::Waiting { reply, pending: Some(pending), state: Rc::clone(state) }
        }
        Answer::WebSocket(reply, mode) => {
            let (head, _, flight) = pending.finish(reply);
            *upgrade.borrow_mut() = Some((mode, flight));
            Reaction::Ready(Some(head.map(|()| ResponseBody {
                content: Content::None,
                flight: None,
                state: Rc::clone(state),
                pause: Pause::None,
            })))
        }
    }
}

fn response(pending: Pending, reply: Reply, state: &Rc<State>) -> Response<ResponseBody> {
    let (mut head, content, flight) = pending.finish(reply);
    if state.order() >= Order::Drain {
        head.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    head.map(|()| ResponseBody { content, flight: Some(flight), state: Rc::clone(state), pause: Pause::None })
}

/// The service's future: a reply that is there needs no box.
enum Reaction {
    Ready(Option<Response<ResponseBody>>),
    Waiting { reply: Pin<Box<dyn Future<Output = Reply>>>, pending: Option<Pending>, state: Rc<State> },
}

impl Future for Reaction {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const ONCE: &str = "a future is not polled after it was ready";
        match self.get_mut() {
            Self::Ready(response) => Poll::Ready(Ok(response.take().expect(ONCE))),
            Self::Waiting { reply, pending, state } => {
                let reply = ready!(reply.as_mut().poll(cx));
                Poll::Ready(Ok(response(pending.take().expect(ONCE), reply, state)))
            }
        }
    }
}

/// A response's content as hyper wants it.
struct ResponseBody {
    content: Content,
    /// Goes along with the last piece.
    flight: Option<Flight>,
    state: Rc<State>,
    pause: Pause,
}

/// Between two chunks.
enum Pause {
    None,
    /// Until what was given to hyper is on the wire: it flushes when a body is pending.
    Flush {
        yielded: bool,
    },
    Delay(Pin<Box<Sleep>>),
}

impl http_body::Body for ResponseBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let this = self.get_mut();
        let piece = match &mut this.content {
            Content::None => None,
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                this.content = Content::None;
                Some(Piece::bytes(bytes, this.flight.take()))
            }
            Content::Pattern { range, sized: true } => {
                let piece = Piece::pattern(range.clone(), this.flight.take());
                this.content = Content::None;
                Some(piece)
            }
            Content::Pattern { range, sized: false } => {
                let part = range.split_to(UNSIZED_PIECE);
                (part.left() > 0).then(|| Piece::pattern(part, None))
            }
            Content::Chunks(chunks) => {
                ready!(this.pause.poll(cx, chunks, &this.state));
                chunks.next().map(|chunk| {
                    this.pause = Pause::Flush { yielded: false };
                    Piece::pattern(chunk, None)
                })
            }
        };
        if piece.is_none() {
            this.flight = None;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::None)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::None => SizeHint::with_exact(0),
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pattern { range, sized: true } => SizeHint::with_exact(range.left()),
            _ => SizeHint::default(),
        }
    }
}

/// Bytes in a chunk of a body without announced length.
const UNSIZED_PIECE: u64 = 256 << 10;

impl Pause {
    /// Ready when the next chunk may be given to hyper.
    fn poll(&mut self, cx: &mut Context<'_>, chunks: &Chunks, state: &State) -> Poll<()> {
        if let Self::Flush { yielded } = self {
            if !std::mem::replace(yielded, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if state.write_blocked.get() {
                // hyper polls again when the socket takes more.
                return Poll::Pending;
            }
            if chunks.delay.is_zero() || chunks.range.left() == 0 {
                *self = Self::None;
            } else {
                *self = Self::Delay(Box::pin(sleep(chunks.delay)));
            }
        }
        if let Self::Delay(delay) = self {
            ready!(delay.as_mut().poll(cx));
            *self = Self::None;
        }
        Poll::Ready(())
    }
}
