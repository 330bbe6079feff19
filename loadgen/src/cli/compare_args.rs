//! The options of `compare`: its own, and those of a run, as far as they make sense for each contender alike.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::{
    Arg, Args as _, Command, CommandFactory as _,
    builder::{BoolishValueParser, Resettable},
};
use command_line::Refusal;

use super::{
    args::Args,
    compare_cpu::{CpuOf, MAX_PIDS},
    values::{rate, whole},
};
use crate::{
    compare::{Bound, Bounded, MAX_BLOCKS, MAX_CONTENDERS, blocks_needed, blocks_wanted, bound},
    plan::{Plan, PlanError, Shape, accepted, load},
};

/// The word that asks for a comparison.
pub(super) const NAME: &str = "compare";

/// The name of its command.
pub(super) const COMMAND: &str = "loadgen compare";

/// What it does, in a line.
pub(super) const ABOUT: &str = "Compare several ways to a server, such as direct and by a proxy";

const COMPARISON: &str = "Comparison";

const EXAMPLE: &str =
    "loadgen compare direct=http://localhost:8080/bin/1K nginx=http://localhost:8081/bin/1K";

/// A median needs this number of requests in a round.
const MIN_REQUESTS: f64 = 20.0;

/// How long each contender is measured in a block, unless something else is said.
const ROUND: Duration = Duration::from_secs(5);

/// What is not measured at the beginning of a round, unless something else is said, at most.
const WARMUP: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  loadgen compare direct=http://localhost:8080/bin/1K nginx=http://localhost:8081/bin/1K
  loadgen compare -r 500 --pid nginx=4711 direct=http://a:8080/bin/1K nginx=http://a:8081/bin/1K

--help explains each option, how contenders are compared, and the exit codes.";

const AFTER_LONG_HELP: &str = "\
The first contender is what the others are compared with. Before anything is measured, a few requests show whether they do the same: \
protocol, status, bytes, no compression, no cache, connections that are kept alive on both sides. What differs is named, and ends \
the comparison unless --force is given.

Each block measures all contenders once, in random order, with requests at random times (Poisson) at the same rate. That is --rate, or else \
half of the slowest one's knee, the highest rate at which its p99 is below ten times what it is at a low rate. Reported are the \
medians of the differences within blocks, with intervals by order statistics; percentiles are never averaged. A difference is found \
if intervals exclude zero with and without loadgen's own delay; a comparison of a thing with itself finds one in at most one of 20.

A block is discarded, and replaced, if in any of its rounds other machines had more than 2% of the CPUs (steal), loadgen was kept from \
running for more than 100 ms, its own delay was more than half of the median and than 1 ms, or dummy-server's timers were more than 10 ms \
late; or if a cache line took more than twice as long from CPU to CPU and back in one round as in another, and more than 100 ns.

Environment: each option is also a variable, LOADGEN_ and its name, as without compare (--threshold is LOADGEN_COMPARE_THRESHOLD). Variables of options that compare does not \
take are ignored.

Exit codes, the first that applies:
  130  interrupted; what was measured before is reported
  2    invalid arguments
  1    contenders differ, and --force was not given; or one could not be reached, or fewer than half of its requests succeeded
  99   a threshold was crossed
  4    too few blocks are left to tell anything, or a threshold could not be judged
  0    done, whether or not there is a difference

Examples:
  What nginx adds to a request, and what it costs in CPU time:
      loadgen compare --pid nginx=$(cat /run/nginx.pid) direct=http://localhost:8080/bin/1K nginx=http://localhost:8081/bin/1K
  Two proxies, at a rate of your own, for longer:
      loadgen compare -r 2000 -d 20s direct=http://a:8080/bin/1K haproxy=http://a:8081/bin/1K envoy=http://a:8082/bin/1K
  How times grow towards each one's own limit:
      loadgen compare --curve direct=localhost:8080/bin/1K nginx=localhost:8081/bin/1K
  For programs, and for the summary of a CI job:
      loadgen compare -o json direct=localhost:8080/bin/1K nginx=localhost:8081/bin/1K
      loadgen compare -o markdown direct=localhost:8080/bin/1K nginx=localhost:8081/bin/1K";

