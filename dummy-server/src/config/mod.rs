//! What is meant: built once from [`Args`], valid by construction. `typed` reads single values.

mod addresses;
mod tls;
mod typed;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::Serialize;
use tracing::Level;
use transport::Address;

use self::{
    addresses::Addresses,
    typed::{
        access_log, admin_token, behaviour, duration, instance, log_format, log_level, number, refused, size,
        switch, unless_zero, workers,
    },
};
use crate::{AccessLog, Args, Format, Secret, shown, tls::Tls};

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
    /// Who knows it may use the whole admin port.
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

impl Default for Http2 {
    fn default() -> Self {
        Self {
            stream_window: 256 << 10,
            // One slow stream must not hold up the others.
            connection_window: 64 << 20,
            max_frame_size: 16 << 10,
            header_table_size: 4 << 10,
        }
    }
}

/// Whether connections for HTTP, TLS and gRPC begin with a PROXY header, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// They don't; what looks like one is a bad request.
    Off,
    /// Some do: whoever can connect can say that it is anybody.
    Optional,
    /// All do; others are closed.
    Required,
}

/// Limits, each with a flag of the same name.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Most connections open at once, over all workers.
    pub max_connections: u64,
    /// Most HTTP/2 streams open at once on a connection.
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

/// A value that is not accepted.
#[derive(Debug, thiserror::Error)]
#[error("invalid value '{value}' for --{flag}: {accepted}")]
pub struct ConfigError {
    flag: &'static str,
    value: String,
    accepted: String,
}

/// What requests and replies may hold in all, in bytes.
const DEFAULT_MEMORY: u64 = 256 << 20;
/// The most of the cgroup's memory that they may hold: one in so many bytes.
const PART_OF_CGROUP: u64 = 4;

/// As much as was asked for, and no more than a quarter of what the cgroup grants.
fn memory_budget(asked: u64, cgroup: Option<u64>) -> u64 {
    cgroup.map_or(asked, |limit| asked.min(limit / PART_OF_CGROUP))
}

/// RFC 9113 section 6.9.1.
const LARGEST_WINDOW: u64 = (1 << 31) - 1;

impl Config {
    /// Reads flags, without a program name and without the environment's help: for servers in the same
    /// process.
    ///
    /// # Errors
    /// A flag or value that is not accepted.
    pub fn from_args(words: &[&str]) -> anyhow::Result<Self> {
        Ok(Self::try_from(Args::read(["dummy-server"].iter().chain(words))?)?)
    }

