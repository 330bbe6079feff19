//! All that can be asked for, each in one entry: its name, its form, what `/help` says of it, and what it adds to the plan
//! of a request. The field that keeps it, the grammar, the canonical form and the merging with the server's default
//! follow from that.

use std::{fmt, num::NonZeroU64, time::Duration};

use http::StatusCode;

use super::{
    asked::{BadBehaviour, Breach, Delay, Expectation, Gzip, Pair, Shares, TimingDetail},
    chance::For,
    forms::{
        self, ABORT, CHUNK, COUNT, DELAYS, DURATION, EXPECTATION, FIELD, GZIP, KEY, LINK, MEDIA_TYPE, NUMBER,
        OFF, RATE, STATUS, STATUSES, SWITCH, TIMING_DETAIL,
    },
    plan::{Facts, Plan},
};

/// All that can be asked for.
const ACCEPTED: &str = "dummy-* query keys and x-dummy-* fields as GET /help lists them";
/// A request that asks for something.
pub(crate) const EXAMPLE: &str = "GET /bin/1K?dummy-abort=rst@body(100):10";

/// What a server may do by default.
pub(crate) const EXAMPLE_DEFAULT: &str =
    "curl -X PUT -d 'status=503:10&delay=5ms' http://localhost:9091/behaviour";

/// Maximum number of fields, trailers or hints of one request.
const MOST_FIELDS: usize = 64;

/// What the grammar knows of a name.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// How its value is written.
    accepted: &'static str,
    does: &'static str,
    read: fn(&mut Behaviour, &str) -> Option<()>,
    show: fn(&Behaviour) -> Vec<String>,
}

