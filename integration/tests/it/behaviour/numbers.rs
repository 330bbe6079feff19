//! Numbers at which arithmetic goes wrong: refused with what is accepted, or carried out, and the server lives on.

use integration::{
    client::{Client, Exchange, Protocol, Request, fetch},
    server::Server,
};

tests!();

/// Values for `delay` that have no duration.
const IMPOSSIBLE: [&str; 6] = [
    "pareto(0,0.000001)",
    "pareto(0,1.5)",
    "pareto(1ms,0.001)",
    "pareto(1ms,1e400)",
    "pareto(1ms,NaN)",
    "uniform(0,9223372036854775807s)",
];

fn assert_refused(reply: &Exchange, value: &str) {
    assert_eq!(reply.status, 400, "{value}: {}", reply.text());
    let said = reply.json();
    assert!(said["error"].as_str().is_some_and(|error| error.contains(value)), "{said}");
    assert!(said["accepted"].as_str().is_some_and(|text| text.contains("a minimum above 0")), "{said}");
}

async fn invalid_distributions_are_refused_by_query_and_field(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for value in IMPOSSIBLE {
        assert_refused(&client.get(&format!("/?dummy-delay={value}")).await, value);
        let request = Request::get("/").field("x-dummy-delay", value);
        assert_refused(&client.exchange(request).await, value);
    }
    assert_eq!(client.get("/bin/1").await.status, 200);
}

fn invalid_distributions_are_refused_by_flag() {
    for value in IMPOSSIBLE {
        let flag = format!("--behaviour=delay={value}");
        let error = dummy_server::Config::from_args(&[&flag]).expect_err(value).to_string();
        assert!(error.contains(value) && error.contains("a minimum above 0"), "{error}");
    }
}

async fn put(server: &Server, body: &str) -> Exchange {
    let mut request = Request::new("PUT", "/behaviour");
    request.body = body.into();
    fetch(Protocol::Http1, server.admin, request).await
}

async fn invalid_distributions_are_refused_by_the_admin_port(protocol: Protocol) {
    let server = Server::start();
    for value in IMPOSSIBLE {
        assert_refused(&put(&server, &format!("delay={value}")).await, value);
        assert_eq!(fetch(protocol, server.http, Request::get("/bin/1")).await.status, 200);
    }
}

async fn extreme_valid_values_are_accepted(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for query in [
        "delay=uniform(0,0)",
        "delay=normal(0,0)",
        "delay=pareto(1ns,1000)",
        "delay=pareto(1h,0.01):0",
        "delay=0:0.000000001",
        "status=503:0,500:0.000000000",
        "inflight-limit=18446744073709551615",
        "inflight-delay=0",
        "fail-first=1&status=200",
        "seed=18446744073709551615&sequence=18446744073709551615&status=200:50&delay=uniform(0,1ns)",
        "rate=18446744073709551615",
        "rate=16777215T&chunk=1",
        "chunk=16M",
        "abort=rst@body(9223372036854775806):0",
        "close-after=18446744073709551615",
    ] {
        let query: Vec<_> = query.split('&').map(|pair| format!("dummy-{pair}")).collect();
        let target = format!("/bin/100?{}", query.join("&"));
        let reply = client.get(&target).await;
        assert_eq!((reply.status, reply.body.len()), (200, 100), "{target}");
    }
}

async fn the_largest_delays_and_rates_do_not_delay_others(protocol: Protocol) {
    let server = Server::start();
    for target in [
        "/bin/1?dummy-delay=1h",
        "/bin/1?dummy-delay=pareto(1h,0.01)",
        "/bin/1?dummy-inflight-delay=1h",
        "/chunked/2?size=1&delay=4294967295",
        "/drip?size=9223372036854775807&duration=4294967295&delay=4294967295",
        "/drip?size=2&duration=4294967295",
        "/sse?count=18446744073709551615&delay=4294967295&jitter=4294967295",
        "/delay/4294967295/4294967295",
        "/bin/8388607T?dummy-rate=1",
        "/chunked/9223372036854775807?size=1&dummy-rate=1&dummy-chunk=16M",
    ] {
        let mut waiting = Client::connect(protocol, server.http).await;
        let mut other = Client::connect(protocol, server.http).await;
        let request = Request::get(target);
        let bystander = async {
            for _ in 0..3 {
                assert_eq!(other.get("/bin/1").await.status, 200, "{target}");
            }
        };
        tokio::select! {
            reply = waiting.try_exchange(&request) => panic!("{target} has ended: {reply:?}"),
            () = bystander => {}
        }
    }
}

async fn the_default_behaviour_is_reported_in_its_canonical_form(protocol: Protocol) {
    let server = Server::with(&["--behaviour=dummy-status=404:100.0&header=X-A:%20b%26c"]);
    let said = |reply: Exchange| reply.json()["behaviour"].as_str().map(str::to_owned);
    let canonical = "status=404&header=X-A:b%26c";
    assert_eq!(
        said(fetch(Protocol::Http1, server.admin, Request::get("/behaviour")).await).unwrap(),
        canonical
    );
    let config = fetch(Protocol::Http1, server.admin, Request::get("/config")).await;
    assert_eq!(config.json()["config"]["behaviour"], canonical);
    assert_eq!(said(put(&server, canonical).await).unwrap(), canonical);
    let reply = fetch(protocol, server.http, Request::get("/bin/1")).await;
    assert_eq!((reply.status, reply.field("x-a")), (404, Some("b&c")));
    let changed = put(&server, "delay=1000us&status=503:33.3,500:66.7").await;
    assert_eq!(said(changed).unwrap(), "status=503:33.3,500:66.7&delay=1ms");
}

async fn numbers_in_paths_and_queries_are_bounded(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for (target, status) in [
        ("/chunked/9223372036854775807?size=2", 400),
        ("/chunked/3037000500?size=3037000500", 400),
        ("/chunked/18446744073709551616", 400),
        ("/chunked/1?size=8388608T", 400),
        ("/chunked/1?delay=4294967296", 400),
        ("/delay/4294967296", 400),
        ("/delay/1/99999999999999999999", 400),
        ("/drip?duration=4294967296", 400),
        ("/sse?jitter=4294967296", 400),
        ("/sse?count=18446744073709551616", 400),
        ("/ws?ping=9223372036854775807s", 400),
        ("/ws?fragment=18446744073709551616", 400),
        ("/bin/9223372036854775808", 400),
        ("/status/18446744073709551816", 400),
        ("/drip?size=3&duration=0", 200),
        ("/sse?count=1&delay=4294967295&jitter=4294967295", 200),
    ] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
    // The last event that there can be was seen before.
    let request = Request::get("/sse?count=0").field("last-event-id", "18446744073709551615");
    let reply = client.exchange(request).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let range = Request::get("/bin/8388607T").field("range", "bytes=-1");
    assert_eq!(client.exchange(range).await.body.len(), 1);
    for (range, status) in [
        ("bytes=99999999999999999999-", 416),
        ("bytes=0-99999999999999999999", 206),
        ("bytes=-99999999999999999999", 206),
    ] {
        let reply = client.exchange(Request::get("/bin/10").field("range", range)).await;
        assert_eq!((reply.status, reply.field("content-length").is_some()), (status, true), "{range}");
    }
}
