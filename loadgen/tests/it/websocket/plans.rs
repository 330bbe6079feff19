//! What a plan with WebSockets may be.

use crate::peer::plan;

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
