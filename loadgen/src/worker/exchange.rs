//! A request of HTTP/1.1 on its way: what of it was written, and what is to be written next.
//!
//! It knows nothing of its reply.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite as _;
use transport::Stream;

use super::{
    conduct::Conduct,
    connection::Shared,
    http1::{Http1Requests, PreparedHttp1, Rendering},
};
use crate::{clock::nanos, outcome::InFlight};

/// A request in flight.
#[derive(Debug)]
pub(super) struct Http1Exchange {
    pub(super) in_flight: InFlight,
    /// What of the head could not be written immediately.
    head_left: Vec<u8>,
    /// How much of head and body together was written.
    pub(super) written: usize,
    /// How long they are, and how long the head is, once writing has begun.
    pub(super) length: usize,
    head_length: usize,
}

impl Http1Exchange {
    pub(super) fn new(in_flight: InFlight) -> Self {
        Self { in_flight, head_left: Vec::new(), written: 0, length: 0, head_length: 0 }
    }

    /// Whether all of it was written.
    pub(super) fn is_sent(&self) -> bool {
        self.written > 0 && self.written >= self.length
    }

    /// Writes what is left of it, as far as the socket takes it.
    pub(super) fn write(
        &mut self,
        stream: &mut Stream,
        rendered: &mut Vec<u8>,
        mut conduct: Option<&mut Conduct>,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
    ) -> io::Result<()> {
        if self.is_sent() {
            // What was rendered may be another's by now.
            return Ok(());
        }
        let Http1Requests { all, texts, .. } = &mut shared.requests;
        let arrival = &self.in_flight.arrival;
        let PreparedHttp1 { request, rendering, patience, .. } = &mut all[arrival.request as usize];
        let begins = self.written == 0;
        let mut patience = *patience;
        // What is the connection's own is still there when writing goes on; others have used the request since.
        let (first, tail, is_own): (&[u8], &[u8], bool) = match rendering {
            _ if arrival.chain > 0 => {
                if begins && let Some(following) = &shared.following {
                    let (request, id) = following.request(arrival);
                    let values = texts.values(arrival, request.rows(), Some(&id));
                    self.head_length = request.write_http1(&values, rendered);
                    patience = request.upload().patience.map(nanos);
                }
                (rendered, &[], true)
            }
            None => {
                if begins {
                    request.set_id(&arrival.id(shared.ids));
                    self.head_length = request.head().len();
                }
                (request.bytes(), &[], false)
            }
            Some(Rendering { template, of }) => {
                if begins {
                    let id = arrival.id(shared.ids);
                    self.head_length =
                        template.render(&texts.values(arrival, of.rows(), Some(&id)), rendered);
                }
                (rendered, template.tail(), true)
            }
        };
        let head_length = self.head_length;
        self.length = first.len() + tail.len();
        let mut end = self.length;
        if let Some(conduct) = &mut conduct {
            if begins {
                conduct.begin(patience, shared.now);
            }
            end = if conduct.holds_back(shared.now) { head_length } else { end };
        }
        while self.written < end {
            let rest = match head_length.checked_sub(self.written) {
                Some(left @ 1..) if !begins && !is_own => &self.head_left[self.head_left.len() - left..],
                _ if self.written >= first.len() => &tail[self.written - first.len()..],
                _ => &first[self.written..first.len().min(end)],
            };
            let rest = match &mut conduct {
                None => rest,
                Some(conduct) => match conduct.rates.sendable(shared.clock.now(), rest.len()) {
                    0 => break,
                    most => &rest[..most],
                },
            };
            // Before it is given away: the server may see it before this call returns.
            let now = if self.written < head_length { shared.clock.now() } else { 0 };
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    shared.carried.sent += count as u64;
                    if let Some(conduct) = &mut conduct {
                        conduct.rates.sent(shared.clock.now(), count);
                    }
                    if self.written < head_length && self.written + count >= head_length {
                        self.in_flight.arrival.written.get_or_insert(now);
                    }
                    self.written += count;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if begins && !is_own && self.written > 0 && self.written < head_length {
            self.head_left = first[self.written..head_length].to_vec();
        }
        Ok(())
    }
}
