//! `probe`: which report goes where, and how it ends.

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, Write},
};

use anyhow::{Context as _, anyhow};
use command_line::Refusal;

use super::{
    exit::Exit,
    formats::{ReportFiles, shown},
    interrupt,
    probe_args::{Probe, ProbeFile, ProbeFormat, RoleWord},
    progress::note,
};
use crate::{
    plan::PlanError,
    probe::{self, CASES, Case, ColumnOptions, Matrix, Options, Role, Stop},
    report::probe as report,
};

/// The maximum number of proxies of one matrix.
const MAX_PROXIES: usize = 16;
const EXAMPLE: &str = "loadgen probe --direct=http://localhost:8080 nginx=http://localhost:8081";

fn refused(wrong: impl Into<String>, accepted: impl Into<String>, example: &'static str) -> PlanError {
    PlanError(Refusal::new(wrong.into(), accepted.into(), example))
}

impl Probe {
    /// Does it, and writes to `out`.
    pub(super) fn carry_out(&self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        if self.list {
            shown(report::list(out))?;
            return Ok(Exit::Done);
        }
        if let Some(case) = &self.explain {
            shown(report::explain(found(case)?, out))?;
            return Ok(Exit::Done);
        }
        let columns = self.columns()?;
        self.check_names(&columns)?;
        let options = Options {
            role: match self.role {
                RoleWord::Gateway => Role::Gateway,
                RoleWord::Proxy => Role::Proxy,
            },
            rounds: self.rounds,
            timeout: self.timeout,
            cases: self.cases()?,
        };
        // What can't be kept is better not asked.
        let files = self.reports.iter().map(|ProbeFile(path, format)| (path.as_path(), *format));
        let mut files = ReportFiles::create_each(files)?;
        let stop = Stop::default();
        let told = stop.clone();
        interrupt::on_each(move || told.stop()).context("can't watch for Ctrl+C")?;
        let is_watched = std::io::stderr().is_terminal();
        let progress = &mut |what: &str| {
            if is_watched {
                note(what);
            }
        };
        let mut matrix = match probe::run(&columns, &options, &stop, progress) {
            Err(_) if stop.is_stopped() => return Ok(Exit::Interrupted),
            matrix => matrix?,
        };
        self.annotate(&mut matrix)?;
        // First where nothing stands in the way of it.
        let print = || write(&matrix, self.output, out).and_then(|()| out.flush());
        files.write_each(print, |format, file| {
            let mut page = Vec::new();
            write(&matrix, format, &mut page)?;
            file.write_all(&page)
        })?;
        if matrix.interrupted {
            return Ok(Exit::Interrupted);
        }
        let unclean: Vec<String> = matrix
            .unclean()
            .map(|(row, cell)| format!("{} {} over {}: {}", row.name, row.variant, row.protocol, cell.what))
            .collect();
        if !unclean.is_empty() {
            return Err(anyhow!(
                "the probe could not judge: asked directly, the server differs: {}",
                unclean.join("; ")
            ));
        }
        let unasked: Vec<_> = matrix.unasked().collect();
        if let Some((column, row, cell)) = unasked.first() {
            return Err(anyhow!(
                "{} of {} could not be asked; the first is {} {} over {} of {}: {}",
                unasked.len(),
                matrix.rows.len() * matrix.columns.len(),
                row.name,
                row.variant,
                row.protocol,
                column.name,
                cell.what
            ));
        }
        Ok(if matrix.breaks_a_must() { Exit::Crossed } else { Exit::Done })
    }

    fn columns(&self) -> Result<Vec<ColumnOptions>, PlanError> {
        let accepted = "1 to 16 URLs, each with a unique name before it if there are several";
        if self.targets.is_empty() && self.direct.is_none() {
            return Err(refused("no URL", accepted, EXAMPLE));
        }
        if self.targets.len() > MAX_PROXIES {
            return Err(refused(format!("{} URLs", self.targets.len()), accepted, EXAMPLE));
        }
        let direct = self.direct.iter().map(|url| ColumnOptions::new("direct", url, true, self.insecure));
        let proxies = self.targets.iter().map(|text| {
            let (name, url) = named(text);
            ColumnOptions::new(name.unwrap_or(url), url, false, self.insecure)
        });
        let columns = direct.chain(proxies).collect::<Result<Vec<_>, _>>()?;
        let names: BTreeSet<&str> = columns.iter().map(ColumnOptions::name).collect();
        if names.len() < columns.len() {
            return Err(refused("two proxies of the same name", accepted, EXAMPLE));
        }
        Ok(columns)
    }

    /// What is said of columns is said of such as there are.
    fn check_names(&self, columns: &[ColumnOptions]) -> Result<(), PlanError> {
        let names: Vec<&str> = columns.iter().map(ColumnOptions::name).collect();
        let said = self.notes.iter().map(|(name, _)| ("note", name));
        let said = said.chain(self.disputed.iter().map(|disputed| ("disputed", &disputed.column)));
        for (flag, name) in said {
            if !names.contains(&name.as_str()) {
                let accepted = format!("a column: {}", names.join(", "));
                return Err(refused(
                    format!("--{flag} names '{name}', which is not a column"),
                    accepted,
                    EXAMPLE,
                ));
            }
        }
        self.disputed.iter().try_for_each(|disputed| found(&disputed.case).map(drop))
    }

