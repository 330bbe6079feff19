//! HTTP/2 by this project's own engine: what does not wait is answered inline, without a task or an allocation,
//! and the output of one wake-up leaves in one system call.

mod fields;
mod sending;
mod streams;

use std::{
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http2::{Code, Config, Connection, Error, Event, Key, Limits, Role, Settings};
use runtime::ready::{self, Ready};

use self::{
    fields::PreparedFields,
    streams::{Slot, Work},
};
use super::{
    input::Input,
    resources::Resources,
    socket::{self, CloseReason, SharedSocket},
};
use crate::{
    budget::{Hold, counted},
    clock::now_ns,
    context::ServerContext,
    lifecycle::orders::{Order, Orders},
    message::upload::UploadError,
    protocol::Protocol,
    turn::give_way,
};

/// While so much output waits, nothing more is read or sent.
const MOST_OUTPUT: usize = 256 << 10;
/// What one stream sends before another goes on.
const SHARE: usize = 64 << 10;
/// How long a client may take to answer the first GOAWAY of a drain.
const GOAWAY_PATIENCE: Duration = Duration::from_secs(2);
/// What GOAWAY says to a client that has not moved for `--stall-timeout`.
const STALLED: &str = "nothing has moved for --stall-timeout";

/// Serves a connection until it ends; `first` was read already.
pub(super) async fn serve(first: Vec<u8>, resources: &Resources, socket: &Rc<SharedSocket>) {
    socket.lifecycle.patience.head_done();
    socket.lifecycle.protocol.set(Some(Protocol::Http2));
    let context = &resources.exchange.context;
    let mut driver = Driver {
        conn: Connection::new(&config(context)),
        prepared: PreparedFields::default(),
        resources,
        context,
        socket,
        orders: &socket.lifecycle.orders,
        slots: Vec::new(),
        keys: Vec::new(),
        ready: Ready::default(),
        woken: Vec::new(),
        fresh: Vec::new(),
        after_flush: VecDeque::new(),
        waiting: 0,
        input: Input::new(first, &context.budget),
        output_hold: Hold::new(&context.budget),
        told: None,
        error: None,
        cut: None,
        last_processed: u32::MAX,
        given_up: false,
    };
    let how = poll_fn(|cx| driver.poll(cx)).await;
    socket.lifecycle.accounting.stats.http2_ended(driver.error, driver.conn.counters());
    drop(driver);
    socket::end(socket, how).await;
}

fn config(context: &ServerContext) -> Config {
    let (limits, http2) = (&context.config.limits, &context.config.http2);
    Config {
        settings: Settings {
            max_concurrent_streams: Some(limits.max_streams),
            initial_window_size: http2.stream_window,
            max_frame_size: http2.max_frame_size,
            header_table_size: http2.header_table_size,
            max_header_list_size: Some(limits.max_header_bytes),
            enable_connect_protocol: true,
            ..Settings::default()
        },
        connection_window: http2.connection_window,
        limits: http2_limits(limits.max_header_bytes as usize),
        ..Config::new(Role::Server)
    }
}

/// What is an attack, where fields of this many bytes are none. Somewhat more than that is refused by itself.
fn http2_limits(max_header_bytes: usize) -> Limits {
    let most = max_header_bytes * 2;
    let default = Limits::default();
    Limits {
        block: most,
        list: default.list.max(most),
        // Frames may be small: a KiB each is not an attack.
        continuations: default.continuations.max((most >> 10) as u32),
        ..default
    }
}

struct Driver<'a> {
    conn: Connection,
    prepared: PreparedFields,
    resources: &'a Resources,
    context: &'a ServerContext,
    socket: &'a Rc<SharedSocket>,
    /// The connection's, closer at hand.
    orders: &'a Orders,
    /// By the slot of a stream's key. Streams that were answered inline leave nothing here.
    slots: Vec<Slot>,
    /// A waker for each slot.
    keys: Vec<ready::Key>,
    /// The slots that were woken.
    ready: Ready,
    woken: Vec<u32>,
    /// Streams whose turn has come: those, and those whose endpoint has not been asked yet whether it can reply immediately.
    fresh: Vec<Key>,
    /// Streams that go on when what they wait for has been written, by where that ends among all bytes of the connection.
    after_flush: VecDeque<(u64, Key)>,
    /// How many streams wait for their endpoint or for time.
    waiting: usize,
    input: Input,
    /// For the output.
    output_hold: Hold,
    /// When the client was asked to open no more streams.
    told: Option<Instant>,
    /// The rule or limit that the client broke.
    error: Option<Code>,
    /// The connection ends like this, as soon as the output is written: whatever comes after that is not processed (RFC
    /// 9113 section 6.8: streams above the one that GOAWAY names are not).
    cut: Option<CloseReason>,
    /// The last stream that is processed, once GOAWAY has named it.
    last_processed: u32,
    /// The client does nothing any more: the end does not wait for the output.
    given_up: bool,
}

