//! The library's front door: a plan is run, watched, stopped and summed up.

mod canary;
mod ledgers;
mod pushed;
mod reflection;
mod sampled;
mod together;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use contract::id::Ids;
use transport::Address;

use crate::{
    clock::{Clock, Nanos, nanos},
    control::{Handle, Phase},
    plan::{Call, MethodShape, Plan, Request, Texts, of_streams},
    recorder::{Origin, Recorder, RunSettings, Snapshot},
    resolve::Addresses,
    schedule::Part,
    summary::{SHORTEST_SHARE, Summary},
    verify::{self, JudgedRun, Survival, Trust},
    worker::{self, Order, WorkerResult},
};

use canary::Survivals;
use pushed::Pushes;
pub use together::{RunningTogether, Together};

/// A run that has not begun.
///
/// ```no_run
/// use std::time::Duration;
///
/// use loadgen::{Plan, Run};
///
/// let plan = Plan::builder("http://localhost:8080/bin/1K").rate(1000.0).duration(Duration::from_secs(5)).build()?;
/// let summary = Run::new(plan).start()?.join()?;
/// let p99 = summary.records.times.response.value_at_quantile(0.99);
/// println!("{} of {} succeeded, p99 {p99} ns", summary.records.counts.succeeded, summary.records.counts.offered);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    every: Option<Duration>,
    clock: Clock,
    handle: Handle,
    ids: Ids,
    /// Workers before its own that may be pinned as well.
    workers_before: usize,
    /// What takes the ledgers of several loads.
    pushes: Option<Arc<Pushes>>,
}

impl Run {
    /// Of a plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let clock = Clock::starting_now();
        let handle = Handle::new(plan.workers().get(), clock);
        let ids = Ids { run: rand::random(), load: 0 };
        Self { plan, every: None, clock, handle, ids, workers_before: 0, pushes: None }
    }

    /// Its figures are to be seen while it goes on: workers hand them over about that often, at most every 10 ms.
    #[must_use]
    pub fn observe(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// What is run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What stops it from another thread, also before it has begun.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Looks up the target's name, asks the server for the types of a gRPC call's messages where they are not known, and starts
    /// the workers, which open the first connections and then begin together.
    ///
    /// # Errors
    /// The name can't be found, the types are not there, or the workers can't be started.
    pub fn start(self) -> anyhow::Result<Running> {
        let handle = self.handle();
        // Those that have been started would begin without the others.
        self.begin().inspect_err(|_| handle.abort())
    }

    fn begin(self) -> anyhow::Result<Running> {
        let Self { plan, every, clock, handle, ids, workers_before, pushes } = self;
        let pushes = pushes.map_or_else(|| listening(&plan, ids.run), |pushes| Ok(Some(pushes)))?;
        // Refused, the limit stays as it is, and running into it is reported as such.
        let _ = runtime::files::raise_limit();
        let began = Instant::now();
        let addresses = plan.sites().iter().map(Addresses::of).collect::<anyhow::Result<Arc<[_]>>>()?;
        let lookup = plan.sites().iter().any(Addresses::are_looked_up).then(|| began.elapsed());
        let found = addresses.iter().flat_map(|of_site| of_site.get().to_vec()).collect();
        let plan = reflection::described(plan, &handle)?;
        let plan = negotiated(plan, &addresses, clock, &handle)?;
        let (plan, survivals) = canary::sent_ahead(plan, &handle)?;
        let plan = Arc::new(plan.drawing(u64::from(ids.load) << 32 | u64::from(ids.run)));
        let refreshing = addresses.iter().zip(plan.sites()).map(|(addresses, site)| addresses.keep_up(site));
        let refreshing = refreshing.collect::<anyhow::Result<Vec<_>>>()?;
        let workers = plan.workers().get();
        if workers_before + workers > MANY_WORKERS * runtime::cpus::available().get() {
            runtime::memory::without_huge_pages();
        }
        let cpus = if plan.pin_cpus() { runtime::affinity::allowed() } else { Vec::new() };
        let epoch = clock.epoch();
        let mut threads = Vec::with_capacity(workers);
        // All of them now: those that are left when one can't be started delay nothing.
        let participants: Vec<_> = handle.participants(every).collect();
        for (index, participant) in participants.into_iter().enumerate() {
            let order = Order {
                plan: Arc::clone(&plan),
                addresses: Arc::clone(&addresses),
                ids,
                clock,
                epoch,
                part: Part::new(index, workers),
                participant,
            };
            let cpu = cpus.get((workers_before + index) % cpus.len().max(1)).copied();
            let thread = runtime::worker::spawn_observed("loadgen-worker", cpu, move || worker::run(order));
            threads.push(thread.context("can't start a worker")?);
        }
        Ok(Running {
            plan,
            addresses: found,
            lookup,
            ids,
            handle,
            epoch,
            threads,
            refreshing,
            survivals,
            pushes,
        })
    }
}

