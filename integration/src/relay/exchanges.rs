//! Requests and replies of HTTP/1.1: raw bytes that are passed on, and state machines that know where in them one is.

use std::{
    borrow::Cow,
    io::{self, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use http1::{Event, Limits, request, response};

use super::{Habit, LOOK_EVERY, Manner, heads, is_timeout, read_more, reset};
use crate::PATIENCE;

const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Relay\r\nContent-Length: 0\r\n\r\n";

const BAD_REQUEST_AND_ON: &[u8] = b"HTTP/1.1 400 Relay\r\nContent-Length: 0\r\n\r\n";

const PROCESSING: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Relay\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The client's end, with what was read and is not used.
struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

/// How a reply has ended.
enum End {
    /// Another request may follow.
    Whole,
    /// The server has closed before there was any, or has replied with a 503 that is not passed on.
    Unanswered,
    /// Nothing may follow.
    Cut,
    /// Another protocol has begun, of which this has arrived.
    Switched(Vec<u8>),
}

/// What the two threads of an exchange share.
#[derive(Default)]
struct Shared {
    /// The request, as far as it was passed on.
    sent: Mutex<Vec<u8>>,
    is_sent: AtomicBool,
    is_replied: AtomicBool,
}

impl Shared {
    fn sent(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.sent)
    }
}

pub(super) fn serve(stream: TcpStream, server: SocketAddr, manner: &Manner) -> io::Result<()> {
    let Manner { habit, counted, failed, told } = manner;
    let habit = *habit;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK_EVERY))?;
    let mut to_client = stream.try_clone()?;
    let mut client = Client { stream, input: Vec::new() };
    let (mut kept, mut last): (Option<TcpStream>, Vec<u8>) = (None, Vec::new());
    loop {
        let mut reader = request::RequestReader::new(Limits::default());
        let mut head = request::RequestHead::default();
        let (raw, has_body) = match client.head(&mut reader, &mut head, habit) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(_) if habit == Habit::KeepRefused => {
                client.input.clear();
                to_client.write_all(BAD_REQUEST_AND_ON)?;
                continue;
            }
            Err(_) => return refuse(&mut to_client),
        };
        let has = |wanted: &[u8], bytes: &[u8]| bytes.windows(wanted.len()).any(|bytes| bytes == wanted);
        let is_refused = match habit {
            Habit::RefuseExtensions => has(b";probe", &client.input),
            Habit::RefuseChunks => has(b"Transfer-Encoding: chunked", &raw),
            Habit::RefusePipelines => !has_body && !client.input.is_empty(),
            _ => false,
        };
        if is_refused {
            return refuse(&mut to_client);
        }
        let target = String::from_utf8_lossy(&head.target).into_owned();
        let is_last = target.contains("dummy-status=503");
        if target.contains("dummy-abort=hang") {
            send_once_more(server, &std::mem::take(&mut *lock(failed)))?;
        }
        if let Some(told) = told {
            // Nobody needs those after a thousand.
            let _ = told.try_send(target);
        }
        if is_last && habit == Habit::Die {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        if habit == Habit::Garble && (is_last || counted.load(Ordering::Relaxed) > 0) {
            counted.store(1, Ordering::Relaxed);
            return to_client.write_all(b"what is this?\r\n\r\n");
        }
        let shared = Arc::new(Shared::default());
        shared.sent().extend_from_slice(&heads::of_request(&raw, &head, habit));
        let mut has_more = has_body;
        if habit == Habit::SayProcessing && has_body {
            to_client.write_all(PROCESSING)?;
        }
        if matches!(habit, Habit::HoldUploads | Habit::SayProcessing) && has_body {
            let body = client.body(&mut reader)?;
            shared.sent().extend_from_slice(&body);
            has_more = false;
        }
        let upstream = match kept.take() {
            Some(upstream) => upstream,
            None => connect(server)?,
        };
        // What can't be written is found out by reading.
        let _ = (&upstream).write_all(&shared.sent());
        let watching = {
            let (shared, upstream) = (Arc::clone(&shared), upstream.try_clone()?);
            thread::spawn(move || client.send_and_watch(reader, &upstream, has_more, habit, &shared))
        };
        let mut end = reply(&upstream, &mut to_client, &head, (habit, counted), &mut last, true);
        if let Ok(End::Unanswered) = end
            && habit == Habit::Repeat
        {
            wait_for(&shared.is_sent);
            let again = connect(server)?;
            let _ = (&again).write_all(&shared.sent());
            end = reply(&again, &mut to_client, &head, (habit, counted), &mut last, false);
        }
        if let Ok(End::Unanswered) = end {
            if habit == Habit::RepeatLate && head.method == b"POST" && lock(failed).is_empty() {
                wait_for(&shared.is_sent);
                lock(failed).clone_from(&shared.sent());
            }
            end = to_client.write_all(BAD_GATEWAY).map(|()| End::Whole);
        }
        shared.is_replied.store(true, Ordering::Relaxed);
        if !matches!(end, Ok(End::Whole | End::Switched(_))) {
            let _ = to_client.shutdown(Shutdown::Both);
        }
        client = watching.join().map_err(|_| io::Error::other("a thread has panicked"))??;
        match end? {
            End::Whole if habit == Habit::ReuseEnded => kept = Some(upstream),
            End::Whole | End::Unanswered => {}
            End::Cut => return Ok(()),
            End::Switched(rest) => return tunnel(client, upstream, to_client, &rest),
        }
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for what the server makes of it.
fn send_once_more(server: SocketAddr, request: &[u8]) -> io::Result<()> {
    if !request.is_empty() {
        let mut again = connect(server)?;
        again.write_all(request)?;
        let _ = read_more(&mut again, &mut Vec::new());
    }
    Ok(())
}

fn refuse(to_client: &mut TcpStream) -> io::Result<()> {
    to_client.write_all(BAD_REQUEST)?;
    to_client.shutdown(Shutdown::Write)
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let upstream = TcpStream::connect(server)?;
    upstream.set_nodelay(true)?;
    upstream.set_read_timeout(Some(PATIENCE))?;
    Ok(upstream)
}

fn wait_for(flag: &AtomicBool) {
    let until = Instant::now() + PATIENCE;
    while !flag.load(Ordering::Relaxed) && Instant::now() < until {
        thread::park_timeout(LOOK_EVERY);
    }
}

impl Client {
    /// Reads more; an error when it has gone, or says nothing for too long.
    fn more(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match read_more(&mut self.stream, &mut self.input) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if is_timeout(&error) && Instant::now() < until => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The raw bytes of the next head, and whether a body follows.
    fn head(
        &mut self,
        reader: &mut request::RequestReader,
        head: &mut request::RequestHead,
        habit: Habit,
    ) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut may_mend = habit == Habit::Mend;
        loop {
            let mut rest = &self.input[..];
            let event = match reader.read(&mut rest, head) {
                Ok(event) => event,
                Err(_) if may_mend => {
                    may_mend = false;
                    self.input = heads::mended(&self.input);
                    *reader = request::RequestReader::new(Limits::default());
                    continue;
                }
                Err(error) => return Err(io::Error::other(format!("{error:?}"))),
            };
            let used = self.input.len() - rest.len();
            if let Some(Event::Head { end }) = event {
                return Ok(Some((self.input.drain(..used).collect(), !end)));
            }
            if self.more().is_err() {
                return Ok(None);
            }
        }
    }

    /// The raw bytes of a part of the body that have arrived, and whether it ends there.
    fn part(&mut self, reader: &mut request::RequestReader) -> io::Result<(Vec<u8>, bool)> {
        let (mut rest, mut is_end) = (&self.input[..], false);
        let mut head = request::RequestHead::default();
        while !is_end {
            let event =
                reader.read(&mut rest, &mut head).map_err(|error| io::Error::other(format!("{error:?}")))?;
            match event {
                Some(event) => is_end = event == Event::End,
                None => break,
            }
        }
        let used = self.input.len() - rest.len();
        Ok((self.input.drain(..used).collect(), is_end))
    }

    fn body(&mut self, reader: &mut request::RequestReader) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (mut part, is_end) = self.part(reader)?;
            body.append(&mut part);
            if is_end {
                return Ok(body);
            }
            self.more()?;
        }
    }

    /// Passes the body on, and then looks whether the client is still there until there is a reply.
    fn send_and_watch(
        mut self,
        mut reader: request::RequestReader,
        mut upstream: &TcpStream,
        has_more: bool,
        habit: Habit,
        shared: &Shared,
    ) -> io::Result<Self> {
        let mut is_end = !has_more;
        while !is_end {
            let (part, ends) = self.part(&mut reader)?;
            shared.sent().extend_from_slice(&part);
            // A server that has replied need not read on.
            let _ = upstream.write_all(&part);
            is_end = ends;
            if let Err(gone) = if is_end { Ok(()) } else { self.more() } {
                if habit != Habit::IgnoreAborts {
                    reset(upstream);
                }
                return Err(gone);
            }
        }
        shared.is_sent.store(true, Ordering::Relaxed);
        while !shared.is_replied.load(Ordering::Relaxed) {
            let has_gone = match self.stream.peek(&mut [0]) {
                Ok(0) if habit == Habit::EndHalfClosed => true,
                // More requests, or no more of them: the reply to this one is waited for.
                Ok(_) => {
                    thread::park_timeout(LOOK_EVERY);
                    false
                }
                Err(error) => !is_timeout(&error),
            };
            if has_gone && habit != Habit::IgnoreAborts {
                reset(upstream);
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if has_gone {
                wait_for(&shared.is_replied);
            }
        }
        Ok(self)
    }
}

