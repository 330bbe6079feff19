//! The cases of `loadgen probe` that are about messages, each through a proxy that misbehaves. Those without
//! such a habit are in `probed`.

use integration::{
    binaries::loadgen,
    relay::{Habit, Relay},
    server::Server,
};
use serde_json::Value;

use super::probed::{assert_found, assert_found_over_http1};

tests!();

fn content_where_none_may_be_is_broken() {
    let expected = [("head", "broken"), ("status-204", "broken"), ("status-304", "kept")];
    assert_found_over_http1(Habit::AddContent, "bodiless", "gateway", &expected);
}

fn a_length_of_204_is_broken() {
    let expected = [("head", "kept"), ("status-204", "broken"), ("status-304", "kept")];
    assert_found_over_http1(Habit::AddLengths, "bodiless", "gateway", &expected);
}

fn fields_that_do_not_arrive_are_counted() {
    let expected = [("many", "changed"), ("large", "kept"), ("many-of-reply", "kept")];
    assert_found_over_http1(Habit::DropFields, "fields", "gateway", &expected);
}

fn fields_of_the_connection_that_are_passed_on_are_broken() {
    let expected = [("request", "broken"), ("reply", "broken")];
    assert_found_over_http1(Habit::KeepHops, "hop-by-hop", "gateway", &expected);
}

fn a_request_of_two_hosts_that_is_answered_is_broken() {
    let expected = [("two-hosts", "broken"), ("no-host", "kept"), ("absolute-form", "kept")];
    assert_found_over_http1(Habit::Mend, "authority", "gateway", &expected);
}

fn a_host_that_is_not_that_of_the_target_is_broken_by_a_proxy_alone() {
    assert_found_over_http1(Habit::KeepHops, "authority", "gateway", &[("absolute-form", "changed")]);
    assert_found_over_http1(Habit::KeepHops, "authority", "proxy", &[("absolute-form", "broken")]);
}

fn a_host_that_is_preferred_to_that_of_the_target_is_broken_by_either() {
    for role in ["gateway", "proxy"] {
        assert_found_over_http1(Habit::KeepHost, "authority", role, &[("absolute-form", "broken")]);
    }
}

fn a_chunk_extension_that_is_refused_is_broken() {
    let expected = [("request", "kept"), ("reply", "kept"), ("extension", "broken")];
    assert_found_over_http1(Habit::RefuseExtensions, "chunked", "gateway", &expected);
}

fn chunks_that_are_refused_say_nothing_of_their_extensions() {
    let expected = [("request", "refused"), ("reply", "kept"), ("extension", "not_applicable")];
    assert_found_over_http1(Habit::RefuseChunks, "chunked", "gateway", &expected);
}

fn chunks_for_a_client_of_http10_are_broken() {
    assert_found_over_http1(Habit::RaiseVersion, "http10", "gateway", &[("client", "broken")]);
}

fn a_client_that_has_ended_its_direction_and_is_dropped_is_reported() {
    assert_found_over_http1(Habit::EndHalfClosed, "half-close", "gateway", &[("request", "answered_itself")]);
}

fn a_request_on_a_connection_that_was_announced_to_end_is_lost() {
    let expected = [("get", "answered_itself"), ("post", "answered_itself")];
    assert_found_over_http1(Habit::ReuseEnded, "drain", "gateway", &expected);
}

fn a_request_that_is_hidden_in_content_and_passed_on_is_broken() {
    let expected = [("both", "broken"), ("two-lengths", "broken"), ("chunked-not-last", "kept")];
    assert_found_over_http1(Habit::Mend, "framing", "gateway", &expected);
}

fn a_connection_that_goes_on_after_such_a_request_is_broken() {
    let expected = [("both", "broken"), ("two-lengths", "broken"), ("chunked-not-last", "broken")];
    assert_found_over_http1(Habit::KeepRefused, "framing", "gateway", &expected);
}

fn streams_that_are_refused_are_counted() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::RefuseStreams);
    assert_found(&relay, "HTTP/2", "stream-limit", "gateway", &[("all", "changed")]);
}

