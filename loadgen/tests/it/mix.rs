//! Requests that differ from one sending to the next, and several requests in one run.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
};

use loadgen::{
    Plan, Run,
    plan::{Body, Expect, ExpectedText, RequestOptions, Share},
};

use crate::peer::{Peer, finish, reset, serve};

/// Requests as they came, head and body.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// Reads a request with its body; none when the client has closed.
fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.extend(body);
    Some(String::from_utf8_lossy(&request).into_owned())
}

fn field<'t>(request: &'t str, name: &str) -> Option<&'t str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(crate) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// A server that answers what its `reply` makes of a request, and what it has seen. The first connection is reset with its
/// second request if `resets`.
pub(crate) fn server(resets: bool, reply: impl Fn(&str) -> String + Send + Sync + 'static) -> (Peer, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let peer = serve(move |connection, mut stream| {
        let mut own = 0;
        while let Some(request) = read(&mut stream) {
            let reply = reply(&request);
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            own += 1;
            if resets && connection == 0 && own == 2 {
                return reset(stream);
            }
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    });
    (peer, seen)
}

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn all(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn options(path: &str) -> RequestOptions {
    RequestOptions { path: Some(path.to_owned()), ..RequestOptions::default() }
}

#[test]
fn placeholders_differ_by_request_and_lengths_are_those_of_what_is_sent() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let plan = Plan::builder(format!("http://{}/items/{{{{seq}}}}?x={{{{pick 'a b' 'a b'}}}}", peer.address))
        .header("x-trace: {{uuid}}")
        .body("{\"n\":{{seq}},\"at\":\"{{now}}\",\"r\":{{random 5 5}}}")
        .total(120)
        .connections(2)
        .build()
        .unwrap();
    let summary = finish(Run::new(plan));
    assert_eq!(summary.records.counts.succeeded, 120);
    let requests = all(&seen);
    let mut traces: Vec<_> = requests.iter().map(|request| field(request, "x-trace").unwrap()).collect();
    traces.sort_unstable();
    traces.dedup();
    assert_eq!((requests.len(), traces.len()), (120, 120));
    for number in 0..120 {
        let path = format!("/items/{number}?x=a%20b");
        let request = requests.iter().find(|request| self::path(request) == path).unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["n"], &body["r"]), (&number.into(), &5.into()));
        assert!(body["at"].as_str().unwrap().ends_with('Z'), "{body}");
        let id = field(request, "x-request-id").unwrap();
        assert!(id.ends_with(&format!("-{number:016x}-00")), "{id}");
    }
}

#[test]
fn a_resend_has_the_same_bytes_but_for_the_attempt_in_its_id() {
    let (peer, seen) = server(true, |_| ok("{}"));
    let plan = Plan::builder(format!("http://{}/{{{{uuid}}}}", peer.address))
        .method("PUT")
        .retry(loadgen::plan::Retry::Idempotent)
        .body("{{random 1 1000000000}} {{now ns}}")
        .total(4)
        .connections(1)
        .build()
        .unwrap();
    let summary = finish(Run::new(plan));
    assert_eq!((summary.records.counts.succeeded, summary.records.counts.resent), (4, 1));
    let requests = all(&seen);
    let resent =
        requests.iter().find(|request| field(request, "x-request-id").unwrap().ends_with("-01")).unwrap();
    let first = requests.iter().find(|first| *first != resent && path(first) == path(resent)).unwrap();
    assert_eq!(first.replace("-00\r\n", "-01\r\n"), *resent);
}

#[test]
fn a_large_body_beside_a_path_with_placeholders_is_sent_whole() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let body = "0123456789".repeat(300_000);
    let plan = Plan::builder(format!("http://{}/{{{{seq}}}}", peer.address))
        .body(body.clone())
        .total(3)
        .connections(1)
        .build()
        .unwrap();
    assert_eq!(finish(Run::new(plan)).records.counts.succeeded, 3);
    let requests = all(&seen);
    assert!(requests.iter().all(|request| request.ends_with(&format!("\r\n\r\n{body}"))));
    assert_eq!(requests.iter().map(|request| path(request)).collect::<Vec<_>>(), ["/0", "/1", "/2"]);
}

