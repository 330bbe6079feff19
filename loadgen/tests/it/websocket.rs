//! Messages on WebSockets, against servers that echo and that don't: each message has one end, and what comes unasked is
//! counted apart.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use loadgen::Summary;
use websocket::{Event, Limits, Reader, Role, code, handshake, opcode, write};

use crate::{
    frames::{END_HEADERS, HEADERS, SETTINGS, STATUS_200, head, serve_http2},
    peer::{Peer, closed_port, failures, plan, read_request, reset, run, serve},
};

/// The server's side of a WebSocket.
struct Ws {
    stream: TcpStream,
    reader: Reader,
    events: VecDeque<Event>,
}

impl Ws {
    /// Answers the handshake.
    fn accept(mut stream: TcpStream) -> Option<Self> {
        let request = read_request(&mut stream)?;
        let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "))?;
        let accept = handshake::accept(key.as_bytes())?;
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        Some(Self { stream, reader: Reader::new(Role::Server, Limits::default()), events: VecDeque::new() })
    }

    /// What comes next; none once the client has gone.
    fn event(&mut self) -> Option<Event> {
        let mut buffer = [0; 16 << 10];
        while self.events.is_empty() {
            let count = self.stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
            let mut input = &buffer[..count];
            while !input.is_empty() {
                self.events.extend(self.reader.read(&mut input).unwrap());
            }
        }
        self.events.pop_front()
    }

    /// The next message; none once the client closes.
    fn message(&mut self) -> Option<(bool, Vec<u8>)> {
        loop {
            match self.event()? {
                Event::Message { text, content } => return Some((text, content)),
                Event::Close(_) => return None,
                _ => {}
            }
        }
    }

    fn frame(&mut self, opcode: u8, content: &[u8]) -> Option<()> {
        let mut out = Vec::new();
        write::frame(&mut out, opcode, true, content, None);
        self.stream.write_all(&out).ok()
    }

    fn send(&mut self, text: bool, content: &[u8]) -> Option<()> {
        self.frame(if text { opcode::TEXT } else { opcode::BINARY }, content)
    }

    /// Sends back what comes until the client closes.
    fn echo(&mut self) -> Option<()> {
        loop {
            let (text, content) = self.message()?;
            self.send(text, &content)?;
        }
    }
}

fn serve_sockets(handle: impl Fn(usize, Ws) -> Option<()> + Send + Sync + 'static) -> Peer {
    serve(move |number, stream| {
        if let Some(ws) = Ws::accept(stream) {
            handle(number, ws);
        }
    })
}

/// Lost, wrong and unsolicited messages.
fn apart(summary: &Summary) -> [u64; 3] {
    let sockets = summary.records.sockets.as_deref().unwrap();
    [sockets.lost, sockets.wrong, sockets.unsolicited]
}

