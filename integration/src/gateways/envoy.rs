//! Envoy, restarted hot: the way its authors replace one configuration by another without a control plane.
//!
//! Recommended is what its documentation says of a proxy at the edge: limits for buffers, streams and idle connections, the
//! client's address, and fields with underscores refused; and for servers behind it, health checks.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Gateway, Pair, Reload, Setting};

/// Envoy.
pub const ENVOY: Gateway = Gateway {
    name: "envoy",
    tool: "envoy",
    version: &["--version"],
    pairs: &Pair::ALL,
    balances: Ok(()),
    replaces_processes: true,
    has_recommendation: true,
    configuration,
    command,
    left_behind: shared_memory,
    reload: Reload::Signal("USR1"),
};

/// As `hot-restarter.py` of its authors: on a signal another Envoy begins, takes over the sockets, and ends the one before. It is
/// not SIGHUP, which a shell that nohup began can't trap. The words are the program and its arguments.
const RESTARTER: &str = "#!/usr/bin/env bash
epoch=0
run() { \"$@\" --restart-epoch $epoch & }
trap 'epoch=$((epoch + 1)); run \"$@\"' USR1
run \"$@\"
while [[ -n $(jobs -pr) ]]; do wait -n; done
";

fn configuration(setting: &Setting<'_>) -> String {
    let is_recommended = setting.tuning.is_recommended();
    let extensions = "envoy.extensions";
    let options = format!("{extensions}.upstreams.http.v3.HttpProtocolOptions");
    let protocol = match setting.pair {
        Pair::H2c => "http2_protocol_options: {}",
        _ => "http_protocol_options: {}",
    };
    let checks = Setting::only_if(
        is_recommended,
        "    per_connection_buffer_limit_bytes: 32768
    health_checks:
    - {timeout: 1s, interval: 0.5s, unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: {path: /health}}
",
    );
    format!(
        "static_resources:
  listeners:
  - name: front
    address: {address}
{listener_limit}    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          codec_type: {codec}
{edge}          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{{match: {{prefix: \"/\"}}, route: {{cluster: servers}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{\"@type\": type.googleapis.com/{extensions}.filters.http.router.v3.Router}}
{tls}  clusters:
  - name: servers
    type: STATIC
    lb_policy: ROUND_ROBIN
    connect_timeout: 5s
{checks}    typed_extension_protocol_options:
      {options}:
        \"@type\": type.googleapis.com/{options}
        explicit_http_config: {{{protocol}}}
    load_assignment:
      cluster_name: servers
      endpoints:
      - lb_endpoints:
{servers}",
        address = socket_address(setting.front),
        listener_limit =
            Setting::only_if(is_recommended, "    per_connection_buffer_limit_bytes: 32768\n"),
        codec = match setting.pair {
            Pair::Http1 => "HTTP1",
            Pair::H2cToHttp1 | Pair::H2c => "HTTP2",
            Pair::TlsToHttp1 => "AUTO",
        },
        edge = Setting::only_if(
            is_recommended,
            "          use_remote_address: true
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
          common_http_protocol_options:
            idle_timeout: 3600s
            headers_with_underscores_action: REJECT_REQUEST
          http2_protocol_options:
            max_concurrent_streams: 100
            initial_stream_window_size: 65536
            initial_connection_window_size: 1048576
          stream_idle_timeout: 300s
          request_timeout: 300s
          upgrade_configs: [{upgrade_type: websocket}]
"
        ),
        tls = setting.over_tls(tls),
        servers = setting.each(|_, address| {
            format!("        - endpoint: {{address: {}}}\n", socket_address(address))
        }),
    )
}

fn socket_address(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: \"{}\", port_value: {}}}}}", address.ip(), address.port())
}

/// What a chain of filters has beside them when it ends TLS.
fn tls(chain: &Path, key: &Path) -> String {
    let context = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let (chain, key) = (chain.display(), key.display());
    format!(
        "      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/{context}
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [{{certificate_chain: {{filename: {chain}}}, private_key: {{filename: {key}}}}}]
"
    )
}

fn command(program: &Path, setting: &Setting<'_>, file: &Path) -> Command {
    let restarter = setting.directory.join("restarter.sh");
    fs::write(&restarter, RESTARTER).expect("a file is written");
    // It detects the format by this name.
    let named = file.with_extension("yaml");
    fs::copy(file, &named).expect("a file is written");
    let mut command = Command::new("bash");
    command.arg(restarter).arg(program).arg("--config-path").arg(named);
    command.args(["--base-id", &base_id(setting.front), "--concurrency", "1", "--log-level", "error"]);
    command.args(["--drain-time-s", "1", "--parent-shutdown-time-s", "2"]);
    command
}

/// What those of one restarter share has the number of a port, which nobody else has meanwhile.
fn base_id(front: SocketAddr) -> String {
    front.port().to_string()
}

/// Each that shares memory leaves it behind: Envoy never takes it away, and it has ten numbers for each base id.
fn shared_memory(front: SocketAddr) -> Option<PathBuf> {
    Some(PathBuf::from(format!("/dev/shm/envoy_shared_memory_{}0", base_id(front))))
}
