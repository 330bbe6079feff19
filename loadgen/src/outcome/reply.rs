//! What is known of a reply: fed with its heads, its body and its trailers, in whichever protocol they came.

use std::sync::Arc;

use contract::{
    field::SERVER_TIMING,
    ledger::{KeptFields, ReplyHead},
    timing::{Timing, WorkerLoad},
};
use wire::Fields;

use super::{
    Cause, Failure,
    exchange::Capture,
    expectation::{Check, Expectations},
    token::{ServerTimes, TokenEcho},
};

/// The longest body of a redirect that is followed, in bytes: it is of no use, and a server may never end it.
const MAX_REDIRECT_BODY: u64 = 1 << 20;

/// The body of a redirect that is followed is longer than [`MAX_REDIRECT_BODY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongRedirect;

impl From<LongRedirect> for Failure {
    fn from(_: LongRedirect) -> Self {
        let most = MAX_REDIRECT_BODY >> 20;
        let message = format!("the body of a redirect that --follow follows is longer than {most} MiB");
        Self::new(Cause::LongRedirect, message)
    }
}

/// What is looked at in replies to a request beyond what is in all.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    expectations: Option<Arc<Expectations>>,
    /// Whether redirects are followed.
    follows: bool,
}

impl Watch {
    /// None where there is nothing to look at.
    pub(crate) fn of(expectations: Option<Arc<Expectations>>, follows: bool) -> Option<Box<Self>> {
        (follows || expectations.is_some()).then(|| Box::new(Self { expectations, follows }))
    }
}

/// The server's instants are looked at.
const SAMPLED: u8 = 1;

/// A redirect is followed.
const FOLLOWED: u8 = 2;

/// Its body is in a content coding, so that it can't be compared with the one of its number.
const ENCODED: u8 = 4;

/// The server gave it another status.
const RESTATUSED: u8 = 8;

/// It is the reply to a gRPC call, and came changed: it can't be decoded.
const UNDECODABLE: u8 = 16;

/// A reply, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Of the final head; 0 until that has come.
    pub(crate) status: u16,
    /// The instance that named itself, as the recorder numbers it.
    pub(crate) instance: Option<u16>,
    /// Bytes of the body.
    pub(crate) length: u64,
    /// The status of the gRPC call, if it is the reply to one and has ended.
    pub(crate) code: Option<grpc::Code>,
    /// The request's token as it came back, in a verified run.
    pub(crate) token: TokenEcho,
    /// What came back with it.
    pub(crate) server_times: ServerTimes,
    /// How long its body is, if that is the one of the request's number.
    pub(super) announced: Option<u64>,
    /// What is looked at in its head, and what was seen there.
    looks: u8,
    /// What few replies have. Behind one pointer: each request in flight is moved several times.
    rare: Option<Box<Rare>>,
}

/// What few replies have.
#[derive(Debug, Default)]
struct Rare {
    /// What the server reports of itself, if that is looked at.
    reported: Option<Reported>,
    /// Whether it is as expected, if anything is.
    check: Option<Check>,
    /// Where a redirect leads.
    location: Option<Box<[u8]>>,
    /// What the server said about the status of a gRPC call.
    message: String,
    /// Which other request it is the reply to, as it says.
    other: Box<[u8]>,
    /// The status that the server gave it, where it came with another.
    given_status: u16,
    /// Where its body differs from the one of the request's number.
    corrupted: Option<u64>,
    /// Its head, if the request is sampled, and the run.
    sampled: Option<Box<(ReplyHead, u32)>>,
    /// All of it, if it is to be shown.
    capture: Option<Capture>,
}

/// How a gRPC call ended: with a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// OK.
    Ok,
    /// Any other, with what was said about it.
    Error(Box<(grpc::Code, String)>),
}

/// What dummy-server reports of itself with a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported {
    /// When it saw the request and replied, by its clock.
    pub(crate) timing: Timing,
    /// How busy its worker was, if that was asked for.
    pub(crate) load: Option<WorkerLoad>,
}

impl Reported {
    fn of(fields: &Fields) -> Option<Self> {
        let values = || fields.get_all(SERVER_TIMING).filter_map(|value| std::str::from_utf8(value).ok());
        let timing = values().find_map(Timing::parse)?;
        Some(Self { timing, load: values().find_map(WorkerLoad::parse) })
    }
}

impl Reply {
    /// Its body has other bytes than the one of its number: it came in a content coding.
    #[inline]
    pub(super) fn note_encoded(&mut self) {
        self.looks |= ENCODED;
    }

    /// Whether that is so.
    #[inline]
    pub(crate) fn is_encoded(&self) -> bool {
        self.looks & ENCODED != 0
    }

    #[cold]
    pub(super) fn note_given_status(&mut self, status: u16) {
        self.looks |= RESTATUSED;
        self.rare().given_status = status;
    }

