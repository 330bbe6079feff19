//! What all servers have stated, as one.

use std::collections::{BTreeMap, BTreeSet};

use contract::ledger::{Entry, Pages, State, Statement};

use super::MAX_EXAMPLES;

/// The maximum number of pages of all servers together that are unpacked: 256 MiB.
const MAX_UNPACKED: u64 = 256 << 10;
/// How many more pages one server may report than there are of the run: those of 16 million numbers that were never sent.
const MAX_FOREIGN: u64 = 4096;

/// What all servers together have seen.
pub(super) struct Servers {
    /// Whether that is all that they have reported.
    pub(super) is_complete: bool,
    pub(super) all: Statement,
    pub(super) pages: Pages,
    /// Of numbers that were repeated.
    pub(super) resent: BTreeMap<u64, State>,
    /// Those whose body broke off.
    pub(super) broken: BTreeSet<u64>,
    /// What each has seen, by its name.
    pub(super) each: Vec<(String, Pages)>,
    /// The first numbers that several of them have seen.
    pub(super) by_several: Vec<u64>,
    /// How often numbers were seen again, as far as servers name them.
    pub(super) again: BTreeMap<u64, u64>,
}

impl Servers {
    /// Of a run with this number of pages.
    pub(super) fn of(statements: &[Statement], run_pages: u64, off: &mut Vec<String>) -> Self {
        let (mut all, mut pages) = (Statement::default(), Pages::default());
        let (mut each, mut by_several) = (Vec::new(), Vec::new());
        let mut again: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut room, mut is_complete) = (MAX_UNPACKED, true);
        for statement in statements {
            let count = statement.pages.count();
            if count > room.min(run_pages + MAX_FOREIGN) {
                let instance = &statement.instance;
                off.push(format!("{instance} reports far more numbers than were sent"));
                is_complete = false;
                continue;
            }
            room -= count;
            match statement.pages.pages() {
                Some(others) => {
                    let by_both = all.merge(&mut pages, statement, &others);
                    by_both.iter().for_each(|number| *again.entry(*number).or_default() += 1);
                    by_several.extend(by_both.into_iter().take(MAX_EXAMPLES));
                    each.push((statement.instance.clone(), others));
                }
                None => {
                    off.push(format!("what {} has seen can't be read", statement.instance));
                    is_complete = false;
                }
            }
        }
        let resent = all.resent_states();
        let broken = all.uploads.broken.iter().copied().collect();
        let mut within: BTreeMap<u64, u64> = BTreeMap::new();
        for entry in &all.entries {
            let own = within.entry(entry.number).or_default();
            *own = u64::from(entry.sighting.saturating_sub(1)).max(*own);
        }
        for (number, times) in within.into_iter().filter(|(_, times)| *times > 0) {
            *again.entry(number).or_default() += times;
        }
        Self { is_complete, all, pages, resent, broken, each, by_several, again }
    }

    pub(super) fn state(&self, number: u64) -> State {
        match self.resent.get(&number) {
            None => self.pages.get(number),
            Some(state) => self.pages.get(number).max(*state),
        }
    }

    pub(super) fn first_entry(&self, number: u64) -> Option<&Entry> {
        let of_number = self.all.entries.iter().filter(|entry| entry.number == number);
        of_number.min_by_key(|entry| entry.received_ns)
    }
}
