//! What was typed: flags and environment variables, nothing derived.
//!
//! Each flag is also taken in the form of Go's flag package (`-addr=:8080`, `-quiet=false`), so that a
//! command line for the Go server of the same purpose works unchanged.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser};

use crate::secret::Secret;

const EXIT_CODES: &str = "Each flag is also an environment variable (DUMMY_SERVER_ADDR, ...) and is also taken \
as -flag=value.\n\nDurations are written like 500ms, 10s or 1m30s, from 0 to 8760h (a year). Sizes are bytes, \
or have K, M, G or T for powers of 1024.\n\nExit codes: 0 drained, 1 could not run or a second signal cut the drain short, 2 bad arguments.";

/// A target server for testing proxies: HTTP/1.1, h2c, WebSocket and gRPC on one port.
///
/// GET /help on the running server lists the endpoints.
#[derive(Clone, Debug, Parser)]
#[command(name = "dummy-server", version, after_help = EXIT_CODES)]
pub struct Args {
    /// Port for HTTP/1.1, h2c and gRPC instead of 8080; the ports for gRPC alone, admin and profiles become free ones,
    /// which the line "listening" reports. An address that is given below stays as it is
    #[arg(short, long, env = "DUMMY_SERVER_PORT", value_name = "PORT")]
    pub port: Option<String>,

    /// Where to listen for HTTP/1.1, h2c and gRPC: ip:port (IPv6 in brackets), :port for all interfaces of IPv4 and
    /// IPv6, or unix:/path [default: :8080]
    #[arg(long, env = "DUMMY_SERVER_ADDR", value_name = "ADDRESS")]
    pub addr: Option<String>,

    /// Where to listen for gRPC; empty is off [default: :50051]
    #[arg(long, env = "DUMMY_SERVER_GRPC_ADDR", value_name = "ADDRESS")]
    pub grpc_addr: Option<String>,

    /// Where to serve /livez, /readyz, /metrics, /connections and /config; empty is off [default: 127.0.0.1:9091]
    #[arg(long, env = "DUMMY_SERVER_ADMIN_ADDR", value_name = "ADDRESS")]
    pub admin_addr: Option<String>,

    /// Where to serve CPU profiles in pprof format (/debug/pprof/profile?seconds=10); not served, with a warning, when
    /// another process listens there; empty is off [default: localhost:6060]
    #[arg(long, env = "DUMMY_SERVER_PPROF_ADDR", value_name = "ADDRESS")]
    pub pprof_addr: Option<String>,

    /// Where to listen for HTTP/1.1, HTTP/2 and gRPC over TLS; empty is off
    #[arg(long, env = "DUMMY_SERVER_TLS_ADDR", default_value = "", value_name = "ADDRESS")]
    pub tls_addr: String,

    /// The certificate and those that lead to its CA, in PEM; read again at SIGHUP, as are the files below
    #[arg(long, env = "DUMMY_SERVER_TLS_CERT", default_value = "", value_name = "PATH")]
    pub tls_cert: String,

    /// The key of the certificate, in PEM (ECDSA, RSA or Ed25519)
    #[arg(long, env = "DUMMY_SERVER_TLS_KEY", default_value = "", value_name = "PATH")]
    pub tls_key: String,

    /// Instead of a certificate: make one for localhost, 127.0.0.1, ::1 and the instance, and write the CA that clients have to trust to this file
    #[arg(long, env = "DUMMY_SERVER_TLS_SELF_SIGNED", default_value = "", value_name = "PATH")]
    pub tls_self_signed: String,

    /// Protocols that TLS clients can agree on by ALPN, the preferred one first; empty is no ALPN
    #[arg(long, env = "DUMMY_SERVER_TLS_ALPN", default_value = "h2,http/1.1", value_name = "LIST")]
    pub tls_alpn: String,

    /// CAs of client certificates, in PEM
    #[arg(long, env = "DUMMY_SERVER_TLS_CLIENT_CA", default_value = "", value_name = "PATH")]
    pub tls_client_ca: String,

