//! A document of YAML as a tree that knows where everything stands. What YAML can say beyond JSON's values is refused:
//! aliases, which may grow without bounds, and tags.

use std::{collections::HashSet, path::Path};

use command_line::Refusal;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::plan::{PlanError, places::Position};

/// How deep lists and maps may lie within each other.
const MAX_DEPTH: usize = 32;

/// The maximum number of values of all kinds.
const MAX_NODES: usize = 200_000;

/// A value, and where it begins, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Value,
}

impl Node {
    /// Line and column.
    pub(super) fn place(&self) -> Position {
        (self.line, self.column)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, a number or a word; whether it stands without quotes.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, where it stands, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Node,
}

/// A list or a map that is not complete, and the key whose value comes next.
struct Open {
    node: Node,
    key: Option<(String, usize, usize)>,
    /// The keys of a map so far.
    keys: HashSet<String>,
}

impl Open {
    fn new(node: Node) -> Self {
        Self { node, key: None, keys: HashSet::new() }
    }
}

/// Reads one document; `name` is that of its file.
pub(super) fn parse(text: &str, name: &str) -> Result<Node, PlanError> {
    // JSON is also YAML, but not what its author called it.
    let is_json = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let language = if is_json { "JSON" } else { "YAML" };
    let refused = |line: usize, column: usize, wrong: &str, accepted: &str| {
        let example = match is_json {
            true => r#"{"target": "http://localhost:8080"}"#,
            false => "target: http://localhost:8080",
        };
        let refusal = Refusal::new(wrong, accepted, example);
        PlanError(refusal.at(format!("{name}:{line}:{column}")))
    };
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            refused(line, column, &format!("invalid {language}: {}", error.info()), "a plan in YAML or JSON")
        })?;
        let (line, column) = place(&span);
        let node = |value: Value| Node { line, column, value };
        let refused = |wrong: &str, accepted: &str| refused(line, column, wrong, accepted);
        let complete = match event {
            Event::Alias(_) => return Err(refused("an alias", "values written out")),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(refused("a tag", "values without tags"));
            }
            Event::Scalar(text, style, ..) => {
                let is_plain = style == ScalarStyle::Plain;
                node(Value::Scalar { text: text.into_owned(), is_plain })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == MAX_DEPTH => {
                return Err(refused("too deep a value", &format!("at most {MAX_DEPTH} levels")));
            }
            Event::SequenceStart(..) => {
                open.push(Open::new(node(Value::List(Vec::new()))));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::new(node(Value::Map(Vec::new()))));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open { node, .. }) => node,
                None => continue,
            },
            Event::DocumentStart(_) if root.is_some() => {
                return Err(refused("a second document", "one plan in a file"));
            }
            _ => continue,
        };
        nodes += 1;
        if nodes > MAX_NODES {
            return Err(refused("too many values", &format!("at most {MAX_NODES}")));
        }
        let Some(parent) = open.last_mut() else {
            root = Some(complete);
            continue;
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(complete),
            (Value::Map(entries), Some((key, line, column))) => {
                entries.push(Entry { key, line, column, value: complete });
            }
            (Value::Map(_), None) => {
                let Value::Scalar { text: key, .. } = complete.value else {
                    return Err(refused("a key that is not a text", "keys that are texts"));
                };
                if !parent.keys.insert(key.clone()) {
                    return Err(refused(&format!("the key '{key}' for the second time"), "each key once"));
                }
                parent.key = Some((key, complete.line, complete.column));
            }
            (Value::Scalar { .. }, _) => {}
        }
    }
    root.ok_or_else(|| refused(1, 1, "an empty plan", "a plan in YAML or JSON"))
}

fn place(span: &Span) -> Position {
    (span.start.line(), span.start.col() + 1)
}
