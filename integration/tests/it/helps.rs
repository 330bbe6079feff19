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

fn is_read_as_far_as_a_caller_wants() {
    for program in ["dummy-server", "loadgen"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command(program).arg("--help").stdout(writer).output().expect("it runs");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{program}");
    }
}

fn that_can_not_be_written_is_an_error() {
    for program in ["dummy-server", "loadgen"] {
        let full = std::fs::File::create("/dev/full").expect("it is there");
        let output = command(program).arg("--help").stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with(&format!("{program}: error: can't write to standard output: ")), "{said}");
        assert_eq!(output.status.code(), Some(1), "{program}");
    }
}

/// The text as a terminal of this width shows it.
fn help(program: &str, flag: &str) -> String {
    let process = Process::start(command(program).arg(flag).env("COLUMNS", "100"));
    let finished = process.finish(Duration::from_secs(10));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    finished.stdout
}
