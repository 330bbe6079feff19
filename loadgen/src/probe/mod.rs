//! What a proxy does in the cases that matter, seen from both of its sides: dummy-server behind it is told what to do, and asked
//! what it has seen.
//!
//! It generates no load: it sends one request after the other, each on a connection of its own or on one that a case is about. A [`Matrix`] is
//! what comes of it; nothing here prints.

mod caches;
mod cases;
mod client;
mod finding;
pub mod found;
mod gate;
mod hits;
mod late;
mod sightings;
mod spoken;
mod stop;
pub mod transcript;
mod trial;

use std::time::Duration;

use anyhow::{Context as _, anyhow};

pub use self::{
    cases::{CASES, Case},
    found::{Matrix, Role},
    gate::Wanted,
    stop::Stop,
};
use self::{
    found::{Cell, Column, Round, Row, State},
    gate::Gate,
    late::Tried,
    spoken::Opened,
    trial::{Finding, Trial},
};
use crate::plan::Protocol;

/// What is asked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// As what proxies are judged.
    pub role: Role,
    /// How often each variant is tried.
    pub rounds: u32,
    /// The limit of each wait.
    pub timeout: Duration,
    /// Which cases.
    pub cases: Vec<&'static Case>,
}

/// Asks through each proxy, one after the other, until it is stopped; `progress` is told which.
///
/// # Errors
/// There is no dummy-server behind any of them that can be reached, or it was stopped before that was known.
pub fn run(
    wanted: &[Wanted],
    options: &Options,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Matrix> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("can't start a runtime")?.block_on(ask_all(wanted, options, stop, progress))
}

async fn ask_all(
    wanted: &[Wanted],
    options: &Options,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Matrix> {
    let mut opened = Vec::new();
    for wanted in wanted {
        let found = async {
            match Gate::open(wanted, options.timeout) {
                Ok(gate) => spoken::open(gate, wanted.protocols()).await,
                Err(error) => Opened::not_found(wanted, &format!("can't find {}: {error:#}", wanted.name())),
            }
        };
        opened.push(tokio::select! {
            found = found => found,
            () = stop.stopped() => return Err(anyhow!("stopped before anything was asked")),
        });
    }
    if opened.iter().all(|one| one.spoken().next().is_none())
        && let Some(problem) = opened.iter().find_map(Opened::problem)
    {
        return Err(anyhow!("{problem}"));
    }
    let columns = wanted.iter().zip(&opened).map(|(wanted, opened)| column(wanted, opened)).collect();
    let mut rows = rows(options, &opened);
    for (wanted, opened) in wanted.iter().zip(&opened) {
        let mut tried = Vec::new();
        for (row, (case, protocol)) in &rows {
            tried.push(if stop.is_stopped() {
                Tried::without(Finding::not_asked())
            } else if let Some(instead) = opened.instead(*protocol, row.protocol) {
                Tried::without(instead)
            } else if let Some(gate) = &opened.gate {
                progress(&format!("{}: {} {} over {}", gate.name, case.name, row.variant, row.protocol));
                tokio::select! {
                    tried = attempt(gate, case, row.variant, *protocol, options) => tried,
                    () = stop.stopped() => Tried::without(Finding::not_asked()),
                }
            } else {
                Tried::without(Finding::unasked(format!("can't find {}", wanted.name())))
            });
        }
        if let (Some(gate), Some(protocol)) = (&opened.gate, opened.spoken().next()) {
            tokio::select! {
                () = late::look_again(gate, protocol, &mut tried) => {}
                () = stop.stopped() => {}
            }
        }
        for ((row, _), tried) in rows.iter_mut().zip(tried) {
            row.cells.push(tried.cell(options.role));
        }
    }
    Ok(Matrix {
        version: found::VERSION,
        loadgen: env!("CARGO_PKG_VERSION"),
        role: options.role,
        rounds: options.rounds,
        timeout_ms: u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX),
        interrupted: stop.is_stopped(),
        columns,
        rows: rows.into_iter().map(|(row, _)| row).collect(),
    })
}

fn column(wanted: &Wanted, opened: &Opened) -> Column {
    let upstream = opened.gate.iter().flat_map(|gate| gate.upstream.borrow().clone().into_values());
    Column {
        name: wanted.name().to_owned(),
        url: wanted.url.clone(),
        is_direct: wanted.is_direct,
        note: None,
        protocols: opened.spoken().map(name).collect(),
        upstream: upstream.collect(),
    }
}

type Asked = (Row, (&'static Case, Protocol));

fn rows(options: &Options, opened: &[Opened]) -> Vec<Asked> {
    let mut rows = Vec::new();
    for case in &options.cases {
        for variant in case.variants {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                if opened.iter().any(|one| one.has(protocol)) {
                    let (number, name) = (case.number, case.name);
                    let row = Row {
                        case: number,
                        name,
                        is_described: case.is_described,
                        variant,
                        protocol: self::name(protocol),
                        cells: Vec::new(),
                    };
                    rows.push((row, (*case, protocol)));
                }
            }
        }
    }
    rows
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    }
}

