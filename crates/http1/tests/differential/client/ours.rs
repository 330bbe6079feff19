//! Our client.

use http1::{Event, Limits, response};

use super::{Exchange, put_then};
use crate::verdict::{Outcome, Parts, Verdict, parts, put, text, version};

fn parts_of(head: &response::ResponseHead) -> Parts {
    let mut message = parts([("status", head.status.to_string()), ("version", version(head.version))]);
    put(&mut message, "field", head.fields.iter());
    message
}

/// Our client sends a request when the response to the one before was read; bytes that are left are unasked.
pub(crate) fn ours(exchanges: &[Exchange]) -> Verdict {
    let (mut reader, mut head) =
        (response::ResponseReader::new(Limits::default()), response::ResponseHead::default());
    let mut verdict = Verdict::default();
    for (kind, bytes) in exchanges {
        reader.expect(*kind);
        let (mut input, mut body) = (&bytes[..], Vec::new());
        loop {
            match reader.read(&mut input, &mut head) {
                Err(_) => return Verdict { outcome: Outcome::Refused, ..verdict },
                Ok(None) if reader.close() == Ok(true) => break,
                Ok(None) => return Verdict { outcome: Outcome::Cut, ..verdict },
                Ok(Some(Event::Data(part))) => body.extend_from_slice(part),
                Ok(Some(Event::Informational)) => verdict.messages.push(parts_of(&head)),
                Ok(Some(Event::Head { end: false })) => {}
                Ok(Some(Event::Head { end: true } | Event::End)) => break,
            }
        }
        let mut message = parts_of(&head);
        message.insert("body".to_owned(), text(&body));
        put(&mut message, "trailer", reader.trailers().iter());
        put_then(&mut message, head.keep_alive);
        verdict.messages.push(message);
        if !head.keep_alive {
            return verdict;
        }
        if !input.is_empty() {
            return Verdict { outcome: Outcome::Refused, ..verdict };
        }
    }
    verdict
}