/// Options of a run that a comparison does not take, by name and flag, and what is there instead.
const REFUSED: [(&str, &str, &str); 26] = [
    ("target", "target", "contenders, each NAME=URL"),
    ("url", "url", "contenders, each NAME=URL"),
    ("stages", "stages", "--rate, the same for all, or --curve"),
    ("poisson", "poisson", "it without compare, whose requests come at random times in any case"),
    ("coalesce", "coalesce", "it without compare, whose requests are sent when they are due"),
    ("replay", "replay", "it without compare"),
    ("speed", "speed", "it without compare"),
    ("total", "total", "--duration, as all rounds last the same time"),
    ("embedded", "embedded", "contenders: a server in this process would share its CPUs with loadgen"),
    ("once", "once", "it without compare"),
    ("check", "check", "it without compare"),
    ("print", "print", "it without compare"),
    ("repeat", "repeat", "--blocks"),
    ("reports", "report", "--output=json, and its standard output in a file"),
    ("detail", "detail", "--output=json"),
    ("labels", "label", "it without compare"),
    ("abort_on", "abort-on", "it without compare"),
    ("fail_on", "fail-on", "it without compare"),
    ("fail_on_error", "fail-on-error", "it without compare"),
    ("verify", "verify", "it without compare"),
    ("ledgers", "ledger", "it without compare"),
    ("ledger_listen", "ledger-listen", "it without compare"),
    ("zero_loss", "zero-loss", "it without compare"),
    ("nf", "nf", "it without compare"),
    ("during", "during", "it without compare"),
    ("around", "around", "it without compare"),
];

/// What `--threshold` of a run is known as where that of a comparison is meant: nothing that is typed.
const OF_RUNS: &str = "threshold-of-a-run";

/// Options of `compare` that a run does not have.
#[derive(Clone, Debug, clap::Args)]
pub struct Compare {
    /// What is compared, the first with each of the others
    ///
    /// 2 to 16 of them, each a name of letters, digits, '.', '_' and '-' (at most 32), '=', and a target as without compare.
    #[arg(value_name = "NAME=URL")]
    pub contenders: Vec<String>,

    /// Number of blocks, each with a round of each contender
    ///
    /// Without it: enough to judge all figures even where a block was disturbed: 11 for two contenders, 15 for 16. Fewer judge the median
    /// first (from 6, or as many as the contenders need, to 100).
    #[arg(long, value_name = "N", env = "LOADGEN_BLOCKS", value_parser = whole::<usize>, help_heading = COMPARISON)]
    pub blocks: Option<usize>,

    /// Count the CPU time of a contender's processes, like nginx=4711
    ///
    /// The name of a contender, '=', and ids of processes with commas between (at most 64). What they have started counts too. May be
    /// repeated, once for each contender.
    #[arg(long = "pid", value_name = "NAME=PID[,PID]", env = "LOADGEN_PID", value_delimiter = '\n', value_parser = processes,
          help_heading = COMPARISON)]
    pub processes: Vec<(String, CpuOf)>,

    /// Count the CPU time of a cgroup, like nginx=/sys/fs/cgroup/nginx
    ///
    /// The name of a contender, '=', and the folder of a cgroup (version 2), which has cpu.stat. May be repeated, once for each contender.
    #[arg(long = "cgroup", value_name = "NAME=PATH", env = "LOADGEN_CGROUP", value_delimiter = '\n', value_parser = cgroup,
          help_heading = COMPARISON)]
    pub cgroups: Vec<(String, CpuOf)>,

    /// Also measure at 25, 50, 75 and 90% of each one's own knee
    ///
    /// With as many blocks at each. The knee is the highest rate that a contender holds; it takes a search for each.
    #[arg(long, env = "LOADGEN_CURVE", value_parser = BoolishValueParser::new(), help_heading = COMPARISON)]
    pub curve: bool,

    /// Exit with 99 unless this holds, like 'nginx.p(99)<2ms'
    ///
    /// The name of a contender and a dot, or neither for each but the first; then what it takes more than the first one at p(50) or
    /// p(99), or in the mean, or its cpu, which is CPU time for each request (--pid, --cgroup); then <, <=, > or >= and a time. It
    /// passes if the whole interval meets it, and fails if no part does, even without loadgen's own delay; else it can't be
    /// judged (exit code 4). May be repeated.
    #[arg(long = "threshold", value_name = "BOUND", env = "LOADGEN_COMPARE_THRESHOLD", value_delimiter = '\n',
          help_heading = COMPARISON)]
    pub bounds: Vec<Bound>,

    /// Compare contenders that do not do the same
    ///
    /// What differs is reported.
    #[arg(long, env = "LOADGEN_FORCE", value_parser = BoolishValueParser::new(), help_heading = COMPARISON)]
    pub force: bool,

    /// Highest rate that is tried in the search for knees
    ///
    /// In requests per second (500 to 100000000).
    #[arg(long, value_name = "PER_SECOND", env = "LOADGEN_MAX_KNEE", default_value = "1000000", value_parser = rate,
          help_heading = COMPARISON)]
    pub max_knee: f64,
}

