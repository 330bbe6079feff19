//! The access log: a line on stdout for each request that has ended, or for one in N of them.
//!
//! It never makes a worker wait. Each has a bounded queue to the one thread that makes the lines and writes them; a
//! line for which there is no room is dropped, and its worker counts it.

use std::{
    cell::Cell,
    fmt::Display,
    future::poll_fn,
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroU64,
    rc::Rc,
    sync::mpsc as threads,
    task::Poll,
    time::Duration,
};

use contract::field;
use serde::{Serialize, Serializer, ser::SerializeMap};
use tokio::sync::mpsc;

use crate::{
    message::Head,
    protocol::Protocol,
    settings::{AccessLog, Format},
};

/// Lines of one worker that may wait to be written.
const QUEUE: usize = 4096;
/// Lines of one worker that are written together.
const BATCH: usize = 256;
/// Bytes of each text of a request that are kept.
const LONGEST_TEXT: usize = 1024;
/// How long the end of the server waits for a reader of stdout that is slow.
const LAST_LINES: Duration = Duration::from_secs(2);

impl AccessLog {
    /// The ways of lines from workers to the thread that writes them; none as yet.
    pub(crate) fn queues(self) -> Queues {
        Queues { log: self, receivers: Vec::new() }
    }
}

/// The ways of lines from workers, before they are written.
#[derive(Debug)]
pub(crate) struct Queues {
    log: AccessLog,
    receivers: Vec<mpsc::Receiver<Line>>,
}

impl Queues {
    /// Adds one, of a worker of the server of this name where there are several.
    pub(crate) fn add_worker(&mut self, instance: Option<&'static str>) -> Queue {
        let (lines, receiver) = mpsc::channel(QUEUE);
        self.receivers.push(receiver);
        Queue { one_in: self.log.one_in, instance, lines }
    }

    /// Starts the thread that writes what they bring.
    pub(crate) fn start(self) -> io::Result<Writer> {
        let (running, ended) = threads::sync_channel::<()>(1);
        runtime::worker::spawn("access-log", None, move || async move {
            if let Err(error) = write_all(self.receivers, self.log.format, io::stdout()).await {
                tracing::warn!(%error, "the access log has ended: can't write to stdout");
            }
            drop(running);
        })?;
        Ok(Writer { ended })
    }
}

/// The thread that writes. It ends when all workers have.
#[derive(Debug)]
pub(crate) struct Writer {
    ended: threads::Receiver<()>,
}

impl Writer {
    /// Waits until all is written, or until it is clear that nobody reads it.
    pub(crate) fn finish(&self) {
        let _ = self.ended.recv_timeout(LAST_LINES);
    }
}

/// The way to the writer, on its way to a worker. Clones are of the same.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    one_in: NonZeroU64,
    instance: Option<&'static str>,
    lines: mpsc::Sender<Line>,
}

/// One worker's part of the log.
#[derive(Debug)]
pub(crate) struct Log {
    queue: Queue,
    /// Requests so far.
    seen: Cell<u64>,
}

impl Log {
    pub(crate) fn new(queue: Queue) -> Rc<Self> {
        Rc::new(Self { queue, seen: Cell::new(0) })
    }

    /// Begins the line of a request, if it is to have one. `trace` is its trace-id.
    pub(crate) fn begin(
        self: &Rc<Self>,
        head: &Head<'_>,
        trace: Option<&[u8]>,
        received_ns: u64,
    ) -> Option<Box<Open>> {
        let seen = self.seen.replace(self.seen.get() + 1);
        if !seen.is_multiple_of(self.queue.one_in.get()) {
            return None;
        }
        let fields = head.fields;
        // What is not a request has neither.
        let texts = [
            Some(head.method).filter(|method| !method.is_empty()),
            Some(head.target).filter(|target| !target.is_empty()),
            fields.get("user-agent"),
            fields.get(field::REQUEST_ID),
            trace,
        ];
        let line = Line {
            received_ns,
            duration_ns: 0,
            protocol: head.protocol,
            peer: head.peer.address(),
            status: None,
            sent: 0,
            instance: self.queue.instance,
            texts: Texts::of(texts),
        };
        Some(Box::new(Open { log: Rc::clone(self), line, status: None }))
    }
}

/// The line of a request that has not ended.
#[derive(Debug)]
pub(crate) struct Open {
    log: Rc<Log>,
    line: Line,
    /// That of the reply, once there is one.
    pub(crate) status: Option<u16>,
}

