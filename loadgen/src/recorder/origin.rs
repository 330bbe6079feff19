//! Where a run comes from: what is needed to distinguish runs, and to repeat one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plausible::is_printable;
use crate::plan::target::{REDACTED, without_user};

/// The longest text of each kind, in bytes.
const LONGEST_TEXT: usize = 4096;

/// The maximum number of words and labels that are kept.
const MOST: usize = 256;

/// The maximum number of runs that can be one by merging.
const MAX_RUNS: usize = 4096;

/// The maximum number of labels that are kept.
pub(crate) const MAX_LABELS: usize = MOST;

/// Where a run comes from. A program that uses the library says what it wants to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The version of loadgen.
    pub version: String,
    /// The name of the host.
    pub host: Option<String>,
    /// CPUs that the process could use.
    pub cpus: usize,
    /// When the run began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// The command line, without secrets.
    pub command: Vec<String>,
    /// What the user said of it.
    pub labels: BTreeMap<String, String>,
    /// The thresholds that the user held it against, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<String>,
    /// The runs that were merged into this one, by the number in the ids of their requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<u32>,
}

impl Origin {
    /// This program on this host.
    pub(crate) fn here(started_ms: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: runtime::host::name().filter(|name| is_printable(name, 256)),
            cpus: runtime::cpus::available().get(),
            started_ms,
            command: Vec::new(),
            labels: BTreeMap::new(),
            thresholds: Vec::new(),
            merged: Vec::new(),
        }
    }

    /// With the words of a command line, as far as they can be kept, and without secrets.
    #[must_use]
    pub fn with_command(mut self, words: impl IntoIterator<Item = String>) -> Self {
        let printable =
            |word: String| word.replace(char::is_control, "?").chars().take(LONGEST_TEXT / 4).collect();
        self.command = redacted(words).take(MOST).map(printable).collect();
        self
    }

    /// With labels.
    #[must_use]
    pub fn with_labels(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        self.labels.extend(labels);
        self
    }

    /// With thresholds, as far as they can be kept.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: impl IntoIterator<Item = String>) -> Self {
        self.thresholds.extend(thresholds.into_iter().filter(|text| is_printable(text, LONGEST_TEXT)));
        self.thresholds.truncate(MOST);
        self
    }

    /// With a shard that ran at the same time: the hosts of both, the labels and thresholds on which they agree, the earlier start.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.host != other.host {
            let hosts: Vec<_> = self.host.iter().chain(&other.host).map(String::as_str).collect();
            let both = hosts.join(", ");
            if both.len() <= LONGEST_TEXT {
                self.host = Some(both);
            }
            self.cpus = self.cpus.saturating_add(other.cpus);
        }
        self.labels.retain(|name, value| other.labels.get(name) == Some(value));
        self.thresholds.retain(|threshold| other.thresholds.contains(threshold));
        self.started_ms = self.started_ms.min(other.started_ms);
    }

    /// Whether reports can print it: what was read may hold anything.
    pub(crate) fn is_plausible(&self) -> bool {
        let texts = [&self.version].into_iter().chain(&self.host).chain(&self.command);
        self.command.len() <= MOST
            && self.labels.len() <= MOST
            && self.thresholds.len() <= MOST
            && self.merged.len() < MAX_RUNS
            && texts
                .chain(self.labels.keys())
                .chain(self.labels.values())
                .chain(&self.thresholds)
                .all(|text| is_printable(text, LONGEST_TEXT))
    }
}

/// Options whose values may hold secrets.
const SECRET: [(&str, Secret); 10] = [
    ("-H", Secret::Field),
    ("--header", Secret::Field),
    ("--trailer", Secret::Field),
    ("--headers", Secret::All),
    ("--payload", Secret::All),
    ("-b", Secret::All),
    ("--body", Secret::All),
    ("--user", Secret::All),
    ("--proxy", Secret::User),
    ("--during", Secret::Arguments),
];

/// Short options without a value, which may stand before one with a value in the same word.
const SHORT: [char; 3] = ['k', 'h', 'V'];

/// What of a value is kept from reports.
#[derive(Clone, Copy)]
enum Secret {
    /// All of it.
    All,
    /// All of a header field but its name.
    Field,
    /// The user of a URL.
    User,
    /// All of a command of the shell but the program.
    Arguments,
}

impl Secret {
    fn without(self, value: &str) -> String {
        match self {
            Self::All => REDACTED.to_owned(),
            Self::Field => field(value),
            Self::User => without_user(value),
            Self::Arguments => without_arguments(value),
        }
    }
}

/// A command of the shell with nothing but the name of its program, as any other word may hold a secret.
pub(crate) fn without_arguments(command: &str) -> String {
    let mut words = command.split_whitespace();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let program = words.next().filter(|word| word.chars().all(is_plain));
    match (program, words.next()) {
        (Some(program), None) => program.to_owned(),
        (Some(program), Some(_)) => format!("{program} {REDACTED}"),
        (None, _) => REDACTED.to_owned(),
    }
}

