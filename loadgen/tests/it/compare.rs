//! Comparisons of the real program: what is looked at before, how blocks are made up, and how it ends. What is found in times is
//! tested where times are planted (`src/compare`).

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Output, Stdio},
};

use insta::assert_snapshot;
use loadgen::{cli::Args, compare::Blocks, report::compare::SCHEMA};
use serde_json::Value;

use crate::peer::{Peer, closed_port, serve, serve_http1};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Blocks that are short: what is found in them does not matter here.
const SHORT: &str = "--no-progress -r 200 -d 300ms --blocks 6";

fn loadgen(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("compare").args(line.split_whitespace());
    command
}

fn run(line: &str) -> Output {
    loadgen(line).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a comparison printed as JSON, which is as its schema says, and its exit code.
fn json(line: &str) -> (Value, Option<i32>) {
    let output = run(&format!("-o json {line}"));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::is_valid(&schema, &found), "{out}");
    (found, output.status.code())
}

fn both(one: &Peer, other: &Peer) -> String {
    format!("one=http://{}/x other=http://{}/x", one.address, other.address)
}

#[test]
fn each_block_measures_each_contender_once_with_the_same_arrivals_in_an_order_of_the_seed() {
    let peer = serve_http1(|_| OK.to_vec());
    let (found, code) = json(&format!("{SHORT} --seed 5 {}", both(&peer, &peer)));
    let blocks = found["blocks"].as_array().unwrap();
    let kept: Vec<_> = blocks.iter().filter(|block| block["discarded"].is_null()).collect();
    // A machine that does many other things may have some discarded, and none left.
    let discarded = blocks.len() - kept.len();
    assert!((kept.len(), discarded.min(6)) == (6, discarded) || discarded == 6, "{found}");
    assert_eq!(code, Some(if kept.len() < 6 { 4 } else { 0 }), "{found}");
    let mut planned = Blocks::new(2, 6, 5);
    for block in blocks {
        assert_eq!(block["order"], serde_json::json!(planned.next_order().unwrap()));
        planned.record(block["discarded"].is_null());
        assert_eq!(block["rounds"][0]["offered"], block["rounds"][1]["offered"], "{block}");
    }
    assert_eq!(planned.next_order(), None, "it has ended when it should");
    for contender in 0..2 {
        let of = |block: &&Value| block["rounds"][contender]["offered"].as_u64().unwrap();
        let offered: u64 = kept.iter().map(of).sum();
        assert_eq!(found["contenders"][contender]["offered"].as_u64(), Some(offered), "{found}");
        assert_eq!(found["contenders"][contender]["failed"], 0, "{found}");
    }
    let different: std::collections::BTreeSet<_> =
        blocks.iter().map(|block| block["rounds"][0]["offered"].as_u64()).collect();
    assert!(different.len() > 1, "each block has times of its own: {found}");
    assert_eq!((&found["seed"], &found["rate_per_second"]), (&5.into(), &200.0.into()));
    assert_eq!(found["not_alike"], serde_json::json!([]));
}

