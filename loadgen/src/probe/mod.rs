//! What a proxy does in the cases that matter, seen from both of its sides: dummy-server behind it is told what to do, and asked
//! what it has seen.
//!
//! It generates no load: it sends one request after the other, each on a connection of its own or on one that a case is about. A [`Matrix`] is
//! what comes of it; nothing here prints.

mod cases;
mod client;
mod finding;
pub mod found;
mod gate;
mod sightings;
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
/// There is no dummy-server behind one of them, it can't be reached, or it was stopped before that was known.
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
    let (mut columns, mut gates) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let gate =
            Gate::open(wanted, options.timeout).with_context(|| format!("can't find {}", wanted.name()))?;
        let protocols = tokio::select! {
            protocols = spoken(&gate) => protocols?,
            () = stop.stopped() => return Err(anyhow!("stopped before anything was asked")),
        };
        columns.push(Column {
            name: gate.name.clone(),
            url: gate.url.clone(),
            is_direct: gate.is_direct,
            note: None,
            protocols: protocols.iter().map(|protocol| name(*protocol)).collect(),
            upstream: gate.upstream.borrow().values().cloned().collect(),
        });
        gates.push((gate, protocols));
    }
    let mut rows = rows(options, &gates);
    for (gate, protocols) in &gates {
        for (row, (case, protocol)) in &mut rows {
            let without = |finding| combined(vec![(finding, Vec::new())], None, options.role);
            row.cells.push(if stop.is_stopped() {
                without(Finding::not_asked())
            } else if protocols.contains(protocol) {
                progress(&format!("{}: {} {} over {}", gate.name, case.name, row.variant, row.protocol));
                tokio::select! {
                    cell = cell(gate, case, row.variant, *protocol, options) => cell,
                    () = stop.stopped() => without(Finding::not_asked()),
                }
            } else {
                without(Finding::not_applicable(format!("{} is not spoken with it", row.protocol)))
            });
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

/// What works: a request arrives with its token, and its reply comes back with what the server saw.
async fn spoken(gate: &Gate) -> anyhow::Result<Vec<Protocol>> {
    let (mut spoken, mut problem) = (Vec::new(), String::new());
    for protocol in gate.protocols() {
        let mut trial = Trial::new(gate, *protocol);
        let ask = trial.ask("GET", "/");
        let reply = trial.exchange(&ask, &[]).await;
        match reply.and_then(|reply| reply.of_server().map(|_| reply)) {
            Ok(reply) if trial.crossed.is_none() => {
                // One try will do: nothing has failed yet.
                gate.is_cut_off.set(true);
                if let Err(finding) = trial.settle().await {
                    problem = finding.what;
                    continue;
                }
                let behind = reply.echoed("protocol").unwrap_or_default();
                gate.upstream.borrow_mut().insert(*protocol == Protocol::Http2, behind);
                spoken.push(*protocol);
            }
            Ok(_) => problem = trial.crossed.unwrap_or_default(),
            Err(finding) => problem = finding.what,
        }
    }
    if spoken.is_empty() {
        return Err(anyhow!(
            "no dummy-server answers at {} ({}), or its x-dummy-token and x-dummy-seen fields or its /ledger do not pass: {problem}",
            gate.name,
            gate.url
        ));
    }
    Ok(spoken)
}

type Asked = (Row, (&'static Case, Protocol));

fn rows(options: &Options, gates: &[(Gate, Vec<Protocol>)]) -> Vec<Asked> {
    let mut rows = Vec::new();
    for case in &options.cases {
        for variant in case.variants {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                if gates.iter().any(|(_, protocols)| protocols.contains(&protocol)) {
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

async fn cell(
    gate: &Gate,
    case: &Case,
    variant: &'static str,
    protocol: Protocol,
    options: &Options,
) -> Cell {
    let (mut rounds, mut curl) = (Vec::new(), None);
    for _ in 0..options.rounds {
        let mut trial = Trial::new(gate, protocol);
        // One that was gone before may be back.
        let settled = if gate.is_cut_off.get() { Trial::new(gate, protocol).settle().await } else { Ok(()) };
        let mut finding = match settled {
            Ok(()) => cases::attempt(case, variant, &mut trial).await,
            Err(finding) => finding,
        };
        if let Some(crossed) = trial.crossed.take() {
            finding = cases::crossed(&trial, crossed);
        } else if let (Some(why), true) = (trial.garbled.take(), finding.rules.is_empty()) {
            finding = Finding::unasked(format!("what came was not HTTP: {why}"));
        }
        let is_asked = !matches!(finding.state, State::NotApplicable | State::Unasked);
        // Of a proxy that has gone in between, nothing is known. A rule that it has broken, it has broken.
        if is_asked
            && let Err(gone) = Trial::new(gate, protocol).settle().await
            && finding.rules.is_empty()
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
        rounds.push((finding, trial.transcript.lines()));
        if is_over {
            break;
        }
    }
    combined(rounds, curl, options.role)
}

/// One cell of all its rounds.
fn combined(found: Vec<(Finding, Vec<transcript::Line>)>, curl: Option<String>, role: Role) -> Cell {
    let judged = |finding: &Finding| match finding.rules.iter().any(|rule| rule.binds(role)) {
        true => State::Broken,
        false => finding.state,
    };
    // One that makes it broken, if there is one in any round.
    let mut rules = found.iter().flat_map(|(finding, _)| &finding.rules);
    let rule = rules.clone().find(|rule| rule.binds(role)).or_else(|| rules.next()).map(|rule| **rule);
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
    use super::{
        found::{Roles, Rule},
        *,
    };

    static FOR_PROXIES: Rule = Rule { section: "1", quote: "MUST", roles: Roles::Proxies };
    static FOR_GATEWAYS: Rule = Rule { section: "2", quote: "MUST", roles: Roles::Gateways };

    fn of(findings: Vec<Finding>, role: Role) -> (State, bool, String) {
        let cell = combined(findings.into_iter().map(|finding| (finding, Vec::new())).collect(), None, role);
        (cell.state, cell.breaks_a_must, cell.what)
    }

    #[test]
    fn a_rule_for_proxies_is_not_broken_by_a_gateway() {
        static FOR_ALL: Rule = Rule { roles: Roles::Both, ..FOR_PROXIES };
        let against = |rule| vec![Finding::against(rule, "so")];
        assert_eq!(of(against(&FOR_PROXIES), Role::Gateway), (State::Changed, false, "so".to_owned()));
        assert_eq!(of(against(&FOR_PROXIES), Role::Proxy), (State::Broken, true, "so".to_owned()));
        assert_eq!(of(against(&FOR_ALL), Role::Gateway), (State::Broken, true, "so".to_owned()));
    }

    #[test]
    fn the_rule_that_is_quoted_is_one_that_binds_the_role() {
        for role in [Role::Gateway, Role::Proxy] {
            let both = Finding::against_all(&[&FOR_PROXIES, &FOR_GATEWAYS], "so");
            let rounds =
                [&[both][..], &[&FOR_PROXIES, &FOR_GATEWAYS].map(|rule| Finding::against(rule, "so"))];
            for findings in rounds {
                let found = findings.iter().map(|finding| (finding.clone(), Vec::new())).collect();
                let cell = combined(found, None, role);
                assert!(cell.breaks_a_must && cell.rule.unwrap().binds(role), "{cell:?}");
            }
        }
        let against = Finding::against(&FOR_GATEWAYS, "so");
        let cell = combined(vec![(against, Vec::new())], None, Role::Proxy);
        assert_eq!((cell.state, cell.rule), (State::Changed, Some(FOR_GATEWAYS)));
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
        let rounds =
            vec![Finding::against(&FOR_GATEWAYS, "so"), Finding::kept("a"), Finding::unasked("gone")];
        assert_eq!(of(rounds, Role::Gateway), (State::Unasked, true, "gone".to_owned()));
    }
}
