//! An input that is refused, as a message in parts: what is wrong with which input, what is accepted, an example of it.

use std::fmt;

use crate::{Accepted, Variables};

/// Why an input is refused. It is shown in one line, without the program's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal(Box<Parts>);

/// In a box, as results with it are returned by many small functions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    subject: String,
    input: Input,
    detail: String,
    accepted: String,
    example: String,
}

/// Where the input stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    /// The subject says it, and the example is complete.
    Subject,
    /// A flag, without its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A place in a file, and the key there if it is known.
    File(String, Option<String>),
}

impl Refusal {
    /// Of any input: `subject` names it, and `example` is complete.
    pub fn new(subject: impl AsRef<str>, accepted: impl Into<String>, example: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            subject: in_one_line(subject.as_ref()),
            input: Input::Subject,
            detail: String::new(),
            accepted: accepted.into(),
            // It may repeat the input.
            example: in_one_line(&example.into()),
        }))
    }

    /// Of a flag's value; `example` is another value.
    pub fn of_value(
        flag: impl Into<String>,
        value: impl fmt::Display,
        accepted: impl Into<String>,
        example: impl Into<String>,
    ) -> Self {
        Self::new(format!("invalid value '{value}'"), accepted, example).given_with(flag)
    }

    /// The same with what exactly is wrong.
    #[must_use]
    pub fn because(mut self, detail: impl AsRef<str>) -> Self {
        self.0.detail = in_one_line(detail.as_ref());
        self
    }

    /// The same, with the flag that the input was given with.
    #[must_use]
    pub fn given_with(mut self, flag: impl Into<String>) -> Self {
        self.0.input = Input::Flag(flag.into());
        self
    }

    /// The same of an input that was given in another form, of which `accepted` has the name.
    #[must_use]
    pub fn given_as(mut self, accepted: &Accepted) -> Self {
        self.0.accepted = accepted.values.to_owned();
        self.0.example = accepted.example.to_owned();
        self.given_with(accepted.flag)
    }

    /// The flag that the input was given with, without its dashes.
    #[must_use]
    pub fn flag(&self) -> Option<&str> {
        match &self.0.input {
            Input::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The same of an input that stands in a file, at a place like `plan.yaml:7:12`, under the flag's name if there is one. The
    /// first place stays.
    #[must_use]
    pub fn at(mut self, place: impl AsRef<str>) -> Self {
        if !matches!(self.0.input, Input::File(..)) {
            let key = self.flag().map(|flag| flag.replace('-', "_"));
            self.0.input = Input::File(in_one_line(place.as_ref()), key);
        }
        self
    }

    /// The same in the words of a file: each flag that is named in it is the key that `key_of` has for it, if it has one.
    #[must_use]
    pub fn in_keys(mut self, key_of: impl Fn(&str) -> Option<String>) -> Self {
        let Parts { subject, detail, accepted, example, .. } = &mut *self.0;
        for text in [subject, detail, accepted] {
            *text = with_keys(text, &key_of);
        }
        *example = match example.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
            Some((flag, value)) if key_of(flag).is_some() => {
                format!("{}: {value}", key_of(flag).unwrap_or_default())
            }
            _ => of_command(example, &key_of).unwrap_or_else(|| with_keys(example, &key_of)),
        };
        self
    }

    /// The same, with the variable instead of the flag if the value comes from there.
    #[must_use]
    pub fn naming(mut self, variables: &Variables) -> Self {
        if let Input::Flag(flag) = &self.0.input
            && let Some(variable) = variables.of(flag)
        {
            self.0.input = Input::Variable(variable.to_owned());
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Input::File(place, _) = &self.0.input {
            write!(f, "{place}: ")?;
        }
        let name = match &self.0.input {
            Input::Subject | Input::File(_, None) => String::new(),
            Input::File(_, Some(key)) => key.clone(),
            Input::Flag(flag) => format!("--{flag}"),
            Input::Variable(variable) => variable.clone(),
        };
        f.write_str(&self.0.subject)?;
        if !name.is_empty() {
            write!(f, " for {name}")?;
        }
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        write!(f, "; accepted: {}; example: ", self.0.accepted)?;
        if name.is_empty() {
            f.write_str(&self.0.example)
        } else if let Input::File(..) = &self.0.input {
            write!(f, "{name}: {}", self.0.example)
        } else {
            write!(f, "{name}={}", quoted(&self.0.example))
        }
    }
}

/// The keys and values for the flags of a command line, if it has some.
fn of_command(example: &str, key_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let entry = |word: &str| {
        let (flag, value) =
            word.strip_prefix("--")?.split_once('=').unwrap_or((word.strip_prefix("--")?, "true"));
        Some(format!("{}: {value}", key_of(flag)?))
    };
    let mut words = example.split(' ');
    let has_program = words.next().is_some_and(|word| !word.starts_with('-'));
    let entries: Vec<_> = words.filter_map(entry).collect();
    (has_program && !entries.is_empty()).then(|| entries.join(", "))
}

/// A text with the keys that `key_of` has for the flags in it.
fn with_keys(text: &str, key_of: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = text.split("--");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let (flag, rest) = part.split_at(part.find(|c| !is_of_name(c)).unwrap_or(part.len()));
        // What stands in the middle of a word is none.
        let is_flag = !told.ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '/');
        match key_of(flag).filter(|_| is_flag) {
            Some(key) => told.extend([key.as_str(), rest]),
            None => told.extend(["--", part]),
        }
    }
    told
}

