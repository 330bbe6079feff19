//! The states of all numbers of a load as text.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{MAX_PAGES, NUMBERS_PER_PAGE, Pages};

/// Pages as text: those in which all is whole as ranges, the others as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// Numbers of pages, from and to, in which each number is [`State::WHOLE`](super::State::WHOLE).
    pub whole: Vec<(u64, u64)>,
    /// The bytes of other pages in Base64, by the number of the page.
    pub pages: BTreeMap<u64, String>,
}

impl Packed {
    /// Of pages.
    #[must_use]
    pub fn of(pages: &Pages) -> Self {
        let mut packed = Self::default();
        for (page, bytes) in pages.raw() {
            if bytes.iter().any(|byte| *byte != u8::MAX) {
                if bytes.iter().any(|byte| *byte != 0) {
                    packed.pages.insert(page, STANDARD.encode(bytes));
                }
                continue;
            }
            match packed.whole.last_mut() {
                Some((_, last)) if *last + 1 == page => *last = page,
                _ => packed.whole.push((page, page)),
            }
        }
        packed
    }

    /// How many pages there are, before they are unpacked: it may be any number.
    #[must_use]
    pub fn count(&self) -> u64 {
        let whole = self.whole.iter().map(|(first, last)| last.saturating_sub(*first).saturating_add(1));
        whole.fold(self.pages.len() as u64, u64::saturating_add)
    }

    /// The pages; none if the text is invalid, or has more of them than [`MAX_PAGES`].
    #[must_use]
    pub fn pages(&self) -> Option<Pages> {
        let mut pages = Pages::default();
        let whole = vec![u8::MAX; (NUMBERS_PER_PAGE / 4) as usize];
        for (first, last) in &self.whole {
            if first > last || last - first >= MAX_PAGES as u64 {
                return None;
            }
            for page in *first..=*last {
                pages.add_raw(page, &whole)?;
            }
        }
        for (page, text) in &self.pages {
            pages.add_raw(*page, &STANDARD.decode(text).ok()?)?;
        }
        Some(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;

    #[test]
    fn pages_come_back_from_their_text() {
        let mut pages = Pages::default();
        for number in 0..3 * NUMBERS_PER_PAGE {
            pages.set(number, State::WHOLE);
        }
        pages.set(5 * NUMBERS_PER_PAGE + 1, State::OPEN);
        pages.set(u64::MAX, State::FAILED);
        let packed = Packed::of(&pages);
        assert_eq!((&packed.whole, packed.pages.len()), (&vec![(0, 2)], 2));
        let back = packed.pages().unwrap();
        assert_eq!(back.iter().collect::<Vec<_>>(), pages.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_a_text_of_pages_is_refused() {
        let packed = |whole: &[(u64, u64)], pages: &[(u64, &str)]| Packed {
            whole: whole.to_vec(),
            pages: pages.iter().map(|(page, text)| (*page, (*text).to_owned())).collect(),
        };
        let page = STANDARD.encode([1; 1024]);
        assert!(packed(&[(0, 1)], &[(2, &page)]).pages().is_some());
        for wrong in [
            packed(&[(1, 0)], &[]),
            packed(&[(0, u64::MAX)], &[]),
            packed(&[(u64::MAX, u64::MAX)], &[]),
            packed(&[(0, 1), (1, 2)], &[]),
            packed(&[(0, 1)], &[(1, &page)]),
            packed(&[], &[(1, "AAAA")]),
            packed(&[], &[(1, "***")]),
            packed(&[(0, MAX_PAGES as u64 - 1), (1 << 40, 1 << 40)], &[]),
        ] {
            assert!(wrong.pages().is_none(), "{wrong:?}");
        }
    }
}
