//! Plans with several targets: what goes where, in which shares, and what one target does to the others.

use std::{collections::BTreeMap, path::Path, sync::PoisonError};

use loadgen::{Plan, Run, plan::file::PlanFile};

use crate::{
    mix::{Seen, ok, path, server},
    peer::{closed_port, finish, read_request, serve},
};

/// How many requests each server has seen, by path.
fn seen_by_path(seen: &Seen) -> BTreeMap<String, usize> {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.iter().fold(BTreeMap::new(), |mut counts, request| {
        *counts.entry(path(request).to_owned()).or_default() += 1;
        counts
    })
}

#[test]
fn requests_go_to_all_targets_in_turn_or_to_their_own() {
    for load in [
        "{total: 120, connections: 4, workers: 2}",
        "{total: 120, rate: 1000, workers: 2}",
        "{total: 120, rate: 1000, poisson: true, duration: 10s}",
        "{total: 120, connections: 3, workers: 1}",
        "{total: 120, rate: 600, warmup: 100ms}",
    ] {
        let ((a, by_a), (b, by_b)) = (server(false, |_| ok("ok")), server(false, |_| ok("ok")));
        let text = format!(
            "targets: [http://{0}, 'http://{1}/of/b']\n\
             requests: [{{name: both, weight: 2, path: /x}}, {{target: 'http://{1}/own'}}, {{name: a, target: 'http://{0}', path: /a}}]\n\
             load: {load}\n",
            a.address, b.address
        );
        let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
        let plan = file.builder(None).unwrap().build().unwrap();
        assert_eq!(plan.sites().len(), 2);
        let summary = finish(Run::new(plan));
        assert_eq!((summary.records.counts.offered, summary.records.counts.succeeded), (120, 120), "{load}");
        let counts = |seen: &Seen| seen_by_path(seen).into_iter().collect::<Vec<_>>();
        let (of_a, of_b) = (counts(&by_a), counts(&by_b));
        if load.contains("warmup") {
            assert!(of_a.iter().chain(&of_b).map(|(_, count)| count).sum::<usize>() > 120);
        } else {
            let paths =
                |counts: &[(&str, usize)]| counts.iter().map(|(path, n)| ((*path).to_owned(), *n)).collect();
            let expected: (Vec<_>, Vec<_>) =
                (paths(&[("/a", 30), ("/x", 30)]), paths(&[("/own", 30), ("/x", 30)]));
            assert_eq!((of_a, of_b), expected, "{load}");
        }
        let names: Vec<_> = summary.records.requests.iter().map(|of| (of.name.clone(), of.offered)).collect();
        let own = format!("GET /own at {}", b.address);
        let expected = [
            (format!("both at {}", a.address), 30),
            (format!("both at {}", b.address), 30),
            (own, 30),
            ("a".to_owned(), 30),
        ];
        assert_eq!(names, expected, "{load}");
        assert!(
            summary.run.target.contains(&a.address.to_string())
                && summary.run.target.contains(&b.address.to_string())
        );
    }
}

#[test]
fn exact_counts_hold_over_targets_and_a_dead_one_fails_its_own_requests_alone() {
    let (peer, seen) = server(false, |_| ok("ok"));
    let dead = closed_port();
    for load in ["{connections: 2}", "{rate: 1000}"] {
        seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let text = format!(
            "targets: [http://{}, http://{dead}]\nrequests: [{{count: 5, path: /x}}, {{count: 3, path: /y}}]\nload: {load}\n",
            peer.address
        );
        let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
        let summary = finish(Run::new(file.builder(None).unwrap().build().unwrap()));
        let counts = &summary.records.counts;
        // 3 and 1 of one, 2 and 2 of the other.
        assert_eq!(
            (counts.offered, counts.succeeded, counts.transport_failed),
            (8, 4, 4),
            "{load}: {counts:?}"
        );
        assert_eq!(
            seen_by_path(&seen).into_iter().collect::<Vec<_>>(),
            [("/x".to_owned(), 3), ("/y".to_owned(), 1)]
        );
        // A target that is given beside the plan is the only one.
        let alone = format!("http://{}", peer.address);
        assert_eq!(file.builder(Some(&alone)).unwrap().build().unwrap().sites().len(), 1);
    }
}

