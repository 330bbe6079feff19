//! What loadgen proves of each request, with dummy-server behind a proxy that does what it should not.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread,
};

use integration::{
    PATIENCE,
    binaries::{command, loadgen},
    cases::is_full,
    planted::{Fault, Planted},
    process::{Finished, Process},
    proxies::HAPROXY,
    proxy::{Behind, Proxy},
    report::Report,
    rewrite::Rewrite,
    server::Server,
    tools::require,
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};
use serde_json::Value;

tests!();

/// How many requests are sent, and to which of them something happens.
const SENT: u64 = 400;
const EVERY: u64 = 50;
const HURT: u64 = SENT / EVERY;

fn is_chosen(number: u64) -> bool {
    number % EVERY == 7
}

/// All counts of findings, by their names; what was found is nothing but `wanted`.
fn assert_found(report: &Report, wanted: &[(&str, u64)]) {
    let verify = &report.json()["verify"];
    let counts = [
        "/never_arrived/answered_by_proxy/count",
        "/never_arrived/unanswered/count",
        "/never_arrived/not_written/count",
        "/never_arrived/refused/count",
        "/answered_in_place/count",
        "/cut_on_the_way_back/count",
        "/cut_on_the_way_there/count",
        "/cut_by_the_server/count",
        "/given_up/count",
        "/repeated/counts/after_refusal",
        "/repeated/counts/after_failure",
        "/repeated/counts/after_success",
        "/repeated/counts/concurrent",
        "/crossed/count",
        "/cached/count",
        "/status_changed/count",
        "/foreign/count",
        "/payload/truncated/count",
        "/payload/corrupted/count",
        "/uploads/differing/count",
        "/unjudged",
        "/token_lost/count",
    ];
    for (name, _) in wanted {
        assert!(counts.contains(name), "{name}");
    }
    for count in counts {
        let expected = wanted.iter().find(|(name, _)| *name == count).map_or(0, |(_, expected)| *expected);
        assert_eq!(verify.pointer(count).and_then(Value::as_u64), Some(expected), "{count}: {verify:#}");
    }
    assert_eq!(verify["off"], Value::Array(Vec::new()), "{verify:#}");
    assert_eq!(verify["epochs_lost"], Value::Array(Vec::new()), "{verify:#}");
}

fn verified(address: SocketAddr, path: &str, more: &[&str]) -> Finished {
    let (total, url) = (SENT.to_string(), format!("http://{address}{path}"));
    let args = ["--no-progress", "-o", "json", "--verify", &url];
    let usual = [("-c", "4"), ("-n", &total)];
    let usual =
        usual.iter().filter(|(flag, _)| !more.contains(flag)).flat_map(|(flag, value)| [*flag, *value]);
    loadgen(&[&args, more, &usual.collect::<Vec<_>>()].concat())
}

/// Through the proxy, with a fault of each chosen request.
fn through(fault: fn(u64) -> Fault, path: &str, more: &[&str], wanted: &[(&str, u64)]) -> Report {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, move |number| match is_chosen(number) {
        true => fault(number),
        false => Fault::None,
    });
    let finished = verified(planted.address, path, more);
    let report = Report::parse(&finished.stdout);
    assert_found(&report, wanted);
    assert_eq!(report.number("/verify/sent"), SENT);
    // Each example is one of those that something was done to.
    for (name, _) in wanted.iter().filter(|(name, _)| name.ends_with("/count")) {
        let finding = format!("/verify{}", name.trim_end_matches("/count"));
        let examples = report.json().pointer(&finding).and_then(|finding| finding["examples"].as_array());
        for example in examples.expect("examples") {
            assert!(is_chosen(example["number"].as_u64().unwrap() % 1_000_000), "{example}");
        }
    }
    report
}

fn a_faithful_proxy_raises_no_alarm_in_any_protocol() {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, |_| Fault::None);
    let targets = [
        (format!("http://{}/bin/1K", planted.address), "through"),
        (format!("http://{}/bin/64K", server.http), "direct"),
        (format!("h2c://{}/bin/1K", server.http), "direct"),
        (format!("h2c://{}/chunked/20", server.http), "direct"),
        (format!("http://{}/bin/1K?chunked=true", server.http), "direct"),
        (format!("grpc://{}", server.grpc), "direct"),
    ];
    for (url, _) in targets {
        let ledger = server.admin.to_string();
        let args = ["--no-progress", "-o", "json", "--zero-loss", "-n", "1000", "--ledger", &ledger, &url];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{url}: {finished}");
        let report = Report::parse(&finished.stdout);
        assert_found(&report, &[]);
        for count in ["sent", "arrived", "sightings"] {
            assert_eq!(report.number(&format!("/verify/{count}")), 1000, "{url}: {count}");
        }
    }
}

