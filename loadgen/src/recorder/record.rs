//! What happens, put where it is counted and timed: each request once, when it ends.

use std::ops::Range;

use grpc::Code;

use super::{Calls, Carried, Counts, LONGEST, Recorder, by_status::STATUSES, calls, counts::ResponseClass};
use crate::{
    clock::Nanos,
    outcome::{
        Arrival, Cause, Ended, Exchange, ExpectedStatus, Failure, InFlight, Outcome, Reported,
        expectation::Fault,
    },
};

/// When and how a request was answered completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replied {
    due: Nanos,
    picked: Nanos,
    written: Option<Nanos>,
    at: Nanos,
    /// How long the reply may have been there before it was read, at most.
    read_lag: Nanos,
    status: u16,
    /// How the call ended, if it was one.
    code: Option<Code>,
    instance: Option<u16>,
    /// The index of the request.
    request: u32,
}

impl Replied {
    /// What is read now has not been there before `ready_since`.
    #[inline]
    pub(super) fn new(ended: &Ended<'_>, ready_since: Nanos) -> Self {
        let InFlight { arrival, reply, .. } = &*ended.in_flight;
        let Arrival { request, due, picked, written, .. } = *arrival;
        Self {
            due,
            picked,
            written,
            at: ended.at,
            // Nor can it have been there before its request had left.
            read_lag: ended.at.saturating_sub(ready_since.max(written.unwrap_or(0))),
            status: reply.status,
            code: reply.code,
            instance: reply.instance,
            request,
        }
    }
}

impl Recorder {
    /// What is due from `start` on is measured; `window` is how long requests are to become due, if that is known. The wall
    /// clock shows `epoch` when the run's clock shows zero.
    pub(crate) fn start(&mut self, start: Nanos, window: Option<Nanos>, epoch: Nanos) {
        self.window = start..start.saturating_add(window.unwrap_or(Nanos::MAX));
        self.epoch = epoch;
    }

    /// What the clock that all processes of this host share shows when the run's clock shows zero.
    pub(crate) fn share_clock(&mut self, epoch: impl FnOnce() -> Nanos) {
        if let Some(verified) = &mut self.verified {
            verified.split.shares(epoch());
        }
    }

    /// Whether what is due, or happens, then belongs to the warm-up.
    #[inline]
    pub(crate) fn is_warmup(&self, at: Nanos) -> bool {
        at < self.window.start
    }

    #[cold]
    pub(super) fn warmup(&mut self) -> &mut Counts {
        self.warmup.get_or_insert_default()
    }

    #[inline]
    pub(super) fn since_start(&self, at: Nanos) -> Nanos {
        at.saturating_sub(self.window.start)
    }

    /// A number of requests that were due at the same time were picked up.
    pub(crate) fn picked_up(&mut self, due: Nanos, now: Nanos, count: u64) {
        if self.is_warmup(due) {
            self.warmup().offered += count;
            return;
        }
        self.counts.offered += count;
        self.times.lag.saturating_record_n(now.saturating_sub(due).min(LONGEST), count);
        let since_start = self.since_start(due);
        self.intervals.at(since_start).offered += count;
    }

    /// One that was due, and would have sent this request, was dropped: because it had not been sent for too long, or else because too many were in flight.
    pub(crate) fn dropped(&mut self, request: u32, due: Nanos, now: Nanos, is_late: bool) {
        let is_warmup = self.is_warmup(due);
        let counts = if is_warmup { self.warmup() } else { &mut self.counts };
        counts.dropped += 1;
        counts.dropped_late += u64::from(is_late);
        if !is_warmup {
            if let Some(own) = self.requests.get(request) {
                own.offered += 1;
            }
            self.unsuccessful(due, now, 1);
            self.failed_in_phase(due, 1);
        }
    }

    /// When it happened that the run is for, as far as it has.
    pub(crate) fn mark(&mut self, marks: impl FnOnce() -> [Nanos; 2]) {
        if let Some(phases) = &mut self.phases {
            phases.mark(marks());
        }
    }

    /// loadgen itself was kept from running.
    pub(crate) fn held_up(&mut self, time: Nanos) {
        let (longest, all) = self.held_up;
        self.held_up = (longest.max(time), all.saturating_add(time));
    }

