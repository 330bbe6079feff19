//! What a server says of a run, as JSON: counts, the states of all numbers, and entries of what was out of the ordinary.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{
    MAX_BLOCKS, MAX_BROKEN, MAX_SAMPLES, NUMBERS_PER_PAGE, Packed, Pages, Repeat, Repeats, Sample, SeenAgain,
    State, Uploads,
    again::{Key, nearer},
};

/// The version of the format: another one is not read.
pub const VERSION: u32 = 1;

/// The largest count that is believed.
const MAX_COUNT: u64 = 1 << 40;
/// How many servers a process states something of, at most.
const MAX_STATEMENTS: usize = 256;
/// The longest name that is, in bytes.
const MAX_TEXT: usize = 1024;
/// How many loads a run has at most, with those of canaries and of messages.
const MAX_LOADS: usize = 256;
/// How many further attempts a statement has at most.
const MAX_RESENT: usize = 1 << 20;

/// A statement that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatement(String);

impl fmt::Display for InvalidStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no ledger: {}", self.0)
    }
}

impl std::error::Error for InvalidStatement {}

/// How many sampled heads a statement has at most: there are more than sampled requests where those were repeated.
pub const MAX_HEADS: usize = 2 * MAX_SAMPLES;

/// How many entries a statement has at most.
pub const MAX_ENTRIES: usize = 1024;

/// What one server, or a part of it, has seen of one load of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Which format it is in.
    pub version: u32,
    /// Whose requests.
    pub run: u32,
    /// The load within the run.
    pub load: u8,
    /// What the server calls itself.
    pub instance: String,
    /// Drawn when it started.
    pub epoch: u32,
    /// Heads with a token of the run, each time one came.
    pub sightings: u64,
    /// Of these: not ended yet.
    pub open: u64,
    /// Replies that were handed over whole.
    pub whole: u64,
    /// Replies that were broken off because a request asked for it, by kinds of cut.
    pub cut_on_purpose: BTreeMap<String, u64>,
    /// Replies that the server broke off by itself: it was drained, or the client took too long.
    pub cut_by_server: u64,
    /// Replies whose client went first.
    pub cut_by_peer: u64,
    /// Refused before processing, so that the client can safely retry.
    pub refused: u64,
    /// Sightings of a number, and of the same attempt, that had been seen before.
    pub repeats: Repeats,
    /// How often the requests were seen that this is about.
    #[serde(default = "SeenAgain::unknown")]
    pub seen_again: SeenAgain,
    /// The states of all numbers that were sent as a first attempt.
    pub pages: Packed,
    /// Further attempts of the client itself: number, attempt and state.
    pub resent: Vec<(u64, u8, u8)>,
    /// What was out of the ordinary, and what was asked for.
    pub entries: Vec<Entry>,
    /// Bodies of requests.
    #[serde(default)]
    pub uploads: Uploads,
    /// Messages on WebSockets that came behind a later one.
    #[serde(default, skip_serializing_if = "OutOfOrder::is_empty")]
    pub out_of_order: OutOfOrder,
    /// Sightings that were not noted for want of room: identities do not hold then.
    pub forgotten: u64,
    /// Connections on which requests with a token of the run came.
    #[serde(default)]
    pub connections: u64,
    /// Heads of [sampled](super::is_sampled) requests that have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// All loads of the run of which a server that has ended has seen something, so that what it has not seen is known, too.
    /// None: it has not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<u8>,
}

/// Messages that came behind one of a later number on the same WebSocket, where they were seen for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfOrder {
    /// How many.
    pub count: u64,
    /// The numbers of them, as far as there is room: [`MAX_BROKEN`].
    pub numbers: Vec<u64>,
}

impl OutOfOrder {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.numbers.is_empty()
    }

    /// Adds those that another has seen.
    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        let room = MAX_BROKEN - self.numbers.len().min(MAX_BROKEN);
        self.numbers.extend(other.numbers.iter().take(room));
    }
}

