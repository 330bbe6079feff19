//! Several loads of a plan at the same time, each with its own figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use contract::id::Id;
use loadgen::{
    Plan, Together,
    plan::{MAX_LOADS, MAX_NAME},
    report,
    summary::{KeptReport, Loads},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    mix::{Seen, ok, path, server},
    peer::{Peer, closed_port},
};

/// A folder with a plan.
struct Written {
    folder: tempfile::TempDir,
    plan: PathBuf,
}

impl Written {
    fn new(plan: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        std::fs::write(&file, plan).unwrap();
        Self { folder, plan: file }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn loadgen(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.current_dir(&self.folder).env_remove("LOADGEN_URL");
        command.args(["--no-progress", "-f"]).arg(&self.plan).args(line.split_whitespace());
        command
    }

    /// The exit code, and what is on standard output and error.
    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        told(&self.loadgen(line).output().unwrap())
    }

    /// The same of another command, with files of the folder.
    fn other(&self, line: &str) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        told(&command.current_dir(&self.folder).args(line.split_whitespace()).output().unwrap())
    }

    fn report(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.file(name)).unwrap()).unwrap()
    }
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn echo() -> (Peer, Seen) {
    server(false, |_| ok("{}"))
}

/// Path and id of each request that came.
fn came(seen: &Seen) -> Vec<(String, Id)> {
    let seen = seen.lock().unwrap();
    let id = |request: &String| {
        let id = request.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        (path(request).to_owned(), Id::read(id.as_bytes()).unwrap())
    };
    seen.iter().map(id).collect()
}

fn offered(load: &Value) -> (u64, u64) {
    let of = |name: &str| load["requests"][name].as_u64().unwrap();
    (of("offered"), of("succeeded"))
}

#[test]
fn each_load_sends_its_own_requests_and_has_its_own_figures() {
    let (peer, seen) = echo();
    let written = Written::new(&format!(
        "target: http://{}
requests:
  - {{name: page, path: /page, weight: 3}}
  - {{name: list, path: /list}}
  - {{name: find, path: /find}}
loads:
  - {{name: steady, rate: 200, total: 80, connections: 2, requests: [page, list]}}
  - {{name: spike, rate: 1000, total: 150, start: 100ms, requests: [find]}}
  - {{name: closed, total: 30, connections: 3}}
",
        peer.address
    ));
    let (code, out, err) = written.run("--report run.json --label a=b");
    assert_eq!(code, Some(0), "{out}{err}");
    let mut counts: BTreeMap<(u8, String), u64> = BTreeMap::new();
    let mut numbers: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    let came = came(&seen);
    for (path, id) in &came {
        *counts.entry((id.load, path.clone())).or_default() += 1;
        numbers.entry(id.load).or_default().push(id.number);
        assert_eq!(id.run, came[0].1.run, "one run");
    }
    let of = |load: u8, path: &str| counts.get(&(load, path.to_owned())).copied().unwrap_or(0);
    assert_eq!([of(0, "/page"), of(0, "/list"), of(0, "/find")], [60, 20, 0]);
    assert_eq!([of(1, "/page"), of(1, "/list"), of(1, "/find")], [0, 0, 150]);
    assert_eq!([of(2, "/page"), of(2, "/list"), of(2, "/find")], [18, 6, 6]);
    for (load, total) in [(0, 80), (1, 150), (2, 30)] {
        let own = numbers.get_mut(&load).unwrap();
        own.sort_unstable();
        assert!(own.iter().copied().eq(0..total), "load {load}: {own:?}");
    }
    let json = written.report("run.json");
    let loads = json["loads"].as_array().unwrap();
    assert_eq!(loads.iter().map(offered).collect::<Vec<_>>(), [(80, 80), (150, 150), (30, 30)]);
    assert_eq!(offered(&json), (260, 260));
    let run = |load: usize, key: &str| loads[load]["run"][key].clone();
    assert_eq!((run(0, "load_name"), run(0, "start_seconds")), ("steady".into(), 0.0.into()));
    assert_eq!((run(1, "load_name"), run(1, "start_seconds")), ("spike".into(), 0.1.into()));
    assert_eq!(loads[2]["origin"]["labels"]["a"], "b");
    let started = |load: usize| loads[load]["origin"]["started_ms"].as_u64().unwrap();
    assert!((99..=101).contains(&(started(1) - started(0))), "{} {}", started(0), started(1));
    let schema: Value = serde_json::from_str(report::json::SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for part in
        ["3 loads at the same time\n", "Load steady, from the beginning\n", "Load spike, from 100 ms on\n"]
    {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
}

#[test]
fn a_load_begins_when_it_says_by_when_its_requests_are_due() {
    let (peer, seen) = echo();
    let written = Written::new(&format!(
        "target: 'http://{}/{{{{now us}}}}'
loads:
  - {{name: steady, rate: 100, total: 50}}
  - {{name: later, rate: 100, total: 5, start: 250ms}}
  - {{name: warm, rate: 100, total: 5, start: 50ms, warmup: 100ms}}
",
        peer.address
    ));
    let (code, out, err) = written.run("");
    assert_eq!(code, Some(0), "{out}{err}");
    let mut first: BTreeMap<u8, u64> = BTreeMap::new();
    for (path, id) in came(&seen) {
        let due: u64 = path[1..].parse().unwrap();
        first.entry(id.load).and_modify(|first| *first = due.min(*first)).or_insert(due);
    }
    for (load, start) in [(1, 250_000), (2, 50_000)] {
        let after = first[&load] - first[&0];
        assert!(after.abs_diff(start) <= 1, "load {load} began {after} us after the first");
    }
}

#[test]
fn an_interrupt_ends_all_loads_also_one_that_has_not_begun() {
    let (peer, seen) = echo();
    let written = Written::new(&format!(
        "target: http://{}
loads:
  - {{name: steady, rate: 200, duration: 10m}}
  - {{name: closed, duration: 10m, connections: 1, requests: [page]}}
  - {{name: done, total: 3, connections: 1}}
  - {{name: later, rate: 100, start: 2h}}
requests: [{{name: page, path: /page}}]
",
        peer.address
    ));
    let run = written.loadgen("--report run.json").stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let run = run.unwrap();
    let of = |load: u8| came(&seen).iter().filter(|(_, id)| id.load == load).count();
    let until = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            std::thread::yield_now();
        }
    };
    until(&|| of(0) >= 5 && of(2) == 3);
    // The last response is on its way: the others go on for long enough for that load to have ended.
    let (steady, closed) = (of(0) + 100, of(1) + 100);
    until(&|| of(0) >= steady && of(1) >= closed);
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let (code, _, err) = told(&run.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("stopping: waiting for what is in flight"), "{err}");
    let json = written.report("run.json");
    let interrupted = |load: usize| json["loads"][load]["interrupted"].as_bool();
    assert_eq!([0, 1, 2, 3].map(interrupted), [Some(true), Some(true), Some(false), Some(true)]);
    assert_eq!(offered(&json["loads"][2]), (3, 3));
    assert_eq!(offered(&json["loads"][3]), (0, 0));
    assert_eq!(json["requests"]["sent"].as_u64(), Some(came(&seen).len() as u64));
}

