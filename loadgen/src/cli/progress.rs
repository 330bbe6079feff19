//! What is seen while a run goes on, on standard error: on a terminal a line that is redrawn, elsewhere a line every ten
//! seconds.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use contract::quantity::rounded;

use crate::{
    control::{Handle, Phase},
    numbers::{count, time},
    plan::Load,
    recorder::Snapshot,
};

/// How often the figures are read, and on a terminal shown.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// How often a line is written where it stays.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The time that the rate is over.
const RATE_OVER: Duration = Duration::from_secs(1);

/// Fewer responses say no rate before that time is over.
const MIN_COUNTED: u64 = 10;

/// What is shown of response times, with how many responses it needs: ten above it, as in reports.
const PERCENTILES: [(&str, f64, u64); 2] = [("p99", 0.99, 1000), ("p50", 0.5, 20)];

/// Where the terminal's width is not known.
const DEFAULT_WIDTH: usize = 80;

/// To the start of the terminal's line, which becomes empty.
const CLEAR: &str = "\r\x1b[2K";

/// How progress is shown.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    terminal: bool,
    total: Option<u64>,
    window: Option<Duration>,
    warmup: Duration,
}

/// Progress being shown.
#[derive(Debug)]
pub(super) struct ShownProgress {
    stop: mpsc::SyncSender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Progress {
    /// Of a run with this load.
    #[must_use]
    pub(super) fn of(load: &Load) -> Self {
        let terminal = io::stderr().is_terminal();
        // In a closed loop, whichever comes first ends it.
        let total = load.count().or(if load.arrivals().is_none() { load.total } else { None });
        Self { terminal, total, window: load.planned(), warmup: load.warmup }
    }

    /// Of loads that go on at the same time, as one.
    pub(super) fn of_all<'a>(loads: impl Iterator<Item = &'a Load> + Clone) -> Self {
        let each = loads.clone().map(Self::of);
        let total = each.clone().map(|one| one.total).sum();
        let ends = each.zip(loads).map(|(one, load)| Some(one.window? + one.warmup + load.start));
        let window = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max());
        Self { terminal: io::stderr().is_terminal(), total, window, warmup: Duration::ZERO }
    }

    pub(super) fn watch(self, run: Handle) -> ShownProgress {
        let (stop, stopped) = mpsc::sync_channel(1);
        let show = move || {
            let (mut rate, mut next, mut is_draining) = (ResponseRate::default(), LINE_EVERY, false);
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Nothing is sent yet.
                let Some(elapsed) = run.elapsed() else { continue };
                let phase = run.phase();
                let snapshot = run.snapshot();
                let per_second = rate.over_last_second(elapsed, snapshot.counts.completed());
                // What a worker published before is of requests that may never have been sent.
                let is_stopped = phase != Phase::Run && run.is_stopped(&snapshot);
                if is_stopped && !std::mem::replace(&mut is_draining, true) {
                    note(&draining(&snapshot));
                }
                let line = match phase {
                    Phase::Run => self.line(&snapshot, elapsed, per_second),
                    // However much time was planned for it.
                    Phase::Stop | Phase::Abort => self.last_line(&snapshot),
                };
                if self.terminal {
                    put(&format!("{CLEAR}{}", cut(&line, terminal_width())));
                } else if elapsed >= next {
                    next = elapsed + LINE_EVERY;
                    note(&line);
                }
            }
            if self.terminal {
                put(CLEAR);
            }
        };
        // Without the thread there is no progress, and the run goes on.
        let thread = thread::Builder::new().name("loadgen-progress".to_owned()).spawn(show).ok();
        ShownProgress { stop, thread }
    }

    fn line(&self, snapshot: &Snapshot, elapsed: Duration, per_second: Option<f64>) -> String {
        let Some(elapsed) = elapsed.checked_sub(self.warmup) else {
            let left = self.warmup.saturating_sub(elapsed).as_secs_f64();
            return format!("warming up, {left:.0}s left");
        };
        let counts = &snapshot.counts;
        let done = counts.offered.saturating_sub(counts.outstanding());
        let total = self.of_all_requests();
        let per_second = per_second.map(|rate| format!(", {}/s", count(rounded(rate)))).unwrap_or_default();
        let mut line = format!(
            "{}{total} done{per_second}, {}, {} failed",
            count(done),
            outstanding(snapshot),
            count(done.saturating_sub(counts.succeeded)),
        );
        let times = &snapshot.response;
        if let Some((name, quantile, _)) = PERCENTILES.iter().find(|(_, _, least)| times.len() >= *least) {
            line += &format!(", {name} {}", time(times.value_at_quantile(*quantile) as f64));
        }
        if let Some(left) = self.time_left(elapsed, done).filter(|left| *left >= 0.5) {
            line += &format!(", {left:.0}s left");
        }
        line
    }

    /// What is shown once no more requests become due.
    fn last_line(&self, snapshot: &Snapshot) -> String {
        let counts = &snapshot.counts;
        let done = counts.offered.saturating_sub(counts.outstanding());
        let failed = count(done.saturating_sub(counts.succeeded));
        format!("{}, {}{} done, {failed} failed", draining(snapshot), count(done), self.of_all_requests())
    }

    fn of_all_requests(&self) -> String {
        self.total.map(|total| format!("/{}", count(total))).unwrap_or_default()
    }

    fn time_left(&self, elapsed: Duration, done: u64) -> Option<f64> {
        match (self.window, self.total) {
            (Some(window), _) => window.checked_sub(elapsed).map(|left| left.as_secs_f64()),
            (None, Some(total)) if done > 0 => {
                Some(elapsed.as_secs_f64() / done as f64 * total.saturating_sub(done) as f64)
            }
            _ => None,
        }
    }
}