/// One sighting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The number of the request.
    pub number: u64,
    /// How often its client had sent it before.
    pub attempt: u8,
    /// How often its worker had seen it, this sighting included.
    pub sighting: u8,
    /// The instance that saw it.
    pub instance: String,
    /// As it was in the request.
    pub method: String,
    /// Of the reply; 0 if there was none.
    pub status: u16,
    /// When the head was read, in nanoseconds since the Unix epoch.
    pub received_ns: u64,
    /// When the reply was begun; 0 if it was not.
    pub replied_ns: u64,
    /// When it ended; 0 if it has not.
    pub ended_ns: u64,
    /// Bytes of content that were handed over.
    pub sent: u64,
    /// How it ended.
    pub end: End,
}

/// How a sighting ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It has not.
    #[default]
    Open,
    /// The reply was handed over whole.
    Whole,
    /// Refused before processing, so that the client can safely retry.
    Refused,
    /// Broken off because a request had asked for it.
    CutOnPurpose,
    /// Broken off by the server itself.
    CutByServer,
    /// The client went first.
    CutByPeer,
}

impl End {
    /// What it means for the number of a request whose reply had this status.
    #[must_use]
    pub fn state(self, status: u16) -> State {
        match self {
            Self::Open => State::OPEN,
            Self::Refused => State::UNSEEN,
            Self::Whole if status < 500 => State::WHOLE,
            Self::Whole | Self::CutOnPurpose | Self::CutByServer | Self::CutByPeer => State::FAILED,
        }
    }
}

impl Entry {
    /// What its end means for its number.
    #[must_use]
    pub fn state(&self) -> State {
        self.end.state(self.status)
    }
}

impl Statement {
    /// Reads a list of them from JSON.
    ///
    /// # Errors
    /// A statement has another version, or counts that no server can have.
    pub fn read_all(json: &[u8]) -> Result<Vec<Self>, InvalidStatement> {
        let statements: Vec<Self> =
            serde_json::from_slice(json).map_err(|error| InvalidStatement(error.to_string()))?;
        if statements.len() > MAX_STATEMENTS {
            return Err(InvalidStatement(format!("more than {MAX_STATEMENTS} servers")));
        }
        statements.into_iter().map(Self::checked).collect()
    }

    fn checked(self) -> Result<Self, InvalidStatement> {
        let invalid = |why: String| InvalidStatement(why);
        let statement = self;
        if statement.version != VERSION {
            return Err(invalid(format!("version {}, not {VERSION}", statement.version)));
        }
        let Self {
            sightings, open, whole, cut_by_server, cut_by_peer, refused, forgotten, connections, ..
        } = statement;
        let Repeats { after_refusal, after_failure, after_success, concurrent } = statement.repeats;
        let counts = [sightings, open, whole, cut_by_server, cut_by_peer, refused, forgotten, connections]
            .into_iter()
            .chain([after_refusal, after_failure, after_success, concurrent])
            .chain([statement.uploads.checked, statement.uploads.differing, statement.uploads.unannounced])
            .chain([statement.uploads.unlisted, statement.out_of_order.count])
            .chain(statement.cut_on_purpose.values().copied());
        // Many of them add up without a care.
        if counts.into_iter().any(|count| count > MAX_COUNT) {
            return Err(invalid(format!("a count beyond {MAX_COUNT}")));
        }
        let Self { cut_on_purpose, entries, resent, instance, .. } = &statement;
        let texts = entries.iter().flat_map(|entry| [&entry.instance, &entry.method]).chain([instance]);
        let is_long = |text: &String| text.len() > MAX_TEXT;
        let is_many = entries.len() > MAX_ENTRIES
            || statement.seen_again.counts.len() > MAX_ENTRIES
            || statement.out_of_order.numbers.len() > MAX_BROKEN
            || resent.len() > MAX_RESENT;
        if cut_on_purpose.len() > 64 || is_many || statement.loads.len() > MAX_LOADS {
            return Err(invalid("more entries than there can be".to_owned()));
        }
        if !statement.uploads.is_bounded(MAX_TEXT) {
            return Err(invalid("more uploads than there can be".to_owned()));
        }
        if texts.chain(cut_on_purpose.keys()).any(is_long) {
            return Err(invalid(format!("a text of more than {MAX_TEXT} bytes")));
        }
        let samples = &statement.samples;
        if samples.len() > MAX_HEADS || !samples.iter().all(Sample::is_plausible) {
            return Err(invalid("heads that no server keeps".to_owned()));
        }
        Ok(statement)
    }

