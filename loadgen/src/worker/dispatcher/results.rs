//! What connections report, on its way to the dispatcher and the recorder.

use std::rc::Rc;

use super::{
    super::{
        connection::{Closer, Opened, Sink},
        follow::Then,
    },
    ArrivalSource, Dispatcher,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, Ended, Exchange, Failure, Outcome},
    recorder::{Carried, OfStream, Recording},
};

/// Where the pool of a target puts what happens.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    pub(crate) dispatcher: &'a mut Dispatcher,
    pub(crate) recording: &'a mut Recording,
}

impl Results<'_> {
    #[inline]
    fn no_longer_in_flight(&mut self) {
        self.dispatcher.in_flight -= 1;
        self.dispatcher.moved = true;
    }

    /// A request of a run that follows redirects has ended: another takes its place, or the arrival ends.
    #[cold]
    fn ended_or_followed(&mut self, ended: Ended<'_>) {
        let Some((following, site)) = &self.dispatcher.following else { return };
        let (following, site) = (Rc::clone(following), *site);
        let arrival = ended.in_flight.arrival;
        match following.then(&ended, site) {
            Then::Next(next, other) => {
                let shown = arrival.captured.then(|| {
                    let exchange = Exchange::from(ended);
                    (exchange, following.shown(&next, other))
                });
                self.recording.records().followed(arrival.due, shown);
                if other == site {
                    self.no_longer_in_flight();
                    return self.dispatcher.backlog.push_front(next);
                }
                if following.home(&next) == site {
                    self.dispatcher.moved = true;
                } else {
                    self.no_longer_in_flight();
                }
                return following.hand_over(other, |arriving| arriving.arrivals.push(next));
            }
            Then::Nothing => {}
            Then::Elsewhere => self.recording.records().not_followed(arrival.due, true),
            Then::Enough => self.recording.records().not_followed(arrival.due, false),
        }
        self.no_longer_in_flight();
        if arrival.chain > 0 {
            self.dispatcher.leave(&mut ended.in_flight.arrival, ended.at);
        } else {
            self.slot_freed(ended.at);
        }
        self.recording.ended(ended);
    }

    /// Its slot is free from then on.
    #[inline]
    fn slot_freed(&mut self, at: Nanos) {
        if let ArrivalSource::Closed { free, .. } = &mut self.dispatcher.source {
            free.add(at);
        }
    }
}

impl Sink for Results<'_> {
    #[inline]
    fn ended(&mut self, ended: Ended<'_>) {
        if self.dispatcher.following.is_some() {
            return self.ended_or_followed(ended);
        }
        self.no_longer_in_flight();
        self.slot_freed(ended.at);
        self.recording.ended(ended);
    }

    fn resend(&mut self, arrival: Arrival) {
        self.recording.records().resent(arrival.due);
        self.put_back(arrival);
    }

    fn put_back(&mut self, arrival: Arrival) {
        self.no_longer_in_flight();
        self.dispatcher.backlog.push_single(arrival);
    }

    fn dropped_late(&mut self, arrival: &Arrival, at: Nanos) {
        self.no_longer_in_flight();
        self.recording.records().dropped(arrival.request, arrival.due, at, true);
    }

    fn unreachable(&mut self, at: Nanos, failure: &Failure) {
        self.dispatcher.end_waiting(|_| true, at, Outcome::Failed(failure), self.recording);
    }

    fn roomier(&mut self) {
        self.dispatcher.moved = true;
    }

    fn limited(&mut self, connections: usize, failure: &Failure) {
        self.recording.records().limited(connections, &failure.message);
    }

    fn unasked(&mut self, failure: &Failure) {
        self.recording.records().unasked(&failure.message);
    }

    fn opened(&mut self, Opened { again, tcp, secured, setup }: Opened) {
        let connections = &mut self.recording.records().connections;
        connections.opened(again, tcp, setup);
        if let Some(secured) = secured {
            connections.secured(&secured.facts, secured.took);
        }
    }

    fn closed(&mut self, by: Closer) {
        let connections = &mut self.recording.records().connections;
        match by {
            Closer::Server => connections.closed_by_server += 1,
            Closer::Loadgen => connections.closed_by_loadgen += 1,
        }
    }

    fn not_opened(&mut self, why: Option<&Failure>) {
        self.recording.records().connections.not_opened(why.map(|why| &*why.message));
    }

    fn handshaking(&mut self) {
        self.recording.records().handshaking();
    }

    fn handshaken(&mut self, since: Nanos, at: Nanos, is_first: bool) {
        self.recording.records().handshaken(since, at, is_first);
    }

    fn instance(&mut self, name: &[u8]) -> u16 {
        self.recording.instance(name)
    }

    fn first_message(&mut self, due: Nanos, time: Nanos) {
        self.recording.first_message(due, time);
    }

    fn message(&mut self, due: Nanos, time: Nanos) {
        self.recording.message(due, time);
    }

    fn unsolicited(&mut self, at: Nanos, what: impl FnOnce() -> String) {
        self.recording.records().unsolicited(at, what);
    }

    fn strayed(&mut self, number: u64) {
        if let Some(verified) = &mut self.recording.records().verified {
            verified.strayed(number);
        }
    }

    fn came_late(&mut self, number: u64) {
        if let Some(verified) = &mut self.recording.records().verified {
            verified.came_late(number);
        }
    }

    fn came_behind(&mut self, number: u64) {
        if let Some(verified) = &mut self.recording.records().verified {
            verified.came_behind(number);
        }
    }

    fn order_unknown(&mut self) {
        if let Some(verified) = &mut self.recording.records().verified {
            verified.order_unknown();
        }
    }

    fn noted(&mut self, noted: OfStream) {
        if let Some(streams) = &mut self.recording.records().streams {
            streams.note(noted);
        }
    }

    fn pinged(&mut self, at: Nanos) {
        self.recording.records().pinged(at);
    }

    fn pong(&mut self, sent: Nanos, time: Nanos) {
        self.recording.records().pong(sent, time);
    }

    fn carried(&mut self, carried: Carried, now: Nanos) {
        self.recording.carried(carried, now);
    }
}
