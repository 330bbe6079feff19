//! A decision, to an endpoint and its reply.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::sleep;
use wire::Fields;

use super::{
    asked::{Behaviour, Expectation, Gzip, Point},
    body::{Hang, Shape, Shaped},
    decide::{Decision, decide},
    shared::{InFlight, Shared},
};
use crate::{
    context::ServerContext,
    cut::Cut,
    lifecycle::Lifecycle,
    message::{
        Head,
        pace::Pace,
        reply::{Answer, Body, Reply},
        upload::Upload,
    },
    stats::Protocol,
};

/// What an engine does before there is a reply, and keeps until the reply has ended.
#[derive(Debug)]
pub(crate) struct Manners {
    /// Informational replies, to be sent at once.
    pub(crate) interim: Vec<(u16, Fields)>,
    /// 100 (Continue) is not said, even if the endpoint reads.
    pub(crate) withholds_continue: bool,
    /// Counts until it is dropped.
    _in_flight: Option<InFlight>,
}

/// Has an endpoint answer as it was asked for.
pub(crate) fn answer(
    context: &Rc<ServerContext>,
    (shared, worker): (&Arc<Shared>, usize),
    head: &Head<'_>,
    mut upload: Upload,
    asked: Behaviour,
    endpoint: impl FnOnce(Upload) -> Answer,
) -> (Manners, Answer) {
    let http2 = head.protocol == Protocol::Http2;
    let Decision { status, refused, delay, abort, in_flight } = decide(&asked, shared, worker, http2);
    let manners = manners(&asked, head, in_flight);
    let expects = head.fields.has_token("expect", "100-continue");
    let before = abort.filter(|(_, point)| *point == Point::BeforeHeaders);
    let answer = if let Some((cut, _)) = before {
        cut_before_reply(cut, head.lifecycle)
    } else if asked.expectation == Some(Expectation::Refuse) && expects {
        Answer::Ready(Reply::refusal(
            StatusCode::EXPECTATION_FAILED,
            "dummy-continue=refuse",
            "a request without Expect",
            "curl -H Expect: --data-binary @file",
        ))
    } else if refused {
        let accepted = "fewer requests in flight than dummy-inflight-limit";
        let error = "too many requests are in flight";
        let mut reply = Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, error, accepted, "Retry-After");
        reply.fields.push("retry-after", "1");
        return (manners, crate::message::after(upload, reply));
    } else if let Some(status) = asked.early {
        let said = serde_json::json!({ "status_code": status.as_u16(), "early": true });
        Answer::Ready(Reply::json(status, &said))
    } else {
        upload.pace = asked.read_rate.map(Pace::new);
        endpoint(upload)
    };
    let shaping = Shaping::new(asked, head, context, status, abort.filter(|_| before.is_none()));
    let answer = match answer {
        Answer::Ready(mut reply) if delay.is_zero() => {
            reply.hold_large(&context.budget);
            Answer::Ready(shaping.apply(reply))
        }
        answer => Answer::Waiting(Box::pin(async move {
            let mut reply = match answer {
                Answer::Ready(reply) => reply,
                Answer::Waiting(reply) => reply.await,
            };
            // It may wait for an hour, and then be sent slowly.
            reply.hold_large(&shaping.context.budget);
            sleep(delay).await;
            shaping.apply(reply)
        })),
    };
    (manners, answer)
}

fn manners(asked: &Behaviour, head: &Head<'_>, in_flight: Option<InFlight>) -> Manners {
    let withholds_continue = asked.expectation.is_some();
    let mut interim = Vec::new();
    // Clients of HTTP/1.0 know of no informational replies (RFC 9110 section 15.2).
    if head.protocol != Protocol::Http10 {
        if asked.expectation == Some(Expectation::Send) {
            interim.push((100, Fields::new()));
        }
        if !asked.hints.is_empty() {
            interim.push((103, asked.hints.iter().map(|link| ("link", link)).collect()));
        }
    }
    Manners { interim, withholds_continue, _in_flight: in_flight }
}

/// No reply.
fn cut_before_reply(cut: Cut, lifecycle: &Rc<Lifecycle>) -> Answer {
    if cut != Cut::Hang {
        return Answer::Ready(Reply::cut(cut));
    }
    let mut hang = Hang::new(lifecycle);
    Answer::Waiting(Box::pin(async move {
        std::future::poll_fn(|cx| hang.poll(cx)).await;
        Reply::cut(Cut::Hang)
    }))
}

/// What is done to a reply.
struct Shaping {
    asked: Behaviour,
    status: Option<StatusCode>,
    abort: Option<(Cut, Point)>,
    protocol: Protocol,
    lifecycle: Rc<Lifecycle>,
    context: Rc<ServerContext>,
    bodiless: bool,
    gzip: bool,
    close: bool,
}

impl Shaping {
    fn new(
        asked: Behaviour,
        head: &Head<'_>,
        context: &Rc<ServerContext>,
        status: Option<StatusCode>,
        abort: Option<(Cut, Point)>,
    ) -> Self {
        let gzip = match asked.gzip {
            Some(Gzip::Forced) => true,
            Some(Gzip::Negotiated) => accepts_gzip(head),
            None => false,
        };
        Self {
            status,
            abort,
            protocol: head.protocol,
            lifecycle: Rc::clone(head.lifecycle),
            context: Rc::clone(context),
            bodiless: head.method == b"HEAD",
            gzip,
            close: asked.close_after.is_some_and(|after| head.number >= after),
            asked,
        }
    }

