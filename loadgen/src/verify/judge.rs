//! What loadgen recorded, held against what servers state: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use contract::ledger::{End, Entry, Pages, Repeat, State, Statement};

use super::{
    Example, Finding, NeverArrived, Payload, Reordered, Repeated, Server, TimeSplit, Trust, Verification,
    uploads::{self, SentBody},
};
use crate::{
    clock::Nanos,
    outcome::Damage,
    recorder::{Hurt, MAX_EPOCHS, Verified, fate, reason, settled},
};

/// The maximum number of pages of all servers together that are unpacked: 256 MiB.
const MAX_UNPACKED: u64 = 256 << 10;
/// How many more pages one server may report than there are of the run: those of 16 million numbers that were never sent.
const MAX_FOREIGN: u64 = 4096;

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

/// What all servers together have seen.
struct Servers {
    /// Whether that is all that they have reported.
    is_complete: bool,
    all: Statement,
    pages: Pages,
    /// Of numbers that were repeated.
    resent: BTreeMap<u64, State>,
    /// Those whose body broke off.
    broken: BTreeSet<u64>,
    /// What each has seen, by its name.
    each: Vec<(String, Pages)>,
    /// The first numbers that several of them have seen.
    by_several: Vec<u64>,
    /// How often numbers were seen again, as far as servers name them.
    again: BTreeMap<u64, u64>,
}

impl Servers {
    /// Of a run with this number of pages.
    fn of(statements: &[Statement], run_pages: u64, off: &mut Vec<String>) -> Self {
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
                    by_several.extend(by_both.into_iter().take(super::MAX_EXAMPLES));
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

    fn state(&self, number: u64) -> State {
        match self.resent.get(&number) {
            None => self.pages.get(number),
            Some(state) => self.pages.get(number).max(*state),
        }
    }

    fn first_entry(&self, number: u64) -> Option<&Entry> {
        let of_number = self.all.entries.iter().filter(|entry| entry.number == number);
        of_number.min_by_key(|entry| entry.received_ns)
    }
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
        let bodies = counted(known.encoded, "body", "bodies");
        off.push(format!("{bodies} came in a content coding, such as gzip, and cannot be compared"));
    }
    if all.uploads.unannounced > 0 {
        let uploads = counted(all.uploads.unannounced, "upload was", "uploads were");
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
        let mut found = Reordered::default();
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

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", crate::numbers::count(count), if count == 1 { one } else { many })
}

fn told(hurt: Option<&Hurt>, number: u64, start: Nanos) -> Example {
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

/// How often a request was seen.
#[derive(Clone, Copy)]
struct Times {
    count: usize,
    /// Or it was seen more often.
    is_least: bool,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} times", if self.is_least { "at least " } else { "" }, self.count)
    }
}

/// What was repeated in between, with what came before it; `are_all_known` says whether all that was seen was stated.
fn repeated(servers: &Servers, start: Nanos, are_all_known: bool) -> Repeated {
    let stated = &servers.all.seen_again;
    let counts = stated.by_request();
    let mut by_request: BTreeMap<(u64, u8), Vec<&Entry>> = BTreeMap::new();
    let several = counts.iter().filter(|(_, count)| **count > 1).map(|(request, _)| *request);
    for request in several.chain(servers.by_several.iter().map(|number| (*number, 0))) {
        by_request.insert(request, Vec::new());
    }
    for entry in &servers.all.entries {
        by_request.entry((entry.number, entry.attempt)).or_default().push(entry);
    }
    let mut examples = Vec::new();
    for (request, mut entries) in by_request {
        let number = request.0;
        entries.sort_by_key(|entry| entry.received_ns);
        entries.dedup();
        let seen_by = servers.each.iter().filter(|(_, pages)| pages.get(number) != State::UNSEEN);
        let seen_by: Vec<&str> = seen_by.map(|(name, _)| name.as_str()).collect();
        // Those that the pages know are first attempts.
        let seen_by = if request.1 == 0 { seen_by } else { Vec::new() };
        let said = counts.get(&request).map_or(1, |count| *count as usize);
        let count = said.max(entries.len()).max(seen_by.len());
        let is_stated = stated.end.is_none_or(|end| number < end) && said == count;
        if count < 2 {
            continue;
        }
        let times = Times { count, is_least: !(is_stated && are_all_known) };
        examples.push(again(&entries, &seen_by, times, told(None, number, start)));
        if examples.len() == super::MAX_EXAMPLES {
            break;
        }
    }
    Repeated { counts: servers.all.repeats, examples }
}

