//! `load`, and `loads`: several at the same time, each with a name.

use contract::quantity::{self, LONGEST_TIME};

use super::{
    client,
    keys::{Keys, Plain},
    said::Said,
    tree::Node,
};
use crate::plan::{
    MAX_LOADS, OnOverload, PlanError, accepted,
    known_keys::LOAD,
    places::{Position, ValuePlaces},
};

/// What each of several loads may say beside.
pub(super) const OF_SEVERAL: &[&str] = &["name", "start", "requests", "thresholds"];

/// The maximum number of bounds that a load is held against.
const MAX_THRESHOLDS: usize = 64;

/// How many names a message has.
const MOST_SHOWN: usize = 10;

/// One of several loads.
#[derive(Clone, Debug)]
pub(super) struct OneLoad {
    /// Where it stands.
    pub(super) place: Position,
    /// Where what it says stands.
    places: ValuePlaces,
    /// What it says of itself.
    pub(super) says: Vec<Said>,
    /// Which of the plan's requests it sends, by index; all without it.
    requests: Option<Vec<usize>>,
    pub(super) thresholds: Vec<(String, Position)>,
}

impl OneLoad {
    /// Whether it sends the request of this index.
    pub(super) fn sends(&self, request: usize) -> bool {
        self.requests.as_ref().is_none_or(|sent| sent.contains(&request))
    }

    /// With the places of what it says among those of the plan.
    pub(super) fn placed(&self, plan: ValuePlaces) -> ValuePlaces {
        plan.of_load(self.place, &self.places, self.requests.as_deref())
    }
}

/// Where what a load says stands.
pub(super) fn put_places(load: &Keys<'_>, places: &mut ValuePlaces) {
    for (key, node) in load.iter() {
        places.put_of_run(&key.replace('_', "-"), node.place());
    }
}

/// What a load says.
pub(super) fn said(load: &Keys<'_>) -> Result<impl Iterator<Item = Said>, PlanError> {
    let time = |text: &str| quantity::duration_or_seconds(text, LONGEST_TIME);
    let whole = |text: &str| quantity::count(text).and_then(|count| usize::try_from(count).ok());
    let all = [
        load.read_as(&accepted::RATE, |text| quantity::decimal_within(text, &(0.0..=f64::MAX)))?
            .map(Said::Rate),
        load.text("stages")?.map(Said::Stages),
        load.flag("poisson")?.map(Said::Poisson),
        load.read_as(&accepted::WARMUP, time)?.map(Said::Warmup),
        load.read_as(&accepted::MAX_LAG, time)?.map(Said::MaxLag),
        load.read_as(&accepted::COALESCE, time)?.map(Said::Coalesce),
        load.read_as(&accepted::TOTAL, quantity::count)?.map(Said::Total),
        load.read_as(&accepted::DURATION, time)?.map(Said::Duration),
        load.read_as(&accepted::MAX_IN_FLIGHT, whole)?.map(Said::MaxInFlight),
        load.read("on_overload", "queue or drop", "drop", |text| match text {
            "queue" => Some(OnOverload::Queue),
            "drop" => Some(OnOverload::Drop),
            _ => None,
        })?
        .map(Said::OnOverload),
        load.read_as(&accepted::CONNECTIONS, whole)?.map(Said::Connections),
        load.flag("fixed_connections")?.map(Said::FixedConnections),
        load.read_as(&accepted::STREAMS, whole)?.map(Said::Streams),
        load.read_as(&accepted::TIMEOUT, time)?.map(Said::Timeout),
        load.read_as(&accepted::CONNECT_TIMEOUT, time)?.map(Said::ConnectTimeout),
        load.read_as(&accepted::WORKERS, whole)?.map(Said::Workers),
        Some(Said::Client(client::read(load)?)),
        load.read_as(&accepted::MESSAGE_SIZE, quantity::size)?.map(Said::MessageSize),
        load.flag("binary")?.map(Said::Binary),
        load.read_as(&accepted::PING_INTERVAL, time)?.map(Said::PingInterval),
    ];
    Ok(all.into_iter().flatten())
}

