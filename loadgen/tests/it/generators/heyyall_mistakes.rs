//! What of heyyall's words and configurations is refused, and how.

use serde_json::{Value, json};

use super::{
    assert_refused,
    heyyall::{Config, endpoint},
    typed,
};

#[test]
fn mistakes_in_words_are_reported() {
    let config = Config::of(4, &json!([endpoint("http://127.0.0.1:1/", "GET", 100)]));
    for (words, said) in [
        ("-nf 1", "invalid value '1' for --nf; accepted: a whole number, 0 or from 2 to 1000000"),
        ("-nf -5", "invalid value '-5' for --nf"),
        ("-nf 1000001", "invalid value '1000001' for --nf"),
        ("-cpus -1", "invalid value '-1' for --cpus"),
        ("-loglevel 6", "invalid value '6' for --loglevel; accepted: a whole number from 0 to 5"),
        ("-out xml", "invalid value 'xml' for --out; accepted: text or json"),
        ("-detail all", "invalid value 'all' for --detail; accepted: short or long"),
        ("-rate 5", "unexpected argument '-r'"),
    ] {
        assert_refused(&config.run(words), said);
    }
    assert_refused(&typed("heyyall"), "no -config");
    assert_refused(
        &typed("heyyall -config /nonexistent.json"),
        "'/nonexistent.json' for --config: No such file",
    );
    assert_refused(&typed("heyyall -config /dev/zero"), "for --config");
    assert!(typed("heyyall -help").out.contains("--config <FILE>"));
}

#[test]
fn mistakes_in_a_configuration_are_reported_with_their_place() {
    let good = endpoint("http://127.0.0.1:1/", "GET", 100);
    let with = |other: Value| Config::with(&other, &json!([good]));
    let two = |second: Value| Config::of(4, &json!([endpoint("http://127.0.0.1:1/a", "GET", 50), second]));
    let of = |other: Value| {
        let mut second = endpoint("http://127.0.0.1:1/b", "GET", 50);
        second.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        two(second)
    };
    for (config, said) in [
        (Config::text(""), ":1:0: EOF while parsing a value; accepted: a readable JSON file of at most 4M"),
        (Config::text("{\n  \"RqstRat\": 5}"), ":2:11: unknown field `RqstRat`, expected one of `RqstRate`"),
        (Config::text("{\"RqstRate\": -5}"), ":1:15: invalid value: integer `-5`, expected u64"),
        (Config::text("{\"NumRequests\": 1e400}"), "number out of range"),
        (Config::text("[".repeat(100_000)), "config.json:1:1: invalid type: sequence"),
        (Config::text("{} {}"), "trailing characters"),
        (Config::text(b"\xff\xfe"), "for --config: stream did not contain valid UTF-8"),
        (Config::text("{}"), ": 0 Endpoints; accepted: a list of 1 to 1000 Endpoints"),
        (
            with(json!({"NumRequests": 5, "RunDuration": "5s"})),
            "RunDuration and NumRequests exclude each other",
        ),
        (with(json!({})), "neither RunDuration nor NumRequests"),
        (with(json!({"RunDuration": "ten"})), "invalid value 'ten' for RunDuration"),
        (with(json!({"RunDuration": "-5s"})), "invalid value '-5s' for RunDuration"),
        (
            with(json!({"NumRequests": 5, "MaxConcurrentRqsts": 0})),
            "invalid value '0' for MaxConcurrentRqsts",
        ),
        (with(json!({"NumRequests": 5, "MaxConcurrentRqsts": 1_000_001})), "for MaxConcurrentRqsts"),
        (
            with(json!({"NumRequests": 5, "RqstRate": 1_000_000_000})),
            "invalid value '1000000000' for RqstRate",
        ),
        (
            with(json!({"NumRequests": u64::MAX})),
            "for NumRequests; accepted: a whole number from 1 to 1000000000000000",
        ),
        (
            of(json!({"RqstPercent": 49})),
            ": invalid value '99' for RqstPercent: that is the sum over all endpoints",
        ),
        (of(json!({"RqstPercent": u64::MAX})), "that is the sum over all endpoints"),
        (of(json!({"URL": ""})), ", endpoint 2: no target for URL: it is empty"),
        (
            of(json!({"URL": "grpc://127.0.0.1:1"})),
            ", endpoint 2: invalid value 'grpc://127.0.0.1:1' for URL: its scheme",
        ),
        (of(json!({"URL": "http://127.0.0.1:1/a b"})), ", endpoint 2: invalid target"),
        (of(json!({"Method": "GE T"})), ", endpoint 2: invalid value 'GE T' for Method"),
        (of(json!({"Headers": {"a b": "c"}})), ", endpoint 2: invalid value 'a b' for Headers"),
        (
            of(json!({"Headers": {"Content-Length": "5"}})),
            ", endpoint 2: invalid value 'content-length' for Headers",
        ),
        (
            of(json!({"CertFile": "other.pem"})),
            ", endpoint 2: another client certificate; accepted: one certificate for all",
        ),
        // Also where no TLS is spoken.
        (
            with(json!({"NumRequests": 5, "KeyFile": "/nonexistent/key.pem"})),
            "KeyFile: can't read /nonexistent/key.pem: No such file or directory",
        ),
    ] {
        assert_refused(&config.run(""), said);
        let ran = config.run("");
        assert!(ran.err.contains("config.json"), "{ran:?}");
    }
    let large = Config::text(vec![b' '; (4 << 20) + 1]);
    assert_refused(&large.run(""), "it has more than 4M");
}
