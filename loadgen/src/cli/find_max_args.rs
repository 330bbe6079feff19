//! The options of `find-max`: its own, and those of a run, as far as they don't say what the search decides.

use std::{collections::BTreeSet, time::Duration};

use clap::{Arg, Args as _, Command, CommandFactory as _, builder::Resettable};
use command_line::Refusal;

use super::{
    args::Args,
    kept::share_within,
    values::{rate, time},
};
use crate::{
    plan::{Plan, PlanError, accepted, load},
    search::{Bounds, MAX_PRECISION, MIN_PRECISION},
    verdict::Slo,
};

/// The word that asks for a search.
pub(super) const NAME: &str = "find-max";

/// The name of its command.
pub(super) const COMMAND: &str = "loadgen find-max";

/// What it does, in a line.
pub(super) const ABOUT: &str = "Find the highest request rate that a target holds";

const SEARCH: &str = "Search";

const AFTER_HELP: &str = "\
Examples:
  loadgen find-max localhost:8080
  loadgen find-max --slo 'p(99)<20ms && error_rate<0.001' http://localhost:8080/bin/1K

--help explains each option, how the search goes, and the exit codes.";

const AFTER_LONG_HELP: &str = "\
The search goes upward from --start-rate, doubling the rate, until a step is not held; then it halves the range between the \
highest rate that was held and the lowest one that was not. Each step is a run at a constant rate (open loop). It is held if \
all bounds of --slo hold, the rate was achieved, and no queue grew. One that was not held is repeated before it is \
believed. Where loadgen itself is the limit, the search ends, and the result is '>= N requests/s'.

Environment: each option is also a variable, LOADGEN_ and its name, as without find-max. Variables of options that find-max \
does not take are ignored.

Exit codes, the first that applies:
  130  interrupted; what was found before is reported
  2    invalid arguments
  1    fewer than half of the requests succeeded even at --start-rate; or a step could not begin
  99   --slo was crossed, or the rate not achieved, even at --start-rate
  4    loadgen was the limit even at --start-rate
  0    a rate was found, or a lower bound of it

Examples:
  The highest rate with a 99th percentile below 100 ms and fewer than 0.1% errors:
      loadgen find-max localhost:8080
  With bounds of your own, and requests at random times:
      loadgen find-max --slo 'p(99)<20ms && error_rate<0.001' --poisson http://localhost:8080/bin/1K
  Of a target that serves little: a p(99) needs 1,000 requests in a step:
      loadgen find-max --start-rate 10 --step-duration 100s localhost:8080
  For programs:
      loadgen find-max -o json localhost:8080";

/// Options of a run that a search does not take, by name and flag, and what is there instead.
const REFUSED: [(&str, &str, &str); 24] = [
    ("rate", "rate", "--start-rate and --max-rate, between which it is searched"),
    ("stages", "stages", "--start-rate and --max-rate, between which the rate is searched"),
    ("replay", "replay", "it without find-max"),
    ("speed", "speed", "it without find-max"),
    ("total", "total", "--step-duration, as each step sends for the same time"),
    ("duration", "duration", "--step-duration"),
    ("embedded", "embedded", "a target: a server in this process would share its CPUs with loadgen"),
    ("once", "once", "it without find-max"),
    ("check", "check", "it without find-max"),
    ("print", "print", "it without find-max"),
    ("repeat", "repeat", "--precision; a step that was not held is repeated in any case"),
    ("reports", "report", "--output=json, and its standard output in a file"),
    ("detail", "detail", "--output=json"),
    ("labels", "label", "it without find-max"),
    ("thresholds", "threshold", "--slo"),
    ("abort_on", "abort-on", "--slo"),
    ("fail_on", "fail-on", "--slo"),
    ("fail_on_error", "fail-on-error", "--slo"),
    ("verify", "verify", "it without find-max"),
    ("ledgers", "ledger", "it without find-max"),
    ("ledger_listen", "ledger-listen", "it without find-max"),
    ("zero_loss", "zero-loss", "it without find-max"),
    ("during", "during", "it without find-max"),
    ("around", "around", "it without find-max"),
];

/// What is not measured at the beginning of a step, unless something else is said, at most.
const WARMUP: Duration = Duration::from_secs(1);

/// A step is not shorter.
const MIN_STEP: Duration = Duration::from_millis(100);

