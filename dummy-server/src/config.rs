//! What is meant: built once from [`Args`], valid by construction.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use serde::Serialize;
use transport::Address;

use crate::{AccessLog, Args, Format, Secret, behaviour::Behaviour, quantity, shown, tls::Tls};

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
    /// What is served over TLS.
    #[serde(flatten)]
    pub tls: Option<Tls>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Largest contiguous piece of the pattern, in bytes.
    pub buffer_size: usize,
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
    /// What is done to every request, as pairs of a query; empty is nothing.
    pub behaviour: String,
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

const DURATION: &str = "write a duration such as 500ms, 10s or 1m30s";
const SIZE: &str = "write a size such as 4096, 64K or 10M";
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
            tls: None,
            proxy_protocol: ProxyProtocol::Off,
            buffer_size: 256 << 10,
            mem_interval: None,
            pidfile: None,
            workers: runtime::cpus::available(),
            pin_cpus: false,
            instance: "embedded".to_owned(),
            share_port: false,
            behaviour: String::new(),
            limits: Limits {
                max_connections: 262_144,
                max_streams: 1000,
                idle_timeout: Some(Duration::from_secs(75)),
                max_connection_age: None,
                header_timeout: Some(Duration::from_secs(10)),
                stall_timeout: Some(Duration::from_secs(60)),
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
        let tls = Tls::from_args(&args)?;
        let admin_token = admin_token(args.admin_token, &args.admin_token_file)?;
        Ok(Self {
            addr: address("addr", &args.addr)?,
            grpc_addr: optional_address("grpc-addr", &args.grpc_addr)?,
            admin_addr: optional_address("admin-addr", &args.admin_addr)?,
            pprof_addr: optional_address("pprof-addr", &args.pprof_addr)?,
            tls,
            proxy_protocol: match args.proxy_protocol.as_str() {
                "off" => ProxyProtocol::Off,
                "optional" => ProxyProtocol::Optional,
                "required" => ProxyProtocol::Required,
                other => return Err(refused("proxy-protocol", other, "write off, optional or required")),
            },
            buffer_size: number::<usize>("buffer-size", &args.buffer_size, 64, 4096)? << 10,
            mem_interval: unless_zero(duration("mem-interval", &args.mem_interval)?),
            pidfile: (!args.pidfile.is_empty()).then(|| args.pidfile.into()),
            workers: match &args.workers {
                None => runtime::cpus::available(),
                Some(text) => workers(text)?,
            },
            pin_cpus: switch("pin-cpus", &args.pin_cpus)?,
            instance: instance(args.instance)?,
            share_port: switch("share-port", &args.share_port)?,
            behaviour: behaviour(args.behaviour)?,
            limits: Limits {
                max_connections: number("max-connections", &args.max_connections, 1, 100_000_000)?,
                max_streams: number("max-streams", &args.max_streams, 1, 0x7fff_ffff)?,
                idle_timeout: unless_zero(duration("idle-timeout", &args.idle_timeout)?),
                max_connection_age: unless_zero(duration("max-connection-age", &args.max_connection_age)?),
                header_timeout: unless_zero(duration("header-timeout", &args.header_timeout)?),
                stall_timeout: unless_zero(duration("stall-timeout", &args.stall_timeout)?),
                max_header_bytes: size("max-header-bytes", &args.max_header_bytes, 8 << 10, 16 << 20)?,
                max_body_echo: size("max-body-echo", &args.max_body_echo, 0, 1 << 30)?,
                grpc_max_message: size("grpc-max-message", &args.grpc_max_message, 1, 1 << 31)?,
                ws_max_message: size("ws-max-message", &args.ws_max_message, 1, 1 << 31)?,
                ws_max_frame: size("ws-max-frame", &args.ws_max_frame, 1, 1 << 31)?,
                ws_message_timeout: unless_zero(duration("ws-message-timeout", &args.ws_message_timeout)?),
            },
            drain_delay: duration("drain-delay", &args.drain_delay)?,
            drain_timeout: duration("drain-timeout", &args.drain_timeout)?,
            admin_token,
            access_log,
            http2: Http2 {
                stream_window: size("h2-stream-window", &args.h2_stream_window, 1, LARGEST_WINDOW)?,
                connection_window: size(
                    "h2-connection-window",
                    &args.h2_connection_window,
                    65_535,
                    LARGEST_WINDOW,
                )?,
                max_frame_size: size("h2-max-frame-size", &args.h2_max_frame_size, 1 << 14, (1 << 24) - 1)?,
                header_table_size: size(
                    "h2-header-table-size",
                    &args.h2_header_table_size,
                    0,
                    u64::from(u32::MAX),
                )?,
            },
        })
    }
}

