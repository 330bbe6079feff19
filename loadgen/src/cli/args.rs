//! What was typed, and nothing derived from it but the [`Plan`] that it asks for.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::{
    ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum,
    builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, Resettable, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};
use contract::quantity::{self, LONGEST_TIME};

use super::exit::FailOn;
use crate::{
    outcome::ExpectedStatus,
    plan::{self, OnOverload, Plan, PlanError, load},
    verdict::Threshold,
};

const AFTER_HELP: &str = "\
Durations: 500ms, 10s, 1m30s; a bare number is seconds.
Each option is also an environment variable: LOADGEN_RATE, LOADGEN_MAX_IN_FLIGHT and so on.

Exit codes, the first that applies:
  130  interrupted
  2    invalid arguments
  1    the run failed: fewer than half of the requests succeeded; or it could not begin
  99   a threshold was crossed
  3    what --fail-on names happened
  4    a threshold on a time could not be judged
  0    done";

const LOAD: &str = "Load";
const CONNECTIONS: &str = "Connections";
const REQUEST: &str = "Request";
const OUTPUT: &str = "Output";
const RESULT: &str = "Result";

/// Sends requests at a steady rate, or as fast as connections allow, and reports what came of each.
///
/// Without a TARGET it starts a server of its own in this process and loads that.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadgen", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Args {
    /// host:port or h2c://host:port for HTTP/2 without TLS, http://host:port for HTTP/1.1; a path may follow
    pub target: Option<String>,

    /// The same as TARGET
    #[arg(short, long, value_name = "TARGET", env = "LOADGEN_URL")]
    pub url: Option<String>,

    /// HTTP/2 without TLS also for an http:// target
    #[arg(long, env = "LOADGEN_HTTP2", value_parser = BoolishValueParser::new())]
    pub http2: bool,

    /// Requests per second (0.001 to 100000000), evenly spread, not slowed by replies; without it each slot sends its next request
    /// when its last one ended
    #[arg(short, long, value_name = "PER_SECOND", env = "LOADGEN_RATE", help_heading = LOAD,
          value_parser = rate,
          allow_negative_numbers = true)]
    pub rate: Option<f64>,

    /// Exactly this many requests (1 to 10^15)
    #[arg(short, long, value_name = "N", env = "LOADGEN_TOTAL", value_parser = whole::<u64>,
          allow_negative_numbers = true, help_heading = LOAD,
          short_alias = 'n', visible_alias = "requests", visible_short_alias = 'n')]
    pub total: Option<u64>,

    /// Send for this long (above 0, up to 8760h), then wait for the rest, at most --timeout [default: 10s, unless --total is given]
    #[arg(short, long, value_name = "TIME", env = "LOADGEN_DURATION", help_heading = LOAD,
          value_parser = duration)]
    pub duration: Option<Duration>,

    /// At most this many requests at once (1 to 1000000)
    #[arg(long, value_name = "N", env = "LOADGEN_MAX_IN_FLIGHT", value_parser = whole::<usize>,
          allow_negative_numbers = true, default_value_t = load::DEFAULT_MAX_IN_FLIGHT, help_heading = LOAD)]
    pub max_in_flight: usize,

    /// What becomes of a request that is due when no more may be in flight
    #[arg(long, value_parser = on_overload(), env = "LOADGEN_ON_OVERLOAD", default_value = "queue",
          help_heading = LOAD)]
    pub on_overload: OnOverload,

    /// Connections (1 to 1000000), as far as the limit of open files allows; with --rate, HTTP/1.1 opens more when all are busy
    #[arg(short, long, value_name = "N", env = "LOADGEN_CONNECTIONS", value_parser = whole::<usize>,
          allow_negative_numbers = true, default_value_t = load::DEFAULT_CONNECTIONS,
          help_heading = CONNECTIONS, visible_alias = "concurrency")]
    pub connections: usize,

    /// Streams at once on each HTTP/2 connection (1 to 100000)
    #[arg(short = 'm', long, value_name = "N", env = "LOADGEN_STREAMS", value_parser = whole::<usize>,
          allow_negative_numbers = true, default_value_t = load::DEFAULT_STREAMS, help_heading = CONNECTIONS)]
    pub streams: usize,

    /// Never open more connections than --connections
    #[arg(long, env = "LOADGEN_FIXED_CONNECTIONS", value_parser = BoolishValueParser::new(), help_heading = CONNECTIONS)]
    pub fixed_connections: bool,

    /// How long a request may take once it is sent (above 0, up to 8760h)
    #[arg(long, value_name = "TIME", env = "LOADGEN_TIMEOUT", default_value = "30s",
          help_heading = CONNECTIONS,
          value_parser = duration)]
    pub timeout: Duration,

    /// How long a connection may take to open (above 0, up to 8760h)
    #[arg(long, value_name = "TIME", env = "LOADGEN_CONNECT_TIMEOUT", default_value = "5s",
          help_heading = CONNECTIONS, value_parser = duration)]
    pub connect_timeout: Duration,

    /// Before the run, wait up to this long until the target answers a request, which does not count; 502, 503 and 504
    /// are no answers. 0 does not wait
    #[arg(long, value_name = "TIME", env = "LOADGEN_WAIT_FOR_TARGET", default_value = "0",
          help_heading = CONNECTIONS, value_parser = duration)]
    pub wait_for_target: Duration,

    /// Threads (1 to 1024, at most one for each connection) [default: one for each CPU that the process may use, at most one for each connection]
    #[arg(long, value_name = "N", env = "LOADGEN_WORKERS", value_parser = whole::<usize>,
          allow_negative_numbers = true, help_heading = CONNECTIONS)]
    pub workers: Option<usize>,

    /// Pin each thread to a CPU
    #[arg(long, env = "LOADGEN_PIN_CPUS", value_parser = BoolishValueParser::new(), help_heading = CONNECTIONS)]
    pub pin_cpus: bool,

    /// Method [default: GET, or POST with a body]
    #[arg(short = 'X', long, env = "LOADGEN_METHOD", help_heading = REQUEST)]
    pub method: Option<String>,

    /// A header field, as "name: value"; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD", env = "LOADGEN_HEADER", value_delimiter = '\n',
          help_heading = REQUEST)]
    pub headers: Vec<String>,

    /// Body
    #[arg(short, long, value_name = "TEXT", env = "LOADGEN_BODY", help_heading = REQUEST)]
    pub body: Option<String>,

    /// Body, from a file of at most 256M
    #[arg(long, value_name = "FILE", env = "LOADGEN_BODY_FILE", help_heading = REQUEST)]
    pub body_file: Option<PathBuf>,

    /// The header field that carries each request's id; empty sends none
    #[arg(long, value_name = "NAME", env = "LOADGEN_REQUEST_ID_HEADER",
          default_value = contract::field::REQUEST_ID, help_heading = REQUEST)]
    pub request_id_header: String,

    /// Make one exchange, print it whole, and stop
    #[arg(long, env = "LOADGEN_ONCE", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub once: bool,

    /// What is printed at the end
    #[arg(short, long, value_enum, env = "LOADGEN_OUTPUT", default_value_t = Format::Text,
          help_heading = OUTPUT)]
    pub output: Format,

    /// Also write the JSON report to a file
    #[arg(long, value_name = "FILE", env = "LOADGEN_REPORT", help_heading = OUTPUT)]
    pub report: Option<PathBuf>,

    /// Show no progress
    #[arg(long, env = "LOADGEN_NO_PROGRESS", value_parser = BoolishValueParser::new(), help_heading = OUTPUT)]
    pub no_progress: bool,

    /// Statuses that count as success beside 2xx, like 404, 3xx or 500-503; several with commas
    #[arg(long, value_name = "STATUS", env = "LOADGEN_EXPECT_STATUS", help_heading = RESULT)]
    pub expect_status: Option<String>,

    /// A bound on a figure, like 'p(99)<200ms', 'error_rate<1%' or 'rate>=1000': exit with 99 if it is crossed; repeatable
    #[arg(long = "threshold", value_name = "BOUND", env = "LOADGEN_THRESHOLD", value_delimiter = '\n', help_heading = RESULT)]
    pub thresholds: Vec<Threshold>,

    /// The same, and the run stops as soon as it is crossed: response times, error_rate and unanswered alone
    #[arg(long = "abort-on", value_name = "BOUND", env = "LOADGEN_ABORT_ON", value_delimiter = '\n', value_parser = abort_on,
          help_heading = RESULT)]
    pub abort_on: Vec<Threshold>,

    /// Exit with 3 if any of these happened: 5xx, 4xx, 3xx, transport, timeout, unanswered, dropped, unmet; several with commas
    #[arg(long, value_name = "WHAT", env = "LOADGEN_FAIL_ON", value_delimiter = ',', help_heading = RESULT)]
    pub fail_on: Vec<FailOn>,

    /// The same as --fail-on 5xx,transport,timeout,unanswered,dropped
    #[arg(long, env = "LOADGEN_FAIL_ON_ERROR", value_parser = BoolishValueParser::new(), help_heading = RESULT)]
    pub fail_on_error: bool,
}

