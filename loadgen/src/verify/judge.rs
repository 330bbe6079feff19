//! What loadgen recorded, held against what servers state: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contract::ledger::{Pages, State, Statement};

use super::{
    Example, Finding, NeverArrived, Payload, Reordered, Server, TimeSplit, Trust, Verification,
    repeated::repeated,
    servers::Servers,
    uploads::{self, SentBody},
};
use crate::{
    clock::Nanos,
    numbers::several,
    outcome::Damage,
    recorder::{Hurt, MAX_EPOCHS, Verified, fate, reason, settled},
};

/// What happened to a request that has a reply without any token, and why.
const NO_TOKEN: (State, State) = (fate::OTHERWISE, reason::UNWRITTEN_OR_NO_TOKEN);

/// What came of asking.
#[derive(Clone, Debug, Default)]
pub(crate) struct CollectedStatements {
    /// One for each server.
    pub(crate) statements: Vec<Statement>,
    /// How long it took until nothing changed any more.
    pub(crate) waited: Duration,
    /// What could not be found out, and why.
    pub(crate) off: Vec<String>,
    /// Whether asking was cut short by the user.
    pub(crate) is_interrupted: bool,
    /// Whether all servers were named, and not only those asked that happened to answer.
    pub(crate) are_named: bool,
}

/// What is known of the run beside what was recorded.
#[derive(Clone, Copy)]
pub(crate) struct JudgedRun<'r> {
    /// When it began, by its clock.
    pub(crate) start: Nanos,
    /// Of its requests, by index.
    pub(crate) methods: &'r [&'r str],
    /// Bodies that are the same each time.
    pub(crate) bodies: &'r [SentBody<'r>],
    /// What can be said of a number, if that is not all of each.
    pub(crate) trust: Option<&'r dyn Fn(u64) -> Trust>,
    /// What is settled of messages of streams, if it is those that are judged.
    pub(crate) settled: Option<&'r Pages>,
}