#[test]
fn the_exit_code_is_that_of_the_worst_load() {
    let (peer, _) = server(false, |request| match path(request) {
        "/bad" => "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
        _ => ok("{}"),
    });
    let with = |loads: &str| {
        let requests = "[{name: good}, {name: bad, path: /bad}, {name: gone, target: 'http://GONE'}]";
        let requests = requests.replace("GONE", &closed_port().to_string());
        Written::new(&format!("target: http://{}\nrequests: {requests}\nloads:\n{loads}", peer.address))
    };
    let good = "  - {name: a, total: 40, requests: [good]}\n";
    for (other, flags, expected) in [
        ("{name: b, total: 10, requests: [good]}", "--threshold error_rate<1%", 0),
        ("{name: b, total: 10, requests: [bad]}", "", 1),
        ("{name: b, total: 10, requests: [gone]}", "", 1),
        (
            "{name: b, total: 40, requests: [good, bad], thresholds: ['count(503)<21', 'error_rate<=50%']}",
            "",
            0,
        ),
        ("{name: b, total: 40, requests: [good, bad], thresholds: ['count(503)<20']}", "", 99),
        ("{name: b, total: 40, requests: [good, bad]}", "--threshold error_rate<1%", 99),
        ("{name: b, total: 40, requests: [good, bad]}", "--fail-on 5xx", 3),
    ] {
        let written = with(&format!("{good}  - {other}\n"));
        let (code, out, err) = written.run(flags);
        assert_eq!(code, Some(expected), "{other} {flags}: {out}{err}");
    }
    let written = with(
        "  - {name: a, duration: 10m, requests: [good], rate: 100}
  - {name: later, rate: 1, start: 1h}
  - {name: b, duration: 10m, requests: [bad], rate: 500}
",
    );
    let (code, out, err) = written.run("--abort-on error_rate<10% --report run.json");
    assert_eq!(code, Some(1), "the load b has failed: {out}{err}");
    assert!(err.contains("stopped early: error_rate<10% was crossed by the load 'b' (--abort-on)"), "{err}");
    let written = with(
        "  - {name: later, rate: 1, start: 1h}
  - {name: b, duration: 10m, requests: [good, bad], rate: 500}
",
    );
    let (code, out, err) = written.run("--abort-on error_rate<10% --report run.json");
    assert_eq!(code, Some(99), "one that was not to begin yet has not failed: {out}{err}");
}

