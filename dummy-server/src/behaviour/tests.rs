//! What is accepted, how it is shown, and what is refused.

use std::num::NonZeroU64;

use contract::quantity::Percent;
use http::StatusCode;

use super::{
    asked::Delay,
    knobs::{Entry, TABLE},
    *,
};

fn read(text: &str) -> Behaviour {
    Behaviour::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn percent(text: &str) -> Percent {
    Percent::read(text).unwrap()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn statuses_and_delays_have_shares() {
    let status = |code| StatusCode::from_u16(code).unwrap();
    let asked = read("status=503:10,500:5&delay=5ms:90,uniform(1ms,20ms):10");
    assert_eq!(asked.status, Some(vec![(status(503), percent("10")), (status(500), percent("5"))]));
    let delays =
        vec![(Delay::Constant(ms(5)), percent("90")), (Delay::Uniform(ms(1), ms(20)), percent("10"))];
    assert_eq!(asked.delay, Some(delays));
    assert_eq!(read("dummy-status=404").status, Some(vec![(status(404), Percent::ALL)]));
    assert_eq!(
        read("delay=normal(20ms,5ms)").delay,
        Some(vec![(Delay::Normal(ms(20), ms(5)), Percent::ALL)])
    );
    assert_eq!(read("delay=pareto(5ms, 1.5):2").delay, Some(vec![(Delay::Pareto(ms(5), 1.5), percent("2"))]));
    assert_eq!(read("status=503:33.3,500:66.7").status.map(|list| list.len()), Some(2));
}

#[test]
fn aborts_have_a_fault_a_point_and_a_share() {
    for (text, cut, point, share) in [
        ("rst", Cut::Reset, Point::BeforeHeaders, "100"),
        ("fin@after-headers", Cut::Close, Point::AfterHeaders, "100"),
        ("hang@body(2K):12.5", Cut::Hang, Point::Body(2048), "12.5"),
        ("short", Cut::Short, Point::Middle, "100"),
        ("short@body(0)", Cut::Short, Point::Body(0), "100"),
        ("stream-reset", Cut::ResetStream(2), Point::BeforeHeaders, "100"),
        ("stream-reset(cancel)@body(1)", Cut::ResetStream(8), Point::Body(1), "100"),
        ("stream-reset(ENHANCE-YOUR-CALM)", Cut::ResetStream(11), Point::BeforeHeaders, "100"),
        ("goaway(77):1", Cut::GoAway(77), Point::BeforeHeaders, "1"),
    ] {
        let expected = Breach { cut, point, percent: percent(share) };
        assert_eq!(read(&format!("abort={text}")).abort, Some(expected), "{text}");
    }
}

#[test]
fn fields_keep_their_case_and_may_come_again() {
    let asked = read(
        "header=X-One:a%20b&header=x-one:&trailer=T: c&hints=<%2Fa>;rel=preload&key=k&no-length&cors=FALSE",
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(asked.headers, [pair("X-One", "a b"), pair("x-one", "")]);
    assert_eq!(asked.trailers, [pair("T", "c")]);
    assert_eq!(asked.hints, ["</a>;rel=preload"]);
    assert_eq!((asked.no_length, asked.cors), (Some(true), Some(false)));
}

#[test]
fn invalid_behaviours_are_refused_with_what_is_accepted() {
    for text in [
        "status=199",
        "status=503:101",
        "status=503:60,500:60",
        "status=503,500",
        "status=",
        "status=503:-1",
        "status=503:1e1",
        "status=503:100.0000001",
        "status=503:NaN",
        "status=503:33.3,500:66.7001",
        "delay=5",
        "delay=uniform(20ms,1ms)",
        "delay=uniform(1ms)",
        "delay=2h",
        "delay=-1ms",
        "delay=pareto(1ms,0)",
        "delay=pareto(0,0.000001)",
        "delay=pareto(0,1.5)",
        "delay=pareto(1ms,0.009)",
        "delay=pareto(1ms,1001)",
        "delay=pareto(1ms,NaN)",
        "delay=pareto(1ms,inf)",
        "delay=pareto(1ms,-1)",
        "delay=pareto(2h,1)",
        "delay=normal(1ms,2h)",
        "delay=uniform(0,9223372036854775807s)",
        "delay=5ms:90,1s:10.0001",
        "delay=normal(1ms,x)",
        "inflight-limit=0",
        "header=nothing",
        "header=a b:c",
        "header=a:b%0d%0ac",
        "header=:x",
        "trailer=x",
        "hints=",
        "content-type=",
        "no-length=maybe",
        "cors=maybe",
        "chunk=0",
        "chunk=17M",
        "gzip=br",
        "abort=explode",
        "abort=rst@somewhere",
        "abort=rst@body",
        "abort=rst@body(x)",
        "abort=rst:200",
        "abort=short@body(9223372036854775807)",
        "abort=short@body(18446744073709551615)",
        "abort=rst@body(16777216T)",
        "abort=stream-reset(4294967296)",
        "abort=short@before-headers",
        "abort=stream-reset(nothing)",
        "fail-first=0",
        "key=",
        "close-after=0",
        "rate=0",
        "rate=fast",
        "rate=18446744073709551616",
        "read-rate=16777216T",
        "inflight-delay=61m",
        "inflight-limit=18446744073709551616",
        "read-rate=",
        "early=100",
        "continue=maybe",
        "seed=x",
        "sequence=-1",
        "default=on",
        "nonsense=1",
    ] {
        let bad = Behaviour::parse(text).expect_err(text);
        let name = text.split('=').next().unwrap_or_default();
        assert!(bad.error.contains(name), "{text}: {}", bad.error);
        assert!(!bad.accepted.is_empty());
    }
    assert!(Behaviour::parse(&format!("key={}", "k".repeat(129))).is_err());
    assert!(Behaviour::parse(&"header=a:b&".repeat(65)).is_err());
}

#[test]
fn every_name_is_in_the_help() {
    let help = help();
    for Entry { name, .. } in TABLE {
        assert!(help.lines().any(|line| line.split(' ').next() == Some(*name)), "{name}");
    }
}

/// Everything that the grammar takes, each at its ends.
const ACCEPTED_EXTREMES: &[&str] = &[
    "status=200",
    "status=599:0",
    "status=503:33.333333333,500:66.666666667",
    "delay=0",
    "delay=1h",
    "delay=1ns",
    "delay=uniform(0,0)",
    "delay=uniform(1h,1h):100",
    "delay=normal(1h,1h)",
    "delay=pareto(1ns,0.01)",
    "delay=pareto(1h,1000):0.000000001",
    "delay=1.5ms:50,pareto(5ms, 1.5):50",
    "inflight-delay=1h&inflight-limit=18446744073709551615",
    "header=a:%25%26%2B%23%09x=y&header=b:&trailer=C: d&hints=</a>;rel=preload&hints=%E4",
    "content-type=text/html; charset%3Dutf-8",
    "no-length&chunk=1",
    "no-length=off&chunk=16M",
    "cors=off",
    "gzip=forced&timing=last-byte&early=599&continue=ignore",
    "gzip=negotiated&continue=send",
    "continue=refuse",
    "abort=short",
    "abort=short@body(9223372036854775806)",
    "abort=hang@after-headers:0.5",
    "abort=stream-reset(CANCEL)@body(0)",
    "abort=goaway(4294967295):100",
    "fail-first=1&key=%C3%A4 b",
    "close-after=18446744073709551615",
    "rate=1&read-rate=18446744073709551615",
    "rate=16777215T",
    "seed=0&sequence=18446744073709551615",
    "default=off",
    "",
];

#[test]
fn a_behaviour_is_shown_in_a_form_that_is_read_as_the_same() {
    for text in ACCEPTED_EXTREMES {
        let asked = read(text);
        let shown = asked.to_string();
        assert_eq!(read(&shown), asked, "{text}: {shown}");
        assert_eq!(read(&shown).to_string(), shown);
        assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
    }
    for (text, shown) in [
        ("dummy-delay=1000ms&status=503:100.0", "status=503&delay=1s"),
        ("abort=stream-reset", "abort=stream-reset(2)@before-headers"),
        ("header=A: b c", "header=A:b%20c"),
        ("rate=65536", "rate=64K"),
    ] {
        assert_eq!(read(text).to_string(), shown);
    }
}

#[test]
fn every_name_is_shown_when_it_was_asked_for() {
    let all = ACCEPTED_EXTREMES.join("&");
    for Entry { name, .. } in TABLE {
        assert!(all.contains(name), "{name} has an extreme");
    }
}

#[test]
fn lists_of_shares_have_a_limit() {
    let list = |count| format!("status={}", vec!["503:1"; count].join(","));
    assert_eq!(read(&list(64)).status.map(|list| list.len()), Some(64));
    assert!(Behaviour::parse(&list(65)).is_err());
    assert_eq!(read("rate=1").rate, Some(NonZeroU64::MIN));
}
