//! What servers say of a verified run, and what a reply says of its request: what is accepted is within its bounds, is written as it was
//! read, and can be merged with itself.

use std::collections::{BTreeMap, BTreeSet};

use contract::ledger::{MAX_ENTRIES, MAX_PAGES, Packed, Pages, Seen, State, Statement};

use crate::feedback::met;

/// Words that ledgers are made of.
pub const WORDS: &[&[u8]] = &[
    b"[{\"version\":1,\"run\":7,\"load\":0,\"instance\":\"a\",\"epoch\":1,\"sightings\":2,\"open\":0,\"whole\":2,",
    b"\"cut_on_purpose\":{},\"cut_by_server\":0,\"cut_by_peer\":0,\"refused\":0,",
    b"\"repeats\":{\"after_refusal\":0,\"after_failure\":0,\"after_success\":0,\"concurrent\":0},",
    b"\"pages\":{\"whole\":[[0,1]],\"pages\":{}},",
    b"\"pages\":{\"whole\":[],\"pages\":{\"4503599627370495\":\"",
    b"\"resent\":[[1,1,3]],",
    b"\"resent\":[[1,1,3],[1,1,2],[1,2,0],[9,1,1]],",
    b"\"entries\":[],\"forgotten\":0}]",
    b"{\"number\":1,\"attempt\":0,\"sighting\":1,\"instance\":\"a\",\"method\":\"GET\",\"status\":200,",
    b"\"received_ns\":1,\"replied_ns\":2,\"ended_ns\":3,\"sent\":4,\"end\":\"whole\"}",
    b"\"cut_on_purpose\":{\"reset\":1},",
    b"18446744073709551615",
    b"1099511627776",
    b"[0,65535]",
    b"[0,65536]",
    b"////",
    b"AAAA",
    b"null",
    b"-1",
    b"00000abc-00-00000000000000ff-00-02-0000feed-400",
    b"00000abc-00-00000000000000ff-00-02-0000feed-400=503.0000",
    b"=204",
    b"=200",
    b"-0",
    b"-ffffffffffffffff",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    if let Some(seen) = Seen::read(input) {
        assert_eq!(Seen::read(&seen.text()), Some(seen), "it is read as it is written");
        met(("seen", seen.length.map(u64::leading_zeros), seen.sighting == u8::MAX, seen.status / 100));
    }
    if let Ok(packed) = serde_json::from_slice::<Packed>(input) {
        unpack(&packed);
    }
    match Statement::read_all(input) {
        Ok(all) => {
            let written = serde_json::to_vec(&all).expect("memory takes it");
            assert_eq!(
                Statement::read_all(&written).as_ref(),
                Ok(&all),
                "they are read as they were written"
            );
            all.iter().for_each(check);
            met(("statements", all.len()));
        }
        Err(error) => {
            // Without what it quotes.
            let kind = |c: &char| c.is_ascii_alphabetic() || " :".contains(*c);
            met(error.to_string().chars().take_while(kind).collect::<String>());
        }
    }
}

fn unpack(packed: &Packed) -> Option<Pages> {
    let pages = packed.pages();
    met(("pages", pages.is_some(), packed.count().leading_zeros()));
    let pages = pages?;
    assert!(pages.bytes() <= MAX_PAGES << 10, "{} bytes", pages.bytes());
    assert_eq!(pages.left_out(), 0);
    let again = Packed::of(&pages).pages().expect("what was written is read");
    assert_eq!(again.count(), pages.count());
    Some(pages)
}

/// What is merged with itself has twice the counts, and the same numbers.
fn check(statement: &Statement) {
    let Some(pages) = unpack(&statement.pages) else { return };
    let numbers = pages.count();
    let (mut merged, mut both) = (statement.clone(), pages.clone());
    let by_both = merged.merge(&mut both, statement, &pages);
    assert_eq!((both.count(), by_both.len() as u64), (numbers, numbers.min(MAX_ENTRIES as u64)));
    assert_eq!(counts(&merged), counts(statement).map(|count| 2 * count));
    assert_eq!(merged.adds_up(), statement.adds_up());
    let repeats = 2 * statement.repeats.all() + numbers + seen_by_both(&statement.resent);
    assert_eq!(merged.repeats.all(), repeats);
    let attempts: BTreeSet<_> =
        statement.resent.iter().map(|(number, attempt, _)| (number, attempt)).collect();
    let resent: BTreeSet<_> = attempts.iter().map(|(number, _)| **number).collect();
    let only_resent = resent.iter().filter(|number| pages.get(**number) == State::UNSEEN).count();
    assert_eq!(merged.distinct(&both), numbers + only_resent as u64);
    assert_eq!(merged.own_attempts(&both), (attempts.len() - only_resent) as u64);
    assert!(merged.size() > 0);
    met((statement.adds_up(), merged.own_attempts(&both).min(9), merged.resent_states().len().min(9)));
}

/// All that are added up.
fn counts(statement: &Statement) -> [u64; 12] {
    let cut_on_purpose = statement.cut_on_purpose.values().sum();
    let Statement { sightings, open, whole, cut_by_server, cut_by_peer, refused, .. } = statement;
    let Statement { forgotten, connections, uploads, .. } = statement;
    [
        *sightings,
        *open,
        *whole,
        cut_on_purpose,
        *cut_by_server,
        *cut_by_peer,
        *refused,
        *forgotten,
        *connections,
        uploads.checked,
        uploads.differing,
        uploads.unannounced,
    ]
}

/// How often a further attempt has been seen by both of two that state this.
fn seen_by_both(resent: &[(u64, u8, u8)]) -> u64 {
    let state = |bits: u8| State::of_bits(bits) != State::UNSEEN;
    let mut known: BTreeMap<_, _> =
        resent.iter().map(|(number, attempt, bits)| ((number, attempt), state(*bits))).collect();
    let again = resent.iter().filter(|(number, attempt, bits)| {
        let is_known = known.entry((number, attempt)).or_default();
        std::mem::replace(is_known, *is_known || state(*bits))
    });
    again.count() as u64
}