#[test]
fn a_load_that_can_not_begin_keeps_the_others_from_beginning() {
    let (peer, seen) = echo();
    let written = Written::new(&format!(
        "target: http://{}
requests: [{{name: a}}, {{name: b, target: 'http://{}.invalid'}}]
loads: [{{name: one, requests: [a], rate: 10}}, {{name: other, requests: [b], rate: 10}}]
",
        peer.address,
        "x".repeat(64)
    ));
    let (code, out, err) = written.run("");
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("xxx"), "{err}");
    assert_eq!(came(&seen).len(), 0);
}

#[test]
fn loads_draw_values_of_their_own_from_one_seed() {
    let values = |flags: &str| {
        let (peer, seen) = echo();
        let written = Written::new(&format!(
            "target: 'http://{}/{{{{uuid}}}}'\nseed: 5\nloads: [{{name: a, total: 20}}, {{name: b, total: 20}}]\n",
            peer.address
        ));
        let (code, out, err) = written.run(flags);
        assert_eq!(code, Some(0), "{out}{err}");
        let mut values: Vec<_> =
            came(&seen).into_iter().map(|(path, id)| (id.load, id.number, path)).collect();
        values.sort_unstable();
        values
    };
    let drawn = values("");
    let distinct: BTreeSet<_> = drawn.iter().map(|(.., path)| path).collect();
    assert_eq!(distinct.len(), 40);
    assert_eq!(values("--seed 5"), drawn);
    let others = values("--seed 6");
    assert_eq!(others[0].2, drawn[20].2, "load n of a seed has that of load 0 of n more");
}

#[test]
fn what_several_loads_do_not_go_with_is_refused() {
    let written = Written::new("target: http://127.0.0.1:1\nloads: [{name: a, rate: 5, total: 5}]\n");
    for (flags, said) in [
        ("-r 5", "--rate with several loads in the plan; accepted: it in each load of the plan"),
        ("--stages 1s@5", "--stages with"),
        ("--poisson", "--poisson with"),
        ("--warmup 1s", "--warmup with"),
        ("--max-lag 1s", "--max-lag with"),
        ("--coalesce 1ms", "--coalesce with"),
        ("-n 5", "--total with"),
        ("-d 5s", "--duration with"),
        ("--max-in-flight 5", "--max-in-flight with"),
        ("--on-overload drop", "--on-overload with"),
        ("-c 5", "--connections with"),
        ("--fixed-connections", "--fixed-connections with"),
        ("-m 5", "--streams with"),
        ("--timeout 5s", "--timeout with"),
        ("--connect-timeout 5s", "--connect-timeout with"),
        ("--workers 1", "--workers with"),
        ("--h2-stream-window 5M", "--h2-stream-window with"),
        ("--h2-connection-window 5M", "--h2-connection-window with"),
        ("--h2-max-frame-size 20K", "--h2-max-frame-size with"),
        ("--h2-header-table-size 1K", "--h2-header-table-size with"),
        ("--pipeline 2", "--pipeline with"),
        ("--idle-connections 2", "--idle-connections with"),
        ("--recv-rate 2K", "--recv-rate with"),
        ("--send-rate 2K", "--send-rate with"),
        ("--message-size 2K", "--message-size with"),
        ("--binary", "--binary with"),
        ("--ping-interval 1s", "--ping-interval with"),
        ("--once", "--once with several loads in the plan; accepted: a run of all loads without it"),
    ] {
        let (code, _, err) = written.run(flags);
        assert_eq!((code, err.lines().count()), (Some(2), 1), "{flags}: {err}");
        assert!(err.contains(said), "{flags}: {err}");
    }
    let two = Written::new("target: http://127.0.0.1:1\nloads: [{name: a, total: 1}, {name: b, total: 1}]\n");
    assert_eq!(two.run("--repeat 50 --check").0, Some(0));
    let (code, _, err) = two.run("--repeat 51");
    assert!(
        code == Some(2) && err.contains("'51' for --repeat; accepted: at most 50 rounds of 2 loads"),
        "{err}"
    );
    let (code, _, err) = written.other("find-max -f plan.yaml");
    assert!(code == Some(2) && err.contains("find-max with several loads in the plan"), "{err}");
    let mut command = written.loadgen("--check");
    let (code, _, err) = told(&command.env("LOADGEN_RATE", "7").output().unwrap());
    assert!(code == Some(2) && err.contains("LOADGEN_RATE with several loads"), "{err}");
    let (code, _, err) = written.run("--speed 2x");
    assert!(code == Some(2) && err.starts_with("loadgen: error: --speed needs --replay"), "{err}");
    for flags in ["-H a:b --check", "--no-keepalive --check", "--expect-status 404 --check", "-X PUT --check"]
    {
        assert_eq!(written.run(flags).0, Some(0), "{flags}: what is of no load applies to all");
    }
    // One load that can meet it is enough, and none is a mistake.
    let of = |first: &str, second: &str| {
        let requests = format!("requests: [{{name: a, target: {first}}}, {{name: b, target: {second}}}]");
        let loads = "loads: [{name: x, requests: [a], total: 1}, {name: y, requests: [b], total: 1}]";
        Written::new(&format!("{requests}\n{loads}\n"))
    };
    let (http, calls) = ("http://127.0.0.1:1", "grpc://127.0.0.1:1");
    for (first, second, status, said) in [
        (http, calls, "NOT_FOUND", None),
        (http, calls, "404", None),
        (calls, calls, "NOT_FOUND", None),
        (http, http, "NOT_FOUND", Some("--expect-status=NOT_FOUND with the target http://127.0.0.1:1/;")),
        (calls, calls, "404", Some("--expect-status of HTTP with a gRPC call; accepted: names of gRPC")),
    ] {
        let (code, _, err) = of(first, second).run(&format!("--expect-status {status} --check"));
        assert_eq!(code, Some(if said.is_some() { 2 } else { 0 }), "{first} {second} {status}: {err}");
        assert!(said.is_none_or(|said| err.contains(said)), "{first} {second} {status}: {err}");
    }
}

