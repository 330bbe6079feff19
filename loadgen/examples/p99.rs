//! Loads a target for two seconds, shows how far it is, and prints what 99 in 100 response times were within:
//! `cargo run -p loadgen --no-default-features --example p99 -- http://localhost:8080/bin/1K`

#![expect(clippy::print_stdout, reason = "what an example is for")]

use std::{env, thread, time::Duration};

use anyhow::Context as _;
use loadgen::{Plan, Run};

fn main() -> anyhow::Result<()> {
    let target = env::args().nth(1).context("write a target, like http://localhost:8080/bin/1K")?;
    let plan = Plan::builder(target).rate(500.0).duration(Duration::from_secs(2)).connections(4).build()?;
    let running = Run::new(plan).observe(Duration::from_millis(100)).start()?;
    thread::sleep(Duration::from_secs(1));
    println!("{} succeeded in the first second", running.snapshot().counts.succeeded);
    let summary = running.join()?;
    let (counts, p99) = (summary.records.counts, summary.records.times.response.value_at_quantile(0.99));
    anyhow::ensure!(counts.succeeded > 0, "none of {} requests succeeded", counts.offered);
    println!("{} of {} succeeded, p99 {:?}", counts.succeeded, counts.offered, Duration::from_nanos(p99));
    Ok(())
}
