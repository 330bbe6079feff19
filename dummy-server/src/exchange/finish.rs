//! The end of an exchange: a [`Reply`] to the fields and content that go on the wire. Lengths, statuses without content and
//! HEAD are decided here, once for all protocols.

use std::rc::Rc;

use bytes::Bytes;
use contract::{field, pattern, timing::Timing};
use http::StatusCode;
use wire::{Fields, Name};

use super::{Exchange, flight::Flight, sampled::SentFields};
use crate::{
    behaviour::{Directives, Framing},
    clock::now_ns,
    cors,
    cut::Cut,
    ledger::Sighting,
    message::reply::{Body, Fixed, Reply, Stream},
};

const CONTENT_LENGTH: Name = Name::new("content-length");
const DATE: Name = Name::new("date");
const SEEN: Name = Name::new(field::SEEN);
const SERVER_TIMING: Name = Name::new(field::SERVER_TIMING);

/// A request that was answered or will be: what its reply's head needs.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) exchange: Rc<Exchange>,
    pub(super) head_only: bool,
    pub(super) flight: Flight,
}

/// A reply as it goes on the wire.
#[derive(Debug)]
pub(crate) struct Finished {
    exchange: Rc<Exchange>,
    pub(crate) status: StatusCode,
    fixed: Fixed,
    fields: Fields,
    /// What is left of the content when it is announced.
    pub(crate) length: Option<u64>,
    /// It has no content, whatever [`Finished::content`] says: there, it is only broken off.
    pub(crate) bodiless: bool,
    pub(crate) content: Content,
    /// Ends with the last byte of the reply.
    pub(crate) flight: Flight,
}

/// The content of a reply, after what its method and status forbid was taken off.
#[derive(Debug)]
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    Pattern {
        range: pattern::Range,
        sized: bool,
    },
    Stream(Box<dyn Stream>),
}

/// Where fields are written to.
pub(crate) trait FieldWriter {
    /// Those that come with the same values again and again: of the kind of reply, and of the server.
    fn constants(&mut self, fixed: Fixed, instance: &str);
    /// One whose value does not come again.
    fn varying(&mut self, name: &str, value: &[u8]);
    /// The same, of a name that all replies have.
    fn varying_known(&mut self, name: &Name, value: &[u8]);
}

impl Pending {
    /// What is to be done before there is a reply.
    pub(crate) fn directives(&self) -> Option<&Directives> {
        self.flight.extras()?.directives.as_deref()
    }

    /// There will be no reply: it ends in this way, as was asked for, and `refused` says whether the client knows that it
    /// was not processed.
    pub(crate) fn cut(mut self, cut: Cut, refused: bool) {
        self.flight.cut(cut, refused);
    }

    /// There will be no reply: it ends because another one is cut in this way, and the client knows that this one was not
    /// processed.
    pub(crate) fn refused_by(mut self, cut: Cut) {
        self.flight.refused_by(cut);
    }

