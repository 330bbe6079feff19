//! How the admin and profile ports are served: with a limit of connections, and a timeout for each request to arrive.
//!
//! These ports answer probes, so no client may keep others from being answered. A client that sends no whole request
//! for too long is closed, and earlier where its connection is needed for another client: because the limit is reached,
//! or because the process may open no more files.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, connect_info::Connected},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use runtime::mutex::lock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{Instant, Sleep, sleep, sleep_until},
};

use crate::accept::concerns_one_connection;

/// Maximum number of open connections of a port.
const MAX_CONNECTIONS: usize = 256;
/// How long a request may take to arrive, where `--header-timeout` does not say less.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Maximum size of a request's body: the longest one is a behaviour.
const MAX_BODY: usize = 64 << 10;
/// The pause after a connection that could not be accepted.
const BACK_OFF: Duration = Duration::from_millis(20);

/// Serves a port for as long as the runtime lives. A request that is to be refused has a `refusal`.
pub(super) fn serve(
    listener: std::net::TcpListener,
    routes: Router,
    header_timeout: Option<Duration>,
    refusal: impl Fn(&Request) -> Option<Response> + Clone + Send + Sync + 'static,
) {
    let refuse = middleware::from_fn(move |request: Request, next: Next| {
        let refused = refusal(&request);
        async move {
            match refused {
                Some(refused) => refused,
                None => next.run(request).await,
            }
        }
    });
    // What is refused is not read.
    let routes = routes.layer(middleware::from_fn(track)).layer(refuse);
    let timeout = header_timeout.map_or(LONGEST_WAIT, |timeout| timeout.min(LONGEST_WAIT));
    tokio::task::spawn_local(async move {
        let served = match TcpListener::from_std(listener) {
            Ok(socket) => {
                let listener = LimitedListener { socket, timeout, open: Vec::new() };
                axum::serve(listener, routes.into_make_service_with_connect_info::<TrackedConnection>()).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin or profile port is not served any more");
        }
    });
}

/// Reads a request's body, and marks its connection as busy while it is answered.
async fn track(
    ConnectInfo(connection): ConnectInfo<TrackedConnection>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let text = format!("invalid body: it is longer than {MAX_BODY} bytes, or breaks off\n");
        return (StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    let _busy = connection.begin_request();
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// What is known of a connection. Clones are the same connection.
#[derive(Clone, Debug)]
struct TrackedConnection(Arc<Mutex<Progress>>);

#[derive(Debug)]
struct Progress {
    /// Requests that are being answered.
    requests: usize,
    /// Since when the client keeps the server waiting, if there are no such requests.
    since: Instant,
    /// Until its place is needed.
    open: Option<oneshot::Sender<()>>,
}

impl TrackedConnection {
    /// What is received, without a value, when its place is needed is returned beside it.
    fn new() -> (Self, oneshot::Receiver<()>) {
        let (open, evicted) = oneshot::channel();
        let progress = Progress { requests: 0, since: Instant::now(), open: Some(open) };
        (Self(Arc::new(Mutex::new(progress))), evicted)
    }

    fn begin_request(&self) -> Busy {
        lock(&self.0).requests += 1;
        Busy(self.clone())
    }

    /// Closes it if no request of it is being answered.
    fn evict(&self) -> bool {
        let mut progress = lock(&self.0);
        progress.requests == 0 && progress.open.take().is_some()
    }
}

/// While it lives, its connection is answering a request.
struct Busy(TrackedConnection);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut progress = lock(&self.0.0);
        progress.requests -= 1;
        progress.since = Instant::now();
    }
}

impl Connected<IncomingStream<'_, LimitedListener>> for TrackedConnection {
    fn connect_info(stream: IncomingStream<'_, LimitedListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// A listener that makes room for new connections.
struct LimitedListener {
    socket: TcpListener,
    timeout: Duration,
    /// The open connections, in the order in which they came.
    open: Vec<TrackedConnection>,
}

impl LimitedListener {
    /// Closes the oldest connection that is not being answered; whether there was one.
    fn make_room(&mut self) -> bool {
        self.open.iter().any(TrackedConnection::evict)
    }

    /// `None` when all connections are being answered, of which there are as many as may be.
    fn admit(&mut self, socket: TcpStream) -> Option<LimitedStream> {
        // A connection that has ended, or is about to, is known here alone.
        self.open
            .retain(|connection| Arc::strong_count(&connection.0) > 1 && lock(&connection.0).open.is_some());
        if self.open.len() >= MAX_CONNECTIONS && !self.make_room() {
            return None;
        }
        let (connection, evicted) = TrackedConnection::new();
        self.open.push(connection.clone());
        let (timeout, timer) = (self.timeout, Box::pin(sleep(self.timeout)));
        Some(LimitedStream { socket, connection, evicted, is_over: false, timeout, timer })
    }
}

impl Listener for LimitedListener {
    type Io = LimitedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.socket.accept().await {
                Ok((socket, address)) => {
                    if let Some(stream) = self.admit(socket) {
                        return (stream, address);
                    }
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if !self.make_room() {
                        tracing::warn!(%error, "the admin or profile port can't accept, trying again");
                    }
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A socket that ends when its client keeps the server waiting for too long, or when its place is needed.
struct LimitedStream {
    socket: TcpStream,
    connection: TrackedConnection,
    evicted: oneshot::Receiver<()>,
    is_over: bool,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

impl LimitedStream {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_over = self.is_over || Pin::new(&mut self.evicted).poll(cx).is_ready() || self.is_late(cx);
        self.is_over
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let progress = lock(&self.connection.0);
        if progress.requests > 0 {
            return false;
        }
        let deadline = progress.since + self.timeout;
        drop(progress);
        if self.timer.deadline() != deadline {
            self.timer.set(sleep_until(deadline));
        }
        self.timer.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            // The end of the connection.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        if let Poll::Ready(Ok(1..)) = written {
            // A client that reads a long response does not keep the server waiting.
            lock(&self.connection.0).since = Instant::now();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
