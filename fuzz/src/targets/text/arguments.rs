//! loadgen's arguments and targets, a word on each line: a plan that comes of them has numbers within bounds. Files are
//! not read.

use clap::Parser as _;
use loadgen::{
    Plan,
    cli::Args,
    compare::Bound,
    plan::{Load, OtherEnd, Target, Version, load},
};

use super::text;
use crate::feedback::met;

/// Words that command lines are made of.
pub const WORDS: &[&[u8]] = &[
    b"\n",
    b"-r\n",
    b"--rate=",
    b"-t\n",
    b"--total=",
    b"-d\n",
    b"--duration=",
    b"--stages=",
    b"10s@100",
    b"30s@0..1e8,",
    b"1ms@10c..0c",
    b"--poisson",
    b"--seed=",
    b"--warmup=",
    b"--max-lag=",
    b"--coalesce=",
    b"-c\n",
    b"--connections=",
    b"-m\n",
    b"--streams=",
    b"--max-in-flight=",
    b"--timeout=",
    b"--connect-timeout=",
    b"--workers=",
    b"--h2-stream-window=",
    b"--idle-connections=",
    b"--pipeline=",
    b"--follow=",
    b"--recv-rate=",
    b"--send-rate=",
    b"--h2-connection-window=",
    b"--h2-max-frame-size=",
    b"--h2-header-table-size=",
    b"64K",
    b"--http2",
    b"--http1.0",
    b"--fixed-connections",
    b"--once",
    b"-H\n",
    b"-b\n",
    b"--chunked",
    b"--expect-continue",
    b"--trailer=",
    b"-X\n",
    b"--request-id-header=",
    b"a:1",
    b"http://",
    b"h2c://",
    b"https://",
    b"[::1]:80",
    b"/bin/1K",
    b"?",
    b"#",
    b"0",
    b"1",
    b"0.001",
    b"1e8",
    b"1e400",
    b"NaN",
    b"inf",
    b"-1",
    b"8760h",
    b"1ns",
    b"18446744073709551615",
    b"1000000",
    b"x: y",
    b"content-length: 1",
    b"--no-templates",
    b"--seed=",
    b"{{seq}}",
    b"{{random 1 2}}",
    b"--blocks=",
    b"--pid=b=1,2",
    b"--cgroup=b=/x",
    b"--threshold=b.p(99)<2ms",
    b"--threshold=cpu<=-1us",
    b"--curve",
    b"--force",
    b"--max-knee=",
    b"a=a:1\nb=a:1",
    b"--slo=p(99)<20ms",
    b"--start-rate=",
];

/// Arrivals are in order and within the run, and as many as are expected.
fn check_arrivals(load: &Load) {
    let Some(arrivals) = load.arrivals() else { return };
    let some: Vec<_> = arrivals.clone().take(100).collect();
    assert!(some.is_sorted_by(|one, next| one.number < next.number && one.at <= next.at), "{some:?}");
    if let Some(count) = arrivals.count() {
        assert_eq!(some.len() as u64, count.min(100), "{arrivals:?}");
        for due in &some {
            assert!(arrivals.expected_by(due.at + 1) > due.number, "{due:?} of {arrivals:?}");
        }
    }
    met(("arrivals", some.len(), load.is_random(), load.stages.is_some()));
}

/// Reads an input.
pub fn run(input: &[u8]) {
    let text = text(input);
    for version in [Version::Any, Version::Http1, Version::Http2] {
        if let Ok(target) = Target::parse(&text, version) {
            let shown = target.to_string();
            assert_eq!(Target::parse(&shown, version).ok().as_ref(), Some(&target), "{text}: {shown}");
            met((target.port.leading_zeros(), target.host.len().min(9), shown.len().min(30)));
        }
    }
    for line in text.lines() {
        if let Ok(bound) = line.parse::<Bound>() {
            assert_eq!(bound.to_string().parse().as_ref(), Ok(&bound), "{line}");
            met(("bound", bound.contender().is_some(), format!("{:?}", bound.figure())));
        }
    }
    for command in [Args::described_comparison(), Args::described_search()] {
        let name = command.get_name().to_owned();
        match command.try_get_matches_from(std::iter::once("loadgen").chain(text.lines())) {
            Ok(matches) => met((name, matches.ids().count())),
            Err(error) => met((name, format!("{:?}", error.kind()))),
        }
    }
    let args = match Args::try_parse_from(std::iter::once("loadgen").chain(text.lines())) {
        Ok(args) => args,
        Err(error) => return met(format!("{:?}", error.kind())),
    };
    let reads_files = args.body_file.is_some()
        || args.plan.is_some()
        || args.url_file.is_some()
        || args.replay.is_some()
        || args.cacert.is_some()
        || args.cert.is_some();
    if reads_files {
        return;
    }
    match Plan::try_from(&args) {
        Ok(plan) => {
            let load = plan.load();
            assert!(
                load.max_in_flight.get() <= load::MAX_IN_FLIGHT && load.streams.get() <= load::MAX_STREAMS
            );
            assert!(plan.workers() <= load.connections && plan.workers().get() <= 256);
            let window = load.window();
            check_arrivals(load);
            assert!(!plan.request().http1().head().is_empty() && plan.request().http2().len() >= 4);
            met(("plan", window.map(|window| window.as_secs().checked_ilog2()), load.total.is_some()));
            for files in [0, 1024, u64::MAX] {
                let fitted = plan.clone().within_files(files, OtherEnd::Here);
                assert!(fitted.is_ok() || files < u64::MAX);
                assert!(fitted.is_err() || files > 0);
                if let Ok((plan, _)) = fitted {
                    assert!(plan.load().max_connections.get() as u64 <= files);
                }
            }
        }
        Err(error) => met(error.to_string().split('\'').next().map(str::to_owned)),
    }
}
