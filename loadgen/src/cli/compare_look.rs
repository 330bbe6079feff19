//! A look at each contender before anything is measured: a few requests on one connection, and a few that show on which connections
//! they arrive at the server.

use std::{
    collections::BTreeSet,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::anyhow;
use contract::timing::Timing;

use super::{compare_args::Contender, interrupt::Interrupts};
use crate::{
    compare::alike::Facts, control::Handle, outcome::Exchange, plan::Plan, recorder::Snapshot, run::Run,
    summary::Summary,
};

/// How many requests each look takes.
const LOOKS: u64 = 8;

/// How often it is looked whether one has failed: the others would as well, each after its timeout.
const EVERY: Duration = Duration::from_millis(50);

/// Of the server's part of a connection: where dummy-server says from where a request came.
const ORIGIN: &str = "/ip";

/// What a look has shown.
pub(super) enum Look {
    /// How the contender behaves.
    Facts(Facts),
    /// The user does not want to go on.
    Interrupted,
}

/// Looks at one.
///
/// # Errors
/// It does not reply.
pub(super) fn at(contender: &Contender, interrupts: &Interrupts) -> anyhow::Result<Look> {
    let name = &contender.name;
    let Some(seen) = exchanged(contender.plan.clone().for_exchanges(LOOKS), interrupts)? else {
        return Ok(Look::Interrupted);
    };
    let exchanges: Vec<&Exchange> = of(&seen).collect();
    if let Some(failed) = exchanges.iter().find(|exchange| exchange.failure.is_some()) {
        return Err(anyhow!(
            "{name} ({}) can't be compared: {}",
            contender.plan.target(),
            failed.why_incomplete()
        ));
    }
    if exchanges.is_empty() {
        return Err(anyhow!("{name} ({}) can't be compared: nothing could be sent", contender.plan.target()));
    }
    let origins = match contender.plan.getting(0, ORIGIN) {
        Ok(plan) => exchanged(plan.for_exchanges(LOOKS), interrupts).ok().flatten(),
        Err(_) => None,
    };
    Ok(Look::Facts(Facts {
        name: name.clone(),
        protocol: protocol(&seen),
        statuses: exchanges.iter().filter_map(|exchange| exchange.status).collect(),
        lengths: exchanges.iter().map(|exchange| exchange.length).collect(),
        encodings: exchanges.iter().flat_map(|exchange| fields(exchange, "content-encoding")).collect(),
        // The echo of a message with its own number comes from no cache, and the handshake's fields are those of all messages.
        cached: if contender.plan.message().is_some() { Some(false) } else { are_cached(&exchanges) },
        closes: contender.plan.lifetime().requests.is_some(),
        per_connection: exchanges.len() as f64 / seen.records.connections.opened.max(1) as f64,
        per_upstream: origins.as_ref().and_then(requests_per_origin),
    }))
}

/// Runs a plan of a few exchanges; none if the user does not want to go on.
fn exchanged(plan: Plan, interrupts: &Interrupts) -> anyhow::Result<Option<Summary>> {
    let run = Run::new(plan).observe(EVERY);
    if !interrupts.follow(run.handle()) {
        return Ok(None);
    }
    let running = run.start()?;
    let (end, ended) = mpsc::sync_channel::<()>(1);
    let handle = running.handle();
    let summary = thread::scope(|scope| {
        scope.spawn(move || give_up_after_a_failure(&handle, &ended));
        let summary = running.join();
        drop(end);
        summary
    })?;
    Ok((!interrupts.is_interrupted()).then_some(summary))
}

/// Until the run has ended.
fn give_up_after_a_failure(run: &Handle, ended: &mpsc::Receiver<()>) {
    while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let Snapshot { counts, .. } = run.snapshot();
        if counts.timed_out + counts.transport_failed > 0 {
            return run.abort();
        }
    }
}

