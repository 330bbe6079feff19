//! Turns words and the environment into clap's matches, or into a message in parts.

use std::{
    error::Error as _,
    ffi::OsString,
    io::{self, Write as _},
};

use clap::{
    Arg, ArgMatches, Command,
    builder::{PossibleValue, Resettable, ValueRange},
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use crate::{Refusal, refusal::quoted};

/// What a flag accepts, and a value that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The flag, without its dashes.
    pub flag: &'a str,
    /// In words, such as "a whole number from 1 to 10".
    pub values: &'a str,
    /// One of them.
    pub example: &'a str,
}

/// What was given.
#[derive(Debug)]
pub struct Parsed {
    /// clap's view of it.
    pub matches: ArgMatches,
    /// What comes from the environment.
    pub variables: Variables,
}

/// The flags whose values come from the environment, each with its variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// The variable that a flag's value comes from.
    #[must_use]
    pub fn of(&self, flag: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == flag).map(|(_, variable)| variable.as_str())
    }

    /// Whether no value comes from the environment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> From<[(String, String); N]> for Variables {
    fn from(variables: [(String, String); N]) -> Self {
        Self(variables.into())
    }
}

/// Why there is nothing to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `--help` or `--version`: what they print.
    #[error("{0}")]
    Help(clap::Error),
    /// An input that is refused.
    #[error("{0}")]
    Refused(String),
}

