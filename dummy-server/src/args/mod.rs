//! What was typed: flags and environment variables, nothing derived. What all flags have, such as a variable, is in `read`.
//!
//! Each flag is also taken in the form of Go's flag package (`-addr=:8080`, `-quiet=false`), so that a
//! command line for the Go server of the same purpose works unchanged.

#![expect(rustdoc::broken_intra_doc_links, reason = "these are help texts, in which brackets are addresses")]

mod read;

use clap::Parser;
use command_line::Variables;

pub(crate) use self::read::example;
use crate::secret::Secret;

const AFTER_HELP: &str = "\
Examples:
  dummy-server                                         HTTP and gRPC on port 8080, the list on /help
  dummy-server --port=8081                             a second one on the same machine
  dummy-server --behaviour='status=503:10&delay=5ms'   one in ten requests fails, each takes 5 ms
  dummy-server --instances=3                           three servers, on ports 8080 to 8082

--help explains each flag, the environment variables and the exit codes.";

const AFTER_LONG_HELP: &str = "\
Durations: 500ms, 10s, 1m30s, or a number of seconds, from 0 to 8760h (a year). Sizes: bytes, or K, M, G or T for powers \
of 1024. Flags are also taken as -flag=value.

Environment: each flag is also a variable, DUMMY_SERVER_ and its name: DUMMY_SERVER_ADDR, DUMMY_SERVER_IDLE_TIMEOUT and so \
on. A flag on the command line takes precedence, and an empty variable means what an empty flag means.

Exit codes:
  0  drained
  1  could not run, or a second signal cut the drain short
  2  bad arguments

Examples:
  HTTP and gRPC on port 8080, whose endpoints curl localhost:8080/help lists:
      dummy-server
  A second one on the same machine:
      dummy-server --port=8081
  TLS with a certificate of its own, for curl --cacert ca.pem https://localhost:8443/:
      dummy-server --tls-addr=:8443 --tls-self-signed=ca.pem
  One in ten requests fails, and each takes 5 ms:
      dummy-server --behaviour='status=503:10&delay=5ms'
  Three backends, on ports 8080 to 8082, of which the second is killed and started again:
      dummy-server --instances=3 --instance-names=a,b,c
      curl -X POST localhost:9091/instances/b/kill
      curl -X POST localhost:9091/instances/b/start
  Behind a proxy that sends a PROXY header:
      dummy-server --proxy-protocol=required
  In a cluster, with a log of requests:
      dummy-server --access-log=json --drain-delay=5s";

const ADDRESSES: &str = "Addresses";
const TLS: &str = "TLS";
const PROXY_PROTOCOL: &str = "PROXY protocol";
const RESPONSES: &str = "Responses";
const TIMEOUTS: &str = "Timeouts and drain";
const LIMITS: &str = "Limits";
const HTTP2: &str = "HTTP/2";
const ADMIN: &str = "Administration";
const INSTANCES: &str = "Several servers in one process";
const LOGGING: &str = "Logging";
const THREADS: &str = "Threads";

/// The value of a flag that may also stand alone, which is `true`.
const SWITCH: &str = "true|false";

/// A target server for testing proxies: HTTP/1.1, h2c, WebSocket and gRPC on one port.
///
/// GET /help on the running server lists the endpoints.
#[derive(Clone, Debug, Parser)]
#[command(name = "dummy-server", version, max_term_width = 110,
          after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
pub struct Args {
    /// Port for HTTP/1.1, h2c and gRPC instead of 8080
    ///
    /// The ports for gRPC alone, admin and profiles become free ones, which the line "listening" reports. An address that is
    /// given with its own flag stays as it is (0 to 65535).
    #[arg(short, long, value_name = "PORT", help_heading = ADDRESSES)]
    pub port: Option<String>,

    /// Address for HTTP/1.1, h2c and gRPC [default: :8080]
    ///
    /// ip:port, [ip6]:port, name:port, :port for all interfaces of IPv4 and IPv6, or unix:/path.
    #[arg(long, value_name = "ADDRESS", help_heading = ADDRESSES)]
    pub addr: Option<String>,

    /// Address for gRPC alone; empty disables it [default: :50051]
    #[arg(long, value_name = "ADDRESS", help_heading = ADDRESSES)]
    pub grpc_addr: Option<String>,

