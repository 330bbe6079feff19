//! Reports of a comparison: text and Markdown against expected lines, JSON against its schema.

use serde_json::Value;

use super::*;
use crate::{
    compare::{
        RoundTime,
        rules::{MAX_SERVER_LAG, ServerConditions},
    },
    planted::{MILLI, Planted, PlantedEnd, run},
};

/// Eleven blocks of a server that is reached directly and by a proxy, which takes `more` milliseconds longer.
fn comparison(more: u64) -> Comparison {
    comparison_with_cpu(more, Some(12.5))
}

fn comparison_with_cpu(more: u64, cpu: Option<f64>) -> Comparison {
    let round = |service: u64| run("-r 500 -d 3s a:1", move |_, _| Planted { service, ..Planted::default() });
    let sides = vec![
        MeasuredContender::new("direct", "http://127.0.0.1:1/"),
        MeasuredContender::new("nginx", "http://127.0.0.1:2/"),
    ];
    let mut found = Comparison::new(42, 11, sides);
    (found.rate, found.duration, found.cpus) = (500.0, Duration::from_secs(3), 2);
    let (direct, nginx) = (round(2 * MILLI), round((2 + more) * MILLI));
    for number in 0..11 {
        let order = if number % 2 == 0 { vec![0, 1] } else { vec![1, 0] };
        let mut block = Block::new(order);
        block.add(0, &direct, None);
        block.add(1, &nginx, cpu);
        found.blocks.push(block);
    }
    found
}

fn written(write: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn failures_and_other_bodies_come_first_and_make_no_mean_look_good() {
    let mut found = comparison(3);
    assert_eq!(found.unlike_while_measured(), None);
    let fails = run("-r 500 -d 3s a:1", |n, _| match n % 50 {
        7 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
        _ => Planted::default(),
    });
    found.blocks.iter_mut().for_each(|block| block.add(1, &fails, None));
    let sentence = found.sentence(1);
    assert!(sentence.starts_with("nginx at 500 requests/s: 330 of 16,500 requests failed; "), "{sentence}");
    assert!(sentence.contains("mean can't be judged"), "{sentence}");
    let each = found.blocks[0].requests[0].offered;
    for block in &mut found.blocks {
        (block.requests[0].body_bytes, block.requests[1].body_bytes) = (each * 1024, each * 2);
    }
    assert_eq!(found.unlike_while_measured(), None, "what fails says nothing of what succeeds");
    for block in &mut found.blocks {
        (block.requests[1].failed, block.requests[1].body_bytes) = (0, each * 1001);
    }
    assert_eq!(found.unlike_while_measured(), None, "that little");
    found.blocks.iter_mut().for_each(|block| block.requests[1].body_bytes = 2 * each);
    let unlike = found.unlike_while_measured().unwrap();
    assert_eq!(unlike, "nginx sent 2 bytes a response while it was measured, direct 1,024");
    // One page of an error among bodies of nothing.
    for block in &mut found.blocks {
        (block.requests[0].body_bytes, block.requests[1].body_bytes) = (150, 0);
    }
    assert_eq!(found.unlike_while_measured(), None);
}

#[test]
fn a_block_with_a_late_server_counts_unless_it_was_late_behind_the_first_contender() {
    let late = ServerConditions { busy: 1.0, lag: MAX_SERVER_LAG * 1.01 };
    for (contender, reason) in [(0, Some(Reason::ServerLate)), (1, None)] {
        let mut block = Block::new(vec![0, 1]);
        block.note(contender, &Conditions { server: Some(late), ..Conditions::default() }, None);
        assert_eq!(block.discarded, reason);
    }
}

#[test]
fn text_has_a_sentence_for_each_contender_and_tables_of_what_was_measured() {
    let text = written(|out| comparison(3).text(out));
    let expected = "\
nginx at 500 requests/s: 12.5 us of CPU time for each request; slower than direct by 3.00 ms (3.00 ms to 3.00 ms, 98.8%) at the p50 and 3.00 ms (3.00 ms to 3.00 ms, 98.8%) at \
the p99 and 3.00 ms (3.00 ms to 3.00 ms, 98.8%) at the mean
Measured: 11 of 11 blocks with a round of 3.00 s for each, in random order, with Poisson arrivals (seed 42); 0 blocks discarded

contender      p50      p99     mean  CPU/request  requests  failed  target
direct     2.00 ms  2.00 ms  2.00 ms            -    16,500       0  http://127.0.0.1:1/
nginx      5.00 ms  5.00 ms  5.00 ms      12.5 us    16,500       0  http://127.0.0.1:2/

more than direct        difference                      interval  times  found
nginx              p50    +3.00 ms  +3.00 ms to +3.00 ms (98.8%)  2.50x  slower
nginx              p99    +3.00 ms  +3.00 ms to +3.00 ms (98.8%)  2.50x  slower
nginx             mean    +3.00 ms  +3.00 ms to +3.00 ms (98.8%)  2.50x  slower

Warning: whether the rate is at most half of the slowest one's knee was not looked for, as --rate was given
Warning: contenders were reached over loopback: they share 2 CPUs with loadgen, and the receiver's TCP ran on the sender's CPU
Warning: 2 CPUs are few: CPU time for each request (--pid, --cgroup) and times at a low rate are what can be compared here
";
    assert_eq!(text, expected);
}

#[test]
fn a_contender_does_not_differ_from_itself_and_what_can_not_be_judged_is_named() {
    let mut found = comparison_with_cpu(0, None);
    assert_eq!(found.sentence(1), "nginx at 500 requests/s: no difference from direct was found");
    assert!(found.is_judged());
    for block in &mut found.blocks {
        block.rounds[1].p99 = None;
    }
    assert_eq!(
        found.sentence(1),
        "nginx at 500 requests/s: no difference from direct was found; the p99 can't be judged"
    );
    found.blocks.truncate(5);
    assert!(!found.is_judged());
    assert_eq!(found.sentence(1), "nginx at 500 requests/s: the p50 and p99 and mean can't be judged");
    let faster = |round: &mut Round| {
        round.p50 = Some(RoundTime { response: 1e6, undelayed: 1e6 });
    };
    let mut found = comparison(0);
    found.cpus = 64;
    found.blocks.iter_mut().for_each(|block| faster(&mut block.rounds[1]));
    let said = "nginx at 500 requests/s: faster than direct by 1.00 ms (1.00 ms to 1.00 ms, 98.8%) at the p50; \
                no difference was found at the p99 and mean; 12.5 us of CPU time for each request";
    assert_eq!(found.sentence(1), said);
}

#[test]
fn blocks_that_were_discarded_do_not_count_and_are_counted() {
    let mut found = comparison(3);
    for (block, reason) in [(2, Reason::Steal), (5, Reason::HeldUp), (7, Reason::HeldUp)] {
        found.blocks[block].discarded = Some(reason);
        found.blocks[block].rounds[1].p50 = None;
    }
    let text = written(|out| found.text(out));
    let said = "8 of 11 blocks with a round of 3.00 s for each, in random order, with Poisson arrivals (seed 42); 3 blocks discarded \
                (1 as other machines had more than 2% of the CPUs (steal), 2 as loadgen was kept from running for more than 100 ms)";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("nginx      5.00 ms  5.00 ms  5.00 ms      12.5 us    12,000 "), "{text}");
}

