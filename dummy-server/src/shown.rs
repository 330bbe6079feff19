//! How values of the configuration are serialized, for people and their tools.

use std::{fmt::Display, time::Duration};

use contract::quantity;
use serde::Serializer;

pub(crate) fn text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(crate) fn lower_case<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string().to_lowercase())
}

pub(crate) fn optional_text<S: Serializer>(value: &Option<impl Display>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

pub(crate) fn duration<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&quantity::shown(*value))
}

pub(crate) fn optional_duration<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => duration(value, to),
        None => to.serialize_none(),
    }
}