    /// Whether clients may or must show a certificate: optional or required [default with a CA: required]
    #[arg(
        long,
        env = "DUMMY_SERVER_TLS_CLIENT_AUTH",
        default_value = "",
        value_name = "WORD",
        hide_default_value = true
    )]
    pub tls_client_auth: String,

    /// Lowest version of TLS: 1.2 or 1.3
    #[arg(long, env = "DUMMY_SERVER_TLS_MIN_VERSION", default_value = "1.2", value_name = "VERSION")]
    pub tls_min_version: String,

    /// Let TLS clients resume sessions, by tickets
    #[arg(
        long, env = "DUMMY_SERVER_TLS_TICKETS", default_value = "true", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub tls_tickets: String,

    /// Whether connections for HTTP, TLS and gRPC begin with a PROXY header (v1 or v2): off, optional or required
    #[arg(long, env = "DUMMY_SERVER_PROXY_PROTOCOL", default_value = "off", value_name = "WORD")]
    pub proxy_protocol: String,

    /// Size of the pattern buffer and of the largest single write, in KiB (64 to 4096)
    #[arg(long, env = "DUMMY_SERVER_BUFFER_SIZE", default_value = "256", value_name = "KIB")]
    pub buffer_size: String,

    /// Log memory, connections and requests this often; 0 is off
    #[arg(long, env = "DUMMY_SERVER_MEM_INTERVAL", default_value = "0", value_name = "DURATION")]
    pub mem_interval: String,

    /// Where to write the process id; empty is nowhere
    #[arg(long, env = "DUMMY_SERVER_PIDFILE", default_value = "", value_name = "PATH")]
    pub pidfile: String,

    /// Do not log each request; false means --access-log=text
    #[arg(
        long, env = "DUMMY_SERVER_QUIET", default_value = "true", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub quiet: String,

    /// Number of worker threads (1 to 1024) [default: the CPUs that the cgroup grants]
    #[arg(long, env = "DUMMY_SERVER_WORKERS", value_name = "COUNT")]
    pub workers: Option<String>,

    /// Keep each worker on a CPU of its own
    #[arg(
        long, env = "DUMMY_SERVER_PIN_CPUS", default_value = "false", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub pin_cpus: String,

    /// Name in x-dummy-instance of each reply [default: the host name]
    #[arg(long, env = "DUMMY_SERVER_INSTANCE", value_name = "NAME")]
    pub instance: Option<String>,

    /// Let other processes listen on the same ports
    #[arg(
        long, env = "DUMMY_SERVER_SHARE_PORT", default_value = "false", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub share_port: String,

    /// What to do to every request, in the form of a query, such as status=503:10&delay=5ms; GET /help lists the names
    #[arg(long, env = "DUMMY_SERVER_BEHAVIOUR", default_value = "", value_name = "PAIRS")]
    pub behaviour: String,

    /// Allow pages of other origins to send requests and to read the replies (CORS); off by default, so that it does not
    /// hide what a gateway allows. ?dummy-cors=true allows it for one request
    #[arg(
        long, env = "DUMMY_SERVER_CORS", default_value = "false", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub cors: String,

    /// Most connections open at once (1 to 100000000); more are closed at once
    #[arg(long, env = "DUMMY_SERVER_MAX_CONNECTIONS", default_value = "262144", value_name = "COUNT")]
    pub max_connections: String,

    /// Most HTTP/2 streams open at once on a connection (1 to 2147483647)
    #[arg(long, env = "DUMMY_SERVER_MAX_STREAMS", default_value = "1000", value_name = "COUNT")]
    pub max_streams: String,

    /// Close a connection that carries no request for this long; 0 is never
    #[arg(long, env = "DUMMY_SERVER_IDLE_TIMEOUT", default_value = "75s", value_name = "DURATION")]
    pub idle_timeout: String,

    /// End a connection after this long (Connection: close, GOAWAY); 0 is never
    #[arg(long, env = "DUMMY_SERVER_MAX_CONNECTION_AGE", default_value = "0", value_name = "DURATION")]
    pub max_connection_age: String,

    /// Most time to read the HTTP/2 preface or a request's head; 0 is no limit
    #[arg(long, env = "DUMMY_SERVER_HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub header_timeout: String,

    /// Close a connection whose client has for this long neither taken bytes that wait for it nor sent bytes of a body
    /// that an endpoint waits for; 0 is never
    #[arg(long, env = "DUMMY_SERVER_STALL_TIMEOUT", default_value = "60s", value_name = "DURATION")]
    pub stall_timeout: String,

    /// Close a connection whose client has closed its end, or gone, when nothing was sent to it for this long; 0 is never
    #[arg(long, env = "DUMMY_SERVER_HALF_CLOSE_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub half_close_timeout: String,

    /// Memory for received bodies and messages and for replies that wait, over all connections (1M to 1T); never more
    /// than a quarter of the cgroup's limit. Beyond it, requests are refused: 503, RESOURCE_EXHAUSTED, close code 1013
    #[arg(long, env = "DUMMY_SERVER_MEMORY_BUDGET", default_value = "256M", value_name = "SIZE")]
    pub memory_budget: String,

    /// Largest head of a request (8K to 16M). Each worker has one read buffer for all its connections, into which it fits
    #[arg(long, env = "DUMMY_SERVER_MAX_HEADER_BYTES", default_value = "64K", value_name = "SIZE")]
    pub max_header_bytes: String,

    /// How much of a body the echo repeats (0 to 1G); the rest is read and counted
    #[arg(long, env = "DUMMY_SERVER_MAX_BODY_ECHO", default_value = "1M", value_name = "SIZE")]
    pub max_body_echo: String,

    /// Largest gRPC message, either way (1 to 2G)
    #[arg(long, env = "DUMMY_SERVER_GRPC_MAX_MESSAGE", default_value = "10M", value_name = "SIZE")]
    pub grpc_max_message: String,

    /// Largest WebSocket message, in however many frames (1 to 2G); more is answered with close code 1009
    #[arg(long, env = "DUMMY_SERVER_WS_MAX_MESSAGE", default_value = "16M", value_name = "SIZE")]
    pub ws_max_message: String,

    /// Largest WebSocket frame (1 to 2G); more is answered with close code 1009
    #[arg(long, env = "DUMMY_SERVER_WS_MAX_FRAME", default_value = "16M", value_name = "SIZE")]
    pub ws_max_frame: String,

    /// Most time from the first byte of a WebSocket message to its last, after which the close code is 1008; 0 is no
    /// limit
    #[arg(long, env = "DUMMY_SERVER_WS_MESSAGE_TIMEOUT", default_value = "60s", value_name = "DURATION")]
    pub ws_message_timeout: String,

    /// On SIGTERM or SIGINT, how long to go on accepting while not ready
    #[arg(long, env = "DUMMY_SERVER_DRAIN_DELAY", default_value = "0", value_name = "DURATION")]
    pub drain_delay: String,

    /// After the drain delay, how long requests in flight may take to end
    #[arg(long, env = "DUMMY_SERVER_DRAIN_TIMEOUT", default_value = "60s", value_name = "DURATION")]
    pub drain_timeout: String,

    /// Bearer token for the admin port but /livez, /readyz and /metrics (the environment and a file are safer places
    /// for it). Without one, what changes something is refused unless --admin-addr is on loopback
    #[arg(long, env = "DUMMY_SERVER_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: Option<Secret>,

    /// File with that token, read at the start
    #[arg(long, env = "DUMMY_SERVER_ADMIN_TOKEN_FILE", default_value = "", value_name = "PATH")]
    pub admin_token_file: String,

    /// Log each request to stdout when it has ended: json, text or off [default: off]
    #[arg(long, env = "DUMMY_SERVER_ACCESS_LOG", value_name = "FORMAT")]
    pub access_log: Option<String>,

    /// Log one in so many requests (1 to 4294967295)
    #[arg(long, env = "DUMMY_SERVER_ACCESS_LOG_SAMPLE", default_value = "1", value_name = "COUNT")]
    pub access_log_sample: String,

    /// Most detailed level that is logged to stderr: error, warn, info, debug or trace; the line "listening" is of level
    /// info
    #[arg(long, env = "DUMMY_SERVER_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,

    /// Form of the log on stderr: text or json
    #[arg(long, env = "DUMMY_SERVER_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: String,

    /// HTTP/2: window of a stream, which is how much of a body is sent ahead of the endpoint (1 to 2147483647)
    #[arg(long, env = "DUMMY_SERVER_H2_STREAM_WINDOW", default_value = "256K", value_name = "SIZE")]
    pub h2_stream_window: String,

    /// HTTP/2: window of a connection, for all of its streams (65535 to 2147483647)
    #[arg(long, env = "DUMMY_SERVER_H2_CONNECTION_WINDOW", default_value = "64M", value_name = "SIZE")]
    pub h2_connection_window: String,

    /// HTTP/2: largest frame that clients may send (16K to 16777215)
    #[arg(long, env = "DUMMY_SERVER_H2_MAX_FRAME_SIZE", default_value = "16K", value_name = "SIZE")]
    pub h2_max_frame_size: String,

    /// HTTP/2: table with which clients may compress fields (0 to 4294967295)
    #[arg(long, env = "DUMMY_SERVER_H2_HEADER_TABLE_SIZE", default_value = "4K", value_name = "SIZE")]
    pub h2_header_table_size: String,
}