/// Passes a reply on while it comes.
fn reply(
    mut upstream: &TcpStream,
    client: &mut TcpStream,
    request: &request::RequestHead,
    (habit, interims): (Habit, &AtomicUsize),
    last: &mut Vec<u8>,
    may_repeat: bool,
) -> io::Result<End> {
    let mut reader = response::ResponseReader::new(Limits::default());
    if request.upgrade {
        reader.expect(response::Kind::Upgrade);
    }
    if request.method == b"HEAD" {
        reader.expect(response::Kind::Head);
    }
    let (mut head, mut input, mut all) = (response::ResponseHead::default(), Vec::new(), Vec::new());
    let crossed = (habit == Habit::Cross && request.target == b"/after/1").then(|| last.clone());
    let is_held = crossed.is_some() || matches!(habit, Habit::HoldReplies | Habit::MergeTrailers);
    let (mut body, mut has_head) = (Vec::new(), false);
    loop {
        let mut rest = &input[..];
        loop {
            let before = rest;
            let event =
                reader.read(&mut rest, &mut head).map_err(|broken| io::Error::other(broken.to_string()))?;
            let raw = &before[..before.len() - rest.len()];
            let is_switched = matches!(event, Some(Event::Head { .. })) && head.status == 101;
            let is_end = matches!(event, Some(Event::End | Event::Head { end: true })) && !is_switched;
            let raw = match event {
                Some(Event::Head { .. }) if !is_switched => {
                    Cow::Owned(heads::of_reply(raw, &request.method, head.status, habit))
                }
                _ => Cow::Borrowed(raw),
            };
            match event {
                Some(Event::Informational) if habit == Habit::DropInterims => continue,
                Some(Event::Informational)
                    if habit == Habit::DropInterimsInTurn
                        && interims.fetch_add(1, Ordering::Relaxed) % 2 == 1 =>
                {
                    continue;
                }
                Some(Event::Head { .. }) => {
                    has_head = true;
                    if head.status == 503 && habit == Habit::Repeat && may_repeat {
                        return Ok(End::Unanswered);
                    }
                }
                Some(Event::Data(data)) if habit == Habit::MergeTrailers => body.extend_from_slice(data),
                _ => {}
            }
            all.extend_from_slice(&raw);
            if !is_held && client.write_all(&raw).is_err() && habit != Habit::IgnoreAborts {
                reset(upstream);
                return Ok(End::Cut);
            }
            if is_switched {
                return Ok(End::Switched(rest.to_vec()));
            }
            if is_end {
                let held = match crossed {
                    Some(crossed) => crossed,
                    None if habit == Habit::MergeTrailers => merged(&head, reader.trailers(), &body),
                    None => all.clone(),
                };
                if is_held {
                    client.write_all(&held)?;
                }
                *last = all;
                return Ok(End::Whole);
            }
            if event.is_none() {
                break;
            }
        }
        let used = input.len() - rest.len();
        input.drain(..used);
        if !read_more(&mut upstream, &mut input).unwrap_or(false) {
            let is_chunked = head.framing == response::ResponseFraming::Chunked;
            return match reader.close() {
                _ if !has_head => Ok(End::Unanswered),
                Err(_) if is_chunked && habit == Habit::EndCutReplies => {
                    // The last one that has begun is left open, if there is one: the server sends it in one piece.
                    client.write_all(b"0\r\n\r\n").map(|()| End::Whole)
                }
                _ => Ok(End::Cut),
            };
        }
    }
}

/// A reply whose trailers are fields.
fn merged(head: &response::ResponseHead, trailers: &wire::Fields, body: &[u8]) -> Vec<u8> {
    let mut out =
        format!("HTTP/1.1 {} Merged\r\nContent-Length: {}\r\n", head.status, body.len()).into_bytes();
    for (name, value) in head.fields.iter().chain(trailers.iter()) {
        let is_framing = [&b"content-length"[..], b"transfer-encoding", b"trailer"];
        if !is_framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
            out.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        }
    }
    [out.as_slice(), b"\r\n", body].concat()
}

/// What follows a change of the protocol.
fn tunnel(client: Client, mut upstream: TcpStream, mut to_client: TcpStream, rest: &[u8]) -> io::Result<()> {
    to_client.write_all(rest)?;
    upstream.write_all(&client.input)?;
    client.stream.set_read_timeout(Some(PATIENCE))?;
    let (mut from, mut to) = (client.stream, upstream.try_clone()?);
    let uploading = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        reset(&to);
    });
    let _ = io::copy(&mut upstream, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    drop(uploading.join());
    Ok(())
}
