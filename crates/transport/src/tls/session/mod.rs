//! A server's end of one TLS connection, over whatever reads and writes.
//!
//! What is read lies in buffers of the thread; a session keeps what they can't be emptied of: the beginning of a
//! record, plaintext that the reader had no room for, and ciphertext that the socket has not taken. While none of
//! that is there, a session holds no buffer.

mod outgoing;

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{
    Error,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::outgoing::{Outgoing, Traffic, encrypt, too_small};
use super::{Facts, Failure, ServerConfig, settings};

/// What is read at once. A message of a handshake, of 64 KiB at most, has to fit into it along with a record.
const READ: usize = 128 << 10;

thread_local! {
    /// What sockets are read into.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A server's end of one connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// The name that the client has asked for, until the facts are taken.
    sni: Option<Box<str>>,
    /// Ciphertext that makes no record yet, or for whose plaintext there was no room.
    incoming: Vec<u8>,
    /// There may be whole records in `incoming`.
    unprocessed: bool,
    /// Plaintext that nobody has read.
    plaintext: Vec<u8>,
    /// How much of it has been read.
    consumed: usize,
    outgoing: Outgoing,
    /// The client sends nothing more.
    ended: bool,
    /// The goodbye has been said.
    closed: bool,
    /// What the client sent was no use.
    failed: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("ended", &self.ended)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Of a connection of which nothing but `first` has been read.
    ///
    /// # Errors
    /// The configuration is no use.
    pub fn new(config: ServerConfig, first: Vec<u8>) -> Result<Self, Failure> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            sni: None,
            unprocessed: !first.is_empty(),
            incoming: first,
            plaintext: Vec::new(),
            consumed: 0,
            outgoing: Outgoing::default(),
            ended: false,
            closed: false,
            failed: false,
        })
    }

    /// Goes on with the handshake until it is done. When it fails, the client has been told why, if it takes that.
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
                    let _ = self.outgoing.poll_flush(io, cx);
                    return Poll::Ready(Err(Failure::of(error, &self.incoming)));
                }
            }
            let flushed = self.outgoing.poll_flush(io, cx)?;
            if !self.connection.is_handshaking() {
                // The last words may still be on their way: reading and writing go on with that.
                return Poll::Ready(Ok(()));
            }
            ready!(flushed);
            if self.ended {
                return Poll::Ready(Err(Failure::Closed));
            }
            if let Err(error) = ready!(self.poll_fill(io, &mut ReadBuf::new(&mut []), cx))? {
                let _ = self.outgoing.poll_flush(io, cx);
                return Poll::Ready(Err(Failure::of(error, &self.incoming)));
            }
        }
    }

    /// What the handshake has agreed on. The name that was asked for is told once.
    pub fn facts(&mut self) -> Facts {
        Facts::of(&self.connection, self.sni.take())
    }

    /// Whether there is plaintext, or may be, without reading from the socket.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.plaintext.is_empty() || self.unprocessed
    }

    /// Reads plaintext. Nothing means that the client has said goodbye, or just gone: what it had to say ends where
    /// the protocol inside says it does (RFC 9112 section 9.8).
    ///
    /// # Errors
    /// The connection is broken, or what came is no use.
    pub fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + AsyncWrite + Unpin),
        buf: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        // Tickets were sent with the handshake; this is for what of them is left, for keys to be changed, and for the
        // last word.
        let _ = self.outgoing.poll_flush(io, cx)?;
        loop {
            self.hand_over(buf);
            if buf.filled().len() > before || buf.remaining() == 0 || self.ended && !self.has_input() {
                return Poll::Ready(Ok(()));
            }
            let taken =
                if self.unprocessed { self.take_in_kept(buf) } else { ready!(self.poll_fill(io, buf, cx))? };
            let flushed = self.outgoing.poll_flush(io, cx);
            taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
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
        ready!(self.outgoing.poll_flush(io, cx))?;
        if self.failed || self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut count = 0;
        self.when_open(|traffic, outgoing| {
            count = encrypt(traffic, slices, outgoing)?;
            Ok(())
        })?;
        // What the socket does not take now is kept: it is encrypted.
        if let Poll::Ready(result) = self.outgoing.poll_flush(io, cx) {
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
        self.outgoing.poll_flush(io, cx)
    }

    /// Says goodbye (`close_notify`), after what was kept, and ends this side of the connection.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_shutdown(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closed, true) && !self.failed && !self.connection.is_handshaking() {
            self.when_open(|traffic, outgoing| {
                outgoing.append(|room| traffic.queue_close_notify(room).map_err(too_small))
            })?;
        }
        ready!(self.outgoing.poll_flush(io, cx))?;
        Pin::new(io).poll_shutdown(cx)
    }

    /// Plaintext that was left over, as much as there is room for.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let left = &self.plaintext[self.consumed..];
        let count = left.len().min(buf.remaining());
        buf.put_slice(&left[..count]);
        self.consumed += count;
        if self.consumed == self.plaintext.len() && self.consumed > 0 {
            self.plaintext = Vec::new();
            self.consumed = 0;
        }
    }

    /// Takes in what was kept.
    fn take_in_kept(&mut self, buf: &mut ReadBuf<'_>) -> Result<(), Error> {
        let mut kept = std::mem::take(&mut self.incoming);
        self.take_in(&mut kept, buf, None)
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
                self.ended = true;
                return Poll::Ready(Ok(Ok(())));
            }
            if self.failed {
                // Nobody can make sense of it any more.
                return Poll::Ready(Ok(Ok(())));
            }
            front.copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            Poll::Ready(Ok(self.take_in(&mut input[..kept + count], buf, None)))
        })
    }

    /// Has something encrypted. What was kept of the input comes before it, as rustls wants to see it each time.
    fn when_open(
        &mut self,
        mut then: impl FnMut(&mut Traffic<'_>, &mut Outgoing) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut result = Err(io::ErrorKind::NotConnected.into());
        let mut kept = std::mem::take(&mut self.incoming);
        let mut then = |traffic: &mut Traffic<'_>, outgoing: &mut Outgoing| result = then(traffic, outgoing);
        self.take_in(&mut kept, &mut ReadBuf::new(&mut []), Some(&mut then))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        result
    }

    /// Takes in ciphertext: plaintext goes to `buf`, and into the store where that has no room; then the rest is
    /// left for later, unless there is something to encrypt.
    fn take_in(
        &mut self,
        input: &mut [u8],
        buf: &mut ReadBuf<'_>,
        mut then: Option<Then<'_>>,
    ) -> Result<(), Error> {
        let mut at = 0;
        let mut result = Ok(());
        self.unprocessed = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut input[at..]);
            let mut over = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        store(record.payload, buf, &mut self.plaintext);
                    }
                    self.unprocessed = then.is_none() && !self.plaintext.is_empty();
                    over = self.unprocessed;
                }
                // There is none of it as long as no configuration allows it.
                Ok(ConnectionState::ReadEarlyData(mut early)) => while early.next_record().is_some() {},
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    self.outgoing
                        .append(|room| {
                            message.encode(room).map_err(|error| match error {
                                EncodeError::InsufficientSize(size) => size.required_size,
                                EncodeError::AlreadyEncoded => 0,
                            })
                        })
                        .map_err(|_| Error::EncryptError)?;
                }
                // It is as good as sent: nothing overtakes it.
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(ConnectionState::Closed) => {
                    self.ended = true;
                    over = true;
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if let Some(then) = &mut then {
                        then(&mut traffic, &mut self.outgoing);
                    }
                    over = true;
                }
                Ok(_) => over = true,
                Err(error) => {
                    result = Err(error);
                    self.failed = true;
                }
            }
            at += discard;
            // After a failure nothing is taken in any more, but what is to be told of it goes out.
            if over || self.failed && !self.connection.wants_write() {
                break;
            }
        }
        if let Some(name) = settings::asked_for() {
            self.sni = Some(name);
        }
        // A handshake that has failed may show why in what came last.
        let kept = if self.failed && self.connection.is_handshaking() { 0 } else { at };
        self.incoming = input[kept..].to_vec();
        self.unprocessed &= !self.incoming.is_empty();
        result
    }
}

/// What is done once something can be encrypted.
type Then<'a> = &'a mut dyn FnMut(&mut Traffic<'_>, &mut Outgoing);

/// Puts what there is no room for behind what is there already.
fn store(payload: &[u8], buf: &mut ReadBuf<'_>, rest: &mut Vec<u8>) {
    let count = if rest.is_empty() { payload.len().min(buf.remaining()) } else { 0 };
    buf.put_slice(&payload[..count]);
    rest.extend_from_slice(&payload[count..]);
}

#[cfg(test)]
mod tests;
