//! Canaries of a verified run: one request per method, protocol and target before it begins, which shows whether tokens get to a
//! server and back. What does not in the field is tried in the query, and what does not come back is asked for.
//!
//! Each is a run of one request, with its own run id and a load that no plan has, so that no ledger of the run counts it and
//! none of another load is taken for it. Nothing here opens a connection itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use contract::{
    field,
    id::Ids,
    ledger::{FIRST_CANARY, Seen},
};

use super::{Run, ledgers};
use crate::{
    control::{Handle, Phase},
    plan::Plan,
    verify::{Survival, TokenSurvival, Trust},
};

/// Of how many kinds of requests one is sent ahead: each takes two loads at most, and loads are numbered with a byte.
const MAX_KINDS: usize = 32;

/// How often it is looked whether the run was stopped.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What canaries have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Survivals {
    pub(super) kinds: Vec<Survival>,
    /// Which of them each request is of, by its index.
    kind_of: Vec<Option<usize>>,
}

impl Survivals {
    /// What can be said of the request with this index.
    pub(super) fn trust(&self, request: usize) -> Trust {
        let kind = self.kind_of.get(request).copied().flatten();
        kind.and_then(|kind| self.kinds.get(kind)).map_or(Trust::Whole, Survival::trust)
    }

    /// Whether anything of any request can't be proven.
    pub(super) fn are_off(&self) -> bool {
        self.kinds.iter().any(Survival::is_off)
    }
}

/// What came back of one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Back {
    /// Its token, or that of another request: what comes back is not removed.
    Token,
    /// A reply without one, from the server with this name, if it says so. Others than those of success may be the replies of
    /// something before a server, such as one that wants credentials: they say nothing of tokens.
    None { is_success: bool, instance: Option<String> },
    /// No reply.
    Nothing,
}

/// The plan of a verified run with tokens where they get through, and what was found out. All canaries together, and what is asked
/// about them, take no longer than `--connect-timeout`, beside looking up the names of ledgers.
///
/// # Errors
/// A canary could not be sent at all.
pub(super) fn sent_ahead(plan: Plan, run: &Handle) -> anyhow::Result<(Plan, Survivals)> {
    if plan.verify().is_none() || plan.message().is_some() || plan.captures() {
        return Ok((plan, Survivals::default()));
    }
    let until = Instant::now() + plan.load().connect_timeout;
    let mut firsts: Vec<usize> = Vec::new();
    let kind_of = (0..plan.requests().len()).map(|index| {
        let known = firsts.iter().position(|first| are_alike(&plan, *first, index));
        known.or_else(|| {
            let has_room = firsts.len() < MAX_KINDS;
            has_room.then(|| {
                firsts.push(index);
                firsts.len() - 1
            })
        })
    });
    let kind_of: Vec<_> = kind_of.collect();
    let mut kinds = Vec::with_capacity(firsts.len());
    let ids = own_ids(rand::random());
    for (ids, first) in ids.zip(&firsts) {
        let canaries = Canaries { plan: &plan, request: *first, ids, run, until };
        kinds.push(canaries.survival()?);
    }
    let in_query: Vec<bool> = kind_of
        .iter()
        .map(|kind| kind.is_some_and(|kind| kinds[kind].requests == TokenSurvival::Query))
        .collect();
    let plan = match in_query.contains(&true) {
        true => plan.with_tokens_in_query(|index| in_query[index]),
        false => plan,
    };
    Ok((plan, Survivals { kinds, kind_of }))
}

/// The ids of canaries, two loads for each kind. The loads of a plan share their run, and each of them has canaries: those have
/// another run, drawn for each load.
fn own_ids(run: u32) -> impl Iterator<Item = Ids> {
    (FIRST_CANARY..).step_by(2).map(move |load| Ids { run, load })
}

/// Whether what happens to the token of one request also happens to that of the other, most likely.
fn are_alike(plan: &Plan, one: usize, other: usize) -> bool {
    let (first, second) = (&plan.requests()[one], &plan.requests()[other]);
    std::ptr::eq(plan.site_of(one), plan.site_of(other))
        && first.method == second.method
        && first.call().is_some() == second.call().is_some()
        && (plan.takes_token_in_query(one) == plan.takes_token_in_query(other))
}

/// Those of one kind.
struct Canaries<'r> {
    plan: &'r Plan,
    /// The first request of the kind.
    request: usize,
    /// Of the first of them.
    ids: Ids,
    run: &'r Handle,
    until: Instant,
}

