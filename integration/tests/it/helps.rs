//! What `--help` and `-h` of the real programs say, word for word.

use std::time::Duration;

use integration::{binaries::command, process::Process};

tests!();

fn of_dummy_server() {
    insta::assert_snapshot!(help("dummy-server", "--help"));
}

fn of_dummy_server_in_short() {
    insta::assert_snapshot!(help("dummy-server", "-h"));
}

fn of_loadgen() {
    insta::assert_snapshot!(help("loadgen", "--help"));
}

fn of_loadgen_in_short() {
    insta::assert_snapshot!(help("loadgen", "-h"));
}

/// The text as a terminal of this width shows it.
fn help(program: &str, flag: &str) -> String {
    let process = Process::start(command(program).arg(flag).env("COLUMNS", "100"));
    let finished = process.finish(Duration::from_secs(10));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    finished.stdout
}
