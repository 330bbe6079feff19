//! The whole program, from arguments to exit code, without the process around it.

use std::{io::Write, net::SocketAddr, sync::Once, time::Duration};

use anyhow::Context as _;
use command_line::Refusal;

use super::{
    abort,
    adapters::{Adapted, Page},
    args::Args,
    compare,
    conclude::{EndedRun, View, conclude},
    during,
    exit::{self, Exit},
    find_max,
    formats::{Format, ReportFiles, shown},
    instead::Instead,
    interrupt, loads,
    once::once,
    output::Output,
    planned::Planned,
    print,
    progress::{self, Progress, note},
    rounds::{self, EndedRounds, RepeatableRun},
    wait::{self, Waited},
};
use crate::{
    clock::nanos,
    control::Handle,
    numbers::{count, seconds},
    plan::{OtherEnd, Plan, PlanError, Protocol},
    run::Run,
    summary::Summary,
    verdict::Threshold,
};

/// Does what was asked for, and writes the results to `out`.
///
/// # Errors
/// A [`crate::PlanError`] for a mistake in the arguments; anything else means that it could not run.
pub fn command(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if let Some(wanted) = &args.find_max {
        return find_max::carry_out(args, wanted, out);
    }
    if let Some(wanted) = &args.compare {
        return compare::carry_out(args, wanted, out);
    }
    match &args.instead {
        Some(Instead::Kept(kept)) => return kept.carry_out(out),
        Some(Instead::Probe(probe)) => return probe.carry_out(out),
        Some(Instead::Adapted(adapter)) => return run(adapter.adapted()?, OtherEnd::Elsewhere, out),
        None => {}
    }
    if args.check || args.print {
        return dry(args, out);
    }
    if args.embedded { load_embedded(args, out) } else { carry_out(args, OtherEnd::Elsewhere, out) }
}

/// All that is done without sending anything.
fn dry(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // Its port is free when it starts, and known then.
    #[cfg(feature = "embedded")]
    let args = &if args.embedded { for_embedded(args, "127.0.0.1:1".to_owned()) } else { args.clone() };
    let planned = args.planned()?;
    check_together(&Output::from(args))?;
    note_curl(args, &planned);
    let mut page = Vec::new();
    match planned {
        Planned::One(plan) if args.print => print::plan(&plan, 0, &mut page)?,
        Planned::One(plan) => print::checked(&plan, &mut page)?,
        Planned::Several(loads) => loads::print(&loads, args.print, &mut page)?,
    }
    shown(out.write_all(&page))?;
    Ok(Exit::Done)
}

#[cfg(feature = "embedded")]
fn load_embedded(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // Mistakes are found before there is a server.
    for_embedded(args, "127.0.0.1:1".to_owned()).planned()?;
    let embedded = crate::embedded::Embedded::start()?;
    let args = for_embedded(args, embedded.address());
    if super::formats::printed(args.output, &args.reports) == Format::Text && !args.once {
        let target = args.target.as_deref().unwrap_or_default();
        shown(writeln!(out, "A dummy-server was started in this process, on {target}, and loaded.\n"))?;
    }
    let exit = carry_out(&args, OtherEnd::Here, out);
    embedded.stop();
    exit
}

/// What is done with a server of our own, unless other options say otherwise: 5,000 requests a second for 3 s over h2c.
#[cfg(feature = "embedded")]
fn for_embedded(typed: &Args, address: String) -> Args {
    let mut args = Args { target: Some(address), ..typed.clone() };
    let says_how_much = typed.plan.is_some()
        || typed.rate.is_some()
        || typed.stages.is_some()
        || typed.total.is_some()
        || typed.replay.is_some();
    if !says_how_much && typed.duration.is_none() {
        (args.rate, args.duration) = (Some(5000.0), Some(Duration::from_secs(3)));
    }
    args
}

#[cfg(not(feature = "embedded"))]
fn load_embedded(_: &Args, _: &mut dyn Write) -> anyhow::Result<Exit> {
    Err(PlanError::without_target("this loadgen was built without an embedded server").into())
}