/// Prints what `--help` or `--version` show. Who stops reading, as `head` does, has read enough.
///
/// # Errors
/// Standard output can't be written to, in words.
pub fn print_help(help: &clap::Error) -> Result<(), String> {
    match help.print().and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("can't write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Reads words, whose first is the program's name, and the environment. `accepted` says what flags accept where clap
/// does not know.
///
/// # Errors
/// See [`Failure`].
pub fn parse(
    command: &Command,
    words: impl IntoIterator<Item = impl Into<OsString>>,
    accepted: &[Accepted],
) -> Result<Parsed, Failure> {
    let words = join_negative_values(command, words.into_iter().map(Into::into));
    match command.clone().try_get_matches_from(&words) {
        Ok(matches) => {
            let from_environment =
                |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable);
            let named =
                |arg: &Arg| Some((arg.get_long()?.to_owned(), arg.get_env()?.to_string_lossy().into_owned()));
            let variables =
                Variables(command.get_arguments().filter(from_environment).filter_map(named).collect());
            Ok(Parsed { matches, variables })
        }
        Err(error) if !error.use_stderr() => Err(Failure::Help(error)),
        Err(error) => Err(Failure::Refused(explain(command, &words, &error, accepted))),
    }
}

/// Words with two dashes before those flags that have one: `-addr` and `-addr=:1` begin with `--addr` where `is_flag` knows `addr`.
pub fn with_two_dashes(
    words: impl IntoIterator<Item = impl Into<OsString>>,
    is_flag: impl Fn(&str) -> bool,
) -> impl Iterator<Item = OsString> {
    words.into_iter().map(Into::into).map(move |word| {
        let name = word.to_str().and_then(|word| word.strip_prefix('-')?.split('=').next());
        if name.is_some_and(&is_flag) {
            let mut long = OsString::from("-");
            long.push(word);
            return long;
        }
        word
    })
}

/// `-d -5s` becomes `--duration=-5s`: clap would read `-5s` as flags. A value that does not begin like a
/// negative number stays a word: `-d --total 5` lacks a value.
fn join_negative_values(command: &Command, words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut waiting: Option<String> = None;
    let mut options_end = false;
    let mut command = command;
    for word in words {
        let text = word.to_str().unwrap_or_default();
        let is_negative = text
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
        match waiting.take() {
            Some(flag) if is_negative => {
                joined.pop();
                joined.push(format!("--{flag}={text}").into());
                continue;
            }
            // That word is the flag's value.
            Some(_) if !text.starts_with('-') => {}
            _ if !options_end => {
                options_end = text == "--";
                command = command.find_subcommand(text).unwrap_or(command);
                waiting = flag_that_waits(command, text);
            }
            _ => {}
        }
        joined.push(word);
    }
    joined
}

/// The flag of a word that takes the next word as its value.
fn flag_that_waits(command: &Command, word: &str) -> Option<String> {
    let is_meant = |arg: &&Arg| match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(long), _) => {
            arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
        }
        (None, Some(short)) => {
            let mut letters = short.chars();
            let letter = letters.next().filter(|_| letters.next().is_none());
            letter.is_some()
                && (arg.get_short() == letter
                    || arg.get_all_short_aliases().is_some_and(|all| all.iter().any(|a| Some(*a) == letter)))
        }
        (None, None) => false,
    };
    let arg = command.get_arguments().find(is_meant)?;
    let takes_next = arg.get_action().takes_values()
        && !arg.is_require_equals_set()
        && arg.get_num_args().is_none_or(|range| range == ValueRange::SINGLE);
    takes_next.then(|| arg.get_long().map(str::to_owned)).flatten()
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// clap's error as a message in parts.
fn explain(command: &Command, words: &[OsString], error: &clap::Error, accepted: &[Accepted]) -> String {
    let argument = text_of(error, ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.strip_prefix("--").and_then(|flag| flag.split(['=', ' ', '[', '<']).next());
    let words_of_it = words.iter().filter_map(|word| word.to_str());
    let innermost = words_of_it.fold(command, |at, word| at.find_subcommand(word).unwrap_or(at));
    let mut args = [innermost, command].into_iter().flat_map(Command::get_arguments);
    let arg = flag.and_then(|flag| args.find(|arg| arg.get_long() == Some(flag)));
    let known = flag.and_then(|flag| accepted.iter().find(|accepted| accepted.flag == flag));
    let refused = match (error.kind(), arg, flag) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(arg), Some(flag)) => {
            let value = text_of(error, ContextKind::InvalidValue).unwrap_or_default();
            let (values, example) = accepted_by(arg, known, error);
            let from_environment = is_from_environment(command, words, error, arg);
            let variable = arg.get_env().filter(|_| from_environment).map(|name| name.to_string_lossy());
            let is_missing = value.is_empty() && error.source().is_none() && variable.is_none();
            if is_missing {
                let example = format!("--{flag}={}", quoted(&example));
                Refusal::new(format!("--{flag} needs a value"), values, example)
            } else {
                let refused = Refusal::of_value(flag, value, values, example);
                let named = |name: std::borrow::Cow<'_, str>| (flag.to_owned(), name.into_owned());
                refused.naming(&Variables(variable.map(named).into_iter().collect()))
            }
        }
        (ErrorKind::ArgumentConflict, Some(arg), Some(flag))
            if text_of(error, ContextKind::PriorArg) == Some(argument) =>
        {
            let (_, example) = accepted_by(arg, known, error);
            let example = format!("--{flag}={}", quoted(&example));
            Refusal::new(format!("--{flag} is given more than once"), "one value", example)
        }
        // A word too many, which clap takes for a subcommand where there are some.
        (ErrorKind::ArgumentConflict, ..) if text_of(error, ContextKind::InvalidSubcommand).is_some() => {
            let word = text_of(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let name = command.get_name();
            // With a slip in its name, the subcommand was taken for the argument that may stand alone.
            let first = words.get(1).and_then(|first| first.to_str()).unwrap_or_default();
            match similar_subcommand(command, first) {
                Some(similar) => Refusal::new(
                    format!("unexpected argument '{first}'"),
                    format!("a similar subcommand exists: '{similar}'"),
                    format!("{name} {similar} --help"),
                ),
                None => {
                    let example = format!("{name} --help");
                    Refusal::new(
                        format!("unexpected argument '{word}'"),
                        "the options that --help lists",
                        example,
                    )
                }
            }
        }
        (ErrorKind::UnknownArgument, ..) => {
            let name = command.get_name();
            let subject = format!("unexpected argument '{argument}'");
            match text_of(error, ContextKind::SuggestedArg) {
                Some(similar) => {
                    Refusal::new(subject, format!("a similar argument exists: '{similar}'"), similar)
                }
                None => Refusal::new(subject, "the options that --help lists", format!("{name} --help")),
            }
        }
        _ => return rest_of(error, command.get_name()),
    };
    refused.to_string()
}

