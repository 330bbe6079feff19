//! What happened to each message of streams of gRPC calls in a verified run, as far as this end knows.
//!
//! They are numbered as requests are, apart from them; their fates are kept as those of messages on WebSockets are.

use contract::ledger::{Pages, State};

use super::verified::{Hurt, MAX_HURT, Verified, fate, reason};
use crate::outcome::Damage;

/// How many numbers are named.
const MAX_NAMED: usize = 10;

/// Where messages changed places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfOrder {
    /// On the way there.
    There,
    /// On the way back.
    Back,
}

/// What is noted of messages of streams, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfStream {
    /// It was given away.
    Sent(u64),
    /// It was answered.
    Answered { number: u64, out_of_order: Option<OutOfOrder>, damage: Option<Damage> },
    /// The answer to it has come in another call.
    Strayed(u64),
    /// The server has reported that it came behind a later one.
    ReorderedThere(u64),
    /// The server has reported that it came otherwise than it was sent.
    ChangedThere(u64),
    /// This many more came behind later ones than were named.
    MoreReorderedThere(u64),
    /// This many more came otherwise than they were sent than were named.
    MoreChangedThere(u64),
    /// What answers it is not what the server sent.
    Damaged { number: u64, damage: Damage },
    /// The one answer to all of these has come, and they have none of their own.
    Acknowledged { first: u64, count: u64 },
    /// Their call has ended with OK: each that arrived was owed an answer.
    Answerable { first: u64, count: u64 },
    /// Their call was ended otherwise, by the server or in its place: it owes them no answers.
    Withdrawn { first: u64, count: u64 },
    /// A reply of a call that has several has come.
    Replied { number: u64, out_of_order: bool },
    /// The server has sent all of these replies.
    Complete { first: u64, count: u64 },
    /// A reply could not be read: what comes after it in its call is not looked at.
    Unread,
}

/// How many there are, and the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) first: Vec<u64>,
}

impl Numbers {
    fn add(&mut self, number: u64) {
        self.count += 1;
        if self.first.len() < MAX_NAMED {
            self.first.push(number);
        }
    }

    fn add_unnamed(&mut self, count: u64) {
        self.count = self.count.saturating_add(count);
    }

    fn merge(&mut self, other: &Self) {
        self.add_unnamed(other.count);
        let room = MAX_NAMED - self.first.len().min(MAX_NAMED);
        self.first.extend(other.first.iter().take(room));
    }
}

/// What is settled of a message without its own answer.
pub(crate) mod settled {
    use contract::ledger::State;

    /// One answer to all messages of its call has come: it is not lost if it arrived.
    pub(crate) const ACKNOWLEDGED: State = State::of_bits(1);
    /// Its call was ended otherwise, by the server or in its place, whether it arrived or not.
    pub(crate) const WITHDRAWN: State = State::of_bits(2);
    /// Its call has ended with OK.
    pub(crate) const ANSWERABLE: State = State::of_bits(3);
}

/// What this end knows of all messages of streams.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    /// What happened to each that was sent.
    pub(crate) known: Verified,
    pub(crate) settled: Pages,
    /// Those that came behind a later one.
    pub(crate) reordered_there: Numbers,
    pub(crate) reordered_back: Numbers,
    /// Those that arrived otherwise than they were sent, as servers have reported.
    pub(crate) changed_there: Numbers,
    /// Replies of calls that have several: those that came, how many that is, those that have not come although the server had sent
    /// them, and those that came again.
    replied: Pages,
    pub(crate) replies: u64,
    pub(crate) lost_replies: Numbers,
    pub(crate) replied_again: Numbers,
    /// Calls of which a reply could not be read.
    pub(crate) unread: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            known: Verified::of(true),
            settled: Pages::default(),
            reordered_there: Numbers::default(),
            reordered_back: Numbers::default(),
            changed_there: Numbers::default(),
            replied: Pages::default(),
            replies: 0,
            lost_replies: Numbers::default(),
            replied_again: Numbers::default(),
            unread: 0,
        }
    }
}

impl Streams {
    /// Something was found out.
    pub(crate) fn note(&mut self, noted: OfStream) {
        match noted {
            OfStream::Sent(number) => self.sent(number),
            OfStream::Answered { number, out_of_order, damage } => {
                self.answered(number, out_of_order, damage);
            }
            OfStream::Strayed(number) => self.known.strayed(number),
            OfStream::ReorderedThere(number) => self.reordered_there.add(number),
            OfStream::ChangedThere(number) => self.changed_there.add(number),
            OfStream::MoreReorderedThere(count) => self.reordered_there.add_unnamed(count),
            OfStream::MoreChangedThere(count) => self.changed_there.add_unnamed(count),
            OfStream::Damaged { number, damage } => self.damaged(number, damage),
            OfStream::Acknowledged { first, count } => self.settle(first, count, settled::ACKNOWLEDGED),
            OfStream::Answerable { first, count } => self.settle(first, count, settled::ANSWERABLE),
            OfStream::Withdrawn { first, count } => self.settle(first, count, settled::WITHDRAWN),
            OfStream::Replied { number, out_of_order } => self.replied(number, out_of_order),
            OfStream::Unread => self.unread += 1,
            // Beyond what is kept it is not known which have come.
            OfStream::Complete { .. } if self.replied.left_out() > 0 => {}
            OfStream::Complete { first, count } => {
                for number in first..first.saturating_add(count) {
                    if self.replied.get(number) == State::UNSEEN {
                        self.lost_replies.add(number);
                    }
                }
            }
        }
    }

