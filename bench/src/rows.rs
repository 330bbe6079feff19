//! The comparisons: what is measured, under which load, against whom, and what is aimed at.
//!
//! A row's first contender is ours; every other one is compared with it.

use anyhow::{Result, bail};

use crate::{args::Mode, client::Client, server::Server};

/// A protocol of the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in clear text, by prior knowledge.
    H2c,
}

/// What a body is called in a path, and its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// 1,024 bytes.
    K1,
    /// 1,048,576 bytes.
    M1,
}

impl Body {
    /// The path that every server serves it under.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::K1 => "/bin/1K",
            Self::M1 => "/bin/1M",
        }
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::K1 => 1024,
            Self::M1 => 1024 * 1024,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        contract::pattern::ALPHABET.iter().copied().cycle().take(self.size()).collect()
    }
}

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// What is asked for.
    pub body: Body,
    /// Connections.
    pub connections: u32,
    /// Requests at a time on a connection.
    pub streams: u32,
    /// Arrivals per second; none: the next request follows the last reply.
    pub rate: Option<u32>,
    /// How long, in seconds.
    pub seconds: f64,
}

impl Load {
    /// How many requests a paced load has.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.rate.map(|rate| (f64::from(rate) * self.seconds).round() as u64)
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    /// Microseconds of the server's CPU time per request.
    ServerPerRequest,
    /// Seconds of the server's CPU time per 10^9 bytes of bodies.
    ServerPerGb,
    /// Microseconds of the client's CPU time per request.
    ClientPerRequest,
    /// 99th percentile of due to picked up, in microseconds.
    LagP99,
    /// Requests per second.
    Rate,
}

/// One of those compared.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// As it is called in the table.
    pub name: &'static str,
    /// The server.
    pub server: Server,
    /// The client.
    pub client: Client,
    /// What our value divided by this one's may be at most.
    pub at_most: Option<f64>,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// As given to `--only`.
    pub id: &'static str,
    /// What is compared, for people.
    pub title: &'static str,
    /// The value compared.
    pub metric: Metric,
    /// The load.
    pub load: Load,
    /// What our own value may be at most.
    pub limit: Option<f64>,
    /// Ours first.
    pub contenders: Vec<Contender>,
}

/// The rows of a mode, or those named in `only`.
///
/// # Errors
/// A name in `only` is not a row of this mode.
pub fn of(mode: Mode, seconds: f64, smoke: bool, only: &[String]) -> Result<Vec<Row>> {
    let rows = match mode {
        Mode::Server => vec![server_http1_small(seconds), server_http1_large(seconds), server_h2c(seconds)],
        Mode::Client => {
            // The aim is stated for ten seconds, whatever the other rows take.
            let paced = if smoke { seconds } else { 10.0 };
            vec![client_http1(seconds), client_h2c(seconds), client_paced(paced)]
        }
        Mode::Pair => vec![pair_http1(seconds), pair_h2c(seconds)],
    };
    if let Some(unknown) = only.iter().find(|name| rows.iter().all(|row| row.id != name.as_str())) {
        let known: Vec<&str> = rows.iter().map(|row| row.id).collect();
        bail!("{} has no row {unknown}: {} are accepted", mode.name(), known.join(", "));
    }
    Ok(rows.into_iter().filter(|row| only.is_empty() || only.iter().any(|name| name == row.id)).collect())
}

const fn http1(body: Body, connections: u32, seconds: f64) -> Load {
    Load { protocol: Protocol::Http1, body, connections, streams: 1, rate: None, seconds }
}

const fn h2c(seconds: f64) -> Load {
    Load { protocol: Protocol::H2c, body: Body::K1, connections: 10, streams: 100, rate: None, seconds }
}

const fn server(name: &'static str, server: Server, client: Client, at_most: Option<f64>) -> Contender {
    Contender { name, server, client, at_most }
}

fn server_http1_small(seconds: f64) -> Row {
    Row {
        id: "h1-1k",
        title: "HTTP/1.1, /bin/1K, 50 connections: CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: http1(Body::K1, 50, seconds),
        limit: None,
        contenders: vec![
            server("dummy-server", Server::DummyServer, Client::Wrk, None),
            server("nginx, file", Server::NginxFile, Client::Wrk, Some(0.66)),
            server("nginx, return 200", Server::NginxReturn, Client::Wrk, Some(1.05)),
            server("h2o, file", Server::H2o, Client::Wrk, Some(0.9)),
        ],
    }
}

fn server_http1_large(seconds: f64) -> Row {
    Row {
        id: "h1-1m",
        title: "HTTP/1.1, /bin/1M, 8 connections: CPU of the server per GB",
        metric: Metric::ServerPerGb,
        load: http1(Body::M1, 8, seconds),
        limit: None,
        contenders: vec![
            server("dummy-server", Server::DummyServer, Client::Wrk, None),
            server("h2o, file", Server::H2o, Client::Wrk, Some(0.65)),
            server("nginx, file", Server::NginxFile, Client::Wrk, None),
        ],
    }
}

