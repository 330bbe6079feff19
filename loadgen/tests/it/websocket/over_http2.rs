//! WebSockets on streams of HTTP/2 (RFC 8441).

use std::{
    collections::HashMap,
    io::{self, Read as _},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use websocket::{Event, Limits, Reader, Role, code, opcode, write};

use crate::{
    frames::{DATA, END_HEADERS, HEADERS, RST_STREAM, SETTINGS, STATUS_200, Wire, head, serve_http2},
    peer::{Peer, failures, run},
};

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

/// The code of a stream that was not processed (RFC 9113 section 7).
const REFUSED_STREAM: u32 = 7;

/// The largest number of a stream.
const LAST: u32 = u32::MAX >> 1;

/// What comes to a server.
enum Came {
    /// CONNECT, which is to be answered.
    Connect,
    /// Something on a WebSocket.
    On(Event),
    /// RST_STREAM.
    Reset,
}

/// The server's side of the streams of a connection, until the client goes.
fn streams(wire: &mut Wire, mut take: impl FnMut(&mut Wire, u32, Came) -> io::Result<()>) -> io::Result<()> {
    let mut readers = HashMap::new();
    loop {
        let mut head = [0; 9];
        wire.0.read_exact(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        wire.0.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match (head[3], head[4]) {
            (SETTINGS, 0) => wire.send(SETTINGS, 1, 0, &[])?,
            (HEADERS, _) => take(wire, stream, Came::Connect)?,
            (RST_STREAM, _) => take(wire, stream, Came::Reset)?,
            (DATA, _) => {
                let reader =
                    readers.entry(stream).or_insert_with(|| Reader::new(Role::Server, Limits::default()));
                let mut input = &payload[..];
                while !input.is_empty() {
                    if let Some(event) = reader.read(&mut input).unwrap() {
                        take(wire, stream, Came::On(event))?;
                    }
                }
            }
            _ => {}
        }
    }
}

fn send(wire: &mut Wire, stream: u32, opcode: u8, content: &[u8]) -> io::Result<()> {
    let mut out = Vec::new();
    write::frame(&mut out, opcode, true, content, None);
    wire.send(DATA, 0, stream, &out)
}

/// Accepts WebSockets and echoes their messages.
fn echo(wire: &mut Wire, stream: u32, came: Came) -> io::Result<()> {
    match came {
        Came::Connect => wire.send(HEADERS, END_HEADERS, stream, STATUS_200),
        Came::On(Event::Message { content, .. }) => send(wire, stream, opcode::TEXT, &content),
        Came::On(_) | Came::Reset => Ok(()),
    }
}

/// Echoes on all streams.
pub(super) fn echo_all() -> Peer {
    serve_http2(CONNECT, |_, wire| streams(wire, echo))
}

/// Refuses each WebSocket, and counts them.
pub(super) fn refuse_all(seen: Arc<AtomicUsize>) -> Peer {
    serve_http2(CONNECT, move |_, wire| {
        streams(wire, |wire, stream, came| match came {
            Came::Connect => {
                seen.fetch_add(1, SeqCst);
                io::Write::write_all(&mut wire.0, &head(stream, 1, &[(":status", "503")]))
            }
            Came::On(_) | Came::Reset => Ok(()),
        })
    })
}

/// Shows `saw` what comes on the first stream, and echoes on all others.
pub(super) fn swallow_first(saw: impl Fn(&Event) + Send + Sync + 'static) -> Peer {
    serve_http2(CONNECT, move |_, wire| {
        streams(wire, |wire, stream, came| match came {
            Came::On(event) if stream == 1 => {
                saw(&event);
                Ok(())
            }
            came => echo(wire, stream, came),
        })
    })
}

#[test]
fn the_server_is_informed_of_the_end_on_each_stream() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&ends);
    let left = Arc::new(Barrier::new(2));
    let leave = Arc::clone(&left);
    let peer = serve_http2(CONNECT, move |_, wire| {
        let ended = streams(wire, |wire, stream, came| {
            if let Came::On(Event::Close(close)) = &came {
                saw.lock().unwrap().push((stream, close.code()));
            }
            echo(wire, stream, came)
        });
        leave.wait();
        ended
    });
    let summary = run(&format!("-n 20 -c 1 -m 2 --http2 ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 20);
    left.wait();
    let mut ends = ends.lock().unwrap().clone();
    ends.sort_unstable();
    assert_eq!(ends, [(1, Some(code::NORMAL)), (3, Some(code::NORMAL))]);
}

#[test]
fn a_websocket_on_a_stream_that_ends_takes_its_messages_along_alone() {
    // The first stream is reset with its first message, once the others have been echoed, or with its second one.
    for is_used in [false, true] {
        let peer = serve_http2(CONNECT, move |_, wire| {
            let (mut of_first, mut of_others) = (0, 0);
            streams(wire, |wire, stream, came| {
                match &came {
                    Came::On(Event::Message { .. }) if stream == 1 => {
                        of_first += 1;
                        if of_first > usize::from(is_used) {
                            // Nothing, until the others have been of use.
                            return if of_others >= 3 { wire.reset(1, 2) } else { Ok(()) };
                        }
                    }
                    Came::On(Event::Message { .. }) => {
                        of_others += 1;
                        if of_others == 3 && of_first > usize::from(is_used) {
                            wire.reset(1, 2)?;
                        }
                    }
                    _ => {}
                }
                echo(wire, stream, came)
            })
        });
        let summary = run(&format!("-n 40 -c 1 -m 4 --http2 ws://{}", peer.address));
        let counts = &summary.records.counts;
        assert_eq!((counts.succeeded, counts.transport_failed), (39, 1), "{counts:?}");
        assert_eq!(failures(&summary), [("RST_STREAM INTERNAL_ERROR".to_owned(), 1)], "{is_used}");
        assert_eq!(peer.connections(), 1, "{is_used}");
    }
}

#[test]
fn a_refused_connect_leaves_the_other_websockets_alone() {
    // The first WebSocket is closed after an echo, and not let in again.
    let peer = serve_http2(CONNECT, |_, wire| {
        streams(wire, |wire, stream, came| {
            if stream > 3 && matches!(came, Came::Connect) {
                return io::Write::write_all(&mut wire.0, &head(stream, 1, &[(":status", "403")]));
            }
            let closes = stream == 1 && matches!(came, Came::On(Event::Message { .. }));
            echo(wire, stream, came)?;
            if closes { send(wire, 1, opcode::CLOSE, &code::GOING_AWAY.to_be_bytes()) } else { Ok(()) }
        })
    });
    let summary = run(&format!("-n 40 -c 1 -m 2 --http2 ws://{}", peer.address));
    let counts = &summary.records.counts;
    // One may have been on its way to the one that was closed.
    assert!(counts.succeeded >= 39, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn where_the_server_takes_some_websockets_those_are_used() {
    // The third CONNECT is refused, again and again, and one that is idle is closed.
    let peer = serve_http2(CONNECT, |_, wire| {
        let mut refused = 0;
        streams(wire, |wire, stream, came| {
            if stream > 3 && matches!(came, Came::Connect) {
                refused += 1;
                return if refused == 1 {
                    io::Write::write_all(&mut wire.0, &head(stream, 1, &[(":status", "503")]))
                } else {
                    wire.reset(stream, REFUSED_STREAM)
                };
            }
            echo(wire, stream, came)
        })
    });
    let summary = run(&format!("-n 60 -c 1 -m 3 --http2 ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 60, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_websocket_that_is_closed_before_its_first_message_leaves_the_others_alone() {
    let peer = serve_http2(CONNECT, |_, wire| {
        streams(wire, |wire, stream, came| {
            let is_connect = matches!(came, Came::Connect);
            echo(wire, stream, came)?;
            match stream {
                // With the last one, so that the others are open.
                5 if is_connect => send(wire, 1, opcode::CLOSE, &code::NORMAL.to_be_bytes()),
                _ => Ok(()),
            }
        })
    });
    let summary = run(&format!("-n 60 -r 1000 -c 1 -m 3 --http2 ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.succeeded >= 50, "{counts:?}: {:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn websockets_on_a_connection_that_goes_away_are_closed() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let saw = Arc::clone(&ends);
    let gone = Arc::new(Barrier::new(2));
    let goes = Arc::clone(&gone);
    let peer = serve_http2(CONNECT, move |number, wire| {
        let ended = streams(wire, |wire, stream, came| {
            if let Came::On(Event::Close(close)) = &came {
                saw.lock().unwrap().push((number, close.code()));
            }
            let goes = number == 0 && matches!(came, Came::On(Event::Message { .. }));
            echo(wire, stream, came)?;
            if goes { wire.go_away(LAST, 0) } else { Ok(()) }
        });
        if number == 0 {
            goes.wait();
        }
        ended
    });
    let summary = run(&format!("-n 20 -r 500 -c 1 -m 2 --http2 ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 20, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 2);
    gone.wait();
    let ends = ends.lock().unwrap().iter().filter(|end| **end == (0, Some(code::NORMAL))).count();
    assert_eq!(ends, 2, "one for each stream");
}

#[test]
fn a_connect_without_an_answer_is_given_up_and_another_is_sent() {
    let peer = serve_http2(CONNECT, |_, wire| {
        let mut resets = 0;
        streams(wire, |wire, stream, came| match came {
            // The second one.
            Came::Connect if stream == 3 => Ok(()),
            Came::Reset => {
                resets += usize::from(stream == 3);
                Ok(())
            }
            Came::On(Event::Message { content, .. }) => {
                assert!(stream == 1 || resets == 1, "the slot of CONNECT is free again");
                send(wire, stream, opcode::TEXT, &content)?;
                if stream == 1 {
                    send(wire, stream, opcode::CLOSE, &code::NORMAL.to_be_bytes())
                } else {
                    Ok(())
                }
            }
            came => echo(wire, stream, came),
        })
    });
    let summary =
        run(&format!("-n 3 -r 1000 -c 1 -m 1 --connect-timeout 500ms --http2 ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!(counts.succeeded + counts.transport_failed, 3, "{counts:?}");
    assert!(counts.succeeded >= 1, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_stream_that_the_server_leaves_half_open_makes_room_for_another() {
    // One stream at a time.
    const ONE: &[u8] = &[0, 8, 0, 0, 0, 1, 0, 3, 0, 0, 0, 1];
    let peer = serve_http2(ONE, |_, wire| {
        streams(wire, |wire, stream, came| {
            let closes = stream == 1 && matches!(came, Came::On(Event::Message { .. }));
            echo(wire, stream, came)?;
            if closes { send(wire, 1, opcode::CLOSE, &code::NORMAL.to_be_bytes()) } else { Ok(()) }
        })
    });
    let summary = run(&format!("-n 4 -c 1 -m 1 --connect-timeout 500ms --http2 ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.succeeded >= 3, "{:?}", failures(&summary));
    assert_eq!(peer.connections(), 1);
}

#[test]
fn over_http2_the_server_chooses_nothing_that_was_not_offered() {
    for (field, said) in [
        ("sec-websocket-extensions", "names an extension"),
        ("sec-websocket-protocol", "names a subprotocol"),
    ] {
        let peer = serve_http2(CONNECT, move |_, wire| {
            streams(wire, |wire, stream, came| match came {
                Came::Connect => io::Write::write_all(
                    &mut wire.0,
                    &head(stream, 0, &[(":status", "200"), (field, "chat")]),
                ),
                came => echo(wire, stream, came),
            })
        });
        let summary = run(&format!("-n 1 -c 1 --http2 ws://{}", peer.address));
        assert_eq!(failures(&summary), [("protocol error".to_owned(), 1)]);
        let (_, seen) = summary.records.failures.iter().next().unwrap();
        assert!(seen.example.contains(said), "{}", seen.example);
    }
}

#[test]
fn a_connect_that_is_refused_says_why() {
    let peer = serve_http2(CONNECT, |_, wire| {
        let stream = wire.request()?;
        io::Write::write_all(&mut wire.0, &head(stream, 1, &[(":status", "403")]))?;
        wire.request().map(drop)
    });
    let summary = run(&format!("-n 2 -c 1 -m 1 --http2 ws://{}", peer.address));
    assert_eq!(failures(&summary), [("no WebSocket".to_owned(), 2)]);
}
