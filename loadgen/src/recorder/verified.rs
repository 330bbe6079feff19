//! What happened to each request of a verified run, as far as this end knows: two bits for each number, and entries of what was
//! out of the ordinary.

use std::collections::BTreeMap;

use contract::{
    id::{Id, Ids},
    ledger::{Pages, ReplyHead, Seen, State, is_sampled},
};

use super::split::Split;
use crate::{
    clock::Nanos,
    outcome::{Arrival, Cause, Damage, Ended, Failure, Outcome, TokenEcho},
};

/// The maximum number of starts of servers that are distinguished.
pub(crate) const MAX_EPOCHS: usize = 1024;

/// How many entries a worker keeps.
pub(super) const MAX_HURT: usize = 16 << 10;

/// What happened to a request, in the two bits of its number.
pub(crate) mod fate {
    use contract::ledger::State;

    /// There is no complete reply.
    pub(crate) const UNANSWERED: State = State::of_bits(1);
    /// The reply says that it is the one to this request.
    pub(crate) const ANSWERED: State = State::of_bits(2);
    /// There is a reply that does not say so.
    pub(crate) const OTHERWISE: State = State::of_bits(3);
}

/// Why, of those that are not answered by their own reply.
pub(crate) mod reason {
    use contract::ledger::State;

    /// Unanswered: its head has not left. Otherwise: the reply says nothing of a token.
    pub(crate) const UNWRITTEN_OR_NO_TOKEN: State = State::of_bits(1);
    /// Unanswered: nothing came back. Otherwise: the reply is another request's, of this run.
    pub(crate) const NOTHING_OR_OTHER: State = State::of_bits(2);
    /// Unanswered: a reply had begun. Otherwise: the reply is one of another run.
    pub(crate) const BEGUN_OR_OTHER_RUN: State = State::of_bits(3);
}

/// What one request has met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hurt {
    pub(crate) number: u64,
    /// The index of the plan's request.
    pub(crate) request: u32,
    /// When it was due, by the run's clock.
    pub(crate) due: Nanos,
    /// Of the reply; 0 without one.
    pub(crate) status: u16,
    /// Why there is no complete reply.
    pub(crate) cause: Option<Cause>,
    /// Bytes of the reply's body.
    pub(crate) length: u64,
    /// The status that the server gave the reply, where it came with another.
    pub(crate) given_status: Option<u16>,
    /// The number of the request of this run whose reply it is.
    pub(crate) other: Option<u64>,
    pub(crate) damage: Option<Damage>,
}

/// A request whose head is compared with what servers have seen.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    /// As it was sent first.
    pub(crate) arrival: Arrival,
    /// The server whose reply came to what was sent first, and the head of that.
    pub(crate) reply: Option<(u32, ReplyHead)>,
}

/// What this end knows of all requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified {
    pub(crate) fates: Pages,
    pub(crate) reasons: Pages,
    /// Those that loadgen gave up after `--timeout`.
    pub(crate) given_up: Pages,
    /// Those that a server has refused to process, in each attempt.
    pub(crate) refused: Pages,
    /// Those whose reply names a server and says nothing of their token, which was lost on the way there or back.
    pub(crate) token_lost: Pages,
    /// Messages whose echoes have come unexpected, and those that were not waited for any longer.
    pub(crate) strays: Pages,
    /// Messages whose echoes have come behind those of later ones.
    pub(crate) behind: Pages,
    /// Echoes whose order was not compared.
    pub(crate) unordered: u64,
    /// Whether messages are sent on WebSockets: one that has timed out is not taken back, and its echo may come late.
    pub(crate) are_messages: bool,
    /// Replies of servers that have not said which they are.
    pub(crate) unplaced: u64,
    /// Replies by the epoch of the server, of the first [`MAX_EPOCHS`].
    pub(crate) epochs: BTreeMap<u32, u64>,
    /// Replies with other epochs.
    pub(crate) other_epochs: u64,
    /// The epoch of the last replies, and how many there were.
    last: (u32, u64),
    pub(crate) hurt: Vec<Hurt>,
    /// Where the time went.
    pub(crate) split: Split,
    /// Bodies that ended too early, and that are not those of their numbers.
    pub(crate) truncated: u64,
    pub(crate) corrupted: u64,
    /// Replies that came with another status than the server gave them, by the one that came.
    pub(crate) restatused: BTreeMap<u16, u64>,
    /// Bodies in a content coding, which were not compared.
    pub(crate) encoded: u64,
    /// One for each number that is sampled and was sent.
    pub(crate) samples: Vec<Sampled>,
}

