//! The keys that plans have, by where they stand.

/// What a plan may say.
pub(super) const PLAN: &[&str] =
    &["target", "targets", "seed", "proto", "proto_path", "defaults", "requests", "load", "loads"];
/// What `defaults` may say.
pub(super) const DEFAULTS: &[&str] = &[
    "method",
    "path",
    "headers",
    "body",
    "body_file",
    "body_template",
    "chunked",
    "trailers",
    "expect_continue",
    "rows",
    "expect",
    "deadline",
    "grpc_encoding",
    "messages",
    "message_interval",
    "raw_message",
];
/// What a request may say beside what `defaults` may.
pub(super) const OF_REQUEST: &[&str] = &["name", "target", "weight", "count"];

/// What `load` may say.
pub(crate) const LOAD: &[&str] = &[
    "rate",
    "stages",
    "poisson",
    "warmup",
    "max_lag",
    "coalesce",
    "total",
    "duration",
    "max_in_flight",
    "on_overload",
    "connections",
    "fixed_connections",
    "streams",
    "timeout",
    "connect_timeout",
    "workers",
    "h2_stream_window",
    "h2_connection_window",
    "h2_max_frame_size",
    "h2_header_table_size",
    "pipeline",
    "follow",
    "idle_connections",
    "recv_rate",
    "send_rate",
    "message_size",
    "binary",
    "ping_interval",
];
/// What a target has that is more than text.
pub(super) const TARGET: &[&str] = &["url", "cacert", "insecure", "cert", "key", "sni", "tls_min_version"];

/// What a flag is called in a plan, if it can be said there.
pub(super) fn key_of(flag: &str) -> Option<String> {
    let key = match flag {
        "header" => "headers".to_owned(),
        "trailer" => "trailers".to_owned(),
        flag => flag.replace('-', "_"),
    };
    [PLAN, DEFAULTS, OF_REQUEST, LOAD, TARGET].iter().any(|keys| keys.contains(&&*key)).then_some(key)
}
