//! Which blocks do not count, by rules that are fixed before anything is measured, and what a machine is too small for.

use std::fmt;

use super::RoundTime;

/// The share of the machine's time that its hypervisor may give to others.
pub const MAX_STEAL: f64 = 0.02;

/// How long loadgen itself may be kept from running, in nanoseconds.
pub const MAX_HELD_UP: u64 = 100_000_000;

/// The part of the median that loadgen's own delay may be, where it is more than [`SHORT`].
pub const MAX_OWN_DELAY: f64 = 0.5;

/// A delay of loadgen's own that is no longer than this, in nanoseconds, is that of a thread that is woken: not a reason to doubt.
pub const SHORT: f64 = 1e6;

/// The share of its time beyond which a worker has too little room for times to be the contender's alone.
pub const MAX_BUSY: f64 = 0.7;

/// How late timers of dummy-server's workers may be on average, in nanoseconds: they have a resolution of a millisecond, so more shows
/// that its workers got no CPU in time.
pub const MAX_SERVER_LAG: f64 = 10e6;

/// How many times as long a cache line may take from CPU to CPU and back in one round as in another of its block.
pub const MAX_FARTHER: f64 = 2.0;

/// A round trip of a cache line that is no longer than this, in nanoseconds, is that of CPUs that are near.
pub const NEAR: f64 = 100.0;

/// With this number of CPUs or fewer, what is compared takes them from each other.
pub const FEW_CPUS: usize = 4;

/// What a round is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The share of all CPUs' time that went to other machines; none where the system does not say.
    pub steal: Option<f64>,
    /// The longest time for which loadgen was kept from running, in nanoseconds.
    pub held_up: u64,
    /// The median response time as it was, and without loadgen's own delay; none without one.
    pub p50: Option<RoundTime>,
    /// The share of its time that the busiest worker was on a CPU.
    pub busy: f64,
    /// What dummy-server reports of its workers; none where it does not.
    pub server: Option<ServerConditions>,
}

/// What dummy-server reports of its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerConditions {
    /// The share of its time that a worker was on a CPU, on average.
    pub busy: f64,
    /// How late its timers were on average, in nanoseconds.
    pub lag: f64,
}

/// How long a cache line took from CPU to CPU and back in the rounds of a block, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundTrips {
    /// The shortest.
    pub nearest: f64,
    /// The longest.
    pub farthest: f64,
}

impl RoundTrips {
    /// With another one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { nearest: self.nearest.min(other.nearest), farthest: self.farthest.max(other.farthest) }
    }

    /// Why their block does not count; none if it does.
    #[must_use]
    pub fn fault(self) -> Option<Reason> {
        let is_far = self.farthest > NEAR && self.farthest > self.nearest * MAX_FARTHER;
        is_far.then_some(Reason::CacheLine)
    }
}

/// Why a block does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Other machines had the CPU.
    Steal,
    /// loadgen was kept from running.
    HeldUp,
    /// loadgen's own delay was too much of the median.
    OwnDelay,
    /// dummy-server got no CPU in time.
    ServerLate,
    /// CPUs were farther from each other in one round than in another.
    CacheLine,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Steal, Self::HeldUp, Self::OwnDelay, Self::ServerLate, Self::CacheLine];

    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steal => "steal",
            Self::HeldUp => "held_up",
            Self::OwnDelay => "own_delay",
            Self::ServerLate => "server_late",
            Self::CacheLine => "cache_line",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steal => {
                write!(f, "other machines had more than {}% of the CPUs (steal)", MAX_STEAL * 100.0)
            }
            Self::HeldUp => {
                write!(f, "loadgen was kept from running for more than {} ms", MAX_HELD_UP / 1_000_000)
            }
            Self::OwnDelay => {
                write!(f, "loadgen's own delay was more than {}% of the median", MAX_OWN_DELAY * 100.0)
            }
            Self::ServerLate => {
                let most = MAX_SERVER_LAG / 1e6;
                write!(f, "dummy-server got no CPU in time: its timers were more than {most} ms late")
            }
            Self::CacheLine => write!(
                f,
                "a cache line took more than {MAX_FARTHER} times as long from CPU to CPU in one round as in another"
            ),
        }
    }
}

impl Conditions {
    /// Why the block of this round does not count; none if it does. What was measured of the contender does not matter.
    #[must_use]
    pub fn fault(&self) -> Option<Reason> {
        if self.steal.is_some_and(|steal| steal > MAX_STEAL) {
            Some(Reason::Steal)
        } else if self.held_up > MAX_HELD_UP {
            Some(Reason::HeldUp)
        } else if self.p50.is_some_and(is_late) {
            Some(Reason::OwnDelay)
        } else if self.server.is_some_and(|server| server.lag > MAX_SERVER_LAG) {
            Some(Reason::ServerLate)
        } else {
            None
        }
    }
}

fn is_late(p50: RoundTime) -> bool {
    p50.response - p50.undelayed > (p50.response * MAX_OWN_DELAY).max(SHORT)
}

/// What there is of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// CPUs that loadgen could use.
    pub cpus: usize,
    /// The busiest worker of all rounds.
    pub busiest: f64,
    /// The busiest dummy-server of all rounds, by the mean of its workers that replied; zero where none says so.
    pub busiest_server: f64,
    /// Whether a contender was reached over loopback, and so shares the CPUs.
    pub is_shared: bool,
}

impl Machine {
    /// What is to be known of figures from such a machine.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Self { cpus, busiest, busiest_server, is_shared } = *self;
        let mut warnings = Vec::new();
        if busiest > MAX_BUSY {
            warnings.push(format!(
                "a worker of loadgen was busy {:.0}% of a round, above {:.0}%: times are partly its own; lower the rate or give it more CPUs",
                busiest * 100.0,
                MAX_BUSY * 100.0
            ));
        }
        if busiest_server > MAX_BUSY {
            warnings.push(format!(
                "dummy-server's workers were busy {:.0}% of a round, above {:.0}%: times are partly the server's; lower the rate or give it more CPUs",
                busiest_server * 100.0,
                MAX_BUSY * 100.0
            ));
        }
        if is_shared {
            warnings.push(format!(
                "contenders were reached over loopback: they share {cpus} CPUs with loadgen, and the receiver's TCP ran on the sender's CPU"
            ));
        }
        if is_shared && cpus <= FEW_CPUS {
            warnings.push(format!(
                "{cpus} CPUs are few: CPU time for each request (--pid, --cgroup) and times at a low rate are what can be compared here"
            ));
        }
        warnings
    }
}
