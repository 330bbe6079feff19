//! One connection: which protocol it speaks, and then serving it to its end. The drain lives in the
//! engines: each ends as its protocol wants, and loses no request of which a byte was read.

pub(crate) mod exchange;
mod grpc;
mod http1;
mod http2;
pub(crate) mod state;
pub(crate) mod wire;

use std::{future::poll_fn, rc::Rc, task::Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use self::{
    state::{Order, State},
    wire::Wire,
};
use crate::worker::Worker;

/// What an HTTP/2 connection by prior knowledge begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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
    match port {
        Port::Grpc => grpc::serve(Wire::new(Bytes::new(), Rc::clone(&state)), &worker, &state).await,
        Port::Http => match sniff(&state).await {
            Some((true, first)) => http2::serve(Wire::new(first, Rc::clone(&state)), &worker, &state).await,
            Some((false, first)) => http1::serve(Wire::new(first, Rc::clone(&state)), &worker, &state).await,
            None => {}
        },
    }
}

/// Reads until it is clear whether the connection begins with the HTTP/2 preface. None when it ended, or
/// was told to, before that.
async fn sniff(state: &Rc<State>) -> Option<(bool, Bytes)> {
    let mut wire = Wire::new(Bytes::new(), Rc::clone(state));
    let mut first = BytesMut::with_capacity(1024);
    loop {
        let read = tokio::select! {
            biased;
            () = told_to_go(state, first.is_empty()) => return None,
            read = wire.read_buf(&mut first) => read,
        };
        if !matches!(read, Ok(1..)) {
            return None;
        }
        let compared = first.len().min(PREFACE.len());
        if first[..compared] != PREFACE[..compared] {
            return Some((false, first.freeze()));
        }
        if compared == PREFACE.len() {
            return Some((true, first.freeze()));
        }
    }
}

/// Waits for the order to close, or to drain while nothing was read.
async fn told_to_go(state: &State, nothing_read: bool) {
    poll_fn(|cx| {
        state.register(cx);
        match state.order() {
            Order::Close => Poll::Ready(()),
            Order::Drain if nothing_read && state.may_close() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}