fn several_calls_beside_requests_are_proven_too() {
    let server = Server::with(&["--workers=2"]);
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let text = format!(
        "target: grpc://{}\nrequests:\n\
         - {{path: /dummy.v1.TestService/Unary, body: '{{\"plan\": {{\"size\": {{{{random 1 9}}}}}}}}'}}\n\
         - {{path: /echo.EchoService/StreamEcho, messages: 3, body: '{{\"message\": \"{{{{seq}}}}\"}}'}}\n\
         - {{target: 'http://{}/bin/1K', weight: 2}}\n\
         load: {{total: 1000, connections: 2}}\n",
        server.grpc, server.http
    );
    std::fs::write(&plan, text).expect("the plan is written");
    let plan = plan.to_str().expect("a path in UTF-8");
    let ledger = server.admin.to_string();
    for more in [&[][..], &["--ledger", &ledger]] {
        let args = [&["--no-progress", "-o", "json", "--zero-loss", "-f", plan], more].concat();
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{more:?}: {finished}");
        let report = Report::parse(&finished.stdout);
        assert_eq!(report.json()["verify"]["has_streams"], true);
        assert_found(&report, &[]);
        for count in ["sent", "arrived", "sightings"] {
            assert_eq!(report.number(&format!("/verify/{count}")), 1000, "{more:?}: {count}");
        }
    }
}

fn a_request_that_never_arrives_is_distinguished_from_one_whose_reply_is_cut() {
    through(|_| Fault::Lose, "/bin/1K", &[], &[("/never_arrived/unanswered/count", HURT)]);
    let cut = through(|_| Fault::CutReply(100), "/bin/1K", &[], &[("/cut_on_the_way_back/count", HURT)]);
    let first = &cut.json()["verify"]["cut_on_the_way_back"]["examples"][0];
    assert_eq!(
        (&first["number"], &first["status"], &first["method"]),
        (&7.into(), &200.into(), &"GET".into())
    );
    assert!(first["what"].as_str().unwrap().contains("after 100 bytes"), "{first}");
}

fn a_reply_of_the_proxy_itself_is_classified_by_whether_the_request_arrived() {
    let answered =
        through(|_| Fault::Answer(502), "/bin/1K", &[], &[("/never_arrived/answered_by_proxy/count", HURT)]);
    assert_eq!(answered.number("/verify/never_arrived/answered_by_proxy/statuses/502"), HURT);
    assert_eq!(answered.number("/verify/arrived"), SENT - HURT);
    through(|_| Fault::Replace(504), "/bin/1K", &[], &[("/answered_in_place/count", HURT)]);
}

fn where_tokens_are_lost_from_some_messages_nothing_is_claimed_of_who_has_answered() {
    let lost = [("/unjudged", HURT), ("/token_lost/count", HURT)];
    for (fault, arrived, what) in [
        (Fault::TakeSeen, SENT, "arrived, and its reply came without the token"),
        (
            Fault::Reply(Rewrite::Value("x-dummy-seen", "what")),
            SENT,
            "arrived, and its reply came without the token",
        ),
        (Fault::TakeToken, SENT - HURT, "was answered by a server, none of which has seen its token"),
        (Fault::TakeBoth, SENT - HURT, "was answered by a server, none of which has seen its token"),
    ] {
        let server = Server::with(&["--workers=2"]);
        let planted = Planted::start(server.http, move |number| match is_chosen(number) {
            true => fault,
            false => Fault::None,
        });
        let report = Report::parse(&verified(planted.address, "/bin/1K", &[]).stdout);
        assert_found(&report, &lost);
        assert_eq!(report.number("/verify/arrived"), arrived);
        assert_eq!(report.number("/verify/token_lost/statuses/200"), HURT);
        for example in report.json()["verify"]["token_lost"]["examples"].as_array().expect("examples") {
            assert!(is_chosen(example["number"].as_u64().unwrap()) && example["what"] == what, "{example}");
        }
    }
    let server = Server::start();
    let take = |number| if number == 7 { Fault::TakeToken } else { Fault::None };
    let planted = Planted::start(server.http, take);
    let url = format!("http://{}/bin/1K", planted.address);
    let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "100", "-c", "2", &url]);
    assert_eq!(finished.code, Some(99), "{finished}");
    let said = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "1 cannot be judged: their replies name a server and carry no token: it was lost on the way there or back, or the reply is a stored one from before the run";
    assert!(said.contains(wanted) && !said.contains("answered in between"), "{finished}");
}