/// What was named of a contender: its name, and the rest behind `=`.
fn named(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, rest)| bound::is_name(name) && !rest.is_empty())
}

/// `--pid`.
fn processes(text: &str) -> Result<(String, CpuOf), &'static str> {
    let (name, pids) = named(text).ok_or("no name=pid")?;
    let pids: Option<Vec<u32>> =
        pids.split(',').map(|pid| whole::<u32>(pid).ok().filter(|pid| *pid > 0)).collect();
    let pids = pids.filter(|pids| pids.len() <= MAX_PIDS).ok_or("no ids")?;
    Ok((name.to_owned(), CpuOf::Processes(pids)))
}

/// `--cgroup`.
fn cgroup(text: &str) -> Result<(String, CpuOf), &'static str> {
    let (name, folder) = named(text).ok_or("no name=path")?;
    Ok((name.to_owned(), CpuOf::Cgroup(PathBuf::from(folder))))
}

/// The command, with its own options first.
pub(super) fn command() -> Command {
    let is_refused = |arg: &Arg| REFUSED.iter().any(|(name, ..)| arg.get_id() == *name);
    // They are known, so that what is there instead can be said. The target is not a separate word here.
    let of_runs = Args::command();
    let of_runs = of_runs.get_arguments().map(|arg| match is_refused(arg) {
        true if arg.get_id() == "target" => arg.clone().long("target").hide(true),
        // Bounds of a comparison are other ones.
        false if arg.get_id() == "thresholds" => arg.clone().long(OF_RUNS).hide(true).env(Resettable::Reset),
        true => arg.clone().hide(true).env(Resettable::Reset),
        false => arg.clone(),
    });
    let command = Command::new(COMMAND).bin_name(COMMAND);
    Compare::augment_args(command.version(env!("CARGO_PKG_VERSION")))
        .args(of_runs)
        .mut_arg("output", |arg| {
            arg.help("Format of the result: text, json or markdown").long_help(
                "Format of the result: text, json or markdown\n\ntext is for people; json is for programs, see \
                 `compare.schema.json`; markdown for the summary of a CI job.",
            )
        })
        .mut_arg("rate", |arg| {
            arg.help("Requests per second, the same for all [default: half of a knee]").long_help(
                "Requests per second, the same for all\n\nAt random times, as of many independent users. Without it: half of the \
                 slowest one's knee, which is searched first (0.001 to 100000000).",
            )
        })
        .mut_arg("duration", |arg| {
            arg.help("How long each contender is measured in a block [default: 5s]").long_help(
                "How long each contender is measured in a block\n\nAfter its warm-up. The median needs 20 requests in that time, and the \
                 99th percentile 1,000. Without it: 5s.",
            )
        })
        .mut_arg("warmup", |arg| {
            arg.long_help(
                "Do not measure what is due in this time at first\n\nIn each round. Without it, and unless a plan says another one: 1s, \
                 or a fifth of the round if that is less (above 0, up to 8760h).",
            )
        })
        .mut_arg("seed", |arg| {
            arg.long_help(
                "Seed of what is random\n\nOf the order within blocks, of the times of requests and of values in placeholders. The \
                 report has it. A whole number (0 to 2^64-1).",
            )
        })
        .mut_arg("max_lag", |arg| {
            arg.long_help(
                "Drop requests that are unsent for this long\n\nAfter they were due. They are counted as dropped, and did \
                 not succeed (above 0, up to 8760h).",
            )
        })
        .about(ABOUT)
        .max_term_width(110)
        .after_help(AFTER_HELP)
        .after_long_help(AFTER_LONG_HELP)
}

