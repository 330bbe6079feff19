//! Servers under the same client: what each takes of its CPU.

use super::{
    Body, Call, Client, Contender, Handshake, Load, Metric, Protocol, Row, Server, Targets, contender, h2c,
    http1,
};

pub(super) fn rows(seconds: f64) -> Vec<Row> {
    vec![
        http1_small(seconds),
        http1_large(seconds),
        h2c_small(seconds),
        h2c_mixed(seconds),
        h2c_large(seconds),
        h2c_single(seconds),
        h2c_id(seconds),
        h2c_asking(seconds),
        grpc_echo(seconds),
        grpc_generated(seconds),
        websocket(seconds),
        tls(
            "tls-full",
            "TLS 1.3, full handshakes, each with one /bin/1K, 16 connections at a time: CPU of the server per handshake",
            Handshake::Full,
            seconds,
        ),
        tls(
            "tls-resumed",
            "TLS 1.3, resumed handshakes, each with one /bin/1K, 16 connections at a time: CPU of the server per \
                handshake",
            Handshake::Resumed,
            seconds,
        ),
    ]
}

const fn wrk(name: &'static str, server: Server) -> Contender {
    contender(name, server, Client::Wrk)
}

const fn h2load(name: &'static str, server: Server) -> Contender {
    contender(name, server, Client::H2load)
}

const fn calls(name: &'static str, server: Server) -> Contender {
    contender(name, server, Client::Calls)
}

fn http1_small(seconds: f64) -> Row {
    Row {
        id: "h1-1k",
        title: "HTTP/1.1, /bin/1K, 50 connections: CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: http1(Body::K1, 50, seconds),
        limit: None,
        contenders: vec![
            wrk("dummy-server", Server::DummyServer),
            wrk("nginx, file", Server::NginxFile).at_most(0.66),
            wrk("nginx, return 200", Server::NginxReturn).at_most(0.97),
            wrk("h2o, file", Server::H2o).at_most(0.9),
        ],
    }
}

fn http1_large(seconds: f64) -> Row {
    Row {
        id: "h1-1m",
        title: "HTTP/1.1, /bin/1M, 8 connections: CPU of the server per GB",
        metric: Metric::ServerPerGb,
        load: http1(Body::M1, 8, seconds),
        limit: None,
        contenders: vec![
            wrk("dummy-server", Server::DummyServer),
            wrk("h2o, file", Server::H2o).at_most(0.65),
            wrk("nginx, file", Server::NginxFile),
        ],
    }
}

fn h2c_small(seconds: f64) -> Row {
    Row {
        id: "h2c-1k",
        title: "h2c, /bin/1K, 10 connections of 100 streams: CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: h2c(Body::K1, 10, 100, seconds),
        limit: None,
        contenders: vec![
            h2load("dummy-server", Server::DummyServer),
            h2load("nginx, file", Server::NginxFile).at_most(0.35),
            h2load("h2o, file", Server::H2o).at_most(0.5),
            h2load("nghttpd, file", Server::Nghttpd),
        ],
    }
}

fn h2c_mixed(seconds: f64) -> Row {
    Row {
        id: "h2c-mixed",
        title: "h2c, two paths with an id of 36 characters in the query of each, 10 connections of 100 streams: \
            CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: Load { targets: Targets::Mixed, ..h2c(Body::K1, 10, 100, seconds) },
        limit: None,
        contenders: vec![
            h2load("dummy-server", Server::DummyServer),
            h2load("h2o, file", Server::H2o).at_most(0.65),
            h2load("nghttpd, file", Server::Nghttpd),
        ],
    }
}

fn h2c_large(seconds: f64) -> Row {
    Row {
        id: "h2c-1m",
        title: "h2c, /bin/1M, 4 connections of 4 streams: CPU of the server per GB",
        metric: Metric::ServerPerGb,
        load: h2c(Body::M1, 4, 4, seconds),
        limit: None,
        contenders: vec![
            h2load("dummy-server", Server::DummyServer),
            h2load("h2o, file", Server::H2o).at_most(0.9),
            h2load("nginx, file", Server::NginxFile),
        ],
    }
}