impl Verified {
    /// Of requests, or of messages.
    pub(crate) fn of(are_messages: bool) -> Self {
        Self { are_messages, ..Self::default() }
    }

    /// A request has ended.
    #[inline]
    pub(crate) fn ended(&mut self, ended: &Ended<'_>, ids: Ids) {
        let in_flight = &ended.in_flight;
        if is_sampled(ids.run, in_flight.arrival.number) {
            self.sample(ended);
        }
        if let (Outcome::Replied, TokenEcho::Own { epoch }) = (ended.outcome, in_flight.reply.token) {
            let number = in_flight.arrival.number;
            if !self.fates.advance(number, State::UNSEEN, fate::ANSWERED) {
                self.fates.set(number, fate::ANSWERED);
            }
            if epoch != self.last.0 {
                self.settle();
                self.last.0 = epoch;
            }
            self.last.1 += 1;
            self.encoded += u64::from(in_flight.reply.is_encoded());
            if in_flight.damage().is_none() && !in_flight.reply.is_restatused() {
                return;
            }
        }
        self.hurt(ended, ids);
    }

    #[cold]
    fn sample(&mut self, ended: &Ended<'_>) {
        let (arrival, reply) = (ended.in_flight.arrival, &ended.in_flight.reply);
        if arrival.written.is_none() {
            return;
        }
        let reply = match (reply.token, reply.sampled_head()) {
            (TokenEcho::Own { epoch }, Some(head)) => {
                let mut head = head.clone();
                if matches!(ended.outcome, Outcome::Replied) {
                    // Of one that is whole, it is known that there were none.
                    head.trailers.get_or_insert_default();
                }
                Some((epoch, head))
            }
            _ => None,
        };
        self.samples.push(Sampled { arrival: Arrival { resends: 0, chain: 0, ..arrival }, reply });
    }

    #[cold]
    fn hurt(&mut self, ended: &Ended<'_>, ids: Ids) {
        let (arrival, reply) = (&ended.in_flight.arrival, &ended.in_flight.reply);
        let is_written = arrival.written.is_some();
        let is_of_this = |id: &Id| (id.run, id.load) == (ids.run, ids.load);
        let other = Seen::read(reply.other()).map(|seen| seen.id).filter(is_of_this);
        let is_wrong = |failure: &Failure| failure.cause == Cause::WrongEcho;
        // A reply that is cut breaks off, and is not undecodable.
        let is_undecodable = reply.is_undecodable() && matches!(reply.token, TokenEcho::Own { .. });
        let is_replied = match ended.outcome {
            Outcome::Replied => true,
            Outcome::Failed(failure) => is_wrong(failure) && reply.token != TokenEcho::None || is_undecodable,
            Outcome::TimedOut | Outcome::Abandoned => false,
        };
        if let (false, TokenEcho::Own { epoch }) = (is_replied, reply.token) {
            // It has begun to reply, so it has seen the request.
            self.replied(epoch, 1);
        }
        let fate = match (is_replied, reply.token) {
            (true, TokenEcho::Own { epoch }) => {
                if !matches!(ended.outcome, Outcome::Replied) {
                    self.fates.set(arrival.number, fate::ANSWERED);
                    self.replied(epoch, 1);
                }
                None
            }
            (true, TokenEcho::Missing | TokenEcho::None | TokenEcho::Refused) => {
                Some((fate::OTHERWISE, reason::UNWRITTEN_OR_NO_TOKEN))
            }
            (true, TokenEcho::Other) => {
                let reason =
                    if other.is_some() { reason::NOTHING_OR_OTHER } else { reason::BEGUN_OR_OTHER_RUN };
                Some((fate::OTHERWISE, reason))
            }
            // It was never sent, and nothing is claimed of it.
            (false, _) if !is_written && matches!(ended.outcome, Outcome::Abandoned) => return,
            (false, _) if reply.status != 0 => Some((fate::UNANSWERED, reason::BEGUN_OR_OTHER_RUN)),
            (false, _) if is_written => Some((fate::UNANSWERED, reason::NOTHING_OR_OTHER)),
            (false, _) => Some((fate::UNANSWERED, reason::UNWRITTEN_OR_NO_TOKEN)),
        };
        if let Some((fate, reason)) = fate {
            self.fates.set(arrival.number, fate);
            if matches!(ended.outcome, Outcome::TimedOut) && !self.are_messages {
                self.given_up.set(arrival.number, State::OPEN);
            }
            if reply.token == TokenEcho::Refused {
                self.refused.set(arrival.number, State::OPEN);
            }
            if reply.token == TokenEcho::Missing && reply.instance.is_some() {
                self.token_lost.set(arrival.number, State::OPEN);
            }
            self.reasons.set(arrival.number, reason);
        }
        // Another status of HTTP is the server's own, or has changed, which is a finding of its own.
        let has_changed = is_undecodable && reply.status == 200;
        let damage = has_changed.then_some(Damage::Undecodable).or_else(|| ended.in_flight.damage());
        let damage = damage.filter(|_| is_replied);
        match damage {
            Some(Damage::Truncated(..)) => self.truncated += 1,
            Some(Damage::Corrupted(_) | Damage::Undecodable) => self.corrupted += 1,
            None => {}
        }
        let given_status = reply.given_status();
        if given_status.is_some() {
            *self.restatused.entry(reply.status).or_default() += 1;
        }
        if self.hurt.len() < MAX_HURT {
            self.hurt.push(Hurt {
                number: arrival.number,
                request: arrival.request,
                due: arrival.due,
                status: reply.status,
                cause: match ended.outcome {
                    Outcome::Replied | Outcome::Abandoned => None,
                    Outcome::Failed(Failure { cause, .. }) => Some(*cause),
                    Outcome::TimedOut => Some(Cause::Timeout),
                },
                length: reply.length,
                given_status,
                other: other.map(|id| id.number),
                damage,
            });
        }
    }