fn abort_on(text: &str) -> Result<Threshold, String> {
    let threshold: Threshold = text.parse()?;
    if threshold.can_abort() {
        Ok(threshold)
    } else {
        Err(format!(
            "'{threshold}' is known at the end alone; accepted: response.p(N), error_rate or unanswered, like 'p(99)<1s'"
        ))
    }
}

impl Args {
    /// Reads the command line and the environment. What is typed wins over a variable that says another thing
    /// of the same kind, and an empty variable counts as unset.
    ///
    /// # Errors
    /// What clap has to say, also for `--help` and `--version`.
    pub fn read() -> Result<Self, clap::Error> {
        let set = |name: &OsStr| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let command = Self::command().mut_args(|arg| match arg.get_env() {
            Some(name) if !set(name) => arg.env(Resettable::Reset),
            _ => arg,
        });
        let help = std::env::args_os().any(|word| word == "--help" || word == "-h");
        Self::of(if help { Self::command() } else { command }, std::env::args_os())
    }

    fn of(
        mut command: Command,
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = command.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches)?;
        if outdone(&mut command, &matches, "url", "target")? {
            args.url = None;
        }
        if outdone(&mut command, &matches, "body", "body_file")? {
            args.body = None;
        }
        if outdone(&mut command, &matches, "body_file", "body")? {
            args.body_file = None;
        }
        Ok(args)
    }
}

