//! What the servers of a process have seen of verified runs, posted when all of them have ended: nobody can ask for it then.
//!
//! It is bounded in time, whatever is at the other end, and what can't be posted is said in the log.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use contract::ledger::Statement;
use http1::{Version, write};

use super::{Instance, Process};
use crate::{ledger::Aggregator, settings::PushUrl};

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Posts all of it, one ledger after the other, those of the last runs first. It takes no longer than `patience`, and not
/// long in any case.
pub(crate) fn push(process: &Process, url: &PushUrl, patience: Duration) {
    let aggregators: Vec<_> = process.instances.iter().flat_map(Instance::aggregators).collect();
    if aggregators.iter().all(|aggregator| aggregator.left_of().is_empty()) {
        return;
    }
    let (url, patience) = (url.clone(), patience.min(PATIENCE));
    let (done, over) = mpsc::sync_channel(1);
    // A thread of its own: looking up a name can't be given up.
    let posting = thread::Builder::new().name("ledger-push".to_owned()).spawn(move || {
        let _ = done.send(post_all(&aggregators, &url, Instant::now() + patience).map(|()| url));
    });
    match posting.map_err(anyhow::Error::from).and_then(|_| Ok(over.recv_timeout(patience)?)) {
        Ok(Ok(url)) => tracing::info!(%url, "ledgers were posted"),
        Ok(Err(error)) => tracing::warn!(%error, "ledgers can't be posted"),
        Err(_) => tracing::warn!("ledgers could not be posted within {} ms", patience.as_millis()),
    }
}

fn post_all(aggregators: &[Arc<Aggregator>], url: &PushUrl, until: Instant) -> io::Result<()> {
    for aggregator in aggregators {
        for (run, load) in aggregator.left_of() {
            let statement = aggregator.left_statement(run, load);
            let status = post(&[statement], url, until)?;
            // Most are those of other runs, which loadgen does not want.
            tracing::debug!(run = format!("{run:08x}"), load, status, "a ledger was posted");
        }
    }
    Ok(())
}

/// The status of the reply.
fn post(statements: &[Statement], url: &PushUrl, until: Instant) -> io::Result<u16> {
    let body = serde_json::to_vec(statements)?;
    let mut request = Vec::new();
    write::request_line(&mut request, b"POST", url.path().as_bytes(), Version::Http11);
    write::field(&mut request, b"host", url.authority().as_bytes());
    write::field(&mut request, b"content-type", b"application/json");
    write::field(&mut request, b"connection", b"close");
    write::number_field(&mut request, b"content-length", body.len() as u64);
    write::end_head(&mut request);
    let mut stream = connect(url, until)?;
    stream.write_all(&request)?;
    stream.write_all(&body)?;
    // `HTTP/1.1 200`.
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    let status = std::str::from_utf8(&line[9..]).ok().and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// To the first address that can be connected to.
fn connect(url: &PushUrl, until: Instant) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in url.address().to_socket_addrs()? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
