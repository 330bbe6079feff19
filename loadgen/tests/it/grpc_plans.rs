//! Plans with gRPC calls: messages and metadata that differ from call to call, and several calls in one run.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use http2::{Head, hpack::Decoder};
use loadgen::{Plan, Run, Summary, Together, embedded::Embedded, plan::file::PlanFile};

use crate::{
    frames::{DATA, END_STREAM, HEADERS, SETTINGS, Wire, frame, head, serve_http2},
    mix::loadgen,
    peer::{Peer, failures, finish},
};

/// A plan in its own file, beside which other files are.
fn plan(text: &str, others: &[(&str, &str)]) -> Result<Plan, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in others {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = PlanFile::parse(text, "plan.yaml", folder.path()).map_err(|error| error.to_string())?;
    file.builder(None).and_then(|builder| builder.build()).map_err(|error| error.to_string())
}

fn run(text: &str, others: &[(&str, &str)]) -> Summary {
    finish(Run::new(plan(text, others).unwrap()))
}

/// What a run that can't begin says.
fn refused(text: &str, others: &[(&str, &str)]) -> String {
    match plan(text, others) {
        Err(error) => error,
        Ok(plan) => Run::new(plan).start().err().map(|error| error.to_string()).unwrap_or_default(),
    }
}

/// A call as it came: path, fields and messages.
#[derive(Clone, Debug, Default)]
struct Call {
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Seen = Arc<Mutex<Vec<Call>>>;

/// Calls of a connection, as far as they have come.
struct Incoming {
    decoder: Decoder,
    head: Head,
    open: BTreeMap<u32, Call>,
}

impl Incoming {
    fn new() -> Self {
        Self { decoder: Decoder::new(4096), head: Head::new(), open: BTreeMap::new() }
    }

