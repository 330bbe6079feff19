//! Where the time of requests went, on average, and whether the figures agree with each other.

use super::Summary;
use crate::recorder::Parts;

/// Means of the parts of a request's time, in nanoseconds, over all that were sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanParts {
    /// Due to picked up.
    pub lag: f64,
    /// Picked up to sent.
    pub wait: f64,
    /// Sent to the end.
    pub service: f64,
}

/// Little's law: as many requests are in flight as their rate times their mean time. Both sides are counted by themselves;
/// they are the same in a steady state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Little {
    /// Requests in flight, on average over the time in which requests became due.
    pub in_flight: f64,
    /// Requests per second in that time: those that were completed, and as many more as were sent and not answered.
    pub rate: f64,
    /// Their mean time from sent to the end, in nanoseconds.
    pub service: f64,
}

impl Little {
    /// What should be in flight by rate and time.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.rate * self.service / 1e9
    }

    /// How far apart both sides are, as a share of the larger one: from 0 to 1.
    #[must_use]
    pub fn difference(&self) -> f64 {
        let larger = self.in_flight.max(self.expected()).max(1e-9);
        (self.in_flight - self.expected()).abs() / larger
    }
}

impl Summary {
    /// Where the time of requests went; none if none was sent.
    #[must_use]
    pub fn mean_parts(&self) -> Option<MeanParts> {
        let Parts { sent, lag, wait, service, .. } = self.records.trend.sum();
        let mean = |sum: u64, count: u64| sum as f64 / count.max(1) as f64;
        (sent > 0).then(|| MeanParts {
            lag: mean(lag, sent),
            wait: mean(wait, sent),
            service: mean(service, sent),
        })
    }

    /// Both sides of Little's law; none if no request was answered.
    #[must_use]
    pub fn little(&self) -> Option<Little> {
        let completed = self.records.counts.completed();
        let parts = self.mean_parts().filter(|_| completed > 0)?;
        // Those that were sent and never answered are in flight too.
        let all = self.records.trend.sum().sent as f64 / completed as f64;
        Some(Little {
            in_flight: self.mean_in_flight(),
            rate: self.rate_beside_in_flight() * all,
            service: parts.service,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::planted::{MICRO, MILLI, Planted, PlantedEnd, run};

    #[test]
    fn means_are_those_of_all_that_were_sent_and_of_all_that_report() {
        let summary = run("-r 100 -d 4s a:1", |n, _| Planted {
            lag: 10 * MICRO,
            wait: 20 * MICRO,
            service: if n % 2 == 0 { 2 * MILLI } else { 4 * MILLI },
            server: (n % 2 == 0).then_some((100 * MICRO, 600 * MICRO)),
            end: if n == 3 { PlantedEnd::NotSent } else { PlantedEnd::Status(200) },
            ..Planted::default()
        });
        let parts = summary.mean_parts().unwrap();
        let reported = summary.records.server_report.mean_times().unwrap();
        assert!((parts.lag - 10e3).abs() < 1.0 && (parts.wait - 20e3).abs() < 1.0, "{parts:?}");
        assert!((parts.service - 3e6).abs() < 0.01e6, "{parts:?}");
        assert!((reported.server - 500e3).abs() < 1.0, "{reported:?}");
        assert!(reported.way.is_some_and(|way| (way - 100e3).abs() < 1.0), "{reported:?}");
        assert!((reported.outside - 1.5e6).abs() < 0.01e6, "{reported:?}");
    }

    #[test]
    fn littles_law_holds_in_a_steady_state_and_not_when_a_target_stalls() {
        let steady = run("-r 1000 -d 4s a:1", |_, _| Planted { service: 50 * MILLI, ..Planted::default() });
        let little = steady.little().unwrap();
        assert!((little.expected() - 50.0).abs() < 1.0 && little.difference() < 0.02, "{little:?}");
        let timed_out = run("-r 1000 -d 4s a:1", |n, _| Planted {
            service: 50 * MILLI,
            end: if n % 4 == 0 { PlantedEnd::TimedOut } else { PlantedEnd::Status(200) },
            ..Planted::default()
        });
        assert!(timed_out.little().unwrap().difference() < 0.02, "{:?}", timed_out.little());
        let stalled = run("-r 1000 -d 4s a:1", |n, _| Planted {
            service: if n < 2000 { MILLI } else { 10_000 * MILLI },
            ..Planted::default()
        });
        assert!(stalled.little().unwrap().difference() > 0.1, "{:?}", stalled.little());
        let nothing =
            run("-r 10 -d 1s a:1", |_, _| Planted { end: PlantedEnd::NotSent, ..Planted::default() });
        assert_eq!((nothing.little(), nothing.mean_parts()), (None, None));
    }
}