pub(crate) fn refused(flag: &'static str, value: &str, accepted: impl Into<String>) -> ConfigError {
    ConfigError { flag, value: value.to_owned(), accepted: accepted.into() }
}

fn address(flag: &'static str, text: &str) -> Result<Address, ConfigError> {
    text.parse().map_err(|_| {
        refused(flag, text, "write ip:port, [ip6]:port, name:port, :port for all interfaces, or unix:/path")
    })
}

pub(crate) fn optional_address(flag: &'static str, text: &str) -> Result<Option<Address>, ConfigError> {
    if text.is_empty() { Ok(None) } else { address(flag, text).map(Some) }
}

fn number<T: TryFrom<u64>>(flag: &'static str, text: &str, least: u64, most: u64) -> Result<T, ConfigError> {
    quantity::count(text)
        .filter(|number| (least..=most).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| refused(flag, text, format!("write a whole number from {least} to {most}")))
}

fn workers(text: &str) -> Result<NonZeroUsize, ConfigError> {
    let count: usize = number("workers", text, 1, 1024)?;
    Ok(NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN))
}

fn size<T: TryFrom<u64>>(flag: &'static str, text: &str, least: u64, most: u64) -> Result<T, ConfigError> {
    quantity::size(text)
        .filter(|size| (least..=most).contains(size))
        .and_then(|size| T::try_from(size).ok())
        .ok_or_else(|| refused(flag, text, format!("{SIZE}, from {least} to {most} bytes")))
}

fn duration(flag: &'static str, text: &str) -> Result<Duration, ConfigError> {
    quantity::duration(text).ok_or_else(|| refused(flag, text, DURATION))
}

fn unless_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

pub(crate) fn switch(flag: &'static str, text: &str) -> Result<bool, ConfigError> {
    match text {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
        _ => Err(refused(flag, text, "write true or false")),
    }
}

fn behaviour(typed: String) -> Result<String, ConfigError> {
    match Behaviour::parse(&typed) {
        Ok(_) => Ok(typed),
        Err(bad) => Err(refused("behaviour", &typed, format!("{}; accepted: {}", bad.error, bad.accepted))),
    }
}

/// `--quiet` is the flag of the Go server of the same purpose.
fn access_log(args: &Args) -> Result<Option<AccessLog>, ConfigError> {
    let quiet = switch("quiet", &args.quiet)?;
    let most = u64::from(u32::MAX);
    let one_in = number("access-log-sample", &args.access_log_sample, 1, most)?;
    let one_in = NonZeroU64::new(one_in).unwrap_or(NonZeroU64::MIN);
    let format = match args.access_log.as_deref() {
        None if quiet => return Ok(None),
        Some("off") => return Ok(None),
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(refused("access-log", other, "write json, text or off")),
    };
    Ok(Some(AccessLog { format, one_in }))
}