fn repeats_are_reported_by_how_the_request_had_ended() {
    let again = "/repeated/counts/after_success";
    let report = through(|_| Fault::Repeat, "/bin/1K", &["-X", "POST"], &[(again, HURT)]);
    let first = &report.json()["verify"]["repeated"]["examples"][0];
    assert_eq!((&first["number"], &first["method"]), (&7.into(), &"POST".into()), "{first}");
    assert_eq!(report.number("/verify/sightings"), SENT + HURT);
    let failed = "/repeated/counts/after_failure";
    through(|_| Fault::Repeat, "/status/503", &[], &[(failed, HURT)]);
    through(|_| Fault::Double, "/delay/200", &["-c", "40"], &[("/repeated/counts/concurrent", HURT)]);
}

/// What is said of each example of a repeat.
fn said_of_repeats(report: &Report) -> Vec<&str> {
    let examples = report.json()["verify"]["repeated"]["examples"].as_array().expect("examples");
    assert_eq!(examples.len(), 10, "{examples:?}");
    examples.iter().map(|example| example["what"].as_str().expect("a text")).collect()
}

fn examples_say_how_often_all_workers_together_have_seen_a_request() {
    for workers in ["--workers=1", "--workers=2", "--workers=3"] {
        let server = Server::with(&[workers, "--instance=a"]);
        // All of them are more than a server states one by one.
        for (path, every, kind, after) in
            [("/bin/1K", 10, "after_success", "after 200"), ("/status/503", 1, "after_failure", "after 503")]
        {
            let http = server.http;
            let planted = Planted::start(http, move |number| match number % every {
                0 => Fault::RepeatAt(http, 3),
                _ => Fault::None,
            });
            let report = Report::parse(&verified(planted.address, path, &["-X", "POST"]).stdout);
            assert_found(&report, &[(&format!("/repeated/counts/{kind}"), 3 * SENT / every)]);
            for what in said_of_repeats(&report) {
                assert_eq!(what, format!("seen 4 times: again {after} from a, by a"), "{workers}");
            }
        }
    }
}

fn examples_say_how_often_several_servers_have_seen_a_request() {
    let servers = ["a", "b"].map(|name| Server::with(&["--workers=2", &format!("--instance={name}")]));
    let ledgers = format!("{},{}", servers[0].admin, servers[1].admin);
    for times in [1, 2, 3] {
        let other = servers[1].http;
        let planted = Planted::start(servers[0].http, move |number| match number % 10 {
            0 => Fault::RepeatAt(other, times),
            _ => Fault::None,
        });
        let finished = verified(planted.address, "/bin/1K", &["--ledger", &ledgers]);
        let report = Report::parse(&finished.stdout);
        assert_found(&report, &[("/repeated/counts/after_success", SENT / 10 * times as u64)]);
        // How it ended at `a`, which has seen it once, nobody has asked for.
        let said = match times {
            1 => "seen 2 times by a and b".to_owned(),
            _ => format!("seen {} times by a and b, among these again after 200 from b, by b", times + 1),
        };
        assert_eq!(said_of_repeats(&report), [&*said; 10]);
    }
}

fn replies_to_other_requests_are_crossed_or_from_a_cache() {
    let damaged = |name| [(name, HURT)];
    through(|_| Fault::Cross, "/status/204", &["-c", "1"], &damaged("/crossed/count"));
    through(|_| Fault::Cache, "/bin/1K", &["-c", "1"], &damaged("/cached/count"));
}

fn a_request_that_no_client_sent_is_foreign() {
    let wanted = [("/foreign/count", HURT), ("/cached/count", HURT)];
    through(|number| Fault::Renumber(number + 1_000_000), "/bin/1K", &[], &wanted);
}

fn bodies_that_are_not_those_of_their_requests_are_reported_with_the_offset() {
    let wanted = |what| [(what, HURT)];
    let first =
        |report: &Report, pointer: &str| report.number(&format!("/verify{pointer}/examples/0/offset"));
    let (corrupted, truncated) = ("/payload/corrupted/count", "/payload/truncated/count");
    let report = through(|_| Fault::Flip(40_000), "/bin/64K", &[], &wanted(corrupted));
    assert_eq!(first(&report, "/payload/corrupted"), 40_000);
    let report = through(|_| Fault::Swap(16 << 10), "/bin/64K", &[], &wanted(corrupted));
    assert_eq!(first(&report, "/payload/corrupted"), 0);
    let report = through(|_| Fault::Shorten(1000), "/bin/64K", &[], &wanted(truncated));
    assert_eq!(first(&report, "/payload/truncated"), 1000);
}

