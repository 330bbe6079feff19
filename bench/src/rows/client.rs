//! Clients on the bare responder: what each takes of its CPU, and how exactly it keeps to a rate.

use super::{Body, Client, Load, Metric, Protocol, Row, Server, contender, h2c, http1, row};
use crate::client::{
    fortio::Fortio,
    ghz::Ghz,
    h2load::H2LOAD,
    hey::Hey,
    k6::K6,
    loadgen::{LOADGEN, LOADGEN_CALLS, LOADGEN_COALESCED, LOADGEN_MESSAGES, LOADGEN_MIX, LOADGEN_SEQUENCE},
    oha::Oha,
    sleeper::Sleeper,
    tungstenite::Tungstenite,
    vegeta::Vegeta,
    wrk::Wrk,
};

/// `paced` and `paced_h2c` are the seconds of the rows with a rate.
pub(super) fn rows(seconds: f64, paced: f64, paced_h2c: f64) -> Vec<Row> {
    let client = |name, client: &'static dyn Client| contender(name, Server::Responder, client);
    let server = |name, client: &'static dyn Client| contender(name, Server::DummyServer, client);
    let recorded = |name, client: &'static dyn Client| contender(name, Server::Recorder, client);
    let streams = || h2c(Body::K1, 10, 100, seconds);
    // What a request that differs from the last one costs loadgen itself.
    let beside_plain = |id, title, load, ours: &'static dyn Client| {
        let contenders = vec![client("loadgen", ours), client("loadgen, plain", &LOADGEN).at_most(1.3)];
        row(id, title, Metric::ClientPerRequest, load, contenders)
    };
    vec![
        row(
            "h1-closed",
            "HTTP/1.1, 50 connections, closed loop on a bare responder: CPU of the client per request",
            Metric::ClientPerRequest,
            http1(Body::K1, 50, seconds),
            vec![
                client("loadgen", &LOADGEN),
                client("wrk", &Wrk).at_most(0.92),
                client("oha", &Oha),
                client("hey", &Hey),
            ],
        ),
        row(
            "h2c-closed",
            "h2c, 10 connections of 100 streams, closed loop on a bare responder: CPU of the client per request",
            Metric::ClientPerRequest,
            h2c(Body::K1, 10, 100, seconds),
            vec![client("loadgen", &LOADGEN), client("h2load", &H2LOAD).at_most(0.6), client("oha", &Oha)],
        ),
        row(
            "grpc-closed",
            "gRPC, unary echo.EchoService/Echo of dummy-server, 10 connections of 10 streams, closed loop: \
                CPU of the client per call",
            Metric::ClientPerRequest,
            h2c(Body::K1, 10, 10, seconds),
            vec![server("loadgen", &LOADGEN_CALLS), server("ghz", &Ghz).at_most(0.1)],
        ),
        row(
            "tls-h1-closed",
            "HTTP/1.1 over TLS 1.3, /bin/1K of dummy-server, 50 connections, closed loop: CPU of the client per request",
            Metric::ClientPerRequest,
            Load { protocol: Protocol::Tls, ..http1(Body::K1, 50, seconds) },
            vec![server("loadgen", &LOADGEN), server("wrk", &Wrk), server("oha", &Oha), server("hey", &Hey)],
        ),
        row(
            "tls-h2-closed",
            "HTTP/2 over TLS 1.3, /bin/1K of dummy-server, 10 connections of 100 streams, closed loop: \
                CPU of the client per request",
            Metric::ClientPerRequest,
            Load { protocol: Protocol::TlsH2, ..streams() },
            vec![server("loadgen", &LOADGEN), server("h2load", &H2LOAD), server("oha", &Oha)],
        ),
        row(
            "ws-closed",
            "WebSocket over HTTP/1.1, a message of 64 bytes at a time on each of 50 connections, echoed by \
                dummy-server: CPU of the client per message",
            Metric::ClientPerRequest,
            Load { protocol: Protocol::WebSocket, ..http1(Body::K1, 50, seconds) },
            vec![server("loadgen", &LOADGEN_MESSAGES), server("tokio-tungstenite", &Tungstenite)],
        ),
        beside_plain(
            "h1-sequence",
            "HTTP/1.1, 50 connections, closed loop on a bare responder, /bin/1K?x={{seq}} to plain /bin/1K: \
                CPU of the client per request",
            http1(Body::K1, 50, seconds),
            &LOADGEN_SEQUENCE,
        ),
        beside_plain(
            "h1-mix",
            "HTTP/1.1, 50 connections, closed loop on a bare responder, a mix of three requests to plain /bin/1K: \
                CPU of the client per request",
            http1(Body::K1, 50, seconds),
            &LOADGEN_MIX,
        ),
        beside_plain(
            "h2c-sequence",
            "h2c, 10 connections of 100 streams, closed loop on a bare responder, /bin/1K?x={{seq}} to plain /bin/1K: \
                CPU of the client per request",
            streams(),
            &LOADGEN_SEQUENCE,
        ),
        beside_plain(
            "h2c-mix",
            "h2c, 10 connections of 100 streams, closed loop on a bare responder, a mix of three requests to plain \
                /bin/1K: CPU of the client per request",
            streams(),
            &LOADGEN_MIX,
        ),
        row(
            "paced",
            "HTTP/1.1 at 10,000/s on a bare responder, every request sent: p99 of the release lag",
            Metric::LagP99,
            Load { rate: Some(10_000), ..http1(Body::K1, 50, paced) },
            vec![client("loadgen", &LOADGEN), client("a bare clock_nanosleep loop", &Sleeper)],
        )
        .limit(200.0),
        // It stands alone: no peer keeps such a rate and reports how late it was, and a bare clock would oversleep.
        row(
            "paced-h2c",
            "h2c at 500,000/s, 10 connections of 100 streams, on a bare responder, every request sent: \
                p99 of the release lag",
            Metric::LagP99,
            Load { rate: Some(500_000), ..h2c(Body::K1, 10, 100, paced_h2c) },
            vec![client("loadgen", &LOADGEN)],
        )
        .limit(1000.0),
        row(
            "arrival-error",
            "HTTP/1.1 at 10,000/s, 50 connections: p99 of how far arrivals at the server are from a perfect schedule",
            Metric::ArrivalErrorP99,
            Load { rate: Some(10_000), ..http1(Body::K1, 50, paced) },
            vec![
                recorded("loadgen", &LOADGEN),
                recorded("vegeta", &Vegeta).at_most(1.0),
                recorded("oha", &Oha).at_most(1.0),
                recorded("fortio", &Fortio).at_most(1.0),
                recorded("k6", &K6).at_most(1.0),
                recorded("hey", &Hey).at_most(1.0),
            ],
        ),
        row(
            "arrival-cpu",
            "HTTP/1.1 at 10,000/s, 50 connections, loadgen with --coalesce 1ms: CPU of the client per request",
            Metric::ClientPerRequest,
            Load { rate: Some(10_000), ..http1(Body::K1, 50, paced) },
            vec![
                recorded("loadgen --coalesce 1ms", &LOADGEN_COALESCED),
                recorded("vegeta", &Vegeta).at_most(1.0),
                recorded("oha", &Oha).at_most(1.0),
                recorded("fortio", &Fortio).at_most(1.0),
                recorded("k6", &K6).at_most(1.0),
                recorded("hey", &Hey).at_most(1.0),
            ],
        ),
    ]
}