impl Open {
    /// Hands it over. False: there is no room for it.
    #[must_use]
    pub(crate) fn end(self, duration_ns: u64, sent: u64) -> bool {
        let line = Line { duration_ns, sent, status: self.status, ..self.line };
        self.log.queue.lines.try_send(line).is_ok()
    }
}

/// What a line says, not yet as text.
#[derive(Debug)]
struct Line {
    /// Since the Unix epoch.
    received_ns: u64,
    duration_ns: u64,
    protocol: Protocol,
    peer: Option<SocketAddr>,
    /// None: the request was given up before it was replied to.
    status: Option<u16>,
    sent: u64,
    /// Of several servers, the one that answered.
    instance: Option<&'static str>,
    texts: Texts,
}

/// Texts of a request, in one allocation.
#[derive(Debug)]
struct Texts {
    bytes: Box<[u8]>,
    /// How long each is, if there is one.
    lengths: [Option<u16>; 5],
}

const METHOD: usize = 0;
const TARGET: usize = 1;
const USER_AGENT: usize = 2;
const REQUEST_ID: usize = 3;
const TRACE_ID: usize = 4;

impl Texts {
    fn of(texts: [Option<&[u8]>; 5]) -> Self {
        let texts = texts.map(|text| text.map(|text| &text[..text.len().min(LONGEST_TEXT)]));
        // A length is at most LONGEST_TEXT.
        let lengths = texts.map(|text| text.map(|text| text.len() as u16));
        Self { bytes: texts.map(Option::unwrap_or_default).concat().into(), lengths }
    }

    fn get(&self, which: usize) -> Option<&[u8]> {
        let length = |length: &Option<u16>| usize::from(length.unwrap_or(0));
        let start: usize = self.lengths[..which].iter().map(length).sum();
        self.lengths[which].map(|length| &self.bytes[start..start + usize::from(length)])
    }
}

/// As JSON: what does not apply is left out.
impl Serialize for Line {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text = |which| self.texts.get(which).map(String::from_utf8_lossy);
        let mut line = to.serialize_map(None)?;
        line.serialize_entry("time", &self.time())?;
        known(&mut line, "peer", self.peer)?;
        known(&mut line, "method", text(METHOD))?;
        known(&mut line, "target", text(TARGET))?;
        line.serialize_entry("protocol", self.protocol.name())?;
        known(&mut line, "status", self.status)?;
        line.serialize_entry("bytes", &self.sent)?;
        line.serialize_entry("duration_ms", &self.duration_ms())?;
        known(&mut line, "user_agent", text(USER_AGENT))?;
        known(&mut line, "request_id", text(REQUEST_ID))?;
        known(&mut line, "trace_id", text(TRACE_ID))?;
        known(&mut line, "instance", self.instance)?;
        line.end()
    }
}

fn known<M: SerializeMap>(line: &mut M, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| line.serialize_entry(name, &value))
}

impl Line {
    fn write(&self, format: Format, out: &mut Vec<u8>) {
        // Writing to a Vec fails only for maps with keys that are not strings.
        let _ = match format {
            Format::Json => serde_json::to_writer(&mut *out, self).map_err(io::Error::from),
            Format::Text => self.write_text(out),
        };
        out.push(b'\n');
    }

    fn write_text(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let text = |which| self.texts.get(which).unwrap_or(b"-").escape_ascii();
        write!(out, "{} {}", self.time(), or_dash(self.peer))?;
        write!(out, " \"{} {} {}\"", text(METHOD), text(TARGET), self.protocol.name())?;
        write!(out, " {} {} {:.3}ms", or_dash(self.status), self.sent, self.duration_ms())?;
        write!(out, " \"{}\" \"{}\" {}", text(USER_AGENT), text(REQUEST_ID), text(TRACE_ID))?;
        self.instance.map_or(Ok(()), |instance| write!(out, " {instance}"))
    }