    /// It is the reply to a gRPC call, and came changed: it can't be decoded.
    #[cold]
    pub(crate) fn note_undecodable(&mut self) {
        self.looks |= UNDECODABLE;
    }

    /// Whether that is so.
    pub(crate) fn is_undecodable(&self) -> bool {
        self.looks & UNDECODABLE != 0
    }

    /// Whether it came with another status than the server gave it.
    #[inline]
    pub(crate) fn is_restatused(&self) -> bool {
        self.looks & RESTATUSED != 0
    }

    /// The status that the server gave it, if it came with another.
    pub(crate) fn given_status(&self) -> Option<u16> {
        self.rare.as_deref().filter(|_| self.is_restatused()).map(|rare| rare.given_status)
    }

    #[inline]
    pub(super) fn new(captured: bool, is_sampled: bool) -> Self {
        let rare = || Box::new(Rare { capture: Some(Capture::default()), ..Rare::default() });
        let looks = if is_sampled { SAMPLED } else { 0 };
        Self { rare: captured.then(rare), looks, ..Self::default() }
    }

    /// As if it were new: nothing of it has come.
    #[inline]
    pub(super) fn reset(&mut self, captured: bool, is_sampled: bool) {
        let Self { status, instance, length, code, token, server_times, announced, looks, rare } = self;
        (*status, *instance, *length, *code) = (0, None, 0, None);
        (*token, *server_times, *announced) = (TokenEcho::None, ServerTimes::default(), None);
        *looks = if is_sampled { SAMPLED } else { 0 };
        if captured || rare.is_some() {
            *rare = Self::new(captured, is_sampled).rare;
        }
    }

    /// What few replies have is let go of.
    #[inline]
    pub(super) fn let_go(&mut self) {
        self.rare = None;
    }

    /// This is looked at, too.
    #[cold]
    pub(super) fn watch(&mut self, watch: &Watch) {
        if let Some(expectations) = &watch.expectations {
            self.rare().check = Some(Check::new(Arc::clone(expectations)));
        }
        self.looks |= if watch.follows { FOLLOWED } else { 0 };
    }

    /// Where it says to ask instead, if it is a redirect that is followed.
    pub(crate) fn location(&self) -> Option<&[u8]> {
        self.rare.as_deref()?.location.as_deref()
    }

    /// Which other request it is the reply to, as it says.
    pub(crate) fn other(&self) -> &[u8] {
        self.rare.as_deref().map_or(&[], |rare| &rare.other)
    }

    #[cold]
    pub(super) fn note_other(&mut self, text: &[u8]) {
        self.rare().other = text.into();
    }

    /// Its head, if the request is sampled and it has come.
    pub(crate) fn sampled_head(&self) -> Option<&ReplyHead> {
        self.rare.as_deref()?.sampled.as_deref().map(|(head, _)| head)
    }

    #[cold]
    pub(super) fn keep_head(&mut self, head: &Head<'_>, run: u32) {
        let mut fields = KeptFields::default();
        head.regular(|name, value| fields.push(run, name, value));
        let head = ReplyHead { status: head.status(), fields, trailers: None };
        self.rare().sampled = Some(Box::new((head, run)));
    }

    /// Where its body differs from the one of the request's number.
    #[inline]
    pub(super) fn corrupted(&self) -> Option<u64> {
        self.rare.as_deref()?.corrupted
    }

    #[cold]
    pub(super) fn note_corrupted(&mut self, offset: u64) {
        self.rare().corrupted = Some(offset);
    }

    /// The gRPC call has ended so.
    #[inline]
    pub(crate) fn call_ended(&mut self, end: CallEnd) {
        match end {
            CallEnd::Ok => self.code = Some(grpc::Code::Ok),
            CallEnd::Error(error) => {
                let (code, message) = *error;
                (self.code, self.rare().message) = (Some(code), message);
            }
        }
    }

    /// What the server reports of itself, if that is looked at.
    #[inline]
    pub(crate) fn reported(&self) -> Option<&Reported> {
        self.rare.as_deref()?.reported.as_ref()
    }

    /// The check of what is expected, if anything is.
    #[inline]
    pub(super) fn check(&self) -> Option<&Check> {
        self.rare.as_deref()?.check.as_ref()
    }

    /// The status of the gRPC call, if it is another than OK, and what was said about it.
    #[inline]
    pub(crate) fn call_error(&self) -> Option<(grpc::Code, &str)> {
        let code = self.code.filter(|code| *code != grpc::Code::Ok)?;
        Some((code, self.rare.as_deref().map_or("", |rare| &rare.message)))
    }

    /// What was kept of it, and how its call ended.
    pub(super) fn into_shown(self) -> (Capture, Option<CallEnd>) {
        let rare = self.rare.map(|rare| *rare).unwrap_or_default();
        let end = self.code.map(|code| match code {
            grpc::Code::Ok => CallEnd::Ok,
            code => CallEnd::Error(Box::new((code, rare.message))),
        });
        (rare.capture.unwrap_or_default(), end)
    }

