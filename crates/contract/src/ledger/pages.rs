//! Two bits for each number of a run, in pages that come into being when they are needed.

use std::{collections::BTreeMap, sync::Arc};

use super::State;

/// How many numbers a page has: it is 1 KiB large.
pub const NUMBERS_PER_PAGE: u64 = 4096;

/// How many pages are kept at most: 64 MiB, for 268 million numbers.
pub const MAX_PAGES: usize = 64 << 10;

const PER_WORD: u64 = 32;

type Words = [u64; (NUMBERS_PER_PAGE / PER_WORD) as usize];

/// Clones share a page until one of them changes it: who asks for all that was seen holds nobody up.
type Page = Arc<Words>;

/// The states of all numbers; those that were never set are zero.
///
/// Numbers mostly come in order, so the page that was used last is looked at first.
#[derive(Clone, Debug)]
pub struct Pages {
    max_pages: usize,
    /// Where each page lies, by the number of the page.
    places: BTreeMap<u64, usize>,
    pages: Vec<Page>,
    /// The page that was used last, and where it lies.
    last: Option<(u64, usize)>,
    /// Numbers for which there was no page left.
    left_out: u64,
}

impl Default for Pages {
    fn default() -> Self {
        Self::of_at_most(MAX_PAGES)
    }
}

impl Pages {
    /// Empty, with at most `max_pages` pages.
    #[must_use]
    pub fn of_at_most(max_pages: usize) -> Self {
        Self { max_pages, places: BTreeMap::new(), pages: Vec::new(), last: None, left_out: 0 }
    }

    /// From now on, there will be no more than this number of pages; those that exist stay.
    #[inline]
    pub fn limit(&mut self, max_pages: usize) {
        self.max_pages = max_pages;
    }

    /// The state of a number.
    #[must_use]
    pub fn get(&self, number: u64) -> State {
        let (page, word, shift) = place(number);
        let at = match self.last {
            Some((last, at)) if last == page => Some(at),
            _ => self.places.get(&page).copied(),
        };
        State::of_bits(at.map_or(0, |at| (self.pages[at][word] >> shift) as u8))
    }

    /// Sets the state of a number, and returns the previous one, and whether the new one was stored: beyond the maximum number
    /// of pages it is not.
    #[inline]
    pub fn set(&mut self, number: u64, state: State) -> (State, bool) {
        let (page, word, shift) = place(number);
        let at = match self.last {
            Some((last, at)) if last == page => at,
            _ => match self.find(page) {
                Some(at) => at,
                None => {
                    self.left_out += 1;
                    return (State::UNSEEN, false);
                }
            },
        };
        let word = &mut Arc::make_mut(&mut self.pages[at])[word];
        let before = State::of_bits((*word >> shift) as u8);
        *word = *word & !(3 << shift) | u64::from(state.bits()) << shift;
        (before, true)
    }

    #[cold]
    fn find(&mut self, page: u64) -> Option<usize> {
        let at = match self.places.get(&page) {
            Some(at) => *at,
            None if self.pages.len() >= self.max_pages => return None,
            None => {
                self.pages.push(Arc::new([0; _]));
                self.places.insert(page, self.pages.len() - 1);
                self.pages.len() - 1
            }
        };
        self.last = Some((page, at));
        Some(at)
    }

    /// How many numbers are not zero.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.pages.iter().map(count).sum()
    }

    /// How many numbers have found no page.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The bytes of all pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pages.len() * size_of::<Words>()
    }

    /// All numbers that are not zero, in order, with their states.
    pub fn iter(&self) -> impl Iterator<Item = (u64, State)> + '_ {
        self.places.iter().flat_map(|(page, at)| {
            let words = self.pages[*at].iter().enumerate().filter(|(_, word)| **word != 0);
            let first = page * NUMBERS_PER_PAGE;
            words.flat_map(move |(index, word)| {
                let first = first + index as u64 * PER_WORD;
                let state = move |place: u64| (first + place, State::of_bits((word >> (2 * place)) as u8));
                (0..PER_WORD).map(state).filter(|(_, state)| *state != State::UNSEEN)
            })
        })
    }

    /// Takes over the numbers of others. Where both know one, it keeps the higher state and `both` is told of it, with the
    /// two states.
    pub fn merge(&mut self, others: &Self, mut both: impl FnMut(u64, State, State)) {
        self.left_out += others.left_out;
        for (page, theirs) in &others.places {
            let theirs = &others.pages[*theirs];
            let Some(at) = self.find(*page) else {
                self.left_out += count(theirs);
                continue;
            };
            for (index, (own, theirs)) in
                Arc::make_mut(&mut self.pages[at]).iter_mut().zip(theirs.iter()).enumerate()
            {
                let mut common = known(*own) & known(*theirs);
                // What only one knows is what both have together.
                let only = *own | *theirs;
                let mut merged = only;
                while common != 0 {
                    let shift = common.trailing_zeros();
                    common &= common - 1;
                    let states = |word: u64| State::of_bits((word >> shift) as u8);
                    let (mine, other) = (states(*own), states(*theirs));
                    let higher = u64::from(mine.max(other).bits());
                    merged = merged & !(3 << shift) | higher << shift;
                    let number = page * NUMBERS_PER_PAGE + index as u64 * PER_WORD + u64::from(shift / 2);
                    both(number, mine, other);
                }
                *own = merged;
            }
        }
    }

    /// Each page by its number, as bytes.
    pub(super) fn raw(&self) -> impl Iterator<Item = (u64, Vec<u8>)> + '_ {
        let bytes = |at: &usize| self.pages[*at].iter().flat_map(|word| word.to_le_bytes()).collect();
        self.places.iter().map(move |(page, at)| (*page, bytes(at)))
    }

    /// Adds a page, if its bytes are one and there is room.
    pub(super) fn add_raw(&mut self, page: u64, bytes: &[u8]) -> Option<()> {
        let words = bytes.as_chunks::<8>().0;
        if page > u64::MAX / NUMBERS_PER_PAGE || self.places.contains_key(&page) {
            return None;
        }
        if bytes.len() as u64 * 4 != NUMBERS_PER_PAGE {
            return None;
        }
        let at = self.find(page)?;
        for (own, word) in Arc::make_mut(&mut self.pages[at]).iter_mut().zip(words) {
            *own = u64::from_le_bytes(*word);
        }
        Some(())
    }
}

