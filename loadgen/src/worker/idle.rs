//! Connections that are open beside the load, and have no requests: opened as those of the load are, kept, and counted
//! apart. What their protocol asks of an idle end, such as the answer to a PING, they do.

use std::{fmt, task::Context};

use super::{
    connection::{Closer, Connection, Limits, Opened, Sink},
    opening::Connector,
    pool::Pool,
};
use contract::id::Ids;

use crate::{
    clock::{Clock, Nanos},
    outcome::{Arrival, Ended, Failure},
    recorder::{Carried, Idle as Record, Recording},
};

/// Idle connections, whatever they speak.
pub(super) trait IdleConnections: fmt::Debug {
    /// Goes on with what there is. True: something that had come was left unread.
    fn turn(&mut self, cx: &mut Context<'_>, seen: Nanos, recording: &mut Recording) -> bool;

    /// Whether all have been opened, or have failed.
    fn is_prepared(&self) -> bool;

    /// Opens those that are missing.
    fn look_after(&mut self, now: Nanos);

    /// Closes them.
    fn end(&mut self, now: Nanos, recording: &mut Recording);

    /// When they have to be looked at again at the latest.
    fn next_wake(&self, now: Nanos) -> Nanos;
}

/// Those of one kind.
struct IdlePool<C: Connection> {
    pool: Pool<C>,
    wanted: u64,
}

impl<C: Connection> fmt::Debug for IdlePool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdlePool").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// A number of connections, which begin to open; `load` are the limits of those that have requests.
pub(super) fn open<C>(
    wanted: u64,
    requests: C::Requests,
    ids: Ids,
    connector: Connector,
    load: Limits,
    clock: Clock,
) -> Box<dyn IdleConnections>
where
    C: Connection + 'static,
{
    let connections = wanted as usize;
    let limits = Limits { connections, kept: connections, requests: u64::MAX, age: Nanos::MAX, ..load };
    let mut pool = Pool::<C>::new(requests, ids, connector, limits, clock);
    pool.want(0, clock.now());
    Box::new(IdlePool { pool, wanted })
}

impl<C: Connection> IdleConnections for IdlePool<C> {
    fn turn(&mut self, cx: &mut Context<'_>, seen: Nanos, recording: &mut Recording) -> bool {
        let results = &mut IdleResults { recording, is_over: false };
        self.pool.drive(cx, results);
        let is_cut_short = self.pool.was_cut_short();
        self.pool.expire(seen, results);
        is_cut_short
    }

    fn is_prepared(&self) -> bool {
        self.pool.is_prepared()
    }

    fn look_after(&mut self, now: Nanos) {
        self.pool.want(0, now);
    }

    fn end(&mut self, now: Nanos, recording: &mut Recording) {
        let results = &mut IdleResults { recording, is_over: true };
        results.record().wanted += self.wanted;
        self.pool.abandon(now, results);
    }

    fn next_wake(&self, now: Nanos) -> Nanos {
        self.pool.next_wake(now, false)
    }
}

/// Where they put what happens.
struct IdleResults<'a> {
    recording: &'a mut Recording,
    /// They are closed because the run is over.
    is_over: bool,
}

impl IdleResults<'_> {
    fn record(&mut self) -> &mut Record {
        self.recording.records().connections.idle()
    }
}

impl Sink for IdleResults<'_> {
    // They have no requests.
    fn ended(&mut self, _: Ended<'_>) {}

    fn resend(&mut self, _: Arrival) {}

    fn put_back(&mut self, _: Arrival) {}

    fn roomier(&mut self) {}

    fn first_message(&mut self, _: Nanos, _: Nanos) {}

    fn message(&mut self, _: Nanos, _: Nanos) {}

    fn dropped_late(&mut self, _: &Arrival, _: Nanos) {}

    fn pinged(&mut self, at: Nanos) {
        self.recording.records().pinged(at);
    }

    fn unsolicited(&mut self, at: Nanos, what: impl FnOnce() -> String) {
        self.recording.records().unsolicited(at, what);
    }

    fn pong(&mut self, at: Nanos, time: Nanos) {
        self.recording.records().pong(at, time);
    }

    fn instance(&mut self, name: &[u8]) -> u16 {
        self.recording.instance(name)
    }

    fn unreachable(&mut self, _: Nanos, failure: &Failure) {
        self.record().failed(&failure.message);
    }

    fn limited(&mut self, _: usize, failure: &Failure) {
        self.record().failed(&failure.message);
    }

    fn not_opened(&mut self, why: Option<&Failure>) {
        self.record().not_opened(why.map(|why| &*why.message));
    }

    fn handshaking(&mut self) {
        self.recording.records().handshaking();
    }

    fn handshaken(&mut self, since: Nanos, at: Nanos, is_first: bool) {
        self.recording.records().handshaken(since, at, is_first);
    }

    fn unasked(&mut self, failure: &Failure) {
        self.recording.records().unasked(&failure.message);
    }

    fn opened(&mut self, _: Opened) {
        self.record().opened += 1;
    }

    fn closed(&mut self, by: Closer) {
        match by {
            _ if self.is_over => {}
            Closer::Server => self.record().closed_by_server += 1,
            Closer::Loadgen => self.record().closed_by_loadgen += 1,
        }
    }

    fn carried(&mut self, carried: Carried, now: Nanos) {
        self.recording.carried(carried, now);
    }
}