    /// When the request was received (RFC 3339).
    fn time(&self) -> String {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.received_ns)).unwrap_or_default();
        format!("{time:.6}")
    }

    /// To the microsecond.
    fn duration_ms(&self) -> f64 {
        (self.duration_ns / 1000) as f64 / 1000.0
    }
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Writes what comes until nothing can come any more.
async fn write_all(
    mut queues: Vec<mpsc::Receiver<Line>>,
    format: Format,
    mut out: impl Write,
) -> io::Result<()> {
    let (mut lines, mut text) = (Vec::with_capacity(BATCH), Vec::new());
    loop {
        poll_fn(|cx| {
            // A queue that says so is closed and empty.
            queues.retain_mut(|queue| queue.poll_recv_many(cx, &mut lines, BATCH) != Poll::Ready(0));
            if lines.is_empty() && !queues.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines.drain(..) {
            line.write(format, &mut text);
        }
        out.write_all(&text)?;
        out.flush()?;
        text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &[u8], user_agent: Option<&[u8]>) -> Line {
        Line {
            received_ns: 1_790_000_000_123_456_789,
            duration_ns: 1_234_567,
            protocol: Protocol::Http11,
            peer: Some(([127, 0, 0, 1], 4321).into()),
            status: Some(200),
            sent: 1024,
            instance: None,
            texts: Texts::of([Some(b"GET"), Some(target), user_agent, None, None]),
        }
    }

    fn written(line: &Line, format: Format) -> String {
        let mut out = Vec::new();
        line.write(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_words_and_quotes() {
        let expected = "2026-09-21T14:13:20.123456Z 127.0.0.1:4321 \"GET /bin/1K HTTP/1.1\" 200 1024 1.234ms \
                        \"curl/8\" \"-\" -\n";
        assert_eq!(written(&line(b"/bin/1K", Some(b"curl/8")), Format::Text), expected);
    }

    #[test]
    fn json_leaves_out_what_is_not_there() {
        let expected = "{\"time\":\"2026-09-21T14:13:20.123456Z\",\"peer\":\"127.0.0.1:4321\",\"method\":\"GET\",\
                        \"target\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":1024,\
                        \"duration_ms\":1.234}\n";
        assert_eq!(written(&line(b"/", None), Format::Json), expected);
        let unanswered = Line { status: None, peer: None, ..line(b"/", None) };
        assert!(!written(&unanswered, Format::Json).contains("status"));
        let of_one = Line { instance: Some("b"), ..line(b"/", None) };
        assert!(written(&of_one, Format::Json).contains("\"instance\":\"b\""));
        assert!(written(&of_one, Format::Text).ends_with(" \"-\" - b\n"));
        assert!(written(&unanswered, Format::Text).contains(" - \"GET / HTTP/1.1\" - 1024 "));
    }

    #[test]
    fn odd_bytes_make_no_odd_lines() {
        let odd = line(b"/a\"b\\c\xff\n", Some(b"x\x1b\x00\" 200"));
        let text = written(&odd, Format::Text);
        assert!(text.contains(r#""GET /a\"b\\c\xff\n HTTP/1.1" 200"#), "{text}");
        assert!(text.contains(r#""x\x1b\x00\" 200""#), "{text}");
        assert_eq!(text.lines().count(), 1);
        let json = written(&odd, Format::Json);
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["target"], "/a\"b\\c\u{fffd}\n");
        assert_eq!(json["user_agent"], "x\u{1b}\0\" 200");
    }

    #[test]
    fn long_texts_are_cut() {
        let long = [b'a'; 3 * LONGEST_TEXT];
        let json: serde_json::Value =
            serde_json::from_str(&written(&line(&long, Some(b"curl")), Format::Json)).unwrap();
        assert_eq!(json["target"].as_str().map(str::len), Some(LONGEST_TEXT));
        assert_eq!(json["user_agent"], "curl");
    }

    #[test]
    fn lines_are_written_while_there_is_room_and_refused_without() {
        let (sender, receiver) = mpsc::channel(2);
        let (other, empty) = mpsc::channel(2);
        let log = Log::new(Queue { one_in: NonZeroU64::MIN, instance: None, lines: sender });
        let open = |target: &[u8]| Open { log: Rc::clone(&log), line: line(target, None), status: Some(204) };
        assert!(open(b"/1").end(1000, 2));
        assert!(open(b"/2").end(1000, 2));
        assert!(!open(b"/3").end(1000, 2));
        drop((log, other));
        let mut out = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(write_all(vec![receiver, empty], Format::Text, &mut out)).unwrap();
        let out = String::from_utf8(out).unwrap();
        let targets: Vec<_> = out.lines().filter_map(|line| line.split(' ').nth(3)).collect();
        assert_eq!(targets, ["/1", "/2"]);
        assert!(out.lines().all(|line| line.contains(" 204 2 0.001ms ")), "{out}");
    }
}
