//! The same bytes to our two roles and to those of the crate h2: legal sequences with at most one thing in them that
//! is not, and the same verdict from both, or else an entry in a table of differences, which says why.
//!
//! `either` has what is odd from both ends; what only one end can do is in the folder of the role that reads it.

#[path = "../../src/random.rs"]
mod random;

mod client;
mod differences;
mod either;
mod script;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use differences::{Difference, EITHER};
use http2::{
    Code,
    frame::{self, kind},
};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};

/// How often each oddity is met, in another sequence each time.
const ROUNDS: u64 = 30;

/// What an end makes of what came, by stream; 0 is the connection, and there only if it has ended for an error.
type Verdict = BTreeMap<u32, Word>;

#[derive(Debug, Default, PartialEq, Eq)]
struct Word {
    /// What its caller learns.
    said: String,
    /// With what it was ended here.
    code: Option<Code>,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.said.is_empty() || self.code.is_none() { "" } else { " " };
        let code = self.code.map(|code| code.to_string()).unwrap_or_default();
        write!(f, "{}{gap}{code}", self.said)
    }
}

/// Each frame of an output, with its payload.
fn frames(output: &[u8]) -> impl Iterator<Item = (frame::FrameHead, &[u8])> {
    let mut rest = output;
    std::iter::from_fn(move || {
        let Some(head) = frame::FrameHead::read(rest) else {
            assert!(rest.is_empty(), "whole frames are written");
            return None;
        };
        let (payload, after) = rest[frame::HEAD..].split_at(head.len);
        rest = after;
        Some((head, payload))
    })
}

/// The code with which a frame ends a stream, or the connection.
fn ending(head: &frame::FrameHead, payload: &[u8]) -> Option<Code> {
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    match head.kind {
        kind::GOAWAY => Some(Code(number(4))).filter(|code| *code != Code::NO_ERROR),
        kind::RST_STREAM => Some(Code(number(0))),
        _ => None,
    }
}

/// Lets the other tasks go on until nothing is left to do.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// What lies ready to be read.
fn read_all(from: &mut DuplexStream) -> Vec<u8> {
    let mut output = Vec::new();
    loop {
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut *from).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => output.extend_from_slice(buffer.filled()),
            _ => return output,
        }
    }
}

/// Whether no end of anything came from here.
fn is_well(verdict: &Verdict) -> bool {
    verdict.values().all(|word| word.code.is_none())
}

/// Where both differ, without the number of the stream.
fn difference(ours: &Verdict, theirs: &Verdict) -> Option<(String, String)> {
    if ours == theirs {
        return None;
    }
    let show = |verdict: &Verdict, other: &Verdict| {
        if let Some(word) = verdict.get(&0).filter(|word| other.get(&0) != Some(word)) {
            return format!("connection {word}");
        }
        let streams: BTreeSet<&u32> = verdict.keys().chain(other.keys()).filter(|id| **id != 0).collect();
        let mut said = BTreeSet::new();
        for id in streams {
            let word = verdict.get(id);
            // An end of the connection says nothing about streams: then what was reset is what is odd.
            let odd = if other.contains_key(&0) && !verdict.contains_key(&0) {
                word.is_some_and(|word| word.code.is_some())
            } else {
                word != other.get(id)
            };
            if odd {
                said.insert(word.map_or("stream nothing".to_owned(), |word| format!("stream {word}")));
            }
        }
        if said.is_empty() { "goes on".into() } else { said.into_iter().collect::<Vec<_>>().join(", ") }
    };
    Some((show(ours, theirs), show(theirs, ours)))
}

/// Compares the verdicts on every oddity, and holds the differences against the tables.
#[expect(clippy::print_stdout, reason = "the counts are for those who run it")]
fn compare(names: &[&'static str], own: &[Difference], both: impl Fn(usize, u64) -> (Verdict, Verdict)) {
    let known: Vec<&Difference> = EITHER.iter().chain(own).collect();
    let mut met: BTreeMap<(&str, String, String), (u32, u64)> = BTreeMap::new();
    let (mut same, mut total) = (0, 0);
    for (place, name) in names.iter().enumerate() {
        for round in 0..ROUNDS {
            let seed = place as u64 * 1000 + round;
            let (ours, theirs) = both(place, seed);
            total += 1;
            match difference(&ours, &theirs) {
                None => same += 1,
                Some((ours, theirs)) => met.entry((name, ours, theirs)).or_insert((0, seed)).0 += 1,
            }
        }
    }
    println!("{total} sequences, the same verdict of {same}");
    let mut unknown = Vec::new();
    for ((name, ours, theirs), (count, seed)) in &met {
        let entry = known.iter().find(|known| (known.0, known.1, known.2) == (*name, ours, theirs));
        println!("{count:3} {name}: we: {ours}; h2: {theirs}; {}", entry.map_or("UNKNOWN", |known| known.3));
        if entry.is_none() {
            unknown.push(format!("{name} (seed {seed}): we: {ours}; h2: {theirs}"));
        }
    }
    assert!(unknown.is_empty(), "differences without an entry:\n{}", unknown.join("\n"));
    let mut entries = BTreeSet::new();
    for entry in known {
        let key = (entry.0, entry.1.to_owned(), entry.2.to_owned());
        assert!(met.contains_key(&key), "no longer met: {entry:?}");
        assert!(entries.insert(key), "twice in the tables: {entry:?}");
    }
}

/// Runs something of h2's, whose tasks stay in this thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

#[test]
fn our_server_and_the_h2_crate_agree() {
    let odd = server::odd();
    let names: Vec<_> = odd.iter().map(|odd| odd.0).collect();
    compare(&names, server::DIFFERENCES, |place, seed| {
        let mut script = server::Script::new(seed);
        (0..script.random.below(8)).for_each(|_| script.legal());
        assert!(is_well(&server::ours(&script)), "what is legal is taken");
        odd[place].1(&mut script);
        (0..script.random.below(4)).for_each(|_| script.legal());
        (server::ours(&script), run(server::theirs(&script)))
    });
}

#[test]
fn our_client_and_the_h2_crate_agree() {
    let odd = client::odd();
    let names: Vec<_> = odd.iter().map(|odd| odd.0).collect();
    compare(&names, client::DIFFERENCES, |place, seed| {
        let mut script = client::Script::new(seed);
        (0..script.random.below(10)).for_each(|_| script.legal());
        assert!(is_well(&client::ours(&script)), "what is legal is taken");
        odd[place].1(&mut script);
        (0..script.random.below(6)).for_each(|_| script.legal());
        (client::ours(&script), run(client::theirs(&script)))
    });
}
