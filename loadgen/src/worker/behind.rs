//! Pipelining (RFC 9112 section 9.3.2): requests of HTTP/1.1 that are written before the replies to those before them have
//! come, which is in their order.

use std::{collections::VecDeque, io, task::Context};

use transport::Stream;

use super::{
    conduct::Conduct,
    connection::{Shared, Sink},
    exchange::Http1Exchange,
    http1::Http1Requests,
};
use crate::{
    clock::Nanos,
    outcome::{Arrival, InFlight, Outcome},
};

/// Requests behind the one whose reply is awaited, in their order.
#[derive(Debug, Default)]
pub(super) struct Behind {
    queue: VecDeque<Http1Exchange>,
    /// How many at the front were written to their ends.
    sent: usize,
}

impl Behind {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// One more.
    pub(super) fn push(&mut self, exchange: Http1Exchange) {
        self.queue.push_back(exchange);
    }

    /// The next one, whose reply is awaited from now on.
    pub(super) fn pop(&mut self) -> Option<Http1Exchange> {
        self.sent = self.sent.saturating_sub(1);
        self.queue.pop_front()
    }

    /// Writes what is left of them, as far as the socket takes it.
    pub(super) fn write(
        &mut self,
        stream: &mut Stream,
        rendered: &mut Vec<u8>,
        mut conduct: Option<&mut Conduct>,
        cx: &mut Context<'_>,
        shared: &mut Shared<Http1Requests>,
    ) -> io::Result<()> {
        while let Some(exchange) = self.queue.get_mut(self.sent) {
            exchange.write(stream, rendered, conduct.as_deref_mut(), cx, shared)?;
            if !exchange.is_sent() {
                break;
            }
            self.sent += 1;
        }
        Ok(())
    }

    /// Ends those that have taken longer than `timeout`, which are the oldest.
    pub(super) fn expire(&mut self, now: Nanos, timeout: Nanos, sink: &mut impl Sink) {
        // What has not left goes another way when the connection ends for these.
        while let Some(mut exchange) = self
            .queue
            .pop_front_if(|exchange| exchange.written > 0 && exchange.in_flight.deadline(timeout) <= now)
        {
            self.sent = self.sent.saturating_sub(1);
            sink.ended(exchange.in_flight.ended(now, Outcome::TimedOut));
        }
    }

    /// The connection is over before their replies have begun. Those that have not left go another way; others are retried
    /// if twice does no harm, more often where the server has said with a reply before them that it would be over (`announced`,
    /// RFC 9112 section 9.6). Those that are left have failed.
    pub(super) fn give_back(
        &mut self,
        announced: bool,
        shared: &Shared<Http1Requests>,
        sink: &mut impl Sink,
    ) {
        for exchange in std::mem::take(&mut self.queue) {
            let Http1Exchange { in_flight, written, .. } = exchange;
            if written == 0 {
                sink.put_back(in_flight.arrival);
                continue;
            }
            let most = match announced {
                _ if !shared.requests.of(&in_flight.arrival).resends => 0,
                true => Arrival::MAX_SENT_AWAY,
                false => Arrival::MAX_RESENDS,
            };
            match in_flight.resend(most) {
                Ok(arrival) => sink.resend(arrival),
                Err(in_flight) => self.queue.push_back(Http1Exchange::new(in_flight)),
            }
        }
    }

    /// Those that are left.
    pub(super) fn into_in_flight(self) -> impl Iterator<Item = InFlight> {
        self.queue.into_iter().map(|exchange| exchange.in_flight)
    }
}
