//! What loadgen proves of each message on a WebSocket, with dummy-server behind a proxy that does what it should not.

use integration::{
    binaries::loadgen,
    planted_messages::{MessageFault, PlantedMessages},
    proxies::{HAPROXY, NGINX},
    proxy::{Behind, Kind, Proxy},
    report::Report,
    server::Server,
    tools::require,
};
use serde_json::Value;

tests!();

const SENT: u64 = 400;
const HURT: u64 = 8;

fn is_chosen(number: u64) -> bool {
    number % (SENT / HURT) == 7
}

/// All counts of findings, by their names; what was found is nothing but `wanted`.
fn assert_found(report: &Report, wanted: &[(&str, u64)]) {
    let verify = &report.json()["verify"];
    let counts = [
        "/never_arrived/answered_by_proxy/count",
        "/never_arrived/unanswered/count",
        "/never_arrived/not_written/count",
        "/answered_in_place/count",
        "/cut_on_the_way_back/count",
        "/cut_by_the_server/count",
        "/given_up/count",
        "/repeated/counts/after_failure",
        "/repeated/counts/after_success",
        "/repeated/counts/concurrent",
        "/crossed/count",
        "/cached/count",
        "/echoed_again/count",
        "/reordered/on_the_way_there/count",
        "/reordered/on_the_way_back/count",
        "/reordered/way_unknown/count",
        "/foreign/count",
        "/payload/truncated/count",
        "/payload/corrupted/count",
        "/unjudged",
    ];
    for count in counts {
        let expected = wanted.iter().find(|(name, _)| *name == count).map_or(0, |(_, expected)| *expected);
        assert_eq!(verify.pointer(count).and_then(Value::as_u64), Some(expected), "{count}: {verify:#}");
    }
    assert_eq!(verify["off"], Value::Array(Vec::new()), "{verify:#}");
    assert_eq!(verify["epochs_lost"], Value::Array(Vec::new()), "{verify:#}");
}

fn through(fault: MessageFault, wanted: &[(&str, u64)]) -> Report {
    through_with(fault, &[], wanted)
}

/// Through the proxy, with a fault of each chosen message.
fn through_with(fault: MessageFault, more: &[&str], wanted: &[(&str, u64)]) -> Report {
    let server = Server::with(&["--workers=2"]);
    let planted = PlantedMessages::start(server.http, move |number| match is_chosen(number) {
        true => fault,
        false => MessageFault::None,
    });
    let (total, url) = (SENT.to_string(), format!("ws://{}/ws", planted.address));
    // One worker, whose connections are open until all is done.
    let usual = ["--no-progress", "-o", "json", "--verify", "--timeout=1s", "--workers=1", "-c", "4"];
    let args = [&usual[..], more, &["-n", &total, &url]].concat();
    let report = Report::parse(&loadgen(&args).stdout);
    assert_found(&report, wanted);
    assert_eq!(report.number("/verify/sent"), SENT);
    for (name, _) in wanted.iter().filter(|(name, _)| name.ends_with("/count")) {
        let finding = format!("/verify{}", name.trim_end_matches("/count"));
        let examples = report.json().pointer(&finding).and_then(|finding| finding["examples"].as_array());
        for example in examples.expect("examples") {
            assert!(is_chosen(example["number"].as_u64().expect("a number")), "{example}");
        }
    }
    report
}

/// Not one false alarm.
fn proven(url: &str, ledger: &str, more: &[&str]) {
    let args = ["--no-progress", "-o", "json", "--zero-loss", "-c", "4", "-n", "2000", "--ledger", ledger];
    let finished = loadgen(&[&args[..], more, &[url]].concat());
    assert_eq!(finished.code, Some(0), "{url}: {finished}");
    let report = Report::parse(&finished.stdout);
    assert_found(&report, &[]);
    for count in ["sent", "arrived", "sightings"] {
        assert_eq!(report.number(&format!("/verify/{count}")), 2000, "{url}: {count}");
    }
}

fn a_faithful_way_raises_no_alarm_over_either_protocol() {
    let server = Server::with(&["--workers=2"]);
    let planted = PlantedMessages::start(server.http, |_| MessageFault::None);
    let ledger = server.admin.to_string();
    proven(&format!("ws://{}/ws", planted.address), &ledger, &["-m", "8"]);
    proven(&format!("ws://{}/ws", server.http), &ledger, &["--message-size=100K", "--binary"]);
    proven(&format!("ws://{}/ws?fragment=10", server.http), &ledger, &["--message-size=43"]);
    proven(&format!("ws://{}/ws", server.http), &ledger, &["--http2", "-m", "8"]);
}