    pub(crate) fn resent(&mut self, due: Nanos) {
        let counts = if self.is_warmup(due) { self.warmup() } else { &mut self.counts };
        counts.resent += 1;
    }

    /// A redirect of a request that was due then was followed; `shown`: it, and head and body of what is sent next, if that is to be
    /// shown.
    pub(crate) fn followed(&mut self, due: Nanos, shown: Option<(Exchange, (String, Vec<u8>))>) {
        let counts = if self.is_warmup(due) { self.warmup() } else { &mut self.counts };
        counts.redirects_followed += 1;
        self.redirects.extend(shown);
    }

    /// A redirect was not followed.
    pub(crate) fn not_followed(&mut self, due: Nanos, is_elsewhere: bool) {
        let counts = if self.is_warmup(due) { self.warmup() } else { &mut self.counts };
        *(if is_elsewhere { &mut counts.redirects_elsewhere } else { &mut counts.redirects_beyond }) += 1;
    }

    pub(crate) fn limited(&mut self, connections: usize, why: &str) {
        self.limited.get_or_insert_with(|| (connections, why.to_owned()));
    }

    pub(crate) fn unopened(&mut self, why: String) {
        self.unopened.get_or_insert(why);
    }

    pub(crate) fn unasked(&mut self, what: &str) {
        self.unasked.get_or_insert_with(|| (0, what.to_owned())).0 += 1;
    }

    pub(crate) fn instance(&mut self, name: &[u8]) -> u16 {
        self.backends.number(name)
    }

    /// What connections carried until now since this was called last.
    pub(crate) fn carried(&mut self, carried: Carried, now: Nanos) {
        if self.is_warmup(now) {
            return;
        }
        self.body_bytes += carried.bodies;
        self.bytes_sent += carried.sent;
        self.bytes_received += carried.received;
        if carried.bodies > 0 {
            let since_start = self.since_start(now);
            self.flow.at(since_start).bytes += carried.bodies;
        }
        if carried.messages != (0, 0) {
            let since_start = self.since_start(now);
            let (sent, received) = carried.messages;
            self.calls().messages(sent, received, since_start);
        }
    }

    pub(super) fn calls(&mut self) -> &mut Calls {
        self.calls.get_or_insert_default()
    }

    /// The first response of a call has come, `time` after the call was due.
    pub(crate) fn first_message(&mut self, due: Nanos, time: Nanos) {
        if !self.is_warmup(due) {
            calls::record(&mut self.calls().first_message, time);
        }
    }

    /// The response to a message has come, `time` after the message was due.
    pub(crate) fn message(&mut self, due: Nanos, time: Nanos) {
        if !self.is_warmup(due) {
            calls::record(&mut self.calls().message, time);
        }
    }

    /// A message has come on a WebSocket that is not an echo.
    pub(crate) fn unsolicited(&mut self, at: Nanos, what: impl FnOnce() -> String) {
        if !self.is_warmup(at) {
            self.sockets.get_or_insert_default().unsolicited(what);
        }
    }

    /// A handshake of a WebSocket was begun.
    pub(crate) fn handshaking(&mut self) {
        self.sockets.get_or_insert_default().handshakes += 1;
    }

    /// One that was begun at `since` has made a WebSocket.
    pub(crate) fn handshaken(&mut self, since: Nanos, at: Nanos, is_first: bool) {
        self.sockets.get_or_insert_default().opened(since, at, is_first);
    }

    /// A ping was sent on a WebSocket.
    pub(crate) fn pinged(&mut self, at: Nanos) {
        if !self.is_warmup(at) {
            self.sockets.get_or_insert_default().pings_sent += 1;
        }
    }

    /// A ping on a WebSocket that was sent then was answered.
    pub(crate) fn pong(&mut self, sent: Nanos, time: Nanos) {
        if !self.is_warmup(sent) {
            self.sockets.get_or_insert_default().pong(time);
        }
    }

