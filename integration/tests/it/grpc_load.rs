//! gRPC calls of loadgen: counted as the server counts them, over every way to it.

use std::{net::TcpListener, time::Duration};

use integration::{
    authority::{Authority, Key},
    binaries::{command, loadgen, loadgen_report},
    cases::{Cases, block_on},
    metrics::{Metrics, REQUESTS},
    process::Process,
    server::Server,
};
use rustix::process::Signal;
use serde_json::json;

tests!();

struct Shape {
    name: &'static str,
    method: &'static str,
    args: &'static [&'static str],
    calls: u64,
    /// Messages sent and received, of each call.
    messages: (u64, u64),
}

const SHAPES: [Shape; 6] = [
    Shape { name: "unary", method: "", args: &["-n", "2001", "-c", "3"], calls: 2001, messages: (1, 1) },
    Shape {
        name: "unary_at_a_rate",
        method: "/dummy.v1.TestService/Unary",
        args: &["-n", "500", "-r", "1000", "--workers", "2"],
        calls: 500,
        messages: (1, 1),
    },
    Shape {
        name: "client_stream",
        method: "/dummy.v1.TestService/ClientStream",
        args: &["-n", "100", "-c", "3", "--messages", "20"],
        calls: 100,
        messages: (20, 1),
    },
    Shape {
        name: "server_stream",
        method: "/dummy.v1.TestService/ServerStream",
        args: &["-n", "100", "-c", "3", "-b", "{\"plan\": {\"count\": 20, \"size\": 5000}}"],
        calls: 100,
        messages: (1, 20),
    },
    Shape {
        name: "bidi_stream",
        method: "/echo.EchoService/StreamEcho",
        args: &["-n", "100", "-c", "3", "--messages", "20"],
        calls: 100,
        messages: (20, 20),
    },
    Shape {
        name: "bidi_stream_by_an_interval",
        method: "/echo.EchoService/StreamEcho",
        args: &["-n", "40", "-r", "200", "--messages", "5", "--message-interval", "3ms"],
        calls: 40,
        messages: (5, 5),
    },
];

fn rows() -> Cases {
    let mut cases = Cases::new();
    for shape in SHAPES {
        cases = cases.named(format!("grpc_load::{}", shape.name), move || block_on(is_exact(shape)));
    }
    cases
}

async fn is_exact(shape: Shape) {
    let server = Server::start();
    let url = format!("grpc://{}{}", server.http, shape.method);
    let report = loadgen_report(&[shape.args, &[&url]].concat());
    report.assert_all_succeeded(shape.calls);
    let (sent, received) = shape.messages;
    assert_eq!(report.number("/grpc/messages_sent"), sent * shape.calls);
    assert_eq!(report.number("/grpc/messages_received"), received * shape.calls);
    assert_eq!(report.json()["grpc"]["statuses"], json!({ "OK": shape.calls }));
    // One question to reflection, unless the method is one that is known.
    let calls = shape.calls + u64::from(shape.method.contains("Test"));
    let labels = [("endpoint", "grpc"), ("protocol", "HTTP/2"), ("status", "200")];
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &labels) >= calls).await;
    assert_eq!(metrics.sum(REQUESTS, &[]), calls, "{}", metrics.text());
}

async fn statuses_have_their_own_count_and_an_exit_code() {
    let server = Server::start();
    let url = format!("grpc://{}/dummy.v1.TestService/ServerStream", server.grpc);
    let plan = "{\"plan\": {\"count\": 5, \"status\": {\"code\": 10, \"message\": \"again\", \"after\": 2}}}";
    let report = loadgen_report(&["-n", "50", "-b", plan, &url]);
    assert_eq!((report.requests("call_errors"), report.requests("completed")), (50, 50));
    assert_eq!(report.number("/grpc/messages_received"), 100, "what came before");
    let errors = &report.json()["grpc"]["errors"];
    let error = (&errors[0]["status"], &errors[0]["code"], &errors[0]["count"], &errors[0]["example"]);
    assert_eq!(error, (&json!("ABORTED"), &json!(10), &json!(50), &json!("again")));
    let ok = "{\"plan\": {\"status\": {\"code\": 0}}}";
    for (body, more, code) in [
        (plan, &["--fail-on", "grpc"][..], 1),
        (ok, &["--fail-on", "grpc"], 0),
        (ok, &["--threshold", "count(OK)>=50", "--threshold", "count(ABORTED)<1"], 0),
        (ok, &["--threshold", "count(OK)<50"], 99),
    ] {
        let finished = loadgen(&[&["--no-progress", "-n", "50", "-b", body], more, &[&url]].concat());
        assert_eq!(finished.code, Some(code), "{body} {more:?}: {finished}");
    }
    let once = loadgen(&["--once", "-b", plan, "--fail-on", "grpc", &url]);
    assert_eq!(once.code, Some(3), "{once}");
}

