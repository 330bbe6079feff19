//! How new rounds differ from old ones, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    markdown::{escaped, table},
    rounds::shown,
    text::wrapped,
};
use crate::{
    recorder::RunSettings,
    summary::Summary,
    verdict::change::{Change, Conclusion, changes},
};

/// The columns.
const HEADER: [&str; 5] = ["Figure", "old", "new", "change (95%)", "result"];

/// Old and new rounds, compared.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The change of each figure.
    pub changes: Vec<Change>,
    /// What else differs, and what is missing for a conclusion.
    pub notes: Vec<String>,
    rounds: (usize, usize),
    /// The share by which a figure may be worse.
    allowed: Option<f64>,
}

impl Diff {
    /// Of old and new rounds; a figure that is worse by more than the share `allowed` is a regression. At least one on either
    /// side.
    #[must_use]
    pub fn new(old: &[Summary], new: &[Summary], allowed: Option<f64>) -> Self {
        let changes = changes(old, new, allowed);
        let mut notes: Vec<_> =
            old.iter().zip(new).take(1).flat_map(|(old, new)| settings(old, new)).collect();
        if changes.iter().all(|change| change.interval.is_none()) {
            notes.push(format!(
                "{} and {} rounds can't distinguish a change from chance: at least 4 on either side can (--repeat 4)",
                old.len(),
                new.len()
            ));
        }
        let unknown: Vec<_> =
            changes.iter().filter(|change| is_unknown(change)).map(|change| change.name).collect();
        if !unknown.is_empty() {
            notes.push(format!(
                "no {}: in some round fewer than ten requests are slower, or it did not succeed",
                unknown.join(", ")
            ));
        }
        Self { changes, notes, rounds: (old.len(), new.len()), allowed }
    }

    fn conclusion(&self, conclusion: Conclusion) -> &'static str {
        match (conclusion, self.allowed) {
            (Conclusion::Worse, None) => "worse",
            (Conclusion::Worse, Some(_)) => "regression",
            (Conclusion::Better, _) => "better",
            (Conclusion::Same, None) => "no difference seen",
            (Conclusion::Same, Some(_)) => "no regression",
            (Conclusion::CannotTell, _) => "can't tell",
        }
    }

    fn rows(&self) -> impl Iterator<Item = [String; 5]> {
        self.changes.iter().filter(|change| !is_unknown(change)).map(|change| {
            let (old, new) = change.medians.map_or_else(
                || ("-".to_owned(), "-".to_owned()),
                |(old, new)| (shown(change.figure, old), shown(change.figure, new)),
            );
            let estimate = change.estimate.map_or_else(|| "-".to_owned(), percent);
            let interval = change
                .interval
                .filter(|(low, high)| low.is_finite() && high.is_finite())
                .map(|(low, high)| format!(" ({} to {})", percent(low), percent(high)))
                .unwrap_or_default();
            let result = self.conclusion(change.conclusion).to_owned();
            [change.name.to_owned(), old, new, format!("{estimate}{interval}"), result]
        })
    }

    fn title(&self) -> String {
        let (old, new) = self.rounds;
        let allowed = self.allowed.map(|share| format!("; a regression is more than {}%", share * 100.0));
        format!("Rounds: {old} old, {new} new{}", allowed.unwrap_or_default())
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", wrapped(&self.title()))?;
        for note in &self.notes {
            writeln!(out, "{}", wrapped(&format!("Note: {note}")))?;
        }
        writeln!(out)?;
        let rows: Vec<_> = std::iter::once(HEADER.map(str::to_owned)).chain(self.rows()).collect();
        let width = rows.iter().map(|[.., change, _]| change.chars().count()).max().unwrap_or(0).max(27);
        for [name, old, new, change, result] in rows {
            writeln!(out, "{name:<9} {old:>9} {new:>9}  {change:<width$}  {result}")?;
        }
        Ok(())
    }

    /// Writes it as Markdown.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "**{}**\n", escaped(&self.title()))?;
        for note in &self.notes {
            writeln!(out, "- {}", escaped(note))?;
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        table(&HEADER, self.rows(), out)
    }

    /// Writes it for programs. Times are in nanoseconds; changes are shares: -0.1 is a tenth less.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, &self.all())?;
        writeln!(out)
    }

    fn all(&self) -> DiffDocument<'_> {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let row = |change: &Change| DiffRow {
            figure: change.name,
            old: change.medians.map(|(old, _)| old),
            new: change.medians.map(|(_, new)| new),
            change: change.estimate,
            low: change.interval.and_then(|(low, _)| finite(low)),
            high: change.interval.and_then(|(_, high)| finite(high)),
            result: self.conclusion(change.conclusion),
        };
        DiffDocument {
            old_rounds: self.rounds.0,
            new_rounds: self.rounds.1,
            allowed: self.allowed,
            notes: &self.notes,
            figures: self.changes.iter().map(row).collect(),
        }
    }
}

/// The changes of each of several loads, by their names.
#[derive(Clone, Debug)]
pub struct DiffOfLoads(pub Vec<(String, Diff)>);

