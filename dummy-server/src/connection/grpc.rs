//! Connections of the gRPC port: tonic's services under hyper's HTTP/2, on the worker's own thread.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use contract::{field, timing::Timing};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::{body::Incoming, rt::Executor, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::TokioIo;
use tower_service::Service as _;
use transport::Gathered;

use super::{
    PREFACE,
    exchange::now_ns,
    state::{Flight, Order, State},
    wire::Wire,
};
use crate::{router::Endpoint, stats::Protocol, worker::Worker};

/// Cancelled calls that may wait to be looked at; a generator that cancels many is no attack.
const MAX_PENDING_RESETS: usize = 10_000;

/// Runs hyper's tasks on the worker's thread.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(wire: Wire, worker: &Rc<Worker>, state: &Rc<State>) {
    let drain = Gathered::new(wire);
    let service = {
        let (worker, state) = (Rc::clone(worker), Rc::clone(state));
        service_fn(move |request: Request<Incoming>| {
            let flight = Flight::begin(&state, true);
            let mut routes = worker.grpc.clone();
            let worker = Rc::clone(&worker);
            async move {
                let received_ns = now_ns();
                let mut response = routes.call(request).await?;
                sign(&worker, received_ns, response.headers_mut());
                worker.stats.reply(Endpoint::Grpc, Protocol::Http2, response.status());
                Ok::<_, Infallible>(response.map(|body| Tracked { body, _flight: flight }))
            }
        })
    };
    let mut connection = pin!(builder(worker).serve_connection(TokioIo::new(drain.clone()), service));
    let mut told = false;
    poll_fn(|cx| {
        state.register(cx);
        match state.order() {
            Order::Close => return Poll::Ready(()),
            Order::Drain if !state.has_read(1) && state.may_close() => return Poll::Ready(()),
            Order::Drain if !told && (state.is_busy() || state.may_close()) => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            _ => {}
        }
        let result = connection.as_mut().poll(cx);
        if state.has_read(PREFACE.len()) {
            state.head_done();
        }
        match drain.poll_drain(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) => result.map(drop),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

/// Adds what every reply carries.
fn sign(worker: &Worker, received_ns: u64, headers: &mut HeaderMap) {
    let mut text = Vec::with_capacity(64);
    Timing { received_ns, replied_ns: now_ns() }.write(&mut text);
    if let Ok(mut timing) = HeaderValue::from_bytes(&text) {
        // The h2 crate would put every one of these into the HPACK table and compare the next with all of them.
        // Its only way around is the never-indexed literal.
        timing.set_sensitive(true);
        headers.insert(HeaderName::from_static(field::SERVER_TIMING), timing);
    }
    headers.insert(HeaderName::from_static(field::INSTANCE), HeaderValue::from_static(worker.instance));
}

fn builder(worker: &Worker) -> Builder<Local> {
    let limits = &worker.config.limits;
    let mut builder = Builder::new(Local);
    builder
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(64 << 20)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS);
    builder
}

/// A response's body, and the flight that ends with it.
struct Tracked {
    body: tonic::body::Body,
    _flight: Flight,
}

impl http_body::Body for Tracked {
    type Data = bytes::Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