/// A response is waited for as long as a step takes, unless something else is said, but not less than this.
const MIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of `find-max` that a run does not have.
#[derive(Clone, Debug, clap::Args)]
pub struct FindMaxArgs {
    /// What has to hold, like 'p(99)<20ms && error_rate<0.1%'
    ///
    /// Bounds with && between, each as of --threshold without find-max: an upper bound on response.p(99) (or p(99)), service.p(50),
    /// wait.p(50) or lag.p(50) with a time, error_rate with a percentage, unanswered, count(503), count(2xx) or count(UNAVAILABLE) with a number.
    /// Without it: p(99)<100ms && error_rate<0.1%.
    #[arg(long, value_name = "BOUNDS", env = "LOADGEN_SLO", default_value = "p(99)<100ms && error_rate<0.1%",
          hide_default_value = true, help_heading = SEARCH)]
    pub slo: Slo,

    /// Rate of the first step, in requests per second
    ///
    /// A lower rate is not tried: it should be one that the target holds. A percentile of --slo needs ten requests above it in a step:
    /// p(99) 1,000 of them, or 10 s at a rate of 100 (0.001 to 100000000).
    #[arg(long, value_name = "PER_SECOND", env = "LOADGEN_START_RATE", default_value = "100", value_parser = rate,
          help_heading = SEARCH)]
    pub start_rate: f64,

    /// Highest rate that is tried
    ///
    /// In requests per second (0.001 to 100000000).
    #[arg(long, value_name = "PER_SECOND", env = "LOADGEN_MAX_RATE", default_value = "1000000", value_parser = rate,
          help_heading = SEARCH)]
    pub max_rate: f64,

    /// How long each step sends requests
    ///
    /// After its warm-up. A time (100ms to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_STEP_DURATION", default_value = "10s", value_parser = time,
          help_heading = SEARCH)]
    pub step_duration: Duration,

    /// Pause between two steps, in which nothing is sent
    ///
    /// For the target to work off what is left of the last one (0 to 8760h).
    #[arg(long, value_name = "TIME", env = "LOADGEN_COOL_DOWN", default_value = "2s", value_parser = time,
          help_heading = SEARCH)]
    pub cool_down: Duration,

    /// Search until the highest rate is known this closely
    ///
    /// The lowest rate that was not held is then higher than the highest one that was by no more than this: a percentage, or a share
    /// like 0.05 (1% to 50%).
    #[arg(long, value_name = "PERCENT", env = "LOADGEN_PRECISION", default_value = "5%", value_parser = precision,
          help_heading = SEARCH)]
    pub precision: f64,
}

/// `--precision`.
fn precision(text: &str) -> Result<f64, &'static str> {
    share_within(text, MIN_PRECISION, MAX_PRECISION)
}

/// The command, with its own options first.
pub(super) fn command() -> Command {
    let is_refused = |arg: &Arg| REFUSED.iter().any(|(name, ..)| arg.get_id() == *name);
    // They are known, so that what is there instead can be said.
    let of_runs = Args::command();
    let of_runs = of_runs.get_arguments().map(|arg| match is_refused(arg) {
        true => arg.clone().hide(true).env(Resettable::Reset),
        false => arg.clone(),
    });
    let command = Command::new(COMMAND).bin_name(COMMAND);
    FindMaxArgs::augment_args(command.version(env!("CARGO_PKG_VERSION")))
        .args(of_runs)
        .mut_arg("output", |arg| arg.help("Format of the result: text or json").long_help(
            "Format of the result: text or json\n\ntext is for people; json is for programs, see `find-max.schema.json`.",
        ))
        .mut_arg("poisson", |arg| {
            arg.long_help(
                "Requests at random times (a Poisson process)\n\nInstead of evenly spaced ones: the rate is the mean.",
            )
        })
        .mut_arg("max_lag", |arg| {
            arg.long_help(
                "Drop requests that are unsent for this long\n\nAfter they were due. They are counted as dropped, and did \
                 not succeed (above 0, up to 8760h).",
            )
        })
        .mut_arg("coalesce", |arg| {
            arg.long_help(
                "Send requests that are due within this time together\n\nEach up to this much later than it was due, so that fewer \
                 wake-ups, and less CPU time on both sides, go into each. It counts as lag, and in response times (above 0, up to 100ms).",
            )
        })
        .mut_arg("timeout", |arg| arg.hide_default_value(true).long_help(
            "Timeout for a response, once its request is sent\n\nA time (above 0, up to 8760h). Without it, and unless a plan says \
             another one: as long as a step, but from 5s to 30s.",
        ))
        .mut_arg("warmup", |arg| arg.long_help(
            "Do not measure what is due in this time at first\n\nIn each step. Without it, and unless a plan says another one: 1s, or a \
             fifth of the step if that is less (above 0, up to 8760h).",
        ))
        .about(ABOUT)
        .max_term_width(110)
        .after_help(AFTER_HELP)
        .after_long_help(AFTER_LONG_HELP)
}

/// Refuses what a search does not take.
pub(super) fn check_given(given: &BTreeSet<String>) -> Result<(), Refusal> {
    match REFUSED.iter().find(|(name, ..)| given.contains(*name)) {
        Some((_, flag, accepted)) => {
            let example = "loadgen find-max --slo='p(99)<20ms' localhost:8080";
            Err(Refusal::new(format!("--{flag} with find-max"), *accepted, example))
        }
        None => Ok(()),
    }
}