/// `"name" field: type = FORM, "what it does", what it adds to a plan;`. Those without the last are asked elsewhere.
/// The order is that of `/help` and of the canonical form, and in which a plan is made: `fail-first` replaces what `status`
/// drew, so it comes behind it.
macro_rules! knobs {
    ($($name:literal $field:ident: $type:ty = $form:ident, $does:literal $(, $act:expr)?;)*) => {
        /// What is asked for. What is empty or none is not.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Behaviour {
            $(#[doc = $does] pub(crate) $field: $type,)*
        }

        pub(super) const TABLE: &[Entry] = &[$(Entry {
            name: $name,
            accepted: $form.accepted,
            does: $does,
            read: |to, text| to.$field.add(($form.read)(text)?),
            show: |of| of.$field.all().iter().map($form.show).collect(),
        }),*];

        impl Behaviour {
            /// Takes what is not asked for from `default`.
            pub(super) fn fill(&mut self, default: &Self) {
                $(self.$field.fill_from(&default.$field);)*
            }

            /// Adds what is asked for to the plan of a request, in the order of the table.
            pub(super) fn act(self, facts: &mut Facts<'_>, plan: &mut Plan) {
                $($(
                    let act: fn($type, &mut Facts<'_>, &mut Plan) = $act;
                    act(self.$field, facts, plan);
                )?)*
            }
        }
    };
}

knobs! {
    "status" status: Option<Shares<StatusCode>> = STATUSES, "reply with another status",
        |shares, facts, plan| plan.status = shares
            .and_then(|shares| facts.chance().one_of(For::Status, &shares))
            .filter(|_| facts.fails);
    "delay" delay: Option<Shares<Delay>> = DELAYS, "wait before the reply",
        |shares, facts, plan| if let Some(shares) = shares {
            let chance = facts.chance();
            plan.wait(chance.one_of(For::Delay, &shares).map_or(Duration::ZERO, |delay| chance.delay(delay)));
        };
    "inflight-delay" inflight_delay: Option<Duration> = DURATION, "wait this long for each request in flight, 1h in all",
        |each, facts, plan| if let Some(each) = each {
            plan.wait(each.saturating_mul(u32::try_from(facts.in_flight()).unwrap_or(u32::MAX)));
        };
    "inflight-limit" inflight_limit: Option<u64> = COUNT, "503 when more requests are in flight",
        |limit, facts, plan| plan.refused = limit.is_some_and(|limit| facts.in_flight() > limit);
    "header" headers: Vec<Pair> = FIELD, "add a field to the reply; repeatable",
        |fields, _, plan| plan.headers = fields;
    "trailer" trailers: Vec<Pair> = FIELD, "add a trailer to the reply; repeatable",
        |fields, facts, plan| if facts.head.protocol.has_trailers() { plan.shaping.trailers = fields };
    "hints" hints: Vec<String> = LINK, "send 103 with it immediately; repeatable",
        |links, _, plan| plan.hints = links;
    "content-type" content_type: Option<String> = MEDIA_TYPE, "reply with that content type",
        |media_type, _, plan| plan.content_type = media_type;
    "timing" timing: Option<TimingDetail> = TIMING_DETAIL, "report in Server-Timing the worker's CPU share and timer lag, and the last byte in a trailer",
        |detail, facts, plan| {
            plan.shaping.sends_worker_load = matches!(detail, Some(TimingDetail::Worker | TimingDetail::All));
            plan.shaping.sends_last_byte =
                matches!(detail, Some(TimingDetail::LastByte | TimingDetail::All)) && facts.head.protocol.has_trailers();
        };
    "no-length" no_length: Option<bool> = SWITCH, "do not announce the length",
        |asked, _, plan| plan.shaping.no_length = asked == Some(true);
    "chunk" chunk: Option<u64> = CHUNK, "chunks or DATA frames of that size (64K at most if compressed or streamed)",
        |size, _, plan| plan.shaping.chunk = size;
    "gzip" gzip: Option<Gzip> = GZIP, "compress the content",
        |gzip, facts, plan| {
            plan.shaping.gzip = gzip.is_some_and(|gzip| gzip == Gzip::Forced || facts.accepts_gzip());
            plan.shaping.varies = gzip == Some(Gzip::Negotiated);
        };
    "abort" abort: Option<Breach> = ABORT, "break the reply off there",
        |breach, facts, plan| plan.shaping.abort = breach
            .filter(|breach| facts.chance().hits(For::Abort, breach.percent) && facts.fails)
            // One that is the server's default need not be one of the protocol.
            .filter(|breach| facts.head.protocol.has(breach.cut))
            .map(|breach| (breach.cut, breach.point));
    "fail-first" fail_first: Option<u64> = COUNT, "status (or 503) and abort for the first N requests of the key, then none",
        |first, facts, plan| if first.is_some() && facts.fails && facts.fails_plainly {
            plan.status = Some(StatusCode::SERVICE_UNAVAILABLE);
        };
    "key" key: Option<String> = KEY, "what fail-first counts by";
    "close-after" close_after: Option<u64> = COUNT, "end the connection after N requests",
        |after, facts, plan| plan.close = after.is_some_and(|after| facts.answering.number >= after);
    "rate" rate: Option<NonZeroU64> = RATE, "send the content at this rate",
        |rate, _, plan| plan.shaping.rate = rate;
    "read-rate" read_rate: Option<NonZeroU64> = RATE, "read the request's content at this rate",
        |rate, _, plan| plan.read_rate = rate;
    "early" early: Option<StatusCode> = STATUS, "reply with it before the request's content is read",
        |status, _, plan| plan.early = status;
    "continue" expectation: Option<Expectation> = EXPECTATION, "100 immediately, 417, or no 100 when 100-continue is expected",
        |expectation, _, plan| plan.expectation = expectation;
    "cors" cors: Option<bool> = SWITCH, "let pages of other origins read the reply, and answer preflights";
    "seed" seed: Option<u64> = NUMBER, "seed of the random draws";
    "sequence" sequence: Option<u64> = NUMBER, "number of the random draw; otherwise the server counts";
    "default" without_default: Option<()> = OFF, "do not do what the server does by default";
}

/// What was asked for by a name: the last value, or all that came.
trait AskedValue<T>: Clone {
    fn all(&self) -> &[T];

    /// None: there are too many.
    fn add(&mut self, value: T) -> Option<()>;

    /// Takes what `default` has if nothing was asked for.
    fn fill_from(&mut self, default: &Self) {
        if self.all().is_empty() {
            self.clone_from(default);
        }
    }
}

impl<T: Clone> AskedValue<T> for Option<T> {
    fn all(&self) -> &[T] {
        self.as_slice()
    }

    fn add(&mut self, value: T) -> Option<()> {
        *self = Some(value);
        Some(())
    }
}

impl<T: Clone> AskedValue<T> for Vec<T> {
    fn all(&self) -> &[T] {
        self
    }

    fn add(&mut self, value: T) -> Option<()> {
        (self.len() < MOST_FIELDS).then(|| self.push(value))
    }
}

/// Names, meanings and forms, for `/help`.
pub(crate) fn help() -> String {
    let entry =
        |entry: &Entry| format!("{:<15} {}\n{:15} = {}\n", entry.name, entry.does, "", entry.accepted);
    TABLE.iter().map(entry).collect()
}

/// Reads the value of a name.
pub(super) fn read(behaviour: &mut Behaviour, name: &str, text: &str) -> Result<(), BadBehaviour> {
    let Some(entry) = TABLE.iter().find(|entry| entry.name == name) else {
        return Err(BadBehaviour { error: format!("unknown directive dummy-{name}"), accepted: ACCEPTED });
    };
    (entry.read)(behaviour, text)
        .ok_or_else(|| BadBehaviour { error: format!("'{text}' for dummy-{name}"), accepted: entry.accepted })
}

impl fmt::Display for Behaviour {
    /// The canonical form: pairs as in a query, in the order of the table, which [`Behaviour::parse`] reads as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for entry in TABLE {
            for text in (entry.show)(self) {
                write!(f, "{separator}{}=", entry.name)?;
                forms::encode(&text, f)?;
                separator = "&";
            }
        }
        Ok(())
    }
}