fn h2c_single(seconds: f64) -> Row {
    Row {
        id: "h2c-single",
        title: "h2c, /bin/1K, 50 connections of one stream: CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: h2c(Body::K1, 50, 1, seconds),
        limit: None,
        contenders: vec![
            h2load("dummy-server", Server::DummyServer),
            h2load("nghttpd, file", Server::Nghttpd).at_most(1.0),
            h2load("h2o, file", Server::H2o),
        ],
    }
}

/// What a field that differs in every request costs the server that reads it.
fn h2c_id(seconds: f64) -> Row {
    Row {
        id: "h2c-id",
        title: "h2c, /bin/1K, 10 connections of 100 streams, loadgen with an id in each request and without: \
            CPU of the server per request",
        metric: Metric::ServerPerRequest,
        load: h2c(Body::K1, 10, 100, seconds),
        limit: None,
        contenders: vec![
            contender("with id", Server::DummyServer, Client::Loadgen),
            contender("without id", Server::DummyServer, Client::LoadgenWithoutId).at_most(1.3),
        ],
    }
}

fn h2c_asking(seconds: f64) -> Row {
    Row {
        id: "h2c-asking",
        title: "h2c, /bin/1K, 10 connections of 100 streams, no behaviour asked for and one: CPU of the server per \
            request",
        metric: Metric::ServerPerRequest,
        load: h2c(Body::K1, 10, 100, seconds),
        limit: None,
        contenders: vec![
            h2load("nothing asked", Server::DummyServer),
            contender("a field asked for", Server::DummyServer, Client::H2loadAsking),
        ],
    }
}

fn grpc_echo(seconds: f64) -> Row {
    Row {
        id: "grpc-echo",
        title: "gRPC, unary Echo, 10 connections of 100 streams: CPU of the server per call",
        metric: Metric::ServerPerRequest,
        load: Load { targets: Targets::Call(Call::Echo), ..h2c(Body::K1, 10, 100, seconds) },
        limit: None,
        contenders: vec![
            calls("dummy-server", Server::DummyServer),
            calls("tonic", Server::Tonic).at_most(0.33),
        ],
    }
}

/// What our engine saves a service that tonic generated, on both sides.
fn grpc_generated(seconds: f64) -> Row {
    Row {
        id: "grpc-generated",
        title: "gRPC, Check of the health service that tonic generates, 10 connections of 100 streams: \
            CPU of the server per call",
        metric: Metric::ServerPerRequest,
        load: Load { targets: Targets::Call(Call::Check), ..h2c(Body::K1, 10, 100, seconds) },
        limit: None,
        contenders: vec![
            calls("dummy-server", Server::DummyServer),
            calls("tonic", Server::Tonic).at_most(0.5),
        ],
    }
}

fn websocket(seconds: f64) -> Row {
    let load =
        Load { protocol: Protocol::WebSocket, targets: Targets::Messages, ..http1(Body::K1, 50, seconds) };
    Row {
        id: "ws-64",
        title: "WebSocket over HTTP/1.1, a message of 64 bytes at a time on each of 50 connections: CPU of the server per \
            message",
        metric: Metric::ServerPerRequest,
        load,
        limit: None,
        contenders: vec![
            contender("dummy-server", Server::DummyServer, Client::Sockets),
            contender("tokio-tungstenite", Server::Tungstenite, Client::Sockets).at_most(0.85),
        ],
    }
}

fn tls(id: &'static str, title: &'static str, handshake: Handshake, seconds: f64) -> Row {
    let (protocol, targets) = (Protocol::Tls, Targets::Handshakes(handshake));
    Row {
        id,
        title,
        metric: Metric::ServerPerRequest,
        load: Load { protocol, targets, ..http1(Body::K1, 16, seconds) },
        limit: None,
        contenders: vec![
            contender("dummy-server", Server::DummyServer, Client::Handshakes),
            contender("nginx, return 200", Server::NginxReturn, Client::Handshakes),
        ],
    }
}
