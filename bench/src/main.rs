//! Arguments in, exit code out; everything else is in the library.

use std::{io::Write, process::ExitCode};

use bench::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    match bench::run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nowhere left to report that standard error is closed.
            let _ = writeln!(std::io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
