//! A connection: a socket, TCP or Unix, with the options that both ends want, and TLS over it if there is any.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use rustls::pki_types::ServerName;

use crate::{
    address::canonical,
    tls::{Client, ClientConfig, Facts, Failure, Server, ServerConfig, Session},
};

/// A peer that is silent for this long is probed (TCP keepalive).
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Sets TCP_NODELAY and keep-alive.
///
/// # Errors
/// The connection is already gone.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix domain socket.
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

/// How the peer of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may send more.
    There,
    /// It has closed its end.
    Ended,
    /// It has reset the connection, or both ends are closed.
    Gone,
}

/// A connection: a socket, and TLS over it once that has begun.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// What a plain connection has of it is as small as can be.
    tls: Option<Box<Tls>>,
}

/// A session of either side.
#[derive(Debug)]
enum Tls {
    Server(Session<Server>),
    Client(Session<Client>),
}

/// Calls the same method on the session of whichever side it is.
macro_rules! on_side {
    ($tls:expr, $session:ident => $call:expr) => {
        match $tls {
            Tls::Server($session) => $call,
            Tls::Client($session) => $call,
        }
    };
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Self { socket, tls: None }
    }
}

impl Stream {
    /// The [canonical] addresses of the peer and of this end; none for Unix sockets.
    #[must_use]
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        match &self.socket {
            Socket::Tcp(stream) => {
                Some((canonical(stream.peer_addr().ok()?), canonical(stream.local_addr().ok()?)))
            }
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }

    /// Begins TLS as a server; what is read and written from now on is what is inside. `first` was read already.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn begin_tls(&mut self, config: ServerConfig, first: Vec<u8>) -> Result<(), Failure> {
        self.tls = Some(Box::new(Tls::Server(Session::server(config, first)?)));
        Ok(())
    }

    /// The same as a client of a server of this name.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn begin_tls_as_client(
        &mut self,
        config: ClientConfig,
        name: ServerName<'static>,
    ) -> Result<(), Failure> {
        self.tls = Some(Box::new(Tls::Client(Session::client(config, name)?)));
        Ok(())
    }

    /// Goes on with the handshake until it is done; what it has agreed on. Nothing without TLS.
    ///
    /// # Errors
    /// It has failed.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Facts>, Failure>> {
        let Some(tls) = self.tls.as_deref_mut() else { return Poll::Ready(Ok(None)) };
        on_side!(tls, session => {
            ready!(session.poll_handshake(&mut self.socket, cx))?;
            Poll::Ready(Ok(Some(session.facts())))
        })
    }

    /// Whether bytes wait to be read; looked up without taking them.
    #[must_use]
    pub fn has_input(&self) -> bool {
        if self.tls.as_deref().is_some_and(|tls| on_side!(tls, session => session.has_input())) {
            return true;
        }
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let peeked = match &self.socket {
            Socket::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            #[cfg(unix)]
            Socket::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        };
        matches!(peeked, Ok(1..))
    }

    /// Whether the peer still sends and receives, whatever waits to be read.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn presence(&self) -> Presence {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let wanted = PollFlags::RDHUP;
        let mut socket = match &self.socket {
            Socket::Tcp(stream) => [PollFd::new(stream, wanted)],
            Socket::Unix(stream) => [PollFd::new(stream, wanted)],
        };
        // It waits for nothing; what fails is as if there was nothing to say.
        let _ = poll(&mut socket, Some(&Timespec::default()));
        let said = socket[0].revents();
        if said.intersects(PollFlags::ERR | PollFlags::HUP) {
            Presence::Gone
        } else if said.contains(PollFlags::RDHUP) {
            Presence::Ended
        } else {
            Presence::There
        }
    }

    /// Whether the peer still sends and receives, as far as this system reports it.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn presence(&self) -> Presence {
        let error = match &self.socket {
            Socket::Tcp(stream) => stream.take_error(),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.take_error(),
        };
        if matches!(error, Ok(None)) { Presence::There } else { Presence::Gone }
    }

    /// How many bytes were written that the peer's system has not acknowledged. 0 on systems that do not report it.
    #[must_use]
    pub fn unsent(&self) -> usize {
        match &self.socket {
            Socket::Tcp(stream) => crate::unsent::bytes(stream),
            #[cfg(unix)]
            Socket::Unix(_) => 0,
        }
    }

    /// Has TCP end with RST instead of FIN when it is closed, and throw away what is still unsent.
    pub fn reset_on_close(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            // Fails when the connection is already gone.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Sends nothing more: FIN, and not a word of TLS. Reading goes on.
    pub fn cut_off(&self) {
        // Both fail when the connection is already gone.
        let _ = match &self.socket {
            Socket::Tcp(stream) => SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            #[cfg(unix)]
            Socket::Unix(stream) => SockRef::from(stream).shutdown(std::net::Shutdown::Write),
        };
    }
}

/// Calls the same method on whichever socket it is.
macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
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

/// Calls a method on the socket, or the session's of the same name with the socket.
macro_rules! through {
    ($self:expr, $method:ident($cx:expr $(, $argument:expr)*) in tls $method_in_tls:ident($($inside:expr)?)) => {{
        let Stream { socket, tls } = $self.get_mut();
        match tls.as_deref_mut() {
            None => Pin::new(socket).$method($cx $(, $argument)*),
            Some(tls) => on_side!(tls, session => session.$method_in_tls(socket, $($inside,)? $cx)),
        }
    }};
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_read(cx, buf) in tls poll_read(buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        through!(self, poll_write(cx, data) in tls poll_write(&[IoSlice::new(data)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        through!(self, poll_write_vectored(cx, slices) in tls poll_write(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_flush(cx) in tls poll_flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_shutdown(cx) in tls poll_shutdown())
    }
}