/// A run that goes on. Dropped, it goes on by itself.
#[derive(Debug)]
#[must_use = "a run that is not joined goes on by itself"]
pub struct Running {
    plan: Arc<Plan>,
    /// Those that were found first.
    addresses: Arc<[Address]>,
    /// How long it took to find them by a name.
    lookup: Option<Duration>,
    ids: Ids,
    handle: Handle,
    /// What the wall clock showed when the run's clock showed zero.
    epoch: Nanos,
    threads: Vec<thread::JoinHandle<io::Result<WorkerResult>>>,
    /// Names are looked up again as long as these are there.
    refreshing: Vec<Option<mpsc::SyncSender<()>>>,
    /// What happens to tokens, in a verified run.
    survivals: Survivals,
    pushes: Option<Arc<Pushes>>,
}

impl Running {
    /// What is run, with all that was found out before it began.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What users have to know before a verified run begins: what can't be proven of it, as tokens do not get to a server or back.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.survivals.kinds.iter().filter_map(Survival::note)
    }

    /// No more requests become due; those in flight finish.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// No more requests become due, and those in flight are given up.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// What the texts of its requests with placeholders depend on.
    pub(crate) fn texts(&self) -> Texts {
        self.plan.texts(self.ids, self.epoch, self.plan.workers().get() as u64)
    }

    /// Whether it is over, so that [`Running::join`] does not block.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(thread::JoinHandle::is_finished)
    }

    /// The figures so far, if it is [observed](Run::observe); else zeros.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.handle.snapshot()
    }

    /// The same, for another thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where servers can post their ledgers, if they can.
    #[must_use]
    pub fn ledgers_at(&self) -> Option<SocketAddr> {
        self.pushes.as_ref().map(|pushes| pushes.address())
    }

    /// Blocks until it is over.
    ///
    /// # Errors
    /// A worker could not start, or has panicked. Whatever happens to requests is not an error.
    pub fn join(self) -> anyhow::Result<Summary> {
        let texts = self.texts();
        let results: Vec<_> = self.threads.into_iter().map(join).collect();
        drop(self.refreshing);
        let results = results.into_iter().collect::<anyhow::Result<_>>()?;
        let start = self.handle.start().context("no worker has begun")?;
        // Figures are of what comes behind the warm-up.
        let start = start.saturating_add(nanos(self.plan.load().warmup));
        let run = RunSettings::of(&self.plan, &self.addresses);
        let origin = Origin::here((self.epoch + start) / 1_000_000);
        let mut records = Recorder::of(&self.plan, self.ids);
        if let Some(took) = self.lookup {
            records.connections.looked_up(nanos(took));
        }
        let mut summary = merge(origin, run, records, start, results);
        if let Some(mut known) = summary.records.verified.take() {
            known.settle();
            let epochs = known.epochs.keys().copied().collect();
            let asked = ledgers::ask(&self.plan, self.ids, &epochs, &self.handle, self.pushes.as_deref());
            summary.interrupted |= asked.is_interrupted;
            let methods: Vec<_> =
                self.plan.requests().iter().map(|request| request.method.as_str()).collect();
            let heads_sent = sampled::sent(&self.plan, &texts, self.ids, &known.samples);
            let heads = verify::compare(&heads_sent, &asked.statements, summary.records.connections.opened);
            let mix = self.plan.mix(self.plan.workers().get() as u64);
            let trust = |number| self.survivals.trust(mix.choice(number).request as usize);
            let bodies: Vec<_> = self.plan.requests().iter().filter_map(Request::same_body).collect();
            let sent = JudgedRun {
                start,
                methods: &methods,
                bodies: &bodies,
                trust: self.survivals.are_off().then_some(&trust as &dyn Fn(u64) -> Trust),
                settled: None,
            };
            let mut found = verify::judge(&known, asked, sent);
            found.run = format!("{:08x}", self.ids.run);
            found.heads = heads.map(Box::new);
            let notes = self.survivals.kinds.iter().filter(|kind| kind.is_off()).filter_map(Survival::note);
            found.off.extend(notes);
            found.tokens = self.survivals.kinds;
            let mut calls = self.plan.calls().filter_map(Call::prepared);
            found.has_streams = calls.any(|call| {
                let is_stream = !matches!(call.shape, MethodShape::Unary | MethodShape::Unknown);
                is_stream && call.numbers().is_none()
            });
            let streams = summary.records.streams.take().filter(|streams| !streams.is_empty());
            if let (Some(streams), Some(numbers)) = (streams, self.plan.stream_numbers()) {
                let ids = of_streams(self.ids);
                let asked = ledgers::ask(&self.plan, ids, &epochs, &self.handle, self.pushes.as_deref());
                summary.interrupted |= asked.is_interrupted;
                let mut messages = verify::judge_streams(*streams, &known, asked, numbers, start);
                messages.run.clone_from(&found.run);
                found.messages = Some(Box::new(messages));
            }
            summary.verification = Some(Box::new(found));
        }
        Ok(summary)
    }
}

