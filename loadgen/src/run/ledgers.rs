//! What servers have seen of a verified run: they are asked until nothing changes any more.
//!
//! Each question is a run of one request. Which servers are asked is in the plan, or else those that answer behind the target, as often as
//! it takes to have asked each server that has replied. Nothing here opens a connection itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::ToSocketAddrs as _,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use contract::{
    id::Ids,
    ledger::{Entry, Statement},
};

use crate::{
    control::{Handle, Phase},
    plan::{Ledgers, Plan, Version},
    run::{Run, pushed::Pushes},
    verify::CollectedStatements,
};

/// Nothing is taken for over before it has been quiet for this time.
const QUIET: Duration = Duration::from_secs(2);
/// How long it is waited for the ledger of a server that has replied and can't be asked, where servers post theirs.
const PUSHED_AFTER: Duration = Duration::from_secs(5);
/// What is not quiet by then is taken as it is.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval between two questions to the servers while they report something new. It doubles while they don't, except where a
/// posted ledger is awaited.
const EVERY: Duration = Duration::from_millis(250);
/// How often servers behind the target are asked for each one that has replied, and beyond that.
const TRIES_FOR_EACH: usize = 8;
const TRIES_BEYOND: usize = 8;

/// The maximum number of servers whose answers are kept, and of bytes of all answers.
pub(super) const MAX_SERVERS: usize = 4096;
pub(super) const MAX_ANSWERS: u64 = 256 << 20;

/// The largest answer, in bytes: a longer one is not kept whole.
pub(super) const MAX_ANSWER: u64 = 16 << 20;

