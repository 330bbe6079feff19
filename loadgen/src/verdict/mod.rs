//! What a run's figures are worth, and what its limit was.
//!
//! Decided from a [`Summary`] alone: nothing here reads a clock, prints or knows an option of the command line but by the
//! name that a user reads.

mod band;
pub mod change;
mod growth;
mod measured;
mod not_held;
mod slo;
mod success;
#[cfg(test)]
mod tests;
mod threshold;

pub use band::{Percentile, QUANTILES, Time, ValidUpTo};
pub use growth::TimePart;
pub use slo::{Slo, Step};
pub use threshold::{Judged, Judgement, Threshold};

use crate::{
    clock::nanos,
    numbers::{decimal, plural, seconds, several, success_percent, time},
    recorder::{Reached, Span},
    summary::{SHORTEST_SHARE, Summary},
};

/// The share of its time on a CPU beyond which a worker has no room left.
pub const MAX_BUSY: f64 = 0.95;

/// The share of a closed loop's time without a CPU from which on its rate is not the target's alone.
const MAX_RUN_DELAY: f64 = 0.1;

/// Timers of dummy-server that are later than this on average, in nanoseconds, show that its workers get no CPU in time, be
/// it for other programs, a limit or a pause: they have a resolution of a millisecond.
const MAX_TURN_LAG: f64 = 10e6;

/// The share of the offered rate that has to be achieved, or else the rate was not held.
pub const MIN_HELD: f64 = 0.98;

/// The share of requests that has to succeed, or else the run has failed.
pub const MIN_SUCCESS: f64 = 0.5;

/// The number of unsent requests that the end of a run explains: those that are due just then.
fn few(offered: u64) -> u64 {
    offered / 100 + 10
}

/// What came of a run's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// At least half of the requests succeeded.
    Succeeded,
    /// None did, or fewer than half of them.
    Failed,
}

impl RunOutcome {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// What kept the run from more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing: the rate was held, or the loop was closed.
    None,
    /// loadgen itself.
    Loadgen,
    /// Requests waited for a connection or a stream, or were dropped.
    Connections,
    /// The way to the server: a proxy or the network.
    Way,
    /// dummy-server, by what it reports of its own time.
    DummyServer,
    /// The target, or the way to it.
    Target,
}

impl Limit {
    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loadgen => "loadgen",
            Self::Connections => "connections",
            Self::Way => "way",
            Self::DummyServer => "dummy-server",
            Self::Target => "target",
        }
    }
}

