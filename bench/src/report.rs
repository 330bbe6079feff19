//! The tables, in Markdown. Nothing is decided here that is not shown.

use std::fmt::Write;

use contract::quantity;

use crate::{
    arrivals::ArrivalError,
    load::Load,
    ratio::Spread,
    rows::{Contender, Metric, Row, Target},
    sample::{Sample, Standing},
    server::Server,
};

/// The table of one row.
#[must_use]
pub fn row(row: &Row, standings: &[Standing]) -> String {
    let mut text = format!("## {}: {}\n\n", row.id, row.title);
    let value = heading(row.metric);
    let shares = ["server busy", "client busy", "stolen", "round trip ns"];
    line(&mut text, &[&["", "requests/s", value, "ours to it", "target", "met"], &shares[..]].concat());
    line(&mut text, &["---", "--:", "--:", "--:", "--:", "---", "--:", "--:", "--:", "--:"]);
    let ours = standings.first().map(|standing| standing.values(row.metric)).unwrap_or_default();
    let mut notes = String::new();
    for (index, (one, standing)) in row.contenders.iter().zip(standings).enumerate() {
        match standing {
            Standing::Measured(samples) => {
                let ratio =
                    (index > 0).then(|| Spread::of_ratio(&ours, &standing.values(row.metric))).flatten();
                measured(&mut text, row, one, samples, index == 0, ratio);
            }
            Standing::Missing(tool) => {
                line(
                    &mut text,
                    &[one.name, "not installed", "", "", &target(one.target), "-", "", "", "", ""],
                );
                let _ = writeln!(notes, "\n{} is not installed: {} was not compared.", tool, one.name);
            }
            Standing::Failed(why) => {
                line(&mut text, &[one.name, "failed", "", "", &target(one.target), "-", "", "", "", ""]);
                let _ = writeln!(notes, "\n{} could not be measured: {why}", one.name);
            }
        }
    }
    if let (Some(total), Some(Standing::Measured(samples))) = (row.load.total(), standings.first()) {
        let rounds = match samples.len() {
            1 => "the one round".to_owned(),
            rounds => format!("each of {rounds} rounds"),
        };
        let _ = writeln!(notes, "\nExactly {} requests were sent in {rounds}.", grouped(total as f64));
    }
    let kept = standings.iter().find_map(|standing| match standing {
        Standing::Measured(samples) => Some(samples.iter().map(|sample| sample.round)),
        _ => None,
    });
    if let Some(kept) = kept
        && kept.clone().zip(1..).any(|(round, place)| round != place)
    {
        let kept: Vec<_> = kept.map(|round| round.to_string()).collect();
        let _ =
            writeln!(notes, "\nRounds {} were kept: the machine disturbed the others more.", kept.join(", "));
    }
    if row.metric == Metric::ServerMemory {
        let Load { connections, seconds, .. } = row.load;
        let connections = grouped(f64::from(connections));
        let _ =
            writeln!(notes, "\n{connections} connections to a fresh server each time, idle for {seconds} s.");
    }
    if row.contenders.iter().any(|one| one.server == Server::Recorder) {
        arrivals(&mut notes, row, standings);
    }
    if row.metric == Metric::BothPerRequest {
        more(&mut notes, row, standings);
    }
    text + &notes
}

