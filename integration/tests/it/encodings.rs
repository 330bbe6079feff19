//! Content that a proxy has compressed, as loadgen looks through it.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use integration::{PATIENCE, binaries::loadgen_report, launch::Launched, server::Server, tools::require};

tests!();

/// The time from one request to the next while the proxy passes none on.
const PAUSE: Duration = Duration::from_millis(20);

fn what_traefik_compresses_is_looked_through_as_it_was_before() {
    let Some(traefik) = require("traefik") else { return };
    let server = Server::start();
    for coding in ["br", "zstd", "gzip"] {
        let proxy = Launched::start("traefik", |[front], directory| {
            let file = directory.join("routes.yaml");
            fs::write(&file, routes(coding, &server.http.to_string())).expect("a file is written");
            let mut command = Command::new(&traefik);
            command.args(["--global.checknewversion=false", "--global.sendanonymoususage=false"]);
            command.arg(format!("--entrypoints.front.address={front}"));
            command.arg(format!("--providers.file.filename={}", file.display()));
            command
        });
        let [front] = proxy.addresses;
        let plan = proxy.directory().join("plan.yaml");
        let text = format!(
            "target: http://{front}/bin/50K
requests:
- headers: {{accept-encoding: {coding}}}
  expect: {{status: 200, headers: {{content-encoding: {coding}}}, body_contains: ABCDEFGH, size: 1-20K}}
load: {{total: 20, connections: 2}}
"
        );
        fs::write(&plan, text).expect("a file is written");
        await_routes(&proxy);
        let report = loadgen_report(&["-f", plan.to_str().expect("a path in UTF-8")]);
        assert_eq!(report.json()["requests"]["succeeded"], 20, "{coding}: {}", report.json()["failures"]);
        assert_eq!(report.json()["unmet"], serde_json::json!([]), "{coding}");
    }
}

fn routes(coding: &str, server: &str) -> String {
    format!(
        "http:
  routers:
    all: {{rule: \"PathPrefix(`/`)\", service: server, middlewares: [compressed]}}
  middlewares:
    compressed: {{compress: {{encodings: [{coding}], minResponseBodyBytes: 1}}}}
  services:
    server: {{loadBalancer: {{servers: [{{url: \"http://{server}\"}}]}}}}
"
    )
}

/// It accepts connections before it knows where requests go.
fn await_routes(proxy: &Launched<1>) {
    let url = format!("http://{}/health", proxy.addresses[0]);
    let began = Instant::now();
    loop {
        let curl = ["-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", &url];
        let output = Command::new("curl").args(curl).output().expect("curl is needed");
        if output.stdout == b"200" {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "it does not pass requests on: {output:?}");
        proxy.process().wait_for_end(PAUSE);
    }
}