/// One that was repeated, of which these entries are known, and which these servers have seen.
fn again(entries: &[&Entry], seen_by: &[&str], times: Times, example: Example) -> Example {
    // A server that was started again is one for each start.
    let names: BTreeSet<&str> = seen_by.iter().copied().collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" and ");
    let by_all = if names.is_empty() { String::new() } else { format!(" by {names}") };
    let Some(first) = entries.first() else {
        return Example { what: format!("seen {times}{by_all}"), ..example };
    };
    let second = entries.get(1);
    let by = second.map(|entry| entry.instance.as_str());
    let by = by.or_else(|| seen_by.iter().copied().find(|name| *name != first.instance));
    let how = match second.map(|second| Repeat::between(first, second)) {
        Some(Repeat::AfterRefusal) => "after a refusal".to_owned(),
        Some(Repeat::Concurrent) => "while it was under way".to_owned(),
        _ if first.status == 0 && first.end == End::Whole => "after its echo".to_owned(),
        _ if first.status == 0 => "after a connection that broke without a reply".to_owned(),
        _ => format!("after {}", first.status),
    };
    let again = format!("again {how} from {}, by {}", first.instance, by.unwrap_or("the same"));
    // Of those that are not known closely, any may have come between the two.
    let are_first = !times.is_least && entries.len() == times.count || times.count == 2;
    let what = match are_first {
        true => format!("seen {times}: {again}"),
        false => format!("seen {times}{by_all}, among these {again}"),
    };
    Example {
        status: Some(first.status).filter(|status| *status != 0),
        method: Some(first.method.clone()),
        instance: Some(first.instance.clone()),
        what,
        ..example
    }
}

#[cfg(test)]
mod tests {
    use contract::ledger::{OutOfOrder, Packed, SeenAgain, VERSION};

    use super::*;

    fn known(answered: u64, unanswered: u64) -> Verified {
        let mut known = Verified::default();
        for number in 0..answered + unanswered {
            let is_answered = number < answered;
            known.fates.set(number, if is_answered { fate::ANSWERED } else { fate::UNANSWERED });
            if !is_answered {
                known.reasons.set(number, reason::NOTHING_OR_OTHER);
            }
        }
        known.epochs.insert(1, answered);
        known
    }

    fn statement(numbers: u64) -> Statement {
        let mut pages = Pages::default();
        for number in 0..numbers {
            pages.set(number, State::WHOLE);
        }
        let pages = Packed::of(&pages);
        Statement {
            version: VERSION,
            epoch: 1,
            sightings: numbers,
            whole: numbers,
            pages,
            ..Statement::default()
        }
    }

    fn judged(known: &Verified, statements: Vec<Statement>) -> Verification {
        judge(known, CollectedStatements { statements, ..CollectedStatements::default() }, SENT)
    }

    const SENT: JudgedRun<'static> =
        JudgedRun { start: 0, methods: &["GET"], bodies: &[], trust: None, settled: None };

