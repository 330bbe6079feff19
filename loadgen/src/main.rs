//! Arguments -> run -> report; exit codes.

use std::{io, process::ExitCode};

use loadgen::cli::{Args, Exit, command, note};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            note(&first_line(&error.to_string()));
            return Exit::BadArguments.into();
        }
        // --help and --version.
        Err(error) => {
            return if error.print().is_ok() { Exit::Done.into() } else { Exit::Failed.into() };
        }
    };
    match command(&args, &mut io::stdout().lock()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            note(&format!("{error:#}"));
            if error.is::<loadgen::PlanError>() { Exit::BadArguments } else { Exit::Failed }.into()
        }
    }
}

/// A mistake is told in one line: clap's own text goes on with usage and hints, of which the possible values
/// are worth keeping.
fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let values = lines.find(|line| line.starts_with("[possible values"));
    match values {
        Some(values) => format!("{first} {values}; see --help"),
        None => format!("{first}; see --help"),
    }
}
