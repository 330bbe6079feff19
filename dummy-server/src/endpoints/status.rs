//! `/status/{code}`: that status.

use std::rc::Rc;

use http::StatusCode;

use super::echo;
use crate::{
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Reply},
        upload::Upload,
    },
};

/// Answers with the status; the engine takes the body off where there must be none.
pub(super) fn handle(context: &Rc<ServerContext>, head: &Head<'_>, upload: Upload, code: u16) -> Answer {
    // The router lets only 200 to 599 through.
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    echo::handle(context, head, upload, move |mut echo| {
        echo.status_code = Some(code);
        echo.status_message = Some(status.canonical_reason().unwrap_or("Unknown"));
        Reply::json(status, &echo)
    })
}