/// The whole of what the server saw, and what it cost the clients.
fn arrivals(text: &mut String, row: &Row, standings: &[Standing]) {
    text.push_str("\nArrivals at the server, and CPU time of the client:\n\n");
    line(text, &["", "arrivals", "rate/s", "p50 us", "p99 us", "max us", "client CPU us/request"]);
    line(text, &["---", "--:", "--:", "--:", "--:", "--:", "--:"]);
    for (one, standing) in row.contenders.iter().zip(standings) {
        let Standing::Measured(samples) = standing else { continue };
        let of = |value: &dyn Fn(&ArrivalError) -> f64, precision| {
            let values: Vec<f64> =
                samples.iter().filter_map(|one| one.arrival_error.as_ref()).map(value).collect();
            Spread::of(&values).map_or(String::new(), |s| spread(s, precision, ""))
        };
        let seen = samples.iter().filter_map(|one| one.arrival_error).map(|one| one.arrivals);
        let fewest = seen.min().map_or(String::new(), |arrivals| grouped(arrivals as f64));
        let cpu = Spread::of(&standing.values(Metric::ClientPerRequest))
            .map_or(String::new(), |s| spread(s, 2, ""));
        let (p50, p99) = (of(&|one| one.p50_us, 1), of(&|one| one.p99_us, 1));
        line(
            text,
            &[one.name, &fewest, &of(&|one| one.rate, 1), &p50, &p99, &of(&|one| one.max_us, 0), &cpu],
        );
    }
}

/// By how much ours takes more than each other one, in the same rounds.
fn more(text: &mut String, row: &Row, standings: &[Standing]) {
    let values = |standing: &Standing| standing.values(row.metric);
    let Some(ours) = standings.first().map(values) else { return };
    for (one, standing) in row.contenders.iter().zip(standings).skip(1) {
        let differences: Vec<f64> =
            ours.iter().zip(values(standing)).map(|(ours, theirs)| ours - theirs).collect();
        if let Some(difference) = Spread::of(&differences) {
            let (name, difference) = (row.contenders[0].name, spread(difference, 3, " us"));
            let _ = writeln!(text, "\n{name} takes {difference} a request more than {}.", one.name);
        }
    }
}

fn measured(
    text: &mut String,
    row: &Row,
    one: &Contender,
    samples: &[Sample],
    ours: bool,
    ratio: Option<Spread>,
) {
    let of = |value: &dyn Fn(&Sample) -> f64| Spread::of(&samples.iter().map(value).collect::<Vec<_>>());
    let share =
        |spread: Option<Spread>| spread.map_or(String::new(), |s| format!("{:.0}%", s.median * 100.0));
    let own = of(&|sample| sample.value(row.metric));
    let (goal, reached) = if ours {
        let limit = row.limit.map(Target::AtMost);
        (limit.map_or("-".to_owned(), |limit| limit.to_string()), met(limit, own))
    } else {
        (target(one.target), met(one.target, ratio))
    };
    let rate = match row.metric {
        // Connections that lie idle have none.
        Metric::ServerMemory => "-".to_owned(),
        _ => of(&|sample| sample.value(Metric::Rate)).map_or(String::new(), |s| grouped(s.median)),
    };
    let precision = if row.metric == Metric::ServerPerGb { 4 } else { 2 };
    let own = own.map_or(String::new(), |s| match row.metric {
        // The median stands in the column before.
        Metric::Rate => format!("{}..{}", grouped(s.min), grouped(s.max)),
        _ => spread(s, precision, ""),
    });
    let ratio = ratio.map_or("-".to_owned(), |s| spread(s, 2, "x"));
    let server = share(of(&|sample| sample.server_cpu_seconds / sample.seconds));
    let client = share(of(&|sample| sample.client_cpu_seconds / sample.seconds));
    let stolen = of(&|sample| sample.stolen).map_or(String::new(), |s| format!("{:.1}%", s.max * 100.0));
    let trips: Vec<[f64; 2]> = samples.iter().filter_map(|sample| sample.round_trip_ns).collect();
    let trips = trips.into_iter().reduce(|one, other| [one[0].max(other[0]), one[1].max(other[1])]);
    let trips = trips.map_or("-".to_owned(), |[before, after]| format!("{before:.0}, {after:.0}"));
    line(text, &[one.name, &rate, &own, &ratio, &goal, reached, &server, &client, &stolen, &trips]);
}

