//! Whether tokens get to servers and back, as canaries have shown before the run, and what can't be known where they do not.

use serde::{Deserialize, Serialize};

/// What happened to tokens of requests with one method, over one protocol, to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survival {
    /// The method, or `call`.
    pub method: String,
    /// The protocol.
    pub protocol: String,
    /// The target's host and port.
    pub target: String,
    /// How they get to a server.
    pub requests: TokenSurvival,
    /// How they come back.
    pub replies: TokenSurvival,
}

/// How tokens travel one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSurvival {
    /// In their field.
    Field,
    /// In the query, as the field is removed.
    Query,
    /// Not at all.
    Stripped,
    /// The canary could not show it: the run itself will.
    Unknown,
    /// No server has seen the canary, and its reply names none: something in between has replied, or tokens are stripped both ways.
    Undecided,
}

/// What can be said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// All.
    Whole,
    /// Whether it arrived, and not whose reply it was given.
    Arrival,
    /// Nothing.
    Nothing,
}

impl Survival {
    /// What can be said of its requests.
    pub(crate) fn trust(&self) -> Trust {
        match (self.requests, self.replies) {
            (TokenSurvival::Stripped | TokenSurvival::Undecided, _) => Trust::Nothing,
            (_, TokenSurvival::Stripped) => Trust::Arrival,
            _ => Trust::Whole,
        }
    }

    /// What users have to know of it, if that is anything.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let Self { method, protocol, target, .. } = self;
        let of = format!("{method} over {protocol} to {target}");
        match (self.trust(), self.requests) {
            (Trust::Nothing, TokenSurvival::Undecided) => Some(format!(
                "{of}: no server has seen the canary, and the reply to it names none: whether something in between replied or \
                 tokens are stripped both ways cannot be known, so nothing is proven of requests that no server has seen"
            )),
            (Trust::Nothing, _) => Some(format!(
                "{of}: no token gets to a server and back, so nothing is proven of those that no server has seen: not whether \
                 they arrived, were repeated, crossed or answered from a cache"
            )),
            (Trust::Arrival, way) => Some(format!(
                "{of}: tokens are stripped from replies{}: crossed, cached and answered in between cannot be known, nor whether \
                 bodies are whole",
                if way == TokenSurvival::Query {
                    ", and their field from requests, so that they go in the query"
                } else {
                    ""
                }
            )),
            (Trust::Whole, TokenSurvival::Query) => Some(format!(
                "{of}: the field {} is stripped from requests: tokens go in the query ({}=...), so that no cache sees a URL twice",
                contract::field::TOKEN,
                contract::field::TOKEN_KEY
            )),
            (Trust::Whole, _) => None,
        }
    }

    /// Whether anything of its requests can't be proven.
    pub(crate) fn is_off(&self) -> bool {
        self.trust() != Trust::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_survive_is_named_and_what_is_not_known_is_not_an_alarm() {
        let of = |requests, replies| Survival {
            method: "GET".to_owned(),
            protocol: "h2c".to_owned(),
            target: "a:1".to_owned(),
            requests,
            replies,
        };
        for (requests, replies, trust, note) in [
            (TokenSurvival::Field, TokenSurvival::Field, Trust::Whole, None),
            (TokenSurvival::Unknown, TokenSurvival::Unknown, Trust::Whole, None),
            (
                TokenSurvival::Query,
                TokenSurvival::Field,
                Trust::Whole,
                Some("GET over h2c to a:1: the field x-dummy-token is stripped"),
            ),
            (TokenSurvival::Field, TokenSurvival::Stripped, Trust::Arrival, Some("crossed, cached")),
            (TokenSurvival::Query, TokenSurvival::Stripped, Trust::Arrival, Some("go in the query: crossed")),
            (
                TokenSurvival::Stripped,
                TokenSurvival::Unknown,
                Trust::Nothing,
                Some("no token gets to a server"),
            ),
            (
                TokenSurvival::Undecided,
                TokenSurvival::Unknown,
                Trust::Nothing,
                Some("cannot be known, so nothing is proven"),
            ),
        ] {
            let survival = of(requests, replies);
            assert_eq!(survival.trust(), trust);
            let said = survival.note();
            assert!(said.is_some() == note.is_some(), "{said:?}");
            assert!(note.is_none_or(|note| said.as_ref().unwrap().contains(note)), "{said:?}");
        }
    }
}
