//! A request in flight, from its head to the last byte of its reply: what is counted and logged at its end.

use std::rc::Rc;

use http::StatusCode;

use super::{Exchange, header_flags::HeaderFlags, origin, sampled};
use crate::{
    access_log::Open,
    behaviour::Directives,
    budget::Hold,
    clock::now_ns,
    cut::Cut,
    ledger::{CameOn, Sighting},
    lifecycle::Lifecycle,
    message::Head,
    protocol::Protocol,
    stats::Endpoint,
};

/// A request in flight. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Flight {
    lifecycle: Rc<Lifecycle>,
    endpoint: Endpoint,
    protocol: Protocol,
    /// The request is one for the head of the reply alone.
    pub(super) head_only: bool,
    /// When the head was read, and when that of the reply was written, in nanoseconds since the Unix epoch; 0 before that.
    pub(super) received_ns: u64,
    pub(super) replied_ns: u64,
    /// The reply does not end along with its head.
    goes_on: bool,
    /// Bytes of content that have been handed over so far.
    sent: u64,
    /// What few requests have.
    pub(super) extras: Option<Box<Extras>>,
    /// What the ledger learns of it, if it has a token.
    pub(super) sighting: Option<Sighting>,
    /// Its line in the access log, if it gets one.
    line: Option<Box<Open>>,
}

/// What few requests have: all others move less memory without it.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The value of the header field `traceparent`, which the reply repeats.
    pub(super) traceparent: Option<Box<[u8]>>,
    /// The origin of a page that may read the reply.
    pub(super) allowed_origin: Option<Box<[u8]>>,
    /// What it was asked for beside its reply, if that was anything.
    pub(super) directives: Option<Box<Directives>>,
    /// For a large reply, until it is handed over.
    pub(super) hold: Option<Hold>,
}

impl Flight {
    /// A request was read.
    pub(super) fn begin(
        exchange: &Exchange,
        lifecycle: &Rc<Lifecycle>,
        head: &Head<'_>,
        endpoint: Endpoint,
        received_ns: u64,
        flags: &HeaderFlags<'_>,
    ) -> Self {
        lifecycle.request_begun(head.protocol);
        lifecycle.patience.moved();
        let log = exchange.access_log.as_ref();
        let mut flight = Self {
            lifecycle: Rc::clone(lifecycle),
            endpoint,
            protocol: head.protocol,
            head_only: head.method == b"HEAD",
            received_ns,
            replied_ns: 0,
            goes_on: false,
            sent: 0,
            extras: None,
            sighting: None,
            line: log.and_then(|log| log.begin(head, flags.trace(), received_ns)),
        };
        let ledger = &exchange.context.ledger;
        if let Some(id) = flags.token.and_then(|token| ledger.read(token)) {
            let came_on = Some(CameOn { id: lifecycle.id.get(), counted_by: &lifecycle.counted_by });
            let mut sighting = ledger.saw(id, head.method, received_ns, came_on);
            if sighting.is_sampled() {
                sighting.keep(sampled::request(id.run, lifecycle.id.get(), head));
            }
            flight.sighting = Some(sighting);
        }
        if let Some(traceparent) = flags.traceparent {
            flight.extras_mut().traceparent = Some(traceparent.into());
        }
        if exchange.context.config.cors {
            flight.extras_mut().allowed_origin = origin(head);
        }
        flight
    }

    /// What is to be done before there is a reply.
    pub(crate) fn directives(&self) -> Option<&Directives> {
        self.extras.as_ref()?.directives.as_deref()
    }

    /// What few requests have, from now on this one.
    #[cold]
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Takes over the memory that the reply holds, which is then counted until the returned value is dropped.
    #[inline]
    pub(crate) fn take_hold(&mut self) -> Option<Hold> {
        self.extras.as_mut()?.hold.take()
    }

    /// The reply is known, and its head is written now.
    pub(super) fn replied(&mut self, status: StatusCode, replied_ns: u64) {
        self.lifecycle.accounting.stats.reply(self.endpoint, self.protocol, status);
        self.replied_ns = replied_ns;
        if let Some(sighting) = &mut self.sighting {
            sighting.replied(status.as_u16(), replied_ns);
        }
        if let Some(line) = &mut self.line {
            line.status = Some(status.as_u16());
        }
    }

    /// The reply does not fit where its head went: its end has its own time.
    pub(crate) fn goes_on(&mut self) {
        self.goes_on = true;
    }

    /// The last byte of the reply was handed over.
    #[inline]
    pub(crate) fn whole(&mut self) {
        if let Some(sighting) = &mut self.sighting {
            sighting.whole();
        }
    }

    /// These fields are handed over behind its content.
    #[inline]
    pub(crate) fn trailers<'f>(&self, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) {
        if let Some(sighting) = &self.sighting {
            sighting.keep_trailers(fields);
        }
    }

    /// It ends in this way, as was asked for, and counts; `refused` says whether the client knows that it was not processed.
    pub(crate) fn cut(&mut self, cut: Cut, refused: bool) {
        // One that hangs has been counted when it began to.
        if cut != Cut::Hang {
            self.lifecycle.accounting.stats.cut(cut);
        }
        if let Some(sighting) = &mut self.sighting {
            sighting.cut(cut, refused);
        }
    }

    /// It ends because another one is cut in this way, and the client knows that this one was not processed.
    pub(crate) fn refused_by(&mut self, cut: Cut) {
        if let Some(sighting) = &mut self.sighting {
            sighting.cut(cut, true);
        }
    }

    /// A number of bytes of content were handed over.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        if bytes > 0 {
            self.lifecycle.patience.moved();
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.lifecycle.request_ended(self.protocol);
        // Most replies end in the moment in which they begin, and the clock was read then.
        let ended_with_head = self.replied_ns > 0 && !self.goes_on;
        let ended_ns = if ended_with_head { self.replied_ns } else { now_ns() };
        let duration_ns = ended_ns.saturating_sub(self.received_ns);
        if let Some(sighting) = &mut self.sighting {
            if self.lifecycle.is_broken_off() {
                sighting.cut_by_server();
            }
            sighting.ended(ended_ns, self.sent);
        }
        if self.replied_ns > 0 {
            self.lifecycle.accounting.stats.took(self.endpoint, self.protocol, duration_ns);
        }
        if let Some(line) = self.line.take()
            && !line.end(duration_ns, self.sent)
        {
            self.lifecycle.accounting.stats.access_log_dropped.add(1);
        }
    }
}