/// The maximum number of characters shown of an input.
const LONGEST: usize = 500;

/// Whether a terminal would not show it as a character in its place: controls, line ends, changes of direction, and what else is of
/// Unicode's category Cf (format).
#[must_use]
pub fn is_misleading(c: char) -> bool {
    let is_format = matches!(
        c,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || is_format || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A message is one line, whatever is in the input.
fn in_one_line(text: &str) -> String {
    let escaped = |c: char| if is_misleading(c) { c.escape_default().to_string() } else { c.to_string() };
    let shown = text.chars().take(LONGEST).map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() { shown + "..." } else { shown }
}

/// As a shell takes it for one word.
pub(crate) fn quoted(example: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+[]=".contains(c);
    if example.chars().all(is_plain) { example.to_owned() } else { format!("'{example}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_file_names_its_keys_and_no_flags() {
        let keys = |flag: &str| ["rate", "max-lag"].contains(&flag).then(|| flag.replace('-', "_"));
        let told =
            Refusal::new("--max-lag without --rate, a--rate, --rates", "--rate or --check", "--rate='1 2'");
        let expected =
            "max_lag without rate, a--rate, --rates; accepted: rate or --check; example: rate: '1 2'";
        assert_eq!(told.in_keys(keys).to_string(), expected);
        let told =
            Refusal::new("--rate", "--rate", "loadgen --rate=5 --max a:1").because("--max-lag").in_keys(keys);
        assert_eq!(told.to_string(), "rate: max_lag; accepted: rate; example: rate: 5");
    }

    #[test]
    fn a_message_says_what_is_wrong_what_is_accepted_and_an_example_of_that_input() {
        let rate = Refusal::of_value("rate", "many", "a number from 1", "1000");
        let text = "invalid value 'many' for --rate; accepted: a number from 1; example: --rate=1000";
        assert_eq!(rate.to_string(), text);
        let variables = Variables::from([("rate".to_owned(), "LOADGEN_RATE".to_owned())]);
        assert_eq!(rate.naming(&variables).to_string(), text.replace("--rate", "LOADGEN_RATE"));
        let tps = Accepted { flag: "tps", values: "requests per second", example: "5" };
        let text = "invalid value '0' for --tps: none; accepted: requests per second; example: --tps=5";
        let renamed = Refusal::of_value("rate", 0, "a number", "1000").because("none").given_as(&tps);
        assert_eq!(renamed.to_string(), text);
        let misleading = Refusal::new("invalid target 'a\u{202e}b\u{2028}'", "host:port", "a:80").to_string();
        assert!(misleading.starts_with(r"invalid target 'a\u{202e}b\u{2028}'"), "{misleading}");
        let long = Refusal::new("x".repeat(100_000), "host:port", "a:80").to_string();
        assert!(long.len() < 600 && long.contains("x...; accepted"), "{long}");
        let target = Refusal::new("invalid target 'a\nb'", "host:port", "a:80").because("it has a line end");
        let text = r"invalid target 'a\nb': it has a line end; accepted: host:port; example: a:80";
        assert_eq!(target.to_string(), text);
        let text =
            r"invalid target 'a\nb' for --url: it has a line end; accepted: host:port; example: --url=a:80";
        assert_eq!(target.given_with("url").naming(&variables).to_string(), text);
        let field = Refusal::of_value("header", "x", "a field", "name: value").to_string();
        assert!(field.ends_with("example: --header='name: value'"), "{field}");
    }
}
