//! A server's end of one TLS connection, over whatever reads and writes.
//!
//! What is read lies in buffers of the thread; a session keeps what they can't be emptied of: the beginning of a
//! record, plaintext that the reader had no room for, and ciphertext that the socket has not taken. While none of
//! that is there, a session holds no buffer.

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{
    Error,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Facts, Failure, ServerConfig, settings};

/// What is read at once. A message of a handshake, of 64 KiB at most, has to fit into it along with a record.
const READ: usize = 128 << 10;
/// Plaintext of the largest record (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;
/// What is encrypted at once. As long as the socket has not taken it, nothing more is.
const BATCH: usize = 128 << 10;

thread_local! {
    /// What sockets are read into.
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where short slices become records.
    static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// A buffer that a session has written all of.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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
                    return Poll::Ready(Err(error.into()));
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
                return Poll::Ready(Err(error.into()));
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
        self.incoming = input[at..].to_vec();
        self.unprocessed &= !self.incoming.is_empty();
        result
    }
}

/// What is done once something can be encrypted.
type Then<'a> = &'a mut dyn FnMut(&mut Traffic<'_>, &mut Outgoing);

type Traffic<'c> = WriteTraffic<'c, rustls::server::ServerConnectionData>;

/// Puts what there is no room for behind what is there already.
fn store(payload: &[u8], buf: &mut ReadBuf<'_>, rest: &mut Vec<u8>) {
    let count = if rest.is_empty() { payload.len().min(buf.remaining()) } else { 0 };
    buf.put_slice(&payload[..count]);
    rest.extend_from_slice(&payload[count..]);
}

/// Encrypts of slices as much as is done at once, in records as large as they may be. How much it was.
fn encrypt(traffic: &mut Traffic<'_>, slices: &[IoSlice<'_>], outgoing: &mut Outgoing) -> io::Result<usize> {
    let mut seal = |part: &[u8]| outgoing.append(|room| traffic.encrypt(part, room).map_err(too_small));
    GATHERED.with_borrow_mut(|gathered| {
        gathered.clear();
        let mut left = BATCH;
        for slice in slices {
            let mut part = &slice[..slice.len().min(left)];
            left -= part.len();
            if !gathered.is_empty() {
                let (front, rest) = part.split_at(part.len().min(RECORD - gathered.len()));
                gathered.extend_from_slice(front);
                part = rest;
                if gathered.len() == RECORD {
                    seal(gathered)?;
                    gathered.clear();
                }
            }
            let (whole, rest) = part.split_at(part.len() / RECORD * RECORD);
            if !whole.is_empty() {
                seal(whole)?;
            }
            gathered.extend_from_slice(rest);
        }
        if !gathered.is_empty() {
            seal(gathered)?;
        }
        Ok(BATCH - left)
    })
}

/// How much room is wanted; 0 when no room would do.
#[expect(clippy::needless_pass_by_value, reason = "a mapping of errors takes it")]
fn too_small(error: EncryptError) -> usize {
    match error {
        EncryptError::InsufficientSize(size) => size.required_size,
        EncryptError::EncryptExhausted => 0,
    }
}

/// Ciphertext on its way to the socket: what is in front of `end`, of which `written` bytes have been written. What is
/// behind is room that need not be cleared again.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    end: usize,
    written: usize,
}

