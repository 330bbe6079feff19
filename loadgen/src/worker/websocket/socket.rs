//! One WebSocket after its handshake: what was sent and waits for its echo, what is to be written, pings.
//!
//! It knows no stream and no HTTP: what carries it gives it bytes, and takes bytes from it.

use std::collections::VecDeque;

use contract::id::Ids;
use websocket::{Event, Reader, Role, code, opcode, write};

use super::{Handshaken, Messages, Sameness};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Failure, InFlight, Outcome},
    recorder::Carried,
    worker::connection::{Closed, Limits, Sink},
};

/// Messages whose echoes nobody waits for any longer: so many are remembered, so that a late echo is known as such.
const MAX_GIVEN_UP: usize = 1000;

/// What waits to be written is kept in one piece until so much of it has been written.
const COMPACT: usize = 64 << 10;

/// Room that is kept for output, in bytes.
const MAX_KEPT: usize = 256 << 10;

/// While so much waits to be written, pings of the server are not answered.
const MAX_PONGS: usize = 1 << 20;

/// While so much output waits, no more messages are taken.
const MAX_OUTPUT: usize = 256 << 10;

/// The most of a message that is shown.
const SHOWN: usize = 60;

/// A message that was sent.
#[derive(Debug)]
enum Sent {
    /// Its echo is waited for.
    InFlight(InFlight),
    /// Its echo may come, too late.
    GivenUp(Arrival),
    /// It has been echoed.
    Ended,
}

impl Sent {
    fn arrival(&self) -> Option<&Arrival> {
        match self {
            Self::InFlight(in_flight) => Some(&in_flight.arrival),
            Self::GivenUp(arrival) => Some(arrival),
            Self::Ended => None,
        }
    }
}

/// What a message that came is the echo of.
enum Echo {
    /// The message at this place.
    Of(usize),
    /// The message at this place, and it is not the same.
    WrongOf(usize),
    /// None.
    OfNothing,
}

#[derive(Debug)]
pub(super) struct Socket {
    reader: Reader,
    /// In the order in which they were sent.
    sent: VecDeque<Sent>,
    /// How many were sent before the first of them.
    base: u64,
    in_flight: usize,
    given_up: usize,
    /// When the oldest in flight was submitted, or one before that has ended since it was last looked for.
    oldest: Option<Nanos>,
    out: Vec<u8>,
    /// How much of `out` was taken.
    taken: usize,
    /// Bytes that were ever put into `out`, and taken out of it.
    produced: u64,
    consumed: u64,
    /// Where messages end among all bytes, with their places among all that were ever sent.
    ends: VecDeque<(u64, u64)>,
    next_ping: Nanos,
    /// When the ping was sent that has not been answered.
    pinged: Option<Nanos>,
    /// Whether a message was ever echoed.
    is_used: bool,
    /// Whether this end has sent a close frame.
    is_closing: bool,
    handshake: Handshaken,
}

impl Socket {
    /// One whose handshake is done.
    pub(super) fn new(messages: &Messages, handshake: Handshaken, now: Nanos) -> Self {
        Self {
            reader: Reader::new(
                Role::Client,
                websocket::Limits { message: 64 << 20, frame: 64 << 20, fragments: 1 << 20 },
            ),
            sent: VecDeque::new(),
            base: 0,
            in_flight: 0,
            given_up: 0,
            oldest: None,
            out: Vec::new(),
            taken: 0,
            produced: 0,
            consumed: 0,
            ends: VecDeque::new(),
            next_ping: now.saturating_add(messages.ping_interval),
            pinged: None,
            is_used: false,
            is_closing: false,
            handshake,
        }
    }

    /// How many messages wait for their echoes.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many more messages it takes now.
    pub(super) fn room(&self, limits: &Limits) -> usize {
        let is_open = !self.is_closing && self.output().len() < MAX_OUTPUT;
        if is_open { limits.messages.saturating_sub(self.in_flight) } else { 0 }
    }

