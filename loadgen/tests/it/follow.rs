//! `--follow`: redirects that are followed, what is sent there, and what counts.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    sync::PoisonError,
};

use clap::Parser as _;
use loadgen::{
    Plan, Run, Summary,
    cli::{Args, Exit, command},
    plan::file::PlanFile,
};

use crate::{
    mix::{Seen, ok, path, server},
    peer::{Peer, closed_port, failures, finish, plan, run, serve},
};

fn all(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A redirect.
fn to(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 4\r\n\r\ngone")
}

/// A server whose paths of numbers lead down to 0.
fn countdown() -> (Peer, Seen) {
    server(false, |request| match path(request).trim_start_matches('/').parse::<u32>() {
        Ok(0) | Err(_) => ok("{}"),
        Ok(left) => to(302, &format!("{}", left - 1)),
    })
}

/// Followed, elsewhere, beyond.
fn counted(summary: &Summary) -> (u64, u64, u64) {
    let counts = &summary.records.counts;
    (counts.redirects_followed, counts.redirects_elsewhere, counts.redirects_beyond)
}

#[test]
fn a_chain_is_one_request_that_ends_with_its_last_reply() {
    for load in
        ["-n 24 -c 3 --workers 2", "-r 1000 -n 24", "-n 24 -c 2 --pipeline 3", "-n 24 -c 1 --no-keepalive"]
    {
        for (follow, followed, beyond) in [(0, 0, 0), (2, 48, 24), (3, 72, 0), (20, 72, 0)] {
            let (peer, seen) = countdown();
            let summary = run(&format!("{load} --follow {follow} http://{}/3", peer.address));
            let counts = &summary.records.counts;
            assert_eq!(counted(&summary), (followed, 0, beyond), "{load} {follow}: {:?}", failures(&summary));
            assert_eq!(all(&seen).len() as u64, 24 + followed, "{load} {follow}");
            let expected = if follow < 3 { (0, 24) } else { (24, 0) };
            assert_eq!((counts.succeeded, counts.redirects), expected, "{load} {follow}");
            let statuses: Vec<_> = summary.records.statuses().collect();
            assert_eq!(statuses, [(if follow < 3 { 302 } else { 200 }, 24)], "{load} {follow}");
        }
    }
}

#[test]
fn each_request_of_a_chain_is_another_attempt_of_its_number() {
    let (peer, seen) = countdown();
    run(&format!("-n 2 -c 1 --follow 5 http://{}/2", peer.address));
    let requests = all(&seen);
    let ends: Vec<_> = requests
        .iter()
        .map(|request| {
            let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
            (path(request), &id[id.len() - 4..])
        })
        .collect();
    let expected =
        [("/2", "0-00"), ("/1", "0-01"), ("/0", "0-02"), ("/2", "1-00"), ("/1", "1-01"), ("/0", "1-02")];
    assert_eq!(ends, expected);
}

#[test]
fn method_and_body_are_kept_or_dropped_as_the_status_has_it() {
    for (status, method, then) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "GET", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "HEAD", "HEAD"),
    ] {
        for body in ["a={{seq}}", "plain"] {
            let (peer, seen) = server(false, move |request| match path(request) {
                "/b?c" if request.starts_with("HEAD") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                "/b?c" => ok("{}"),
                _ if request.starts_with("HEAD") => {
                    format!("HTTP/1.1 {status} x\r\nlocation: b?c\r\ncontent-length: 4\r\n\r\n")
                }
                _ => to(status, "b?c"),
            });
            let has_body = !["GET", "HEAD"].contains(&method);
            let mut builder = Plan::builder(format!("http://{}/a", peer.address))
                .method(method)
                .header("content-type: text/x")
                .header("x-own: {{seq}}")
                .client(loadgen::plan::ClientOptions { follow: Some(1), ..Default::default() })
                .connections(1)
                .total(1);
            if has_body {
                builder = builder.body(body);
            }
            let summary = finish(Run::new(builder.build().unwrap()));
            assert_eq!(summary.records.counts.succeeded, 1, "{status} {method}: {:?}", failures(&summary));
            let request = all(&seen).pop().unwrap();
            assert!(
                request.starts_with(&format!("{then} /b?c HTTP/1.1\r\n")),
                "{status} {method}: {request}"
            );
            assert!(request.contains("x-own: 0\r\n"), "{request}");
            let keeps = has_body && then != "GET";
            assert_eq!(request.contains("content-length: "), keeps, "{status} {method}: {request}");
            assert_eq!(
                request.ends_with(&body.replace("{{seq}}", "0")),
                keeps,
                "{status} {method}: {request}"
            );
            assert_eq!(request.contains("content-type"), keeps || !has_body && then == method, "{request}");
        }
    }
}

