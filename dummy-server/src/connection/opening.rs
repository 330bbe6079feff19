//! What comes before HTTP on a connection: the handshake of TLS. It is a part of the first request's head, as far as
//! time is concerned.

use std::{future::poll_fn, rc::Rc, task::Poll};

use transport::tls::{Facts, Reason};

use super::{
    Port,
    state::{Order, State},
    told_to_go, wire as socket,
};
use crate::worker::Worker;

/// A connection on which HTTP comes next.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// What was read of it already.
    pub(super) first: Vec<u8>,
    /// Whether it is HTTP/2, if that was agreed on.
    pub(super) http2: Option<bool>,
}

/// What has come before HTTP.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    /// What the handshake has agreed on.
    pub(crate) tls: Option<Facts>,
}

/// Opens a connection. None when that has failed, or when the connection was told to end.
pub(super) async fn open(port: Port, worker: &Worker, state: &Rc<State>) -> Option<Opened> {
    let mut opened = Opened::default();
    let mut prelude = Prelude::default();
    if port == Port::Tls {
        let facts = handshake(std::mem::take(&mut opened.first), worker, state).await?;
        opened.http2 = facts.alpn.as_deref().map(|name| name == b"h2");
        prelude.tls = Some(facts);
        state.begin_with(prelude);
    }
    Some(opened)
}

/// Begins TLS; `first` was read already.
async fn handshake(first: Vec<u8>, worker: &Worker, state: &Rc<State>) -> Option<Facts> {
    let config = worker.certificates.as_ref()?.current();
    state.stream.borrow_mut().begin_tls(config, first).ok()?;
    let outcome = poll_fn(|cx| {
        if told_to_go(state, true, cx).is_ready() {
            return Poll::Ready(None);
        }
        state.stream.borrow_mut().poll_handshake(cx).map(Some)
    });
    let openings = &state.stats.openings;
    match outcome.await {
        Some(Ok(facts)) => facts.inspect(|facts| openings.handshake(facts)),
        Some(Err(failure)) => {
            let reason = Reason::from(&failure);
            openings.failure(reason);
            if reason != Reason::Closed {
                tracing::debug!(%failure, "a TLS handshake has failed");
                // The alert must not be lost to a reset.
                socket::linger(state).await;
            }
            None
        }
        None => {
            if state.order() == Order::Close {
                openings.failure(Reason::Timeout);
            }
            None
        }
    }
}
