//! The formats of a report, and where each is written.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context as _;
use clap::ValueEnum;
use command_line::Refusal;
use runtime::files;

use crate::report::{self, Detail, Report, text::Style};

/// Format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; see `report.schema.json`.
    Json,
    /// For the summary of a CI job.
    Markdown,
    /// A line for each interval.
    Csv,
}

/// How much a report for people shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DetailWord {
    /// What one has to know.
    Short,
    /// Also where the time went, Little's check, and the intervals.
    Long,
}

impl From<DetailWord> for Detail {
    fn from(word: DetailWord) -> Self {
        match word {
            DetailWord::Short => Self::Short,
            DetailWord::Long => Self::Long,
        }
    }
}

/// What `--report` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportFile {
    /// JSON on standard output.
    Stdout,
    /// A file, whose extension decides on the format.
    File(PathBuf, Format),
}

impl FromStr for ReportFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        let path = Path::new(text);
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("md") => Format::Markdown,
            Some("csv") => Format::Csv,
            Some("txt") => Format::Text,
            _ => return Err("a file name that ends in .json, .md, .csv or .txt"),
        };
        Ok(Self::File(path.to_owned(), format))
    }
}

/// What is printed on standard output: JSON if a report is `-`.
pub(super) fn printed(format: Format, reports: &[ReportFile]) -> Format {
    if reports.contains(&ReportFile::Stdout) { Format::Json } else { format }
}

/// Files that reports are written to, open already. What they held stays until there is a report, and one that was not there before
/// is gone again if there is none.
#[derive(Debug)]
pub(super) struct ReportFiles<F = Format>(Vec<OpenedReport<F>>);

/// A file that was opened for a report, whose format is one of those that such a report has.
#[derive(Debug)]
struct OpenedReport<F> {
    path: PathBuf,
    format: F,
    file: File,
    /// It was not there before, and holds no report yet.
    is_empty: bool,
}

impl ReportFiles {
    /// Made before the run: a run whose report can't be kept is better not begun.
    pub(super) fn create(reports: &[ReportFile]) -> anyhow::Result<Self> {
        let wanted = reports.iter().filter_map(|report| match report {
            ReportFile::Stdout => None,
            ReportFile::File(path, format) => Some((path.as_path(), *format)),
        });
        Self::create_each(wanted)
    }

    /// Prints the reports and writes each of the files: what can't be written keeps none of the others from being so.
    ///
    /// # Errors
    /// Something can't be written: all that can't is named.
    pub(super) fn write(
        &mut self,
        reports: &[Report<'_>],
        print: impl FnOnce() -> io::Result<()>,
    ) -> anyhow::Result<()> {
        self.write_each(print, |format, out| write(reports, format, Style::Plain, out))
    }
}

impl<F: Copy> ReportFiles<F> {
    /// The same as [`ReportFiles::create`], of files in whatever formats.
    pub(super) fn create_each<'p>(wanted: impl Iterator<Item = (&'p Path, F)>) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (path, format) in wanted {
            let (file, is_empty) = files::to_write(path).map_err(|error| {
                let accepted = "a file that can be written, in a folder that exists";
                Refusal::new(cannot_write(path), accepted, "--report=run.json").because(error.to_string())
            })?;
            all.push(OpenedReport { path: path.to_owned(), format, file, is_empty });
        }
        Ok(Self(all))
    }

    /// The same as [`ReportFiles::write`]; `write` is given the format of each.
    pub(super) fn write_each(
        &mut self,
        print: impl FnOnce() -> io::Result<()>,
        write: impl Fn(F, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut failed = shown(print()).err();
        for OpenedReport { path, format, file, is_empty } in &mut self.0 {
            match replace(file, |file| write(*format, file)).with_context(|| cannot_write(path)) {
                Ok(()) => *is_empty = false,
                Err(error) => {
                    failed = Some(match failed {
                        None => error,
                        Some(before) => anyhow::anyhow!("{before:#}; {error:#}"),
                    });
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl<F> Drop for OpenedReport<F> {
    fn drop(&mut self) {
        if self.is_empty {
            // Whether it can be removed or not, there is no report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Replaces what the file held; a pipe or a device holds nothing.
fn replace(file: &mut File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    write(file)
}

fn cannot_write(path: &Path) -> String {
    format!("can't write the --report file {}", path.display())
}

/// Writes the report of a run, of its rounds, of several loads, or of rounds of those, in one of its formats; the style is that of text.
pub(super) fn write(
    reports: &[Report<'_>],
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    if report::loads::are_loads(reports) {
        return match (format, report::loads::are_rounds(reports)) {
            (Format::Text, false) => report::text::loads::write(reports, style, out),
            (Format::Json, false) => report::json::write_loads(reports, out),
            (Format::Markdown, false) => report::markdown::write_loads(reports, out),
            (Format::Csv, false) => report::csv::write_loads(reports, out),
            (Format::Text, true) => report::text::loads::write_rounds(reports, style, out),
            (Format::Json, true) => report::json::write_rounds_of_loads(reports, out),
            (Format::Markdown, true) => report::markdown::write_rounds_of_loads(reports, out),
            (Format::Csv, true) => report::csv::write_rounds_of_loads(reports, out),
        };
    }
    match (reports, format) {
        (&[report], Format::Text) => report::text::write(report, style, out),
        (&[report], Format::Json) => report::json::write(report, out),
        (&[report], Format::Markdown) => report::markdown::write(report, out),
        (&[report], Format::Csv) => report::csv::write(report, out),
        (_, Format::Text) => report::text::rounds::write(reports, style, out),
        (_, Format::Json) => report::json::write_rounds(reports, out),
        (_, Format::Markdown) => report::markdown::write_rounds(reports, out),
        (_, Format::Csv) => report::csv::write_rounds(reports, out),
    }
}

/// A reader that has closed the pipe, as in `loadgen | head`, is not an error.
pub(super) fn shown(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write the report"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_of_a_file_decides_on_the_format() {
        for (name, format) in [
            ("a.json", Format::Json),
            ("b/c.md", Format::Markdown),
            ("./d.e.csv", Format::Csv),
            ("f.txt", Format::Text),
        ] {
            assert_eq!(name.parse(), Ok(ReportFile::File(name.into(), format)));
        }
        for name in ["", "run", "run.html", ".json", "run.JSON", "dir/"] {
            assert!(name.parse::<ReportFile>().is_err(), "{name}");
        }
        let stdout: ReportFile = "-".parse().unwrap();
        assert_eq!(printed(Format::Csv, &[stdout]), Format::Json);
        assert_eq!(printed(Format::Csv, &["a.json".parse().unwrap()]), Format::Csv);
    }
    #[test]
    fn a_file_that_was_made_for_a_report_is_gone_if_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new.json"), folder.path().join("old.csv"));
        fs::write(&old, "old").unwrap();
        let missing = folder.path().join("no/such.md");
        let file = |path: &Path| path.to_str().unwrap().parse::<ReportFile>().unwrap();
        let refused = ReportFiles::create(&[file(&new), file(&old), file(&missing)]).unwrap_err();
        assert!(format!("{refused:#}").contains("can't write the --report file"), "{refused:#}");
        assert!(!new.exists());
        drop(ReportFiles::create(&[file(&new), file(&old)]).unwrap());
        assert!(!new.exists() && fs::read_to_string(&old).unwrap() == "old");
        // Given twice, it is made once.
        drop(ReportFiles::create(&[file(&new), file(&new)]).unwrap());
        assert!(!new.exists());
    }
}