fn server_h2c(seconds: f64) -> Row {
    Row {
        id: "h2c-1k",
        title: "h2c, /bin/1K, 10 connections of 100 streams: CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: h2c(seconds),
        limit: None,
        contenders: vec![
            server("dummy-server", Server::DummyServer, Client::H2load, None),
            server("nginx, file", Server::NginxFile, Client::H2load, Some(0.35)),
            server("h2o, file", Server::H2o, Client::H2load, Some(2.0)),
            server("nghttpd, file", Server::Nghttpd, Client::H2load, None),
        ],
    }
}

fn client_http1(seconds: f64) -> Row {
    let client = |name, client, at_most| Contender { name, server: Server::Responder, client, at_most };
    Row {
        id: "h1-closed",
        title: "HTTP/1.1, 50 connections, closed loop on a bare responder: CPU of the client per request",
        metric: Metric::ClientPerRequest,
        load: http1(Body::K1, 50, seconds),
        limit: None,
        contenders: vec![
            client("loadgen", Client::Loadgen, None),
            client("wrk", Client::Wrk, Some(1.0)),
            client("oha", Client::Oha, None),
            client("hey", Client::Hey, None),
        ],
    }
}

fn client_h2c(seconds: f64) -> Row {
    let client = |name, client| Contender { name, server: Server::H2o, client, at_most: None };
    Row {
        id: "h2c-closed",
        title: "h2c, 10 connections of 100 streams, closed loop on h2o: CPU of the client per request",
        metric: Metric::ClientPerRequest,
        load: h2c(seconds),
        limit: None,
        contenders: vec![
            client("loadgen", Client::Loadgen),
            client("h2load", Client::H2load),
            client("oha", Client::Oha),
        ],
    }
}

fn client_paced(seconds: f64) -> Row {
    let load = Load { rate: Some(10_000), ..http1(Body::K1, 50, seconds) };
    let client = |name, client| Contender { name, server: Server::Responder, client, at_most: None };
    Row {
        id: "paced",
        title: "HTTP/1.1 at 10,000/s on a bare responder, every request sent: p99 of the release lag",
        metric: Metric::LagP99,
        load,
        limit: Some(200.0),
        contenders: vec![
            client("loadgen", Client::Loadgen),
            client("a bare clock_nanosleep loop", Client::Sleeper),
        ],
    }
}

fn pair_http1(seconds: f64) -> Row {
    Row {
        id: "h1",
        title: "HTTP/1.1, /bin/1K, 50 connections, one core each: requests per second",
        metric: Metric::Rate,
        load: http1(Body::K1, 50, seconds),
        limit: None,
        contenders: vec![
            server("loadgen on dummy-server", Server::DummyServer, Client::Loadgen, None),
            server("wrk on nginx, file", Server::NginxFile, Client::Wrk, None),
            server("wrk on nginx, return 200", Server::NginxReturn, Client::Wrk, None),
        ],
    }
}

fn pair_h2c(seconds: f64) -> Row {
    Row {
        id: "h2c",
        title: "h2c, /bin/1K, 10 connections of 100 streams, one core each: requests per second",
        metric: Metric::Rate,
        load: h2c(seconds),
        limit: None,
        contenders: vec![
            server("loadgen on dummy-server", Server::DummyServer, Client::Loadgen, None),
            server("h2load on h2o, file", Server::H2o, Client::H2load, None),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_come_first_and_are_compared_with_nobody() {
        for mode in [Mode::Server, Mode::Client, Mode::Pair] {
            for row in of(mode, 3.0, false, &[]).unwrap() {
                let ours = row.contenders[0];
                assert!(ours.server == Server::DummyServer || ours.client == Client::Loadgen, "{}", row.id);
                assert_eq!(ours.at_most, None, "{}", row.id);
                assert!(row.contenders.len() > 1, "{}", row.id);
            }
        }
    }

    #[test]
    fn a_server_row_has_one_client_and_a_client_row_one_server() {
        for row in of(Mode::Server, 3.0, false, &[]).unwrap() {
            assert!(row.contenders.iter().all(|one| one.client == row.contenders[0].client), "{}", row.id);
        }
        for row in of(Mode::Client, 3.0, false, &[]).unwrap() {
            assert!(row.contenders.iter().all(|one| one.server == row.contenders[0].server), "{}", row.id);
        }
    }

    #[test]
    fn the_paced_row_has_exactly_one_hundred_thousand_requests() {
        let rows = of(Mode::Client, 3.0, false, &["paced".to_owned()]).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].load.total(), Some(100_000));
    }

    #[test]
    fn an_unknown_row_is_refused_with_those_that_exist() {
        let error = of(Mode::Server, 3.0, false, &["h3".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "server has no row h3: h1-1k, h1-1m, h2c-1k are accepted");
    }
}