fn a_status_that_a_proxy_rewrites_is_reported_whether_it_gets_better_or_worse() {
    for (path, rewrite, what, came) in [
        ("/bin/1K?dummy-status=503", Rewrite::First("503", "200"), "503 became 200", 200),
        ("/bin/1K?dummy-status=404", Rewrite::First("404", "410"), "404 became 410", 410),
        ("/bin/1K", Rewrite::First("200", "500"), "200 became 500", 500),
    ] {
        let server = Server::with(&["--workers=2"]);
        let planted = Planted::start(server.http, move |number| match is_chosen(number) {
            true => Fault::Reply(rewrite),
            false => Fault::None,
        });
        let report = Report::parse(&verified(planted.address, path, &[]).stdout);
        assert_found(&report, &[("/status_changed/count", HURT)]);
        assert_eq!(report.number(&format!("/verify/status_changed/statuses/{came}")), HURT);
        let examples = report.json()["verify"]["status_changed"]["examples"].as_array().expect("examples");
        assert_eq!(examples.len() as u64, HURT);
        for example in examples {
            assert!(is_chosen(example["number"].as_u64().unwrap()) && example["what"] == what, "{example}");
        }
    }
    // Of those that succeeded one did not.
    let server = Server::start();
    let planted = Planted::start(server.http, |_| Fault::Reply(Rewrite::First("503", "200")));
    let url = format!("http://{}/bin/1K?dummy-status=503:30", planted.address);
    let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "50", "-c", "2", &url]);
    assert_eq!(finished.code, Some(99), "{finished}");
    let said = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("replies came with another status than the server gave them (200 x"), "{finished}");
}

