//! Sessions over a link in memory: a server's with a client of another make, and both sides of ours with each other.

use std::{future::poll_fn, sync::Arc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore},
};

use super::*;
use crate::tls::{Authority, Reason, Settings, Version};

/// What a server of a new authority and a client that trusts it begin with.
fn configs(version: Version, tickets: bool) -> (ServerConfig, Arc<ClientConfig>) {
    let authority = Authority::new().unwrap();
    let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let settings = Settings { alpn: alpn.clone(), min_version: version, tickets, client_ca: None };
    let config = settings.build(authority.issue(&["localhost"]).unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let versions: &[_] = match version {
        Version::Tls12 => &[&rustls::version::TLS12],
        Version::Tls13 => &[&rustls::version::TLS13],
    };
    let client = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = alpn[1..].to_vec();
    (config, Arc::new(client))
}

/// A session and its client after the handshake, over a pipe of `narrow` bytes.
async fn pair(
    min_version: Version,
    narrow: usize,
) -> (Session<Server>, DuplexStream, TlsStream<DuplexStream>) {
    let (config, client) = configs(min_version, false);
    let client = TlsConnector::from(client);
    let (mut near, far) = tokio::io::duplex(narrow);
    let mut session = Session::server(config, Vec::new()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let (shaken, client) =
        tokio::join!(poll_fn(|cx| session.poll_handshake(&mut near, cx)), client.connect(name, far));
    shaken.unwrap();
    let facts = session.facts();
    assert_eq!((facts.version, facts.resumed), (min_version, false));
    assert_eq!(facts.sni.as_deref(), Some("localhost"));
    (session, near, client.unwrap())
}

async fn write(session: &mut Session<impl Side>, io: &mut DuplexStream, slices: &[&[u8]]) {
    let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut left = &mut slices.clone()[..];
    while !left.is_empty() {
        let count = poll_fn(|cx| session.poll_write(io, left, cx)).await.unwrap();
        assert!(count > 0);
        IoSlice::advance_slices(&mut left, count);
    }
    poll_fn(|cx| session.poll_flush(io, cx)).await.unwrap();
}

async fn read(session: &mut Session<impl Side>, io: &mut DuplexStream, room: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; room];
    let mut buf = ReadBuf::new(&mut bytes);
    poll_fn(|cx| session.poll_read(io, &mut buf, cx)).await?;
    Ok(buf.filled().to_vec())
}

fn holds_nothing<S>(session: &Session<S>) -> bool {
    let buffers = [&session.incoming, &session.buffers.plaintext.bytes, &session.buffers.outgoing.bytes];
    buffers.iter().all(|buffer| buffer.capacity() == 0)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn vectored_writes_arrive_whole_for_any_slicing() {
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
async fn reads_deliver_everything_for_any_buffer_size() {
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
async fn unread_plaintext_counts_as_input() {
    let (mut session, mut near, mut client) = pair(Version::Tls13, 1 << 20).await;
    client.write_all(b"abc").await.unwrap();
    assert!(!session.has_input(), "it is in the pipe");
    assert_eq!(read(&mut session, &mut near, 1).await.unwrap(), b"a");
    assert!(session.has_input());
    assert_eq!(read(&mut session, &mut near, 10).await.unwrap(), b"bc");
    assert!(!session.has_input());
}

#[tokio::test]
async fn either_side_may_send_close_notify_first() {
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
async fn eof_without_close_notify_is_eof() {
    let (mut session, mut near, client) = pair(Version::Tls13, 1 << 20).await;
    drop(client);
    assert!(read(&mut session, &mut near, 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_invalid_record_breaks_the_session_and_sends_an_alert() {
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

/// Both sides after the handshake, over a pipe of `narrow` bytes.
async fn both_sides(
    (server, client): (ServerConfig, Arc<ClientConfig>),
    narrow: usize,
) -> ((Session<Server>, DuplexStream), (Session<Client>, DuplexStream), [Facts; 2]) {
    let (mut near, mut far) = tokio::io::duplex(narrow);
    let mut server = Session::server(server, Vec::new()).unwrap();
    let mut client = Session::client(client, "localhost".try_into().unwrap()).unwrap();
    let mut agreed = [false; 2];
    // The side that is done first goes on sending its last messages, which the other one waits for.
    poll_fn(|cx| {
        agreed = [
            shake_or_flush(&mut server, &mut near, agreed[0], cx),
            shake_or_flush(&mut client, &mut far, agreed[1], cx),
        ];
        if agreed == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let facts = [server.facts(), client.facts()];
    ((server, near), (client, far), facts)
}

/// Goes on with the handshake or, once that is `done`, with sending what is left of it. True: it is done.
fn shake_or_flush(
    session: &mut Session<impl Side>,
    io: &mut DuplexStream,
    done: bool,
    cx: &mut Context<'_>,
) -> bool {
    if done {
        let _ = session.poll_flush(io, cx).map(Result::unwrap);
        return true;
    }
    session.poll_handshake(io, cx).map(Result::unwrap).is_ready()
}

#[tokio::test]
async fn both_sides_report_the_same_negotiated_parameters() {
    for version in Version::ALL {
        let configs = configs(version, true);
        // In the second session, the client comes with the first one's ticket.
        for resumed in [false, true] {
            let (server, mut client, facts) = both_sides(configs.clone(), 1 << 20).await;
            let [at_server, at_client] =
                facts.map(|facts| (facts.version, facts.alpn, facts.sni, facts.cipher, facts.resumed));
            assert_eq!(at_server, at_client);
            assert_eq!((at_server.0, at_server.4), (version, resumed));
            assert_eq!(at_server.1.as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(at_server.2.as_deref(), Some("localhost"));
            // Tickets come after the handshake in TLS 1.3: to the reader they are nothing.
            let (mut server, mut near) = server;
            write(&mut server, &mut near, &[b"x"]).await;
            assert_eq!(read(&mut client.0, &mut client.1, 10).await.unwrap(), b"x");
        }
    }
}

#[tokio::test]
async fn both_sides_exchange_large_writes_in_both_directions_and_close_cleanly() {
    for version in Version::ALL {
        for narrow in [70, 5000, 1 << 20] {
            let ((server, near), (client, far), _) = both_sides(configs(version, true), narrow).await;
            let sent = [pattern(400_000), pattern(700_001)];
            // Each side writes and reads concurrently, as the pipe is too narrow for one direction at a time.
            let (at_server, at_client) =
                tokio::join!(exchange(server, near, &sent[0]), exchange(client, far, &sent[1]));
            assert!(at_server == sent[1] && at_client == sent[0], "{version:?} {narrow}");
        }
    }
}

/// Writes all of `sent` and `close_notify`, and returns what the peer sends until it does so.
async fn exchange(mut session: Session<impl Side>, mut io: DuplexStream, sent: &[u8]) -> Vec<u8> {
    let (mut left, mut seen, mut ended, mut closed) = (sent, Vec::new(), false, false);
    let mut room = vec![0; 10_000];
    poll_fn(|cx| {
        let mut progress = true;
        while progress {
            progress = false;
            if !left.is_empty()
                && let Poll::Ready(count) = session.poll_write(&mut io, &[IoSlice::new(left)], cx)
            {
                left = &left[count.unwrap()..];
                progress = true;
            }
            if left.is_empty() && !closed && session.poll_shutdown(&mut io, cx).map(Result::unwrap).is_ready()
            {
                closed = true;
            }
            let mut buf = ReadBuf::new(&mut room);
            if !ended && session.poll_read(&mut io, &mut buf, cx).map(Result::unwrap).is_ready() {
                seen.extend_from_slice(buf.filled());
                ended = buf.filled().is_empty();
                progress = true;
            }
        }
        if ended && closed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert!(holds_nothing(&session) && session.closed && !session.failed);
    seen
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_sends_an_alert() {
    let (server, _) = configs(Version::Tls13, false);
    let (_, client) = configs(Version::Tls13, false);
    let (mut near, mut far) = tokio::io::duplex(1 << 20);
    let mut server = Session::server(server, Vec::new()).unwrap();
    let mut client = Session::client(client, "localhost".try_into().unwrap()).unwrap();
    let (at_server, at_client) = tokio::join!(
        poll_fn(|cx| server.poll_handshake(&mut near, cx)),
        poll_fn(|cx| client.poll_handshake(&mut far, cx))
    );
    assert_eq!(Reason::from(&at_client.unwrap_err()), Reason::BadCertificate);
    assert_eq!(Reason::from(&at_server.unwrap_err()), Reason::Alert);
}
