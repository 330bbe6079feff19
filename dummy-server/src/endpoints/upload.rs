//! `/upload`: reads a body of any length in constant memory and counts it.

use std::rc::Rc;

use http::StatusCode;

use super::echo::Echo;
use crate::{
    context::ServerContext,
    message::{
        Head, broken,
        reply::{Answer, Reply},
        upload::Upload,
    },
};

/// Answers when the whole body was read.
pub(super) fn handle(context: &Rc<ServerContext>, head: &Head<'_>, mut upload: Upload) -> Answer {
    let mut echo = Echo::of(context, head);
    Answer::Waiting(Box::pin(async move {
        match upload.discard().await {
            Ok(received) => {
                echo.ended(&mut upload);
                echo.body_size = received;
                echo.bytes_received = Some(received);
                Reply::json(StatusCode::OK, &echo)
            }
            Err((received, error)) => broken(received, &error),
        }
    }))
}