fn streams_with_another_status_and_content_are_counted_once() {
    let server = Server::start();
    let relay = Relay::of_frames(server.http, Habit::FailStreams);
    assert_found(&relay, "HTTP/2", "stream-limit", "gateway", &[("all", "changed")]);
    let url = format!("h2c://{}", relay.address);
    let text = loadgen(&["probe", "--only=stream-limit", &url]).stdout;
    let counted = "11 of 100 streams were answered with 200, 89 with another status\n";
    assert!(text.contains(counted), "{text}");
    assert!(!text.contains("seq 100"), "a hundred processes: {text}");
}

/// What each case that is not judged says, through a proxy that changes nothing: name, variant and what.
fn what_is_not_judged_is_described() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::None);
    let url = format!("http://{}", relay.address);
    let only = "--only=field-order,forwarded,compression,timeouts,proxy-protocol,pipelining,websocket-idle";
    let finished = loadgen(&["probe", "--timeout=1s", only, "-o", "json", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let matrix: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let rows = matrix["rows"].as_array().expect("rows");
    let of = |name: &str, variant: &str| {
        let row = rows.iter().find(|row| row["name"] == name && row["variant"] == variant).expect("a row");
        assert_eq!(row["is_described"], true);
        assert_eq!(row["cells"][0]["state"], "described", "{row:#}");
        row["cells"][0]["what"].as_str().expect("a text").to_owned()
    };
    assert_eq!(of("field-order", "request"), "as they were sent");
    assert_eq!(of("field-order", "reply"), "as they were sent");
    assert_eq!(of("forwarded", "none-sent"), "nothing is added");
    assert_eq!(of("forwarded", "sent"), "nothing is added");
    assert_eq!(of("compression", "plain"), "20480 bytes in no coding");
    assert!(of("compression", "gzip").contains(" bytes in gzip"));
    assert!(of("timeouts", "reply").starts_with("nothing within "));
    assert!(of("timeouts", "idle").starts_with("nothing within "));
    assert_eq!(of("proxy-protocol", "header"), "none was sent, or taken by the server");
    assert_eq!(of("pipelining", "two"), "both are answered, one after the other");
    assert!(of("websocket-idle", "silent").starts_with("open after "));
    assert!(of("websocket-idle", "pings").starts_with("open after "));
    let pings = rows.iter().find(|row| row["variant"] == "pings").expect("a row");
    let transcript = pings["cells"][0]["rounds"][0]["transcript"].as_array().expect("a transcript");
    assert!(transcript.iter().any(|line| line["text"] == "a pong"), "{transcript:#?}");
    let usual = loadgen(&["probe", "--timeout=1s", "--only=early-hints", "-o", "json", &url]);
    assert!(!usual.stdout.contains("field-order"), "{usual}");
}

/// A refusal is a finding about a matter of configuration like any other.
fn what_a_proxy_does_in_place_of_the_server_is_described_too() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::RefusePipelines);
    let url = format!("http://{}", relay.address);
    let finished = loadgen(&["probe", "--only=pipelining", "-o", "json", &url]);
    let matrix: Value = serde_json::from_str(&finished.stdout).expect("JSON");
    let cell = &matrix["rows"][0]["cells"][0];
    assert_eq!(cell["state"], "described", "{cell:#}");
    assert_eq!(cell["what"], "refused: 400 from the proxy itself", "{cell:#}");
}

fn changed_fields_are_described() {
    let server = Server::start();
    let relay = Relay::of_exchanges(server.http, Habit::SortFields);
    let url = format!("http://{}", relay.address);
    let finished = loadgen(&["probe", "--only=field-order,forwarded", &url]);
    assert_eq!(finished.code, Some(0), "{finished}");
    let changed = "X-Probe-B, x-probe-a, X-PROBE-C arrived as x-probe-a, x-probe-b, x-probe-c";
    assert!(finished.stdout.contains(changed), "{finished}");
    assert!(finished.stdout.contains("x-added: by the relay"), "{finished}");
}
