//! What clients speak on: a socket, or TLS over it where the test runs over TLS.
//!
//! Each test has its own thread. One that runs over TLS declares it there; its servers then give their TLS port
//! for the plain ones, and clients that connect to such a port speak TLS. So the same bodies run over both.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::patiently;

thread_local! {
    static OVER_TLS: Cell<bool> = const { Cell::new(false) };
    static TLS_PORTS: RefCell<HashMap<SocketAddr, ClientConfig>> = RefCell::default();
}

/// From now on, this test runs over TLS.
pub fn go_over_tls() {
    OVER_TLS.set(true);
}

/// Whether this test runs over TLS.
#[must_use]
pub fn is_over_tls() -> bool {
    OVER_TLS.get()
}

/// This test's clients speak TLS to this address from now on.
pub fn speaks_tls(address: SocketAddr, client: ClientConfig) {
    TLS_PORTS.with_borrow_mut(|ports| ports.insert(address, client));
}

/// A client that trusts the authorities of a PEM text.
///
/// # Panics
/// When there is none in it.
#[must_use]
pub fn trusting(authorities: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        roots.add(certificate.expect("a certificate")).expect("a certificate of an authority");
    }
    assert!(!roots.is_empty(), "no certificate");
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// A connection, plain or with TLS over it.
#[derive(Debug)]
pub enum Link {
    /// Plain.
    Plain(TcpStream),
    /// With TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Link {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl Link {
    /// Connects, for an application protocol by its name in ALPN.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(address: SocketAddr, alpn: &str) -> Self {
        let stream = patiently("connect", TcpStream::connect(address)).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_nodelay(true).expect("a socket takes TCP_NODELAY");
        let link = patiently("shake hands", Self::on(stream, alpn)).await;
        link.unwrap_or_else(|error| panic!("no TLS with {address}: {error}"))
    }

    /// Shakes hands on a socket, if its peer speaks TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn on(stream: TcpStream, alpn: &str) -> io::Result<Self> {
        let address = stream.peer_addr()?;
        Self::as_with(address, stream, alpn).await
    }

    /// The same as if the socket's peer were at `address`, which it leads to.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn as_with(address: SocketAddr, stream: TcpStream, alpn: &str) -> io::Result<Self> {
        let Some(mut config) = TLS_PORTS.with_borrow(|ports| ports.get(&address).cloned()) else {
            return Ok(Self::Plain(stream));
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Self::shake_hands(stream, config).await
    }

    /// Shakes hands on a socket.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn shake_hands(stream: TcpStream, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Calls the same method on whichever it is.
macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $call,
            Self::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