/// Each call has its own number, and the server is asked for the types of all in one call.
async fn calls_of_a_plan_are_counted_by_method_and_described_by_one_question() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "target: grpc://{}\nrequests:\n\
         - {{name: unary, weight: 2, path: /dummy.v1.TestService/Unary, body: '{{\"plan\": {{\"size\": {{{{seq}}}}}}}}'}}\n\
         - {{name: stream, path: /dummy.v1.TestService/BidiStream, messages: 3}}\n\
         - {{name: echo, path: /echo.EchoService/Echo, body: '{{\"message\": \"{{{{uuid}}}}\"}}', headers: {{x-number: '{{{{seq}}}}'}}}}\n\
         load: {{total: 400, connections: 2}}\n",
        server.http
    );
    std::fs::write(&plan, text).expect("the plan is written");
    let report = loadgen_report(&["-f", plan.to_str().expect("a path in UTF-8")]);
    report.assert_all_succeeded(400);
    assert_eq!(report.number("/grpc/messages_sent"), 200 + 3 * 100 + 100);
    let by_name = &report.json()["requests_by_name"];
    let count = |index: usize| by_name[index]["succeeded"].as_u64();
    assert_eq!([count(0), count(1), count(2)], [Some(200), Some(100), Some(100)]);
    // Of each number of a unary call, as many bytes came back: of two in each four, the least that is.
    let least: u64 = (0..100).map(|four| 4 * four + 4 * four + 1).sum();
    assert!(report.number("/body_bytes") >= least, "{}", report.json());
    let metrics = Metrics::until(server.admin, |metrics| metrics.sum(REQUESTS, &[]) >= 401).await;
    assert_eq!(metrics.sum(REQUESTS, &[]), 401, "{}", metrics.text());
}

async fn calls_are_made_over_tls() {
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let server = Server::with(&[
        "--tls-addr=127.0.0.1:0",
        &format!("--tls-cert={}", certificate.chain.display()),
        &format!("--tls-key={}", certificate.key.display()),
    ]);
    let port = server.tls.expect("TLS is served").port();
    let ca = authority.file();
    let ca = ca.to_str().expect("a path in UTF-8");
    // Reflection asks over TLS, too.
    for method in ["", "/dummy.v1.TestService/Unary"] {
        let url = format!("grpcs://localhost:{port}{method}");
        loadgen_report(&["-n", "100", "-c", "2", "--cacert", ca, &url]).assert_all_succeeded(100);
    }
    let finished =
        loadgen(&["--no-progress", "-n", "1", &format!("grpcs://localhost:{port}/some.Service/Method")]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stderr.contains("untrusted certificate"), "{finished}");
}

async fn a_message_above_the_servers_limit_is_resource_exhausted() {
    let server = Server::with(&["--grpc-max-message=1000"]);
    let url = format!("grpc://{}/echo.EchoService/Echo", server.http);
    let body = format!("{{\"message\": \"{}\"}}", "x".repeat(1100));
    let report = loadgen_report(&["-n", "10", "-b", &body, &url]);
    assert_eq!(report.json()["grpc"]["statuses"], json!({ "RESOURCE_EXHAUSTED": 10 }));
}

async fn a_target_that_is_not_there_yet_is_waited_for_and_a_mistake_is_not() {
    let server = Server::start();
    let url = |method: &str| format!("grpc://{}/dummy.v1.TestService/{method}", server.http);
    let waiting = ["--no-progress", "-n", "5", "--wait-for-target", "30s"];
    let finished = loadgen(&[&waiting[..], &[&url("Unary")]].concat());
    assert_eq!(finished.code, Some(0), "{finished}");
    let finished = loadgen(&[&waiting[..], &[&url("Such")]].concat());
    assert_eq!(finished.code, Some(2), "{finished}");
    assert!(finished.stderr.contains("no method 'Such'"), "{finished}");
}

/// A server that accepts, and says nothing.
async fn ctrl_c_ends_the_questions_before_a_run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (call, secured) = (format!("grpc://{address}/some.Service/Method"), format!("https://{address}"));
    // The types of a call, and the protocol that is spoken over TLS.
    for flags in [&["-n", "1", &call][..], &["--once", &call], &["-k", "-n", "1", &secured]] {
        let args = [flags, &["--no-progress", "--connect-timeout", "60s"]].concat();
        let run = Process::start(command("loadgen").args(args));
        let (connection, _) = listener.accept().expect("it asks");
        run.signal(Signal::INT);
        let finished = run.finish(Duration::from_secs(20));
        assert_eq!(finished.code, Some(130), "{flags:?}: {finished}");
        drop(connection);
    }
}
