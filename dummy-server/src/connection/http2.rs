//! HTTP/2 by the h2 crate, driven directly: what does not wait is answered inline, without a task per
//! stream, and the writes of one wake-up are gathered.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

use contract::pattern;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::Request;
use transport::Gathered;

use super::{
    exchange::{self, Content, Head, Pending, Piece},
    state::{Flight, Order, State},
    wire::Wire,
};
use crate::{
    reply::{Answer, Chunks, Reply, Upload},
    stats::Protocol,
    worker::Worker,
};

/// Window of a stream: what a client may send ahead of the endpoint that reads.
const STREAM_WINDOW: u32 = 256 << 10;
/// Window of a connection: one slow stream must not hold up the others.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Cancelled streams that may wait to be looked at; a generator that cancels many is no attack.
const MAX_PENDING_RESETS: usize = 10_000;
/// The h2 crate takes no more in one go.
const MOST_AT_ONCE: u64 = (1 << 31) - 1;

/// Serves a connection until it ends.
pub(super) async fn serve(wire: Wire, worker: &Rc<Worker>, state: &Rc<State>) {
    let drain = Gathered::new(wire);
    let mut handshake = pin!(builder(worker).handshake::<_, Piece>(drain.clone()));
    let handshake = poll_fn(|cx| {
        state.register(cx);
        if state.order() == Order::Close {
            return Poll::Ready(None);
        }
        let result = handshake.as_mut().poll(cx);
        match drain.poll_drain(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(None),
            _ => result.map(Result::ok),
        }
    });
    let Some(mut connection) = handshake.await else { return };
    state.head_done();
    let mut told = false;
    poll_fn(|cx| {
        state.register(cx);
        match state.order() {
            Order::Close => return Poll::Ready(()),
            Order::Drain if !told && (connection.has_streams() || state.may_close()) => {
                told = true;
                connection.graceful_shutdown();
            }
            _ => {}
        }
        let mut ended = false;
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => accept(request, respond, worker, state),
                Poll::Ready(_) => {
                    ended = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        match drain.poll_drain(cx) {
            Poll::Ready(Ok(())) if ended => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

fn builder(worker: &Worker) -> h2::server::Builder {
    let limits = &worker.config.limits;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(CONNECTION_WINDOW as usize)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS);
    builder
}

fn accept(
    request: Request<RecvStream>,
    mut respond: SendResponse<Piece>,
    worker: &Rc<Worker>,
    state: &Rc<State>,
) {
    let (parts, body) = request.into_parts();
    let head = Head {
        method: parts.method,
        uri: parts.uri,
        fields: parts.headers,
        protocol: Protocol::Http2,
        state: Rc::clone(state),
    };
    let (pending, answer) = exchange::answer(worker, &head, Upload::http2(body));
    match answer {
        // Only the HTTP/1.1 handshake of a WebSocket is answered with a switch of protocols.
        Answer::Ready(reply) | Answer::WebSocket(reply, _) => send(pending, reply, respond),
        Answer::Waiting(reply) => {
            tokio::task::spawn_local(async move {
                tokio::select! {
                    reply = reply => send(pending, reply, respond),
                    _ = poll_fn(|cx| respond.poll_reset(cx)) => {}
                }
            });
        }
    }
}

/// Hands a reply to the connection. It fails only when the stream is gone, and then nobody wants it.
fn send(pending: Pending, reply: Reply, mut respond: SendResponse<Piece>) {
    let (head, content, flight) = pending.finish(reply);
    let empty = matches!(content, Content::None);
    let Ok(mut stream) = respond.send_response(head, empty) else { return };
    match content {
        Content::None => {}
        Content::Bytes(bytes) => {
            let _ = stream.send_data(Piece::bytes(bytes, Some(flight)), true);
        }
        Content::Pattern { range, .. } if range.left() <= MOST_AT_ONCE => {
            let _ = stream.send_data(Piece::pattern(range, Some(flight)), true);
        }
        Content::Pattern { range, .. } => {
            tokio::task::spawn_local(send_range(stream, range, flight));
        }
        Content::Chunks(chunks) => {
            tokio::task::spawn_local(send_chunks(stream, chunks, flight));
        }
    }
}

/// Sends a range that is too long for one go: the next part when the last one has left.
async fn send_range(mut stream: SendStream<Piece>, mut range: pattern::Range, flight: Flight) {
    while range.left() > MOST_AT_ONCE {
        let part = range.split_to(MOST_AT_ONCE);
        if stream.send_data(Piece::pattern(part, None), false).is_err() || sent(&mut stream).await.is_err() {
            return;
        }
    }
    let _ = stream.send_data(Piece::pattern(range, Some(flight)), true);
}

/// Sends each chunk as DATA of its own, after the one before has left.
async fn send_chunks(mut stream: SendStream<Piece>, mut chunks: Chunks, flight: Flight) {
    let mut flight = Some(flight);
    while let Some(mut chunk) = chunks.next() {
        let last = chunks.range.left() == 0;
        while chunk.left() > MOST_AT_ONCE {
            let part = chunk.split_to(MOST_AT_ONCE);
            if stream.send_data(Piece::pattern(part, None), false).is_err()
                || sent(&mut stream).await.is_err()
            {
                return;
            }
        }
        let flight = if last { flight.take() } else { None };
        if stream.send_data(Piece::pattern(chunk, flight), last).is_err() || last {
            return;
        }
        if sent(&mut stream).await.is_err() {
            return;
        }
        if !chunks.delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(chunks.delay) => {}
                _ = poll_fn(|cx| stream.poll_reset(cx)) => return,
            }
        }
    }
}

/// Waits until the connection has taken all that was given to the stream: capacity for one more byte is
/// granted only when nothing waits for window. Yielding lets the connection flush.
async fn sent(stream: &mut SendStream<Piece>) -> Result<(), h2::Error> {
    tokio::task::yield_now().await;
    stream.reserve_capacity(1);
    poll_fn(|cx: &mut Context<'_>| {
        if stream.capacity() > 0 {
            return Poll::Ready(Ok(()));
        }
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(0))) => Poll::Pending,
            Poll::Ready(Some(Ok(_))) => Poll::Ready(Ok(())),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(None) => Poll::Ready(Err(Reason::CANCEL.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
