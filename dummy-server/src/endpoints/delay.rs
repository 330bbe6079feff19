//! `/delay/{reply_ms}/{read_ms}`: a slow server, and a slow reader of the request's body.

use std::{rc::Rc, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::echo::Echo;
use crate::{
    context::ServerContext,
    message::{
        Head,
        reply::{Answer, Reply, reading},
        upload::{Upload, UploadError},
    },
};

/// How much is read at a time by the slow reader.
const READ: usize = 64 << 10;

/// Reads the body, slowly if asked, then waits, then answers.
pub(super) fn handle(
    context: &Rc<ServerContext>,
    head: &Head<'_>,
    mut upload: Upload,
    reply_delay: Duration,
    read_delay: Duration,
) -> Answer {
    let mut echo = Echo::of(context, head);
    reading(async move {
        if read_delay.is_zero() {
            echo.read(&mut upload).await?;
        } else {
            read_slowly(&mut echo, &mut upload, read_delay).await?;
        }
        sleep(reply_delay).await;
        echo.duration_ms = Some(millis(reply_delay));
        Ok(Reply::json(StatusCode::OK, &echo))
    })
}

/// Reads 64 KiB at a time, and waits between two of them.
async fn read_slowly(
    echo: &mut Echo,
    upload: &mut Upload,
    delay: Duration,
) -> Result<(), (u64, UploadError)> {
    let start = Instant::now();
    let (mut room, mut chunks) = (READ, 0);
    while let Some(part) = upload.pull(room).await {
        room -= echo.take(part)?;
        if room == 0 {
            (room, chunks) = (READ, chunks + 1);
            if !upload.is_end() {
                sleep(delay).await;
            }
        }
    }
    // An empty body is one chunk without content; the end of another, where it comes by itself, is none.
    if room < READ || chunks == 0 {
        chunks += 1;
    }
    echo.ended(upload);
    echo.read_delay_ms = Some(millis(delay));
    echo.read_chunks = Some(chunks);
    echo.total_read_time_ms = Some(millis(start.elapsed()));
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
