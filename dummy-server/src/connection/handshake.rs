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
    resources::Resources,
    socket::{self, SharedSocket},
    told_to_go,
};
use crate::{
    buffers::MOST_READ,
    handshakes::ProxyError,
    lifecycle::orders::Order,
    peer::Prelude,
    settings::{Port, ProxyProtocol},
};

/// A connection on which HTTP comes next.
#[derive(Debug, Default)]
pub(super) struct Established {
    /// What was read of it already.
    pub(super) first: Vec<u8>,
    /// Whether it is HTTP/2, if that was agreed on.
    pub(super) http2: Option<bool>,
}

/// Takes what comes before HTTP. None when that has failed, or when the connection was ordered to end.
pub(super) async fn perform(resources: &Resources, socket: &Rc<SharedSocket>) -> Option<Established> {
    let mut established = Established::default();
    let mut prelude = Prelude::default();
    if resources.context.config.proxy_protocol != ProxyProtocol::Off {
        (prelude.proxied, established.first) = proxy_header(resources, socket).await?;
    }
    if socket.lifecycle.port == Port::Tls {
        let facts = tls_handshake(std::mem::take(&mut established.first), resources, socket).await?;
        established.http2 = facts.alpn.as_deref().map(|name| name == b"h2");
        prelude.tls = Some(facts);
    }
    if !established.first.is_empty() {
        socket.lifecycle.received(established.first.len());
    }
    if prelude.proxied.is_some() || prelude.tls.is_some() {
        socket.lifecycle.peer.set_prelude(prelude);
    }
    Some(established)
}

/// Why there is no header that can be used.
enum Unproxied {
    /// The connection was ordered to end.
    Told,
    /// It has ended, or has broken.
    Ended,
    Missing,
    Refused(proxy_protocol::Error),
}

/// Reads the PROXY header, and what has come along with it.
async fn proxy_header(
    resources: &Resources,
    socket: &Rc<SharedSocket>,
) -> Option<(Option<Box<Header>>, Vec<u8>)> {
    let required = resources.context.config.proxy_protocol == ProxyProtocol::Required;
    let mut bytes = Vec::new();
    let outcome = poll_fn(|cx| {
        loop {
            if told_to_go(socket, true, cx).is_ready() {
                return Poll::Ready(Err(Unproxied::Told));
            }
            let mut buffer = resources.context.buffers.for_reading();
            let buffer = &mut buffer[..MOST_READ];
            let read = segments::poll_read(&mut *socket.stream.borrow_mut(), &bytes, buffer, cx);
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
            socket.lifecycle.stats.bytes_received.add(length as u64);
            bytes.drain(..length);
            return Some((header, bytes));
        }
        Err(refused) => refused,
    };
    let (error, reason): (ProxyError, &dyn Display) = match &refused {
        // A client that comes and goes without a word, or is closed by the drain, has done nothing wrong.
        Unproxied::Ended if bytes.is_empty() => return None,
        Unproxied::Told if socket.lifecycle.order() != Order::Close || bytes.is_empty() && !required => {
            return None;
        }
        Unproxied::Told => (ProxyError::Timeout, &"it has not come within --header-timeout"),
        Unproxied::Ended => (ProxyError::Malformed, &"the connection ended within it"),
        Unproxied::Missing => (ProxyError::Missing, &"there is none, and --proxy-protocol=required"),
        Unproxied::Refused(error) => (error.into(), error),
    };
    resources.refusals.proxy(socket, error, reason);
    None
}

/// Begins TLS; `first` was read already.
async fn tls_handshake(first: Vec<u8>, resources: &Resources, socket: &Rc<SharedSocket>) -> Option<Facts> {
    let config = resources.certificates.as_ref()?.current();
    socket.stream.borrow_mut().begin_tls(config, first).ok()?;
    let outcome = poll_fn(|cx| {
        if told_to_go(socket, true, cx).is_ready() {
            return Poll::Ready(None);
        }
        socket.stream.borrow_mut().poll_handshake(cx).map(Some)
    });
    match outcome.await {
        Some(Ok(facts)) => facts.inspect(|facts| socket.lifecycle.stats.handshakes.complete(facts)),
        Some(Err(failure)) => {
            let reason = Reason::from(&failure);
            resources.refusals.tls(socket, reason, &failure);
            if reason != Reason::Closed {
                // The alert must not be lost to a reset.
                socket::linger(socket, false).await;
            }
            None
        }
        None => {
            if socket.lifecycle.order() == Order::Close {
                resources.refusals.tls(socket, Reason::Timeout, &"it was not done within --header-timeout");
            }
            None
        }
    }
}