    #[test]
    fn without_tokens_in_replies_it_is_reported_what_arrived_and_without_any_nothing() {
        let mut known = Verified::default();
        for number in 0..100 {
            known.fates.set(number, fate::OTHERWISE);
            known.reasons.set(number, reason::UNWRITTEN_OR_NO_TOKEN);
        }
        let judged = |are_named, trust| {
            let asked = CollectedStatements {
                statements: vec![statement(90)],
                are_named,
                ..CollectedStatements::default()
            };
            judge(&known, asked, JudgedRun { trust: Some(&|_| trust), ..SENT })
        };
        let found = judged(true, Trust::Arrival);
        assert_eq!((found.never_arrived.answered_by_proxy.count, found.hurt()), (10, 10));
        let found = judged(false, Trust::Arrival);
        assert_eq!((found.unjudged, found.hurt()), (10, 10));
        // What was seen has arrived, whatever the canary has met.
        let found = judged(true, Trust::Nothing);
        assert_eq!((found.unjudged, found.hurt()), (10, 10));
        let found = judged(true, Trust::Whole);
        assert_eq!((found.answered_in_place.count, found.hurt()), (90, 100));
    }

    #[test]
    fn a_reply_that_names_a_server_and_no_token_is_not_said_to_be_of_something_else() {
        let mut known = known(90, 10);
        for number in 90..100 {
            let is_cut = number % 2 == 1;
            known.fates.set(number, if is_cut { fate::UNANSWERED } else { fate::OTHERWISE });
            let reason = if is_cut { reason::BEGUN_OR_OTHER_RUN } else { reason::UNWRITTEN_OR_NO_TOKEN };
            known.reasons.set(number, reason);
            if number >= 94 {
                known.token_lost.set(number, State::OPEN);
            }
        }
        let told = |found: &Verification| {
            let NeverArrived { answered_by_proxy, .. } = &found.never_arrived;
            let judged = [answered_by_proxy, &found.answered_in_place, &found.cut_on_the_way_back];
            (found.token_lost.count, found.unjudged, judged.map(|finding| finding.count))
        };
        let found = judged(&known, vec![statement(90)]);
        assert_eq!((told(&found), found.hurt()), ((6, 6, [4, 0, 0]), 10));
        // Of those that arrived and whose reply broke off it is known what happened.
        let found = judged(&known, vec![statement(100)]);
        assert_eq!((told(&found), found.hurt()), ((3, 3, [0, 2, 5]), 10));
        assert_eq!(found.token_lost.examples[0].what, "arrived, and its reply came without the token");
        // Whoever was asked.
        assert_eq!(told(&judged(&known, Vec::new())).0, 6);
    }

    #[test]
    fn what_was_refused_in_each_attempt_was_never_processed_whoever_was_asked() {
        let mut known = known(90, 10);
        for number in 90..100 {
            known.refused.set(number, State::OPEN);
        }
        for statements in [vec![statement(90)], Vec::new()] {
            let found = judged(&known, statements);
            assert_eq!((found.never_arrived.refused.count, found.hurt()), (10, 10));
        }
    }

    #[test]
    fn what_was_due_in_the_warm_up_was_due_before_the_run() {
        let hurt = Hurt {
            number: 1,
            request: 0,
            due: 1_000_000_000,
            status: 0,
            cause: None,
            length: 0,
            given_status: None,
            other: None,
            damage: None,
        };
        let due = |start| told(Some(&hurt), 1, start).due;
        assert_eq!((due(0), due(3_000_000_000)), (Some(1.0), Some(-2.0)));
    }

    #[test]
    fn what_both_ends_agree_on_is_clean_and_the_rest_is_judged_by_whether_it_arrived() {
        assert!(judged(&known(5000, 0), vec![statement(5000)]).is_clean());
        let cut = judged(&known(90, 10), vec![statement(100)]);
        assert_eq!((cut.cut_on_the_way_back.count, cut.hurt(), cut.arrived), (10, 10, 100));
        let lost = judged(&known(90, 10), vec![statement(90)]);
        assert_eq!((lost.never_arrived.unanswered.count, lost.hurt()), (10, 10));
        let mut broken = statement(95);
        let mut pages = Pages::default();
        (90..95).for_each(|number| _ = pages.set(number, State::FAILED));
        (0..90).for_each(|number| _ = pages.set(number, State::WHOLE));
        (broken.pages, broken.uploads.broken) = (Packed::of(&pages), (90..95).collect());
        let broken = judged(&known(90, 5), vec![broken]);
        assert_eq!((broken.cut_on_the_way_there.count, broken.hurt(), broken.arrived), (5, 5, 95));
        let foreign = judged(&known(90, 0), vec![statement(100)]);
        assert_eq!((foreign.foreign.count, foreign.hurt()), (10, 10));
    }