fn statuses_that_come_as_the_server_gave_them_raise_no_alarm() {
    let server = Server::with(&["--workers=2"]);
    let planted = Planted::start(server.http, |_| Fault::None);
    let mut requests = String::new();
    for (method, path) in [
        ("GET", "/bin/1K?dummy-status=503:50"),
        ("GET", "/status/201"),
        ("GET", "/status/404"),
        ("GET", "/bin/1K?dummy-status=599"),
        ("PUT", "/bin/1K"),
        ("POST", "/upload"),
    ] {
        requests.push_str(&format!("- {{method: {method}, path: '{path}'}}\n"));
        requests
            .push_str(&format!("- {{target: 'h2c://{}', method: {method}, path: '{path}'}}\n", server.http));
    }
    // Without content, and so not through that proxy.
    for path in ["/status/204", "/status/205", "/status/304", "/status/302", "/status/999"] {
        for scheme in ["http", "h2c"] {
            requests.push_str(&format!("- {{target: '{scheme}://{}', path: {path}}}\n", server.http));
        }
    }
    for (scheme, path) in
        [("http", "/bin/1K"), ("h2c", "/bin/1K"), ("http", "/status/503"), ("h2c", "/status/503")]
    {
        let target = format!("{scheme}://{}", server.http);
        requests.push_str(&format!("- {{target: '{target}', method: HEAD, path: {path}}}\n"));
    }
    let range = "headers: ['Range: bytes=0-99']";
    requests.push_str(&format!("- {{path: /bin/1K, {range}}}\n"));
    // An error of gRPC is a 200, and all there is may be its head.
    for plan in [r#""status": {"code": 14}"#, r#""size": 10, "status": {"code": 14}"#] {
        let target = format!("grpc://{}", server.grpc);
        let path = "/dummy.v1.TestService/Unary";
        requests
            .push_str(&format!("- {{target: '{target}', path: {path}, body: '{{\"plan\": {{{plan}}}}}'}}\n"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.yaml");
    let count = requests.lines().count() as u64;
    let text = format!(
        "target: http://{}\nrequests:\n{requests}load: {{total: {}, connections: 2}}\n",
        planted.address,
        count * 20
    );
    std::fs::write(&plan, text).expect("the plan is written");
    let finished =
        loadgen(&["--no-progress", "-o", "json", "--verify", "-f", plan.to_str().expect("a path in UTF-8")]);
    let report = Report::parse(&finished.stdout);
    assert_found(&report, &[]);
    assert_eq!(report.number("/verify/arrived"), count * 20, "{finished}");
}

fn what_the_server_was_asked_to_break_off_is_its_own() {
    let server = Server::start();
    let path = "/bin/1K?dummy-abort=rst@body(100):100";
    let report = Report::parse(&verified(server.http, path, &["-n", "40"]).stdout);
    let failed = report.requests("transport_failed");
    let broken_off = report.number("/verify/cut_by_the_server/count");
    assert_eq!((failed, broken_off, report.number("/verify/arrived")), (40, 40, 40));
    assert_eq!(report.json()["verify"]["off"], Value::Array(Vec::new()));
}

fn what_a_server_refused_is_neither_a_loss_nor_a_repeat() {
    let server = Server::with(&["--workers=2"]);
    let ledger = server.admin.to_string();
    // With a delay, streams above the last one that GOAWAY names wait for their replies, too.
    for abort in ["goaway:5", "stream-reset(7):5", "goaway:5&dummy-delay=2ms"] {
        let url = format!("h2c://{}/bin/1K?dummy-abort={abort}", server.http);
        let args = ["--no-progress", "-o", "json", "--zero-loss", "-n", "1000", "--ledger", &ledger, &url];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(0), "{abort}: {finished}");
        let report = Report::parse(&finished.stdout);
        assert_found(&report, &[]);
        let refused = report.number("/verify/refused");
        assert!(refused > 0 && report.number("/verify/arrived") == 1000, "{abort}");
        assert_eq!(report.number("/verify/sightings"), 1000 + refused, "{abort}");
    }
}

fn what_was_refused_in_each_attempt_was_never_processed() {
    let server = Server::start();
    let url = format!("h2c://{}/bin/1K?dummy-abort=stream-reset(7)", server.http);
    let report = Report::parse(
        &loadgen(&["--no-progress", "-o", "json", "--verify", "-n", "20", "-c", "1", &url]).stdout,
    );
    assert_found(&report, &[("/never_arrived/refused/count", 20)]);
    assert_eq!(report.number("/verify/arrived"), 0);
    let finished = loadgen(&["--no-progress", "--verify", "-n", "1", "-c", "1", &url]);
    assert!(finished.stdout.contains("it never processed them"), "{finished}");
}

fn each_round_says_what_was_proven_of_it() {
    let server = Server::start();
    let url = format!("http://{}/bin/1K", server.http);
    let args = ["--no-progress", "--zero-loss", "--repeat=2", "-n", "20", "-c", "2"];
    for (format, line) in [("text", "Verification: each of 20"), ("markdown", "- each of 20")] {
        let finished = loadgen(&[&args[..], &["-o", format, &url]].concat());
        assert_eq!(finished.code, Some(0), "{finished}");
        assert_eq!(finished.stdout.matches(line).count(), 2, "{finished}");
    }
}

fn an_earlier_run_s_reply_is_not_named_as_one_of_this_run() {
    let server = Server::start();
    // Each connection is given the reply that the first run was given, whose token is of that run.
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, http) = (listener.local_addr().unwrap(), server.http);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let kept = std::sync::Arc::clone(&kept);
            thread::spawn(move || cache_bin(client, http, &kept));
        }
    });
    let ledger = server.admin.to_string();
    let run = || {
        let url = format!("http://{address}/bin/1K");
        loadgen(&["--no-progress", "--verify", "--ledger", &ledger, "-n", "4", "-c", "1", &url])
    };
    run();
    let again = run();
    assert!(again.stdout.contains("reply to a request of another run"), "{again}");
    assert!(!again.stdout.contains("(#"), "{again}");
}

/// A cache of one entry, which nothing removes, for the one target that runs ask for.
fn cache_bin(mut client: std::net::TcpStream, server: SocketAddr, kept: &std::sync::Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let request = &buffer[..count];
        let is_for_it = request.starts_with(b"GET /bin/1K ");
        let mut kept = kept.lock().unwrap();
        let mut reply = if is_for_it { kept.clone() } else { Vec::new() };
        if reply.is_empty() {
            let mut upstream = std::net::TcpStream::connect(server).unwrap();
            upstream.write_all(request).unwrap();
            // To the end of a body of 1 KiB behind the head, or of the one of a canary.
            let mut part = vec![0; 64 << 10];
            loop {
                let count = upstream.read(&mut part).unwrap_or_default();
                reply.extend_from_slice(&part[..count]);
                let head = reply.windows(4).position(|four| four == b"\r\n\r\n");
                if count == 0 || head.is_some_and(|head| reply.len() >= head + 4 + 1024) {
                    break;
                }
            }
            if is_for_it {
                kept.clone_from(&reply);
            }
        }
        drop(kept);
        if client.write_all(&reply).is_err() {
            break;
        }
    }
}

