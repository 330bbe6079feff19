//! Each timeout, on a clock that the test moves.

use super::*;

/// A connection that is swept by hand.
struct Swept {
    patience: Patience,
    start: Instant,
    limits: Limits,
    busy: bool,
    order: Order,
    presence: Presence,
}

/// Limits without any timeout.
fn no_limits() -> Limits {
    Limits {
        idle_timeout: None,
        header_timeout: None,
        max_connection_age: None,
        stall_timeout: None,
        half_close_timeout: None,
        ..crate::settings::Config::embedded().limits
    }
}

impl Swept {
    fn new(limits: Limits) -> Self {
        let start = Instant::now();
        let patience = Patience::new(start);
        Self { patience, start, limits, busy: false, order: Order::Serve, presence: Presence::There }
    }

    /// Sweeps a number of seconds after the connection was accepted, and obeys.
    fn at(&mut self, seconds: f64) -> Due {
        let now = self.start + Duration::try_from_secs_f64(seconds).unwrap();
        let due = self.patience.sweep(now, &self.limits, self.busy, self.order, || self.presence);
        self.order = self.order.max(due.order);
        due
    }

    /// The order after a sweep.
    fn order_at(&mut self, seconds: f64) -> Order {
        self.at(seconds).order
    }

    /// A request is read.
    fn begin_request(&mut self) {
        self.patience.received(self.busy);
        self.patience.request_begun();
        self.busy = true;
    }