    pub(crate) fn ended(&mut self, ended: Ended<'_>, ready_since: Nanos) {
        let (arrival, at) = (ended.in_flight.arrival, ended.at);
        if self.is_warmup(arrival.due) {
            let reply = &ended.in_flight.reply;
            let answer = self.answer(arrival.request, reply.status, reply.code);
            *self.warmup().ended(ended.outcome, answer, arrival.written.is_some()) += 1;
            return;
        }
        if let Outcome::Replied = ended.outcome {
            self.reported(&ended);
            if let Some(fault) = ended.fault() {
                self.unmet(&arrival, &fault);
            }
            self.replied(&Replied::new(&ended, ready_since), 1);
            if let Some((code, message)) = ended.in_flight.reply.call_error() {
                let id = arrival.id(self.ids);
                let is_expected = self.expected(arrival.request).contains_code(code);
                let calls = self.calls();
                let counted = if is_expected { &mut calls.expected } else { &mut calls.errors };
                counted.count(code, message, &id);
            }
        } else {
            if let Some(own) = self.requests.get(arrival.request) {
                own.offered += 1;
            }
            self.sent(&arrival, at, 1);
            self.unsuccessful(arrival.due, at, 1);
            if let Some(sockets) = &mut self.sockets {
                match ended.outcome {
                    Outcome::Failed(Failure { cause: Cause::WrongEcho, .. }) => sockets.wrong += 1,
                    _ => sockets.lost += u64::from(arrival.written.is_some()),
                }
            }
            if arrival.written.is_some() || !matches!(ended.outcome, Outcome::Abandoned) {
                self.failed_in_phase(arrival.due, 1);
                let since_start = self.since_start(arrival.due);
                self.availability.due(since_start, false);
            }
        }
        if !matches!(ended.outcome, Outcome::Replied) {
            *self.counts.ended(ended.outcome, ResponseClass::Other(0), arrival.written.is_some()) += 1;
        }
        match ended.outcome {
            Outcome::Replied | Outcome::Abandoned => {}
            Outcome::Failed(failure) => self.failed(&arrival, at, failure.cause, &failure.message),
            Outcome::TimedOut => {
                self.failed(&arrival, at, Cause::Timeout, "no complete response within --timeout");
            }
        }
        if arrival.captured {
            self.captured(ended.into());
        }
    }

    /// Which replies to this request are successes.
    #[inline]
    fn expected(&self, request: u32) -> &ExpectedStatus {
        self.expected_of.get(request as usize).unwrap_or(&self.expected)
    }

    /// What a reply to this request comes to: by the status of its call, if it is one that ended with one.
    #[inline]
    fn answer(&self, request: u32, status: u16, code: Option<Code>) -> ResponseClass {
        let expected = self.expected(request);
        match code {
            Some(code) if !expected.contains_code(code) => ResponseClass::CallError,
            _ if expected.contains(status) => ResponseClass::Success,
            _ => ResponseClass::Other(status),
        }
    }

    /// An exchange is kept, with those before it: their number is that of a plan for a few.
    #[cold]
    fn captured(&mut self, exchange: Exchange) {
        self.earlier.extend(self.exchange.replace(Box::new(exchange)).map(|before| *before));
    }

    /// A reply is not as expected.
    #[cold]
    pub(crate) fn unmet(&mut self, arrival: &Arrival, fault: &Fault) {
        let id = arrival.id(self.ids);
        match self.requests.name(arrival.request) {
            Some(name) => self.unmet.count(&format!("{name}: {}", fault.expected), &fault.found, &id),
            None => self.unmet.count(&fault.expected, &fault.found, &id),
        }
        if let Some(own) = self.requests.get(arrival.request) {
            own.unmet += 1;
        }
    }

    /// A number of requests that were sent at the same time have ended.
    fn sent(&mut self, arrival: &Arrival, at: Nanos, count: u64) {
        let Arrival { due, picked, written: Some(written), .. } = *arrival else { return };
        let wait = written.saturating_sub(picked);
        self.times.wait.saturating_record_n(wait.min(LONGEST), count);
        let Range { start, end } = self.window;
        let within = at.min(end).saturating_sub(written.max(start));
        self.in_flight += u128::from(within) * u128::from(count);
        let (since, until) = (self.since_start(written), self.since_start(at));
        self.availability.outstanding(since, until);
        let since_start = self.since_start(due);
        let service = at.saturating_sub(written);
        self.trend.at(since_start).add(picked.saturating_sub(due), wait, service, count);
    }

