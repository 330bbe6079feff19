//! A plan, printed with all that follows from it. Nothing is sent.

use std::{
    io::{self, Write},
    time::Duration,
};

use contract::id::Ids;

use super::once::{body, head, write_body, write_trailers};
use crate::{
    clock::nanos,
    numbers::{self, count, decimal, seconds},
    outcome::{Arrival, expectation::Expectations},
    plan::{OnOverload, Plan, Protocol, Retry, Shape, Site},
};

/// One line that says that it is valid.
pub(super) fn checked(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let requests = plan.requests().len();
    let plural = if requests == 1 { "" } else { "s" };
    let unknown = plan.calls().any(|call| call.prepared().is_none());
    let unknown = match (unknown, requests) {
        (false, _) => "",
        (true, 1) => "; its message is checked when the server has reported its type",
        (true, _) => "; messages are checked when the server has reported their types",
    };
    let to = match plan.sites() {
        [site] => site.target().to_string(),
        several => format!("{} targets", several.len()),
    };
    let of = plan.load().name.as_ref().map(|name| format!("the load '{name}'{}: ", from(plan)));
    let of = of.unwrap_or_default();
    writeln!(out, "valid: {of}{requests} request{plural} to {to}, {}{unknown}", shape(plan))
}

/// The name of one of several loads, and when it begins.
pub(super) fn name(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let name = plan.load().name.as_deref().unwrap_or_default();
    writeln!(out, "Name           {name}{}", from(plan))
}

/// When a load begins, if that is not the beginning of the run.
fn from(plan: &Plan) -> String {
    match plan.load().start {
        Duration::ZERO => String::new(),
        start => format!(", from {} on", seconds(nanos(start))),
    }
}

/// All of it, with the first sending of each request, as the load of this index.
pub(super) fn plan(plan: &Plan, index: u8, out: &mut dyn Write) -> io::Result<()> {
    let load = plan.load();
    for target in plan.sites().iter().map(Site::target) {
        writeln!(out, "Target         {target} over {}", target.protocol_name())?;
    }
    writeln!(out, "Load           {}", shape(plan))?;
    let each = if plan.sites().len() > 1 { ", to each target" } else { "" };
    writeln!(out, "Connections    {}, at most {}{each}", load.connections, load.max_connections)?;
    match plan.target().protocol {
        Protocol::Http1 if load.streams.get() > 1 => {
            writeln!(out, "Pipelining     {} requests on each connection", load.streams)?;
        }
        _ => writeln!(out, "Streams        {} on each connection", load.streams)?,
    }
    writeln!(out, "In flight      at most {}", load.max_in_flight)?;
    let times = [load.timeout, load.connect_timeout].map(|time| seconds(nanos(time)));
    writeln!(out, "Timeouts       {} for a response, {} to connect", times[0], times[1])?;
    writeln!(out, "Workers        {}", plan.workers())?;
    connections(plan, out)?;
    let named = plan.expected_status().named().map(|named| format!(", {named}")).unwrap_or_default();
    match plan.message() {
        Some(message) => {
            let kind = if message.text { "text" } else { "binary" };
            let interval =
                message.ping_interval.map(|time| format!(", a ping every {}", seconds(nanos(time))));
            writeln!(out, "Messages       {kind}{}", interval.unwrap_or_default())?;
            writeln!(out, "Successes      messages that come back as they were sent")?;
        }
        None => {
            let are_calls = plan.requests().iter().all(|request| request.call().is_some());
            writeln!(out, "Successes      {}{named}", if are_calls { "OK" } else { "2xx" })?;
        }
    }
    let ids = Ids { run: 0, load: index };
    // What is due at the start of 1970 shows that it is not a real run.
    let texts = plan.texts(ids, 0, 1);
    let mix = plan.mix(1);
    for (index, request) in plan.requests().iter().enumerate() {
        let share = mix.share(index).filter(|_| mix.is_mixed());
        let share =
            share.map(|(part, all)| format!(", {part} of {all}: {:.1}%", part as f64 * 100.0 / all as f64));
        writeln!(out, "\nRequest        {}{}", request.name, share.unwrap_or_default())?;
        if let Some(rows) = request.rows() {
            writeln!(out, "Rows           {} of {}", count(rows.len() as u64), rows.columns().join(", "))?;
        }
        if let Some(expectations) = request.expectations() {
            expected(&expectations, out)?;
        }
        let number = (0..mix.length()).find(|number| mix.choice(*number).request as usize == index);
        let arrival = Arrival { request: index as u32, ..Arrival::new(number.unwrap_or(0), 0, 0) };
        let id = arrival.id(ids);
        let values = texts.values(&arrival, request.rows(), Some(&id));
        write!(out, "\n{}", head(plan, index, &values))?;
        match request.call() {
            None => {
                let body = body(plan, request, &id, &values);
                write_body(&body, body.len() as u64, out)?;
                write_trailers(request, out)?;
            }
            Some(call) => match call.prepared() {
                Some(prepared) => writeln!(out, "{}", prepared.shown(&values).trim_end())?,
                None => writeln!(out, "[a message whose type the server is asked for before the run]")?,
            },
        }
    }
    Ok(())
}

