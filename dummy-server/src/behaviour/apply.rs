//! Applies a plan to an endpoint and its reply; [`ContentPlan`] does what is planned for the content.

use std::{rc::Rc, sync::Arc};

use http::StatusCode;
use tokio::time::sleep;
use wire::Fields;

use super::{
    asked::{Expectation, Point},
    body::Hang,
    content::ContentPlan,
    knobs::Behaviour,
    plan::{Plan, Shaping},
    push,
    shared::{BehaviourState, InFlight},
};
use crate::{
    context::ServerContext,
    cut::Cut,
    message::{
        Head, after,
        pace::Pace,
        reply::{Answer, Reply},
        upload::Upload,
    },
    protocol::Protocol,
    stats::Stats,
};

/// What an engine does before there is a reply, and keeps until the reply has ended.
#[derive(Debug)]
pub(crate) struct Directives {
    /// Informational replies, to be sent immediately.
    pub(crate) interim: Vec<(u16, Fields)>,
    /// 100 (Continue) is not said, even if the endpoint reads.
    pub(crate) withholds_continue: bool,
    /// For when there is a reply.
    pub(crate) content: Option<ContentPlan>,
    /// Counts until it is dropped.
    _in_flight: Option<InFlight>,
}

/// The worker and connection of a request, as far as they affect its plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answering<'a> {
    pub(crate) shared: &'a Arc<BehaviourState>,
    /// The number of the worker, and its counters.
    pub(crate) worker: usize,
    pub(crate) stats: &'a Arc<Stats>,
    /// Which request of its connection it is, from 1 on.
    pub(crate) number: u64,
}

/// Runs an endpoint with the faults, delays, limits and changes that the request asks for.
pub(crate) fn wrap_endpoint(
    context: &Rc<ServerContext>,
    answering: Answering<'_>,
    head: &Head<'_>,
    mut upload: Upload,
    asked: Behaviour,
    endpoint: impl FnOnce(Upload) -> Answer,
) -> (Directives, Answer) {
    let protocol = head.protocol;
    let mut plan = asked.plan(head, answering);
    let shaping = std::mem::take(&mut plan.shaping);
    let abort = shaping.abort;
    let hang = || Hang::new(head.orders, answering.stats);
    let mut directives = Directives {
        interim: if protocol.has_interim() { interim(plan.expectation, &plan.hints) } else { Vec::new() },
        withholds_continue: plan.expectation.is_some(),
        content: None,
        _in_flight: plan.in_flight.take(),
    };
    let answer = if let Some((cut, Point::BeforeHeaders)) = abort {
        cut_before_reply(cut, hang)
    } else if plan.expectation == Some(Expectation::Refuse) && head.fields.has_token("expect", "100-continue")
    {
        Answer::Ready(Reply::refusal(
            StatusCode::EXPECTATION_FAILED,
            "dummy-continue=refuse",
            "a request without Expect",
            "curl -H Expect: --data-binary @file",
        ))
    } else if plan.refused {
        let accepted = "fewer requests in flight than dummy-inflight-limit";
        let error = "too many requests are in flight";
        let mut reply = Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, error, accepted, "Retry-After");
        reply.fields.push("retry-after", "1");
        let shaping = Shaping { sends_worker_load: shaping.sends_worker_load, ..Shaping::default() };
        directives.content = Some(ContentPlan { protocol, shaping, hang: None });
        return (directives, after(upload, reply));
    } else if let Some(status) = plan.early {
        let said = serde_json::json!({ "status_code": status.as_u16(), "early": true });
        Answer::Ready(Reply::json(status, &said))
    } else {
        upload.pace = plan.read_rate.map(Pace::new);
        endpoint(upload)
    };
    let hang = abort.filter(|(cut, _)| *cut == Cut::Hang).map(|_| hang());
    directives.content = Some(ContentPlan { protocol, shaping, hang });
    let delay = plan.delay;
    let answer = match answer {
        Answer::Ready(mut reply) if delay.is_zero() => {
            reply.hold_large(&context.budget);
            Answer::Ready(plan.change(reply, protocol))
        }
        answer => {
            let budget = Rc::clone(&context.budget);
            Answer::Waiting(Box::pin(async move {
                let mut reply = answer.reply().await;
                // It may wait for an hour, and then be sent slowly.
                reply.hold_large(&budget);
                // A timer that has run out already takes a millisecond.
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                plan.change(reply, protocol)
            }))
        }
    };
    (directives, answer)
}

/// What is sent before the reply.
fn interim(expectation: Option<Expectation>, hints: &[String]) -> Vec<(u16, Fields)> {
    let mut interim = Vec::new();
    if expectation == Some(Expectation::Send) {
        interim.push((100, Fields::new()));
    }
    if !hints.is_empty() {
        interim.push((103, hints.iter().map(|link| ("link", link)).collect()));
    }
    interim
}

/// No reply.
fn cut_before_reply(cut: Cut, hang: impl FnOnce() -> Hang) -> Answer {
    if cut != Cut::Hang {
        return Answer::Ready(Reply::cut(cut));
    }
    let mut hang = hang();
    Answer::Waiting(Box::pin(async move {
        std::future::poll_fn(|cx| hang.poll(cx)).await;
        Reply::cut(Cut::Hang)
    }))
}

impl Plan {
    /// Changes a reply, except for its content.
    fn change(self, mut reply: Reply, protocol: Protocol) -> Reply {
        if let Some(status) = self.status {
            reply.status = status;
            if reply.special.as_ref().is_some_and(|special| special.upgrade.is_some()) {
                // What was to be switched to does not come about.
                reply = Reply::json(status, &serde_json::json!({ "status_code": status.as_u16() }));
            }
        }
        if self.close {
            reply.special().close = true;
        }
        if let Some(content_type) = &self.content_type {
            for (name, value) in std::mem::take(&mut reply.fixed) {
                reply.fields.push(name, value);
            }
            reply.fields.set("content-type", content_type);
        }
        for (name, value) in &self.headers {
            push(&mut reply.fields, name, value, protocol);
        }
        reply
    }
}
