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
    /// Where in the mix they are, if they are rare.
    places: Option<Arc<[u32]>>,
}

impl Only {
    /// Those for the server with this index; none if there is one alone. The arrivals are shared by `parts` parts.
    pub(super) fn of(plan: &Plan, site: usize, parts: u64) -> Option<Self> {
        let sites = plan.sites_of_requests();
        (!sites.is_empty()).then(|| {
            let (mix, site) = (plan.mix(parts), site as u16);
            let places = mix.rare(|request| sites[request as usize] == site);
            Self { mix, sites, site, places }
        })
    }

    /// How many arrivals of the same part further than that of this number the next of them can be.
    #[inline]
    pub(super) fn next(&self, number: u64) -> u64 {
        self.places.as_ref().and_then(|places| self.mix.next_of(places, number)).unwrap_or(1)
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
            Some(only) => {
                let mut due = self.arrivals.next()?;
                while !only.has(due.number) {
                    let next = usize::try_from(only.next(due.number)).unwrap_or(usize::MAX);
                    due = self.arrivals.nth(next - 1)?;
                }
                Some(due)
            }
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
