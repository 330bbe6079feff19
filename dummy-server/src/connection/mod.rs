//! One connection: what comes before HTTP, which version it speaks, and then serving it to its end. The drain lives in
//! the engines: each ends as its protocol wants, and loses no request of which a byte was read.

pub(crate) mod exchange;
mod flight;
mod http1;
mod http2;
mod marks;
pub(crate) mod opening;
pub(crate) mod refused;
pub(crate) mod state;
pub(crate) mod wire;

use std::{future::poll_fn, rc::Rc, task::Poll};

use ::http2::PREFACE;

use self::{
    opening::Opened,
    state::{Order, State},
};
use crate::worker::Worker;

/// Which port accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// HTTP/1.1 and h2c.
    Http,
    /// gRPC.
    Grpc,
    /// HTTP/1.1 and HTTP/2 over TLS.
    Tls,
}

/// Serves a connection to its end.
pub(crate) async fn serve(port: Port, worker: Rc<Worker>, state: Rc<State>) {
    let Some(Opened { first, http2 }) = opening::open(port, &worker, &state).await else { return };
    let Some((preface, first)) = sniff(first, &worker, &state).await else {
        return wire::say_goodbye(&state).await;
    };
    // What was agreed on is expected: anything else is for that version's engine to refuse.
    if http2.unwrap_or(preface) {
        http2::serve(port, first, &worker, &state).await;
    } else {
        http1::serve(port, first, &worker, &state).await;
    }
    if state.ends_in_peace() {
        wire::say_goodbye(&state).await;
    }
}

/// Reads until it is clear whether the connection begins with the HTTP/2 preface; `first` was read already. None
/// when it ended, or was told to, before that.
async fn sniff(mut first: Vec<u8>, worker: &Worker, state: &Rc<State>) -> Option<(bool, Vec<u8>)> {
    poll_fn(|cx| {
        loop {
            if let Some(is_http2) = begins_with_preface(&first) {
                return Poll::Ready(Some(is_http2));
            }
            if told_to_go(state, first.is_empty(), cx).is_ready() {
                return Poll::Ready(None);
            }
            let mut buffer = worker.read_buffer.borrow_mut();
            let Ok(count) = std::task::ready!(wire::poll_read(state, &first, &mut buffer, cx)) else {
                return Poll::Ready(None);
            };
            if count == first.len() {
                return Poll::Ready(None);
            }
            first = buffer[..count].to_vec();
        }
    })
    .await
    .map(|is_http2| (is_http2, first))
}

/// Whether it does; none as long as that is open.
fn begins_with_preface(first: &[u8]) -> Option<bool> {
    let compared = first.len().min(PREFACE.len());
    if first[..compared] != PREFACE[..compared] {
        return Some(false);
    }
    (compared == PREFACE.len()).then_some(true)
}

/// Ready at the order to close, or to drain while nothing was read.
fn told_to_go(state: &State, nothing_read: bool, cx: &std::task::Context<'_>) -> Poll<()> {
    state.register(cx);
    match state.order() {
        Order::Close => Poll::Ready(()),
        Order::Drain if nothing_read && state.may_close() => Poll::Ready(()),
        _ => Poll::Pending,
    }
}