#[test]
fn mistakes_in_loads_are_reported_with_their_place() {
    let mut wrong = Vec::new();
    for (loads, said) in [
        ("[]", "plan.yaml:4:8: 0 loads; accepted: a list of 1 to 16 loads"),
        ("{a: 1}", "plan.yaml:4:8: a map; accepted: a list"),
        ("[a]", "plan.yaml:4:9: a text; accepted: a map with any of name, start, requests, thresholds, rate"),
        ("[{rate: 5}]", "plan.yaml:4:9: a load without a name; accepted: name: what reports call it"),
        ("[{name: a}, {name: a}]", "plan.yaml:4:27: the name 'a' for the second time"),
        ("[{name: ' '}]", "plan.yaml:4:16: invalid value ' ' for name; accepted: a text of 1 to 128 bytes"),
        ("[{name: \"a\\nb\"}]", "plan.yaml:4:16: invalid value 'a\\nb' for name"),
        ("[{name: }]", "plan.yaml:4:"),
        ("[{name: a, start: -1s}]", "plan.yaml:4:26: invalid value '-1s' for start; accepted: a time from 0"),
        ("[{name: a, start: 8761h}]", "plan.yaml:4:26: invalid value '8761h' for start"),
        ("[{name: a, start: soon}]", "plan.yaml:4:26: invalid value 'soon' for start"),
        ("[{name: a, starts: 1s}]", "plan.yaml:4:19: unknown key 'starts'; accepted: name, start,"),
        ("[{name: a, requests: []}]", "plan.yaml:4:29: 0 requests; accepted: a list of names"),
        ("[{name: a, requests: x}]", "plan.yaml:4:29: a text; accepted: a list"),
        ("[{name: a, requests: [x, z]}]", "plan.yaml:4:33: unknown request 'z'; accepted: x, y"),
        ("[{name: a, requests: [x, x]}]", "plan.yaml:4:33: the request 'x' for the second time"),
        ("[{name: a, rate: 0}]", "plan.yaml:4:25: invalid value '0' for rate; accepted: requests per second"),
        ("[{name: a}, {name: b, rate: 0}]", "plan.yaml:4:36: invalid value '0' for rate"),
        (
            "[{name: a}, {name: b, poisson: true}]",
            "plan.yaml:4:39: poisson without a rate; accepted: poisson with rate, or with stages of a rate; example: rate: 1000, poisson: true",
        ),
        ("[{name: a, rate: 1, stages: 1s@5}]", "plan.yaml:4:36: stages and rate exclude each other"),
        ("[{name: a, connections: 1, workers: 2}]", "plan.yaml:4:44: invalid value '2' for workers"),
        ("[{name: a}, {name: b, pipeline: 2}]", "plan.yaml:4:40: pipeline with HTTP/2"),
        ("[{name: a, thresholds: x}]", "plan.yaml:4:31: a text; accepted: a list"),
        (
            "[{name: a}, {name: b, thresholds: ['p(99)<1s', 'p(99)']}]",
            "plan.yaml:4:55: invalid value 'p(99)' for thresholds; accepted: a figure (response.p(99)",
        ),
        (
            "[{name: a}]\nload: {rate: 5}",
            "plan.yaml:5:1: loads and load exclude each other; accepted: one of",
        ),
    ] {
        let requests = "requests:\n  - {name: x, path: /x}\n  - {name: y, path: /y}\n";
        // The loads are in the fourth line.
        let plan = format!("{requests}loads: {loads}\ntarget: a:1\n");
        let written = Written::new(&plan);
        let (code, out, err) = written.run("--check");
        if code != Some(2) || !err.contains(said) || err.lines().count() != 1 || !out.is_empty() {
            wrong.push(format!("{loads}: {code:?} {out}{err}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let written = Written::new("target: a:1\nrequests: [{path: /x}]\nloads: [{name: a, requests: [x]}]\n");
    let (_, _, err) = written.run("--check");
    assert!(err.contains("accepted: names of the plan's requests, of which none has one"), "{err}");
}

#[test]
fn loads_and_what_they_say_are_taken_up_to_their_limits() {
    let (peer, seen) = echo();
    let plan = |loads: &[String]| {
        Written::new(&format!("target: http://{}\nloads:\n{}", peer.address, loads.concat()))
    };
    let load = |index: usize| format!("  - {{name: l{index}, total: 2, connections: 1}}\n");
    let most: Vec<_> = (0..MAX_LOADS).map(load).collect();
    let (code, out, err) = plan(&most).run("");
    assert_eq!(code, Some(0), "{out}{err}");
    let mut loads: Vec<_> = came(&seen).iter().map(|(_, id)| id.load).collect();
    loads.sort_unstable();
    assert!(loads.iter().copied().eq((0..16).flat_map(|load| [load, load])), "{loads:?}");
    let more: Vec<_> = (0..=MAX_LOADS).map(load).collect();
    let (code, _, err) = plan(&more).run("--check");
    assert!(code == Some(2) && err.contains("plan.yaml:3:3: 17 loads; accepted: a list of 1 to 16"), "{err}");
    let one = |says: &str| plan(&[format!("  - {{total: 1, {says}}}\n")]).run("--check");
    let thresholds = |count: usize| format!("name: a, thresholds: [{}]", "'rate>1',".repeat(count));
    for (accepted, refused) in [
        (format!("name: {}", "x".repeat(MAX_NAME)), format!("name: {}", "x".repeat(MAX_NAME + 1))),
        ("name: a, start: 8760h".to_owned(), "name: a, start: 8760h1ms".to_owned()),
        (thresholds(64), thresholds(65)),
    ] {
        let (code, out, err) = one(&accepted);
        assert_eq!(code, Some(0), "{out}{err}");
        let (code, out, err) = one(&refused);
        assert_eq!(code, Some(2), "{out}{err}");
    }
}

#[test]
fn a_kept_report_of_loads_is_shown_again() {
    let (peer, _) = echo();
    let written = Written::new(&format!(
        "target: http://{}\nloads: [{{name: a, total: 20}}, {{name: 'b, \"c\"', total: 30, rate: 1000}}]\n",
        peer.address
    ));
    let (code, printed, err) =
        written.run("--report run.json --report run.md --report run.csv --threshold error_rate<50%");
    assert_eq!(code, Some(0), "{printed}{err}");
    let (code, shown, err) = written.other("report run.json --threshold error_rate<50%");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{shown}");
    assert_eq!(shown, printed, "the same again");
    assert_eq!(written.other("report run.json --threshold error_rate>50%").0, Some(99));
    let (_, markdown, _) = written.other("report run.json -o markdown --threshold error_rate<50%");
    assert_eq!(markdown, std::fs::read_to_string(written.file("run.md")).unwrap());
    assert!(markdown.contains("\n## Load b, \"c\", from the beginning\n"), "{markdown}");
    let (_, csv, _) = written.other("report run.json -o csv");
    assert!(csv.starts_with("load,start_seconds,") && csv.contains("\n\"b, \"\"c\"\"\",0,30,"), "{csv}");
    let (_, json, _) = written.other("report run.json -o json --threshold error_rate<50%");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), written.report("run.json"));
    let read =
        |json: &Value| KeptReport::read(&mut json.to_string().as_bytes()).map_err(|error| error.to_string());
    let good = written.report("run.json");
    assert!(matches!(read(&good), Ok(KeptReport::Loads(loads)) if loads.as_slice().len() == 2));
    let with = |change: fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        read(&changed).map(|_| ()).unwrap_err()
    };
    for (error, said) in [
        (with(|json| json["loads"] = Value::Array(Vec::new())), "no loads"),
        (with(|json| json["loads"] = vec![json["loads"][0].clone(); 17].into()), "more than 16 loads"),
        (with(|json| json["loads"][1]["records"]["run"]["load_name"] = Value::Null), "one without a name"),
        (
            with(|json| json["loads"][1]["records"]["run"]["load_name"] = "\u{1b}".into()),
            "control characters",
        ),
        (with(|json| json["loads"][0]["version"] = 1.into()), "unsupported version 1"),
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn rounds_of_loads_have_the_figures_of_each_load_and_are_compared_load_by_load() {
    let (peer, seen) = echo();
    let written = Written::new(&format!(
        "target: http://{}\nloads: [{{name: a, total: 20}}, {{name: 'b, c', total: 30, rate: 3000, start: 5ms}}]\n",
        peer.address
    ));
    let (code, printed, err) = written
        .run("--repeat 4 --report run.json --report run.md --report run.csv --threshold error_rate<50%");
    assert_eq!(code, Some(0), "{printed}{err}");
    assert_eq!(came(&seen).len(), 4 * 50);
    let runs: BTreeSet<_> = came(&seen).iter().map(|(_, id)| id.run).collect();
    assert_eq!(runs.len(), 4, "each round has ids of its own");
    let json = written.report("run.json");
    for round in json["rounds"].as_array().unwrap() {
        let each = round["loads"].as_array().unwrap().iter().map(offered);
        assert_eq!((offered(round), each.collect::<Vec<_>>()), ((50, 50), vec![(20, 20), (30, 30)]));
    }
    let schema: Value = serde_json::from_str(report::json::SCHEMA).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&json));
    for part in
        ["4 rounds of 2 loads at the same time\n", "\nLoad a, from the beginning\n", "\nRound 4: 100% "]
    {
        assert!(printed.contains(part), "no {part} in\n{printed}");
    }
    let (code, shown, err) = written.other("report run.json --threshold error_rate<50%");
    assert_eq!((code, err.as_str(), shown), (Some(0), "", printed), "the same again");
    assert_eq!(written.other("report run.json --threshold error_rate>50%").0, Some(99));
    let (_, again, _) = written.other("report run.json -o json --threshold error_rate<50%");
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), json);
    let markdown = std::fs::read_to_string(written.file("run.md")).unwrap();
    assert!(markdown.contains("\n## Load b, c, from 5.00 ms on\n"), "{markdown}");
    let csv = std::fs::read_to_string(written.file("run.csv")).unwrap();
    assert!(csv.starts_with("round,load,start_seconds,") && csv.contains("\n4,\"b, c\",0.005,30,"), "{csv}");

    let (code, text, err) = written.other("diff run.json run.json");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{text}");
    for part in ["Load a\n\nRounds: 4 old, 4 new\n", "\nLoad b, c\n\nRounds: 4 old, 4 new\n"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let (_, diff, _) = written.other("diff run.json run.json -o json");
    let diff: Value = serde_json::from_str(&diff).unwrap();
    let names: Vec<_> = diff["loads"].as_array().unwrap().iter().map(|load| load["load"].as_str()).collect();
    assert_eq!((names, &diff["loads"][1]["new_rounds"]), (vec![Some("a"), Some("b, c")], &4.into()));
    let (_, markdown, _) = written.other("diff run.json run.json -o markdown");
    assert!(markdown.contains("## Load b, c\n"), "{markdown}");
    assert_eq!(written.other("diff run.json run.json -o csv").0, Some(2));
    let (code, _, err) = written.other("merge run.json run.json");
    assert!(
        code == Some(2) && err.contains("run.json has 4 rounds; accepted: reports of runs without"),
        "{err}"
    );

    let mut others = json.clone();
    for round in others["rounds"].as_array_mut().unwrap() {
        round["loads"][1]["records"]["run"]["load_name"] = "d".into();
    }
    std::fs::write(written.file("others.json"), others.to_string()).unwrap();
    let (code, _, err) = written.other("diff run.json others.json");
    assert!(code == Some(2) && err.contains("run.json has the loads a, b, c, and others.json a, d"), "{err}");
    others["rounds"][0]["loads"][1]["records"]["run"]["load_name"] = "e".into();
    std::fs::write(written.file("others.json"), others.to_string()).unwrap();
    let (_, _, err) = written.other("report others.json");
    assert!(err.contains("rounds of different loads"), "{err}");
    let mut one = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let target = format!("http://{}", peer.address);
    let one =
        one.current_dir(&written.folder).args(["--no-progress", "-n", "5", "--report", "one.json", &target]);
    assert_eq!(told(&one.output().unwrap()).0, Some(0));
    let (code, _, err) = written.other("diff run.json one.json");
    assert!(
        code == Some(2) && err.contains("one.json is of one load, and the other report of several"),
        "{err}"
    );
}

