//! What comes before HTTP on a connection: a PROXY header, then the handshake of TLS. Both are a part of the first
//! request's head, as far as time is concerned.

use std::{
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

/// Takes what comes before HTTP: what was read of HTTP already, and whether it is HTTP/2, if that was agreed on. None when
/// that has failed, or when the connection was ordered to end.
pub(super) async fn perform(
    resources: &Resources,
    socket: &Rc<SharedSocket>,
) -> Option<(Vec<u8>, Option<bool>)> {
    let (mut first, mut http2) = (Vec::new(), None);
    let mut prelude = Prelude::default();
    if resources.exchange.context.config.proxy_protocol != ProxyProtocol::Off {
        (prelude.proxied, first) = proxy_header(resources, socket).await?;
    }
    if socket.lifecycle.port == Port::Tls {
        let facts = tls_handshake(std::mem::take(&mut first), resources, socket).await?;
        http2 = facts.alpn.as_deref().map(|name| name == b"h2");
        prelude.tls = Some(facts);
    }
    if !first.is_empty() {
        socket.lifecycle.received(first.len());
    }
    if prelude.proxied.is_some() || prelude.tls.is_some() {
        socket.lifecycle.peer.set_prelude(prelude);
    }
    Some((first, http2))
}

/// Reads the PROXY header, and what has come along with it.
async fn proxy_header(
    resources: &Resources,
    socket: &Rc<SharedSocket>,
) -> Option<(Option<Box<Header>>, Vec<u8>)> {
    let required = resources.exchange.context.config.proxy_protocol == ProxyProtocol::Required;
    let mut bytes = Vec::new();
    let refusal = |error, reason: &str| Poll::Ready(Err(Some((error, reason.to_owned()))));
    let outcome = poll_fn(|cx| {
        loop {
            // A client that comes and goes without a word, or is closed by the drain, has done nothing wrong.
            if told_to_go(socket, true, cx).is_ready() {
                if socket.lifecycle.orders.strongest() == Order::Close && (required || !bytes.is_empty()) {
                    return refusal(ProxyError::Timeout, "it has not come within --header-timeout");
                }
                return Poll::Ready(Err(None));
            }
            let mut buffer = resources.exchange.context.buffers.for_reading();
            let buffer = &mut buffer[..MOST_READ];
            let read = segments::poll_read(&mut *socket.stream.borrow_mut(), &bytes, buffer, cx);
            let Ok(count @ 1..) = ready!(read) else {
                if bytes.is_empty() {
                    return Poll::Ready(Err(None));
                }
                return refusal(ProxyError::Malformed, "the connection ended within it");
            };
            bytes = buffer[..bytes.len() + count].to_vec();
            match proxy_protocol::parse(&bytes) {
                Ok(Parsed::Incomplete) => {}
                Ok(Parsed::Header(header, length)) => return Poll::Ready(Ok((Some(header), length))),
                Ok(Parsed::Absent) if required => {
                    return refusal(ProxyError::Missing, "there is none, and --proxy-protocol=required");
                }
                Ok(Parsed::Absent) => return Poll::Ready(Ok((None, 0))),
                Err(error) => return refusal(ProxyError::from(&error), &error.to_string()),
            }
        }
    });
    match outcome.await {
        Ok((header, length)) => {
            socket.lifecycle.accounting.stats.bytes_received.add(length as u64);
            bytes.drain(..length);
            Some((header, bytes))
        }
        Err(refused) => {
            if let Some((error, reason)) = refused {
                resources.refusals.proxy(socket, error, &reason);
            }
            None
        }
    }
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
        Some(Ok(facts)) => {
            let facts = facts?;
            let completed = &socket.lifecycle.accounting.stats.handshakes.completed;
            completed[facts.version as usize][usize::from(facts.resumed)].add(1);
            Some(facts)
        }
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
            if socket.lifecycle.orders.strongest() == Order::Close {
                resources.refusals.tls(socket, Reason::Timeout, &"it was not done within --header-timeout");
            }
            None
        }
    }
}
