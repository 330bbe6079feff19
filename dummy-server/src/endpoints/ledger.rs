//! `/ledger`: what this server has seen of a verified run.

use std::rc::Rc;

use http::StatusCode;

use crate::{
    context::ServerContext,
    message::{
        reply::{Answer, Reply},
        upload::Upload,
    },
};

/// Answers when all workers have said what they have seen.
pub(super) fn handle(context: &Rc<ServerContext>, upload: Upload, run: u32, load: u8) -> Answer {
    let context = Rc::clone(context);
    Answer::Waiting(Box::pin(async move {
        drop(upload);
        let mut reply = match context.aggregator.statement(run, load).await {
            // A list, as at the admin port.
            Ok(statement) => Reply::json(StatusCode::OK, &[statement]),
            Err(unanswered) => Reply::refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                &unanswered.to_string(),
                "the same question in a moment",
                "/ledger?run=0123abcd",
            ),
        };
        // What stands between must not answer in its place the next time.
        reply.fields.push("cache-control", b"no-store");
        reply
    }))
}
