//! The same bytes to our readers and to those of the crate hyper, in both roles: legal messages with at most one
//! thing among them that is not, and the same verdict from both, or else an entry in the table of differences, which
//! says why.

mod client;
mod differences;
mod oracle;
mod script;
mod server;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use script::Random;
use verdict::{Outcome, Verdict, difference, text};

/// A difference: what is odd, what we make of it and what hyper does, and why ours holds.
pub(crate) type Difference = (&'static str, &'static str, &'static str, &'static str);

/// Compares the verdicts on every class of case and holds the differences against the table.
#[expect(clippy::print_stdout, reason = "the counts are for those who run it")]
fn compare(
    names: impl Iterator<Item = &'static str>,
    known: &[Difference],
    mut both: impl FnMut(usize, &mut Random) -> (Verdict, Verdict, usize),
) {
    let mut met: BTreeMap<(&str, String, String), (u32, u64)> = BTreeMap::new();
    let (mut same, mut total) = (0, 0);
    for (place, name) in names.enumerate() {
        for round in 0..20 {
            let seed = place as u64 * 1000 + round;
            let (ours, theirs, before) = both(place, &mut Random::new(seed));
            total += 1;
            match difference(&ours, &theirs, before) {
                None => same += 1,
                Some((ours, theirs)) => met.entry((name, ours, theirs)).or_insert((0, seed)).0 += 1,
            }
        }
    }
    println!("{total} sequences, the same verdict of {same}");
    let mut unknown = Vec::new();
    for ((name, ours, theirs), (count, seed)) in &met {
        let entry = known.iter().find(|known| (known.0, known.1, known.2) == (*name, ours, theirs));
        println!(
            "{count:3} {name}: we: {ours}; hyper: {theirs}; {}",
            entry.map_or("UNKNOWN", |known| known.3)
        );
        if entry.is_none() {
            unknown.push(format!("{name} (seed {seed}): we: {ours}; hyper: {theirs}"));
        }
    }
    assert!(unknown.is_empty(), "differences without an entry:\n{}", unknown.join("\n"));
    let mut classes = BTreeSet::new();
    for entry in known {
        let key = (entry.0, entry.1.to_owned(), entry.2.to_owned());
        assert!(met.contains_key(&key), "no longer met: {entry:?}");
        assert!(classes.insert(key), "twice in the table: {entry:?}");
    }
}

#[test]
fn our_server_and_hyper_agree() {
    compare(server::ODD.iter().map(|odd| odd.0), server::DIFFERENCES, |place, random| {
        let before = random.below(4);
        let mut bytes: Vec<u8> = (0..before).flat_map(|_| server::legal(random)).collect();
        let legal = server::ours(&bytes);
        assert_eq!((legal.messages.len(), legal.outcome), (before, Outcome::Ends), "{}", text(&bytes));
        bytes.extend(server::ODD[place].1.message(random, "GET /odd HTTP/1.1", "Host: a\r\n", ""));
        for _ in 0..random.below(3) {
            bytes.extend(server::legal(random));
        }
        (server::ours(&bytes), server::theirs(&bytes), before)
    });
}

#[test]
fn our_client_and_hyper_agree() {
    compare(client::ODD.iter().map(|odd| odd.0), client::DIFFERENCES, |place, random| {
        let mut exchanges: Vec<_> = (0..random.below(4)).map(|_| client::legal(random)).collect();
        let legal = client::ours(&exchanges);
        assert_eq!(legal.outcome, Outcome::Ends, "{exchanges:?}");
        let before = legal.messages.len();
        assert!(before >= exchanges.len(), "{exchanges:?}");
        let (_, kind, odd) = &client::ODD[place];
        exchanges.push((*kind, odd.message(random, "HTTP/1.1 200 OK", "", "Content-Length: 0\r\n")));
        for _ in 0..random.below(3) {
            exchanges.push(client::legal(random));
        }
        (client::ours(&exchanges), client::theirs(&exchanges), before)
    });
}
