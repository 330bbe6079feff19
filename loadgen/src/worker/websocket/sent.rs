//! Messages that were sent on one WebSocket and wait for their echoes. It knows no frame and no clock.
//!
//! What numbers itself is found by its number, in whatever order it comes; all else by comparing it with those that wait.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use contract::id::Ids;

use super::messages::{MOST_RENDERED, SocketMessages};
use crate::{clock::Nanos, outcome::InFlight, plan::message::Sameness};

/// Messages whose echoes nothing waits for any longer: this number of them are remembered each by itself, so that its late echo is distinguished from
/// a second one.
const MAX_GIVEN_UP: usize = 10_000;

/// The number of those that have ended that may stand among those that wait before they are taken out, none of them among the first that one
/// without a number is compared with.
const SLACK: usize = MOST_RENDERED;

/// What a message that came is the echo of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// The message of this number.
    Of(u64),
    /// The message of this number, and it is not the same.
    WrongOf(u64),
    /// The message of this number, which is not waited for any longer.
    Late(u64),
    /// The message of this number, which does not wait here: it has been echoed already, or was sent on another connection.
    Stray(u64),
    /// None.
    OfNothing,
}

/// Numbers are loadgen's own, one after the other: they are not chosen to collide.
type ByNumber = BuildHasherDefault<NumberHasher>;

/// Spreads a number over all bits.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

#[derive(Debug, Default)]
pub(super) struct SentMessages {
    /// By their numbers.
    in_flight: HashMap<u64, InFlight, ByNumber>,
    /// The numbers in the order in which they were sent, and when that was; the first one is in flight, others may have ended.
    order: VecDeque<(u64, Nanos)>,
    /// Numbers of messages that were given up and have not come back, and the last ones that were given up.
    given_up: HashSet<u64>,
    last_given_up: VecDeque<u64>,
    /// All up to this one may have been given up.
    forgotten: Option<u64>,
    /// The number that was sent last, and the highest one whose echo has come.
    last: Option<u64>,
    highest: Option<u64>,
    /// Whether numbers did not always rise: the order of echoes says nothing then.
    is_mixed: bool,
}

