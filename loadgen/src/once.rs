//! One exchange, printed whole.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

use crate::{
    clock::Nanos,
    control::Control,
    plan::Plan,
    report::text::{count, time},
    run::run_once,
    summary::Summary,
    worker::{Ended, Head, Outcome},
};

/// The longest body that is kept for printing, in bytes.
const MAX_BODY: usize = 16 << 20;

/// How many bytes of a binary body are shown.
const PREVIEW: usize = 64;

/// An exchange, kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    status: Option<u16>,
    head: String,
    body: Vec<u8>,
    body_length: u64,
    end: Option<End>,
}

#[derive(Clone, Debug)]
struct End {
    number: u64,
    wait: Option<Nanos>,
    service: Option<Nanos>,
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
enum Failure {
    /// The request or its connection failed.
    Cause(String),
    /// It took too long.
    Timeout,
    /// It was given up.
    Interrupted,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cause(text) => text,
            Self::Timeout => "timeout: no complete reply within --timeout",
            Self::Interrupted => "interrupted",
        })
    }
}

impl Capture {
    pub(crate) fn head(&mut self, head: &Head<'_>) {
        self.head.clear();
        match head {
            Head::Http1(head) => {
                let text = String::from_utf8_lossy;
                self.head = format!("{} {} {}", text(head.version.bytes()), head.status, text(&head.reason));
                self.status = Some(head.status);
                self.head.truncate(self.head.trim_end().len());
                self.head.push('\n');
                self.fields(head.fields.iter());
            }
            Head::Http2(head) => {
                self.status = Some(head.status());
                let status = http::StatusCode::from_u16(head.status());
                self.head = match status {
                    Ok(status) => format!("HTTP/2 {status}\n"),
                    Err(_) => format!("HTTP/2 {}\n", head.status()),
                };
                self.fields(head.regular());
            }
        }
    }

    fn fields<'a>(&mut self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
        let text = String::from_utf8_lossy;
        for (name, value) in fields {
            self.head += &format!("{}: {}\n", text(name), text(value));
        }
        self.head.push('\n');
    }

    pub(crate) fn body(&mut self, part: &[u8]) {
        self.body_length += part.len() as u64;
        let room = MAX_BODY - self.body.len();
        self.body.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// The status of the reply, if one has begun.
    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    /// What has failed, if something did before the time was up.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self.end.as_ref()?.failure.as_ref()? {
            Failure::Cause(text) => Some(text),
            Failure::Timeout | Failure::Interrupted => None,
        }
    }

    pub(crate) fn ended(&mut self, ended: &Ended<'_>) {
        let arrival = &ended.arrival;
        let failure = match &ended.outcome {
            Outcome::Replied { .. } => None,
            Outcome::Failed(failure) => {
                Some(Failure::Cause(format!("{}: {}", failure.cause, failure.message)))
            }
            Outcome::TimedOut => Some(Failure::Timeout),
            Outcome::Abandoned => Some(Failure::Interrupted),
        };
        self.end = Some(End {
            number: arrival.number,
            wait: arrival.written.map(|written| written.saturating_sub(arrival.picked)),
            service: arrival.written.map(|written| ended.at.saturating_sub(written)),
            failure,
        });
    }
}

/// What came of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// A reply came, and was no 5xx.
    Succeeded,
    /// A 5xx came.
    ServerError,
    /// No complete reply came.
    NoReply,
    /// The user cut it short.
    Interrupted,
}

/// Makes one exchange and prints it to `out`.
///
/// # Errors
/// It could not run, or `out` can't be written to.
pub fn once(plan: Plan, control: &Arc<Control>, out: &mut dyn Write) -> anyhow::Result<Exchanged> {
    let (protocol, request) = (plan.target.protocol, plan.request.clone());
    let (summary, capture) = run_once(plan, control)?;
    let number = capture.end.as_ref().map_or(0, |end| end.number);
    let id = summary.records.ids().of(number);
    write!(out, "{}", request.head_text(protocol, &id))?;
    write_body(&request.body, request.body.len() as u64, out)?;
    if !capture.head.is_empty() {
        write!(out, "{}", capture.head)?;
        write_body(&capture.body, capture.body_length, out)?;
    }
    let Some(end) = capture.end else {
        writeln!(out, "nothing was sent")?;
        return Ok(exchanged(&summary));
    };
    if let Some(failure) = end.failure {
        writeln!(out, "{failure}")?;
    }
    if let (Some(wait), Some(service)) = (end.wait, end.service) {
        writeln!(out, "wait {}, service {}", time(wait as f64), time(service as f64))?;
    }
    Ok(exchanged(&summary))
}

fn exchanged(summary: &Summary) -> Exchanged {
    let counts = &summary.records.counts;
    match summary.interrupted {
        true => Exchanged::Interrupted,
        false if counts.completed() == 0 => Exchanged::NoReply,
        false if counts.server_errors > 0 => Exchanged::ServerError,
        false => Exchanged::Succeeded,
    }
}

fn write_body(body: &[u8], length: u64, out: &mut dyn Write) -> io::Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|text| !text.chars().any(|c| c.is_control() && !c.is_whitespace()));
    match text {
        Some(text) if body.len() as u64 == length => writeln!(out, "{}\n", text.trim_end_matches('\n')),
        _ => {
            let start: String = body.iter().take(PREVIEW).map(|byte| format!("{byte:02x} ")).collect();
            writeln!(out, "[{} bytes, beginning with {}]\n", count(length), start.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(body: &[u8]) -> String {
        let mut out = Vec::new();
        write_body(body, body.len() as u64, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_printed_and_binary_summarised() {
        assert_eq!(printed(b"{\"a\":\n1}\n"), "{\"a\":\n1}\n\n");
        assert_eq!(printed(b""), "");
        assert_eq!(printed(&[0, 1, 255]), "[3 bytes, beginning with 00 01 ff]\n\n");
    }
}