    /// Takes over what another part of a server, or another server, has seen. `entries` of both are looked at for how a
    /// request had ended before it was seen again elsewhere; the numbers of the first ones that were seen by both are returned.
    pub fn merge(&mut self, pages: &mut Pages, other: &Self, others: &Pages) -> Vec<u64> {
        self.sightings = self.sightings.saturating_add(other.sightings);
        self.open = self.open.saturating_add(other.open);
        self.whole = self.whole.saturating_add(other.whole);
        for (cut, count) in &other.cut_on_purpose {
            let own = self.cut_on_purpose.entry(cut.clone()).or_default();
            *own = own.saturating_add(*count);
        }
        self.cut_by_server = self.cut_by_server.saturating_add(other.cut_by_server);
        self.cut_by_peer = self.cut_by_peer.saturating_add(other.cut_by_peer);
        self.refused = self.refused.saturating_add(other.refused);
        self.repeats.add(&other.repeats);
        self.uploads.merge(&other.uploads);
        self.out_of_order.add(&other.out_of_order);
        self.forgotten = self.forgotten.saturating_add(other.forgotten);
        self.connections = self.connections.saturating_add(other.connections);
        let room = MAX_HEADS - self.samples.len().min(MAX_HEADS);
        self.samples.extend(other.samples.iter().take(room).cloned());
        let mut by_both = Vec::new();
        let mut seen_again = Repeats::default();
        // The first attempt of each number, as there may be very many numbers.
        let first_attempts = |entries: &[Entry]| -> BTreeMap<u64, Entry> {
            let first = entries.iter().rev().filter(|entry| entry.attempt == 0);
            first.map(|entry| (entry.number, entry.clone())).collect()
        };
        let (own_entries, other_entries) = (first_attempts(&self.entries), first_attempts(&other.entries));
        let mut seen = self.seen_beside(pages, other, others);
        let mut end = nearer(self.seen_again.end, other.seen_again.end);
        pages.merge(others, |number, mine, theirs| {
            let kind = match (own_entries.get(&number), other_entries.get(&number)) {
                (Some(mine), Some(theirs)) => Repeat::between(mine, theirs),
                _ => Repeat::guessed(mine, theirs),
            };
            kind.count(&mut seen_again);
            // They come in order.
            match by_both.len() < MAX_ENTRIES {
                true => by_both.push(number),
                false => end = nearer(end, Some(number)),
            }
        });
        self.repeats.add(&seen_again);
        let resent_to_both = self.merge_resent(&other.resent);
        for key in by_both.iter().map(|number| (*number, 0)).chain(resent_to_both) {
            seen.entry(key).or_insert(2);
        }
        self.seen_again = SeenAgain::of(seen, end);
        self.entries.extend(other.entries.iter().cloned());
        if self.entries.len() > MAX_ENTRIES {
            // It is the first ones that are shown.
            self.entries.sort_by_key(|entry| (entry.number, entry.received_ns));
            self.entries.truncate(MAX_ENTRIES);
        }
        by_both
    }

    /// How often both together have seen what either of them names.
    fn seen_beside(&self, pages: &Pages, other: &Self, others: &Pages) -> BTreeMap<Key, u32> {
        let resent = |of: &Self| -> BTreeSet<Key> {
            let seen = of.resent.iter().filter(|(.., state)| State::of_bits(*state) != State::UNSEEN);
            seen.map(|(number, attempt, _)| (*number, *attempt)).collect()
        };
        let (own_resent, others_resent) = (resent(self), resent(other));
        let is_in = |pages: &Pages, resent: &BTreeSet<Key>, key: &Key| match key {
            (number, 0) => pages.get(*number) != State::UNSEEN,
            _ => resent.contains(key),
        };
        self.seen_again.beside(
            &other.seen_again,
            |key| is_in(pages, &own_resent, key),
            |key| is_in(others, &others_resent, key),
        )
    }

    /// Those that both have seen.
    fn merge_resent(&mut self, others: &[(u64, u8, u8)]) -> Vec<Key> {
        let mut by_both = Vec::new();
        let mut known: BTreeMap<(u64, u8), State> = BTreeMap::new();
        for (number, attempt, state) in self.resent.drain(..) {
            known.insert((number, attempt), State::of_bits(state));
        }
        for (number, attempt, state) in others {
            let state = State::of_bits(*state);
            let mine = known.entry((*number, *attempt)).or_default();
            if *mine != State::UNSEEN {
                Repeat::guessed(*mine, state).count(&mut self.repeats);
                if state != State::UNSEEN {
                    by_both.push((*number, *attempt));
                }
            }
            *mine = state.max(*mine);
        }
        self.resent =
            known.into_iter().map(|((number, attempt), state)| (number, attempt, state.bits())).collect();
        by_both
    }

