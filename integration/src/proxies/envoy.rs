//! Envoy: each version of HTTP to the same version behind, WebSocket upgrades allowed.

use std::{net::SocketAddr, path::Path, process::Command};

use crate::proxy::{Behind, Fronts, Kind};

/// Envoy.
pub const ENVOY: Kind = Kind {
    tool: "envoy",
    configuration: |behind, fronts, _| configured("http1", behind, fronts, None),
    command,
};

/// The same, which speaks HTTP/2 to the server behind whatever the client speaks: WebSockets of HTTP/1.1 go there by
/// extended CONNECT.
pub const ENVOY_H2_BEHIND: Kind =
    Kind { configuration: |behind, fronts, _| configured("h2c", behind, fronts, None), ..ENVOY };

/// The same as the first, which ends the client's TLS. In its directory it looks for `front.pem`, its certificate with the
/// key. Where it speaks HTTP/2, it offers HTTP/1.1, too, and speaks HTTP/2 to the server behind for both.
pub const ENVOY_TLS: Kind = Kind {
    configuration: |behind, fronts, directory| {
        configured("http1", behind, fronts, Some(&directory.join("front.pem")))
    },
    ..ENVOY
};

fn configured(behind_http1: &str, behind: Behind, fronts: Fronts, certificate: Option<&Path>) -> String {
    let tls = |alpn: &str| certificate.map_or_else(String::new, |file| tls(file, alpn));
    // Which version it is, ALPN says.
    let h2 = if certificate.is_some() { "AUTO" } else { "HTTP2" };
    let listeners = [
        listener("http1", "HTTP1", fronts.http1, behind_http1, &tls("http/1.1")),
        listener("h2c", h2, fronts.h2c, "h2c", &tls("h2, http/1.1")),
        listener("grpc", "HTTP2", fronts.grpc, "grpc", &tls("h2")),
    ];
    let clusters = [
        cluster("http1", "http_protocol_options: {}", behind.http),
        cluster("h2c", "http2_protocol_options: {allow_connect: true}", behind.http),
        cluster("grpc", "http2_protocol_options: {}", behind.grpc),
    ];
    format!("static_resources:\n  listeners:\n{}  clusters:\n{}", listeners.concat(), clusters.concat())
}

/// What a chain of filters has beside them when it ends TLS.
fn tls(certificate: &Path, alpn: &str) -> String {
    let context = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let file = certificate.display();
    format!(
        "
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/{context}
          common_tls_context:
            alpn_protocols: [{alpn}]
            tls_certificates: [{{certificate_chain: {{filename: {file}}}, private_key: {{filename: {file}}}}}]
"
    )
}

fn listener(name: &str, codec: &str, address: SocketAddr, cluster: &str, tls: &str) -> String {
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
{tls}",
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