impl Summary {
    /// What came of the requests.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        let counts = &self.records.counts;
        if counts.succeeded > 0 && self.success_ratio() >= MIN_SUCCESS {
            RunOutcome::Succeeded
        } else {
            RunOutcome::Failed
        }
    }

    /// The share of all offered requests that succeeded, from 0 to 1; of a run that was cut short, of those that had
    /// ended.
    #[must_use]
    pub fn success_ratio(&self) -> f64 {
        let succeeded = self.records.counts.succeeded;
        succeeded as f64 / (succeeded + self.failed()).max(1) as f64
    }

    /// Requests that did not succeed; of a run that was cut short, those alone that had ended.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.records.counts.unsuccessful().saturating_sub(self.cut_short())
    }

    /// What kept the run from more: the part of requests' time that grew in the second half of the run.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self.limit_found() {
            // How slow others are can't be known through connections that are slow themselves.
            Limit::Connections | Limit::Way | Limit::DummyServer | Limit::Target
                if self.run.throttle.is_some() =>
            {
                Limit::Loadgen
            }
            found => found,
        }
    }

    fn limit_found(&self) -> Limit {
        let counts = &self.records.counts;
        let fastest = self.grew();
        // An interrupt leaves a few behind.
        let were_not_sent = match self.interrupted {
            true => counts.not_sent > few(counts.offered),
            false => self.not_sent() > 0 && counts.completed() > 0,
        };
        // What fails below HTTP says nothing of rates; timeouts may be loadgen's own doing.
        let is_dead = counts.completed() == 0 && counts.timed_out == 0 && counts.not_sent == 0;
        if is_dead {
            Limit::None
        } else if self.wanted_cpu() > MAX_BUSY || fastest == Some(TimePart::Lag) || self.was_late_itself() {
            Limit::Loadgen
        } else if self.is_server_busy() && (fastest.is_some() || counts.dropped > 0 || were_not_sent) {
            Limit::DummyServer
        } else if self.waited_for_loadgen() {
            Limit::None
        } else if self.stood_still().is_some() {
            Limit::Target
        } else if counts.dropped > 0 || were_not_sent {
            if self.was_room_left() { Limit::Target } else { Limit::Connections }
        } else {
            match fastest {
                None => Limit::None,
                Some(TimePart::Lag) => Limit::Loadgen,
                Some(TimePart::Wait) if self.was_room_left() => Limit::Target,
                Some(TimePart::Wait) => Limit::Connections,
                Some(TimePart::Way) => Limit::Way,
                Some(TimePart::Server) => Limit::DummyServer,
                Some(TimePart::Service) => Limit::Target,
            }
        }
    }

    /// The share of its time that the busiest worker was on a CPU or waited for one; zero where the run was too short to
    /// say: that it started is most of it.
    fn wanted_cpu(&self) -> f64 {
        if self.elapsed < SHORTEST_SHARE {
            return 0.0;
        }
        (self.busiest_worker + self.run_delay.unwrap_or(0.0)).min(1.0)
    }

    /// Whether dummy-server has reported that its workers had no CPU left.
    fn is_server_busy(&self) -> bool {
        let load = self.records.server_report.late_load();
        load.is_some_and(|load| load.cpu > MAX_BUSY || load.turn_lag > MAX_TURN_LAG)
    }

    /// A stall of the target that lasted until requests were no longer to be sent, and cost the rate: what waited then says
    /// nothing of connections.
    fn stood_still(&self) -> Option<Span> {
        let is_open = self.run.is_open_loop();
        let until = nanos(self.window());
        let lasted = |stall: &Span| stall.start + stall.length >= until;
        // One straggler behind the last that was sent is another thing.
        let within = |stall: &Span| self.is_notable(until.saturating_sub(stall.start));
        self.notable_stall()
            .filter(|stall| lasted(stall) && within(stall) && !(is_open && self.is_rate_held()))
    }

    /// The part of requests' time that grew, if that says something.
    fn grew(&self) -> Option<TimePart> {
        growth::fastest(self).filter(|_| self.run.is_open_loop() && !self.was_suspended())
    }

    /// Whether it is the target that requests waited for before they were sent.
    fn was_waited_for(&self) -> bool {
        let counts = &self.records.counts;
        self.was_room_left() && (counts.dropped + counts.not_sent > 0 || self.grew() == Some(TimePart::Wait))
    }

    /// Whether requests waited although more of them could have been in flight, on more connections: for the target, then, to accept
    /// connections or to take what was being sent.
    fn was_room_left(&self) -> bool {
        let counts = &self.records.counts;
        counts.dropped == counts.dropped_late && self.records.reached.is_some_and(|reached| !reached.is_any())
    }

    /// Whether loadgen itself was kept from running for long: what grew then says nothing of others.
    fn was_suspended(&self) -> bool {
        self.records.held_up.0 > 100_000_000
    }

    /// Whether most of the requests that were dropped had been picked up too late, so that nothing but loadgen delayed them.
    fn was_late_itself(&self) -> bool {
        let (late, max_lag) = (self.records.counts.dropped_late, self.run.max_lag);
        let Some(max_lag) = max_lag.filter(|_| late > 0 && !self.was_suspended()) else { return false };
        let lag = &self.records.times.lag;
        let picked_late = lag.count_between(nanos(max_lag), lag.max().max(nanos(max_lag)));
        2 * picked_late.min(late) > self.records.counts.dropped
    }

    /// Whether the achieved rate is the offered one, as far as can be known: what the user cut short does not count as missed.
    fn is_rate_held(&self) -> bool {
        let counts = &self.records.counts;
        let owed = counts.offered - self.cut_short();
        self.achieved_rate() >= self.offered_rate() * (owed as f64 / counts.offered.max(1) as f64) * MIN_HELD
    }

    /// How many requests the user's interrupt left unsent or unanswered, or the end of the command that the run was for unsent.
    fn cut_short(&self) -> u64 {
        let counts = &self.records.counts;
        if self.interrupted { counts.not_sent + counts.unanswered } else { self.left_unsent() }
    }

    /// The few requests that were due when the command that the run was for had ended, and were not sent any more. If there are
    /// many, they had waited for long.
    fn left_unsent(&self) -> u64 {
        let counts = &self.records.counts;
        let is_ended_by_command = self.happened.is_some() && !self.interrupted && counts.succeeded > 0;
        if is_ended_by_command && counts.not_sent <= few(counts.offered) { counts.not_sent } else { 0 }
    }

    /// Requests that were not sent, but for those that the end of a command leaves.
    #[must_use]
    pub fn not_sent(&self) -> u64 {
        self.records.counts.not_sent - self.left_unsent()
    }

    /// Whether all that was dropped or not sent had to wait while loadgen itself was kept from running.
    fn waited_for_loadgen(&self) -> bool {
        let counts = &self.records.counts;
        let waited = counts.dropped + counts.not_sent;
        let (_, held_up) = self.records.held_up;
        let due_meanwhile = self.offered_rate() * held_up as f64 / 1e9;
        self.was_suspended() && waited > 0 && waited as f64 <= 2.0 * due_meanwhile
    }

    /// The verdict: a sentence on what came of the requests, and one on what the limit was.
    #[must_use]
    pub fn verdict(&self) -> [String; 2] {
        [success::sentence(self), self.limit_sentence()]
    }

    fn limit_sentence(&self) -> String {
        let rates =
            format!("{} of {} requests/s", decimal(self.achieved_rate()), decimal(self.offered_rate()));
        let busy = self.busiest_worker * 100.0;
        match self.limit() {
            Limit::Loadgen if self.wanted_cpu() > MAX_BUSY && self.busiest_worker <= MAX_BUSY => format!(
                "loadgen was the limit: a worker was on a CPU {busy:.0}% of the time and waited for one in the rest, as other programs had it"
            ),
            Limit::Loadgen if self.busiest_worker > MAX_BUSY => format!(
                "loadgen was the limit: a worker was busy {busy:.0}% of the time; give it more CPUs (--workers) or lower the rate"
            ),
            Limit::Loadgen if let Some(throttle) = &self.run.throttle => {
                format!("loadgen was the limit: each of its connections was held to {throttle}, {rates}")
            }
            Limit::Loadgen if self.was_late_itself() => format!(
                "loadgen was the limit: {} were dropped because it picked them up later than --max-lag {}, {rates}; lower the rate or free CPUs for it",
                several(self.records.counts.dropped_late, "request", "requests"),
                self.max_lag_said()
            ),
            Limit::Loadgen => {
                format!(
                    "loadgen was the limit: it sent later and later, {rates}; lower the rate or free CPUs for it"
                )
            }
            Limit::Connections if 2 * self.records.counts.dropped_late > self.records.counts.dropped => {
                format!(
                    "connections were the limit: {} waited for longer than --max-lag {} and were dropped, {rates}; {} may be raised, unless the target serves no more",
                    several(self.records.counts.dropped_late, "request", "requests"),
                    self.max_lag_said(),
                    self.room_flags()
                )
            }
            Limit::Connections if self.records.counts.dropped > 0 => format!(
                "{} was the limit: requests that were due while it was reached were dropped, {rates}",
                self.room_flags()
            ),
            Limit::Connections => format!(
                "connections were the limit: requests waited longer and longer to be sent, {rates}; {} may be raised, unless the target serves no more",
                self.room_flags()
            ),
            Limit::Way => format!(
                "the way to the server was the limit, a proxy or the network, unless the server itself stood still: {rates}"
            ),
            Limit::DummyServer => format!("dummy-server was the limit{}: {rates}", self.server_load_said()),
            Limit::Target if let Some(stall) = self.stood_still() => {
                let since = match stall.start {
                    0 => "from the start".to_owned(),
                    start => format!("from {}", seconds(start)),
                };
                let length = seconds(stall.length);
                format!(
                    "the target, or a proxy in front of it, stood still {since} until the end, for {length}: {rates}"
                )
            }
            Limit::Target if self.was_waited_for() => format!(
                "the target was the limit, or a proxy in front of it: requests waited longer and longer for it to accept connections, or to take what was sent, {rates}"
            ),
            Limit::Target => format!("the target was the limit, or a proxy in front of it: {rates}"),
            Limit::None
                if let Some(throttle) = &self.run.throttle
                    && self.outcome() == RunOutcome::Failed
                    && self.records.bytes_sent > 0 =>
            {
                format!(
                    "nothing can be said of what the target can do: each connection was held to {throttle}"
                )
            }
            Limit::None if self.outcome() == RunOutcome::Failed => {
                "nothing can be said of what the target can do".to_owned()
            }
            Limit::None if self.was_suspended() && self.run.is_open_loop() => format!(
                "loadgen itself was kept from running for {}, so that nothing more can be said: {rates}",
                time(self.records.held_up.0 as f64)
            ),
            Limit::None if self.run.is_open_loop() && self.records.counts.offered < 2 => {
                "one request says nothing of a rate".to_owned()
            }
            Limit::None if self.run.is_open_loop() && self.is_rate_over_all() => {
                format!("the run was too short to tell whether the rate was held: {rates}")
            }
            Limit::None if self.run.is_open_loop() && self.is_rate_held() => {
                let of_all = match self.failed() {
                    0 => String::new(),
                    _ => format!(", of which {} succeeded", success_percent(self.success_ratio())),
                };
                format!("the rate was held: {rates}{of_all}")
            }
            Limit::None if self.run.is_open_loop() => {
                format!("the rate was not held, {rates}: {}", not_held::reason(self))
            }
            Limit::None => {
                let delay = self.run_delay.unwrap_or(0.0);
                let caveat = match delay > MAX_RUN_DELAY && self.elapsed >= SHORTEST_SHARE {
                    true => format!(
                        "; loadgen waited for a CPU {:.0}% of the run: the target may do more",
                        delay * 100.0
                    ),
                    false => String::new(),
                };
                let pause = match self.was_suspended() {
                    true => format!(
                        "; loadgen itself was kept from running for {} of the run",
                        time(self.records.held_up.1 as f64)
                    ),
                    false => String::new(),
                };
                let outage = self.notable_outage().map(|outage| {
                    let (length, window) = (seconds(outage.length), seconds(nanos(self.window())));
                    format!("; no request succeeded for {length} of the {window}")
                });
                let caveat = caveat + &pause + &outage.unwrap_or_default();
                format!(
                    "{} requests/s is what {}{} gave: the loop was closed{caveat}",
                    decimal(self.achieved_rate()),
                    if self.run.stages.is_some() { "up to " } else { "" },
                    plural(self.run.outstanding() as u64, "outstanding request")
                )
            }
        }
    }

    /// The value of --max-lag.
    fn max_lag_said(&self) -> String {
        self.run.max_lag.map(|max_lag| time(nanos(max_lag) as f64)).unwrap_or_default()
    }

    /// What dummy-server has reported of its workers, as a part of a sentence.
    fn server_load_said(&self) -> String {
        match self.records.server_report.late_load() {
            Some(load) if load.cpu > MAX_BUSY => {
                format!(
                    " (its workers had a CPU {:.0}% of the time, and there was no more)",
                    load.cpu * 100.0
                )
            }
            Some(load) if load.turn_lag > MAX_TURN_LAG => {
                format!(
                    " (its workers got no CPU in time: timers were {} late on average)",
                    time(load.turn_lag)
                )
            }
            _ => String::new(),
        }
    }

    /// The options that bound how many requests could be in flight, as they were set: the one that was reached, where that is known.
    fn room_flags(&self) -> String {
        let run = &self.run;
        let by_connections = run.max_connections.saturating_mul(run.streams);
        let is_in_flight = match self.records.reached {
            Some(Reached { in_flight: false, connections: false, pace: true }) => {
                return "--connections-per-second".to_owned();
            }
            Some(Reached { in_flight, connections, .. }) if in_flight != connections => in_flight,
            _ => run.max_in_flight <= by_connections,
        };
        // Connections are added as requests need them, up to as many.
        let is_derived = run.streams == 1
            && run.connections < run.max_connections
            && run.max_connections >= run.max_in_flight;
        let in_flight = format!("--max-in-flight {}", run.max_in_flight);
        let option = if run.pipelines() { "pipeline" } else { "streams" };
        let connections = match run.streams {
            1 => format!("--connections {}", run.max_connections),
            streams => format!("--connections {} with --{option} {streams}", run.max_connections),
        };
        match is_in_flight {
            _ if is_derived => in_flight,
            // More of one of them alone changes nothing.
            _ if run.max_in_flight == by_connections => format!("{in_flight} (and {connections})"),
            true => in_flight,
            false => connections,
        }
    }
}
