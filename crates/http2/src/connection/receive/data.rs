//! DATA: counted in both windows when its head arrives, lent to the caller in the parts in which it arrives.

use super::Happened;
use crate::{
    connection::{Connection, Event, Partial, Role},
    error::{Code, Error},
    frame::{self, flag},
    streams::{Ended, Key},
};

impl Connection {
    pub(super) fn data_frame<'i>(&mut self, frame: &frame::FrameHead, payload: &'i [u8]) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("DATA on stream 0"));
        }
        if !self.receive.take(frame.len) {
            return Err(Error::new(Code::FLOW_CONTROL_ERROR, "more than the connection's window"));
        }
        let data = frame::unpadded(frame, payload)?;
        // The part of an unpadded frame that has not arrived counts, too.
        let all = if frame.has(flag::PADDED) { data.len() } else { frame.len };
        let end = frame.has(flag::END_STREAM);
        if all == 0 && !end {
            self.empty()?;
        }
        let Some(slot) = self.streams.find(frame.stream) else {
            return self.data_of_no_stream(frame, payload.len());
        };
        let key = Key { slot, id: frame.stream };
        let missing = frame.len - payload.len();
        if let Some(code) = self.data_of(key, frame.len, all, end) {
            if missing > 0 {
                self.partial = Some(Partial { stream: frame.stream, left: missing, end: false });
            }
            self.give_back(frame.len);
            let reason = match code {
                Code::STREAM_CLOSED => "DATA after the end",
                Code::FLOW_CONTROL_ERROR => "more DATA than its window allows",
                _ => "DATA that is not as long as announced, or comes before the head",
            };
            return self.stream_error(key, code, reason);
        }
        if missing > 0 {
            self.partial = Some(Partial { stream: frame.stream, left: missing, end });
            return Ok((!data.is_empty()).then_some(Event::Data { stream: key, data, end: false }));
        }
        // Padding is released immediately.
        self.release(key, frame.len - all);
        if end {
            self.peer_ended(key);
        }
        Ok(Some(Event::Data { stream: key, data, end }))
    }

    /// Books DATA on its stream; what is wrong with it.
    #[inline]
    fn data_of(&mut self, key: Key, flow: usize, len: usize, end: bool) -> Option<Code> {
        let client = self.role == Role::Client;
        let stream = self.streams.get(key)?;
        if stream.remote_closed {
            return Some(Code::STREAM_CLOSED);
        }
        if client && !stream.head_received {
            return Some(Code::PROTOCOL_ERROR);
        }
        if !stream.receive.take(flow) {
            return Some(Code::FLOW_CONTROL_ERROR);
        }
        if let Some(expected) = &mut stream.expected {
            match expected.checked_sub(len as u64) {
                Some(left) if left == 0 || !end => *expected = left,
                _ => return Some(Code::PROTOCOL_ERROR),
            }
        }
        stream.held += flow as u32;
        None
    }

    fn data_of_no_stream<'i>(&mut self, frame: &frame::FrameHead, came: usize) -> Happened<'i> {
        if self.is_idle(frame.stream) {
            return Err(Error::protocol("DATA on a stream that was never opened"));
        }
        self.give_back(frame.len);
        let left = frame.len - came;
        if left > 0 {
            self.partial = Some(Partial { stream: frame.stream, left, end: false });
        }
        match self.ended(frame.stream) {
            Some(Ended::ResetHere) => Ok(None),
            _ => self.refuse(frame.stream, Code::STREAM_CLOSED).map(|()| None),
        }
    }

    /// More of DATA whose head has been booked.
    pub(super) fn rest_of_data<'i>(&mut self, partial: Partial, input: &mut &'i [u8]) -> Option<Event<'i>> {
        let (data, rest) = input.split_at(partial.left.min(input.len()));
        *input = rest;
        let left = partial.left - data.len();
        self.partial = (left > 0).then_some(Partial { left, ..partial });
        let slot = self.streams.find(partial.stream).filter(|_| !data.is_empty())?;
        let stream = Key { slot, id: partial.stream };
        let end = partial.end && left == 0;
        if end {
            self.peer_ended(stream);
        }
        Some(Event::Data { stream, data, end })
    }

    /// The peer has sent the last of a stream. If this end has too, the stream is closed.
    #[inline]
    pub(super) fn peer_ended(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.remote_closed = true;
            if stream.local_closed {
                self.remove(key, Ended::Well);
            }
        }
    }
}
