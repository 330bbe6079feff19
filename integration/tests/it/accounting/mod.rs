//! One table: whatever is spoken, however requests come to be due, and whatever goes wrong, loadgen's figures add up,
//! and they are the server's.

mod figures;
mod peers;
mod planted;
mod spoken;

use std::{fs, path::PathBuf};

use integration::{
    binaries::loadgen_report,
    cases::{Cases, block_on},
    metrics::{Metrics, REQUESTS},
    report::Report,
};

use self::{
    figures::assert_adds_up,
    spoken::{EACH, Kind, Served, Spoken},
};

tests!();

/// How requests come to be due.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    args: &'static str,
    /// How many are offered, where that is known, in the warm-up and after it.
    warmup: Count,
    offered: Count,
}

#[derive(Clone, Copy, Debug)]
enum Count {
    None,
    Exactly(u64),
    /// As many as there was time for: the shape takes longer than a busy machine keeps a program from running.
    Some,
}

impl Count {
    fn assert(self, found: Option<u64>, what: &str) {
        let holds = match self {
            Self::None => found.is_none(),
            Self::Exactly(count) => found == Some(count),
            Self::Some => found > Some(0),
        };
        assert!(holds, "{what}: {found:?}, not {self:?}");
    }
}

const fn shape(name: &'static str, args: &'static str, warmup: Count, offered: Count) -> Shape {
    Shape { name, args, warmup, offered }
}

const SHAPES: [Shape; 8] = [
    shape("closed_loop_by_total", "-c 3 -n 41", Count::None, Count::Exactly(41)),
    shape("closed_loop_by_duration", "-c 2 -d 400ms", Count::None, Count::Some),
    shape("rate", "-c 2 -r 400 -n 40", Count::None, Count::Exactly(40)),
    shape("poisson", "-c 2 -r 400 -d 100ms --poisson --seed 7", Count::None, Count::Some),
    // A ramp of 20 and a step of 15.
    shape("stages_of_a_rate", "-c 2 --stages 50ms@100..700,50ms@300", Count::None, Count::Exactly(35)),
    shape("stages_of_connections", "--stages 200ms@2c,200ms@2c..4c", Count::None, Count::Some),
    shape("warm_up_at_a_rate", "-c 2 -r 400 -n 30 --warmup 50ms", Count::Exactly(20), Count::Exactly(30)),
    shape("warm_up_of_a_closed_loop", "-c 2 -n 30 --warmup 400ms", Count::Some, Count::Exactly(30)),
];

fn every_protocol_and_shape() -> Cases {
    let mut cases = Cases::new();
    for spoken in EACH {
        for shape in SHAPES {
            let name = format!("accounting::{}::{}", spoken.name, shape.name);
            cases = cases.named(name, move || block_on(agrees_in_every_mode(spoken, shape)));
        }
    }
    cases
}

async fn agrees_in_every_mode(spoken: &'static Spoken, shape: Shape) {
    let mut served = Served::start(spoken, &[]);
    for workers in ["1", "2"] {
        let report = served.run(shape, workers, &[&served.url(spoken.path)]);
        assert_eq!(report.requests("succeeded"), report.requests("offered"), "{:#}", report.json());
        served.assert_counted(&report, spoken.endpoint).await;
    }
    if spoken.kind == Kind::Http {
        several_requests(&mut served, shape).await;
        // A total after a warm-up of a closed loop can't be shared out to targets, and is refused.
        if !matches!((shape.warmup, shape.offered), (Count::Some, Count::Exactly(_))) {
            several_targets(&mut served, shape).await;
        }
    }
}