impl DiffOfLoads {
    /// Writes it for people.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (index, (name, diff)) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { "\n" };
            writeln!(out, "{before}{}\n", wrapped(&format!("Load {name}")))?;
            diff.text(out)?;
        }
        Ok(())
    }

    /// Writes it as Markdown.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.iter().try_for_each(|(name, diff)| {
            writeln!(out, "## Load {}\n", escaped(name))?;
            diff.markdown(out)
        })
    }

    /// Writes it for programs, as [`Diff::json`] does for each load.
    ///
    /// # Errors
    /// `out` can't be written to.
    pub fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct OfLoad<'a> {
            load: &'a str,
            #[serde(flatten)]
            all: DiffDocument<'a>,
        }
        #[derive(Serialize)]
        struct Loads<'a> {
            loads: Vec<OfLoad<'a>>,
        }
        let loads = self.0.iter().map(|(name, diff)| OfLoad { load: name, all: diff.all() }).collect();
        serde_json::to_writer_pretty(&mut *out, &Loads { loads })?;
        writeln!(out)
    }
}

#[derive(Serialize)]
struct DiffRow {
    figure: &'static str,
    old: Option<f64>,
    new: Option<f64>,
    change: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    result: &'static str,
}

#[derive(Serialize)]
struct DiffDocument<'a> {
    old_rounds: usize,
    new_rounds: usize,
    allowed: Option<f64>,
    notes: &'a [String],
    figures: Vec<DiffRow>,
}

/// Whether nothing is known of a figure; then it has no row.
fn is_unknown(change: &Change) -> bool {
    change.medians.is_none() && change.estimate.is_none()
}

/// A change as a percentage, or as a factor where that has fewer digits.
fn percent(share: f64) -> String {
    match share {
        ..10.0 => format!("{:+.1}%", share * 100.0),
        ..99.0 => format!("x{:.1}", share + 1.0),
        ..9_999.0 => format!("x{:.0}", share + 1.0),
        _ => format!("x{:.1e}", share + 1.0),
    }
}

/// What was not run the same way.
fn settings(old: &Summary, new: &Summary) -> Vec<String> {
    let of = |run: &RunSettings| {
        [
            ("protocol", run.protocol.clone()),
            ("method", run.method.clone()),
            ("load", run.load_without_seed()),
            ("warm-up", format!("{:?}", run.warmup.unwrap_or_default())),
            ("maximum lag", run.max_lag.map_or_else(|| "none".to_owned(), |time| format!("{time:?}"))),
            ("coalescing", run.coalesce.map_or_else(|| "none".to_owned(), |time| format!("{time:?}"))),
            ("connections", run.connections.to_string()),
            ("streams", run.streams.to_string()),
            ("workers", run.workers.to_string()),
            ("timeout", format!("{:?}", run.timeout)),
        ]
    };
    let both = of(&old.run).into_iter().zip(of(&new.run));
    both.filter(|(old, new)| old != new)
        .map(|((name, old), (_, new))| format!("different {name}: {old} and {new}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{MICRO, Planted, run};

    fn rounds(line: &str, service: u64, count: u64) -> Vec<Summary> {
        (0..count)
            .map(|round| {
                let service = (service + round) * MICRO;
                run(line, move |_, _| Planted { service, ..Planted::default() })
            })
            .collect()
    }

    fn written(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_regression_is_named_in_each_format_and_lines_fit_a_terminal() {
        let (old, new) = (rounds("-r 100 -d 20s a:1", 1000, 6), rounds("-r 100 -d 20s -c 9 a:1", 1500, 6));
        let diff = Diff::new(&old, &new, Some(0.05));
        let text = written(|out| diff.text(out));
        assert!(text.contains("Rounds: 6 old, 6 new; a regression is more than 5%"), "{text}");
        assert!(text.contains("different connections: ") && text.contains(" and 9"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("p99 ") && line.ends_with("regression")), "{text}");
        assert!(text.contains("Note: no p99.9: in some round fewer than ten requests are slower"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("p99.9")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let markdown = written(|out| diff.markdown(out));
        assert!(markdown.contains("| p50 | 1.00 ms | 1.50 ms | "), "{markdown}");
        let json: serde_json::Value = serde_json::from_str(&written(|out| diff.json(out))).unwrap();
        assert_eq!(json["figures"][2]["result"], "regression");
    }

    #[test]
    fn columns_stay_apart_however_large_a_change_is() {
        let (old, new) = (rounds("-r 100 -d 20s a:1", 10, 6), rounds("-r 100 -d 20s a:1", 900_000, 6));
        let text = written(|out| Diff::new(&old, &new, None).text(out));
        let begins = |line: &str| line.find("  worse").or_else(|| line.find("  result"));
        let at: Vec<_> = text.lines().filter_map(begins).collect();
        assert!(at.len() > 3 && at.iter().all(|column| *column == at[0]), "{text}");
        assert!(text.contains(" x7.2e4 (x6.0e4 to x9.0e4) "), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(
            [-0.999, 0.05, 9.99, 11.34, 123.4, 89_999.0].map(percent),
            ["-99.9%", "+5.0%", "+999.0%", "x12.3", "x124", "x9.0e4"]
        );
    }

    #[test]
    fn too_few_rounds_are_reported() {
        let (old, new) = (rounds("-r 100 -d 20s a:1", 1000, 3), rounds("-r 100 -d 20s a:1", 9000, 3));
        let diff = Diff::new(&old, &new, None);
        assert!(diff.changes.iter().all(|change| change.conclusion == Conclusion::CannotTell));
        assert!(written(|out| diff.text(out)).contains("--repeat 4"));
    }
}