#[test]
fn what_is_to_be_known_beside_the_figures_is_reported() {
    let mut found = comparison(1);
    let fails = run("-r 500 -d 3s a:1", |n, _| match n % 100 {
        7 => Planted { end: PlantedEnd::Status(503), ..Planted::default() },
        _ => Planted::default(),
    });
    found.blocks[0].add(1, &fails, None);
    found.blocks[1].requests[0].reopened = 1500;
    found.blocks[3].busiest = 0.9;
    found.blocks[4].note(
        0,
        &Conditions { server: Some(ServerConditions { busy: 0.8, lag: 11e6 }), ..Conditions::default() },
        Some(RoundTrips { nearest: 50.0, farthest: 300.0 }),
    );
    assert_eq!(found.blocks[4].discarded, Some(Reason::ServerLate), "the first reason counts");
    found.blocks[5].note(0, &Conditions::default(), Some(RoundTrips { nearest: 50.0, farthest: 300.0 }));
    found.faults = vec!["nginx compresses: content-encoding gzip".to_owned()];
    found.unknown = vec!["whether ...".to_owned()];
    (found.is_cut_short, found.sides[1].knee) = (true, Some(Knee { rate: 900.0, is_lower_bound: true }));
    let text = written(|out| found.text(out));
    for said in [
        "Not alike: nginx compresses: content-encoding gzip\nUnknown: whether ...\nWarning: cut short: ",
        "Warning: 500 requests/s are more than half of the slowest one's knee, 900: queues",
        "Warning: nginx: 15 of 13,500 requests did not succeed",
        "Warning: direct: 1,500 connections were closed and opened again",
        "busy 90% of a round",
        "dummy-server's workers were busy 80% of a round",
        "2 blocks discarded (1 as dummy-server got no CPU in time: its timers were more than 10 ms late, 1 as a cache line took more than 2 \
         times as long from CPU to CPU in one round as in another)",
        " >= 900  http://127.0.0.1:2/",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
    assert!(!text.contains("as --rate was given"), "{text}");
}

#[test]
fn json_is_as_its_schema_says_and_has_each_round() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut whole = comparison(3);
    whole.sides[0].knee = Some(Knee { rate: 4000.0, is_lower_bound: false });
    whole.blocks[4].discarded = Some(Reason::OwnDelay);
    whole.bounds =
        ["p(99)<2ms", "nginx.p(50)<1h", "direct.cpu<1s", "cpu>1s"].map(|text| text.parse().unwrap()).to_vec();
    whole.blocks[3].note(
        0,
        &Conditions { server: Some(ServerConditions { busy: 0.5, lag: 0.0 }), ..Conditions::default() },
        Some(RoundTrips { nearest: 50.0, farthest: 99.0 }),
    );
    whole.curve.push(Point { part: 0.25, rates: vec![1000.0, 500.0], blocks: comparison(1).blocks });
    let mut lacking = comparison(0);
    lacking.blocks.truncate(2);
    lacking.blocks[0].rounds[0] = Round::default();
    for found in [&whole, &lacking] {
        let json: Value = serde_json::from_str(&written(|out| found.json(out))).unwrap();
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    assert!(!validator.is_valid(&serde_json::json!({ "version": 1 })), "the schema demands something");
    let json: Value = serde_json::from_str(&written(|out| whole.json(out))).unwrap();
    assert_eq!(json["blocks"].as_array().map(Vec::len), Some(11));
    assert_eq!(
        (&json["blocks"][1]["order"], &json["blocks"][4]["discarded"]),
        (&serde_json::json!([1, 0]), &"own_delay".into())
    );
    let judged: Vec<_> = json["thresholds"].as_array().unwrap().iter().map(|one| &one["judgement"]).collect();
    assert_eq!(judged, ["failed", "passed", "not_judged", "failed"]);
    assert_eq!(json["thresholds"][3]["found_us"], 12.5);
    assert_eq!(
        (&json["blocks"][3]["busiest_server"], &json["blocks"][3]["round_trip_ns"][1]),
        (&0.5.into(), &99.0.into())
    );
    let nginx = &json["contenders"][1];
    assert_eq!((&nginx["taxes"][0]["found"], &nginx["offered"]), (&"slower".into(), &15_000.into()));
    assert_eq!(nginx["figures"]["cpu_us_per_request"]["median"], 12.5);
    let more = nginx["taxes"][0]["difference_us"].as_f64().unwrap();
    assert!((more / 3000.0 - 1.0).abs() < 0.002, "{more}");
    let at_quarter = json["curve"][0]["figures"][1]["p50_us"]["median"].as_f64().unwrap();
    assert!((at_quarter / 3000.0 - 1.0).abs() < 0.002, "{at_quarter}");
}

#[test]
fn markdown_has_the_same_tables() {
    let mut found = comparison(3);
    found.curve.push(Point { part: 0.9, rates: vec![1000.0, 500.0], blocks: comparison(1).blocks });
    found.sides[1].url = "http://a|b:1/".to_owned();
    found.bounds = vec!["nginx.p(99)<2ms".parse().unwrap()];
    let text = written(|out| found.text(out));
    let judged = "\nThreshold nginx.p(99)<2ms of nginx: failed (+3.00 ms, +3.00 ms to +3.00 ms (98.8%))\n";
    assert!(text.contains(judged), "{text}");
    let markdown = written(|out| found.markdown(out));
    for said in [
        "**nginx at 500 requests/s: 12.5 us of CPU time for each request; slower than direct by 3.00 ms",
        "| contender | p50 | p99 | mean | CPU/request | requests | failed | target |\n|---|---|---|---|---|---|---|---|\n",
        "| nginx | 5.00 ms | 5.00 ms | 5.00 ms | 12.5 us | 16,500 | 0 | http\\://a\\|b\\:1/ |",
        "| nginx | p50 | +3.00 ms | +3.00 ms to +3.00 ms (98.8%) | 2.50x | slower |",
        "| nginx | 90% | 500 | 3.00 ms | 3.00 ms | 3.00 ms | 11 |",
        "- Warning: ",
        "- Threshold: nginx.p(99)\\<2ms of nginx: failed (+3.00 ms, +3.00 ms to +3.00 ms (98.8%))",
    ] {
        assert!(markdown.contains(said), "{said} in {markdown}");
    }
}
