//! What makes a comparison unfair, found out before anything is measured: contenders that do not do the same.

use std::collections::BTreeSet;

/// What a few exchanges with a contender showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What it is called.
    pub name: String,
    /// The protocol that was agreed on, with TLS's version and cipher where there is TLS.
    pub protocol: String,
    /// Statuses of replies.
    pub statuses: BTreeSet<u16>,
    /// Bytes of replies' bodies.
    pub lengths: BTreeSet<u64>,
    /// How bodies were encoded, such as `gzip`; empty: not at all.
    pub encodings: BTreeSet<String>,
    /// Whether replies came from a cache; none where that can't be known.
    pub cached: Option<bool>,
    /// Whether loadgen itself closes connections, as it was asked to: then nothing follows from how many there are.
    pub closes: bool,
    /// Requests for each connection that loadgen had to open.
    pub per_connection: f64,
    /// Requests for each connection on which they arrived at the server; none where that can't be known.
    pub per_upstream: Option<f64>,
}

/// Fewer requests for each connection mean that it is not kept alive.
const MIN_PER_CONNECTION: f64 = 1.5;

/// What differs, or is not as it should be, in sentences that name contenders; empty if they are alike.
#[must_use]
pub fn faults(all: &[Facts]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut differ = |what: &str, of: &dyn Fn(&Facts) -> String| {
        let values: BTreeSet<String> = all.iter().map(of).collect();
        if values.len() > 1 {
            let each: Vec<_> = all.iter().map(|facts| format!("{} {}", facts.name, of(facts))).collect();
            faults.push(format!("{what} differ: {}", each.join(", ")));
        }
    };
    differ("protocols", &|facts| facts.protocol.clone());
    differ("statuses", &|facts| listed(&facts.statuses));
    differ("body lengths", &|facts| format!("{} bytes", listed(&facts.lengths)));
    for facts in all {
        let name = &facts.name;
        if !facts.encodings.is_empty() {
            faults.push(format!("{name} compresses: content-encoding {}", listed(&facts.encodings)));
        }
        if facts.cached == Some(true) {
            faults.push(format!("{name} replies from a cache: not each request reaches a server"));
        }
        if facts.closes {
            continue;
        }
        if facts.per_connection < MIN_PER_CONNECTION {
            faults.push(format!(
                "{name}: {:.1} requests per connection: keep-alive is off between loadgen and it",
                facts.per_connection
            ));
        }
        if let Some(requests) = facts.per_upstream.filter(|requests| *requests < MIN_PER_CONNECTION) {
            faults.push(format!("{name}: {requests:.1} requests per upstream connection: keep-alive is off"));
        }
    }
    faults
}

/// What could not be found out, in sentences.
#[must_use]
pub fn unknown(all: &[Facts]) -> Vec<String> {
    let names = |is_unknown: fn(&Facts) -> bool| {
        let names: Vec<_> =
            all.iter().filter(|facts| is_unknown(facts)).map(|facts| facts.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let cached = names(|facts| facts.cached.is_none()).map(|names| {
        format!("whether replies come from a cache can't be known of {names}: no server says when it replied (Server-Timing of dummy-server)")
    });
    let upstream = names(|facts| facts.per_upstream.is_none() && !facts.closes).map(|names| {
        format!("whether connections to the server are kept alive can't be known of {names}: /ip of dummy-server was not reached")
    });
    cached.into_iter().chain(upstream).collect()
}

fn listed<T: ToString>(values: &BTreeSet<T>) -> String {
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    values.join("/")
}
