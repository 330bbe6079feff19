//! A client and a server together, a core each: how many requests per second.

use super::{Body, Client, Metric, Row, Server, contender, h2c, http1};

pub(super) fn rows(seconds: f64) -> Vec<Row> {
    vec![
        Row {
            id: "h1",
            title: "HTTP/1.1, /bin/1K, 50 connections, one core each: requests per second",
            metric: Metric::Rate,
            load: http1(Body::K1, 50, seconds),
            limit: None,
            contenders: vec![
                contender("loadgen on dummy-server", Server::DummyServer, Client::Loadgen),
                contender("wrk on nginx, file", Server::NginxFile, Client::Wrk),
                contender("wrk on nginx, return 200", Server::NginxReturn, Client::Wrk),
            ],
        },
        Row {
            id: "h2c",
            title: "h2c, /bin/1K, 10 connections of 100 streams, one core each: requests per second",
            metric: Metric::Rate,
            load: h2c(Body::K1, 10, 100, seconds),
            limit: None,
            contenders: vec![
                contender("loadgen on dummy-server", Server::DummyServer, Client::Loadgen),
                contender("h2load on h2o, file", Server::H2o, Client::H2load).at_least(2.5),
            ],
        },
    ]
}
