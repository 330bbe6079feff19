//! HTTP/2 by this project's own engine: what does not wait is answered inline, without a task or an allocation,
//! and the output of one wake-up leaves in one system call.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;

use contract::{field::INSTANCE, pattern};
use http2::{Code, Config, Connection, Error, Event, Key, Limits, Name, Prepared, Role, Settings};
use runtime::ready::{self, Ready};
use tokio::time::{Sleep, sleep};

use super::{
    Port,
    exchange::{self, Content, FieldWriter, Finished, Head, Pending, now_ns},
    flight::Flight,
    state::{Order, State},
    wire::{self, Ended},
};
use crate::{
    reply::{Abort, Answer, Awaited, Body, Chunks, Fixed, Part, Reply, Stream},
    stats::Protocol,
    upload::{Inbox, Upload, UploadError},
    worker::Worker,
};

/// While so much output waits, nothing more is read or sent.
const MOST_OUTPUT: usize = 256 << 10;
/// What one stream sends before another has its turn.
const TURN: usize = 64 << 10;
/// How long a client may take to answer the first GOAWAY of a drain.
const GOAWAY_PATIENCE: Duration = Duration::from_secs(2);
/// How often a connection reads and writes before others have their turn.
const ROUNDS: usize = 8;
/// What GOAWAY says to a client that has not moved for `--stall-timeout`.
const STALLED: &str = "nothing has moved for --stall-timeout";

/// Serves a connection until it ends; `first` was read already.
pub(super) async fn serve(port: Port, first: Vec<u8>, worker: &Rc<Worker>, state: &Rc<State>) {
    state.head_done();
    state.protocol.set(Some(Protocol::Http2));
    let mut driver = Driver {
        conn: Connection::new(&config(worker)),
        prepared: PreparedFields::default(),
        worker,
        state,
        port,
        slots: Vec::new(),
        keys: Vec::new(),
        ready: Ready::default(),
        fresh: Vec::new(),
        after_flush: Vec::new(),
        waiting: 0,
        rest: first,
        fresh_rest: true,
        told: None,
        error: None,
        ended: false,
        cut: None,
        given_up: false,
    };
    let how = poll_fn(|cx| driver.poll(cx)).await;
    state.stats.http2_ended(driver.error, driver.conn.counters());
    drop(driver);
    match how {
        Ended::Well => wire::linger(state, false).await,
        Ended::Refused => wire::linger(state, true).await,
        Ended::CutOff => wire::cut_off(state).await,
        Ended::Reset => wire::reset(state).await,
        Ended::Cut => {}
    }
}

fn config(worker: &Worker) -> Config {
    let (limits, http2) = (&worker.config.limits, &worker.config.http2);
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
        limits: Limits { block: limits.max_header_bytes as usize * 2, ..Limits::default() },
        ..Config::new(Role::Server)
    }
}

struct Driver<'a> {
    conn: Connection,
    prepared: PreparedFields,
    worker: &'a Rc<Worker>,
    state: &'a Rc<State>,
    port: Port,
    /// By the slot of a stream's key. Streams that were answered inline leave nothing here.
    slots: Vec<Slot>,
    /// A waker for each slot.
    keys: Vec<ready::Key>,
    /// The slots that were woken.
    ready: Ready,
    /// Streams whose endpoint has not been asked yet whether it can reply at once.
    fresh: Vec<Key>,
    /// Streams that go on when all output has been written.
    after_flush: Vec<Key>,
    /// How many streams wait for their endpoint or for time.
    waiting: usize,
    /// Read and not taken in: the beginning of a frame.
    rest: Vec<u8>,
    /// There is more in `rest` than was looked at.
    fresh_rest: bool,
    /// When the client was told to open no more streams.
    told: Option<Instant>,
    /// The rule or limit that the client broke.
    error: Option<Code>,
    /// The client sends nothing more.
    ended: bool,
    /// The connection ends like this, as soon as the output is written.
    cut: Option<Ended>,
    /// The client does nothing any more: the connection ends, whether or not the output can be written.
    given_up: bool,
}

/// What is kept of a stream between wake-ups.
#[derive(Default)]
struct Slot {
    id: u32,
    /// The client waits for 100 (Continue).
    expects_continue: bool,
    inbox: Option<Rc<Inbox>>,
    work: Work,
}

