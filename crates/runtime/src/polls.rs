//! When the thread's runtime last asked the system what is ready, and how long the thread was kept from running.
//!
//! A thread that measures can't take what it reads for what just happened: it may have been read late. These figures
//! bound how late. Only threads of [`crate::worker::spawn_observed`] have them.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    time::{Duration, Instant},
};

/// The runtime's last question to the system; or several, as one, if nothing asked for them between.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// When it asked.
    pub asked: Instant,
    /// When it had the answer.
    pub answered: Instant,
    /// How long the thread was ready to run without a CPU since this was last looked at, an upper bound of how late the
    /// thread woke; none if it did not sleep, or where the system does not say.
    pub run_delay: Option<Duration>,
}

impl Poll {
    /// Whether the thread slept until something was ready, rather than waited for a CPU.
    #[must_use]
    pub fn slept(&self) -> bool {
        let waited = self.answered.saturating_duration_since(self.asked);
        waited.saturating_sub(self.run_delay.unwrap_or_default()) >= SLEEP
    }
}

/// A question that took as long was answered by waiting. Below it, reading the run delay would cost more than it
/// reveals.
const SLEEP: Duration = Duration::from_micros(20);

thread_local! {
    static LAST: Cell<Option<Poll>> = const { Cell::new(None) };
    static SCHEDULER: RefCell<Option<Scheduler>> = const { RefCell::new(None) };
}

/// The questions of this thread's runtime since the last call; none if there were none, or the thread is not observed.
pub fn take() -> Option<Poll> {
    LAST.take()
}

/// Nanoseconds for which this thread has been ready to run without a CPU; none where the system does not say.
#[must_use]
pub fn run_delay() -> Option<Duration> {
    Scheduler::open()?.run_delay()
}

/// The runtime is about to ask.
pub(crate) fn asking() {
    // One that woke no task, such as an interrupted one, is reported together with the next.
    if LAST.get().is_none() {
        let now = Instant::now();
        LAST.set(Some(Poll { asked: now, answered: now, run_delay: None }));
    }
}

/// The runtime has its answer.
pub(crate) fn answered() {
    let Some(mut poll) = LAST.get() else { return };
    poll.answered = Instant::now();
    if poll.answered.saturating_duration_since(poll.asked) >= SLEEP {
        let more = SCHEDULER.with_borrow_mut(|scheduler| {
            if scheduler.is_none() {
                *scheduler = Scheduler::open();
            }
            scheduler.as_mut()?.more_delay()
        });
        poll.run_delay = more.map(|more| more + poll.run_delay.unwrap_or_default());
    }
    LAST.set(Some(poll));
}

/// What the system's scheduler says of this thread.
#[derive(Debug)]
struct Scheduler {
    file: File,
    before: Duration,
}

impl Scheduler {
    /// Opened by the thread itself: it is about whichever thread opens it.
    fn open() -> Option<Self> {
        let file = File::open("/proc/thread-self/schedstat").ok()?;
        let mut scheduler = Self { file, before: Duration::ZERO };
        scheduler.before = scheduler.run_delay()?;
        Some(scheduler)
    }

    fn more_delay(&mut self) -> Option<Duration> {
        let now = self.run_delay()?;
        Some(now.saturating_sub(std::mem::replace(&mut self.before, now)))
    }

    /// The second number: nanoseconds on a run queue.
    #[cfg(unix)]
    fn run_delay(&self) -> Option<Duration> {
        use std::os::unix::fs::FileExt as _;
        let mut buffer = [0; 96];
        let count = self.file.read_at(&mut buffer, 0).ok()?;
        let mut words = buffer[..count].split(u8::is_ascii_whitespace);
        let word = std::str::from_utf8(words.nth(1)?).ok()?;
        word.parse().ok().map(Duration::from_nanos)
    }

    #[cfg(not(unix))]
    fn run_delay(&self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_slept_is_reported_once_and_only_when_observed() {
        let worker = crate::worker::spawn_observed("test-polls", None, || async {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(20)).await;
            let waited = take().expect("it is observed");
            (begun, waited, take())
        });
        let (begun, waited, after) = worker.unwrap().join().unwrap();
        assert!(waited.slept() && waited.asked <= waited.answered && waited.answered > begun, "{waited:?}");
        assert!(after.is_none(), "it was taken");
        assert!(take().is_none(), "this thread is not observed");
    }
}