#[test]
fn redirects_are_followed_only_to_targets_of_the_run() {
    let other = closed_port();
    for location in [
        format!("http://{other}/"),
        "https://127.0.0.1/".to_owned(),
        "//localhost/x".to_owned(),
        "ftp://a/".to_owned(),
        "http://[".to_owned(),
    ] {
        let (peer, seen) = server(false, move |_| to(307, &location));
        let summary = run(&format!("-n 3 -c 1 --follow 2 http://{}", peer.address));
        assert_eq!((counted(&summary), summary.records.counts.redirects), ((0, 3, 0), 3));
        assert_eq!(all(&seen).len(), 3);
    }
    // Without a Location, and with other statuses, there is nothing to follow.
    for reply in [
        "302 Found\r\n",
        "304 Not Modified\r\nlocation: /x\r\n",
        "300 x\r\nlocation: /x\r\n",
        "201 x\r\nlocation: /x\r\n",
    ] {
        let (peer, _) = server(false, move |_| format!("HTTP/1.1 {reply}content-length: 0\r\n\r\n"));
        let summary = run(&format!("-n 3 -c 1 --follow 2 http://{}", peer.address));
        assert_eq!(counted(&summary), (0, 0, 0), "{reply}");
    }
}

#[test]
fn chains_go_from_one_target_to_another_and_keep_their_slots() {
    for load in
        ["{total: 40, connections: 2}", "{total: 40, rate: 2000}", "{total: 40, connections: 4, workers: 2}"]
    {
        // Each leads to the other, and the first one's replies end the chain when they have been there twice.
        let (b, by_b) = server(false, |request| {
            let host = request.lines().find_map(|line| line.strip_prefix("x-a: ")).unwrap_or_default();
            match path(request) {
                "/own" => ok("{}"),
                _ => to(302, &format!("http://{host}/last")),
            }
        });
        let address = b.address;
        let (a, by_a) = server(false, move |request| match path(request) {
            "/last" => ok("{}"),
            _ => to(302, &format!("http://{address}/over")),
        });
        let text = format!(
            "targets: [http://{0}/first, http://{1}/own]\n\
             defaults: {{headers: {{x-a: '{0}', authorization: secret, cookie: a=b}}}}\n\
             load: {{follow: 2, {2}\n",
            a.address,
            b.address,
            load.trim_start_matches('{')
        );
        let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
        let summary = finish(Run::new(file.builder(None).unwrap().build().unwrap()));
        let counts = &summary.records.counts;
        assert_eq!((counts.offered, counts.succeeded), (40, 40), "{load}: {:?}", failures(&summary));
        assert_eq!(counted(&summary), (40, 0, 0), "{load}");
        let paths = |seen: &Seen, of: &str| all(seen).iter().filter(|request| path(request) == of).count();
        assert_eq!((paths(&by_a, "/first"), paths(&by_a, "/last")), (20, 20), "{load}");
        assert_eq!((paths(&by_b, "/own"), paths(&by_b, "/over")), (20, 20), "{load}");
        for request in all(&by_b).iter().filter(|request| path(request) == "/over") {
            assert!(request.contains(&format!("\r\nhost: {}\r\n", b.address)), "{request}");
            assert!(!request.contains("secret") && !request.contains("cookie"), "{request}");
        }
        // In a closed loop, a slot has one request at a time, wherever its chain is.
        let both = [paths(&by_a, "/first") + paths(&by_b, "/own"), all(&by_a).len() + all(&by_b).len()];
        assert_eq!(both, [40, 80], "{load}");
    }
}