    /// A number of requests that were due at the same time have ended without success.
    fn unsuccessful(&mut self, due: Nanos, at: Nanos, count: u64) {
        self.times.unsuccessful.saturating_record_n(at.saturating_sub(due).min(LONGEST), count);
        let since_start = self.since_start(due);
        self.intervals.at(since_start).unsuccessful += count;
    }

    /// `count` of those that were due then did not succeed; what was not sent has no part in that.
    fn failed_in_phase(&mut self, due: Nanos, count: u64) {
        let since_start = self.since_start(due);
        if let Some(phases) = &mut self.phases {
            phases.failed(due, since_start, count);
        }
    }

    /// What a reply reports of the server's part, if that is looked at.
    #[inline]
    pub(super) fn reported(&mut self, ended: &Ended<'_>) {
        let arrival = &ended.in_flight.arrival;
        if let (Some(reported), Some(written)) = (ended.in_flight.reply.reported(), arrival.written) {
            self.report_of_server(reported, arrival, written, ended.at);
        }
    }

    #[cold]
    fn report_of_server(&mut self, reported: &Reported, arrival: &Arrival, written: Nanos, at: Nanos) {
        let Reported { timing, load } = *reported;
        let since_start = self.since_start(arrival.due);
        let way = timing.received_ns.saturating_sub(self.epoch + written).min(LONGEST);
        let server = timing.replied_ns.saturating_sub(timing.received_ns).min(LONGEST);
        self.trend.at(since_start).tell(way, server);
        let weight = arrival.weight();
        self.server_report.times(timing, self.epoch + written, self.epoch + at, weight);
        if let Some(load) = load {
            let Range { start, end } = self.window;
            let is_late = end == Nanos::MAX || arrival.due >= start + (end - start) / 2;
            self.server_report.load(load, is_late, weight);
        }
    }

    pub(super) fn replied(&mut self, replied: &Replied, count: u64) {
        let Replied { due, picked, written, at, read_lag, status, code, instance, request } = *replied;
        self.sent(&Arrival { written, ..Arrival::new(0, due, picked) }, at, count);
        let response = at.saturating_sub(due);
        self.statuses[usize::from(status).min(STATUSES - 1)] += count;
        let answer = self.answer(request, status, code);
        let is_call_error = matches!(answer, ResponseClass::CallError);
        let is_success = matches!(answer, ResponseClass::Success);
        if let Some(own) = self.requests.get(request) {
            own.replied(status, response, is_success, count);
        }
        if !is_call_error && (!is_success || self.expected.named().is_some()) {
            self.times.of_status(status, response, count);
        }
        *self.counts.answered(answer) += count;
        if code == Some(Code::Ok) {
            self.calls().ok += count;
        }
        if is_success {
            let own = picked.saturating_sub(due) + read_lag;
            let service = at.saturating_sub(written.unwrap_or(picked));
            self.times.response.saturating_record_n(response.min(LONGEST), count);
            self.times.undelayed.saturating_record_n(response.saturating_sub(own).min(LONGEST), count);
            self.times.service.saturating_record_n(service.min(LONGEST), count);
            let since_start = self.since_start(due);
            self.availability.due(since_start, true);
            self.intervals.at(since_start).succeeded(response, count);
            if let Some(phases) = &mut self.phases {
                phases.succeeded(due, response, count);
            }
        } else {
            self.unsuccessful(due, at, count);
            self.failed_in_phase(due, count);
            let since_start = self.since_start(due);
            self.availability.due(since_start, false);
        }
        let since_start = self.since_start(at);
        self.flow.at(since_start).completed += count;
        self.availability.completed(since_start);
        let interval = self.intervals.at(since_start);
        interval.completed += count;
        interval.errors += if status >= 500 || is_call_error { count } else { 0 };
        if let Some(instance) = instance {
            self.backends.replied(instance, response, count);
        }
    }

    fn failed(&mut self, arrival: &Arrival, at: Nanos, cause: Cause, message: &str) {
        let since_start = self.since_start(at);
        self.intervals.at(since_start).errors += 1;
        let target = self.targets.as_ref().and_then(|targets| targets.of_arrival(arrival));
        self.failures.count(cause, message, target, &arrival.id(self.ids));
    }
}
