//! A pool and the loop together, step by step.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
};

use clap::Parser as _;
use contract::id::Ids;
use transport::Address;

use super::{
    connection::{Connection, Limits},
    dispatcher::{Dispatcher, Late, Results},
    http1::Http1Connection,
    http2::Http2Connection,
    opening::{Beginning, Connector},
    pool::Pool,
    *,
};
use crate::{
    cli::Args,
    control::Handle,
    outcome::{Arrival, ExpectedStatus},
    plan::{OnOverload, Site, Texts, mix::Mix},
    schedule::{Arrivals, Constant},
};

const LIMITS: Limits = Limits {
    is_verified: false,
    messages: 1,
    connections: 1,
    kept: 0,
    streams: 1,
    timeout: 1 << 40,
    connect_timeout: 1 << 40,
    requests: u64::MAX,
    age: u64::MAX,
    piece: 0,
    lag: u64::MAX,
};

/// However late they are, requests are sent, and as soon as they are due.
const IN_TIME: Late = Late { most: Nanos::MAX, together: 0 };

fn order(line: &str, address: SocketAddr) -> Order {
    let words = format!("loadgen {line} -n 1 --workers 1");
    let plan = Plan::try_from(&Args::try_parse_from(words.split(' ')).unwrap()).unwrap();
    Order {
        plan: Arc::new(plan),
        addresses: [Arc::<[Address]>::from([Address::Tcp(address)]).into()].into(),
        ids: Ids { run: 1, load: 0 },
        clock: Clock::starting_now(),
        epoch: 0,
        part: Part::WHOLE,
        participant: Handle::new(1, Clock::starting_now()).participants(None).next().unwrap(),
    }
}

fn connector(order: &Order) -> Connector {
    let beginning = Beginning::new(&order.plan.sites()[0], None, None);
    Connector::new(order.addresses[0].clone(), beginning, Part::WHOLE, None, order.clock)
}

/// A pool of one connection, and what goes with it.
struct Bench<C: Connection> {
    pool: Pool<C>,
    dispatcher: Dispatcher,
    recording: Recording,
}