    /// Sightings of further attempts of numbers of which another attempt was seen, too.
    #[must_use]
    pub fn own_attempts(&self, pages: &Pages) -> u64 {
        let mut attempts: BTreeMap<u64, u64> = BTreeMap::new();
        for (number, ..) in &self.resent {
            *attempts.entry(*number).or_default() += 1;
        }
        let again = |(number, count): (u64, u64)| count - u64::from(pages.get(number) == State::UNSEEN);
        attempts.into_iter().map(again).sum()
    }

    /// How many numbers were seen at all.
    #[must_use]
    pub fn distinct(&self, pages: &Pages) -> u64 {
        let mut resent: Vec<u64> = self.resent.iter().map(|(number, ..)| *number).collect();
        resent.dedup();
        let only_resent = resent.iter().filter(|number| pages.get(**number) == State::UNSEEN).count();
        pages.count() + only_resent as u64
    }

    /// The state of each number of which a further attempt was seen, whichever attempt it is of.
    #[must_use]
    pub fn resent_states(&self) -> BTreeMap<u64, State> {
        let mut states: BTreeMap<u64, State> = BTreeMap::new();
        for (number, _, state) in &self.resent {
            let own = states.entry(*number).or_default();
            *own = State::of_bits(*state).max(*own);
        }
        states
    }

    /// About how many bytes it takes in memory, at most.
    #[must_use]
    pub fn size(&self) -> u64 {
        const PAGE: usize = NUMBERS_PER_PAGE as usize / 3 + 64;
        let pages = self.pages.pages.len() * PAGE + self.pages.whole.len() * 16;
        let entries = self.entries.len() * (2 * MAX_TEXT + 128)
            + (self.resent.len() + self.seen_again.counts.len()) * 24;
        let samples: usize = self.samples.iter().map(Sample::size).sum();
        let Uploads { examples, numbers, broken, .. } = &self.uploads;
        let numbers = numbers.len() + broken.len() + self.out_of_order.numbers.len();
        let uploads = examples.len() * (MAX_TEXT + 4 * MAX_BLOCKS + 128) + numbers * 8;
        (pages + entries + samples + uploads + (self.cut_on_purpose.len() + 2) * MAX_TEXT) as u64
    }

