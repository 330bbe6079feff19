//! Whether what was read of a run can be added up and printed: it may come from anywhere.

use super::Recorder;

/// More than any run counts of anything.
pub(super) const LARGEST: u64 = 1 << 53;
/// Longer than any message or name that is recorded, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Whether a report can print a text of at most `longest` bytes as it is.
pub(super) fn is_printable(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.contains(char::is_control)
}

impl Recorder {
    /// Whether no number is larger than any run makes it: what was read can be added up.
    pub(crate) fn is_plausible(&self) -> bool {
        let of_failures = self.failures.iter().map(|(_, seen)| seen.count);
        let of_intervals = self
            .intervals
            .iter()
            .flat_map(|part| [part.offered, part.unsuccessful, part.completed, part.errors]);
        let of_flow = self.flow.iter().flat_map(|bin| [bin.completed, bin.bytes >> 10]);
        let of_trend = self.trend.iter().flat_map(|bin| [bin.sent, bin.told]);
        let of_connections = self.connections.counts();
        let others = [
            self.counts.largest(),
            self.bytes_sent >> 10,
            self.bytes_received >> 10,
            self.limited.as_ref().map_or(0, |(count, _)| *count as u64),
            self.unasked.as_ref().map_or(0, |(count, _)| *count),
        ];
        let of_calls = self.calls.iter().flat_map(|calls| calls.counts());
        let call_errors = self.calls.iter().map(|calls| calls.errors.calls()).sum::<u64>();
        let calls_succeeded = self.calls.iter().map(|calls| calls.ok.saturating_add(calls.expected.calls()));
        let calls_succeeded = calls_succeeded.sum::<u64>();
        let of_sockets = self.sockets.iter().flat_map(|sockets| sockets.counts());
        let statuses = self.statuses.iter().copied();
        let mut counts = statuses
            .chain(of_failures)
            .chain(of_intervals)
            .chain(of_connections)
            .chain(of_flow)
            .chain(of_trend)
            .chain(of_calls)
            .chain(of_sockets)
            .chain(others);
        counts.all(|count| count <= LARGEST)
            && self.body_bytes <= u64::MAX >> 10
            && self.in_flight <= u128::MAX >> 10
            && call_errors == self.counts.call_errors
            && calls_succeeded <= self.counts.succeeded
            && self.statuses.iter().sum::<u64>() == self.counts.completed()
            && self.texts().all(|text| is_printable(text, LONGEST_TEXT))
            && self.times.response.len() == self.counts.succeeded
            && self.times.undelayed.len() == self.counts.succeeded
            && self.times.unsuccessful.len() == self.counts.unsuccessful()
            && self.connections.is_bounded()
            && self.sockets.iter().all(|sockets| sockets.is_plausible())
            && self.server_report.is_plausible(self.counts.completed())
            && self.requests.is_plausible(self.counts.offered)
            && self.unmet.replies() <= self.counts.completed()
            && self.counts.add_up()
            && self.warmup.is_none_or(|warmup| warmup.largest() <= LARGEST && warmup.add_up())
    }

    /// What servers and the system have said, which reports print.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let of_failures = self.failures.iter().flat_map(|(_, seen)| [&seen.example, &seen.request_id]);
        let limited = self.limited.iter().map(|(_, why)| why);
        let of_connections = limited.chain(&self.unopened).chain(self.unasked.iter().map(|(_, what)| what));
        let names = self.backends.sorted().into_iter().map(|backend| &backend.name);
        let of_unmet =
            self.unmet.iter().flat_map(|(expected, seen)| [expected, &seen.example, &seen.request_id]);
        let of_calls = self.calls.iter().flat_map(|calls| calls.texts());
        let of_sockets = self.sockets.iter().map(|sockets| &sockets.example);
        let others = of_failures
            .chain(of_connections)
            .chain(of_calls)
            .chain(of_sockets)
            .chain(names)
            .chain(self.connections.texts());
        others.map(String::as_str).chain(of_unmet)
    }
}