/// Several loads of a plan whose requests have these names.
pub(super) fn read(plan: &Keys<'_>, requests: &[Option<String>]) -> Result<Vec<OneLoad>, PlanError> {
    let Some(node) = plan.get("loads") else { return Ok(Vec::new()) };
    let all = plan.list("loads")?;
    if all.is_empty() || all.len() > MAX_LOADS {
        let accepted = format!("a list of 1 to {MAX_LOADS} loads, each with a name");
        return Err(plan.refused(
            node,
            &format!("{} loads", all.len()),
            &accepted,
            "- {name: steady, rate: 100}",
        ));
    }
    let known: Vec<&str> = OF_SEVERAL.iter().chain(LOAD).copied().collect();
    let mut names: Vec<String> = Vec::new();
    let one = |node: &Node| {
        let load = Keys::of(node, &known, plan.name())?;
        let Some(name) = load.text("name")? else {
            return Err(load.refused(
                node,
                "a load without a name",
                "name: what reports call it",
                "name: spike",
            ));
        };
        if names.contains(&name) {
            let wrong = format!("the name '{name}' for the second time");
            let node = load.get("name").unwrap_or(node);
            return Err(load.refused(node, &wrong, "a unique name for each load", "name: spike"));
        }
        names.push(name.clone());
        let start =
            load.read_as(&accepted::START, |text| quantity::duration_or_seconds(text, LONGEST_TIME))?;
        let mut places = ValuePlaces::of(plan.name());
        put_places(&load, &mut places);
        let own = [Some(Said::Name(name)), start.map(Said::Start)].into_iter().flatten();
        Ok(OneLoad {
            place: node.place(),
            places,
            says: own.chain(said(&load)?).collect(),
            requests: sent(&load, requests)?,
            thresholds: thresholds(&load)?,
        })
    };
    all.iter().map(one).collect()
}

/// The requests that a load sends, by the indices that those of its names have.
fn sent(load: &Keys<'_>, all: &[Option<String>]) -> Result<Option<Vec<usize>>, PlanError> {
    const EXAMPLE: &str = "requests: [items]";
    let Some(node) = load.get("requests") else { return Ok(None) };
    let named = load.list("requests")?;
    if named.is_empty() {
        return Err(load.refused(node, "0 requests", "a list of names of the plan's requests", EXAMPLE));
    }
    let mut sent = Vec::new();
    for node in named {
        let name = Plain::of(node, load.name()).text("requests")?;
        let found = (0..).zip(all).filter(|(_, own)| own.as_ref() == Some(&name));
        let found: Vec<usize> = found.map(|(index, _)| index).collect();
        if found.is_empty() {
            return Err(load.refused(node, &format!("unknown request '{name}'"), &names(all), EXAMPLE));
        }
        if found.iter().any(|index| sent.contains(index)) {
            let wrong = format!("the request '{name}' for the second time");
            return Err(load.refused(node, &wrong, "each name once", EXAMPLE));
        }
        sent.extend(found);
    }
    sent.sort_unstable();
    Ok(Some(sent))
}

/// The names that a load can say.
fn names(all: &[Option<String>]) -> String {
    let mut named: Vec<&str> = all.iter().flatten().map(String::as_str).collect();
    named.dedup();
    if named.is_empty() {
        return "names of the plan's requests, of which none has one".to_owned();
    }
    let shown = named.iter().take(MOST_SHOWN).copied().collect::<Vec<_>>().join(", ");
    match named.len().saturating_sub(MOST_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The bounds that a load is held against, and where they stand.
fn thresholds(load: &Keys<'_>) -> Result<Vec<(String, Position)>, PlanError> {
    let all = load.list("thresholds")?;
    if let Some(node) = load.get("thresholds").filter(|_| all.len() > MAX_THRESHOLDS) {
        let wrong = format!("{} thresholds", all.len());
        let accepted = format!("at most {MAX_THRESHOLDS}");
        return Err(load.refused(node, &wrong, &accepted, "thresholds: ['p(99)<200ms']"));
    }
    let one = |node: &Node| Ok((Plain::of(node, load.name()).text("thresholds")?, node.place()));
    all.iter().map(one).collect()
}
