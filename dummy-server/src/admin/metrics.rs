//! `/metrics`: the counters as Prometheus reads them, in either of its [text forms](super::exposition).

use std::{fmt, sync::Arc};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use transport::tls::{Reason, Version};

use super::{
    exposition::{OPEN_METRICS, TEXT, as_text, merged, wants_open_metrics},
    figures::{Sum, add, resident_bytes},
};
use crate::{
    counter::Counter,
    cut::Cut,
    drain::Phase,
    handshakes::ProxyError,
    process::{Instance, Process},
    protocol::Protocol,
    stats::{Buckets, DURATION_BOUNDS, Endpoint, LAG_BOUNDS, Stats},
};

/// All metrics. Where there are several servers, those of each have its name as the label `instance`.
pub(super) fn response(process: &Process, memory_budget: u64, fields: &HeaderMap) -> Response {
    let accept: Vec<&str> =
        fields.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut texts = vec![encoded(None, Box::new(OfProcess { memory_budget }))];
    for instance in &process.instances {
        texts.push(encoded(instance.lasting.label, Box::new(OfServer(Arc::clone(instance)))));
    }
    let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = merged(&texts);
    let (form, text) = match wants_open_metrics(&accept.join(",")) {
        true => (OPEN_METRICS, text),
        false => (TEXT, as_text(&text)),
    };
    ([(header::CONTENT_TYPE, form), (header::VARY, "accept")], text).into_response()
}

/// What one collector has, as OpenMetrics.
fn encoded(instance: Option<&'static str>, collector: Box<dyn Collector>) -> Option<String> {
    let labels = instance.map(|name| ("instance".into(), name.into()));
    let mut registry = Registry::with_prefix_and_labels("dummy_server", labels.into_iter());
    registry.register_collector(collector);
    let mut text = String::new();
    encode(&mut text, &registry).ok()?;
    Some(text)
}

/// What is of the process, and of no server.
#[derive(Debug)]
struct OfProcess {
    memory_budget: u64,
}

