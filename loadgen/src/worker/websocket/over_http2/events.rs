//! What comes on an HTTP/2 connection with WebSockets, event by event.

use http2::Event;

use super::{
    super::{
        messages::{Handshaken, SocketMessages, check_answer, invalid, refused},
        socket::Socket,
    },
    OverHttp2,
};
use crate::{
    outcome::{Cause, Failure, Head},
    worker::{
        connection::{Closed, Shared, Sink},
        http2::GoneAway,
    },
};

impl OverHttp2 {
    /// Takes an event; `head` is that of a response. An error: that was the end.
    pub(super) fn take(
        &mut self,
        event: Event<'_>,
        head: &http2::Head,
        shared: &mut Shared<SocketMessages>,
        sink: &mut impl Sink,
    ) -> Result<(), Closed> {
        let Shared { requests, ids, now, carried, limits, .. } = shared;
        match event {
            Event::Response { stream, end } => {
                if !self.streams.contains(stream) {
                    return Ok(());
                }
                if !(200..300).contains(&head.status()) || end {
                    return self.ended(stream, Closed::by_loadgen(refused(&Head::Http2(head))), *now, sink);
                }
                let head = Head::Http2(head);
                if let Err(why) = check_answer(head.fields(), &requests.request) {
                    return self.ended(stream, Closed::by_loadgen(invalid(why)), *now, sink);
                }
                let handshaken = Handshaken::new(&head, requests.captures, sink);
                if let Some(since) = self.streams.open(stream, requests, handshaken, *now, limits) {
                    sink.handshaken(since, *now, requests.opened_first(limits));
                }
                sink.roomier();
                Ok(())
            }
            Event::Data { stream, data, end } => {
                self.http2.release(stream, data.len());
                let receives = |socket: &mut Socket| {
                    let was_used = socket.is_used();
                    let result = socket.receive(data, requests, *ids, *now, carried, sink);
                    (result, socket.is_used() && !was_used)
                };
                let Some((result, is_first)) = self.streams.change(stream, limits, receives) else {
                    return Ok(());
                };
                if is_first {
                    self.is_used = true;
                    self.pause.succeeded();
                }
                self.http2.want(stream);
                match result {
                    Ok(()) if !end => Ok(()),
                    Ok(()) => self.ended(stream, ended_early(), *now, sink),
                    Err(closed) => self.ended(stream, closed, *now, sink),
                }
            }
            Event::Trailers { stream } => self.ended(stream, ended_early(), *now, sink),
            Event::Reset { stream, code, by_peer } => {
                let failure = if by_peer {
                    Failure::new(Cause::RstStream(code.0), format!("the server reset the stream: {code}"))
                } else {
                    let rule = self.http2.broken_rule();
                    let message = format!("the server's reply broke the protocol: {code}: {rule}");
                    Failure::new(Cause::Protocol, message)
                };
                self.ended(stream, Closed::by_server(failure), *now, sink)
            }
            Event::Unprocessed { stream } => {
                let failure = self.going_away.get_or_insert_default().failure();
                self.ended(stream, Closed::by_server(failure), *now, sink)
            }
            Event::GoAway { code, debug, .. } => {
                self.going_away = Some(Box::new(GoneAway::new(code, debug)));
                Ok(())
            }
            Event::Informational { .. }
            | Event::Settings
            | Event::Request { .. }
            | Event::Malformed { .. }
            | Event::Pong(_) => Ok(()),
        }
    }
}

fn ended_early() -> Closed {
    Closed::by_server(Failure::new(Cause::ClosedEarly, "the server ended the stream without a close frame"))
}
