//! Tokens of verified runs in the payloads of a call's requests (`loadgen --verify`): which came behind one that was sent later,
//! and which have changed. The ledger notes each that came.

use std::{ops::Range, rc::Rc};

use contract::{
    id::Id,
    ledger::{checked_token, stream_message},
    test::TestResponse,
};

use crate::ledger::{Ledger, Noted};

/// How many numbers of requests a response lists that were reordered, and that have changed; of the others it has the count.
const MAX_LISTED: usize = 1000;

/// Maximum number of gaps in the received numbers that are remembered.
const MAX_GAPS: usize = 1000;

/// Those of one call.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    noted: Noted,
    /// From the lowest received number to the highest.
    come: Range<u64>,
    /// Those between that were not received yet.
    gaps: Vec<Range<u64>>,
    /// What the next response reports of the requests that were read since the last one: the last token, with its
    /// checksum, and the first ones that were reordered or have changed, and how many more there were.
    told: TestResponse,
}

impl Tokens {
    /// A request with this token has arrived; `notes` it in the ledger if the request is one of several.
    pub(super) fn came(&mut self, id: Id, payload: &[u8], notes: Option<&Rc<Ledger>>) {
        if let Some(ledger) = notes {
            self.noted.saw(id, payload.len(), ledger);
            // The responses report how it ended.
            self.noted.handed_over();
        }
        let told = &mut self.told;
        told.token.clear();
        told.token.push_str(&String::from_utf8_lossy(&checked_token(id)));
        if is_behind(&mut self.come, &mut self.gaps, id.number) {
            list(&mut told.reordered, &mut told.more_reordered, id.number);
        }
        if payload != stream_message(id) {
            list(&mut told.changed, &mut told.more_changed, id.number);
        }
    }

    /// A request has arrived whose token can't be read: the next response is to no known token.
    pub(super) fn came_unread(&mut self) {
        self.told.token.clear();
    }

    /// What the next response reports.
    pub(super) fn tell(&mut self) -> TestResponse {
        let token = self.told.token.clone();
        std::mem::replace(&mut self.told, TestResponse { token, ..TestResponse::default() })
    }
}

fn list(listed: &mut Vec<u64>, more: &mut u64, number: u64) {
    if listed.len() < MAX_LISTED {
        listed.push(number);
    } else {
        *more += 1;
    }
}

/// Whether this number comes behind a higher one, and for the first time in its call: one that comes again is another thing.
fn is_behind(come: &mut Range<u64>, gaps: &mut Vec<Range<u64>>, number: u64) -> bool {
    fn note(gaps: &mut Vec<Range<u64>>, gap: Range<u64>) {
        if !gap.is_empty() && gaps.len() < MAX_GAPS {
            gaps.push(gap);
        }
    }
    let next = number.saturating_add(1);
    if come.is_empty() {
        *come = number..next;
        return false;
    }
    if number >= come.end {
        note(gaps, come.end..number);
        come.end = next;
        return false;
    }
    if number < come.start {
        note(gaps, next..come.start);
        come.start = number;
        return true;
    }
    let Some(place) = gaps.iter().position(|gap| gap.contains(&number)) else { return false };
    let gap = gaps.swap_remove(place);
    note(gaps, gap.start..number);
    note(gaps, next..gap.end);
    true
}

#[cfg(test)]
mod tests {
    use contract::ledger::stream_message_id;

    use super::*;

    #[test]
    fn requests_that_came_later_than_those_behind_them_and_that_have_changed_are_told_with_the_next_response()
    {
        let ledger = Ledger::new("one", 7, 1024);
        let mut tokens = Tokens::default();
        let id = |number| Id { run: 7, load: 64, number, attempt: 0 };
        for number in [0, 2, 1, 3, 0, 3] {
            let mut payload = stream_message(id(number));
            payload[63] ^= u8::from(number == 3);
            tokens.came(stream_message_id(&payload).unwrap(), &payload, Some(&ledger));
        }
        let told = tokens.tell();
        assert_eq!(told.token.as_bytes(), checked_token(id(3)));
        assert_eq!((told.reordered, told.changed), (vec![1], vec![3, 3]));
        let again = tokens.tell();
        assert_eq!((again.reordered, again.changed, again.token), (vec![], vec![], told.token));
        // Another call with the same numbers, such as a retry, reports it too; and each once.
        let mut retried = Tokens::default();
        for number in [5, 9, 7, 8, 7, 6, 3, 4, 9] {
            let payload = stream_message(id(number));
            retried.came(id(number), &payload, Some(&ledger));
        }
        let told = retried.tell();
        assert_eq!((told.reordered, told.changed), (vec![7, 8, 6, 3, 4], vec![]));
        assert_eq!((told.more_reordered, told.more_changed), (0, 0));
        // Every number once, from the highest down.
        let most = MAX_LISTED as u64;
        for number in (0..2 * most).rev() {
            retried.came(id(number + 10), b"", None);
        }
        let told = retried.tell();
        assert_eq!((told.reordered.len(), told.more_reordered), (MAX_LISTED, most - 1));
        assert_eq!((told.changed.len(), told.more_changed), (MAX_LISTED, most));
    }

    #[test]
    fn gaps_are_bounded_whichever_numbers_come() {
        let (mut come, mut gaps) = (0..0, Vec::new());
        assert!(!is_behind(&mut come, &mut gaps, u64::MAX - 1), "the first one");
        for number in (0..10 * MAX_GAPS as u64).map(|n| 2 * n) {
            is_behind(&mut come, &mut gaps, number);
            is_behind(&mut come, &mut gaps, u64::MAX - number);
        }
        assert_eq!(gaps.len(), MAX_GAPS);
        for number in [0, 1, u64::MAX - 1, u64::MAX] {
            is_behind(&mut come, &mut gaps, number);
        }
        assert!(gaps.len() <= MAX_GAPS);
    }
}
