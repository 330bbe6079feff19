//! Arguments, telemetry, run, exit code.

use std::process::ExitCode;

use command_line::{Failure, print_help};
use dummy_server::{Args, Config, Ended, Format, Shutdown, signals};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::read(std::env::args_os()).map(Config::try_from) {
        Ok(Ok(config)) => serve(config),
        Ok(Err(error)) => complain(&error.to_string(), 2),
        Err(Failure::Refused(message)) => complain(&message, 2),
        Err(Failure::Help(help)) => {
            print_help(&help).map_or_else(|message| complain(&message, 1), |()| ExitCode::SUCCESS)
        }
    }
}

fn serve(config: Config) -> ExitCode {
    start_log(&config);
    let running = match dummy_server::run(config, Shutdown::new()) {
        Ok(running) => running,
        Err(error) => return complain(&error.to_string(), 1),
    };
    // A signal may come as soon as somebody has read that it listens.
    if let Err(error) = signals::watch(running.shutdown().clone(), running.certificates().cloned()) {
        return complain(&format!("can't watch for signals: {error}"), 1);
    }
    for line in running.listening() {
        tracing::info!("{line}");
    }
    let shutdown = running.shutdown().clone();
    match running.join() {
        Ended::Drained => tracing::info!("drained"),
        Ended::Cut { connections } => tracing::warn!(connections, "ended with open connections"),
        Ended::Panicked => return complain("a thread has panicked; the line above says where", 1),
    }
    if shutdown.was_aborted() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the server says of itself goes to stderr.
fn start_log(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(config.log_level)
        .with_target(false);
    match config.log_format {
        Format::Text => log.init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}

#[expect(clippy::print_stderr, reason = "the one line about why the program does not run")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("dummy-server: error: {message}");
    ExitCode::from(code)
}
