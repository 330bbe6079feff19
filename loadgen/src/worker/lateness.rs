//! How late this thread may see what has come: what is read in a turn may have been there since some time before.
//!
//! The system is asked before each turn. If it had the answer only after the thread slept, what is read came just then, or
//! while the thread was kept from waking. If it answered immediately, what is read may have been there since the question
//! before. Times alone: nothing here asks a clock or the system.

use crate::clock::Nanos;

/// The question before a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// When the system was asked.
    pub(super) asked: Nanos,
    /// When it had answered.
    pub(super) answered: Nanos,
    /// Whether the thread slept until then.
    pub(super) slept: bool,
    /// How long the thread was ready to run without a CPU, where it slept and that is known.
    pub(super) run_delay: Nanos,
    /// Until when it wanted to sleep at most.
    pub(super) alarm: Nanos,
}

/// Since when what is read may have been there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lateness {
    /// All that had come by then was read in an earlier turn.
    floor: Nanos,
    /// All that had come by then is reported in this turn.
    told: Nanos,
    ready_since: Nanos,
    held_up: Nanos,
}

/// Whatever a socket holds has been read after this time, however much comes: a turn that is cut short again and again
/// stands in the way of nothing.
const LONGEST_CUT: Nanos = 100_000_000;

impl Lateness {
    /// A turn begins.
    pub(super) fn begin(&mut self, question: Question) {
        let Question { asked, answered, slept, run_delay, alarm } = question;
        // A process that is stopped, or a machine that stands still, sleeps beyond its alarm without any run delay. The answer
        // may then be of before: a call that is interrupted reports nothing.
        let overslept = answered.saturating_sub(alarm.max(asked));
        let held_up = if slept { overslept.max(run_delay) } else { 0 };
        self.told = answered.saturating_sub(held_up).max(asked.min(answered)).max(self.floor);
        self.held_up = held_up;
        self.ready_since = if slept { self.told } else { self.floor };
    }

    /// What is read in this turn has not been there before.
    pub(super) fn ready_since(&self) -> Nanos {
        self.ready_since
    }

    /// By when all that had come has been read at the end of this turn; unless it was `cut_short`, so that something was left
    /// to the next one.
    pub(super) fn seen(&self, cut_short: bool) -> Nanos {
        if cut_short { self.floor.max(self.told.saturating_sub(LONGEST_CUT)) } else { self.told }
    }

    /// For how long the thread was kept from waking before this turn.
    pub(super) fn held_up(&self) -> Nanos {
        self.held_up
    }

    /// A turn is over.
    pub(super) fn end(&mut self, cut_short: bool) {
        self.floor = self.seen(cut_short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Nanos = 1000;
    const MILLI: Nanos = 1_000_000;

    fn slept(asked: Nanos, answered: Nanos, run_delay: Nanos) -> Question {
        Question { asked, answered, slept: true, run_delay, alarm: asked + 10 * MILLI }
    }

    fn immediately(at: Nanos) -> Question {
        Question { asked: at, answered: at + MICRO, slept: false, run_delay: 0, alarm: at }
    }

    /// The lateness in a turn behind others that took all.
    fn after(questions: &[Question]) -> Lateness {
        let mut lateness = Lateness::default();
        for (index, question) in questions.iter().enumerate() {
            lateness.begin(*question);
            if index + 1 < questions.len() {
                lateness.end(false);
            }
        }
        lateness
    }

    #[test]
    fn input_that_wakes_a_sleeping_thread_has_just_arrived() {
        let lateness = after(&[immediately(0), slept(MILLI, 3 * MILLI, 0)]);
        assert_eq!((lateness.ready_since(), lateness.seen(false)), (3 * MILLI, 3 * MILLI));
    }

    #[test]
    fn the_run_delay_of_a_waking_thread_counts_as_lateness() {
        let lateness = after(&[immediately(0), slept(MILLI, 7 * MILLI, 4 * MILLI)]);
        assert_eq!(lateness.ready_since(), 3 * MILLI);
        // Run delay of before the question says nothing of it.
        let lateness = after(&[immediately(0), slept(6 * MILLI, 7 * MILLI, 4 * MILLI)]);
        assert_eq!(lateness.ready_since(), 6 * MILLI);
    }

    #[test]
    fn a_stopped_process_is_late_by_the_time_since_its_alarm() {
        let stopped = slept(MILLI, 1500 * MILLI, 0);
        let lateness = after(&[immediately(0), stopped]);
        assert_eq!((lateness.ready_since(), lateness.seen(false)), (11 * MILLI, 11 * MILLI));
        // The call was interrupted: what has come is reported by the next one.
        let lateness = after(&[immediately(0), stopped, immediately(1500 * MILLI)]);
        assert_eq!(lateness.ready_since(), 11 * MILLI);
        assert_eq!(lateness.seen(false), 1500 * MILLI + MICRO);
    }

    #[test]
    fn input_of_a_busy_thread_may_date_from_its_previous_poll() {
        let lateness = after(&[immediately(0), immediately(5 * MILLI), immediately(6 * MILLI)]);
        assert_eq!(lateness.ready_since(), 5 * MILLI + MICRO);
    }

    #[test]
    fn a_connection_that_never_stops_sending_keeps_nothing_from_being_given_up() {
        let mut lateness = Lateness::default();
        for turn in 0..1000 {
            lateness.begin(immediately(turn * MILLI));
            assert!(lateness.seen(true) + LONGEST_CUT >= turn * MILLI);
            lateness.end(true);
        }
        assert!(lateness.ready_since() >= 800 * MILLI);
    }

    #[test]
    fn input_left_by_a_turn_may_date_from_the_last_complete_turn() {
        let mut lateness = after(&[immediately(0), immediately(5 * MILLI)]);
        assert_eq!(lateness.seen(true), MICRO, "nothing is given up by what was not looked at");
        lateness.end(true);
        lateness.begin(immediately(6 * MILLI));
        assert_eq!(lateness.ready_since(), MICRO);
        lateness.end(false);
        lateness.begin(immediately(7 * MILLI));
        assert_eq!(lateness.ready_since(), 6 * MILLI + MICRO);
    }
}