#[test]
fn a_slow_target_holds_up_no_other() {
    let hold = serve(|_, mut stream| while read_request(&mut stream).is_some() {});
    let (quick, _) = server(false, |_| ok("ok"));
    let text = format!(
        "targets: [http://{}, http://{}]\nload: {{total: 100, rate: 500, timeout: 2s, max_in_flight: 10}}\n",
        quick.address, hold.address
    );
    let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
    let summary = finish(Run::new(file.builder(None).unwrap().build().unwrap()));
    assert_eq!(summary.records.counts.succeeded, 50, "{:?}", summary.records.counts);
    assert!(summary.records.times.response.max() < 1_500_000_000, "{}", summary.records.times.response.max());
}

#[test]
fn targets_that_make_no_sense_together_are_refused() {
    for (text, said) in [
        ("targets: [grpc://a:1, ws://b:1]", "the target ws://b:1/ beside others"),
        ("targets: [ws://a:1, http://b:1]", "beside others"),
        ("targets: [http://a:1, nonsense]", "invalid target 'nonsense'"),
        ("target: http://a:1\nrequests: [{target: '::'}]", "plan.yaml:2:21"),
        (
            "targets: [http://a:1, http://b:1]\nload: {total: 10, warmup: 1s, connections: 2}",
            "plan.yaml:2:15: total of requests to several targets after warmup of a closed loop",
        ),
    ] {
        let file = PlanFile::parse(text, "plan.yaml", Path::new(""));
        let error = file.and_then(|file| file.builder(None)?.build()).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let many: Vec<_> = (1..=65).map(|port| format!("http://a:{port}")).collect();
    let text = format!("target: http://a:1\nrequests: [{{target: '{}'}}]", many[1..].join("'}, {target: '"));
    let file = PlanFile::parse(&text, "plan.yaml", Path::new("")).unwrap();
    assert!(file.builder(None).unwrap().build().unwrap_err().to_string().contains("more than 64 targets"));
}

fn from_file(text: &str) -> Result<Plan, loadgen::PlanError> {
    PlanFile::parse(text, "plan.yaml", Path::new(""))?.builder(None)?.build()
}

#[test]
fn a_target_without_requests_is_none() {
    let ((unused, _), (used, seen)) = (server(false, |_| ok("ok")), server(false, |_| ok("ok")));
    for load in
        ["{duration: 200ms, connections: 2}", "{stages: '100ms@1c,100ms@3c'}", "{total: 10, rate: 500}"]
    {
        let text = format!(
            "target: http://{}\nrequests: [{{target: 'http://{}'}}]\nload: {load}\n",
            unused.address, used.address
        );
        let plan = from_file(&text).unwrap();
        assert_eq!(plan.sites().len(), 1, "{load}");
        let summary = finish(Run::new(plan));
        assert!(summary.records.counts.succeeded > 0, "{load}: {:?}", summary.records.counts);
        assert_eq!(unused.connections(), 0, "{load}");
    }
    assert!(!seen.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    // The plan's own target, said again, is not another one.
    let text = "target: ws://a/ws\nrequests: [{target: 'ws://a/ws', body: x}]\n";
    assert_eq!(from_file(text).unwrap().target().to_string(), "ws://a:80/ws");
    // Where all say where they go, there need be no other target.
    let plan = from_file(&format!("requests: [{{target: 'http://{}'}}]\n", used.address)).unwrap();
    assert_eq!(plan.target().port, used.address.port());
    let both = from_file("target: http://a\ntargets: [http://b]\n").unwrap_err().to_string();
    assert!(both.contains("exclude each other"), "{both}");
}

#[test]
fn shares_of_targets_are_kept_in_a_closed_loop_of_any_length() {
    for (weight, connections, workers) in [(1, 1, 1), (9, 2, 2), (1000, 3, 1)] {
        let ((a, of_a), (b, of_b)) = (server(false, |_| ok("ok")), server(false, |_| ok("ok")));
        let text = format!(
            "requests: [{{target: 'http://{}', weight: {weight}}}, {{target: 'http://{}'}}]\n\
             load: {{duration: 500ms, connections: {connections}, workers: {workers}}}\n",
            a.address, b.address
        );
        let summary = finish(Run::new(from_file(&text).unwrap()));
        let [of_a, of_b] = [of_a, of_b].map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).len());
        assert_eq!((of_a + of_b) as u64, summary.records.counts.succeeded);
        // To within what the slots of the workers may be ahead.
        let (expected, ahead) = (of_a / weight, 2 + 2 * connections * workers);
        assert!(of_b.abs_diff(expected) <= ahead, "{weight}: {of_a} and {of_b}");
        assert!(of_a > 2 * weight || weight > 100, "{of_a}");
    }
}