/// No more requests become due.
fn draining(snapshot: &Snapshot) -> String {
    format!("draining, {}", outstanding(snapshot))
}

/// What has not ended yet: in flight, and beyond that due and not sent.
fn outstanding(snapshot: &Snapshot) -> String {
    let Snapshot { counts, waiting, .. } = snapshot;
    let in_flight = format!("{} in flight", count(counts.outstanding().saturating_sub(*waiting)));
    match waiting {
        0 => in_flight,
        waiting => format!("{in_flight}, {} waiting", count(*waiting)),
    }
}

/// Responses per second. Each worker publishes its figures in its own rhythm, so that the difference of two readings in
/// a row may be that of no publishing, or of two: the rate is over the last second.
#[derive(Debug, Default)]
struct ResponseRate(VecDeque<(Duration, u64)>);

impl ResponseRate {
    /// Adds a reading: how many were completed when the run had gone on for this time. None: it is too early to say.
    fn over_last_second(&mut self, elapsed: Duration, completed: u64) -> Option<f64> {
        if self.0.is_empty() {
            self.0.push_back((Duration::ZERO, 0));
        }
        self.0.push_back((elapsed, completed));
        // The first one that stays is the last that is a second old.
        while self.0.get(1).is_some_and(|(at, _)| elapsed.saturating_sub(*at) >= RATE_OVER) {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().copied().unwrap_or_default();
        let (time, counted) = (elapsed.saturating_sub(since), completed.saturating_sub(before));
        let is_known = time >= RATE_OVER || counted >= MIN_COUNTED;
        is_known.then(|| counted as f64 / time.as_secs_f64().max(1e-3))
    }
}

/// A line that is wider than the terminal could not be redrawn: as many of its fields as fit, since a figure that is cut is another one.
fn cut(line: &str, width: usize) -> &str {
    let Some((end, _)) = line.char_indices().nth(width) else { return line };
    let ends = line.match_indices(", ").map(|(at, _)| at);
    ends.take_while(|at| *at <= end).last().map_or("", |end| &line[..end])
}

/// The terminal's width now: it may have been resized.
fn terminal_width() -> usize {
    #[cfg(unix)]
    let asked = rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let asked = None;
    let columns = std::env::var("COLUMNS").ok();
    width(asked, columns.as_deref())
}

/// What the terminal says, else what the environment does.
fn width(asked: Option<usize>, columns: Option<&str>) -> usize {
    let columns = columns.and_then(|columns| columns.parse().ok());
    [asked, columns].into_iter().flatten().find(|width| *width > 0).unwrap_or(DEFAULT_WIDTH)
}

impl ShownProgress {
    /// Shows no more.
    pub(super) fn end(self) {
        // The thread may be gone already.
        let _ = self.stop.try_send(());
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

/// Writes a line to standard error, in place of a line of progress.
pub fn note(line: &str) {
    let clear = if io::stderr().is_terminal() { CLEAR } else { "" };
    put(&format!("{clear}{line}\n"));
}

/// A standard error that is closed is not a reason to stop.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_what_is_done_the_rate_what_is_in_flight_and_what_failed() {
        let progress = Progress {
            terminal: false,
            total: Some(5000),
            window: Some(Duration::from_secs(5)),
            warmup: Duration::ZERO,
        };
        let mut snapshot = Snapshot::default();
        snapshot.counts.offered = 2017;
        snapshot.counts.succeeded = 2000;
        snapshot.counts.client_errors = 2;
        snapshot.counts.timed_out = 3;
        snapshot.response.record_n(1_500_000, 999).unwrap();
        let line = progress.line(&snapshot, Duration::from_secs(2), None);
        assert_eq!(
            line, "2,005/5,000 done, 12 in flight, 5 failed, p50 1.50 ms, 3s left",
            "too few for a p99"
        );
        snapshot.response.record(1_500_000).unwrap();
        let line = progress.line(&snapshot, Duration::from_secs(2), Some(1000.4));
        assert_eq!(line, "2,005/5,000 done, 1,000/s, 12 in flight, 5 failed, p99 1.50 ms, 3s left");
        assert_eq!(draining(&snapshot), "draining, 12 in flight");
        assert_eq!(progress.last_line(&snapshot), "draining, 12 in flight, 2,005/5,000 done, 5 failed");
        snapshot.waiting = 10;
        assert_eq!(draining(&snapshot), "draining, 2 in flight, 10 waiting");
        for elapsed in [4600, 6000] {
            let line = progress.line(&snapshot, Duration::from_millis(elapsed), Some(1000.4));
            assert!(line.ends_with("p99 1.50 ms"), "{line}");
        }
        let line = progress.line(&snapshot, Duration::from_secs(6), Some(1000.4));
        assert_eq!(line, "2,005/5,000 done, 1,000/s, 2 in flight, 10 waiting, 5 failed, p99 1.50 ms");
    }

