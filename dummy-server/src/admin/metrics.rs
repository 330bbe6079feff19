//! `/metrics`: the counters as Prometheus reads them, in either of its [text forms](super::exposition).

use std::fmt;

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

use super::{
    exposition::{ExpositionFormat, as_text, merged},
    figures::{Figures, Sum, add, resident_bytes},
};
use crate::{
    cut::Cut,
    drain::Phase,
    process::Process,
    protocol::Protocol,
    stats::{Buckets, DURATION_BOUNDS, Endpoint, LAG_BOUNDS, Stats},
};

/// All metrics. Where there are several servers, those of each have its name as the label `instance`.
pub(super) fn response(process: &Process, memory_budget: u64, fields: &HeaderMap) -> Response {
    let accept: Vec<&str> =
        fields.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let form = ExpositionFormat::wanted(&accept.join(","));
    let mut texts = vec![encoded(None, Box::new(OfProcess { memory_budget }))];
    for figures in Figures::of_all(process) {
        texts.push(encoded(figures.instance, Box::new(Snapshot(figures))));
    }
    let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut text = merged(&texts);
    if form == ExpositionFormat::Text {
        text = as_text(&text);
    }
    ([(header::CONTENT_TYPE, form.content_type()), (header::VARY, "accept")], text).into_response()
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
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let bytes = Some(&Unit::Bytes);
        let help = "memory that bodies, messages and replies may hold";
        gauge(&mut encoder, "memory_budget", help, bytes, self.memory_budget)?;
        match resident_bytes() {
            Some(resident) => gauge(&mut encoder, "resident_memory", "resident memory", bytes, resident),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Snapshot(Figures);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sum = Sum::of(&self.0.workers);
        let add = |read: fn(&Stats) -> u64| add(&self.0.workers, read);
        self.replies(&mut encoder)?;
        self.durations(&mut encoder)?;
        let bytes = Some(&Unit::Bytes);
        counter(
            &mut encoder,
            "received",
            "read from sockets",
            bytes,
            add(|stats| stats.bytes_received.get()),
        )?;
        counter(&mut encoder, "sent", "written to sockets", bytes, add(|stats| stats.bytes_sent.get()))?;
        counter(&mut encoder, "connections", "connections served", None, sum.connections_opened)?;
        let refused = add(|stats| stats.connections_refused.get());
        let help = "connections closed immediately because of the limit";
        counter(&mut encoder, "connections_refused", help, None, refused)?;
        let handed_over = add(|stats| stats.connections_handed_over.get());
        let help = "connections given to a less loaded worker";
        counter(&mut encoder, "connections_handed_over", help, None, handed_over)?;
        let errors = add(|stats| stats.accept_errors.get());
        counter(&mut encoder, "accept_errors", "errors of accept, such as EMFILE", None, errors)?;
        gauge(&mut encoder, "connections_open", "open connections", None, sum.connections_open)?;
        self.by_worker(&mut encoder)?;
        self.cpu(&mut encoder)?;
        self.turn_lag(&mut encoder)?;
        self.http2_errors(&mut encoder)?;
        self.cuts(&mut encoder)?;
        super::handshakes::encode(&mut encoder, &self.0.workers)?;
        let stream_errors = add(|stats| stats.http2_stream_errors.get());
        let refused = add(|stats| stats.http2_refused_streams.get());
        let help = "HTTP/2 streams reset because the client broke a rule";
        counter(&mut encoder, "http2_stream_errors", help, None, stream_errors)?;
        let help = "HTTP/2 streams refused because too many were open";
        counter(&mut encoder, "http2_refused_streams", help, None, refused)?;
        let dropped = add(|stats| stats.access_log_dropped.get());
        let help = "lines of the access log for which there was no room";
        counter(&mut encoder, "access_log_dropped", help, None, dropped)?;
        let help = "connections whose task panicked; they were closed, and the log says where";
        counter(&mut encoder, "panics", help, None, add(|stats| stats.panics.get()))?;
        let help = "connections closed because their client had gone while it was owed a reply";
        counter(&mut encoder, "clients_gone", help, None, add(|stats| stats.clients_gone.get()))?;
        let help = "bodies, messages and replies refused because the memory budget was used up";
        counter(&mut encoder, "memory_refused", help, None, add(|stats| stats.memory_refused.get()))?;
        let help = "memory held by bodies, messages and replies";
        gauge(&mut encoder, "memory_held", help, bytes, add(|stats| stats.memory_held.get()))?;
        gauge(&mut encoder, "streams_open", "open HTTP/2 streams", None, sum.streams_open)?;
        gauge(&mut encoder, "requests_in_flight", "requests being answered", None, sum.in_flight)?;
        let draining = u64::from(self.0.shutdown.phase() > Phase::Serving);
        gauge(&mut encoder, "draining", "1 from the first signal on", None, draining)?;
        gauge(&mut encoder, "workers", "worker threads", None, self.0.workers.len() as u64)
    }
}

