//! Requests that real proxies retry: two servers behind nginx and HAProxy, one of which answers 503, and a verified run of POSTs
//! that counts those that arrived twice.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

use integration::{
    binaries::loadgen,
    launch::Launched,
    metrics::{Metrics, REQUESTS},
    proxies::{HAPROXY, NGINX, nginx_balancing},
    proxy::Kind,
    report::Report,
    server::Server,
    tools::require,
};

tests!();

const SENT: u64 = 400;

/// The configuration of an HAProxy that balances requests over two servers, with what its `defaults` contain beyond that.
fn haproxy(again: &str, front: SocketAddr, servers: [SocketAddr; 2], _: &Path) -> String {
    let mut text = format!(
        "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
{again}
frontend front
  bind {front}
  default_backend both
backend both
  balance roundrobin
"
    );
    for (name, server) in ["a", "b"].into_iter().zip(servers) {
        let _ = writeln!(text, "  server {name} {server}");
    }
    text
}

/// Runs POSTs through a proxy of this configuration; the run, and how many the server that answers 503 has answered so.
async fn posts(
    kind: Kind,
    configuration: fn(&str, SocketAddr, [SocketAddr; 2], &Path) -> String,
    again: &str,
) -> Option<(Report, u64)> {
    let program = require(kind.tool)?;
    let (bad, good) =
        (Server::with(&["--behaviour=status=503", "--instance=bad"]), Server::with(&["--instance=good"]));
    let proxy = Launched::start(kind.tool, |[front]: [SocketAddr; 1], directory| {
        // As the kind's command line has it.
        let file = directory.join("proxy.conf");
        let text = configuration(again, front, [bad.http, good.http], directory);
        fs::write(&file, text).expect("a file is written");
        (kind.command)(&program, directory, &file)
    });
    let url = format!("http://{}/bin/1K", proxy.addresses[0]);
    let (total, ledgers) = (SENT.to_string(), format!("{},{}", bad.admin, good.admin));
    let args = ["--no-progress", "-o", "json", "--verify", "--ledger", &ledgers];
    let finished = loadgen(&[&args[..], &["-X", "POST", "-c", "4", "-n", &total, &url]].concat());
    let report = Report::parse(&finished.stdout);
    // The server's own metrics count the canary, too.
    let servers = report.json()["verify"]["servers"].as_array().expect("servers");
    let of_bad = servers.iter().find(|server| server["instance"] == "bad").expect("the one that fails");
    let refused = of_bad["sightings"].as_u64().expect("a count");
    let answered = Metrics::read(bad.admin).await.sum(REQUESTS, &[("status", "503")]);
    assert!((refused..=refused + 1).contains(&answered), "{refused} {answered}");
    assert!(refused > SENT / 4, "both servers are asked: {refused}");
    assert_eq!(report.number("/verify/sent"), SENT);
    assert_eq!(report.number("/verify/arrived"), SENT);
    Some((report, refused))
}

fn assert_repeated(report: &Report, refused: u64) {
    assert_eq!(report.requests("succeeded"), SENT);
    assert_eq!(report.number("/verify/repeated/counts/after_failure"), refused);
    assert_eq!(report.number("/verify/sightings"), SENT + refused);
    let first = &report.json()["verify"]["repeated"]["examples"][0];
    assert_eq!(
        (&first["method"], &first["instance"], &first["status"]),
        (&"POST".into(), &"bad".into(), &503.into())
    );
    assert!(
        first["what"].as_str().is_some_and(|what| what.contains("after 503 from bad, by good")),
        "{first}"
    );
}

fn assert_passed_on(report: &Report, refused: u64) {
    assert_eq!(report.requests("server_errors"), refused);
    for kind in ["after_failure", "after_success", "after_refusal", "concurrent"] {
        assert_eq!(report.number(&format!("/verify/repeated/counts/{kind}")), 0, "{kind}");
    }
    assert_eq!(report.number("/verify/sightings"), SENT);
}

async fn nginx_repeats_posts_after_503_only_when_it_is_configured_to() {
    let again = "proxy_next_upstream error timeout http_503 non_idempotent;";
    let Some((report, refused)) = posts(NGINX, nginx_balancing, again).await else { return };
    assert_repeated(&report, refused);
    let Some((report, refused)) = posts(NGINX, nginx_balancing, "").await else { return };
    assert_passed_on(&report, refused);
}

async fn haproxy_repeats_posts_after_503_only_when_it_is_configured_to() {
    let again = "  retries 3\n  retry-on 503\n  option redispatch 1";
    let Some((report, refused)) = posts(HAPROXY, haproxy, again).await else { return };
    assert_repeated(&report, refused);
    let Some((report, refused)) = posts(HAPROXY, haproxy, "").await else { return };
    assert_passed_on(&report, refused);
}