fn heading(metric: Metric) -> &'static str {
    match metric {
        Metric::ServerPerRequest => "server CPU us/request",
        Metric::ServerPerGb => "server CPU s/GB",
        Metric::ClientPerRequest => "client CPU us/request",
        Metric::BothPerRequest => "CPU of both us/request",
        Metric::LagP99 => "lag p99 us",
        Metric::ArrivalErrorP99 => "arrival error p99 us",
        Metric::Rate => "min..max",
        Metric::ServerMemory => "server KiB/connection",
    }
}

fn target(target: Option<Target>) -> String {
    target.map_or("-".to_owned(), |target| format!("{target}x"))
}

fn met(target: Option<Target>, values: Option<Spread>) -> &'static str {
    match (target, values) {
        (Some(target), Some(values)) if target.met(values.median) => "yes",
        (Some(_), Some(_)) => "no",
        _ => "-",
    }
}

fn spread(spread: Spread, precision: usize, unit: &str) -> String {
    let Spread { min, median, max } = spread;
    format!("{median:.precision$}{unit} ({min:.precision$}..{max:.precision$})")
}

/// A whole number as people read it.
fn grouped(value: f64) -> String {
    quantity::grouped(quantity::rounded(value))
}

fn line(text: &mut String, cells: &[&str]) {
    text.push_str("| ");
    text.push_str(&cells.join(" | "));
    text.push_str(" |\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Mode, rows, sample::tests::measured as sample};

    fn table(mode: Mode, id: &str, standings: &[Standing]) -> String {
        row(&rows::of(mode, 1.0, true, &[id.to_owned()]).unwrap()[0], standings)
    }

    #[test]
    fn met_and_missed_targets_are_distinguished() {
        let rounds =
            |cost: f64| Standing::Measured(vec![sample(1_000_000, cost, 0.5), sample(1_000_000, cost, 0.5)]);
        let text =
            table(Mode::Server, "h1-1k", &[rounds(3.0), rounds(6.0), rounds(2.0), Standing::Missing("h2o")]);
        assert!(
            text.contains(
                "| dummy-server | 1,000,000 | 3.00 (3.00..3.00) | - | - | - | 300% | 50% | 1.0% | 50, 61 |"
            ),
            "{text}"
        );
        assert!(text.contains("| 0.50x (0.50..0.50) | <= 0.66x | yes |"), "{text}");
        assert!(text.contains("| 1.50x (1.50..1.50) | <= 0.97x | no |"), "{text}");
        assert!(text.contains("| h2o, file | not installed |  |  | <= 0.9x | - |"), "{text}");
        assert!(text.contains("h2o is not installed: h2o, file was not compared."), "{text}");
    }

    #[test]
    fn rounds_that_were_left_out_are_reported() {
        let rounds = |rounds: [u32; 2]| {
            let of = |round| Sample { round, ..sample(10, 1.0, 1.0) };
            table(Mode::Server, "h1-1k", &[Standing::Measured(rounds.map(of).to_vec())])
        };
        assert!(rounds([1, 4]).contains("\nRounds 1, 4 were kept: the machine disturbed the others more."));
        assert!(!rounds([1, 2]).contains("kept"));
    }

    #[test]
    fn the_longest_round_trips_before_and_after_are_shown_where_there_are_two_cpus() {
        let shown = |trips: [Option<[f64; 2]>; 2]| {
            let of = |round_trip_ns| Sample { round_trip_ns, ..sample(10, 1.0, 1.0) };
            table(Mode::Server, "h1-1k", &[Standing::Measured(trips.map(of).to_vec())])
        };
        let text = shown([Some([50.0, 312.4]), Some([70.6, 60.0])]);
        assert!(text.contains("| stolen | round trip ns |"), "{text}");
        assert!(text.contains("| 1.0% | 71, 312 |"), "{text}");
        assert!(shown([None, None]).contains("| 1.0% | - |"));
    }

    #[test]
    fn nothing_is_compared_when_ours_failed() {
        let peer = Standing::Measured(vec![sample(10, 1.0, 1.0)]);
        let text =
            table(Mode::Client, "h2c-closed", &[Standing::Failed("3 of 9 requests failed".to_owned()), peer]);
        assert!(text.contains("loadgen could not be measured: 3 of 9 requests failed"), "{text}");
        assert!(
            text.contains("| h2load | 10 | 100000.00 (100000.00..100000.00) | - | <= 0.6x | - |"),
            "{text}"
        );
    }

    #[test]
    fn the_paced_row_has_its_own_limit_and_request_count() {
        let lag = |lag| {
            Standing::Measured(vec![Sample { release_lag_p99_us: Some(lag), ..sample(10_000, 0.1, 0.1) }])
        };
        let text = table(Mode::Client, "paced", &[lag(120.0), lag(60.0)]);
        assert!(text.contains("| loadgen | 10,000 | 120.00 (120.00..120.00) | - | <= 200 | yes |"), "{text}");
        assert!(text.contains("| 2.00x (2.00..2.00) | - | - |"), "{text}");
        assert!(text.contains("Exactly 10,000 requests were sent in the one round."), "{text}");
    }

    #[test]
    fn the_row_of_arrivals_shows_all_of_the_error_and_what_it_cost() {
        let seen = |p99_us| {
            let error =
                ArrivalError { arrivals: 5000, before: 0, rate: 9999.5, p50_us: 3.0, p99_us, max_us: 800.0 };
            Standing::Measured(vec![Sample { arrival_error: Some(error), ..sample(5000, 0.1, 0.05) }])
        };
        let text = table(Mode::Client, "arrival-error", &[seen(50.0), seen(100.0), Standing::Missing("oha")]);
        assert!(
            text.contains("| vegeta | 5,000 | 100.00 (100.00..100.00) | 0.50x (0.50..0.50) | <= 1x | yes |")
        );
        let whole = "| loadgen | 5,000 | 9999.5 (9999.5..9999.5) | 3.0 (3.0..3.0) | 50.0 (50.0..50.0) | \
            800 (800..800) | 10.00 (10.00..10.00) |";
        assert!(text.contains(whole), "{text}");
    }

    #[test]
    fn a_row_of_both_ends_shows_by_how_much_ours_takes_more() {
        let both = |client| Standing::Measured(vec![sample(1_000_000, 0.5, client); 2]);
        let text = table(Mode::Pair, "verify-h2c-1k", &[both(0.8), both(0.7)]);
        assert!(text.contains("| CPU of both us/request |"), "{text}");
        assert!(text.contains("| 1.08x (1.08..1.08) | <= 1.12x | yes |"), "{text}");
        let more =
            "loadgen --verify takes 0.100 us (0.100..0.100) a request more than loadgen, with request ids.";
        assert!(text.contains(more), "{text}");
    }

    #[test]
    fn a_rate_target_is_a_minimum_multiple_of_the_peers() {
        for (ours, cell) in [(5000, "| 2.50x (2.50..2.50) | >= 2.5x | yes |"), (4000, "| >= 2.5x | no |")] {
            let rates = [ours, 2000].map(|requests| Standing::Measured(vec![sample(requests, 0.5, 0.5)]));
            let text = table(Mode::Pair, "h2c", &rates);
            assert!(text.contains(cell), "{text}");
        }
    }

    #[test]
    fn the_memory_row_shows_kib_per_connection_and_no_rate() {
        let grown = |bytes| {
            let grown = Sample { server_memory_growth: Some(bytes), ..sample(1000, 0.1, 0.1) };
            Standing::Measured(vec![grown])
        };
        let text = table(Mode::Memory, "h1-idle", &[grown(5 * 1_024_000), grown(2 * 1_024_000)]);
        assert!(text.contains("| server KiB/connection |"), "{text}");
        assert!(text.contains("1,000 connections to a fresh server each time, idle for 1 s."), "{text}");
        assert!(text.contains("| dummy-server | - | 5.00 (5.00..5.00) | - | <= 6 | yes |"), "{text}");
        assert!(text.contains("| nginx, return 200 | - | 2.00 (2.00..2.00) | 2.50x (2.50..2.50) | - | - |"));
    }
}