    /// Admin port; empty disables it [default: 127.0.0.1:9091]
    ///
    /// /livez, /readyz, /metrics, /connections, /config, /behaviour and /instances.
    #[arg(long, value_name = "ADDRESS", help_heading = ADDRESSES)]
    pub admin_addr: Option<String>,

    /// CPU profiles; empty disables [default: localhost:6060]
    ///
    /// In pprof format, from /debug/pprof/profile?seconds=10. When another process listens there, the server warns and does
    /// without.
    #[arg(long, value_name = "ADDRESS", help_heading = ADDRESSES)]
    pub pprof_addr: Option<String>,

    /// Let other processes listen on the same ports
    #[arg(long, default_value = "false", value_name = SWITCH, help_heading = ADDRESSES)]
    pub share_port: String,

    /// Address for HTTP/1.1, HTTP/2 and gRPC over TLS
    #[arg(long, default_value = "", value_name = "ADDRESS", help_heading = TLS)]
    pub tls_addr: String,

    /// Certificate chain in PEM, leaf first
    ///
    /// Read again on SIGHUP, like --tls-key and --tls-client-ca.
    #[arg(long, default_value = "", value_name = "PATH", help_heading = TLS)]
    pub tls_cert: String,

    /// Key of the certificate in PEM
    ///
    /// ECDSA, RSA or Ed25519.
    #[arg(long, default_value = "", value_name = "PATH", help_heading = TLS)]
    pub tls_key: String,

    /// Make a certificate, write its CA to this file
    ///
    /// Instead of --tls-cert and --tls-key: for localhost, 127.0.0.1, ::1 and the instance. Clients have to trust the CA.
    #[arg(long, default_value = "", value_name = "PATH", help_heading = TLS)]
    pub tls_self_signed: String,

    /// ALPN protocols by preference
    ///
    /// ALPN protocols in order of preference; empty disables ALPN.
    #[arg(long, default_value = "h2,http/1.1", value_name = "LIST", help_heading = TLS)]
    pub tls_alpn: String,

    /// CA certificates for client certificates (mTLS)
    ///
    /// CA certificates in PEM that client certificates are verified against (mTLS).
    #[arg(long, default_value = "", value_name = "PATH", help_heading = TLS)]
    pub tls_client_ca: String,

    /// Request or require a client certificate
    ///
    /// With --tls-client-ca, the default is required.
    #[arg(long, default_value = "", value_name = "optional|required", help_heading = TLS)]
    pub tls_client_auth: String,

    /// Minimum TLS version
    #[arg(long, default_value = "1.2", value_name = "1.2|1.3", help_heading = TLS)]
    pub tls_min_version: String,

    /// Enable session resumption
    ///
    /// Enable session resumption with tickets.
    #[arg(long, default_value = "true", value_name = SWITCH, help_heading = TLS)]
    pub tls_tickets: String,

    /// PROXY header on connections
    ///
    /// Whether connections for HTTP, TLS and gRPC begin with a PROXY header, version 1 or 2.
    #[arg(long, default_value = "off", value_name = "off|optional|required", help_heading = PROXY_PROTOCOL)]
    pub proxy_protocol: String,