/// The lower of the two bits of each number.
const LOW: u64 = 0x5555_5555_5555_5555;

/// The lower bit of each number of a word that is not zero.
fn known(word: u64) -> u64 {
    word & LOW | word >> 1 & LOW
}

/// How many numbers of a page are not zero.
fn count(page: &Page) -> u64 {
    page.iter().map(|word| u64::from(known(*word).count_ones())).sum()
}

/// The page of a number, the word in it, and by how much its bits are shifted.
#[inline]
fn place(number: u64) -> (u64, usize, u32) {
    let within = number % NUMBERS_PER_PAGE;
    (number / NUMBERS_PER_PAGE, (within / PER_WORD) as usize, (within % PER_WORD) as u32 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 3] = [State::OPEN, State::FAILED, State::WHOLE];

    #[test]
    fn numbers_keep_their_states_up_to_the_largest() {
        let mut pages = Pages::default();
        let numbers = [0, 1, 31, 32, 4095, 4096, 1 << 40, u64::MAX];
        for (number, state) in numbers.into_iter().zip(STATES.into_iter().cycle()) {
            assert_eq!(pages.set(number, state), (State::UNSEEN, true));
        }
        for (number, state) in numbers.into_iter().zip(STATES.into_iter().cycle()) {
            assert_eq!(pages.get(number), state, "{number}");
        }
        assert_eq!(pages.iter().map(|(number, _)| number).collect::<Vec<_>>(), numbers);
        assert_eq!((pages.count(), pages.get(2)), (8, State::UNSEEN));
        assert_eq!(pages.set(31, State::WHOLE).0, State::WHOLE);
        assert_eq!(pages.set(31, State::UNSEEN).0, State::WHOLE);
        assert_eq!((pages.count(), pages.get(30), pages.get(32)), (7, State::UNSEEN, State::OPEN));
    }

    #[test]
    fn no_more_pages_are_made_than_are_allowed_and_what_is_left_out_is_counted() {
        let mut pages = Pages::default();
        for page in 0..MAX_PAGES as u64 {
            assert!(pages.set(page * NUMBERS_PER_PAGE, State::WHOLE).1);
        }
        assert_eq!(pages.set(u64::MAX, State::WHOLE), (State::UNSEEN, false));
        assert!(pages.set(7, State::WHOLE).1, "pages that are there go on");
        assert_eq!((pages.left_out(), pages.count()), (1, MAX_PAGES as u64 + 1));
        assert_eq!(pages.bytes(), 64 << 20);
        let mut merged = pages.clone();
        let mut other = Pages::default();
        other.set(u64::MAX, State::OPEN);
        merged.merge(&other, |_, _, _| {});
        assert_eq!(merged.left_out(), 2);
    }

    #[test]
    fn a_clone_shares_what_does_not_change_and_knows_nothing_of_what_does() {
        let mut pages = Pages::default();
        for page in 0..3 {
            pages.set(page * NUMBERS_PER_PAGE, State::OPEN);
        }
        let before = pages.clone();
        pages.set(NUMBERS_PER_PAGE, State::WHOLE);
        let shared = |at: usize| Arc::ptr_eq(&pages.pages[at], &before.pages[at]);
        assert_eq!([shared(0), shared(1), shared(2)], [true, false, true]);
        assert_eq!((before.get(NUMBERS_PER_PAGE), pages.get(NUMBERS_PER_PAGE)), (State::OPEN, State::WHOLE));
    }

    #[test]
    fn merged_they_know_what_either_knew_and_tell_what_both_did() {
        let (mut one, mut other) = (Pages::default(), Pages::default());
        for number in 0..10_000 {
            if number % 2 == 0 {
                one.set(number, STATES[number as usize % 3]);
            }
            if number % 3 == 0 {
                other.set(number, STATES[number as usize / 3 % 3]);
            }
        }
        let expected: Vec<_> = (0..10_000)
            .map(|number| (number, one.get(number).max(other.get(number))))
            .filter(|(_, state)| *state != State::UNSEEN)
            .collect();
        let (mut merged, mut both) = (one.clone(), Vec::new());
        merged.merge(&other, |number, mine, theirs| both.push((number, mine, theirs)));
        assert_eq!(merged.iter().collect::<Vec<_>>(), expected);
        let common = (0..10_000).step_by(6).map(|number| (number, one.get(number), other.get(number)));
        assert_eq!(both, common.collect::<Vec<_>>());
        assert_eq!(merged.count(), one.count() + other.count() - both.len() as u64);
    }
}
