//! Searches of the real program for what a real server of a planted capacity holds.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Command, Output, Stdio},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use loadgen::{cli::Args, report::find_max::SCHEMA};
use serde_json::Value;

use crate::peer::{Peer, closed_port, read_request, serve, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The capacity that is planted, in requests per second.
const CAPACITY: f64 = 200.0;

/// How long a request takes, each of four at the same time.
const SERVICE: Duration = Duration::from_millis(20);

/// Serves four requests at the same time, each for 20 ms, and the others behind them in the order in which they came.
///
/// When a request will be done is reckoned as it comes, so that a thread that gets its CPU late makes one reply late, and
/// takes nothing from the capacity.
fn serve_with_capacity() -> Peer {
    let free = Mutex::new(VecDeque::from([Instant::now(); 4]));
    serve(move |_, mut stream| {
        let (_never, until) = mpsc::sync_channel::<()>(1);
        while read_request(&mut stream).is_some() {
            let done = {
                let mut free = free.lock().unwrap();
                // All take the same time: the one that was given work first is free first.
                let done = free.pop_front().unwrap().max(Instant::now()) + SERVICE;
                free.push_back(done);
                done
            };
            let _ = until.recv_timeout(done.saturating_duration_since(Instant::now()));
            if stream.write_all(OK).is_err() {
                return;
            }
        }
    })
}

fn loadgen(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("find-max").args(line.split_whitespace());
    command
}

fn run(line: &str) -> Output {
    loadgen(line).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a machine that does many other things may need: a search that loadgen was not kept from ends as it should.
const ATTEMPTS: usize = 5;

#[test]
fn the_capacity_of_a_real_server_is_found_within_twenty_percent() {
    let peer = serve_with_capacity();
    // Above the capacity a queue grows, which crosses the median soon; a busy machine does not.
    let slo = "--slo p(50)<150ms --start-rate 50 --step-duration 1s --cool-down 200ms --precision 8%";
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for attempt in 1.. {
        let output = run(&format!("{slo} -o json http://{}", peer.address));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let found: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        assert!(jsonschema::is_valid(&schema, &found), "{out}");
        // Each step is reported when it is over.
        let steps = found["steps"].as_array().unwrap();
        let told: Vec<_> = err.lines().filter(|line| line.contains(" requests/s: p50 ")).collect();
        assert_eq!(told.len(), steps.len(), "{err}");
        assert!(told[0].starts_with("50 requests/s: p50 "), "{err}");
        // It says so if it does not know.
        let held = found["held_rate_per_second"].as_f64();
        assert!(held.is_none_or(|held| held <= CAPACITY * 1.2), "{out}");
        if found["result"] != "loadgen_limited" || attempt == ATTEMPTS {
            assert_eq!((output.status.code(), &found["result"]), (Some(0), &"found".into()), "{out}");
            assert!(held.is_some_and(|held| held >= CAPACITY * 0.8), "{out}");
            assert!(
                told.iter()
                    .any(|line| line.contains("not held: ") && line.ends_with("; once more, to be sure")),
                "{err}"
            );
            break;
        }
    }
}

#[test]
fn a_search_that_reaches_its_highest_rate_says_that_the_target_may_do_more() {
    let peer = serve_http1(|_| OK.to_vec());
    let slo =
        "--slo p(50)<10s&&error_rate<=0% --start-rate 100 --max-rate 250 --step-duration 2s --cool-down 0";
    let output = run(&format!("{slo} --no-progress http://{}", peer.address));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    let said = "Maximum rate: >= 250 requests/s held p(50)<10s && error_rate<=0%: that is --max-rate, and nothing broke\n";
    assert!(out.starts_with(said), "{out}");
    let mut rates: Vec<_> = out.lines().skip(3).map(|line| line.split_whitespace().next().unwrap()).collect();
    // Some step may have been repeated.
    rates.dedup();
    assert_eq!(rates, ["100", "200", "250"], "{out}");
}

#[test]
fn a_target_that_does_not_even_hold_the_first_rate_has_its_own_exit_code() {
    // One in four fails, which is more than the bound, and the other time most of them.
    for (every, code, said) in [(4, 99, "error_rate was 25."), (1, 1, "status 503")] {
        let peer = serve_http1(move |number| match number % every {
            0 => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => OK.to_vec(),
        });
        let slo = "--slo error_rate<1% --start-rate 80 --step-duration 500ms --cool-down 0 --warmup 50ms";
        let output = run(&format!("{slo} http://{}", peer.address));
        let out = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{out}");
        assert!(out.starts_with("Maximum rate: not even 80 requests/s held error_rate<1%: "), "{out}");
        assert_eq!(
            (out.contains(said), out.contains("; a lower --start-rate may\n")),
            (true, code == 99),
            "{out}"
        );
        assert_eq!(out.lines().skip(3).count(), 2, "it is repeated once: {out}");
    }
    let output =
        run(&format!("--slo error_rate<1% --step-duration 200ms --cool-down 0 http://{}", closed_port()));
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("no request succeeded: connection refused by 127.0.0.1:"), "{out}");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_a_search_with_what_is_known() {
    let peer = serve_http1(|_| OK.to_vec());
    let slo = "--slo p(50)<10s --start-rate 50 --step-duration 500ms --cool-down 1h";
    let mut child = loadgen(&format!("{slo} http://{}", peer.address))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    assert_ne!(err.read_line(&mut told).unwrap(), 0, "it has ended");
    // It cools down, for an hour.
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{out}");
    // On a machine that does many other things, it may not have been held.
    let known = match told.ends_with(": held\n") {
        true => "Maximum rate: cut short: >= 50 requests/s held p(50)<10s\n",
        false => "Maximum rate: cut short before any rate was held\n",
    };
    assert!(out.starts_with(known), "{out}{told}");
}

#[test]
fn wrong_input_is_refused_before_anything_is_sent() {
    let peer = serve_http1(|_| OK.to_vec());
    for (line, said) in [
        ("--slo p(99)=1s", "invalid value 'p(99)=1s' for --slo; accepted: bounds with && between"),
        ("-r 100", "--rate with find-max; accepted: --start-rate and --max-rate"),
        ("-o csv", "--output other than text or json with find-max; accepted: text or json"),
        ("--start-rate 1", "--slo needs 1000 requests in a step, and at --start-rate=1 there are 10"),
        ("--slow p(99)<1s", "unexpected argument '--slow'; accepted: a similar argument exists: '--slo'"),
    ] {
        let output = run(&format!("http://{} {line}", peer.address));
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{line}: {err}");
        assert!(err.starts_with("loadgen: error: ") && err.contains(said), "{line}: {err}");
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn the_help_has_the_options_of_the_search_first_and_none_that_contradict_it() {
    let help = Args::described_search().term_width(110).render_long_help().to_string();
    let (search, rest) = help.split_once("\nTarget:").unwrap();
    assert_snapshot!(search);
    let after = rest.find("\nThe search goes upward").unwrap();
    assert_snapshot!(rest[after..].trim_start());
    for (option, is_there) in
        [("--stages", false), ("--rate", false), ("--threshold", false), ("--timeout", true)]
    {
        assert_eq!(rest.contains(&format!("\n      {option} ")), is_there, "{option} in {rest}");
    }
}
