//! What loadgen proves of each message of a gRPC stream, with dummy-server behind a proxy that does what it should not.

use integration::{
    authority::{Authority, Key},
    binaries::loadgen,
    planted_calls::{CallFault, Heading, PlantedCalls},
    proxies::{ENVOY, NGINX},
    proxy::{Behind, Kind, Proxy},
    report::Report,
    server::Server,
    tools::require,
};
use serde_json::{Value, json};

tests!();

const ECHO: &str = "echo.EchoService/StreamEcho";
const CLIENT: &str = "dummy.v1.TestService/ClientStream";
const SERVER: &str = "dummy.v1.TestService/ServerStream";
const BIDI: &str = "dummy.v1.TestService/BidiStream";

const CALLS: u64 = 40;
/// Messages of each call.
const EACH: u64 = 10;
/// The place of the message that something happens to, in one call in five.
const PLACE: u64 = 7;
const HURT: u64 = CALLS / 5;

fn is_chosen(number: u64) -> bool {
    number % EACH == PLACE && (number / EACH).is_multiple_of(5)
}

/// Flags of a run of those calls, each of whose messages does not wait for the one before.
fn flags(method: &str) -> Vec<String> {
    let mut flags = vec!["--no-progress".to_owned(), "-c2".to_owned(), format!("-n{CALLS}")];
    if method == SERVER {
        flags.push(format!("--body={{\"plan\": {{\"count\": {EACH}, \"size\": 100}}}}"));
    } else {
        flags.extend([format!("--messages={EACH}"), "--message-interval=0s".to_owned()]);
    }
    flags
}

fn run(method: &str, url: &str, more: &[&str]) -> integration::process::Finished {
    let flags = flags(method);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    loadgen(&[&flags[..], more, &[url]].concat())
}

/// What was found of messages: nothing but `wanted`, each time with the call and the place of what it happened to.
fn assert_found(report: &Report, wanted: &[(&str, u64)]) {
    let verify = &report.json()["verify"];
    let messages = &verify["messages"];
    let counts = [
        "/never_arrived/answered_by_proxy",
        "/never_arrived/unanswered",
        "/never_arrived/not_written",
        "/never_arrived/refused",
        "/answered_in_place",
        "/cut_on_the_way_back",
        "/cut_on_the_way_there",
        "/cut_by_the_server",
        "/given_up",
        "/crossed",
        "/cached",
        "/echoed_again",
        "/foreign",
        "/payload/truncated",
        "/payload/corrupted",
        "/uploads/differing",
        "/reordered/on_the_way_there",
        "/reordered/on_the_way_back",
    ];
    for name in counts {
        let expected = wanted.iter().find(|(wanted, _)| *wanted == name).map_or(0, |(_, expected)| *expected);
        let finding = messages.pointer(name).unwrap_or_else(|| panic!("{name}: {verify:#}"));
        assert_eq!(finding["count"], expected, "{name}: {messages:#}");
        let examples = finding["examples"].as_array().expect("examples");
        assert_eq!(examples.len() as u64, expected.min(10), "{name}: {messages:#}");
        for example in examples {
            let call = example["number"].as_u64().expect("the number of a call");
            assert_eq!(example["message"], PLACE, "{name}: {example}");
            assert!(is_chosen(call * EACH + PLACE), "{name}: {example}");
        }
    }
    let repeated = wanted.iter().find(|(name, _)| *name == "/repeated").map_or(0, |(_, expected)| *expected);
    let counts = messages["repeated"]["counts"].as_object().expect("counts");
    assert_eq!(counts.values().filter_map(Value::as_u64).sum::<u64>(), repeated, "{messages:#}");
    assert_eq!((&messages["unjudged"], &messages["off"]), (&json!(0), &json!([])), "{messages:#}");
    assert_eq!(verify["has_streams"], false);
}

