//! What `--help` of the real programs says, word for word.

use std::time::Duration;

use integration::{binaries::command, process::Process};

tests!();

fn of_dummy_server() {
    insta::assert_snapshot!(help("dummy-server"));
}

fn of_loadgen() {
    insta::assert_snapshot!(help("loadgen"));
}

/// The text as a terminal of this width shows it.
fn help(program: &str) -> String {
    let process = Process::start(command(program).arg("--help").env("COLUMNS", "100"));
    let finished = process.finish(Duration::from_secs(10));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    finished.stdout
}
