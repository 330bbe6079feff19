//! A connection as a state machine, for both roles: bytes in, [`Event`]s out, output in [`Connection::output`].
//!
//! It knows no socket and no clock, and keeps no content: what is received is lent to the caller, what is sent
//! is the caller's until there is window for it.

mod event;
mod receive;
mod send;
mod shutdown;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use wire::Output;

pub use self::event::{Counters, Event};
use crate::{
    error::{Code, Error},
    flow::{ReceiveWindow, SendWindow},
    frame,
    hpack::{Decoder, Encoder},
    limits::{Budgets, Limits, spend},
    settings::{Announced, Settings},
    streams::{Ended, Key, Stream, Streams, Windows},
};

/// What a connection by prior knowledge begins with, from the client (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest identifier of a stream.
const LARGEST_ID: u32 = (1 << 31) - 1;

/// The number of streams that have ended that may be in the queue of those with room, besides as many as are open.
const MOST_ENDED_READY: usize = 32;

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends requests.
    Client,
    /// Answers them.
    Server,
}

/// How this end wants the connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Which end it is.
    pub role: Role,
    /// What the peer is allowed.
    pub settings: Settings,
    /// The window of the connection as a whole, in bytes: 65,535 to 2^31 - 1.
    pub connection_window: u32,
    /// What is an attack.
    pub limits: Limits,
}

impl Config {
    /// A configuration with the document's initial values, except for pushing, which a client does not want.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let settings = Settings { enable_push: role == Role::Server, ..Settings::default() };
        Self { role, settings, connection_window: 65_535, limits: Limits::default() }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    settings: Announced,
    limits: Limits,
    budgets: Budgets,
    counters: Counters,
    remote: Settings,
    stage: Stage,
    continuing: Option<Continuing>,
    partial: Option<Partial>,
    broken_rule: &'static str,
    decoder: Decoder,
    encoder: Encoder,
    streams: Streams,
    send: SendWindow,
    receive: ReceiveWindow,
    /// Streams that want to send and had room when they came here.
    ready: VecDeque<Key>,
    /// Server: the highest identifier seen. Client: the last one used; 0 is none.
    highest: u32,
    /// Server: the highest identifier that was ignored, being above what GOAWAY has announced.
    ignored: u32,
    /// The last stream that GOAWAY from here has announced.
    announced: Option<u32>,
    /// The last stream that GOAWAY from there has announced.
    allowed: Option<u32>,
    unprocessed: VecDeque<Key>,
    /// When SETTINGS that are not acknowledged were first looked at, in the caller's milliseconds.
    settings_since: Option<u64>,
    budget_second: u64,
    /// Bytes of answers to control frames in the output, at most.
    answers: usize,
    failed: bool,
    /// What is to be written to the socket. The caller bounds it: as long as more waits than it likes, it
    /// neither reads nor sends.
    pub output: Output,
}

/// How far the peer's preface has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client's preface is awaited.
    Preface,
    /// The first SETTINGS are awaited.
    Settings,
    Open,
}

/// A field block whose end has not come.
#[derive(Debug)]
struct Continuing {
    stream: u32,
    end_stream: bool,
    depends_on_itself: bool,
    frames: u32,
    block: Vec<u8>,
}

/// DATA of which a part has arrived.
#[derive(Clone, Copy, Debug)]
struct Partial {
    stream: u32,
    left: usize,
    end: bool,
}