#[derive(Default)]
enum Work {
    #[default]
    None,
    /// The endpoint has not replied.
    Waiting(Pending, Awaited),
    /// The reply is being sent.
    Sending(Sending),
    /// The next chunk is awaited.
    Pausing(Sending, Pin<Box<Sleep>>),
    /// More content is awaited.
    Awaiting(Sending),
}

struct Sending {
    content: Content,
    /// What is left of the current chunk.
    chunk: Option<pattern::Range>,
    flight: Flight,
}

impl Driver<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.state.register(cx);
        self.ready.begin();
        if self.state.has_stalled(|| self.awaits_client()) {
            self.stalled();
        }
        if self.state.wants_sweep.get() {
            self.tick(now_ns());
        }
        let result = self.turn(cx);
        self.ready.end(cx);
        result
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..ROUNDS {
            if self.state.order() == Order::Close {
                return Poll::Ready(Ended::Cut);
            }
            if self.given_up {
                let written = wire::poll_output(self.state, &mut self.conn.output, cx);
                return Poll::Ready(if matches!(written, Poll::Ready(Ok(()))) {
                    Ended::Well
                } else {
                    Ended::Cut
                });
            }
            if let Some(how) = self.cut {
                let written = std::task::ready!(wire::poll_output(self.state, &mut self.conn.output, cx));
                return Poll::Ready(written.map_or(Ended::Cut, |()| how));
            }
            self.drain();
            self.wake_slots();
            self.send_ready();
            if self.cut.is_some() {
                continue;
            }
            match wire::poll_output(self.state, &mut self.conn.output, cx) {
                Poll::Ready(Ok(())) => {
                    let resumed = self.go_on_after_flush();
                    if self.is_over() {
                        let refused = self.conn.has_failed();
                        return Poll::Ready(if refused { Ended::Refused } else { Ended::Well });
                    }
                    // What is on the wire has made room for more.
                    if resumed || !self.conn.is_blocked() {
                        continue;
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::Cut),
                Poll::Pending if self.conn.output.len() >= MOST_OUTPUT => return Poll::Pending,
                Poll::Pending => {}
            }
            if self.ended || self.conn.has_failed() {
                return Poll::Pending;
            }
            match self.read(cx) {
                Poll::Pending => {
                    self.rest_a_while();
                    return Poll::Pending;
                }
                Poll::Ready(Ended::Well) => {}
                Poll::Ready(how) => return Poll::Ready(how),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
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
            self.given_up = true;
            return;
        }
        for slot in held_up {
            if let Some(inbox) = &slot.inbox {
                inbox.end(Err(UploadError::STALLED));
            }
        }
    }

    /// Reads once and takes in what came.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let worker = Rc::clone(self.worker);
        let mut buffer = worker.read_buffer.borrow_mut();
        let count = if std::mem::take(&mut self.fresh_rest) {
            buffer[..self.rest.len()].copy_from_slice(&self.rest);
            self.rest.len()
        } else {
            match std::task::ready!(wire::poll_read(self.state, &self.rest, &mut buffer, cx)) {
                Ok(count) if count == self.rest.len() => {
                    self.peer_ended();
                    return Poll::Ready(Ended::Well);
                }
                Ok(count) => count,
                Err(_) => return Poll::Ready(Ended::Cut),
            }
        };
        worker.lend(&mut self.conn.output);
        let now = now_ns();
        let mut input = &buffer[..count];
        let mut head = worker.http2_head.borrow_mut();
        loop {
            // Small requests may ask for large replies: what is left waits for its turn.
            if self.conn.output.len() >= MOST_OUTPUT {
                self.fresh_rest = !input.is_empty();
                break;
            }
            match self.conn.receive(&mut input, &mut head) {
                Ok(Some(event)) => self.happened(event, &head, now),
                Ok(None) => break,
                Err(error) => self.error = Some(error.code),
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        // Nothing was taken in of what began before: it is a head that comes slowly.
        let open = !input.is_empty() && !self.fresh_rest || self.conn.is_within_block();
        self.state.frame_open(open, input.len() == count);
        self.tick(now);
        drop(head);
        drop(buffer);
        self.ask_fresh();
        Poll::Ready(Ended::Well)
    }

    /// Tells the state machine the time; the sweep sees to it that this goes on while nothing is read.
    fn tick(&mut self, now: u64) {
        if let Err(error) = self.conn.tick(now / 1_000_000) {
            self.error = Some(error.code);
        }
        self.state.wants_sweep.set(self.conn.awaits_settings());
    }

    fn happened(&mut self, event: Event<'_>, head: &http2::Head, now: u64) {
        match event {
            Event::Request { stream, end } => self.request(stream, end, head, now),
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

    fn request(&mut self, key: Key, end: bool, fields: &http2::Head, now: u64) {
        let head = Head {
            method: fields.method(),
            target: if fields.is_too_large() { b"/" } else { fields.path() },
            origin: Some((fields.scheme().unwrap_or_default(), fields.authority().unwrap_or_default())),
            fields: fields.fields(),
            pseudo: fields.pseudo_fields(),
            protocol: Protocol::Http2,
            port: self.port,
            state: self.state,
        };
        if fields.is_too_large() {
            const REASON: &str = "the fields are longer than allowed";
            let (pending, reply) = exchange::reject(self.worker, &head, 431, REASON, now);
            return self.respond(key, pending, reply);
        }
        let inbox = (!end).then(Inbox::new);
        let upload = inbox.as_ref().map_or_else(Upload::none, Upload::from);
        let mut expects_continue = !end && head.fields.has_token("expect", "100-continue");
        let (mut pending, answer) = exchange::answer(self.worker, &head, upload, now);
        if let Some(manners) = pending.manners.take() {
            expects_continue &= !manners.withholds_continue;
            self.inform(key, &manners.interim);
        }
        match answer {
            Answer::Ready(reply) => {
                if inbox.is_some() && matches!(reply.body, Body::Stream(_)) {
                    self.slot(key).inbox = inbox;
                }
                self.respond(key, pending, reply);
            }
            Answer::Waiting(reply) => {
                self.waiting += 1;
                let slot = self.slot(key);
                slot.expects_continue = inbox.is_some() && expects_continue;
                slot.inbox = inbox;
                slot.work = Work::Waiting(pending, reply);
                self.fresh.push(key);
            }
        }
    }

    fn slot(&mut self, key: Key) -> &mut Slot {
        let index = key.slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        if slot.id != key.id {
            *slot = Slot { id: key.id, ..Slot::default() };
        }
        slot
    }

    /// What is kept of a stream, if it still is that stream.
    fn known(&mut self, key: Key) -> Option<&mut Slot> {
        self.slots.get_mut(key.slot as usize).filter(|slot| slot.id == key.id)
    }

    fn upload(&mut self, key: Key, data: &[u8], end: bool) {
        if !data.is_empty() {
            self.state.moved();
        }
        match self.known(key).and_then(|slot| slot.inbox.clone()) {
            Some(inbox) => {
                inbox.push(data);
                if end {
                    inbox.end(Ok(()));
                }
                self.conn.release(key, inbox.take_pulled());
            }
            None => self.conn.release(key, data.len()),
        }
    }

    /// The stream is no more.
    fn forget(&mut self, key: Key, why: &'static str) {
        let Some(slot) = self.known(key) else { return };
        let slot = std::mem::take(slot);
        if let Some(inbox) = slot.inbox {
            inbox.end(Err(UploadError::malformed(why)));
        }
        if slot.work.waits() {
            self.waiting -= 1;
        }
    }

    /// Asks endpoints whose request has come by now.
    fn ask_fresh(&mut self) {
        for key in std::mem::take(&mut self.fresh) {
            self.work_on(key);
        }
    }

    /// Goes on with those that were woken.
    fn wake_slots(&mut self) {
        let mut woken = Vec::new();
        if !self.ready.take(&mut woken) {
            return;
        }
        for slot in woken {
            self.keys[slot as usize].taken();
            if let Some(found) = self.slots.get(slot as usize) {
                let id = found.id;
                self.work_on(Key { slot, id });
            }
        }
    }

    /// Polls what a stream waits for.
    fn work_on(&mut self, key: Key) {
        let waker = self.waker(key);
        let mut cx = Context::from_waker(&waker);
        let Some(slot) = self.known(key) else { return };
        match std::mem::take(&mut slot.work) {
            Work::Waiting(pending, mut reply) => {
                let polled = reply.as_mut().poll(&mut cx);
                let pulled = slot.inbox.as_ref().map_or(0, |inbox| inbox.take_pulled());
                match polled {
                    Poll::Ready(reply) => {
                        self.waiting -= 1;
                        self.conn.release(key, pulled);
                        self.respond(key, pending, reply);
                    }
                    Poll::Pending => {
                        slot.work = Work::Waiting(pending, reply);
                        // Only who waits for the body wants it (RFC 9110 section 10.1.1).
                        let awaited = slot.inbox.as_ref().is_some_and(|inbox| inbox.is_awaited());
                        if awaited && std::mem::take(&mut slot.expects_continue) {
                            self.conn.head(key, false, |block| block.status(100));
                        }
                        self.conn.release(key, pulled);
                    }
                }
            }
            Work::Pausing(sending, mut delay) => match delay.as_mut().poll(&mut cx) {
                Poll::Ready(()) => {
                    slot.work = Work::Sending(sending);
                    self.waiting -= 1;
                    self.conn.want(key);
                }
                Poll::Pending => slot.work = Work::Pausing(sending, delay),
            },
            Work::Awaiting(sending) => {
                slot.work = Work::Sending(sending);
                self.waiting -= 1;
                self.conn.want(key);
            }
            other => slot.work = other,
        }
    }

    /// Sends informational replies.
    fn inform(&mut self, key: Key, interim: &[(u16, ::wire::Fields)]) {
        for (status, fields) in interim {
            self.conn.head(key, false, |block| {
                block.status(*status);
                fields.iter().for_each(|(name, value)| block.varying(name, value));
            });
        }
    }

    /// Sends a reply, or its beginning.
    fn respond(&mut self, key: Key, pending: Pending, reply: Reply) {
        if let Some(special) = &reply.special {
            if let Some(how) = special.abort {
                // Not even begun: the client may send it again (RFC 9113 section 8.7).
                return self.abort(key, how, key.id.saturating_sub(2));
            }
            if special.close {
                self.state.give(Order::Drain);
            }
        }
        let mut finished = pending.finish(reply);
        let content = std::mem::replace(&mut finished.content, Content::None);
        let nothing = matches!(content, Content::None);
        let prepared = &mut self.prepared;
        self.conn.head(key, nothing, |block| {
            block.status(finished.status());
            finished.write_fields(&mut Fields { block, prepared });
        });
        if nothing {
            return self.replied(key);
        }
        let Finished { mut flight, .. } = finished;
        // Most replies are short and fit at once.
        if let Content::Pattern { mut range, .. } = content {
            let (room, length) = (self.conn.data_room(key).min(TURN), range.left());
            if length <= room as u64 && self.send_range(key, &mut range, room, true) {
                flight.sent(length);
                return self.replied(key);
            }
            let content = Content::Pattern { range, sized: true };
            return self.send(key, Sending { content, chunk: None, flight });
        }
        self.send(key, Sending { content, chunk: None, flight });
    }

    /// Breaks off a stream, or the connection, with `last` as the last stream that was processed.
    fn abort(&mut self, key: Key, how: Abort, last: u32) {
        match how {
            Abort::ResetStream(code) => {
                if let Some(slot) = self.known(key) {
                    *slot = Slot::default();
                }
                return self.conn.reset(key, Code(code));
            }
            Abort::GoAway(code) => {
                http2::frame::goaway(self.conn.output.buffer(), last, code, b"");
                self.cut = Some(Ended::Well);
            }
            Abort::Close => self.cut = Some(Ended::CutOff),
            Abort::Reset => self.cut = Some(Ended::Reset),
        }
        self.state.wake();
    }

    /// The last byte of a reply is in the output.
    fn replied(&mut self, key: Key) {
        self.conn.finish(key);
        if let Some(slot) = self.known(key) {
            *slot = Slot::default();
        }
    }

    /// Sends content, as much as there is room for, and a turn's worth at most.
    fn send(&mut self, key: Key, mut sending: Sending) {
        let room = self.conn.data_room(key).min(TURN);
        if !sending.content.fits(room) {
            sending.flight.goes_on();
        }
        let flight = &mut sending.flight;
        let done = match &mut sending.content {
            Content::None => true,
            Content::Bytes(bytes) => {
                let part = bytes.split_to(room.min(bytes.len()));
                flight.sent(part.len() as u64);
                let done = bytes.is_empty();
                self.conn.data(key, part, done);
                done
            }
            Content::Pattern { range, .. } => {
                let before = range.left();
                let done = self.send_range(key, range, room, true);
                flight.sent(before - range.left());
                done
            }
            Content::Chunks(chunks) => {
                let mut chunk = match sending.chunk.take() {
                    Some(chunk) => chunk,
                    None => chunks.next().unwrap_or_else(|| chunks.range.clone()),
                };
                let (last, before) = (chunks.range.left() == 0, chunk.left());
                let done = self.send_range(key, &mut chunk, room, last);
                flight.sent(before - chunk.left());
                if done && !last {
                    let slot = self.slot(key);
                    slot.work = Work::Sending(sending);
                    self.after_flush.push(key);
                    return;
                }
                sending.chunk = Some(chunk);
                done
            }
            Content::Stream(stream, rest) => match self.send_stream(key, stream, rest, room, flight) {
                Streamed::All => true,
                Streamed::Part => false,
                Streamed::Aborted(how) => return self.abort(key, how, key.id),
                Streamed::Awaited => {
                    self.waiting += 1;
                    self.slot(key).work = Work::Awaiting(sending);
                    return;
                }
            },
        };
        if done {
            return self.replied(key);
        }
        self.slot(key).work = Work::Sending(sending);
        self.conn.want(key);
    }

    /// Sends what comes from a stream, as much as there is room for.
    fn send_stream(
        &mut self,
        key: Key,
        stream: &mut Box<dyn Stream>,
        rest: &mut Bytes,
        room: usize,
        flight: &mut Flight,
    ) -> Streamed {
        let mut room = room;
        let waker = self.waker(key);
        loop {
            if !rest.is_empty() {
                let part = rest.split_to(room.min(rest.len()));
                room -= part.len();
                flight.sent(part.len() as u64);
                self.conn.data(key, part, false);
                if !rest.is_empty() {
                    return Streamed::Part;
                }
            }
            let next = stream.poll_next(&mut Context::from_waker(&waker));
            // An endpoint that streams may go on reading meanwhile.
            let inbox = self.known(key).and_then(|slot| slot.inbox.clone());
            self.conn.release(key, inbox.map_or(0, |inbox| inbox.take_pulled()));
            match next {
                Poll::Pending => return Streamed::Awaited,
                Poll::Ready(Some(Part::Data(data))) => *rest = data,
                Poll::Ready(Some(Part::Trailers(trailers))) => {
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers.iter() {
                            block.varying(name, value);
                        }
                    });
                    return Streamed::All;
                }
                Poll::Ready(Some(Part::Abort(how))) => return Streamed::Aborted(how),
                Poll::Ready(Some(Part::Constant(trailers))) => {
                    self.conn.head(key, true, |block| {
                        for (name, value) in trailers {
                            block.constant(name.as_bytes(), value.as_bytes());
                        }
                    });
                    return Streamed::All;
                }
                Poll::Ready(None) => {
                    self.conn.data_static(key, b"", true);
                    return Streamed::All;
                }
            }
        }
    }

    fn waker(&mut self, key: Key) -> Waker {
        while self.keys.len() <= key.slot as usize {
            self.keys.push(self.ready.waker(self.keys.len() as u32));
        }
        self.keys[key.slot as usize].waker().clone()
    }

    /// Sends of a range what there is room for. True: nothing is left of it; `end` then ends the stream.
    fn send_range(&mut self, key: Key, range: &mut pattern::Range, room: usize, end: bool) -> bool {
        let mut room = room as u64;
        while room > 0 && range.left() > 0 {
            let piece = range.piece(room);
            room -= piece.len() as u64;
            self.conn.data_static(key, piece, end && range.left() == 0);
        }
        range.left() == 0
    }

    /// Lets streams send for which there is room, in turn.
    fn send_ready(&mut self) {
        while self.conn.output.len() < MOST_OUTPUT {
            let Some(key) = self.conn.next_ready() else { return };
            let Some(slot) = self.known(key) else { continue };
            match std::mem::take(&mut slot.work) {
                Work::Sending(sending) => self.send(key, sending),
                other => slot.work = other,
            }
        }
    }

    /// Chunks that wait until the one before is on the wire. True: there were some.
    fn go_on_after_flush(&mut self) -> bool {
        let keys = std::mem::take(&mut self.after_flush);
        let any = !keys.is_empty();
        for key in keys {
            let Some(slot) = self.known(key) else { continue };
            let Work::Sending(sending) = std::mem::take(&mut slot.work) else { continue };
            let delay = match &sending.content {
                Content::Chunks(Chunks { delay, .. }) => *delay,
                _ => Duration::ZERO,
            };
            if delay.is_zero() {
                slot.work = Work::Sending(sending);
                self.conn.want(key);
                continue;
            }
            slot.work = Work::Pausing(sending, Box::pin(sleep(delay)));
            self.waiting += 1;
            // Its clock runs from now on.
            self.work_on(key);
        }
        any
    }

    fn drain(&mut self) {
        if self.state.order() < Order::Drain {
            return;
        }
        match self.told {
            None if self.conn.open_streams() > 0 || self.state.may_close() => {
                self.conn.drain();
                self.told = Some(Instant::now());
                // Conversations end by themselves when they are told.
                self.ask_all();
            }
            Some(told) if told.elapsed() >= GOAWAY_PATIENCE && self.conn.open_streams() == 0 => {
                self.conn.finish_drain();
            }
            _ => {}
        }
    }

    /// Asks all that wait: the connection is about to end.
    fn ask_all(&mut self) {
        for slot in 0..self.slots.len() {
            let key = Key { slot: slot as u32, id: self.slots[slot].id };
            if matches!(self.slots[slot].work, Work::Awaiting(_) | Work::Waiting(..)) {
                self.work_on(key);
            }
        }
    }

    /// Whether all is said. The output is empty.
    fn is_over(&mut self) -> bool {
        if self.conn.has_failed() {
            return true;
        }
        if self.ended {
            // No window will come any more for those that wait for it.
            return self.waiting == 0 && self.after_flush.is_empty() && self.conn.is_blocked();
        }
        self.conn.is_drained() && self.conn.open_streams() == 0
    }

    /// The client has closed its end: requests that are complete are answered.
    fn peer_ended(&mut self) {
        self.ended = true;
        self.state.peer_ended();
        for slot in &self.slots {
            if let Some(inbox) = &slot.inbox {
                inbox.end(Err(UploadError::CLOSED));
            }
        }
        self.ask_all();
    }

    /// Nothing to do: gives back what an idle connection needs no memory for.
    fn rest_a_while(&mut self) {
        self.worker.take_back(&mut self.conn.output);
        if self.rest.is_empty() && self.conn.open_streams() == 0 {
            self.rest = Vec::new();
        }
    }
}

impl Slot {
    /// Whether its endpoint waits for the client's bytes.
    fn is_held_up(&self) -> bool {
        matches!(self.work, Work::Waiting(..)) && self.inbox.as_ref().is_some_and(|inbox| inbox.is_held_up())
    }
}

impl Work {
    /// Whether something else than the client's window is awaited.
    fn waits(&self) -> bool {
        matches!(self, Self::Waiting(..) | Self::Pausing(..) | Self::Awaiting(_))
    }
}

/// What came of sending a stream.
enum Streamed {
    /// It is complete.
    All,
    /// There is no room for more.
    Part,
    /// There is nothing to send yet.
    Awaited,
    /// It was broken off.
    Aborted(Abort),
}

/// Fields as HPACK.
struct Fields<'a, 'b> {
    block: &'a mut http2::Block<'b>,
    prepared: &'a mut PreparedFields,
}

/// The constant fields of the last kind of reply, encoded.
#[derive(Default)]
struct PreparedFields {
    of: Fixed,
    prepared: Prepared,
}

impl FieldWriter for Fields<'_, '_> {
    fn constants(&mut self, fixed: Fixed, instance: &str) {
        if !std::ptr::eq(self.prepared.of, fixed) {
            *self.prepared = PreparedFields { of: fixed, prepared: Prepared::default() };
        }
        self.block.prepared(&mut self.prepared.prepared, |block| {
            for (name, value) in fixed {
                block.constant(name.as_bytes(), value.as_bytes());
            }
            block.constant(INSTANCE.as_bytes(), instance.as_bytes());
        });
    }

    fn varying(&mut self, name: &str, value: &[u8]) {
        self.block.varying(name.as_bytes(), value);
    }

    fn varying_known(&mut self, name: &Name, value: &[u8]) {
        self.block.varying_known(name, value);
    }
}
