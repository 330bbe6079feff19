//! gRPC calls: against the server in this process, and against servers that break the rules, frame by frame.

use std::{collections::BTreeMap, io::Write as _};

use clap::Parser as _;
use loadgen::{
    Plan, Run, Summary,
    cli::{Args, Exit, command},
    embedded::Embedded,
    verdict::{Judgement, Threshold},
};

use crate::{
    frames::{DATA, END_STREAM, frame, head, serve_http2},
    peer::{Peer, closed_port, failures, finish, serve_http1},
    reports::json,
};

const TEST: &str = "dummy.v1.TestService";

/// Runs words, of which some may have spaces.
fn run(words: &[&str], target: &str) -> Summary {
    finish(Run::new(plan(words, target).unwrap_or_else(|error| panic!("{words:?}: {error}"))))
}

fn plan(words: &[&str], target: &str) -> Result<Plan, loadgen::PlanError> {
    let all = ["loadgen"].iter().chain(words).chain([&target]);
    Plan::try_from(&Args::try_parse_from(all).unwrap())
}

/// The calls of a run by the name of their status.
fn statuses(summary: &Summary) -> BTreeMap<&'static str, u64> {
    let calls = summary.records.calls.iter();
    calls.flat_map(|calls| calls.errors.iter()).map(|(code, seen)| (code.name(), seen.count)).collect()
}

/// The same of those that were expected.
fn expected(summary: &Summary) -> BTreeMap<&'static str, u64> {
    let calls = summary.records.calls.iter();
    calls.flat_map(|calls| calls.expected.iter()).map(|(code, seen)| (code.name(), seen.count)).collect()
}

fn messages(summary: &Summary) -> (u64, u64) {
    let calls = summary.records.calls.as_ref().unwrap();
    (calls.messages_sent, calls.messages_received)
}

#[test]
fn without_configuration_an_echo_is_called() {
    let server = Embedded::start().unwrap();
    for load in [&["-n", "200", "-c", "2"][..], &["-n", "200", "-r", "2000"]] {
        let summary = run(load, &format!("grpc://{}", server.address()));
        let counts = &summary.records.counts;
        assert_eq!((counts.succeeded, counts.completed()), (200, 200), "{counts:?}");
        assert_eq!(messages(&summary), (200, 200));
        assert_eq!((&*summary.run.method, &*summary.run.protocol), ("unary", "h2c"));
        assert!(
            summary.run.target.starts_with("grpc://")
                && summary.run.target.ends_with("/echo.EchoService/Echo")
        );
    }
    server.stop();
}

#[test]
fn calls_that_end_with_an_expected_status_succeed() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/{TEST}/Unary", server.address());
    for (flags, code, succeeded, call_errors) in [
        (&["--expect-status", "NOT_FOUND,UNAVAILABLE"][..], 5, 40, 0),
        (&["--expect-status", "NOT_FOUND", "--warmup", "50ms", "-r", "1000"], 5, 40, 0),
        (&["--expect-status", "NOT_FOUND"], 0, 40, 0),
        (&["--expect-status", "NOT_FOUND"], 14, 0, 40),
        (&[], 5, 0, 40),
    ] {
        let body = match code {
            0 => "{}".to_owned(),
            code => format!("{{\"plan\": {{\"status\": {{\"code\": {code}, \"message\": \"said\"}}}}}}"),
        };
        let summary = run(&[&["-n", "40", "-c", "2", "-b", &body], flags].concat(), &target);
        let counts = &summary.records.counts;
        assert_eq!((counts.succeeded, counts.call_errors), (succeeded, call_errors), "{flags:?} {code}");
        assert!(counts.add_up() && summary.records.times.response.len() == succeeded, "{counts:?}");
        let (errors, expected) = (statuses(&summary), expected(&summary));
        assert_eq!(errors.values().sum::<u64>(), call_errors, "{errors:?}");
        let are_expected = code != 0 && succeeded > 0;
        assert_eq!(expected.get("NOT_FOUND").copied(), are_expected.then_some(40), "{expected:?}");
        if let Some(warmup) = &summary.records.warmup {
            assert_eq!((warmup.succeeded, warmup.call_errors), (50, 0));
        }
        let json = json(&summary);
        let name = match code {
            0 => "OK",
            5 => "NOT_FOUND",
            _ => "UNAVAILABLE",
        };
        assert_eq!(json["grpc"]["statuses"], serde_json::json!({ name: 40 }), "{json}");
        assert_eq!(json["requests"]["call_errors"], call_errors);
        let threshold: Threshold = format!("count({name})>=40").parse().unwrap();
        assert_eq!(threshold.judge(&summary).judgement, Judgement::Passed, "{name}");
    }
    server.stop();
}