    /// Whether all that began has ended, and each end is one of the known ones.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let ended = [self.whole, self.cut_by_server, self.cut_by_peer, self.refused, self.open].into_iter();
        let all = ended.chain(self.cut_on_purpose.values().copied());
        self.sightings == all.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, (received_ns, ended_ns): (u64, u64), status: u16, end: End) -> Entry {
        Entry {
            number,
            attempt: 0,
            sighting: 1,
            instance: "one".to_owned(),
            method: "POST".to_owned(),
            status,
            received_ns,
            replied_ns: received_ns,
            ended_ns,
            sent: 0,
            end,
        }
    }

    #[test]
    fn what_two_have_seen_is_a_repeat_by_how_it_had_ended() {
        let between = |first: &Entry, second: (u64, u64)| {
            let second = entry(1, second, 200, End::Whole);
            assert_eq!(Repeat::between(first, &second), Repeat::between(&second, first));
            Repeat::between(first, &second)
        };
        assert_eq!(between(&entry(1, (1, 2), 503, End::Whole), (3, 4)), Repeat::AfterFailure);
        assert_eq!(between(&entry(1, (1, 2), 0, End::CutOnPurpose), (3, 4)), Repeat::AfterFailure);
        assert_eq!(between(&entry(1, (1, 2), 200, End::Whole), (3, 4)), Repeat::AfterSuccess);
        assert_eq!(between(&entry(1, (1, 2), 0, End::Refused), (3, 4)), Repeat::AfterRefusal);
        assert_eq!(between(&entry(1, (1, 9), 200, End::Whole), (3, 4)), Repeat::Concurrent);
        assert_eq!(between(&entry(1, (1, 0), 0, End::Open), (3, 4)), Repeat::Concurrent);
    }

    #[test]
    fn what_no_server_can_have_seen_is_not_read() {
        let good =
            Statement { version: VERSION, sightings: MAX_COUNT, whole: MAX_COUNT, ..Statement::default() };
        let read = |statement: &Statement| Statement::read_all(&serde_json::to_vec(&[statement]).unwrap());
        assert_eq!(read(&good), Ok(vec![good.clone()]));
        for wrong in [
            Statement { version: 2, ..good.clone() },
            Statement { sightings: MAX_COUNT + 1, ..good.clone() },
            Statement { repeats: Repeats { concurrent: u64::MAX, ..Repeats::default() }, ..good.clone() },
            Statement { cut_on_purpose: BTreeMap::from([("rst".to_owned(), u64::MAX)]), ..good.clone() },
            Statement { entries: vec![entry(1, (1, 2), 200, End::Whole); MAX_ENTRIES + 1], ..good.clone() },
            Statement { resent: vec![(1, 1, 1); MAX_RESENT + 1], ..good.clone() },
            Statement {
                seen_again: SeenAgain { counts: vec![(1, 1, 1); MAX_ENTRIES + 1], end: None },
                ..good.clone()
            },
            Statement { instance: "x".repeat(MAX_TEXT + 1), ..good.clone() },
            Statement { connections: MAX_COUNT + 1, ..good.clone() },
            Statement {
                uploads: Uploads { unannounced: MAX_COUNT + 1, ..Uploads::default() },
                ..good.clone()
            },
            Statement { samples: vec![Sample::default(); MAX_HEADS + 1], ..good.clone() },
            Statement {
                out_of_order: OutOfOrder { count: MAX_COUNT + 1, numbers: Vec::new() },
                ..good.clone()
            },
            Statement {
                out_of_order: OutOfOrder { count: 1, numbers: vec![0; MAX_BROKEN + 1] },
                ..good.clone()
            },
            Statement { loads: vec![0; MAX_LOADS + 1], ..good.clone() },
            Statement {
                samples: vec![Sample { version: "x".repeat(4096), ..Sample::default() }],
                ..good.clone()
            },
        ] {
            assert!(read(&wrong).is_err());
        }
        for text in [&b""[..], b"{}", b"[{}]"] {
            assert!(Statement::read_all(text).is_err());
        }
        assert_eq!(Statement::read_all(b"[]"), Ok(Vec::new()));
    }

    #[test]
    fn merged_statements_add_up_and_count_what_was_seen_by_both() {
        let part = |numbers: &[(u64, State)], resent: &[(u64, u8, u8)], entries: Vec<Entry>| {
            let mut pages = Pages::default();
            for (number, state) in numbers {
                pages.set(*number, *state);
            }
            let seen = (numbers.len() + resent.len()) as u64;
            let statement = Statement {
                sightings: seen,
                whole: seen,
                resent: resent.to_vec(),
                entries,
                ..Statement::default()
            };
            (statement, pages)
        };
        let whole = State::WHOLE;
        let (mut one, mut pages) = part(
            &[(1, whole), (2, State::FAILED), (3, whole)],
            &[(9, 1, 3), (2, 1, 3)],
            vec![entry(3, (5, 6), 503, End::Whole)],
        );
        let (other, others) = part(
            &[(2, whole), (3, whole), (4, whole)],
            &[(9, 1, 3)],
            vec![entry(3, (7, 8), 200, End::Whole)],
        );
        one.seen_again.counts = vec![(2, 0, 3), (5, 0, 1)];
        let mut other = other;
        other.seen_again.counts = vec![(3, 0, 7)];
        assert_eq!(one.merge(&mut pages, &other, &others), [2, 3]);
        let seen = [(2, 0, 4), (3, 0, 8), (5, 0, 1), (9, 1, 2)];
        assert_eq!((&one.seen_again.counts[..], one.seen_again.end), (&seen[..], None));
        assert_eq!(one.repeats, Repeats { after_failure: 2, after_success: 1, ..Repeats::default() });
        assert_eq!((one.distinct(&pages), one.own_attempts(&pages)), (5, 1));
        assert_eq!(one.sightings, one.distinct(&pages) + one.own_attempts(&pages) + one.repeats.all());
        assert!(one.adds_up());
    }
}
