//! The conductor: it resolves the target, spawns the workers, starts them together, and merges their
//! results. All control flow of a run is here.

use std::{io, net::SocketAddr, net::ToSocketAddrs as _, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, anyhow};

use crate::{
    clock::Clock,
    control::{Control, Phase},
    plan::{Plan, Target, request::Ids},
    progress::Progress,
    recorder::Recorder,
    summary::Summary,
    worker::{self, Order, WorkerResult},
};

/// Runs a plan to its end. `control` stops it early; it must have been made for the plan's workers.
///
/// # Errors
/// The target's name can't be resolved, or the workers can't be started. Whatever becomes of requests is no
/// error.
pub fn run(plan: Plan, control: &Arc<Control>, progress: Option<Progress>) -> anyhow::Result<Summary> {
    // Refused, the limit stays as it is, and running into it is told as such.
    let _ = runtime::files::raise_limit();
    let addresses = resolve(&plan.target)?;
    let plan = Arc::new(plan);
    let (clock, ids) = (Clock::starting_now(), Ids::of_run(rand::random()));
    let workers = plan.workers.get();
    let cpus = if plan.pin_cpus { runtime::affinity::allowed() } else { Vec::new() };
    let mut handles = Vec::with_capacity(workers);
    for index in 0..workers {
        let order = Order {
            plan: Arc::clone(&plan),
            addresses: Arc::clone(&addresses),
            ids,
            clock,
            part: (index, workers),
            control: Arc::clone(control),
        };
        let cpu = cpus.get(index % cpus.len().max(1)).copied();
        let handle = runtime::worker::spawn("loadgen-worker", cpu, move || worker::run(order));
        handles.push(handle.context("can't start a worker")?);
    }
    let any_is_over = || handles.iter().any(thread::JoinHandle::is_finished);
    let start = control.start_all(|| clock.now(), any_is_over);
    let watching = progress.map(|progress| progress.watch(Arc::clone(control), clock, start));
    let results: Vec<_> = handles.into_iter().map(join).collect::<anyhow::Result<_>>()?;
    if let Some(watching) = watching {
        watching.end();
    }
    let interrupted = control.phase() != Phase::Run;
    let plan = Arc::unwrap_or_clone(plan);
    Ok(merge(plan, ids, start, results, interrupted))
}

fn join(handle: thread::JoinHandle<io::Result<WorkerResult>>) -> anyhow::Result<WorkerResult> {
    handle.join().map_err(|_| anyhow!("a worker has panicked"))?.context("a worker could not start")
}

fn merge(plan: Plan, ids: Ids, start: u64, results: Vec<WorkerResult>, interrupted: bool) -> Summary {
    let mut records = Recorder::new(ids);
    let (mut end, mut arrivals_end, mut busiest_worker) = (start, start, 0f64);
    for result in results {
        debug_assert!(result.recorder.counts.add_up(), "{:?}", result.recorder.counts);
        records.merge(&result.recorder);
        end = end.max(result.end);
        arrivals_end = arrivals_end.max(result.arrivals_end);
        busiest_worker = busiest_worker.max(result.busy);
    }
    Summary {
        plan,
        records,
        elapsed: Duration::from_nanos(end - start),
        arrivals_lasted: Duration::from_nanos(arrivals_end - start),
        busiest_worker,
        interrupted,
    }
}

fn resolve(target: &Target) -> anyhow::Result<Arc<[SocketAddr]>> {
    let host = &target.host;
    let found =
        (host.as_str(), target.port).to_socket_addrs().with_context(|| format!("can't find {host}"))?;
    let addresses: Arc<[SocketAddr]> = found.collect();
    if addresses.is_empty() { Err(anyhow!("{host} has no address")) } else { Ok(addresses) }
}
