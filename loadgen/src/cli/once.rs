//! One exchange, printed whole.

use std::io::{self, Write};

use contract::id;

use crate::{
    clock::nanos,
    numbers::{count, seconds, time},
    outcome::{Arrival, CallEnd, Exchange, Incomplete, encoding::Decoded},
    plan::{Call, Plan, Protocol, Request, call::PreparedCall, template::Values},
    run::Run,
    summary::Summary,
};

/// How many bytes of a binary body are shown.
const PREVIEW: usize = 64;

/// Makes the exchange of a run that is for one alone, and prints it to `out`; `decodes`: a compressed body as it was before. What came
/// of it is returned.
///
/// # Errors
/// It could not run, or `out` can't be written to.
pub(super) fn once(run: Run, decodes: bool, out: &mut dyn Write) -> anyhow::Result<Summary> {
    let running = run.start()?;
    let (texts, plan) = (running.texts(), running.plan().clone());
    let summary = running.join()?;
    let exchange = summary.records.exchange.as_ref();
    let redirects = &summary.records.redirects;
    let first = redirects.first().map(|(exchange, _)| exchange).or(exchange.map(|exchange| &**exchange));
    let arrival = first.map_or_else(|| Arrival::new(0, 0, 0), |exchange| exchange.arrival);
    let id = arrival.id(summary.records.ids());
    let request = plan.requests().get(arrival.request as usize);
    let call = request.and_then(Request::call).and_then(Call::prepared);
    if let Some(request) = request {
        let values = texts.values(&arrival, request.rows(), Some(&id));
        write!(out, "{}", head(&plan, arrival.request as usize, &values))?;
        if let Some(call) = call {
            writeln!(out, "{}\n", call.shown(&values).trim_end())?;
        } else {
            let body = body(&plan, request, &id, &values);
            write_body(&body, body.len() as u64, out)?;
            write_trailers(request, out)?;
        }
    }
    for (redirect, (head, body)) in redirects {
        write_content(redirect, None, decodes, out)?;
        write!(out, "{head}")?;
        write_body(body, body.len() as u64, out)?;
    }
    match exchange {
        Some(exchange) => write_reply(exchange, call, decodes, &summary, out)?,
        None => writeln!(out, "nothing was sent")?,
    }
    Ok(summary)
}

/// The head of the request of an index, or the handshake of a WebSocket.
pub(super) fn head(plan: &Plan, index: usize, values: &Values<'_>) -> String {
    let protocol = plan.site_of(index).target().protocol;
    let head = plan.requests()[index].head_text(protocol, values);
    match (plan.message(), protocol) {
        (None, _) => head,
        (Some(_), Protocol::Http1) => {
            format!("{}\nsec-websocket-key: <another one for each handshake>\n\n", head.trim_end())
        }
        (Some(_), Protocol::Http2) => {
            head.replacen("GET ", "CONNECT ", 1).replacen('\n', "\n:protocol: websocket\n", 1)
        }
    }
}

/// The body of a request, or the message that is sent on a WebSocket.
pub(super) fn body(plan: &Plan, request: &Request, id: &id::Text, values: &Values<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    match plan.message() {
        Some(message) => message.write(request, id, values, &mut body),
        None => request.write_body(values, &mut body),
    }
    body
}

fn write_reply(
    exchange: &Exchange,
    call: Option<&PreparedCall>,
    decodes: bool,
    summary: &Summary,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_content(exchange, call, decodes, out)?;
    if let Some(CallEnd::Error(error)) = &exchange.call {
        let (code, message) = &**error;
        writeln!(out, "{} ({}): {}", code.name(), *code as u8, message.escape_debug())?;
    }
    if let Some(failure) = &exchange.failure {
        writeln!(out, "{}", reason(failure, summary))?;
    }
    for (expected, seen) in summary.records.unmet.iter() {
        writeln!(out, "unmet: expected {expected}, found {}", seen.example)?;
    }
    if let Some((wait, service)) = exchange.times {
        writeln!(out, "wait {}, service {}", time(wait as f64), time(service as f64))?;
    }
    Ok(())
}

/// Heads, body and trailers.
fn write_content(
    exchange: &Exchange,
    call: Option<&PreparedCall>,
    decodes: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let capture = &exchange.capture;
    write!(out, "{}", capture.informational)?;
    if capture.left_out > 0 {
        writeln!(out, "[{} more informational responses]\n", count(capture.left_out))?;
    }
    write!(out, "{}", capture.head)?;
    match call.map(|call| call.shown_reply(&capture.body)) {
        Some(messages) if !messages.is_empty() => writeln!(out, "{}\n", messages.join("\n"))?,
        _ if decodes => write_decoded(exchange, out)?,
        _ => write_body(&capture.body, exchange.length, out)?,
    }
    if !capture.trailers.is_empty() {
        writeln!(out, "{}", capture.trailers)?;
    }
    Ok(())
}

/// The body as it was before it was compressed.
fn write_decoded(exchange: &Exchange, out: &mut dyn Write) -> io::Result<()> {
    let capture = &exchange.capture;
    match capture.decoded(exchange.length) {
        Ok(Some(Decoded { content, is_cut })) => {
            let length = content.len() as u64;
            // What is longer than that is not shown as if it were all.
            write_body(&content, length + u64::from(is_cut), out)
        }
        Ok(None) => write_body(&capture.body, exchange.length, out),
        Err(why) => {
            write_body(&capture.body, exchange.length, out)?;
            writeln!(out, "[the body can't be decoded: {why}]\n")
        }
    }
}

/// Why the reply is not complete, and the addresses that were tried.
fn reason(failure: &Incomplete, summary: &Summary) -> String {
    let what = match failure {
        Incomplete::Failed(text) => text.clone(),
        Incomplete::TimedOut => {
            format!("timeout: no complete reply within {} (--timeout)", seconds(nanos(summary.run.timeout)))
        }
        Incomplete::GivenUp if summary.interrupted => return "interrupted".to_owned(),
        Incomplete::GivenUp => match &summary.records.unopened {
            Some(why) => format!("not sent: {why}"),
            None => "no complete reply until the run ended".to_owned(),
        },
    };
    match summary.run.addresses.as_slice() {
        [] => what,
        addresses => format!("{what}, from {}", addresses.join(" and ")),
    }
}

/// What comes behind a request's body.
pub(super) fn write_trailers(request: &Request, out: &mut dyn Write) -> io::Result<()> {
    let trailers = &request.upload().trailers;
    for (name, value) in trailers.iter() {
        writeln!(out, "{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))?;
    }
    if trailers.is_empty() { Ok(()) } else { writeln!(out) }
}

pub(super) fn write_body(body: &[u8], length: u64, out: &mut dyn Write) -> io::Result<()> {
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
