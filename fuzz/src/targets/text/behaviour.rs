//! Behaviours: what was read is shown so that it is read as the same, and no draw leaves its bounds. Before the text
//! is a number of eight bytes, which is the seed of the draws.

use dummy_server::fuzzing::Behaviour;

use super::{HOUR, number, text};
use crate::feedback::met;

/// Words that behaviours are made of.
pub const WORDS: &[&[u8]] = &[
    b"&",
    b"=",
    b":",
    b",",
    b"@",
    b"(",
    b")",
    b"status=",
    b"delay=",
    b"inflight-delay=",
    b"inflight-limit=",
    b"header=",
    b"trailer=",
    b"hints=",
    b"content-type=",
    b"no-length",
    b"chunk=",
    b"gzip=forced",
    b"timing=all",
    b"abort=",
    b"fail-first=",
    b"key=",
    b"close-after=",
    b"rate=",
    b"read-rate=",
    b"early=",
    b"continue=send",
    b"seed=",
    b"sequence=",
    b"default=off",
    b"dummy-",
    b"uniform(0,1h)",
    b"normal(1h,1h)",
    b"pareto(1ns,0.01)",
    b"pareto(0,0.000001)",
    b"rst",
    b"short",
    b"hang",
    b"stream-reset(8)",
    b"goaway(",
    b"body(",
    b"before-headers",
    b"after-headers",
    b"503:10,500:5",
    b"33.333333333",
    b"100",
    b"1h",
    b"0",
    b"18446744073709551615",
    b"9223372036854775806",
    b"%26",
    b"%0d%0a",
    b"+",
    b"a:b",
    b"16M",
];

/// Reads an input, shows it, and draws from it.
pub fn run(input: &[u8]) {
    let (seed, rest) = number(input);
    let text = text(rest);
    match Behaviour::parse(&text) {
        Ok(behaviour) => {
            let shown = behaviour.to_string();
            assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
            let again = Behaviour::parse(&shown).unwrap_or_else(|bad| panic!("{text}: {shown}: {bad}"));
            assert_eq!(again.to_string(), shown, "{text}");
            for sequence in [seed, 0, u64::MAX] {
                let delays = behaviour.draws(seed, sequence);
                assert!(delays.iter().all(|delay| *delay <= HOUR), "{text}: {delays:?}");
                assert_eq!(delays, again.draws(seed, sequence), "{text}: {shown}");
            }
            for pair in shown.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                met((name.to_owned(), value.len().min(20)));
            }
        }
        // What was wrong repeats the input: it would always be new.
        Err(bad) => met(bad.to_string().rsplit("; accepted: ").next().map(str::to_owned)),
    }
}
