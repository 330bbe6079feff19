//! Where a pool keeps its connections, and how many are at which stage. It decides nothing.

use runtime::ready::{Key, Ready};

use super::super::{
    connection::Opened,
    opening::{Opening, Secured},
};
use crate::clock::Nanos;

#[derive(Debug)]
pub(super) struct Places<C> {
    all: Vec<Place<C>>,
    vacant: Vec<u32>,
    pub(super) opening: usize,
    /// Open and taking requests.
    pub(super) open: usize,
    pub(super) retiring: usize,
    /// Those that were open, are closed and have no successor yet.
    lost: usize,
    /// How many requests all that are open take together.
    pub(super) allowed: usize,
}

/// A place for a connection, with a waker that lasts longer than it.
#[derive(Debug)]
pub(super) struct Place<C> {
    pub(super) key: Key,
    pub(super) occupant: Occupant<C>,
    pub(super) stage: PlaceStage,
    /// When its connection began to open.
    pub(super) since: Nanos,
    /// When that was connected.
    pub(super) connected: Nanos,
    /// What came of its handshake, until it is open.
    pub(super) secured: Option<Box<Secured>>,
    /// Whether it has ever taken requests.
    pub(super) opened: bool,
    /// Whether it is among those that may have room.
    pub(super) queued: bool,
    /// How many requests it is given before it is another's turn: as many as became free when it was full.
    pub(super) refill: usize,
    /// How many requests it may still be given.
    pub(super) left: u64,
    /// Until when it takes requests.
    pub(super) until: Nanos,
    /// Its share of `allowed`.
    allowed: usize,
    /// Set: it gets no more requests, and is closed as soon as it is idle.
    pub(super) ending: Option<Ending>,
}

impl<C: super::Connection> Place<C> {
    /// How many requests are in flight on it.
    pub(super) fn in_flight(&self) -> usize {
        match &self.occupant {
            Occupant::Connection(connection) => connection.in_flight(),
            Occupant::Nobody | Occupant::Opening(_) => 0,
        }
    }
}

#[derive(Debug)]
pub(super) enum Occupant<C> {
    Nobody,
    Opening(Opening),
    Connection(C),
}

impl<C: super::Connection> Occupant<C> {
    /// Why it takes no request though it has come about, if the peer has said so.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Connection(connection) => connection.refusal(),
            Self::Nobody | Self::Opening(_) => None,
        }
    }

    /// What is not there yet.
    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Self::Opening(opening) => opening.awaited().unwrap_or(C::AWAITED),
            Self::Nobody | Self::Connection(_) => C::AWAITED,
        }
    }
}

/// Why this end lets a connection end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has had its requests or its time: another takes its place.
    Replaced,
    /// There are to be fewer.
    Surplus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceStage {
    Vacant,
    Opening,
    Open,
    Retiring,
}

impl<C> Default for Places<C> {
    fn default() -> Self {
        let (all, vacant) = (Vec::new(), Vec::new());
        Self { all, vacant, opening: 0, open: 0, retiring: 0, lost: 0, allowed: 0 }
    }
}

impl<C> Places<C> {
    /// How many there are, vacant ones included.
    pub(super) fn len(&self) -> u32 {
        self.all.len() as u32
    }

    /// The one of this number.
    #[inline]
    pub(super) fn get(&mut self, index: u32) -> Option<&mut Place<C>> {
        self.all.get_mut(index as usize)
    }

    /// All of them.
    pub(super) fn into_all(self) -> impl Iterator<Item = Place<C>> {
        self.all.into_iter()
    }

    /// How many connections are, or will be, of use.
    pub(super) fn in_use(&self) -> usize {
        self.opening + self.open
    }

    /// Begins with a new connection; where.
    pub(super) fn occupy(&mut self, opening: Opening, now: Nanos, ready: &Ready) -> u32 {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = self.len();
            self.all.push(Place {
                key: ready.waker(index),
                occupant: Occupant::Nobody,
                stage: PlaceStage::Vacant,
                since: 0,
                connected: 0,
                secured: None,
                opened: false,
                queued: false,
                refill: 0,
                left: 0,
                until: Nanos::MAX,
                allowed: 0,
                ending: None,
            });
            index
        });
        if let Some(place) = self.get(index) {
            place.occupant = Occupant::Opening(opening);
            (place.since, place.opened, place.ending) = (now, false, None);
            place.key.wake();
            self.enter(index, PlaceStage::Opening);
        }
        index
    }

    /// A connection takes requests from now on.
    pub(super) fn open(&mut self, index: u32, now: Nanos) -> Opened {
        self.enter(index, PlaceStage::Open);
        let again = self.lost > 0;
        self.lost -= usize::from(again);
        let Some(place) = self.get(index) else { return Opened { again, tcp: 0, secured: None, setup: 0 } };
        place.opened = true;
        let (tcp, setup) = (place.connected.saturating_sub(place.since), now.saturating_sub(place.connected));
        let secured = place.secured.take();
        let handshake = secured.as_ref().map_or(0, |secured| secured.took);
        Opened { again, tcp, secured, setup: setup.saturating_sub(handshake) }
    }

    /// A connection takes this number of requests; whether that is new.
    #[inline]
    pub(super) fn allow(&mut self, index: u32, allowed: usize) -> bool {
        let Some(place) = self.all.get_mut(index as usize) else { return false };
        let before = std::mem::replace(&mut place.allowed, allowed);
        self.allowed = self.allowed - before + allowed;
        before != allowed
    }

    /// A connection is to end when it is idle.
    pub(super) fn dismiss(&mut self, index: u32, ending: Ending) {
        match ending {
            Ending::Replaced => drop(self.retire(index)),
            Ending::Surplus => drop(self.enter(index, PlaceStage::Retiring)),
        }
        if let Some(place) = self.get(index) {
            place.ending = Some(ending);
        }
    }

    /// A connection takes no more requests; whether that is new.
    pub(super) fn retire(&mut self, index: u32) -> bool {
        self.lose(index);
        self.allow(index, 0);
        self.enter(index, PlaceStage::Retiring) != PlaceStage::Retiring
    }

    /// A connection is gone; it, and when it was connected if it has ever taken requests.
    pub(super) fn vacate(&mut self, index: u32) -> Option<(Occupant<C>, Option<Nanos>)> {
        self.lose(index);
        self.allow(index, 0);
        self.enter(index, PlaceStage::Vacant);
        let place = self.all.get_mut(index as usize)?;
        self.vacant.push(index);
        let connected = place.opened.then_some(place.connected);
        Some((std::mem::replace(&mut place.occupant, Occupant::Nobody), connected))
    }

    /// A connection that was open has to be replaced from now on, if that was not so before.
    fn lose(&mut self, index: u32) {
        let Some(place) = self.all.get(index as usize) else { return };
        self.lost += usize::from(place.opened && place.stage != PlaceStage::Retiring);
    }

    /// The stage before.
    fn enter(&mut self, index: u32, next: PlaceStage) -> PlaceStage {
        let Some(place) = self.all.get_mut(index as usize) else { return PlaceStage::Vacant };
        let before = std::mem::replace(&mut place.stage, next);
        for (stage, change) in [(before, -1), (next, 1)] {
            let count = match stage {
                PlaceStage::Vacant => continue,
                PlaceStage::Opening => &mut self.opening,
                PlaceStage::Open => &mut self.open,
                PlaceStage::Retiring => &mut self.retiring,
            };
            *count = count.saturating_add_signed(change);
        }
        before
    }
}
