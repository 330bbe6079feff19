//! From [`Args`], what was typed, to [`Config`], what is meant: read once, valid by construction. `typed` reads single
//! values.

mod addresses;
mod instances;
mod tls;
mod typed;

use std::num::NonZeroUsize;

use clap::Parser as _;
use command_line::Refusal;
use tracing::Level;

use self::{
    addresses::DefaultAddresses,
    typed::{
        ADDRESS, access_log, admin_token, behaviour, duration, ledger_push, number, one_of, refused, size,
        switch, unless_zero,
    },
};
use crate::{
    args::Args,
    settings::{Config, Format, Http2, Limits, ProxyProtocol},
};

/// A value that is not accepted: one line that says what is wrong with which input, what is accepted, and an example.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ConfigError(Refusal);

const PROXY_PROTOCOL: [(&str, ProxyProtocol); 3] = [
    ("off", ProxyProtocol::Off),
    ("optional", ProxyProtocol::Optional),
    ("required", ProxyProtocol::Required),
];

const LOG_LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// The most of the cgroup's memory that requests and replies may hold: one byte in this number.
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
    /// and profile ports. Variables, which are for servers that are processes of their own, change nothing of it.
    #[must_use]
    pub fn embedded() -> Self {
        let flags =
            ["--addr=127.0.0.1:0", "--grpc-addr=", "--admin-addr=", "--pprof-addr=", "--instance=embedded"];
        let args = Args::try_parse_from(["dummy-server"].into_iter().chain(flags));
        Self::read(args.expect("these are flags")).expect("their values and the defaults are accepted")
    }
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let variables = args.variables.clone();
        Self::read(args).map_err(|ConfigError(refusal)| ConfigError(refusal.naming(&variables)))
    }
}

impl Config {
    fn read(args: Args) -> Result<Self, ConfigError> {
        let access_log = access_log(&args)?;
        let mut default = DefaultAddresses::moved_to(args.port.as_ref())?;
        let addr = default.unless_typed("addr", args.addr.as_ref())?;
        let (instance, instances) = instances::parse(&args)?;
        let config = Self {
            addr: addr.ok_or_else(|| refused("addr", "", ADDRESS))?,
            grpc_addr: default.unless_typed("grpc-addr", args.grpc_addr.as_ref())?,
            admin_addr: default.unless_typed("admin-addr", args.admin_addr.as_ref())?,
            pprof_addr: default.unless_typed("pprof-addr", args.pprof_addr.as_ref())?,
            moved_by_port: default.used,
            tls: tls::parse(&args)?,
            proxy_protocol: one_of("proxy-protocol", &args.proxy_protocol, &PROXY_PROTOCOL)?,
            buffer_size: number::<usize>("buffer-size", &args.buffer_size, &(64..=4096))? << 10,
            log_level: one_of("log-level", &args.log_level, &LOG_LEVELS)?,
            log_format: one_of(
                "log-format",
                &args.log_format,
                &[("text", Format::Text), ("json", Format::Json)],
            )?,
            mem_interval: unless_zero(duration("mem-interval", &args.mem_interval)?),
            pidfile: (!args.pidfile.is_empty()).then(|| args.pidfile.into()),
            workers: match &args.workers {
                None => runtime::cpus::available(),
                Some(text) => {
                    NonZeroUsize::new(number("workers", text, &(1..=1024))?).unwrap_or(NonZeroUsize::MIN)
                }
            },
            pin_cpus: switch("pin-cpus", &args.pin_cpus)?,
            instance,
            instances,
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
            ledger_push: ledger_push(&args.ledger_push)?,
            admin_token: admin_token(args.admin_token, &args.admin_token_file)?,
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
        };
        instances::check_ports(&config, args.port.is_some())?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
