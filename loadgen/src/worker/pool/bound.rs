//! Which connection a request is for, where that is decided by its number: what is due for one that is down waits for it,
//! and holds up no other.
//!
//! It knows connections by their places alone. Whatever is done for each request or connection takes the same time, however
//! many connections there are.

use std::collections::VecDeque;

use crate::{clock::Nanos, outcome::Arrival, schedule::Part};

/// As many turns as there are connections, which requests take one after the other.
#[derive(Debug)]
pub(crate) struct ConnectionTurns {
    turns: Vec<Turn>,
    /// Turns without a connection; the next connection takes the first. An entry may be outdated.
    free: VecDeque<u32>,
    /// The turn of the connection at each place.
    by_place: Vec<Option<u32>>,
    /// Turns that may have something waiting and no connection.
    stranded: Vec<u32>,
    waiting: usize,
    /// How many parts share the numbers.
    of: u64,
}

/// What is for one connection.
#[derive(Debug, Default)]
struct Turn {
    /// Where the connection is, if there is one, or one that is opening.
    place: Option<u32>,
    /// What waits for it, and since when.
    waiting: VecDeque<(Arrival, Nanos)>,
    is_stranded: bool,
    /// Whether it has an entry among those that are free.
    is_listed: bool,
}

impl ConnectionTurns {
    /// For one part's connections.
    pub(crate) fn new(connections: usize, part: Part) -> Self {
        let connections = connections.max(1);
        Self {
            turns: std::iter::repeat_with(|| Turn { is_listed: true, ..Turn::default() })
                .take(connections)
                .collect(),
            free: (0..connections as u32).collect(),
            by_place: Vec::new(),
            stranded: Vec::new(),
            waiting: 0,
            of: part.of(),
        }
    }

    fn turn_of(&self, arrival: &Arrival) -> u32 {
        (arrival.number / self.of % self.turns.len() as u64) as u32
    }