fn redirects_that_are_followed_raise_no_alarm_and_bodies_in_codings_are_not_proven() {
    let server = Server::with(&["--workers=2"]);
    for (path, more) in [
        ("/bin/10K?dummy-gzip=forced", &["--compressed"][..]),
        ("/bin/1K?dummy-status=302&dummy-header=Location:/bin/2K", &["--follow=3"]),
    ] {
        for scheme in ["http", "h2c"] {
            let url = format!("{scheme}://{}{path}", server.http);
            let finished = loadgen(
                &[&["--no-progress", "-o", "json", "--zero-loss", "-n", "100"], more, &[&url]].concat(),
            );
            let encoded = if more == ["--compressed"] { 100 } else { 0 };
            let code = if encoded > 0 { 99 } else { 0 };
            assert_eq!(finished.code, Some(code), "{url}: {finished}");
            let report = Report::parse(&finished.stdout);
            match encoded {
                0 => assert_found(&report, &[]),
                _ => assert_eq!(report.json()["verify"]["off"].as_array().map(Vec::len), Some(1), "{url}"),
            }
            assert_eq!(report.number("/verify/payload/encoded"), encoded, "{url}");
        }
    }
    let url = format!("http://{}/bin/10K?dummy-gzip=forced", server.http);
    let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "10", "--compressed", &url]);
    let said = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("nothing is known to have happened to 10 requests, and not all is proven"),
        "{said}"
    );
    assert!(
        said.contains("10 bodies came in a content coding, such as gzip, and cannot be compared"),
        "{said}"
    );
}

/// As many as shards and loads of plans make.
fn many_runs_at_the_same_time_are_kept_apart() {
    let server = Server::with(&["--workers=2"]);
    let url = format!("http://{}/bin/1K?dummy-delay=20ms", server.http);
    let run = || loadgen(&["--no-progress", "--zero-loss", "-n", "20", "-c", "2", &url]).code;
    let codes: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..12).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(codes, [Some(0); 12]);
}

fn what_loadgen_gave_up_is_not_blamed_on_others() {
    let server = Server::start();
    for scheme in ["http", "h2c"] {
        let url = format!("{scheme}://{}/delay/20000", server.http);
        let args = ["--no-progress", "-o", "json", "--verify", "--timeout=200ms", "-n", "4", "-c", "4", &url];
        let report = Report::parse(&loadgen(&args).stdout);
        assert_eq!(report.requests("timed_out"), 4);
        assert_found(&report, &[("/given_up/count", 4)]);
    }
}

fn a_command_under_which_nothing_is_sent_proves_nothing() {
    let server = Server::start();
    let url = format!("http://{}/bin/1K", server.http);
    let args =
        ["--no-progress", "--zero-loss", "-n", "5", "-r", "100", "--around=200ms", "--during=true", &url];
    let finished = loadgen(&args);
    assert_eq!(finished.code, Some(99), "{finished}");
    assert!(finished.stdout.contains("nothing is known"), "{finished}");
}

/// Ledgers whose counts overflow when added, ledgers that are not JSON and empty ones neither end a run nor prove anything.
fn hostile_ledgers_are_reported_and_end_nothing() {
    let server = Server::start();
    let most = 1_u64 << 40;
    let cuts: Vec<_> = (0..64).map(|cut| format!("\"c{cut}\":{most}")).collect();
    let repeats = format!(
        "\"after_refusal\":{most},\"after_failure\":{most},\"after_success\":{most},\"concurrent\":{most}"
    );
    let statement = move |run: &str, epoch: u32| {
        let run = u32::from_str_radix(run, 16).unwrap_or_default();
        format!(
            "{{\"version\":1,\"run\":{run},\"load\":0,\"instance\":\"x\",\"epoch\":{epoch},\"sightings\":{most},\"open\":0,\
             \"whole\":{most},\"cut_on_purpose\":{{{}}},\"cut_by_server\":{most},\"cut_by_peer\":{most},\"refused\":{most},\
             \"repeats\":{{{repeats}}},\"pages\":{{\"whole\":[],\"pages\":{{}}}},\"resent\":[],\"entries\":[],\
             \"forgotten\":{most}}}",
            cuts.join(",")
        )
    };
    type Answer = Box<dyn Fn(&str) -> String + Send>;
    let answers: [Answer; 3] = [
        Box::new(move |run| {
            let all: Vec<_> = (0..256).map(|epoch| statement(run, epoch)).collect();
            format!("[{}]", all.join(","))
        }),
        Box::new(|_| "[".repeat(100_000)),
        Box::new(|_| "[]".to_owned()),
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ledger = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut buffer = [0; 4096];
                let count = client.read(&mut buffer).unwrap_or_default();
                let asked = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let run = asked.split_once("run=").map_or("", |(_, rest)| &rest[..8]);
                let body = answer(run);
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = client.write_all(&[head.as_bytes(), body.as_bytes()].concat());
            }
        });
        let url = format!("http://{}/bin/1K", server.http);
        let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "20", "--ledger", &ledger, &url]);
        assert_eq!(finished.code, Some(99), "{finished}");
        assert!(finished.stdout.contains("Verification: "), "{finished}");
    }
}

