//! Where the time of verified requests went, in sentences.

use crate::{
    numbers::{count, time},
    verify::{PartFigures, TimeSplit, Ways},
};

/// Of fewer, fewer than ten lie above their p99.
const ENOUGH: u64 = 1000;

pub(super) fn sentences(split: &TimeSplit) -> Vec<String> {
    let TimeSplit { ways, server_us, outside_us, untold, impossible } = split;
    let mut sentences = Vec::new();
    if let Some(Ways { there_us, back_us }) = ways {
        let of = count(there_us.count);
        let parts =
            [("the way there took ", there_us), ("the server ", server_us), ("the way back ", back_us)];
        sentences.push(format!("{} ({of} requests, by the clock that both ends share)", told(&parts)));
    }
    let apart = server_us.count - ways.as_ref().map_or(0, |ways| ways.there_us.count);
    if apart > 0 && ways.is_some() {
        let parts = told(&[("both ways together took ", outside_us)]);
        let of = count(apart);
        sentences.push(format!("{parts} ({of} requests whose server's clock is another)"));
    } else if apart > 0 {
        let (of, parts) =
            (count(apart), [("the server took ", server_us), ("both ways together ", outside_us)]);
        let why = "the clock of the servers is another";
        sentences.push(format!("{} ({of} requests; the ways are not distinguished: {why})", told(&parts)));
    }
    for (times, replies, what) in [
        (*untold, ["reply does", "replies do"], "not say when the request was seen"),
        (*impossible, ["reply has", "replies have"], "impossible timestamps, and no part contains them"),
    ] {
        if times > 0 {
            sentences.push(format!("{} {} {what}", count(times), replies[usize::from(times > 1)]));
        }
    }
    sentences
}

fn told(parts: &[(&str, &PartFigures)]) -> String {
    let figure = |us: f64| time(us * 1e3);
    let is_small = parts.iter().any(|(_, part)| part.count < ENOUGH);
    let parts: Vec<_> = parts
        .iter()
        .map(|(what, part)| format!("{what}{} at p50 and {} at p99", figure(part.p50), figure(part.p99)))
        .collect();
    let small = if is_small { " (n too small for p99)" } else { "" };
    format!("{}{small}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(count: u64, p50: f64) -> PartFigures {
        PartFigures { count, mean: p50, p50, p90: p50, p99: 2.0 * p50, max: 3.0 * p50 }
    }

    #[test]
    fn the_ways_are_named_only_where_both_ends_share_a_clock() {
        let ways = Some(Ways { there_us: part(2000, 3050.0), back_us: part(2000, 80.0) });
        let all = |count| TimeSplit {
            ways: ways.clone(),
            server_us: part(count, 12.0),
            outside_us: part(count % 2000, 3130.0),
            ..TimeSplit::default()
        };
        assert_eq!(
            sentences(&all(2000)),
            [
                "the way there took 3.05 ms at p50 and 6.10 ms at p99, the server 12.0 us at p50 and 24.0 us at p99, the \
              way back 80.0 us at p50 and 160 us at p99 (2,000 requests, by the clock that both ends share)"
            ]
        );
        assert_eq!(
            sentences(&all(2010))[1],
            "both ways together took 3.13 ms at p50 and 6.26 ms at p99 (n too small for p99) (10 requests whose server's clock is \
              another)"
        );
        let apart = TimeSplit { ways: None, untold: 3, impossible: 1, ..all(20) };
        assert_eq!(
            sentences(&apart),
            [
                "the server took 12.0 us at p50 and 24.0 us at p99, both ways together 3.13 ms at p50 and 6.26 ms at p99 \
                 (n too small for p99) (20 requests; the ways are not distinguished: the clock of the servers is another)",
                "3 replies do not say when the request was seen",
                "1 reply has impossible timestamps, and no part contains them",
            ]
        );
    }
}