impl Args {
    /// Reads a command line, whose first word is the program's name, and the environment.
    ///
    /// # Errors
    /// An unknown flag, a missing value, or a request for `--help` or `--version`.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let command = Self::command();
        let known: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        Self::try_parse_from(words.into_iter().map(|word| doubled_dash(word.into(), &known)))
    }
}

/// `-addr` becomes `--addr` when there is such a flag.
fn doubled_dash(word: OsString, known: &[&str]) -> OsString {
    let name = word.to_str().and_then(|word| word.strip_prefix('-'));
    let name = name.map(|name| name.split_once('=').map_or(name, |(name, _)| name));
    match name {
        Some(name) if known.contains(&name) => {
            let mut doubled = OsString::from("-");
            doubled.push(word);
            doubled
        }
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Args {
        Args::read(["dummy-server"].iter().chain(words)).unwrap()
    }

    #[test]
    fn go_forms_and_ours_mean_the_same() {
        let ours = read(&["--addr", ":1", "--quiet=false", "--pprof-addr=", "--buffer-size", "64"]);
        let go = read(&["-addr=:1", "-quiet=false", "-pprof-addr=", "-buffer-size", "64"]);
        assert_eq!(format!("{ours:?}"), format!("{go:?}"));
        assert_eq!(
            (go.addr.as_deref(), go.quiet.as_str(), go.pprof_addr.as_deref()),
            (Some(":1"), "false", Some(""))
        );
    }

    #[test]
    fn a_bare_switch_is_true() {
        assert_eq!(read(&["--pin-cpus"]).pin_cpus, "true");
        assert_eq!(read(&["-quiet"]).quiet, "true");
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert!(Args::read(["dummy-server", "-nonsense=1"]).is_err());
        assert!(Args::read(["dummy-server", "--nonsense"]).is_err());
    }
}