fn zero_loss_is_a_threshold_and_says_what_happened() {
    let server = Server::start();
    let planted = Planted::start(server.http, |number| if number == 7 { Fault::Lose } else { Fault::None });
    let url = format!("http://{}/bin/1K", planted.address);
    let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "100", "-c", "2", &url]);
    assert_eq!(finished.code, Some(99), "{finished}");
    for part in
        ["Verification: 1 thing happened to 100 requests", "1 neither arrived nor were answered", "#7"]
    {
        assert!(finished.stdout.contains(part), "{part}: {finished}");
    }
    let finished = loadgen(&["--no-progress", "--verify", "--fail-on=hurt", "-n", "100", "-c", "2", &url]);
    assert_eq!(finished.code, Some(3), "{finished}");
}

fn a_target_that_is_not_a_dummy_server_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // It answers whatever comes, and ends with the test's process.
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while client.read(&mut buffer).is_ok_and(|count| count > 0) {
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
                }
            });
        }
    });
    let finished = loadgen(&["--no-progress", "--zero-loss", "-n", "20", &url]);
    assert_eq!(finished.code, Some(99), "{finished}");
    assert!(finished.stdout.contains("nothing is proven"), "{finished}");
}

fn a_command_runs_meanwhile_and_its_effects_are_reported_by_part() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let down = folder.path().join("down");
    let flag = down.clone();
    let planted = Planted::start(server.http, move |_| if flag.exists() { Fault::Lose } else { Fault::None });
    let url = format!("http://{}/bin/1K", planted.address);
    let run = |command: &str, more: &[&str]| {
        let usual = if more.contains(&"-r") { &[][..] } else { &["-r", "200", "--around=500ms"] };
        let more = &[usual, more].concat();
        let args = ["--no-progress", "-o", "json", "--during", command];
        loadgen(&[&args[..], more, &[&url]].concat())
    };
    let shown = down.display();
    let finished = run(&format!("touch {shown}; sleep 0.5; rm {shown}"), &["--zero-loss"]);
    assert_eq!(finished.code, Some(99), "{finished}");
    let report = Report::parse(&finished.stdout);
    let during = &report.json()["during"];
    assert_eq!(during["command"], "touch [redacted]");
    assert!(!finished.stdout.contains(&*shown.to_string()), "no argument is kept: {finished}");
    let failed = |part: &str| report.number(&format!("/during/{part}/unsuccessful"));
    assert!(failed("during") >= 50 && report.number("/during/before/succeeded") >= 50, "{during:#}");
    assert!(report.number("/during/after/succeeded") >= 50 && during["recovered"] == true, "{during:#}");
    let all = ["before", "during", "after"]
        .map(|part| failed(part) + report.number(&format!("/during/{part}/succeeded")));
    assert_eq!(all.iter().sum::<u64>(), report.requests("sent"), "each is in one part");
    let lost: u64 = ["before", "during", "after"].map(failed).iter().sum();
    // Some have met a connection that was already gone.
    let found = |kind: &str| report.number(&format!("/verify/never_arrived/{kind}/count"));
    assert_eq!(found("unanswered") + found("not_written"), lost);
    assert!(report.json()["interrupted"] == false && report.json()["longest_outage"].is_object());

    let finished = run("true", &["--zero-loss"]);
    assert_eq!(finished.code, Some(0), "{finished}");
    // One that is over before the next request is due is judged by those behind it.
    let finished = run("true", &["--zero-loss", "-r", "5", "--around=1s"]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let finished = run("exit 7", &[]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert_eq!(Report::parse(&finished.stdout).number("/during/code"), 7);
}

/// Replies come from a server that no named ledger is of: their tokens say that the requests arrived, and that is all that is known.
fn a_server_beside_the_named_ledgers_is_reported_and_nothing_is_claimed_of_its_requests() {
    let (replying, other) = (Server::start(), Server::start());
    let url = format!("http://{}/bin/1K", replying.http);
    for ledger in [other.admin.to_string(), format!("dns:localhost:{}", other.admin.port())] {
        let args =
            ["--no-progress", "-o", "json", "--zero-loss", "-c", "2", "-n", "20", "--ledger", &ledger, &url];
        let finished = loadgen(&args);
        assert_eq!(finished.code, Some(99), "{finished}");
        let report = Report::parse(&finished.stdout);
        let verify = &report.json()["verify"];
        let lost = verify["epochs_lost"].as_array().expect("a list");
        assert_eq!((lost.len(), &lost[0][1]), (1, &20.into()), "{verify:#}");
        for claimed in
            ["never_arrived/answered_by_proxy", "never_arrived/unanswered", "crossed", "cached", "foreign"]
        {
            assert_eq!(report.number(&format!("/verify/{claimed}/count")), 0, "{claimed}: {verify:#}");
        }
    }
}

/// The run waits for a command that goes on when nothing is sent any more, and says so.
fn a_command_that_outlasts_the_load_is_waited_for_and_reported() {
    let (server, folder) = (Server::start(), tempfile::tempdir().expect("a folder"));
    let held = folder.path().join("held");
    mknodat(CWD, &held, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO is made");
    // It ends when the other end of the FIFO is opened and closed.
    let (during, url) = (format!("cat {}", held.display()), format!("http://{}/bin/1K", server.http));
    let mut run = command("loadgen");
    run.args([
        "--no-progress",
        "-o",
        "json",
        "-r",
        "100",
        "-d",
        "500ms",
        "--around=100ms",
        "--during",
        &during,
        &url,
    ]);
    let run = Process::start(&mut run);
    run.await_stderr("that it waits", |text| {
        text.contains("load has ended; waiting for the command of --during").then_some(())
    });
    drop(File::options().write(true).open(&held).expect("the FIFO is opened"));
    let finished = run.finish(PATIENCE);
    assert_eq!(finished.code, Some(0), "{finished}");
    assert_eq!(finished.stderr.matches("load has ended").count(), 1, "{finished}");
    let report = Report::parse(&finished.stdout);
    let behind = report.json()["during"]["outlasted_load_seconds"].as_f64().expect("a number");
    assert!(behind > 0.0, "{behind}");
}

/// SIGINT ends the command with all that it has started, and no run that was cut short is said to have succeeded.
fn a_command_that_goes_on_ends_with_its_children_when_the_run_is_interrupted() {
    let server = Server::start();
    let (url, folder) = (format!("http://{}/bin/1K", server.http), tempfile::tempdir().expect("a folder"));
    let alive = folder.path().join("alive");
    // The reader of the FIFO sees its end when the last of the command's processes has ended.
    mknodat(CWD, &alive, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO is made");
    let during = format!("exec 9<>{}; echo started >&2; sleep 1000 & sleep 1000", alive.display());
    for signals in [1, 2] {
        let mut run = command("loadgen");
        run.args(["--verify", "-r", "50", "-c", "2", "--around", "100ms", "--during", &during, &url]);
        let run = Process::start(&mut run);
        run.await_stderr("the command", |text| text.contains("\nstarted").then_some(()));
        let mut held = File::options().read(true).open(&alive).expect("the FIFO is opened");
        run.signal(Signal::INT);
        run.await_stderr("its end", |text| text.contains("asked to end").then_some(()));
        if signals == 2 {
            run.signal(Signal::INT);
        }
        let finished = run.finish(PATIENCE);
        assert_eq!(finished.code, Some(130), "{finished}");
        assert!(finished.stdout.contains("Verdict: interrupted after"), "{finished}");
        let (ended, has_ended) = mpsc::sync_channel(1);
        thread::spawn(move || ended.send(held.read_to_end(&mut Vec::new()).is_ok()));
        assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(true), "all have ended");
    }
}

/// Not one false alarm, whatever the proxy does with connections and streams.
fn a_real_proxy_that_is_faithful_raises_no_alarm_in_a_million_requests() {
    let many = if is_full() { 10_000_000 } else { 1_000_000 };
    let Some(program) = require(HAPROXY.tool) else { return };
    let server = Server::with(&["--workers=2"]);
    let proxy = Proxy::start(HAPROXY, &program, Behind { http: server.http, grpc: server.grpc });
    let url = format!("h2c://{}/bin/100", proxy.fronts.h2c);
    let (total, ledger) = (many.to_string(), server.admin.to_string());
    let args = ["--no-progress", "-o", "json", "--zero-loss", "-c", "8", "-m", "16", "--ledger", &ledger];
    let finished = loadgen(&[&args[..], &["-n", &total, &url]].concat());
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = Report::parse(&finished.stdout);
    assert_found(&report, &[]);
    assert_eq!(report.number("/verify/arrived"), many);
}
