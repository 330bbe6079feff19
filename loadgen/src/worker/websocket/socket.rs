//! One WebSocket after its handshake: what was sent and waits for its echo, what is to be written, pings.
//!
//! It knows no stream and no HTTP: what carries it gives it bytes, and takes bytes from it.

use std::collections::VecDeque;

use contract::id::Ids;
use websocket::{Event, Reader, Role, code, opcode, write};

use super::{
    messages::{Handshaken, SocketMessages},
    sent::{Echo, SentMessages},
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, InFlight, Outcome},
    recorder::Carried,
    worker::connection::{Closed, Limits, Sink},
};

/// What waits to be written is kept in one piece until so much of it has been written, and half of it.
const COMPACT: usize = 64 << 10;

/// Room that is kept for output, in bytes.
const MAX_KEPT: usize = 256 << 10;

/// While so much waits to be written, pings of the server are not answered.
const MAX_PONGS: usize = 1 << 20;

/// While so much output waits, no more messages are taken.
const MAX_OUTPUT: usize = 256 << 10;

/// The maximum number of pings that may be without an answer at a time; beyond, the first is forgotten.
const MAX_PINGS: usize = 1000;

/// The maximum number of bytes that are shown of a message.
const SHOWN: usize = 60;

#[derive(Debug)]
pub(super) struct Socket {
    reader: Reader,
    sent: SentMessages,
    out: Vec<u8>,
    /// How much of `out` was taken.
    taken: usize,
    /// Bytes that were ever put into `out`, and taken out of it.
    produced: u64,
    consumed: u64,
    /// Where messages end among all bytes, with their numbers.
    ends: VecDeque<(u64, u64)>,
    next_ping: Nanos,
    /// When the pings were sent that have not been answered.
    pinged: VecDeque<Nanos>,
    /// Whether a message was ever echoed, or waited for until its timeout.
    is_used: bool,
    /// Whether echoes can't be distinguished any more: one of messages without numbers is missing.
    is_out_of_step: bool,
    /// Whether messages say which they are.
    is_numbered: bool,
    /// Whether this end has sent a close frame.
    is_closing: bool,
    handshake: Handshaken,
}

impl Socket {
    /// One whose handshake is done.
    pub(super) fn new(messages: &SocketMessages, handshake: Handshaken, now: Nanos) -> Self {
        Self {
            reader: Reader::new(
                Role::Client,
                websocket::Limits {
                    message: messages.longest,
                    frame: messages.longest as u64,
                    fragments: 1 << 20,
                },
            ),
            sent: SentMessages::default(),
            out: Vec::new(),
            taken: 0,
            produced: 0,
            consumed: 0,
            ends: VecDeque::new(),
            next_ping: now.saturating_add(messages.ping_interval),
            pinged: VecDeque::new(),
            is_used: false,
            is_out_of_step: false,
            is_numbered: messages.message.is_numbered(),
            is_closing: false,
            handshake,
        }
    }

    /// How many messages wait for their echoes.
    pub(super) fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// How many more messages it takes now.
    pub(super) fn room(&self, limits: &Limits) -> usize {
        let is_open = !self.is_closing && !self.is_out_of_step && self.output().len() < MAX_OUTPUT;
        if is_open { limits.messages.saturating_sub(self.sent.len()) } else { 0 }
    }