/// Through the proxy, with this fault of each chosen message on that way.
fn through(method: &str, heading: Heading, fault: CallFault, wanted: &[(&str, u64)]) -> Report {
    let server = Server::with(&["--workers=2"]);
    let planted =
        PlantedCalls::start(server.http, move |on, number| match on == heading && is_chosen(number) {
            true => fault,
            false => CallFault::None,
        });
    let url = format!("grpc://{}/{method}", planted.address);
    let finished = run(method, &url, &["-o=json", "--verify", "--timeout=5s"]);
    let report = Report::parse(&finished.stdout);
    assert_found(&report, wanted);
    report
}

/// Not one false alarm.
fn proven(method: &str, url: &str, more: &[&str]) {
    let finished = run(method, url, &[&["-o=json", "--zero-loss"], more].concat());
    assert_eq!(finished.code, Some(0), "{method} {url}: {finished}");
    let report = Report::parse(&finished.stdout);
    assert_found(&report, &[]);
    let (sent, replies) = if method == SERVER { (0, CALLS * EACH) } else { (CALLS * EACH, 0) };
    for (count, expected) in [("sent", sent), ("arrived", sent), ("sightings", sent), ("replies", replies)] {
        assert_eq!(report.number(&format!("/verify/messages/{count}")), expected, "{method} {url}: {count}");
    }
}

fn messages_of_every_kind_of_stream_are_proven_plain_and_over_tls() {
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let server = Server::with(&[
        "--workers=2",
        "--tls-addr=127.0.0.1:0",
        &format!("--tls-cert={}", certificate.chain.display()),
        &format!("--tls-key={}", certificate.key.display()),
    ]);
    let port = server.tls.expect("TLS is served").port();
    let ca = authority.file();
    let ca = ca.to_str().expect("a path in UTF-8");
    let ledger = format!("--ledger={}", server.admin);
    for method in [ECHO, CLIENT, SERVER, BIDI] {
        proven(method, &format!("grpc://{}/{method}", server.grpc), &[&ledger]);
        proven(method, &format!("grpc://{}/{method}", server.http), &["--grpc-encoding=gzip"]);
        proven(method, &format!("grpcs://localhost:{port}/{method}"), &["--cacert", ca]);
    }
    let finished = run(ECHO, &format!("grpc://{}/{ECHO}", server.grpc), &["--zero-loss", &ledger]);
    let said = "each of 400 messages of streams arrived once, in order and unchanged";
    assert!(finished.stdout.contains(said), "{finished}");
}

fn proxies_that_are_faithful_raise_no_alarm() {
    let check = |kind: Kind| {
        let Some(program) = require(kind.tool) else { return };
        let server = Server::with(&["--workers=2"]);
        let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
        let ledger = format!("--ledger={}", server.admin);
        for method in [ECHO, CLIENT, SERVER, BIDI] {
            proven(method, &format!("grpc://{}/{method}", proxy.fronts.grpc), &[&ledger]);
        }
    };
    check(NGINX);
    check(ENVOY);
}

fn a_message_that_waits_for_the_answer_to_the_one_before_is_proven_too() {
    let server = Server::with(&["--workers=2"]);
    for method in [ECHO, BIDI] {
        let url = format!("grpc://{}/{method}", server.http);
        let finished = loadgen(&["--no-progress", "-n50", "--messages=4", "-o=json", "--zero-loss", &url]);
        assert_eq!(finished.code, Some(0), "{method}: {finished}");
        let report = Report::parse(&finished.stdout);
        assert_found(&report, &[]);
        assert_eq!(report.number("/verify/messages/arrived"), 200);
    }
}

fn a_message_that_is_lost_on_the_way_there_is_distinguished_from_one_whose_echo_is() {
    for method in [ECHO, CLIENT, BIDI] {
        let wanted = [("/never_arrived/unanswered", HURT)];
        let report = through(method, Heading::There, CallFault::Lose, &wanted);
        assert_eq!(report.number("/verify/messages/arrived"), CALLS * EACH - HURT, "{method}");
    }
    for method in [ECHO, SERVER, BIDI] {
        let wanted = [("/cut_on_the_way_back", HURT)];
        let report = through(method, Heading::Back, CallFault::Lose, &wanted);
        let arrived = if method == SERVER { 0 } else { CALLS * EACH };
        assert_eq!(report.number("/verify/messages/arrived"), arrived, "{method}");
    }
}

