//! The metrics of what comes before HTTP on a connection.

use std::{fmt, sync::Arc};

use prometheus_client::encoding::DescriptorEncoder;
use transport::tls::{Reason, Version};

use super::{figures::add, metrics::family};
use crate::{
    handshakes::{Handshakes, ProxyError},
    stats::Stats,
};

/// Writes them.
pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, workers: &[Arc<Stats>]) -> Result<(), fmt::Error> {
    let sum = |read: &dyn Fn(&Handshakes) -> u64| add(workers, |stats| read(&stats.handshakes));
    let mut series = Vec::new();
    for version in Version::ALL {
        for resumed in [false, true] {
            let count = sum(&|counters| counters.completed[version as usize][usize::from(resumed)].get());
            series.push((vec![("version", version.name()), ("resumed", yes_or_no(resumed))], count));
        }
    }
    family(
        encoder,
        "tls_handshakes",
        "TLS handshakes, by version and whether a session was resumed",
        series,
    )?;
    let failures = Reason::ALL.map(|reason| {
        (
            vec![("reason", reason.name())],
            sum(&|counters: &Handshakes| counters.failures[reason as usize].get()),
        )
    });
    family(encoder, "tls_handshake_failures", "TLS handshakes that failed, by reason", failures)?;
    let errors = ProxyError::ALL.map(|error| {
        (
            vec![("reason", error.name())],
            sum(&|counters: &Handshakes| counters.proxy_errors[error as usize].get()),
        )
    });
    let help = "connections closed for their PROXY header, or for want of one, by reason";
    family(encoder, "proxy_protocol_errors", help, errors)
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}
