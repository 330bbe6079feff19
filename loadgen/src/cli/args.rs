//! What was typed: the options and their help.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::{Parser, builder::BoolishValueParser};
use command_line::Variables;
use transport::proxy_protocol::HeaderVersion;

use super::{
    client_args::ClientArgs,
    compare_args::Compare,
    exit::FailOn,
    find_max_args::FindMaxArgs,
    formats::{DetailWord, Format, ReportFile},
    help::{AFTER_HELP, AFTER_LONG_HELP},
    instead::Instead,
    values::{
        GrpcEncoding, TlsVersion, abort_on, around, expect_status, label, normalization, on_overload,
        positive_time, proxy_protocol, rate, retry, rounds, size, speed, time, whole,
    },
};
use crate::{
    outcome::ExpectedStatus,
    plan::{OnOverload, Retry, load},
    verdict::Threshold,
};

const TARGET: &str = "Target";
const ROUTE: &str = "Route";
const TLS: &str = "TLS";
const LOAD: &str = "Load";
const CONNECTIONS: &str = "Connections";
const REQUEST: &str = "Request";
const GRPC: &str = "gRPC";
const WEBSOCKET: &str = "WebSocket";
const VERIFICATION: &str = "Verification";
const OUTPUT: &str = "Output";
const RESULT: &str = "Result";

/// Sends requests at a constant rate, or as fast as responses come, and reports latencies and errors.
///
/// Without any argument and variable it starts a dummy-server in this process and loads that for three seconds.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 110,
          args_conflicts_with_subcommands = true, disable_help_subcommand = true,
          after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
pub struct Args {
    /// What is done instead of a run.
    #[command(subcommand)]
    pub instead: Option<Instead>,

    /// host:port (h2c), http://host:port (HTTP/1.1), https:// (TLS), with a path, or grpc(s)://, ws(s)://
    ///
    /// Without TLS, HTTP/2 is spoken by prior knowledge. Over TLS, the server chooses HTTP/2 or HTTP/1.1 (ALPN), once before the
    /// run. The port is 80 after h2c://, http://, grpc:// and ws://, and 443 after https://, grpcs:// and wss://, unless it is
    /// given. IPv6 addresses are in brackets and may have a zone: [fe80::1%eth0]:8080. After grpc:// and grpcs:// (TLS), the path is
    /// the method that each request calls, /package.Service/Method, or else /echo.EchoService/Echo. After ws:// and wss:// (TLS),
    /// each request is a message on a WebSocket, and its echo a success.
    pub target: Option<String>,

    /// Read the plan of the run from a file, in YAML or JSON
    ///
    /// Target, requests with their shares, expectations, and the load: see `plan.schema.json`. A target and a load that are
    /// given beside it take precedence; -X, -H and -b are defaults, which its requests may have otherwise. It may have several
    /// loads at the same time, each with a name and a start; none is given beside them.
    #[arg(short = 'f', long, value_name = "FILE", env = "LOADGEN_PLAN", help_heading = TARGET)]
    pub plan: Option<PathBuf>,

    /// The same as TARGET
    #[arg(short, long, value_name = "TARGET", env = "LOADGEN_URL", help_heading = TARGET)]
    pub url: Option<String>,

    /// Load a dummy-server in this process
    ///
    /// Without --rate, --stages, --total and --duration: 5,000 requests per second for 3 s over h2c. It is also what loadgen does
    /// without any argument.
    #[arg(long, env = "LOADGEN_EMBEDDED", value_parser = BoolishValueParser::new(), help_heading = TARGET)]
    pub embedded: bool,

    /// Speak HTTP/2, whatever the scheme says
    #[arg(long, env = "LOADGEN_HTTP2", value_parser = BoolishValueParser::new(), help_heading = TARGET)]
    pub http2: bool,

    /// Speak HTTP/1.1, also to host:port without a scheme
    #[arg(long = "http1.1", env = "LOADGEN_HTTP1_1", value_parser = BoolishValueParser::new(), help_heading = TARGET)]
    pub http1_1: bool,

    /// Speak HTTP/1.0
    ///
    /// A connection has one request, unless -H 'Connection: keep-alive' asks the server to keep it.
    #[arg(long = "http1.0", env = "LOADGEN_HTTP1_0", value_parser = BoolishValueParser::new(), help_heading = TARGET)]
    pub http1_0: bool,

    /// Connect to this host and port instead of the target's
    ///
    /// Host, :authority and the name in TLS stay the target's.
    #[arg(long, value_name = "HOST:PORT", env = "LOADGEN_CONNECT_TO", help_heading = ROUTE)]
    pub connect_to: Option<String>,

