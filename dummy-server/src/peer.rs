//! What is at the other end of a connection: addresses, and what a PROXY header and the handshake of TLS have said.
//!
//! Facts alone, whatever the protocol is that comes after them.

use std::{cell::OnceCell, net::SocketAddr};

use transport::{proxy_protocol::Header, tls::Facts};

/// The peer of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The peer's and this end's address; none for Unix sockets.
    addresses: Option<(SocketAddr, SocketAddr)>,
    /// Most connections have none of it.
    prelude: OnceCell<Box<Prelude>>,
}

/// What has come before HTTP.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    /// What a proxy has said of the connection.
    pub(crate) proxied: Option<Box<Header>>,
    /// What the handshake has agreed on.
    pub(crate) tls: Option<Facts>,
}

impl Peer {
    pub(crate) fn new(addresses: Option<(SocketAddr, SocketAddr)>) -> Self {
        Self { addresses, prelude: OnceCell::new() }
    }

    /// Keeps what came before HTTP; set once.
    pub(crate) fn set_prelude(&self, prelude: Prelude) {
        let _ = self.prelude.set(Box::new(prelude));
    }

    /// What came before HTTP, if something did.
    pub(crate) fn prelude(&self) -> Option<&Prelude> {
        self.prelude.get().map(|prelude| &**prelude)
    }

    /// The client's and this side's address: as a PROXY header has them, else those of the socket. Never from a field,
    /// which anybody can send.
    pub(crate) fn endpoints(&self) -> Option<(String, String)> {
        let proxied = self.prelude().and_then(|prelude| prelude.proxied.as_ref()?.endpoints.as_ref());
        match proxied {
            Some((source, destination)) => Some((source.to_string(), destination.to_string())),
            None => self.addresses.map(|(peer, local)| (peer.to_string(), local.to_string())),
        }
    }

    /// The client's address, if it is one of the internet; see [`Peer::endpoints`].
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.prelude() {
            None => self.addresses.map(|(peer, _)| peer),
            Some(_) => self.endpoints()?.0.parse().ok(),
        }
    }

    /// Whether what is read and written is inside TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.prelude().is_some_and(|prelude| prelude.tls.is_some())
    }
}
