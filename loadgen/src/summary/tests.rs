//! What follows from planted records.

use crate::planted::{MILLI, Planted, run};

#[test]
fn rates_and_averages_follow_from_the_records() {
    let summary = run("-r 1000 -d 1s a:1", |_, _| Planted { service: 20 * MILLI, ..Planted::default() });
    assert!((summary.offered_rate() - 1000.0).abs() < 0.1);
    assert!((summary.mean_in_flight() - 20.0).abs() < 0.5, "{}", summary.mean_in_flight());
}

#[test]
fn the_rate_of_a_closed_loop_is_that_until_the_last_request_was_sent_or_of_the_whole_run() {
    let mut summary = run("-r 1000 -n 1000 a:1", |n, _| Planted {
        service: if n == 999 { 4000 * MILLI } else { MILLI },
        ..Planted::default()
    });
    summary.run.rate_per_second = None;
    assert!(!summary.is_rate_over_all());
    assert!((summary.achieved_rate() - 1000.0).abs() < 5.0, "{}", summary.achieved_rate());
    let mut short = run("-r 1000 -n 10 a:1", |_, _| Planted { service: 500 * MILLI, ..Planted::default() });
    short.run.rate_per_second = None;
    assert!(short.is_rate_over_all());
    assert!((short.achieved_rate() - 10.0 / 0.509).abs() < 0.1, "{}", short.achieved_rate());
    assert!(short.warnings().iter().any(|warning| warning.contains("whole run")));
}