impl Driver<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.socket.lifecycle.begin_turn(cx);
        self.context.turn.begin();
        self.ready.begin();
        if self.socket.lifecycle.patience.has_stalled(|| self.awaits_client()) {
            self.stalled();
        }
        if self.conn.awaits_settings() {
            self.tick(now_ns());
        }
        let result = self.turn(cx);
        self.ready.end(cx);
        if result.is_pending() {
            self.output_hold.note(counted(self.conn.output.buffer().len()));
        }
        result
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut read = false;
        loop {
            if self.orders.strongest() == Order::Close {
                return Poll::Ready(CloseReason::Abandoned);
            }
            if let Some(how) = self.cut {
                return match socket::poll_output(self.socket, &mut self.conn.output, cx) {
                    Poll::Ready(Ok(())) => Poll::Ready(how),
                    Poll::Pending if !self.given_up => Poll::Pending,
                    _ => Poll::Ready(CloseReason::Abandoned),
                };
            }
            self.drain();
            self.work_on_woken();
            self.send_ready();
            if self.cut.is_some() {
                continue;
            }
            let written = socket::poll_output(self.socket, &mut self.conn.output, cx);
            let resumed = !matches!(written, Poll::Ready(Err(_))) && self.go_on_after_flush();
            let more = match written {
                Poll::Ready(Ok(())) => {
                    if self.is_over() {
                        let has_failed = self.conn.has_failed();
                        let how = if has_failed { CloseReason::Refused } else { CloseReason::Complete };
                        return Poll::Ready(how);
                    }
                    // What is on the wire has made room for more.
                    resumed || !self.conn.is_blocked()
                }
                Poll::Ready(Err(_)) => return Poll::Ready(CloseReason::Abandoned),
                Poll::Pending if self.has_enough() => return Poll::Pending,
                Poll::Pending => false,
            };
            // However much there is to send, each turn reads once.
            let read_before = std::mem::replace(&mut read, true);
            if read_before && self.context.turn.long_step() {
                return give_way(cx);
            }
            if read_before && more {
                continue;
            }
            match self.read(cx) {
                Poll::Pending if more || self.context.turn.is_over() => {}
                Poll::Pending => {
                    self.context.buffers.take_back(&mut self.conn.output);
                    return Poll::Pending;
                }
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(CloseReason::Abandoned),
            }
        }
    }

    /// Whether so much output waits that no more is made.
    fn has_enough(&self) -> bool {
        self.conn.output.len() >= self.context.budget.output(MOST_OUTPUT)
    }

    /// Whether something waits for the client: output for room in the socket, a reply for window, or an endpoint for
    /// more of a body.
    fn awaits_client(&self) -> bool {
        let awaits = |slot: &Slot| match &slot.work {
            Work::Sending(_) => true,
            Work::Waiting(..) => slot.is_held_up(),
            _ => false,
        };
        !self.conn.output.is_empty() || self.slots.iter().any(awaits)
    }

    /// Gives up those of which the client has not sent the body, and if there are none, the connection.
    fn stalled(&mut self) {
        let held_up: Vec<_> = self.slots.iter().filter(|slot| slot.is_held_up()).collect();
        if held_up.is_empty() || !self.conn.output.is_empty() {
            let error = Error { code: Code::ENHANCE_YOUR_CALM, reason: STALLED };
            self.error = Some(self.conn.fail(error).code);
            self.socket.lifecycle.break_off();
            (self.cut, self.given_up) = (Some(CloseReason::Complete), true);
            return;
        }
        for slot in held_up {
            if let Some(inbox) = &slot.inbox {
                inbox.end(Err(UploadError::STALLED));
            }
        }
    }

    /// Reads once and takes in what came, if there is use for it. False: the connection is broken.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.input.has_ended || self.conn.has_failed() {
            return Poll::Pending;
        }
        let (resources, context) = (self.resources, self.context);
        let mut buffer = context.buffers.for_reading();
        let buffer = &mut *buffer;
        let count = match self.input.take_fresh(buffer) {
            Some(count) => count,
            None => match std::task::ready!(self.input.poll_more(self.socket, buffer, cx)) {
                Ok(Some(count)) => count,
                Ok(None) => {
                    self.peer_ended();
                    return Poll::Ready(true);
                }
                Err(_) => return Poll::Ready(false),
            },
        };
        context.buffers.lend(&mut self.conn.output);
        let now = now_ns();
        let mut input = &buffer[..count];
        let mut head = resources.http2_head.take_or_else(Box::default);
        let head = &mut *head;
        loop {
            // Small requests may ask for large replies, and many may come together: what is left waits for its turn.
            if self.cut.is_some() || self.has_enough() || context.turn.step() {
                self.input.is_fresh = !input.is_empty();
                break;
            }
            match self.conn.receive(&mut input, head) {
                Ok(Some(event)) => self.happened(event, head, now),
                Ok(None) => break,
                Err(error) => self.error = Some(error.code),
            }
        }
        if !self.input.keep(input, self.conn.block_len(), false) {
            let error = Error { code: Code::ENHANCE_YOUR_CALM, reason: UploadError::TOO_MUCH.reason() };
            self.error = Some(self.conn.fail(error).code);
        }
        // Nothing was taken in of what began before: it is a head that comes slowly.
        let open = !input.is_empty() && !self.input.is_fresh || self.conn.is_within_block();
        self.socket.lifecycle.patience.frame_open(open, input.len() == count);
        self.tick(now);
        Poll::Ready(true)
    }

    /// Passes the time to the state machine; the sweep makes sure that this goes on while nothing is read.
    fn tick(&mut self, now: u64) {
        if let Err(error) = self.conn.tick(now / 1_000_000) {
            self.error = Some(error.code);
        }
        self.socket.lifecycle.patience.want_sweep(self.conn.awaits_settings());
    }

    fn happened(&mut self, event: Event<'_>, head: &http2::Head, now: u64) {
        match event {
            Event::Request { stream, end } => self.request(stream, end, head, now),
            Event::Malformed { .. } => self.malformed(head, now),
            Event::Data { stream, data, end } => self.upload(stream, data, end),
            Event::Trailers { stream } => {
                if let Some(inbox) = self.known(stream).and_then(|slot| slot.inbox.clone()) {
                    inbox.trailers(head.regular());
                }
                self.upload(stream, &[], true);
            }
            Event::Reset { stream, .. } => self.forget(stream, "the stream was reset"),
            _ => {}
        }
    }

    fn drain(&mut self) {
        if self.orders.strongest() < Order::Drain {
            return;
        }
        match self.told {
            None if self.conn.open_streams() > 0 || self.socket.may_close() => {
                self.conn.drain();
                self.told = Some(Instant::now());
                // Conversations end by themselves when they are asked.
                self.ask_all();
            }
            Some(told) if told.elapsed() >= GOAWAY_PATIENCE && self.conn.open_streams() == 0 => {
                self.conn.finish_drain();
            }
            _ => {}
        }
    }

    /// Whether all is said. The output is empty.
    fn is_over(&mut self) -> bool {
        if self.conn.has_failed() {
            return true;
        }
        if self.input.has_ended {
            // No window will come any more for those that wait for it.
            return self.waiting == 0 && self.after_flush.is_empty() && self.conn.is_blocked();
        }
        self.conn.is_drained() && self.conn.open_streams() == 0
    }

    /// The client has closed its end: requests that are complete are answered.
    fn peer_ended(&mut self) {
        self.socket.lifecycle.peer_ended();
        for slot in &self.slots {
            if let Some(inbox) = &slot.inbox {
                inbox.end(Err(UploadError::CLOSED));
            }
        }
        self.ask_all();
    }
}