    /// The place of the connection that a request is for, if nothing waits for that already; it may still be opening.
    pub(super) fn place_of(&self, arrival: &Arrival) -> Option<u32> {
        let turn = &self.turns[self.turn_of(arrival) as usize];
        turn.place.filter(|_| turn.waiting.is_empty())
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A request waits for its connection from then on.
    pub(super) fn wait(&mut self, arrival: Arrival, now: Nanos) {
        let turn = self.turn_of(&arrival);
        self.turns[turn as usize].waiting.push_back((arrival, now));
        self.waiting += 1;
        self.note_stranded(turn);
    }

    /// One that was taken from those that wait waits on, in front.
    pub(super) fn put_back(&mut self, place: u32, arrival: Arrival, since: Nanos) {
        if let Some(turn) = self.turn_at(place) {
            self.turns[turn as usize].waiting.push_front((arrival, since));
            self.waiting += 1;
        }
    }

    /// A connection begins to open, and takes the first turn that has none.
    pub(super) fn opening(&mut self, place: u32) {
        while let Some(turn) = self.free.pop_front() {
            self.turns[turn as usize].is_listed = false;
            if self.turns[turn as usize].place.is_none() {
                return self.take_place(turn, place);
            }
        }
    }

    /// A connection begins to open, and takes a turn that has none and for which something waits.
    pub(super) fn opening_awaited(&mut self, place: u32) {
        if self.misses_awaited()
            && let Some(turn) = self.stranded.pop()
        {
            self.turns[turn as usize].is_stranded = false;
            self.take_place(turn, place);
        }
    }

    /// Whether something waits for a connection that is not there, and is not opening.
    pub(super) fn misses_awaited(&mut self) -> bool {
        while let Some(turn) = self.stranded.last() {
            let turn = &mut self.turns[*turn as usize];
            if turn.place.is_none() && !turn.waiting.is_empty() {
                return true;
            }
            turn.is_stranded = false;
            self.stranded.pop();
        }
        false
    }

    /// Whether that may be so.
    pub(super) fn is_awaited(&self) -> bool {
        !self.stranded.is_empty()
    }

    fn take_place(&mut self, turn: u32, place: u32) {
        self.turns[turn as usize].place = Some(place);
        let place = place as usize;
        if self.by_place.len() <= place {
            self.by_place.resize(place + 1, None);
        }
        self.by_place[place] = Some(turn);
    }

    /// A connection takes no more requests; its turn, if it had one. Where connections are limited, the next one takes that:
    /// others stay without.
    pub(super) fn closed(&mut self, place: u32, is_limited: bool) -> Option<u32> {
        let turn = self.by_place.get_mut(place as usize)?.take()?;
        self.turns[turn as usize].place = None;
        let is_listed = std::mem::replace(&mut self.turns[turn as usize].is_listed, true);
        match is_limited {
            true => {
                if is_listed {
                    self.free.retain(|listed| *listed != turn);
                }
                self.free.push_front(turn);
            }
            false if !is_listed => self.free.push_back(turn),
            false => {}
        }
        self.note_stranded(turn);
        Some(turn)
    }

    /// Takes the first that waits for the connection at this place.
    pub(super) fn next_for(&mut self, place: u32) -> Option<(Arrival, Nanos)> {
        let turn = self.turn_at(place)?;
        let next = self.turns[turn as usize].waiting.pop_front()?;
        self.waiting -= 1;
        Some(next)
    }

    /// Takes what has waited since `since` or before, or was due before `due`, and whether it was for the latter; for any
    /// connection.
    pub(super) fn take_late(
        &mut self,
        since: Option<Nanos>,
        due: Option<Nanos>,
    ) -> Vec<(Arrival, Nanos, bool)> {
        let mut late = Vec::new();
        if self.waiting > 0 {
            for turn in &mut self.turns {
                while let Some((arrival, waits)) = turn.waiting.front() {
                    let is_overdue = due.is_some_and(|due| arrival.due < due);
                    if !is_overdue && since.is_none_or(|since| *waits > since) {
                        break;
                    }
                    late.extend(
                        turn.waiting.pop_front().map(|(arrival, waits)| (arrival, waits, is_overdue)),
                    );
                }
            }
            self.waiting -= late.len();
        }
        late
    }

    /// Takes what waits in this turn.
    pub(super) fn take_of(&mut self, turn: u32) -> VecDeque<(Arrival, Nanos)> {
        let taken = self.turns.get_mut(turn as usize).map(|turn| std::mem::take(&mut turn.waiting));
        let taken = taken.unwrap_or_default();
        self.waiting -= taken.len();
        taken
    }

    /// Takes what waits for connections that are not there, and are not opening.
    pub(super) fn take_stranded(&mut self) -> Vec<(Arrival, Nanos)> {
        let mut all = Vec::new();
        for turn in std::mem::take(&mut self.stranded) {
            self.turns[turn as usize].is_stranded = false;
            if self.turns[turn as usize].place.is_none() {
                all.extend(self.take_of(turn));
            }
        }
        all
    }

    /// Takes all that waits.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (Arrival, Nanos)> {
        self.waiting = 0;
        self.turns.iter_mut().flat_map(|turn| turn.waiting.drain(..))
    }

    /// Since when the one waits that waits longest, and when the first was due.
    pub(super) fn oldest(&self) -> Option<(Nanos, Nanos)> {
        if self.waiting == 0 {
            return None;
        }
        let fronts = || self.turns.iter().filter_map(|turn| turn.waiting.front());
        Some((fronts().map(|(_, since)| *since).min()?, fronts().map(|(arrival, _)| arrival.due).min()?))
    }

    fn turn_at(&self, place: u32) -> Option<u32> {
        self.by_place.get(place as usize).copied().flatten()
    }