/// Refuses what a comparison does not take.
pub(super) fn check_given(given: &BTreeSet<String>) -> Result<(), Refusal> {
    if given.contains("thresholds") {
        let wrong = format!("--{OF_RUNS} with compare");
        return Err(Refusal::new(wrong, "--threshold", "--threshold='nginx.p(99)<2ms'"));
    }
    match REFUSED.iter().find(|(name, ..)| given.contains(*name)) {
        Some((_, flag, accepted)) => Err(Refusal::new(format!("--{flag} with compare"), *accepted, EXAMPLE)),
        None => Ok(()),
    }
}

/// One of those that are compared.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: String,
    /// At the rate that is compared, or at the lowest one of a search.
    pub(super) plan: Plan,
    /// Whose CPU time is its own.
    pub(super) cpu: Option<CpuOf>,
}

impl Compare {
    /// What is compared, and in how many blocks. Their plans are at `--rate`, or else at `low`.
    pub(super) fn contenders(&self, args: &Args, seed: u64, low: f64) -> Result<Vec<Contender>, PlanError> {
        let refused = |wrong: String, accepted: &str| Err(PlanError(Refusal::new(wrong, accepted, EXAMPLE)));
        if !(2..=MAX_CONTENDERS).contains(&self.contenders.len()) {
            let wrong = match self.contenders.len() {
                1 => "1 contender".to_owned(),
                several => format!("{several} contenders"),
            };
            return refused(wrong, "2 to 16 contenders, each NAME=URL");
        }
        let mut all: Vec<Contender> = Vec::new();
        for text in &self.contenders {
            let Some((name, url)) = named(text) else {
                let wrong = format!("invalid contender '{}'", text.escape_debug());
                let accepted = "a name of letters, digits, '.', '_' and '-' (at most 32), '=', and a target";
                return refused(wrong, accepted);
            };
            if all.iter().any(|contender| contender.name == name) {
                return refused(format!("two contenders named '{name}'"), "a unique name for each contender");
            }
            let cpu = self.cpu_of(name)?;
            all.push(Contender { name: name.to_owned(), plan: plan(args, url, seed, low)?, cpu });
        }
        let sources = self.processes.iter().chain(&self.cgroups);
        let unknown =
            sources.map(|(name, _)| name).find(|name| all.iter().all(|contender| contender.name != **name));
        if let Some(name) = unknown {
            return refused(format!("--pid or --cgroup of '{name}'"), "the name of a contender");
        }
        self.bounds.iter().try_for_each(|bound| check_bound(bound, &all))?;
        Ok(all)
    }

    fn cpu_of(&self, name: &str) -> Result<Option<CpuOf>, PlanError> {
        let mut own = self.processes.iter().chain(&self.cgroups).filter(|(of, _)| of == name);
        let first = own.next().map(|(_, cpu)| cpu.clone());
        match own.next() {
            None => Ok(first),
            Some(_) => Err(PlanError(Refusal::new(
                format!("--pid or --cgroup of '{name}' twice"),
                "one for each contender, with commas between ids",
                "--pid=nginx=4711,4712",
            ))),
        }
    }

    /// How many blocks there are of this number of contenders.
    pub(super) fn blocks(&self, contenders: usize) -> Result<usize, PlanError> {
        let needed = blocks_needed(contenders);
        match self.blocks {
            None => Ok(blocks_wanted(contenders)),
            Some(blocks) if (needed..=MAX_BLOCKS).contains(&blocks) => Ok(blocks),
            Some(blocks) => {
                let accepted =
                    format!("a whole number from {needed} (for {contenders} contenders) to {MAX_BLOCKS}");
                Err(PlanError(Refusal::of_value("blocks", blocks, &accepted, "20")))
            }
        }
    }

