//! What was planned for the content of a reply, carried out when its exchange knows its length and whether there may be
//! any.

use contract::field;
use http::StatusCode;
use wire::Fields;

use super::{
    asked::Point,
    body::{Hang, Shape, Shaped},
    plan::Shaping,
    push,
};
use crate::{context::ServerContext, cut::Cut, message::reply::Body, protocol::Protocol};

/// What happens to the content of a reply.
#[derive(Debug)]
pub(crate) struct ContentPlan {
    pub(super) protocol: Protocol,
    pub(super) shaping: Shaping,
    /// How long a [`Cut::Hang`] takes.
    pub(super) hang: Option<Hang>,
}

/// What the exchange has decided of the content of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    pub(crate) status: StatusCode,
    /// As far as it is known.
    pub(crate) length: Option<u64>,
    /// The status has no content.
    pub(crate) forbidden: bool,
    /// None is sent: that, or the reply is one to HEAD.
    pub(crate) bodiless: bool,
    /// When the request's head was read, in nanoseconds since the Unix epoch.
    pub(crate) received_ns: u64,
}

impl ContentPlan {
    /// The content as it was asked for, and the length to announce.
    #[cold]
    pub(crate) fn shape(
        self,
        body: Body,
        framing: Framing,
        fields: &mut Fields,
        context: &ServerContext,
    ) -> (Body, Option<u64>) {
        let Self { protocol, shaping, hang } = self;
        let Framing { status, length, forbidden, bodiless, received_ns } = framing;
        // A part of something is a part of it as it is (RFC 9110 section 14.2).
        let gzip = shaping.gzip && !forbidden && length != Some(0) && status != StatusCode::PARTIAL_CONTENT;
        if gzip {
            fields.push("content-encoding", "gzip");
        }
        if shaping.varies && !forbidden {
            fields.push("vary", "accept-encoding");
        }
        if shaping.sends_worker_load {
            let mut load = Vec::new();
            context.load.get().write(&mut load);
            fields.push(field::SERVER_TIMING, load);
        }
        // The status of a gRPC call is looked for behind the last head (trailers-only).
        let forbidden_trailers = forbidden || fields.contains("grpc-status");
        let mut trailers = Fields::new();
        let sends_last_byte = shaping.sends_last_byte && !forbidden_trailers;
        let mut names: Vec<_> = shaping.trailers.iter().map(|(name, _)| name.as_str()).collect();
        names.extend(sends_last_byte.then_some(field::SERVER_TIMING));
        if !names.is_empty() && !forbidden_trailers {
            push(fields, "Trailer", &names.join(", "), protocol);
            shaping.trailers.iter().for_each(|(name, value)| push(&mut trailers, name, value, protocol));
        }
        let no_length = shaping.no_length && !forbidden;
        let in_pieces = shaping.chunk.is_some() || !trailers.is_empty() || sends_last_byte;
        if !gzip && !no_length && !in_pieces && shaping.rate.is_none() && shaping.abort.is_none() {
            return (body, length);
        }
        let cut = shaping.abort.map(|(cut, point)| {
            let after = match point {
                Point::Body(after) if !bodiless => after,
                Point::Middle if !bodiless => length.unwrap_or_default() / 2,
                _ => 0,
            };
            (after, cut)
        });
        let announced = match cut {
            Some((after, Cut::Short)) => Some(length.unwrap_or_default().max(after.saturating_add(1))),
            _ => length.filter(|_| !gzip && !no_length && (!in_pieces || protocol.has_frames())),
        };
        let shape = Shape {
            chunk: shaping.chunk,
            rate: shaping.rate,
            gzip,
            trailers,
            last_byte: sends_last_byte.then_some(received_ns),
            cut,
            hang,
        };
        (Body::Stream(Box::new(Shaped::new(body, shape, &context.turn, &context.budget))), announced)
    }
}
