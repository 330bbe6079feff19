//! Clients on the bare responder: what each takes of its CPU, and how exactly it keeps to a rate.

use super::{Body, Client, Contender, Load, Metric, Row, Server, contender, h2c, http1};

/// `paced` and `paced_h2c` are the seconds of the rows with a rate.
pub(super) fn rows(seconds: f64, paced: f64, paced_h2c: f64) -> Vec<Row> {
    vec![closed_http1(seconds), closed_h2c(seconds), paced_http1(paced), paced_fast(paced_h2c)]
}

const fn client(name: &'static str, client: Client) -> Contender {
    contender(name, Server::Responder, client)
}

fn closed_http1(seconds: f64) -> Row {
    Row {
        id: "h1-closed",
        title: "HTTP/1.1, 50 connections, closed loop on a bare responder: CPU of the client per request",
        metric: Metric::ClientPerRequest,
        load: http1(Body::K1, 50, seconds),
        limit: None,
        contenders: vec![
            client("loadgen", Client::Loadgen),
            client("wrk", Client::Wrk).at_most(0.92),
            client("oha", Client::Oha),
            client("hey", Client::Hey),
        ],
    }
}

fn closed_h2c(seconds: f64) -> Row {
    Row {
        id: "h2c-closed",
        title: "h2c, 10 connections of 100 streams, closed loop on a bare responder: CPU of the client per request",
        metric: Metric::ClientPerRequest,
        load: h2c(Body::K1, 10, 100, seconds),
        limit: None,
        contenders: vec![
            client("loadgen", Client::Loadgen),
            client("h2load", Client::H2load).at_most(0.6),
            client("oha", Client::Oha),
        ],
    }
}

fn paced_http1(seconds: f64) -> Row {
    Row {
        id: "paced",
        title: "HTTP/1.1 at 10,000/s on a bare responder, every request sent: p99 of the release lag",
        metric: Metric::LagP99,
        load: Load { rate: Some(10_000), ..http1(Body::K1, 50, seconds) },
        limit: Some(200.0),
        contenders: vec![
            client("loadgen", Client::Loadgen),
            client("a bare clock_nanosleep loop", Client::Sleeper),
        ],
    }
}

/// It stands alone: no peer keeps such a rate and tells how late it was, and a bare clock would oversleep.
fn paced_fast(seconds: f64) -> Row {
    Row {
        id: "paced-h2c",
        title: "h2c at 500,000/s, 10 connections of 100 streams, on a bare responder, every request sent: \
            p99 of the release lag",
        metric: Metric::LagP99,
        load: Load { rate: Some(500_000), ..h2c(Body::K1, 10, 100, seconds) },
        limit: Some(1000.0),
        contenders: vec![client("loadgen", Client::Loadgen)],
    }
}
