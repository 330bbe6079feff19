//! The loop and an engine together, step by step.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
};

use clap::Parser as _;

use super::*;
use crate::{args::Args, outcome::Arrival};

fn order(line: &str, address: SocketAddr) -> Order {
    let words = format!("loadgen {line} -n 1 --workers 1");
    let plan = Plan::try_from(&Args::try_parse_from(words.split(' ')).unwrap()).unwrap();
    Order {
        plan: Arc::new(plan),
        addresses: [address].into(),
        ids: Ids::of_run(1),
        clock: Clock::starting_now(),
        part: (0, 1),
        control: Arc::new(Control::new(1, 0)),
    }
}

fn connector(order: &Order) -> Connector {
    Connector::new(Arc::clone(&order.addresses), 0)
}

fn http1(order: &Order, connector: Connector) -> http1::Http1 {
    let limits = Limits { connections: 1, streams: 1, timeout: 1 << 40, connect_timeout: 1 << 40 };
    http1::Http1::new(&order.plan.request, order.ids, connector, limits, order.clock)
}

/// Drives the engine until the desk is told of room that was not there before.
async fn roomier(engine: &mut impl Engine, desk: &mut Desk) {
    poll_fn(|cx| {
        desk.moved = false;
        engine.drive(cx, desk);
        if desk.moved { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn the_loop_turns_again_when_a_connection_has_come_about() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let (mut engine, mut desk) = (http1(&order, connector(&order)), Desk::new(&order, 1));
    engine.want(1, 0);
    assert!(engine.capacity().is_none());
    roomier(&mut engine, &mut desk).await;
    assert!(engine.capacity().is_some());
}

#[tokio::test]
async fn the_loop_turns_again_when_streams_are_allowed_and_when_more_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("127.0.0.1:1", listener.local_addr().unwrap());
    let limits = Limits { connections: 1, streams: 9, timeout: 1 << 40, connect_timeout: 1 << 40 };
    let mut engine =
        http2::Http2::new(&order.plan.request, order.ids, connector(&order), limits, order.clock);
    let mut desk = Desk::new(&order, 1);
    let (raise, raised) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for limit in [2, 5] {
            // SETTINGS_MAX_CONCURRENT_STREAMS.
            stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, limit]).unwrap();
            raised.recv().unwrap();
        }
        let _ = stream.read(&mut [0]);
    });
    engine.want(1, 0);
    for limit in [2, 5] {
        roomier(&mut engine, &mut desk).await;
        assert_eq!(engine.slots(), limit);
        raise.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_reply_that_came_before_its_request_is_not_taken_for_the_reply() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let (mut engine, mut desk) = (http1(&order, connector(&order)), Desk::new(&order, 1));
    engine.want(1, 0);
    roomier(&mut engine, &mut desk).await;
    let mut peer = listener.accept().unwrap().0;
    desk.backlog.push_single(Arrival::new(0, 0, 0));
    let mut sent = false;
    poll_fn(|cx| {
        if !sent {
            sent = true;
            engine.drive(cx, &mut desk);
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            return Poll::Pending;
        }
        // Woken by the bytes, of which the engine does not know yet.
        let (slot, arrival) = (engine.capacity().unwrap(), desk.next().unwrap());
        engine.submit(slot, arrival, &mut desk);
        Poll::Ready(())
    })
    .await;
    assert_eq!((desk.backlog.len(), desk.recorder.counts.completed()), (1, 0), "it is still to be sent");
    let (connections, what) = desk.recorder.unasked.clone().expect("it is reported");
    assert_eq!((connections, what.as_str()), (1, "the server sent bytes that no request asked for"));
    drop(engine);
    let mut received = Vec::new();
    peer.read_to_end(&mut received).unwrap();
    assert!(received.is_empty(), "nothing was sent on that connection");
}

#[tokio::test]
async fn an_attempt_that_is_behind_wakes_nobody() {
    let order = order("http://127.0.0.1:1", ([127, 0, 0, 1], 1).into());
    let mut connector = connector(&order);
    connector.failed(0);
    let at = connector.next_attempt().unwrap();
    let mut worker = Worker::new(http1(&order, connector), &order).unwrap();
    worker.next_tick = 10 * at;
    worker.desk.backlog.push_single(Arrival::new(0, 0, 0));
    assert_eq!(worker.next_wake(0), at);
    assert_eq!(worker.next_wake(at), worker.next_tick);
}