    /// The echo of the message of this number has come unexpected.
    #[cold]
    pub(crate) fn strayed(&mut self, number: u64) {
        self.strays.set(number, State::WHOLE);
    }

    /// The echo of the message of this number has come after it was given up.
    #[cold]
    pub(crate) fn came_late(&mut self, number: u64) {
        self.given_up.set(number, State::OPEN);
    }

    /// The echo of the message of this number has come behind that of a later one.
    #[cold]
    pub(crate) fn came_behind(&mut self, number: u64) {
        self.behind.set(number, State::WHOLE);
    }

    /// An echo has come whose order can't be compared.
    #[cold]
    pub(crate) fn order_unknown(&mut self) {
        self.unordered += 1;
    }

    /// Counts the last replies among those of their server.
    pub(crate) fn settle(&mut self) {
        let (epoch, count) = std::mem::take(&mut self.last);
        self.replied(epoch, count);
    }

    fn replied(&mut self, epoch: u32, count: u64) {
        if count == 0 {
            return;
        }
        if epoch == 0 {
            self.unplaced += count;
            return;
        }
        if self.epochs.len() >= MAX_EPOCHS && !self.epochs.contains_key(&epoch) {
            self.other_epochs += count;
        } else {
            *self.epochs.entry(epoch).or_default() += count;
        }
    }

    /// Adds what another worker knows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.fates.merge(&other.fates, |_, _, _| {});
        self.reasons.merge(&other.reasons, |_, _, _| {});
        self.given_up.merge(&other.given_up, |_, _, _| {});
        self.refused.merge(&other.refused, |_, _, _| {});
        self.token_lost.merge(&other.token_lost, |_, _, _| {});
        self.strays.merge(&other.strays, |_, _, _| {});
        self.behind.merge(&other.behind, |_, _, _| {});
        self.unordered += other.unordered;
        self.unplaced += other.unplaced;
        self.settle();
        for (epoch, count) in other.epochs.iter().map(|(epoch, count)| (*epoch, *count)).chain([other.last]) {
            self.replied(epoch, count);
        }
        self.other_epochs += other.other_epochs;
        self.hurt.extend(other.hurt.iter().cloned());
        self.split.merge(&other.split);
        self.truncated += other.truncated;
        self.encoded += other.encoded;
        self.corrupted += other.corrupted;
        for (status, count) in &other.restatused {
            *self.restatused.entry(*status).or_default() += count;
        }
        self.samples.extend(other.samples.iter().cloned());
    }

    /// How many requests were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.fates.count()
    }
}