/// What makes no sense together of what is done with a run.
fn check_together(output: &Output) -> Result<(), PlanError> {
    if output.during.as_ref().is_some_and(|during| during.command.trim().is_empty()) {
        let accepted = "a command for the shell";
        let example = "loadgen -r 100 --during='nginx -s reload' http://localhost:8080";
        return Err(PlanError(Refusal::new("--during without a command", accepted, example)));
    }
    if output.during.is_some() && (output.once || output.rounds > 1) {
        let accepted = "--during with one run";
        let example = "loadgen -r 100 --during='nginx -s reload' http://localhost:8080";
        return Err(PlanError(Refusal::new("--during with --once or --repeat", accepted, example)));
    }
    if output.once {
        if output.format != Format::Text || !output.reports.is_empty() {
            let wrong = "--once with --output or --report";
            let accepted = "--once with --output=text, which prints request and response";
            return Err(PlanError(Refusal::new(wrong, accepted, "loadgen --once localhost:8080")));
        }
        if output.rounds > 1 {
            let accepted = "--once alone, or a run with --repeat";
            return Err(PlanError(Refusal::new(
                "--once with --repeat",
                accepted,
                "loadgen --repeat=5 localhost:8080",
            )));
        }
        if !output.thresholds.is_empty() {
            let wrong = "--once with --threshold or --abort-on";
            let accepted = "--once with --fail-on, as one exchange has no percentiles and rates";
            return Err(PlanError(Refusal::new(
                wrong,
                accepted,
                "loadgen --once --fail-on=5xx localhost:8080",
            )));
        }
    }
    Ok(())
}

/// Refuses a load that would end before the command of `--during` starts.
fn check_lasts(plan: &Plan, output: &Output) -> Result<(), PlanError> {
    let (Some(during), Some(lasts)) = (&output.during, plan.load().duration) else { return Ok(()) };
    if lasts > during.around {
        return Ok(());
    }
    let [lasts, around] = [lasts, during.around].map(|time| seconds(nanos(time)));
    let wrong = format!("--during with a load of {lasts}, and {around} of --around before the command");
    let example = "loadgen -r 100 -d 1m --around=5s --during='nginx -s reload' http://localhost:8080";
    Err(PlanError(Refusal::new(
        wrong,
        "a load that lasts longer than --around, or one without --duration",
        example,
    )))
}

/// With `--during`, the command ends the run, unless that lasts longer than may be.
fn for_command(typed: &Args) -> Args {
    const LONGEST: Duration = Duration::from_secs(3600);
    let says_how_long =
        typed.plan.is_some() || typed.stages.is_some() || typed.total.is_some() || typed.replay.is_some();
    let is_ended_by_command = typed.during.is_some() && !says_how_long;
    let duration = typed.duration.or_else(|| is_ended_by_command.then_some(LONGEST));
    Args { duration, ..typed.clone() }
}

fn carry_out(args: &Args, other_end: OtherEnd, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let args = &for_command(args);
    let output = Output::from(args);
    let planned = args.planned()?;
    note_curl(args, &planned);
    match planned {
        Planned::One(plan) => run(Adapted { plan: *plan, output, page: Page::Usual }, other_end, out),
        Planned::Several(all) => loads::run(all, &output, other_end, out),
    }
}

/// Runs a plan with what is done around it.
fn run(adapted: Adapted, other_end: OtherEnd, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let Adapted { mut plan, output, page } = adapted;
    check_together(&output)?;
    check_lasts(&plan, &output)?;
    if output.once {
        plan = plan.for_one_exchange();
    }
    if output.during.is_some() {
        plan = plan.with_phases();
    }
    let plan = within_files(plan, other_end)?;
    let skipped = plan.skipped();
    if let Some((line, why)) = &skipped.first {
        let lines = count(skipped.lines);
        note(&format!("skipped lines of the log: {lines}, the first of which is {line}: {why}"));
    }
    let run = prepared(&plan, &output);
    let interrupts = interrupt::watch(run.handle()).context("can't watch for Ctrl+C")?;
    let mut files = ReportFiles::create(&output.reports)?;
    if let Some(patience) = output.wait_for_target
        && wait::for_target(&plan, patience, &run.handle(), output.progress)? == Waited::Interrupted
    {
        return Ok(Exit::Interrupted);
    }
    if output.once {
        let mut page = Vec::new();
        let exchanged = match once(run, output.decodes, &mut page) {
            Err(_) if interrupts.is_interrupted() => return Ok(Exit::Interrupted),
            exchanged => exchanged?,
        };
        shown(out.write_all(&page))?;
        return Ok(exit::of_exchange(&exchanged, &output.fail_on));
    }
    let again = || Ok(prepared(&plan, &output));
    let Some(rounds) = rounds::carry_out(run, again, &interrupts, &output)? else {
        return Ok(Exit::Interrupted);
    };
    let EndedRounds { ended: rounds, mut cut_short } = rounds;
    let ended: Vec<_> = rounds
        .iter()
        .map(|RoundResult { summary }| EndedRun {
            summary,
            thresholds: &[],
            has_lost: output.zero_loss && exit::has_lost(summary),
        })
        .collect();
    let view = View { detail: output.detail, normalization: output.normalization };
    let exit = conclude(&ended, &output.thresholds, &output.fail_on, view, |reports| {
        files.write(reports, || page.write(reports, &output, out))
    })?;
    let has_failed =
        |round: &RoundResult| round.summary.happened.as_deref().is_some_and(|one| one.code != Some(0));
    if rounds.iter().any(has_failed) {
        cut_short = cut_short.min(Exit::Failed);
    }
    Ok(exit.min(cut_short))
}

