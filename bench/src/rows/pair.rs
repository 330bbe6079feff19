//! A client and a server together, a core each: how many requests per second.

use super::{Body, Metric, Row, Server, contender, h2c, http1, row};
use crate::client::{h2load::H2LOAD, loadgen::LOADGEN, wrk::Wrk};

pub(super) fn rows(seconds: f64) -> Vec<Row> {
    vec![
        row(
            "h1",
            "HTTP/1.1, /bin/1K, 50 connections, one core each: requests per second",
            Metric::Rate,
            http1(Body::K1, 50, seconds),
            vec![
                contender("loadgen on dummy-server", Server::DummyServer, &LOADGEN),
                contender("wrk on nginx, file", Server::NginxFile, &Wrk),
                contender("wrk on nginx, return 200", Server::NginxReturn, &Wrk),
            ],
        ),
        row(
            "h2c",
            "h2c, /bin/1K, 10 connections of 100 streams, one core each: requests per second",
            Metric::Rate,
            h2c(Body::K1, 10, 100, seconds),
            vec![
                contender("loadgen on dummy-server", Server::DummyServer, &LOADGEN),
                contender("h2load on h2o, file", Server::H2o, &H2LOAD).at_least(2.5),
            ],
        ),
    ]
}
