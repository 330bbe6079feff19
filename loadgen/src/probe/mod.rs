//! What a proxy does in the cases that matter, seen from both of its sides: dummy-server behind it is instructed what to do, and asked
//! what it has seen.
//!
//! It generates no load: it sends one request after the other, each on its own connection or on one that a case is about. A [`Matrix`] is
//! what comes of it; nothing here prints.

mod caches;
mod cases;
mod client;
mod combined;
mod finding;
pub mod found;
mod gate;
mod hits;
mod late;
mod protocols;
mod sightings;
mod stop;
pub mod transcript;
mod trial;

use std::time::Duration;

use anyhow::{Context as _, anyhow};

pub use self::{
    cases::{CASES, Case},
    found::{Matrix, Role},
    gate::ColumnOptions,
    stop::Stop,
};
use self::{
    found::{CaseRow, Column, State},
    gate::Gate,
    late::Tried,
    protocols::OpenedColumn,
    trial::{CaseFinding, Trial},
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

/// Asks through each proxy, one after the other, until it is stopped; `progress` gets which one.
///
/// # Errors
/// There is no dummy-server behind any of them that can be reached, or it was stopped before that was known.
pub fn run(
    wanted: &[ColumnOptions],
    options: &Options,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Matrix> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("can't start a runtime")?;
    let matrix = runtime.block_on(ask_all(wanted, options, stop, progress));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    matrix
}

async fn ask_all(
    wanted: &[ColumnOptions],
    options: &Options,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Matrix> {
    let mut opened = Vec::new();
    for wanted in wanted {
        let (asked, timeout) = (wanted.clone(), options.timeout);
        let gate = aside(stop, move || Gate::open(&asked, timeout)).await?;
        let found = async {
            match gate {
                Ok(gate) => protocols::try_each(gate, wanted.protocols()).await,
                Err(error) => {
                    OpenedColumn::not_found(wanted, format!("can't find {}: {error:#}", wanted.name()))
                }
            }
        };
        opened.push(tokio::select! {
            found = found => found,
            () = stop.stopped() => return Err(too_early()),
        });
    }
    if opened.iter().all(|one| one.supported().next().is_none()) {
        let problems: Vec<_> = opened.iter().filter_map(OpenedColumn::problem).collect();
        return Err(anyhow!("{}", problems.join("; and ")));
    }
    let columns = wanted.iter().zip(&opened).map(|(wanted, opened)| column(wanted, opened)).collect();
    let mut rows = rows(options, &opened);
    for opened in &opened {
        let mut tried = Vec::new();
        for (row, (case, protocol)) in &rows {
            tried.push(match opened.gate_for(*protocol, row.protocol) {
                _ if stop.is_stopped() => Tried::without(CaseFinding::not_asked()),
                Ok(gate) => {
                    progress(&format!("{}: {} {} over {}", gate.name, case.name, row.variant, row.protocol));
                    attempt(gate, case, row.variant, *protocol, (options, stop)).await
                }
                Err(instead) => Tried::without(instead),
            });
        }
        if let (Ok(gate), Some(protocol)) = (&opened.gate, opened.supported().next()) {
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

/// Does what blocks while a stop is waited for as well.
async fn aside<T: Send + 'static>(
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => done.context("a thread has panicked"),
        () = stop.stopped() => Err(too_early()),
    }
}

fn too_early() -> anyhow::Error {
    anyhow!("stopped before anything was asked")
}

fn column(wanted: &ColumnOptions, opened: &OpenedColumn) -> Column {
    let upstream = opened.gate.iter().flat_map(|gate| gate.upstream.borrow().clone().into_values());
    Column {
        name: wanted.name().to_owned(),
        url: wanted.url.clone(),
        is_direct: wanted.is_direct,
        note: None,
        protocols: opened.supported().map(name).collect(),
        upstream: upstream.collect(),
    }
}

type AskedRow = (CaseRow, (&'static Case, Protocol));

fn rows(options: &Options, opened: &[OpenedColumn]) -> Vec<AskedRow> {
    let mut rows = Vec::new();
    for case in &options.cases {
        for variant in case.variants {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                if opened.iter().any(|one| one.has(protocol)) {
                    let (number, name) = (case.number, case.name);
                    let row = CaseRow {
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
    (options, stop): (&Options, &Stop),
) -> Tried {
    let mut tried = Tried::default();
    for _ in 0..options.rounds {
        let mut trial = Trial::new(gate, protocol);
        let finding = tokio::select! {
            finding = round(case, variant, &mut trial) => finding,
            () = stop.stopped() => {
                tried.interrupted_of = Some(options.rounds);
                break;
            }
        };
        let is_over = matches!(finding.state, State::NotApplicable | State::Unasked);
        tried.curl = tried.curl.or(trial.curl);
        tried.posts.extend(trial.posted.map(|number| (tried.rounds.len(), number)));
        tried.rounds.push((finding, trial.transcript.lines()));
        if is_over {
            break;
        }
    }
    tried
}

/// A round, with a look at whether the proxy is still there.
async fn round(case: &Case, variant: &'static str, trial: &mut Trial<'_>) -> CaseFinding {
    let (gate, protocol) = (trial.gate, trial.protocol);
    // One that was gone before may be back.
    let settled = if gate.is_cut_off.get() { Trial::new(gate, protocol).settle().await } else { Ok(()) };
    let mut finding = match settled {
        Ok(()) => cases::attempt(case, variant, trial).await,
        Err(finding) => finding,
    };
    if let Some(hit) = trial.settle_hit().await
        && finding.rules.is_empty()
    {
        finding = hit;
    }
    if let Some(crossed) = trial.crossed.take() {
        finding = cases::judge_crossed(trial, crossed);
    } else if let (Some(why), true) = (trial.garbled.take(), finding.rules.is_empty()) {
        finding = CaseFinding::unasked(format!("what came was not HTTP: {why}"));
    }
    let is_asked = !matches!(finding.state, State::NotApplicable | State::Unasked);
    // Of a proxy that has gone in between, nothing is known. A rule that it has broken, it has broken.
    if is_asked
        && let Err(gone) = Trial::new(gate, protocol).settle().await
        && finding.rules.is_empty()
    {
        finding = CaseFinding::unasked(format!(
            "{}: {}; and then {}",
            finding.state.name(),
            finding.what,
            gone.what
        ));
    }
    finding
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_probe_that_is_stopped_does_not_wait_for_what_blocks() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (release, held) = mpsc::sync_channel::<()>(1);
        let (stop, told) = (Stop::default(), Stop::default());
        let (begun, has_begun) = mpsc::sync_channel(1);
        let stopping = {
            let stop = stop.clone();
            thread::spawn(move || {
                has_begun.recv().unwrap();
                stop.stop();
            })
        };
        let work = move || {
            begun.send(()).unwrap();
            // Until the test lets go of it.
            held.recv().is_err()
        };
        let ended = runtime.block_on(aside(&stop, work));
        assert_eq!(ended.unwrap_err().to_string(), too_early().to_string());
        runtime.shutdown_background();
        drop(release);
        stopping.join().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(aside(&told, || 7)).unwrap(), 7);
    }
}
