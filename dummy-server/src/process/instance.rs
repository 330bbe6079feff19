//! One server of the process: its condition, and what the admin port has it do.

use runtime::mutex::lock;
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Common, life::Lasting, life::Life};
use crate::{
    drain::Phase,
    ledger::Aggregator,
    listener::{Addresses, BindError, Listeners},
};

/// The condition of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    /// It serves.
    Serving,
    /// It ends what is in flight.
    Draining,
    /// Its drain is over.
    Ended,
    /// Its connections were reset.
    Killed,
}

/// Why a server does not start again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestartError {
    /// There is nothing to start.
    #[error("it is running")]
    Running,
    /// The process is about to end.
    #[error("the process is draining")]
    Leaving,
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("can't start a thread: {0}")]
    System(#[from] io::Error),
}

/// Of how many earlier starts of a server it is known what it has seen.
const MAX_PAST: usize = 16;

/// How many bytes they may hold together; beyond, the oldest keep how much they had seen alone.
const MAX_PAST_SIZE: usize = 16 << 20;

/// A server of the process, which may end and start again.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) lasting: Lasting,
    /// The present one, or the last.
    life: Mutex<Life>,
    /// Where those before it that were drained have left what they had seen of verified runs, the last ones.
    past: Mutex<VecDeque<Arc<Aggregator>>>,
    starts: AtomicU64,
}

impl Instance {
    pub(super) fn start(lasting: Lasting, listeners: Listeners, common: &Common) -> io::Result<Self> {
        let life = Mutex::new(Life::start(&lasting, listeners, common)?);
        Ok(Self { lasting, life, past: Mutex::default(), starts: AtomicU64::new(1) })
    }

    /// Where it listens, or did.
    pub(crate) fn addresses(&self) -> Addresses {
        self.life().addresses
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// The present one, or the last.
    pub(crate) fn life(&self) -> Life {
        lock(&self.life).clone()
    }

    pub(crate) fn condition(&self) -> Condition {
        let life = self.life();
        match life.server.shutdown.phase() {
            _ if life.server.shutdown.was_killed() => Condition::Killed,
            _ if life.has_ended() => Condition::Ended,
            Phase::Serving => Condition::Serving,
            _ => Condition::Draining,
        }
    }

    /// Whether new requests are welcome.
    pub(crate) fn is_ready(&self) -> bool {
        self.condition() == Condition::Serving && self.life().server.shutdown.is_ready()
    }

    /// Begins its drain; what is returned walks through the phases.
    pub(crate) fn drain(&self) -> impl Future<Output = ()> + Send + 'static {
        let life = self.life();
        life.server.shutdown.begin();
        life.walk(self.lasting.config.drain_delay, self.lasting.config.drain_timeout)
    }

    /// Starts it again, on the same ports.
    pub(crate) fn start_again(&self, common: &Common) -> Result<(), RestartError> {
        let mut life = lock(&self.life);
        if !life.has_ended() {
            return Err(RestartError::Running);
        }
        if common.shutdown.phase() > Phase::Serving {
            return Err(RestartError::Leaving);
        }
        let listeners = Listeners::bind(&self.lasting.config)?;
        let before = std::mem::replace(&mut *life, Life::start(&self.lasting, listeners, common)?);
        if !before.server.shutdown.was_killed() {
            let mut past = lock(&self.past);
            if past.len() == MAX_PAST {
                past.pop_front();
            }
            past.push_back(before.server.aggregator);
            bound(&past, MAX_PAST_SIZE);
        }
        self.starts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Where it is asked what it has seen of verified runs, in this life and those before it. One that was killed has taken
    /// that along.
    pub(crate) fn aggregators(&self) -> Vec<Arc<Aggregator>> {
        let life = self.life();
        let present = (!life.server.shutdown.was_killed()).then_some(life.server.aggregator);
        lock(&self.past).iter().cloned().chain(present).collect()
    }
}

/// Has the oldest forget what they have seen, until all together hold no more than `most` bytes.
fn bound(past: &VecDeque<Arc<Aggregator>>, most: usize) {
    let mut size: usize = past.iter().map(|aggregator| aggregator.left_size()).sum();
    for oldest in past {
        if size <= most {
            break;
        }
        size -= oldest.left_size();
        oldest.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use contract::{
        id::Id,
        ledger::{RequestHead, Sample},
    };

    use super::*;
    use crate::ledger::{CameOn, Ledger};

    #[test]
    fn what_earlier_starts_have_seen_is_bounded_together_and_reported_as_forgotten() {
        let life = |pages: u64| {
            let (aggregator, _) = Aggregator::new("one", 1);
            let ledger = Ledger::new("one", 7, 1024);
            for page in 0..pages {
                drop(ledger.saw(Id { run: 1, load: 0, number: page << 12, attempt: 0 }, b"GET", 1, None));
            }
            ledger.leave(0, &aggregator);
            Arc::new(aggregator)
        };
        let past: VecDeque<_> = [life(3), life(5), life(4)].into();
        let size: usize = past.iter().map(|one| one.left_size()).sum();
        bound(&past, size);
        assert_eq!(past[0].left_size(), size / 4, "there is room for all");
        bound(&past, size - 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let told = |index: usize| {
            let statement = runtime.block_on(past[index].statement(1, 0)).unwrap();
            (statement.sightings, statement.forgotten, statement.adds_up())
        };
        assert_eq!([told(0), told(1), told(2)], [(0, 3, true), (5, 0, true), (4, 0, true)]);
    }

    #[test]
    fn heads_that_earlier_starts_have_kept_are_part_of_what_they_hold() {
        let (aggregator, _) = Aggregator::new("one", 1);
        let ledger = Ledger::new("one", 7, 1024);
        let id = Id { run: 1, load: 0, number: 0, attempt: 0 };
        let counted_by = Cell::new(0);
        let mut sighting = ledger.saw(id, b"GET", 1, Some(CameOn { id: 1, counted_by: &counted_by }));
        assert!(sighting.is_sampled());
        sighting.keep(Sample { request: RequestHead::new(1, b"GET", &[b'a'; 400]), ..Sample::default() });
        sighting.whole();
        sighting.ended(2, 0);
        drop(sighting);
        ledger.leave(0, &aggregator);
        // A page has 1 KiB.
        assert!(aggregator.left_size() > 1024 + 400, "{}", aggregator.left_size());
    }
}
