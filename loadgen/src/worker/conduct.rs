//! What a connection does that the usual ones don't, by the plan: it holds bodies back until the server asks for them, and is
//! slow.
//!
//! Nothing here reads or writes: it says what may be written, and when there is more.

use super::rates::Rates;
use crate::{clock::Nanos, plan::Plan};

/// What a connection does, and what has come of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    waits: Waits,
    /// How fast it reads and writes.
    pub(super) rates: Rates,
}

/// Whether the body that is next is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    /// It is not.
    #[default]
    No,
    /// Until then, or until the server asks for it.
    Until(Nanos),
    /// For good: the server has answered without it.
    Refused,
}

impl Conduct {
    /// By a plan, if it wants anything unusual.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let expects = plan.requests().iter().any(|request| request.upload().patience.is_some());
        let rates = Rates::of(plan.client());
        (expects || rates.is_some()).then(|| Self { waits: Waits::No, rates: rates.unwrap_or_default() })
    }

    /// When there is more to be done, at the earliest.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        let asked = match self.waits {
            Waits::Until(at) => Some(at),
            Waits::No | Waits::Refused => None,
        };
        asked.into_iter().chain(self.rates.next_due()).min()
    }

    /// A request begins, whose body is held back until the server asks for it, or for this time; or is not.
    pub(super) fn begin(&mut self, patience: Option<Nanos>, now: Nanos) {
        self.waits = patience.map_or(Waits::No, |patience| Waits::Until(now.saturating_add(patience)));
    }

    /// Whether the body of the request that is written is held back.
    pub(super) fn holds_back(&mut self, now: Nanos) -> bool {
        if matches!(self.waits, Waits::Until(at) if at <= now) {
            self.waits = Waits::No;
        }
        self.waits != Waits::No
    }

    /// The server asks for the body.
    pub(super) fn asked(&mut self) {
        if let Waits::Until(_) = self.waits {
            self.waits = Waits::No;
        }
    }

    /// The server has answered: a body that it has not asked for until now is not sent.
    pub(super) fn refused(&mut self) {
        if let Waits::Until(_) = self.waits {
            self.waits = Waits::Refused;
        }
    }
}
