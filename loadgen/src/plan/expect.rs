//! What is wanted of replies, and the checks that it has to pass.

use std::{ops::RangeInclusive, time::Duration};

use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};
use http::HeaderName;

use super::PlanError;
use crate::{
    clock::nanos,
    outcome::{
        ExpectedStatus,
        expectation::{DEFAULT_HELD, Expectations, Json, JsonPath, MAX_HELD, Text},
    },
};

/// The maximum number of expectations of one kind.
const MAX_EXPECTATIONS: usize = 100;

/// What is expected of the replies to a request, before it is checked. All of it has to be met; a reply that does not is
/// counted beside errors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// Statuses, like `200,404`, `2xx` or `500-503`. They are successes, too.
    pub status: Option<String>,
    /// Statuses of gRPC calls, like `NOT_FOUND`. They are successes, too.
    pub grpc_status: Option<String>,
    /// Header fields by their names.
    pub headers: Vec<(String, ExpectedText)>,
    /// Texts that are in the body.
    pub body_contains: Vec<String>,
    /// Values in a body of JSON, by their paths, like `$.items[0].id`: none says that there is one.
    pub json: Vec<(String, Option<serde_json::Value>)>,
    /// How many bytes the body has.
    pub size: Option<RangeInclusive<u64>>,
    /// The longest response time.
    pub within: Option<Duration>,
    /// Whether the body is the one that dummy-server generates.
    pub pattern: bool,
    /// How many bytes of a body are held to be looked through: 1 MiB by default.
    pub max_held: Option<u64>,
}

/// What is expected of the value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedText {
    /// That it is there.
    Present,
    /// That it is this.
    Equals(String),
    /// That it has this in it.
    Contains(String),
}

impl From<ExpectedText> for Text {
    fn from(expected: ExpectedText) -> Self {
        match expected {
            ExpectedText::Present => Self::Present,
            ExpectedText::Equals(text) => Self::Equals(text),
            ExpectedText::Contains(text) => Self::Contains(text),
        }
    }
}

fn refused(key: &str, value: &str, accepted: impl Into<String>, example: &str) -> PlanError {
    PlanError(Refusal::of_value(key, value, accepted, example))
}

impl Expect {
    /// With what others expect where this says nothing.
    pub(super) fn over(self, defaults: &Self) -> Self {
        let or = |own: Vec<String>, other: &Vec<String>| if own.is_empty() { other.clone() } else { own };
        Self {
            status: self.status.or_else(|| defaults.status.clone()),
            grpc_status: self.grpc_status.or_else(|| defaults.grpc_status.clone()),
            headers: if self.headers.is_empty() { defaults.headers.clone() } else { self.headers },
            body_contains: or(self.body_contains, &defaults.body_contains),
            json: if self.json.is_empty() { defaults.json.clone() } else { self.json },
            size: self.size.or_else(|| defaults.size.clone()),
            within: self.within.or(defaults.within),
            pattern: self.pattern || defaults.pattern,
            max_held: self.max_held.or(defaults.max_held),
        }
    }

    /// None if nothing is expected.
    pub(super) fn checked(self) -> Result<Option<Expectations>, PlanError> {
        for (key, count) in [
            ("headers", self.headers.len()),
            ("body_contains", self.body_contains.len()),
            ("json", self.json.len()),
        ] {
            if count > MAX_EXPECTATIONS {
                let accepted = format!("at most {MAX_EXPECTATIONS}");
                return Err(refused(key, &format!("{count} expectations"), accepted, "one of them"));
            }
        }
        let status = self.status.as_deref().map(statuses).transpose()?;
        let grpc_status = self.grpc_status.as_deref().map(grpc_statuses).transpose()?;
        let header = |(name, text): (String, ExpectedText)| match name.parse::<HeaderName>() {
            Ok(name) => Ok((name.as_str().to_owned(), text.into())),
            Err(_) => Err(refused("headers", &name, "the name of a header field", "content-type")),
        };
        let json = |(path, value): (String, Option<serde_json::Value>)| {
            let parsed = JsonPath::parse(&path)
                .ok_or_else(|| refused("json", &path, "a path of names and indexes", "$.items[0].id"))?;
            Ok((parsed, value.map_or(Json::Present, Json::Equals)))
        };
        let within = match self.within {
            Some(time) if time.is_zero() || time > LONGEST_TIME => {
                let shown = quantity::canonical(time);
                return Err(refused("within", &shown, "a time above 0 and up to 8760h", "200ms"));
            }
            within => within.map(nanos),
        };
        if self.size.as_ref().is_some_and(RangeInclusive::is_empty) {
            return Err(refused(
                "size",
                "a range",
                "a size, or a range whose end is not before its begin",
                "1K-2K",
            ));
        }
        let most_held = self.max_held.unwrap_or(DEFAULT_HELD);
        if most_held > MAX_HELD {
            return Err(refused("max_held", &most_held.to_string(), "a size of at most 64M", "1M"));
        }
        let expectations = Expectations {
            status,
            grpc_status,
            headers: self.headers.into_iter().map(header).collect::<Result<_, _>>()?,
            body_contains: self.body_contains,
            json: self.json.into_iter().map(json).collect::<Result<_, PlanError>>()?,
            size: self.size,
            within,
            pattern: self.pattern,
            most_held: most_held as usize,
        };
        Ok(Some(expectations).filter(|expectations| !expectations.is_empty()))
    }
}

/// Those that are named, and no others.
pub(super) fn statuses(text: &str) -> Result<ExpectedStatus, PlanError> {
    let accepted = "a status from 200 to 599, a class like 3xx or a range like 500-503, several with commas";
    ExpectedStatus::of_replies(text).ok_or_else(|| refused("status", text, accepted, "200,404"))
}

/// Those of gRPC calls that are named, and no others.
fn grpc_statuses(text: &str) -> Result<ExpectedStatus, PlanError> {
    let names: Vec<_> = grpc::Code::ALL.iter().map(|code| code.name()).collect();
    let accepted = format!("any of {}", names.join(", "));
    ExpectedStatus::of_calls(text).ok_or_else(|| refused("grpc_status", text, accepted, "NOT_FOUND"))
}
