//! Servers under connections that lie idle after one request each: what each takes of their memory.

use super::{Body, Load, Metric, Protocol, Row, Server, contender, h2c, http1, row};
use crate::client::idle::Idle;

pub(super) fn rows(seconds: f64, connections: u32) -> Vec<Row> {
    let idle = |name, server| contender(name, server, &Idle);
    vec![
        row(
            "h1-idle",
            "HTTP/1.1, idle connections after one /bin/1K each: memory of the server per connection",
            Metric::ServerMemory,
            http1(Body::K1, connections, seconds),
            vec![
                idle("dummy-server", Server::DummyServer),
                idle("nginx, return 200", Server::NginxReturn),
                idle("h2o, file", Server::H2o),
            ],
        )
        .limit(6.0),
        row(
            "h2c-idle",
            "h2c, idle connections after one /bin/1K each: memory of the server per connection",
            Metric::ServerMemory,
            h2c(Body::K1, connections, 1, seconds),
            vec![
                idle("dummy-server", Server::DummyServer),
                idle("nginx, return 200", Server::NginxReturn),
                idle("h2o, file", Server::H2o),
                idle("nghttpd, file", Server::Nghttpd),
            ],
        )
        .limit(12.0),
        row(
            "ws-idle",
            "WebSocket over HTTP/1.1, idle after one message of 1 KiB each: memory of the server per connection",
            Metric::ServerMemory,
            Load { protocol: Protocol::WebSocket, ..http1(Body::K1, connections, seconds) },
            vec![idle("dummy-server", Server::DummyServer)],
        )
        .limit(8.0),
    ]
}