impl FindMaxArgs {
    /// Where rates are searched.
    pub(super) fn bounds(&self, args: &Args) -> Result<Bounds, PlanError> {
        let named = |PlanError(refusal): PlanError| PlanError(refusal.naming(&args.variables));
        let is_rate = |rate: f64| (load::MIN_RATE..=load::MAX_RATE).contains(&rate);
        if !is_rate(self.max_rate) {
            return Err(named(accepted::refused(&accepted::MAX_RATE, self.max_rate)));
        }
        if !is_rate(self.start_rate) {
            return Err(named(accepted::refused(&accepted::START_RATE, self.start_rate)));
        }
        let requests = self.start_rate * self.step_duration.as_secs_f64();
        let needed = self.slo.min_requests();
        if self.step_duration < MIN_STEP || requests + 1e-6 < needed {
            let why = format!(
                "--slo needs {needed} requests in a step, and at --start-rate={} there are {:.0}",
                self.start_rate,
                requests.floor()
            );
            let shown = contract::quantity::canonical(self.step_duration);
            let accepted = accepted::STEP_DURATION;
            let example = format!("{}s", (needed / self.start_rate).ceil().max(1.0));
            let refusal = Refusal::of_value(accepted.flag, shown, accepted.values, example);
            return Err(named(PlanError(if requests < needed { refusal.because(why) } else { refusal })));
        }
        let bounds = Bounds::new(self.start_rate, self.max_rate, self.precision);
        bounds.ok_or_else(|| named(accepted::refused(&accepted::START_RATE, self.start_rate)))
    }