    /// Its reply is sent.
    fn finish_request(&mut self) {
        self.patience.sent();
        self.patience.request_ended();
        self.busy = false;
    }
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn without_limits_nothing_is_ever_due() {
    let mut connection = Swept::new(no_limits());
    for busy in [false, true] {
        connection.busy = busy;
        connection.presence = if busy { Presence::Ended } else { Presence::There };
        assert_eq!(connection.at(1e6), Due::default());
    }
}

#[test]
fn the_first_head_has_the_header_timeout_from_the_accept_on() {
    let mut connection = Swept::new(Limits { header_timeout: SECOND, ..no_limits() });
    assert_eq!(connection.order_at(0.9), Order::Serve);
    // What trickles in prolongs nothing.
    connection.patience.received(false);
    assert_eq!(connection.order_at(1.0), Order::Close);
}

#[test]
fn a_next_head_has_the_header_timeout_from_its_first_byte_on() {
    let mut connection = Swept::new(Limits { header_timeout: SECOND, ..no_limits() });
    connection.begin_request();
    assert_eq!(connection.order_at(5.0), Order::Serve, "the time of a request is not that of its head");
    connection.finish_request();
    assert_eq!(connection.order_at(20.0), Order::Serve, "no head has begun");
    connection.patience.received(false);
    assert_eq!([20.5, 21.4].map(|at| connection.order_at(at)), [Order::Serve; 2]);
    assert_eq!(connection.order_at(21.5), Order::Close);
}

#[test]
fn a_head_that_came_along_with_the_request_before_counts_after_that_one() {
    let mut connection = Swept::new(Limits { header_timeout: SECOND, ..no_limits() });
    connection.begin_request();
    connection.patience.head_begun();
    assert_eq!(connection.order_at(9.0), Order::Serve);
    connection.finish_request();
    assert_eq!([10.0, 10.9].map(|at| connection.order_at(at)), [Order::Serve; 2]);
    assert_eq!(connection.order_at(11.0), Order::Close);
}

#[test]
fn a_frame_that_stays_open_has_the_header_timeout_and_a_new_one_a_new_time() {
    let mut connection = Swept::new(Limits { header_timeout: SECOND, ..no_limits() });
    connection.patience.head_done();
    connection.patience.frame_open(true, false);
    connection.busy = true;
    assert_eq!(connection.order_at(3.0), Order::Serve);
    connection.patience.frame_open(true, true);
    assert_eq!(connection.order_at(3.9), Order::Serve);
    connection.patience.frame_open(true, false);
    assert_eq!([4.0, 4.9].map(|at| connection.order_at(at)), [Order::Serve; 2]);
    assert_eq!(connection.order_at(5.0), Order::Close);
    let mut whole = Swept::new(connection.limits);
    whole.patience.head_done();
    whole.patience.frame_open(false, false);
    assert_eq!(whole.order_at(100.0), Order::Serve);
}

#[test]
fn an_idle_connection_is_closed_and_over_http2_drained_first() {
    for headless in [false, true] {
        let mut connection = Swept::new(Limits { idle_timeout: SECOND, ..no_limits() });
        if headless {
            connection.patience.head_done();
        }
        connection.begin_request();
        assert_eq!(connection.order_at(10.0), Order::Serve, "a request is in flight");
        connection.finish_request();
        assert_eq!([10.5, 11.4].map(|at| connection.order_at(at)), [Order::Serve; 2]);
        let first = if headless { Order::Drain } else { Order::Close };
        assert_eq!(connection.order_at(11.5), first);
        assert_eq!(connection.order_at(11.6), Order::Close);
    }
}

#[test]
fn a_connection_of_age_is_drained_and_woken_at_each_sweep() {
    let mut connection = Swept::new(Limits { max_connection_age: SECOND, ..no_limits() });
    connection.begin_request();
    assert_eq!(connection.at(0.9), Due::default());
    for at in [1.0, 1.1] {
        let drained = Due { order: Order::Drain, wake: true, client_gone: false };
        assert_eq!(connection.at(at), drained);
    }
}

#[test]
fn a_client_that_closed_its_end_has_the_half_close_timeout_from_the_last_byte_it_got_on() {
    let mut connection = Swept::new(Limits { half_close_timeout: SECOND, ..no_limits() });
    connection.begin_request();
    connection.presence = Presence::Ended;
    assert!(!connection.at(1.0).client_gone, "the request was just read");
    assert!(![1.5, 2.4].map(|at| connection.at(at).client_gone).contains(&true));
    connection.patience.sent();
    assert!(![2.5, 3.0, 3.9].map(|at| connection.at(at).client_gone).contains(&true));
    let gone = Due { order: Order::Close, client_gone: true, wake: false };
    assert_eq!(connection.at(4.0), gone);
    assert!(!connection.at(5.0).client_gone, "it is counted once");
}

#[test]
fn a_client_that_has_reset_the_connection_is_gone_immediately() {
    let mut connection = Swept::new(no_limits());
    connection.begin_request();
    connection.presence = Presence::Gone;
    assert!(!connection.at(0.1).client_gone, "something has happened since the sweep before");
    assert!(connection.at(0.2).client_gone);
}

#[test]
fn a_client_whose_output_waits_for_room_is_not_gone() {
    let mut connection = Swept::new(Limits { half_close_timeout: SECOND, ..no_limits() });
    connection.begin_request();
    connection.presence = Presence::Ended;
    connection.patience.blocked();
    assert!(![0.1, 1.0, 9.0].map(|at| connection.at(at).client_gone).contains(&true));
}

#[test]
fn the_system_is_not_asked_about_a_connection_that_listens() {
    let connection = Swept::new(no_limits());
    let asked = |at: u64| {
        let asked = Cell::new(false);
        let presence = || {
            asked.set(true);
            Presence::There
        };
        let now = connection.start + Duration::from_secs(at);
        connection.patience.sweep(now, &connection.limits, true, Order::Serve, presence);
        asked.get()
    };
    assert!(asked(1));
    connection.patience.listens(true);
    assert!(!asked(2));
    connection.patience.peer_ended();
    assert!(asked(3), "nothing more comes that would wake it");
    connection.patience.listens(false);
    assert!(asked(4));
}

#[test]
fn an_engine_that_waits_for_its_client_each_time_has_stalled_after_the_stall_timeout() {
    let limits = Limits { stall_timeout: Some(Duration::from_secs(4)), ..no_limits() };
    let mut connection = Swept::new(limits);
    connection.begin_request();
    assert!(!connection.at(0.5).wake);
    let mut stalled = Vec::new();
    for at in [1.5, 2.5, 3.5, 4.5] {
        assert!(connection.at(at).wake, "{at}");
        stalled.push(connection.patience.has_stalled(|| true));
        assert!(!connection.patience.has_stalled(|| true), "it is asked once for each look");
    }
    assert_eq!(stalled, [false, false, false, true]);
}

#[test]
fn progress_or_waiting_for_the_server_restarts_the_stall_timeout() {
    let limits = Limits { stall_timeout: Some(Duration::from_secs(4)), ..no_limits() };
    for moves in [true, false] {
        let mut connection = Swept::new(limits);
        connection.begin_request();
        connection.at(0.0);
        for at in [1.0, 2.0, 3.0] {
            assert!(connection.at(at).wake);
            assert!(!connection.patience.has_stalled(|| true));
        }
        if moves {
            connection.patience.moved();
            assert!(!connection.at(4.0).wake);
        } else {
            assert!(connection.at(4.0).wake);
            assert!(!connection.patience.has_stalled(|| false));
        }
        for at in [5.0, 6.0, 7.0] {
            assert!(connection.at(at).wake);
            assert!(!connection.patience.has_stalled(|| true), "{moves} {at}");
        }
    }
}

#[test]
fn a_drain_waits_for_the_first_request_for_a_while() {
    let connection = Swept::new(no_limits());
    let at = |ms| connection.start + Duration::from_millis(ms);
    assert!(!connection.patience.had_its_time(0, at(999)));
    assert!(connection.patience.had_its_time(0, at(1000)) && connection.patience.had_its_time(1, at(0)));
}