    /// As if the server had reported this.
    #[cfg(test)]
    pub(crate) fn report(&mut self, reported: Option<Reported>) {
        if reported.is_some() {
            self.rare().reported = reported;
        }
    }

    #[cold]
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn capture(&mut self) -> Option<&mut Capture> {
        self.rare.as_deref_mut()?.capture.as_mut()
    }

    /// An informational head (1xx) has come.
    pub(crate) fn informational(&mut self, head: &Head<'_>) {
        if let Some(capture) = self.capture() {
            capture.informational(head);
        }
    }

    /// The final head has come; `number` numbers the instance that it names.
    #[inline]
    pub(crate) fn head(&mut self, head: &Head<'_>, number: impl FnOnce(&[u8]) -> u16) {
        self.status = head.status();
        self.instance = head.fields().get(contract::field::INSTANCE).map(number);
        if self.looks & (SAMPLED | FOLLOWED) != 0 {
            self.look_at(head);
        }
        if let Some(Rare { check, capture, .. }) = self.rare.as_deref_mut() {
            check.iter_mut().for_each(|check| check.head(head.fields()));
            capture.iter_mut().for_each(|capture| capture.head(head));
        }
    }

    #[cold]
    fn look_at(&mut self, head: &Head<'_>) {
        if self.looks & SAMPLED != 0
            && let Some(reported) = Reported::of(head.fields())
        {
            self.rare().reported = Some(reported);
        }
        if self.looks & FOLLOWED != 0
            && matches!(self.status, 301 | 302 | 303 | 307 | 308)
            && let Some(location) = head.fields().get("location")
        {
            self.rare().location = Some(location.into());
        }
    }

    /// More of the body has come.
    ///
    /// # Errors
    /// It is that of a redirect that is followed, and too long: its end is not waited for.
    #[inline]
    pub(crate) fn body(&mut self, part: &[u8]) -> Result<(), LongRedirect> {
        self.length += part.len() as u64;
        if let Some(Rare { check, capture, location, .. }) = self.rare.as_deref_mut() {
            check.iter_mut().for_each(|check| check.body(part));
            capture.iter_mut().for_each(|capture| capture.body(part));
            if location.is_some() && self.length > MAX_REDIRECT_BODY {
                return Err(LongRedirect);
            }
        }
        Ok(())
    }

    /// The trailers have come.
    #[inline]
    pub(crate) fn trailers<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone) {
        let Some(Rare { reported, sampled, capture, .. }) = self.rare.as_deref_mut() else { return };
        if let Some((head, run)) = sampled.as_deref_mut() {
            head.trailers = Some(KeptFields::of(*run, fields.clone()));
        }
        if let Some(reported) = reported {
            let is_timing = |name: &[u8]| name.eq_ignore_ascii_case(SERVER_TIMING.as_bytes());
            let done = fields.clone().find_map(|(name, value)| {
                Timing::parse_done(std::str::from_utf8(value).ok().filter(|_| is_timing(name))?)
            });
            // The server's share ends with the last byte.
            reported.timing = done.unwrap_or(reported.timing);
        }
        if let Some(capture) = capture {
            capture.trailers(fields);
        }
    }
}

/// The head of a reply, as its protocol has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// HTTP/1's.
    Http1(&'a http1::response::ResponseHead),
    /// HTTP/2's fields.
    Http2(&'a http2::Head),
}

impl Head<'_> {
    #[inline]
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Http1(head) => head.status,
            Self::Http2(head) => head.status(),
        }
    }

    #[inline]
    pub(crate) fn fields(&self) -> &Fields {
        match self {
            Self::Http1(head) => &head.fields,
            Self::Http2(head) => head.fields(),
        }
    }

    /// Each field but pseudo-fields, in order.
    fn regular(&self, mut each: impl FnMut(&[u8], &[u8])) {
        match self {
            Self::Http1(head) => head.fields.iter().for_each(|(name, value)| each(name, value)),
            Self::Http2(head) => head.regular().for_each(|(name, value)| each(name, value)),
        }
    }

    /// As people read it, a line each.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy;
        match self {
            Self::Http1(head) => {
                let line = format!("{} {} {}", text(head.version.bytes()), head.status, text(&head.reason));
                format!("{}\n{}", line.trim_end(), lines(head.fields.iter()))
            }
            Self::Http2(head) => {
                let status = http::StatusCode::from_u16(head.status());
                let status = status.map_or_else(|_| head.status().to_string(), |status| status.to_string());
                format!("HTTP/2 {status}\n{}", lines(head.regular()))
            }
        }
    }
}

/// Fields as people read them, a line each.
pub(super) fn lines<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> String {
    let text = String::from_utf8_lossy;
    fields.map(|(name, value)| format!("{}: {}\n", text(name), text(value))).collect()
}
