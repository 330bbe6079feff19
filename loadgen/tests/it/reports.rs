//! The help and the reports, as users and programs see them.

use std::time::Duration;

use crate::peer::{self, run, serve_http1};
use loadgen::{
    Summary,
    cli::Args,
    report::{self, text::Style},
    summary::Rounds,
    verify::{Reordered, Verification},
};

use serde_json::Value;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Dummy-Instance: one\r\n\r\nhello";

#[test]
fn the_help_lists_options_in_groups_and_exit_codes() {
    insta::assert_snapshot!(Args::described().term_width(110).render_long_help());
}

#[test]
fn every_json_report_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(report::json::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let peer = serve_http1(|_| OK.to_vec());
    let closed_port = peer::closed_port();
    for line in [
        format!("-n 20 -c 2 http://{}", peer.address),
        format!("-r 200 -n 20 http://{}", peer.address),
        format!("-r 200 -n 20 http://{closed_port}"),
        format!(
            "-r 200 -n 20 --poisson --seed 1 --warmup 50ms --max-lag 1s --coalesce 1ms http://{}",
            peer.address
        ),
        format!("--stages 100ms@100,100ms@100..200 http://{}", peer.address),
        format!("--stages 100ms@1c..3c --warmup 50ms http://{}", peer.address),
        format!("-n 5 {closed_port}"),
    ] {
        let json = json(&run(&line));
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
    }
    let mut verified = run(&format!("-n 5 --verify http://{}", peer.address));
    let found = verified.verification.as_mut().unwrap();
    let messages =
        Verification { reordered: Some(Reordered::default()), replies: Some(7), ..(**found).clone() };
    found.messages = Some(Box::new(messages));
    let verified = json(&verified);
    let errors: Vec<_> = validator.iter_errors(&verified).map(|error| error.to_string()).collect();
    assert!(errors.is_empty() && verified["verify"]["messages"]["replies"] == 7, "{errors:?}: {verified}");
    let rounds = [(); 2].map(|()| run(&format!("-n 20 http://{}", peer.address)));
    let mut text = Vec::new();
    report::json::write_rounds(&rounds.each_ref().map(Into::into), &mut text).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    assert!(validator.is_valid(&json), "{json}");
    assert_eq!(Rounds::read(&mut text.as_slice()).unwrap().as_slice().len(), 2);
    for wrong in [serde_json::json!({ "version": 1 }), serde_json::json!({ "version": 2, "rounds": [] })] {
        assert!(!validator.is_valid(&wrong), "the schema demands something");
        assert!(Rounds::read(&mut wrong.to_string().as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn histograms_are_read_back_with_every_value() {
    use base64::Engine as _;
    let peer = serve_http1(|_| OK.to_vec());
    let json = json(&run(&format!("-r 500 -n 50 http://{}", peer.address)));
    for name in [
        "response_time_ns",
        "service_time_ns",
        "wait_time_ns",
        "release_lag_ns",
        "response_time_without_own_delay_ns",
    ] {
        let text = json["histograms"][name].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        let mut reader = hdrhistogram::serialization::Deserializer::new();
        let histogram: hdrhistogram::Histogram<u64> = reader.deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(histogram.len(), 50, "{name}");
    }
    let intervals = json["intervals"].as_array().unwrap();
    assert_eq!(intervals.iter().map(|interval| interval["completed"].as_u64().unwrap()).sum::<u64>(), 50);
}

#[test]
fn the_text_report_has_every_part() {
    let peer = serve_http1(|n| match n % 4 {
        0 => b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => OK.to_vec(),
    });
    let summary = run(&format!("-n 40 -c 1 http://{}", peer.address));
    let text = shape(&text(&summary).replace(&peer.address.to_string(), "127.0.0.1:PORT"));
    insta::assert_snapshot!(text);
}

#[test]
fn the_text_report_names_causes_with_an_example() {
    let summary = run(&format!("-n 4 -c 1 --timeout 5s http://{}", peer::closed_port()));
    let text = text(&summary);
    let at = text.find("Failures").unwrap_or_else(|| panic!("{text}"));
    let lines: Vec<_> = text[at..].lines().take(3).collect();
    assert!(lines[1].contains("refused") && lines[1].trim_end().ends_with('4'), "{text}");
    assert!(lines[2].contains("(request ") && lines[2].contains("-0000000000000000-00)"), "{text}");
}

/// A report as programs read it, which is as its schema says.
pub(crate) fn json(summary: &Summary) -> Value {
    let mut out = Vec::new();
    report::json::write(summary.into(), &mut out).unwrap();
    let json = serde_json::from_slice(&out).unwrap();
    let schema: Value = serde_json::from_str(report::json::SCHEMA).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&json), "{json}");
    json
}

fn text(summary: &Summary) -> String {
    assert!(summary.elapsed < Duration::from_secs(30));
    let mut out = Vec::new();
    report::text::write(summary.into(), Style::Plain, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What differs from run to run, made equal: measured figures, and the bins that they fall into.
fn shape(text: &str) -> String {
    let mut lines = Vec::new();
    let mut in_bins = false;
    for line in text.lines() {
        let was_in_bins = in_bins;
        in_bins = line.starts_with("Response time of") || (in_bins && !line.is_empty());
        if was_in_bins && in_bins {
            continue;
        }
        // Rows that depend on how long the run took.
        if line.starts_with("Longest") || line.starts_with("Warning: the rate is") {
            continue;
        }
        // Wrapped where the figures happen to end.
        if line.starts_with("  ") && lines.last().is_some_and(|last: &String| last.ends_with(": ...")) {
            continue;
        }
        let measured = ["Achieved", "Bodies", "Bytes", "In flight", "Longest", "Busiest"];
        let timed = ["response", "  undelayed", "  successes", "  2xx", "  5xx", "service", "wait", "lag"];
        let line = match line {
            _ if line.contains("% succeeded, ") => {
                format!("{} succeeded, ...", line.split(' ').next().unwrap())
            }
            _ if line.starts_with("Limit") || line.starts_with("Measurement") => {
                format!("{}: ...", line.split(':').next().unwrap())
            }
            _ if line.contains(", took ") => format!("{}, took ...", line.split(", took ").next().unwrap()),
            _ if line.starts_with("  one ") => format!("  one {} replies and times", backend_count(line)),
            _ if measured.iter().any(|name| line.starts_with(name)) => {
                format!("{} ...", line[..24].trim_end())
            }
            _ if timed.iter().any(|name| line.starts_with(name)) && line.matches(':').count() == 0 => {
                let words: Vec<_> = line.split_whitespace().collect();
                let units = words.iter().filter(|word| ["us", "ms", "s"].contains(word)).count();
                format!("{} {units} times", words[0])
            }
            _ => line.to_owned(),
        };
        lines.push(line);
    }
    lines.join("\n")
}

fn backend_count(line: &str) -> String {
    line.split_whitespace().nth(1).unwrap().to_owned()
}
