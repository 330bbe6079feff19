//! `/upload`: reads a body of any length in constant memory and counts it.

use std::rc::Rc;

use http::StatusCode;

use super::echo::Echo;
use crate::{
    connection::exchange::Head,
    reply::{Answer, Reply},
    upload::{Upload, UploadError},
    worker::Worker,
};

/// Answers when the whole body was read.
pub(super) fn answer(worker: &Rc<Worker>, head: &Head<'_>, mut upload: Upload) -> Answer {
    let mut echo = Echo::of(worker, head);
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

/// A body that broke off after so many bytes.
pub(super) fn broken(received: u64, error: &UploadError) -> Reply {
    let value = serde_json::json!({
        "error": error.to_string(),
        "accepted": error.accepted,
        "example": "curl --data-binary @file",
        "bytes_received": received,
    });
    Reply::json(error.status, &value)
}
