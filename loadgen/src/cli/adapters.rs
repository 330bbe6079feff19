//! The command lines of other load generators. Each file of theirs turns words into a plan, which is run as any other; what
//! they share is here.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    num::NonZeroU32,
    path::Path,
};

use clap::Subcommand;
use command_line::{Accepted, Refusal};
use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::{
    formats::{self, Format, ReportFile},
    hammer::Hammer,
    heyyall::Heyyall,
    load_tester::LoadTester,
    output::Output,
    values::normalization,
};
use crate::{
    plan::{Plan, PlanError, Version},
    report::{Report, heyyall},
};

/// The largest file of theirs that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The command line of another load generator.
#[derive(Clone, Debug, Subcommand)]
pub enum Adapter {
    /// Run what load-tester's options say
    ///
    /// HTTP/1.1 in a closed loop: 100 requests, 10 at a time, unless other numbers are given. No environment variables are read.
    LoadTester(LoadTester),
    /// Run a configuration of heyyall, with its report
    ///
    /// Several endpoints in one run, by their shares. Options may have one dash, as they have there. No environment variables
    /// are read.
    Heyyall(Heyyall),
    /// Run what go-hammer's options or scenarios say
    ///
    /// One request at a constant rate (open loop). No environment variables are read.
    Hammer(Box<Hammer>),
}

/// A run as another command line asks for it.
#[derive(Debug)]
pub(super) struct Adapted {
    pub(super) plan: Plan,
    pub(super) output: Output,
    pub(super) page: Page,
}

/// What is printed at the end.
#[derive(Debug)]
pub(super) enum Page {
    /// A report as of any run.
    Usual,
    /// One in heyyall's form.
    Heyyall(Vec<heyyall::HeyyallEndpoint>),
}

impl Adapter {
    /// What is to be run.
    pub(super) fn adapted(&self) -> Result<Adapted, PlanError> {
        match self {
            Self::LoadTester(typed) => typed.adapted(),
            Self::Heyyall(typed) => typed.adapted(),
            Self::Hammer(typed) => typed.adapted(),
        }
    }
}

impl Page {
    /// Writes the report of the run.
    pub(super) fn write(
        &self,
        reports: &[Report<'_>],
        output: &Output,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match (self, reports, output.format) {
            (Self::Heyyall(endpoints), &[report], Format::Json) => {
                heyyall::write_json(report, endpoints, out)
            }
            (Self::Heyyall(endpoints), &[report], Format::Text) => {
                heyyall::write_text(report, endpoints, output.style, out)
            }
            _ => formats::write(reports, output.format, output.style, out),
        }
    }
}

/// How a run is reported, where the other command line has nothing of the kind.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Reporting {
    /// Format of the report: text, json, markdown or csv
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text, hide_possible_values = true)]
    output: Format,

    #[command(flatten)]
    kept: Keeping,

    /// Limit the histogram to N times the shortest time
    ///
    /// See --nf of loadgen itself.
    #[arg(long, value_name = "N", default_value = "0", value_parser = normalization, hide_default_value = true,
          allow_negative_numbers = true)]
    nf: u32,
}

/// What is kept and what is shown beside the report that is printed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Keeping {
    /// Also write the report to a file: .json, .md, .csv or .txt
    #[arg(long = "report", value_name = "FILE")]
    pub(super) reports: Vec<ReportFile>,

    /// Show no progress
    #[arg(long)]
    pub(super) no_progress: bool,
}

impl Reporting {
    /// With a plan and this, a run.
    pub(super) fn of(&self, plan: Plan) -> Adapted {
        let output = Output::of(self.output, &self.kept, NonZeroU32::new(self.nf));
        Adapted { plan, output, page: Page::Usual }
    }
}

/// What is spoken to a URL of theirs: HTTP/1.1 but over TLS, where the server may choose if `negotiates`.
///
/// # Errors
/// It has a scheme that they do not speak.
pub(super) fn version(url: &str, negotiates: bool, accepted: &Accepted) -> Result<Version, PlanError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("https") if negotiates => Ok(Version::Any),
        Some("http" | "https") | None => Ok(Version::Http1),
        Some(_) => {
            let shown = crate::plan::target::without_user(url);
            Err(PlanError(
                Refusal::of_value(accepted.flag, shown, accepted.values, accepted.example)
                    .because("its scheme is neither http nor https"),
            ))
        }
    }
}

/// Header fields as an object has them: `accepted` is what they are given with.
///
/// # Errors
/// A name or a value is none that a field can have.
pub(super) fn fields(
    headers: &BTreeMap<String, String>,
    accepted: &Accepted,
) -> Result<Vec<String>, PlanError> {
    let field = |(name, value): (&String, &String)| match name.parse::<HeaderName>() {
        Ok(_) if value.parse::<HeaderValue>().is_ok() => Ok(format!("{name}: {value}")),
        _ => Err(PlanError(
            // The value may be a secret.
            Refusal::of_value(accepted.flag, name, accepted.values, accepted.example)
                .because("name or value can't be those of a header field"),
        )),
    };
    headers.iter().map(field).collect()
}

/// The name of the field with a request's id: none where one of the fields has the same.
pub(super) fn id_header<'a>(mut fields: impl Iterator<Item = &'a String>) -> &'static str {
    let name = |field: &str| field.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if fields.any(|field| name(field) == contract::field::REQUEST_ID) {
        ""
    } else {
        contract::field::REQUEST_ID
    }
}

/// An error about one of the plan's options, in terms of what was given instead: each has the option's name and what it is there.
pub(super) fn told_as(PlanError(refusal): PlanError, names: &[(&str, &Accepted)]) -> PlanError {
    let subject = refusal.to_string();
    let option = match refusal.flag() {
        Some(flag) => flag,
        None if subject.starts_with("invalid target") || subject.starts_with("no target") => "url",
        None => return PlanError(refusal),
    };
    match names.iter().find(|(name, _)| *name == option) {
        Some((_, accepted)) => PlanError(refusal.given_as(accepted)),
        None => PlanError(refusal),
    }
}

/// Reads a file with JSON: `accepted` is the option that names it, and what it has.
///
/// # Errors
/// It can't be read, or has something else: one line with file, line and column.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, accepted: &Accepted) -> Result<T, PlanError> {
    let refused = |why: String| {
        let Accepted { flag, values, example } = *accepted;
        PlanError(Refusal::of_value(flag, path.display(), values, example).because(why))
    };
    let mut text = String::new();
    let file = runtime::files::open(path).map_err(|error| refused(error.to_string()))?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| refused(error.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(refused("it has more than 4M".to_owned()));
    }
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let wrong = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
        let example = format!("--{}={}", accepted.flag, accepted.example);
        PlanError(
            Refusal::new(wrong, accepted.values, example).at(format!("{}:{line}:{column}", path.display())),
        )
    })
}
