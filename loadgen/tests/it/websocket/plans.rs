//! What a plan with WebSockets may be.

use std::path::Path;

use clap::Parser as _;
use loadgen::{
    cli::{Args, Exit, command},
    plan::file::PlanFile,
};

use super::serve_sockets;
use crate::peer::{Peer, plan, serve_http1};

#[test]
fn what_makes_no_sense_is_refused() {
    use clap::Parser as _;
    use loadgen::{Plan, cli::Args};
    for (args, said) in [
        ("--message-size 31 ws://a", "a size from 32 to 16M"),
        ("--message-size 16777217 ws://a", "a size from 32 to 16M"),
        ("--message-size 64 -b x ws://a", "--message-size and --body exclude each other"),
        ("--message-size 64 http://a", "it with a ws:// or wss:// target alone"),
        ("--binary http://a", "--binary with the target"),
        ("--ping-interval 1s grpc://a", "--ping-interval with the target"),
        ("--ping-interval 9ms ws://a", "a time from 10ms"),
        ("-X PUT ws://a", "a WebSocket is opened with GET"),
        ("-H Upgrade:x ws://a", "the handshake of a WebSocket has it as needed"),
        ("-H Sec-WebSocket-Extensions:x ws://a", "without extensions"),
        ("--expect-status 404 ws://a", "a message succeeds with its echo"),
        ("--deadline 1s ws://a", "--deadline with the target ws://a"),
        ("-r 10 -c 3 --workers 2 ws://a", "connections can be divided by"),
        ("--url-file x ws://a", "one message"),
    ] {
        let words = std::iter::once("loadgen").chain(args.split_whitespace());
        let error = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap_err().to_string();
        assert!(error.contains(said), "{args}: {error}");
    }
    for args in ["--message-size 32 ws://a", "--message-size 16M wss://a", "--ping-interval 10ms ws://a"] {
        plan(args);
    }
    assert_eq!(plan("-r 10 -c 9 ws://a").workers().get() as u64 % 2, 1, "a share for each");
}

#[test]
fn a_plan_file_has_one_message_and_what_goes_with_it() {
    let build = |text: &str| {
        let file = PlanFile::parse(text, "plan.yaml", Path::new("")).map_err(|error| error.to_string())?;
        file.builder(None).and_then(|builder| builder.build()).map_err(|error| error.to_string())
    };
    let plan = build(
        "target: ws://a/ws\nrequests: [{name: hello, body: hi, count: 7}]\n\
         load: {binary: true, ping_interval: 5s, connections: 1}",
    )
    .unwrap();
    let request = plan.request();
    assert_eq!((request.name.as_str(), &request.body[..], plan.load().total), ("hello", &b"hi"[..], Some(7)));
    let message = plan.message().unwrap();
    assert_eq!((message.text, message.ping_interval.unwrap().as_secs()), (false, 5));
    assert_eq!(build("{target: 'ws://a', load: {message_size: 1K}}").unwrap().request().name, "GET /");
    for (text, said) in [
        ("{target: 'ws://a', requests: [{body: a}, {body: b}]}", "a WebSocket with several requests"),
        ("{target: 'ws://a', requests: [{expect: {status: 200}}]}", "expectations of a WebSocket"),
        ("{target: 'ws://a', load: {message_size: 31}}", "a size from 32 to 16M"),
        ("{target: 'http://a', load: {binary: true}}", ": binary with the target"),
        ("target: ws://a\nrequests:\n- method: PUT\n", "plan.yaml:3"),
    ] {
        let error = build(text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// How a command ends, and what it prints.
fn typed(line: &str) -> (Exit, String) {
    let mut out = Vec::new();
    let words = std::iter::once("loadgen").chain(line.split_whitespace());
    let exit = command(&Args::try_parse_from(words).unwrap(), &mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

fn echoes() -> Peer {
    serve_sockets(|_, mut ws| ws.echo())
}

#[test]
fn a_target_is_waited_for_until_it_answers_in_whatever_way() {
    let wrong = || {
        serve_sockets(|_, mut ws| {
            ws.message()?;
            ws.send(true, b"something else")?;
            ws.echo()
        })
    };
    let not_found = || serve_http1(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
    for (peer, expected) in [(echoes(), Exit::Done), (wrong(), Exit::Failed), (not_found(), Exit::Failed)] {
        let line = format!("--no-progress --wait-for-target 30s -b hello -n 1 -c 1 ws://{}", peer.address);
        assert_eq!(typed(&line).0, expected);
        assert!(peer.connections() >= 2, "one before the run");
    }
}

#[test]
fn the_handshake_is_shown_as_it_is_sent_and_so_is_its_refusal() {
    let peer = echoes();
    let (exit, text) = typed(&format!("--once -b hello ws://{}/ws", peer.address));
    assert_eq!(exit, Exit::Done);
    for shown in ["GET /ws HTTP/1.1\n", "\nsec-websocket-key: <", "\n\nhello\n\nHTTP/1.1 101 "] {
        assert!(text.contains(shown), "{text}");
    }
    let (_, text) = typed(&format!("--print --http2 -b hello --ping-interval 5s ws://{}/ws", peer.address));
    for shown in
        ["CONNECT /ws HTTP/2\n:protocol: websocket\n", "Request        GET /ws\n", "a ping every 5.00 s"]
    {
        assert!(text.contains(shown), "{text}");
    }
    let refusing =
        serve_http1(|_| b"HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 0\r\n\r\n".to_vec());
    let (exit, text) = typed(&format!("--once ws://{}", refusing.address));
    assert_eq!(exit, Exit::Failed);
    assert!(text.contains("\nHTTP/1.1 403 Forbidden\nX-Why: no\n"), "{text}");
}

#[test]
fn what_comes_unasked_is_in_the_verdict_and_can_be_failed_on() {
    let peer = serve_sockets(|_, mut ws| {
        ws.send(true, b"news")?;
        ws.echo()
    });
    for (args, expected) in
        [("", Exit::Done), ("--fail-on lost,wrong", Exit::Done), ("--fail-on unsolicited", Exit::FailedOn)]
    {
        let (exit, text) = typed(&format!("--no-progress -n 3 -c 1 {args} ws://{}", peer.address));
        assert_eq!(exit, expected, "{args}");
        assert!(text.contains("but one message came unsolicited"), "{text}");
        assert!(text.contains("WebSocket messages\n"), "{text}");
    }
}