impl TryFrom<&Args> for Plan {
    type Error = PlanError;

    fn try_from(args: &Args) -> Result<Self, PlanError> {
        let Some(target) = args.target.as_ref().or(args.url.as_ref()) else {
            return Err(PlanError(
                "no target: write host:port, h2c://host:port or http://host:port".to_owned(),
            ));
        };
        let mut plan = Self::builder(target)
            .http2(args.http2)
            .on_overload(args.on_overload)
            .max_in_flight(args.max_in_flight)
            .connections(args.connections)
            .fixed_connections(args.fixed_connections)
            .streams(args.streams)
            .timeout(args.timeout)
            .connect_timeout(args.connect_timeout)
            .pin_cpus(args.pin_cpus)
            .request_id_header(&args.request_id_header);
        if let Some(text) = &args.expect_status {
            let expected = ExpectedStatus::default().with(text);
            plan = plan.expect_status(expected.map_err(|why| PlanError(format!("--expect-status: {why}")))?);
        }
        if let Some(rate) = args.rate {
            plan = plan.rate(rate);
        }
        if let Some(total) = args.total {
            plan = plan.total(total);
        }
        if let Some(duration) = args.duration {
            plan = plan.duration(duration);
        }
        if let Some(workers) = args.workers {
            plan = plan.workers(workers);
        }
        if let Some(method) = &args.method {
            plan = plan.method(method);
        }
        if let Some(text) = &args.body {
            plan = plan.body(text.clone());
        }
        if let Some(path) = &args.body_file {
            plan = plan.body_file(path);
        }
        args.headers.iter().fold(plan, plan::Builder::header).build()
    }
}

