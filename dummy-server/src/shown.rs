//! How values of the configuration are serialized, for people and their tools.

use std::{fmt::Display, time::Duration};

use contract::quantity;
use serde::{Serialize as _, Serializer};

pub(crate) fn text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(crate) fn lower_case<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string().to_lowercase())
}

pub(crate) fn optional_text<S: Serializer>(value: &Option<impl Display>, to: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(to)
}

pub(crate) fn duration<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&quantity::shown(*value))
}

pub(crate) fn optional_duration<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    value.map(quantity::shown).serialize(to)
}
