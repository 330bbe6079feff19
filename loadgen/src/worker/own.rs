//! The arrivals of a worker that are for one target: all of them, or where a plan has several, those whose requests go
//! there. Each target's part of the schedule is found by the numbers of the arrivals, so that none waits for another's.

use std::sync::Arc;

use crate::{
    plan::{Plan, mix::Mix},
    schedule::{Arrivals, Due},
};

/// Which arrivals are for one of several targets.
#[derive(Clone, Debug)]
pub(super) struct Only {
    mix: Mix,
    /// The index of the target of each request.
    sites: Arc<[u16]>,
    site: u16,
}

impl Only {
    /// Those for the server with this index; none if there is one alone. The arrivals are shared by `parts` parts.
    pub(super) fn of(plan: &Plan, site: usize, parts: u64) -> Option<Self> {
        let sites = plan.sites_of_requests();
        (!sites.is_empty()).then(|| Self { mix: plan.mix(parts), sites, site: site as u16 })
    }

    /// Whether the arrival with this number is among them.
    #[inline]
    pub(super) fn has(&self, number: u64) -> bool {
        self.sites[self.mix.choice(number).request as usize] == self.site
    }
}

/// Arrivals that are for one target.
#[derive(Clone, Debug)]
pub(super) struct Own {
    arrivals: Arrivals,
    only: Option<Only>,
}

impl Own {
    pub(super) fn new(arrivals: Arrivals, only: Option<Only>) -> Self {
        Self { arrivals, only }
    }
}

impl Iterator for Own {
    type Item = Due;

    #[inline]
    fn next(&mut self) -> Option<Due> {
        match &self.only {
            None => self.arrivals.next(),
            Some(only) => self.arrivals.find(|due| only.has(due.number)),
        }
    }

    #[inline]
    fn nth(&mut self, skipped: usize) -> Option<Due> {
        if self.only.is_none() {
            return self.arrivals.nth(skipped);
        }
        for _ in 0..skipped {
            self.next()?;
        }
        self.next()
    }
}