    #[test]
    fn without_an_end_in_time_the_time_left_follows_from_what_is_done() {
        let progress =
            Progress { terminal: false, total: Some(100), window: None, warmup: Duration::from_secs(9) };
        let mut snapshot = Snapshot::default();
        let line = progress.line(&snapshot, Duration::from_secs(1), None);
        assert_eq!(line, "warming up, 8s left");
        let line = progress.line(&snapshot, Duration::from_secs(10), Some(0.0));
        assert_eq!(line, "0/100 done, 0/s, 0 in flight, 0 failed");
        snapshot.counts.offered = 25;
        snapshot.counts.succeeded = 25;
        assert!(progress.line(&snapshot, Duration::from_secs(10), Some(25.0)).ends_with("0 failed, 3s left"));
    }

    #[test]
    fn the_rate_is_steady_though_figures_arrive_between_two_readings_or_not() {
        let mut rate = ResponseRate::default();
        for reading in 1..100_u64 {
            // 1,000/s, of which every other reading sees nothing new.
            let completed = reading / 2 * 200;
            let found = rate.over_last_second(Duration::from_millis(reading * 100), completed);
            assert_eq!(found.is_none(), reading < 2, "nothing has completed yet");
            let found = found.unwrap_or_default();
            assert!(reading < 2 || (600.0..=1000.0).contains(&found), "reading {reading}: {found}");
            assert!(reading < 10 || (800.0..=1200.0).contains(&found), "reading {reading}: {found}");
            assert!(rate.0.len() <= 12, "the ring is bounded");
        }
        for reading in 100..112 {
            rate.over_last_second(Duration::from_millis(reading * 100), 9800);
        }
        let stalled = rate.over_last_second(Duration::from_millis(11_200), 9800);
        assert_eq!(stalled, Some(0.0), "nothing has completed for a second");
    }

    #[test]
    fn a_slow_run_has_a_rate_from_its_first_second_on() {
        let mut rate = ResponseRate::default();
        // 2/s, of which the first is answered immediately.
        let mut found = |tenth: u64| rate.over_last_second(Duration::from_millis(tenth * 100), tenth / 5 + 1);
        for tenth in 1..10 {
            assert_eq!(found(tenth), None, "{tenth}");
        }
        assert_eq!([found(10), found(15), found(20)], [Some(3.0), Some(2.0), Some(2.0)]);
    }

    #[test]
    fn a_line_is_cut_to_the_width_of_the_terminal() {
        assert_eq!([cut("5 done, 1/s", 6), cut("5 done", 6), cut("5 done", 80)], ["5 done"; 3]);
        let line = "1,005/5,000 done, 12 failed, p50 271 us";
        for (width, shown) in [
            (39, line),
            (38, "1,005/5,000 done, 12 failed"),
            (27, "1,005/5,000 done, 12 failed"),
            (26, "1,005/5,000 done"),
            (15, ""),
        ] {
            assert_eq!(cut(line, width), shown, "{width}");
        }
        for (asked, columns, expected) in [
            (Some(120), Some("90"), 120),
            (Some(0), Some("90"), 90),
            (None, Some("90"), 90),
            (None, Some("wide"), 80),
            (None, Some("0"), 80),
            (None, None, 80),
        ] {
            assert_eq!(width(asked, columns), expected, "{asked:?} {columns:?}");
        }
    }
}