    #[test]
    fn without_the_ledger_of_a_server_that_replied_nothing_is_guessed() {
        let lost = Statement { epoch: 2, ..statement(0) };
        let found = judged(&known(90, 10), vec![lost]);
        assert_eq!((found.unjudged, found.hurt(), &found.epochs_lost[..]), (10, 10, &[(1, 90)][..]));
        let found = judged(&known(90, 10), Vec::new());
        assert_eq!((found.unjudged, found.is_clean()), (10, false));
    }

    #[test]
    fn far_more_numbers_than_were_sent_are_not_unpacked() {
        let all = |epoch: u32| {
            let pages = Packed { whole: vec![(0, (64 << 10) - 1)], ..Packed::default() };
            Statement { epoch, pages, ..statement(0) }
        };
        let found = judged(&known(90, 10), (1..=6).map(all).collect());
        let left_out = found.off.iter().filter(|off| off.contains("than were sent")).count();
        assert_eq!((left_out, found.unjudged, found.foreign.count), (6, 10, 0));
    }

    #[test]
    fn epochs_beyond_those_that_are_distinguished_are_counted_and_nothing_is_guessed() {
        let mut many = known(0, 10);
        for epoch in 0..MAX_EPOCHS as u32 {
            many.epochs.insert(epoch, 1);
        }
        let mut other = Verified::default();
        other.epochs.insert(u32::MAX, 3);
        other.epochs.insert(1, 4);
        many.merge(&other);
        assert_eq!((many.epochs.len(), many.other_epochs), (MAX_EPOCHS, 3));
        let found = judged(&many, vec![statement(0)]);
        assert!(found.unjudged == 10 && !found.is_clean(), "{found:?}");
    }
    #[test]
    fn a_body_that_broke_off_on_the_way_there_is_reported_although_the_reply_that_says_so_came_back() {
        let mut pages = Pages::default();
        (0..90).for_each(|number| _ = pages.set(number, State::WHOLE));
        (90..95).for_each(|number| _ = pages.set(number, State::FAILED));
        let mut broken = statement(95);
        // One of them came whole in another attempt.
        (broken.pages, broken.uploads.broken) = (Packed::of(&pages), (89..95).collect());
        let found = judged(&known(95, 0), vec![broken]);
        assert_eq!((found.cut_on_the_way_there.count, found.hurt(), found.arrived), (5, 5, 95));
    }

    #[test]
    fn uploads_that_were_announced_to_no_server_are_not_proven() {
        let mut other = statement(90);
        other.uploads.unannounced = 1;
        let found = judged(&known(90, 0), vec![other]);
        assert_eq!(found.off, ["1 upload was not compared, as the field x-dummy-upload did not arrive"]);
        assert!(!found.is_clean());
    }

