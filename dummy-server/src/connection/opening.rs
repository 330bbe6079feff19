//! What comes before HTTP on a connection: a PROXY header, then the handshake of TLS. Both are a part of the first
//! request's head, as far as time is concerned.

use std::{
    fmt::Display,
    future::poll_fn,
    rc::Rc,
    task::{Poll, ready},
};

use transport::{
    proxy_protocol::{self, Header, Parsed},
    segments,
    tls::{Facts, Reason},
};

use super::{
    Port,
    state::{Order, State},
    told_to_go, wire as socket,
};
use crate::{
    config::ProxyProtocol,
    openings::ProxyError,
    worker::{MOST_READ, Worker},
};

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
    /// What a proxy has said of the connection.
    pub(crate) proxied: Option<Box<Header>>,
    /// What the handshake has agreed on.
    pub(crate) tls: Option<Facts>,
}

/// Opens a connection. None when that has failed, or when the connection was told to end.
pub(super) async fn open(port: Port, worker: &Worker, state: &Rc<State>) -> Option<Opened> {
    let mut opened = Opened::default();
    let mut prelude = Prelude::default();
    if worker.config.proxy_protocol != ProxyProtocol::Off {
        (prelude.proxied, opened.first) = proxy_header(worker, state).await?;
    }
    if port == Port::Tls {
        let facts = handshake(std::mem::take(&mut opened.first), worker, state).await?;
        opened.http2 = facts.alpn.as_deref().map(|name| name == b"h2");
        prelude.tls = Some(facts);
    }
    if !opened.first.is_empty() {
        state.received(opened.first.len());
    }
    if prelude.proxied.is_some() || prelude.tls.is_some() {
        state.begin_with(prelude);
    }
    Some(opened)
}

/// Why there is no header that can be used.
enum Unproxied {
    /// The connection was told to end.
    Told,
    /// It has ended, or has broken.
    Ended,
    Missing,
    Refused(proxy_protocol::Error),
}

/// Reads the PROXY header, and what has come along with it.
async fn proxy_header(worker: &Worker, state: &Rc<State>) -> Option<(Option<Box<Header>>, Vec<u8>)> {
    let required = worker.config.proxy_protocol == ProxyProtocol::Required;
    let mut bytes = Vec::new();
    let outcome = poll_fn(|cx| {
        loop {
            if told_to_go(state, true, cx).is_ready() {
                return Poll::Ready(Err(Unproxied::Told));
            }
            let mut buffer = worker.read_buffer.borrow_mut();
            let buffer = &mut buffer[..MOST_READ];
            let read = segments::poll_read(&mut *state.stream.borrow_mut(), &bytes, buffer, cx);
            let Ok(count @ 1..) = ready!(read) else { return Poll::Ready(Err(Unproxied::Ended)) };
            bytes = buffer[..bytes.len() + count].to_vec();
            match proxy_protocol::parse(&bytes) {
                Ok(Parsed::Incomplete) => {}
                Ok(Parsed::Header(header, length)) => return Poll::Ready(Ok((Some(header), length))),
                Ok(Parsed::Absent) if required => return Poll::Ready(Err(Unproxied::Missing)),
                Ok(Parsed::Absent) => return Poll::Ready(Ok((None, 0))),
                Err(error) => return Poll::Ready(Err(Unproxied::Refused(error))),
            }
        }
    });
    let refused = match outcome.await {
        Ok((header, length)) => {
            state.stats.bytes_received.add(length as u64);
            bytes.drain(..length);
            return Some((header, bytes));
        }
        Err(refused) => refused,
    };
    let (error, reason): (ProxyError, &dyn Display) = match &refused {
        // Who comes and goes without a word, or is told to go by the drain, has done nothing wrong.
        Unproxied::Ended if bytes.is_empty() => return None,
        Unproxied::Told if state.order() != Order::Close || bytes.is_empty() && !required => return None,
        Unproxied::Told => (ProxyError::Timeout, &"it has not come within --header-timeout"),
        Unproxied::Ended => (ProxyError::Malformed, &"the connection ended within it"),
        Unproxied::Missing => (ProxyError::Missing, &"there is none, and --proxy-protocol=required"),
        Unproxied::Refused(error) => (error.into(), error),
    };
    worker.refusals.proxy(state, error, reason);
    None
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
    match outcome.await {
        Some(Ok(facts)) => facts.inspect(|facts| state.stats.openings.handshake(facts)),
        Some(Err(failure)) => {
            let reason = Reason::from(&failure);
            worker.refusals.tls(state, reason, &failure);
            if reason != Reason::Closed {
                // The alert must not be lost to a reset.
                socket::linger(state, false).await;
            }
            None
        }
        None => {
            if state.order() == Order::Close {
                worker.refusals.tls(state, Reason::Timeout, &"it was not done within --header-timeout");
            }
            None
        }
    }
}
