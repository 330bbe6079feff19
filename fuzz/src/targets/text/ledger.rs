//! What servers say of a verified run, and what a reply says of its request: what is accepted is within its bounds, is written as it was
//! read, and can be merged with itself.

use contract::ledger::{MAX_PAGES, Packed, Pages, Seen, Statement};

use crate::feedback::met;

/// Words that ledgers are made of.
pub const WORDS: &[&[u8]] = &[
    b"[{\"version\":1,\"run\":7,\"load\":0,\"instance\":\"a\",\"epoch\":1,\"sightings\":2,\"open\":0,\"whole\":2,",
    b"\"cut_on_purpose\":{},\"cut_by_server\":0,\"cut_by_peer\":0,\"refused\":0,",
    b"\"repeats\":{\"after_refusal\":0,\"after_failure\":0,\"after_success\":0,\"concurrent\":0},",
    b"\"pages\":{\"whole\":[[0,1]],\"pages\":{}},",
    b"\"pages\":{\"whole\":[],\"pages\":{\"4503599627370495\":\"",
    b"\"resent\":[[1,1,3]],",
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
    b"-0",
    b"-ffffffffffffffff",
];

/// Reads an input.
pub fn run(input: &[u8]) {
    if let Some(seen) = Seen::read(input) {
        assert_eq!(Seen::read(&seen.text()), Some(seen), "it is read as it is written");
        met(("seen", seen.length.map(u64::leading_zeros), seen.sighting == u8::MAX));
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

fn check(statement: &Statement) {
    let Some(pages) = unpack(&statement.pages) else { return };
    let numbers = pages.count();
    let (mut merged, mut both) = (statement.clone(), pages.clone());
    merged.merge(&mut both, statement, &pages);
    assert_eq!(both.count(), numbers, "the same numbers are known");
    assert!(merged.repeats.all() >= statement.repeats.all());
    assert!(merged.distinct(&both) >= numbers && merged.size() > 0);
    met((statement.adds_up(), merged.own_attempts(&both).min(9), merged.resent_states().len().min(9)));
}