    #[test]
    fn a_repeat_is_told_with_how_often_it_was_seen_and_as_a_minimum_where_that_is_not_all() {
        let entry = |instance: &str, received_ns: u64| Entry {
            number: 3,
            attempt: 0,
            sighting: 1,
            instance: instance.to_owned(),
            method: "POST".to_owned(),
            status: 503,
            received_ns,
            replied_ns: received_ns,
            ended_ns: received_ns,
            sent: 0,
            end: End::Whole,
        };
        // One has seen it three times, and another one once: `entries` are known.
        let told = |entries: &[Entry], end: Option<u64>, forgotten: u64| {
            let seen = |epoch, instance: &str, counts: Vec<(u64, u8, u32)>| Statement {
                epoch,
                instance: instance.to_owned(),
                forgotten,
                seen_again: SeenAgain { counts, end },
                entries: entries.iter().filter(|entry| entry.instance == instance).cloned().collect(),
                ..statement(10)
            };
            let statements = vec![seen(2, "b", vec![]), seen(1, "a", vec![(3, 0, 3)])];
            let examples = judged(&known(10, 0), statements).repeated.examples;
            examples.into_iter().find(|example| example.number == 3).expect("an example").what
        };
        let all = [entry("a", 1), entry("b", 2), entry("a", 3), entry("a", 4)];
        assert_eq!(told(&all, None, 0), "seen 4 times: again after 503 from a, by b");
        let some = "seen 4 times by a and b, among these again after 503 from a, by a";
        assert_eq!(told(&[all[0].clone(), all[2].clone()], None, 0), some);
        assert_eq!(told(&[], None, 0), "seen 4 times by a and b");
        assert_eq!(told(&[], Some(4), 0), "seen 4 times by a and b");
        // Beyond what is known of both, or where sightings were not noted.
        assert_eq!(told(&all[..3], Some(3), 0).split(" by").next(), Some("seen at least 3 times"));
        assert_eq!(told(&all[..3], None, 1).split(" by").next(), Some("seen at least 4 times"));
    }

    #[test]
    fn a_message_that_changed_places_did_so_there_if_a_server_says_so_and_back_if_all_say_that_it_did_not() {
        let told = |count: u64, numbers: &[u64], epoch: u32| {
            let mut known = known(10, 0);
            known.are_messages = true;
            [3, 5].iter().for_each(|number| _ = known.behind.set(*number, State::WHOLE));
            let out_of_order = OutOfOrder { count, numbers: numbers.to_vec() };
            let found = judged(&known, vec![Statement { epoch, out_of_order, ..statement(10) }]);
            assert!(found.hurt() >= 2, "{found:?}");
            let order = found.reordered.expect("of messages");
            [order.on_the_way_there.count, order.on_the_way_back.count, order.way_unknown.count]
        };
        assert_eq!(told(0, &[], 1), [0, 2, 0]);
        // What only a server has seen in another order has come back in the right one.
        assert_eq!(told(2, &[5, 7], 1), [1, 1, 0]);
        assert_eq!(told(3, &[5, 7], 1), [1, 0, 1]);
        assert_eq!(told(0, &[], 2), [0, 0, 2]);
        assert!(judged(&known(10, 0), vec![statement(10)]).reordered.is_none());
    }

    #[test]
    fn an_echo_that_came_again_is_reported_unless_a_server_has_seen_that_message_again() {
        let entry = |number: u64, sighting: u8| Entry {
            number,
            attempt: 0,
            sighting,
            instance: "one".to_owned(),
            method: "MESSAGE".to_owned(),
            status: 0,
            received_ns: u64::from(sighting),
            replied_ns: 0,
            ended_ns: 10,
            sent: 1,
            end: End::Whole,
        };
        let mut known = known(90, 0);
        [1, 5].iter().for_each(|number| _ = known.strays.set(*number, State::WHOLE));
        let told = |repeated: &[u64], unnamed: u64| {
            let mut seen = statement(90);
            seen.repeats.after_success = repeated.len() as u64 + unnamed;
            seen.sightings += seen.repeats.all();
            seen.whole = seen.sightings;
            seen.entries =
                repeated.iter().flat_map(|number| [entry(*number, 1), entry(*number, 2)]).collect();
            let found = judged(&known, vec![seen]).echoed_again;
            (found.count, found.examples.first().map(|example| example.number))
        };
        assert_eq!(told(&[], 0), (2, Some(1)));
        assert_eq!(told(&[5], 0), (1, Some(1)));
        assert_eq!(told(&[1], 0), (1, Some(5)));
        // Repeats of others take nothing away.
        assert_eq!(told(&[2, 3], 0), (2, Some(1)));
        assert_eq!(told(&[2], 1).0, 1);
    }
}
