//! What is known of a reply: fed with its heads, its body and its trailers, in whichever protocol they came.

use contract::{
    field::SERVER_TIMING,
    timing::{Timing, WorkerLoad},
};
use wire::Fields;

use super::{exchange::Capture, expectation::Check};

/// A reply, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// Of the final head; 0 until that has come.
    pub(crate) status: u16,
    /// The instance that named itself, as the recorder numbers it.
    pub(crate) instance: Option<u16>,
    /// What the server reports of itself, if that is looked at.
    pub(crate) reported: Option<Box<Reported>>,
    /// Bytes of the body.
    pub(crate) length: u64,
    /// Whether it is as expected, if anything is.
    pub(crate) check: Option<Box<Check>>,
    /// How the gRPC call ended, if it is the reply to one and has.
    pub(crate) call: Option<CallEnd>,
    /// Whether the server's instants are looked at.
    is_sampled: bool,
    /// All of it, if it is to be shown.
    pub(super) capture: Option<Box<Capture>>,
}

/// How a gRPC call ended: with a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// OK.
    Ok,
    /// Any other, with what was said about it.
    Error(Box<(grpc::Code, String)>),
}

impl CallEnd {
    /// Its code.
    pub(crate) fn code(&self) -> grpc::Code {
        match self {
            Self::Ok => grpc::Code::Ok,
            Self::Error(error) => error.0,
        }
    }
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
    #[inline]
    pub(super) fn new(captured: bool, is_sampled: bool) -> Self {
        Self { capture: captured.then(Box::default), is_sampled, ..Self::default() }
    }

    /// An informational head (1xx) has come.
    pub(crate) fn informational(&mut self, head: &Head<'_>) {
        if let Some(capture) = &mut self.capture {
            capture.informational(head);
        }
    }

    /// The final head has come; `number` numbers the instance that it names.
    #[inline]
    pub(crate) fn head(&mut self, head: &Head<'_>, number: impl FnOnce(&[u8]) -> u16) {
        self.status = head.status();
        self.instance = head.fields().get(contract::field::INSTANCE).map(number);
        if self.is_sampled {
            self.reported = Reported::of(head.fields()).map(Box::new);
        }
        if let Some(check) = &mut self.check {
            check.head(head.fields());
        }
        if let Some(capture) = &mut self.capture {
            capture.head(head);
        }
    }

    /// More of the body has come.
    #[inline]
    pub(crate) fn body(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        if let Some(check) = &mut self.check {
            check.body(part);
        }
        if let Some(capture) = &mut self.capture {
            capture.body(part);
        }
    }

    /// The trailers have come.
    #[inline]
    pub(crate) fn trailers<'f>(&mut self, fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone) {
        if let Some(reported) = &mut self.reported {
            let is_timing = |name: &[u8]| name.eq_ignore_ascii_case(SERVER_TIMING.as_bytes());
            let done = fields.clone().find_map(|(name, value)| {
                Timing::parse_done(std::str::from_utf8(value).ok().filter(|_| is_timing(name))?)
            });
            // The server's share ends with the last byte.
            reported.timing = done.unwrap_or(reported.timing);
        }
        if let Some(capture) = &mut self.capture {
            capture.trailers(fields);
        }
    }
}

/// The head of a reply, as its protocol has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    /// HTTP/1's.
    Http1(&'a http1::response::Head),
    /// HTTP/2's fields.
    Http2(&'a http2::Head),
}

impl Head<'_> {
    #[inline]
    fn status(&self) -> u16 {
        match self {
            Self::Http1(head) => head.status,
            Self::Http2(head) => head.status(),
        }
    }

    #[inline]
    fn fields(&self) -> &Fields {
        match self {
            Self::Http1(head) => &head.fields,
            Self::Http2(head) => head.fields(),
        }
    }

    /// As people read it, a line each.
    pub(super) fn text(&self) -> String {
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