    /// Whether the highest rate of a search can be one.
    pub(super) fn check_max_knee(&self, low: f64) -> Result<(), PlanError> {
        if (low..=load::MAX_RATE).contains(&self.max_knee) {
            return Ok(());
        }
        Err(accepted::refused(&accepted::MAX_KNEE, self.max_knee))
    }
}

/// Whether there can be what it bounds.
fn check_bound(bound: &Bound, all: &[Contender]) -> Result<(), PlanError> {
    let refused = |wrong: String, accepted: &str| {
        let first_other = all.get(1).map_or("nginx", |contender| &contender.name);
        Err(PlanError(Refusal::new(wrong, accepted, format!("--threshold='{first_other}.p(99)<2ms'"))))
    };
    let is_of = |index: usize| bound.contender().map_or(index > 0, |name| all[index].name == name);
    let mut of = (0..all.len()).filter(|index| is_of(*index));
    match bound.figure() {
        _ if of.clone().next().is_none() => refused(
            format!("--threshold of '{}'", bound.contender().unwrap_or_default()),
            "the name of a contender",
        ),
        Bounded::More(_) if of.any(|index| index == 0) => {
            let accepted = "the name of another contender, as the others are compared with the first one";
            refused(
                format!("--threshold of '{}', which is the first", bound.contender().unwrap_or_default()),
                accepted,
            )
        }
        Bounded::Cpu if of.any(|index| all[index].cpu.is_none()) => refused(
            format!("--threshold={bound} without the CPU time"),
            "it with --pid or --cgroup of each contender that it is of",
        ),
        _ => Ok(()),
    }
}