impl Canaries<'_> {
    fn survival(&self) -> anyhow::Result<Survival> {
        let (request, site) = (&self.plan.requests()[self.request], self.plan.site_of(self.request));
        let (requests, replies) = self.ways()?;
        Ok(Survival {
            method: if request.call().is_some() { "call".to_owned() } else { request.method.to_string() },
            protocol: site.target().protocol_name().to_owned(),
            target: site.target().authority(),
            requests,
            replies,
        })
    }

    fn ways(&self) -> anyhow::Result<(TokenSurvival, TokenSurvival)> {
        let unknown = Ok((TokenSurvival::Unknown, TokenSurvival::Unknown));
        let back = self.send(self.ids, false)?;
        if back == Back::Token {
            return Ok((TokenSurvival::Field, TokenSurvival::Field));
        }
        match self.has_arrived(self.ids, &back) {
            Some(true) => return Ok((TokenSurvival::Field, TokenSurvival::Stripped)),
            Some(false) => {}
            None => return unknown,
        }
        let none = |is_of_server: bool| {
            Ok((
                if is_of_server { TokenSurvival::Stripped } else { TokenSurvival::Undecided },
                TokenSurvival::Unknown,
            ))
        };
        let is_of_server = back.is_of_server();
        if !self.plan.takes_token_in_query(self.request) {
            return none(is_of_server);
        }
        let in_query = Ids { load: self.ids.load + 1, ..self.ids };
        let back = self.send(in_query, true)?;
        if back == Back::Token {
            return Ok((TokenSurvival::Query, TokenSurvival::Field));
        }
        match self.has_arrived(in_query, &back) {
            Some(true) => Ok((TokenSurvival::Query, TokenSurvival::Stripped)),
            Some(false) => none(is_of_server || back.is_of_server()),
            None => unknown,
        }
    }

    fn is_over(&self) -> bool {
        self.run.phase() != Phase::Run || Instant::now() >= self.until
    }

    /// Whether one that came back so has arrived with its token; none where that can't be known.
    fn has_arrived(&self, ids: Ids, back: &Back) -> Option<bool> {
        let Back::None { is_success: true, instance } = back else { return None };
        let left = || (!self.is_over()).then(|| self.until.saturating_duration_since(Instant::now()));
        ledgers::have_seen(self.plan, ids, instance.as_deref(), left)
    }

    fn send(&self, ids: Ids, in_query: bool) -> anyhow::Result<Back> {
        let left = self.until.saturating_duration_since(Instant::now());
        if self.is_over() {
            return Ok(Back::Nothing);
        }
        let id = ids.of(0, 0);
        let mut run = Run::new(self.plan.canary(self.request, id, in_query)?.within(left));
        run.ids = ids;
        let running = run.start()?;
        while !running.is_finished() {
            if self.run.phase() != Phase::Run {
                running.abort();
            }
            thread::park_timeout(LOOK_EVERY);
        }
        let summary = running.join()?;
        let head = summary.records.exchange.as_deref().map_or("", |exchange| &exchange.capture.head);
        Ok(Back::of(head))
    }
}

impl Back {
    /// Whether a server has named itself: else something in between may have replied, which passes nothing on.
    fn is_of_server(&self) -> bool {
        matches!(self, Self::None { instance: Some(_), .. })
    }

    fn of(head: &str) -> Self {
        let field = |wanted: &str| {
            let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        if head.is_empty() {
            return Self::Nothing;
        }
        if field(field::SEEN).and_then(|text| Seen::read(text.as_bytes())).is_some() {
            return Self::Token;
        }
        let status = head.split(' ').nth(1).unwrap_or_default();
        let instance = field(field::INSTANCE).map(str::to_owned);
        Self::None { is_success: status.starts_with('2') || instance.is_some(), instance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_read_from_the_head() {
        let seen = "00000abc-80-0000000000000000-00-01-0000feed";
        let none = |is_success, instance: Option<&str>| Back::None {
            is_success,
            instance: instance.map(str::to_owned),
        };
        for (head, back) in [
            (format!("HTTP/1.1 200 OK\nX-Dummy-Seen: {seen}\n\n"), Back::Token),
            (format!("HTTP/2 503 Service Unavailable\nx-dummy-seen: {seen}\n\n"), Back::Token),
            ("HTTP/1.1 200 OK\nx-dummy-seen: what\n\n".to_owned(), none(true, None)),
            ("HTTP/1.1 301 Moved\n\n".to_owned(), none(false, None)),
            ("HTTP/1.1 401 Unauthorized\n\n".to_owned(), none(false, None)),
            ("HTTP/2 429 Too Many Requests\n\n".to_owned(), none(false, None)),
            ("HTTP/1.1 502 Bad Gateway\n\n".to_owned(), none(false, None)),
            ("HTTP/1.1 503 Wait\nx-dummy-instance: a\n\n".to_owned(), none(true, Some("a"))),
            (String::new(), Back::Nothing),
        ] {
            assert_eq!(Back::of(&head), back, "{head}");
        }
    }
}
