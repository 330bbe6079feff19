//! How connections get to the target: other addresses, Unix sockets, sources, PROXY headers, forward proxies.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    frames::serve_http2,
    peer::{Peer, closed_port, failures, read_request, run, serve},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers each request, and keeps what came before its body.
fn keeping() -> (Peer, Seen) {
    let seen = Seen::default();
    let heads = Arc::clone(&seen);
    let peer = serve(move |_, mut stream| {
        while let Some(head) = read_request(&mut stream) {
            heads.lock().unwrap().push(head);
            stream.write_all(OK).unwrap();
        }
    });
    (peer, seen)
}

/// Runs this many requests, all of which succeed.
fn succeeds(count: u64, line: &str) {
    let summary = run(&format!("-n {count} {line}"));
    assert_eq!(summary.records.counts.succeeded, count, "{line}: {:?}", failures(&summary));
}

#[test]
fn connections_go_elsewhere_and_requests_say_what_they_would_have_said() {
    let (peer, seen) = keeping();
    let port = peer.address.port();
    succeeds(3, &format!("-c 1 --connect-to 127.0.0.1:{port} http://example.org:81/x"));
    succeeds(3, &format!("-c 1 --resolve example.org:{port}:127.0.0.1 http://example.org:{port}/x"));
    let seen = seen.lock().unwrap();
    assert!(
        seen[..3].iter().all(|head| head.starts_with("GET /x ") && head.contains("host: example.org:81\r\n"))
    );
    assert!(seen[3..].iter().all(|head| head.contains(&format!("host: example.org:{port}\r\n"))));
}

#[test]
fn all_addresses_of_a_name_are_used_and_those_that_refuse_are_left_out() {
    let (peer, _) = keeping();
    let port = peer.address.port();
    // Nobody listens on 127.0.0.9.
    let resolve = format!("--resolve a:{port}:127.0.0.9,127.0.0.1");
    succeeds(20, &format!("-c 4 --no-keepalive {resolve} http://a:{port}"));
    let gone = closed_port();
    let summary = run(&format!("-n 2 -c 1 --connect-to {gone} http://example.org"));
    assert_eq!(failures(&summary), [("refused".to_owned(), 2)]);
}

#[test]
fn a_unix_socket_takes_the_place_of_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
                if head.ends_with(b"\r\n\r\n") {
                    assert!(String::from_utf8_lossy(&head).contains("host: example.org\r\n"));
                    head.clear();
                    stream.write_all(OK).unwrap();
                }
            }
        }
    });
    let path = path.to_str().unwrap();
    succeeds(5, &format!("-c 1 --unix-socket {path} http://example.org"));
    let summary = run(&format!("-n 2 -c 1 --unix-socket {path}.missing http://example.org"));
    assert_eq!(summary.run.addresses, [format!("unix:{path}.missing")]);
    assert_eq!(summary.records.counts.transport_failed, 2);
}

#[test]
fn connections_come_from_all_addresses_in_turn() {
    for workers in [1, 2] {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let sources = Arc::clone(&seen);
        let peer = serve(move |_, mut stream| {
            sources.lock().unwrap().insert(stream.peer_addr().unwrap().ip().to_string());
            while read_request(&mut stream).is_some() && stream.write_all(OK).is_ok() {}
        });
        let bind = "--bind 127.0.0.2-127.0.0.4,127.0.0.200";
        succeeds(40, &format!("-c 8 --workers {workers} {bind} http://{}", peer.address));
        let seen: Vec<String> = seen.lock().unwrap().iter().cloned().collect();
        assert_eq!(seen, ["127.0.0.2", "127.0.0.200", "127.0.0.3", "127.0.0.4"], "{workers} workers");
    }
    // An address of a network for documents (RFC 5737) is none of this machine.
    let (peer, _) = keeping();
    let summary = run(&format!("-n 1 -c 1 --bind 192.0.2.1 http://{}", peer.address));
    let (cause, failure) = summary.records.failures.iter().next().unwrap();
    assert_eq!(cause.to_string(), "i/o error");
    assert!(
        failure.example.contains("connections can't come from 192.0.2.1 (--bind)"),
        "{}",
        failure.example
    );
}