#[test]
fn messages_of_every_size_and_kind_come_back() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&seen);
    let peer = serve_sockets(move |_, mut ws| {
        loop {
            let (text, content) = ws.message()?;
            saw.lock().unwrap().push((text, content.len()));
            ws.send(text, &content)?;
        }
    });
    for (args, text, length) in [
        ("-c 3", true, 64),
        ("-c 3 --message-size 32", true, 32),
        ("-c 2 --message-size 125 --binary", false, 125),
        ("-c 2 --message-size 126", true, 126),
        ("-c 2 --message-size 70000", true, 70_000),
        ("-c 1 -b hello", true, 5),
        ("-c 2 -r 500 -b hello --binary", false, 5),
        ("-c 2 -r 500 -b {{seq}} --seed 1", true, 1),
        ("-c 2 --body=", true, 0),
    ] {
        seen.lock().unwrap().clear();
        let summary = run(&format!("-n 10 {args} ws://{}/any", peer.address));
        assert_eq!(summary.records.counts.succeeded, 10, "{args}: {:?}", failures(&summary));
        assert_eq!(apart(&summary), [0, 0, 0], "{args}");
        assert_eq!(summary.records.statuses().count(), 0, "messages have no status");
        assert_eq!(summary.records.body_bytes, 10 * length, "{args}");
        let seen = seen.lock().unwrap();
        assert_eq!(*seen, vec![(text, length as usize); 10], "{args}");
    }
    // The largest one, once: both ends hold it whole.
    let summary = run(&format!("-n 1 -c 1 --message-size 16M ws://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, summary.records.body_bytes), (1, 16 << 20));
}

#[test]
fn the_server_is_told_of_the_end() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&ends);
    let left = Arc::new(std::sync::Barrier::new(3));
    let leave = Arc::clone(&left);
    let peer = serve_sockets(move |_, mut ws| {
        loop {
            match ws.event() {
                Some(Event::Message { text, content }) => ws.send(text, &content)?,
                Some(Event::Close(close)) => saw.lock().unwrap().push(close.code()),
                Some(_) => {}
                None => break,
            }
        }
        leave.wait();
        Some(())
    });
    let summary = run(&format!("-n 20 -r 1000 -c 2 ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 20);
    left.wait();
    assert_eq!(*ends.lock().unwrap(), [Some(code::NORMAL), Some(code::NORMAL)]);
}

#[test]
fn each_message_is_for_its_own_connection_and_waits_for_no_other() {
    // The second connection swallows what comes.
    let peer = serve_sockets(|number, mut ws| {
        if number == 1 {
            while ws.message().is_some() {}
            return None;
        }
        ws.echo()
    });
    let summary = run(&format!("-n 40 -r 1000 -c 2 --workers 1 --timeout 300ms ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.timed_out), (20, 20), "{counts:?}");
    assert_eq!(apart(&summary), [20, 0, 0]);
    assert_eq!(peer.connections(), 2, "late echoes may still come: connections stay");
}

#[test]
fn messages_are_due_for_a_connection_that_is_down() {
    // Of three, one is closed after its first message, and is not let in again.
    let peer = serve(|number, stream| {
        if number > 2 {
            return drop(stream);
        }
        let Some(mut ws) = Ws::accept(stream) else { return };
        if number == 1 {
            let _ = ws.message();
            return;
        }
        let _ = ws.echo();
    });
    let summary = run(&format!("-n 60 -r 300 -c 3 --workers 1 ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.transport_failed), (40, 20), "{:?}", failures(&summary));
    assert!(failures(&summary).iter().all(|(cause, _)| cause == "closed early" || cause == "reset"));
}

#[test]
fn a_connection_that_comes_back_gets_what_waited_for_it() {
    let peer = serve_sockets(|number, mut ws| {
        if number == 0 {
            let (text, content) = ws.message()?;
            ws.send(text, &content)?;
            return ws.frame(opcode::CLOSE, &code::GOING_AWAY.to_be_bytes());
        }
        ws.echo()
    });
    let summary = run(&format!("-n 30 -r 300 -c 1 ws://{}", peer.address));
    let counts = &summary.records.counts;
    // What was on its way when the connection was closed is lost, all else is echoed.
    assert_eq!(counts.succeeded + counts.transport_failed, 30, "{counts:?}");
    assert!(counts.succeeded > 1, "{counts:?}");
    assert_eq!(summary.records.connections.reopened, 1);
    let lost = failures(&summary);
    assert!(lost.iter().all(|(cause, _)| cause == "closed early" || cause == "reset"), "{lost:?}");
}

#[test]
fn wrong_unsolicited_and_second_echoes_are_counted_apart() {
    type Answer = fn(&mut Ws, bool, &[u8]) -> Option<()>;
    let changed: Answer = |ws, text, content| ws.send(text, &[content, b"!"].concat());
    let other_kind: Answer = |ws, text, content| ws.send(!text, content);
    let twice: Answer = |ws, text, content| ws.send(text, content).and_then(|()| ws.send(text, content));
    let greeted: Answer =
        |ws, text, content| ws.send(true, b"news\x1b").and_then(|()| ws.send(text, content));
    let nothing: Answer = |_, _, _| Some(());
    for (args, answer, succeeded, expected) in [
        ("", changed, 0, [0, 5, 0]),
        ("", other_kind, 0, [0, 5, 0]),
        ("", twice, 5, [0, 0, 5]),
        ("", greeted, 5, [0, 0, 5]),
        ("--timeout 50ms", nothing, 0, [5, 0, 0]),
        ("-b hi", changed, 0, [0, 5, 0]),
        ("-b {{seq}}", changed, 0, [0, 5, 0]),
    ] {
        let peer = serve_sockets(move |_, mut ws| {
            for _ in 0..5 {
                let (text, content) = ws.message()?;
                answer(&mut ws, text, &content)?;
            }
            // What follows the last echo is read before the client goes.
            ws.frame(opcode::PING, b"")?;
            while ws.event().is_some() {}
            Some(())
        });
        let summary = run(&format!("-n 5 -c 1 {args} ws://{}", peer.address));
        let [lost, wrong, unsolicited] = apart(&summary);
        assert_eq!(summary.records.counts.succeeded, succeeded, "{args}");
        // The last one's second echo may come behind the end.
        assert_eq!([lost, wrong], expected[..2], "{args}: {:?}", failures(&summary));
        assert!((expected[2].saturating_sub(1)..=expected[2]).contains(&unsolicited), "{unsolicited}");
        let example = &summary.records.sockets.as_deref().unwrap().example;
        assert!(!example.contains('\x1b'), "{example}");
    }
}

#[test]
fn echoes_in_another_order_are_found_by_their_numbers() {
    let peer = serve_sockets(|_, mut ws| {
        for _ in 0..10 {
            let (first, second) = (ws.message()?, ws.message()?);
            for (text, content) in [second, first] {
                ws.send(text, &content)?;
            }
        }
        ws.message().map(drop)
    });
    let summary = run(&format!("-n 20 -r 1000 -c 1 ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 20, "{:?}", failures(&summary));
    assert_eq!(apart(&summary), [0, 0, 0]);
}

#[test]
fn an_echo_behind_its_timeout_is_no_echo_of_another() {
    // All are the same: the first echo comes with the second message.
    let peer = serve_sockets(|_, mut ws| {
        let (text, content) = ws.message()?;
        let _ = ws.message()?;
        ws.send(text, &content)?;
        ws.send(text, &content)?;
        ws.echo()
    });
    let summary = run(&format!("-n 3 -c 1 -b same --timeout 100ms ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.timed_out, counts.succeeded), (1, 2), "{counts:?}");
    assert_eq!(apart(&summary), [1, 0, 0]);
}

#[test]
fn pings_are_timed_and_answered() {
    let pongs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pongs);
    let peer = serve_sockets(move |_, mut ws| {
        ws.frame(opcode::PING, b"from the server")?;
        loop {
            match ws.event()? {
                Event::Message { text, content } => ws.send(text, &content)?,
                Event::Ping(content) => ws.frame(opcode::PONG, &content)?,
                Event::Pong(content) if content == b"from the server" => drop(counter.fetch_add(1, SeqCst)),
                _ => {}
            }
        }
    });
    let summary = run(&format!("-n 50 -r 100 -c 2 --ping-interval 50ms ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 50);
    let pings = &summary.records.sockets.as_deref().unwrap().pings;
    assert!((2..=22).contains(&pings.len()), "{}", pings.len());
    assert_eq!(pongs.load(SeqCst), 2);
}

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
fn a_handshake_that_names_an_extension_is_refused() {
    let peer = serve(|_, mut stream| {
        let request = read_request(&mut stream).unwrap_or_default();
        assert!(!request.contains("sec-websocket-extensions"), "{request}");
        let key =
            request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
        let accept = handshake::accept(key.as_bytes()).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
    });
    let summary = run(&format!("-n 1 -c 1 ws://{}", peer.address));
    let (cause, seen) = summary.records.failures.iter().next().unwrap();
    assert_eq!((cause.to_string().as_str(), seen.count), ("protocol error", 1));
    assert!(seen.example.contains("names an extension"), "{}", seen.example);
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    for (answer, cause) in [
        (&b"\x83\x00"[..], "protocol error"),
        (b"\x81\x80\0\0\0\0", "protocol error"),
        (b"\x81\x02\xff\xff", "protocol error"),
        (b"\x88\x02\x03\xe8", "closed early"),
        (b"\x88\x00", "closed early"),
    ] {
        let peer = serve_sockets(move |_, mut ws| {
            ws.message()?;
            ws.stream.write_all(answer).ok()?;
            // The client answers with a close frame.
            while ws.event().is_some() {}
            Some(())
        });
        let summary = run(&format!("-n 2 -c 1 ws://{}", peer.address));
        assert_eq!(failures(&summary), [(cause.to_owned(), 2)], "{answer:?}");
        assert_eq!(apart(&summary), [2, 0, 0]);
    }
    let peer = serve_sockets(|_, mut ws| {
        ws.message()?;
        reset(ws.stream);
        Some(())
    });
    assert_eq!(failures(&run(&format!("-n 2 -c 1 ws://{}", peer.address))), [("reset".to_owned(), 2)]);
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

#[test]
fn http2_without_extended_connect_is_said() {
    let peer = serve_http2(&[], |_, wire| wire.request().map(drop));
    let summary = run(&format!("-n 2 -c 1 --http2 ws://{}", peer.address));
    assert_eq!(failures(&summary), [("no WebSocket".to_owned(), 2)]);
    let (_, seen) = summary.records.failures.iter().next().unwrap();
    assert!(seen.example.contains("leave out --http2"), "{}", seen.example);
}

/// SETTINGS_ENABLE_CONNECT_PROTOCOL 1 (RFC 8441 section 3).
const CONNECT: &[u8] = &[0, 8, 0, 0, 0, 1];

#[test]
fn a_websocket_on_a_stream_that_ends_takes_its_messages_along_alone() {
    // The stream that is opened first is reset with its first message; all others echo.
    let peer = serve_http2(CONNECT, |number, wire| {
        let mut first = None;
        loop {
            let mut head = [0; 9];
            wire.0.read_exact(&mut head)?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            wire.0.read_exact(&mut payload)?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], head[4]) {
                (SETTINGS, 0) => wire.send(SETTINGS, 1, 0, &[])?,
                (HEADERS, _) => {
                    first = first.or(Some(stream));
                    wire.send(HEADERS, END_HEADERS, stream, STATUS_200)?;
                }
                (0, _) if payload.len() >= 6 && number == 0 && Some(stream) == first => {
                    wire.reset(stream, 2)?
                }
                (0, _) if payload.len() >= 6 => {
                    let mut reader = Reader::new(Role::Server, Limits::default());
                    let mut input = &payload[..];
                    while let Some(event) = reader.read(&mut input).unwrap() {
                        if let Event::Message { content, .. } = event {
                            let mut out = Vec::new();
                            write::frame(&mut out, opcode::TEXT, true, &content, None);
                            wire.send(0, 0, stream, &out)?;
                        }
                        if input.is_empty() {
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
    });
    let summary = run(&format!("-n 40 -c 1 -m 4 --http2 ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!(counts.succeeded + counts.transport_failed, 40);
    assert!((1..=8).contains(&counts.transport_failed), "{counts:?}");
    assert!(
        failures(&summary).iter().all(|(cause, _)| cause.starts_with("RST_STREAM")),
        "{:?}",
        failures(&summary)
    );
}

#[test]
fn a_connect_that_is_refused_says_why() {
    let peer = serve_http2(CONNECT, |_, wire| {
        let stream = wire.request()?;
        std::io::Write::write_all(&mut wire.0, &head(stream, 1, &[(":status", "403")]))?;
        wire.request().map(drop)
    });
    let summary = run(&format!("-n 2 -c 1 -m 1 --http2 ws://{}", peer.address));
    assert_eq!(failures(&summary), [("no WebSocket".to_owned(), 2)]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    use clap::Parser as _;
    use loadgen::{Plan, cli::Args};
    for (args, said) in [
        ("--message-size 31 ws://a", "a size from 32 to 16M"),
        ("--message-size 16777217 ws://a", "a size from 32 to 16M"),
        ("--message-size 64 -b x ws://a", "--message-size and --body exclude each other"),
        ("--message-size 64 http://a", "it with a ws:// or wss:// target alone"),
        ("--binary http://a", "--binary with the target"),
        ("--ping-interval 1s grpc://a", "--ping-interval with the target"),
        ("--ping-interval 9ms ws://a", "a time from 10ms"),
        ("-X PUT ws://a", "a WebSocket is opened with GET"),
        ("-H Upgrade:x ws://a", "the handshake of a WebSocket has it as needed"),
        ("-H Sec-WebSocket-Extensions:x ws://a", "without extensions"),
        ("--expect-status 404 ws://a", "a message succeeds with its echo"),
        ("--deadline 1s ws://a", "--deadline with the target ws://a"),
        ("-r 10 -c 3 --workers 2 ws://a", "connections can be divided by"),
        ("--url-file x ws://a", "one message"),
    ] {
        let words = std::iter::once("loadgen").chain(args.split_whitespace());
        let error = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap_err().to_string();
        assert!(error.contains(said), "{args}: {error}");
    }
    for args in ["--message-size 32 ws://a", "--message-size 16M wss://a", "--ping-interval 10ms ws://a"] {
        plan(args);
    }
    assert_eq!(plan("-r 10 -c 9 ws://a").workers().get() as u64 % 2, 1, "a share for each");
}
