//! The client of the TLS rows: one connection after the other, some at a time, each with a handshake, one request and
//! its end. Every handshake must be of the kind that is measured, and every reply is checked, byte for byte.
//!
//! The server is asked to end each connection and does so first, so that TIME_WAIT is on its side. There it does no
//! harm: a new connection from the same port takes the old one's place (RFC 6191). On the client's side it would hold
//! the port for a minute, and a few seconds take all that there are. A reset instead of an end would leave nothing, but
//! is lost if it meets the server's program in the middle of closing.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind,
    client::{Resumption, danger::ServerCertVerifier},
    crypto::{
        CryptoProvider,
        aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, kx_group::X25519},
    },
    pki_types::ServerName,
    version::TLS13,
};

use super::{Client, Outcome, Place, Run, run_on, wait};
use crate::{
    certificate::{self, NAME},
    interrupt, probe,
    rows::{Body, Load},
};

/// Sessions that a store remembers; each connection brings one or two tickets and takes one.
const SESSIONS: usize = 8;

/// A kind of handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// The server shows its certificate and signs.
    Full,
    /// With a ticket of an earlier connection, and a new exchange of keys.
    Resumed,
}

impl Handshake {
    const fn kind(self) -> HandshakeKind {
        match self {
            Self::Full => HandshakeKind::Full,
            Self::Resumed => HandshakeKind::Resumed,
        }
    }
}

/// Our client of TLS, with such handshakes. Where they are to be resumed, each slot begins with one that is not, and is
/// not counted. A handshake of another kind is a failed request.
#[derive(Debug)]
pub struct Handshakes(pub Handshake);

impl Client for Handshakes {
    fn run(&self, load: &Load, at: &Place<'_>) -> Result<Run> {
        run(self.0, load, at.port, at.cpu, at.dir)
    }

    fn prepare(&self, _: &Load, at: &Place<'_>) -> Result<()> {
        check(at.port, at.dir)
    }
}

/// Makes one handshake of each kind, verifies who the server is, and checks the replies; `dir` holds the certificate.
fn check(port: u16, dir: &Path) -> Result<()> {
    let config = resuming(config(certificate::verified(dir)?)?);
    for handshake in [Handshake::Full, Handshake::Resumed] {
        exchange(port, &config)?.verdict(handshake)?;
    }
    Ok(())
}

fn run(handshake: Handshake, load: &Load, port: u16, cpu: usize, dir: &Path) -> Result<Run> {
    let config = config(certificate::known(dir)?)?;
    run_on(cpu, || {
        let prepared = |_| match handshake {
            Handshake::Full => Ok(Arc::new(config.clone())),
            Handshake::Resumed => {
                // A store for all would keep the newest tickets of one name, fewer than there are connections.
                let config = resuming(config.clone());
                exchange(port, &config)?.verdict(Handshake::Full)?;
                Ok(config)
            }
        };
        let configs: Vec<_> = (0..load.connections).map(prepared).collect::<Result<_>>()?;
        let (mut done, mut failed) = (0, 0);
        let start = Instant::now();
        let end = start + load.time();
        let open = |config| Ok((Connection::open(port, &config)?, config));
        let mut slots: Vec<_> = configs.into_iter().map(open).collect::<Result<_>>()?;
        while !slots.is_empty() {
            interrupt::check()?;
            let ending = Instant::now() >= end;
            for index in ready(slots.iter().map(|(connection, _)| connection))?.into_iter().rev() {
                let (connection, config) = &mut slots[index];
                if !connection.turn()? {
                    continue;
                }
                done += 1;
                failed += u64::from(connection.verdict(handshake).is_err());
                if ending {
                    slots.remove(index);
                } else {
                    *connection = Connection::open(port, config)?;
                }
            }
        }
        Ok(Outcome::closed(done, failed, start.elapsed().as_secs_f64()))
    })
}