#[test]
fn each_request_has_its_share_and_its_own_records() {
    let (peer, seen) = server(false, |request| match path(request) {
        "/c" => "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => ok("{}"),
    });
    let builder = |total| {
        Plan::builder(format!("http://{}", peer.address))
            .request(RequestOptions {
                share: Some(Share::Weight(50)),
                name: Some("a".to_owned()),
                ..options("/a")
            })
            .request(RequestOptions { share: Some(Share::Weight(25)), ..options("/b") })
            .request(RequestOptions { share: Some(Share::Weight(25)), ..options("/c") })
            .total(total)
            .connections(2)
            .workers(2)
    };
    let summary = finish(Run::new(builder(4).build().unwrap()));
    let shares: Vec<_> =
        summary.records.requests.iter().map(|own| (own.name.as_str(), own.offered)).collect();
    assert_eq!(shares, [("a", 2), ("GET /b", 1), ("GET /c", 1)]);
    let summary = finish(Run::new(builder(396).rate(1e6).build().unwrap()));
    let found: Vec<_> = summary
        .records
        .requests
        .iter()
        .map(|own| (own.offered, own.succeeded, own.failed(), own.response.len()))
        .collect();
    assert_eq!(found, [(198, 198, 0, 198), (99, 99, 0, 99), (99, 0, 99, 0)]);
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    all(&seen).iter().for_each(|request| *paths.entry(path(request).to_owned()).or_default() += 1);
    assert_eq!(paths.into_values().collect::<Vec<_>>(), [200, 100, 100]);
    let mut kept = Vec::new();
    summary.write(&mut kept).unwrap();
    let mut read = loadgen::Summary::read(&mut kept.as_slice()).unwrap();
    read.records.merge(&summary.records);
    assert_eq!(read.records.requests.iter().map(|own| own.offered).collect::<Vec<_>>(), [396, 198, 198]);
}

#[test]
fn counts_are_exact_and_rows_are_taken_in_order() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("users.csv");
    std::fs::write(&rows, "id,name\n1,one\n2,\"a, b\"\n3,c\n").unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, "{\"name\":\"{{row.name}}\"}").unwrap();
    let plan = Plan::builder(format!("http://{}", peer.address))
        .request(RequestOptions {
            share: Some(Share::Count(6)),
            rows: Some(rows),
            body: Some(Body::Template(body)),
            ..options("/users/{{row.id}}")
        })
        .request(RequestOptions { share: Some(Share::Count(2)), ..options("/b") })
        .connections(1)
        .build()
        .unwrap();
    assert_eq!(plan.load().total, Some(8));
    assert_eq!(finish(Run::new(plan)).records.counts.succeeded, 8);
    let requests = all(&seen);
    let rows: Vec<_> = requests.iter().map(|request| path(request)).filter(|path| *path != "/b").collect();
    assert_eq!(rows, ["/users/1", "/users/2", "/users/3", "/users/1", "/users/2", "/users/3"]);
    assert!(requests.iter().any(|request| request.ends_with("{\"name\":\"a, b\"}")));
}

#[test]
fn what_is_not_as_expected_is_counted_beside_with_an_example() {
    let (peer, _) = server(false, |request| match path(request) {
        "/missing" => "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => ok("{\"items\":[{\"id\":7}]}"),
    });
    let expect = |expect: Expect, path: &str| RequestOptions { expect, ..options(path) };
    let json = |id: i32| Expect {
        json: vec![("$.items[0].id".to_owned(), Some(id.into()))],
        headers: vec![("Content-Type".to_owned(), ExpectedText::Contains("json".to_owned()))],
        ..Expect::default()
    };
    let missing = Expect { status: Some("404".to_owned()), ..Expect::default() };
    let plan = Plan::builder(format!("http://{}", peer.address))
        .request(expect(json(7), "/right"))
        .request(expect(json(8), "/wrong"))
        .request(expect(missing, "/missing"))
        .request(options("/missing"))
        .total(40)
        .build()
        .unwrap();
    let summary = finish(Run::new(plan));
    let counts = &summary.records.counts;
    assert_eq!((counts.succeeded, counts.client_errors), (30, 10), "a status that is expected is a success");
    assert_eq!(summary.records.unmet.replies(), 10);
    let (expected, seen) = summary.records.unmet.iter().next().unwrap();
    assert_eq!((expected, seen.count, &*seen.example), ("GET /wrong: json $.items[0].id is 8", 10, "7"));
    let unmet: Vec<_> = summary.records.requests.iter().map(|own| own.unmet).collect();
    assert_eq!(unmet, [0, 10, 0], "of those with the same name together");
}