/// What follows.
pub(crate) fn judge(known: &Verified, asked: CollectedStatements, sent: JudgedRun<'_>) -> Verification {
    let CollectedStatements { statements, waited, mut off, are_named, .. } = asked;
    let start = sent.start;
    let run_pages = (known.fates.bytes() >> 10) as u64;
    let servers = Servers::of(&statements, run_pages, &mut off);
    let of_epoch = |epoch: &u32| statements.iter().any(|statement| statement.epoch == *epoch);
    let epochs_lost: Vec<_> = known
        .epochs
        .iter()
        .filter(|(epoch, _)| !of_epoch(epoch))
        .map(|(epoch, count)| (*epoch, *count))
        .collect();
    let all = &servers.all;
    if all.forgotten > 0 {
        off.push(format!("{} sightings were not noted for want of room", all.forgotten));
    }
    if known.fates.left_out() > 0 {
        off.push(format!("{} requests have numbers beyond what is kept", known.fates.left_out()));
    }
    if known.other_epochs > 0 {
        let replies = known.other_epochs;
        off.push(format!("{replies} replies came from more than {MAX_EPOCHS} starts of servers"));
    }
    if known.encoded > 0 {
        let bodies = several(known.encoded, "body", "bodies");
        off.push(format!("{bodies} came in a content coding, such as gzip, and cannot be compared"));
    }
    if all.uploads.unannounced > 0 {
        let uploads = several(all.uploads.unannounced, "upload was", "uploads were");
        off.push(format!("{uploads} not compared, as the field {} did not arrive", contract::field::UPLOAD));
    }
    if all.open > 0 {
        off.push(format!("{} requests had not ended at the servers", all.open));
    }
    let mut found = Verification {
        sent: known.sent(),
        arrived: all.distinct(&servers.pages),
        sightings: all.sightings,
        servers: statements
            .iter()
            // Earlier starts of a server may have seen nothing.
            .filter(|statement| statement.sightings > 0 || known.epochs.contains_key(&statement.epoch))
            .map(|statement| Server {
                instance: statement.instance.clone(),
                epoch: statement.epoch,
                sightings: statement.sightings,
                replies: known.epochs.get(&statement.epoch).copied().unwrap_or_default(),
            })
            .collect(),
        refused: all.refused,
        own_attempts: all.own_attempts(&servers.pages),
        time: TimeSplit::of(&known.split),
        uploads: uploads::of(&all.uploads, sent.bodies),
        waited,
        ..Verification::default()
    };
    let hurt: BTreeMap<u64, &Hurt> = known.hurt.iter().map(|hurt| (hurt.number, hurt)).collect();
    let is_asked = !statements.is_empty()
        && (known.unplaced == 0 || are_named)
        && epochs_lost.is_empty()
        && known.other_epochs == 0
        && servers.is_complete;
    found.repeated = repeated(&servers, start, is_asked && all.forgotten == 0);
    let about = About { sent, known, are_named, hurt: &hurt, servers: &servers };
    found.reordered = known.are_messages.then(|| about.reordered(is_asked));
    let (mut own, mut unsettled) = (0, 0_u64);
    let mut echoed_again = Vec::new();
    let has_strays = known.strays.count() > 0;
    // Of nearly all there is nothing to say.
    let usual = if has_strays { (State::UNSEEN, State::UNSEEN) } else { (fate::ANSWERED, State::WHOLE) };
    let usual = known.fates.each_beside(&servers.pages, usual, |number, fate, seen| {
        own += u64::from(seen != State::UNSEEN);
        let (state, why) = (servers.state(number), known.reasons.get(number));
        if fate != fate::ANSWERED && about.is_unsettled(number, state) {
            unsettled += 1;
        } else {
            about.place(&mut found, number, (fate, why), state, is_asked);
        }
        if fate == fate::ANSWERED && has_strays && known.strays.get(number) != State::UNSEEN {
            echoed_again.push(number);
        }
    });
    own += usual;
    if known.fates.left_out() == 0 {
        found.foreign.count = servers.pages.count() - own;
        let numbers = servers.pages.iter().map(|(number, _)| number);
        let foreign = numbers.filter(|number| known.fates.get(*number) == State::UNSEEN);
        let most = super::MAX_EXAMPLES.min(usize::try_from(found.foreign.count).unwrap_or(usize::MAX));
        found.foreign.examples = foreign.take(most).map(|number| about.foreign(number)).collect();
    }
    // What a server has seen again it has echoed again. Of repeats that are not named, any may be.
    let is_once = |number: &&u64| !servers.again.contains_key(*number);
    let named: u64 = servers.again.values().sum();
    let unnamed = usize::try_from(all.repeats.all().saturating_sub(named)).unwrap_or(usize::MAX);
    for number in echoed_again.iter().filter(is_once).skip(unnamed) {
        let what = "was echoed once, and its echo came again";
        found.echoed_again.add(None, || Some(about.example(*number, what)));
    }
    if unsettled > 0 {
        off.push(format!("{unsettled} without an answer can't be judged: their calls did not end with OK"));
    }
    damaged(&mut found.payload, known, &sent);
    found.status_changed = about.restatused();
    if !all.adds_up() {
        off.push("what servers have begun and ended does not add up".to_owned());
    }
    // A refusal was its own sighting.
    let repeats = found.repeated.counts.all().saturating_sub(all.repeats.after_refusal);
    let expected = [found.arrived, found.own_attempts, repeats, all.refused];
    let expected = expected.into_iter().fold(0, u64::saturating_add);
    if statements.iter().all(|statement| statement.forgotten == 0) && all.sightings != expected {
        off.push(
            "sightings are not the requests that arrived, loadgen's own attempts and repeats".to_owned(),
        );
    }
    found.epochs_lost = epochs_lost;
    found.off = off;
    found
}

/// What examples are made of.
struct About<'a> {
    sent: JudgedRun<'a>,
    known: &'a Verified,
    /// Whether all servers were named.
    are_named: bool,
    /// What requests have met, by their numbers.
    hurt: &'a BTreeMap<u64, &'a Hurt>,
    servers: &'a Servers,
}

