//! Sessions with a client of another make, over a link in memory.

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
