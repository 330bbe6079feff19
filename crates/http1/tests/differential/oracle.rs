//! What both roles of the crate hyper are run with.

use std::{
    error::Error,
    io::ErrorKind,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::verdict::{Outcome, Parts, put_map, text};

/// There is no runtime: all that can get a future on is in this thread, so it is just polled again.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls more often than what hands itself on in pieces needs.
pub(crate) const POLLS: usize = 200;

pub(crate) fn settle<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    (0..POLLS).find_map(|_| poll(future.as_mut()))
}

/// Whether an error of hyper means missing bytes, or bytes that it refuses.
pub(crate) fn outcome(error: &hyper::Error) -> Outcome {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let is_cut = error.is_incomplete_message() || io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof);
    if is_cut { Outcome::Cut } else { Outcome::Refused }
}

/// Puts down the body and the trailers.
pub(crate) async fn collect(message: &mut Parts, body: Incoming) -> Result<(), hyper::Error> {
    let body = body.collect().await?;
    if let Some(trailers) = body.trailers() {
        put_map(message, "trailer", trailers);
    }
    message.insert("body".to_owned(), text(&body.to_bytes()));
    Ok(())
}