impl About<'_> {
    /// Whether it is a message without an answer of which nothing follows, as its call did not end well: the server owes none, and one
    /// that the server has seen may have had no time for it.
    fn is_unsettled(&self, number: u64, state: State) -> bool {
        let Some(settled) = self.sent.settled else { return false };
        match settled.get(number) {
            settled::WITHDRAWN => true,
            settled::ANSWERABLE | settled::ACKNOWLEDGED => false,
            _ => state != State::UNSEEN && self.known.strays.get(number) == State::UNSEEN,
        }
    }

    /// Puts a request where it belongs.
    fn place(
        &self,
        found: &mut Verification,
        number: u64,
        (fate, why): (State, State),
        state: State,
        is_asked: bool,
    ) {
        let is_seen = state != State::UNSEEN;
        if fate == fate::ANSWERED && state != State::WHOLE && self.servers.broken.contains(&number) {
            let status = self.servers.first_entry(number).map(|entry| entry.status);
            let what = "its body broke off on the way there, and the reply says so";
            found
                .cut_on_the_way_there
                .add(status.filter(|status| *status != 0), || Some(self.example(number, what)));
            return;
        }
        if fate == fate::ANSWERED {
            // Its own token came back: it arrived, whatever the ledgers say. One that had changed was seen as something else.
            if !is_seen && is_asked && self.known_of(number).is_none_or(|hurt| hurt.damage.is_none()) {
                found.unjudged += 1;
            }
            return;
        }
        if is_seen && self.sent.settled.is_some_and(|of| of.get(number) == settled::ACKNOWLEDGED) {
            return;
        }
        let trust = match self.sent.trust.map_or(Trust::Whole, |trust| trust(number)) {
            // Its token got there, whatever happened to that of the canary.
            Trust::Nothing if is_seen => Trust::Arrival,
            trust => trust,
        };
        // Without tokens in replies it is not known which servers have replied.
        let is_asked = is_asked && (trust == Trust::Whole || self.are_named);
        let is_refused = fate == fate::UNANSWERED && self.known.refused.get(number) != State::UNSEEN;
        if trust == Trust::Arrival && is_seen && (fate, why) == NO_TOKEN {
            return;
        }
        if trust != Trust::Nothing && self.has_lost_token(number, fate, is_seen) {
            self.token_lost(found, number, (is_seen, is_asked));
            return;
        }
        if trust == Trust::Nothing || !is_seen && !is_asked && !is_refused {
            found.unjudged += 1;
            return;
        }
        let Verification {
            never_arrived: NeverArrived { answered_by_proxy, unanswered, not_written, refused },
            ..
        } = found;
        let (finding, what) = match (fate == fate::OTHERWISE, is_seen) {
            (false, true) if self.known.strays.get(number) != State::UNSEEN => {
                let what = match self.sent.settled {
                    Some(_) => "arrived, and its echo came in another call",
                    None => "arrived, and its echo came on another connection",
                };
                (&mut found.crossed, what)
            }
            (true, false) if why == reason::UNWRITTEN_OR_NO_TOKEN => {
                (answered_by_proxy, "never arrived, and was answered in between")
            }
            (true, true) if why == reason::UNWRITTEN_OR_NO_TOKEN => {
                (&mut found.answered_in_place, "arrived, and the reply is not the server's")
            }
            (true, false) if why == reason::BEGUN_OR_OTHER_RUN => {
                (&mut found.cached, "never arrived, and was given the reply to a request of another run")
            }
            (true, true) if why == reason::BEGUN_OR_OTHER_RUN => {
                (&mut found.crossed, "arrived, and was given the reply to a request of another run")
            }
            (true, false) => (&mut found.cached, "never arrived, and was given another request's reply"),
            (true, true) => (&mut found.crossed, "arrived, and was given another request's reply"),
            (false, false) if is_refused => (refused, "was refused in each attempt, and never processed"),
            (false, false) if why == reason::UNWRITTEN_OR_NO_TOKEN => (not_written, "its head did not leave"),
            (false, false) if why == reason::BEGUN_OR_OTHER_RUN => {
                (answered_by_proxy, "never arrived, and the reply of something in between broke off")
            }
            (false, false) => (unanswered, "neither arrived nor was answered"),
            (false, true) if self.known.given_up.get(number) != State::UNSEEN => {
                (&mut found.given_up, "arrived, and loadgen gave it up")
            }
            (false, true) if state != State::WHOLE && self.servers.broken.contains(&number) => {
                (&mut found.cut_on_the_way_there, "its body broke off on the way there")
            }
            (false, true) if state == State::WHOLE => {
                (&mut found.cut_on_the_way_back, "arrived and was answered, and the reply did not come whole")
            }
            (false, true) => (&mut found.cut_by_the_server, "arrived, and the server did not answer it"),
        };
        let status = self.known_of(number).map(|hurt| hurt.status).filter(|status| *status != 0);
        finding.add(status, || Some(self.example(number, what)));
    }

    /// Whether all that its reply says is that a server gave it. Of one that arrived and whose reply did not come whole, that is enough.
    fn has_lost_token(&self, number: u64, fate: State, is_seen: bool) -> bool {
        self.known.token_lost.get(number) != State::UNSEEN && (fate == fate::OTHERWISE || !is_seen)
    }

    /// Its token was lost on one of the ways, and whether the reply is its own can't be known.
    fn token_lost(&self, found: &mut Verification, number: u64, (is_seen, is_asked): (bool, bool)) {
        let what = match (is_seen, is_asked) {
            (true, _) => "arrived, and its reply came without the token",
            (false, true) => "was answered by a server, none of which has seen its token",
            (false, false) => "its reply came without the token, and not all servers were asked for it",
        };
        let status = self.known_of(number).map(|hurt| hurt.status).filter(|status| *status != 0);
        found.unjudged += 1;
        found.token_lost.add(status, || Some(self.example(number, what)));
    }

    /// Those that changed places on their WebSocket, by which way that was on.
    fn reordered(&self, is_asked: bool) -> Reordered {
        let stated = &self.servers.all.out_of_order;
        let there: BTreeSet<u64> = stated.numbers.iter().copied().collect();
        let is_known =
            is_asked && stated.count == stated.numbers.len() as u64 && self.servers.all.forgotten == 0;
        let mut found = Reordered { not_compared: self.known.unordered, ..Reordered::default() };
        // What came behind at a server and in order back has changed places twice; where loadgen did not send by number, that says
        // nothing.
        let twice = there.iter().copied().filter(|number| {
            let was_sent = self.known.fates.get(*number) != State::UNSEEN;
            was_sent && self.known.unordered == 0 && self.known.behind.get(*number) == State::UNSEEN
        });
        for number in twice {
            let what = "arrived behind a later one";
            found.on_the_way_there.add(None, || Some(self.example(number, what)));
        }
        for (number, _) in self.known.behind.iter() {
            let (finding, what) = match there.contains(&number) {
                true => (&mut found.on_the_way_there, "arrived behind a later one"),
                false if is_known => {
                    (&mut found.on_the_way_back, "was answered before a later one, and its echo came behind")
                }
                false => (&mut found.way_unknown, "its echo came behind that of a later one"),
            };
            finding.add(None, || Some(self.example(number, what)));
        }
        found
    }

    fn known_of(&self, number: u64) -> Option<&Hurt> {
        self.hurt.get(&number).copied()
    }

    fn example(&self, number: u64, what: &str) -> Example {
        let hurt = self.known_of(number);
        let entry = self.servers.first_entry(number);
        let mut example = told(hurt, number, self.sent.start);
        let method = hurt.and_then(|hurt| self.sent.methods.get(hurt.request as usize));
        example.method =
            entry.map(|entry| entry.method.clone()).or_else(|| method.map(|method| (*method).to_owned()));
        example.instance = entry.map(|entry| entry.instance.clone());
        example.what = match hurt {
            Some(Hurt { other: Some(other), .. }) => format!("{what} (#{other})"),
            Some(Hurt { cause: Some(cause), length, .. }) if *length > 0 => {
                format!("{what} ({cause} after {length} bytes)")
            }
            Some(Hurt { cause: Some(cause), .. }) => format!("{what} ({cause})"),
            _ => what.to_owned(),
        };
        example
    }

    /// Replies that came with another status than the server gave them.
    fn restatused(&self) -> Finding {
        let statuses = self.known.restatused.clone();
        let examples = self.known.hurt.iter().filter_map(|hurt| {
            let what = format!("{} became {}", hurt.given_status?, hurt.status);
            Some(self.example(hurt.number, &what))
        });
        Finding {
            count: statuses.values().sum(),
            examples: examples.take(super::MAX_EXAMPLES).collect(),
            statuses,
        }
    }

    fn foreign(&self, number: u64) -> Example {
        let entry = self.servers.first_entry(number);
        Example {
            method: entry.map(|entry| entry.method.clone()),
            instance: entry.map(|entry| entry.instance.clone()),
            what: "seen by a server, and never sent by this run".to_owned(),
            ..told(None, number, self.sent.start)
        }
    }
}

