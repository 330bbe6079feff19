//! Two bits for each number of a run, in pages that come into being when they are needed.

use std::{
    array,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use super::State;

/// How many numbers a page has: it is 1 KiB large.
pub const NUMBERS_PER_PAGE: u64 = 4096;

/// How many pages are kept at most: 64 MiB, for 268 million numbers.
pub const MAX_PAGES: usize = 64 << 10;

const PER_WORD: u64 = 32;

const WORDS: usize = (NUMBERS_PER_PAGE / PER_WORD) as usize;

/// A KiB of states. Clones share it until one of them changes it: a copy of all that was seen delays no request.
///
/// Only a page that is not shared is changed. Its words are atomic for the compiler alone, which can't know that: they are read and
/// written as others are, whereas [`Arc::make_mut`] would take an operation that locks the cache line, for each request.
#[derive(Clone, Debug)]
struct Page(Arc<[AtomicU64; WORDS]>);

impl Page {
    fn of(mut words: impl FnMut(usize) -> u64) -> Self {
        Self(Arc::new(array::from_fn(|index| AtomicU64::new(words(index)))))
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    #[inline]
    fn words(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// The same page, to be changed: from now on nobody shares it.
    #[inline]
    fn own(&mut self) -> &[AtomicU64; WORDS] {
        // Nobody else can make one more of the only one.
        if Arc::strong_count(&self.0) > 1 {
            self.copy();
        }
        // Reads by the thread that dropped the last other reference come before this one's writes.
        fence(Ordering::Acquire);
        &self.0
    }

    #[cold]
    fn copy(&mut self) {
        *self = Self::of(|index| self.word(index));
    }
}

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
        State::of_bits(at.map_or(0, |at| (self.pages[at].word(word) >> shift) as u8))
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
        let word = &self.pages[at].own()[word];
        let all = word.load(Ordering::Relaxed);
        word.store(all & !(3 << shift) | u64::from(state.bits()) << shift, Ordering::Relaxed);
        (State::of_bits((all >> shift) as u8), true)
    }

    /// Sets the state of a number from `from` to `to`, if it lies in the page that was used last and is in that state; whether it
    /// does and was.
    #[inline]
    pub fn advance(&mut self, number: u64, from: State, to: State) -> bool {
        let (page, word, shift) = place(number);
        let Some((last, at)) = self.last else { return false };
        if last != page {
            return false;
        }
        let word = &self.pages[at].own()[word];
        let all = word.load(Ordering::Relaxed);
        let is_from = State::of_bits((all >> shift) as u8) == from;
        if is_from {
            word.store(all ^ u64::from(from.bits() ^ to.bits()) << shift, Ordering::Relaxed);
        }
        is_from
    }

    #[cold]
    fn find(&mut self, page: u64) -> Option<usize> {
        let at = match self.places.get(&page) {
            Some(at) => *at,
            None if self.pages.len() >= self.max_pages => return None,
            None => {
                self.pages.push(Page::of(|_| 0));
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
        self.pages.len() * size_of::<[AtomicU64; WORDS]>()
    }

    /// All numbers that are not zero, in order, with their states.
    pub fn iter(&self) -> impl Iterator<Item = (u64, State)> + '_ {
        self.places.iter().flat_map(|(page, at)| {
            let words = self.pages[*at].words().enumerate().filter(|(_, word)| *word != 0);
            let first = page * NUMBERS_PER_PAGE;
            words.flat_map(move |(index, word)| {
                let first = first + index as u64 * PER_WORD;
                let state = move |place: u64| (first + place, State::of_bits((word >> (2 * place)) as u8));
                (0..PER_WORD).map(state).filter(|(_, state)| *state != State::UNSEEN)
            })
        })
    }

    /// Each number that is not zero, in order, with its state here and in `other`, except for those in the `usual` states that have
    /// only such neighbours: how many these are.
    pub fn each_beside(
        &self,
        other: &Self,
        usual: (State, State),
        mut each: impl FnMut(u64, State, State),
    ) -> u64 {
        let all = |state: State| LOW * u64::from(state.bits());
        let (usual, mut left_out) = ((all(usual.0), all(usual.1)), 0);
        for (page, at) in &self.places {
            let theirs = other.places.get(page).map(|at| &other.pages[*at]);
            for (index, word) in self.pages[*at].words().enumerate() {
                let their = theirs.map_or(0, |page| page.word(index));
                if (word, their) == usual {
                    left_out += u64::from(known(word).count_ones());
                    continue;
                }
                let mut left = known(word);
                while left != 0 {
                    let shift = left.trailing_zeros();
                    left &= left - 1;
                    let state = |word: u64| State::of_bits((word >> shift) as u8);
                    let number = page * NUMBERS_PER_PAGE + index as u64 * PER_WORD + u64::from(shift / 2);
                    each(number, state(word), state(their));
                }
            }
        }
        left_out
    }

    /// Takes over the numbers of others. Where both know one, it keeps the higher state and calls `both` with the number and the
    /// two states.
    pub fn merge(&mut self, others: &Self, mut both: impl FnMut(u64, State, State)) {
        self.left_out += others.left_out;
        for (page, theirs) in &others.places {
            let theirs = &others.pages[*theirs];
            let Some(at) = self.find(*page) else {
                self.left_out += count(theirs);
                continue;
            };
            for (index, (word, theirs)) in self.pages[at].own().iter().zip(theirs.words()).enumerate() {
                let own = word.load(Ordering::Relaxed);
                let mut common = known(own) & known(theirs);
                // What only one knows is what both have together.
                let mut merged = own | theirs;
                while common != 0 {
                    let shift = common.trailing_zeros();
                    common &= common - 1;
                    let states = |word: u64| State::of_bits((word >> shift) as u8);
                    let (mine, other) = (states(own), states(theirs));
                    let higher = u64::from(mine.max(other).bits());
                    merged = merged & !(3 << shift) | higher << shift;
                    let number = page * NUMBERS_PER_PAGE + index as u64 * PER_WORD + u64::from(shift / 2);
                    both(number, mine, other);
                }
                word.store(merged, Ordering::Relaxed);
            }
        }
    }

    /// Each page by its number, as bytes.
    pub(super) fn raw(&self) -> impl Iterator<Item = (u64, Vec<u8>)> + '_ {
        let bytes = |at: &usize| self.pages[*at].words().flat_map(u64::to_le_bytes).collect();
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
        for (own, word) in self.pages[at].own().iter().zip(words) {
            own.store(u64::from_le_bytes(*word), Ordering::Relaxed);
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
    page.words().map(|word| u64::from(known(word).count_ones())).sum()
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
        let shared = |at: usize| Arc::ptr_eq(&pages.pages[at].0, &before.pages[at].0);
        assert_eq!([shared(0), shared(1), shared(2)], [true, false, true]);
        assert_eq!((before.get(NUMBERS_PER_PAGE), pages.get(NUMBERS_PER_PAGE)), (State::OPEN, State::WHOLE));
    }

    #[test]
    fn a_number_advances_from_the_state_that_it_is_in_and_from_no_other() {
        let mut pages = Pages::default();
        assert!(!pages.advance(7, State::UNSEEN, State::OPEN), "its page is not there yet");
        pages.set(8, State::WHOLE);
        for (from, to) in
            [(State::UNSEEN, State::OPEN), (State::OPEN, State::WHOLE), (State::WHOLE, State::FAILED)]
        {
            let before = pages.clone();
            assert!(!pages.advance(7, State::FAILED, State::OPEN));
            assert!(pages.advance(7, from, to) && !pages.advance(7, from, to));
            assert_eq!([before.get(7), pages.get(7), pages.get(8)], [from, to, State::WHOLE]);
        }
        pages.set(NUMBERS_PER_PAGE, State::OPEN);
        assert!(!pages.advance(7, State::FAILED, State::OPEN), "another page was used last");
        assert!(pages.advance(NUMBERS_PER_PAGE, State::OPEN, State::FAILED));
    }

    #[test]
    fn each_number_is_held_beside_that_of_others_but_for_usual_ones_among_themselves() {
        let (mut one, mut other) = (Pages::default(), Pages::default());
        for number in 0..10_000 {
            one.set(number, State::FAILED);
            other.set(number + 100, State::WHOLE);
        }
        for number in [130, 4096, 9999, 1 << 40] {
            one.set(number, State::OPEN);
        }
        for (usual, most) in [((State::FAILED, State::WHOLE), 210), ((State::WHOLE, State::WHOLE), 10_001)] {
            let mut all = Vec::new();
            let left_out =
                one.each_beside(&other, usual, |number, mine, theirs| all.push((number, mine, theirs)));
            let known = one.iter().map(|(number, state)| (number, state, other.get(number)));
            let unusual: Vec<_> = known.filter(|(_, mine, theirs)| (*mine, *theirs) != usual).collect();
            assert!(all.len() <= most && all.is_sorted(), "{}", all.len());
            assert_eq!(all.len() as u64 + left_out, one.count());
            all.retain(|(_, mine, theirs)| (*mine, *theirs) != usual);
            assert_eq!(all, unusual);
        }
    }

    #[test]
    fn merged_they_know_what_either_knew_and_report_what_both_did() {
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