/// What takes ledgers that servers post, if that is wanted.
fn listening(plan: &Plan, run: u32) -> anyhow::Result<Option<Arc<Pushes>>> {
    let Some(address) = plan.verify().and_then(|verify| verify.listen) else { return Ok(None) };
    let listening = Pushes::listen(address, run);
    listening.map(Some).with_context(|| format!("can't listen on {address} for ledgers (--ledger-listen)"))
}

fn join(thread: thread::JoinHandle<io::Result<WorkerResult>>) -> anyhow::Result<WorkerResult> {
    thread.join().map_err(|_| anyhow!("a worker has panicked"))?.context("a worker could not start")
}

fn merge(
    origin: Origin,
    run: RunSettings,
    mut records: Recorder,
    start: u64,
    results: Vec<WorkerResult>,
) -> Summary {
    let end = results.iter().map(|result| result.end).fold(start, Nanos::max);
    let arrivals_end = results.iter().map(|result| result.arrivals_end).fold(start, Nanos::max);
    let interrupted = results.iter().any(|result| result.is_interrupted);
    let (mut busiest_worker, mut run_delay) = (0f64, None);
    for result in results {
        debug_assert!(result.recorder.counts.add_up(), "{:?}", result.recorder.counts);
        debug_assert!(result.recorder.warmup.is_none_or(|counts| counts.add_up()), "in the warm-up");
        records.merge(&result.recorder);
        // A worker that had little to do ended early, and was on a CPU for all of its short life, which does not make it busy.
        let time = result.end.max(arrivals_end).max(end.min(start.saturating_add(nanos(SHORTEST_SHARE))));
        let time = time.saturating_sub(start).max(1);
        let share = |part: Nanos| (part as f64 / time as f64).min(1.0);
        busiest_worker = busiest_worker.max(share(result.busy));
        run_delay = run_delay.into_iter().chain(result.run_delay.map(share)).reduce(f64::max);
    }
    Summary {
        origin,
        run,
        records,
        elapsed: Duration::from_nanos(end.saturating_sub(start)),
        arrivals_lasted: Duration::from_nanos(arrivals_end.saturating_sub(start)),
        busiest_worker,
        run_delay,
        interrupted,
        aborted_by: None,
        happened: None,
        verification: None,
    }
}