#[test]
fn contenders_that_do_not_do_the_same_are_named_before_anything_is_measured() {
    let with = |fields: &str, body: &str| {
        let reply = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len());
        serve_http1(move |_| reply.clone().into_bytes())
    };
    let usual = with("", "ok");
    for (other, said) in [
        (with("", "longer"), "body lengths differ: one 2 bytes, other 6 bytes"),
        (with("Content-Encoding: gzip\r\n", "ok"), "other compresses: content-encoding gzip"),
        (with("Age: 7\r\n", "ok"), "other replies from a cache"),
        (with("Connection: close\r\n", "ok"), "other: 1.0 requests per connection: keep-alive is off"),
        (
            serve_http1(|_| b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno".to_vec()),
            "statuses differ: one 200, other 503",
        ),
        (
            serve_http1(|number| {
                let body = format!(r#"{{"origin":"127.0.0.1","port":{}}}"#, 10_000 + number);
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }),
            "other: 1.0 requests per upstream connection: keep-alive is off",
        ),
    ] {
        let before = usual.connections();
        let output = run(&format!("{SHORT} {}", both(&usual, &other)));
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
        let error = "loadgen: error: the contenders do not do the same: ";
        assert!(
            err.starts_with(error)
                && err.contains(said)
                && err.ends_with("(--force compares them all the same)\n"),
            "{err}"
        );
        assert_eq!(usual.connections() - before, 2, "a look at the target, and at where requests come from");
    }
    let other = with("", "longer");
    let (found, code) = json(&format!("{SHORT} --force {}", both(&usual, &other)));
    assert!(matches!(code, Some(0 | 4)), "{found}");
    assert_eq!(found["not_alike"][0], "body lengths differ: one 2 bytes, other 6 bytes");
    assert!(found["unknown"].as_array().is_some_and(|unknown| unknown.len() == 2), "{found}");
}

#[cfg(feature = "embedded")]
#[test]
fn over_each_protocol_all_is_found_out_of_a_server_that_is_compared_with_itself() {
    let server = crate::server::Server::with(&[]);
    let address = server.http();
    for target in [
        format!("http://{address}/bin/1K"),
        format!("{address}/bin/1K"),
        format!("http://{address}/bin/1K --no-keepalive"),
        format!("grpc://{address}/echo.EchoService/Echo"),
        format!("ws://{address}/ws"),
    ] {
        let (url, options) = target.split_once(' ').unwrap_or((&target, ""));
        let (found, _) = json(&format!("{SHORT} {options} one={url} other={url}"));
        let nothing = serde_json::json!([]);
        assert_eq!((&found["not_alike"], &found["unknown"]), (&nothing, &nothing), "{found}");
        assert_eq!(found["contenders"][1]["failed"], 0, "{found}");
    }
}

#[test]
fn a_contender_that_does_not_answer_ends_the_comparison() {
    let peer = serve_http1(|_| OK.to_vec());
    let output = run(&format!("{SHORT} --force one=http://{} other=http://{}", peer.address, closed_port()));
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
    assert!(err.starts_with("loadgen: error: other (http://127.0.0.1:") && err.contains("refused"), "{err}");
}

#[test]
fn a_threshold_decides_on_the_exit_code() {
    let peer = serve_http1(|_| OK.to_vec());
    let own = std::process::id();
    for (bound, code, judgement) in [
        ("p(50)<1h", 0, "passed"),
        ("other.p(50)>1h", 99, "failed"),
        // A round has fewer than a thousand requests.
        ("mean<1h --threshold other.p(99)<1h", 4, "not_judged"),
    ] {
        let (found, ended) = json(&format!(
            "--no-progress -r 200 -d 300ms --blocks 9 --pid other={own} --threshold {bound} {}",
            both(&peer, &peer)
        ));
        let judged = found["thresholds"].as_array().unwrap().last().unwrap();
        let kept =
            found["blocks"].as_array().unwrap().iter().filter(|block| block["discarded"].is_null()).count();
        if kept < 6 {
            // A machine that does many other things may have most of them discarded.
            assert_eq!((ended, &judged["judgement"]), (Some(4), &"not_judged".into()), "{found}");
            continue;
        }
        assert_eq!((ended, &judged["judgement"]), (Some(code), &judgement.into()), "{found}");
        assert_eq!(judged["contender"], 1, "{found}");
    }
}

#[cfg(feature = "embedded")]
#[test]
fn a_server_that_is_compared_with_itself_is_found_to_be_no_other() {
    // One of twenty comparisons finds a difference by chance, and not three of three.
    let server = crate::server::Server::with(&[]);
    let url = format!("http://{}/bin/1K", server.http());
    let is_found = || {
        let (found, _) = json(&format!("{SHORT} one={url} other={url}"));
        let taxes = found["contenders"][1]["taxes"].as_array().unwrap().clone();
        taxes.iter().any(|tax| tax["found"] == "slower" || tax["found"] == "faster")
    };
    assert!(!(0..3).all(|_| is_found()));
}

#[test]
fn a_contender_that_is_silent_is_named_after_the_first_request() {
    let peer = serve_http1(|_| OK.to_vec());
    let silent = serve(|_, stream| {
        // It reads until the other end is closed, and says nothing.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let line = format!("-r 200 -d 300ms --blocks 6 --timeout 300ms {}", both(&peer, &silent));
    let output = run(&line);
    let (err, url) = (text(&output.stderr), format!("http://{}/x", silent.address));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
    let told = format!(
        "looking at one (http://{}/x)\nlooking at other ({url})\nloadgen: error: other ({url}) can't be compared: ",
        peer.address
    );
    assert!(err.starts_with(&told) && err.lines().count() == 3, "{err}");
    assert!(silent.connections() <= 2, "each request that is not answered costs a connection");
}

#[cfg(target_os = "linux")]
#[test]
fn a_rate_that_loadgen_can_not_send_is_not_blamed_on_a_contender() {
    let peer = serve_http1(|_| OK.to_vec());
    let output =
        run(&format!("--no-progress -r 50000000 -d 100ms --blocks 6 --timeout 1s {}", both(&peer, &peer)));
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{err}");
    assert!(
        err.starts_with("loadgen: error: 50,000,000 requests/s to ")
            && err.ends_with("; give a lower --rate\n"),
        "{err}"
    );
    assert!(!err.contains("can't be compared"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_cpu_time_of_a_process_is_shared_out_among_its_requests() {
    let peer = serve_http1(|_| OK.to_vec());
    // The server is in this process.
    let own = std::process::id();
    let (found, _) = json(&format!("{SHORT} --pid other={own} {}", both(&peer, &peer)));
    for block in found["blocks"].as_array().unwrap() {
        assert_eq!(block["rounds"][0]["cpu_us_per_request"], Value::Null, "{block}");
        assert!(block["rounds"][1]["cpu_us_per_request"].is_number(), "{block}");
    }
    let output = run(&format!("{SHORT} --pid other=4294967295 {}", both(&peer, &peer)));
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("can't read the CPU time of other: there is no process 4294967295"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_a_comparison_with_the_blocks_that_are_known() {
    let peer = serve_http1(|_| OK.to_vec());
    let mut child = loadgen(&format!("-r 200 -d 300ms --blocks 100 {}", both(&peer, &peer)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    while !told.contains("block") {
        assert_ne!(err.read_line(&mut told).unwrap(), 0, "it has ended: {told}");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    err.read_to_string(&mut told).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{out}{told}");
    assert!(
        out.contains("\nWarning: cut short: these are the blocks that were measured until then\n"),
        "{out}"
    );
    assert!(out.contains(" of 100 blocks with a round of 300 ms for each, in random order"), "{out}");
}

/// What a machine that does many other things may need: a search that loadgen was not kept from ends as it should.
const ATTEMPTS: usize = 5;

#[test]
fn without_a_rate_it_is_half_of_the_slowest_knee_and_a_curve_is_at_parts_of_each() {
    let peer = serve_http1(|_| OK.to_vec());
    let line = format!("-d 100ms --blocks 6 --max-knee 500 --curve -o json {}", both(&peer, &peer));
    for attempt in 1.. {
        let output = run(&line);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.code() == Some(1) && attempt < ATTEMPTS {
            assert!(err.contains("500 requests/s") && err.ends_with(": give a lower --rate\n"), "{err}");
            continue;
        }
        let found: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        assert!(jsonschema::is_valid(&serde_json::from_str(SCHEMA).unwrap(), &found), "{out}");
        assert!(err.contains("knee of one: 500 requests/s: p50 "), "{err}");
        for contender in found["contenders"].as_array().unwrap() {
            assert_eq!(contender["knee_rate_per_second"], 500.0, "{out}");
            assert_eq!(contender["knee_is_lower_bound"], true, "{out}");
        }
        assert_eq!(found["rate_per_second"], 250.0, "{out}");
        let points = found["curve"].as_array().unwrap();
        let rates: Vec<_> =
            points.iter().map(|point| point["rates_per_second"][1].as_f64().unwrap()).collect();
        assert_eq!(rates, [125.0, 250.0, 375.0, 450.0], "{out}");
        for point in points {
            assert!(point["blocks"].as_array().is_some_and(|blocks| blocks.len() >= 6), "{out}");
        }
        break;
    }
}

#[test]
fn wrong_input_is_refused_before_anything_is_sent() {
    let peer = serve_http1(|_| OK.to_vec());
    let address = peer.address;
    for (line, said) in [
        (format!("one=http://{address}"), "1 contender; accepted: 2 to 16 contenders, each NAME=URL"),
        (format!("one=http://{address} http://{address}"), "invalid contender 'http://"),
        (
            format!("one=http://{address} other=http://{address} -o csv"),
            "--output=csv with compare; accepted: text",
        ),
        (
            format!("one=http://{address} other=http://{address} -n 5"),
            "--total with compare; accepted: --duration",
        ),
        (format!("one=http://{address} other=http://{address} --blocks 1"), "invalid value '1' for --blocks"),
        (
            format!("one=http://{address} other=http://{address} --block 9"),
            "unexpected argument '--block'; accepted: a similar argument exists: '--blocks'",
        ),
    ] {
        let output = run(&line);
        let err = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{line}: {err}");
        assert!(err.starts_with("loadgen: error: ") && err.contains(said), "{line}: {err}");
    }
    assert_eq!(peer.connections(), 0);
}

#[test]
fn the_help_has_the_options_of_the_comparison_first_and_none_that_contradict_it() {
    let help = Args::described_comparison().term_width(110).render_long_help().to_string();
    let (comparison, rest) = help.split_once("\nTarget:").unwrap();
    assert_snapshot!(comparison);
    let after = rest.find("\nThe first contender is what").unwrap();
    assert_snapshot!(rest[after..].trim_start());
    for (option, is_there) in [
        ("--stages", false),
        ("--poisson", false),
        ("--threshold-of-a-run", false),
        ("--timeout", true),
        ("--seed", true),
    ] {
        assert_eq!(rest.contains(&format!("\n      {option} ")), is_there, "{option} in {rest}");
    }
}