    /// The reply as it goes on the wire; it counts as given from now on.
    ///
    /// What a reply to HEAD and the statuses 204, 205 and 304 must not have is taken off (RFC 9110 sections 9.3.2, 8.6
    /// and 15).
    #[inline]
    pub(crate) fn finish(self, mut reply: Reply) -> Finished {
        let Self { exchange, head_only, mut flight } = self;
        reply.hold_large(&exchange.context.budget);
        let Reply { status, mut fixed, mut fields, mut body, mut special } = reply;
        if let Some(hold) = special.as_mut().and_then(|special| special.hold.take()) {
            flight.extras_mut().hold = Some(hold);
        }
        flight.replied(status, now_ns());
        let mut length = match &body {
            _ if status.is_informational() => None,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::Pattern { range, sized: true } => Some(range.left()),
            Body::Stream(_) => special.and_then(|special| special.length),
            Body::Pattern { .. } | Body::Chunks(_) => None,
        };
        let none = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Some(None),
            StatusCode::RESET_CONTENT => Some(Some(0)),
            _ => None,
        };
        let bodiless = head_only || none.is_some();
        if let Some(sighting) = flight.sighting_if_any()
            && !bodiless
        {
            number(sighting, &mut body);
        }
        let received_ns = flight.received_ns();
        if let Some(extras) = flight.extras_if_any() {
            if let Some(plan) = extras.directives.as_mut().and_then(|directives| directives.content.take())
                && !status.is_informational()
            {
                let framing = Framing { status, length, forbidden: none.is_some(), bodiless, received_ns };
                (body, length) = plan.shape(body, framing, &mut fields, &exchange.context);
            }
            if let Some(traceparent) = &extras.traceparent {
                fields.push("traceparent", traceparent);
            }
            if let Some(origin) = &extras.allowed_origin {
                cors::allow(&mut fields, origin, cors::EXPOSED);
            }
        }
        if let Some(none) = none {
            (fixed, length) = (&[], none);
        }
        let content = match body {
            _ if status.is_informational() => Content::None,
            Body::Stream(stream) if !bodiless || stream.is_broken() => Content::Stream(stream),
            _ if bodiless => Content::None,
            Body::Bytes(bytes) if bytes.is_empty() => Content::None,
            Body::Bytes(bytes) => Content::Bytes(bytes),
            Body::Pattern { range, sized } => Content::Pattern { range, sized },
            Body::Chunks(chunks) => Content::Stream(chunks),
            Body::Stream(_) => Content::None,
        };
        Finished { exchange, status, fixed, fields, length, bodiless, content, flight }
    }
}

/// A body of the pattern becomes the one of the request's number.
fn number(sighting: &mut Sighting, body: &mut Body) {
    let range = match body {
        Body::Pattern { range, .. } => range,
        Body::Chunks(chunks) => &mut chunks.range,
        Body::Bytes(_) | Body::Stream(_) => return,
    };
    *range = sighting.numbered(range.clone());
}

impl Content {
    /// Whether all of it can be sent in one piece of at most `room` bytes.
    pub(crate) fn fits(&self, room: usize) -> bool {
        match self {
            Self::None => true,
            Self::Bytes(bytes) => bytes.len() <= room,
            Self::Pattern { range, .. } => range.left() <= room as u64,
            Self::Stream(_) => false,
        }
    }
}

impl Finished {
    /// Writes the fields: those of the reply, and what every reply carries.
    pub(crate) fn write_fields(&self, out: &mut impl FieldWriter) {
        self.write_to(out);
        // Behind all that is the same as in the last reply: a client that reads both looks at the rest alone.
        if let Some(sighting) = self.flight.sighting() {
            sighting.tell(|text| {
                out.varying_known(&SEEN, text);
                if sighting.is_sampled() {
                    self.keep(sighting, text);
                }
            });
        }
    }

    /// Keeps the fields as they are written.
    #[cold]
    fn keep(&self, sighting: &Sighting, seen: &[u8]) {
        sighting.keep_reply(|run| {
            let mut kept = SentFields::of(run);
            self.write_to(&mut kept);
            kept.varying_known(&SEEN, seen);
            kept.into_head(self.status)
        });
    }

    fn write_to(&self, out: &mut impl FieldWriter) {
        out.constants(self.fixed, self.exchange.context.instance);
        for (name, value) in self.fields.iter() {
            // Endpoints write names as texts.
            out.varying(std::str::from_utf8(name).unwrap_or_default(), value);
        }
        if let Some(length) = self.length {
            out.varying_known(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
        }
        let mut clock = self.exchange.clock.borrow_mut();
        let (received_ns, replied_ns) = (self.flight.received_ns(), self.flight.replied_ns());
        out.varying_known(&DATE, clock.date(replied_ns));
        let timing = Timing { received_ns, replied_ns };
        out.varying_known(&SERVER_TIMING, self.exchange.timing.borrow_mut().value(timing));
    }
}
