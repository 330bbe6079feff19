//! `loadgen probe` finds a repeated POST wherever and whenever it is repeated, and does not mistake a cache for a proxy that mixes replies up.

use std::{net::SocketAddr, process::Command};

use integration::{
    binaries::loadgen,
    launch::Launched,
    process::Finished,
    proxies::{NGINX, nginx_balancing, nginx_configuration},
    relay::{Habit, Relay},
    server::Server,
    tools::require,
};
use serde_json::Value;

tests!();

const TRIES_EACH: &str = "proxy_next_upstream error timeout http_503 non_idempotent; proxy_next_upstream_tries 2; \
                          proxy_read_timeout 1s;";

fn nginx(program: &std::path::Path, http: impl Fn(SocketAddr, &std::path::Path) -> String) -> Launched<1> {
    Launched::start("nginx", |[front], directory| -> Command {
        let file = directory.join("nginx.conf");
        std::fs::write(&file, http(front, directory)).expect("a file is written");
        (NGINX.command)(program, directory, &file)
    })
}

/// The variants of a probe with one column: name, state and how.
fn cells(finished: &Finished) -> Vec<(String, String, String)> {
    let matrix: Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = matrix["rows"].as_array().expect("rows").iter();
    rows.map(|row| (text(&row["variant"]), text(&row["cells"][0]["state"]), text(&row["cells"][0]["what"])))
        .collect()
}

fn assert_all_repeated(nginx: &Launched<1>) {
    let url = format!("http://{}", nginx.addresses[0]);
    let finished = loadgen(&["probe", "--timeout=6s", "--only=repeated-post", "-o", "json", &url]);
    let cells = cells(&finished);
    assert_eq!(cells.len(), 4, "{finished}");
    for (variant, state, what) in cells {
        assert_eq!(state, "changed", "{variant}: {what}");
        assert!(what.starts_with("it arrived 2 times"), "{variant}: {what}");
    }
}

fn a_post_that_is_repeated_to_a_second_server_is_found() {
    let Some(program) = require(NGINX.tool) else { return };
    let (one, two) = (Server::start(), Server::start());
    let servers = [one.http, two.http];
    assert_all_repeated(&nginx(&program, |front, directory| {
        nginx_balancing(TRIES_EACH, front, servers, directory)
    }));
}

/// Of silence, that is a second after it began.
fn a_post_that_is_repeated_to_the_same_server_is_found() {
    let Some(program) = require(NGINX.tool) else { return };
    let server = Server::start();
    let servers = [server.http, server.http];
    assert_all_repeated(&nginx(&program, |front, directory| {
        nginx_balancing(TRIES_EACH, front, servers, directory)
    }));
}

fn a_post_that_is_repeated_after_its_reply_is_found() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::RepeatLate);
    let url = format!("http://{}", relay.address);
    let finished = loadgen(&["probe", "--timeout=2s", "--only=repeated-post", "-o", "json", &url]);
    let cells = cells(&finished);
    let states: Vec<_> = cells.iter().map(|(variant, state, _)| (variant.as_str(), state.as_str())).collect();
    let expected =
        [("reset", "changed"), ("close", "kept"), ("status-503", "kept"), ("silence", "described")];
    assert_eq!(states, expected, "{finished}");
    assert!(cells[0].2.contains("arrived 2 times"), "{finished}");
    let said = &cells[3].2;
    assert!(
        said.starts_with("not repeated within ") && said.contains("in which there was no reply"),
        "{finished}"
    );
}

/// An nginx that keeps each reply of success for ten minutes.
fn caching(program: &std::path::Path, server: &Server) -> Launched<1> {
    nginx(program, |front, directory| {
        let http = format!(
            "  proxy_cache_path {dir}/cache keys_zone=kept:1m;
  server {{
    listen {front};
    large_client_header_buffers 4 16k;
    location / {{ proxy_pass http://{server}; proxy_http_version 1.1; proxy_cache kept; proxy_cache_valid 200 10m; }}
  }}
",
            dir = directory.display(),
            server = server.http,
        );
        nginx_configuration(&http, directory)
    })
}

fn a_reply_from_a_cache_is_the_proxys_own_and_breaks_no_rule() {
    let Some(program) = require(NGINX.tool) else { return };
    let server = Server::start();
    let nginx = caching(&program, &server);
    let url = format!("http://{}", nginx.addresses[0]);
    let finished = loadgen(&["probe", "--timeout=10s", "--only=fields", "-o", "json", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    // Both ask for the same.
    let (many, large) = (&cells(&finished)[0], &cells(&finished)[1]);
    assert_eq!((many.1.as_str(), large.1.as_str()), ("kept", "answered_itself"), "{finished}");
    assert!(large.2.starts_with("from a cache"), "{finished}");
}

/// From the second round on a request that is written as it is, and not by a client, is answered with the reply to the first.
fn a_raw_request_that_a_cache_answers_in_later_rounds_breaks_no_rule() {
    let Some(program) = require(NGINX.tool) else { return };
    let server = Server::start();
    let nginx = caching(&program, &server);
    let url = format!("http://{}", nginx.addresses[0]);
    let finished = loadgen(&["probe", "--timeout=10s", "--only=http10", "--rounds=3", "-o", "json", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let (_, state, what) = &cells(&finished)[0];
    assert!(!["broken", "unasked"].contains(&state.as_str()), "{finished}");
    assert!(what.contains("from a cache"), "{what}: {finished}");
    assert!(!finished.stdout.contains("was that to request"), "none has crossed: {finished}");
}
