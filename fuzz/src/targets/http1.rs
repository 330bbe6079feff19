//! HTTP/1: a message in one piece and in others must mean the same.

use http1::{Event, Limits, Version, request, response};

use crate::feedback::met;

/// Words that messages are made of.
pub const WORDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, upgrade\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: x\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5;a=\"b\"\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.0",
    b"\r\n ",
];

/// Everything that a reader says, with content in a row put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    steps: Vec<String>,
    in_content: bool,
}

impl Trace {
    fn add(&mut self, event: &Event<'_>, head: impl FnOnce() -> String) {
        let step = match event {
            Event::Head { end } => format!("head {end} {}", head()),
            Event::Informational => format!("informational {}", head()),
            Event::End => format!("end {}", head()),
            Event::Data(data) => {
                assert!(!data.is_empty(), "a part of a body is not empty");
                let text: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                if self.in_content
                    && let Some(last) = self.steps.last_mut()
                {
                    return last.push_str(&text);
                }
                format!("data {text}")
            }
        };
        self.in_content = matches!(event, Event::Data(_));
        let kind = step.split(' ').next().map(str::to_owned);
        met((kind, self.steps.last().and_then(|last| last.split(' ').next())));
        self.steps.push(step);
    }

    fn fail(&mut self, why: String) {
        met(&why);
        self.in_content = false;
        self.steps.push(why);
    }
}

/// Limits that inputs of a few bytes can meet, or those of the default.
fn limits(small: bool) -> Limits {
    if small {
        Limits { head: 120, fields: 4, trailers: 60, chunk_line: 20, extensions: 40 }
    } else {
        Limits::default()
    }
}

/// Offers an input in pieces to `read`, which reads once; false ends it.
fn offer(input: &[u8], piece: usize, mut read: impl FnMut(&mut &[u8]) -> Option<bool>) {
    let mut waiting = Vec::new();
    for part in input.chunks(piece) {
        waiting.extend_from_slice(part);
        let mut rest = &waiting[..];
        loop {
            let before = rest.len();
            match read(&mut rest) {
                None => return,
                // Lines that do not complete an event may be consumed immediately.
                Some(false) if rest.len() == before => break,
                Some(_) => assert!(rest.len() <= before),
            }
        }
        let left = rest.to_vec();
        waiting = left;
    }
}

fn requests(input: &[u8], piece: usize, small: bool) -> Trace {
    let mut reader = request::RequestReader::new(limits(small));
    let mut head = request::RequestHead::default();
    let mut trace = Trace::default();
    let mut empty_events = 0;
    offer(input, piece, |rest| {
        let before = rest.len();
        match reader.read(rest, &mut head) {
            Ok(Some(event)) => {
                empty_events = if rest.len() == before { empty_events + 1 } else { 0 };
                assert!(empty_events < 2, "reading goes on");
                trace.add(&event, || format!("{head:?} {:?}", reader.trailers()));
                if let Event::Head { end } = event {
                    assert_eq!(end, reader.is_idle());
                    met((
                        head.version == Version::Http10,
                        head.keep_alive,
                        head.expect_continue,
                        head.upgrade,
                    ));
                    met((std::mem::discriminant(&head.framing), head.fields.len().min(5)));
                }
                Some(true)
            }
            Ok(None) => Some(false),
            Err(rejection) => {
                assert!((400..600).contains(&rejection.status));
                trace.fail(format!("{rejection:?}"));
                None
            }
        }
    });
    trace
}

/// The server's role. The first byte chooses the limits and the size of pieces.
pub fn request(input: &[u8]) {
    let Some((&config, rest)) = input.split_first() else { return };
    let small = config & 0x80 != 0;
    let whole = requests(rest, rest.len().max(1), small);
    for piece in [1, usize::from(config & 0x7f) + 1] {
        assert_eq!(requests(rest, piece, small), whole, "in pieces of {piece}");
    }
}

fn responses(input: &[u8], piece: usize, small: bool, kinds: u8) -> Trace {
    const KINDS: [response::Kind; 4] =
        [response::Kind::Usual, response::Kind::Head, response::Kind::Connect, response::Kind::Upgrade];
    let mut reader = response::ResponseReader::new(limits(small));
    let mut head = response::ResponseHead::default();
    let mut trace = Trace::default();
    let mut kinds = (0..4).map(|at| KINDS[usize::from(kinds >> (2 * at) & 3)]).cycle();
    let mut next = || kinds.next().unwrap_or_default();
    reader.expect(next());
    let mut empty_events = 0;
    let mut broken = false;
    offer(input, piece, |rest| {
        let before = rest.len();
        match reader.read(rest, &mut head) {
            Ok(Some(event)) => {
                empty_events = if rest.len() == before { empty_events + 1 } else { 0 };
                assert!(empty_events < 2, "reading goes on");
                trace.add(&event, || format!("{head:?} {:?}", reader.trailers()));
                if let Event::Head { .. } = event {
                    reader.expect(next());
                    met((std::mem::discriminant(&head.framing), head.keep_alive, head.status / 100));
                }
                Some(true)
            }
            Ok(None) => Some(false),
            Err(why) => {
                trace.fail(format!("{why:?}"));
                broken = true;
                None
            }
        }
    });
    if !broken {
        trace.fail(format!("closed: {:?}", reader.close()));
    }
    trace
}

/// The client's role. The first byte chooses the limits and the size of pieces, the second the kind of request.
pub fn response(input: &[u8]) {
    let [config, kinds, rest @ ..] = input else { return };
    let small = config & 0x80 != 0;
    let whole = responses(rest, rest.len().max(1), small, *kinds);
    for piece in [1, usize::from(config & 0x7f) + 1] {
        assert_eq!(responses(rest, piece, small, *kinds), whole, "in pieces of {piece}");
    }
}