#[test]
fn a_chain_that_ends_at_a_dead_target_fails_once() {
    let dead = closed_port();
    let (peer, _) = server(false, move |_| to(302, &format!("http://{dead}/x")));
    let text = format!(
        "targets: [http://{}, http://{dead}]\n\
         requests: [{{weight: 9, target: 'http://{}'}}, {{weight: 1, target: 'http://{dead}'}}]\n\
         load: {{follow: 3, total: 20, connections: 2, timeout: 5s}}\n",
        peer.address, peer.address
    );
    let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
    let summary = finish(Run::new(file.builder(None).unwrap().build().unwrap()));
    let counts = &summary.records.counts;
    assert_eq!((counts.offered, counts.transport_failed), (20, 20), "{counts:?}");
    assert_eq!(counted(&summary), (18, 0, 0));
}

#[test]
fn a_loop_of_redirects_ends() {
    let (peer, seen) = server(false, |_| to(301, "/"));
    let summary = run(&format!("-n 2 -c 1 --follow 20 http://{}", peer.address));
    assert_eq!((counted(&summary), all(&seen).len()), ((40, 0, 2), 42));
    assert_eq!(summary.records.counts.redirects, 2);
}

#[test]
fn a_redirect_with_an_endless_body_fails_instead_of_being_read_for_ever() {
    let peer = serve(|_, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let head = b"HTTP/1.1 302 Found\r\nlocation: /next\r\n\r\n";
        let mut sent = stream.write_all(head);
        while sent.is_ok() {
            sent = stream.write_all(&[b'x'; 65_536]);
        }
    });
    let summary = run(&format!("-n 3 -c 1 --timeout 1h --follow 5 http://{}", peer.address));
    let counts = &summary.records.counts;
    assert_eq!((counts.transport_failed, counted(&summary)), (3, (0, 0, 0)), "{counts:?}");
    assert_eq!(failures(&summary), [("redirect too long".to_owned(), 3)]);
    let (_, seen) = summary.records.failures.iter().next().unwrap();
    assert_eq!(seen.example, "the body of a redirect that --follow follows is longer than 1 MiB");
}

