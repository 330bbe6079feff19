//! What happens to one request: drawn once, when its head was read.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{
    asked::{Behaviour, Point},
    chance::{Chance, For},
    shared::{InFlight, Shared},
};
use crate::cut::Cut;

/// What was decided. The rest of a [`Behaviour`] holds as it was asked for.
#[derive(Debug)]
pub(super) struct Decision {
    /// In place of the endpoint's.
    pub(super) status: Option<StatusCode>,
    /// There are too many in flight: 503 and nothing else.
    pub(super) refused: bool,
    /// Waited before the reply.
    pub(super) delay: Duration,
    /// How and where the reply is broken off.
    pub(super) abort: Option<(Cut, Point)>,
    /// As long as the reply has not begun.
    pub(super) in_flight: Option<InFlight>,
}

/// Decides. `http2`: the request came over HTTP/2, which alone knows streams and GOAWAY.
pub(super) fn decide(asked: &Behaviour, shared: &Arc<Shared>, worker: usize, http2: bool) -> Decision {
    let draws = asked.status.is_some() || asked.delay.is_some() || asked.abort.is_some();
    let sequence = asked.sequence.unwrap_or_else(|| if draws { shared.draw() } else { 0 });
    let chance = Chance::new(asked.seed.unwrap_or_default(), sequence);
    let fails =
        asked.fail_first.is_none_or(|first| shared.count(asked.key.as_deref().unwrap_or_default()) <= first);
    let abort = asked.abort.filter(|abort| fails && chance.hits(For::Abort, abort.percent));
    let abort = abort.filter(|abort| http2 || !abort.cut.needs_http2());
    let abort = abort.map(|abort| (abort.cut, abort.point));
    let mut status =
        asked.status.as_ref().filter(|_| fails).and_then(|list| chance.one_of(For::Status, list));
    // Whoever only says how often wants a plain failure.
    if fails && asked.fail_first.is_some() && asked.status.is_none() && asked.abort.is_none() {
        status = Some(StatusCode::SERVICE_UNAVAILABLE);
    }
    let drawn = asked.delay.as_ref().and_then(|list| chance.one_of(For::Delay, list));
    let mut delay = drawn.map_or(Duration::ZERO, |delay| chance.delay(delay));
    let counts = asked.inflight_delay.is_some() || asked.inflight_limit.is_some();
    let (in_flight, count) = if counts {
        let (guard, count) = shared.enter(worker);
        (Some(guard), count)
    } else {
        (None, 0)
    };
    let refused = asked.inflight_limit.is_some_and(|limit| count > limit);
    if let Some(each) = asked.inflight_delay {
        let times = u32::try_from(count).unwrap_or(u32::MAX);
        delay = delay.saturating_add(each.saturating_mul(times));
    }
    let in_flight = in_flight.filter(|_| !refused);
    Decision { status, refused, delay: delay.min(super::asked::Delay::LONGEST), abort, in_flight }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(text: &str, count: usize, shared: &Arc<Shared>) -> Vec<Decision> {
        let asked = Behaviour::parse(text).unwrap();
        (0..count).map(|_| decide(&asked, shared, 0, true)).collect()
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared::new(1))
    }

    #[test]
    fn a_run_can_be_repeated() {
        let run = |seed: u32| {
            let text = format!("status=503:30&abort=rst:20&delay=uniform(1ms,9ms)&seed={seed}");
            let decisions = decisions(&text, 200, &shared());
            decisions.iter().map(|one| (one.status, one.abort, one.delay)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_number_of_the_request_decides_alone() {
        let shared = shared();
        let one = |text: &str| decisions(text, 1, &shared).remove(0).delay;
        assert_eq!(
            one("delay=uniform(0,1s)&sequence=7&seed=1"),
            one("delay=uniform(0,1s)&sequence=7&seed=1")
        );
    }

    #[test]
    fn the_first_of_a_key_fail_and_then_none() {
        let shared = shared();
        let failed = |text: &str| {
            let list = decisions(text, 4, &shared);
            list.iter().map(|one| one.status.is_some() || one.abort.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(failed("fail-first=2&key=a"), [true, true, false, false]);
        assert_eq!(failed("fail-first=3&key=b&abort=rst"), [true, true, true, false]);
        assert_eq!(failed("fail-first=1&key=a"), [false; 4]);
        assert_eq!(failed("fail-first=1"), [true, false, false, false]);
    }

    #[test]
    fn more_in_flight_wait_longer_and_are_refused_at_the_limit() {
        let shared = shared();
        let list = decisions("inflight-delay=10ms&inflight-limit=2", 3, &shared);
        let waits: Vec<_> = list.iter().map(|one| one.delay.as_millis()).collect();
        assert_eq!(waits, [10, 20, 30]);
        assert_eq!(list.iter().map(|one| one.refused).collect::<Vec<_>>(), [false, false, true]);
        drop(list);
        assert!(!decisions("inflight-limit=1", 1, &shared)[0].refused);
    }

    #[test]
    fn what_only_http2_has_does_not_happen_by_default_over_http1() {
        let asked = Behaviour::parse("abort=goaway").unwrap();
        assert_eq!(decide(&asked, &shared(), 0, false).abort, None);
        assert!(decide(&asked, &shared(), 0, true).abort.is_some());
    }
}