/// All that was exchanged.
fn of(summary: &Summary) -> impl Iterator<Item = &Exchange> {
    summary.records.earlier.iter().chain(summary.records.exchange.as_deref())
}

/// With what TLS has agreed on.
fn protocol(summary: &Summary) -> String {
    let agreed = summary.records.connections.agreed.keys().map(String::as_str);
    std::iter::once(summary.run.protocol.as_str()).chain(agreed).collect::<Vec<_>>().join(", ")
}

/// The values of a field of the reply's head.
fn fields(exchange: &Exchange, name: &'static str) -> impl Iterator<Item = String> {
    let lines = exchange.capture.head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(move |(own, _)| own.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_ascii_lowercase())
}

/// Whether any reply comes from a cache: by its own word, or as two of them are the server's same one. None if nothing says so.
fn are_cached(exchanges: &[&Exchange]) -> Option<bool> {
    let says_so = |exchange: &&Exchange| {
        let is_old = fields(exchange, "age").any(|age| age != "0");
        let is_hit = ["x-cache", "cache-status", "x-cache-status", "cf-cache-status"].iter().any(|name| {
            fields(exchange, name).any(|value| value.split([' ', ';', ',', '=']).any(|word| word == "hit"))
        });
        is_old || is_hit
    };
    if exchanges.iter().any(says_so) {
        return Some(true);
    }
    let replied = |exchange: &&Exchange| {
        let timing = fields(exchange, "server-timing").find_map(|value| Timing::parse(&value));
        timing.map(|timing| (timing.received_ns, timing.replied_ns))
    };
    let instants = exchanges.iter().map(replied).collect::<Option<Vec<_>>>()?;
    Some(instants.iter().collect::<BTreeSet<_>>().len() < exchanges.len())
}

/// How many requests arrived on each connection to the server, by the ports that it says they came from; none if it does not.
fn requests_per_origin(summary: &Summary) -> Option<f64> {
    let origin = |exchange: &Exchange| {
        let body: serde_json::Value = serde_json::from_slice(&exchange.capture.body).ok()?;
        Some((body.get("origin")?.as_str()?.to_owned(), body.get("port")?.as_u64()?))
    };
    let origins = of(summary).map(origin).collect::<Option<Vec<_>>>()?;
    let different = origins.iter().collect::<BTreeSet<_>>().len();
    (different > 0).then(|| origins.len() as f64 / different as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Arrival, InFlight, Outcome};

    fn exchange(fields: &str) -> Exchange {
        let mut exchange: Exchange =
            InFlight::new(Arrival::new(0, 0, 0), 0).ended(1, Outcome::Replied).into();
        exchange.capture.head = format!("HTTP/1.1 200 OK\n{fields}\n\n");
        exchange
    }

    #[test]
    fn a_reply_from_a_cache_is_known_by_its_fields_or_by_the_servers_instants() {
        let cached = |all: &[&str]| {
            let all: Vec<Exchange> = all.iter().map(|fields| exchange(fields)).collect();
            are_cached(&all.iter().collect::<Vec<_>>())
        };
        let timing = |ns: u64| {
            format!("Server-Timing: app;dur=0.001;desc=1790000000.{ns:09}-1790000000.{:09}", ns + 1000)
        };
        assert_eq!(cached(&[&timing(1), &timing(2)]), Some(false));
        assert_eq!(cached(&[&timing(1), &timing(1)]), Some(true));
        assert_eq!(cached(&[&timing(1), "x: y"]), None);
        for fields in
            ["Age: 3", "X-Cache: HIT from a", "cache-status: \"a\"; hit; ttl=3", "X-Cache-Status: hit"]
        {
            assert_eq!(cached(&[fields, &timing(1)]), Some(true), "{fields}");
        }
        for fields in ["Age: 0", "X-Cache: MISS", "cache-status: a; fwd=miss", "x-cache-statuses: hit"] {
            assert_eq!(cached(&[fields]), None, "{fields}");
        }
    }
}