    fn sent(&mut self, number: u64) {
        // A refused call is retried with the same numbers.
        self.known.fates.set(number, fate::UNANSWERED);
        self.known.reasons.set(number, reason::NOTHING_OR_OTHER);
    }

    fn answered(&mut self, number: u64, out_of_order: Option<OutOfOrder>, damage: Option<Damage>) {
        if self.known.fates.get(number) == fate::ANSWERED {
            return self.known.strayed(number);
        }
        self.known.fates.set(number, fate::ANSWERED);
        match out_of_order {
            Some(OutOfOrder::There) => self.reordered_there.add(number),
            Some(OutOfOrder::Back) => self.reordered_back.add(number),
            None => {}
        }
        if let Some(damage) = damage {
            self.damaged(number, damage);
        }
    }

    #[cold]
    fn damaged(&mut self, number: u64, damage: Damage) {
        let (length, known) = match damage {
            Damage::Truncated(length, _) => (length, &mut self.known.truncated),
            Damage::Corrupted(_) | Damage::Undecodable => (0, &mut self.known.corrupted),
        };
        *known += 1;
        if self.known.hurt.len() < MAX_HURT {
            let damage = Some(damage);
            self.known.hurt.push(Hurt {
                number,
                request: 0,
                due: 0,
                status: 0,
                cause: None,
                length,
                given_status: None,
                other: None,
                damage,
            });
        }
    }

    fn settle(&mut self, first: u64, count: u64, state: State) {
        for number in first..first.saturating_add(count) {
            self.settled.set(number, state);
        }
    }

    fn replied(&mut self, number: u64, out_of_order: bool) {
        if self.replied.set(number, State::WHOLE).0 != State::UNSEEN {
            return self.replied_again.add(number);
        }
        self.replies += 1;
        if out_of_order {
            self.reordered_back.add(number);
        }
    }

    /// Replies of calls with several beyond what is kept of them.
    pub(crate) fn replies_left_out(&self) -> u64 {
        self.replied.left_out()
    }

    /// Whether there was any message.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.sent() == 0 && self.replies == 0 && self.lost_replies.count == 0
    }

    /// Adds what another worker knows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.known.merge(&other.known);
        self.settled.merge(&other.settled, |_, _, _| {});
        self.replied.merge(&other.replied, |_, _, _| {});
        self.replies += other.replies;
        self.unread += other.unread;
        for (own, other) in [
            (&mut self.reordered_there, &other.reordered_there),
            (&mut self.reordered_back, &other.reordered_back),
            (&mut self.changed_there, &other.changed_there),
            (&mut self.lost_replies, &other.lost_replies),
            (&mut self.replied_again, &other.replied_again),
        ] {
            own.merge(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(number: u64, out_of_order: Option<OutOfOrder>, damage: Option<Damage>) -> OfStream {
        OfStream::Answered { number, out_of_order, damage }
    }

    #[test]
    fn an_answer_that_comes_again_is_a_stray_and_says_nothing_of_the_order() {
        let mut streams = Streams::default();
        for number in 0..3 {
            streams.note(OfStream::Sent(number));
        }
        streams.note(answered(1, None, None));
        streams.note(answered(0, Some(OutOfOrder::Back), Some(Damage::Corrupted(20))));
        streams.note(answered(0, Some(OutOfOrder::Back), None));
        let known = &streams.known;
        let fates: Vec<_> = known.fates.iter().collect();
        assert_eq!(fates, [(0, fate::ANSWERED), (1, fate::ANSWERED), (2, fate::UNANSWERED)]);
        assert_eq!(known.strays.iter().map(|(number, _)| number).collect::<Vec<_>>(), [0]);
        assert_eq!((known.corrupted, known.hurt[0].number), (1, 0));
        let mut both = Streams::default();
        both.merge(&streams);
        assert_eq!((both.reordered_back.count, &both.reordered_back.first[..]), (1, &[0][..]));
        assert_eq!(both.reordered_there.count, 0);
    }

    #[test]
    fn replies_that_the_server_has_sent_and_that_have_not_come_are_lost() {
        let mut streams = Streams::default();
        assert!(streams.is_empty());
        for (number, out_of_order) in [(10, false), (12, false), (11, true), (12, true), (14, false)] {
            streams.note(OfStream::Replied { number, out_of_order });
        }
        streams.note(OfStream::Complete { first: 10, count: 5 });
        assert_eq!((streams.replies, streams.replied_again.count, streams.reordered_back.count), (4, 1, 1));
        assert_eq!((streams.lost_replies.count, &streams.lost_replies.first[..]), (1, &[13][..]));
        assert!(!streams.is_empty() && streams.known.sent() == 0);
    }
}
