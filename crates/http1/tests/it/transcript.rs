//! Reads bytes in pieces as a caller would, and writes down what came of it.

use http1::{
    Event, Limits, request,
    response::{self, Kind},
};

/// What came of some bytes: an entry per head, body and end. Parts of a body are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) entries: Vec<String>,
    body: Option<Vec<u8>>,
}

impl Transcript {
    fn add(&mut self, event: Event<'_>, head: impl Fn() -> String, trailers: &wire::Fields) {
        match event {
            Event::Data(part) => {
                assert!(!part.is_empty(), "data is never empty");
                self.body.get_or_insert_default().extend_from_slice(part);
            }
            Event::Head { end } => self.entries.push(format!("{}{}", head(), if end { " end" } else { "" })),
            Event::Informational => self.entries.push(format!("interim {}", head())),
            Event::End => {
                let body = self.body.take().unwrap_or_default();
                self.entries.push(format!("body {:?}", String::from_utf8_lossy(&body)));
                if !trailers.is_empty() {
                    self.entries.push(format!("trailers {trailers:?}"));
                }
            }
        }
    }

    /// The last entry, with the body as far as it came.
    fn close(mut self, entry: String) -> Self {
        if let Some(body) = self.body.take() {
            self.entries.push(format!("part {:?}", String::from_utf8_lossy(&body)));
        }
        self.entries.push(entry);
        self
    }
}

fn request_head(head: &request::RequestHead) -> String {
    let mut text = format!(
        "{} {} {:?} {:?} {:?}",
        String::from_utf8_lossy(&head.method),
        String::from_utf8_lossy(&head.target),
        head.version,
        head.fields,
        head.framing
    );
    for (name, is_set) in
        [("close", !head.keep_alive), ("continue", head.expect_continue), ("upgrade", head.upgrade)]
    {
        if is_set {
            text = format!("{text} {name}");
        }
    }
    text
}

fn response_head(head: &response::ResponseHead) -> String {
    let reason = String::from_utf8_lossy(&head.reason);
    let close = if head.keep_alive { "" } else { " close" };
    format!("{} {reason:?} {:?} {:?} {:?}{close}", head.status, head.version, head.fields, head.framing)
}

/// Offers `pieces` one after the other, each with what was left of those before; `read` says whether it got on.
fn offer<'w>(
    wire: &'w [u8],
    pieces: impl Iterator<Item = usize>,
    mut read: impl FnMut(&mut &'w [u8]) -> bool,
) -> usize {
    let (mut from, mut to) = (0, 0);
    for piece in pieces {
        to = (to + piece).min(wire.len());
        let mut input = &wire[from..to];
        while read(&mut input) {}
        from = to - input.len();
        if to == wire.len() {
            break;
        }
    }
    wire.len() - from
}

/// Reads requests. The last entry is the rejection, or how many bytes wait for more and whether the reader is idle.
pub(crate) fn requests(wire: &[u8], limits: Limits, pieces: impl Iterator<Item = usize>) -> Transcript {
    let (mut reader, mut head) = (request::RequestReader::new(limits), request::RequestHead::default());
    let (mut transcript, mut rejection) = (Transcript::default(), None);
    let left = offer(wire, pieces, |input| match reader.read(input, &mut head) {
        _ if rejection.is_some() => false,
        Ok(Some(event)) => {
            transcript.add(event, || request_head(&head), reader.trailers());
            assert_eq!(reader.is_idle(), matches!(event, Event::Head { end: true } | Event::End));
            assert_ne!(reader.is_idle(), reader.in_body());
            true
        }
        Ok(None) => {
            let is_data = reader.in_body() && matches!(head.framing, request::RequestFraming::Length(_));
            assert!(!is_data || input.is_empty(), "data is never left over");
            false
        }
        Err(why) => {
            rejection = Some(why);
            false
        }
    });
    match rejection {
        Some(why) => transcript.close(why.to_string()),
        None if left == 0 && reader.is_idle() => transcript,
        None => transcript.close(format!("{left} left, idle: {}", reader.is_idle())),
    }
}

/// Reads responses to requests of these kinds, and of the usual one when there are no more; then a close. The
/// last entry is what is broken, or what the close came to.
pub(crate) fn responses(
    wire: &[u8],
    kinds: &[Kind],
    limits: Limits,
    pieces: impl Iterator<Item = usize>,
) -> Transcript {
    let (mut reader, mut head) = (response::ResponseReader::new(limits), response::ResponseHead::default());
    let (mut transcript, mut broken) = (Transcript::default(), None);
    let mut kinds = kinds.iter().copied();
    reader.expect(kinds.next().unwrap_or_default());
    let left = offer(wire, pieces, |input| match reader.read(input, &mut head) {
        _ if broken.is_some() => false,
        Ok(Some(event)) => {
            transcript.add(event, || response_head(&head), reader.trailers());
            let has_ended = matches!(event, Event::Head { end: true } | Event::End);
            assert_eq!(reader.has_begun(), !has_ended);
            if has_ended {
                reader.expect(kinds.next().unwrap_or_default());
            }
            true
        }
        Ok(None) => false,
        Err(why) => {
            broken = Some(why);
            false
        }
    });
    match broken.map_or_else(|| reader.close(), Err) {
        Err(why) => transcript.close(why.to_string()),
        Ok(false) if left == 0 => transcript,
        Ok(ended) => transcript.close(format!("closed, a body's end: {ended}, {left} left")),
    }
}

/// The same whatever the pieces: whole, in equal pieces of every size, in two at every place.
pub(crate) fn same(len: usize, read: impl Fn(&mut dyn Iterator<Item = usize>) -> Transcript) -> Vec<String> {
    let whole = read(&mut [len].into_iter());
    for step in 1..len {
        assert_eq!(read(&mut std::iter::repeat(step)), whole, "in pieces of {step}");
        assert_eq!(read(&mut [step, len].into_iter()), whole, "cut at {step}");
    }
    whole.entries
}