/// Whether `name` comes from the environment and `other` was typed; both from the same place is a mistake.
fn outdone(
    command: &mut Command,
    matches: &ArgMatches,
    name: &str,
    other: &str,
) -> Result<bool, clap::Error> {
    match (matches.value_source(name), matches.value_source(other)) {
        (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => Ok(true),
        (Some(one), Some(two)) if one == two => Err(command.error(
            ErrorKind::ArgumentConflict,
            format!("{} and {} say the same thing: give one", shown(name), shown(other)),
        )),
        _ => Ok(false),
    }
}

fn shown(name: &str) -> String {
    if name == "target" { "TARGET".to_owned() } else { format!("--{}", name.replace('_', "-")) }
}

/// `--on-overload`, with what its values do.
fn on_overload() -> impl TypedValueParser<Value = OnOverload> {
    let values = [
        PossibleValue::new("queue").help("It waits, and the wait counts in its response time"),
        PossibleValue::new("drop").help("It is dropped, and counted as such"),
    ];
    let read = |value: String| if value == "drop" { OnOverload::Drop } else { OnOverload::Queue };
    PossibleValuesParser::new(values).map(read)
}

/// What is printed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; see `report.schema.json`.
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    quantity::decimal_within(text, &(0.0..=f64::MAX))
        .ok_or_else(|| "write requests per second, like 1000 or 0.5".to_owned())
}

fn whole<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let number = quantity::count(text).and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| "write a whole number".to_owned())
}

/// Reads `500ms`, `1m30s`, `1.5s`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    quantity::duration_or_seconds(text, LONGEST_TIME).ok_or_else(|| {
        "write a time up to 8760h, like 500ms, 10s or 1m30s; a bare number is seconds".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        Args::command().debug_assert();
    }

    /// As if `name` were the value of the argument's variable. PATH stands in: it is always set.
    fn with_variable(argument: &'static str, line: &str) -> Result<Args, clap::Error> {
        let command = Args::command().mut_arg(argument, |arg| arg.env("PATH"));
        Args::of(command, std::iter::once("loadgen").chain(line.split_whitespace()))
    }

    #[test]
    fn what_is_typed_wins_over_the_environment() {
        let path = std::env::var("PATH").unwrap();
        let args = with_variable("url", "a:1").unwrap();
        assert_eq!((args.target.as_deref(), args.url), (Some("a:1"), None));
        assert_eq!(with_variable("url", "").unwrap().url, Some(path.clone()));
        let args = with_variable("body", "a:1 --body-file x").unwrap();
        assert_eq!((args.body, args.body_file), (None, Some(PathBuf::from("x"))));
        let args = with_variable("body_file", "a:1 --body x").unwrap();
        assert_eq!((args.body, args.body_file), (Some("x".to_owned()), None));
        for line in ["a:1 --url b:1", "a:1 --body x --body-file y"] {
            let error =
                Args::of(Args::command(), std::iter::once("loadgen").chain(line.split(' '))).unwrap_err();
            assert!(error.to_string().contains("give one"), "{error}");
        }
    }

    #[test]
    fn durations_are_read_as_people_type_them() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("1m30s", 90_000), ("2", 2_000), ("0.25", 250)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1s", "ten", "5 parsecs", "NaN"] {
            assert!(duration(text).unwrap_err().contains("10s"), "{text}");
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_is_accepted() {
        for (line, said) in [
            (["--rate", "many"], "like 1000 or 0.5"),
            (["--rate", "NaN"], "like 1000 or 0.5"),
            (["--rate", "inf"], "like 1000 or 0.5"),
            (["--total", "+5"], "a whole number"),
            (["--timeout", "1e19"], "up to 8760h"),
            (["--total", "1.5"], "a whole number"),
            (["--workers", "-1"], "a whole number"),
            (["--timeout", "soon"], "like 500ms"),
            (["--output", "xml"], "[possible values: text, json]"),
        ] {
            let error = Args::try_parse_from(["loadgen", "a:1"].iter().chain(&line)).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
