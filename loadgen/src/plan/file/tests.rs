//! Plans as people write them, and what is said of mistakes.

use std::path::Path;

use super::*;
use crate::plan::{ClientOptions, Plan};

fn build(text: &str) -> Result<Plan, String> {
    let file = PlanFile::parse(text, "plan.yaml", Path::new("")).map_err(|error| error.to_string())?;
    file.builder(None).and_then(Builder::build).map_err(|error| error.to_string())
}

const WHOLE: &str = r#"
target: http://localhost:8080/base
seed: 7
defaults:
  headers: {accept: application/json}
  expect: {status: 2xx}
requests:
  - name: list
    weight: 50
    path: /items
    expect:
      status: [200, 404]
      headers: {content-type: {contains: json}, x-a: b, etag: {present: true}}
      body_contains: [a, b]
      json: {"$.items[0].id": 1, $.ok: true}
      json_present: $.more
      size: 1-2K
      within: 200ms
      payload: pattern
      max_held: 2M
  - weight: 25
    path: /items/{{seq}}
    headers: ["accept: text/html", "X-Trace: {{uuid}}"]
    method: PUT
    body: |
      {"id":{{seq}}}
  - weight: 25
load:
  rate: 100
  duration: 1m
  connections: 4
  on_overload: drop
  timeout: 5
"#;

#[test]
fn a_whole_plan_is_read() {
    let plan = build(WHOLE).unwrap();
    let [list, put, base] = plan.requests() else { panic!("three requests") };
    assert_eq!((list.name.as_str(), list.path(), put.method.as_str()), ("list", "/items", "PUT"));
    assert_eq!((base.name.as_str(), base.path()), ("GET /base", "/base"));
    assert_eq!(list.fields.get("accept"), Some(&b"application/json"[..]));
    assert_eq!(put.fields.get_all("accept").collect::<Vec<_>>(), [b"text/html"]);
    assert_eq!(put.body, "{\"id\":{{seq}}}\n");
    let lines = list.expectations().unwrap().lines().join("; ");
    assert_eq!(
        lines,
        "status 200,404; header content-type contains 'json'; header x-a is 'b'; header etag is present; \
         size 1 to 2048; payload pattern; body contains 'a'; body contains 'b'; json $.items[0].id is 1; \
         json $.ok is true; json $.more is present; within 200 ms"
    );
    assert_eq!(base.expectations().unwrap().lines(), ["status 2xx"]);
    assert_eq!((plan.load().connections.get(), plan.load().timeout.as_secs()), (4, 5));
    let json =
        r#"{"target": "localhost:1", "requests": [{"path": "/a", "count": 3}, {"path": "/b", "count": 1}]}"#;
    assert_eq!(build(json).unwrap().load().total, Some(4));
}

