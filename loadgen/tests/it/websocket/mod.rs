//! Messages on WebSockets, against servers that echo and that don't: each message has one end, and what comes unasked is
//! counted apart.

mod handshakes;
mod over_http2;
mod plans;
mod reopening;
mod waits;

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

use crate::peer::{Peer, failures, read_request, reset, run, serve};

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
fn the_server_is_informed_of_the_end() {
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
fn pongs_that_come_late_are_timed_and_those_that_never_come_are_counted() {
    // Each ping is answered when the one after the next has come.
    let peer = serve_sockets(|_, mut ws| {
        let mut pings = VecDeque::new();
        loop {
            match ws.event()? {
                Event::Message { text, content } => ws.send(text, &content)?,
                Event::Ping(content) => {
                    pings.push_back(content);
                    if pings.len() > 2 {
                        ws.frame(opcode::PONG, &pings.pop_front()?)?;
                    }
                }
                _ => {}
            }
        }
    });
    let summary = run(&format!("-n 60 -r 100 -c 1 --ping-interval 50ms ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 60);
    let sockets = summary.records.sockets.as_deref().unwrap();
    assert!(!sockets.pings.is_empty(), "{}", sockets.pings_sent);
    assert!(sockets.pings.min() >= 99_000_000, "two intervals: {}", sockets.pings.min());
    assert!((2..=3).contains(&sockets.pings_unanswered()), "{}", sockets.pings_unanswered());
}

#[test]
fn a_message_that_is_longer_than_any_echo_ends_the_connection_before_it_is_held() {
    let peer = serve_sockets(|_, mut ws| {
        ws.message()?;
        // The head of a message of 60M, and no more.
        ws.stream.write_all(&[0x82, 127, 0, 0, 0, 0, 3, 0x93, 0x87, 0]).ok()?;
        while ws.event().is_some() {}
        Some(())
    });
    let summary = run(&format!("-n 1 -c 1 ws://{}", peer.address));
    let (_, seen) = summary.records.failures.iter().next().unwrap();
    assert!(seen.example.contains("longer than any echo"), "{}", seen.example);
}

#[test]
fn a_wrong_echo_says_where_it_differs() {
    for (answer, said) in [
        ((true, &b"hexlo"[..]), "5 bytes, which differ from byte 2 on"),
        ((true, b"hello!"), "5 bytes, which differ from byte 5 on"),
        ((false, b"hello"), "sent were 5 bytes of text"),
    ] {
        let peer = serve_sockets(move |_, mut ws| {
            ws.message()?;
            ws.send(answer.0, answer.1)?;
            while ws.event().is_some() {}
            Some(())
        });
        let summary = run(&format!("-n 1 -c 1 -b hello ws://{}", peer.address));
        let (_, seen) = summary.records.failures.iter().next().unwrap();
        assert!(seen.example.contains(said), "{}", seen.example);
    }
}
