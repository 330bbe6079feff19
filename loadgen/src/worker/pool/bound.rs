//! Which connection a request is for, where that is decided by its number: what is due for one that is down waits for it,
//! and holds up no other.
//!
//! It knows connections by their places alone.

use std::collections::VecDeque;

use crate::{clock::Nanos, outcome::Arrival, schedule::Part};

/// As many turns as there are connections, which requests take one after the other.
#[derive(Debug)]
pub(crate) struct Bound {
    turns: Vec<Turn>,
    /// How many parts share the numbers.
    of: u64,
}

/// What is for one connection.
#[derive(Debug, Default)]
struct Turn {
    /// Where the connection is, if there is one.
    place: Option<u32>,
    /// What waits for it, and since when.
    waiting: VecDeque<(Arrival, Nanos)>,
}

impl Bound {
    /// For one part's connections.
    pub(crate) fn new(connections: usize, part: Part) -> Self {
        let turns = std::iter::repeat_with(Turn::default).take(connections.max(1)).collect();
        Self { turns, of: part.of() }
    }

    fn turn_of(&self, arrival: &Arrival) -> usize {
        (arrival.number / self.of % self.turns.len() as u64) as usize
    }

    /// The place of the connection that a request is for, if nothing waits for that already.
    pub(super) fn place_of(&self, arrival: &Arrival) -> Option<u32> {
        let turn = &self.turns[self.turn_of(arrival)];
        turn.place.filter(|_| turn.waiting.is_empty())
    }

    /// A request waits for its connection from then on.
    pub(super) fn wait(&mut self, arrival: Arrival, now: Nanos) {
        let turn = self.turn_of(&arrival);
        self.turns[turn].waiting.push_back((arrival, now));
    }

    /// A connection is there, and takes the first turn that has none.
    pub(super) fn opened(&mut self, place: u32) {
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.place.is_none()) {
            turn.place = Some(place);
        }
    }

    /// A connection takes no more requests.
    pub(super) fn closed(&mut self, place: u32) {
        self.turns.iter_mut().filter(|turn| turn.place == Some(place)).for_each(|turn| turn.place = None);
    }

    /// What waits for the connection at this place.
    pub(super) fn waiting_for(&mut self, place: u32) -> Option<&mut VecDeque<(Arrival, Nanos)>> {
        let turn = self.turns.iter_mut().find(|turn| turn.place == Some(place))?;
        Some(&mut turn.waiting).filter(|waiting| !waiting.is_empty())
    }

    /// Takes what has waited since before `since`, for any connection.
    pub(super) fn take_late(&mut self, since: Nanos) -> impl Iterator<Item = (Arrival, Nanos)> {
        self.turns.iter_mut().flat_map(move |turn| {
            std::iter::from_fn(move || turn.waiting.pop_front_if(|(_, waits)| *waits <= since))
        })
    }

    /// Takes what waits for connections that are not there.
    pub(super) fn take_stranded(&mut self) -> impl Iterator<Item = (Arrival, Nanos)> {
        self.turns.iter_mut().filter(|turn| turn.place.is_none()).flat_map(|turn| turn.waiting.drain(..))
    }

    /// Takes all that waits.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (Arrival, Nanos)> {
        self.turns.iter_mut().flat_map(|turn| turn.waiting.drain(..))
    }

    /// Since when the one waits that waits longest.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        self.turns.iter().filter_map(|turn| Some(turn.waiting.front()?.1)).min()
    }
}