fn what_is_repeated_there_is_distinguished_from_what_is_repeated_on_the_way_back() {
    for method in [ECHO, CLIENT, BIDI] {
        let report = through(method, Heading::There, CallFault::Double, &[("/repeated", HURT)]);
        assert_eq!(report.number("/verify/messages/sightings"), CALLS * EACH + HURT, "{method}");
    }
    for method in [ECHO, SERVER, BIDI] {
        through(method, Heading::Back, CallFault::Double, &[("/echoed_again", HURT)]);
    }
}

fn messages_that_change_places_are_reported_with_the_direction_in_which_they_did() {
    for method in [ECHO, CLIENT, BIDI] {
        let wanted = [("/reordered/on_the_way_there", HURT)];
        through(method, Heading::There, CallFault::Swap, &wanted);
    }
    for method in [ECHO, SERVER, BIDI] {
        through(method, Heading::Back, CallFault::Swap, &[("/reordered/on_the_way_back", HURT)]);
    }
}

fn a_byte_that_changes_is_found_in_the_token_as_behind_it() {
    // In the token, so that the server takes it for something else, and behind it.
    for (offset, heading) in
        [(30, Heading::There), (63, Heading::There), (30, Heading::Back), (63, Heading::Back)]
    {
        let wanted = [("/payload/corrupted", HURT)];
        let report = through(ECHO, heading, CallFault::Flip(offset), &wanted);
        assert_eq!(report.number("/verify/messages/payload/corrupted/examples/0/offset"), offset as u64);
        let arrived = if (offset, heading) == (30, Heading::There) { HURT } else { 0 };
        assert_eq!(report.number("/verify/messages/arrived"), CALLS * EACH - arrived);
    }
    for method in [CLIENT, BIDI] {
        through(method, Heading::There, CallFault::Flip(63), &[("/uploads/differing", HURT)]);
    }
    // Of a reply's token and of its checksum, so that it is not taken for that of another message.
    for (method, offset) in [(BIDI, 30), (BIDI, 39), (SERVER, 30), (SERVER, 39)] {
        let wanted = [("/payload/corrupted", HURT)];
        let report = through(method, Heading::Back, CallFault::Flip(offset), &wanted);
        let said = report.number("/verify/messages/payload/corrupted/examples/0/offset");
        assert_eq!(said, offset as u64, "{method}");
    }
}

fn a_reply_that_cannot_be_decoded_has_changed_and_was_not_lost() {
    for (method, fault) in [
        (ECHO, CallFault::FlipBefore(2)),
        (ECHO, CallFault::FlipBefore(1)),
        // The last field is the place at the server.
        (ECHO, CallFault::FlipEnd(2)),
        (BIDI, CallFault::FlipBefore(2)),
        (SERVER, CallFault::FlipBefore(2)),
    ] {
        let report = through(method, Heading::Back, fault, &[("/payload/corrupted", HURT)]);
        let first = &report.json()["verify"]["messages"]["payload"]["corrupted"]["examples"][0];
        assert_eq!(first["what"], "came back, and is not a valid reply", "{method} {fault:?}");
    }
}

