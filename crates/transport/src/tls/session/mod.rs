//! One side of a TLS connection, a server's or a client's, over whatever reads and writes.
//!
//! What is read lies in buffers of the thread; a session keeps what they can't be emptied of: the beginning of a
//! record, plaintext that the reader had no room for, and ciphertext that the socket has not taken. While none of
//! that is there, a session holds no buffer.

mod outgoing;
mod plaintext;
mod side;
mod step;

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{
    Error,
    pki_types::ServerName,
    unbuffered::{ConnectionState, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::side::{Client, Server, Side};
use self::step::{Buffers, Next, Order};
use super::{ClientConfig, Facts, Failure, ServerConfig};

/// What is read in one go. A message of a handshake, of 64 KiB at most, has to fit into it along with a record.
const READ: usize = 128 << 10;

thread_local! {
    /// What sockets are read into.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One side of a connection.
pub struct Session<S> {
    connection: S,
    /// The server name that the client asked for, until the facts are taken.
    sni: Option<Box<str>>,
    /// Ciphertext that makes no record yet, or for whose plaintext there was no room.
    incoming: Vec<u8>,
    /// There is something to do before more is read: whole records in `incoming` perhaps, or a client's first message.
    unprocessed: bool,
    buffers: Buffers,
    /// `close_notify` was sent.
    closed: bool,
    /// What the peer sent could not be used.
    failed: bool,
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("ended", &self.buffers.ended)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Session<Server> {
    /// The server's side of a connection of which nothing but `first` has been read.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn server(config: ServerConfig, first: Vec<u8>) -> Result<Self, Failure> {
        let unprocessed = !first.is_empty();
        Ok(Self { incoming: first, unprocessed, ..Self::new(Server::new(config)?) })
    }
}

impl Session<Client> {
    /// The client's side of a new connection to a server of this name.
    ///
    /// # Errors
    /// The configuration can't be used.
    pub fn client(config: ClientConfig, name: ServerName<'static>) -> Result<Self, Failure> {
        let sni = match &name {
            ServerName::DnsName(name) if config.enable_sni => Some(name.as_ref().into()),
            _ => None,
        };
        // The client speaks first.
        Ok(Self { sni, unprocessed: true, ..Self::new(Client::new(config, name)?) })
    }
}

impl<S: Side> Session<S> {
    fn new(connection: S) -> Self {
        Self {
            connection,
            sni: None,
            incoming: Vec::new(),
            unprocessed: false,
            buffers: Buffers::default(),
            closed: false,
            failed: false,
        }
    }

    /// Goes on with the handshake until it is done. When it fails, the peer has been sent an alert, if it takes that.
    ///
    /// # Errors
    /// It has failed.
    pub fn poll_handshake(
        &mut self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            if self.unprocessed {
                let taken = self.take_in_kept(&mut ReadBuf::new(&mut []));
                if let Err(error) = taken {
                    let _ = self.buffers.outgoing.poll_flush(io, cx);
                    return Poll::Ready(Err(Failure::of(error, &self.incoming)));
                }
            }
            let flushed = self.buffers.outgoing.poll_flush(io, cx)?;
            if !self.connection.is_handshaking() {
                // The last words may still be on their way: reading and writing go on with that.
                return Poll::Ready(Ok(()));
            }
            ready!(flushed);
            if self.buffers.ended {
                return Poll::Ready(Err(Failure::Closed));
            }
            if let Err(error) = ready!(self.poll_fill(io, &mut ReadBuf::new(&mut []), cx))? {
                let _ = self.buffers.outgoing.poll_flush(io, cx);
                return Poll::Ready(Err(Failure::of(error, &self.incoming)));
            }
        }
    }

    /// What the handshake has agreed on. The server name is only in the first call's.
    pub fn facts(&mut self) -> Facts {
        Facts::of(&self.connection, self.sni.take(), self.connection.client_certificate())
    }

    /// Whether there is plaintext, or may be, without reading from the socket.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.buffers.plaintext.is_empty() || self.unprocessed
    }

    /// Reads plaintext. Nothing means that the peer has sent `close_notify`, or closed the connection without: what it
    /// sent ends where the protocol inside says it does (RFC 9112 section 9.8).
    ///
    /// # Errors
    /// The connection is broken, or what came can't be used.
    pub fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        buf: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        // The handshake may have left something to send, such as tickets; a change of keys and the end of the
        // connection have something to send too.
        let _ = self.buffers.outgoing.poll_flush(io, cx)?;
        loop {
            self.buffers.plaintext.read(buf);
            if buf.filled().len() > before || buf.remaining() == 0 || self.buffers.ended && !self.has_input()
            {
                return Poll::Ready(Ok(()));
            }
            let taken =
                if self.unprocessed { self.take_in_kept(buf) } else { ready!(self.poll_fill(io, buf, cx))? };
            let flushed = self.buffers.outgoing.poll_flush(io, cx);
            taken.map_err(invalid)?;
            if let Poll::Ready(result) = flushed {
                result?;
            }
        }
    }

    /// Encrypts slices and writes them: how many bytes were taken, of which some may be kept until the next call or
    /// the flush.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_write(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.buffers.outgoing.poll_flush(io, cx))?;
        if self.failed || self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = self.encrypt(Order::Data(slices))?;
        // What the socket does not take now is kept: it is encrypted.
        if let Poll::Ready(result) = self.buffers.outgoing.poll_flush(io, cx) {
            result?;
        }
        Poll::Ready(Ok(count))
    }

    /// Writes what was kept.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.buffers.outgoing.poll_flush(io, cx)
    }

    /// Sends `close_notify`, after what was kept, and ends this direction of the connection.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_shutdown(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closed, true) && !self.failed && !self.connection.is_handshaking() {
            self.encrypt(Order::CloseNotify)?;
        }
        ready!(self.buffers.outgoing.poll_flush(io, cx))?;
        Pin::new(io).poll_shutdown(cx)
    }

    /// Takes in what was kept.
    fn take_in_kept(&mut self, buf: &mut ReadBuf<'_>) -> Result<(), Error> {
        let mut kept = std::mem::take(&mut self.incoming);
        self.take_in(&mut kept, buf, None)?;
        Ok(())
    }

    /// Reads once and takes in what came.
    fn poll_fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        buf: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), Error>>> {
        INPUT.with_borrow_mut(|input| {
            input.resize(READ, 0);
            let kept = self.incoming.len();
            let Some((front, free)) = input.split_at_mut_checked(kept).filter(|(_, free)| !free.is_empty())
            else {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            let mut free = ReadBuf::new(free);
            ready!(Pin::new(io).poll_read(cx, &mut free))?;
            let count = free.filled().len();
            if count == 0 {
                self.buffers.ended = true;
                return Poll::Ready(Ok(Ok(())));
            }
            if self.failed {
                // It can't be decrypted any more.
                return Poll::Ready(Ok(Ok(())));
            }
            front.copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            Poll::Ready(Ok(self.take_in(&mut input[..kept + count], buf, None).map(|_| ())))
        })
    }

    /// Encrypts; how many bytes. What was kept of the input comes before it, as rustls wants to see it each time.
    fn encrypt(&mut self, order: Order<'_>) -> io::Result<usize> {
        let mut kept = std::mem::take(&mut self.incoming);
        match self.take_in(&mut kept, &mut ReadBuf::new(&mut []), Some(order)).map_err(invalid)? {
            Next::Encrypted(count) => Ok(count),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes in ciphertext, and keeps what it did not get to.
    fn take_in(
        &mut self,
        input: &mut [u8],
        buf: &mut ReadBuf<'_>,
        order: Option<Order<'_>>,
    ) -> Result<Next, Error> {
        let handshaking = self.connection.is_handshaking();
        let mut at = 0;
        let next = self.process(input, &mut at, buf, order);
        if handshaking && let Some(name) = S::requested_name() {
            self.sni = Some(name);
        }
        // A handshake that has failed may show why in what came last.
        let kept = if self.failed && self.connection.is_handshaking() { 0 } else { at };
        self.incoming = input[kept..].to_vec();
        self.unprocessed = matches!(next, Ok(Next::Room)) && !self.incoming.is_empty();
        next
    }

    /// Has rustls go through `input` from `at` on, which is moved, until there is nothing more to do.
    fn process(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        buf: &mut ReadBuf<'_>,
        order: Option<Order<'_>>,
    ) -> Result<Next, Error> {
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process(&mut input[*at..]);
            *at += discard;
            match state.and_then(|state| self.buffers.step(state, at, buf, order)) {
                Ok(Next::Step) => {}
                Ok(next) => return Ok(next),
                Err(error) => {
                    self.failed = true;
                    self.encode_alerts(&mut input[*at..]);
                    return Err(error);
                }
            }
        }
    }

    /// After a failure nothing is taken in any more, but the alert for the peer goes out.
    fn encode_alerts(&mut self, input: &mut [u8]) {
        while self.connection.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(alert)) = self.connection.process(input).state
            && self.buffers.encode(alert).is_ok()
        {}
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
