//! What the server has counted, read from its admin port.

use std::{net::SocketAddr, time::Duration};

use crate::{
    PATIENCE,
    client::{Protocol, Request, fetch},
};

/// The time from one reading to the next of a metric that is awaited.
const PAUSE: Duration = Duration::from_millis(5);

/// The counter of answered requests; labels `endpoint`, `protocol`, `status`.
pub const REQUESTS: &str = "dummy_server_requests_total";

/// The gauge of requests being answered.
pub const IN_FLIGHT: &str = "dummy_server_requests_in_flight";

/// The counter of bytes read from sockets.
pub const RECEIVED: &str = "dummy_server_received_bytes_total";

/// The counter of bytes written to sockets.
pub const SENT: &str = "dummy_server_sent_bytes_total";

/// The gauge of open connections.
pub const CONNECTIONS: &str = "dummy_server_connections_open";

/// The gauge of each worker's open connections; label `worker`, from 0.
pub const CONNECTIONS_OF_WORKER: &str = "dummy_server_worker_connections_open";

/// One reading.
#[derive(Clone, Debug)]
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Reads the metrics of the server whose admin port this is.
    ///
    /// # Panics
    /// When they are not served.
    pub async fn read(admin: SocketAddr) -> Self {
        let exchange = fetch(Protocol::Http1, admin, Request::get("/metrics")).await;
        assert_eq!(exchange.status, 200);
        Self { text: exchange.text().to_owned() }
    }

    /// Reads them until they say what is awaited, and gives that reading.
    ///
    /// # Panics
    /// When it never comes; the message has the last reading.
    pub async fn until(admin: SocketAddr, awaited: impl Fn(&Self) -> bool) -> Self {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        // Asked without a pause, a server spends more on its answers than on what a test measures of it.
        let mut readings = tokio::time::interval(PAUSE);
        loop {
            readings.tick().await;
            let metrics = Self::read(admin).await;
            if awaited(&metrics) {
                return metrics;
            }
            assert!(tokio::time::Instant::now() < deadline, "it never comes to this:\n{}", metrics.text);
        }
    }

    /// The sum of the series of a metric that have all these labels: 0 where none has.
    ///
    /// # Panics
    /// When the server knows no metric of this name: a test that expects 0 of it could not fail.
    #[must_use]
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> u64 {
        assert!(self.describes(metric), "there is no {metric} in:\n{}", self.text);
        self.series(metric).filter(|(own, _)| has_all(own, labels)).map(|(_, value)| value).sum()
    }

    /// Whether there is a metric of this name, with series or without.
    fn describes(&self, metric: &str) -> bool {
        let mut families =
            self.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let suffixes = ["", "_total", "_bucket", "_count", "_sum"];
        families.any(|family| metric.strip_prefix(family).is_some_and(|rest| suffixes.contains(&rest)))
    }

    /// Whether there is a series of this metric.
    #[must_use]
    pub fn has(&self, metric: &str) -> bool {
        self.series(metric).next().is_some()
    }

    /// All that was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn series<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(metric)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None => ("", rest),
            };
            let value = value.strip_prefix(' ')?.trim();
            Some((labels, value.parse().ok()?))
        })
    }
}

fn has_all(own: &str, labels: &[(&str, &str)]) -> bool {
    labels.iter().all(|(name, value)| own.split(',').any(|label| label == format!("{name}=\"{value}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let text = "# TYPE a counter\n\
            a_total{x=\"1\",y=\"2\"} 3\n\
            a_total{x=\"1\",y=\"3\"} 4\n\
            a_total_more 9\n\
            # TYPE b gauge\n\
            b 5\n";
        let metrics = Metrics { text: text.to_owned() };
        assert_eq!(metrics.sum("a_total", &[("x", "1")]), 7);
        assert_eq!(metrics.sum("a_total", &[("y", "3"), ("x", "1")]), 4);
        assert_eq!(metrics.sum("a_total", &[("x", "2")]), 0);
        assert_eq!(metrics.sum("b", &[]), 5);
        assert!(metrics.has("b") && !metrics.has("c"));
    }

    #[test]
    #[should_panic(expected = "there is no b_total")]
    fn a_metric_that_does_not_exist_is_not_zero() {
        let metrics = Metrics { text: "# TYPE b_totals counter\n".to_owned() };
        let _ = metrics.sum("b_total", &[]);
    }
}
