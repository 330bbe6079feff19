//! `/delay/{reply_ms}/{read_ms}`: a slow server, and a slow reader of the request's body.

use std::{rc::Rc, time::Duration};

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::{echo::Echo, upload::broken};
use crate::{
    connection::exchange::Head,
    reply::{Answer, Reply},
    upload::{Upload, UploadError},
    worker::Worker,
};

/// How much is read at a time by the slow reader.
const READ: usize = 64 << 10;

/// Reads the body, slowly if asked, then waits, then answers.
pub(super) fn answer(
    worker: &Rc<Worker>,
    head: &Head<'_>,
    mut upload: Upload,
    reply_delay: Duration,
    read_delay: Duration,
) -> Answer {
    let mut echo = Echo::of(worker, head);
    let most = worker.config.limits.max_body_echo;
    Answer::Waiting(Box::pin(async move {
        let read = if read_delay.is_zero() {
            echo.read(&mut upload, most).await
        } else {
            read_slowly(&mut echo, &mut upload, read_delay).await
        };
        if let Err((received, error)) = read {
            return broken(received, &error);
        }
        sleep(reply_delay).await;
        echo.duration_ms = Some(millis(reply_delay));
        Reply::json(StatusCode::OK, &echo)
    }))
}

/// Waits before each 64 KiB; the body is counted and not echoed.
async fn read_slowly(
    echo: &mut Echo,
    upload: &mut Upload,
    delay: Duration,
) -> Result<(), (u64, UploadError)> {
    let start = Instant::now();
    let mut chunks = 0;
    while !upload.is_end() {
        sleep(delay).await;
        let mut room = READ;
        let mut ended = false;
        while room > 0 && !ended {
            match upload.pull(room).await {
                Some(Ok(part)) => {
                    echo.body_size += part.len() as u64;
                    room -= part.len();
                }
                Some(Err(error)) => return Err((echo.body_size, error)),
                None => ended = true,
            }
        }
        if room < READ {
            chunks += 1;
        }
        // A chunked body tells that it has ended only when it is read.
        if ended {
            break;
        }
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
