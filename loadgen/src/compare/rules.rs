//! Which blocks do not count, by rules that are fixed before anything is measured, and what a machine is too small for.

use std::fmt;

use super::Times;

/// The share of the machine's time that its hypervisor may give to others.
pub const MAX_STEAL: f64 = 0.02;

/// How long loadgen itself may be kept from running, in nanoseconds.
pub const MAX_HELD_UP: u64 = 100_000_000;

/// The part of the median that loadgen's own delay may be, where it is more than [`SHORT`].
pub const MAX_OWN_DELAY: f64 = 0.5;

/// A delay of loadgen's own that is no longer than this, in nanoseconds, is that of a thread that is woken: no reason to doubt.
pub const SHORT: f64 = 1e6;

/// The share of its time beyond which a worker has too little room for times to be the contender's alone.
pub const MAX_BUSY: f64 = 0.7;

/// With so many CPUs or fewer, what is compared takes them from each other.
pub const FEW_CPUS: usize = 4;

/// What a round is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The share of all CPUs' time that went to other machines; none where the system does not say.
    pub steal: Option<f64>,
    /// The longest time for which loadgen was kept from running, in nanoseconds.
    pub held_up: u64,
    /// The median response time as it was, and without loadgen's own delay; none without one.
    pub p50: Option<Times>,
    /// The share of its time that the busiest worker was on a CPU.
    pub busy: f64,
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
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Steal, Self::HeldUp, Self::OwnDelay];

    /// As reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steal => "steal",
            Self::HeldUp => "held_up",
            Self::OwnDelay => "own_delay",
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
        } else {
            None
        }
    }
}

fn is_late(p50: Times) -> bool {
    p50.response - p50.undelayed > (p50.response * MAX_OWN_DELAY).max(SHORT)
}

/// What there is of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// CPUs that loadgen could use.
    pub cpus: usize,
    /// The busiest worker of all rounds.
    pub busiest: f64,
    /// Whether a contender was reached over loopback, and so shares the CPUs.
    pub is_shared: bool,
}

impl Machine {
    /// What is to be known of figures from such a machine.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Self { cpus, busiest, is_shared } = *self;
        let mut warnings = Vec::new();
        if busiest > MAX_BUSY {
            warnings.push(format!(
                "a worker of loadgen was busy {:.0}% of a round, above {:.0}%: times are partly its own; lower the rate or give it more CPUs",
                busiest * 100.0,
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
