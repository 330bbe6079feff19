//! One endpoint per file: a request and its parameters in, an [`Answer`] out.

mod bin;
mod chunked;
mod delay;
mod digest;
mod echo;
mod health;
mod help;
mod parts;
mod prelude;
mod series;
mod status;
mod upload;
pub(crate) mod websocket;

use std::rc::Rc;

pub(crate) use self::bin::range;
use crate::{
    connection::exchange::Head,
    reply::{Answer, Reply},
    router::Route,
    upload::Upload,
    worker::Worker,
};

/// Asks the endpoint of `route`.
pub(crate) fn answer(worker: &Rc<Worker>, route: Route, head: &Head<'_>, upload: Upload) -> Answer {
    match route {
        Route::Bin { size, chunked, digest } => {
            let reply = bin::reply(worker.pattern, head, size, chunked);
            if digest { after(upload, digest::trailing(reply)) } else { after(upload, reply) }
        }
        Route::Digest => digest::answer(upload),
        Route::Headers => after(upload, parts::headers(worker, head)),
        Route::Ip => after(upload, parts::ip(head)),
        Route::Sse(series) => after(upload, series::events(head, series)),
        Route::Ndjson(series) => after(upload, series::lines(head, series)),
        Route::Drip { size, duration, delay } => series::drip(worker.pattern, upload, size, duration, delay),
        Route::Chunked { total, size, delay } => {
            after(upload, chunked::reply(worker.pattern, total, size, delay))
        }
        Route::Health => after(upload, health::reply(worker.shutdown.phase())),
        Route::Help => after(upload, help::reply()),
        Route::Echo => echo::answer(worker, head, upload, echo::full),
        Route::NoUsage(how) => echo::answer(worker, head, upload, move |echo| echo::no_usage(echo, how)),
        Route::Status(code) => status::answer(worker, head, upload, code),
        Route::Upload => upload::answer(worker, head, upload),
        Route::Delay { reply, read } => delay::answer(worker, head, upload, reply, read),
        Route::WebSocket(options) => websocket::answer(worker, head, upload, options),
    }
}

/// Replies after the request's body, which the endpoint has no use for. An HTTP/1.1 connection could not be
/// used again otherwise.
#[inline]
pub(crate) fn after(mut upload: Upload, reply: Reply) -> Answer {
    if upload.is_end() {
        return Answer::Ready(reply);
    }
    Answer::Waiting(Box::pin(async move {
        match upload.discard().await {
            Ok(_) => reply,
            Err((received, error)) => upload::broken(received, &error),
        }
    }))
}
