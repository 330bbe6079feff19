//! One connection: which protocol it speaks, and then serving it to its end. The drain lives in the
//! engines: each ends as its protocol wants, and loses no request of which a byte was read.

pub(crate) mod exchange;
mod flight;
mod http1;
mod http2;
mod marks;
pub(crate) mod state;
pub(crate) mod wire;

use std::{future::poll_fn, rc::Rc, task::Poll};

use ::http2::PREFACE;

use self::state::{Order, State};
use crate::worker::Worker;

/// Which port accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// HTTP/1.1 and h2c.
    Http,
    /// gRPC.
    Grpc,
}

/// Serves a connection to its end.
pub(crate) async fn serve(port: Port, worker: Rc<Worker>, state: Rc<State>) {
    match sniff(&worker, &state).await {
        Some((true, first)) => http2::serve(port, first, &worker, &state).await,
        Some((false, first)) => http1::serve(port, first, &worker, &state).await,
        None => {}
    }
}

/// Reads until it is clear whether the connection begins with the HTTP/2 preface. None when it ended, or
/// was told to, before that.
async fn sniff(worker: &Worker, state: &Rc<State>) -> Option<(bool, Vec<u8>)> {
    let mut first = Vec::new();
    poll_fn(|cx| {
        loop {
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
            let compared = count.min(PREFACE.len());
            if first[..compared] != PREFACE[..compared] {
                return Poll::Ready(Some(false));
            }
            if compared == PREFACE.len() {
                return Poll::Ready(Some(true));
            }
        }
    })
    .await
    .map(|is_http2| (is_http2, first))
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
