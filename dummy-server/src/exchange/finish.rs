//! The end of an exchange: a [`Reply`] to the fields and content that go on the wire. Lengths, statuses without content and
//! HEAD are decided here, once for all protocols.

use bytes::Bytes;
use contract::{
    field,
    ledger::{KeptFields, ReplyHead},
    pattern,
    timing::Timing,
};
use http::StatusCode;
use wire::{Fields, Name};

use super::{Exchange, flight::Flight, sampled::SentFields};
use crate::{
    behaviour::Framing,
    clock::now_ns,
    cors,
    ledger::Sighting,
    message::reply::{Body, Fixed, Reply, Stream},
};

const CONTENT_LENGTH: Name = Name::new("content-length");
const DATE: Name = Name::new("date");
const SEEN: Name = Name::new(field::SEEN);
const SERVER_TIMING: Name = Name::new(field::SERVER_TIMING);

/// A reply as it goes on the wire.
#[derive(Debug)]
pub(crate) struct Finished {
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
    Pattern { range: pattern::Range, sized: bool },
    Stream(Box<dyn Stream>),
}

/// Where fields are written to.
pub(crate) trait FieldWriter {
    /// One whose value does not come again.
    fn varying(&mut self, name: &str, value: &[u8]);

    /// The same, of a name that all replies have.
    fn varying_known(&mut self, name: &Name, value: &[u8]) {
        self.varying(name.as_str(), value);
    }

    /// Those that come with the same values again and again: of the kind of reply, and of the server.
    fn constants(&mut self, fixed: Fixed, instance: &str) {
        for (name, value) in fixed {
            self.varying(name, value.as_bytes());
        }
        self.varying(field::INSTANCE, instance.as_bytes());
    }
}

impl Flight {
    /// The reply as it goes on the wire; it counts as given from now on.
    ///
    /// What a reply to HEAD and the statuses 204, 205 and 304 must not have is taken off (RFC 9110 sections 9.3.2, 8.6
    /// and 15).
    #[inline]
    pub(crate) fn finish(mut self, exchange: &Exchange, mut reply: Reply) -> Finished {
        reply.hold_large(&exchange.context.budget);
        let Reply { status, mut fixed, mut fields, mut body, mut special } = reply;
        if let Some(hold) = special.as_mut().and_then(|special| special.hold.take()) {
            self.extras_mut().hold = Some(hold);
        }
        self.replied(status, now_ns());
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
        let bodiless = self.head_only || none.is_some();
        if let Some(sighting) = &mut self.sighting
            && !bodiless
        {
            number(sighting, &mut body);
        }
        let received_ns = self.received_ns;
        if let Some(extras) = &mut self.extras {
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
        Finished { status, fixed, fields, length, bodiless, content, flight: self }
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
    pub(crate) fn write_fields(&self, exchange: &Exchange, out: &mut impl FieldWriter) {
        self.write_to(exchange, out);
        // Behind all that is the same as in the last reply: a client that reads both looks at the rest alone.
        if let Some(sighting) = &self.flight.sighting {
            sighting.tell(|text| {
                out.varying_known(&SEEN, text);
                if sighting.is_sampled() {
                    self.keep(exchange, sighting, text);
                }
            });
        }
    }

    /// Keeps the fields as they are written.
    #[cold]
    fn keep(&self, exchange: &Exchange, sighting: &Sighting, seen: &[u8]) {
        sighting.keep_reply(|run| {
            let mut kept = SentFields { run, fields: KeptFields::default() };
            self.write_to(exchange, &mut kept);
            kept.varying_known(&SEEN, seen);
            ReplyHead { status: self.status.as_u16(), fields: kept.fields, trailers: None }
        });
    }

    fn write_to(&self, exchange: &Exchange, out: &mut impl FieldWriter) {
        out.constants(self.fixed, exchange.context.instance);
        for (name, value) in self.fields.iter() {
            // Endpoints write names as texts.
            out.varying(std::str::from_utf8(name).unwrap_or_default(), value);
        }
        if let Some(length) = self.length {
            out.varying_known(&CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
        }
        let mut clock = exchange.clock.borrow_mut();
        let Flight { received_ns, replied_ns, .. } = self.flight;
        out.varying_known(&DATE, clock.date(replied_ns));
        let timing = Timing { received_ns, replied_ns };
        out.varying_known(&SERVER_TIMING, exchange.timing.borrow_mut().value(timing));
    }
}
