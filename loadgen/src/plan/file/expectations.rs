//! `expect`: what a plan expects of replies.

use contract::quantity::{self, LONGEST_TIME};

use super::{
    keys::{Keys, Plain},
    tree::{Node, Value},
};
use crate::plan::{Expect, ExpectedText, PlanError};

pub(super) const EXPECT: &[&str] = &[
    "status",
    "grpc_status",
    "headers",
    "body_contains",
    "json",
    "json_present",
    "size",
    "within",
    "payload",
    "max_held",
];
const TEXT: &[&str] = &["equals", "contains", "present"];

/// That of a request.
pub(super) fn read(request: &Keys<'_>) -> Result<Expect, PlanError> {
    let Some(node) = request.get("expect") else { return Ok(Expect::default()) };
    let keys = Keys::of(node, EXPECT, request.name())?;
    let pattern =
        keys.read("payload", "pattern: the body that dummy-server generates", "pattern", |text| {
            (text == "pattern").then_some(true)
        })?;
    Ok(Expect {
        status: texts(&keys, "status")?.map(|statuses| statuses.join(",")),
        grpc_status: texts(&keys, "grpc_status")?.map(|codes| codes.join(",")),
        headers: headers(&keys)?,
        body_contains: texts(&keys, "body_contains")?.unwrap_or_default(),
        json: json(&keys)?,
        size: keys.read("size", "a size like 1K, or a range like 1K-2K", "1K-2K", size)?,
        within: keys.read("within", "a time above 0 and up to 8760h", "200ms", |text| {
            quantity::duration_or_seconds(text, LONGEST_TIME)
        })?,
        pattern: pattern.unwrap_or_default(),
        max_held: keys.read("max_held", "a size of at most 64M", "1M", quantity::size)?,
    })
}

/// One, or a list.
fn texts(keys: &Keys<'_>, key: &str) -> Result<Option<Vec<String>>, PlanError> {
    match keys.get(key) {
        None => Ok(None),
        Some(Node { value: Value::List(items), .. }) => items
            .iter()
            .map(|item| Plain::of(item, keys.name()).text(key))
            .collect::<Result<_, _>>()
            .map(Some),
        Some(node) => Plain::of(node, keys.name()).text(key).map(|text| Some(vec![text])),
    }
}

/// A size, or the smallest and the largest.
fn size(text: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let (least, most) = match text.split_once('-') {
        None => (quantity::size(text)?, quantity::size(text)?),
        Some((least, most)) => (quantity::size(least.trim())?, quantity::size(most.trim())?),
    };
    (least <= most).then_some(least..=most)
}

fn headers(keys: &Keys<'_>) -> Result<Vec<(String, ExpectedText)>, PlanError> {
    let Some(node) = keys.get("headers") else { return Ok(Vec::new()) };
    let Value::Map(entries) = &node.value else {
        let accepted = "a map of names and what is expected of them";
        return Err(keys.refused(node, "no map for headers", accepted, "content-type: {contains: json}"));
    };
    entries
        .iter()
        .map(|entry| {
            let expected = match &entry.value.value {
                Value::Map(_) => {
                    let of = Keys::of(&entry.value, TEXT, keys.name())?;
                    of.at_most_one(TEXT)?;
                    match (of.text("equals")?, of.text("contains")?, of.flag("present")?) {
                        (Some(text), ..) => ExpectedText::Equals(text),
                        (_, Some(text), _) => ExpectedText::Contains(text),
                        (.., Some(true)) => ExpectedText::Present,
                        _ => {
                            let accepted = "equals, contains or present: true";
                            return Err(keys.refused(
                                &entry.value,
                                "nothing that is expected",
                                accepted,
                                "present: true",
                            ));
                        }
                    }
                }
                _ => ExpectedText::Equals(Plain::of(&entry.value, keys.name()).text(&entry.key)?),
            };
            Ok((entry.key.clone(), expected))
        })
        .collect()
}

fn json(keys: &Keys<'_>) -> Result<Vec<(String, Option<serde_json::Value>)>, PlanError> {
    let mut all = Vec::new();
    match keys.get("json").map(|node| (node, &node.value)) {
        None => {}
        Some((_, Value::Map(entries))) => {
            let entry = |entry: &super::tree::Entry| {
                (entry.key.clone(), Some(Plain::of(&entry.value, keys.name()).json()))
            };
            all.extend(entries.iter().map(entry));
        }
        Some((node, _)) => {
            let accepted = "a map of paths and values";
            return Err(keys.refused(node, "no map for json", accepted, "$.items[0].id: 1"));
        }
    }
    let present = texts(keys, "json_present")?.unwrap_or_default();
    all.extend(present.into_iter().map(|path| (path, None)));
    Ok(all)
}
