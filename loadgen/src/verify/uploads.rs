//! Bodies of requests that arrived otherwise than they were sent: what servers state, and where it differs from what was sent.

use std::collections::BTreeSet;

use contract::ledger::{self, Announced, Differing, MAX_BROKEN};

use super::{Example, Finding, MAX_EXAMPLES, Uploads};
use crate::numbers::count;

/// A body that is the same each time.
pub(crate) type SentBody<'a> = &'a [u8];

pub(super) fn of(stated: &ledger::Uploads, bodies: &[SentBody<'_>]) -> Uploads {
    let mut examples: Vec<Example> = Vec::new();
    for differing in &stated.examples {
        let sighting = example(differing, bodies);
        match examples.iter_mut().find(|known| known.number == sighting.number) {
            // It was repeated.
            Some(known) => known.what.push_str(&and_again(&sighting)),
            None => examples.push(sighting),
        }
    }
    examples.truncate(MAX_EXAMPLES);
    let differing = Finding { count: requests(stated), examples, ..Finding::default() };
    Uploads { checked: stated.checked, differing }
}

/// How many requests have a body that differs, however often each came. Where servers do not list all of them, it is how often one
/// came.
fn requests(stated: &ledger::Uploads) -> u64 {
    if stated.without_number() > 0 || stated.numbers.len() >= MAX_BROKEN {
        return stated.differing;
    }
    let numbers: BTreeSet<u64> = stated.numbers.iter().copied().collect();
    numbers.len() as u64
}

fn and_again(Example { instance, offset, what, .. }: &Example) -> String {
    let at = offset.map(|offset| format!(" at byte {}", count(offset))).unwrap_or_default();
    format!("; and again at {}{at}: {what}", instance.as_deref().unwrap_or_default())
}

fn example(differing: &Differing, bodies: &[SentBody<'_>]) -> Example {
    let Differing { announced, came, block, .. } = differing;
    // Texts with placeholders are gone.
    let sent = bodies.iter().find(|body| Announced::of(body) == *announced);
    let offset = match sent {
        Some(sent) => differing.offset(sent),
        None if came.length < announced.length => Some(came.length),
        None => None,
    };
    let (length, all) = (count(came.length), count(announced.length));
    let what = match offset {
        // All that came may be as it was sent.
        Some(offset) if offset == came.length && came.length < announced.length => {
            format!("ends cleanly after {length} of {all} bytes")
        }
        _ if came.length != announced.length => format!("came with {length} bytes instead of {all}"),
        Some(_) => format!("differs first within {} bytes from there", count(*block)),
        None => format!("has another checksum, over {all} bytes"),
    };
    let instance = Some(differing.instance.clone());
    Example { number: differing.number, instance, offset, what, ..Example::default() }
}

#[cfg(test)]
mod tests {
    use contract::ledger::Digest;

    use super::*;

    fn told(sent: &[u8], came: &[u8], bodies: &[SentBody<'_>]) -> (Option<u64>, String) {
        let announced = Announced::of(sent);
        let mut digest = Digest::of_length(announced.length);
        digest.update(came);
        let came = digest.came();
        let (block, ends) = digest.into_blocks();
        let differing = Differing { number: 7, announced, came, block, ends, ..Differing::default() };
        let stated = ledger::Uploads {
            checked: 1,
            differing: 1,
            examples: vec![differing],
            ..ledger::Uploads::default()
        };
        let found = of(&stated, bodies);
        assert_eq!((found.checked, found.differing.count, found.differing.examples[0].number), (1, 1, 7));
        (found.differing.examples[0].offset, found.differing.examples[0].what.clone())
    }

    #[test]
    fn a_request_whose_upload_differs_each_time_it_comes_is_one_with_its_sightings_named() {
        let sighting = |number: u64, instance: &str, came: &[u8]| {
            let mut digest = Digest::of_length(5);
            digest.update(came);
            let (announced, came, (block, ends)) =
                (Announced::of(b"hello"), digest.came(), digest.into_blocks());
            Differing {
                number,
                instance: instance.to_owned(),
                announced,
                came,
                block,
                ends,
                ..Differing::default()
            }
        };
        let examples = vec![sighting(7, "a", b"hal"), sighting(9, "a", b"hallo"), sighting(7, "b", b"hallo")];
        let stated = ledger::Uploads {
            checked: 4,
            differing: 3,
            numbers: vec![7, 9, 7],
            examples,
            ..ledger::Uploads::default()
        };
        let found = of(&stated, &[b"hello"]);
        assert_eq!((found.checked, found.differing.count, found.differing.examples.len()), (4, 2, 2));
        let Example { number, instance, what, .. } = &found.differing.examples[0];
        assert_eq!((*number, instance.as_deref()), (7, Some("a")));
        assert!(
            what.starts_with("ends cleanly after 3 of 5 bytes; and again at b at byte 0: differs"),
            "{what}"
        );
        // A server that lists no more than it can.
        let many = ledger::Uploads { differing: 1 << 20, numbers: vec![7; MAX_BROKEN], ..stated };
        assert_eq!(of(&many, &[]).differing.count, 1 << 20);
        // One that ran out of room before.
        let some = ledger::Uploads { differing: 1000, numbers: vec![7], unlisted: 999, ..many };
        assert_eq!(of(&some, &[]).differing.count, 1000);
    }

    #[test]
    fn where_an_upload_differs_is_reported_as_far_as_it_is_known() {
        let sent: Vec<u8> = (0..100_000_u32).map(|byte| (byte * 7 % 251) as u8).collect();
        let mut other = sent.clone();
        other[70_000] ^= 1;
        let bodies: [SentBody<'_>; 2] = [b"another", &sent];
        assert_eq!(
            told(&sent, &other, &bodies),
            (Some(68_772), "differs first within 1,563 bytes from there".to_owned())
        );
        let cut = (Some(1000), "ends cleanly after 1,000 of 100,000 bytes".to_owned());
        assert_eq!(told(&sent, &sent[..1000], &bodies), cut);
        assert_eq!(told(&sent, &sent[..1000], &[]), cut);
        assert_eq!(told(&sent, &other, &[]), (None, "has another checksum, over 100,000 bytes".to_owned()));
        let longer = [&sent[..], b"x"].concat();
        assert_eq!(
            told(&sent, &longer, &bodies),
            (Some(100_000), "came with 100,001 bytes instead of 100,000".to_owned())
        );
    }
}
