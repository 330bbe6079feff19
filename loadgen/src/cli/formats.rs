//! The formats of a report, and where each is written.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context as _;
use clap::ValueEnum;

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

/// Files that reports are written to, open already. What they held stays until there is a report.
#[derive(Debug)]
pub(super) struct ReportFiles(Vec<(PathBuf, Format, File)>);

impl ReportFiles {
    /// Made before the run: a run whose report can't be kept is better not begun.
    pub(super) fn create(reports: &[ReportFile]) -> anyhow::Result<Self> {
        let files = reports.iter().filter_map(|report| match report {
            ReportFile::Stdout => None,
            ReportFile::File(path, format) => Some((path, *format)),
        });
        let create = |(path, format): (&PathBuf, Format)| {
            let opened = File::options().write(true).create(true).truncate(false).open(path);
            Ok((path.clone(), format, opened.with_context(|| cannot_write(path))?))
        };
        Ok(Self(files.map(create).collect::<anyhow::Result<_>>()?))
    }

    /// Writes each of them.
    pub(super) fn write(&mut self, reports: &[Report<'_>]) -> anyhow::Result<()> {
        for (path, format, file) in &mut self.0 {
            replace(reports, *format, file).with_context(|| cannot_write(path))?;
        }
        Ok(())
    }
}

/// Replaces what the file held; a pipe or a device holds nothing.
fn replace(reports: &[Report<'_>], format: Format, file: &mut File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    write(reports, format, Style::Plain, file)
}

fn cannot_write(path: &Path) -> String {
    format!("can't write the --report file {}", path.display())
}

/// Writes the report of a run, of its rounds, or of several loads, in one of its formats; the style is that of text.
pub(super) fn write(
    reports: &[Report<'_>],
    format: Format,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    if report::loads::are_loads(reports) {
        return match format {
            Format::Text => report::text::loads::write(reports, style, out),
            Format::Json => report::json::write_loads(reports, out),
            Format::Markdown => report::markdown::write_loads(reports, out),
            Format::Csv => report::csv::write_loads(reports, out),
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
}