#[test]
fn a_mistake_is_reported_with_its_place_and_what_is_accepted() {
    let mut wrong = Vec::new();
    for (text, said) in [
        ("", "plan.yaml:1:1: an empty plan; accepted: a plan in YAML or JSON"),
        ("a: [", "plan.yaml:2:1: invalid YAML: "),
        (
            "target: a:1\nrequests:\n  - path: /a\n    wieght: 2\n",
            "plan.yaml:4:5: unknown key 'wieght'; accepted: name, target, weight, ",
        ),
        ("target: a:1\ntarget: b:1", "plan.yaml:2:1: the key 'target' for the second time"),
        ("- a", "plan.yaml:1:1: a list; accepted: a map with any of target, "),
        (
            "target: a:1\nload: {rate: fast}",
            "plan.yaml:2:14: invalid value 'fast' for rate; accepted: requests per second",
        ),
        (
            "target: a:1\nload: {rate: 0}",
            "plan.yaml:2:14: invalid value '0' for rate; accepted: requests per second",
        ),
        ("target: a:1\nload: {connections: 0}", "plan.yaml:2:21: invalid value '0' for connections"),
        (
            "target: a:1\nload: {h2_stream_window: 0}",
            "plan.yaml:2:26: invalid value '0' for h2_stream_window; accepted: a size from 1",
        ),
        (
            "target: a:1\nload: {idle_connections: x}",
            "plan.yaml:2:26: invalid value 'x' for idle_connections",
        ),
        ("target: a:1\nload: {recv_rate: 2T}", "plan.yaml:2:19: invalid value '2199023255552' for recv_rate"),
        (
            "target: a:1\nload: {pipeline: 2}",
            "plan.yaml:2:18: pipeline with HTTP/2; accepted: it with HTTP/1.1",
        ),
        ("target: a:1\nrequests: [{chunked: 1, body: a}]", "plan.yaml:2:22: invalid value '1' for chunked"),
        ("target: a:1\nrequests: [{chunked: true}]", "plan.yaml:2:12: chunked without a body"),
        (
            "target: a:1\nrequests: [{body: a, trailers: ['te: x']}]",
            "plan.yaml:2:32: invalid value 'te: x' for trailer: it means nothing behind a body",
        ),
        ("target: a:1\nload: {on_overload: wait}", "plan.yaml:2:21: invalid value 'wait' for on_overload"),
        ("target: a", "plan.yaml:1:9: invalid target 'a'"),
        ("targets: []", "plan.yaml:1:10: 0 targets; accepted: a list of 1 to 64 URLs"),
        ("load: {}", "plan.yaml: no target"),
        ("target: a:1\nrequests: []", "plan.yaml:2:11: 0 requests; accepted: a list of 1 to 1000"),
        (
            "target: a:1\nrequests: [{path: a}]",
            "plan.yaml:2:19: invalid value 'a' for path: it does not begin with /",
        ),
        (
            "target: a:1\nrequests: [{path: '/{{x}}'}]",
            "plan.yaml:2:19: invalid placeholder in the path: unknown",
        ),
        ("target: a:1\nrequests: [{method: A B}]", "plan.yaml:2:21: invalid value 'A B' for method"),
        ("target: a:1\nrequests: [{headers: {a b: c}}]", "plan.yaml:2:22: invalid value 'a b: c' for header"),
        ("target: a:1\nrequests: [{body: '{{x}}'}]", "plan.yaml:2:19: invalid placeholder for body: unknown"),
        (
            "target: a:1\nrequests: [{body: a, body_file: b}]",
            "plan.yaml:2:22: body and body_file exclude each other",
        ),
        (
            "target: a:1\nrequests: [{rows: none.csv}]",
            "plan.yaml:2:19: invalid value 'none.csv' for rows: No such file",
        ),
        (
            "target: a:1\nrequests: [{weight: 0}]",
            "plan.yaml:2:21: invalid value '0' for weight; accepted: a whole number from 1",
        ),
        (
            "target: a:1\nrequests: [{weight: 1}, {count: 1}]",
            "plan.yaml:2:21: no count for the request 'GET /', where others have one; accepted: a count for each",
        ),
        (
            "target: a:1\nrequests: [{weight: 4194304}, {weight: 9, path: /b}]",
            "plan.yaml:2:21: the weight 4194304 of the request 'GET /'; accepted: whole numbers from 1, where the sum",
        ),
        (
            "target: a:1\nrequests: [{count: 3}, {count: 1000000000000000000}]",
            "plan.yaml:2:32: the count 1000000000000000000 of the request 'GET /'",
        ),
        (
            "target: a:1\nrequests: [{count: 1}, {count: 2}]\nload: {warmup: 1s}",
            "plan.yaml:3:16: warmup of a closed loop, or of random times, before requests with a count",
        ),
        (
            "target: a:1\nload: {rate: 1, stages: 1s@10}",
            "plan.yaml:2:25: stages and rate exclude each other; accepted: one of them; example: stages: 10s@100",
        ),
        (
            "target: a:1\nload: {poisson: true}",
            "plan.yaml:2:17: poisson without a rate; accepted: poisson with rate, or with stages of a rate; \
             example: rate: 1000, poisson: true",
        ),
        (
            "target: ws://a\nrequests: [{path: /a}, {path: /b}]",
            "plan.yaml:2:31: a WebSocket with several requests",
        ),
        (
            "target: ws://a\nrequests: [{path: /a, expect: {status: 200}}]",
            "plan.yaml:2:31: expectations of a WebSocket",
        ),
        ("targets: [http://a, ws://b]", "plan.yaml:1:21: the target ws://b:80/ beside others"),
        ("targets: [http://a:1, nonsense]", "plan.yaml:1:23: invalid target 'nonsense'"),
        ("target: a:1\nrequests: [{expect: {status: 99}}]", "plan.yaml:2:30: invalid value '99' for status"),
        (
            "target: a:1\nrequests: [{expect: {json: {'$..a': 1}}}]",
            "plan.yaml:2:28: invalid value '$..a' for json",
        ),
        ("target: a:1\nrequests: [{expect: {size: 2-1}}]", "plan.yaml:2:28: invalid value '2-1' for size"),
        ("target: a:1\nrequests: [{expect: {within: 0}}]", "plan.yaml:2:30: invalid value '0s' for within"),
        (
            "target: a:1\nrequests: [{expect: {max_held: 65M}}]",
            "plan.yaml:2:32: invalid value '68157440' for max_held",
        ),
        ("a: &x b\nc: *x", "plan.yaml:2:4: an alias; accepted: values written out"),
        ("a: !b c", "a tag; accepted: values without tags"),
        ("a: b\n---\nc: d", "a second document"),
        ("{[a]: b}", "a key that is not a text"),
        ("target:", "plan.yaml:1:7: nothing for target"),
    ] {
        match build(text) {
            Err(error) if error.contains(said) && error.lines().count() == 1 => {}
            other => wrong.push(format!("{text}: {:?}", other.map(|_| "a plan"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_plan_is_bounded() {
    let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
    assert!(build(&deep).unwrap_err().contains("at most 32 levels"));
    let requests = |count: usize| format!("target: a:1\nrequests:\n{}", "- path: /a\n".repeat(count));
    assert_eq!(build(&requests(MAX_REQUESTS)).unwrap().requests().len(), MAX_REQUESTS);
    assert!(build(&requests(MAX_REQUESTS + 1)).unwrap_err().contains("1001 requests"));
    let wide = format!("[{}]", "1,".repeat(200_001));
    assert!(build(&wide).unwrap_err().contains("at most 200000"));
}

#[test]
fn what_is_given_beside_a_plan_takes_precedence() {
    let file = PlanFile::parse(WHOLE, "plan.yaml", Path::new("")).unwrap();
    let plan = file.builder(Some("h2c://b:1")).unwrap().rate(5.0).build().unwrap();
    assert_eq!((plan.target().to_string(), plan.load().mean_rate.unwrap()), ("h2c://b:1/".to_owned(), 5.0));
}

#[test]
fn connections_behave_as_a_plan_says_and_as_is_given_beside_it() {
    let text = "target: a:1\nload: {h2_stream_window: 1M, h2_max_frame_size: 32768, idle_connections: 3, send_rate: 1K}";
    let file = PlanFile::parse(text, "plan.yaml", Path::new("")).unwrap();
    let plan = file.builder(None).unwrap().build().unwrap();
    let client = plan.client();
    assert_eq!((client.http2.stream_window, client.http2.max_frame_size), (1 << 20, 1 << 15));
    assert_eq!((client.idle_connections, client.send_rate, client.recv_rate), (3, Some(1024), None));
    let given = ClientOptions { h2_stream_window: Some(5), recv_rate: Some(7), ..ClientOptions::default() };
    let plan = file.builder(None).unwrap().client(given).build().unwrap();
    let client = plan.client();
    assert_eq!((client.http2.stream_window, client.http2.max_frame_size), (5, 1 << 15));
    assert_eq!((client.idle_connections, client.send_rate, client.recv_rate), (3, Some(1024), Some(7)));
}

#[test]
fn several_loads_share_the_cpus_unless_they_say_how_many_workers_they_have() {
    let workers = |loads: &str| -> Vec<usize> {
        let text = format!("target: a:1\nloads: [{loads}]");
        let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
        let all = file.several(None).unwrap().into_iter();
        all.map(|load| load.builder.build().unwrap().workers().get()).collect()
    };
    let cpus = runtime::cpus::available().get();
    let share = |loads: usize| (cpus / loads).clamp(1, 10);
    assert_eq!(workers("{name: a}, {name: b, workers: 3}"), [share(2), 3]);
    let many: Vec<_> = (0..16).map(|load| format!("{{name: l{load}}}")).collect();
    assert_eq!(workers(&many.join(", ")), [share(16); 16]);
}

#[test]
fn the_schema_is_of_what_is_read() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = |text: &str| Plain::of(&tree::parse(text, "x").unwrap(), "x").json();
    let errors: Vec<_> = validator.iter_errors(&json(WHOLE)).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let loads = json(include_str!("../../../examples/loads.yaml"));
    let errors: Vec<_> = validator.iter_errors(&loads).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for text in [
        "{loads: [{rate: 1}]}",
        "{loads: []}",
        "{target: a:1, x: 1}",
        "{requests: [{wieght: 1}]}",
        "{load: {rate: [1]}}",
    ] {
        assert!(!validator.is_valid(&json(text)), "{text}");
    }
    let keys = |pointer: &str| {
        let of = schema.pointer(pointer).and_then(|of| of["properties"].as_object()).unwrap();
        let mut keys: Vec<_> = of.keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    let of_several: Vec<&str> = loads::OF_SEVERAL.iter().chain(LOAD).copied().collect();
    let of_request: Vec<&str> = OF_REQUEST.iter().chain(DEFAULTS).copied().collect();
    for (pointer, known) in [
        ("", PLAN),
        ("/$defs/load", LOAD),
        ("/$defs/one_of_several_loads", &of_several),
        ("/$defs/defaults", DEFAULTS),
        ("/$defs/request", &of_request),
        ("/$defs/expect", expectations::EXPECT),
        ("/$defs/target", crate::plan::known_keys::TARGET),
    ] {
        let mut known: Vec<_> = known.iter().map(|key| (*key).to_owned()).collect();
        known.sort_unstable();
        assert_eq!(keys(pointer), known, "{pointer}");
    }
}

#[test]
fn what_excludes_each_other_in_one_of_several_loads_is_reported_with_its_place() {
    let text = "target: a:1\nloads: [{name: b}, {name: a, rate: 1, stages: 1s@10}]";
    let all = PlanFile::parse(text, "plan.yaml", Path::new("")).unwrap().several(None).unwrap();
    let error = all.into_iter().find_map(|load| load.builder.build().err()).unwrap().to_string();
    assert!(error.starts_with("plan.yaml:2:47: stages and rate exclude each other"), "{error}");
}

#[test]
fn a_broken_plan_in_json_is_reported_as_json() {
    for (name, said) in
        [("plan.json", "plan.json:1:18: invalid JSON: "), ("plan.yaml", "plan.yaml:1:18: invalid YAML: ")]
    {
        let error = PlanFile::parse("{\"target\": \"a:1\",,}", name, Path::new("")).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
        assert_eq!(
            error.ends_with(r#"example: {"target": "http://localhost:8080"}"#),
            name == "plan.json",
            "{error}"
        );
    }
}
