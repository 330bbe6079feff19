//! The whole program, from arguments to exit code, without the process around it.

use std::{fs::File, io::Write, process::ExitCode, sync::Arc};

use anyhow::Context as _;

use crate::{
    args::{Args, Format},
    clock::nanos,
    control::Control,
    interrupt, once,
    plan::{Output, Plan},
    progress::Progress,
    report, run,
    summary::Summary,
};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Could not run.
    CouldNotRun,
    /// Bad arguments.
    BadArguments,
    /// Errors, with `--fail-on-error`.
    Errors,
    /// Interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::CouldNotRun => 1,
            Exit::BadArguments => 2,
            Exit::Errors => 3,
            Exit::Interrupted => 130,
        })
    }
}

/// Does what was asked for, and writes the results to `out`.
///
/// # Errors
/// A [`crate::PlanError`] for a mistake in the arguments; anything else means that it could not run.
pub fn command(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if args.target.is_some() || args.url.is_some() {
        return carry_out(args, out);
    }
    without_address(args, out)
}

#[cfg(feature = "embedded")]
fn without_address(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let embedded = crate::embedded::Embedded::start()?;
    let args = embedded.args(args);
    if args.output == Format::Text && !args.once {
        let target = args.target.as_deref().unwrap_or_default();
        writeln!(
            out,
            "No target was given, so a dummy-server was started in this process, on {target}, and loaded.\n"
        )?;
    }
    let exit = carry_out(&args, out);
    embedded.stop();
    exit
}

#[cfg(not(feature = "embedded"))]
fn without_address(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    carry_out(args, out)
}

fn carry_out(args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let (mut plan, output) = (Plan::try_from(args)?, Output::from(args));
    if output.once {
        plan = plan.for_one_exchange();
    }
    let progress = (output.progress && !output.once).then(|| Progress::of(&plan.load));
    let board_every = progress.as_ref().map_or(0, |progress| nanos(progress.every()));
    let control = Arc::new(Control::new(plan.workers.get(), board_every));
    interrupt::watch(Arc::clone(&control)).context("can't watch for Ctrl+C")?;
    if output.once {
        let succeeded = once(plan, &control, out)?;
        return Ok(if output.fail_on_error && !succeeded { Exit::Errors } else { Exit::Done });
    }
    let mut file = output.report.as_deref().map(create).transpose()?;
    let summary = run(plan, &control, progress)?;
    match output.format {
        Format::Text => report::text::write(&summary, out),
        Format::Json => report::json::write(&summary, out),
    }
    .context("can't write the report")?;
    if let Some(file) = &mut file {
        report::json::write(&summary, file).context("can't write the --report file")?;
    }
    Ok(exit(&summary, &output))
}

/// Made before the run: a run whose report can't be kept is better not begun.
fn create(path: &std::path::Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("can't write the --report file {}", path.display()))
}

fn exit(summary: &Summary, output: &Output) -> Exit {
    let counts = &summary.records.counts;
    if summary.interrupted {
        Exit::Interrupted
    } else if output.fail_on_error && counts.errors() + counts.dropped + counts.not_sent > 0 {
        Exit::Errors
    } else {
        Exit::Done
    }
}