#[test]
fn statuses_other_than_ok_are_counted_by_their_code() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/{TEST}/Unary", server.address());
    let plan = r#"{"plan": {"status": {"code": 14, "message": "no room, today"}}}"#;
    let summary = run(&["-n", "30", "-c", "2", "-b", plan], &target);
    let counts = &summary.records.counts;
    assert_eq!((counts.call_errors, counts.completed(), counts.succeeded), (30, 30, 0), "{counts:?}");
    assert_eq!(statuses(&summary), BTreeMap::from([("UNAVAILABLE", 30)]));
    assert_eq!(summary.records.statuses().collect::<Vec<_>>(), [(200, 30)]);
    let [verdict, _] = summary.verdict();
    assert!(verdict.contains("UNAVAILABLE (30 calls): no room, today"), "{verdict}");
    let mut text = Vec::new();
    loadgen::report::text::write((&summary).into(), loadgen::report::text::Style::Plain, &mut text).unwrap();
    let words = String::from_utf8(text).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("call errors (gRPC) 30")
            && words.contains("gRPC status UNAVAILABLE 30 no room, today (request"),
        "{words}"
    );
    let mut kept = Vec::new();
    summary.write(&mut kept).unwrap();
    let read = Summary::read(&mut kept.as_slice()).unwrap();
    assert_eq!((statuses(&read), read.verdict()), (statuses(&summary), summary.verdict()));
    let mut merged = read.clone();
    merged.records.merge(&summary.records);
    assert_eq!(statuses(&merged), BTreeMap::from([("UNAVAILABLE", 60)]));
    server.stop();
}

#[test]
fn a_deadline_is_the_servers_to_keep() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/{TEST}/Unary", server.address());
    let never = r#"{"plan": {"never": true}}"#;
    let summary = run(&["-n", "6", "-c", "2", "--deadline", "30ms", "-b", never], &target);
    assert_eq!(statuses(&summary), BTreeMap::from([("DEADLINE_EXCEEDED", 6)]));
    let summary = run(&["-n", "4", "-c", "2", "--timeout", "50ms", "-b", never], &target);
    assert_eq!((summary.records.counts.timed_out, statuses(&summary).len()), (4, 0));
    server.stop();
}