impl Snapshot {
    fn http2_errors(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "HTTP/2 connections ended because the client broke the protocol or met a limit, by code";
        let errors = http2::Code::all().map(|(code, name)| {
            ([("code", name)], add(&self.0.workers, |stats| stats.http2_errors[code.0 as usize].get()))
        });
        family(encoder, "http2_connection_errors", help, errors)
    }

    fn cuts(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "replies broken off because a request, or the default behaviour, asked for it";
        let cuts = Cut::NAMES
            .into_iter()
            .enumerate()
            .map(|(index, name)| ([("fault", name)], add(&self.0.workers, |stats| stats.cuts[index].get())));
        family(encoder, "aborts", help, cuts)
    }

    fn by_worker(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family: MetricEncoder<'_> = encoder.encode_descriptor(
            "worker_connections_open",
            "open connections of each worker",
            None,
            MetricType::Gauge,
        )?;
        self.each_worker(&mut family, |stats| {
            let closed = stats.connections_closed.get();
            let open = stats.connections_opened.get().saturating_sub(closed);
            ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX))
        })
    }

    fn cpu(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family: MetricEncoder<'_> = encoder.encode_descriptor(
            "worker_cpu",
            "CPU time of each worker's thread; its rate is the share of a CPU that the worker uses",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        self.each_worker(&mut family, |stats| ConstCounter::new(stats.cpu_ns.get() as f64 / 1e9))
    }

    /// A metric of each worker, by its number.
    fn each_worker<M: EncodeMetric>(
        &self,
        family: &mut MetricEncoder<'_>,
        metric: impl Fn(&Stats) -> M,
    ) -> Result<(), fmt::Error> {
        for (index, stats) in self.0.workers.iter().enumerate() {
            let worker = (self.0.first_worker + index).to_string();
            metric(stats).encode(family.encode_family(&[("worker", worker)])?)?;
        }
        Ok(())
    }

    fn turn_lag(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family: MetricEncoder<'_> = encoder.encode_descriptor(
            "turn_lag",
            "how late workers' own timers were, which have a resolution of a millisecond; beyond that, what is ready waits about as long for its worker",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let (sum, count, buckets) = added_up(&LAG_BOUNDS, self.0.workers.iter().map(|stats| &stats.turn_lag));
        family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn replies(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut replies = Vec::new();
        for endpoint in Endpoint::ALL {
            for protocol in Protocol::ALL {
                for status in Stats::statuses() {
                    let count = add(&self.0.workers, |stats| stats.replies(endpoint, protocol, status));
                    if count > 0 {
                        let (protocol, status) = (protocol.name().to_owned(), status.to_string());
                        let endpoint = ("endpoint", endpoint.name().to_owned());
                        replies.push(([endpoint, ("protocol", protocol), ("status", status)], count));
                    }
                }
            }
        }
        family(encoder, "requests", "requests answered, by endpoint, protocol and status", replies)
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family: MetricEncoder<'_> = encoder.encode_descriptor(
            "request_duration",
            "from a request's head being read to the last byte of its reply being handed to its connection, \
             by endpoint and protocol; requests that were given up without a reply are left out",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for endpoint in Endpoint::ALL {
            for protocol in Protocol::ALL {
                let of_workers = self.0.workers.iter().map(|stats| stats.durations(endpoint, protocol));
                let (sum, count, buckets) = added_up(&DURATION_BOUNDS, of_workers);
                if count == 0 {
                    continue;
                }
                let labels = [("endpoint", endpoint.name()), ("protocol", protocol.name())];
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

/// Times of all workers: their sum in seconds, how many there are, and how many in each bucket, by its upper end in seconds.
fn added_up<'a, const N: usize>(
    bounds: &[u64; N],
    of_workers: impl Iterator<Item = &'a Buckets<N>> + Clone,
) -> (f64, u64, Vec<(f64, u64)>) {
    let seconds = |bound: u64| if bound == u64::MAX { f64::INFINITY } else { bound as f64 / 1e9 };
    let counted = |bucket: usize| of_workers.clone().map(|one| one.counts[bucket].get()).sum();
    let buckets: Vec<(f64, u64)> =
        bounds.iter().enumerate().map(|(bucket, bound)| (seconds(*bound), counted(bucket))).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    let sum_ns: u64 = of_workers.map(|one| one.sum_ns.get()).sum();
    (sum_ns as f64 / 1e9, count, buckets)
}

/// A counter with labels; what has never happened has no series.
pub(super) fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series.into_iter().filter(|(_, count)| *count > 0) {
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> Result<(), fmt::Error> {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, unit, counter.metric_type())?)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: u64,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}
