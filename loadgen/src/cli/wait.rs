//! Waiting for the target before a run, so that both can be started together.
//!
//! The run's request is sent over its own connection, again and again, until it is answered. None of it counts.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::progress::note;
use crate::{
    control::{Handle, Phase},
    numbers::time,
    outcome::{CallEnd, Exchange, Incomplete},
    plan::{Plan, PlanError},
    run::{Run, Running},
};

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// How often an attempt is interrupted to look for Ctrl+C.
const LOOK: Duration = Duration::from_millis(20);

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The target answers.
    Answered,
    /// The user does not want to wait any longer.
    Interrupted,
}

/// Waits until each of the plan's targets has answered a request, or the run that `handle` is of has been interrupted.
///
/// A gateway's 502, 503 and 504, and gRPC's UNAVAILABLE, say that the target behind it is not there yet; every other response is an
/// answer, also to the handshake of a WebSocket, and so is whatever comes back on one.
///
/// # Errors
/// It has not answered within `patience`.
pub(crate) fn for_target(
    plan: &Plan,
    patience: Duration,
    handle: &Handle,
    progress: bool,
) -> anyhow::Result<Waited> {
    for_targets(std::slice::from_ref(plan), patience, handle, progress)
}

/// The same of several plans, which have the time together.
///
/// # Errors
/// As of one.
pub(crate) fn for_targets(
    plans: &[Plan],
    patience: Duration,
    handle: &Handle,
    progress: bool,
) -> anyhow::Result<Waited> {
    let deadline = Instant::now() + patience;
    for plan in plans {
        for plan in plan.each()? {
            if let Waited::Interrupted = for_one(&plan, patience, deadline, handle, progress)? {
                return Ok(Waited::Interrupted);
            }
        }
    }
    Ok(Waited::Answered)
}

fn for_one(
    plan: &Plan,
    patience: Duration,
    deadline: Instant,
    handle: &Handle,
    progress: bool,
) -> anyhow::Result<Waited> {
    let mut told = false;
    let mut last: Option<String> = None;
    loop {
        let began = deadline.saturating_duration_since(Instant::now());
        let reason = match attempt(plan, deadline, handle)? {
            Attempt::Answered => return Ok(Waited::Answered),
            Attempt::Interrupted => return Ok(Waited::Interrupted),
            Attempt::Failed(reason) => reason,
            // An attempt that was cut short says less than the one before it.
            Attempt::NoResponse => last.filter(|_| began < PAUSE).unwrap_or_else(|| "no response".to_owned()),
        };
        last = Some(reason.clone());
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let patience = time(patience.as_nanos() as f64);
            bail!("{} has not answered within {patience} (--wait-for-target): {reason}", plan.target());
        }
        if progress && !std::mem::replace(&mut told, true) {
            note(&format!("waiting for {}: {reason}", plan.target()));
        }
        if is_interrupted_within(PAUSE.min(left), handle) {
            return Ok(Waited::Interrupted);
        }
    }
}

enum Attempt {
    Answered,
    Interrupted,
    Failed(String),
    NoResponse,
}

/// Sends one request, on a thread that is left alone when there is no more time for it: looking up a name can't be
/// interrupted.
fn attempt(plan: &Plan, deadline: Instant, handle: &Handle) -> anyhow::Result<Attempt> {
    let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
    let run = Run::new(plan.clone().for_one_exchange().within(left));
    let own = run.handle();
    let (sender, result) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("loadgen-wait".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(run.start().and_then(Running::join));
        })
        .context("can't start a thread")?;
    // Its own timeouts come first where there is an address: each begins when the last one has ended.
    let (abort_at, give_up_at) = (deadline + LOOK, deadline + 10 * LOOK);
    loop {
        match result.recv_timeout(LOOK) {
            Ok(Ok(summary)) => return Ok(outcome(summary.records.exchange.as_deref())),
            // No wait makes it right.
            Ok(Err(error)) if error.is::<PlanError>() => return Err(error),
            Ok(Err(error)) => return Ok(Attempt::Failed(format!("{error:#}"))),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("a thread has panicked"),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if handle.phase() != Phase::Run {
            own.abort();
            return Ok(Attempt::Interrupted);
        } else if now > give_up_at {
            return Ok(Attempt::Failed("its name is still being looked up".to_owned()));
        } else if now > abort_at {
            own.abort();
        }
    }
}

fn outcome(exchange: Option<&Exchange>) -> Attempt {
    let (status, failure) = exchange.map_or((None, None), |e| (e.status, e.failure.as_ref()));
    if let Some(CallEnd::Error(error)) = exchange.and_then(|exchange| exchange.call.as_ref())
        && error.0 == grpc::Code::Unavailable
    {
        return Attempt::Failed(format!("the last response was {}", error.0.name()));
    }
    match (status, failure) {
        (Some(status @ 502..=504), _) => Attempt::Failed(format!("the last response was {status}")),
        _ if exchange.is_some_and(|exchange| exchange.is_answered) => Attempt::Answered,
        (_, Some(Incomplete::Failed(why))) => Attempt::Failed(why.clone()),
        _ => Attempt::NoResponse,
    }
}

/// Waits; whether the run that `handle` is of was interrupted meanwhile.
pub(super) fn is_interrupted_within(pause: Duration, handle: &Handle) -> bool {
    let end = Instant::now() + pause;
    while handle.phase() == Phase::Run {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(LOOK));
    }
    true
}