#[test]
fn messages_are_compressed_once_and_taken_in_compressed() {
    let server = Embedded::start().unwrap();
    let body = format!(r#"{{"message": "{}"}}"#, "a".repeat(10_000));
    let target = format!("grpc://{}/echo.EchoService/Echo", server.address());
    let plain = run(&["-n", "20", "-c", "1", "-b", &body], &target);
    let gzip = run(&["-n", "20", "-c", "1", "-b", &body, "--grpc-encoding", "gzip"], &target);
    for summary in [&plain, &gzip] {
        assert_eq!(summary.records.counts.succeeded, 20, "{:?}", statuses(summary));
    }
    assert!(
        plain.records.bytes_sent > 200_000 && gzip.records.bytes_sent < 20_000,
        "{}",
        gzip.records.bytes_sent
    );
    assert!(gzip.records.body_bytes < 20_000, "the server compresses, too");
    server.stop();
}

#[test]
fn a_message_beyond_the_servers_limit_is_a_status() {
    let server = Embedded::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body.json");
    std::fs::write(&file, format!(r#"{{"payload": "{}"}}"#, "AAAA".repeat(4 << 20))).unwrap();
    let target = format!("grpc://{}/{TEST}/Unary", server.address());
    let summary = run(&["-n", "3", "-c", "1", "--body-file", file.to_str().unwrap()], &target);
    assert_eq!(statuses(&summary), BTreeMap::from([("RESOURCE_EXHAUSTED", 3)]), "{:?}", failures(&summary));
    server.stop();
}

#[test]
fn each_kind_of_stream_has_its_messages_and_times() {
    let server = Embedded::start().unwrap();
    let target = |method: &str| format!("grpc://{}/{method}", server.address());
    let three = r#"{"plan": {"count": 3, "size": 100}}"#;
    let summary = run(&["-n", "20", "-c", "2", "-b", three], &target(&format!("{TEST}/ServerStream")));
    let calls = summary.records.calls.as_ref().unwrap();
    assert_eq!((summary.records.counts.succeeded, messages(&summary)), (20, (20, 60)));
    assert_eq!((calls.first_message.len(), calls.message.len()), (20, 0), "its messages answer none");
    assert!(summary.messages_per_second().unwrap() > 0.0);

    for more in [&[][..], &["--message-interval", "1ms"], &["--message-interval", "0"]] {
        let words = [&["-n", "10", "-c", "2", "--messages", "7"], more].concat();
        let summary = run(&words, &target(&format!("{TEST}/ClientStream")));
        assert_eq!((summary.records.counts.succeeded, messages(&summary)), (10, (70, 10)), "{more:?}");

        let summary = run(&words, &target("echo.EchoService/StreamEcho"));
        let calls = summary.records.calls.as_ref().unwrap();
        assert_eq!((summary.records.counts.succeeded, messages(&summary)), (10, (70, 70)), "{more:?}");
        assert_eq!((calls.first_message.len(), calls.message.len()), (10, 70), "{more:?}");
    }

    // Responses to each in turn: of the first one's plan.
    let list = r#"[{"plan": {"count": 2}}, {"payload": "AAAA"}, {}]"#;
    let summary = run(&["-n", "5", "-c", "1", "-b", list], &target(&format!("{TEST}/BidiStream")));
    assert_eq!((summary.records.counts.succeeded, messages(&summary)), (5, (15, 30)));
    server.stop();
}

/// Message n is due by the schedule: a server that is late with all is late by less and less with each.
#[test]
fn messages_are_timed_from_when_they_were_due() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/{TEST}/BidiStream", server.address());
    let late = r#"[{"plan": {"delay_ms": 300}}, {}, {}, {}]"#;
    let words = ["-n", "1", "-c", "1", "--message-interval", "100ms", "-b", late];
    let summary = run(&words, &target);
    let times = &summary.records.calls.as_ref().unwrap().message;
    assert_eq!(times.len(), 4);
    assert!(times.max() >= 300_000_000, "{}", times.max());
    // The second one was due 100 ms later, and waited less.
    assert!(times.value_at_quantile(0.75) < times.max(), "{times:?}");
    server.stop();
}

#[test]
fn types_come_from_a_file_too() {
    let server = Embedded::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.proto");
    std::fs::write(
        &file,
        "syntax = 'proto3'; package echo; message Q { string message = 1; int32 response_code = 3; } \
         message A { string message = 1; } service EchoService { rpc Echo(Q) returns (A); }",
    )
    .unwrap();
    let proto = file.to_str().unwrap();
    let target = format!("grpc://{}", server.address());
    let words = ["-n", "5", "--proto", proto, "-b", r#"{"responseCode": 5}"#];
    assert_eq!(statuses(&run(&words, &target)), BTreeMap::from([("NOT_FOUND", 5)]));
    let error = plan(&["--proto", proto, "-b", r#"{"timestamp": 1}"#], &target).unwrap_err().to_string();
    assert!(
        error.contains("unrecognized field name 'timestamp' at line 1 column 12; accepted: JSON"),
        "{error}"
    );
    let error = plan(&["--proto", proto], &format!("{target}/echo.EchoService/No")).unwrap_err().to_string();
    assert!(
        error.contains("no method 'No' of echo.EchoService in the files of --proto; accepted: Echo"),
        "{error}"
    );
    let raw = folder.path().join("message.bin");
    std::fs::write(&raw, b"\x18\x05").unwrap();
    let words = ["-n", "5", "--raw-message", "--body-file", raw.to_str().unwrap()];
    assert_eq!(statuses(&run(&words, &target)), BTreeMap::from([("NOT_FOUND", 5)]));
    server.stop();
}

#[test]
fn what_reflection_does_not_know_is_answered_with_what_it_does() {
    let server = Embedded::start().unwrap();
    for (words, method, said, is_mistake) in [
        (&[][..], "no.Such/Method", "no service 'no.Such' in 127.0.0.1:", true),
        (
            &[],
            "dummy.v1.TestService/Such",
            "accepted: Unary, ClientStream, ServerStream, BidiStream; example: ",
            true,
        ),
        (
            &["-b", "{\"x\": 1}"],
            "dummy.v1.TestService/Unary",
            "unrecognized field name 'x' at line 1 column 4",
            true,
        ),
        (
            &["--messages", "2"],
            "dummy.v1.TestService/Unary",
            "--messages with /dummy.v1.TestService/Unary",
            true,
        ),
    ] {
        let target = format!("grpc://{}/{method}", server.address());
        let error = Run::new(plan(words, &target).unwrap()).start().unwrap_err();
        assert!(error.to_string().contains(said), "{method}: {error}");
        assert_eq!(error.is::<loadgen::PlanError>(), is_mistake, "{error}");
    }
    server.stop();
    let target = format!("grpc://{}/some.Service/Method", closed_port());
    let error = Run::new(plan(&[], &target).unwrap()).start().unwrap_err();
    let said = format!("can't ask {target} for the types of its methods (server reflection): refused: ");
    assert!(error.to_string().starts_with(&said) && !error.is::<loadgen::PlanError>(), "{error}");
    // A server may have more methods than the one in this program.
    let target = format!("grpc://{}/echo.EchoService/Foo", closed_port());
    let error = Run::new(plan(&[], &target).unwrap()).start().unwrap_err();
    assert!(error.to_string().starts_with(&format!("can't ask {target} for the types")), "{error}");
    let http1 = serve_http1(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let target = format!("grpc://{}/some.Service/Method", http1.address);
    let error = Run::new(plan(&[], &target).unwrap()).start().unwrap_err();
    assert!(error.to_string().contains("the server speaks HTTP/1"), "{error}");
}

/// A server that has neither version of reflection.
#[test]
fn a_server_without_reflection_is_distinguished_from_one_that_can_not_be_asked() {
    let peer = serve(|_| vec![head_of(END_STREAM, &[("grpc-status", "12")])]);
    let target = |method: &str| format!("grpc://{}/{method}", peer.address);
    let error = Run::new(plan(&[], &target("some.Service/Method")).unwrap()).start().unwrap_err();
    assert!(error.to_string().contains("has no server reflection; accepted: --proto"), "{error}");
    // What this program knows itself.
    let summary = run(&["-n", "3", "-b", "{}"], &target("dummy.v1.TestService/Unary"));
    assert_eq!(statuses(&summary), BTreeMap::from([("UNIMPLEMENTED", 3)]));
}

#[test]
fn one_call_is_shown_in_json() {
    let server = Embedded::start().unwrap();
    let shown = |words: &[&str], method: &str| {
        let target = format!("grpc://{}/{method}", server.address());
        let all = ["loadgen", "--once"].iter().chain(words).copied().chain([&*target]);
        let mut out = Vec::new();
        let exit = command(&Args::try_parse_from(all).unwrap(), &mut out).unwrap();
        (String::from_utf8(out).unwrap(), exit)
    };
    let (text, exit) = shown(
        &["-b", r#"{"message": "hi"}"#, "-H", "x-mine: 1", "--deadline", "5s"],
        "echo.EchoService/Echo",
    );
    for part in [
        "POST /echo.EchoService/Echo HTTP/2\n",
        "\nx-mine: 1\n",
        "\ngrpc-timeout: 5000000u\ncontent-type: application/grpc\nte: trailers\n",
        "\n{\"message\":\"hi\"}\n",
        "\n{\"message\":\"hi\",",
        "\ngrpc-status: 0\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains("content-length"), "{text}");
    assert_eq!(exit, Exit::Done);
    let failing = r#"{"plan": {"status": {"code": 5, "message": "nö"}}}"#;
    let (text, exit) = shown(&["-b", failing, "--fail-on", "grpc"], "dummy.v1.TestService/Unary");
    assert!(text.contains("\nNOT_FOUND (5): nö\n"), "{text}");
    assert_eq!(exit, Exit::FailedOn);
    server.stop();
}

/// A server that answers each call with these frames, whose streams are filled in.
fn serve(reply: impl Fn(u32) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Peer {
    serve_http2(&[], move |_, wire| {
        loop {
            let stream = wire.request()?;
            for mut frame in reply(stream) {
                frame[5..9].copy_from_slice(&stream.to_be_bytes());
                wire.0.write_all(&frame)?;
            }
        }
    })
}

fn head_of(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let common = [(":status", "200"), ("content-type", "application/grpc")];
    head(1, flags, &[&common, fields].concat())
}

fn data(flags: u8, content: &[u8]) -> Vec<u8> {
    frame(DATA, flags, 1, content)
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    head(1, END_STREAM, fields)
}

const MESSAGE: &[u8] = b"\0\0\0\0\x02\x0a\0";

#[test]
fn replies_that_break_grpcs_rules_are_failures_with_the_reason() {
    type Reply = fn() -> Vec<Vec<u8>>;
    let cases: [(&str, Reply); 9] = [
        ("the response ended without grpc-status", || vec![head_of(0, &[]), data(END_STREAM, MESSAGE)]),
        ("the response ended without grpc-status", || {
            vec![head_of(0, &[]), data(0, MESSAGE), trailers(&[("x-sum", "7")])]
        }),
        ("the response ended within a message", || {
            vec![head_of(0, &[]), data(0, &MESSAGE[..6]), trailers(&[("grpc-status", "0")])]
        }),
        ("0 messages with grpc-status 0", || vec![head_of(END_STREAM, &[("grpc-status", "0")])]),
        ("2 messages with grpc-status 0", || {
            vec![head_of(0, &[]), data(0, &[MESSAGE, MESSAGE].concat()), trailers(&[("grpc-status", "0")])]
        }),
        ("invalid flag 72 of a message", || vec![head_of(0, &[]), data(0, b"Hello")]),
        ("a compressed message without grpc-encoding", || {
            vec![head_of(0, &[]), data(0, b"\x01\0\0\0\x01x"), trailers(&[("grpc-status", "0")])]
        }),
        ("its content-type is 'text/html'", || {
            vec![
                head(1, 0, &[(":status", "200"), ("content-type", "text/html")]),
                data(END_STREAM, b"<html>"),
            ]
        }),
        ("invalid grpc-status 'fine'", || vec![head_of(END_STREAM, &[("grpc-status", "fine")])]),
    ];
    for (said, reply) in cases {
        let peer = serve(move |_| reply());
        let summary = run(&["-n", "6", "-c", "1", "-m", "1"], &format!("grpc://{}", peer.address));
        assert_eq!(failures(&summary), [("protocol error".to_owned(), 6)], "{said}");
        let (_, seen) = summary.records.failures.iter().next().unwrap();
        assert!(seen.example.contains(said), "{}", seen.example);
        assert_eq!(peer.connections(), 1, "the connection goes on: {said}");
    }
}

#[test]
fn an_http_status_counts_where_there_is_no_grpc_status() {
    for (status, fields) in [("503", &[][..]), ("404", &[("content-type", "text/html")])] {
        let fields: Vec<_> = [(":status", status)].iter().chain(fields).copied().collect();
        let peer = serve(move |_| vec![head(1, END_STREAM, &fields)]);
        let summary = run(&["-n", "4", "-c", "1"], &format!("grpc://{}", peer.address));
        let counts = &summary.records.counts;
        let expected = if status == "503" { (4, 0) } else { (0, 4) };
        assert_eq!((counts.server_errors, counts.client_errors), expected);
        assert!(statuses(&summary).is_empty());
    }
}

#[test]
fn parts_of_any_size_and_statuses_without_messages_are_understood() {
    let peer = serve(|_| {
        let mut frames = vec![head_of(0, &[])];
        frames.extend(MESSAGE.iter().map(|byte| data(0, &[*byte])));
        frames.push(trailers(&[("grpc-status", "0"), ("grpc-message", "fine")]));
        frames
    });
    let summary = run(&["-n", "9", "-c", "1"], &format!("grpc://{}", peer.address));
    assert_eq!((summary.records.counts.succeeded, messages(&summary)), (9, (9, 9)));
    let peer = serve(|stream| {
        let code = ["1", "16", "77"][(stream as usize / 2) % 3];
        vec![head_of(END_STREAM, &[("grpc-status", code)])]
    });
    let summary = run(&["-n", "9", "-c", "1", "-m", "1"], &format!("grpc://{}", peer.address));
    let expected = [("CANCELLED", 3), ("UNAUTHENTICATED", 3), ("UNKNOWN", 3)];
    assert_eq!(statuses(&summary), BTreeMap::from(expected));
}

#[test]
fn resets_and_goaways_are_what_they_are_for_requests() {
    let peer = serve_http2(&[], |_, wire| {
        loop {
            let stream = wire.request()?;
            wire.reset(stream, 8)?;
        }
    });
    let summary = run(&["-n", "5", "-c", "1", "-m", "1"], &format!("grpc://{}", peer.address));
    assert_eq!(failures(&summary), [("RST_STREAM CANCEL".to_owned(), 5)]);
    let peer = serve_http2(&[], |_, wire| {
        let stream = wire.request()?;
        wire.go_away(stream, 0)?;
        for mut part in [head_of(0, &[]), data(0, MESSAGE), trailers(&[("grpc-status", "0")])] {
            part[5..9].copy_from_slice(&stream.to_be_bytes());
            wire.0.write_all(&part)?;
        }
        loop {
            wire.request()?;
        }
    });
    let summary = run(&["-n", "10", "-c", "1", "-m", "2"], &format!("grpc://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 10, "{:?}", summary.records.counts);
}

#[test]
fn a_stream_that_the_server_ends_early_is_over() {
    let peer = serve(|_| vec![head_of(END_STREAM, &[("grpc-status", "8")])]);
    let words = ["-n", "6", "-c", "1", "--messages", "1000", "--message-interval", "1h", "--raw-message"];
    let summary = run(&words, &format!("grpc://{}/some.Service/Stream", peer.address));
    assert_eq!(statuses(&summary), BTreeMap::from([("RESOURCE_EXHAUSTED", 6)]));
    assert_eq!(messages(&summary), (6, 0), "the others were not due");
}

#[test]
fn options_that_do_not_fit_are_refused_with_what_does() {
    let said = Args::read(["loadgen", "--deadline", "0", "grpc://a"]).unwrap_err().to_string();
    assert!(said.contains("'0' for --deadline; accepted: a time above 0"), "{said}");
    for (words, target, said) in [
        (
            &["--proto", "x.proto"][..],
            "http://a",
            "--proto with the target http://a:80/; accepted: it with a grpc://",
        ),
        (&["--messages", "2"], "a:1", "--messages with the target"),
        (
            &["--messages", "0"],
            "grpc://a",
            "'0' for --messages; accepted: a whole number from 1 to 1000000000",
        ),
        (&["--messages", "1000000001"], "grpc://a", "for --messages"),
        (&["--proto", "/no/such.proto"], "grpc://a", "'/no/such.proto' for --proto: "),
        (&["--proto-path", "."], "grpc://a", "--proto-path needs --proto"),
        (&["--proto", "x.proto", "--raw-message"], "grpc://a", "exclude each other"),
        (&["-X", "GET"], "grpc://a", "gRPC calls are POST alone"),
        (&["-H", "content-type: text/html"], "grpc://a", "application/grpc+proto"),
        (&["-H", "grpc-encoding: gzip"], "grpc://a", "--grpc-encoding"),
        (&["-H", "grpc-timeout: 1S", "--deadline", "1s"], "grpc://a", "exclude each other"),
        (&["--expect-status", "404"], "grpc://a", "names of gRPC statuses, such as NOT_FOUND"),
        (
            &["--expect-status", "404,NOT_FOUND"],
            "a:1",
            "--expect-status=404,NOT_FOUND with the target h2c://a:1/",
        ),
        (&["--messages", "2"], "grpc://a", "it takes one message"),
        (&["--http1.1"], "grpc://a", "--http1.1 is not"),
    ] {
        let error = plan(words, target).unwrap_err().to_string();
        assert!(error.contains(said), "{words:?}: {error}");
        assert!(
            error.contains("; accepted: ") && error.contains("; example: ") && error.lines().count() == 1,
            "{error}"
        );
    }
    for option in ["--message-interval=8761h", "--deadline=8761h", "--messages=many"] {
        let error = Args::read(["loadgen", option, "grpc://a"]).unwrap_err().to_string();
        let flag = option.split('=').next().unwrap();
        assert!(error.contains(&format!("for {flag}; accepted: ")), "{error}");
    }
    for words in [
        &["--messages", "1000000000", "--message-interval", "8760h"][..],
        &["--deadline", "8760h"],
        &["-H", "content-type: application/grpc+proto"],
        &["-H", "grpc-timeout: 1S"],
    ] {
        assert!(plan(words, "grpc://a/echo.EchoService/StreamEcho").is_ok(), "{words:?}");
    }
}

#[test]
fn calls_of_the_warm_up_are_in_no_figure() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/echo.EchoService/StreamEcho", server.address());
    let words =
        ["-r", "200", "-n", "20", "--warmup", "100ms", "--messages", "3", "--message-interval", "5ms"];
    let summary = run(&words, &target);
    server.stop();
    let calls = summary.records.calls.as_ref().unwrap();
    assert_eq!((calls.messages_sent, calls.messages_received), (60, 60));
    assert_eq!((calls.first_message.len(), calls.message.len()), (20, 60));
    assert_eq!(summary.records.warmup.unwrap().succeeded, 20);
}

#[test]
fn metadata_in_base64_and_statuses_are_checked() {
    let said = plan(&["-H", "x-bin: !!!"], "grpc://localhost:1").unwrap_err().to_string();
    assert!(said.contains("'x-bin' for --header: metadata in -bin is given in base64"), "{said}");
    for value in ["x-bin: AAE=", "x-bin: AAE", "x-bin: AAE, AQ==", "x-bin:"] {
        assert!(plan(&["-H", value], "grpc://localhost:1").is_ok(), "{value}");
    }
    let peer = serve(|_| {
        vec![
            head_of(0, &[("content-type", "application/grpc")]),
            data(0, &[0, 0, 0, 0, 0]),
            trailers(&[("grpc-status", "5"), ("grpc-status", "0")]),
        ]
    });
    let summary = run(&["-n", "1", "-c", "1"], &format!("grpc://{}", peer.address));
    let (_, failure) = summary.records.failures.iter().next().unwrap();
    assert_eq!(failure.example, "more than one grpc-status");
}

#[test]
fn a_stream_that_is_reset_after_the_deadline_has_exceeded_it() {
    // It answers with RST_STREAM CANCEL, later than the deadline, or long before it.
    for (deadline, expected) in [("1ms", (3, 0)), ("60s", (0, 3))] {
        let peer = serve_http2(&[], |_, wire| {
            loop {
                let stream = wire.request()?;
                let asked = std::time::Instant::now();
                // As long as the shorter deadline, and as the client takes to report it.
                while asked.elapsed() < std::time::Duration::from_millis(5) {
                    std::thread::yield_now();
                }
                wire.reset(stream, 8)?;
            }
        });
        let url = format!("grpc://{}/echo.EchoService/Echo", peer.address);
        let summary = run(&["-n", "3", "-c", "1", "-m", "1", "--deadline", deadline], &url);
        let counts = &summary.records.counts;
        assert_eq!((counts.call_errors, counts.transport_failed), expected, "{deadline}: {counts:?}");
    }
}