/// A token comes from one place, and it is not repeated in a complaint.
fn admin_token(typed: Option<Secret>, file: &str) -> Result<Option<Secret>, ConfigError> {
    let (flag, shown, token) = match (typed, file) {
        (None, "") => return Ok(None),
        (Some(token), "") => ("admin-token", "***", token),
        (Some(_), path) => {
            return Err(refused(
                "admin-token-file",
                path,
                "there is an --admin-token as well, give one of them",
            ));
        }
        (None, path) => {
            let unread = |error| refused("admin-token-file", path, format!("can't read it: {error}"));
            let text = std::fs::read_to_string(path).map_err(unread)?;
            ("admin-token-file", path, Secret::from(text.trim_end().to_owned()))
        }
    };
    let form = "write 8 to 1024 visible ASCII characters without spaces";
    if token.is_token() { Ok(Some(token)) } else { Err(refused(flag, shown, form)) }
}

fn instance(typed: Option<String>) -> Result<String, ConfigError> {
    let Some(name) = typed.filter(|name| !name.is_empty()) else { return Ok(visible(&host_name())) };
    if name.len() <= 256 && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(name)
    } else {
        Err(refused("instance", &name, "write 1 to 256 visible ASCII characters without spaces"))
    }
}

/// A name as a field may carry it.
fn visible(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect()
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = Config::from_args(&[]).unwrap();
        assert_eq!(config.addr.to_string(), "0.0.0.0:8080");
        assert_eq!(config.grpc_addr.unwrap().to_string(), "[::]:50051");
        assert_eq!(config.admin_addr.unwrap().to_string(), "127.0.0.1:9091");
        assert_eq!((config.buffer_size, config.access_log), (256 << 10, None));
        assert_eq!(config.http2, Http2::default());
        assert!(config.admin_token.is_none());
        assert_eq!(config.limits.idle_timeout, Some(Duration::from_secs(75)));
        assert_eq!(config.limits.header_timeout, Some(Duration::from_secs(10)));
        assert_eq!(config.limits.stall_timeout, Some(Duration::from_secs(60)));
        assert_eq!((config.limits.ws_max_message, config.limits.ws_max_frame), (16 << 20, 16 << 20));
        assert_eq!(config.limits.ws_message_timeout, Some(Duration::from_secs(60)));
        assert_eq!((config.limits.max_connections, config.limits.max_header_bytes), (262_144, 64 << 10));
        assert_eq!((config.drain_delay, config.drain_timeout), (Duration::ZERO, Duration::from_secs(60)));
        assert!(!config.instance.is_empty());
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_accepted() {
        for (words, said) in [
            (["--buffer-size", "63"], "'63' for --buffer-size: write a whole number from 64 to 4096"),
            (["--buffer-size", "4097"], "from 64 to 4096"),
            (["--addr", "nonsense"], "'nonsense' for --addr: write ip:port"),
            (["--idle-timeout", "soon"], "for --idle-timeout: write a duration such as 500ms"),
            (["--workers", "0"], "for --workers: write a whole number from 1 to 1024"),
            (["--max-header-bytes", "1"], "for --max-header-bytes: write a size such as"),
            (["--instance", "a b"], "for --instance: write 1 to 256 visible"),
            (["--proxy-protocol", "on"], "'on' for --proxy-protocol: write off, optional or required"),
            (["--quiet=maybe", "--pin-cpus"], "'maybe' for --quiet: write true or false"),
            (["--access-log", "xml"], "'xml' for --access-log: write json, text or off"),
            (["--access-log-sample", "0"], "for --access-log-sample: write a whole number from 1"),
            (
                ["--h2-stream-window", "0"],
                "for --h2-stream-window: write a size such as 4096, 64K or 10M, from 1 to",
            ),
            (["--h2-stream-window", "2G"], "from 1 to 2147483647 bytes"),
            (["--h2-connection-window", "63k"], "from 65535 to 2147483647 bytes"),
            (["--h2-max-frame-size", "16383"], "from 16384 to 16777215 bytes"),
            (["--h2-max-frame-size", "16M"], "from 16384 to 16777215 bytes"),
            (["--h2-header-table-size", "4G"], "from 0 to 4294967295 bytes"),
            (["--admin-token", "secret!"], "'***' for --admin-token: write 8 to 1024 visible"),
            (["--admin-token", "with spaces"], "'***' for --admin-token: write 8 to 1024 visible"),
            (
                ["--admin-token-file", "/no/such/file"],
                "'/no/such/file' for --admin-token-file: can't read it",
            ),
        ] {
            let error = Config::from_args(&words).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn empty_and_zero_are_off() {
        let config = Config::from_args(&["-grpc-addr=", "-pprof-addr=", "-admin-addr=", "-idle-timeout=0"]);
        let config = config.unwrap();
        assert!(config.grpc_addr.is_none() && config.pprof_addr.is_none() && config.admin_addr.is_none());
        assert_eq!(config.limits.idle_timeout, None);
    }
    #[test]
    fn the_access_log_has_a_form_and_a_sample() {
        let log = |words: &[&str]| Config::from_args(words).unwrap().access_log;
        let of = |format, one_in| Some(AccessLog { format, one_in: NonZeroU64::new(one_in).unwrap() });
        assert_eq!(log(&["--quiet=false"]), of(Format::Text, 1));
        assert_eq!(log(&["--quiet=false", "--access-log=json"]), of(Format::Json, 1));
        assert_eq!(log(&["--quiet=false", "--access-log=off"]), None);
        assert_eq!(log(&["--access-log=text", "--access-log-sample=100"]), of(Format::Text, 100));
    }

    #[test]
    fn a_token_is_typed_or_in_a_file_but_not_both() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "open-sesame\n").unwrap();
        let flag = format!("--admin-token-file={}", path.display());
        let token = |words: &[&str]| Config::from_args(words).map(|config| config.admin_token.unwrap());
        assert!(token(&[&flag]).unwrap().is(b"open-sesame"));
        assert!(token(&["--admin-token=open-sesame"]).unwrap().is(b"open-sesame"));
        let error = token(&[&flag, "--admin-token=open-sesame"]).unwrap_err().to_string();
        assert!(error.contains("give one of them") && !error.contains("open-sesame"), "{error}");
        std::fs::write(&path, "\n").unwrap();
        assert!(token(&[&flag]).is_err());
        assert!(token(&["--admin-token="]).is_err());
    }

    #[test]
    fn the_configuration_is_shown_under_the_names_of_the_flags_and_without_secrets() {
        let words =
            ["--admin-token=open-sesame", "--idle-timeout=90s", "--h2-stream-window=1M", "-grpc-addr="];
        let config = Config::from_args(&words).unwrap();
        let shown = serde_json::to_value(&config).unwrap();
        let typed: Vec<_> = {
            use clap::CommandFactory as _;
            let command = Args::command();
            command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
        };
        for flag in &typed {
            let elsewhere = ["quiet", "admin-token", "admin-token-file", "access-log-sample"];
            let expected = !elsewhere.contains(&flag.as_str()) && !flag.starts_with("tls-");
            assert_eq!(shown.get(flag).is_some(), expected, "{flag}: {shown}");
        }
        let over_tls = Config::from_args(&["--tls-addr=:8443", "--tls-self-signed=ca.pem"]).unwrap();
        let over_tls = serde_json::to_value(&over_tls).unwrap();
        for flag in typed.iter().filter(|flag| flag.starts_with("tls-")) {
            assert!(over_tls.get(flag).is_some(), "{flag}: {over_tls}");
        }
        assert_eq!(
            (&shown["idle-timeout"], &shown["grpc-addr"]),
            (&"1m 30s".into(), &serde_json::Value::Null)
        );
        assert_eq!((&shown["drain-delay"], &shown["h2-stream-window"]), (&"0s".into(), &(1 << 20).into()));
        for text in [shown.to_string(), format!("{config:?}")] {
            assert!(!text.contains("sesame"), "{text}");
        }
    }
}
