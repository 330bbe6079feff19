//! What happens to one request: drawn once, when its head was read. [`super::knobs`] says what each thing that is asked
//! for adds to it.

use std::{num::NonZeroU64, time::Duration};

use http::StatusCode;

use super::{
    apply::Answering,
    asked::{Delay, Expectation, Pair, Point},
    chance::Chance,
    knobs::Behaviour,
    shared::InFlight,
};
use crate::{cut::Cut, message::Head};

/// What happens to a request and its reply. What is empty or none does not.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In place of the endpoint's.
    pub(super) status: Option<StatusCode>,
    /// Of a reply that does not wait for the request's content.
    pub(super) early: Option<StatusCode>,
    /// What an expectation of 100 (Continue) meets.
    pub(super) expectation: Option<Expectation>,
    /// Waited before the reply.
    pub(super) delay: Duration,
    /// Bytes per second of the request's content.
    pub(super) read_rate: Option<NonZeroU64>,
    /// Fields beside those of the reply.
    pub(super) headers: Vec<Pair>,
    /// Values of `Link` in a 103 (Early Hints).
    pub(super) hints: Vec<String>,
    /// In place of the endpoint's.
    pub(super) content_type: Option<String>,
    /// There are too many in flight: 503 and nothing else.
    pub(super) refused: bool,
    /// The connection ends after the reply.
    pub(super) close: bool,
    /// Counts until it is dropped.
    pub(super) in_flight: Option<InFlight>,
    pub(super) shaping: Shaping,
}

/// What happens to the content of a reply.
#[derive(Debug, Default)]
pub(super) struct Shaping {
    /// How and where it is broken off.
    pub(super) abort: Option<(Cut, Point)>,
    /// Bytes per second.
    pub(super) rate: Option<NonZeroU64>,
    pub(super) trailers: Vec<Pair>,
    /// `Server-Timing` reports how busy the worker is.
    pub(super) sends_worker_load: bool,
    /// `Server-Timing` in the trailers reports when the last byte was taken.
    pub(super) sends_last_byte: bool,
    /// The length is not announced.
    pub(super) no_length: bool,
    /// Bytes in each chunk or DATA frame.
    pub(super) chunk: Option<u64>,
    /// The content is compressed.
    pub(super) gzip: bool,
    /// Whether it is depends on the request.
    pub(super) varies: bool,
}

impl Plan {
    /// Waits for this much longer, at most as long as a delay may be.
    pub(super) fn wait(&mut self, time: Duration) {
        self.delay = self.delay.saturating_add(time).min(Delay::LONGEST);
    }
}

/// What plans are made from, beside what is asked for. What requests share is touched by those alone that ask for it.
pub(super) struct Facts<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) answering: Answering<'a>,
    /// It is one of the first of its key, if those alone are to fail.
    pub(super) fails: bool,
    /// Neither how nor where a request fails was asked for.
    pub(super) fails_plainly: bool,
    seed: u64,
    sequence: Option<u64>,
    in_flight: Option<(InFlight, u64)>,
}

