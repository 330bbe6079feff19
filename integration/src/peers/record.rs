//! A server that records when each request arrives.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Peer;
use crate::client::Protocol;

/// A server that answers each request with an empty 200 and records when it came.
#[derive(Debug)]
pub struct Record {
    /// The server.
    pub peer: Peer,
    arrivals: Arrivals,
}

type Arrivals = Arc<Mutex<Vec<Instant>>>;

impl Record {
    /// Starts it.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(protocol: Protocol) -> Self {
        let arrivals = Arrivals::default();
        let kept = Arc::clone(&arrivals);
        let peer = Peer::with(move || {
            async move |stream| match protocol {
                Protocol::Http1 => http1(stream, &kept).await,
                Protocol::Http2 => http2(stream, &kept).await,
            }
        });
        Self { peer, arrivals }
    }

    /// When requests came, in order, from the first one on.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Duration> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        arrivals.sort_unstable();
        arrivals.iter().map(|at| at.duration_since(arrivals[0])).collect()
    }
}

/// How many arrivals lie within `tolerance` of their place in the even schedule `n / rate`, which is laid
/// through the middle of them: a machine that is busy delays some, and a first one that is late moves none.
#[must_use]
pub fn in_place(arrivals: &[Duration], rate: f64, tolerance: Duration) -> usize {
    let late = |(n, at): (usize, &Duration)| at.as_secs_f64() - n as f64 / rate;
    let mut lateness: Vec<f64> = arrivals.iter().enumerate().map(late).collect();
    lateness.sort_by(f64::total_cmp);
    let Some(middle) = lateness.get(lateness.len() / 2).copied() else { return 0 };
    lateness.iter().filter(|late| (*late - middle).abs() <= tolerance.as_secs_f64()).count()
}

fn note(arrivals: &Arrivals) {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
}

async fn http1(mut stream: TcpStream, arrivals: &Arrivals) {
    let mut buffer = BytesMut::new();
    while matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            note(arrivals);
            buffer.advance(end + 4);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                return;
            }
        }
    }
}

async fn http2(stream: TcpStream, arrivals: &Arrivals) {
    let handshake = server::Builder::new().max_concurrent_streams(1000).handshake::<_, Bytes>(stream);
    let Ok(mut connection) = handshake.await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        note(arrivals);
        // The client may have given up this stream.
        let _ = respond.send_response(http::Response::new(()), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_millis(10);

    fn at_200(place: impl Fn(u64) -> u64) -> usize {
        let arrivals: Vec<Duration> = (0..400).map(|n| Duration::from_millis(place(n * 5))).collect();
        in_place(&arrivals, 200.0, TOLERANCE)
    }

    #[test]
    fn evenly_spread_arrivals_are_in_place_despite_late_ones() {
        assert_eq!(at_200(|ms| ms), 400);
        assert_eq!(at_200(|ms| if ms == 0 { 0 } else { ms + 300 }), 399);
        assert_eq!(at_200(|ms| if ms % 50 == 0 { ms + 25 } else { ms }), 360);
    }

    #[test]
    fn bursts_are_not_in_place() {
        assert!(at_200(|ms| ms / 1000 * 1000) < 20);
        assert!(at_200(|ms| ms / 100 * 100) < 110);
        assert!(at_200(|ms| ms * 9 / 10) < 100, "nor is another rate");
    }

    #[test]
    fn without_arrivals_none_is_in_place() {
        assert_eq!(in_place(&[], 1.0, TOLERANCE), 0);
    }
}
