//! Envoy: each version of HTTP to the same version behind, WebSocket upgrades allowed.

use std::{net::SocketAddr, path::Path, process::Command};

use crate::proxy::{Behind, Fronts, Kind};

/// Envoy.
pub const ENVOY: Kind =
    Kind { tool: "envoy", configuration: |behind, fronts, _| configured("http1", behind, fronts), command };

/// The same, which speaks HTTP/2 to the server behind whatever the client speaks: WebSockets of HTTP/1.1 go there by
/// extended CONNECT.
pub const ENVOY_H2_BEHIND: Kind =
    Kind { configuration: |behind, fronts, _| configured("h2c", behind, fronts), ..ENVOY };

fn configured(behind_http1: &str, behind: Behind, fronts: Fronts) -> String {
    let listeners = [
        listener("http1", "HTTP1", fronts.http1, behind_http1),
        listener("h2c", "HTTP2", fronts.h2c, "h2c"),
        listener("grpc", "HTTP2", fronts.grpc, "grpc"),
    ];
    let clusters = [
        cluster("http1", "http_protocol_options: {}", behind.http),
        cluster("h2c", "http2_protocol_options: {allow_connect: true}", behind.http),
        cluster("grpc", "http2_protocol_options: {}", behind.grpc),
    ];
    format!("static_resources:\n  listeners:\n{}  clusters:\n{}", listeners.concat(), clusters.concat())
}

fn listener(name: &str, codec: &str, address: SocketAddr, cluster: &str) -> String {
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "envoy.extensions.filters.http.router.v3.Router";
    format!(
        "
  - name: {name}
    address: {{socket_address: {{address: \"{ip}\", port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/{manager}
          stat_prefix: {name}
          codec_type: {codec}
          generate_request_id: false
          preserve_external_request_id: true
          stream_idle_timeout: 60s
          upgrade_configs: [{{upgrade_type: websocket}}]
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{{match: {{prefix: \"/\"}}, route: {{cluster: {cluster}, timeout: 60s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{\"@type\": type.googleapis.com/{router}}}
",
        ip = address.ip(),
        port = address.port(),
    )
}

fn cluster(name: &str, protocol: &str, address: SocketAddr) -> String {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    format!(
        "
  - name: {name}
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_pending_requests: 65536, max_requests: 65536}}]}}
    typed_extension_protocol_options:
      {options}:
        \"@type\": type.googleapis.com/{options}
        explicit_http_config: {{{protocol}}}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: \"{ip}\", port_value: {port}}}}}}}
",
        ip = address.ip(),
        port = address.port(),
    )
}

fn command(program: &Path, _directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--config-path").arg(configuration);
    // One of many on this machine: no restarts, so no shared memory; one thread; quiet.
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]);
    command
}