impl Facts<'_> {
    /// Whether `Accept-Encoding` has room for gzip (RFC 9110 section 12.5.3).
    pub(super) fn accepts_gzip(&self) -> bool {
        let codings =
            self.head.fields.get_all("accept-encoding").flat_map(|value| value.split(|byte| *byte == b','));
        let mut any = None;
        for coding in codings {
            let text = String::from_utf8_lossy(coding).to_ascii_lowercase();
            let (name, weight) = text.split_once(';').unwrap_or((&text, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
            match name.trim() {
                "gzip" | "x-gzip" => return !refused,
                "*" => any = Some(!refused),
                _ => {}
            }
        }
        any.unwrap_or(false)
    }

    /// The draws of the request.
    pub(super) fn chance(&mut self) -> Chance {
        let sequence = *self.sequence.get_or_insert_with(|| self.answering.shared.draw());
        Chance::new(self.seed, sequence)
    }

    /// How many requests are in flight that want to know, this one among them.
    pub(super) fn in_flight(&mut self) -> u64 {
        self.in_flight.get_or_insert_with(|| self.answering.shared.enter(self.answering.worker)).1
    }
}

impl Behaviour {
    /// Draws what happens to a request.
    pub(super) fn plan(self, head: &Head<'_>, answering: Answering<'_>) -> Plan {
        let key = self.key.as_deref().unwrap_or_default();
        let mut facts = Facts {
            head,
            answering,
            fails: self.fail_first.is_none_or(|first| answering.shared.count(key) <= first),
            fails_plainly: self.status.is_none() && self.abort.is_none(),
            seed: self.seed.unwrap_or_default(),
            sequence: self.sequence,
            in_flight: None,
        };
        let mut plan = Plan::default();
        self.act(&mut facts, &mut plan);
        let counted = facts.in_flight.filter(|_| !plan.refused);
        plan.in_flight = counted.map(|(in_flight, _)| in_flight);
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, sync::Arc};

    use wire::Fields;

    use super::{super::BehaviourState, *};
    use crate::{peer::Peer, protocol::Protocol};

    fn plan(text: &str, protocol: Protocol, shared: &Arc<BehaviourState>) -> Plan {
        let head = Head {
            method: b"GET",
            target: b"/",
            origin: None,
            fields: &Fields::new(),
            pseudo: 0,
            protocol,
            peer: &Peer::new(None),
            orders: &Rc::default(),
        };
        let answering = Answering { shared, worker: 0, stats: &Arc::default(), number: 1 };
        Behaviour::parse(text).unwrap().plan(&head, answering)
    }

    fn plans(text: &str, count: usize, shared: &Arc<BehaviourState>) -> Vec<Plan> {
        (0..count).map(|_| plan(text, Protocol::Http2, shared)).collect()
    }

    fn shared() -> Arc<BehaviourState> {
        Arc::new(BehaviourState::new(1))
    }

    #[test]
    fn a_run_can_be_repeated() {
        let run = |seed: u32| {
            let text = format!("status=503:30&abort=rst:20&delay=uniform(1ms,9ms)&seed={seed}");
            let plans = plans(&text, 200, &shared());
            plans.iter().map(|one| (one.status, one.shaping.abort, one.delay)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_number_of_the_request_decides_alone() {
        let shared = shared();
        let one = |text: &str| plans(text, 1, &shared).remove(0).delay;
        assert_eq!(
            one("delay=uniform(0,1s)&sequence=7&seed=1"),
            one("delay=uniform(0,1s)&sequence=7&seed=1")
        );
    }

    #[test]
    fn requests_that_draw_nothing_take_no_number_of_those_that_do() {
        let shared = shared();
        plans("rate=1K&fail-first=1&seed=3", 5, &shared);
        assert_eq!(shared.draw(), 0);
        plans("status=503:0&delay=1ms&abort=rst:0&fail-first=1&key=other", 2, &shared);
        assert_eq!(shared.draw(), 3);
    }

    #[test]
    fn the_first_of_a_key_fail_and_then_none() {
        let shared = shared();
        let failed = |text: &str| {
            let list = plans(text, 4, &shared);
            list.iter().map(|one| one.status.is_some() || one.shaping.abort.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(failed("fail-first=2&key=a"), [true, true, false, false]);
        assert_eq!(failed("fail-first=3&key=b&abort=rst"), [true, true, true, false]);
        assert_eq!(failed("fail-first=3&key=c&abort=rst&status=500"), [true, true, true, false]);
        assert_eq!(failed("fail-first=1&key=a"), [false; 4]);
        assert_eq!(failed("fail-first=1"), [true, false, false, false]);
    }

    #[test]
    fn more_in_flight_wait_longer_and_are_refused_at_the_limit() {
        let shared = shared();
        let list = plans("inflight-delay=10ms&inflight-limit=2", 3, &shared);
        let waits: Vec<_> = list.iter().map(|one| one.delay.as_millis()).collect();
        assert_eq!(waits, [10, 20, 30]);
        assert_eq!(list.iter().map(|one| one.refused).collect::<Vec<_>>(), [false, false, true]);
        drop(list);
        assert!(!plans("inflight-limit=1", 1, &shared)[0].refused);
    }

    #[test]
    fn faults_that_only_http2_has_do_not_happen_by_default_over_http1() {
        let over = |protocol| plan("abort=goaway", protocol, &shared()).shaping.abort;
        assert_eq!(over(Protocol::Http11), None);
        assert!(over(Protocol::Http2).is_some());
    }
}
