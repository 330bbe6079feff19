//! The settings of a server, as all parts of it see them: checked, and never changed while it runs. How they are read
//! from flags is the business of `config`.

mod instances;
mod push;

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;
use tracing::Level;
use transport::Address;

pub use self::{
    instances::{InstancePorts, Instances},
    push::PushUrl,
};
use crate::{secret::Secret, shown, tls::Tls};

/// The whole configuration of a server. It serializes under the names of the flags: sizes in bytes, durations as
/// flags take them, and null for what is off.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// Where HTTP/1.1 and h2c are served.
    #[serde(serialize_with = "shown::text")]
    pub addr: Address,
    /// Where gRPC is served.
    #[serde(serialize_with = "shown::optional_text")]
    pub grpc_addr: Option<Address>,
    /// Where the admin endpoints are served.
    #[serde(serialize_with = "shown::optional_text")]
    pub admin_addr: Option<Address>,
    /// Where CPU profiles are served.
    #[serde(serialize_with = "shown::optional_text")]
    pub pprof_addr: Option<Address>,
    /// The flags of addresses that were not given, and that `--port` would move.
    #[serde(skip)]
    pub(crate) moved_by_port: Vec<&'static str>,
    /// What is served over TLS.
    #[serde(flatten)]
    pub tls: Option<Tls>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Largest contiguous piece of the pattern, in bytes.
    pub buffer_size: usize,
    /// What is logged of the server itself.
    #[serde(serialize_with = "shown::lower_case")]
    pub log_level: Level,
    /// The form of that log.
    pub log_format: Format,
    /// How often a line of figures is logged.
    #[serde(serialize_with = "shown::optional_duration")]
    pub mem_interval: Option<Duration>,
    /// Where the process id is written.
    pub pidfile: Option<PathBuf>,
    /// Number of worker threads.
    pub workers: NonZeroUsize,
    /// Whether each worker stays on one CPU.
    pub pin_cpus: bool,
    /// What `x-dummy-instance` says: visible ASCII.
    pub instance: String,
    /// The servers in this process: of several, each has its own name, ports and workers.
    #[serde(flatten)]
    pub instances: Instances,
    /// Whether other processes may listen on the same ports.
    pub share_port: bool,
    /// What is done to every request, as pairs of a query in their canonical form; empty is nothing.
    pub behaviour: String,
    /// How much requests and replies may hold in all, in bytes.
    pub memory_budget: u64,
    /// Whether pages of other origins may send requests and read the replies (CORS).
    pub cors: bool,
    /// The limits of connections, streams and messages.
    #[serde(flatten)]
    pub limits: Limits,
    /// How long readiness is false before listeners close.
    #[serde(serialize_with = "shown::duration")]
    pub drain_delay: Duration,
    /// How long requests in flight may take after that.
    #[serde(serialize_with = "shown::duration")]
    pub drain_timeout: Duration,
    /// Where what was seen of verified runs is posted at the end.
    #[serde(serialize_with = "shown::optional_text")]
    pub ledger_push: Option<PushUrl>,
    /// Clients that send it may use the whole admin port.
    #[serde(skip)]
    pub admin_token: Option<Secret>,
    /// What is logged of requests.
    pub access_log: Option<AccessLog>,
    /// What HTTP/2 clients are allowed.
    #[serde(flatten)]
    pub http2: Http2,
}

/// What HTTP/2 clients are allowed (RFC 9113 section 6.5.2), each with a flag of the same name and `h2-` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Http2 {
    /// Bytes that they may send on a stream ahead of the endpoint that reads: 1 to 2^31 - 1.
    #[serde(rename = "h2-stream-window")]
    pub stream_window: u32,
    /// The same on a connection, for all of its streams: 65,535 to 2^31 - 1.
    #[serde(rename = "h2-connection-window")]
    pub connection_window: u32,
    /// Bytes of the largest frame: 2^14 to 2^24 - 1.
    #[serde(rename = "h2-max-frame-size")]
    pub max_frame_size: u32,
    /// Bytes of the table with which they may compress fields.
    #[serde(rename = "h2-header-table-size")]
    pub header_table_size: u32,
}

/// Whether connections for HTTP, TLS and gRPC begin with a PROXY header, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// They don't; what looks like one is a bad request.
    Off,
    /// Some do: any client can then claim to be any other.
    Optional,
    /// All do; others are closed.
    Required,
}

/// Limits, each with a flag of the same name.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Maximum number of open connections, over all workers.
    pub max_connections: u64,
    /// Maximum concurrent HTTP/2 streams per connection.
    pub max_streams: u32,
    /// How long a connection may be without a request.
    #[serde(serialize_with = "shown::optional_duration")]
    pub idle_timeout: Option<Duration>,
    /// How long a connection may live.
    #[serde(serialize_with = "shown::optional_duration")]
    pub max_connection_age: Option<Duration>,
    /// How long the first bytes of a connection and each request's head may take.
    #[serde(serialize_with = "shown::optional_duration")]
    pub header_timeout: Option<Duration>,
    /// How long a client may neither take what waits for it nor send what an endpoint waits for.
    #[serde(serialize_with = "shown::optional_duration")]
    pub stall_timeout: Option<Duration>,
    /// How long nothing may be sent to a client that has closed its end.
    #[serde(serialize_with = "shown::optional_duration")]
    pub half_close_timeout: Option<Duration>,
    /// Largest head of a request, in bytes.
    pub max_header_bytes: u32,
    /// How much of a body the echo repeats, in bytes.
    pub max_body_echo: usize,
    /// Largest gRPC message, in bytes.
    pub grpc_max_message: usize,
    /// Largest WebSocket message, in bytes.
    pub ws_max_message: usize,
    /// Largest WebSocket frame, in bytes.
    pub ws_max_frame: u64,
    /// How long a WebSocket message may take to come whole.
    #[serde(serialize_with = "shown::optional_duration")]
    pub ws_message_timeout: Option<Duration>,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccessLog {
    /// The form of a line.
    pub format: Format,
    /// Each worker logs its first request, and then every one_in-th.
    #[serde(rename = "sample")]
    pub one_in: NonZeroU64,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A JSON object. What does not apply is left out.
    Json,
    /// Words; what comes from the client stands in quotes. What does not apply is `-`.
    Text,
}

/// Which port accepted a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// HTTP/1.1 and h2c.
    Http,
    /// gRPC.
    Grpc,
    /// HTTP/1.1 and HTTP/2 over TLS.
    Tls,
}

/// Where a flag has the server listen that was not typed; for TLS, which is off then, an example.
pub(crate) fn usual_address(flag: &str) -> &'static str {
    match flag {
        "grpc-addr" => ":50051",
        "tls-addr" => ":8443",
        "admin-addr" => "127.0.0.1:9091",
        "pprof-addr" => "localhost:6060",
        _ => ":8080",
    }
}