#[cfg(feature = "embedded")]
#[test]
fn a_redirect_is_followed_up_to_the_limit_of_its_body_in_every_protocol() {
    let server = crate::server::Server::with(&[]);
    for base in [format!("http://{}", server.http()), server.http()] {
        for (length, ends) in [(1 << 20, (4, 0)), ((1 << 20) + 1, (0, 4))] {
            let target = format!("{base}/bin/{length}?dummy-status=302&dummy-header=location:/bin/1");
            let summary = run(&format!("-n 4 -c 2 -m 2 --follow 1 {target}"));
            let counts = &summary.records.counts;
            assert_eq!(
                (counts.succeeded, counts.transport_failed),
                ends,
                "{target}: {:?} {:?}",
                failures(&summary),
                summary.records.statuses().collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn each_exchange_of_a_chain_is_printed() {
    let (peer, _) = server(false, |request| match path(request) {
        "/b" => ok("{\"a\":1}"),
        _ => to(303, "/b"),
    });
    let mut out = Vec::new();
    let line = format!("loadgen --once --follow 1 -b hello --request-id-header= http://{}/a", peer.address);
    let exit = command(&Args::try_parse_from(line.split(' ')).unwrap(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (before, times) = text.rsplit_once("wait ").unwrap();
    let host = format!("host: {}\nuser-agent: loadgen/{}\n", peer.address, env!("CARGO_PKG_VERSION"));
    let expected = format!(
        "POST /a HTTP/1.1\n{host}content-length: 5\n\nhello\n\n\
         HTTP/1.1 303 Moved\nlocation: /b\ncontent-length: 4\n\ngone\n\n\
         GET /b HTTP/1.1\n{host}\n\
         HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 7\n\n{{\"a\":1}}\n\n"
    );
    assert_eq!((before, exit), (&*expected, Exit::Done), "{times}");
}

#[test]
fn expectations_are_of_the_last_reply() {
    let (peer, _) = countdown();
    let text = format!(
        "target: http://{}/2\ndefaults: {{expect: {{status: 200, body_contains: '{{}}'}}}}\nload: {{total: 6, follow: 2}}\n",
        peer.address
    );
    let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
    let summary = finish(Run::new(file.builder(None).unwrap().build().unwrap()));
    assert_eq!((summary.records.counts.succeeded, summary.records.unmet.replies()), (6, 0));
}

#[test]
fn no_more_is_in_flight_than_can_be_followed() {
    let words = |line: &str| {
        ["loadgen", "--follow=1"].into_iter().chain(line.split(' ')).map(str::to_owned).collect::<Vec<_>>()
    };
    let built = |line: &str| {
        Plan::try_from(&Args::try_parse_from(words(line)).unwrap()).map_err(|error| error.to_string())
    };
    assert!(built("--workers=1 -r 1 --max-in-flight=65535 http://a").is_ok());
    assert!(built("--workers=2 -c 2 -r 1 --max-in-flight=131070 http://a").is_ok());
    assert!(
        built("--workers=1 -c 5 --max-in-flight=1000000 http://a").is_ok(),
        "no more than there are connections"
    );
    let refused = built("--workers=1 -r 1 --max-in-flight=65536 http://a").unwrap_err();
    assert!(refused.starts_with("invalid value '65536' for --max-in-flight: redirects of all"), "{refused}");
    assert!(refused.ends_with("example: --max-in-flight=65535"), "{refused}");
}

#[test]
fn calls_and_messages_have_no_redirects() {
    for (target, said) in [
        ("grpc://a", "--follow with a gRPC call; accepted: it with other targets"),
        ("ws://a", "--follow with a WebSocket; accepted: it with requests"),
    ] {
        let words = ["loadgen", "--follow=1", target];
        let refused = Plan::try_from(&Args::try_parse_from(words).unwrap()).unwrap_err().to_string();
        assert!(refused.starts_with(said), "{refused}");
    }
    assert_eq!(plan("--follow=0 grpc://a").client().follow, 0);
    let text = "target: http://a\nrequests:\n- path: /b\n- target: grpc://a/b.C/D\nload: {follow: 1}\n";
    let file = PlanFile::parse(text, "plan.yaml", Path::new("")).unwrap();
    let refused = file.builder(None).unwrap().build().unwrap_err().to_string();
    assert!(refused.starts_with("plan.yaml:4:3: follow with a gRPC call; accepted: it with"), "{refused}");
}

#[cfg(feature = "embedded")]
#[test]
fn chains_are_followed_in_every_protocol_however_a_body_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let flags = ["--tls-addr=127.0.0.1:0", &format!("--tls-self-signed={}", authority.display())];
    let server = crate::server::Server::with(&flags);
    let secure = format!("https://{}", server.tls());
    let cacert = format!("--cacert {}", authority.display());
    for (flags, base) in [
        (String::new(), format!("http://{}", server.http())),
        (String::new(), server.http()),
        (format!("{cacert} --http1.1"), secure.clone()),
        (format!("{cacert} --http2"), secure.clone()),
    ] {
        for body in [
            "",
            "-b hello",
            "-b hello --chunked",
            "-b n={{seq}} --trailer x-sum:1",
            "-b hello --expect-continue",
            "-X HEAD",
        ] {
            for (status, then) in [(302, "/bin/7"), (303, "/bin/7"), (307, "/upload"), (308, "/upload")] {
                if then == "/upload" && !body.starts_with("-b") {
                    continue;
                }
                let target = format!("{base}/status/{status}?dummy-header=location:{then}");
                let summary = run(&format!("-n 8 -c 2 -m 2 --follow 1 {flags} {body} {target}"));
                let counts = &summary.records.counts;
                assert_eq!(
                    (counts.succeeded, counted(&summary)),
                    (8, (8, 0, 0)),
                    "{body} {target}: {:?} {:?}",
                    failures(&summary),
                    summary.records.statuses().collect::<Vec<_>>()
                );
            }
        }
    }
}
