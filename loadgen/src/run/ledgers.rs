//! What servers have seen of a verified run: they are asked until nothing changes any more.
//!
//! Each question is a run of one request. Who is asked is in the plan, or else whoever answers behind the target, as often as
//! it takes to have asked each server that has replied. Nothing here opens a connection itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::ToSocketAddrs as _,
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
    verify::Asked,
};

/// Nothing is taken for over before it has been quiet for so long.
const QUIET: Duration = Duration::from_secs(2);
/// How long it is waited for the ledger of a server that has replied and can't be asked, where servers post theirs.
const PUSHED_AFTER: Duration = Duration::from_secs(5);
/// What is not quiet by then is told as it is.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often servers are asked.
const EVERY: Duration = Duration::from_millis(250);
/// How often whoever answers behind the target is asked for each server that has replied, and beyond that.
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
) -> Asked {
    let began = Instant::now();
    // What stopped the run itself is no reason not to ask.
    let was_stopped = run.phase() != Phase::Run;
    let is_interrupted = || run.phase() == Phase::Abort || !was_stopped && run.is_interrupted();
    let is_over = || is_interrupted() || began.elapsed() >= PATIENCE;
    let sources = match sources(plan) {
        Ok(sources) => sources,
        Err(error) => {
            let off = vec![format!("servers could not be asked: {error:#}")];
            return Asked { off, ..Asked::default() };
        }
    };
    let mut known: BTreeMap<u32, Statement> = BTreeMap::new();
    let mut since = Instant::now();
    loop {
        let (mut off, mut behind) = (Vec::new(), Vec::new());
        let mut answered = BTreeMap::new();
        let pushed = pushes.map(|pushes| pushes.of(ids)).unwrap_or_default();
        // Nobody who has posted has to be found behind the target.
        let wanted: BTreeSet<u32> =
            epochs.iter().copied().filter(|epoch| !pushed.contains_key(epoch)).collect();
        for source in &sources {
            if is_over() {
                break;
            }
            let asked = source.ask(plan, ids, &wanted, &mut answered, is_over);
            match source {
                Source::Server { .. } => off.extend(asked.err()),
                Source::Behind { .. } => behind.extend(asked.err()),
            }
        }
        add_pushed(&mut answered, pushed);
        if answered.is_empty() {
            // What one target does not answer, such as a port for calls alone, another one does.
            off.append(&mut behind);
        }
        let is_new = |(epoch, statement): (&u32, &Statement)| known.get(epoch) != Some(statement);
        if answered.iter().any(is_new) {
            since = Instant::now();
        }
        // What does not answer any more is kept as it was last.
        known.extend(answered);
        if known.len() > MAX_SERVERS || size(&known) > MAX_ANSWERS {
            let off = vec!["servers have answered more than can be held in memory".to_owned()];
            return Asked { off, ..Asked::default() };
        }
        let is_over = is_over();
        let is_open = known.values().any(|statement| statement.open > 0);
        let awaits_push = pushes.is_some() && epochs.iter().any(|epoch| !known.contains_key(epoch));
        let least = if awaits_push { PUSHED_AFTER } else { QUIET };
        let quiet = least.max(longest_pause(known.values()));
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
            let (statements, waited) = (known.into_values().collect(), began.elapsed());
            let are_named = sources.iter().all(|source| matches!(source, Source::Server { .. }));
            return Asked { statements, waited, off, is_interrupted, are_named };
        }
        thread::sleep(EVERY);
    }
}

/// Whether any server has seen a request of this load of this run; none where no server could be asked.
pub(super) fn have_seen(plan: &Plan, ids: Ids, is_over: impl Fn() -> bool) -> Option<bool> {
    let has_seen =
        |statements: &BTreeMap<u32, Statement>| statements.values().any(|statement| statement.sightings > 0);
    let mut is_asked = false;
    for source in sources(plan).ok()? {
        let tries = if matches!(source, Source::Behind { .. }) { TRIES_BEYOND } else { 1 };
        for _ in 0..tries {
            let statements = match &source {
                _ if is_over() => break,
                Source::Server { plan, .. } => get(plan, 0, ids),
                Source::Behind { site } => get(plan, *site, ids),
            };
            match statements {
                Ok(statements) if has_seen(&statements) => return Some(true),
                Ok(_) => is_asked = true,
                Err(_) => break,
            }
        }
    }
    is_asked.then_some(false)
}

/// Adds what servers have posted by themselves: of the same start of a server, what has seen more counts, and once.
fn add_pushed(answered: &mut BTreeMap<u32, Statement>, pushed: BTreeMap<u32, Statement>) {
    for (epoch, statement) in pushed {
        let own = answered.get(&epoch);
        if own.is_none_or(|own| own.sightings <= statement.sightings) {
            answered.insert(epoch, statement);
        }
    }
}

/// About how many bytes statements take.
fn size(statements: &BTreeMap<u32, Statement>) -> u64 {
    statements.values().map(Statement::size).sum()
}

/// The longest time between the end of a sighting and the next one of the same request, as far as is told.
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
enum Source {
    /// One server.
    Server { name: String, plan: Box<Plan> },
    /// Whoever answers at a target of the plan.
    Behind { site: usize },
}

fn sources(plan: &Plan) -> anyhow::Result<Vec<Source>> {
    let ledgers = plan.verify().map_or(&[][..], |verify| &verify.ledgers);
    if ledgers.is_empty() {
        return Ok((0..plan.sites().len()).map(|site| Source::Behind { site }).collect());
    }
    let mut sources = Vec::new();
    for ledger in ledgers {
        let addresses = match ledger {
            Ledgers::At(address) => vec![address.clone()],
            Ledgers::Named { host, port } => {
                let found = (host.trim_matches(['[', ']']), *port).to_socket_addrs();
                let found = found.with_context(|| format!("can't find {host}"))?;
                found.map(|address| address.to_string()).collect()
            }
        };
        for address in addresses {
            let target = format!("http://{address}");
            let asking = Plan::builder(target).version(Version::Http1).connections(1).total(1).build()?;
            sources.push(Source::Server { name: address, plan: Box::new(asking) });
        }
    }
    Ok(sources)
}

impl Source {
    /// Asks, and adds what is answered.
    ///
    /// # Errors
    /// Why that is not all.
    fn ask(
        &self,
        plan: &Plan,
        ids: Ids,
        wanted: &BTreeSet<u32>,
        answered: &mut BTreeMap<u32, Statement>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), String> {
        match self {
            Self::Server { name, plan } => {
                let statements = get(plan, 0, ids);
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
                    match get(plan, *site, ids) {
                        Ok(statements) => answered.extend(statements),
                        Err(error) => failed = Some(error),
                    }
                    if wanted.is_empty() && failed.is_some() {
                        break;
                    }
                }
                if let Some(error) = failed {
                    return Err(format!(
                        "no server could be asked through the target: {error:#} (--ledger names admin ports)"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// What the servers of one process state, by their epochs.
fn get(plan: &Plan, site: usize, ids: Ids) -> anyhow::Result<BTreeMap<u32, Statement>> {
    // Each question is another one: what lies between must not answer it from a cache.
    let unlike: u32 = rand::random();
    let path = format!("/ledger?run={:08x}&load={}&unlike={unlike:08x}", ids.run, ids.load);
    let summary = Run::new(plan.getting(site, &path)?).start()?.join()?;
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
    Ok(statements.into_iter().map(|statement| (statement.epoch, statement)).collect())
}
