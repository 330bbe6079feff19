//! A request in flight, from its head to the last byte of its reply: what is counted and logged at its end.

use std::{num::NonZeroU64, rc::Rc};

use http::StatusCode;

use crate::{
    access_log::Open, behaviour::Directives, budget::Hold, clock::now_ns, cut::Cut, ledger::Sighting,
    lifecycle::Lifecycle, protocol::Protocol, stats::Endpoint,
};

/// A request in flight. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Flight {
    lifecycle: Rc<Lifecycle>,
    endpoint: Endpoint,
    protocol: Protocol,
    /// When the head was read, and when that of the reply was written, in nanoseconds since the Unix epoch.
    received_ns: u64,
    replied_ns: Option<NonZeroU64>,
    /// The reply does not end along with its head.
    goes_on: bool,
    /// Bytes of content that have been handed over so far.
    sent: u64,
    /// What few requests have.
    extras: Option<Box<Extras>>,
    /// What the ledger learns of it, if it has a token.
    sighting: Option<Sighting>,
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
    pub(super) fn begin(
        lifecycle: &Rc<Lifecycle>,
        endpoint: Endpoint,
        protocol: Protocol,
        received_ns: u64,
        line: Option<Box<Open>>,
    ) -> Self {
        lifecycle.request_begun(protocol);
        lifecycle.patience.moved();
        let lifecycle = Rc::clone(lifecycle);
        Self {
            lifecycle,
            endpoint,
            protocol,
            received_ns,
            replied_ns: None,
            goes_on: false,
            sent: 0,
            extras: None,
            sighting: None,
            line,
        }
    }

    /// It has a token.
    pub(super) fn is_noted(&mut self, sighting: Sighting) {
        self.sighting = Some(sighting);
    }

    /// What the ledger learns of it, if it has a token.
    #[inline]
    pub(super) fn sighting(&self) -> Option<&Sighting> {
        self.sighting.as_ref()
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn sighting_if_any(&mut self) -> Option<&mut Sighting> {
        self.sighting.as_mut()
    }

    /// What few requests have, if this one does.
    #[inline]
    pub(super) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn extras_if_any(&mut self) -> Option<&mut Extras> {
        self.extras.as_deref_mut()
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

    /// When the head was read, in nanoseconds since the Unix epoch.
    pub(super) fn received_ns(&self) -> u64 {
        self.received_ns
    }

    /// When the head of the reply was written, in nanoseconds since the Unix epoch; 0 if it was not.
    pub(super) fn replied_ns(&self) -> u64 {
        self.replied_ns.map_or(0, NonZeroU64::get)
    }

    /// The reply is known, and its head is written now.
    pub(super) fn replied(&mut self, status: StatusCode, replied_ns: u64) {
        self.lifecycle.accounting.stats.reply(self.endpoint, self.protocol, status);
        self.replied_ns = NonZeroU64::new(replied_ns);
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
        self.note_cut(cut, refused);
    }

    /// It ends because another one is cut in this way, and the client knows that this one was not processed.
    pub(crate) fn refused_by(&mut self, cut: Cut) {
        self.note_cut(cut, true);
    }

    fn note_cut(&mut self, cut: Cut, refused: bool) {
        if let Some(sighting) = &mut self.sighting {
            sighting.cut(cut, refused);
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
        let ended_ns = match self.replied_ns {
            Some(replied_ns) if !self.goes_on => replied_ns.get(),
            _ => now_ns(),
        };
        let duration_ns = ended_ns.saturating_sub(self.received_ns);
        if let Some(sighting) = &mut self.sighting {
            if self.lifecycle.is_broken_off() {
                sighting.cut_by_server();
            }
            sighting.ended(ended_ns, self.sent);
        }
        if self.replied_ns.is_some() {
            self.lifecycle.accounting.stats.took(self.endpoint, self.protocol, duration_ns);
        }
        if let Some(line) = self.line.take()
            && !line.end(duration_ns, self.sent)
        {
            self.lifecycle.accounting.stats.access_log_dropped.add(1);
        }
    }
}
