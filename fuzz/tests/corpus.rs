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
fn hpack_says_the_same_with_and_without_its_memory() {
    assert!(replay("hpack", 3000) > 40);
}

#[test]
fn a_server_of_http2_takes_any_bytes_in_any_pieces() {
    assert!(replay("http2-server", 1000) > 80);
}

#[test]
fn a_client_of_http2_takes_any_bytes_in_any_pieces() {
    assert!(replay("http2-client", 1000) > 80);
}

#[test]
fn a_server_of_http1_takes_any_bytes_in_any_pieces() {
    assert!(replay("http1-request", 1000) > 40);
}

#[test]
fn a_client_of_http1_takes_any_bytes_in_any_pieces() {
    assert!(replay("http1-response", 1000) > 40);
}

#[test]
fn a_proxy_header_means_the_same_however_it_comes() {
    assert!(replay("proxy-header", 3000) > 20);
}

#[test]
fn frames_of_a_websocket_mean_the_same_however_they_come() {
    assert!(replay("websocket", 3000) > 40);
}

#[test]
fn every_target_has_a_test_here() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let tested = include_str!("corpus.rs");
    assert!(names.iter().all(|name| tested.contains(&format!("replay(\"{name}\""))), "{names:?}");
}