/// What is sent to a target in a round.
fn plan(args: &Args, url: &str, seed: u64, low: f64) -> Result<Plan, PlanError> {
    let mut args = args.clone();
    args.target = Some(url.to_owned());
    args.poisson = true;
    args.seed = Some(seed);
    args.rate = args.rate.or(Some(low));
    let duration = *args.duration.get_or_insert(ROUND);
    args.given.extend(["poisson", "seed", "rate", "duration", "target"].map(str::to_owned));
    let plan = Plan::try_from(&args)?;
    let load = plan.load();
    if let Shape::Open { coalesce: Some(_), .. } = &load.shape {
        let accepted = "a plan without it, as requests of a comparison are sent when they are due";
        return Err(PlanError(Refusal::new("a plan with coalesce, with compare", accepted, "rate: 100")));
    }
    if load.total.is_some() {
        let accepted = "a plan with weights or without them, as all rounds last the same time";
        return Err(PlanError(Refusal::new(
            "a total, or counts of requests, with compare",
            accepted,
            "weight: 3",
        )));
    }
    if plan.sites().len() > 1 {
        let accepted = "a plan with one target, in whose place the contenders are";
        return Err(PlanError(Refusal::new("several targets with compare", accepted, EXAMPLE)));
    }
    let requests = args.rate.unwrap_or(low) * duration.as_secs_f64();
    if requests + 1e-6 < MIN_REQUESTS {
        let shown = contract::quantity::canonical(duration);
        let accepted = "a time in which there are at least 20 requests, as a median needs them";
        let example = format!("{}s", (MIN_REQUESTS / args.rate.unwrap_or(low)).ceil().max(1.0));
        return Err(PlanError(Refusal::of_value("duration", shown, accepted, example)));
    }
    if load.warmup.is_zero() {
        args.warmup = Some(WARMUP.min(duration / 5));
        args.given.insert("warmup".to_owned());
        return Plan::try_from(&args);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        let words = ["loadgen", NAME].into_iter().map(str::to_owned);
        Args::read(words.chain(line.split_whitespace().map(str::to_owned)))
            .map_err(|failure| failure.to_string())
    }

    /// The contenders and the number of blocks, or what is refused.
    fn contenders(line: &str) -> Result<(Vec<Contender>, usize), String> {
        let args = read(line)?;
        let wanted = args.compare.clone().unwrap();
        let all = wanted.contenders(&args, 7, 500.0).and_then(|all| {
            wanted.check_max_knee(500.0)?;
            let blocks = wanted.blocks(all.len())?;
            Ok((all, blocks))
        });
        all.map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_consistent_and_its_summary_has_one_line_for_each_option() {
        Args::described_comparison().debug_assert();
        let help = Args::described_comparison().term_width(100).render_help().to_string();
        for line in help.lines().skip_while(|line| *line != "Options:" && *line != "Comparison:") {
            let is_option = line.starts_with("  -") || line.starts_with("      --");
            let is_heading = line.ends_with(':') && !line.starts_with(' ');
            let is_text = line.starts_with("  loadgen ") || line.starts_with("--help explains");
            assert!(is_option || is_heading || is_text || line.is_empty(), "'{line}' in\n{help}");
        }
        for (name, flag, _) in REFUSED {
            let command = Args::command();
            let arg = command.get_arguments().find(|arg| arg.get_id() == name);
            assert!(arg.is_some_and(|arg| name == "target" || arg.get_long() == Some(flag)), "{name}");
            assert!(!help.contains(&format!("--{flag} ")), "{flag} in\n{help}");
        }
    }

    #[test]
    fn all_contenders_have_the_same_load_at_random_times() {
        let (all, blocks) =
            contenders("-r 1000 -c 3 direct=http://a:1/x nginx=http://b:2/x --pid nginx=7,8").unwrap();
        assert_eq!((all.len(), blocks), (2, 11));
        for contender in &all {
            let load = contender.plan.load();
            assert_eq!((load.mean_rate, load.connections.get()), (Some(1000.0), 3));
            assert_eq!((load.duration, load.warmup), (Some(ROUND), WARMUP));
            assert!(load.is_random());
            assert_eq!(contender.plan.seed(), Some(7));
        }
        let shown: Vec<_> = all.iter().map(|contender| contender.plan.target().to_string()).collect();
        assert_eq!(shown, ["http://a:1/x", "http://b:2/x"]);
        assert_eq!((&all[0].cpu, &all[1].cpu), (&None, &Some(CpuOf::Processes(vec![7, 8]))));
        let (all, blocks) = contenders("-d 1s --blocks 100 --cgroup b=/x a=a:1 b=a:1 c=a:1").unwrap();
        assert_eq!((all[2].plan.load().mean_rate, blocks), (Some(500.0), MAX_BLOCKS));
        assert_eq!(all[1].cpu, Some(CpuOf::Cgroup("/x".into())));
        assert_eq!(all[0].plan.load().warmup, Duration::from_millis(200));
    }

    #[test]
    fn as_many_contenders_as_are_documented_are_compared_and_no_more() {
        let names = |count: usize| (0..count).map(|n| format!("{n:0>32}=a:1")).collect::<Vec<_>>().join(" ");
        let (all, blocks) = contenders(&names(MAX_CONTENDERS)).unwrap();
        assert_eq!((all.len(), blocks), (16, 15));
        assert!(
            contenders(&names(MAX_CONTENDERS + 1))
                .unwrap_err()
                .starts_with("17 contenders; accepted: 2 to 16")
        );
        let pids = |count: usize| vec!["4294967295"; count].join(",");
        assert!(contenders(&format!("a=a:1 b=a:1 --pid a={}", pids(MAX_PIDS))).is_ok());
        assert!(contenders(&format!("a=a:1 b=a:1 --pid a={}", pids(MAX_PIDS + 1))).is_err());
        assert!(contenders("a=a:1 b=a:1 --max-knee 100000000").is_ok());
    }

    #[test]
    fn what_makes_no_comparison_is_refused() {
        let long = "x".repeat(33);
        for (line, said) in [
            (
                "",
                "0 contenders; accepted: 2 to 16 contenders, each NAME=URL; example: loadgen compare direct=",
            ),
            ("a=a:1", "1 contender; accepted: 2 to 16"),
            ("a:1 b=a:1", "invalid contender 'a:1'; accepted: a name of letters"),
            (&format!("{long}=a:1 b=a:1"), "invalid contender 'xxx"),
            ("a=a:1 a=b:1", "two contenders named 'a'"),
            ("a=a:1 b=", "invalid contender 'b='"),
            ("a=a:1 b=:", "invalid target ':'"),
            ("a=a:1 b=a:1 --pid c=1", "--pid or --cgroup of 'c'; accepted: the name of a contender"),
            ("a=a:1 b=a:1 --pid b=1 --cgroup b=/x", "--pid or --cgroup of 'b' twice"),
            ("a=a:1 b=a:1 --threshold c.p(99)<1ms", "--threshold of 'c'; accepted: the name of a contender"),
            (
                "a=a:1 b=a:1 --threshold a.p(50)<1ms",
                "--threshold of 'a', which is the first; accepted: the name of another",
            ),
            (
                "a=a:1 b=a:1 --threshold b.cpu<1ms",
                "--threshold=b.cpu<1ms without the CPU time; accepted: it with --pid",
            ),
            ("a=a:1 b=a:1 c=a:1 --pid b=1 --threshold cpu<1ms", "--threshold=cpu<1ms without the CPU time"),
            (
                "a=a:1 b=a:1 --threshold error_rate<1%",
                "invalid value 'error_rate<1%' for --threshold; accepted: the name of a contender and a dot",
            ),
            ("a=a:1 b=a:1 --pid b=0", "invalid value 'b=0' for --pid; accepted: the name of a contender"),
            ("a=a:1 b=a:1 --cgroup b", "invalid value 'b' for --cgroup; accepted: the name of a contender"),
            ("a=a:1 b=a:1 --blocks 5", "invalid value '5' for --blocks; accepted: a whole number from 6"),
            ("a=a:1 b=a:1 --blocks 101", "invalid value '101' for --blocks; accepted: a whole number from 6"),
            ("a=a:1 b=a:1 --blocks x", "invalid value 'x' for --blocks; accepted: a whole number"),
            ("a=a:1 b=a:1 c=a:1 --blocks 6", "a whole number from 7 (for 3 contenders) to 100"),
            (
                "a=a:1 b=a:1 --max-knee 499",
                "invalid value '499' for --max-knee; accepted: requests per second",
            ),
            ("a=a:1 b=a:1 --max-knee 1e9", "invalid value '1000000000' for --max-knee"),
            ("a=a:1 b=a:1 -r 1", "invalid value '5s' for --duration; accepted: a time in which"),
            ("a=a:1 b=a:1 -n 5", "--total with compare; accepted: --duration"),
            ("a=a:1 b=a:1 --stages 1s@5", "--stages with compare; accepted: --rate"),
            ("a=a:1 b=a:1 --verify", "--verify with compare"),
            ("a=a:1 b=a:1 -u c:1", "--url with compare; accepted: contenders"),
            ("a=a:1 b=a:1 --target c:1", "--target with compare; accepted: contenders"),
        ] {
            let error = contenders(line).map(|_| ()).unwrap_err();
            assert!(error.contains(said) && error.lines().count() == 1, "{line}: {error}");
        }
    }

    #[test]
    fn a_plan_says_what_is_sent_to_each() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        let with = |text: &str| {
            std::fs::write(&file, text).unwrap();
            contenders(&format!("-f {} a=http://a:1 b=http://b:1", file.display()))
        };
        let (all, _) = with(
            "target: http://c:1\nload: { rate: 50, duration: 9s, warmup: 2s }\nrequests: [{ path: /one }]\n",
        )
        .unwrap();
        let load = all[1].plan.load();
        assert_eq!(
            (all[1].plan.target().to_string(), load.warmup),
            ("http://b:1/".to_owned(), Duration::from_secs(2))
        );
        assert_eq!(all[1].plan.requests()[0].path(), "/one");
        for not_compared in ["requests: [{ path: /one, count: 3 }]", "load: { rate: 50, coalesce: 1ms }"] {
            let error = with(&format!("target: http://c:1\n{not_compared}\n")).map(|_| ()).unwrap_err();
            assert!(error.contains("with compare"), "{error}");
        }
    }
}
