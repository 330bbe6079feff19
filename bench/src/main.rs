//! Arguments in, exit code out; everything else is in the library.

use std::{io::Write, process::ExitCode};

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser;
    match bench::run(&bench::args::Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(format_args!("{error:#}")),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    complain(format_args!("it measures by what Linux counts, and runs on Linux alone"))
}

fn complain(what: std::fmt::Arguments<'_>) -> ExitCode {
    // There is nowhere left to report that standard error is closed.
    let _ = writeln!(std::io::stderr(), "bench: {what}");
    ExitCode::FAILURE
}