/// The words without values of header fields, bodies, arguments of commands and user names in URLs.
fn redacted(words: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    let mut before: Option<Secret> = None;
    words.into_iter().map(move |word| {
        if let Some(secret) = before.take() {
            return secret.without(&word);
        }
        match option(&word) {
            Some((secret, "")) => {
                before = Some(secret);
                word
            }
            Some((secret, value)) => {
                let kept = &word[..word.len() - value.len()];
                format!("{kept}{}", secret.without(value))
            }
            None if word.contains("://") => without_user(&word),
            None => word,
        }
    })
}

/// What is secret of the option that a word ends in or whose value it holds, and that value.
fn option(word: &str) -> Option<(Secret, &str)> {
    SECRET.into_iter().find_map(|(name, secret)| {
        let rest = if name.starts_with("--") {
            let rest = word.strip_prefix(name)?;
            rest.is_empty()
                .then_some(rest)
                .or_else(|| rest.strip_prefix('=').filter(|value| !value.is_empty()))
        } else {
            let letters = word.strip_prefix('-')?.trim_start_matches(SHORT);
            let rest = letters.strip_prefix(&name[1..])?;
            Some(rest.strip_prefix('=').unwrap_or(rest))
        };
        Some((secret, rest?))
    })
}

/// A header field without its value.
fn field(field: &str) -> String {
    let name = field.split(':').next().unwrap_or_default();
    format!("{name}: {REDACTED}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_kept_without_secrets() {
        let kept = |line: &str| {
            let words = line.split(' ').map(str::to_owned);
            Origin::default().with_command(words).command.join(" ")
        };
        for (line, expected) in [
            ("loadgen -r 10 a:1/x?y=1", "loadgen -r 10 a:1/x?y=1"),
            ("loadgen -H authorization:secret a:1", "loadgen -H authorization: [redacted] a:1"),
            ("loadgen -Hauthorization:secret a:1", "loadgen -Hauthorization: [redacted] a:1"),
            ("loadgen --header cookie:secret a:1", "loadgen --header cookie: [redacted] a:1"),
            ("loadgen --header=cookie:secret a:1", "loadgen --header=cookie: [redacted] a:1"),
            ("loadgen --trailer auth:secret a:1", "loadgen --trailer auth: [redacted] a:1"),
            ("loadgen --trailer=auth:secret a:1", "loadgen --trailer=auth: [redacted] a:1"),
            ("loadgen --during=./reload a:1", "loadgen --during=./reload a:1"),
            ("loadgen --during TOKEN=secret a:1", "loadgen --during [redacted] a:1"),
            ("loadgen -b secret -H x:secret a:1", "loadgen -b [redacted] -H x: [redacted] a:1"),
            (
                "loadgen hammer --headers {\"x\":\"secret\"} --tps 1",
                "loadgen hammer --headers [redacted] --tps 1",
            ),
            ("loadgen hammer --headers={\"x\":\"secret\"}", "loadgen hammer --headers=[redacted]"),
            ("loadgen hammer --payload secret", "loadgen hammer --payload [redacted]"),
            ("loadgen --user me:secret a:1", "loadgen --user [redacted] a:1"),
            ("loadgen --user=me:secret a:1", "loadgen --user=[redacted] a:1"),
            ("loadgen --proxy=http://me:secret@b:1 a:1", "loadgen --proxy=http://[redacted]@b:1 a:1"),
            ("loadgen -kH authorization:secret a:1", "loadgen -kH authorization: [redacted] a:1"),
            ("loadgen -kHa:secret a:1", "loadgen -kHa: [redacted] a:1"),
            ("loadgen -kb secret a:1", "loadgen -kb [redacted] a:1"),
            ("loadgen -kbsecret a:1", "loadgen -kb[redacted] a:1"),
            ("loadgen --proxy me:secret@b:1 a:1", "loadgen --proxy [redacted]@b:1 a:1"),
            ("loadgen --proxy=me:secret@b:1 a:1", "loadgen --proxy=[redacted]@b:1 a:1"),
            ("loadgen -bsecret a:1", "loadgen -b[redacted] a:1"),
            ("loadgen --body=secret a:1", "loadgen --body=[redacted] a:1"),
            ("loadgen --body-file=f --body-file f a:1", "loadgen --body-file=f --body-file f a:1"),
            ("loadgen -u http://me:secret@host:1/a@b", "loadgen -u http://[redacted]@host:1/a@b"),
            ("loadgen http://host:1/a@b", "loadgen http://host:1/a@b"),
        ] {
            let found = kept(line);
            assert!(found == expected && !found.contains("secret"), "{line}: {found}");
        }
        let words = ["--during", "curl -H 'x: secret' b:1", "--during=sleep 1"].map(str::to_owned);
        let found = Origin::default().with_command(words).command;
        assert_eq!(found, ["--during", "curl [redacted]", "--during=sleep [redacted]"]);
        for (command, expected) in [("", "[redacted]"), ("(a; b)", "[redacted]"), (" a\n", "a")] {
            assert_eq!(without_arguments(command), expected, "{command:?}");
        }
        let origin =
            Origin::default().with_command((0..1000).map(|n| format!("{n}\u{1b}{}", "x".repeat(9000))));
        assert!(origin.is_plausible());
    }
}
