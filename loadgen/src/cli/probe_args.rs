//! The arguments of `probe`, and what each of them accepts.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use command_line::Accepted;
use contract::quantity;

/// The most rounds.
const MAX_ROUNDS: u32 = 100;
/// The longest wait.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// What its flags accept.
pub(super) const ACCEPTED: &[Accepted] = &[
    Accepted {
        flag: "direct",
        values: "the URL of dummy-server, as those of proxies",
        example: "http://localhost:8080",
    },
    Accepted {
        flag: "only",
        values: "names or numbers of cases, as --list has them, with commas",
        example: "target,2",
    },
    Accepted { flag: "explain", values: "the name or number of a case, as --list has it", example: "target" },
    Accepted { flag: "role", values: "gateway or proxy", example: "proxy" },
    Accepted { flag: "rounds", values: "a whole number from 1 to 100", example: "3" },
    Accepted { flag: "timeout", values: "a time from 10ms to 10m, or a number of seconds", example: "10s" },
    Accepted {
        flag: "note",
        values: "the name of a column, '=', and a text of 1 to 500 characters",
        example: "nginx=1.26, minimal",
    },
    Accepted {
        flag: "disputed",
        values: "the name of a column, '/', a case, '=', and a link of 1 to 500 characters",
        example: "nginx/repeated-post=https://example.com/issues/1",
    },
    Accepted { flag: "output", values: "text, json, markdown or html", example: "json" },
    Accepted {
        flag: "report",
        values: "a file name that ends in .txt, .json, .md or .html",
        example: "probe.html",
    },
];

/// `probe`.
#[derive(Clone, Debug, Args)]
pub struct Probe {
    /// URLs of proxies with dummy-server behind, each with a name or not: nginx=http://localhost:8081
    ///
    /// http:// is HTTP/1.1; h2c://, host:port and https:// are asked over HTTP/1.1 and over HTTP/2. A path stands before those that
    /// are asked for. Up to 16 make a matrix.
    #[arg(value_name = "[NAME=]URL")]
    pub(super) targets: Vec<String>,

    /// URL of the dummy-server itself, which is asked first
    ///
    /// There, each case has to be kept: otherwise the probe has not been able to judge, and ends with 1.
    #[arg(long, value_name = "URL")]
    pub(super) direct: Option<String>,

    /// Only these cases, by name or number, with commas between
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub(super) only: Vec<String>,

    /// Also ask the cases that are described and never judged, which take longer
    ///
    /// They are about what is a matter of configuration: order of fields, Forwarded, compression, timeouts, the PROXY protocol,
    /// pipelining, idle WebSockets. With --only, those that it names are asked.
    #[arg(long)]
    pub(super) all: bool,

    /// List the cases
    #[arg(long)]
    pub(super) list: bool,

    /// Explain a case: what it asks, and the rule about it
    #[arg(long, value_name = "CASE")]
    pub(super) explain: Option<String>,

    /// Which MUSTs bind what is probed: gateway or proxy
    ///
    /// A gateway stands for the server, like a reverse proxy or a load balancer; a proxy was chosen by its client (RFC 9110 section
    /// 3.7). What is against a MUST for proxies alone is broken by a proxy, and a change of a gateway's.
    #[arg(long, value_enum, value_name = "ROLE", default_value_t = RoleWord::Gateway, hide_possible_values = true)]
    pub(super) role: RoleWord,

    /// How often each case is tried, 1 to 100 times; if rounds differ, it is unstable
    #[arg(long, value_name = "N", default_value = "1", value_parser = rounds)]
    pub(super) rounds: u32,

    /// Limit of each wait, from 10ms to 10m
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = timeout)]
    pub(super) timeout: Duration,

    /// Say what a column is, such as version and configuration: nginx='1.26, minimal'
    ///
    /// One for each column; reports show it beside the name. The server itself is called direct.
    #[arg(long = "note", value_name = "NAME=TEXT", value_parser = note_of)]
    pub(super) notes: Vec<(String, String)>,

    /// Say where a finding is disputed: nginx/repeated-post=LINK
    ///
    /// Reports show the link with the cells of that case in that column. What was found does not change.
    #[arg(long, value_name = "NAME/CASE=LINK", value_parser = disputed)]
    pub(super) disputed: Vec<Disputed>,

    /// Trust any certificate
    #[arg(long)]
    pub(super) insecure: bool,

    /// Format: text, json, markdown or html
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = ProbeFormat::Text, hide_possible_values = true)]
    pub(super) output: ProbeFormat,

    /// Also write the report to a file: .txt, .json, .md or .html
    #[arg(long = "report", value_name = "FILE")]
    pub(super) reports: Vec<ProbeFile>,
}

/// `--role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleWord {
    /// It stands for the server.
    Gateway,
    /// Its client has chosen it.
    Proxy,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProbeFormat {
    /// For people.
    Text,
    /// For programs; see `probe.schema.json`.
    Json,
    /// For the summary of a CI job.
    Markdown,
    /// One page, with all transcripts.
    Html,
}

/// `--report`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeFile(pub(super) PathBuf, pub(super) ProbeFormat);

impl FromStr for ProbeFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = Path::new(text);
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => ProbeFormat::Text,
            Some("json") => ProbeFormat::Json,
            Some("md") => ProbeFormat::Markdown,
            Some("html") => ProbeFormat::Html,
            _ => return Err("a file name that ends in .txt, .json, .md or .html"),
        };
        Ok(Self(path.to_owned(), format))
    }
}

/// `--disputed`: a column, a case and a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disputed {
    pub(super) column: String,
    pub(super) case: String,
    pub(super) link: String,
}

/// The longest note, and the longest link.
const MAX_NOTE: usize = 500;

fn note_of(text: &str) -> Result<(String, String), &'static str> {
    let (name, note) = text.split_once('=').ok_or("NAME=TEXT")?;
    if name.is_empty() || !(1..=MAX_NOTE).contains(&note.chars().count()) {
        return Err("NAME=TEXT");
    }
    Ok((name.to_owned(), note.to_owned()))
}

fn disputed(text: &str) -> Result<Disputed, &'static str> {
    let (what, link) = note_of(text)?;
    let (column, case) = what.rsplit_once('/').ok_or("NAME/CASE=LINK")?;
    Ok(Disputed { column: column.to_owned(), case: case.to_owned(), link })
}

fn rounds(text: &str) -> Result<u32, &'static str> {
    let count = quantity::count_within(text, &(1..=u64::from(MAX_ROUNDS)));
    count.and_then(|count| u32::try_from(count).ok()).ok_or("a whole number from 1 to 100")
}

fn timeout(text: &str) -> Result<Duration, &'static str> {
    let time = quantity::duration_or_seconds(text, MAX_TIMEOUT);
    time.filter(|time| *time >= Duration::from_millis(10)).ok_or("a time from 10ms to 10m")
}
