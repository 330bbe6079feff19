//! nginx, HAProxy and Envoy between the two programs.

use contract::{
    echo::{EchoRequest, EchoResponse},
    field::INSTANCE,
    pattern,
};
use futures_util::{SinkExt as _, StreamExt as _};
use integration::{
    binaries::loadgen_report,
    cases::{Cases, block_on},
    client::{Call, Client, GrpcClient, Protocol, Request, WebSocket, patiently, websocket},
    metrics::{Metrics, REQUESTS},
    proxies::{ENVOY, ENVOY_H2_BEHIND, HAPROXY, NGINX},
    proxy::{Behind, Kind, Proxy},
    server::Server,
    tools::require,
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc_calls::{CHECK, ECHO, STREAM_ECHO};

tests!();

fn rows() -> Cases {
    let mut cases = Cases::new();
    for kind in [NGINX, HAPROXY, ENVOY] {
        cases = each(cases, kind, "replies_pass_whole_over_http1", async |lab| {
            replies_pass(lab, Protocol::Http1).await
        });
        cases = each(cases, kind, "replies_pass_whole_over_h2c", async |lab| {
            replies_pass(lab, Protocol::Http2).await
        });
        cases = each(cases, kind, "every_request_is_counted_over_http1", async |lab| {
            every_request_is_counted(lab, Protocol::Http1).await;
        });
        cases = each(cases, kind, "every_request_is_counted_over_h2c", async |lab| {
            every_request_is_counted(lab, Protocol::Http2).await;
        });
        cases = each(cases, kind, "sockets_are_upgraded", async |lab| sockets_are_upgraded(&lab).await);
        cases = each(cases, kind, "messages_of_loadgen_are_echoed", async |lab| messages_are_echoed(&lab));
        cases = each(cases, kind, "calls_pass_with_their_status", calls_pass_with_their_status);
        cases = each(cases, kind, "a_stream_of_calls_is_not_held_back", a_stream_is_not_held_back);
        cases = each(cases, kind, "a_dead_server_is_a_server_error", a_dead_server_is_a_server_error);
    }
    each(cases, ENVOY_H2_BEHIND, "sockets_are_upgraded_when_it_speaks_http2_to_the_server", async |lab| {
        sockets_are_upgraded(&lab).await;
        Metrics::until(lab.server.admin, |metrics| {
            metrics.sum(REQUESTS, &[("endpoint", "ws"), ("protocol", "HTTP/2"), ("status", "200")]) == 2
        })
        .await;
    })
}

/// A proxy and the server behind it.
struct Lab {
    server: Server,
    proxy: Proxy,
}

impl Lab {
    fn front(&self, protocol: Protocol) -> std::net::SocketAddr {
        match protocol {
            Protocol::Http1 => self.proxy.fronts.http1,
            Protocol::Http2 => self.proxy.fronts.h2c,
        }
    }
}

fn each(cases: Cases, kind: Kind, name: &str, body: impl AsyncFnOnce(Lab) + Send + 'static) -> Cases {
    cases.named(format!("proxied::{}::{name}", kind.tool), move || {
        let Some(program) = require(kind.tool) else { return };
        let server = Server::with(&["--instance=behind"]);
        let proxy = Proxy::start(kind, &program, Behind { http: server.http, grpc: server.grpc });
        block_on(body(Lab { server, proxy }));
    })
}

async fn replies_pass(lab: Lab, protocol: Protocol) {
    let mut client = Client::connect(protocol, lab.front(protocol)).await;
    for (target, size) in [("/bin/1", 1), ("/bin/3M", 3 << 20), ("/bin/1000001?chunked=true", 1_000_001)] {
        let exchange = client.get(target).await;
        assert_eq!((exchange.status, exchange.body.len()), (200, size), "{target}");
        assert_eq!(pattern::verify(0, &exchange.body), Ok(()), "{target}");
        assert_eq!(exchange.field(INSTANCE), Some("behind"), "{target}");
    }
    let range = client.exchange(Request::get("/bin/1M").field("range", "bytes=1000-1999")).await;
    assert_eq!((range.status, range.body.len()), (206, 1000));
    assert_eq!(pattern::verify(1000, &range.body), Ok(()));
    let upload = client.exchange(Request::post("/upload", vec![b'x'; 1 << 20])).await;
    assert_eq!(upload.json()["bytes_received"], 1 << 20);
    for status in [200, 204, 205, 304, 404, 503] {
        let exchange = client.get(&format!("/status/{status}")).await;
        assert_eq!(exchange.status, status);
        assert!(![204, 205, 304].contains(&status) || exchange.body.is_empty(), "{status}");
    }
    for target in ["/bin/1000", "/bin/1000?chunked=true", "/health", "/chunked/3"] {
        let head = client.exchange(Request::new("HEAD", target)).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
    }
    assert_eq!(client.get("/chunked/20?size=50").await.body.len(), 1000);
    assert_eq!(client.get("/health").await.status, 200);
}

async fn every_request_is_counted(lab: Lab, protocol: Protocol) {
    const TOTAL: u64 = 1500;
    let scheme = if protocol == Protocol::Http1 { "http" } else { "h2c" };
    let base = format!("{scheme}://{}", lab.front(protocol));
    let open = loadgen_report(&["--rate", "1500", "--total", "1500", &format!("{base}/bin/1K")]);
    open.assert_all_succeeded(TOTAL);
    let closed = loadgen_report(&["--total", "1500", "-c", "4", &format!("{base}/status/404")]);
    assert_eq!((closed.requests("client_errors"), closed.requests("succeeded")), (TOTAL, 0));
    let metrics = Metrics::until(lab.server.admin, |m| m.sum(REQUESTS, &[]) >= 2 * TOTAL).await;
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "bin")]), TOTAL);
    assert_eq!(metrics.sum(REQUESTS, &[("endpoint", "status"), ("status", "404")]), TOTAL);
    assert_eq!(
        open.json()["backends"].to_string().matches("behind").count(),
        1,
        "{:#}",
        open.json()["backends"]
    );
}