    /// What is run in the first step.
    pub(super) fn plan(&self, args: &Args) -> Result<Plan, PlanError> {
        let mut args = args.clone();
        (args.rate, args.duration) = (Some(self.start_rate), Some(self.step_duration));
        let plan = Plan::try_from(&args)?;
        let load = plan.load();
        if load.total.is_some() {
            let accepted = "a plan with weights or without them, as each step sends for the same time";
            let example = "weight: 3";
            return Err(PlanError(Refusal::new(
                "a total, or counts of requests, with find-max",
                accepted,
                example,
            )));
        }
        if load.warmup.is_zero() {
            args.warmup = Some(WARMUP.min(self.step_duration / 5));
        }
        if !args.given.contains("timeout") && load.timeout == load::DEFAULT_TIMEOUT {
            args.timeout = self.step_duration.max(MIN_TIMEOUT).min(load::DEFAULT_TIMEOUT);
            args.given.insert("timeout".to_owned());
        }
        Plan::try_from(&args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        let words = ["loadgen", NAME].into_iter().map(str::to_owned);
        Args::read(words.chain(line.split_whitespace().map(str::to_owned)))
            .map_err(|failure| failure.to_string())
    }

    /// The plan of the first step, or what is refused.
    fn plan(line: &str) -> Result<Plan, String> {
        let args = read(line)?;
        let wanted = args.find_max.clone().unwrap();
        let plan = wanted.bounds(&args).and_then(|_| wanted.plan(&args));
        plan.map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_consistent_and_its_summary_has_one_line_for_each_option() {
        Args::described_search().debug_assert();
        let help = Args::described_search().term_width(100).render_help().to_string();
        for line in help.lines().skip_while(|line| *line != "Options:" && *line != "Search:") {
            let is_option = line.starts_with("  -") || line.starts_with("      --");
            let is_heading = line.ends_with(':') && !line.starts_with(' ');
            let is_text = line.starts_with("  loadgen ") || line.starts_with("--help explains");
            assert!(is_option || is_heading || is_text || line.is_empty(), "'{line}' in\n{help}");
        }
        for (name, flag, _) in REFUSED {
            let command = Args::command();
            let arg = command.get_arguments().find(|arg| arg.get_id() == name);
            assert_eq!(arg.and_then(Arg::get_long), Some(flag), "{name}");
            assert!(!help.contains(&format!("--{flag} ")), "{flag} in\n{help}");
        }
    }

    #[test]
    fn a_step_has_a_rate_a_duration_and_what_is_said_of_requests() {
        let first = plan("http://a:1 -c 3 -X PUT").unwrap();
        let load = first.load();
        assert_eq!((load.mean_rate, load.duration), (Some(100.0), Some(Duration::from_secs(10))));
        assert_eq!((load.warmup, load.timeout), (Duration::from_secs(1), Duration::from_secs(10)));
        assert_eq!((load.connections.get(), first.request().method.as_str()), (3, "PUT"));
        let second = first.at_rate(200.0);
        assert_eq!((second.load().count(), second.load().mean_rate), (Some(2000), Some(200.0)));
        for (line, warmup, timeout) in [
            ("--step-duration 2s --slo p(90)<1s", 400, 5000),
            ("--step-duration 2s --slo p(90)<1s --warmup 3s --timeout 1s", 3000, 1000),
            ("--step-duration 2m", 1000, 30_000),
        ] {
            let plan = plan(&format!("{line} a:1")).unwrap();
            let times = [plan.load().warmup, plan.load().timeout];
            assert_eq!(times, [warmup, timeout].map(Duration::from_millis), "{line}");
        }
    }

    #[test]
    fn what_the_search_decides_is_refused() {
        for (line, said) in [
            ("-r 5", "--rate with find-max; accepted: --start-rate and --max-rate"),
            ("--stages 1s@5", "--stages with find-max; accepted: --start-rate"),
            ("-n 5", "--total with find-max; accepted: --step-duration"),
            (
                "-d 5s",
                "--duration with find-max; accepted: --step-duration; example: loadgen find-max --slo=",
            ),
            ("--once", "--once with find-max; accepted: it without find-max"),
            ("--repeat 3", "--repeat with find-max; accepted: --precision"),
            ("--report x.json", "--report with find-max; accepted: --output=json"),
            ("--threshold p(99)<1s", "--threshold with find-max; accepted: --slo"),
            ("--abort-on error_rate<1%", "--abort-on with find-max; accepted: --slo"),
            ("--fail-on-error", "--fail-on-error with find-max; accepted: --slo"),
            ("--embedded", "--embedded with find-max; accepted: a target"),
            ("--slo rate>5", "invalid value 'rate>5' for --slo; accepted: bounds with && between"),
            ("--slo p(99)>5s", "invalid value 'p(99)>5s' for --slo"),
            ("--slo", "--slo needs a value; accepted: bounds"),
            (
                "--precision 0.1%",
                "invalid value '0.1%' for --precision; accepted: a percentage from 1% to 50%",
            ),
            ("--cool-down -1s", "invalid value '-1s' for --cool-down; accepted: a time from 0 to 8760h"),
            (
                "--start-rate 0",
                "invalid value '0' for --start-rate; accepted: requests per second, a number from 0.001",
            ),
            (
                "--start-rate 500 --max-rate 400",
                "invalid value '500' for --start-rate; accepted: requests per second",
            ),
            (
                "--max-rate 1e12",
                "invalid value '1000000000000' for --max-rate; accepted: requests per second",
            ),
            (
                "--start-rate 20",
                "invalid value '10s' for --step-duration: --slo needs 1000 requests in a step, and at --start-rate=20 there are 200; \
                 accepted: a time from 100ms to 8760h",
            ),
            ("--slo error_rate<1% --step-duration 50ms", "invalid value '50ms' for --step-duration"),
            ("report x.json", "unexpected argument 'report'"),
        ] {
            // The last line has a word too many.
            let error = plan(&format!("a:1 {line}")).map(|_| ()).unwrap_err();
            assert!(error.contains(said) && error.lines().count() == 1, "{line}: {error}");
        }
        assert!(plan("").unwrap_err().starts_with("no target: none is given; accepted: host:port"));
    }

    #[test]
    fn a_plan_says_what_is_sent_and_the_search_how_much() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        let with = |load: &str, request: &str| {
            let requests =
                format!("requests:\n  - path: /one\n    {request}\n  - path: /two\n    {request}\n");
            std::fs::write(&file, format!("target: http://a:1\n{load}{requests}")).unwrap();
            plan(&format!("-f {}", file.display()))
        };
        let found = with("load: { stages: 10s@100, timeout: 3s, warmup: 2s }\n", "weight: 1").unwrap();
        let load = found.load();
        assert_eq!((load.mean_rate, load.stages.as_deref(), found.requests().len()), (Some(100.0), None, 2));
        assert_eq!((load.timeout, load.warmup), (Duration::from_secs(3), Duration::from_secs(2)));
        for (load, request) in [("", "count: 5"), ("load: { total: 10 }\n", "weight: 1")] {
            let said = with(load, request).map(|_| ()).unwrap_err();
            assert!(said.contains("with find-max; accepted: a plan with weights"), "{said}");
        }
    }

    #[test]
    fn the_word_asks_for_a_search_at_the_beginning_alone() {
        assert!(read("a:1").unwrap().find_max.is_some());
        for line in ["-c 5 find-max a:1", "a:1 find-max"] {
            let words = std::iter::once("loadgen").chain(line.split_whitespace());
            let said = Args::read(words).map(|_| ()).unwrap_err().to_string();
            assert!(said.starts_with("unexpected argument "), "{said}");
        }
    }
}