    /// Whether a message was ever echoed on it, or waited for until its timeout.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// When the oldest in flight was submitted.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.sent.oldest()
    }

    /// Why it has to be closed by this end, if it has.
    pub(super) fn out_of_step(&self) -> Option<Failure> {
        let message = "loadgen closed the WebSocket: an echo is missing, and those of messages without numbers can't be distinguished";
        self.is_out_of_step.then(|| Failure::new(Cause::ClosedEarly, message))
    }

    /// When the next ping is due.
    pub(super) fn next_ping(&self) -> Nanos {
        self.next_ping
    }

    /// What waits to be written.
    pub(super) fn output(&self) -> &[u8] {
        &self.out[self.taken..]
    }

    /// So much of the output has been taken.
    pub(super) fn take_output(&mut self, count: usize) {
        self.taken += count;
        self.consumed += count as u64;
        if self.taken == self.out.len() {
            self.taken = 0;
            self.out.clear();
            if self.out.capacity() > MAX_KEPT {
                self.out = Vec::new();
            }
        } else if self.taken >= COMPACT && self.taken * 2 >= self.out.len() {
            self.out.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// So much of the output was given to the kernel, then.
    pub(super) fn took(&mut self, count: usize, at: Nanos) {
        self.take_output(count);
        while let Some(number) = self.next_ended() {
            self.written(number, at);
        }
    }

    /// The number of the next message whose last byte was taken.
    pub(super) fn next_ended(&mut self) -> Option<u64> {
        let consumed = self.consumed;
        self.ends.pop_front_if(|(end, _)| *end <= consumed).map(|(_, number)| number)
    }

    /// The message of this number was given to the kernel.
    pub(super) fn written(&mut self, number: u64, at: Nanos) {
        if let Some(in_flight) = self.sent.get_mut(number) {
            in_flight.arrival.written.get_or_insert(at);
        }
    }

    fn frame(&mut self, opcode: u8, content: &[u8]) {
        let before = self.out.len();
        write::frame(&mut self.out, opcode, true, content, Some(rand::random()));
        self.produced += (self.out.len() - before) as u64;
    }

    /// Sends a message.
    pub(super) fn send(&mut self, arrival: Arrival, now: Nanos, messages: &mut SocketMessages, ids: Ids) {
        let mut content = std::mem::take(&mut messages.scratch);
        content.clear();
        messages.write(&arrival, ids, &mut content);
        self.frame(if messages.message.text { opcode::TEXT } else { opcode::BINARY }, &content);
        messages.scratch = content;
        self.ends.push_back((self.produced, arrival.number));
        self.sent.push(InFlight::new(arrival, now));
    }

    /// Sends a ping if one is due.
    pub(super) fn ping_if_due(&mut self, now: Nanos, interval: Nanos, sink: &mut impl Sink) {
        if self.next_ping <= now && !self.is_closing {
            self.frame(opcode::PING, &now.to_be_bytes());
            if self.pinged.len() == MAX_PINGS {
                self.pinged.pop_front();
            }
            self.pinged.push_back(now);
            sink.pinged(now);
            self.next_ping = now.saturating_add(interval);
        }
    }

    /// Says that this end closes, unless it has.
    pub(super) fn close(&mut self, code: u16) {
        if !std::mem::replace(&mut self.is_closing, true) {
            let before = self.out.len();
            write::close(&mut self.out, code, "", Some(rand::random()));
            self.produced += (self.out.len() - before) as u64;
        }
    }

    /// Takes in what has come. An error: that was the end.
    pub(super) fn receive(
        &mut self,
        mut input: &[u8],
        messages: &mut SocketMessages,
        ids: Ids,
        at: Nanos,
        carried: &mut Carried,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        loop {
            match self.reader.read(&mut input) {
                Ok(None) if input.is_empty() => return Ok(()),
                Ok(None | Some(Event::Fragment)) => {}
                Ok(Some(Event::Message { text, content })) => {
                    carried.bodies += content.len() as u64;
                    self.message(text, &content, messages, ids, at, sink);
                }
                Ok(Some(Event::Ping(content))) => {
                    if self.output().len() < MAX_PONGS && !self.is_closing {
                        self.frame(opcode::PONG, &content);
                    }
                }
                Ok(Some(Event::Pong(content))) => {
                    let is_of = |sent: &Nanos| content == sent.to_be_bytes();
                    if let Some(place) = self.pinged.iter().position(is_of) {
                        // A pong may also stand for pings before it (RFC 6455 section 5.5.3): those are not answered.
                        if let Some(sent) = self.pinged.drain(..=place).next_back() {
                            sink.pong(sent, at.saturating_sub(sent));
                        }
                    }
                }
                Ok(Some(Event::Close(close))) => {
                    self.close(close.code().unwrap_or(code::NORMAL));
                    let said = match close.code() {
                        Some(code) => format!(": {code} {}", close.reason().escape_debug()),
                        None => String::new(),
                    };
                    let message = format!("the server closed the WebSocket{}", said.trim_end());
                    return Err(Closed::by_server(Failure::new(Cause::ClosedEarly, message)));
                }
                Err(violation) => {
                    self.close(violation.code());
                    let message = match violation.code() {
                        code::MESSAGE_TOO_BIG => {
                            format!(
                                "the server sent a message that is longer than any echo: more than {} bytes",
                                messages.longest
                            )
                        }
                        _ => format!("the server broke the WebSocket protocol: {violation}"),
                    };
                    return Err(Closed::by_loadgen(Failure::new(Cause::Protocol, message)));
                }
            }
        }
    }

    /// The echo of this message has come, perhaps behind that of a later one.
    fn note_order(&mut self, number: u64, sink: &mut impl Sink) {
        match self.sent.is_behind(number) {
            Some(false) => {}
            Some(true) => sink.came_behind(number),
            None => sink.order_unknown(),
        }
    }

    fn message(
        &mut self,
        text: bool,
        content: &[u8],
        messages: &mut SocketMessages,
        ids: Ids,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        let (number, failure) = match self.sent.find(text, content, messages, ids) {
            Echo::Of(number) => {
                if messages.message.is_verified() {
                    self.note_order(number, sink);
                }
                (number, None)
            }
            // Its number may be what has changed.
            Echo::WrongOf(number) => {
                let difference = self
                    .sent
                    .get_mut(number)
                    .map(|InFlight { arrival, .. }| messages.difference(arrival, ids, text, content));
                let message = format!(
                    "the echo is another: {}{}",
                    shown(text, content),
                    difference.unwrap_or_default()
                );
                (number, Some(Failure::new(Cause::WrongEcho, message)))
            }
            Echo::Late(number) => {
                self.is_used = true;
                sink.came_late(number);
                if messages.message.is_verified() {
                    self.note_order(number, sink);
                }
                return self.sent.end_late(number);
            }
            Echo::Stray(number) => {
                sink.strayed(number);
                return sink.unsolicited(at, || shown(text, content));
            }
            Echo::OfNothing => return sink.unsolicited(at, || shown(text, content)),
        };
        self.is_used = true;
        let Some(mut in_flight) = self.sent.end(number) else { return };
        if messages.message.is_verified() {
            let arrival = in_flight.arrival;
            let wrong = failure.as_ref().map(|_| messages.damage(&arrival, ids, content));
            in_flight.echoed(self.handshake.epoch(), wrong);
        }
        // Nothing leads elsewhere: this is not a redirect.
        let _ = in_flight.reply.body(content);
        self.handshake.answered(&mut in_flight.reply);
        sink.ended(in_flight.ended(at, failure.as_ref().map_or(Outcome::Replied, Outcome::Failed)));
    }

    /// Ends messages that have waited for their echoes for longer than `timeout`. True: there were some, and there is room
    /// again.
    pub(super) fn expire(&mut self, now: Nanos, timeout: Nanos, sink: &mut impl Sink) -> bool {
        let Some(since) = now.checked_sub(timeout) else { return false };
        let before = self.sent.len();
        while let Some(mut in_flight) = self.sent.give_up(since, self.is_numbered) {
            sink.ended(in_flight.ended(now, Outcome::TimedOut));
        }
        let has_ended = self.sent.len() < before;
        self.is_used |= has_ended;
        self.is_out_of_step |= has_ended && !self.is_numbered;
        has_ended
    }

    /// Those whose echoes are waited for.
    pub(super) fn take_in_flight(&mut self) -> impl Iterator<Item = InFlight> + use<> {
        self.sent.take_all()
    }
}

/// The beginning of a message, for people.
fn shown(text: bool, content: &[u8]) -> String {
    let kind = if text { "text" } else { "binary" };
    let begin = &content[..content.len().min(SHOWN)];
    let more = if content.len() > SHOWN { "..." } else { "" };
    match std::str::from_utf8(begin) {
        Ok(begin) => format!("{kind} of {} bytes, '{}{more}'", content.len(), begin.escape_debug()),
        Err(_) => format!("{kind} of {} bytes, '{}{more}'", content.len(), begin.escape_ascii()),
    }
}
