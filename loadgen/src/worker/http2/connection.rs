//! One HTTP/2 connection: connecting, waiting for the peer's SETTINGS, open.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{
    SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use tokio::net::TcpStream;
use transport::Gathered;

use super::{
    super::{
        connect::Connecting,
        failure::{Cause, Failure},
    },
    Shared,
    stream::failure_of,
};
use crate::clock::Nanos;

/// What one stream may have on the way, in bytes: enough that no reply waits for its window on a link with any
/// likely delay, and little enough that a body which is read slowly fills no memory.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest frame that the peer may send, in bytes.
const MAX_FRAME: u32 = 1 << 20;

/// The longest list of fields that the peer may send, in bytes.
const MAX_FIELDS: u32 = 64 * 1024;

/// What a connection has come to.
#[derive(Debug)]
pub(super) enum Event {
    /// Nothing that matters outside.
    Waiting,
    /// The peer's SETTINGS have come: requests may be sent.
    Open,
    /// The peer allows more streams than before.
    Raised,
    /// It is over.
    Gone(Option<Failure>),
}

/// The connection takes no more requests.
#[derive(Debug)]
pub(super) struct Refused;

/// Why a request was not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The connection takes no more requests.
    Refused,
    /// No connection would take this one.
    Invalid(Failure),
}

pub(super) struct Connection {
    state: State,
    since: Nanos,
}

type Handshake = Pin<Box<dyn Future<Output = Result<Handshaken, h2::Error>>>>;
type Handshaken = (SendRequest<Bytes>, client::Connection<Gathered<TcpStream>, Bytes>);

enum State {
    Connecting(Connecting),
    Shaking(Handshake, Gathered<TcpStream>),
    Live {
        send: SendRequest<Bytes>,
        protocol: Box<client::Connection<Gathered<TcpStream>, Bytes>>,
        io: Gathered<TcpStream>,
        settled: bool,
        /// How many streams the peer allowed when last looked at.
        allowed: usize,
    },
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn connecting(connecting: Connecting, since: Nanos) -> Self {
        Self { state: State::Connecting(connecting), since }
    }

    pub(super) fn begun_before(&self, limit: Nanos) -> bool {
        self.since < limit
    }

    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> Event {
        loop {
            self.state = match &mut self.state {
                State::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                    Poll::Pending => return Event::Waiting,
                    Poll::Ready(Err(error)) => return Event::Gone(Some(Failure::from_io(&error))),
                    Poll::Ready(Ok(stream)) => {
                        let io = Gathered::new(stream);
                        State::Shaking(Box::pin(handshake(io.clone())), io)
                    }
                },
                State::Shaking(handshake, io) => match handshake.as_mut().poll(cx) {
                    Poll::Pending => return Event::Waiting,
                    Poll::Ready(Err(error)) => return Event::Gone(Some(failure_of(&error))),
                    Poll::Ready(Ok((send, protocol))) => State::Live {
                        send,
                        protocol: Box::new(protocol),
                        io: io.clone(),
                        settled: false,
                        allowed: 0,
                    },
                },
                State::Live { send, protocol, io, settled, allowed } => {
                    let event = live(cx, protocol, io);
                    let before = std::mem::replace(allowed, send.current_max_send_streams());
                    return match event {
                        Event::Waiting if *allowed <= before => Event::Waiting,
                        Event::Waiting if std::mem::replace(settled, true) => Event::Raised,
                        Event::Waiting => Event::Open,
                        over => over,
                    };
                }
            }
        }
    }

    /// Whether one stream more than `busy` may be opened.
    pub(super) fn has_room(&mut self, busy: usize) -> Result<bool, Refused> {
        let State::Live { send, .. } = &mut self.state else { return Ok(false) };
        if busy >= send.current_max_send_streams() {
            return Ok(false);
        }
        // Nobody is woken: room comes with the end of a stream, which is seen anyway.
        match send.poll_ready(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(_)) => Err(Refused),
            Poll::Pending => Ok(false),
        }
    }

    /// How many streams the peer allows.
    pub(super) fn allowed(&self) -> usize {
        match &self.state {
            State::Live { send, .. } => send.current_max_send_streams(),
            _ => 0,
        }
    }

    /// Opens a stream. The bytes leave when the connection is driven next.
    pub(super) fn send(
        &mut self,
        shared: &Shared,
        number: u64,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Unsent> {
        let State::Live { send, .. } = &mut self.state else { return Err(Unsent::Refused) };
        let mut request = shared.request.clone();
        if let Some(name) = &shared.id_field
            && let Ok(id) = http::HeaderValue::from_bytes(&shared.ids.of(number))
        {
            request.headers_mut().insert(name.clone(), id);
        }
        let bodiless = shared.body.is_empty();
        let (response, mut stream) = send.send_request(request, bodiless).map_err(|error| unsent(&error))?;
        if !bodiless {
            // The library holds it, without a copy, until the window takes it. Its failure is the reply's.
            let _ = stream.send_data(shared.body.clone(), true);
        }
        Ok((response, stream))
    }
}

/// Whether the connection has said no, or the library to the request itself. The h2 crate doesn't tell its errors of
/// use from others; they are those that have neither a code nor an error of the socket.
fn unsent(error: &h2::Error) -> Unsent {
    if error.reason().is_some() || error.is_io() {
        return Unsent::Refused;
    }
    Unsent::Invalid(Failure::new(Cause::Protocol, format!("HTTP/2 does not allow the request: {error}")))
}

async fn handshake(io: Gathered<TcpStream>) -> Result<Handshaken, h2::Error> {
    client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_FIELDS)
        .enable_push(false)
        // No stream before the peer's SETTINGS have come.
        .initial_max_send_streams(0)
        .handshake(io)
        .await
}

fn live(
    cx: &mut Context<'_>,
    protocol: &mut client::Connection<Gathered<TcpStream>, Bytes>,
    io: &Gathered<TcpStream>,
) -> Event {
    let polled = Pin::new(protocol).poll(cx);
    let drained = io.poll_drain(cx);
    match (polled, drained) {
        (Poll::Ready(Ok(())), _) => return Event::Gone(None),
        (Poll::Ready(Err(error)), _) => return Event::Gone(Some(failure_of(&error))),
        (Poll::Pending, Poll::Ready(Err(error))) => return Event::Gone(Some(Failure::from_io(&error))),
        (Poll::Pending, _) => {}
    }
    Event::Waiting
}