    /// Behaviour of all requests, as a query string
    ///
    /// Default behaviour of all requests, such as status=503:10&delay=5ms. GET /help lists the names.
    #[arg(long, visible_alias = "behavior", default_value = "", value_name = "PAIRS",
          help_heading = RESPONSES)]
    pub behaviour: String,

    /// Allow requests from pages of other origins (CORS)
    ///
    /// Off by default, so that it does not hide what a gateway allows. ?dummy-cors=true allows it for one request.
    #[arg(long, default_value = "false", value_name = SWITCH, help_heading = RESPONSES)]
    pub cors: String,

    /// Value of x-dummy-instance [default: the host name]
    #[arg(long, value_name = "NAME", help_heading = RESPONSES)]
    pub instance: Option<String>,

    /// Number of servers in this process
    ///
    /// Each has a name, ports, workers, counters and a drain of its own: GET /instances on the admin port lists them, and POST
    /// /instances/NAME/ and drain, kill, start, unhealthy or healthy changes one (1 to 64).
    #[arg(long, value_name = "COUNT", help_heading = INSTANCES)]
    pub instances: Option<String>,

    /// Names of the servers, separated by commas
    ///
    /// Letters, digits, dots, hyphens and underscores. They also say how many servers there are. By default, several servers are
    /// called what --instance says and -1, -2 and so on.
    #[arg(long, default_value = "", value_name = "LIST", help_heading = INSTANCES)]
    pub instance_names: String,

    /// Ports of the second and later servers
    ///
    /// row: the ports after those of the server before it, from --addr, --grpc-addr and --tls-addr on, and for port 0 any free one.
    /// shared: the ports of the first, and the system spreads connections over the servers.
    #[arg(long, default_value = "row", value_name = "row|shared", help_heading = INSTANCES)]
    pub instance_ports: String,

    /// Maximum number of body bytes echoed
    ///
    /// The rest is read and counted (0 to 1G).
    #[arg(long, default_value = "1M", value_name = "SIZE", help_heading = RESPONSES)]
    pub max_body_echo: String,

    /// Close an idle connection after this long
    ///
    /// 0 disables it.
    #[arg(long, default_value = "75s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub idle_timeout: String,

    /// End a connection of this age
    ///
    /// With Connection: close or GOAWAY. 0 disables it.
    #[arg(long, default_value = "0", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub max_connection_age: String,

    /// Timeout for reading a request's header section
    ///
    /// Timeout for reading the HTTP/2 preface or a request's header section; 0 disables it.
    #[arg(long, default_value = "10s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub header_timeout: String,

    /// Close a connection that stalls for this long
    ///
    /// A connection stalls while its client neither reads bytes that wait for it nor sends bytes of a body that an endpoint
    /// waits for. 0 disables it.
    #[arg(long, default_value = "60s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub stall_timeout: String,

    /// Close a half-closed connection after this long
    ///
    /// Those whose client has closed its end, or has gone, when nothing was sent to it for this long. 0 disables it.
    #[arg(long, default_value = "10s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub half_close_timeout: String,

    /// Timeout for receiving a WebSocket message
    ///
    /// From its first byte to its last; after that the connection is closed with code 1008. 0 disables it.
    #[arg(long, default_value = "60s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub ws_message_timeout: String,

    /// On SIGTERM, keep accepting for this long
    ///
    /// After SIGTERM or SIGINT, keep accepting connections for this long while /readyz fails.
    #[arg(long, default_value = "0", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub drain_delay: String,

    /// Then wait for requests in flight
    ///
    /// Then wait up to this long for requests in flight to finish.
    #[arg(long, default_value = "60s", value_name = "DURATION", help_heading = TIMEOUTS)]
    pub drain_timeout: String,

    /// Maximum number of open connections
    ///
    /// Maximum number of open connections; further ones are closed immediately (1 to 100000000). Each of several servers has
    /// this maximum.
    #[arg(long, default_value = "262144", value_name = "COUNT", help_heading = LIMITS)]
    pub max_connections: String,

    /// Maximum concurrent HTTP/2 streams per connection
    ///
    /// From 1 on (1 to 2147483647).
    #[arg(long, default_value = "1000", value_name = "COUNT", help_heading = LIMITS)]
    pub max_streams: String,

    /// Memory for bodies, messages and responses that wait
    ///
    /// Over all connections, and never more than a quarter of the cgroup's limit. Beyond it, requests are refused: 503,
    /// RESOURCE_EXHAUSTED, close code 1013 (1M to 1T).
    #[arg(long, default_value = "256M", value_name = "SIZE", help_heading = LIMITS)]
    pub memory_budget: String,

    /// Maximum size of the request line and header section
    ///
    /// Each worker has one read buffer of that size for all its connections (8K to 16M).
    #[arg(long, default_value = "64K", value_name = "SIZE", help_heading = LIMITS)]
    pub max_header_bytes: String,

    /// Maximum size of a gRPC message, either way
    ///
    /// Sent and received (1 to 2G).
    #[arg(long, default_value = "10M", value_name = "SIZE", help_heading = LIMITS)]
    pub grpc_max_message: String,

    /// Maximum size of a WebSocket message
    ///
    /// Of all its frames; a larger one is answered with close code 1009 (1 to 2G).
    #[arg(long, default_value = "16M", value_name = "SIZE", help_heading = LIMITS)]
    pub ws_max_message: String,

    /// Maximum size of a WebSocket frame
    ///
    /// A larger one is answered with close code 1009 (1 to 2G).
    #[arg(long, default_value = "16M", value_name = "SIZE", help_heading = LIMITS)]
    pub ws_max_frame: String,

    /// Flow-control window of a stream
    ///
    /// How much of a body clients send ahead of the endpoint that reads it (1 to 2147483647).
    #[arg(long, default_value = "256K", value_name = "SIZE", help_heading = HTTP2)]
    pub h2_stream_window: String,

    /// Flow-control window of a connection
    ///
    /// For all of its streams (65535 to 2147483647).
    #[arg(long, default_value = "64M", value_name = "SIZE", help_heading = HTTP2)]
    pub h2_connection_window: String,

    /// SETTINGS_MAX_FRAME_SIZE
    ///
    /// Maximum size of the frames that clients send (16K to 16777215).
    #[arg(long, default_value = "16K", value_name = "SIZE", help_heading = HTTP2)]
    pub h2_max_frame_size: String,

    /// SETTINGS_HEADER_TABLE_SIZE
    ///
    /// Maximum size of the table that clients compress fields with (0 to 4294967295).
    #[arg(long, default_value = "4K", value_name = "SIZE", help_heading = HTTP2)]
    pub h2_header_table_size: String,

    /// Bearer token for the admin port
    ///
    /// For all but /livez, /readyz and /metrics. The environment and a file are safer places for it. Without one, requests that
    /// change something are refused unless --admin-addr is on loopback.
    #[arg(long, value_name = "TOKEN", help_heading = ADMIN)]
    pub admin_token: Option<Secret>,

    /// File with that token, read at the start
    #[arg(long, default_value = "", value_name = "PATH", help_heading = ADMIN)]
    pub admin_token_file: String,

    /// URL of loadgen --ledger-listen to post ledgers to at the end
    ///
    /// http://HOST:PORT. When the server has drained, it posts what it has seen of verified runs (/ledger), for up to 3s or
    /// --drain-timeout, whichever is shorter, so that a rollout loses none of it.
    #[arg(long, default_value = "", value_name = "URL", help_heading = ADMIN)]
    pub ledger_push: String,

    /// File to write the process id to
    #[arg(long, default_value = "", value_name = "PATH", help_heading = ADMIN)]
    pub pidfile: String,

    /// Log each request to stdout when it has ended [default: off]
    #[arg(long, value_name = "json|text|off", help_heading = LOGGING)]
    pub access_log: Option<String>,

    /// Log every Nth request
    ///
    /// A whole number (1 to 4294967295).
    #[arg(long, default_value = "1", value_name = "COUNT", help_heading = LOGGING)]
    pub access_log_sample: String,

    /// false is the same as --access-log=text
    #[arg(long, default_value = "true", value_name = SWITCH, help_heading = LOGGING)]
    pub quiet: String,

    /// Log level: error, warn, info, debug or trace
    ///
    /// The line "listening" is of level info.
    #[arg(long, default_value = "info", value_name = "LEVEL", help_heading = LOGGING)]
    pub log_level: String,

    /// Format of the log on stderr
    #[arg(long, default_value = "text", value_name = "text|json", help_heading = LOGGING)]
    pub log_format: String,

    /// Interval of log lines with memory and connections
    ///
    /// 0 disables them.
    #[arg(long, default_value = "0", value_name = "DURATION", help_heading = LOGGING)]
    pub mem_interval: String,

    /// Number of worker threads [default: CPUs of the cgroup]
    ///
    /// A whole number (1 to 1024). Several servers divide them, and have at least one each.
    #[arg(long, value_name = "COUNT", help_heading = THREADS)]
    pub workers: Option<String>,

    /// Pin each worker to a CPU
    #[arg(long, default_value = "false", value_name = SWITCH, help_heading = THREADS)]
    pub pin_cpus: String,

    /// Size of the pattern buffer, in KiB
    ///
    /// It is also the maximum size of a single write (64 to 4096).
    #[arg(long, default_value = "256", value_name = "KIB", help_heading = THREADS)]
    pub buffer_size: String,

    /// What comes from the environment.
    #[arg(skip)]
    pub(crate) variables: Variables,
}