/// The plan with the protocols that servers choose, where that is left to them: all are asked at the same time. To one that is
/// not there HTTP/1.1 is spoken, should it come. With one whose handshake fails, or where the run is stopped first, it begins all
/// the same, and says why.
fn negotiated(
    mut plan: Plan,
    addresses: &[Addresses],
    clock: Clock,
    handle: &Handle,
) -> anyhow::Result<Plan> {
    if !plan.sites().iter().any(|site| site.target().negotiated) {
        return Ok(plan);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't find out which protocol the server speaks")?;
    let patience = plan.load().connect_timeout;
    let sites = plan.sites().iter().zip(addresses).enumerate();
    let attempts = sites.filter_map(|(index, (site, addresses))| {
        let tls = site.tls().filter(|_| site.target().negotiated)?;
        let attempt = worker::negotiate(addresses, site, tls.offer(None), clock);
        Some(async move { (index, tokio::time::timeout(patience, attempt).await) })
    });
    let attempts = futures_util::future::join_all(attempts);
    let stopped = async {
        while handle.phase() == Phase::Run {
            tokio::time::sleep(LOOK).await;
        }
    };
    let chosen = runtime.block_on(async {
        tokio::select! {
            chosen = attempts => chosen,
            () = stopped => Vec::new(),
        }
    });
    for (index, chosen) in chosen {
        match chosen {
            Ok(Ok(alpn)) => {
                if let Some(protocol) = crate::plan::spoken(alpn.as_deref()) {
                    plan = plan.speaking(index, Some(protocol));
                }
            }
            Ok(Err(failure)) if failure.cause.is_of_tls() => {}
            Ok(Err(_)) | Err(_) => plan = plan.speaking(index, None),
        }
    }
    Ok(plan)
}

/// With more workers per CPU than this, huge pages delay the start: 10 MB would be cleared for each worker first.
const MANY_WORKERS: usize = 4;

/// How often it is looked at whether the run was stopped, before it has begun.
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::ExpectedStatus;

    const MILLI: Nanos = 1_000_000;

    /// The shares of workers, each with its time on a CPU, its time without one, and its lifetime; the last request was due
    /// after `arrivals`.
    fn shares(workers: &[(Nanos, Nanos, Nanos)], arrivals: Nanos) -> (f64, f64) {
        let start = 77 * MILLI;
        let ids = Ids { run: 0, load: 0 };
        let recorder = || Recorder::new(ids, ExpectedStatus::default());
        let made = |(busy, without_cpu, life): &(Nanos, Nanos, Nanos)| WorkerResult {
            recorder: recorder(),
            busy: *busy,
            run_delay: Some(*without_cpu),
            end: start + *life,
            arrivals_end: start + arrivals.min(*life),
            is_interrupted: false,
        };
        let plan = Plan::builder("http://127.0.0.1:1/").rate(1.0).build().unwrap();
        let results = workers.iter().map(made).collect();
        let run = RunSettings::of(&plan, &[]);
        let summary = merge(Origin::default(), run, recorder(), start, results);
        (summary.busiest_worker, summary.run_delay.unwrap())
    }

    #[test]
    fn a_worker_that_had_nothing_to_do_and_was_done_immediately_was_not_busy() {
        // One request in two seconds; the other worker has none.
        let quiet = (10 * MILLI, 20 * MILLI, 2000 * MILLI);
        for idle in [(MILLI, 0, MILLI), (0, 2 * MILLI, 2 * MILLI)] {
            for arrivals in [0, 2000 * MILLI] {
                let (busy, without_cpu) = shares(&[quiet, idle], arrivals);
                assert!(busy < 0.02 && without_cpu < 0.03, "{idle:?}: {busy} {without_cpu}");
            }
        }
        // Done after a quarter, in a closed loop.
        let (busy, _) = shares(&[(490 * MILLI, 0, 500 * MILLI), quiet], 2000 * MILLI);
        assert!((busy - 0.245).abs() < 0.001, "{busy}");
    }

    #[test]
    fn a_straggler_makes_no_busy_worker_look_idle() {
        let busy = (1980 * MILLI, 0, 2000 * MILLI);
        let (share, _) = shares(&[busy, (100 * MILLI, 0, 10_000 * MILLI)], 2000 * MILLI);
        assert!((share - 0.99).abs() < 0.001, "{share}");
        // Shorter runs have what they have.
        let (share, _) = shares(&[(15 * MILLI, 0, 30 * MILLI)], 30 * MILLI);
        assert!((share - 0.5).abs() < 0.001, "{share}");
    }
}