/// Asks until nothing changes any more; `epochs` are those of the servers that have replied.
/// What servers have posted by themselves counts as if they had been asked.
pub(super) fn ask(
    plan: &Plan,
    ids: Ids,
    epochs: &BTreeSet<u32>,
    run: &Handle,
    pushes: Option<&Pushes>,
) -> CollectedStatements {
    let began = Instant::now();
    // The servers are asked even if the run itself was stopped.
    let was_stopped = run.phase() != Phase::Run;
    let is_interrupted = || run.phase() == Phase::Abort || !was_stopped && run.is_interrupted();
    let is_over = || is_interrupted() || began.elapsed() >= PATIENCE;
    let (sources, not_found) = sources(plan);
    let mut known: BTreeMap<u32, Arc<Statement>> = BTreeMap::new();
    let mut since = Instant::now();
    let mut pause = EVERY;
    loop {
        // What servers have posted counts even if others can't be asked.
        let (mut off, mut behind) = (not_found.clone(), Vec::new());
        let mut answered = BTreeMap::new();
        let pushed = pushes.map(|pushes| pushes.of(ids)).unwrap_or_default();
        // A server that has posted need not be found behind the target.
        let wanted: BTreeSet<u32> =
            epochs.iter().copied().filter(|epoch| !pushed.contains_key(epoch)).collect();
        for source in &sources {
            if is_over() {
                break;
            }
            let asked = source.ask(plan, ids, &wanted, &mut answered, is_over);
            match source {
                StatementSource::Server { .. } => off.extend(asked.err()),
                StatementSource::Behind { .. } => behind.extend(asked.err()),
            }
        }
        add_pushed(&mut answered, pushed);
        if answered.is_empty() {
            // What one target does not answer, such as a port for calls alone, another one does.
            off.append(&mut behind);
        }
        let is_new = |(epoch, statement): (&u32, &Arc<Statement>)| known.get(epoch) != Some(statement);
        let is_changed = answered.iter().any(is_new);
        if is_changed {
            since = Instant::now();
        }
        // What does not answer any more is kept as it was last.
        known.extend(answered);
        if known.len() > MAX_SERVERS || size(&known) > MAX_ANSWERS {
            let off = vec!["servers have answered more than can be held in memory".to_owned()];
            return CollectedStatements { off, ..CollectedStatements::default() };
        }
        let is_over = is_over();
        let is_open = known.values().any(|statement| statement.open > 0);
        let awaits_push = pushes.is_some() && epochs.iter().any(|epoch| !known.contains_key(epoch));
        let least = if awaits_push { PUSHED_AFTER } else { QUIET };
        let quiet = least.max(longest_pause(known.values().map(Arc::as_ref)));
        let is_quiet = !is_open && since.elapsed() >= quiet;
        if known.is_empty() && !awaits_push || is_quiet || is_over {
            let is_interrupted = is_interrupted();
            if is_interrupted {
                off.push("it was not waited until servers were quiet: interrupted".to_owned());
            } else if is_over && !is_quiet && !known.is_empty() {
                off.push(format!(
                    "servers were still busy with the run after {} s",
                    began.elapsed().as_secs()
                ));
            }
            if let Some(left_out) = pushes.map(Pushes::left_out).filter(|left_out| *left_out > 0) {
                off.push(format!("{left_out} ledgers were posted that could not be held in memory"));
            }
            let statements = known.into_values().map(Arc::unwrap_or_clone).collect();
            let waited = began.elapsed();
            let are_named = not_found.is_empty()
                && sources.iter().all(|source| matches!(source, StatementSource::Server { .. }));
            return CollectedStatements { statements, waited, off, is_interrupted, are_named };
        }
        let is_waiting = is_changed || is_open || awaits_push;
        pause = if is_waiting { EVERY } else { pause * 2 };
        // One question more says that all has been quiet for long enough.
        let until = Instant::now() + pause.min(quiet.saturating_sub(since.elapsed()).max(EVERY));
        while Instant::now() < until && !is_interrupted() {
            thread::sleep(EVERY.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// Whether any server has seen the request of this load of this run that the server with this name has `replied` to, if it has
/// named itself. None where that can't be known: no server was asked in the time `left`, or not the one that has replied, as there
/// may be any number of servers behind a target.
pub(super) fn have_seen(
    plan: &Plan,
    ids: Ids,
    replied: Option<&str>,
    left: impl Fn() -> Option<Duration>,
) -> Option<bool> {
    let (sources, not_found) = sources(plan);
    let (mut are_all_asked, mut has_denied) = (not_found.is_empty(), false);
    for source in sources {
        let (plan, site, tries) = match &source {
            StatementSource::Server { plan, .. } => (&**plan, 0, 1),
            StatementSource::Behind { site } => (plan, *site, TRIES_BEYOND),
        };
        let mut is_asked = false;
        for _ in 0..tries {
            let Ok(statements) = get(plan, site, ids, left()?) else { break };
            if statements.values().any(|statement| statement.sightings > 0) {
                return Some(true);
            }
            let mut names = statements.values().map(|statement| statement.instance.as_str());
            has_denied |= names.any(|name| Some(name) == replied);
            is_asked = matches!(source, StatementSource::Server { .. });
        }
        are_all_asked &= is_asked;
    }
    let is_known = if replied.is_some() { has_denied } else { are_all_asked };
    is_known.then_some(false)
}

/// Adds what servers have posted by themselves: of the same start of a server, what has seen more counts, and once.
fn add_pushed(answered: &mut BTreeMap<u32, Arc<Statement>>, pushed: BTreeMap<u32, Arc<Statement>>) {
    for (epoch, statement) in pushed {
        let own = answered.get(&epoch);
        if own.is_none_or(|own| own.sightings <= statement.sightings) {
            answered.insert(epoch, statement);
        }
    }
}

/// About how many bytes statements take.
fn size(statements: &BTreeMap<u32, Arc<Statement>>) -> u64 {
    statements.values().map(|statement| statement.size()).sum()
}

/// The longest time between the end of a sighting and the next one of the same request, as far as is known.
fn longest_pause<'s>(statements: impl Iterator<Item = &'s Statement>) -> Duration {
    let mut entries: Vec<&Entry> = statements.flat_map(|statement| &statement.entries).collect();
    entries.sort_by_key(|entry| (entry.number, entry.received_ns));
    let pauses = entries.windows(2).filter(|pair| pair[0].number == pair[1].number).map(|pair| {
        let end = pair[0].ended_ns.max(pair[0].received_ns);
        Duration::from_nanos(pair[1].received_ns.saturating_sub(end))
    });
    pauses.max().unwrap_or_default().min(PATIENCE / 2)
}

/// Where statements come from.
enum StatementSource {
    /// One server.
    Server { name: String, plan: Box<Plan> },
    /// Whoever answers at a target of the plan.
    Behind { site: usize },
}

/// All of them, and why there are not more: those that can be found are asked even if others can't.
fn sources(plan: &Plan) -> (Vec<StatementSource>, Vec<String>) {
    let ledgers = plan.verify().map_or(&[][..], |verify| &verify.ledgers);
    if ledgers.is_empty() {
        return ((0..plan.sites().len()).map(|site| StatementSource::Behind { site }).collect(), Vec::new());
    }
    let (mut sources, mut not_found) = (Vec::new(), Vec::new());
    for ledger in ledgers {
        match named(ledger) {
            Ok(servers) => sources.extend(servers),
            Err(error) => not_found.push(format!("servers could not be asked: {error:#}")),
        }
    }
    (sources, not_found)
}

/// The servers of one `--ledger`.
fn named(ledger: &Ledgers) -> anyhow::Result<Vec<StatementSource>> {
    let addresses = match ledger {
        Ledgers::At(address) => vec![address.clone()],
        Ledgers::Named { host, port } => {
            let found = (host.trim_matches(['[', ']']), *port).to_socket_addrs();
            let found = found.with_context(|| format!("can't find {host}"))?;
            found.map(|address| address.to_string()).collect()
        }
    };
    let servers = addresses.into_iter().map(|address| {
        let target = format!("http://{address}");
        let asking = Plan::builder(target).version(Version::Http1).connections(1).total(1).build()?;
        Ok(StatementSource::Server { name: address, plan: Box::new(asking) })
    });
    servers.collect()
}

impl StatementSource {
    /// Asks, and adds what is answered.
    ///
    /// # Errors
    /// Why that is not all.
    fn ask(
        &self,
        plan: &Plan,
        ids: Ids,
        wanted: &BTreeSet<u32>,
        answered: &mut BTreeMap<u32, Arc<Statement>>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), String> {
        match self {
            Self::Server { name, plan } => {
                let statements = get(plan, 0, ids, Duration::MAX);
                answered.extend(statements.map_err(|error| format!("{name} could not be asked: {error:#}"))?);
            }
            Self::Behind { site } => {
                let most = TRIES_BEYOND + wanted.len() * TRIES_FOR_EACH;
                let mut failed = None;
                for _ in 0..most {
                    if is_over()
                        || size(answered) > MAX_ANSWERS
                        || !answered.is_empty() && wanted.iter().all(|epoch| answered.contains_key(epoch))
                    {
                        break;
                    }
                    match get(plan, *site, ids, Duration::MAX) {
                        Ok(statements) => answered.extend(statements),
                        Err(error) => failed = Some(error),
                    }
                    if wanted.is_empty() && failed.is_some() {
                        break;
                    }
                }
                if let Some(error) = failed {
                    return Err(format!(
                        "no server could be asked through the target: {error:#} (name the admin ports of all, such as --ledger localhost:9091)"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What the servers of one process state, by their epochs, if they do so within the time `left`.
fn get(plan: &Plan, site: usize, ids: Ids, left: Duration) -> anyhow::Result<BTreeMap<u32, Arc<Statement>>> {
    // Each question is another one: what lies between must not answer it from a cache.
    let unlike: u32 = rand::random();
    let path = format!("/ledger?run={:08x}&load={}&unlike={unlike:08x}", ids.run, ids.load);
    let summary = Run::new(plan.getting(site, &path)?.within(left)).start()?.join()?;
    let exchange = summary.records.exchange.context("the run was stopped")?;
    if exchange.failure.is_some() {
        return Err(anyhow!("{}", exchange.why_incomplete()));
    }
    let status = exchange.status.context("there was no reply")?;
    if status != 200 {
        return Err(anyhow!("the reply was {status}"));
    }
    if exchange.length > MAX_ANSWER {
        return Err(anyhow!("the ledger has {} bytes, more than {MAX_ANSWER}", exchange.length));
    }
    let statements = Statement::read_all(&exchange.capture.body)?;
    if statements.iter().any(|statement| (statement.run, statement.load) != (ids.run, ids.load)) {
        return Err(anyhow!("the reply is of another run: it comes from a cache"));
    }
    Ok(statements.into_iter().map(|statement| (statement.epoch, Arc::new(statement))).collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_servers_have_posted_is_known_although_the_name_of_ledgers_is_not_found() {
        // An empty label: no resolver takes it for a name.
        let plan = Plan::builder("http://127.0.0.1:1").total(1).verify(true).ledger("dns:a..b:1");
        let plan = plan.build().unwrap();
        let ids = Ids { run: 7, load: 0 };
        let pushes = Pushes::listen((Ipv4Addr::LOCALHOST, 0).into(), ids.run).unwrap();
        pushes.posted(Statement { run: 7, epoch: 3, sightings: 5, ..Statement::default() });
        // So that it is not waited until they are quiet.
        let handle = Run::new(plan.clone()).handle();
        handle.abort();
        let asked = ask(&plan, ids, &BTreeSet::from([3]), &handle, Some(&pushes));
        assert_eq!(asked.statements.iter().map(|statement| statement.sightings).collect::<Vec<_>>(), [5]);
        assert!(asked.off[0].contains("can't find a..b") && !asked.are_named, "{asked:?}");
    }
}
