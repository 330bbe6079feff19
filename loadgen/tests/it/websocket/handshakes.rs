//! Opening handshakes that fail, and what goes with those that don't.

use std::{
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
};

use websocket::handshake;

use super::apart;
use crate::peer::{closed_port, failures, read_request, run, serve};

#[test]
fn a_handshake_that_fails_says_why() {
    let accept = "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n";
    for (reply, cause, said) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), "no WebSocket", "with 200 OK"),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "no WebSocket",
            "with 404 Not Found",
        ),
        (
            format!("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n"),
            "protocol error",
            "Sec-WebSocket-Accept is not the one of the key",
        ),
        (
            format!("HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n{accept}\r\n"),
            "protocol error",
            "Upgrade is not websocket",
        ),
        (
            format!("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n{accept}\r\n"),
            "protocol error",
            "Connection is not",
        ),
        ("220 mail\r\n".to_owned(), "protocol error", "does not speak HTTP/1"),
        (String::new(), "closed early", "before it answered the handshake"),
    ] {
        let peer = serve(move |_, mut stream| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(reply.as_bytes());
        });
        let summary = run(&format!("-n 3 -c 1 ws://{}", peer.address));
        assert_eq!(failures(&summary), [(cause.to_owned(), 3)], "{said}");
        let (_, seen) = summary.records.failures.iter().next().unwrap();
        assert!(seen.example.contains(said), "{}", seen.example);
        assert_eq!(apart(&summary), [0, 0, 0], "nothing was sent");
    }
    let refused = run(&format!("-n 3 -c 1 ws://{}", closed_port()));
    assert_eq!(failures(&refused), [("refused".to_owned(), 3)]);
}

#[test]
fn a_handshake_that_names_what_was_not_offered_is_refused() {
    for (args, field, refused) in [
        ("", "Sec-WebSocket-Extensions: permessage-deflate", Some("names an extension")),
        ("", "Sec-WebSocket-Protocol: chat", Some("names a subprotocol")),
        ("-H Sec-WebSocket-Protocol:mqtt", "Sec-WebSocket-Protocol: chat", Some("names a subprotocol")),
        ("-H Sec-WebSocket-Protocol:mqtt,chat", "Sec-WebSocket-Protocol: chat", None),
    ] {
        let peer = serve(move |_, mut stream| {
            let request = read_request(&mut stream).unwrap_or_default();
            assert!(!request.contains("sec-websocket-extensions"), "{request}");
            let key =
                request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
            let accept = handshake::accept(key.as_bytes()).unwrap_or_default();
            let head = format!(
                "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{field}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            // Until the client has sent its message.
            let _ = stream.read(&mut [0; 100]);
        });
        let summary = run(&format!("-n 1 -c 1 {args} ws://{}", peer.address));
        let (cause, seen) = summary.records.failures.iter().next().unwrap();
        match refused {
            Some(said) => {
                assert_eq!((cause.to_string().as_str(), seen.count), ("protocol error", 1), "{field}");
                assert!(seen.example.contains(said), "{}", seen.example);
            }
            None => assert_ne!(cause.to_string(), "protocol error", "it is taken"),
        }
    }
}

#[test]
fn the_handshake_has_fields_and_placeholders() {
    let paths = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&paths);
    let peer = serve(move |_, mut stream| saw.lock().unwrap().extend(read_request(&mut stream)));
    run(&format!("-n 2 -c 2 -r 100 --workers 1 -H X-User:{{{{seq}}}} ws://{}/chat", peer.address));
    let paths = paths.lock().unwrap();
    assert!(paths[0].starts_with("GET /chat HTTP/1.1\r\n"), "{paths:?}");
    for field in ["X-User: ", "connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(paths.iter().all(|head| head.contains(field)), "{field}: {paths:?}");
    }
    for number in [0, 1] {
        assert!(paths.iter().any(|head| head.contains(&format!("X-User: {number}\r\n"))), "{paths:?}");
    }
}
