//! Redirects that are followed: a request whose reply leads elsewhere is sent there, as the same arrival, until a reply is none or
//! as many were followed as may be. What is sent at the moment for such a chain is kept here, shared by the targets of a
//! worker, since a chain may go from one to another.
//!
//! It knows neither connections nor figures. Runs that follow nothing have none of it.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use contract::id::{self, Ids};

use crate::{
    clock::Nanos,
    outcome::{Arrival, Ended, Outcome},
    plan::{Plan, Request, Texts, redirect::RedirectTarget},
};

/// What a worker follows.
#[derive(Debug)]
pub(super) struct Following {
    plan: Arc<Plan>,
    texts: Texts,
    ids: Ids,
    chains: RefCell<Chains>,
    /// Of each target.
    arriving: RefCell<Vec<Arriving>>,
}

/// The chains that have come to no end, by their number less one.
#[derive(Debug, Default)]
struct Chains {
    all: Vec<Option<Chain>>,
    free: Vec<u16>,
}

/// A request that was sent on.
#[derive(Debug)]
struct Chain {
    /// What is sent now.
    request: Rc<Request>,
    /// How many redirects were followed.
    followed: u8,
}

/// What other targets have for one.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// Requests that are sent to it now.
    pub(super) arrivals: Vec<Arrival>,
    /// When chains that began with it have ended elsewhere.
    pub(super) ended: Vec<Nanos>,
}

/// What follows a request's end.
#[derive(Debug)]
pub(super) enum Then {
    /// The same arrival sends another request, to the target with this index.
    Next(Arrival, usize),
    /// Nothing: it ends with a reply that is none of a redirect, or without one.
    Nothing,
    /// Nothing: it is led to no target of the run.
    Elsewhere,
    /// Nothing: it was sent on as often as may be.
    Enough,
}

impl Following {
    /// Of a plan's run with these ids, if that follows redirects.
    pub(super) fn of(plan: &Arc<Plan>, ids: Ids, epoch: Nanos, parts: u64) -> Option<Rc<Self>> {
        (plan.client().follow > 0).then(|| {
            Rc::new(Self {
                texts: plan.texts(ids, epoch, parts),
                plan: Arc::clone(plan),
                ids,
                chains: RefCell::default(),
                arriving: RefCell::new(plan.sites().iter().map(|_| Arriving::default()).collect()),
            })
        })
    }

    /// What is sent for an arrival that was sent on, and its id.
    pub(super) fn request(&self, arrival: &Arrival) -> (Rc<Request>, id::Text) {
        let id = self.ids.of(arrival.number, self.attempt(arrival)).text();
        let sent_on = self.chains.borrow().of(arrival).map(|chain| Rc::clone(&chain.request));
        // There is one as long as the arrival has come to no end.
        let first = || Rc::new(self.plan.requests()[arrival.request as usize].clone());
        (sent_on.unwrap_or_else(first), id)
    }

    /// How often anything was sent for it before: each request of a chain is another attempt, as a retried one is.
    pub(super) fn attempt(&self, arrival: &Arrival) -> u8 {
        let followed = self.chains.borrow().of(arrival).map_or(0, |chain| chain.followed);
        arrival.resends.saturating_add(followed)
    }

    /// What follows the end of a request to the target with this index.
    pub(super) fn then(&self, ended: &Ended<'_>, site: usize) -> Then {
        let (arrival, reply) = (ended.in_flight.arrival, &ended.in_flight.reply);
        let (Outcome::Replied, Some(location)) = (ended.outcome, reply.location()) else {
            return Then::Nothing;
        };
        let mut chains = self.chains.borrow_mut();
        let sites = self.plan.sites();
        let (request, followed) = match chains.of(&arrival) {
            Some(chain) => (&*chain.request, chain.followed),
            None => (&self.plan.requests()[arrival.request as usize], 0),
        };
        if followed >= self.plan.client().follow {
            return Then::Enough;
        }
        let values = self.texts.values(&arrival, request.rows(), None);
        let Some(place) = RedirectTarget::of(sites[site].target(), &request.path_of(&values), location)
        else {
            return Then::Elsewhere;
        };
        let next = if place.is_at(sites[site].target(), Some(&request.authority)) {
            Some(site)
        } else {
            sites.iter().position(|site| place.is_at(site.target(), None))
        };
        let Some(next) = next else { return Then::Elsewhere };
        let request = request.redirected(reply.status, &place.path, &sites[next], next != site);
        match chains.put(&arrival, Chain { request: Rc::new(request), followed: followed + 1 }) {
            Some(chain) => Then::Next(Arrival { chain, ..arrival }, next),
            None => Then::Enough,
        }
    }

    /// The target that an arrival's chain began with: there it has its slot.
    pub(super) fn home(&self, arrival: &Arrival) -> usize {
        let sites = self.plan.sites_of_requests();
        sites.get(arrival.request as usize).map_or(0, |site| usize::from(*site))
    }

    /// An arrival has ended.
    pub(super) fn close(&self, arrival: &Arrival) {
        self.chains.borrow_mut().take(arrival);
    }

    /// Something for another target.
    pub(super) fn hand_over(&self, site: usize, put: impl FnOnce(&mut Arriving)) {
        if let Some(arriving) = self.arriving.borrow_mut().get_mut(site) {
            put(arriving);
        }
    }

    /// What there is for a target.
    pub(super) fn arriving(&self, site: usize) -> Arriving {
        self.arriving.borrow_mut().get_mut(site).map(std::mem::take).unwrap_or_default()
    }

    /// What is sent next, as people read it.
    pub(super) fn shown(&self, arrival: &Arrival, site: usize) -> (String, Vec<u8>) {
        let (request, id) = self.request(arrival);
        let values = self.texts.values(arrival, request.rows(), Some(&id));
        let mut body = Vec::new();
        request.write_body(&values, &mut body);
        (request.head_text(self.plan.sites()[site].target().protocol, &values), body)
    }
}

impl Chains {
    fn of(&self, arrival: &Arrival) -> Option<&Chain> {
        self.all.get(usize::from(arrival.chain).checked_sub(1)?)?.as_ref()
    }

    /// The number of the arrival's chain, with what it sends now; none if there are too many, which a plan does not let be
    /// ([`crate::plan::MAX_CHAINS`]).
    fn put(&mut self, arrival: &Arrival, chain: Chain) -> Option<u16> {
        let number = match (arrival.chain, self.free.pop()) {
            (0, Some(free)) => free,
            (0, None) => u16::try_from(self.all.len() + 1).ok()?,
            (own, free) => {
                self.free.extend(free);
                own
            }
        };
        let index = usize::from(number) - 1;
        self.all.resize_with(self.all.len().max(index + 1), || None);
        self.all[index] = Some(chain);
        Some(number)
    }

    fn take(&mut self, arrival: &Arrival) {
        let place = usize::from(arrival.chain).checked_sub(1).and_then(|index| self.all.get_mut(index));
        if place.is_some_and(|place| place.take().is_some()) {
            self.free.push(arrival.chain);
        }
    }
}