    /// Whether a message was ever echoed on it.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// When the oldest in flight was submitted, or one before it.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.oldest
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
        } else if self.taken >= COMPACT {
            self.out.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// So much of the output was given to the kernel, then.
    pub(super) fn took(&mut self, count: usize, at: Nanos) {
        self.take_output(count);
        while let Some(place) = self.next_ended() {
            self.written(place, at);
        }
    }

    /// The place of the next message whose last byte was taken.
    pub(super) fn next_ended(&mut self) -> Option<u64> {
        let consumed = self.consumed;
        self.ends.pop_front_if(|(end, _)| *end <= consumed).map(|(_, place)| place)
    }

    /// The message of this place was given to the kernel.
    pub(super) fn written(&mut self, place: u64, at: Nanos) {
        let index = place.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        if let Some(Sent::InFlight(in_flight)) = index.and_then(|index| self.sent.get_mut(index)) {
            in_flight.arrival.written.get_or_insert(at);
        }
    }

    fn frame(&mut self, opcode: u8, content: &[u8]) {
        let before = self.out.len();
        write::frame(&mut self.out, opcode, true, content, Some(rand::random()));
        self.produced += (self.out.len() - before) as u64;
    }

    /// Sends a message.
    pub(super) fn send(&mut self, arrival: Arrival, now: Nanos, messages: &mut Messages, ids: Ids) {
        let mut content = std::mem::take(&mut messages.scratch);
        content.clear();
        messages.write(&arrival, ids, &mut content);
        self.frame(if messages.message.text { opcode::TEXT } else { opcode::BINARY }, &content);
        messages.scratch = content;
        self.ends.push_back((self.produced, self.base + self.sent.len() as u64));
        self.sent.push_back(Sent::InFlight(InFlight::new(arrival, now)));
        self.in_flight += 1;
        self.oldest = self.oldest.or(Some(now));
    }

    /// Sends a ping if one is due. One that is not answered until the next is due is waited for no longer.
    pub(super) fn ping_if_due(&mut self, now: Nanos, interval: Nanos) {
        if self.next_ping <= now && !self.is_closing {
            self.frame(opcode::PING, &now.to_be_bytes());
            self.pinged = Some(now);
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
        messages: &mut Messages,
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
                    if let Some(sent) = self.pinged.take_if(|sent| content == sent.to_be_bytes()) {
                        sink.pong(at, at.saturating_sub(sent));
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
                    let message = format!("the server broke the WebSocket protocol: {violation}");
                    return Err(Closed::by_loadgen(Failure::new(Cause::Protocol, message)));
                }
            }
        }
    }

    fn message(
        &mut self,
        text: bool,
        content: &[u8],
        messages: &mut Messages,
        ids: Ids,
        at: Nanos,
        sink: &mut impl Sink,
    ) {
        match self.echo(text, content, messages, ids) {
            Echo::Of(index) => {
                self.is_used = true;
                let Some(mut in_flight) = self.end(index) else { return };
                in_flight.reply.body(content);
                self.handshake.answered(&mut in_flight.reply);
                sink.ended(in_flight.ended(at, Outcome::Replied));
            }
            Echo::WrongOf(index) => {
                self.is_used = true;
                let Some(mut in_flight) = self.end(index) else { return };
                in_flight.reply.body(content);
                self.handshake.answered(&mut in_flight.reply);
                let failure =
                    Failure::new(Cause::WrongEcho, format!("the echo is another: {}", shown(text, content)));
                sink.ended(in_flight.ended(at, Outcome::Failed(&failure)));
            }
            Echo::OfNothing => sink.unsolicited(at, &shown(text, content)),
        }
    }

    /// Which message this is the echo of: of those that are the same, the one that was sent first.
    fn echo(&self, text: bool, content: &[u8], messages: &mut Messages, ids: Ids) -> Echo {
        let mut first = None;
        let waiting = self.sent.iter().enumerate().filter_map(|(index, sent)| Some((index, sent.arrival()?)));
        for (index, arrival) in waiting.take(messages.most_compared()) {
            first = first.or(Some(index));
            match messages.compare(arrival, ids, content) {
                Sameness::Same if text == messages.message.text => return Echo::Of(index),
                Sameness::Same | Sameness::SameId => return Echo::WrongOf(index),
                Sameness::Other => {}
            }
        }
        if messages.message.is_numbered() {
            let number = messages.number_of(content, ids);
            let is_of = |sent: &Sent| sent.arrival().is_some_and(|arrival| Some(arrival.number) == number);
            let Some(index) = self.sent.iter().position(is_of) else { return Echo::OfNothing };
            let sent = self.sent[index].arrival();
            let sameness = sent.map(|arrival| messages.compare(arrival, ids, content));
            let is_same = sameness == Some(Sameness::Same) && text == messages.message.text;
            return if is_same { Echo::Of(index) } else { Echo::WrongOf(index) };
        }
        // Nothing says which it would be: servers answer in order.
        first.map_or(Echo::OfNothing, Echo::WrongOf)
    }

    /// It has been echoed; nothing if it was given up before.
    fn end(&mut self, index: usize) -> Option<InFlight> {
        let sent = std::mem::replace(self.sent.get_mut(index)?, Sent::Ended);
        let ended = match sent {
            Sent::InFlight(in_flight) => {
                self.in_flight -= 1;
                Some(in_flight)
            }
            Sent::GivenUp(_) => {
                self.given_up -= 1;
                None
            }
            Sent::Ended => None,
        };
        self.forget();
        if self.in_flight == 0 {
            self.oldest = None;
        }
        ended
    }

    /// Drops what need not be remembered from the front.
    fn forget(&mut self) {
        while let Some(front) = self.sent.front() {
            match front {
                Sent::Ended => {}
                Sent::GivenUp(_) if self.given_up > MAX_GIVEN_UP => self.given_up -= 1,
                Sent::GivenUp(_) | Sent::InFlight(_) => return,
            }
            self.sent.pop_front();
            self.base += 1;
        }
    }

    /// Ends messages that have waited for their echoes for longer than `timeout`. True: there were some, and there is room
    /// again.
    pub(super) fn expire(&mut self, now: Nanos, timeout: Nanos, sink: &mut impl Sink) -> bool {
        if self.oldest.is_none_or(|oldest| oldest.saturating_add(timeout) > now) {
            return false;
        }
        let before = self.in_flight;
        self.oldest = None;
        for sent in &mut self.sent {
            let Sent::InFlight(in_flight) = sent else { continue };
            if in_flight.deadline(timeout) > now {
                self.oldest = Some(in_flight.submitted);
                break;
            }
            let arrival = in_flight.arrival;
            if let Sent::InFlight(in_flight) = std::mem::replace(sent, Sent::GivenUp(arrival)) {
                sink.ended(in_flight.ended(now, Outcome::TimedOut));
            }
            self.in_flight -= 1;
            self.given_up += 1;
        }
        self.forget();
        self.in_flight < before
    }

    /// Those whose echoes are waited for.
    pub(super) fn take_in_flight(&mut self) -> impl Iterator<Item = InFlight> + use<> {
        self.in_flight = 0;
        std::mem::take(&mut self.sent).into_iter().filter_map(|sent| match sent {
            Sent::InFlight(in_flight) => Some(in_flight),
            Sent::GivenUp(_) | Sent::Ended => None,
        })
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
