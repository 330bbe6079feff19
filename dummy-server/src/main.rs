//! Arguments, telemetry, run, exit code.

use std::{io::IsTerminal as _, process::ExitCode};

use dummy_server::{Args, Certificates, Config, Ended, Shutdown, drain};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::read(std::env::args_os()).map(Config::try_from) {
        Ok(Ok(config)) => serve(config),
        Ok(Err(error)) => complain(&error.to_string(), 2),
        Err(error) if error.use_stderr() => complain(&first_line(&error), 2),
        Err(help) => help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    }
}

fn serve(config: Config) -> ExitCode {
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_writer(stderr).with_ansi(stderr().is_terminal()).with_target(false).init();
    let running = match dummy_server::run(config, Shutdown::new()) {
        Ok(running) => running,
        Err(error) => return complain(&error.to_string(), 1),
    };
    let (shutdown, certificates) = (running.shutdown().clone(), running.certificates().cloned());
    let (installed, ready) = std::sync::mpsc::sync_channel(1);
    let signals = runtime::worker::spawn("signals", None, move || {
        signals(shutdown, certificates, move || installed.send(()).unwrap_or_default())
    });
    if let Err(error) = signals {
        return complain(&format!("can't wait for signals: {error}"), 1);
    }
    // Whoever reads that it listens may send a signal at once. An error means that there are no handlers.
    let _ = ready.recv();
    tracing::info!("listening {}", running.addresses());
    let shutdown = running.shutdown().clone();
    match running.join() {
        Ended::Drained => tracing::info!("drained"),
        Ended::Cut { connections } => tracing::warn!(connections, "ended with open connections"),
        Ended::Panicked => return complain("a thread has panicked; the line above says where", 1),
    }
    if shutdown.was_aborted() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The drain's signals, and the one for a new certificate if there is a certificate.
async fn signals(
    shutdown: Shutdown,
    certificates: Option<Certificates>,
    ready: impl FnOnce(),
) -> std::io::Result<()> {
    let Some(certificates) = certificates else { return drain::on_signals(shutdown, ready).await };
    tokio::select! {
        biased;
        Err(error) = certificates.reload_on_hangup() => Err(error),
        result = drain::on_signals(shutdown, ready) => result,
    }
}

/// clap's text says more below its first line, such as where to find help.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    format!("{}; --help lists all flags", line.trim_start_matches("error: "))
}

#[expect(clippy::print_stderr, reason = "the one line about why the program does not run")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("dummy-server: {message}");
    ExitCode::from(code)
}
