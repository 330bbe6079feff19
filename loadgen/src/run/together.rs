//! Several loads at the same time: each is its own run, with its own workers, connections and records. They begin together,
//! or each as long after that as it says, and what stops one stops all.

use std::{net::SocketAddr, time::Duration};

use contract::id::Ids;

use super::{Run, Running, listening};
use crate::{
    clock::Clock,
    control::Handle,
    plan::{MAX_LOADS, Plan},
    summary::Summary,
};

/// Loads that have not begun.
///
/// ```no_run
/// use std::time::Duration;
///
/// use loadgen::{Plan, Together};
///
/// let of = |rate, seconds| Plan::builder("localhost:8080").rate(rate).duration(Duration::from_secs(seconds));
/// let steady = of(100.0, 30).load_name("steady").build()?;
/// let spike = of(5000.0, 2).load_name("spike").start(Duration::from_secs(10)).build()?;
/// for summary in Together::new(vec![steady, spike]).expect("two loads").start()?.join()? {
///     println!("{:?}: {} succeeded", summary.run.load_name, summary.records.counts.succeeded);
/// }
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Together {
    runs: Vec<Run>,
    handle: Handle,
}

impl Together {
    /// Of these plans, which have one run id; the first is load 0 in the ids of requests. None without a plan, or with more
    /// than [`MAX_LOADS`].
    #[must_use]
    pub fn new(plans: Vec<Plan>) -> Option<Self> {
        if plans.len() > MAX_LOADS {
            return None;
        }
        let clock = Clock::starting_now();
        let starts: Vec<_> = plans.iter().map(|plan| (plan.workers().get(), plan.load().start)).collect();
        let handles = Handle::together(&starts, clock);
        let (run, mut workers_before) = (rand::random(), 0);
        let of = |((load, plan), handle): ((u8, Plan), &Handle)| {
            let before = workers_before;
            workers_before += plan.workers().get();
            let (handle, ids) = (handle.clone(), Ids { run, load });
            Run { plan, every: None, clock, handle, ids, workers_before: before, pushes: None }
        };
        let runs = (0..).zip(plans).zip(&handles).map(of).collect();
        Some(Self { runs, handle: Handle::of_all(handles)? })
    }

    /// As [`Run::observe`], of each.
    #[must_use]
    pub fn observe(mut self, every: Duration) -> Self {
        self.runs = self.runs.into_iter().map(|run| run.observe(every)).collect();
        self
    }

    /// What stops all from another thread, also before they have begun; its figures are those of all together.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// One for each, in order, with the figures of that alone.
    pub fn handles(&self) -> impl Iterator<Item = Handle> {
        self.runs.iter().map(Run::handle)
    }

    /// Starts one after the other; they begin once the workers of all are ready.
    ///
    /// # Errors
    /// As [`Run::start`], of any: then none begins.
    pub fn start(self) -> anyhow::Result<RunningTogether> {
        // One place for the ledgers of all.
        let wanted =
            self.runs.iter().find(|run| run.plan.verify().is_some_and(|verify| verify.listen.is_some()));
        let pushes = match wanted {
            Some(run) => listening(&run.plan, run.ids.run).inspect_err(|_| self.handle.abort())?,
            None => None,
        };
        let with_pushes = |run: Run| Run { pushes: pushes.clone(), ..run };
        let all = self.runs.into_iter().map(with_pushes).map(Run::start).collect::<anyhow::Result<_>>()?;
        Ok(RunningTogether { all, handle: self.handle })
    }
}

/// Loads that go on. Dropped, they go on by themselves.
#[derive(Debug)]
#[must_use = "loads that are not joined go on by themselves"]
pub struct RunningTogether {
    all: Vec<Running>,
    handle: Handle,
}

impl RunningTogether {
    /// As [`Together::handle`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// As [`Running::notes`], of each by its index.
    pub fn notes(&self) -> impl Iterator<Item = (usize, String)> {
        let each = self.all.iter().enumerate();
        each.flat_map(|(index, running)| running.notes().map(move |note| (index, note)))
    }

    /// As [`Running::ledgers_at`].
    #[must_use]
    pub fn ledgers_at(&self) -> Option<SocketAddr> {
        self.all.iter().find_map(Running::ledgers_at)
    }

    /// Blocks until all are over.
    ///
    /// # Errors
    /// As [`Running::join`], of any.
    pub fn join(self) -> anyhow::Result<Vec<Summary>> {
        let all: Vec<_> = self.all.into_iter().map(Running::join).collect();
        all.into_iter().collect()
    }
}