    /// The next call that is complete, and its stream.
    fn next(&mut self, wire: &mut Wire) -> io::Result<(u32, Call)> {
        loop {
            let mut frame = [0; 9];
            wire.0.read_exact(&mut frame)?;
            let mut payload = vec![0; u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize];
            wire.0.read_exact(&mut payload)?;
            let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
            match (frame[3], frame[4]) {
                (HEADERS, _) => {
                    self.decoder.decode(&payload, 65_536, &mut self.head).unwrap();
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let fields = self.head.fields().iter().map(|(name, value)| (text(name), text(value)));
                    self.open.insert(stream, Call { fields: fields.collect(), body: Vec::new() });
                }
                (DATA, flags) => {
                    let call = self.open.get_mut(&stream).unwrap();
                    call.body.extend(&payload);
                    if flags & END_STREAM != 0 {
                        return Ok((stream, self.open.remove(&stream).unwrap()));
                    }
                }
                (SETTINGS, 0) => wire.send(SETTINGS, 1, 0, &[])?,
                _ => {}
            }
        }
    }
}

/// A server that keeps the calls that it gets, and answers each with its first message.
fn server() -> (Peer, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let peer = serve_http2(&[], move |_, wire| {
        let mut incoming = Incoming::new();
        loop {
            let (stream, call) = incoming.next(wire)?;
            let length = 5 + usize::from(call.body[4]);
            let answer = [
                head(1, 0, &[(":status", "200"), ("content-type", "application/grpc")]),
                frame(DATA, 0, 1, &call.body[..length]),
                head(1, END_STREAM, &[("grpc-status", "0")]),
            ];
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            for mut part in answer {
                part[5..9].copy_from_slice(&stream.to_be_bytes());
                wire.0.write_all(&part)?;
            }
        }
    });
    (peer, seen)
}

fn all(seen: &Seen) -> Vec<Call> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The text in field 1 of the only message of a call.
fn text(call: &Call) -> String {
    assert_eq!((call.body[0], call.body[5]), (0, 0x0a), "{call:?}");
    String::from_utf8(call.body[7..].to_vec()).unwrap()
}

const PROTO: &str = "syntax = 'proto3'; package a; \
    message M { string text = 1; int32 number = 2; } \
    service S { rpc One(M) returns (M); rpc Two(M) returns (M); rpc Many(stream M) returns (stream M); }";

#[test]
fn each_number_is_in_the_message_and_the_metadata_of_one_call() {
    let (peer, seen) = server();
    let rows = "name\n\"a \"\"b\"\"\"\n\\c\n";
    let summary = run(
        &format!(
            "target: grpc://{}/a.S/One\nproto: a.proto\nrequests:\n- headers: {{x-number: 'n{{{{seq}}}}'}}\n  rows: r.csv\n  body: \
             '{{\"text\": \"{{{{seq}}}} {{{{row.name}}}} {{{{uuid}}}} {{{{pick x}}}}\"}}'\nload: {{total: 200, connections: 2}}\n",
            peer.address
        ),
        &[("a.proto", PROTO), ("r.csv", rows)],
    );
    assert_eq!(summary.records.counts.succeeded, 200, "{:?}", failures(&summary));
    let calls = all(&seen);
    let mut numbers = BTreeSet::new();
    let mut uuids = BTreeSet::new();
    for call in &calls {
        let text = text(call);
        let number = text.split(' ').next().unwrap().to_owned();
        assert_eq!(call.fields["x-number"], format!("n{number}"));
        let name = if number.parse::<u64>().unwrap() % 2 == 0 { "a \"b\"" } else { "\\c" };
        let (before, uuid) = text.strip_suffix(" x").unwrap().rsplit_once(' ').unwrap();
        assert_eq!(before, format!("{number} {name}"));
        assert!(uuid.len() == 36 && uuids.insert(uuid.to_owned()), "{text}");
        assert!(numbers.insert(number.parse::<u64>().unwrap()), "{number} came twice");
        assert!(!call.fields.contains_key("content-length"));
    }
    assert_eq!(numbers, (0..200).collect());
}

#[test]
fn without_a_plan_too_and_braces_are_braces_where_that_is_said() {
    let server = Embedded::start().unwrap();
    let target = format!("grpc://{}/echo.EchoService/Echo", server.address());
    let body = r#"{"message": "{{seq}} of {{random 7 7}} {{'{{'}}"}"#;
    let once = |more: &[&str]| {
        let words = [&["--once", "--seed", "3", "-b", body, "-H", "x-a: {{pick b}}", &target], more].concat();
        let (code, out, err) = loadgen(&words);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        out
    };
    let out = once(&[]);
    assert!(out.contains("\nx-a: b\n") && out.matches("\"message\":\"0 of 7 {{\"").count() == 2, "{out}");
    let out = once(&["--no-templates"]);
    assert!(out.contains("\nx-a: {{pick b}}\n"), "{out}");
    assert_eq!(out.matches("\"message\":\"{{seq}} of {{random 7 7}} {{'{{'}}\"").count(), 2, "{out}");
    server.stop();
}

#[test]
fn a_resent_call_has_the_same_bytes() {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let peer = serve_http2(&[], move |_, wire| {
        let mut incoming = Incoming::new();
        loop {
            let (stream, call) = incoming.next(wire)?;
            let is_first = {
                let mut calls = kept.lock().unwrap_or_else(PoisonError::into_inner);
                calls.push(call);
                calls.len() % 2 == 1
            };
            if is_first {
                wire.reset(stream, 7)?;
            } else {
                let mut end = head(
                    1,
                    END_STREAM,
                    &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")],
                );
                end[5..9].copy_from_slice(&stream.to_be_bytes());
                wire.0.write_all(&end)?;
            }
        }
    });
    let summary = run(
        &format!(
            "target: grpc://{}/a.S/One\nproto: a.proto\nrequests: [{{body: '{{\"text\": \"{{{{uuid}}}} {{{{seq}}}}\"}}'}}]\n\
             load: {{total: 5, connections: 1, streams: 1}}\n",
            peer.address
        ),
        &[("a.proto", PROTO)],
    );
    assert_eq!(summary.records.counts.call_errors, 5, "{:?}", failures(&summary));
    let calls = all(&seen);
    let mut texts = BTreeSet::new();
    for pair in calls.chunks(2) {
        let [first, again] = pair else { panic!("{} calls", calls.len()) };
        assert_eq!(first.body, again.body);
        assert!(texts.insert(text(first)));
    }
    assert_eq!(texts.len(), 5);
}

#[test]
fn messages_of_a_stream_are_those_of_its_call() {
    let server = Embedded::start().unwrap();
    let address = server.address();
    for (method, body, load, sent, received) in [
        ("echo.EchoService/StreamEcho", r#"{"message": "{{seq}}"}"#, "messages: 3, ", 60, 60),
        ("echo.EchoService/StreamEcho", r#"[{"message": "{{seq}}"}, {"message": "{{uuid}}"}]"#, "", 40, 40),
        ("dummy.v1.TestService/ClientStream", r#"[{"plan": {"size": {{random 1 9}}}}, {}]"#, "", 40, 20),
        ("dummy.v1.TestService/ServerStream", r#"{"plan": {"count": {{random 3 3}}}}"#, "", 20, 60),
    ] {
        let summary = run(
            &format!(
                "target: grpc://{address}\nrequests: [{{path: /{method}, {load}body: '{body}'}}]\nload: {{total: 20, connections: 2}}\n"
            ),
            &[],
        );
        let calls = summary.records.calls.as_ref().unwrap();
        assert_eq!(summary.records.counts.succeeded, 20, "{method} {:?}", failures(&summary));
        assert_eq!((calls.messages_sent, calls.messages_received), (sent, received), "{method}");
    }
    server.stop();
}

#[test]
fn calls_of_several_methods_have_their_own_messages_metadata_deadlines_and_shares() {
    let server = Embedded::start().unwrap();
    let summary = run(
        &format!(
            r#"
target: grpc://{}
defaults: {{headers: {{x-all: a}}}}
requests:
- name: echo
  weight: 3
  body: '{{"message": "{{{{seq}}}}"}}'
  expect: {{size: 1-4K, within: 1h, headers: {{content-type: {{contains: grpc}}}}}}
- name: refused
  path: /dummy.v1.TestService/Unary
  headers: {{x-own: b}}
  body: '{{"plan": {{"status": {{"code": 5}}}}}}'
- name: stream
  target: grpc://{0}/echo.EchoService/StreamEcho
  messages: 4
  message_interval: 0
- name: never
  path: /dummy.v1.TestService/Unary
  deadline: 30ms
  grpc_encoding: gzip
  body: '{{"plan": {{"never": true}}}}'
- name: unmet
  path: /echo.EchoService/Echo
  expect: {{size: 1}}
load: {{total: 70, connections: 2}}
"#,
            server.address()
        ),
        &[],
    );
    server.stop();
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.call_errors), (50, 20), "{:?}", failures(&summary));
    let by_name: Vec<_> = summary
        .records
        .requests
        .iter()
        .map(|own| (own.name.as_str(), own.offered, own.succeeded, own.unmet))
        .collect();
    let expected = [
        ("echo", 30, 30, 0),
        ("refused", 10, 0, 0),
        ("stream", 10, 10, 0),
        ("never", 10, 0, 0),
        ("unmet", 10, 10, 10),
    ];
    assert_eq!(by_name, expected);
    let calls = summary.records.calls.as_ref().unwrap();
    let errors: Vec<_> = calls.errors.iter().map(|(code, seen)| (code.name(), seen.count)).collect();
    assert_eq!(errors, [("DEADLINE_EXCEEDED", 10), ("NOT_FOUND", 10)]);
    assert_eq!((calls.messages_sent, calls.messages_received), (30 + 10 + 40 + 10 + 10, 30 + 40 + 10));
    assert_eq!(&*summary.run.method, "unary,bidi stream");
}

#[test]
fn a_success_over_http_is_not_a_call_that_ended_with_ok() {
    let server = Embedded::start().unwrap();
    let address = server.address();
    let summary = run(
        &format!(
            r#"
target: grpc://{address}/dummy.v1.TestService/Unary
requests:
- {{name: page, target: "http://{address}/bin/1K"}}
- {{name: call, body: '{{"plan": {{"status": {{"code": 14}}}}}}'}}
- {{name: fine, body: '{{}}'}}
load: {{total: 30, connections: 2}}
"#
        ),
        &[],
    );
    server.stop();
    let records = &summary.records;
    assert_eq!((records.counts.succeeded, records.counts.call_errors), (20, 10), "{:?}", failures(&summary));
    let calls = records.calls.as_ref().unwrap();
    assert_eq!((calls.ok, calls.errors.calls()), (10, 10));
    for (threshold, judgement) in [("count(OK)<=10", "passed"), ("count(OK)>=11", "failed")] {
        let threshold: loadgen::verdict::Threshold = threshold.parse().unwrap();
        assert_eq!(threshold.judge(&summary).judgement.as_str(), judgement, "{threshold}");
    }
}

#[test]
fn a_call_is_expected_to_end_with_a_status_or_is_unmet() {
    let server = Embedded::start().unwrap();
    let summary = run(
        &format!(
            r#"
target: grpc://{}/dummy.v1.TestService/Unary
defaults: {{expect: {{grpc_status: NOT_FOUND}}}}
requests:
- {{name: expected, body: '{{"plan": {{"status": {{"code": 5}}}}}}'}}
- {{name: fine, body: '{{}}'}}
- {{name: other, body: '{{"plan": {{"status": {{"code": 14}}}}}}'}}
- {{name: list, body: '{{"plan": {{"status": {{"code": 14}}}}}}', expect: {{grpc_status: [OK, UNAVAILABLE]}}}}
- {{name: none, path: /dummy.v1.TestService/ServerStream, body: '{{"plan": {{"count": 2, "status": {{"code": 5, "after": 1}}}}}}'}}
load: {{total: 50, connections: 2}}
"#,
            server.address()
        ),
        &[],
    );
    server.stop();
    let records = &summary.records;
    assert_eq!((records.counts.succeeded, records.counts.call_errors), (40, 10), "{:?}", failures(&summary));
    assert!(records.counts.add_up());
    let by_name: Vec<_> =
        records.requests.iter().map(|own| (own.name.as_str(), own.succeeded, own.unmet)).collect();
    let wanted = [("expected", 10, 0), ("fine", 10, 10), ("other", 0, 10), ("list", 10, 0), ("none", 10, 0)];
    assert_eq!(by_name, wanted);
    let calls = records.calls.as_ref().unwrap();
    let of = |calls: &loadgen::recorder::CallErrors| -> Vec<_> {
        calls.iter().map(|(code, seen)| (code.name(), seen.count)).collect()
    };
    assert_eq!(of(&calls.errors), [("UNAVAILABLE", 10)]);
    assert_eq!(of(&calls.expected), [("NOT_FOUND", 20), ("UNAVAILABLE", 10)]);
    let unmet: Vec<_> =
        records.unmet.iter().map(|(what, seen)| (what, seen.count, seen.example.as_str())).collect();
    assert_eq!(
        unmet,
        [("fine: grpc_status NOT_FOUND", 10, "OK"), ("other: grpc_status NOT_FOUND", 10, "UNAVAILABLE")]
    );
}

#[test]
fn expected_statuses_are_names_and_of_calls_alone() {
    for (expect, target, said) in [
        ("grpc_status: 5", "grpc://a", "'5' for grpc_status; accepted: any of OK, CANCELLED, "),
        ("grpc_status: [NOT_FOUND, 404]", "grpc://a", "'NOT_FOUND,404' for grpc_status"),
        ("grpc_status: not_found", "grpc://a", "'not_found' for grpc_status"),
        ("status: NOT_FOUND", "grpc://a", "'NOT_FOUND' for status"),
        ("grpc_status: NOT_FOUND", "http://a", "grpc_status NOT_FOUND with the target http://a:80/"),
    ] {
        let text = format!("target: {target}\nrequests:\n- expect: {{{expect}}}\n");
        let error = plan(&text, &[]).unwrap_err();
        assert!(error.contains(said) && error.contains("; example: "), "{error}");
    }
    let all = "target: grpc://a\nrequests:\n- expect: {grpc_status: [OK, CANCELLED, UNAUTHENTICATED]}\n";
    assert!(plan(all, &[]).is_ok());
}

#[test]
fn each_of_several_loads_has_its_own_calls_or_none() {
    let (peer, seen) = server();
    let server = Embedded::start().unwrap();
    let text = format!(
        r#"
target: grpc://{}
proto: a.proto
defaults: {{deadline: 10m}}
requests:
- {{name: one, path: /a.S/One, body: '{{"text": "{{{{seq}}}}"}}'}}
- {{name: two, path: /a.S/Two, body: '{{"text": "{{{{seq}}}}"}}'}}
- {{name: page, target: 'http://{}/bin/1K'}}
loads:
- {{name: ones, rate: 500, total: 40, requests: [one]}}
- {{name: both, total: 30, connections: 2, requests: [one, two]}}
- {{name: pages, total: 20, requests: [page]}}
"#,
        peer.address,
        server.address()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.proto"), PROTO).unwrap();
    let file = PlanFile::parse(&text, "plan.yaml", folder.path()).unwrap();
    let plans = file.several(None).unwrap().into_iter().map(|load| load.builder.build().unwrap()).collect();
    let summaries = Together::new(plans).unwrap().start().unwrap().join().unwrap();
    let succeeded: Vec<_> = summaries.iter().map(|summary| summary.records.counts.succeeded).collect();
    assert_eq!(succeeded, [40, 30, 20], "{:?}", summaries.iter().map(failures).collect::<Vec<_>>());
    assert!(summaries[2].records.calls.is_none());
    let mut came: BTreeMap<(String, String), u64> = BTreeMap::new();
    for call in all(&seen) {
        assert_eq!(call.fields["grpc-timeout"], "600000m");
        *came.entry((call.fields[":path"].clone(), self::text(&call))).or_default() += 1;
    }
    let of = |path: &str| came.iter().filter(|((of, _), _)| of == path).map(|(_, count)| count).sum::<u64>();
    assert_eq!((of("/a.S/One"), of("/a.S/Two")), (55, 15), "{came:?}");
    server.stop();
}

#[test]
fn what_one_of_several_services_is_not_is_reported_with_the_place_of_its_request() {
    let server = Embedded::start().unwrap();
    let text = format!(
        "target: grpc://{}\nrequests:\n- path: /dummy.v1.TestService/Unary\n  body: '{{}}'\n- path: /echo.EchoService/Echo\n  body: '{{}}'\n\
         - path: /no.Such/Method\n",
        server.address()
    );
    let error = refused(&text, &[]);
    assert!(
        error.starts_with("plan.yaml:7:9: no service 'no.Such' in 127.0.0.1:")
            && error.contains("dummy.v1.TestService"),
        "{error}"
    );
    server.stop();
}

#[test]
fn calls_and_requests_share_a_run_and_not_their_connections() {
    let server = Embedded::start().unwrap();
    let address = server.address();
    let summary = run(
        &format!(
            "target: h2c://{address}\ndefaults: {{deadline: 10s}}\nrequests:\n- {{name: plain, path: /bin/1K}}\n\
             - {{name: http1, target: 'http://{address}/bin/1K'}}\n\
             - {{name: call, target: 'grpc://{address}', body: '{{\"message\": \"{{{{seq}}}}\"}}'}}\n\
             load: {{total: 60, connections: 2}}\n"
        ),
        &[],
    );
    server.stop();
    assert_eq!(summary.records.counts.succeeded, 60, "{:?}", failures(&summary));
    let by_name: Vec<_> =
        summary.records.requests.iter().map(|own| (own.name.as_str(), own.succeeded)).collect();
    assert_eq!(by_name, [("plain", 20), ("http1", 20), ("call", 20)]);
    let calls = summary.records.calls.as_ref().unwrap();
    assert_eq!((calls.messages_sent, calls.messages_received), (20, 20));
    assert_eq!((summary.run.targets, &*summary.run.method), (3, "GET,unary"));
}

#[test]
fn calls_go_to_several_targets_in_turn() {
    let servers = [Embedded::start().unwrap(), Embedded::start().unwrap()];
    let [one, other] = servers.each_ref().map(|server| server.address());
    let summary = run(
        &format!(
            "targets: ['grpc://{one}', 'grpc://{other}']\nrequests:\n- {{path: /echo.EchoService/StreamEcho, body: '{{\"message\": \"{{{{seq}}}}\"}}'}}\n\
             load: {{total: 40, connections: 2}}\n"
        ),
        &[],
    );
    servers.into_iter().for_each(Embedded::stop);
    assert_eq!(summary.records.counts.succeeded, 40, "{:?}", failures(&summary));
    let own: Vec<_> = summary.records.requests.iter().map(|own| own.succeeded).collect();
    assert_eq!(own, [20, 20]);
}

#[test]
fn a_mistake_in_a_call_is_reported_with_its_place_before_anything_is_sent() {
    let (peer, seen) = server();
    let head = format!("target: grpc://{}\nproto: a.proto\nrequests:\n", peer.address);
    let others = [("a.proto", PROTO), ("r.csv", "n\n1\nx\n")];
    for (request, said) in [
        (
            "- {path: /a.S/One, body: '{{x}}'}",
            "plan.yaml:4:26: invalid placeholder for body: unknown placeholder 'x'",
        ),
        (
            "- {path: /a.S/One}\n- path: /a.S/One\n  body: '{\"text\": {{seq}}}'",
            "plan.yaml:6:9: invalid message a.M",
        ),
        (
            "- {path: /a.S/One, body: '{\"text\": {{seq}}}'}",
            " of {\"text\": 0}; accepted: JSON with any of the fields text (string), number (int32); example: ",
        ),
        ("- {path: /a.S/One, body: '{\"number\": {{row.n}}}', rows: r.csv}", "of {\"number\": x}"),
        ("- {path: /a.S/One, body: '{\"number\": {{pick 1 2 z}}}'}", "of {\"number\": z}"),
        ("- {path: /a.S/One, body: '{\"number\": {{random 0 2147483648}}}'}", "of {\"number\": 2147483648}"),
        ("- {path: /a.S/Three}", "plan.yaml:4:10: no method 'Three' of a.S in the files of proto"),
        ("- {path: /a.S/One, messages: 2}", "plan.yaml:4:10: messages with /a.S/One"),
        ("- {path: /a.S/One, messages: 0}", "plan.yaml:4:30: invalid value '0' for messages"),
        ("- {path: /a.S/One, deadline: 0}", "plan.yaml:4:30: invalid value '0s' for deadline"),
        ("- {path: /a.S/One, grpc_encoding: br}", "plan.yaml:4:35: invalid value 'br' for grpc_encoding"),
        ("- {path: /a.S}", "plan.yaml:4:10: invalid value '/a.S' for path: it is not a service and a method"),
        ("- {path: '/a.S/{{seq}}'}", "for path: it is not a service and a method"),
        ("- {path: /a.S/One, headers: {x-bin: '{{uuid}}'}}", "metadata in -bin is given in base64"),
        ("- {path: /a.S/One, chunked: true}", "chunks or trailers of a gRPC call"),
        ("- {path: /a.S/One, expect: {json: {$.a: 1}}}", "expectations of a gRPC call's body"),
        ("- {target: 'h2c://a:1', deadline: 1s}", "plan.yaml:4:3: deadline with the target h2c://a:1/"),
    ] {
        let error = refused(&format!("{head}{request}\n"), &others);
        assert!(error.contains(said) && error.lines().count() == 1, "{request}:\n{error}");
    }
    // Where types come from the server, the place is known still.
    let embedded = Embedded::start().unwrap();
    let text = format!(
        "target: grpc://{}\nrequests:\n- {{}}\n- path: /dummy.v1.TestService/Unary\n  body: '{{\"x\": {{{{seq}}}}}}'\n",
        embedded.address()
    );
    let error = refused(&text, &[]);
    assert!(
        error.starts_with("plan.yaml:5:9: invalid message dummy.v1.TestRequest: unrecognized"),
        "{error}"
    );
    embedded.stop();
    assert_eq!((all(&seen).len(), peer.connections()), (0, 0));
}

/// The first values are of the type, and those of later calls are not.
#[test]
fn a_message_that_is_invalid_with_later_values_is_not_sent_and_fails_its_call() {
    let (peer, seen) = server();
    let rows = (0..10_001).map(|row| if row < 10_000 { "1\n" } else { "x\n" });
    let rows = format!("n\n{}", rows.collect::<String>());
    let summary = run(
        &format!(
            "target: grpc://{}/a.S/One\nproto: a.proto\nrequests: [{{rows: r.csv, body: '{{\"text\": \"a\", \"number\": {{{{row.n}}}}}}'}}]\n\
             load: {{total: 10002, connections: 2, workers: 1}}\n",
            peer.address
        ),
        &[("a.proto", PROTO), ("r.csv", &rows)],
    );
    assert_eq!(summary.records.counts.succeeded, 10_001, "{:?}", summary.records.counts);
    assert_eq!(failures(&summary), [("invalid message".to_owned(), 1)]);
    let (_, seen_failure) = summary.records.failures.iter().next().unwrap();
    assert!(
        seen_failure.example.ends_with("of {\"text\": \"a\", \"number\": x}"),
        "{}",
        seen_failure.example
    );
    assert_eq!(all(&seen).len(), 10_001);
}
