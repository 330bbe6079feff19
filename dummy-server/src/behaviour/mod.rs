//! Faults and shaping on request: what a client asks for by query keys `dummy-*` or fields `x-dummy-*`, and what the
//! server does by default.
//!
//! The data flow: `knobs` reads texts into a [`Behaviour`], by `forms`, and draws from it, by `chance`, the `plan` of
//! one request; `apply` has that happen to its endpoint and reply. When the exchange knows what content there is,
//! `content` has `body` reshape it. What requests share is in `shared`, which only those that ask for it touch. Nothing
//! here writes to a socket: an engine executes the reply that comes of it.
//!
//! A new thing to ask for is an entry in the table of `knobs`.

mod apply;
mod asked;
mod body;
mod chance;
mod content;
mod forms;
mod knobs;
mod plan;
mod shared;
mod source;

use std::time::Duration;

use contract::{
    field::{CANARY_KEY, TOKEN_KEY},
    id::Id,
};
use wire::Fields;

use self::asked::{Breach, Point};
pub(crate) use self::{
    apply::{Answering, Directives, wrap_endpoint},
    chance::draw,
    content::Framing,
    knobs::{EXAMPLE, EXAMPLE_DEFAULT, help},
    shared::BehaviourState,
};
pub use self::{asked::BadBehaviour, knobs::Behaviour};
use crate::{cut::Cut, message::Head, protocol::Protocol, router};

/// Prefix of query keys.
const KEY: &str = "dummy-";
/// Prefix of fields.
const FIELD: &str = "x-dummy-";

/// Whether a field of that name asks for anything.
#[inline]
pub(crate) fn is_asked_by(name: &[u8]) -> bool {
    name.len() > FIELD.len() && name[..FIELD.len()].eq_ignore_ascii_case(FIELD.as_bytes())
}

/// Whether a query has a key that asks for anything.
pub(crate) fn in_query(query: &str) -> bool {
    router::pairs(query).any(|pair| pair.starts_with(KEY))
}

/// The token of a verified run, where one comes in the query of a target.
pub fn token_in_query(target: &[u8]) -> Option<&[u8]> {
    let query = target.splitn(2, |byte| *byte == b'?').nth(1)?;
    let pairs = query.split(|byte| *byte == b'&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(TOKEN_KEY.as_bytes())?.strip_prefix(b"="));
    values.find(|value| Id::read(value).is_some())
}

impl Behaviour {
    /// Reads what the server is to do by default: `name=value` pairs as in a query, `dummy-` before a name or not.
    pub fn parse(text: &str) -> Result<Self, BadBehaviour> {
        let mut asked = Self::default();
        for (key, value) in form_urlencoded::parse(text.trim().as_bytes()) {
            knobs::read(&mut asked, key.strip_prefix(KEY).unwrap_or(&key), &value)?;
        }
        asked.checked()
    }

    /// Reads what a request asks for, by fields and by query; what it does not ask for is as by default.
    pub(crate) fn of(head: &Head<'_>, default: Option<&Self>) -> Result<Self, BadBehaviour> {
        let mut asked = Self::default();
        for (name, value) in head.fields() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if let Some(name) = name.strip_prefix(FIELD)
                && !["instance", "token", "upload"].contains(&name)
            {
                knobs::read(&mut asked, name, String::from_utf8_lossy(value).trim())?;
            }
        }
        let query = head.target.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
        for (key, value) in form_urlencoded::parse(query) {
            if let Some(name) = key.strip_prefix(KEY)
                && ![TOKEN_KEY, CANARY_KEY].contains(&&*key)
            {
                knobs::read(&mut asked, name, &value)?;
            }
        }
        let mut asked = asked.checked()?;
        if let Some(Breach { cut, .. }) = asked.abort
            && !head.protocol.has(cut)
        {
            return Err(BadBehaviour {
                error: format!("dummy-abort={} over {}", Cut::NAMES[cut.index()], head.protocol.name()),
                accepted: "rst, fin, hang and short over HTTP/1; stream-reset and goaway over HTTP/2 alone",
            });
        }
        if let Some(default) = default
            && asked.without_default.is_none()
        {
            asked.fill(default);
        }
        Ok(asked)
    }

    /// The delays that a seed and a sequence draw, of each distribution one.
    pub fn draws(&self, seed: u64, sequence: u64) -> Vec<Duration> {
        let chance = chance::Chance::new(seed, sequence);
        self.delay.iter().flatten().map(|(delay, _)| chance.delay(*delay)).collect()
    }

    /// What can't be checked one value at a time.
    fn checked(self) -> Result<Self, BadBehaviour> {
        if let Some(Breach { cut: Cut::Short, point: Point::BeforeHeaders, .. }) = self.abort {
            return Err(BadBehaviour {
                error: "abort=short needs content that falls short".to_owned(),
                accepted: "short@after-headers or short@body(N)",
            });
        }
        Ok(self)
    }
}

/// Adds a field, its name as the protocol has it.
fn push(fields: &mut Fields, name: &str, value: &str, protocol: Protocol) {
    fields.push(&*protocol.field_name(name), value);
}

#[cfg(test)]
mod tests;