#[test]
fn lines_of_a_file_are_requested_in_turn() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("urls.txt");
    for lines in [3, 100] {
        let mut text = format!("/a{{{{0}}}}\n\nhttp://{}/b?c=d\n", peer.address);
        (2..lines).for_each(|line| text.push_str(&format!("/{line}\n")));
        std::fs::write(&file, text).unwrap();
        seen.lock().unwrap().clear();
        let plan = Plan::builder(format!("http://{}", peer.address)).url_file(&file).total(lines * 2);
        let summary = finish(Run::new(plan.header("x: {{seq}}").build().unwrap()));
        assert_eq!(summary.records.counts.succeeded, lines * 2);
        assert_eq!(summary.records.requests.iter().count(), if lines == 3 { 3 } else { 0 });
        let mut paths: BTreeMap<String, usize> = BTreeMap::new();
        all(&seen).iter().for_each(|request| *paths.entry(path(request).to_owned()).or_default() += 1);
        assert_eq!(paths.len() as u64, lines);
        assert!(paths.values().all(|count| *count == 2) && paths.contains_key("/a{{0}}"), "{paths:?}");
        assert!(paths.contains_key("/b?c=d"));
    }
    for (text, said) in [
        ("", "it is empty"),
        ("/a\nb\n", "line 2: "),
        ("/a b\n", "line 1: invalid value '/a b' for --path"),
        ("http://127.0.0.2:1/\n", "is not of the target"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Plan::builder("http://127.0.0.1:1").url_file(&file).build().unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("--url-file"), "{error}");
    }
    std::fs::write(&file, "/\n".repeat(100_000)).unwrap();
    assert!(Plan::builder("http://127.0.0.1:1").url_file(&file).build().is_ok());
    let error = Plan::builder("http://127.0.0.1:1/x?y").url_file(&file).build().unwrap_err().to_string();
    assert!(
        error.contains("a path of the target with --url-file") && error.contains("http://127.0.0.1:1/"),
        "{error}"
    );
    std::fs::write(&file, "/\n".repeat(100_001)).unwrap();
    let error = Plan::builder("http://127.0.0.1:1").url_file(&file).build().unwrap_err().to_string();
    assert!(error.contains("more than 100000 lines"), "{error}");
}