impl Outgoing {
    /// Adds what `write` puts into the room it is given. It says how much room it wants when that is too little.
    fn append(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes = SPARE.take();
        }
        loop {
            let room = &mut self.bytes[self.end..];
            match write(room) {
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(wanted) if wanted > room.len() => self.bytes.resize(self.end + wanted, 0),
                Err(_) => return Err(io::Error::other("no more can be encrypted on this connection")),
            }
        }
    }

    /// Writes all of it.
    fn poll_flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.end {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..self.end]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        if !self.bytes.is_empty() {
            SPARE.set(std::mem::take(self).bytes);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_rustls::{
        TlsConnector,
        client::TlsStream,
        rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
    };

    use super::*;
    use crate::tls::{Authority, Settings, Version};

    /// A session over a pipe that takes so many bytes at once, and its client, after the handshake.
    async fn pair(min_version: Version, narrow: usize) -> (Session, DuplexStream, TlsStream<DuplexStream>) {
        let authority = Authority::new().unwrap();
        let settings = Settings { alpn: Vec::new(), min_version, tickets: false, client_ca: None };
        let config = settings.build(authority.issue(&["localhost"]).unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let versions: &[_] = match min_version {
            Version::Tls12 => &[&rustls::version::TLS12],
            Version::Tls13 => &[&rustls::version::TLS13],
        };
        let client = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let client = TlsConnector::from(Arc::new(client.with_no_client_auth()));
        let (mut near, far) = tokio::io::duplex(narrow);
        let mut session = Session::new(config, Vec::new()).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let (shaken, client) =
            tokio::join!(poll_fn(|cx| session.poll_handshake(&mut near, cx)), client.connect(name, far));
        shaken.unwrap();
        let facts = session.facts();
        assert_eq!((facts.version, facts.resumed), (min_version, false));
        assert_eq!(facts.sni.as_deref(), Some("localhost"));
        (session, near, client.unwrap())
    }

    async fn write(session: &mut Session, io: &mut DuplexStream, slices: &[&[u8]]) {
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut left = &mut slices.clone()[..];
        while !left.is_empty() {
            let count = poll_fn(|cx| session.poll_write(io, left, cx)).await.unwrap();
            assert!(count > 0);
            IoSlice::advance_slices(&mut left, count);
        }
        poll_fn(|cx| session.poll_flush(io, cx)).await.unwrap();
    }

    async fn read(session: &mut Session, io: &mut DuplexStream, room: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        poll_fn(|cx| session.poll_read(io, &mut buf, cx)).await?;
        Ok(buf.filled().to_vec())
    }

    fn holds_nothing(session: &Session) -> bool {
        let buffers = [&session.incoming, &session.plaintext, &session.outgoing.bytes];
        buffers.iter().all(|buffer| buffer.capacity() == 0)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_written_arrives_whatever_its_slices() {
        for version in Version::ALL {
            for narrow in [70, 1 << 20] {
                let (mut session, mut near, mut client) = pair(version, narrow).await;
                let parts: Vec<Vec<u8>> =
                    [5, 16 << 10, 1, 40_000, 0, 16 << 10, 300_000, 7].into_iter().map(pattern).collect();
                let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let mut seen = vec![0; parts.iter().map(Vec::len).sum()];
                let (_, read) =
                    tokio::join!(write(&mut session, &mut near, &slices), client.read_exact(&mut seen));
                read.unwrap();
                assert!(seen == parts.concat());
                assert!(holds_nothing(&session));
            }
        }
    }

    #[tokio::test]
    async fn what_is_sent_is_read_whatever_room_there_is() {
        for version in Version::ALL {
            for (narrow, room) in [(70, 1 << 20), (1 << 20, 1), (1 << 20, 100_000), (1 << 20, 1 << 20)] {
                let (mut session, mut near, mut client) = pair(version, narrow).await;
                let sent = pattern(if room == 1 { 40_000 } else { 400_000 });
                let reading = async {
                    let mut seen = Vec::new();
                    while seen.len() < sent.len() {
                        let part = read(&mut session, &mut near, room).await.unwrap();
                        assert!(!part.is_empty());
                        seen.extend(part);
                    }
                    seen
                };
                let writing = async {
                    client.write_all(&sent).await.unwrap();
                    client.flush().await.unwrap();
                };
                let (seen, ()) = tokio::join!(reading, writing);
                assert!(seen == sent, "{version:?} {narrow} {room}");
                assert!(!session.has_input() && holds_nothing(&session));
            }
        }
    }

    #[tokio::test]
    async fn plaintext_that_nobody_has_read_is_input() {
        let (mut session, mut near, mut client) = pair(Version::Tls13, 1 << 20).await;
        client.write_all(b"abc").await.unwrap();
        assert!(!session.has_input(), "it is in the pipe");
        assert_eq!(read(&mut session, &mut near, 1).await.unwrap(), b"a");
        assert!(session.has_input());
        assert_eq!(read(&mut session, &mut near, 10).await.unwrap(), b"bc");
        assert!(!session.has_input());
    }

    #[tokio::test]
    async fn each_side_may_say_goodbye_first() {
        let (mut session, mut near, mut client) = pair(Version::Tls13, 1 << 20).await;
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read(&mut session, &mut near, 100).await.unwrap(), b"last words");
        assert!(read(&mut session, &mut near, 100).await.unwrap().is_empty());
        // The other direction is still open.
        write(&mut session, &mut near, &[b"an answer"]).await;
        poll_fn(|cx| session.poll_shutdown(&mut near, cx)).await.unwrap();
        let mut seen = Vec::new();
        client.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, b"an answer");
        let late = poll_fn(|cx| session.poll_write(&mut near, &[IoSlice::new(b"x")], cx)).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn an_end_without_goodbye_is_an_end() {
        let (mut session, mut near, client) = pair(Version::Tls13, 1 << 20).await;
        drop(client);
        assert!(read(&mut session, &mut near, 100).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_record_that_is_none_breaks_the_connection_and_is_told() {
        let (mut session, mut near, client) = pair(Version::Tls13, 1 << 20).await;
        let (mut far, _) = client.into_inner();
        far.write_all(&[0x17, 3, 3, 0, 20]).await.unwrap();
        far.write_all(&[0; 20]).await.unwrap();
        assert_eq!(read(&mut session, &mut near, 100).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let late = poll_fn(|cx| session.poll_write(&mut near, &[IoSlice::new(b"x")], cx)).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        poll_fn(|cx| session.poll_shutdown(&mut near, cx)).await.unwrap();
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        // An alert, encrypted.
        assert_eq!((&seen[..5], seen.len()), (&[0x17, 3, 3, 0, 19][..], 24));
    }
}
