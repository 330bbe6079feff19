//! Keys of a map and their values, read as what they are meant to be, or refused with their place.

use std::fmt::Display;

use command_line::{Accepted, Refusal};

use super::tree::{Entry, Node, Value};
use crate::plan::PlanError;

/// A map whose keys are known ones.
pub(super) struct Keys<'n> {
    entries: &'n [Entry],
    name: &'n str,
}

impl<'n> Keys<'n> {
    /// Of a map in the file of this name.
    pub(super) fn of(node: &'n Node, known: &[&str], name: &'n str) -> Result<Self, PlanError> {
        let Value::Map(entries) = &node.value else {
            let accepted = format!("a map with any of {}", known.join(", "));
            return Err(refused(name, node, Plain::of(node, name).kind(), &accepted, example(known)));
        };
        let keys = Self { entries, name };
        match entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
            None => Ok(keys),
            Some(entry) => {
                let at = (entry.line, entry.column);
                let wrong = format!("unknown key '{}'", entry.key);
                Err(refused_at(name, at, wrong, &known.join(", "), example(known)))
            }
        }
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &'n str {
        self.name
    }

    /// All keys with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'n str, &'n Node)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Something that is wrong with a value.
    pub(super) fn refused(&self, node: &Node, wrong: &str, accepted: &str, example: &str) -> PlanError {
        refused(self.name, node, wrong, accepted, example)
    }

    /// No two of these keys are there.
    pub(super) fn at_most_one(&self, keys: &[&str]) -> Result<(), PlanError> {
        let mut there = self.entries.iter().filter(|entry| keys.contains(&entry.key.as_str()));
        match (there.next(), there.next()) {
            (Some(one), Some(other)) => {
                let wrong = format!("{} and {} exclude each other", one.key, other.key);
                let at = (other.line, other.column);
                Err(refused_at(self.name, at, wrong, &format!("one of {}", keys.join(", ")), keys[0]))
            }
            _ => Ok(()),
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, PlanError> {
        self.get(key).map(|node| Plain::of(node, self.name).text(key)).transpose()
    }

    /// A list.
    pub(super) fn list(&self, key: &str) -> Result<&'n [Node], PlanError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node { value: Value::List(items), .. }) => Ok(items),
            Some(node) => {
                let example = match key {
                    "loads" => "- {name: spike, rate: 100}",
                    "thresholds" => "- p(99)<200ms",
                    _ => "- /items",
                };
                Err(self.refused(node, Plain::of(node, self.name).kind(), "a list", example))
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, PlanError> {
        self.read(key, "true or false", "true", |text| text.parse().ok())
    }

    /// A value that `read` makes of its text.
    pub(super) fn read<T>(
        &self,
        key: &str,
        accepted: &str,
        example: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, PlanError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let text = Plain::of(node, self.name).text(key)?;
        read(&text).map(Some).ok_or_else(|| {
            let wrong = format!("invalid value '{text}' for {key}");
            self.refused(node, &wrong, accepted, &format!("{key}: {example}"))
        })
    }

    /// The same of what is an option of the command line as well.
    pub(super) fn read_as<T>(
        &self,
        option: &Accepted,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, PlanError> {
        self.read(&option.flag.replace('-', "_"), option.values, option.example, read)
    }
}

/// An example of a map with one of these keys.
fn example(known: &[&str]) -> &'static str {
    match known {
        ["target", ..] => "target: http://localhost:8080",
        ["rate", ..] => "rate: 100",
        ["status", ..] => "status: 200",
        ["name", "start", ..] => "name: spike",
        ["equals", ..] => "contains: json",
        _ => "path: /items",
    }
}

/// A value that is neither a list nor a map.
pub(super) struct Plain<'n> {
    node: &'n Node,
    name: &'n str,
}

impl<'n> Plain<'n> {
    pub(super) fn of(node: &'n Node, name: &'n str) -> Self {
        Self { node, name }
    }

    /// Its text.
    pub(super) fn text(&self, key: &str) -> Result<String, PlanError> {
        match &self.node.value {
            Value::Scalar { text, is_plain } if !(*is_plain && is_nothing(text)) => Ok(text.clone()),
            _ => {
                let wrong = format!("{} for {key}", self.kind());
                Err(refused(self.name, self.node, wrong, "a text or a number", &format!("{key}: '...'")))
            }
        }
    }

    /// As JSON has it.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.node.value {
            Value::Scalar { text, is_plain: true } if is_nothing(text) => serde_json::Value::Null,
            Value::Scalar { text, is_plain: true } => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                text => match serde_json::from_str::<serde_json::Number>(text) {
                    Ok(number) => number.into(),
                    Err(_) => text.into(),
                },
            },
            Value::Scalar { text, .. } => text.as_str().into(),
            Value::List(items) => items.iter().map(|item| Plain::of(item, self.name).json()).collect(),
            Value::Map(entries) => {
                let entry = |entry: &Entry| (entry.key.clone(), Plain::of(&entry.value, self.name).json());
                serde_json::Value::Object(entries.iter().map(entry).collect())
            }
        }
    }

    fn kind(&self) -> &'static str {
        match &self.node.value {
            Value::Scalar { text, is_plain: true } if is_nothing(text) => "nothing",
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

fn is_nothing(plain: &str) -> bool {
    matches!(plain, "" | "~" | "null")
}

/// Something that is wrong with a value.
pub(super) fn refused(
    name: &str,
    node: &Node,
    wrong: impl AsRef<str>,
    accepted: &str,
    example: &str,
) -> PlanError {
    refused_at(name, (node.line, node.column), wrong, accepted, example)
}

fn refused_at(
    name: impl Display,
    (line, column): (usize, usize),
    wrong: impl AsRef<str>,
    accepted: &str,
    example: &str,
) -> PlanError {
    PlanError(Refusal::new(wrong, accepted, example).at(format!("{name}:{line}:{column}")))
}
