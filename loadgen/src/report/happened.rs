//! What a command did to the requests that were due before, while and after it ran, in lines: the same for text and Markdown.

use crate::{
    clock::nanos,
    numbers::{count, seconds, time},
    recorder::PhaseFigures,
    summary::Summary,
};

/// The names of the three parts.
const PARTS: [&str; 3] = ["before", "during", "after"];

/// The lines; none where no command ran.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let (Some(happened), Some(phases)) = (summary.happened.as_deref(), summary.records.phases.as_deref())
    else {
        return Vec::new();
    };
    let ended = match happened.code {
        Some(0) => String::new(),
        Some(code) => format!(", which FAILED with {code}"),
        None => ", which FAILED".to_owned(),
    };
    let (from, to) = (nanos(happened.from), nanos(happened.to));
    let mut lines =
        vec![format!("'{}'{ended}, ran from {} to {}", happened.command, seconds(from), seconds(to))];
    if let Some(behind) = summary.outlasted_by() {
        let (lasted, behind) = (seconds(nanos(summary.arrivals_lasted)), seconds(nanos(behind)));
        lines.push(format!("the load had ended by then, at {lasted}, {behind} before the command did"));
    }
    lines.extend(PARTS.into_iter().zip(&phases.figures).map(|(name, figures)| part(name, figures)));
    if let Some(outage) = summary.longest_outage() {
        let (length, start) = (seconds(outage.length), seconds(outage.start));
        lines.push(format!("no request due for {length} from {start} on succeeded"));
    }
    if let Some(stall) = summary.notable_stall() {
        let (length, start) = (seconds(stall.length), seconds(stall.start));
        lines.push(format!("no reply for {length} from {start}, while requests were in flight"));
    }
    lines.push(match phases.unsuccessful {
        None if phases.is_silent() => {
            let of_all = match summary.not_sent() {
                0 => "no request was due after it".to_owned(),
                not_sent => {
                    format!("no request was sent after it, and {} were due and never sent", count(not_sent))
                }
            };
            format!("{of_all}: nothing is known of what it did")
        }
        None => "every request succeeded from the command on".to_owned(),
        Some((first, last)) => {
            let behind = match last.checked_sub(to) {
                Some(behind) => format!("{} after the command ended", seconds(behind)),
                None => "before the command ended".to_owned(),
            };
            let recovered =
                if happened.recovered { "" } else { "; requests still failed when the run ended" };
            format!(
                "the first that failed from the command on was due at {}, the last one {behind}{recovered}",
                seconds(first)
            )
        }
    });
    lines
}

fn part(name: &str, figures: &PhaseFigures) -> String {
    let all = count(figures.succeeded + figures.unsuccessful);
    let times = match figures.response.is_empty() {
        true => String::new(),
        false => {
            let at = |quantile| time(figures.response.value_at_quantile(quantile) as f64);
            format!(", p50 {}, p99 {}, longest {}", at(0.5), at(0.99), at(1.0))
        }
    };
    format!("{name}: {all} requests, {} did not succeed{times}", count(figures.unsuccessful))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        planted::{Planted, PlantedEnd, run},
        recorder::Phases,
        summary::Happened,
    };

    #[test]
    fn what_was_due_after_the_command_and_never_sent_is_told_from_a_time_in_which_nothing_was_due() {
        let unsent = |n: u64, _| match n {
            100.. => Planted { end: PlantedEnd::NotSent, ..Planted::default() },
            _ => Planted::default(),
        };
        for (line, said) in [
            (
                "-r 100 -d 2s a:1",
                "no request was sent after it, and 100 were due and never sent: nothing is known",
            ),
            ("-r 100 -d 1s a:1", "no request was due after it: nothing is known"),
        ] {
            let (command, from, to) = ("true".to_owned(), Duration::ZERO, Duration::from_secs(1));
            let happened = Happened { command, code: Some(0), from, to, recovered: true };
            let mut summary = Summary { happened: Some(Box::new(happened)), ..run(line, unsent) };
            summary.records.phases = Some(Box::<Phases>::default());
            let lines = lines(&summary);
            assert!(lines.last().is_some_and(|last| last.starts_with(said)), "{lines:?}");
        }
    }
}
