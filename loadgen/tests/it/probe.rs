//! What `probe` reports of a server in this process.

use std::time::Duration;

use loadgen::{
    embedded::Embedded,
    probe::{self, CASES, Case, ColumnOptions, Options, Role, Stop},
    report::probe as report,
};

#[test]
fn reports_are_as_their_schema_says_and_all_cases_are_asked_over_both_protocols() {
    let embedded = Embedded::start().unwrap();
    let wanted =
        [ColumnOptions::new("direct", &format!("h2c://{}", embedded.address()), true, false).unwrap()];
    let schema = serde_json::from_str(report::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    // What is described is waited for in vain.
    for (is_described, seconds) in [(false, 40), (true, 1)] {
        let cases: Vec<&'static Case> =
            CASES.iter().copied().filter(|case| case.is_described == is_described).collect();
        let variants: usize = cases.iter().map(|case| case.variants.len() * 2).sum();
        let options =
            Options { role: Role::Gateway, rounds: 1, timeout: Duration::from_secs(seconds), cases };
        let mut asked = 0;
        let matrix = probe::run(&wanted, &options, &Stop::default(), &mut |_| asked += 1).unwrap();
        let unclean: Vec<_> = matrix.unclean().collect();
        assert!(unclean.is_empty(), "{unclean:#?}");
        assert_eq!((matrix.unasked().count(), matrix.rows.len(), asked), (0, variants, variants));
        let mut json = Vec::new();
        report::json(&matrix, &mut json).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert!(validator.is_valid(&json), "{:?}", validator.iter_errors(&json).next());
        json["rows"][0]["cells"][0]["state"] = "good".into();
        assert!(!validator.is_valid(&json));
    }
    embedded.stop();
}

/// What was not asked yet is reported as such.
#[test]
fn a_probe_that_is_stopped_reports_what_it_has_found_until_then() {
    let embedded = Embedded::start().unwrap();
    let wanted =
        [ColumnOptions::new("direct", &format!("http://{}", embedded.address()), true, false).unwrap()];
    let cases = CASES.iter().copied().filter(|case| case.name == "target").collect();
    let options = Options { role: Role::Gateway, rounds: 1, timeout: Duration::from_secs(40), cases };
    let (stop, mut asked) = (Stop::default(), 0);
    let telling = stop.clone();
    let matrix = probe::run(&wanted, &options, &stop, &mut |_| {
        asked += 1;
        if asked == 3 {
            telling.stop();
        }
    });
    embedded.stop();
    let matrix = matrix.unwrap();
    let states: Vec<&str> = matrix.rows.iter().map(|row| row.cells[0].state.name()).collect();
    assert!(matrix.interrupted);
    assert_eq!(states[..2], ["kept", "kept"]);
    assert!(states[3..].iter().all(|state| *state == "not asked"), "{states:?}");
}