    fn annotate(&self, matrix: &mut Matrix) -> Result<(), PlanError> {
        for column in &mut matrix.columns {
            let note = self.notes.iter().find(|(name, _)| *name == column.name);
            column.note = note.map(|(_, note)| note.clone());
        }
        for disputed in &self.disputed {
            let case = found(&disputed.case)?.number;
            let at = matrix.columns.iter().position(|column| column.name == disputed.column);
            let rows = matrix.rows.iter_mut().filter(|row| row.case == case);
            for cell in rows.filter_map(|row| row.cells.get_mut(at?)) {
                cell.disputed = Some(disputed.link.clone());
            }
        }
        Ok(())
    }

    fn cases(&self) -> Result<Vec<&'static Case>, PlanError> {
        if self.only.is_empty() {
            return Ok(CASES.iter().copied().filter(|case| self.all || !case.is_described).collect());
        }
        let wanted = self.only.iter().map(|name| found(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(CASES.iter().copied().filter(|case| wanted.iter().any(|one| one.number == case.number)).collect())
    }
}

fn write(matrix: &Matrix, format: ProbeFormat, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        ProbeFormat::Text => report::text(matrix, out),
        ProbeFormat::Json => report::json(matrix, out),
        ProbeFormat::Markdown => report::markdown(matrix, out),
        ProbeFormat::Html => report::html(matrix, out),
    }
}

/// `NAME=URL`: a URL may have a `=` too, but not before anything that no name has.
fn named(text: &str) -> (Option<&str>, &str) {
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', ':', '?', '[']);
    match text.split_once('=') {
        Some((name, url)) if is_name(name) => (Some(name), url),
        _ => (None, text),
    }
}

fn found(name: &str) -> Result<&'static Case, PlanError> {
    let is_it = |case: &&&Case| case.name == name.trim() || case.number.to_string() == name.trim();
    CASES.iter().find(is_it).copied().ok_or_else(|| {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        refused(
            format!("'{name}' is not a case of probe"),
            names.join(", "),
            "loadgen probe --only=repeated-post,target http://localhost:8081",
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{
        super::{Args, command, probe_args::ACCEPTED},
        *,
    };

    fn ends(words: &[&str]) -> (anyhow::Result<Exit>, String) {
        let words = ["loadgen", "probe"].iter().chain(words);
        let mut out = Vec::new();
        let ended = command(&Args::try_parse_from(words).unwrap(), &mut out);
        (ended, String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_stand_before_urls_which_may_have_equal_signs_too() {
        assert_eq!(named("a=http://b:1/?c=d"), (Some("a"), "http://b:1/?c=d"));
        assert_eq!(named("http://b:1/?c=d"), (None, "http://b:1/?c=d"));
        assert_eq!(named("b:1/x=y"), (None, "b:1/x=y"));
        assert_eq!(named("=b:1"), (None, "=b:1"));
    }

    #[test]
    fn cases_are_listed_and_explained_without_a_url() {
        let (ended, list) = ends(&["--list"]);
        assert_eq!(ended.unwrap(), Exit::Done);
        assert!(CASES.iter().all(|case| list.contains(case.name)), "{list}");
        for name in ["repeated-post", "1"] {
            let (ended, page) = ends(&["--explain", name]);
            assert_eq!(ended.unwrap(), Exit::Done);
            assert!(
                page.contains("RFC 9110 section 9.2.2")
                    && page.contains("traefik#8990")
                    && page.contains("status-503"),
                "{page}"
            );
        }
    }

    #[test]
    fn mistakes_are_refused_with_an_example() {
        let many: Vec<String> = (0..17).map(|number| format!("n{number}=http://localhost:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for words in [
            &[][..],
            &["--only=nothing", "http://localhost:1"],
            &["--explain=99"],
            &["ws://localhost:1"],
            &["grpc://localhost:1"],
            &["http://localhost:1/?a=b"],
            &["http://localhost:1/#a"],
            &["--note=b=1.26", "a=http://localhost:1"],
            &["--disputed=b/target=x", "a=http://localhost:1"],
            &["--disputed=a/nothing=x", "a=http://localhost:1"],
            &["a=http://localhost:1", "a=http://localhost:2"],
            &["ftp://localhost"],
            &many,
        ] {
            let error = ends(words).0.unwrap_err();
            assert!(
                error.is::<PlanError>() && error.to_string().contains("accepted: "),
                "{words:?}: {error}"
            );
        }
        for (flag, value) in [
            ("rounds", "0"),
            ("rounds", "101"),
            ("timeout", "601s"),
            ("timeout", "9ms"),
            ("report", "x.csv"),
            ("role", "server"),
            ("output", "xml"),
            ("note", "nginx"),
            ("disputed", "nginx=x"),
        ] {
            let word = format!("--{flag}={value}");
            let refused = Args::read(["loadgen", "probe", &word]).unwrap_err().to_string();
            let known = ACCEPTED.iter().find(|accepted| accepted.flag == flag).unwrap();
            let expected = Refusal::of_value(flag, value, known.values, known.example).to_string();
            assert_eq!(refused, expected);
        }
        for accepted in ACCEPTED.iter().filter(|accepted| accepted.flag != "direct") {
            let word = format!("--{}={}", accepted.flag, accepted.example);
            assert!(Args::read(["loadgen", "probe", &word]).is_ok(), "{word}");
        }
        for words in [["--rounds=100"], ["--timeout=10m"], ["--timeout=10ms"], ["--report=x.html"]] {
            assert!(Args::try_parse_from(["loadgen", "probe"].iter().chain(&words)).is_ok(), "{words:?}");
        }
    }
}
