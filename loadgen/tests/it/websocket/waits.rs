//! Messages that wait for their own connections, and their echoes that come late or never.

use std::sync::{Arc, Mutex};

use websocket::{Event, code, opcode};

use super::{Ws, apart, serve_sockets};
use crate::peer::{failures, run, serve};

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
fn an_echo_behind_its_timeout_is_not_taken_for_that_of_another() {
    // The first echo comes with the second message.
    let peer = serve_sockets(|_, mut ws| {
        let (text, first) = ws.message()?;
        let (_, second) = ws.message()?;
        ws.send(text, &first)?;
        ws.send(text, &second)?;
        ws.echo()
    });
    let summary = run(&format!("-n 3 -c 1 --timeout 300ms ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.timed_out, counts.succeeded), (1, 2), "{counts:?}");
    assert_eq!(apart(&summary), [1, 0, 0]);
    assert_eq!(peer.connections(), 1);
}

#[test]
fn a_lost_message_without_a_number_ends_its_websocket_and_no_other_message() {
    for args in ["-b same", "-b {{seq}}", "-b same --http2 -m 1"] {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let saw = Arc::clone(&ends);
        let swallows = move |event: &Event| {
            if let Event::Close(close) = event {
                saw.lock().unwrap().push(close.code());
            }
        };
        // The first WebSocket swallows what comes.
        let peer = if args.contains("http2") {
            super::over_http2::swallow_first(swallows)
        } else {
            serve_sockets(move |number, mut ws| {
                if number > 0 {
                    return ws.echo();
                }
                loop {
                    swallows(&ws.event()?);
                }
            })
        };
        let summary = run(&format!("-n 5 -c 1 {args} --timeout 300ms ws://{}", peer.address));
        let counts = &summary.records.counts;
        assert_eq!((counts.timed_out, counts.succeeded), (1, 4), "{args}: {counts:?}");
        assert_eq!(apart(&summary), [1, 0, 0], "{args}");
        assert_eq!(*ends.lock().unwrap(), [Some(code::NORMAL)], "{args}");
    }
}

#[test]
fn what_is_in_flight_with_a_lost_message_without_a_number_ends_with_it() {
    let peer = serve_sockets(|number, mut ws| {
        if number == 0 {
            while ws.message().is_some() {}
            return None;
        }
        ws.echo()
    });
    let summary = run(&format!("-n 10 -r 10000 -c 1 -b same --timeout 300ms ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.timed_out >= 1, "{counts:?}");
    assert_eq!(counts.timed_out + counts.transport_failed, 10, "{counts:?}");
    let others: Vec<_> = failures(&summary).into_iter().filter(|(cause, _)| cause != "timeout").collect();
    assert!(others.iter().all(|(cause, _)| cause == "closed early"), "{others:?}");
    assert_eq!(apart(&summary), [10, 0, 0]);
}

#[test]
fn a_connection_that_has_had_its_messages_is_replaced_immediately() {
    let peer = serve_sockets(|_, mut ws| ws.echo());
    let began = std::time::Instant::now();
    let line = "-n 200 -r 4000 -c 1 --requests-per-connection 1";
    let summary = run(&format!("{line} ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 200, "{:?}", failures(&summary));
    assert!(peer.connections() >= 200, "one message on each");
    // Not with the next tick, of which there are a hundred in a second.
    assert!(began.elapsed() < std::time::Duration::from_millis(1800), "{:?}", began.elapsed());
}

#[test]
fn messages_stay_with_their_turns_while_connections_grow_old() {
    let peer = serve_sockets(|_, mut ws| ws.echo());
    let line = "-n 200 -r 1000 -c 4 --workers 1 --connection-age 20ms --warmup 20ms";
    let summary = run(&format!("{line} ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 200, "{:?}", failures(&summary));
    assert!(peer.connections() > 4, "{}", peer.connections());
    assert_eq!(apart(&summary), [0, 0, 0]);
}

#[test]
fn stages_of_connections_are_websockets() {
    let peer = serve_sockets(|_, mut ws| ws.echo());
    let line = "--stages 100ms@3c,100ms@1c --workers 1";
    let summary = run(&format!("{line} ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert!(counts.succeeded > 0 && counts.transport_failed == 0, "{:?}", failures(&summary));
    assert_eq!((apart(&summary), peer.connections()), ([0, 0, 0], 3));
}

#[test]
fn large_messages_wait_until_those_before_them_are_written() {
    let peer = serve_sockets(|_, mut ws| ws.echo());
    let summary = run(&format!("-n 24 -r 10000 -c 1 --message-size 1M --timeout 60s ws://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 24, "{:?}", failures(&summary));
}

/// Takes a message on its second connection, closes it, and answers no handshake after that.
fn closes_the_second_for_ever() -> crate::peer::Peer {
    serve(|number, mut stream| {
        if number > 1 {
            // Until the client goes.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return;
        }
        let Some(mut ws) = Ws::accept(stream) else { return };
        if number == 1 {
            let _ = ws.message();
            return;
        }
        let _ = ws.echo();
    })
}

#[test]
fn what_waits_for_its_connection_beyond_max_lag_is_dropped() {
    let peer = closes_the_second_for_ever();
    let line = "-n 80 -r 400 -c 2 --workers 1 --max-lag 500ms --timeout 60s --connect-timeout 60s";
    let summary = run(&format!("{line} ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!(counts.succeeded, 40, "{counts:?}");
    assert_eq!(counts.dropped_late + counts.transport_failed, 40, "{counts:?}");
    assert!(counts.dropped_late > 0, "{counts:?}");
}

#[test]
fn what_waits_for_its_connection_is_in_flight_and_no_overload() {
    let peer = closes_the_second_for_ever();
    let line = "-n 80 -r 400 -c 2 --workers 1 --on-overload drop --timeout 500ms --connect-timeout 60s";
    let summary = run(&format!("{line} ws://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.dropped), (40, 0), "{counts:?}");
    assert!(counts.timed_out > 0, "{counts:?}");
}