    /// Connect to this Unix socket instead of the target
    #[arg(long, value_name = "PATH", env = "LOADGEN_UNIX_SOCKET", help_heading = ROUTE)]
    pub unix_socket: Option<PathBuf>,

    /// Addresses of a name, like example.org:443:127.0.0.1
    ///
    /// HOST:PORT:ADDRESS, with more addresses behind commas: they are used in place of those that the system knows, all of
    /// them in turn. May be repeated; in the variable, one on each line.
    #[arg(long, value_name = "ENTRY", env = "LOADGEN_RESOLVE", value_delimiter = '\n', help_heading = ROUTE)]
    pub resolve: Vec<String>,

    /// Look the host up again this often, for new connections
    #[arg(long, value_name = "TIME", env = "LOADGEN_RESOLVE_EVERY", value_parser = positive_time, help_heading = ROUTE)]
    pub resolve_every: Option<Duration>,

    /// Connect from these addresses, in turn: 127.0.0.2-127.0.0.9
    ///
    /// Addresses and ranges, with commas between, at most 65536 in all. Each has its own range of local ports.
    #[arg(long, value_name = "ADDRESSES", env = "LOADGEN_BIND", help_heading = ROUTE)]
    pub bind: Option<String>,

    /// Begin connections with a PROXY header: v1 or v2
    ///
    /// It has the addresses of the connection itself (see --bind).
    #[arg(long, value_name = "VERSION", env = "LOADGEN_PROXY_PROTOCOL", value_parser = proxy_protocol(),
          hide_possible_values = true, help_heading = ROUTE)]
    pub proxy_protocol: Option<HeaderVersion>,

    /// Use a forward proxy, like http://localhost:3128
    ///
    /// User name and password may stand before the host (http://me:secret@localhost:3128). For http:// targets it is sent requests with the whole URL; for all others it is asked for a tunnel (CONNECT).
    #[arg(long, value_name = "URL", env = "LOADGEN_PROXY", help_heading = ROUTE)]
    pub proxy: Option<String>,

    /// Ask the forward proxy for a tunnel for http:// targets too
    #[arg(long, env = "LOADGEN_PROXY_TUNNEL", value_parser = BoolishValueParser::new(), help_heading = ROUTE)]
    pub proxy_tunnel: bool,

    /// Trust the authorities in this file (PEM), not the system's
    #[arg(long, value_name = "FILE", env = "LOADGEN_CACERT", help_heading = TLS)]
    pub cacert: Option<PathBuf>,

    /// Trust any server, whatever its certificate
    #[arg(short = 'k', long, env = "LOADGEN_INSECURE", value_parser = BoolishValueParser::new(), help_heading = TLS)]
    pub insecure: bool,

    /// Certificate of the client and its chain, in PEM
    #[arg(long, value_name = "FILE", env = "LOADGEN_CERT", help_heading = TLS)]
    pub cert: Option<PathBuf>,

    /// Key of the client's certificate, in PEM
    #[arg(long, value_name = "FILE", env = "LOADGEN_KEY", help_heading = TLS)]
    pub key: Option<PathBuf>,

    /// Server name to ask for, in place of the target's host
    ///
    /// It is sent (SNI), unless it is an address, and the server's certificate has to be of that name. Host is still the target's.
    #[arg(long, value_name = "NAME", env = "LOADGEN_SNI", help_heading = TLS)]
    pub sni: Option<String>,

    /// Lowest version of TLS: 1.2 or 1.3
    #[arg(long, value_name = "VERSION", env = "LOADGEN_TLS_MIN_VERSION", value_enum, default_value_t = TlsVersion::V1_2,
          hide_possible_values = true, help_heading = TLS)]
    pub tls_min_version: TlsVersion,

    /// Make a full handshake for each connection
    #[arg(long, env = "LOADGEN_NO_TLS_RESUMPTION", value_parser = BoolishValueParser::new(), help_heading = TLS)]
    pub no_tls_resumption: bool,

    /// Constant arrival rate in requests per second (open loop)
    ///
    /// Without it: closed loop, each connection or stream sends its next request when the previous one is done
    /// (0.001 to 100000000).
    #[arg(short, long, value_name = "PER_SECOND", env = "LOADGEN_RATE", value_parser = rate, help_heading = LOAD)]
    pub rate: Option<f64>,

    /// Rate by stages, like 10s@100,30s@100..1000,1m@1000
    ///
    /// Steps, ramps, spikes and pauses: stages with commas, each a time, @, and requests per second (0, or 0.001 to 100000000), or two of them for a ramp: 30s@100..1000.
    /// With a c after each number they are connections of a closed loop (0 to 1000000), in place of --connections:
    /// 10s@10c,30s@10c..100c. Surplus connections are closed when they are idle. At most 1000 stages, together at most
    /// 8760h; they say how long the run is, unless --total ends it before.
    #[arg(long, value_name = "STAGES", env = "LOADGEN_STAGES", help_heading = LOAD)]
    pub stages: Option<String>,

    /// Requests at random times (a Poisson process)
    ///
    /// Instead of evenly spaced ones. With --rate or --stages, whose rate is the mean.
    #[arg(long, env = "LOADGEN_POISSON", value_parser = BoolishValueParser::new(), help_heading = LOAD)]
    pub poisson: bool,

    /// Seed of what is random [default: the run's id]
    ///
    /// Of --poisson's times and of values in placeholders. The same seed gives the same values, and with the same number of
    /// --workers the same times. The report has it. A whole number (0 to 2^64-1).
    #[arg(long, value_name = "N", env = "LOADGEN_SEED", value_parser = whole::<u64>, help_heading = LOAD)]
    pub seed: Option<u64>,

    /// Exactly this many requests
    ///
    /// A whole number (1 to 10^15).
    #[arg(short, long, value_name = "N", env = "LOADGEN_TOTAL", value_parser = whole::<u64>, help_heading = LOAD,
          short_alias = 'n', visible_alias = "requests", visible_short_alias = 'n')]
    pub total: Option<u64>,

    /// Send requests for this long [default: 10s without --total]
    ///
    /// Then wait up to --timeout for outstanding responses (above 0, up to 8760h).
    #[arg(short, long, value_name = "TIME", env = "LOADGEN_DURATION", value_parser = positive_time, help_heading = LOAD)]
    pub duration: Option<Duration>,

    /// Do not measure what is due in this time at first
    ///
    /// It comes before --total, --duration and --stages, at the rate or with the connections with which they begin. Its requests are
    /// sent, and counted apart; no other figure, interval or threshold has them, but that connections and handshakes are those of the
    /// whole run (above 0, up to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_WARMUP", value_parser = positive_time, help_heading = LOAD)]
    pub warmup: Option<Duration>,

    /// Drop requests that are unsent for this long
    ///
    /// After they were due, with --rate or --stages of a rate. They are counted as dropped, and did not succeed (above 0, up to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_MAX_LAG", value_parser = positive_time, help_heading = LOAD)]
    pub max_lag: Option<Duration>,

    /// Send requests that are due within this time together
    ///
    /// Each up to this much later than it was due, with --rate or --stages of a rate, so that fewer wake-ups, and less CPU time on both
    /// sides, go into each. It counts as lag, and in response times (above 0, up to 100ms).
    #[arg(long, value_name = "TIME", env = "LOADGEN_COALESCE", value_parser = positive_time, help_heading = LOAD)]
    pub coalesce: Option<Duration>,

    /// Maximum number of requests in flight
    ///
    /// A whole number (1 to 1000000).
    #[arg(long, value_name = "N", env = "LOADGEN_MAX_IN_FLIGHT", value_parser = whole::<usize>,
          default_value_t = load::DEFAULT_MAX_IN_FLIGHT, help_heading = LOAD)]
    pub max_in_flight: usize,

    /// What to do while --max-in-flight is reached
    #[arg(long, value_name = "queue|drop", value_parser = on_overload(), env = "LOADGEN_ON_OVERLOAD",
          default_value = "queue", hide_possible_values = true, help_heading = LOAD,
          long_help = "What to do with a request that is due while --max-in-flight is reached: queue it (the wait \
                       counts towards its response time) or drop it")]
    pub on_overload: OnOverload,

    /// Number of connections [default: 10]
    ///
    /// As far as the limit of open files allows. With --rate, HTTP/1.1 opens more when all are busy (1 to 1000000).
    #[arg(short, long, value_name = "N", env = "LOADGEN_CONNECTIONS", value_parser = whole::<usize>,
          help_heading = CONNECTIONS, visible_alias = "concurrency")]
    pub connections: Option<usize>,

    /// Maximum concurrent streams per HTTP/2 connection
    ///
    /// A whole number (1 to 100000).
    #[arg(short = 'm', long, value_name = "N", env = "LOADGEN_STREAMS", value_parser = whole::<usize>,
          default_value_t = load::DEFAULT_STREAMS, help_heading = CONNECTIONS)]
    pub streams: usize,

    /// Never open more connections than --connections
    #[arg(long, env = "LOADGEN_FIXED_CONNECTIONS", value_parser = BoolishValueParser::new(),
          help_heading = CONNECTIONS)]
    pub fixed_connections: bool,

    /// Close each connection after this many requests
    #[arg(long, value_name = "N", env = "LOADGEN_REQUESTS_PER_CONNECTION", value_parser = whole::<u64>,
          help_heading = CONNECTIONS)]
    pub requests_per_connection: Option<u64>,

    /// Send one request on each connection
    ///
    /// Over HTTP/1.1 it says Connection: close. With https://, each request has a TLS handshake: resumed, or a full one
    /// with --no-tls-resumption.
    #[arg(long, env = "LOADGEN_NO_KEEPALIVE", value_parser = BoolishValueParser::new(), help_heading = CONNECTIONS)]
    pub no_keepalive: bool,

    /// Close each connection when it has been open for this long
    #[arg(long, value_name = "TIME", env = "LOADGEN_CONNECTION_AGE", value_parser = positive_time, help_heading = CONNECTIONS)]
    pub connection_age: Option<Duration>,

    /// Open at most this many connections per second
    #[arg(long, value_name = "N", env = "LOADGEN_CONNECTIONS_PER_SECOND", value_parser = rate,
          help_heading = CONNECTIONS)]
    pub connections_per_second: Option<f64>,

    /// How connections behave.
    #[command(flatten)]
    pub client: ClientArgs,

    /// What to retry: none, safe or idempotent
    ///
    /// safe: requests that the server says it has not processed, and, over HTTP/1.1, GET, HEAD, OPTIONS and TRACE of which
    /// nothing came back on a connection that was in use before. idempotent: PUT and DELETE too. At most 3 times for each
    /// request, 16 times after GOAWAY; the report counts them. A request that has not left goes on another connection in
    /// any case.
    #[arg(long, value_name = "POLICY", env = "LOADGEN_RETRY", default_value = "safe", hide_possible_values = true,
          value_parser = retry(), help_heading = CONNECTIONS)]
    pub retry: Retry,

    /// Timeout for a response, once its request is sent
    ///
    /// A time (1ms to 8760h). What has taken too long is looked for every millisecond.
    #[arg(long, value_name = "TIME", env = "LOADGEN_TIMEOUT", default_value = "30s", value_parser = positive_time,
          help_heading = CONNECTIONS)]
    pub timeout: Duration,

    /// Timeout for opening a connection
    ///
    /// A time (above 0, up to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_CONNECT_TIMEOUT", default_value = "5s", value_parser = positive_time,
          help_heading = CONNECTIONS)]
    pub connect_timeout: Duration,

    /// Wait up to this long for the target before the run
    ///
    /// Until it responds to a request, which does not count, with a status other than 502, 503 and 504. 0 does not wait.
    #[arg(long, value_name = "TIME", env = "LOADGEN_WAIT_FOR_TARGET", default_value = "0", value_parser = time,
          help_heading = CONNECTIONS)]
    pub wait_for_target: Duration,

    /// Number of threads [default: one per CPU]
    ///
    /// One for each CPU that the process may use, and never more than connections (1 to 256).
    #[arg(long, value_name = "N", env = "LOADGEN_WORKERS", value_parser = whole::<usize>, help_heading = CONNECTIONS)]
    pub workers: Option<usize>,

    /// Pin each thread to a CPU
    #[arg(long, env = "LOADGEN_PIN_CPUS", value_parser = BoolishValueParser::new(), help_heading = CONNECTIONS)]
    pub pin_cpus: bool,

    /// Method [default: GET, or POST with a body]
    #[arg(short = 'X', long, env = "LOADGEN_METHOD", help_heading = REQUEST)]
    pub method: Option<String>,

    /// Header field, as 'name: value'; may be repeated
    ///
    /// Over HTTP/1.1 fields are sent as given: order, case and duplicates are kept. Host is sent where and as it is given, once:
    /// a second one is refused.
    #[arg(short = 'H', long = "header", value_name = "FIELD", env = "LOADGEN_HEADER", value_delimiter = '\n',
          help_heading = REQUEST)]
    pub headers: Vec<String>,

    /// Credentials as name:password (Basic)
    #[arg(long, value_name = "NAME:PASSWORD", env = "LOADGEN_USER", hide_env_values = true, help_heading = REQUEST)]
    pub user: Option<String>,

    /// File with a token of at most 64K (Bearer)
    #[arg(long, value_name = "FILE", env = "LOADGEN_BEARER_FILE", help_heading = REQUEST)]
    pub bearer_file: Option<PathBuf>,

    /// Accept compressed responses; one exchange is shown decoded
    ///
    /// Sizes and rates are those on the wire. Expectations of a body look at what gzip, deflate, br and zstd have compressed as it
    /// was before, with or without this flag; what is compressed otherwise is unmet there, and stays as it is where one exchange is shown.
    #[arg(long, env = "LOADGEN_COMPRESSED", value_parser = BoolishValueParser::new(), help_heading = REQUEST)]
    pub compressed: bool,

    /// Request body; '' is an empty one, @FILE that of a file
    ///
    /// May have placeholders, as path and header fields may: see --no-templates.
    #[arg(short, long, value_name = "TEXT", env = "LOADGEN_BODY", help_heading = REQUEST)]
    pub body: Option<String>,

    /// Request body from a file of at most 256M, as it is
    #[arg(long, value_name = "FILE", env = "LOADGEN_BODY_FILE", help_heading = REQUEST)]
    pub body_file: Option<PathBuf>,

    /// Send the body in chunks, without its length
    ///
    /// With Transfer-Encoding: chunked over HTTP/1.1, in chunks of 16K, and without content-length over HTTP/2.
    #[arg(long, env = "LOADGEN_CHUNKED", value_parser = BoolishValueParser::new(), help_heading = REQUEST)]
    pub chunked: bool,

    /// Field behind the body, as 'name: value'; may be repeated
    ///
    /// As it is, without placeholders. The body is sent in chunks (see --chunked), and Trailer names the fields.
    #[arg(long = "trailer", value_name = "FIELD", env = "LOADGEN_TRAILER", value_delimiter = '\n',
          help_heading = REQUEST)]
    pub trailers: Vec<String>,

    /// Hold the body back until the server asks for it (100)
    ///
    /// Expect: 100-continue is sent with bodies that are not empty. They follow when the server says 100 Continue, or nothing for 1 s. After a final
    /// status the body is not sent: over HTTP/1.1 the connection is closed, over HTTP/2 the stream is reset.
    #[arg(long, env = "LOADGEN_EXPECT_CONTINUE", value_parser = BoolishValueParser::new(), help_heading = REQUEST)]
    pub expect_continue: bool,

    /// Send to the paths or URLs in a file, in turn
    ///
    /// A path or a URL of the target on each line, up to 100000; braces in them are braces. Of at most 64, the report has figures
    /// for each.
    #[arg(long, value_name = "FILE", env = "LOADGEN_URL_FILE", help_heading = REQUEST)]
    pub url_file: Option<PathBuf>,

    /// Replay the requests of an access log
    ///
    /// Each is due when it began there: method, path and query are sent, bodies and fields are in no log. Logs: common and
    /// combined (nginx, Apache), HAProxy's, Envoy's, dummy-server's, or JSON lines (up to 1000000 requests). Stamps of a
    /// second are spread within it, and durations (`rt=0.2`, or a key of JSON) taken off.
    #[arg(long, value_name = "FILE", env = "LOADGEN_REPLAY", help_heading = REQUEST)]
    pub replay: Option<PathBuf>,

    /// Speed of a replay, as a multiple of the log's
    ///
    /// [default: 1x] From 0.001x to 1000x.
    #[arg(long, value_name = "TIMES", env = "LOADGEN_SPEED", value_parser = speed, help_heading = REQUEST)]
    pub speed: Option<f64>,

    /// Take {{...}} in path, header fields and body as it is
    ///
    /// Instead of as a placeholder, whose value differs from request to request: {{seq}} (the number of the request), {{uuid}},
    /// {{random 1 100}}, {{pick a b c}}, {{now}} (when it was due; {{now ms}} since 1970), {{env NAME}}, {{'text'}} (as it is). In a path,
    /// values are percent-encoded; in a text of a gRPC call's JSON, they are escaped.
    #[arg(long, env = "LOADGEN_NO_TEMPLATES", value_parser = BoolishValueParser::new(), help_heading = REQUEST)]
    pub no_templates: bool,

    /// Prove the fate of each request, with dummy-server behind the target
    ///
    /// Each request carries a token in x-dummy-token, in place of its id, and its reply repeats it; bodies of /bin and /chunked are
    /// numbered, so that one that is another request's is found out. Afterwards the servers are asked what they have seen, until
    /// nothing changes for 2s: through the target, or at the admin ports that --ledger names. The report says which requests never
    /// arrived, were answered in between, cut, repeated, crossed or cached. Only requests that were provably not processed are
    /// retried. Messages on WebSockets begin with their tokens; messages of gRPC streams of dummy-server's services carry theirs in message
    /// or payload, unless you give that field. Before the run, a canary for each method and protocol shows whether
    /// tokens get through; where they do not, the report says what can't be known.
    #[arg(long, env = "LOADGEN_VERIFY", value_parser = BoolishValueParser::new(), help_heading = VERIFICATION)]
    pub verify: bool,

    /// Admin port of a server to ask, HOST:PORT; may be repeated
    ///
    /// The address of its admin port, or dns:NAME:PORT for all addresses of a name. Needs --verify; by default, servers are asked
    /// through the target.
    #[arg(long = "ledger", value_name = "ADDRESS", env = "LOADGEN_LEDGER", value_delimiter = ',', help_heading = VERIFICATION)]
    pub ledgers: Vec<String>,

    /// Take ledgers that servers post when they end, at PORT or IP:PORT
    ///
    /// What dummy-server --ledger-push has seen is posted here before its process ends, so that a rollout loses none of it. A port
    /// alone is bound to loopback; anyone that can connect can post. Port 0 is one that the system chooses; the address is said on
    /// standard error. Needs --verify.
    #[arg(long, value_name = "ADDR", env = "LOADGEN_LEDGER_LISTEN", help_heading = VERIFICATION)]
    pub ledger_listen: Option<String>,

    /// Run a shell command during the load, and report its effect
    ///
    /// Requests are sent for --around before the command, while it runs, and then until none has failed for --around (a minute
    /// more at most, and no longer than --duration, without which it is 1h). The report distinguishes requests before, while and after it,
    /// and has the longest time without a success, and how long it took until all succeeded again. What the command prints goes
    /// to standard error. It has its own process group, which is asked to end (SIGTERM) when the run is stopped by Ctrl+C
    /// or --abort-on, and killed by a second Ctrl+C. Exit code 1 if it fails. Of the command, reports keep the program alone.
    #[arg(long, value_name = "COMMAND", env = "LOADGEN_DURING", help_heading = VERIFICATION)]
    pub during: Option<String>,

    /// Time before --during, and behind it without a failure
    ///
    /// A time (above 0, up to 1h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_AROUND", default_value = "5s", value_parser = around,
          help_heading = VERIFICATION)]
    pub around: Duration,

    /// Exit with 99 if anything happened to any request
    ///
    /// That is, if one did not succeed, or was not answered by its own reply, whole and the only time it was sent; implies
    /// --verify.
    #[arg(long, env = "LOADGEN_ZERO_LOSS", value_parser = BoolishValueParser::new(), help_heading = VERIFICATION)]
    pub zero_loss: bool,

    /// Header field of request ids; '' for none
    #[arg(long, value_name = "NAME", env = "LOADGEN_REQUEST_ID_HEADER",
          default_value = contract::field::REQUEST_ID, help_heading = REQUEST)]
    pub request_id_header: String,

    /// File that defines the gRPC method (.proto); may be repeated
    ///
    /// Without it, the server is asked for the types of its messages, by server reflection. A set of descriptors that protoc
    /// has written (.protoset, .binpb, .pb or .bin) is accepted, too. The message is JSON, with --body or --body-file, and
    /// has all fields at their defaults unless it is given; for a method that takes a stream, it may be a list of messages,
    /// which are sent in turn. With placeholders ({{seq}} and others: see --no-templates), messages differ from call to call. Metadata are header fields; values of names in -bin are given in base64.
    #[arg(long = "proto", value_name = "FILE", env = "LOADGEN_PROTO", value_delimiter = '\n', help_heading = GRPC)]
    pub protos: Vec<PathBuf>,

    /// Folder of what --proto files import; may be repeated
    ///
    /// Without it, imports are looked for in the folders of the files.
    #[arg(long = "proto-path", value_name = "DIR", env = "LOADGEN_PROTO_PATH", value_delimiter = '\n', help_heading = GRPC)]
    pub proto_paths: Vec<PathBuf>,

    /// Send the body as the message's bytes, not as JSON
    ///
    /// Neither reflection nor --proto is needed then.
    #[arg(long, env = "LOADGEN_RAW_MESSAGE", value_parser = BoolishValueParser::new(), help_heading = GRPC)]
    pub raw_message: bool,

    /// Deadline of a call, sent to the server
    ///
    /// It is sent as grpc-timeout; a server that keeps it ends the call with DEADLINE_EXCEEDED. One that does not is given up
    /// after --timeout (above 0, up to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_DEADLINE", value_parser = positive_time, help_heading = GRPC)]
    pub deadline: Option<Duration>,

    /// Compression of messages: identity or gzip
    #[arg(long, value_name = "ENCODING", env = "LOADGEN_GRPC_ENCODING", value_enum, default_value_t = GrpcEncoding::Identity,
          hide_possible_values = true, help_heading = GRPC)]
    pub grpc_encoding: GrpcEncoding,

    /// Messages of a call whose method takes a stream of them
    ///
    /// [default: those of the body] A whole number (1 to 1000000000).
    #[arg(long, value_name = "N", env = "LOADGEN_MESSAGES", value_parser = whole::<u64>, help_heading = GRPC)]
    pub messages: Option<u64>,

    /// Time between two messages of a call
    ///
    /// Message n is due n times this after the call, whenever the one before was sent. Without it, each waits for the response to
    /// the one before where responses are a stream, and else they are sent as fast as the server takes them; so they are
    /// with 0, too (0 to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_MESSAGE_INTERVAL", value_parser = time, help_heading = GRPC)]
    pub message_interval: Option<Duration>,

    /// Size of a message, where no body is given
    ///
    /// [default: 64] Such messages begin with their id, and their echoes are distinguished by it. A number of bytes, K and M are
    /// powers of 1024 (32 to 16M).
    #[arg(long, value_name = "SIZE", env = "LOADGEN_MESSAGE_SIZE", value_parser = size, help_heading = WEBSOCKET)]
    pub message_size: Option<u64>,

    /// Send binary messages, not text
    ///
    /// A body that is not UTF-8 is sent as binary in any case.
    #[arg(long, env = "LOADGEN_BINARY", value_parser = BoolishValueParser::new(), help_heading = WEBSOCKET)]
    pub binary: bool,

    /// Send a ping on each connection this often, and time the pongs
    ///
    /// [default: none] 10ms to 8760h.
    #[arg(long, value_name = "TIME", env = "LOADGEN_PING_INTERVAL", value_parser = positive_time, help_heading = WEBSOCKET)]
    pub ping_interval: Option<Duration>,

    /// Send one request, print the request and the response, and exit
    ///
    /// Not together with --rate, --stages, --total or --duration.
    #[arg(long, env = "LOADGEN_ONCE", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub once: bool,

    /// Check all that was given, and exit without sending anything
    #[arg(long, env = "LOADGEN_CHECK", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub check: bool,

    /// Print the plan of the run, and exit without sending anything
    ///
    /// With all that follows from what was given, and the first sending of each request.
    #[arg(long, env = "LOADGEN_PRINT", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub print: bool,

    /// Format of the report: text, json, markdown or csv
    ///
    /// text is for people; json is for programs, see `report.schema.json`; markdown is for the summary of a CI job; csv has
    /// a line for each interval.
    #[arg(short, long, value_enum, value_name = "FORMAT", env = "LOADGEN_OUTPUT", default_value_t = Format::Text,
          hide_possible_values = true, help_heading = OUTPUT)]
    pub output: Format,

    /// Also write the report to a file: .json, .md, .csv or .txt
    ///
    /// Its extension decides on the format. - is JSON on standard output, instead of what --output says. May be repeated.
    #[arg(long = "report", value_name = "FILE", env = "LOADGEN_REPORT", value_delimiter = '\n', help_heading = OUTPUT)]
    pub reports: Vec<ReportFile>,

    /// How much text and Markdown show: short or long
    ///
    /// long adds where the time went on average, Little's check, how busy dummy-server was if its responses say so, and the
    /// intervals of the run.
    #[arg(long, value_enum, value_name = "DETAIL", env = "LOADGEN_DETAIL", default_value_t = DetailWord::Short,
          hide_possible_values = true, help_heading = OUTPUT)]
    pub detail: DetailWord,

    /// Keep a label in the JSON report, like version=1.2
    ///
    /// In the form name=value; may be repeated. The report also keeps the version, the host, when the run began, and the command line.
    /// Left out of that are the values of header fields and trailers, bodies, the arguments of --during, and user names and passwords in
    /// URLs; queries of URLs stay in it.
    #[arg(long = "label", value_name = "NAME=VALUE", env = "LOADGEN_LABEL", value_delimiter = '\n', value_parser = label,
          help_heading = OUTPUT)]
    pub labels: Vec<(String, String)>,

    /// Number of rounds, one after the other (1 to 100)
    ///
    /// Each has its own figures; the report has them and their median and range. A report of rounds is what loadgen diff compares.
    #[arg(long, value_name = "N", env = "LOADGEN_REPEAT", default_value = "1", value_parser = rounds,
          hide_default_value = true, help_heading = OUTPUT)]
    pub repeat: usize,

    /// Limit the histogram to N times the shortest time
    ///
    /// So that a long tail does not squash the rest of text's histogram into one bin: bins of the same width up to N times the
    /// shortest response time, and one more for all that is beyond. A whole number, 0 (no limit) or from 2 to 1000000.
    #[arg(long, value_name = "N", env = "LOADGEN_NF", default_value = "0", value_parser = normalization,
          hide_default_value = true, help_heading = OUTPUT)]
    pub nf: u32,

    /// Show no progress
    #[arg(long, env = "LOADGEN_NO_PROGRESS", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub no_progress: bool,

    /// Statuses that count as success beside 2xx, like 404,3xx or NOT_FOUND
    ///
    /// A status, a class (3xx) or a range (500-503), of gRPC calls a name (NOT_FOUND) beside OK; several are separated by commas.
    #[arg(long, value_name = "STATUS", env = "LOADGEN_EXPECT_STATUS", value_parser = expect_status, help_heading = RESULT)]
    pub expect_status: Option<ExpectedStatus>,

    /// Exit with 99 unless this holds, like 'p(99)<200ms'
    ///
    /// A figure, one of <, <=, > and >=, and a value: response.p(99) (or p(99)), service.p(50), wait.p(50) and lag.p(50) with a time;
    /// error_rate with a percentage; rate with requests per second; unanswered, count(503), count(2xx) and count(UNAVAILABLE) with a number; docs/thresholds.md has the grammar. A percentile of response
    /// time is judged by its band: passed or failed whatever loadgen's own delay was, or else not judged. May be repeated.
    #[arg(long = "threshold", value_name = "BOUND", env = "LOADGEN_THRESHOLD", value_delimiter = '\n', help_heading = RESULT)]
    pub thresholds: Vec<Threshold>,

    /// The same, and stop as soon as it is crossed
    ///
    /// Of response.p(N), error_rate and unanswered alone, which are known while a run goes on.
    #[arg(long = "abort-on", value_name = "BOUND", env = "LOADGEN_ABORT_ON", value_delimiter = '\n', value_parser = abort_on,
          help_heading = RESULT)]
    pub abort_on: Vec<Threshold>,

    /// Exit with 3 if any of these happened, like 5xx,transport
    ///
    /// Of 5xx, 4xx, 3xx, grpc (a gRPC status other than those expected), transport, timeout, unanswered, dropped, and unmet: a reply that is
    /// not a success, or not as a plan expects it. Of messages on WebSockets: lost (without an echo), wrong (another echo), and
    /// unsolicited; hurt (anything that --verify finds).
    #[arg(long, value_name = "WHAT", env = "LOADGEN_FAIL_ON", value_delimiter = ',', help_heading = RESULT)]
    pub fail_on: Vec<FailOn>,

    /// The same as --fail-on=5xx,grpc,transport,timeout,unanswered,dropped
    #[arg(long, env = "LOADGEN_FAIL_ON_ERROR", value_parser = BoolishValueParser::new(), help_heading = RESULT)]
    pub fail_on_error: bool,

    /// What a letter is here that was typed as if it were curl's.
    #[arg(skip)]
    pub(super) letter: Option<&'static str>,
    /// What a body is that was typed as if it were curl's cookies.
    #[arg(skip)]
    pub(super) cookies: Option<String>,
    /// Whether a number of streams was typed that could be curl's longest time.
    #[arg(skip)]
    pub(super) has_whole_m: bool,
    /// What was given, by a word or by a variable: the names of arguments.
    #[arg(skip)]
    pub(super) given: BTreeSet<String>,

    /// What comes from the environment.
    #[arg(skip)]
    pub(super) variables: Variables,

    /// The search that is done instead of a run: `find-max`.
    #[arg(skip)]
    pub(super) find_max: Option<FindMaxArgs>,

    /// The comparison that is done instead of a run: `compare`.
    #[arg(skip)]
    pub(super) compare: Option<Compare>,
}