impl Collector for OfProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let bytes = Some(&Unit::Bytes);
        let help = "memory that bodies, messages and replies may hold";
        single(&mut encoder, "memory_budget", help, bytes, &gauge(self.memory_budget))?;
        match resident_bytes() {
            Some(resident) => {
                single(&mut encoder, "resident_memory", "resident memory", bytes, &gauge(resident))
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct OfServer(Arc<Instance>);

impl Collector for OfServer {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (to, workers) = (&mut encoder, &self.0.lasting.stats);
        let (sum, bytes) = (Sum::of(workers), Some(&Unit::Bytes));
        let count = |counter: fn(&Stats) -> &Counter| ConstCounter::new(add(workers, counter));
        self.replies(to)?;
        self.durations(to)?;
        single(to, "received", "read from sockets", bytes, &count(|stats| &stats.bytes_received))?;
        single(to, "sent", "written to sockets", bytes, &count(|stats| &stats.bytes_sent))?;
        let opened = ConstCounter::new(sum.connections_opened);
        single(to, "connections", "connections served", None, &opened)?;
        let help = "connections closed immediately because of the limit";
        single(to, "connections_refused", help, None, &count(|stats| &stats.connections_refused))?;
        let help = "connections given to a less loaded worker";
        single(to, "connections_handed_over", help, None, &count(|stats| &stats.connections_handed_over))?;
        let help = "errors of accept, such as EMFILE";
        single(to, "accept_errors", help, None, &count(|stats| &stats.accept_errors))?;
        single(to, "connections_open", "open connections", None, &gauge(sum.connections_open))?;
        self.of_workers(to)?;
        let help = "how late workers' own timers were, which have a resolution of a millisecond; beyond that, what is ready waits about as long for its worker";
        let lags = Times::of(&LAG_BOUNDS, workers.iter().map(|stats| &stats.turn_lag));
        single(to, "turn_lag", help, Some(&Unit::Seconds), &lags)?;
        let help = "HTTP/2 connections ended because the client broke the protocol or met a limit, by code";
        let errors = http2::Code::all().map(|(code, name)| {
            ([("code", name)], add(workers, |stats| &stats.http2_errors[code.0 as usize]))
        });
        family(to, "http2_connection_errors", help, errors)?;
        let help = "replies broken off because a request, or the default behaviour, asked for it";
        let cuts = Cut::NAMES.into_iter().enumerate();
        let cuts = cuts.map(|(at, name)| ([("fault", name)], add(workers, |stats| &stats.cuts[at])));
        family(to, "aborts", help, cuts)?;
        self.handshakes(to)?;
        let help = "HTTP/2 streams reset because the client broke a rule";
        single(to, "http2_stream_errors", help, None, &count(|stats| &stats.http2_stream_errors))?;
        let help = "HTTP/2 streams refused because too many were open";
        single(to, "http2_refused_streams", help, None, &count(|stats| &stats.http2_refused_streams))?;
        let help = "lines of the access log for which there was no room";
        single(to, "access_log_dropped", help, None, &count(|stats| &stats.access_log_dropped))?;
        let help = "connections whose task panicked; they were closed, and the log says where";
        single(to, "panics", help, None, &count(|stats| &stats.panics))?;
        let help = "connections closed because their client had gone while it was owed a reply";
        single(to, "clients_gone", help, None, &count(|stats| &stats.clients_gone))?;
        let help = "bodies, messages and replies refused because the memory budget was used up";
        single(to, "memory_refused", help, None, &count(|stats| &stats.memory_refused))?;
        let held = gauge(add(workers, |stats| &stats.memory_held));
        single(to, "memory_held", "memory held by bodies, messages and replies", bytes, &held)?;
        single(to, "streams_open", "open HTTP/2 streams", None, &gauge(sum.streams_open))?;
        single(to, "requests_in_flight", "requests being answered", None, &gauge(sum.in_flight))?;
        let draining = self.0.life().server.shutdown.phase() > Phase::Serving;
        single(to, "draining", "1 from the first signal on", None, &gauge(draining.into()))?;
        single(to, "workers", "worker threads", None, &gauge(workers.len() as u64))
    }
}

impl OfServer {
    fn of_workers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let workers = || {
            let workers = self.0.lasting.stats.iter().enumerate();
            workers.map(|(at, stats)| ([("worker", self.0.lasting.first_worker + at)], stats))
        };
        let help = "open connections of each worker";
        let open = workers().map(|(label, stats)| {
            let closed = stats.connections_closed.get();
            (label, gauge(stats.connections_opened.get().saturating_sub(closed)))
        });
        series(encoder, ("worker_connections_open", help, None, MetricType::Gauge), open)?;
        let help = "CPU time of each worker's thread; its rate is the share of a CPU that the worker uses";
        let cpu = workers().map(|(label, stats)| (label, ConstCounter::new(stats.cpu_ns.get() as f64 / 1e9)));
        series(encoder, ("worker_cpu", help, Some(&Unit::Seconds), MetricType::Counter), cpu)
    }

    /// What comes before HTTP on a connection.
    fn handshakes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let workers = &self.0.lasting.stats;
        let completed = Version::ALL.into_iter().flat_map(|version| {
            [false, true].map(|resumed| {
                let at = (version as usize, usize::from(resumed));
                let count = add(workers, |stats| &stats.handshakes.completed[at.0][at.1]);
                (([("version", version.name())], [("resumed", resumed)]), count)
            })
        });
        let help = "TLS handshakes, by version and whether a session was resumed";
        family(encoder, "tls_handshakes", help, completed)?;
        let failures = Reason::ALL.map(|reason| {
            ([("reason", reason.name())], add(workers, |stats| &stats.handshakes.failures[reason as usize]))
        });
        family(encoder, "tls_handshake_failures", "TLS handshakes that failed, by reason", failures)?;
        let errors = ProxyError::ALL.map(|error| {
            ([("reason", error.name())], add(workers, |stats| &stats.handshakes.proxy_errors[error as usize]))
        });
        let help = "connections closed for their PROXY header, or for want of one, by reason";
        family(encoder, "proxy_protocol_errors", help, errors)
    }

    fn replies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let replies = families().flat_map(|(endpoint, protocol)| {
            let family = [("endpoint", endpoint.name()), ("protocol", protocol.name())];
            Stats::statuses().map(move |status| {
                let count = add(&self.0.lasting.stats, |stats| stats.replies(endpoint, protocol, status));
                ((family, [("status", status)]), count)
            })
        });
        family(encoder, "requests", "requests answered, by endpoint, protocol and status", replies)
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "from a request's head being read to the last byte of its reply being handed to its connection, \
                    by endpoint and protocol; requests that were given up without a reply are left out";
        let durations = families().map(|(endpoint, protocol)| {
            let of_workers = self.0.lasting.stats.iter().map(|stats| stats.durations(endpoint, protocol));
            let labels = [("endpoint", endpoint.name()), ("protocol", protocol.name())];
            (labels, Times::of(&DURATION_BOUNDS, of_workers))
        });
        let durations = durations.filter(|(_, times)| times.count > 0);
        series(encoder, ("request_duration", help, Some(&Unit::Seconds), MetricType::Histogram), durations)
    }
}

/// What requests are counted by.
fn families() -> impl Iterator<Item = (Endpoint, Protocol)> {
    Endpoint::ALL.into_iter().flat_map(|endpoint| Protocol::ALL.map(|protocol| (endpoint, protocol)))
}

/// Times of all workers.
#[derive(Debug)]
struct Times {
    sum_seconds: f64,
    count: u64,
    /// How many are in each bucket, by its upper end in seconds.
    buckets: Vec<(f64, u64)>,
}

impl Times {
    fn of<'a, const N: usize>(
        bounds: &[u64; N],
        of_workers: impl Iterator<Item = &'a Buckets<N>> + Clone,
    ) -> Self {
        let seconds = |bound: u64| if bound == u64::MAX { f64::INFINITY } else { bound as f64 / 1e9 };
        let counted = |bucket: usize| of_workers.clone().map(|one| one.counts[bucket].get()).sum();
        let buckets: Vec<(f64, u64)> =
            bounds.iter().enumerate().map(|(bucket, bound)| (seconds(*bound), counted(bucket))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum_ns: u64 = of_workers.map(|one| one.sum_ns.get()).sum();
        Self { sum_seconds: sum_ns as f64 / 1e9, count, buckets }
    }
}

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.sum_seconds, self.count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A counter with labels; what has never happened has no series.
fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>,
) -> fmt::Result {
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let counters = counts.map(|(labels, count)| (labels, ConstCounter::new(count)));
    series(encoder, (name, help, None, MetricType::Counter), counters)
}

/// A metric with labels.
fn series(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit, kind): (&str, &str, Option<&Unit>, MetricType),
    metrics: impl Iterator<Item = (impl EncodeLabelSet, impl EncodeMetric)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, metric) in metrics {
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A metric without labels.
fn single(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn gauge(value: u64) -> ConstGauge {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