#[test]
fn a_load_that_is_worse_is_a_regression_whatever_the_others_are() {
    let (peer, _) = echo();
    let written = Written::new(&format!(
        "target: http://{}\nloads: [{{name: a, total: 20}}, {{name: b, total: 20}}]\n",
        peer.address
    ));
    assert_eq!(written.run("--repeat 4 --report old.json").0, Some(0));
    // The same rounds, of which one load has failed throughout.
    let other = Written::new(&format!(
        "target: http://{}\nrequests: [{{name: x}}, {{name: y, target: 'http://{}'}}]\n\
         loads: [{{name: a, total: 20, requests: [x]}}, {{name: b, total: 20, requests: [y]}}]\n",
        peer.address,
        closed_port()
    ));
    assert_eq!(other.run("--repeat 4 --report new.json").0, Some(1));
    std::fs::copy(other.file("new.json"), written.file("new.json")).unwrap();
    let (code, text, _) = written.other("diff old.json new.json --fail-on-regression 90%");
    assert_eq!(code, Some(99), "{text}");
    let (_, b) = text.split_once("\nLoad b\n").unwrap();
    let succeeded = b.lines().find(|line| line.starts_with("succeeded ")).unwrap();
    assert!(succeeded.ends_with("  regression"), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_refused_with_what_is_accepted_and_an_example() {
    let written = Written::new("target: a:1");
    std::fs::write(written.file("e.json"), r#"{"version": 9}"#).unwrap();
    for (line, wrong, accepted) in [
        (
            "report nofile",
            "can't read the report nofile: No such file",
            "a JSON report of this loadgen, as of --report=run.json; example: loadgen report run.json",
        ),
        ("report e.json", "can't read the report e.json: ", "example: loadgen report run.json"),
        ("diff e.json e.json", "can't read the report e.json: ", "example: loadgen diff old.json new.json"),
        ("merge e.json e.json", "can't read the report e.json: ", "example: loadgen merge a.json b.json"),
        (
            "--report no/such.json -n 1 127.0.0.1:1",
            "can't write the --report file no/such.json: No such file",
            "a file that can be written, in a folder that exists; example: --report=run.json",
        ),
    ] {
        let (code, out, err) = written.other(line);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{line}: {err}");
        assert!(err.starts_with(&format!("loadgen: error: {wrong}")), "{line}: {err}");
        assert!(err.contains("; accepted: ") && err.contains(accepted), "{line}: {err}");
    }
}

#[test]
fn shards_of_loads_are_merged_load_by_load() {
    let (peer, _) = echo();
    let plan = |loads: &str| Written::new(&format!("target: http://{}\nloads: [{loads}]\n", peer.address));
    let written = plan("{name: a, total: 20}, {name: b, total: 30, rate: 1000, start: 10ms}");
    for name in ["one", "two"] {
        assert_eq!(written.run(&format!("--report {name}.json")).0, Some(0));
    }
    // However long it took until the second one began.
    let (one, mut two) = (written.report("one.json"), written.report("two.json"));
    for load in 0..2 {
        let began = |report: &Value| report["loads"][load]["origin"]["started_ms"].clone();
        assert!(began(&two).is_u64(), "{two}");
        two["loads"][load]["origin"]["started_ms"] = began(&one);
    }
    std::fs::write(written.file("two.json"), two.to_string()).unwrap();
    let (code, merged, err) = written.other("merge one.json two.json");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{merged}");
    let json: Value = serde_json::from_str(&merged).unwrap();
    let each: Vec<_> = json["loads"].as_array().unwrap().iter().map(offered).collect();
    assert_eq!((offered(&json), each), ((100, 100), vec![(40, 40), (60, 60)]));
    assert_eq!(json["loads"][1]["run"]["rate_per_second"], 2000.0);
    assert!(matches!(KeptReport::read(&mut merged.as_bytes()), Ok(KeptReport::Loads(_))));
    let (_, text, _) = written.other("merge one.json two.json -o text");
    assert!(
        text.starts_with("2 loads at the same time\n") && text.contains("\nLoad b, from 10.0 ms on"),
        "{text}"
    );
    let (code, text, _) = written.other("merge one.json two.json --report all.md --report all.json -o text");
    assert!(code == Some(0) && text.starts_with("2 loads at the same time\n"), "{text}");
    assert_eq!(offered(&written.report("all.json")), (100, 100));
    let markdown = std::fs::read_to_string(written.file("all.md")).unwrap();
    assert!(markdown.starts_with("**2 loads at the same time**\n"), "{markdown}");
    let mut one = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let target = format!("http://{}", peer.address);
    let one =
        one.current_dir(&written.folder).args(["--no-progress", "-n", "5", "--report", "run.json", &target]);
    assert_eq!(told(&one.output().unwrap()).0, Some(0));
    for (loads, said) in [
        ("{name: a, total: 20}", "the set of loads differs: 'a, b' and 'a'"),
        ("{name: a, total: 20}, {name: c, total: 1}", "the set of loads differs: 'a, b' and 'a, c'"),
        (
            "{name: a, total: 20}, {name: b, total: 30, rate: 1000}",
            "the load 'b': start of the load differs: '10.0 ms' and '",
        ),
    ] {
        let other = plan(loads);
        assert_eq!(other.run("--report other.json").0, Some(0));
        std::fs::copy(other.file("other.json"), written.file("other.json")).unwrap();
        let (code, _, err) = written.other("merge one.json other.json");
        assert!(code == Some(2) && err.contains(said), "{err}");
    }
    let (code, _, err) = written.other("merge one.json run.json");
    assert!(code == Some(2) && err.contains("one is of several loads, the other of a run with one"), "{err}");
}

#[test]
fn a_plan_with_loads_is_checked_and_printed_load_by_load() {
    let (peer, seen) = echo();
    let written = Written::new(
        "seed: 3
requests: [{name: x, path: /x}, {name: y, path: '/y/{{uuid}}'}]
loads:
  - {name: steady, rate: 10, duration: 1m, requests: [x]}
  - {name: spike, start: 20s, stages: '5s@100..500', poisson: true, requests: [y], thresholds: ['p(99)<2s']}
",
    );
    let target = format!("http://{}", peer.address);
    let (code, out, _) = written.run(&format!("--check {target}"));
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}");
    for part in
        ["valid: the load 'steady': 1 request to http://127", "valid: the load 'spike', from 20.0 s on: 1 "]
    {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
    let (code, out, _) = written.run(&format!("--print {target}"));
    assert_eq!(code, Some(0));
    for part in [
        "Name           steady\n",
        "Name           spike, from 20.0 s on\nThreshold      p(99)<2s\n",
        "Seed           3\n",
        "Seed           4\n",
        "x-request-id: 00000000-00-0000000000000000-00",
        "x-request-id: 00000000-01-0000000000000000-00",
    ] {
        assert!(out.contains(part), "no {part} in\n{out}");
    }
    assert_eq!((came(&seen).len(), peer.connections()), (0, 0));
}

#[test]
fn the_example_in_the_readme_runs() {
    let root = env!("CARGO_MANIFEST_DIR");
    let example = std::fs::read_to_string(format!("{root}/examples/loads.yaml")).unwrap();
    assert!(std::fs::read_to_string(format!("{root}/../README.md")).unwrap().contains(&example));
    let (peer, seen) = echo();
    let written = Written::new(&example);
    let (code, out, err) = written.run(&format!("http://{}", peer.address));
    assert_eq!(code, Some(0), "{out}{err}");
    let came = came(&seen);
    let of = |load: u8| came.iter().filter(|(_, id)| id.load == load).count();
    assert_eq!([of(0), of(1)], [300, 1000]);
}

#[test]
fn a_load_of_messages_is_binary_where_the_plan_says_so() {
    let written = Written::new("target: ws://127.0.0.1:1\nloads: [{name: a, total: 1, binary: true}]\n");
    let (code, out, _) = written.run("--print");
    assert!(code == Some(0) && out.contains("Messages       binary\n"), "{out}");
}

#[test]
fn loads_wait_together_for_their_target() {
    let loads = "loads: [{name: a, total: 2}, {name: b, total: 2, start: 1s}]";
    let written = Written::new(&format!("target: http://{}\n{loads}\n", closed_port()));
    let (code, _, err) = written.run("--wait-for-target 50ms");
    assert!(code == Some(1) && err.contains("has not answered within 50.0 ms"), "{err}");
    let (peer, seen) = echo();
    let written = Written::new(&format!("target: http://{}\n{loads}\n", peer.address));
    let (code, out, err) = written.run("--wait-for-target 5s --report run.json");
    assert_eq!(code, Some(0), "{out}{err}");
    // One to see whether it is there, of each load.
    assert_eq!((came(&seen).len(), offered(&written.report("run.json"))), (6, (4, 4)));
}

#[test]
fn a_program_runs_loads_together() {
    let (peer, _) = echo();
    let plan = |name: &str, after: u64| {
        let target = format!("http://{}", peer.address);
        let plan = Plan::builder(target).rate(500.0).total(50).start(Duration::from_millis(after));
        plan.load_name(name).build().unwrap()
    };
    let together = Together::new(vec![plan("a", 0), plan("b", 30)]).unwrap();
    let running = together.observe(Duration::from_millis(10)).start().unwrap();
    let handle = running.handle();
    let summaries = running.join().unwrap();
    assert_eq!(handle.snapshot().counts.succeeded, 100, "the figures of both");
    let all = Loads::new(summaries).unwrap();
    for (summary, name) in all.as_slice().iter().zip(["a", "b"]) {
        assert_eq!((summary.run.load_name.as_deref(), summary.records.counts.succeeded), (Some(name), 50));
        assert!(!summary.interrupted);
    }
    assert!(Together::new(Vec::new()).is_none());
    assert!(Together::new(vec![plan("a", 0); MAX_LOADS + 1]).is_none());
    let together = Together::new(vec![plan("a", 0), plan("b", 3_600_000)]).unwrap();
    together.handle().abort();
    let summaries = together.start().unwrap().join().unwrap();
    assert!(summaries.iter().all(|summary| summary.interrupted && summary.records.counts.sent() == 0));
}