fn messages_are_echoed(lab: &Lab) {
    let url = format!("ws://{}/ws", lab.proxy.fronts.http1);
    for args in [&["-n", "1000", "-c", "4"][..], &["-n", "300", "-r", "600", "-c", "2"]] {
        let report = loadgen_report(&[args, &[&url]].concat());
        report.assert_all_succeeded(args[1].parse().expect("a number"));
        assert_eq!(report.number("/websocket/lost"), 0);
        assert_eq!(report.json()["backends"].to_string().matches("behind").count(), 1);
    }
}

async fn sockets_are_upgraded(lab: &Lab) {
    let mut socket = websocket(lab.proxy.fronts.http1, "/ws").await;
    for size in [0, 1, 125, 65_536, 1 << 20] {
        let message = WebSocket::binary(vec![7; size]);
        socket.send(message.clone()).await.unwrap();
        let echo = patiently("an echo", socket.next()).await.expect("open").expect("well-formed");
        assert!(echo == message, "{size}");
    }
    let mut socket = websocket(lab.proxy.fronts.http1, "/ws/close").await;
    socket.send(WebSocket::text("hello")).await.unwrap();
    let echo = patiently("an echo", socket.next()).await.expect("open").expect("well-formed");
    assert_eq!(echo, WebSocket::text("Server received: hello"));
    let close = patiently("a close", socket.next()).await;
    assert!(matches!(close, Some(Ok(WebSocket::Close(Some(_))))), "{close:?}");
}

async fn calls_pass_with_their_status(lab: Lab) {
    let mut client = GrpcClient::connect(lab.proxy.fronts.grpc).await;
    for response_code in 0..=16 {
        let request = EchoRequest { message: "through".to_owned(), timestamp: 7, response_code };
        let (answer, status) = client.unary_with::<EchoResponse>(ECHO, &request, &[("x-one", "1")]).await;
        assert_eq!(status.code, response_code);
        assert_eq!(answer.is_some(), response_code == 0);
        if let Some(answer) = answer {
            assert_eq!((answer.message.as_str(), answer.request_timestamp), ("through", 7));
            assert_eq!(answer.metadata.get("x-one").map(String::as_str), Some("1"));
        }
    }
    let (_, status) = client.unary::<HealthCheckResponse>(CHECK, &HealthCheckRequest::default()).await;
    assert_eq!(status.code, 0);
}

async fn a_stream_is_not_held_back(lab: Lab) {
    let mut client = GrpcClient::connect(lab.proxy.fronts.grpc).await;
    let mut call: Call<EchoResponse> = client.begin(STREAM_ECHO, &[]).await;
    for timestamp in 0..20 {
        call.send(&EchoRequest { timestamp, ..EchoRequest::default() });
        let answer = call.next().await.expect("an answer before the next message");
        assert_eq!(answer.request_timestamp, timestamp);
    }
    call.finish_sending();
    assert_eq!(call.status().await.code, 0);
}

async fn a_dead_server_is_a_server_error(lab: Lab) {
    let Lab { server, proxy } = lab;
    drop(server);
    let url = format!("http://{}/", proxy.fronts.http1);
    let report = loadgen_report(&["--rate", "500", "--total", "100", &url]);
    assert_eq!((report.requests("completed"), report.requests("server_errors")), (100, 100));
    assert_eq!(report.requests("succeeded"), 0);
}
