//! The cases: what each asks, and of which RFC a MUST is about it. Each file has one of them, or a few that are alike.

mod abort;
mod authority;
mod bodiless;
mod chunks;
mod compression;
mod continues;
mod cuts;
mod drain;
mod early;
mod early_hints;
mod field_order;
mod fields;
mod forwarded;
mod framing;
mod half_close;
mod hops;
mod idle;
mod old;
mod pipelining;
mod proxy_protocol;
mod refusals;
mod repeats;
mod resets;
mod stream_limit;
mod streams;
mod targets;
mod timeouts;
mod trailers;
mod websocket_idle;
mod websockets;

use std::pin::Pin;

pub(super) use self::repeats::repeated_later;
use super::{
    found::{Roles, Rule},
    trial::{CaseFinding, CaseOutcome, Trial},
};

/// Something that a proxy may do otherwise than the server would.
#[derive(Debug)]
pub struct Case {
    /// By which documents refer to it.
    pub number: u8,
    /// What it is called in `--only`.
    pub name: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Public issues in which users met it, as repository and number.
    pub issues: &'static [&'static str],
    /// What is done, and what is looked at.
    pub asks: &'static str,
    /// The rules that make it red, if there are any.
    pub rules: &'static [&'static Rule],
    /// Whether it is about what is a matter of configuration: what is found is described, and neither judged nor kept.
    pub is_described: bool,
    /// In which ways it is asked.
    pub variants: &'static [&'static str],
    /// Asks it in one of them.
    attempt: CaseFn,
}

type CaseFn = for<'t> fn(&'static str, &'t mut Trial<'_>) -> Pin<Box<dyn Future<Output = CaseOutcome> + 't>>;

/// All of them, in order.
pub const CASES: &[&Case] = &[
    &repeats::CASE,
    &cuts::CASE,
    &idle::CASE,
    &early::EARLY,
    &early::AFTERWARDS,
    &abort::CASE,
    &streams::REPLIES,
    &streams::UPLOADS,
    &resets::CASE,
    &trailers::CASE,
    &refusals::CASE,
    &continues::CASE,
    &early_hints::CASE,
    &targets::CASE,
    &websockets::CASE,
    &bodiless::CASE,
    &fields::CASE,
    &hops::CASE,
    &authority::CASE,
    &chunks::CASE,
    &old::CASE,
    &half_close::CASE,
    &drain::CASE,
    &framing::CASE,
    &stream_limit::CASE,
    &field_order::CASE,
    &forwarded::CASE,
    &compression::CASE,
    &timeouts::CASE,
    &proxy_protocol::CASE,
    &pipelining::CASE,
    &websocket_idle::CASE,
];

/// Each reply belongs to its request, where a proxy is the client.
static CROSSED: Rule = Rule {
    section: "RFC 9112 section 9.2",
    quote: "A client that has more than one outstanding request on a connection MUST maintain a list of outstanding \
            requests in the order sent and MUST associate each received response message on that connection to the \
            first outstanding request that has not yet received a final (non-1xx) response.",
    roles: Roles::Both,
};

/// The same where it is the server.
static CROSSED_IN_FRONT: Rule = Rule {
    section: "RFC 9112 section 9.3.2",
    quote: "A server MAY process a sequence of pipelined requests in parallel if they all have safe methods (Section 9.2.1 \
            of [HTTP]), but it MUST send the corresponding responses in the same order that the requests were received.",
    roles: Roles::Both,
};

/// A reply that is not whole is not passed on as one that is.
static INCOMPLETE: Rule = Rule {
    section: "RFC 9112 section 8",
    quote: "A client that receives an incomplete response message, which can occur when a connection is closed \
            prematurely or when decoding a supposedly chunked transfer coding fails, MUST record the message as \
            incomplete.",
    roles: Roles::Both,
};

/// Interim replies are passed on.
static INTERIM: Rule = Rule {
    section: "RFC 9110 section 15.2",
    quote: "A proxy MUST forward 1xx responses unless the proxy itself requested the generation of the 1xx response.",
    roles: Roles::Proxies,
};

/// What a reply to another request is: against a rule of HTTP/1.1 where that is spoken; HTTP/2 has a stream for each request, and no
/// MUST about it.
pub(super) fn judge_crossed(trial: &Trial<'_>, what: impl Into<String>) -> CaseFinding {
    if !trial.is_http2_behind() {
        CaseFinding::against(&CROSSED, what)
    } else if !trial.is_http2() {
        CaseFinding::against(&CROSSED_IN_FRONT, what)
    } else {
        CaseFinding::changed(what)
    }
}

/// A reply that was cut and ends as if it was whole: the client that can't know is the proxy, and the rule one of HTTP/1.
fn taken_for_whole(trial: &Trial<'_>, what: impl Into<String>) -> CaseFinding {
    if trial.is_http2_behind() { CaseFinding::changed(what) } else { CaseFinding::against(&INCOMPLETE, what) }
}

/// Tries a variant of a case once.
pub(super) async fn attempt(case: &Case, variant: &'static str, trial: &mut Trial<'_>) -> CaseFinding {
    let finding = (case.attempt)(variant, trial).await.unwrap_or_else(|finding| finding);
    if case.is_described { finding.into_described() } else { finding }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cases_are_numbered_in_order_and_have_names_of_their_own() {
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for (case, number) in CASES.iter().zip(1..) {
            assert_eq!(case.number, number, "{}", case.name);
            let all = case.variants.iter().chain([&case.name]);
            for name in all {
                let is_kebab = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                assert!(!name.is_empty() && name.bytes().all(is_kebab), "{name}");
            }
            let variants: BTreeSet<_> = case.variants.iter().collect();
            assert!(!variants.is_empty() && variants.len() == case.variants.len(), "{}", case.name);
        }
    }
}
