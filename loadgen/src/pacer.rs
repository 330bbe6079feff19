//! Turns a schedule into wake-ups well below a millisecond.
//!
//! The runtime's own timers are a millisecond coarse, so Linux gets its own timerfd; other systems sleep
//! to the last millisecond and yield through it. It knows instants only, nothing of requests.

use std::{
    io,
    task::{Context, Poll},
};

use crate::clock::{Clock, Nanos};

/// Wakes its task at a given time of the clock.
#[derive(Debug)]
pub(crate) struct Pacer {
    clock: Clock,
    timer: timer::Timer,
}

impl Pacer {
    /// Must be made inside a runtime.
    pub(crate) fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self { clock, timer: timer::Timer::new()? })
    }

    /// Ready once `at` has come; until then the task is woken at that time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Nanos) -> Poll<()> {
        let now = self.clock.now();
        if at <= now {
            return Poll::Ready(());
        }
        self.timer.poll(cx, at, at - now)
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::{
        io,
        os::fd::OwnedFd,
        task::{Context, Poll},
    };

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    use crate::clock::Nanos;

    const NANOS_PER_SECOND: u64 = 1_000_000_000;

    #[derive(Debug)]
    pub(super) struct Timer {
        fd: AsyncFd<OwnedFd>,
        armed_for: Option<Nanos>,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let fd =
                timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            #[expect(deprecated, reason = "its successor is unsafe, and an OwnedFd keeps what that demands")]
            let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
            Ok(Self { fd, armed_for: None })
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Nanos, from_now: Nanos) -> Poll<()> {
            // Arming resets the timer's count and readiness is edge-triggered, so that the count need never
            // be read; but an edge of an earlier setting may still be seen, which is why it is armed afterwards.
            while let Poll::Ready(seen) = self.fd.poll_read_ready(cx) {
                // An error means that the runtime is going down: waking once more does no harm.
                let Ok(mut guard) = seen else { return Poll::Ready(()) };
                guard.clear_ready();
                self.armed_for = None;
            }
            if self.armed_for != Some(at) {
                self.arm(from_now);
                self.armed_for = Some(at);
            }
            Poll::Pending
        }

        fn arm(&self, from_now: Nanos) {
            let value = Timespec {
                tv_sec: (from_now / NANOS_PER_SECOND) as i64,
                tv_nsec: (from_now % NANOS_PER_SECOND) as i64,
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            // It fails for a bad descriptor or a bad time only, and neither is possible here.
            let armed = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once);
            debug_assert!(armed.is_ok(), "{armed:?}");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use tokio::time::{Instant, Sleep, sleep_until};

    use crate::clock::Nanos;

    /// How coarse the runtime's timers are.
    const COARSE: Nanos = 1_000_000;

    #[derive(Debug)]
    pub(super) struct Timer {
        sleep: Pin<Box<Sleep>>,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self { sleep: Box::pin(sleep_until(Instant::now())) })
        }

        pub(super) fn poll(&mut self, cx: &mut Context<'_>, _at: Nanos, from_now: Nanos) -> Poll<()> {
            if from_now <= COARSE {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.sleep.as_mut().reset(Instant::now() + Duration::from_nanos(from_now - COARSE));
            if self.sleep.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_never_wakes_early_and_takes_any_order_of_times() {
        let clock = Clock::starting_now();
        let mut pacer = Pacer::new(clock).unwrap();
        for step in [300_000, 5_000_000, 0, 50_000] {
            let at = clock.now() + step;
            poll_fn(|cx| pacer.poll(cx, at)).await;
            assert!(clock.now() >= at);
        }
    }

    #[tokio::test]
    async fn a_time_that_is_brought_forward_wakes_at_the_new_one() {
        let clock = Clock::starting_now();
        let mut pacer = Pacer::new(clock).unwrap();
        let late = clock.now() + 3_600_000_000_000;
        assert!(poll_fn(|cx| Poll::Ready(pacer.poll(cx, late))).await.is_pending());
        let soon = clock.now() + 1_000_000;
        poll_fn(|cx| pacer.poll(cx, soon)).await;
        assert!(clock.now() >= soon && clock.now() < late);
    }
}
