//! Arguments -> run -> report; exit codes.

use std::{io, process::ExitCode};

use command_line::{Failure, print_help};
use loadgen::cli::{Args, Exit, command, note};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(Failure::Help(help)) => {
            return match print_help(&help) {
                Ok(()) => Exit::Done.into(),
                Err(message) => {
                    note(&format!("loadgen: error: {message}"));
                    Exit::Failed.into()
                }
            };
        }
        Err(Failure::Refused(message)) => {
            note(&format!("loadgen: error: {message}"));
            return Exit::BadArguments.into();
        }
    };
    match command(&args, &mut io::stdout().lock()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            note(&format!("loadgen: error: {error:#}"));
            if error.is::<loadgen::PlanError>() { Exit::BadArguments } else { Exit::Failed }.into()
        }
    }
}