impl<C: Connection> Bench<C>
where
    C::Requests: for<'a> From<(&'a Plan, &'a Site, Texts)>,
{
    fn new(order: &Order, streams: usize) -> Self {
        let connector = connector(order);
        let limits = Limits { streams, ..LIMITS };
        let request = (&*order.plan, &order.plan.sites()[0], order.plan.texts(order.ids, 0, 1)).into();
        let mut pool = Pool::new(request, order.ids, connector, limits, order.clock);
        pool.want(1, 0);
        Self {
            pool,
            dispatcher: Dispatcher::new(9, false, order.plan.mix(1), None),
            recording: Recording::new(order.ids, ExpectedStatus::default()),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        let Self { pool, dispatcher, recording } = self;
        pool.drive(cx, &mut Results { dispatcher, recording });
    }

    /// Picks up what is due and sends it.
    fn send(&mut self) {
        self.dispatcher.pick_up(0, 1, &mut self.recording);
        self.dispatcher.send(0, &mut self.recording, |arrival| self.pool.submit(arrival, 0));
    }

    /// Drives the pool until the loop would turn again.
    async fn moved(&mut self) {
        poll_fn(|cx| {
            self.drive(cx);
            if self.dispatcher.take_moved() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[tokio::test]
async fn the_loop_turns_again_when_a_connection_has_come_about() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let mut bench = Bench::<Http1Connection>::new(&order, 1);
    let back = bench.pool.submit(Arrival::new(7, 0, 0), 0);
    assert_eq!(back.unwrap_err().number, 7, "without a connection it comes back");
    bench.moved().await;
    assert!(bench.pool.submit(Arrival::new(7, 0, 0), 0).is_ok());
    let back = bench.pool.submit(Arrival::new(8, 0, 0), 0);
    assert_eq!(back.unwrap_err().number, 8, "one at a time");
}

#[tokio::test]
async fn the_loop_turns_again_when_streams_are_allowed_and_when_more_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("127.0.0.1:1", listener.local_addr().unwrap());
    let mut bench = Bench::<Http2Connection>::new(&order, 9);
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
    assert_eq!(bench.pool.slots(), 9, "until it is known");
    for limit in [2, 5] {
        bench.moved().await;
        assert_eq!(bench.pool.slots(), limit);
        raise.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_reply_that_came_before_its_request_is_not_taken_for_the_reply() {
    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let mut bench = Bench::<Http1Connection>::new(&order, 1);
    bench.moved().await;
    let mut peer = listener.accept().unwrap().0;
    bench.dispatcher.start_closed(Some(2), 0..Nanos::MAX, Part::WHOLE);
    // The first request is answered as it should be.
    bench.send();
    poll_fn(|cx| {
        bench.drive(cx);
        Poll::Ready(())
    })
    .await;
    peer.write_all(REPLY).unwrap();
    while bench.recording.records().counts.completed() == 0 {
        bench.moved().await;
    }
    let mut answered_twice = false;
    poll_fn(|cx| {
        if !answered_twice {
            answered_twice = true;
            bench.drive(cx);
            peer.write_all(REPLY).unwrap();
            return Poll::Pending;
        }
        // Woken by the bytes, which the connection has not read yet.
        bench.send();
        assert_eq!(bench.dispatcher.waiting(), 0);
        bench.drive(cx);
        Poll::Ready(())
    })
    .await;
    let Bench { pool, dispatcher, mut recording } = bench;
    assert_eq!(
        (dispatcher.waiting(), recording.records().counts.completed()),
        (1, 1),
        "the second is still to be sent"
    );
    assert_eq!(recording.records().counts.resent, 0, "it was not sent");
    let (connections, what) = recording.records().unasked.clone().expect("it is reported");
    assert_eq!((connections, what.as_str()), (1, "the server sent bytes that no request asked for"));
    drop(pool);
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received.matches("GET / HTTP/1.1").count(), 1, "{received}");
}

#[tokio::test]
async fn the_pool_is_looked_at_when_a_reply_is_late_and_not_before() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let mut bench = Bench::<Http1Connection>::new(&order, 1);
    assert_eq!(bench.pool.next_wake(0, false), 1 << 40, "the time to connect");
    bench.moved().await;
    bench.dispatcher.start_closed(Some(1), 0..Nanos::MAX, Part::WHOLE);
    bench.send();
    let Bench { pool, dispatcher, recording } = &mut bench;
    let late = 1 << 40;
    pool.expire(late - 1, &mut Results { dispatcher, recording });
    assert_eq!((recording.records().counts.timed_out, pool.next_wake(0, false)), (0, late));
    pool.expire(late, &mut Results { dispatcher, recording });
    assert_eq!((recording.records().counts.timed_out, pool.next_wake(0, false)), (1, Nanos::MAX));
}

#[tokio::test]
async fn an_attempt_that_is_behind_wakes_nobody() {
    let order = order("http://127.0.0.1:1", ([127, 0, 0, 1], 1).into());
    let limits = Limits { timeout: 1, ..LIMITS };
    let mut connector = connector(&order);
    connector.failed(0, 0);
    let at = connector.next_attempt(true).unwrap();
    let requests = (&*order.plan, &order.plan.sites()[0], order.plan.texts(order.ids, 0, 1)).into();
    let pool = Pool::<Http1Connection>::new(requests, order.ids, connector, limits, order.clock);
    assert_eq!((pool.next_wake(0, true), pool.next_wake(0, false)), (at, Nanos::MAX));
    assert_eq!(pool.next_wake(at, true), Nanos::MAX);
}

#[test]
fn a_closed_loop_wakes_its_worker_at_its_end_and_not_after_it() {
    let mut dispatcher = Dispatcher::new(1, false, Mix::default(), None);
    dispatcher.start_closed(Some(5), 0..100, Part::WHOLE);
    assert_eq!([99, 100, 101].map(|now| dispatcher.next_due(now)), [Some(100), None, None]);
}

#[tokio::test]
async fn timeouts_are_looked_for_once_a_millisecond_however_many_there_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let order = order("http://127.0.0.1:1", listener.local_addr().unwrap());
    let mut bench = Bench::<Http1Connection>::new(&order, 1);
    bench.moved().await;
    bench.dispatcher.start_closed(Some(1), 0..Nanos::MAX, Part::WHOLE);
    bench.send();
    let Bench { pool, dispatcher, recording } = &mut bench;
    let timeout = 1 << 40;
    assert_eq!(pool.next_wake(0, false), timeout);
    pool.expire(timeout, &mut Results { dispatcher, recording });
    assert!(pool.next_wake(timeout, false) >= timeout + 1_000_000);
}

#[test]
fn coalesced_arrivals_are_picked_up_when_the_first_has_waited_for_the_others() {
    let mut recording = Recording::new(Ids { run: 1, load: 0 }, ExpectedStatus::default());
    let mut dispatcher = Dispatcher::new(10, false, Mix::default(), None);
    let arrivals = Arrivals::Constant(Constant::new(1e4, Some(7), None));
    dispatcher.start_open(arrivals, OnOverload::Queue, Late { together: 250_000, ..IN_TIME }, 1_000_000);
    for (now, waiting, next) in [
        (1_249_999, 0, Some(1_250_000)),
        (1_250_000, 3, Some(1_550_000)),
        (1_549_999, 3, Some(1_550_000)),
        // The last one has nothing to wait for.
        (1_550_000, 6, Some(1_600_000)),
        (1_600_000, 7, None),
    ] {
        assert!(!dispatcher.pick_up(now, 10, &mut recording));
        assert_eq!((dispatcher.waiting(), dispatcher.next_due(now)), (waiting, next), "{now}");
    }
    let lag = &recording.records().times.lag;
    assert!(lag.len() == 7 && (250_000..260_000).contains(&lag.max()), "{}", lag.max());
}

#[test]
fn what_a_full_batch_of_coalesced_arrivals_has_left_follows_immediately() {
    let mut recording = Recording::new(Ids { run: 1, load: 0 }, ExpectedStatus::default());
    let mut dispatcher = Dispatcher::new(100, false, Mix::default(), None);
    let arrivals = Arrivals::Constant(Constant::new(1e8, Some(100), None));
    dispatcher.start_open(arrivals, OnOverload::Queue, Late { together: 1000, ..IN_TIME }, 0);
    assert!(dispatcher.pick_up(1000, 100, &mut recording));
    assert_eq!((dispatcher.waiting(), dispatcher.next_due(1000)), (64, Some(640)));
    assert!(!dispatcher.pick_up(1000, 100, &mut recording));
    assert_eq!(dispatcher.waiting(), 100);
}

#[test]
fn coalesced_arrivals_without_others_near_them_are_sent_when_they_are_due_and_full_batches_leave_nothing() {
    let mut recording = Recording::new(Ids { run: 1, load: 0 }, ExpectedStatus::default());
    let mut coalesced = |rate, together, now| {
        let mut dispatcher = Dispatcher::new(100, false, Mix::default(), None);
        let arrivals = Arrivals::Constant(Constant::new(rate, Some(100), None));
        dispatcher.start_open(arrivals, OnOverload::Queue, Late { together, ..IN_TIME }, 0);
        dispatcher.pick_up(now, 100, &mut recording);
        (dispatcher.waiting(), dispatcher.next_due(now))
    };
    assert_eq!(coalesced(5.0, 100_000_000, 0), (1, Some(200_000_000)));
    assert_eq!(coalesced(1e8, 630, 630), (64, Some(640 + 630)));
}

#[test]
fn what_only_waits_for_others_is_not_offered_when_nothing_more_is_sent() {
    for (stopped, offered) in [(999_999, 0), (1_000_000, 11)] {
        let mut recording = Recording::new(Ids { run: 1, load: 0 }, ExpectedStatus::default());
        let mut dispatcher = Dispatcher::new(100, false, Mix::default(), None);
        let arrivals = Arrivals::Constant(Constant::new(1e4, Some(100), None));
        dispatcher.start_open(arrivals, OnOverload::Queue, Late { together: 1_000_000, ..IN_TIME }, 0);
        dispatcher.stop(stopped, &mut recording);
        let counts = recording.records().counts;
        assert_eq!((counts.offered, counts.not_sent, dispatcher.next_due(stopped)), (offered, offered, None));
    }
}

#[test]
fn many_due_arrivals_are_picked_up_in_batches() {
    let mut recording = Recording::new(Ids { run: 1, load: 0 }, ExpectedStatus::default());
    for on_overload in [OnOverload::Queue, OnOverload::Drop] {
        let mut dispatcher = Dispatcher::new(10, false, Mix::default(), None);
        let arrivals = Arrivals::Constant(Constant::new(1e8, Some(249_999), None));
        dispatcher.start_open(arrivals, on_overload, IN_TIME, 0);
        let mut batches = 1;
        while dispatcher.pick_up(1 << 40, 10, &mut recording) {
            assert!(batches * 64 == recording.records().counts.offered % 249_999);
            batches += 1;
        }
        assert!(!dispatcher.has_more(1 << 40));
        let counts = recording.records().counts;
        match on_overload {
            OnOverload::Queue => assert_eq!(dispatcher.waiting(), 249_999),
            OnOverload::Drop => assert_eq!((dispatcher.waiting(), counts.dropped), (10, 249_989)),
        }
    }
    assert_eq!(recording.records().counts.offered, 499_998);
}
