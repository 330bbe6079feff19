//! What a round finds, and a reply of which it does.

use contract::{field::SEEN, ledger::Seen};

use super::{
    client::{Cut, Fields, get},
    found::{Rule, State},
};

/// What a round has found.
#[derive(Clone, Debug)]
pub(super) struct CaseFinding {
    pub(super) state: State,
    pub(super) what: String,
    /// The rules that it is against; whether that makes it broken depends on the role.
    pub(super) rules: Vec<&'static Rule>,
}

impl CaseFinding {
    fn new(state: State, what: impl Into<String>) -> Self {
        Self { state, what: what.into(), rules: Vec::new() }
    }

    pub(super) fn kept(what: impl Into<String>) -> Self {
        Self::new(State::Kept, what)
    }

    pub(super) fn changed(what: impl Into<String>) -> Self {
        Self::new(State::Changed, what)
    }

    /// Nothing is known of the case.
    pub(super) fn unasked(why: impl Into<String>) -> Self {
        Self::new(State::Unasked, why)
    }

    /// What is not judged.
    pub(super) fn described(what: impl Into<String>) -> Self {
        Self::new(State::Described, what)
    }

    /// There was no time for it.
    pub(super) fn not_asked() -> Self {
        Self::new(State::NotAsked, "the probe was interrupted before")
    }

    pub(super) fn not_applicable(needs: impl Into<String>) -> Self {
        Self::new(State::NotApplicable, needs)
    }

    /// The same, of a case that is not judged: what a proxy did in place of the server is described as well.
    pub(super) fn into_described(self) -> Self {
        match self.state {
            State::Kept | State::Changed => Self::described(self.what),
            State::AnsweredItself | State::Refused => {
                Self::described(format!("{}: {}", self.state.name(), self.what))
            }
            _ => self,
        }
    }

    /// Against a rule.
    pub(super) fn against(rule: &'static Rule, what: impl Into<String>) -> Self {
        Self::against_all(&[rule], what)
    }

    /// Against rules, of which each binds other roles.
    pub(super) fn against_all(rules: &[&'static Rule], what: impl Into<String>) -> Self {
        Self { rules: rules.to_vec(), ..Self::new(State::Changed, what) }
    }

    /// A reply that no server behind has given.
    pub(super) fn own_reply(status: u16) -> Self {
        let state = if (400..500).contains(&status) { State::Refused } else { State::AnsweredItself };
        Self::new(state, format!("{status} from the proxy itself"))
    }

    /// A reply that a cache has kept.
    pub(super) fn from_cache(what: impl Into<String>) -> Self {
        Self::new(State::AnsweredItself, what)
    }

    /// No reply at all.
    pub(super) fn cut(cut: &Cut) -> Self {
        match cut {
            Cut::TimedOut => Self::changed("no reply, for as long as was waited"),
            cut => Self::new(State::Refused, format!("no reply: {cut}")),
        }
    }
}

/// A finding, or one that stands in the way of it.
pub(super) type CaseOutcome = Result<CaseFinding, CaseFinding>;

/// A reply, as far as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeReply {
    pub(super) interims: Vec<(u16, Fields)>,
    pub(super) status: Option<u16>,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
    pub(super) length: u64,
    pub(super) trailers: Fields,
    /// None: it has come whole.
    pub(super) cut: Option<Cut>,
}

impl ProbeReply {
    /// Whether a server behind has given it.
    pub(super) fn seen(&self) -> Option<Seen> {
        get(&self.fields, SEEN).and_then(|seen| Seen::read(seen.as_bytes()))
    }

    /// The status of a reply that a server has given; else what the proxy has done in its place.
    pub(super) fn of_server(&self) -> Result<u16, CaseFinding> {
        match (self.status, &self.cut) {
            (Some(status), _) if self.seen().is_some() => Ok(status),
            (Some(status), _) => Err(CaseFinding::own_reply(status)),
            (None, Some(cut)) => Err(CaseFinding::cut(cut)),
            (None, None) => Err(CaseFinding::changed("no reply")),
        }
    }

    /// Path and query as the server saw them, of an echo.
    pub(super) fn target_seen(&self) -> Option<String> {
        let uri = self.echoed("uri")?;
        let path = match uri.split_once("://") {
            Some((_, rest)) => rest.find('/').map(|at| rest[at..].to_owned()),
            None => None,
        };
        Some(path.unwrap_or(uri))
    }

    /// Names and values of the echo, as a list of it has them.
    pub(super) fn echoed_pairs(&self, list: &str) -> Fields {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let pairs = json.get(list).and_then(|list| list.as_array()).into_iter().flatten();
        pairs.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()))).collect()
    }

    /// A member of the echo.
    pub(super) fn echoed(&self, name: &str) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(json.get(name)?.as_str()?.to_owned())
    }
}
