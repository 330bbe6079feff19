//! What the servers of a process have seen of verified runs, posted when all of them have ended: nobody can ask for it then.
//!
//! It is bounded in time, whatever is at the other end, and what can't be posted is said in the log.

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use contract::ledger::Statement;
use http1::{Version, write};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

use super::Process;
use crate::{ledger::Aggregator, settings::PushUrl};

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it waits before it posts again what could not be posted.
const PAUSE: Duration = Duration::from_millis(100);

/// Posts all of it, one ledger after the other, those of the last runs first, and again what can't be posted. It takes no longer
/// than `patience`, and not long in any case.
pub(crate) fn push(process: &Process, url: &PushUrl, patience: Duration) {
    let aggregators: Vec<_> = process.instances.iter().flat_map(|instance| instance.aggregators()).collect();
    if aggregators.iter().all(|aggregator| aggregator.left_of().is_empty()) {
        return;
    }
    let (url, patience) = (url.clone(), patience.min(PATIENCE));
    let (done, over) = mpsc::sync_channel(1);
    // The result has to arrive before the time is up.
    let until = Instant::now() + (patience - patience / 10);
    // On its own thread: looking up a name can't be cancelled.
    let posting = runtime::worker::spawn("ledger-push", None, move || async move {
        let _ = done.send((post_all(&aggregators, &url, until).await, url));
    });
    match posting.map_err(anyhow::Error::from).and_then(|_| Ok(over.recv_timeout(patience)?)) {
        Ok((Posted { accepted, refused, failed: None }, url)) if accepted > 0 => {
            tracing::info!(%url, accepted, refused, "ledgers were posted");
        }
        Ok((Posted { accepted, refused, failed: None }, url)) => {
            tracing::warn!(%url, accepted, refused, "ledgers were posted, and none was accepted");
        }
        Ok((Posted { accepted, refused, failed: Some(error) }, url)) => {
            tracing::warn!(%url, accepted, refused, %error, "not all ledgers can be posted");
        }
        Err(_) => tracing::warn!("ledgers could not be posted within {} ms", patience.as_millis()),
    }
}

/// How many ledgers were posted, and how many were not.
#[derive(Debug, Default)]
struct Posted {
    accepted: u64,
    /// Most are those of other runs, which loadgen does not want.
    refused: u64,
    /// Why the last one of those could not be posted that are in neither.
    failed: Option<io::Error>,
}

async fn post_all(aggregators: &[Arc<Aggregator>], url: &PushUrl, until: Instant) -> Posted {
    let left = aggregators.iter().flat_map(|of| of.left_of().into_iter().map(move |load| (of, load)));
    each_until(left.collect(), (until, PAUSE), async |(aggregator, (run, load))| {
        let statements = [aggregator.left_statement(*run, *load)];
        let status = timeout_at(until, post(&statements, url)).await??;
        tracing::debug!(run = format!("{run:08x}"), load, status, "a ledger was posted");
        Ok(status)
    })
    .await
}

/// Posts each, and those again that fail, in rounds: one that can't be posted holds up no other.
async fn each_until<T>(
    mut left: Vec<T>,
    (until, pause): (Instant, Duration),
    mut post: impl AsyncFnMut(&T) -> io::Result<u16>,
) -> Posted {
    let mut posted = Posted::default();
    loop {
        let mut before = posted.failed.take();
        let mut again = Vec::new();
        for one in left {
            match post(&one).await {
                Ok(200..300) => posted.accepted += 1,
                // Such as what is between the two, while loadgen can't be reached.
                Ok(status @ 500..) => {
                    posted.failed = Some(io::Error::other(format!("the reply was {status}")));
                    again.push(one);
                }
                Ok(_) => posted.refused += 1,
                Err(error) => {
                    let earlier = posted.failed.take().or_else(|| before.take());
                    posted.failed = Some(match earlier {
                        // That the time is up says less than what has kept it from being posted until then.
                        Some(earlier) if error.kind() == io::ErrorKind::TimedOut => earlier,
                        _ => error,
                    });
                    again.push(one);
                }
            }
        }
        left = again;
        let pause = pause.min(until.saturating_duration_since(Instant::now()));
        if left.is_empty() || pause.is_zero() {
            return posted;
        }
        sleep(pause).await;
    }
}

/// The status of the reply.
async fn post(statements: &[Statement], url: &PushUrl) -> io::Result<u16> {
    let body = serde_json::to_vec(statements)?;
    let mut request = Vec::new();
    write::request_line(&mut request, b"POST", url.path.as_bytes(), Version::Http11);
    write::field(&mut request, b"host", url.authority().as_bytes());
    write::field(&mut request, b"content-type", b"application/json");
    write::field(&mut request, b"connection", b"close");
    write::number_field(&mut request, b"content-length", body.len() as u64);
    write::end_head(&mut request);
    let mut stream = TcpStream::connect(url.address()).await?;
    stream.write_all(&request).await?;
    stream.write_all(&body).await?;
    // `HTTP/1.1 200`.
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    let status = std::str::from_utf8(&line[9..]).ok().and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_ledger_is_posted_until_it_is_taken_or_refused_whatever_happens_to_others() {
        let mut tries = [0; 4];
        let until = (Instant::now() + Duration::from_secs(3600), Duration::from_nanos(1));
        let posted = each_until((0..4).collect(), until, async |one: &usize| {
            tries[*one] += 1;
            match (one, tries[*one]) {
                (0, 1..3) => Err(io::ErrorKind::ConnectionRefused.into()),
                (1, 1) => Ok(503),
                (2, _) => Ok(404),
                _ => Ok(200),
            }
        })
        .await;
        assert_eq!((posted.accepted, posted.refused, posted.failed.is_none()), (3, 1, true));
        assert_eq!(tries, [3, 2, 1, 1]);
    }

    #[tokio::test]
    async fn what_is_logged_is_why_it_could_not_be_posted_and_not_that_the_time_is_up() {
        let until = Instant::now() + Duration::from_millis(20);
        let mut tries = 0;
        let posted = each_until(vec![()], (until, Duration::from_nanos(1)), async |()| {
            tries += 1;
            if tries == 1 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            timeout_at(until, std::future::pending()).await?
        })
        .await;
        assert_eq!(posted.failed.map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn each_is_posted_once_when_there_is_no_time_and_failures_are_logged() {
        let posted = each_until(vec![1, 2], (Instant::now(), PAUSE), async |one| match one {
            1 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(200),
        })
        .await;
        assert_eq!((posted.accepted, posted.refused, posted.failed.is_some()), (1, 0, true));
    }
}
