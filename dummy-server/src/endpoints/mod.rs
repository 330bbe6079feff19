//! Endpoints, a file for each and those that are close to it: a request and its parameters in, an [`Answer`] out.

mod bin;
mod delay;
mod digest;
mod echo;
mod health;
mod help;
mod ledger;
mod prelude;
mod series;
pub(crate) mod websocket;

use std::rc::Rc;

pub use self::bin::range;
use crate::{
    context::ServerContext,
    message::{Head, after, reply::Answer, upload::Upload},
    router::Route,
};

/// Hands the request to the handler of its route.
pub(crate) fn dispatch(context: &Rc<ServerContext>, route: Route, head: &Head<'_>, upload: Upload) -> Answer {
    match route {
        Route::Bin { size, chunked, digest } => {
            let reply = bin::reply(context.pattern, head, size, chunked);
            if digest { after(upload, digest::trailing(reply)) } else { after(upload, reply) }
        }
        Route::Digest => digest::handle(upload),
        Route::Headers => after(upload, echo::headers(context, head)),
        Route::Ip => after(upload, echo::ip(head)),
        Route::Sse(series) => after(upload, series::events(head, series)),
        Route::Ndjson(series) => after(upload, series::lines(head, series)),
        Route::Drip { size, duration, delay } => series::drip(context.pattern, upload, size, duration, delay),
        Route::Chunked { total, size, delay } => {
            after(upload, bin::chunked(context.pattern, total, size, delay))
        }
        Route::Health => after(upload, health::reply(&context.shutdown)),
        Route::Ledger { run, load } => ledger::handle(context, upload, run, load),
        Route::Help => after(upload, help::reply()),
        Route::Echo => echo::handle(context, head, upload, echo::full),
        Route::NoUsage(how) => echo::handle(context, head, upload, move |echo| echo::no_usage(echo, how)),
        Route::Status(code) => echo::handle(context, head, upload, move |echo| echo::with_status(echo, code)),
        Route::Upload => echo::count(context, head, upload),
        Route::Delay { reply, read } => delay::handle(context, head, upload, reply, read),
        Route::WebSocket(options) => websocket::handle(context, head, upload, options),
    }
}