/// A run of the plan that can be watched as far as it will be.
pub(super) fn prepared(plan: &Plan, output: &Output) -> Run {
    let run = Run::new(plan.clone());
    match observed_every(output) {
        Some(every) => run.observe(every),
        None => run,
    }
}

/// How often the figures of a run are looked at, if they are.
pub(super) fn observed_every(output: &Output) -> Option<Duration> {
    let during_every = output.during.is_some().then_some(during::EVERY / 4);
    let progress_every = (output.progress && !output.once).then_some(progress::EVERY / 4);
    let abort_every = (!output.abort_on.is_empty()).then_some(abort::EVERY / 4);
    progress_every.into_iter().chain(abort_every).chain(during_every).min()
}

/// With the command line, what the user says of the run, and what it is held against.
pub(super) fn with_words(mut summary: Summary, output: &Output, own: &[Threshold]) -> Summary {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let thresholds = output.thresholds.iter().chain(own).map(ToString::to_string);
    let labels = output.labels.iter().cloned();
    summary.origin = summary.origin.with_command(words).with_labels(labels).with_thresholds(thresholds);
    summary
}

impl RepeatableRun for Run {
    type Ended = RoundResult;

    fn handle(&self) -> Handle {
        Self::handle(self)
    }

    fn carry_out(self, output: &Output) -> anyhow::Result<RoundResult> {
        carry_out_round(self, output)
    }

    fn was_interrupted(ended: &RoundResult) -> bool {
        ended.summary.interrupted
    }
}

/// What came of one round.
pub(super) struct RoundResult {
    pub(super) summary: Summary,
}

/// Runs, with progress, to the end.
pub(super) fn carry_out_round(run: Run, output: &Output) -> anyhow::Result<RoundResult> {
    let progress = output.progress.then(|| Progress::of(run.plan().load()));
    let running = run.start()?;
    running.notes().for_each(|line| note(&line));
    note_ledgers(running.ledgers_at());
    let watching = progress.map(|progress| progress.watch(running.handle()));
    let aborting = match output.abort_on.as_slice() {
        [] => None,
        thresholds => {
            Some(abort::watch(thresholds.to_vec(), vec![running.handle()]).context("can't start a thread")?)
        }
    };
    let during = output.during.clone().map(|during| during.watch(running.handle()));
    let summary = running.join();
    if let Some(watching) = watching {
        watching.end();
    }
    let during = during.transpose().context("can't start a thread")?;
    let aborted = aborting.and_then(abort::AbortWatch::end);
    let mut summary = with_words(summary?, output, &[]);
    if let Some(during) = during {
        during.end(&mut summary);
    }
    if let Some(crossed) = aborted {
        let by = format!("{} was crossed", crossed.threshold);
        note(&format!("stopped early: {by} (--abort-on)"));
        summary.aborted_by = Some(by);
    }
    Ok(RoundResult { summary })
}

/// Says once that secrets of sessions can't be logged, if TLS is spoken and they were to be.
pub(super) fn note_key_log(plan: &Plan) {
    static ONCE: Once = Once::new();
    if plan.sites().iter().any(|site| site.target().tls) {
        ONCE.call_once(|| {
            if let Err(error) = transport::tls::check_key_log() {
                note(&error.to_string());
            }
        });
    }
}

/// Says of what was typed and is valid that it has another meaning for curl.
fn note_curl(args: &Args, planned: &Planned) {
    if let Some(cookies) = &args.cookies {
        note(cookies);
    }
    let is_http1 = |plan: &Plan| {
        plan.message().is_none() && plan.sites().iter().all(|site| site.target().protocol == Protocol::Http1)
    };
    let is_unused = match planned {
        Planned::One(plan) => is_http1(plan),
        Planned::Several(loads) => loads.iter().all(|load| is_http1(&load.plan)),
    };
    if args.has_whole_m && is_unused {
        note("-m, the number of streams, has no effect over HTTP/1.1; curl's -m is --timeout here");
    }
}

/// Says where servers can post their ledgers.
pub(super) fn note_ledgers(address: Option<SocketAddr>) {
    if let Some(address) = address {
        note(&format!("ledgers are taken at http://{address}/ (dummy-server --ledger-push)"));
    }
}

