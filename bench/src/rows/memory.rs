//! Servers under connections that lie idle after one request each: what each takes of their memory.

use super::{Body, Client, Contender, Load, Metric, Protocol, Row, Server, contender, h2c, http1};

pub(super) fn rows(seconds: f64, connections: u32) -> Vec<Row> {
    let idle = |name, server| contender(name, server, Client::Idle);
    let row = |id, title, load: Load, limit, peers: Vec<Contender>| Row {
        id,
        title,
        metric: Metric::ServerMemory,
        load,
        limit: Some(limit),
        contenders: [vec![idle("dummy-server", Server::DummyServer)], peers].concat(),
    };
    vec![
        row(
            "h1-idle",
            "HTTP/1.1, idle connections after one /bin/1K each: memory of the server per connection",
            http1(Body::K1, connections, seconds),
            6.0,
            vec![idle("nginx, return 200", Server::NginxReturn), idle("h2o, file", Server::H2o)],
        ),
        row(
            "h2c-idle",
            "h2c, idle connections after one /bin/1K each: memory of the server per connection",
            h2c(Body::K1, connections, 1, seconds),
            12.0,
            vec![
                idle("nginx, return 200", Server::NginxReturn),
                idle("h2o, file", Server::H2o),
                idle("nghttpd, file", Server::Nghttpd),
            ],
        ),
        row(
            "ws-idle",
            "WebSocket over HTTP/1.1, idle after one message of 1 KiB each: memory of the server per connection",
            Load { protocol: Protocol::WebSocket, ..http1(Body::K1, connections, seconds) },
            8.0,
            Vec::new(),
        ),
    ]
}
