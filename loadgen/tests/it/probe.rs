//! What `probe` reports of a server in this process.

use std::time::Duration;

use loadgen::{
    embedded::Embedded,
    probe::{self, CASES, Options, Role, Stop, Wanted},
    report::probe as report,
};

#[test]
fn reports_are_as_their_schema_says_and_all_cases_are_asked_over_both_protocols() {
    let embedded = Embedded::start().unwrap();
    let wanted = Wanted::new("direct", &format!("h2c://{}", embedded.address()), true, false).unwrap();
    let options =
        Options { role: Role::Gateway, rounds: 1, timeout: Duration::from_secs(40), cases: CASES.to_vec() };
    let mut asked = 0;
    let matrix = probe::run(&[wanted], &options, &Stop::default(), &mut |_| asked += 1).unwrap();
    embedded.stop();
    let unclean: Vec<_> = matrix.unclean().collect();
    assert!(unclean.is_empty(), "{unclean:#?}");
    assert_eq!(matrix.rows.len(), asked);
    assert_eq!(asked, CASES.iter().map(|case| case.variants.len() * 2).sum::<usize>());
    let mut json = Vec::new();
    report::json(&matrix, &mut json).unwrap();
    let schema = serde_json::from_str(report::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(validator.is_valid(&json), "{:?}", validator.iter_errors(&json).next());
    json["rows"][0]["cells"][0]["state"] = "good".into();
    assert!(!validator.is_valid(&json));
}
