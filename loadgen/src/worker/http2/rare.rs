//! What few connections of HTTP/2 do: trailers behind a body, other settings than the usual ones, and writing slowly.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http2::{Config, Key, Role, Settings};
use tokio::io::AsyncWrite as _;
use transport::Stream;
use wire::{Fields, Output};

use super::super::rates::Rates;
use crate::{clock::Clock, plan::client::Http2Settings};

/// The longest list of fields that the peer may send, in bytes.
const MAX_FIELDS: u32 = 64 * 1024;

/// Trailers, with names as HTTP/2 wants them.
pub(super) fn trailers(given: &Fields) -> Option<Arc<Fields>> {
    let lower = given.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    (!given.is_empty()).then(|| Arc::new(lower.collect()))
}

/// Ends a request with its trailers.
#[cold]
pub(super) fn write_trailers(http2: &mut http2::Connection, key: Key, trailers: &Fields) {
    http2.head(key, true, |block| {
        trailers.iter().for_each(|(name, value)| block.constant(name, value));
    });
}

/// What a connection begins with.
pub(crate) fn config(wanted: &Http2Settings) -> Config {
    Config {
        settings: Settings {
            enable_push: false,
            initial_window_size: wanted.stream_window,
            max_frame_size: wanted.max_frame_size,
            header_table_size: wanted.header_table_size,
            max_header_list_size: Some(MAX_FIELDS),
            ..Settings::default()
        },
        connection_window: wanted.connection_window,
        ..Config::new(Role::Client)
    }
}

/// Writes as much of what waits as the rate allows.
pub(super) fn write_slowly(
    stream: &mut Stream,
    output: &mut Output,
    rates: &mut Rates,
    clock: Clock,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let most = rates.sendable(clock.now(), output.len());
    if most == 0 {
        return Poll::Pending;
    }
    let mut slices = [IoSlice::new(&[])];
    output.slices(&mut slices);
    let first = &slices[0];
    let count = ready!(Pin::new(stream).poll_write(cx, &first[..first.len().min(most)]))?;
    if count == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    output.advance(count);
    rates.sent(clock.now(), count);
    Poll::Ready(Ok(count))
}