fn proxies_that_are_faithful_raise_no_alarm() {
    let check = |kind: Kind| {
        let Some(program) = require(kind.tool) else { return };
        let server = Server::with(&["--workers=2"]);
        let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
        proven(&format!("ws://{}/ws", proxy.fronts.http1), &server.admin.to_string(), &["-m", "4"]);
    };
    check(NGINX);
    check(HAPROXY);
}

fn without_a_ledger_that_is_named_servers_are_asked_through_the_target() {
    let server = Server::start();
    for more in [&[][..], &["--http2"]] {
        let url = format!("ws://{}/ws", server.http);
        let args = ["--no-progress", "--zero-loss", "-n", "100", "-c", "2"];
        let finished = loadgen(&[&args[..], more, &[&url]].concat());
        assert_eq!(finished.code, Some(0), "{finished}");
        assert!(finished.stdout.contains("each of 100 requests arrived once"), "{finished}");
    }
}

fn a_message_that_is_lost_on_the_way_there_is_distinguished_from_one_whose_echo_is() {
    through(MessageFault::Lose, &[("/never_arrived/unanswered/count", HURT)]);
    let report = through(MessageFault::LoseEcho, &[("/cut_on_the_way_back/count", HURT)]);
    assert_eq!(report.number("/verify/arrived"), SENT);
}

fn what_is_repeated_there_is_distinguished_from_what_is_repeated_on_the_way_back() {
    // Both come with one read, so that the second one comes before the first is answered.
    let report = through(MessageFault::Double, &[("/repeated/counts/concurrent", HURT)]);
    assert_eq!(report.number("/verify/sightings"), SENT + HURT);
    let first = &report.json()["verify"]["repeated"]["examples"][0];
    assert_eq!((&first["number"], &first["method"]), (&7.into(), &"MESSAGE".into()), "{first}");
    through(MessageFault::DoubleEcho, &[("/echoed_again/count", HURT)]);
}

fn a_byte_that_changes_is_found_with_its_offset_whichever_way_it_went() {
    for fault in [MessageFault::Flip(50), MessageFault::FlipEcho(50)] {
        let report = through(fault, &[("/payload/corrupted/count", HURT)]);
        assert_eq!(report.number("/verify/payload/corrupted/examples/0/offset"), 50);
    }
    let report = through(MessageFault::ShortenEcho(50), &[("/payload/truncated/count", HURT)]);
    assert_eq!(report.number("/verify/payload/truncated/examples/0/offset"), 50);
}

fn an_echo_on_another_connection_is_crossed() {
    let report = through(MessageFault::Cross, &[("/crossed/count", HURT)]);
    let first = &report.json()["verify"]["crossed"]["examples"][0];
    assert!(first["what"].as_str().is_some_and(|what| what.contains("another connection")), "{first}");
}

fn messages_that_change_places_on_a_websocket_are_reordered_there_or_back() {
    // A message is held until the next one of its connection has been passed on: with a rate, that does not wait for its echo.
    through_with(MessageFault::Swap, &["-r", "4000"], &[("/reordered/on_the_way_there/count", HURT)]);
    let report =
        through_with(MessageFault::SwapEcho, &["-r", "4000"], &[("/reordered/on_the_way_back/count", HURT)]);
    assert_eq!(report.number("/verify/arrived"), SENT);
    assert_eq!(report.requests("succeeded"), SENT);
}

fn that_messages_have_changed_places_fails_a_run_that_wants_no_loss() {
    let server = Server::start();
    for (swapped, code, said) in [
        (
            7,
            99,
            "1 messages were reordered on their WebSockets on the way there: #7 arrived behind a later one",
        ),
        (u64::MAX, 0, "each of 100 requests arrived once, in order on its WebSocket, and was given its own"),
    ] {
        let planted = PlantedMessages::start(server.http, move |number| match number == swapped {
            true => MessageFault::Swap,
            false => MessageFault::None,
        });
        let url = format!("ws://{}/ws", planted.address);
        let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "100", "-c", "1", "-r", "1000", &url]);
        assert_eq!(finished.code, Some(code), "{finished}");
        let words: Vec<_> = finished.stdout.split_whitespace().collect();
        assert!(words.join(" ").contains(said), "{finished}");
    }
}

fn messages_without_room_for_a_token_are_refused() {
    for (more, accepted) in
        [("--message-size=42", "accepted: 43 to 16M with --verify"), ("--body=x", "with --message-size")]
    {
        let finished = loadgen(&["--verify", "-n", "1", more, "ws://127.0.0.1:1/ws"]);
        assert_eq!(finished.code, Some(2), "{finished}");
        assert!(finished.stderr.contains(accepted), "{finished}");
    }
}