async fn attempt(
    gate: &Gate,
    case: &Case,
    variant: &'static str,
    protocol: Protocol,
    options: &Options,
) -> Tried {
    let (mut rounds, mut curl, mut posts) = (Vec::new(), None, Vec::new());
    for _ in 0..options.rounds {
        let mut trial = Trial::new(gate, protocol);
        // One that was gone before may be back.
        let settled = if gate.is_cut_off.get() { Trial::new(gate, protocol).settle().await } else { Ok(()) };
        let mut finding = match settled {
            Ok(()) => cases::attempt(case, variant, &mut trial).await,
            Err(finding) => finding,
        };
        if let Some(hit) = trial.settle_hit().await {
            finding = hit;
        }
        if let Some(crossed) = trial.crossed.take() {
            finding = Finding::against(&cases::CROSSED, crossed);
        } else if let (Some(why), None) = (trial.garbled.take(), finding.rule) {
            finding = Finding::unasked(format!("what came was not HTTP: {why}"));
        }
        let is_asked = !matches!(finding.state, State::NotApplicable | State::Unasked);
        // Of a proxy that has gone in between, nothing is known. A rule that it has broken, it has broken.
        if is_asked
            && let Err(gone) = Trial::new(gate, protocol).settle().await
            && finding.rule.is_none()
        {
            finding = Finding::unasked(format!(
                "{}: {}; and then {}",
                finding.state.name(),
                finding.what,
                gone.what
            ));
        }
        let is_over = !is_asked || finding.state == State::Unasked;
        curl = curl.or(trial.curl);
        posts.extend(trial.posted.map(|number| (rounds.len(), number)));
        rounds.push((finding, trial.transcript.lines()));
        if is_over {
            break;
        }
    }
    Tried { rounds, curl, posts }
}

/// One cell of all its rounds.
fn combined(found: Vec<(Finding, Vec<transcript::Line>)>, curl: Option<String>, role: Role) -> Cell {
    let judged = |finding: &Finding| match finding.rule {
        Some(rule) if rule.binds(role) => State::Broken,
        _ => finding.state,
    };
    let rule = found.iter().find_map(|(finding, _)| finding.rule).copied();
    let rounds: Vec<Round> = found
        .into_iter()
        .map(|(finding, transcript)| Round { state: judged(&finding), what: finding.what, transcript })
        .collect();
    let breaks_a_must = rounds.iter().any(|round| round.state == State::Broken);
    let kept = rounds.iter().filter(|round| round.state == State::Kept).count();
    let first = &rounds[0];
    let unasked = rounds.iter().find(|round| round.state == State::Unasked);
    let (state, what) = match (unasked, rounds.iter().find(|round| round.state != first.state)) {
        (Some(unasked), _) => (State::Unasked, unasked.what.clone()),
        (None, None) => (first.state, first.what.clone()),
        (None, Some(other)) => {
            let odd = if first.state == State::Kept { other } else { first };
            (
                State::Unstable,
                format!("kept in {kept} of {}, else {}: {}", rounds.len(), odd.state.name(), odd.what),
            )
        }
    };
    Cell { state, what, rule, breaks_a_must, curl, disputed: None, rounds }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(findings: Vec<Finding>, role: Role) -> (State, bool, String) {
        let cell = combined(findings.into_iter().map(|finding| (finding, Vec::new())).collect(), None, role);
        (cell.state, cell.breaks_a_must, cell.what)
    }

    #[test]
    fn a_rule_for_proxies_is_not_broken_by_a_gateway() {
        static FOR_PROXIES: found::Rule = found::Rule { section: "1", quote: "MUST", for_proxies_only: true };
        static FOR_ALL: found::Rule = found::Rule { for_proxies_only: false, ..FOR_PROXIES };
        let against = |rule| vec![Finding::against(rule, "so")];
        assert_eq!(of(against(&FOR_PROXIES), Role::Gateway), (State::Changed, false, "so".to_owned()));
        assert_eq!(of(against(&FOR_PROXIES), Role::Proxy), (State::Broken, true, "so".to_owned()));
        assert_eq!(of(against(&FOR_ALL), Role::Gateway), (State::Broken, true, "so".to_owned()));
    }

    #[test]
    fn rounds_that_differ_are_unstable_and_say_in_how_many_it_was_kept() {
        let rounds = vec![Finding::kept("a"), Finding::changed("b"), Finding::kept("c")];
        let (state, _, what) = of(rounds, Role::Gateway);
        assert_eq!((state, what.as_str()), (State::Unstable, "kept in 2 of 3, else changed: b"));
        let same = vec![Finding::kept("a"), Finding::kept("c")];
        assert_eq!(of(same, Role::Gateway), (State::Kept, false, "a".to_owned()));
    }

    #[test]
    fn what_could_not_be_asked_in_one_round_is_not_known_but_a_broken_rule_stays_broken() {
        static RULE: found::Rule = found::Rule { section: "1", quote: "MUST", for_proxies_only: false };
        let rounds = vec![Finding::against(&RULE, "so"), Finding::kept("a"), Finding::unasked("gone")];
        assert_eq!(of(rounds, Role::Gateway), (State::Unasked, true, "gone".to_owned()));
    }
}