#[test]
fn braces_are_braces_where_that_is_said() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let target = format!("http://{}/{{{{seq}}}}", peer.address);
    let plan = Plan::builder(target.clone()).templates(false).total(1).body("{{x}}").build().unwrap();
    assert_eq!(finish(Run::new(plan)).records.counts.succeeded, 1);
    assert_eq!(path(&all(&seen)[0]), "/{{seq}}");
    assert!(all(&seen)[0].ends_with("\r\n\r\n{{x}}"));
    for (builder, said) in [
        (Plan::builder(format!("{target}{{{{x}}}}")), "in the path: unknown placeholder 'x' at position 9"),
        (
            Plan::builder(target.clone()).header("a: {{x}}"),
            "for --header: unknown placeholder 'x' at position 1",
        ),
        (Plan::builder(target.clone()).body("{{row.a}}"), "for --body: 'row.a' in a request without rows"),
        (Plan::builder("http://{{seq}}/"), "invalid character '{' at position 8"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// The program, with what it printed on both streams.
pub(crate) fn loadgen(args: &[&str]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(args)
        .env_remove("LOADGEN_URL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/plan.yaml");

#[test]
fn the_readme_has_the_example_of_a_plan() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    assert!(readme.contains(&std::fs::read_to_string(EXAMPLE).unwrap()));
}

#[cfg(feature = "embedded")]
#[test]
fn the_example_of_a_plan_meets_its_expectations_over_either_protocol() {
    for protocol in ["--http1.1", "--http2"] {
        let server = loadgen::embedded::Embedded::start().unwrap();
        let (address, folder) = (server.address(), tempfile::tempdir().unwrap());
        let [report, other] =
            ["run.json", "other.json"].map(|name| folder.path().join(name).display().to_string());
        let (report, other) = (report.as_str(), other.as_str());
        let args =
            ["-f", EXAMPLE, &address, protocol, "--no-progress", "--fail-on-error", "--fail-on", "unmet"];
        for file in [report, other] {
            let (code, out, err) = loadgen(&[&args[..], &["--report", file]].concat());
            assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        }
        server.stop();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        let offered: Vec<_> = json["requests_by_name"]
            .as_array()
            .unwrap()
            .iter()
            .map(|own| (own["name"].as_str().unwrap().to_owned(), own["offered"].as_u64().unwrap()))
            .collect();
        let expected = [("kilobyte", 200), ("echo", 100), ("missing", 100)];
        assert_eq!(offered, expected.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!((&json["requests"]["succeeded"], &json["unmet"]), (&400.into(), &serde_json::json!([])));
        for format in ["text", "markdown"] {
            let (code, out, err) = loadgen(&["report", report, "-o", format]);
            assert!(code == Some(0) && out.contains("kilobyte"), "{out}{err}");
        }
        let (code, out, err) = loadgen(&["merge", report, other, "-o", "json"]);
        assert_eq!(code, Some(0), "{err}");
        let merged: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(merged["requests_by_name"][0]["offered"], 400);
        assert_eq!(loadgen(&["diff", report, report]).0, Some(0));
    }
}

#[cfg(feature = "embedded")]
#[test]
fn what_is_echoed_over_http2_is_what_was_rendered() {
    let server = loadgen::embedded::Embedded::start().unwrap();
    let target = format!("{}/echo?n={{{{random 5 5}}}}", server.address());
    let args = [&target, "--once", "-b", "{{seq}} {{uuid}} {{'{{'}}", "--seed", "9", "-H", "x-a: {{pick b}}"];
    let (code, out, err) = loadgen(&args);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("POST /echo?n=5 HTTP/2\n") && out.contains("\nx-a: b\n"), "{out}");
    let body = out.split("\n\n").nth(1).unwrap();
    let length = format!("content-length: {}\n", body.len());
    assert!(body.starts_with("0 ") && body.ends_with(" {{") && body.len() == 41, "{body}");
    assert!(out.contains(&length) && out.matches(body).count() == 2, "{out}");
    let again = loadgen(&args).1;
    assert!(again.contains(body), "the same seed draws the same: {again}");
    server.stop();
}

#[test]
fn a_plan_is_checked_and_printed_without_sending_anything() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let address = format!("http://{}", peer.address);
    let (code, out, _) = loadgen(&["-f", EXAMPLE, &address, "--check"]);
    assert_eq!((code, out.lines().count()), (Some(0), 1), "{out}");
    assert!(out.starts_with("valid: 3 requests to http://127.0.0.1:"), "{out}");
    let (code, out, _) = loadgen(&["-f", EXAMPLE, &address, "--print", "-r", "7"]);
    assert_eq!(code, Some(0));
    for part in [
        "Load           open loop, 7 requests/s, 400 requests\n",
        "Request        echo, 1 of 4: 25.0%\n",
        "Rows           3 of id, name\n",
        "Expected       header content-type is present\n",
        "POST /echo?user=Ada HTTP/1.1\n",
        "{\"number\":1,\"name\":\"Ada\",",
    ] {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
    let words = "--print http://a --proxy me:secret@b:1 --bind 127.0.0.2-127.0.0.3 --requests-per-connection 5 -r 1 --max-lag 2s --coalesce 1ms \
                 --retry none --seed 3 --on-overload drop --proxy-protocol v2";
    let (code, out, err) = loadgen(&words.split_whitespace().collect::<Vec<_>>());
    assert!(code == Some(0) && !out.replace("Basic bWU6c2VjcmV0", "").contains("secret"), "{out}{err}");
    for part in [
        "by the proxy b:1, which is asked for each request",
        "from 2 addresses, 127.0.0.2 first",
        "a PROXY header (V2)",
        "5 requests for each connection",
        "could not be sent for 2.00 s is dropped",
        "up to 1.00 ms later, together with what is due meanwhile",
        "Retry          none",
        "beyond the limit in flight is dropped",
        "Seed           3",
    ] {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, "target: a:1\nload: {rate: 0}\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = loadgen(&["-f", file, "--check"]);
    assert!(
        code == Some(2) && err.contains("plan.yaml:2:14: invalid value '0' for rate; accepted: "),
        "{err}"
    );
    assert_eq!(loadgen(&["-f", file, "--check", "--rate", "5"]).0, Some(0), "what is typed takes precedence");
    let (code, _, err) = loadgen(&["-f", file, "--check", "--rate", "0"]);
    assert!(code == Some(2) && err.contains("invalid value '0' for --rate"), "{err}");
    let (code, _, err) = loadgen(&["-f", "none.yaml", "--check"]);
    assert!(code == Some(2) && err.contains("'none.yaml' for --plan: No such file"), "{err}");
    assert_eq!((all(&seen).len(), peer.connections()), (0, 0));
}

#[test]
fn a_text_in_a_path_can_not_end_the_request_line() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let target = format!("http://{}/{{{{'a b\r\nX: y#ü{{{{'}}}}", peer.address);
    let plan = Plan::builder(target).total(1).connections(1).build().unwrap();
    assert_eq!(finish(Run::new(plan)).records.counts.succeeded, 1);
    assert_eq!(path(&all(&seen)[0]), "/a%20b%0D%0AX:%20y%23%C3%BC{{");
}

#[test]
fn what_is_typed_takes_the_place_of_the_load_in_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    let file = file.to_str().unwrap();
    for (load, typed, printed) in [
        ("{connections: 4}", &["--stages", "500ms@5c"][..], "closed loop, stages 500ms@5c"),
        ("{rate: 5, duration: 1s}", &["--stages", "500ms@7"], "stages 500ms@7"),
        ("{rate: 5, poisson: true}", &["--stages", "200ms@3c"], "closed loop, stages 200ms@3c"),
        ("{stages: 10s@100}", &["-r", "9", "-n", "10"], "open loop, 9 requests/s, 10 requests"),
        ("{stages: 10s@100, warmup: 1s, max_lag: 1s, coalesce: 1ms}", &[], "after a warm-up of 1.00 s"),
    ] {
        std::fs::write(file, format!("target: a:1\nload: {load}\n")).unwrap();
        let (code, out, err) = loadgen(&[&["-f", file, "--check"], typed].concat());
        assert!(code == Some(0) && out.contains(printed), "{load} {typed:?}: {out}{err}");
    }
    std::fs::write(file, "target: a:1\nrequests: [{count: 3}, {count: 7, path: /b}]\n").unwrap();
    let (code, _, err) = loadgen(&["-f", file, "--check", "--warmup", "50ms"]);
    assert!(
        code == Some(2) && err.contains("of a closed loop, or of random times, before requests with a count"),
        "{err}"
    );
    assert_eq!(loadgen(&["-f", file, "--check", "--warmup", "50ms", "-r", "100"]).0, Some(0));
}

#[test]
fn a_report_names_what_was_expected_and_the_seed_that_values_follow_from() {
    let (peer, _) = server(false, |_| ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    let plan = format!(
        "target: http://{}\nrequests:\n  - {{path: '/{{{{uuid}}}}', expect: {{status: 404}}}}\n  - path: /b\nload: {{total: 10}}\n",
        peer.address
    );
    std::fs::write(&file, plan).unwrap();
    let (_, out, err) = loadgen(&["-f", file.to_str().unwrap(), "--no-progress"]);
    let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("all 10 requests, but 5 replies were not as expected"), "{out}{err}");
    assert!(words.contains("(seed "), "{out}");
}

#[test]
fn shares_hold_behind_a_warm_up_too() {
    for load in [
        "total: 400, warmup: 100ms, workers: 2",
        "total: 100, rate: 1000, poisson: true, warmup: 100ms, workers: 2",
    ] {
        let (peer, _) = server(false, |_| ok("{}"));
        let folder = tempfile::tempdir().unwrap();
        let (file, report) = (folder.path().join("plan.yaml"), folder.path().join("run.json"));
        let requests = "requests: [{name: a}, {name: b, path: /b}]";
        let plan = format!("target: http://{}\n{requests}\nload: {{{load}}}\n", peer.address);
        std::fs::write(&file, plan).unwrap();
        let args = ["-f", file.to_str().unwrap(), "--no-progress", "--report", report.to_str().unwrap()];
        let (code, out, err) = loadgen(&args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        let offered: Vec<u64> = json["requests_by_name"]
            .as_array()
            .unwrap()
            .iter()
            .map(|own| own["offered"].as_u64().unwrap())
            .collect();
        let half = json["requests"]["offered"].as_u64().unwrap() / 2;
        // Two workers may each be within one of the share, at either end.
        assert!(offered.iter().all(|own| own.abs_diff(half) <= 4), "{load}: {offered:?}");
    }
}

#[test]
fn what_is_typed_takes_the_place_of_fields_in_a_plan() {
    let (peer, seen) = server(false, |_| ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    let headers = "headers: {accept: a, x-kept: k}";
    std::fs::write(&file, format!("target: http://{}\ndefaults: {{{headers}}}\n", peer.address)).unwrap();
    let (code, out, err) =
        loadgen(&["-f", file.to_str().unwrap(), "--no-progress", "-n", "1", "-c", "1", "-H", "Accept: b"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let request = all(&seen).remove(0);
    assert_eq!((field(&request, "Accept"), field(&request, "x-kept")), (Some("b"), Some("k")), "{request}");
    assert_eq!(field(&request, "accept"), None, "{request}");
}

#[test]
fn what_a_plan_can_not_mean_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    std::fs::write(folder.path().join("r.csv"), "a\n1\n").unwrap();
    let huge = "requests: [{count: 9223372036854775808}, {count: 9223372036854775808, path: /b}]";
    for (plan, flags, said) in [
        (
            format!("target: a:1\n{huge}\n"),
            &[][..],
            "plan.yaml:2:20: the count 9223372036854775808 of the request 'GET /'; accepted: at most 1000000000000000",
        ),
        (
            "target: grpc://a:1\ndefaults: {path: /x}\n".to_owned(),
            &[],
            "'/x' for --path: it is not a service and a method",
        ),
        (
            "target: grpc://a:1\ndefaults: {expect: {payload: pattern}}\n".to_owned(),
            &[],
            "expectations of a gRPC call's body",
        ),
        (
            "target: a:1\ndefaults: {rows: r.csv}\n".to_owned(),
            &["--no-templates"],
            "nothing takes a value from them",
        ),
        ("target: a:1\n".to_owned(), &["--poisson", "--stages", "1s@3c"], "--poisson"),
        ("target: a:1\n".to_owned(), &["--once", "--repeat", "5"], "--once with --repeat"),
    ] {
        std::fs::write(&file, &plan).unwrap();
        let (code, out, err) = loadgen(&[&["-f", file.to_str().unwrap(), "--check"], flags].concat());
        assert!(code == Some(2) && err.contains(said), "{plan}{flags:?}: {out}{err}");
    }
}

#[test]
fn a_plan_in_the_environment_is_a_plan() {
    let (peer, _) = server(false, |_| ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, format!("target: http://{}\nload: {{total: 3}}\n", peer.address)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let output = command.env_remove("LOADGEN_URL").env("LOADGEN_PLAN", &file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains(&peer.address.to_string()), "{text}");
    assert!(!text.contains("A dummy-server was started"), "{text}");
}