/// What a run of this shape counts, which adds up.
impl Served {
    fn run(&self, shape: Shape, workers: &str, more: &[&str]) -> Report {
        let args: Vec<&str> = self.flags("3").into_iter().chain(shape.args.split(' ')).collect();
        let report = loadgen_report(&[&args[..], &["--workers", workers], more].concat());
        assert_adds_up(&report);
        shape.offered.assert(Some(report.requests("offered")), "offered");
        let warmup = &report.json()["warmup"];
        shape.warmup.assert(warmup["offered"].as_u64(), "offered in the warm-up");
        assert_eq!(warmup["offered"], warmup["sent"], "{:#}", report.json());
        assert_eq!(report.requests("sent"), report.requests("offered"), "{:#}", report.json());
        report
    }

    fn plan(&self, text: &str) -> PathBuf {
        let file = self.directory().join("plan.yaml");
        fs::write(&file, text).expect("a file is written");
        file
    }
}

/// Requests to three endpoints, whose counts are those of the report's names.
async fn several_requests(served: &mut Served, shape: Shape) {
    let plan = served.plan(
        "requests:\n\
         - {name: bin, weight: 3, path: /bin/100}\n\
         - {name: status, path: /status/404}\n\
         - {name: echo, method: POST, path: /echo, body: 'number {{seq}}'}\n",
    );
    let url = served.url("/");
    let report = served.run(shape, "2", &["-f", plan.to_str().expect("a path in UTF-8"), &url]);
    let of = |name: &str| named(&report, |own| own == name);
    assert_eq!(report.requests("client_errors"), of("status"), "{:#}", report.json());
    assert_eq!(report.requests("succeeded"), of("bin") + of("echo"), "{:#}", report.json());
    let before = served.seen;
    served.assert_counted(&report, "").await;
    let metrics = Metrics::read(served.server.admin).await;
    for name in ["bin", "status", "echo"] {
        let counted = metrics.sum(REQUESTS, &[("endpoint", name)]);
        // The other modes ask for /bin, too.
        let counted = if name == "bin" { counted - before } else { counted };
        match shape.warmup {
            Count::None => assert_eq!(counted, of(name), "{name}"),
            _ => assert!(counted >= of(name), "{name}: {counted} and {}", of(name)),
        }
    }
}

/// Two servers alternately: each has the requests that the report says it has.
async fn several_targets(served: &mut Served, shape: Shape) {
    let other = served.another();
    let (first, second) = (served.url(""), other.url(""));
    let plan = served.plan(&format!(
        "targets: ['{first}', '{second}']\n\
         requests: [{{name: both, path: /bin/100}}]\n"
    ));
    let report = served.run(shape, "2", &["-f", plan.to_str().expect("a path in UTF-8")]);
    assert_eq!(report.requests("succeeded"), report.requests("offered"), "{:#}", report.json());
    let all = sent(&report);
    let mut counted = 0;
    let awaited = async |server: &Served, before: u64, least: u64| {
        let seen = Metrics::until(server.server.admin, |m| m.sum(REQUESTS, &[]) >= before + least).await;
        seen.sum(REQUESTS, &[]) - before
    };
    for (server, before) in [(&*served, served.seen), (&other, 0)] {
        let own = named(&report, |name| name.ends_with(&format!(":{}", server.port())));
        let seen = awaited(server, before, own).await;
        match shape.warmup {
            Count::None => assert_eq!(seen, own, "{:#}", report.json()["requests_by_name"]),
            _ => assert!(seen >= own, "{seen} and {own}"),
        }
        counted += seen;
    }
    assert_eq!(counted, all, "{:#}", report.json());
}

/// Completed requests of this name.
fn named(report: &Report, is_meant: impl Fn(&str) -> bool) -> u64 {
    let all = report.json()["requests_by_name"].as_array().expect("a list");
    let own = all.iter().filter(|own| is_meant(own["name"].as_str().expect("a name")));
    own.map(|own| own["completed"].as_u64().expect("a count")).sum()
}

/// Sent in the warm-up and after it.
fn sent(report: &Report) -> u64 {
    report.requests("sent") + report.json()["warmup"]["sent"].as_u64().unwrap_or_default()
}