/// The plan with connections that this process can open. A limit that can't be read or raised is met while it runs.
pub(super) fn within_files(plan: Plan, other_end: OtherEnd) -> Result<Plan, PlanError> {
    note_key_log(&plan);
    let Ok(limit) = runtime::files::raise_limit() else { return Ok(plan) };
    let (plan, is_limited) = plan.within_files(limit.now, other_end)?;
    if is_limited {
        note(&format!(
            "loadgen opens at most {} connections{}, fewer than the {} requests that may be in flight: it may open {} files \
             (ulimit -n)",
            plan.load().max_connections,
            if plan.sites().len() > 1 { " to each target" } else { "" },
            plan.load().max_in_flight,
            limit.now
        ));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::{io, net::SocketAddr};

    use clap::Parser as _;
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// A reader that has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ends(line: &str, out: &mut dyn Write) -> anyhow::Result<Exit> {
        let words = std::iter::once("loadgen").chain(line.split_whitespace());
        command(&Args::try_parse_from(words).unwrap(), out)
    }

    /// No other test is given it: it stays bound until the tests end.
    fn closed_port() -> SocketAddr {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        std::mem::forget(socket);
        address
    }

    #[test]
    fn a_reader_that_has_gone_changes_neither_the_file_nor_the_exit_code() {
        let file = std::env::temp_dir().join(format!("loadgen-report-{}.json", std::process::id()));
        let line =
            format!("--no-progress -n 3 --fail-on-error --report {} {}", file.display(), closed_port());
        let exit = ends(&line, &mut Gone);
        let report = std::fs::read(&file);
        let _ = std::fs::remove_file(&file);
        assert_eq!(exit.unwrap(), Exit::Failed);
        let report: serde_json::Value = serde_json::from_slice(&report.unwrap()).unwrap();
        assert_eq!(report["requests"]["transport_failed"], 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_report_that_can_not_be_written_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (full, kept) = (folder.path().join("full.json"), folder.path().join("kept.json"));
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let (full, file) = (full.display(), kept.display());
        let plan = folder.path().join("plan.yaml");
        let address = closed_port();
        let loads =
            format!("target: http://{address}\nloads:\n- {{name: a, total: 2}}\n- {{name: b, total: 2}}\n");
        std::fs::write(&plan, loads).unwrap();
        for what in [format!("-n 3 {address}"), format!("--plan {}", plan.display())] {
            let mut out = Vec::new();
            let error = ends(&format!("--no-progress --report {full} --report {file} {what}"), &mut out);
            let error = format!("{:#}", error.unwrap_err());
            assert!(error.starts_with(&format!("can't write the --report file {full}: ")), "{error}");
            assert!(String::from_utf8(out).unwrap().contains("refused"), "{what}");
            let report = std::fs::read(&kept).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&report).is_ok(), "{what}");
        }
        // What it kept is shown in the same way.
        let mut out = Vec::new();
        let words = ["loadgen", "report", kept.to_str().unwrap(), "--report", &full.to_string()];
        let error = command(&Args::try_parse_from(words).unwrap(), &mut out).unwrap_err();
        assert!(format!("{error:#}").contains("full.json") && !out.is_empty(), "{error:#}");
    }

    #[test]
    fn a_run_that_does_not_begin_leaves_the_report_of_another_as_it_is() {
        let file = std::env::temp_dir().join(format!("loadgen-kept-{}.json", std::process::id()));
        let report = file.display();
        std::fs::write(&file, "x".repeat(100_000)).unwrap();
        let waits = format!("--no-progress --wait-for-target 1ms --report {report} {}", closed_port());
        let waited = ends(&waits, &mut Vec::new());
        let before = std::fs::read_to_string(&file).unwrap();
        let ran = ends(&format!("--no-progress -n 1 --report {report} {}", closed_port()), &mut Vec::new());
        let after = std::fs::read_to_string(&file).unwrap();
        let _ = std::fs::remove_file(&file);
        assert!(waited.is_err() && before.len() == 100_000);
        assert_eq!(ran.unwrap(), Exit::Failed);
        assert!(serde_json::from_str::<serde_json::Value>(&after).is_ok(), "nothing of before is left");
    }

    #[test]
    fn one_exchange_without_a_reply_has_failed() {
        let mut out = Vec::new();
        assert_eq!(ends(&format!("--once {}", closed_port()), &mut out).unwrap(), Exit::Failed);
        assert!(String::from_utf8(out).unwrap().contains("refused"));
        let line = format!("--once --fail-on-error {}", closed_port());
        assert_eq!(ends(&line, &mut Gone).unwrap(), Exit::Failed);
    }

    #[test]
    fn one_exchange_has_no_report() {
        for line in ["--once --threshold rate>1 a:1", "--once --abort-on unanswered<1 a:1"] {
            let error = ends(line, &mut Vec::new()).unwrap_err();
            assert!(error.is::<PlanError>() && error.to_string().contains("--fail-on"), "{error}");
        }
        for line in ["--once -o json a:1", "--once --report x.json a:1"] {
            let error = ends(line, &mut Vec::new()).unwrap_err();
            assert!(
                error.is::<PlanError>()
                    && error.to_string().contains("--once with --output or --report; accepted: "),
                "{error}"
            );
        }
    }
}