/// What a connection begins with that resumes nothing. It knows one suite and one group, so that every server has the
/// same to compute.
fn config(trusted: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig> {
    let provider = CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![X25519],
        ..default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The same with an empty store of tickets.
fn resuming(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Arc::new(config)
}

/// One connection from its beginning to its end.
fn exchange(port: u16, config: &Arc<ClientConfig>) -> Result<Connection> {
    let mut connection = Connection::open(port, config)?;
    loop {
        ready([&connection])?;
        if connection.turn()? {
            return Ok(connection);
        }
    }
}

/// Waits until something has come on some connections: which ones.
fn ready<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Result<Vec<usize>> {
    let polled = |connection: &'a Connection| PollFd::new(&connection.stream, PollFlags::IN);
    let mut fds: Vec<PollFd<'_>> = connections.into_iter().map(polled).collect();
    wait(&mut fds)?;
    Ok((0..fds.len()).filter(|&index| !fds[index].revents().is_empty()).collect())
}

/// A connection with one request.
struct Connection {
    stream: TcpStream,
    tls: ClientConnection,
    reply: Vec<u8>,
    /// The server has said that nothing follows.
    ended: bool,
}

impl Connection {
    fn open(port: u16, config: &Arc<ClientConfig>) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from(NAME)?)?;
        let path = Body::K1.path();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {NAME}:{port}\r\nconnection: close\r\n\r\n");
        // It is kept, and goes out with the client's last message of the handshake.
        tls.writer().write_all(request.as_bytes())?;
        let mut connection = Self { stream, tls, reply: Vec::new(), ended: false };
        connection.write()?;
        Ok(connection)
    }

    /// Takes in what has come, and answers. True: the server has ended the connection.
    fn turn(&mut self) -> Result<bool> {
        match self.tls.read_tls(&mut self.stream) {
            Ok(0) => {
                ensure!(self.ended, "the server closed a connection in the middle");
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.tls.process_new_packets()?;
        self.write()?;
        match self.tls.reader().read_to_end(&mut self.reply) {
            Ok(_) => self.ended = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(false)
    }

    /// So little fits into any new socket.
    fn write(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Whether all was as it must be, once the connection has ended.
    fn verdict(&self, handshake: Handshake) -> Result<()> {
        let kind = self.tls.handshake_kind().context("a handshake did not end")?;
        ensure!(kind == handshake.kind(), "a handshake was {kind:?} instead of {handshake:?}");
        let (status, body) = probe::parse(&self.reply)?.context("a reply was not whole")?;
        probe::compare(Body::K1.path(), Body::K1.size(), status, &body)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        thread::{JoinHandle, spawn},
    };

    use rustls::{
        ServerConfig, ServerConnection, Stream,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    };
    use tempfile::TempDir;

    use super::*;
    use crate::{
        args::Mode,
        certificate::{CERTIFICATE, KEY},
        rows,
    };

    /// A server that answers one request on each connection, one connection after the other.
    struct Server {
        port: u16,
        /// Where its certificate lies.
        dir: TempDir,
        thread: JoinHandle<()>,
    }

    impl Server {
        fn start(connections: usize, body: &[u8], tickets: usize, sends_close_notify: bool) -> Self {
            let dir = tempfile::tempdir().unwrap();
            certificate::write(dir.path()).unwrap();
            let certificate = CertificateDer::from_pem_file(dir.path().join(CERTIFICATE)).unwrap();
            let key = PrivateKeyDer::from_pem_file(dir.path().join(KEY)).unwrap();
            let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], key)
                .unwrap();
            config.send_tls13_tickets = tickets;
            let config = Arc::new(config);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let reply = [head.as_bytes(), body].concat();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let thread = spawn(move || {
                for _ in 0..connections {
                    let (mut tcp, _) = listener.accept().unwrap();
                    let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                    let mut stream = Stream::new(&mut tls, &mut tcp);
                    // The test reports a client that rejects the certificate.
                    let Ok(1..) = stream.read(&mut [0; 1024]) else { continue };
                    stream.write_all(&reply).unwrap();
                    if sends_close_notify {
                        tls.send_close_notify();
                        tls.write_tls(&mut tcp).unwrap();
                    }
                }
            });
            Self { port, dir, thread }
        }

        fn well(connections: usize) -> Self {
            Self::start(connections, &Body::K1.bytes(), 2, true)
        }

        fn check(&self) -> Result<()> {
            check(self.port, self.dir.path())
        }

        /// Each of three slots opens one connection that is counted. Gives what was done, and what failed.
        fn run(&self, handshake: Handshake) -> Result<(u64, u64)> {
            let load = rows::of(Mode::Server, 0.5, true, &["tls-full".to_owned()]).unwrap()[0].load;
            let load = Load { connections: 3, seconds: 0.0, ..load };
            let cpu = runtime::affinity::allowed()[0];
            let run = run(handshake, &load, self.port, cpu, self.dir.path())?;
            Ok((run.outcome.requests, run.outcome.errors))
        }
    }

    #[test]
    fn full_and_resumed_handshakes_succeed() {
        let server = Server::well(2 + 3 + 2 * 3);
        server.check().unwrap();
        assert_eq!(server.run(Handshake::Full).unwrap(), (3, 0));
        assert_eq!(server.run(Handshake::Resumed).unwrap(), (3, 0));
        server.thread.join().unwrap();
    }

    #[test]
    fn a_full_handshake_instead_of_a_resumed_one_is_a_failure() {
        let server = Server::start(2 + 2 * 3, &Body::K1.bytes(), 0, true);
        let error = server.check().unwrap_err().to_string();
        assert_eq!(error, "a handshake was Full instead of Resumed");
        assert_eq!(server.run(Handshake::Resumed).unwrap(), (3, 3));
        server.thread.join().unwrap();
    }

    #[test]
    fn a_reply_other_than_the_payload_is_a_failure() {
        let mut body = Body::K1.bytes();
        body[700] = b'!';
        let server = Server::start(1 + 3, &body, 2, true);
        let error = server.check().unwrap_err().to_string();
        assert!(error.contains("not the payload"), "{error}");
        assert_eq!(server.run(Handshake::Full).unwrap(), (3, 3));
        server.thread.join().unwrap();
    }

    #[test]
    fn a_connection_without_close_notify_is_an_error() {
        let server = Server::start(1, &Body::K1.bytes(), 2, false);
        assert_eq!(server.check().unwrap_err().to_string(), "the server closed a connection in the middle");
        server.thread.join().unwrap();
    }

    #[test]
    fn an_unknown_certificate_is_not_trusted() {
        let server = Server::well(1 + 3);
        certificate::write(server.dir.path()).unwrap();
        for error in [server.check().unwrap_err(), server.run(Handshake::Full).unwrap_err()] {
            assert!(error.to_string().starts_with("invalid peer certificate"), "{error}");
        }
        server.thread.join().unwrap();
    }
}
