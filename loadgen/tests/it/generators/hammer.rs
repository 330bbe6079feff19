//! go-hammer's words and scenarios.

#[cfg(feature = "embedded")]
use super::Dummy;
use super::{assert_refused, ended, loadgen, program, server, typed};

const HEADERS: &str = r#"{"content-type":"application/json","x-b":"c: d"}"#;

#[test]
fn a_request_is_sent_at_its_rate_for_its_time_with_or_without_run() {
    for before in [&["hammer"][..], &["hammer", "run"]] {
        let (peer, seen) = server();
        let endpoint = format!("http://{}/orders?x=1", peer.address);
        let words = ["--endpoint", &endpoint, "--method", "PUT", "--payload", "{\"a\":\"{{seq}}\"}"];
        let load = ["--headers", HEADERS, "--duration", "1", "--tps", "40"];
        let ran = loadgen(&[before, &words, &load].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(seen.counts().into_iter().collect::<Vec<_>>(), [("PUT /orders?x=1".to_owned(), 40)]);
        for request in seen.requests() {
            assert_eq!(request.body, "{\"a\":\"{{seq}}\"}", "a payload is sent as it is");
            assert_eq!(request.field("content-type"), Some("application/json"));
            assert_eq!(request.field("x-b"), Some("c: d"));
        }
        assert!(ran.out.contains("open loop, 40 requests/s, for 1.00 s"), "{}", ran.out);
    }
}

#[cfg(feature = "embedded")]
#[test]
fn a_scenario_is_read_from_its_file() {
    let server = Dummy::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.json");
    let scenario = serde_json::json!({
        "duration": 1,
        "tps": 50,
        "hammer": "HTTPHammer",
        "hammerConfig": {
            "method": "POST",
            "endpoint": format!("http://{}/upload", server.address()),
            "payload": "Hello World",
            "headers": {"content-type": "text/plain", "X-Request-Id": "mine"},
        },
    });
    std::fs::write(&file, scenario.to_string()).unwrap();
    let ran = loadgen(&["hammer", "run", "scenario", "--path", file.to_str().unwrap(), "-o", "json"]);
    let report = ran.json();
    assert_eq!((ran.code, &report["requests"]["succeeded"]), (Some(0), &50.into()), "{report:#}");
    assert_eq!((&report["run"]["method"], &report["run"]["duration_seconds"]), (&"POST".into(), &1.0.into()));
    assert_eq!(server.counted("requests", &["endpoint=\"upload\"", "status=\"200\""]), 50);
    assert_eq!(server.counted("requests", &[]), 50);
}

#[test]
fn one_request_a_second_is_sent_for_a_minute_unless_other_numbers_are_given() {
    let (peer, seen) = server();
    let ran = typed(&format!("hammer --endpoint http://{} --duration 1", peer.address));
    assert_eq!((ran.code, seen.counts().get("GET /")), (Some(0), Some(&1)));
    assert!(seen.requests()[0].body.is_empty() && seen.requests()[0].field("content-length").is_none());
    let help = typed("hammer --help").out;
    assert!(help.contains("[default: 60]") && help.contains("[default: 1]"), "{help}");
}

/// go-hammer broke where files ran out.
#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_open_files_is_known_before_the_run() {
    let (peer, seen) = server();
    let script = "ulimit -n 100 && exec \"$0\" hammer --endpoint \"$1\" --tps 200 --duration 500ms";
    let mut command = std::process::Command::new("sh");
    let ran = ended(command.args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_loadgen"),
        &format!("http://{}", peer.address),
    ]));
    assert_eq!((ran.code, seen.counts().get("GET /")), (Some(0), Some(&100)), "{ran:?}");
    assert!(ran.err.contains("it may open 100 files (ulimit -n)"), "{ran:?}");
}

#[test]
fn the_report_that_is_kept_has_neither_payload_nor_headers() {
    let (peer, _) = server();
    let endpoint = format!("http://{}", peer.address);
    let secrets =
        ["--payload", "secret", "--headers={\"authorization\":\"secret\"}", "--duration=100ms", "--tps=10"];
    let ran = ended(program().args(["hammer", "-o", "json", "--endpoint", &endpoint]).args(secrets));
    assert!(ran.code == Some(0) && !ran.out.contains("secret"), "{ran:?}");
    assert!(ran.out.contains("--headers=[redacted]"), "{ran:?}");
}

#[test]
fn mistakes_are_reported_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.json");
    let shown = file.to_str().unwrap();
    for (words, said) in [
        (&[][..], "no --endpoint"),
        (&["--endpoint", "gopher://a"], "invalid value 'gopher://a' for --endpoint"),
        (&["--endpoint", "http://a:99999"], "for --endpoint"),
        (
            &["--endpoint", "http://a", "--tps", "0"],
            "invalid value '0' for --tps; accepted: requests per second",
        ),
        (&["--endpoint", "http://a", "--tps", "-5"], "invalid value '-5' for --tps"),
        (&["--endpoint", "http://a", "--tps", "1e300"], "for --tps"),
        (&["--endpoint", "http://a", "--duration", "-5"], "invalid value '-5' for --duration"),
        (&["--endpoint", "http://a", "--duration", "0"], "invalid value"),
        (&["--endpoint", "http://a", "--headers", "a: b"], "invalid value for --headers: expected value"),
        (&["--endpoint", "http://a", "--headers", "{\"a:b\":\"c\"}"], "invalid value 'a:b' for --headers"),
        (&["--endpoint", "http://a", "--headers", "{\"a\":\"b\\nc: d\"}"], "invalid value 'a' for --headers"),
        (
            &["--endpoint", "http://a", "--headers", "{\"content-length\":\"5\"}"],
            "'content-length' for --headers",
        ),
        (&["--endpoint", "http://a", "--method", "A B"], "invalid value 'A B' for --method"),
        (&["run", "scenario"], "no --path"),
        (
            &["run", "scenario", "--path", "/nonexistent.json"],
            "invalid value '/nonexistent.json' for --path: No such file",
        ),
        (&["run", "scenario", "--path", "/dev/zero"], "for --path"),
    ] {
        assert_refused(&loadgen(&[&["hammer"], words].concat()), said);
    }
    for (scenario, said) in [
        ("", ":1:0: EOF while parsing a value; accepted: a readable JSON file"),
        ("{\"tps\": 5,\n \"hamer\": 1}", ":2:8: unknown field `hamer`, expected one of"),
        ("{\"tps\": -5, \"hammerConfig\": {\"endpoint\": \"http://a\"}}", ": invalid value '-5' for tps;"),
        ("{\"tps\": \"5\"}", ":1:11: invalid type: string \"5\", expected f64"),
        ("{\"tps\": 5}", "missing field `hammerConfig`"),
        (
            "{\"hammer\": \"mqtt\", \"hammerConfig\": {\"endpoint\": \"http://a\"}}",
            ": invalid value 'mqtt' for hammer; accepted: HTTPHammer or http; example: hammer: HTTPHammer",
        ),
        ("{\"hammerConfig\": {\"endpoint\": \"a\"}}", "for endpoint"),
        ("{\"duration\": 1e3, \"hammerConfig\": {\"endpoint\": \"http://a\"}}", "expected u64"),
        (
            "{\"duration\": 18446744073709551615, \"hammerConfig\": {\"endpoint\": \"http://a\"}}",
            "for duration",
        ),
    ] {
        std::fs::write(&file, scenario).unwrap();
        let ran = loadgen(&["hammer", "run", "scenario", "--path", shown]);
        assert_refused(&ran, said);
        assert!(ran.err.contains(shown), "{ran:?}");
    }
}
