//! What the program says of words that are valid, or nearly, and mean something else than the user may think.

use std::process::Command;

use crate::{
    mix::loadgen,
    peer::{closed_port, read_request, serve},
};

#[test]
fn a_command_that_an_empty_variable_left_out_is_missed() {
    for command in ["", "  "] {
        let (code, _, err) = loadgen(&["-r", "10", "--during", command, "http://a:1"]);
        assert!(code == Some(2) && err.contains("--during without a command; accepted: "), "{err}");
    }
}

#[test]
fn what_looks_like_curls_cookies_or_longest_time_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let cookies = folder.path().join("cookies.txt");
    std::fs::write(&cookies, "x").unwrap();
    let cookies = cookies.to_str().unwrap();
    for (words, said) in [
        (&["-b", "session=abc", "http://a:1"][..], "curl's -b is -H 'Cookie: session=abc' here"),
        (&["-b", cookies, "http://a:1"], "and not the file, which is -b @"),
        (&["-m", "30", "http://a:1"], "no effect over HTTP/1.1; curl's -m is --timeout here"),
        (&["-m30", "--http1.1", "https://a:1"], "curl's -m is --timeout here"),
    ] {
        let (code, out, err) = loadgen(&[&["--check"], words].concat());
        assert!(code == Some(0) && err.contains(said), "{words:?}: {out}{err}");
    }
    for words in [
        &["-b", "a=1&b=2", "http://a:1"][..],
        &["-X", "PUT", "-b", "session=abc", "http://a:1"],
        &["-H", "Content-Type: text/plain", "-b", "session=abc", "http://a:1"],
        &["--body", "session=abc", "http://a:1"],
        &["-m", "30", "a:1"],
        &["-m", "30", "https://a:1"],
        &["--streams", "30", "http://a:1"],
    ] {
        let (code, out, err) = loadgen(&[&["--check"], words].concat());
        assert!(code == Some(0) && err.is_empty(), "{words:?}: {out}{err}");
    }
}

#[test]
fn a_command_after_its_options_is_refused_with_the_right_order() {
    for (line, said) in [
        (
            "--no-progress find-max",
            "the command find-max after an option; accepted: it first, then its options",
        ),
        ("-o json find-max --slo p99<10ms a:1", "(the command find-max goes before all options)"),
        ("-o json heyyall -config c.json", "(the command heyyall goes before all options)"),
    ] {
        let (code, out, err) = loadgen(&line.split(' ').collect::<Vec<_>>());
        assert!(code == Some(2) && err.contains(said) && err.lines().count() == 1, "{line}: {out}{err}");
    }
    // Words of an option, and what stands first, are none.
    for line in ["--check -b compare a:1", "--check --request-id-header probe a:1", "heyyall -config compare"]
    {
        let (_, out, err) = loadgen(&line.split(' ').collect::<Vec<_>>());
        assert!(!err.contains("the command"), "{line}: {out}{err}");
    }
}

#[test]
fn secrets_of_sessions_that_can_not_be_logged_are_reported_once() {
    let target = format!("https://{}", closed_port());
    let plain = format!("http://{}", closed_port());
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("keys");
    let run = |file: &std::path::Path, target: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(["-k", "-n", "1", "-c", "1", "--no-progress"]).arg(target).env("SSLKEYLOGFILE", file);
        if target == plain {
            command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
            command.args(["-n", "1", "-c", "1", "--no-progress"]).arg(target).env("SSLKEYLOGFILE", file);
        }
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    for file in [folder.path(), &folder.path().join("none/x")] {
        let err = run(file, &target);
        let said = format!(
            "secrets of TLS sessions are not logged: can't append to {}, which SSLKEYLOGFILE names: ",
            file.display()
        );
        assert_eq!(err.matches(&said).count(), 1, "{err}");
    }
    for (file, target) in [(good.as_path(), &target), (folder.path(), &plain)] {
        let err = run(file, target);
        assert!(!err.contains("SSLKEYLOGFILE"), "{err}");
    }
}

#[test]
fn a_token_of_a_file_goes_with_each_request() {
    let (sender, seen) = std::sync::mpsc::sync_channel(2);
    let peer = serve(move |_, mut stream| {
        while let Some(head) = read_request(&mut stream) {
            sender.send(head).unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "s3cret-token\n").unwrap();
    let (path, target) = (file.path().to_str().unwrap(), format!("http://{}", peer.address));
    let (code, out, err) = loadgen(&["--bearer-file", path, "-n", "2", "-c", "1", "-o", "json", &target]);
    assert_eq!(code, Some(0), "{out}{err}");
    for head in seen.iter().take(2) {
        assert!(head.contains("\r\nauthorization: Bearer s3cret-token\r\n"), "{head}");
    }
    assert!(!out.contains("s3cret-token") && !err.contains("s3cret-token"), "{out}{err}");
    let (code, out, err) = loadgen(&["--bearer-file", "/nonexistent", &target]);
    assert!(code == Some(2) && err.contains("/nonexistent") && err.contains("--bearer-file"), "{out}{err}");
}

#[test]
fn loads_with_fewer_connections_are_named_where_they_ask_for_them_or_have_few() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loads.yaml");
    let loads = |more: &str| {
        let one =
            |name: &str| format!("{{name: {name}, rate: 50, total: 1, connections: 1, workers: 1{more}}}");
        let text = format!("target: http://{}\nloads: [{}, {}]\n", closed_port(), one("a"), one("b"));
        std::fs::write(&file, text).unwrap();
    };
    // Of as many open files as that.
    let run = |limit: u32| {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_loadgen"), "--no-progress", "-f"]).arg(&file);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    loads("");
    assert_eq!(run(4000), "");
    let few = run(400);
    assert_eq!(few.matches(" connections: loadgen may open 400 files (ulimit -n)").count(), 2, "{few}");
    loads(", max_in_flight: 9000");
    assert_eq!(run(4000).matches("the load 'a' opens at most ").count(), 1);
}