/// How connections get there, how long they live, and what happens to what is late, as far as that is not the usual.
fn connections(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let (lifetime, load) = (plan.lifetime(), plan.load());
    for line in plan.route().lines() {
        writeln!(out, "Route          {line}")?;
    }
    if let Some(requests) = lifetime.requests {
        let plural = if requests.get() == 1 { "" } else { "s" };
        writeln!(out, "Lifetime       {requests} request{plural} for each connection")?;
    }
    if let Some(age) = lifetime.age {
        writeln!(out, "Lifetime       {} for each connection", seconds(nanos(age)))?;
    }
    if let Some(rate) = lifetime.per_second {
        writeln!(out, "Opening        at most {} connections/s", decimal(rate))?;
    }
    for line in plan.client().lines() {
        writeln!(out, "{line}")?;
    }
    if lifetime.retry != Retry::default() {
        writeln!(out, "Retry          {}", lifetime.retry.name())?;
    }
    if let Shape::Open { on_overload, max_lag, coalesce, .. } = &load.shape {
        if *on_overload == OnOverload::Drop {
            writeln!(out, "Overload       what is due beyond the limit in flight is dropped")?;
        }
        if let Some(time) = max_lag {
            writeln!(out, "Lag            what could not be sent for {} is dropped", seconds(nanos(*time)))?;
        }
        if let Some(time) = coalesce {
            let most = numbers::time(nanos(*time) as f64);
            writeln!(out, "Coalescing     up to {most} later, together with what is due meanwhile")?;
        }
    }
    match plan.seed() {
        Some(seed) => writeln!(out, "Seed           {seed}"),
        None => Ok(()),
    }
}

fn shape(plan: &Plan) -> String {
    let load = plan.load();
    let mut text = match load.arrivals() {
        Some(_) => format!("open loop, {} requests/s", decimal(load.mean_rate.unwrap_or_default())),
        None => "closed loop".to_owned(),
    };
    if load.is_random() {
        text.push_str(" at random times");
    }
    if let Some(log) = &load.replay {
        text.push_str(&format!(", replay of {log}, {} requests", count(load.count().unwrap_or(0))));
        let skipped = plan.skipped();
        if let Some((line, why)) = &skipped.first {
            text.push_str(&format!(
                " (lines skipped: {}, the first of which is {line}: {why})",
                count(skipped.lines)
            ));
        }
    }
    if let Some(stages) = &load.stages {
        text.push_str(&format!(", stages {stages}"));
    }
    if !load.warmup.is_zero() {
        text.push_str(&format!(", after a warm-up of {}", seconds(nanos(load.warmup))));
    }
    if let Some(total) = load.total {
        text.push_str(&format!(", {} requests", count(total)));
    }
    if let Some(duration) = load.duration {
        text.push_str(&format!(", for {}", seconds(nanos(duration))));
    }
    text
}

fn expected(expectations: &Expectations, out: &mut dyn Write) -> io::Result<()> {
    expectations.lines().iter().try_for_each(|line| writeln!(out, "Expected       {line}"))
}