#[test]
fn connections_begin_with_a_header_that_has_their_addresses() {
    for version in ["v1", "v2"] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let headers = Arc::clone(&seen);
        let peer = serve(move |_, mut stream| {
            let length = if version == "v2" { 28 } else { usize::MAX };
            let mut header = Vec::new();
            let mut byte = [0];
            while header.len() < length && !(version == "v1" && header.ends_with(b"\r\n")) {
                stream.read_exact(&mut byte).unwrap();
                header.push(byte[0]);
            }
            let ends = [stream.peer_addr().unwrap(), stream.local_addr().unwrap()];
            headers.lock().unwrap().push((header, ends));
            while read_request(&mut stream).is_some() && stream.write_all(OK).is_ok() {}
        });
        succeeds(6, &format!("-c 3 --bind 127.0.0.7 --proxy-protocol {version} http://{}", peer.address));
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 3);
        for (header, [source, destination]) in seen.iter() {
            use transport::proxy_protocol::{Endpoint, Parsed, parse};
            let Parsed::Header(header, _) = parse(header).unwrap() else { panic!("{header:?}") };
            assert_eq!(header.endpoints, Some((Endpoint::Ip(*source), Endpoint::Ip(*destination))));
            assert_eq!(source.ip().to_string(), "127.0.0.7");
        }
    }
}

#[test]
fn what_a_server_answers_to_a_proxy_header_that_it_does_not_take_is_said_to_come_of_it() {
    let said = "; or the server does not take PROXY headers (--proxy-protocol)";
    for flags in ["--proxy-protocol v2", ""] {
        let peer = serve(|_, mut stream| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        });
        let summary = run(&format!("-n 1 -c 1 {flags} h2c://{}", peer.address));
        let (_, seen) = summary.records.failures.iter().next().unwrap();
        assert_eq!(seen.example.contains(said), !flags.is_empty(), "{}", seen.example);
    }
}

/// A forward proxy: what its clients said first, and a way to where CONNECT wants to go.
fn proxy(answer: &'static str) -> (Peer, Seen) {
    let seen = Seen::default();
    let heads = Arc::clone(&seen);
    let peer = serve(move |_, mut client| {
        while let Some(head) = read_request(&mut client) {
            heads.lock().unwrap().push(head.clone());
            let Some(place) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
                client.write_all(OK).unwrap();
                continue;
            };
            client.write_all(format!("HTTP/1.1 {answer}\r\nvia: me\r\n\r\n").as_bytes()).unwrap();
            if !answer.starts_with('2') {
                return;
            }
            let mut server = TcpStream::connect(place).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = std::io::copy(&mut server, &mut client);
            return;
        }
    });
    (peer, seen)
}

#[test]
fn a_forward_proxy_is_sent_whole_urls() {
    let (proxy, seen) = proxy("200 OK");
    let line = format!("-c 1 --proxy http://me:secret@{} http://example.org:81/x?y", proxy.address);
    succeeds(3, &line);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for head in seen.iter() {
        assert!(
            head.starts_with("GET http://example.org:81/x?y HTTP/1.1\r\nhost: example.org:81\r\n"),
            "{head}"
        );
        assert!(head.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
    }
}

#[test]
fn a_forward_proxy_is_asked_for_tunnels() {
    let http2 = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.reply(stream)?;
        }
    });
    let (http1, heads) = keeping();
    for (flags, target, address) in [
        ("", format!("h2c://{}", http2.address), http2.address),
        ("--proxy-tunnel", format!("http://{}", http1.address), http1.address),
    ] {
        let (proxy, seen) = proxy("200 Connection established");
        succeeds(6, &format!("-c 2 -m 1 {flags} --proxy http://{} {target}", proxy.address));
        let seen = seen.lock().unwrap();
        assert_eq!(*seen, vec![format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\n"); 2]);
    }
    assert!(heads.lock().unwrap().iter().all(|head| head.starts_with("GET / HTTP/1.1")));
}

#[test]
fn what_a_proxy_refuses_is_said_in_its_words() {
    let (proxy, _) = proxy("407 Proxy Authentication Required");
    let summary = run(&format!("-n 2 -c 1 --proxy {} h2c://example.org", proxy.address));
    assert_eq!(failures(&summary), [("refused by the proxy".to_owned(), 2)]);
    let (_, failure) = summary.records.failures.iter().next().unwrap();
    assert!(
        failure.example.contains("407 Proxy Authentication Required: --proxy=http://user:"),
        "{}",
        failure.example
    );
}