    fn note_stranded(&mut self, turn: u32) {
        let Turn { place, waiting, is_stranded, is_listed: _ } = &mut self.turns[turn as usize];
        if place.is_none() && !waiting.is_empty() && !std::mem::replace(is_stranded, true) {
            self.stranded.push(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(number: u64) -> Arrival {
        Arrival::new(number, number, number)
    }

    fn numbers(taken: impl IntoIterator<Item = (Arrival, Nanos)>) -> Vec<u64> {
        taken.into_iter().map(|(arrival, _)| arrival.number).collect()
    }

    #[test]
    fn requests_take_turns_and_wait_for_their_own_connection() {
        // The second of two parts has the odd numbers.
        let mut bound = ConnectionTurns::new(3, Part::new(1, 2));
        for place in [10, 11, 12] {
            bound.opening(place);
        }
        let places: Vec<_> = [1, 3, 5, 7].map(|number| bound.place_of(&arrival(number))).to_vec();
        assert_eq!(places, [Some(10), Some(11), Some(12), Some(10)]);
        bound.wait(arrival(3), 3);
        assert_eq!(bound.place_of(&arrival(9)), None, "what waits is before it");
        assert_eq!(bound.place_of(&arrival(7)), Some(10), "no other waits");
        bound.wait(arrival(9), 9);
        assert_eq!((bound.waiting(), bound.oldest()), (2, Some((3, 3))));
        let (first, since) = bound.next_for(11).unwrap();
        bound.put_back(11, first, since);
        assert_eq!(numbers([bound.next_for(11).unwrap(), bound.next_for(11).unwrap()]), [3, 9]);
        assert!(bound.next_for(11).is_none());
        assert_eq!((bound.waiting(), bound.oldest()), (0, None));
    }

    #[test]
    fn what_waits_for_a_connection_that_fails_is_that_of_its_turn_alone() {
        let mut bound = ConnectionTurns::new(3, Part::WHOLE);
        bound.opening(0);
        bound.opening(1);
        (0..6).for_each(|number| bound.wait(arrival(number), number));
        assert_eq!(bound.closed(0, false), Some(0));
        assert_eq!(bound.closed(0, false), None, "its place is another's by now");
        assert_eq!(numbers(bound.take_of(0)), [0, 3]);
        // One opens, one has failed, and one was never there.
        bound.wait(arrival(6), 6);
        assert_eq!(numbers(bound.take_stranded()), [2, 5, 6]);
        assert!(bound.take_stranded().is_empty());
        // The one that never was there comes first, and then the one that has failed.
        bound.opening(7);
        bound.opening(8);
        assert_eq!([2, 0].map(|number| bound.place_of(&arrival(number))), [Some(7), Some(8)]);
        assert_eq!(numbers(bound.take_all()), [1, 4]);
    }

    #[test]
    fn a_connection_that_something_waits_for_can_be_opened_before_its_turn() {
        let mut bound = ConnectionTurns::new(3, Part::WHOLE);
        assert!(!bound.is_awaited() && !bound.misses_awaited());
        bound.opening_awaited(9);
        bound.wait(arrival(1), 1);
        assert!(bound.is_awaited() && bound.misses_awaited());
        bound.opening_awaited(9);
        assert_eq!(bound.place_of(&arrival(4)), None, "one waits before it");
        assert_eq!(numbers([bound.next_for(9).unwrap()]), [1]);
        assert_eq!(bound.place_of(&arrival(4)), Some(9));
        assert!(!bound.misses_awaited(), "nothing waits for the others");
        // Those take what is left, and it stays with its own.
        bound.opening(5);
        bound.opening(6);
        bound.opening(7);
        assert_eq!([0, 1, 2].map(|number| bound.place_of(&arrival(number))), [Some(5), Some(9), Some(6)]);
        // However often it fails and comes again in between, it is listed once.
        for _ in 0..5 {
            bound.closed(9, false);
            bound.wait(arrival(1), 1);
            bound.opening_awaited(9);
            assert_eq!(bound.take_of(1).len(), 1);
        }
        assert_eq!(bound.free.len(), 1);
    }

    #[test]
    fn where_no_more_connections_are_possible_a_turn_keeps_having_one() {
        let mut bound = ConnectionTurns::new(3, Part::WHOLE);
        bound.opening(0);
        bound.closed(0, true);
        bound.opening(0);
        assert_eq!(bound.place_of(&arrival(0)), Some(0));
    }

    #[test]
    fn what_is_late_is_taken_from_every_turn() {
        let mut bound = ConnectionTurns::new(2, Part::WHOLE);
        (0..10).for_each(|number| bound.wait(arrival(number), 100 + number));
        let taken = |late: Vec<(Arrival, Nanos, bool)>| -> Vec<_> {
            late.into_iter().map(|(arrival, _, is_overdue)| (arrival.number, is_overdue)).collect()
        };
        assert_eq!(taken(bound.take_late(None, None)), []);
        assert_eq!(taken(bound.take_late(Some(102), None)), [(0, false), (2, false), (1, false)]);
        assert_eq!(taken(bound.take_late(Some(103), Some(5))), [(4, true), (3, true)]);
        assert_eq!(bound.waiting(), 5);
    }
}
