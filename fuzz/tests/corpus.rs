//! Replays the corpus, and mutates it for a moment.

use std::{fs, path::Path};

use fuzz::{TARGETS, Target, mutate::Fuzzer};

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs the corpus of a target and some mutations of it; how many different things that met.
fn replay(name: &str, inputs: usize) -> usize {
    let target = fuzz::target(name).unwrap();
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "there is a corpus");
    let mut fuzzer = Fuzzer::new(target, 1, Vec::new());
    for input in corpus {
        assert!(input.len() <= fuzz::mutate::LONGEST);
        fuzzer.run(&input);
    }
    let met = fuzzer.met();
    for _ in 0..inputs {
        let input = fuzzer.next_input();
        fuzzer.run(&input);
    }
    met
}

#[test]
fn hpack_decodes_the_same_with_and_without_its_cache() {
    assert!(replay("hpack", 3000) > 40);
}

#[test]
fn the_http2_server_handles_any_bytes_at_any_split() {
    assert!(replay("http2-server", 1000) > 80);
}

#[test]
fn the_http2_client_handles_any_bytes_at_any_split() {
    assert!(replay("http2-client", 1000) > 80);
}

#[test]
fn the_http1_server_handles_any_bytes_at_any_split() {
    assert!(replay("http1-request", 1000) > 40);
}

#[test]
fn the_http1_client_handles_any_bytes_at_any_split() {
    assert!(replay("http1-response", 1000) > 40);
}

#[test]
fn a_proxy_header_parses_the_same_at_any_split() {
    assert!(replay("proxy-header", 3000) > 20);
}

#[test]
fn websocket_frames_parse_the_same_at_any_split() {
    assert!(replay("websocket", 3000) > 40);
}

#[test]
fn what_comes_out_of_a_content_coding_is_bounded() {
    assert!(replay("content-coding", 3000) > 10);
}

#[test]
fn a_target_routes_within_bounds_or_is_refused_with_a_valid_example() {
    assert!(replay("router", 3000) > 10);
}

#[test]
fn a_behaviour_round_trips_and_draws_within_bounds() {
    assert!(replay("behaviour", 3000) > 12);
}

#[test]
fn a_number_is_read_within_bounds_and_never_overflows() {
    assert!(replay("quantity", 3000) > 10);
}

#[test]
fn a_plan_is_accepted_within_bounds() {
    assert!(replay("plan", 3000) > 10);
}

#[test]
fn a_range_is_within_the_content() {
    assert!(replay("range", 3000) > 8);
}

#[test]
fn arguments_of_loadgen_become_a_plan_within_bounds() {
    assert!(replay("arguments", 1000) > 9);
}

#[test]
fn a_plan_file_becomes_a_plan_within_bounds_or_is_refused_with_its_place() {
    assert!(replay("plan-file", 1000) > 9);
}

#[test]
fn a_text_with_placeholders_is_rendered_the_same_each_time_or_refused() {
    assert!(replay("template", 1000) > 9);
}

#[test]
fn what_a_line_of_a_log_has_can_be_sent() {
    assert!(replay("access-log", 1000) > 5);
}

#[test]
fn ledgers_are_read_as_they_were_written_and_merge_with_themselves() {
    assert!(replay("ledger", 1000) > 8);
}

#[test]
fn records_of_a_run_round_trip() {
    assert!(replay("records", 1000) > 8);
}

#[test]
fn the_default_behaviour_is_reported_in_an_accepted_form() {
    assert!(replay("put-behaviour", 100) > 8);
}

#[test]
fn no_request_crashes_the_server_fills_memory_or_delays_others() {
    assert!(replay("live", 100) > 10);
}

#[test]
fn every_fuzz_target_replays_its_corpus() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let tested = include_str!("corpus.rs");
    assert!(names.iter().all(|name| tested.contains(&format!("replay(\"{name}\""))), "{names:?}");
}

#[test]
fn every_fuzz_target_runs_in_the_full_checks() {
    let script = include_str!("../../.ci/full");
    let listed = script.split_once("for target in ").unwrap().1.split_once("; do").unwrap().0;
    let mut listed: Vec<&str> = listed.split_whitespace().filter(|word| *word != "\\").collect();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    listed.sort_unstable();
    names.sort_unstable();
    assert_eq!(listed, names);
}