impl Connection {
    /// A new connection. Its preface is in the output.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut output = Output::new();
        if config.role == Role::Client {
            output.copy(PREFACE);
        }
        config.settings.write(output.buffer());
        let initial = Settings::default();
        let connection_window = config.connection_window.max(initial.initial_window_size);
        if let Some(more @ 1..) = config.connection_window.checked_sub(initial.initial_window_size) {
            frame::window_update(output.buffer(), 0, more);
        }
        Self {
            role: config.role,
            settings: Announced::new(config.settings),
            limits: config.limits,
            budgets: Budgets::new(&config.limits),
            counters: Counters::default(),
            remote: initial,
            stage: if config.role == Role::Server { Stage::Preface } else { Stage::Settings },
            continuing: None,
            partial: None,
            broken_rule: "",
            decoder: Decoder::new(config.settings.header_table_size as usize),
            encoder: Encoder::new(),
            streams: Streams::default(),
            send: SendWindow::new(initial.initial_window_size),
            receive: ReceiveWindow::new(connection_window, connection_window),
            ready: VecDeque::new(),
            highest: 0,
            ignored: 0,
            announced: None,
            allowed: None,
            unprocessed: VecDeque::new(),
            settings_since: None,
            budget_second: 0,
            answers: 0,
            failed: false,
            output,
        }
    }

    /// Takes the time, in milliseconds since any moment; once a second is often enough.
    ///
    /// # Errors
    /// The peer has not acknowledged SETTINGS in time (RFC 9113 section 6.5.3).
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Error> {
        if now_ms / 1000 != self.budget_second {
            self.budget_second = now_ms / 1000;
            self.budgets.second(&self.limits);
        }
        if self.failed || !self.settings.awaits_acknowledgement() {
            self.settings_since = None;
            return Ok(());
        }
        let since = *self.settings_since.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) <= self.limits.settings_timeout_ms {
            return Ok(());
        }
        Err(self.fail(Error::new(Code::SETTINGS_TIMEOUT, "SETTINGS were not acknowledged in time")))
    }

    /// Open streams.
    #[must_use]
    #[inline]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// What the peer allows.
    #[must_use]
    pub fn remote(&self) -> &Settings {
        &self.remote
    }

    /// Whether the peer's SETTINGS have arrived.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether a field block has begun and more of it is awaited.
    #[must_use]
    pub fn is_within_block(&self) -> bool {
        self.continuing.is_some()
    }

    /// Bytes that are kept of a field block whose end has not come.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.continuing.as_ref().map_or(0, |continuing| continuing.block.len())
    }

    /// Whether no stream can send: none wants to, or none has window.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.ready.is_empty() || self.send.room() == 0
    }

    /// Whether the peer has not acknowledged SETTINGS yet: [`Connection::tick`] then watches the time.
    #[must_use]
    pub fn awaits_settings(&self) -> bool {
        self.settings.awaits_acknowledgement()
    }

    /// What was met of the limits.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn remove(&mut self, key: Key, how: Ended) {
        let Some(held) = self.streams.remove(key, how) else { return };
        if how == Ended::Well {
            self.budgets.progress(&self.limits);
        }
        // What the caller has not released comes back to the connection with the stream's end.
        self.give_back(held as usize);
    }

    #[inline]
    fn give_back(&mut self, bytes: usize) {
        if bytes > 0
            && let Some(increment) = self.receive.used_of_shared(bytes)
        {
            frame::window_update(self.output.buffer(), 0, increment);
        }
    }

    /// Which rule the peer broke when a stream was last [reset](Event::Reset) by this end; empty before that. Not a part of
    /// the event, which most events would have to be larger for.
    #[must_use]
    pub fn broken_rule(&self) -> &'static str {
        self.broken_rule
    }

    /// Ends a stream on which the peer broke a rule.
    fn stream_error<'i>(
        &mut self,
        key: Key,
        code: Code,
        reason: &'static str,
    ) -> Result<Option<Event<'i>>, Error> {
        self.refuse(key.id, code)?;
        self.remove(key, Ended::ResetHere);
        self.broken_rule = reason;
        Ok(Some(Event::Reset { stream: key, code, by_peer: false }))
    }

    /// Resets a stream that is not open, or no longer, because the peer broke a rule on it.
    fn refuse(&mut self, id: u32, code: Code) -> Result<(), Error> {
        self.counters.stream_errors += 1;
        if !spend(&mut self.budgets.stream_errors) {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many streams that break rules"));
        }
        frame::rst_stream(self.output.buffer(), id, code.0);
        Ok(())
    }

    #[inline]
    fn new_stream(&mut self, id: u32) -> (Key, &mut Stream) {
        let windows = Windows {
            send: self.remote.initial_window_size,
            left: self.settings.bounds().window,
            size: self.settings.latest().initial_window_size,
        };
        self.streams.insert(id, windows)
    }

    /// Puts a stream that wants to send and has room into the queue.
    #[inline]
    fn enqueue(&mut self, key: Key) {
        // Streams that have ended in the queue must not pile up while the connection has no window.
        if self.ready.len() > 2 * self.streams.len() + MOST_ENDED_READY {
            let streams = &self.streams;
            self.ready.retain(|key| streams.peek(*key).is_some());
        }
        if let Some(stream) = self.streams.get(key)
            && stream.wants
            && !stream.queued
            && stream.send.room() > 0
        {
            stream.queued = true;
            self.ready.push_back(key);
        }
    }
}