/// The subcommand whose name a word is, but for a slip or two.
fn similar_subcommand<'c>(command: &'c Command, word: &str) -> Option<&'c str> {
    let names = command.get_subcommands().filter(|known| !known.is_hide_set()).map(Command::get_name);
    let distances = names.map(|name| (edits(name, word), name));
    let (distance, nearest) = distances.min()?;
    (distance <= (nearest.len() / 3).min(2)).then_some(nearest)
}

/// How many letters have to be added, taken away or replaced to make one word of the other.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(MAX_WORD).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, also) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *also);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// No subcommand is longer, and more of a word is not looked at.
const MAX_WORD: usize = 64;

/// What the flag accepts, and an example.
fn accepted_by(arg: &Arg, known: Option<&Accepted>, error: &clap::Error) -> (String, String) {
    if let Some(known) = known {
        return (known.values.to_owned(), known.example.to_owned());
    }
    if !arg.get_action().takes_values() {
        return ("true or false".to_owned(), "true".to_owned());
    }
    let possible = arg.get_possible_values();
    let possible: Vec<&str> = possible.iter().map(PossibleValue::get_name).collect();
    if let Some(first) = possible.first() {
        return (either(&possible), (*first).to_owned());
    }
    let values = error.source().map_or_else(|| "a value".to_owned(), ToString::to_string);
    let name = arg.get_value_names().and_then(|names| names.first().map(ToString::to_string));
    (values, name.unwrap_or_default())
}

/// Words as a sentence lists them: "a, b or c".
#[must_use]
pub fn either(words: &[&str]) -> String {
    match words {
        [others @ .., other, last] if !others.is_empty() => {
            format!("{}, {other} or {last}", others.join(", "))
        }
        words => words.join(" or "),
    }
}

/// Whether the value that is refused comes from the environment: without the variable there is another error, or none.
fn is_from_environment(command: &Command, words: &[OsString], error: &clap::Error, arg: &Arg) -> bool {
    if arg.get_env().is_none() {
        return false;
    }
    let id = arg.get_id().clone();
    let typed_alone = command.clone().mut_arg(id, |arg| arg.env(Resettable::Reset));
    match typed_alone.try_get_matches_from(words) {
        Ok(_) => true,
        Err(other) => [ContextKind::InvalidArg, ContextKind::InvalidValue]
            .into_iter()
            .any(|kind| text_of(&other, kind) != text_of(error, kind)),
    }
}