    fn apply(self, mut reply: Reply) -> Reply {
        let special = reply.special.as_deref();
        if special.is_some_and(|special| special.cut.is_some()) {
            return reply;
        }
        if self.close {
            reply.special().close = true;
        }
        let upgrades = reply.special.as_deref().is_some_and(|special| special.upgrade.is_some());
        if let Some(status) = self.status {
            reply.status = status;
            if upgrades {
                // What was to be switched to does not come about.
                reply = Reply::json(status, &serde_json::json!({ "status_code": status.as_u16() }));
            }
        }
        if let Some(content_type) = &self.asked.content_type {
            for (name, value) in std::mem::take(&mut reply.fixed) {
                reply.fields.push(name, value);
            }
            reply.fields.set("content-type", content_type);
        }
        let http2 = self.protocol == Protocol::Http2;
        for (name, value) in &self.asked.headers {
            push(&mut reply.fields, name, value, http2);
        }
        if reply.status.is_informational() { reply } else { self.content(reply, http2) }
    }

    /// Reshapes the content, if that is asked for.
    fn content(self, mut reply: Reply, http2: bool) -> Reply {
        let Self { asked, abort, protocol, lifecycle, context, bodiless, .. } = self;
        let none = matches!(
            reply.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        let length = match &reply.body {
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Pattern { range, sized: true } => Some(range.left()),
            Body::Stream(_) => reply.special.as_ref().and_then(|special| special.length),
            Body::Pattern { .. } | Body::Chunks(_) => None,
        };
        // A part of something is a part of it as it is (RFC 9110 section 14.2).
        let gzip = self.gzip && !none && length != Some(0) && reply.status != StatusCode::PARTIAL_CONTENT;
        if gzip {
            reply.fields.push("content-encoding", "gzip");
        }
        if asked.gzip == Some(Gzip::Negotiated) && !none {
            reply.fields.push("vary", "accept-encoding");
        }
        // Without chunks there is no place for trailers.
        let mut trailers = Fields::new();
        if protocol != Protocol::Http10 && !asked.trailers.is_empty() && !none {
            let names: Vec<_> = asked.trailers.iter().map(|(name, _)| name.as_str()).collect();
            push(&mut reply.fields, if http2 { "trailer" } else { "Trailer" }, &names.join(", "), false);
            for (name, value) in &asked.trailers {
                push(&mut trailers, name, value, http2);
            }
        }
        let no_length = asked.no_length == Some(true) && !none;
        let shaped =
            gzip || no_length || !trailers.is_empty() || asked.chunk.is_some() || asked.rate.is_some();
        if !shaped && abort.is_none() {
            return reply;
        }
        let after = abort.map(|(cut, point)| {
            let after = match point {
                Point::Body(after) => after,
                Point::Middle => length.unwrap_or_default() / 2,
                Point::BeforeHeaders | Point::AfterHeaders => 0,
            };
            (if none || bodiless { 0 } else { after }, cut)
        });
        let coded = !http2 && (asked.chunk.is_some() || !trailers.is_empty());
        let mut announced = length.filter(|_| !gzip && !no_length && !coded);
        if let Some((after, Cut::Short)) = after {
            announced = Some(length.unwrap_or_default().max(after.saturating_add(1)));
        }
        let body = std::mem::replace(&mut reply.body, Body::Bytes(Bytes::new()));
        let body = if bodiless || none { Body::Bytes(Bytes::new()) } else { body };
        let shape = Shape {
            chunk: asked.chunk,
            rate: asked.rate,
            gzip,
            trailers,
            cut: after,
            hang: after.filter(|(_, cut)| *cut == Cut::Hang).map(|_| Hang::new(&lifecycle)),
        };
        reply.body = Body::Stream(Box::new(Shaped::new(body, shape, &context.turn, &context.budget)));
        reply.special().length = announced;
        reply
    }
}

/// Names are in lower case over HTTP/2 (RFC 9113 section 8.2) and as they were written over HTTP/1.
fn push(fields: &mut Fields, name: &str, value: &str, http2: bool) {
    if http2 { fields.push(name.to_ascii_lowercase(), value) } else { fields.push(name, value) }
}

/// Whether `Accept-Encoding` has room for gzip (RFC 9110 section 12.5.3).
fn accepts_gzip(head: &Head<'_>) -> bool {
    let codings = head.fields.get_all("accept-encoding").flat_map(|value| value.split(|byte| *byte == b','));
    let mut any = None;
    for coding in codings {
        let text = String::from_utf8_lossy(coding).to_ascii_lowercase();
        let (name, weight) = text.split_once(';').unwrap_or((&text, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        match name.trim() {
            "gzip" | "x-gzip" => return !refused,
            "*" => any = Some(!refused),
            _ => {}
        }
    }
    any.unwrap_or(false)
}