impl SentMessages {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest of those that wait was sent.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.order.front().map(|(_, at)| *at)
    }

    pub(super) fn push(&mut self, in_flight: InFlight) {
        let number = Some(in_flight.arrival.number);
        self.is_mixed |= self.last > number;
        self.last = number;
        self.order.push_back((in_flight.arrival.number, in_flight.submitted));
        self.in_flight.insert(in_flight.arrival.number, in_flight);
    }

    /// The one of this number, if it waits.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut InFlight> {
        self.in_flight.get_mut(&number)
    }

    /// Which message this is the echo of: of those that are the same, the one that was sent first.
    pub(super) fn find(&self, text: bool, content: &[u8], messages: &mut SocketMessages, ids: Ids) -> Echo {
        if messages.message.is_numbered() {
            return self.find_numbered(text, content, messages, ids);
        }
        let waiting = self.order.iter().filter_map(|(number, _)| self.in_flight.get(number));
        let mut first = None;
        for InFlight { arrival, .. } in waiting.take(messages.most_compared()) {
            first = first.or(Some(arrival.number));
            if messages.compare(arrival, ids, content) == Sameness::Same {
                let is_same = text == messages.message.text;
                return if is_same { Echo::Of(arrival.number) } else { Echo::WrongOf(arrival.number) };
            }
        }
        // Nothing says which it would be: servers answer in order.
        first.map_or(Echo::OfNothing, Echo::WrongOf)
    }

    fn find_numbered(&self, text: bool, content: &[u8], messages: &mut SocketMessages, ids: Ids) -> Echo {
        // Echoes mostly come in order: then there is no need to read the number.
        if let Some((number, _)) = self.order.front()
            && let Some(InFlight { arrival, .. }) = self.in_flight.get(number)
            && messages.compare(arrival, ids, content) == Sameness::Same
            && text == messages.message.text
        {
            return Echo::Of(*number);
        }
        let Some(number) = messages.number_of(content, ids) else { return Echo::OfNothing };
        match self.in_flight.get(&number) {
            Some(InFlight { arrival, .. }) => {
                let is_same = messages.compare(arrival, ids, content) == Sameness::Same;
                let is_same = is_same && text == messages.message.text;
                if is_same { Echo::Of(number) } else { Echo::WrongOf(number) }
            }
            None if self.given_up.contains(&number) || self.forgotten >= Some(number) => Echo::Late(number),
            None => Echo::Stray(number),
        }
    }

    /// The echo of the one of this number has come: whether that of one that was sent later had come before; none where numbers
    /// do not say which was sent later.
    pub(super) fn is_behind(&mut self, number: u64) -> Option<bool> {
        let is_behind = self.highest > Some(number);
        self.highest = self.highest.max(Some(number));
        (!self.is_mixed).then_some(is_behind)
    }

    /// Takes out the one of this number, which has been echoed.
    pub(super) fn end(&mut self, number: u64) -> Option<InFlight> {
        let ended = self.in_flight.remove(&number)?;
        // Echoes mostly come in order.
        let place = self.order.iter().take(SLACK).position(|(other, _)| *other == number);
        if let Some(place) = place {
            self.order.remove(place);
        }
        self.forget_ended();
        Some(ended)
    }

    /// The late echo of the one of this number has come: another would be unsolicited.
    pub(super) fn end_late(&mut self, number: u64) {
        self.given_up.remove(&number);
    }

    /// Takes out the first one if it was sent at `since` or before; with `remembers`, its echo is still known when it comes.
    pub(super) fn give_up(&mut self, since: Nanos, remembers: bool) -> Option<InFlight> {
        let (number, _) = self.order.pop_front_if(|(_, at)| *at <= since)?;
        let given_up = self.in_flight.remove(&number);
        self.forget_ended();
        if remembers {
            if self.last_given_up.len() == MAX_GIVEN_UP
                && let Some(first) = self.last_given_up.pop_front()
                && self.given_up.remove(&first)
            {
                self.forgotten = self.forgotten.max(Some(first));
            }
            self.last_given_up.push_back(number);
            self.given_up.insert(number);
        }
        given_up
    }

    /// Takes all that wait, in the order in which they were sent.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = InFlight> + use<> {
        let mut in_flight = std::mem::take(&mut self.in_flight);
        std::mem::take(&mut self.order).into_iter().filter_map(move |(number, _)| in_flight.remove(&number))
    }

    /// However long the first one waits, those behind it that have ended cost nothing.
    fn forget_ended(&mut self) {
        let Self { in_flight, order, .. } = self;
        while order.pop_front_if(|(number, _)| !in_flight.contains_key(number)).is_some() {}
        if order.len() > 2 * in_flight.len() + SLACK {
            order.retain(|(number, _)| in_flight.contains_key(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{cli::Args, outcome::Arrival, plan::Plan, schedule::Part};

    const IDS: Ids = Ids { run: 1, load: 0 };

    fn messages(line: &str) -> SocketMessages {
        let words = format!("loadgen {line} ws://a");
        let plan = Plan::try_from(&Args::try_parse_from(words.split(' ')).unwrap()).unwrap();
        SocketMessages::new(&plan, plan.message().unwrap(), plan.texts(IDS, 0, 1), Part::WHOLE)
    }

    fn sent_at(number: u64) -> InFlight {
        InFlight::new(Arrival::new(number, number, number), number)
    }

    /// What comes back if the message of this number is echoed.
    fn echo(number: u64, messages: &SocketMessages) -> Vec<u8> {
        let mut out = Vec::new();
        messages.write(&Arrival::new(number, 0, 0), IDS, &mut out);
        out
    }

    #[test]
    fn a_lost_message_costs_those_behind_it_nothing() {
        for line in ["-n 1", "-n 1 -b {{seq}}"] {
            let (mut messages, mut sent) = (messages(line), SentMessages::default());
            sent.push(sent_at(0));
            for number in 1..5000 {
                sent.push(sent_at(number));
                let content = echo(number, &messages);
                assert_eq!(sent.find(true, &content, &mut messages, IDS), Echo::Of(number));
                assert!(sent.end(number).is_some());
                assert!(sent.order.len() <= 1 + SLACK, "{}", sent.order.len());
            }
            assert_eq!((sent.len(), sent.oldest()), (1, Some(0)));
        }
    }

    #[test]
    fn those_that_end_in_another_order_are_not_looked_through() {
        let (mut messages, mut sent) = (messages("-n 1"), SentMessages::default());
        (0..3000).for_each(|number| sent.push(sent_at(number)));
        for number in (1000..3000).rev() {
            let content = echo(number, &messages);
            assert_eq!(sent.find(true, &content, &mut messages, IDS), Echo::Of(number));
            assert!(sent.end(number).is_some());
        }
        assert!(sent.order.len() <= 2 * 1000 + SLACK, "{}", sent.order.len());
        let left: Vec<_> = sent.take_all().map(|in_flight| in_flight.arrival.number).collect();
        assert_eq!(left, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_echo_of_one_that_was_given_up_is_known_as_late_however_many_there_were() {
        let (mut messages, mut sent) = (messages("-n 1"), SentMessages::default());
        let most = MAX_GIVEN_UP as u64;
        (0..=most).for_each(|number| sent.push(sent_at(number)));
        assert!(sent.give_up(most, true).is_some());
        while sent.give_up(most, true).is_some() {}
        let mut find = |sent: &SentMessages, number| {
            let content = echo(number, &messages);
            sent.find(true, &content, &mut messages, IDS)
        };
        assert_eq!(find(&sent, 0), Echo::Late(0), "it may be");
        assert_eq!(find(&sent, 1), Echo::Late(1));
        sent.end_late(1);
        assert_eq!(find(&sent, 1), Echo::Stray(1), "a second one");
        assert_eq!(find(&sent, most), Echo::Late(most));
        sent.end_late(most);
        assert_eq!(find(&sent, most), Echo::Stray(most));
        sent.push(sent_at(most + 1));
        assert!(sent.give_up(most, true).is_none(), "it was sent later");
        assert_eq!(find(&sent, most + 1), Echo::Of(most + 1));
    }
    #[test]
    fn an_echo_is_out_of_order_behind_one_that_was_sent_later_and_by_its_number_alone_if_these_rise() {
        let mut sent = SentMessages::default();
        [3, 5, 9].iter().for_each(|number| sent.push(sent_at(*number)));
        assert_eq!([3, 9, 5, 9].map(|number| sent.is_behind(number)), [false, false, true, false].map(Some));
        sent.push(sent_at(7));
        assert_eq!(sent.is_behind(7), None);
    }

    #[test]
    fn an_echo_that_is_of_the_other_kind_alone_is_damaged_from_its_first_byte_on() {
        let mut messages = messages("-n 1 -b hello");
        let (own, arrival) = (echo(1, &messages), Arrival::new(1, 0, 0));
        assert_eq!(messages.damage(&arrival, IDS, &own), (own.len(), Some(0)));
        let longer = [&own[..], b"!"].concat();
        for (other, first) in [(&own[..3], None), (&longer, None), (b"hullo", Some(1))] {
            assert_eq!(messages.damage(&arrival, IDS, other), (own.len(), first));
        }
    }
}
