//! A request and its reply, kept to be shown.

use super::{
    Arrival, CallEnd, Cause, Ended, Failure, Head, Outcome, Reply,
    encoding::{self, Decoded},
    reply::lines,
};
use crate::clock::Nanos;

/// The longest body that is kept, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Informational heads are kept until they have this many bytes; a server may send any number of them.
const MAX_INFORMATIONAL: usize = 256 << 10;

/// What has come of a reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    /// Informational heads (1xx), each with an empty line behind it.
    pub(crate) informational: String,
    /// How many informational heads were left out.
    pub(crate) left_out: u64,
    /// The final head with an empty line behind it; empty: none has come.
    pub(crate) head: String,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
    /// The trailers, each with a line end.
    pub(crate) trailers: String,
    /// What the body is compressed with, if it is.
    encoding: Option<String>,
}

impl Capture {
    pub(super) fn informational(&mut self, head: &Head<'_>) {
        if self.informational.len() < MAX_INFORMATIONAL {
            self.informational.push_str(&head.text());
            self.informational.push('\n');
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn head(&mut self, head: &Head<'_>) {
        self.head = head.text();
        self.head.push('\n');
        self.encoding = encoding::of(head.fields());
    }

    /// The body as it was before it was compressed, if it was.
    ///
    /// # Errors
    /// It can't be decoded, and why.
    pub(crate) fn decoded(&self, length: u64) -> Result<Option<Decoded>, String> {
        let is_cut = length > self.body.len() as u64;
        let encoding = self.encoding.as_ref().filter(|_| !self.body.is_empty());
        encoding.map(|encoding| encoding::decoded(encoding, &self.body, is_cut, MAX_BODY)).transpose()
    }

    pub(super) fn body(&mut self, part: &[u8]) {
        let room = MAX_BODY - self.body.len();
        self.body.extend_from_slice(&part[..part.len().min(room)]);
    }

    pub(super) fn trailers<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) {
        self.trailers = lines(fields);
    }
}

/// A request that has ended, with what came of its reply.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The request as it was sent last.
    pub(crate) arrival: Arrival,
    /// The status of the reply, if one has begun.
    pub(crate) status: Option<u16>,
    /// How the gRPC call ended, if it was one and has.
    pub(crate) call: Option<CallEnd>,
    /// Bytes of the reply's body.
    pub(crate) length: u64,
    pub(crate) capture: Capture,
    /// Wait and service time, if it was written.
    pub(crate) times: Option<(Nanos, Nanos)>,
    /// Why the reply is not complete, unless it is.
    pub(crate) failure: Option<Incomplete>,
    /// Whether the server has answered, be it wrong.
    pub(crate) is_answered: bool,
}

impl Exchange {
    /// Why its reply is not complete, for people.
    pub(crate) fn why_incomplete(&self) -> String {
        match &self.failure {
            Some(Incomplete::Failed(why)) => why.clone(),
            Some(Incomplete::TimedOut) => "no complete reply within --timeout".to_owned(),
            Some(Incomplete::GivenUp) | None => "no complete reply".to_owned(),
        }
    }
}

/// Why a reply is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incomplete {
    /// The request or its connection failed.
    Failed(String),
    /// It took too long.
    TimedOut,
    /// It was given up.
    GivenUp,
}

impl From<Ended<'_>> for Exchange {
    fn from(ended: Ended<'_>) -> Self {
        let arrival = ended.in_flight.arrival;
        let reply = std::mem::take(&mut ended.in_flight.reply);
        let Reply { mut status, length, .. } = reply;
        let (mut capture, call) = reply.into_shown();
        let is_wrong = |failure: &Failure| failure.cause == Cause::WrongEcho;
        let is_answered = match ended.outcome {
            Outcome::Replied => true,
            Outcome::Failed(failure) => status != 0 || failure.answer.is_some() || is_wrong(failure),
            Outcome::TimedOut | Outcome::Abandoned => status != 0,
        };
        if let Outcome::Failed(Failure { answer: Some(answer), .. }) = ended.outcome {
            status = answer.status;
            capture.head = format!("{}\n", answer.head);
        }
        let failure = match ended.outcome {
            Outcome::Replied => None,
            Outcome::Failed(failure) => {
                Some(Incomplete::Failed(format!("{}: {}", failure.cause, failure.message)))
            }
            Outcome::TimedOut => Some(Incomplete::TimedOut),
            Outcome::Abandoned => Some(Incomplete::GivenUp),
        };
        let times = arrival
            .written
            .map(|written| (written.saturating_sub(arrival.picked), ended.at.saturating_sub(written)));
        Self {
            arrival,
            status: (status != 0).then_some(status),
            call,
            length,
            capture,
            times,
            failure,
            is_answered,
        }
    }
}
