//! YAML as JSON values, which tests ask by pointer.

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value};

/// Reads every document of a text; empty ones are left out.
///
/// # Panics
/// When it is not YAML, or uses what manifests do not.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let nodes = YamlOwned::load_from_str(text).unwrap_or_else(|error| panic!("not YAML: {error}\n{text}"));
    nodes.iter().map(json).filter(|document| !document.is_null()).collect()
}

fn json(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(value)) => (*value).into(),
        YamlOwned::Value(ScalarOwned::Integer(value)) => (*value).into(),
        YamlOwned::Value(ScalarOwned::FloatingPoint(value)) => value.into_inner().into(),
        YamlOwned::Value(ScalarOwned::String(value)) => value.as_str().into(),
        YamlOwned::Sequence(items) => items.iter().map(json).collect(),
        YamlOwned::Mapping(fields) => {
            let field = |(name, value): (&YamlOwned, &YamlOwned)| {
                (name.as_str().expect("fields have names").to_owned(), json(value))
            };
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        other => panic!("manifests have no {other:?}"),
    }
}
