//! Servers under the same client: what each takes of its CPU.

use super::{Body, Load, Metric, Protocol, Row, Server, contender, h2c, http1, row};
use crate::client::{
    h2load::{H2LOAD, H2LOAD_ASKING, H2LOAD_MIXED},
    loadgen::{
        LOADGEN, LOADGEN_CHECK, LOADGEN_ECHO, LOADGEN_FULL, LOADGEN_MESSAGES, LOADGEN_RESUMED,
        LOADGEN_WITHOUT_ID,
    },
    wrk::Wrk,
};

pub(super) fn rows(seconds: f64) -> Vec<Row> {
    let wrk = |name, server| contender(name, server, &Wrk);
    let h2load = |name, server| contender(name, server, &H2LOAD);
    let mixed = |name, server| contender(name, server, &H2LOAD_MIXED);
    let streams = || h2c(Body::K1, 10, 100, seconds);
    let per_request =
        |id, title, load, contenders| row(id, title, Metric::ServerPerRequest, load, contenders);
    let per_gb = |id, title, load, contenders| row(id, title, Metric::ServerPerGb, load, contenders);
    vec![
        per_request(
            "h1-1k",
            "HTTP/1.1, /bin/1K, 50 connections: CPU of the server per request",
            http1(Body::K1, 50, seconds),
            vec![
                wrk("dummy-server", Server::DummyServer),
                wrk("nginx, file", Server::NginxFile).at_most(0.66),
                wrk("nginx, return 200", Server::NginxReturn).at_most(0.97),
                wrk("h2o, file", Server::H2o).at_most(0.9),
            ],
        ),
        per_gb(
            "h1-1m",
            "HTTP/1.1, /bin/1M, 8 connections: CPU of the server per GB",
            http1(Body::M1, 8, seconds),
            vec![
                wrk("dummy-server", Server::DummyServer),
                wrk("h2o, file", Server::H2o).at_most(0.65),
                wrk("nginx, file", Server::NginxFile),
            ],
        ),
        per_request(
            "h2c-1k",
            "h2c, /bin/1K, 10 connections of 100 streams: CPU of the server per request",
            streams(),
            vec![
                h2load("dummy-server", Server::DummyServer),
                h2load("nginx, file", Server::NginxFile).at_most(0.35),
                h2load("h2o, file", Server::H2o).at_most(0.5),
                h2load("nghttpd, file", Server::Nghttpd),
            ],
        ),
        per_request(
            "h2c-mixed",
            "h2c, two paths with an id of 36 characters in the query of each, 10 connections of 100 streams: \
                CPU of the server per request",
            streams(),
            vec![
                mixed("dummy-server", Server::DummyServer),
                mixed("h2o, file", Server::H2o).at_most(0.65),
                mixed("nghttpd, file", Server::Nghttpd),
            ],
        ),
        per_gb(
            "h2c-1m",
            "h2c, /bin/1M, 4 connections of 4 streams: CPU of the server per GB",
            h2c(Body::M1, 4, 4, seconds),
            vec![
                h2load("dummy-server", Server::DummyServer),
                h2load("h2o, file", Server::H2o).at_most(0.9),
                h2load("nginx, file", Server::NginxFile),
            ],
        ),
        per_request(
            "h2c-single",
            "h2c, /bin/1K, 50 connections of one stream: CPU of the server per request",
            h2c(Body::K1, 50, 1, seconds),
            vec![
                h2load("dummy-server", Server::DummyServer),
                h2load("nghttpd, file", Server::Nghttpd).at_most(1.0),
                h2load("h2o, file", Server::H2o),
            ],
        ),
        // What a field that differs in every request costs the server that reads it.
        per_request(
            "h2c-id",
            "h2c, /bin/1K, 10 connections of 100 streams, loadgen with an id in each request and without: \
                CPU of the server per request",
            streams(),
            vec![
                contender("with id", Server::DummyServer, &LOADGEN),
                contender("without id", Server::DummyServer, &LOADGEN_WITHOUT_ID).at_most(1.3),
            ],
        ),
        per_request(
            "h2c-asking",
            "h2c, /bin/1K, 10 connections of 100 streams, no behaviour asked for and one: CPU of the server per \
                request",
            streams(),
            vec![
                h2load("nothing asked", Server::DummyServer),
                contender("a field asked for", Server::DummyServer, &H2LOAD_ASKING),
            ],
        ),
        per_request(
            "grpc-echo",
            "gRPC, unary Echo, 10 connections of 100 streams: CPU of the server per call",
            streams(),
            vec![
                contender("dummy-server", Server::DummyServer, &LOADGEN_ECHO),
                contender("tonic", Server::Tonic, &LOADGEN_ECHO).at_most(0.33),
            ],
        ),
        // What our engine saves a service that tonic generated, on both sides.
        per_request(
            "grpc-generated",
            "gRPC, Check of the health service that tonic generates, 10 connections of 100 streams: \
                CPU of the server per call",
            streams(),
            vec![
                contender("dummy-server", Server::DummyServer, &LOADGEN_CHECK),
                contender("tonic", Server::Tonic, &LOADGEN_CHECK).at_most(0.5),
            ],
        ),
        per_request(
            "ws-64",
            "WebSocket over HTTP/1.1, a message of 64 bytes at a time on each of 50 connections: CPU of the server per \
                message",
            Load { protocol: Protocol::WebSocket, ..http1(Body::K1, 50, seconds) },
            vec![
                contender("dummy-server", Server::DummyServer, &LOADGEN_MESSAGES),
                contender("tokio-tungstenite", Server::Tungstenite, &LOADGEN_MESSAGES).at_most(0.85),
            ],
        ),
        per_request(
            "tls-full",
            "TLS 1.3, full handshakes, each with one /bin/1K, 16 connections at a time: CPU of the server per handshake",
            Load { protocol: Protocol::Tls, ..http1(Body::K1, 16, seconds) },
            vec![
                contender("dummy-server", Server::DummyServer, &LOADGEN_FULL),
                contender("nginx, return 200", Server::NginxReturn, &LOADGEN_FULL),
            ],
        ),
        // loadgen keeps eight tickets of a server, of which each connection brings two.
        per_request(
            "tls-resumed",
            "TLS 1.3, resumed handshakes, each with one /bin/1K, 4 connections at a time: CPU of the server per \
                handshake",
            Load { protocol: Protocol::Tls, ..http1(Body::K1, 4, seconds) },
            vec![
                contender("dummy-server", Server::DummyServer, &LOADGEN_RESUMED),
                contender("nginx, return 200", Server::NginxReturn, &LOADGEN_RESUMED),
            ],
        ),
    ]
}