fn a_call_whose_messages_are_framed_otherwise_on_the_way_back_has_changed_and_was_not_cut() {
    let server = Server::with(&["--workers=2"]);
    // Its flag, and its length.
    for offset in [0, 4] {
        let planted = PlantedCalls::start(server.http, move |on, number| match on {
            Heading::Back if is_chosen(number) => CallFault::FlipFrame(offset),
            _ => CallFault::None,
        });
        let url = format!("grpc://{}/{ECHO}", planted.address);
        let verify =
            Report::parse(&run(ECHO, &url, &["-o=json", "--verify"]).stdout).json()["verify"].clone();
        assert_eq!(verify["payload"]["corrupted"]["count"], HURT, "{offset}: {verify:#}");
        for found in [&verify, &verify["messages"]] {
            assert_eq!(found["cut_on_the_way_back"]["count"], 0, "{offset}: {verify:#}");
        }
    }
}

fn a_status_that_is_not_of_grpc_is_the_server_s_own() {
    let server = Server::start();
    let url = format!("grpc://{}", server.http);
    let ledger = format!("--ledger={}", server.admin);
    let args =
        ["--no-progress", "-o=json", "--verify", "-n10", "-c1", "-Hx-dummy-status: 204", &ledger, &url];
    let verify = Report::parse(&loadgen(&args).stdout).json()["verify"].clone();
    for finding in ["cut_on_the_way_back", "status_changed"] {
        assert_eq!(verify[finding]["count"], 0, "{verify:#}");
    }
    assert_eq!((&verify["payload"]["corrupted"]["count"], &verify["arrived"]), (&json!(0), &json!(10)));
}

fn findings_are_reported_by_call_and_message_and_fail_the_run() {
    let server = Server::with(&["--workers=2"]);
    let planted = PlantedCalls::start(server.http, |heading, number| match (heading, number) {
        (Heading::There, 57) => CallFault::Lose,
        _ => CallFault::None,
    });
    let finished = run(ECHO, &format!("grpc://{}/{ECHO}", planted.address), &["--zero-loss"]);
    assert_eq!(finished.code, Some(99), "{finished}");
    let said = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in
        ["1 thing happened to 400 messages of streams", "#5 message 7 neither arrived nor was answered"]
    {
        assert!(said.contains(wanted), "{finished}");
    }
}

fn messages_of_calls_that_a_proxy_answers_are_not_counted_beside_their_calls() {
    let server = Server::with(&["--workers=2"]);
    let planted = PlantedCalls::answering(server.http, |call| call % 5 == 0);
    for method in [ECHO, CLIENT, BIDI] {
        let finished = run(method, &format!("grpc://{}/{method}", planted.address), &["-o=json", "--verify"]);
        let verify = Report::parse(&finished.stdout).json()["verify"].clone();
        assert_eq!(verify["never_arrived"]["answered_by_proxy"]["count"], HURT, "{method}: {verify:#}");
        let messages = &verify["messages"];
        assert_eq!(messages["never_arrived"]["unanswered"]["count"], 0, "{method}: {messages:#}");
        assert_eq!(messages["arrived"], (CALLS - HURT) * EACH, "{method}: {messages:#}");
        let unknown = messages["sent"].as_u64().expect("a number") - (CALLS - HURT) * EACH;
        let off = format!("{unknown} without an answer can't be judged: their calls did not end with OK");
        assert_eq!(messages["off"], json!([off]), "{method}");
    }
}

fn messages_of_the_user_have_no_tokens_and_the_report_says_so() {
    let server = Server::with(&["--workers=2"]);
    for (method, body) in [
        (ECHO, r#"{"message": "mine"}"#),
        (ECHO, r#"{"timestamp": {{seq}}}"#),
        (CLIENT, r#"{"payload": "AAE="}"#),
        (BIDI, r#"[{"plan": {"count": 2}}, {}, {}]"#),
    ] {
        let url = format!("grpc://{}/{method}", server.http);
        let args = ["--no-progress", "-n10", "--messages=3", "-o=json", "--verify", "-b", body, &url];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{finished}");
        let report = Report::parse(&finished.stdout);
        let verify = &report.json()["verify"];
        assert_eq!((&verify["has_streams"], &verify["messages"]), (&json!(true), &Value::Null), "{body}");
        assert_eq!(verify["arrived"], 10, "{body}");
    }
}