#[test]
fn failures_of_one_target_are_not_blamed_on_the_others() {
    let (peer, _) = server(false, |_| ok("ok"));
    let dead = closed_port();
    let text = format!("targets: [http://{}, http://{dead}]\nload: {{total: 10}}\n", peer.address);
    let summary = finish(Run::new(from_file(&text).unwrap()));
    assert_eq!(summary.records.counts.transport_failed, 5);
    let said = summary.verdict().join(" ");
    assert!(said.contains(&format!("(http://{dead}/)")), "{said}");
    assert!(said.contains("refused") && !said.contains(&peer.address.to_string()), "{said}");
}

#[cfg(feature = "embedded")]
#[test]
fn the_time_of_a_fast_target_is_not_that_of_a_slow_one_in_a_closed_loop() {
    use loadgen::embedded::Embedded;
    let (fast, slow) = (Embedded::start().unwrap(), Embedded::start().unwrap());
    let text = format!(
        "targets: [http://{}/bin/1, http://{}/delay/200]\nload: {{total: 20, connections: 2, workers: 1}}\n",
        fast.address(),
        slow.address()
    );
    let summary = finish(Run::new(from_file(&text).unwrap()));
    let p50: Vec<_> = summary.records.requests.iter().map(|of| of.response.value_at_quantile(0.5)).collect();
    assert_eq!(summary.records.counts.succeeded, 20);
    assert!(p50[0] < 100_000_000 && p50[1] >= 200_000_000, "{p50:?}");
    fast.stop();
    slow.stop();
}

#[test]
fn urls_without_a_path_are_of_the_root_and_what_is_left_of_counts_goes_round() {
    let ((a, of_a), (b, of_b)) = (server(false, |_| ok("ok")), server(false, |_| ok("ok")));
    let text = format!(
        "targets: [http://{0}/x, http://{0}/, http://{1}]\nrequests: [{{count: 4}}, {{count: 4}}, {{count: 1}}]\n",
        a.address, b.address
    );
    let summary = finish(Run::new(from_file(&text).unwrap()));
    assert_eq!(summary.records.counts.succeeded, 9);
    let counts = |seen: &Seen| seen_by_path(seen).into_iter().collect::<Vec<_>>();
    // Three for each.
    assert_eq!(counts(&of_a), [("/".to_owned(), 3), ("/x".to_owned(), 3)]);
    assert_eq!(counts(&of_b), [("/".to_owned(), 3)]);
    // The same host and port, by two protocols, is distinguished.
    let plan = from_file("targets: [http://a:1/x, h2c://a:1/x]\n").unwrap();
    let names: Vec<_> = plan.requests().iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["GET /x at http://a:1", "GET /x at h2c://a:1"]);
}

#[test]
fn streams_and_pipelines_are_those_of_targets_that_are_used() {
    let plan =
        from_file("target: http://a\nrequests: [{target: 'h2c://b:1'}]\nload: {streams: 50}\n").unwrap();
    assert_eq!((plan.sites().len(), plan.load().streams.get()), (1, 50));
}
