//! A client and a server together, a core each: how many requests per second, and what it costs both to prove what happens to
//! each request.

use super::{Body, Load, Metric, Row, Server, contender, h2c, http1, row};
use crate::client::{
    h2load::H2LOAD,
    loadgen::{LOADGEN, LOADGEN_VERIFIED},
    wrk::Wrk,
};

pub(super) fn rows(seconds: f64) -> Vec<Row> {
    let verify = |id, title, load: Load, most| {
        let verified = contender("loadgen --verify", Server::DummyServer, &LOADGEN_VERIFIED);
        let plain = contender("loadgen, with request ids", Server::DummyServer, &LOADGEN).at_most(most);
        row(id, title, Metric::BothPerRequest, load, vec![verified, plain])
    };
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
        verify(
            "verify-h1-1k",
            "HTTP/1.1, /bin/1K, 8 connections, verified and not: CPU of both ends per request",
            http1(Body::K1, 8, seconds),
            1.10,
        ),
        verify(
            "verify-h1-1m",
            "HTTP/1.1, /bin/1M, 4 connections, verified and not: CPU of both ends per request",
            http1(Body::M1, 4, seconds),
            1.25,
        ),
        // 0.15 us of the 1.23 us that both ends took without it when the target was set.
        verify(
            "verify-h2c-1k",
            "h2c, /bin/1K, 2 connections of 50 streams, verified and not: CPU of both ends per request",
            h2c(Body::K1, 2, 50, seconds),
            1.12,
        ),
    ]
}
