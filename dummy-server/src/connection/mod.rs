//! One connection: what comes before HTTP, which version it speaks, and then serving it to its end. The drain lives in
//! the engines: each ends as its protocol wants, and loses no request of which a byte was read.

mod handshake;
mod http1;
mod http2;
mod input;
mod refused;
mod resources;
mod socket;

use std::{future::poll_fn, rc::Rc, task::Poll};

use ::http2::PREFACE;

pub(crate) use self::{resources::Resources, socket::SharedSocket};
use crate::lifecycle::orders::Order;

/// Serves a connection to its end.
pub(crate) async fn serve(resources: Rc<Resources>, socket: Rc<SharedSocket>) {
    let Some((first, http2)) = handshake::perform(&resources, &socket).await else { return };
    let Some((preface, first)) = sniff(first, &resources, &socket).await else {
        return socket::send_close_notify(&socket).await;
    };
    // What was agreed on is expected: anything else is for that version's engine to refuse.
    if http2.unwrap_or(preface) {
        http2::serve(first, &resources, &socket).await;
    } else {
        http1::serve(first, &resources, &socket).await;
    }
    if socket.lifecycle.is_closed_cleanly() {
        socket::send_close_notify(&socket).await;
    }
}

/// Reads until it is clear whether the connection begins with the HTTP/2 preface; `first` was read already. None
/// when it ended, or was ordered to, before that.
async fn sniff(
    mut first: Vec<u8>,
    resources: &Resources,
    socket: &Rc<SharedSocket>,
) -> Option<(bool, Vec<u8>)> {
    poll_fn(|cx| {
        loop {
            if let Some(is_http2) = begins_with_preface(&first) {
                return Poll::Ready(Some(is_http2));
            }
            if told_to_go(socket, first.is_empty(), cx).is_ready() {
                return Poll::Ready(None);
            }
            let mut buffer = resources.exchange.context.buffers.for_reading();
            let Ok(count) = std::task::ready!(socket::poll_read(socket, &first, &mut buffer, cx)) else {
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
fn told_to_go(socket: &SharedSocket, nothing_read: bool, cx: &std::task::Context<'_>) -> Poll<()> {
    socket.lifecycle.begin_turn(cx);
    match socket.lifecycle.orders.strongest() {
        Order::Close => Poll::Ready(()),
        Order::Drain if nothing_read && socket.may_close() => Poll::Ready(()),
        _ => Poll::Pending,
    }
}