    /// A server for the same process: on a port of loopback that the system chooses, without admin, gRPC
    /// and profile ports.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            addr: Address::Tcp((std::net::Ipv4Addr::LOCALHOST, 0).into()),
            grpc_addr: None,
            admin_addr: None,
            pprof_addr: None,
            moved_by_port: Vec::new(),
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            buffer_size: 256 << 10,
            log_level: Level::INFO,
            log_format: Format::Text,
            mem_interval: None,
            pidfile: None,
            workers: runtime::cpus::available(),
            pin_cpus: false,
            instance: "embedded".to_owned(),
            share_port: false,
            behaviour: String::new(),
            memory_budget: memory_budget(DEFAULT_MEMORY, runtime::memory::limit()),
            cors: false,
            limits: Limits {
                max_connections: 262_144,
                max_streams: 1000,
                idle_timeout: Some(Duration::from_secs(75)),
                max_connection_age: None,
                header_timeout: Some(Duration::from_secs(10)),
                stall_timeout: Some(Duration::from_secs(60)),
                half_close_timeout: Some(Duration::from_secs(10)),
                max_header_bytes: 64 << 10,
                max_body_echo: 1 << 20,
                grpc_max_message: 10 << 20,
                ws_max_message: 16 << 20,
                ws_max_frame: 16 << 20,
                ws_message_timeout: Some(Duration::from_secs(60)),
            },
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(60),
            admin_token: None,
            access_log: None,
            http2: Http2::default(),
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let access_log = access_log(&args)?;
        let addresses = Addresses::read(&args)?;
        let tls = tls::parse(&args)?;
        let admin_token = admin_token(args.admin_token, &args.admin_token_file)?;
        Ok(Self {
            addr: addresses.http,
            grpc_addr: addresses.grpc,
            admin_addr: addresses.admin,
            pprof_addr: addresses.pprof,
            moved_by_port: addresses.moved_by_port,
            tls,
            proxy_protocol: match args.proxy_protocol.as_str() {
                "off" => ProxyProtocol::Off,
                "optional" => ProxyProtocol::Optional,
                "required" => ProxyProtocol::Required,
                other => return Err(refused("proxy-protocol", other, "write off, optional or required")),
            },
            buffer_size: number::<usize>("buffer-size", &args.buffer_size, &(64..=4096))? << 10,
            log_level: log_level(&args.log_level)?,
            log_format: log_format(&args.log_format)?,
            mem_interval: unless_zero(duration("mem-interval", &args.mem_interval)?),
            pidfile: (!args.pidfile.is_empty()).then(|| args.pidfile.into()),
            workers: match &args.workers {
                None => runtime::cpus::available(),
                Some(text) => workers(text)?,
            },
            pin_cpus: switch("pin-cpus", &args.pin_cpus)?,
            instance: instance(args.instance)?,
            share_port: switch("share-port", &args.share_port)?,
            behaviour: behaviour(&args.behaviour)?,
            cors: switch("cors", &args.cors)?,
            memory_budget: memory_budget(
                size("memory-budget", &args.memory_budget, &(1 << 20..=1 << 40))?,
                runtime::memory::limit(),
            ),
            limits: Limits {
                max_connections: number("max-connections", &args.max_connections, &(1..=100_000_000))?,
                max_streams: number("max-streams", &args.max_streams, &(1..=0x7fff_ffff))?,
                idle_timeout: unless_zero(duration("idle-timeout", &args.idle_timeout)?),
                max_connection_age: unless_zero(duration("max-connection-age", &args.max_connection_age)?),
                header_timeout: unless_zero(duration("header-timeout", &args.header_timeout)?),
                stall_timeout: unless_zero(duration("stall-timeout", &args.stall_timeout)?),
                half_close_timeout: unless_zero(duration("half-close-timeout", &args.half_close_timeout)?),
                max_header_bytes: size("max-header-bytes", &args.max_header_bytes, &(8 << 10..=16 << 20))?,
                max_body_echo: size("max-body-echo", &args.max_body_echo, &(0..=1 << 30))?,
                grpc_max_message: size("grpc-max-message", &args.grpc_max_message, &(1..=1 << 31))?,
                ws_max_message: size("ws-max-message", &args.ws_max_message, &(1..=1 << 31))?,
                ws_max_frame: size("ws-max-frame", &args.ws_max_frame, &(1..=1 << 31))?,
                ws_message_timeout: unless_zero(duration("ws-message-timeout", &args.ws_message_timeout)?),
            },
            drain_delay: duration("drain-delay", &args.drain_delay)?,
            drain_timeout: duration("drain-timeout", &args.drain_timeout)?,
            admin_token,
            access_log,
            http2: Http2 {
                stream_window: size("h2-stream-window", &args.h2_stream_window, &(1..=LARGEST_WINDOW))?,
                connection_window: size(
                    "h2-connection-window",
                    &args.h2_connection_window,
                    &(65_535..=LARGEST_WINDOW),
                )?,
                max_frame_size: size(
                    "h2-max-frame-size",
                    &args.h2_max_frame_size,
                    &(1 << 14..=(1 << 24) - 1),
                )?,
                header_table_size: size(
                    "h2-header-table-size",
                    &args.h2_header_table_size,
                    &(0..=u64::from(u32::MAX)),
                )?,
            },
        })
    }
}

#[cfg(test)]
mod tests;