pub(super) fn told(hurt: Option<&Hurt>, number: u64, start: Nanos) -> Example {
    Example {
        number,
        // What was due in the warm-up was due before.
        due: hurt.map(|hurt| (i128::from(hurt.due) - i128::from(start)) as f64 / 1e9),
        status: hurt.map(|hurt| hurt.status).filter(|status| *status != 0),
        ..Example::default()
    }
}

fn damaged(payload: &mut Payload, known: &Verified, sent: &JudgedRun<'_>) {
    let start = sent.start;
    (payload.truncated.count, payload.corrupted.count) = (known.truncated, known.corrupted);
    payload.encoded = known.encoded;
    for hurt in &known.hurt {
        let Some(damage) = hurt.damage else { continue };
        let (finding, offset, what): (&mut Finding, _, _) = match damage {
            Damage::Truncated(length, announced) => {
                let what = format!("ends cleanly after {length} of {announced} bytes");
                (&mut payload.truncated, Some(length), what)
            }
            Damage::Corrupted(offset) => {
                let what = match sent.settled {
                    Some(_) => "is not what was sent",
                    None => "is not the body of this request",
                };
                (&mut payload.corrupted, Some(offset), what.to_owned())
            }
            Damage::Undecodable => {
                (&mut payload.corrupted, None, "came back, and is not a valid reply".to_owned())
            }
        };
        if finding.examples.len() < super::MAX_EXAMPLES {
            finding.examples.push(Example { offset, what, ..told(Some(hurt), hurt.number, start) });
        }
    }
}