/// clap's own first line, for what comes up too rarely to be reworded.
fn rest_of(error: &clap::Error, program: &str) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let wrong = line.strip_prefix("error: ").unwrap_or(line);
    Refusal::new(wrong, "what --help says", format!("{program} --help")).to_string()
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn command() -> Command {
        let number = |text: &str| text.parse::<u8>().map_err(|_| "a number below 256".to_owned());
        Command::new("program")
            .arg(Arg::new("target"))
            .arg(Arg::new("size").short('s').long("size").alias("length").value_parser(number))
            .arg(Arg::new("path").long("path").env("PATH").value_parser(number))
            .arg(Arg::new("form").long("form").value_parser(["text", "json"]))
            .arg(Arg::new("switch").long("switch").action(ArgAction::SetTrue))
    }

    const SIZE: Accepted = Accepted { flag: "size", values: "a number below 256", example: "10" };
    const PATH: Accepted = Accepted { flag: "path", values: "a number", example: "1" };

    /// Without the variable, unless `--path` is not in the line.
    fn said(line: &str) -> String {
        let command = command().mut_arg("path", |arg| arg.env(Resettable::Reset));
        let words = std::iter::once("program").chain(line.split_whitespace());
        parse(&command, words, &[SIZE, PATH]).map_or_else(|failure| failure.to_string(), |_| String::new())
    }

    #[test]
    fn every_refusal_names_the_input_and_what_is_accepted_with_an_example() {
        for (line, expected) in [
            ("--size x", "invalid value 'x' for --size; accepted: a number below 256; example: --size=10"),
            (
                "--size -5s",
                "invalid value '-5s' for --size; accepted: a number below 256; example: --size=10",
            ),
            ("-s -5", "invalid value '-5' for --size; accepted: a number below 256; example: --size=10"),
            (
                "--length -.5",
                "invalid value '-.5' for --size; accepted: a number below 256; example: --size=10",
            ),
            ("--size", "--size needs a value; accepted: a number below 256; example: --size=10"),
            ("-s --switch", "--size needs a value; accepted: a number below 256; example: --size=10"),
            ("-s 1 -s 2", "--size is given more than once; accepted: one value; example: --size=10"),
            ("--form xml", "invalid value 'xml' for --form; accepted: text or json; example: --form=text"),
            ("--form", "--form needs a value; accepted: text or json; example: --form=text"),
            (
                "--sice 1",
                "unexpected argument '--sice'; accepted: a similar argument exists: '--size'; example: --size",
            ),
            (
                "-5",
                "unexpected argument '-5'; accepted: the options that --help lists; example: program --help",
            ),
            (
                "-s 1 -5",
                "unexpected argument '-5'; accepted: the options that --help lists; example: program --help",
            ),
            ("-s 1 -- -5", ""),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }

    #[test]
    fn a_subcommand_with_a_slip_in_its_name_is_suggested() {
        let command = Command::new("program")
            .args_conflicts_with_subcommands(true)
            .arg(Arg::new("target"))
            .subcommands(["report", "find-max", "diff"].map(Command::new));
        let said = |line: &str| {
            let words = std::iter::once("program").chain(line.split(' '));
            parse(&command, words, &[]).unwrap_err().to_string()
        };
        for (line, similar) in [
            ("repor x.json", "report"),
            ("reprot x.json", "report"),
            ("findmax a:1", "find-max"),
            ("dif a b", "diff"),
        ] {
            let first = line.split(' ').next().unwrap();
            let expected = format!(
                "unexpected argument '{first}'; accepted: a similar subcommand exists: '{similar}'; \
                 example: program {similar} --help"
            );
            assert_eq!(said(line), expected);
        }
        assert!(said("a:1 b:1").starts_with("unexpected argument 'b:1'; accepted: the options that --help"));
        assert!(said(&format!("{} b:1", "r".repeat(100_000))).starts_with("unexpected argument 'b:1'"));
    }

    #[test]
    fn the_example_of_a_missing_value_is_one_word_for_a_shell() {
        let bound = Arg::new("bound").long("bound").value_parser(|text: &str| text.parse::<u8>());
        let accepted = [Accepted { flag: "bound", values: "a bound", example: "p(99)<1s" }];
        for line in ["--bound", "--bound 1 --bound 2"] {
            let words = std::iter::once("program").chain(line.split(' '));
            let said = parse(&Command::new("program").arg(bound.clone()), words, &accepted).unwrap_err();
            assert!(said.to_string().ends_with("; example: --bound='p(99)<1s'"), "{said}");
        }
    }

    #[test]
    fn values_of_subcommands_are_refused_by_their_own_names() {
        let tps = Arg::new("tps").short('s').long("tps").value_parser(|text: &str| text.parse::<u8>());
        let command = command().subcommand(Command::new("run").subcommand(Command::new("fast").arg(tps)));
        let tps = Accepted { flag: "tps", values: "requests per second", example: "5" };
        for line in ["run fast --tps -5", "run fast -s -5", "run fast --tps=-5"] {
            let words = std::iter::once("program").chain(line.split(' '));
            let said = parse(&command, words, &[SIZE, tps]).unwrap_err().to_string();
            let expected = "invalid value '-5' for --tps; accepted: requests per second; example: --tps=5";
            assert_eq!(said, expected, "{line}");
        }
    }

    #[test]
    fn a_variable_with_a_wrong_value_is_named() {
        let said = |words: &[&str]| parse(&command(), words, &[SIZE, PATH]).unwrap_err().to_string();
        let path = std::env::var("PATH").unwrap();
        let text = said(&["program"]);
        assert_eq!(
            text,
            format!("invalid value '{path}' for PATH; accepted: a number; example: PATH=1"),
            "{text}"
        );
        // What is typed wins, and is the one that is wrong.
        let text = said(&["program", "--path", "x"]);
        assert!(text.starts_with("invalid value 'x' for --path;"), "{text}");
    }
}
