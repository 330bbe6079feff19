//! HEADERS and CONTINUATION: a block is decoded whatever happens to its stream, because those after it are made of
//! what it left in the table. Then it is a request, a response, or trailers, or comes for a stream that no longer exists.

use super::{Happened, dependency};
use crate::{
    connection::{Connection, Continuing, Event, Role},
    error::{Code, Error},
    frame::{self, flag},
    head::Head,
    limits::spend,
    streams::{Ended, Key},
};

impl Connection {
    #[inline]
    pub(super) fn headers<'i>(
        &mut self,
        frame: &frame::FrameHead,
        payload: &[u8],
        head: &mut Head,
    ) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("HEADERS on stream 0"));
        }
        let mut block = frame::unpadded(frame, payload)?;
        let mut depends_on_itself = false;
        if frame.has(flag::PRIORITY) {
            let (priority, rest) = block
                .split_first_chunk::<5>()
                .ok_or(Error::new(Code::FRAME_SIZE_ERROR, "HEADERS without room for its priority"))?;
            depends_on_itself = dependency(priority) == frame.stream;
            block = rest;
        }
        let end = frame.has(flag::END_STREAM);
        if !frame.has(flag::END_HEADERS) {
            if block.is_empty() {
                self.empty()?;
            }
            let (stream, block) = (frame.stream, block.to_vec());
            self.continuing =
                Some(Continuing { stream, end_stream: end, depends_on_itself, frames: 0, block });
            return Ok(None);
        }
        self.block_complete(frame.stream, end, block, head, depends_on_itself)
    }

    pub(super) fn continuation<'i>(
        &mut self,
        frame: &frame::FrameHead,
        payload: &[u8],
        head: &mut Head,
    ) -> Happened<'i> {
        if payload.is_empty() {
            self.empty()?;
        }
        let Some(mut continuing) = self.continuing.take() else { return Ok(None) };
        continuing.frames += 1;
        let too_long = continuing.block.len() + payload.len() > self.limits.block;
        if too_long || continuing.frames > self.limits.continuations {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "a field block without end"));
        }
        continuing.block.extend_from_slice(payload);
        if frame.has(flag::END_HEADERS) {
            let Continuing { stream, end_stream, depends_on_itself, block, .. } = continuing;
            return self.block_complete(stream, end_stream, &block, head, depends_on_itself);
        }
        self.continuing = Some(continuing);
        Ok(None)
    }

    #[inline]
    fn block_complete<'i>(
        &mut self,
        id: u32,
        end: bool,
        block: &[u8],
        head: &mut Head,
        depends_on_itself: bool,
    ) -> Happened<'i> {
        let announced = self.settings.latest().max_header_list_size.map(|limit| limit as usize);
        let most = self.limits.list.max(announced.unwrap_or(0));
        self.decoder
            .decode(block, announced.unwrap_or(most), head)
            .map_err(|malformed| Error::new(Code::COMPRESSION_ERROR, malformed.0))?;
        if head.list_size() > most {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "a list of fields without end"));
        }
        match self.streams.find(id) {
            // RFC 7540 section 5.3.1, as with PRIORITY.
            Some(slot) if depends_on_itself => {
                self.stream_error(Key { slot, id }, Code::PROTOCOL_ERROR, "a stream that depends on itself")
            }
            Some(slot) if self.role == Role::Client => self.response(Key { slot, id }, end, head),
            Some(slot) => self.trailers(Key { slot, id }, end, head),
            None if self.role == Role::Client => self.head_of_no_stream(id),
            None => self.request(id, end, head, depends_on_itself),
        }
    }

    #[inline]
    fn request<'i>(&mut self, id: u32, end: bool, head: &Head, depends_on_itself: bool) -> Happened<'i> {
        if id.is_multiple_of(2) {
            return Err(Error::protocol("a client's stream with an even identifier"));
        }
        if id <= self.highest {
            return self.head_of_no_stream(id);
        }
        if self.announced.is_some_and(|last| id > last) {
            self.ignored = self.ignored.max(id);
            return self.control().map(|()| None);
        }
        self.highest = id;
        let settings = self.settings.latest();
        // RFC 8441 section 4: without the setting it is a pseudo-field like any other that is not known.
        let undefined = head.protocol().is_some() && !settings.enable_connect_protocol;
        let most = settings.max_concurrent_streams.map_or(usize::MAX, |most| most as usize);
        if self.streams.len() >= most {
            return self.one_too_many(id);
        }
        let unsent = end && head.content_length().is_some_and(|length| length > 0);
        let checked = match head.check_request() {
            _ if head.is_too_large() => Ok(()),
            Ok(()) if undefined => Err("a protocol that SETTINGS do not allow"),
            Ok(()) if depends_on_itself => Err("a stream that depends on itself"),
            Ok(()) if unsent => Err("a length without content"),
            checked => checked,
        };
        if let Err(reason) = checked {
            self.refuse(id, Code::PROTOCOL_ERROR)?;
            self.streams.remember(id, Ended::ResetHere);
            return Ok(Some(Event::Malformed { stream: id, reason }));
        }
        let (key, stream) = self.new_stream(id);
        stream.head_received = true;
        stream.remote_closed = end;
        stream.expected = head.content_length();
        Ok(Some(Event::Request { stream: key, end }))
    }

    /// Refuses a stream beyond the number allowed. That is not an error as long as the client has not seen SETTINGS, and
    /// it may open very many until then, but costs as much as one that it resets.
    fn one_too_many<'i>(&mut self, id: u32) -> Happened<'i> {
        self.counters.refused += 1;
        if !spend(&mut self.budgets.resets) {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many streams beyond those allowed"));
        }
        frame::rst_stream(self.output.buffer(), id, Code::REFUSED_STREAM.0);
        self.streams.remember(id, Ended::ResetHere);
        Ok(None)
    }

    /// HEADERS on a stream that no longer exists, or never did (RFC 9113 section 5.1).
    fn head_of_no_stream<'i>(&mut self, id: u32) -> Happened<'i> {
        if self.is_idle(id) {
            return Err(Error::protocol("HEADERS on a stream that was never opened"));
        }
        match self.ended(id) {
            Some(Ended::ResetHere) => self.control().map(|()| None),
            Some(_) => Err(Error::new(Code::STREAM_CLOSED, "HEADERS on a stream that has ended")),
            None => Err(Error::protocol("HEADERS with an identifier that was passed over")),
        }
    }

    fn response<'i>(&mut self, key: Key, end: bool, head: &Head) -> Happened<'i> {
        let Some(stream) = self.streams.get(key) else { return Ok(None) };
        if stream.head_received || stream.remote_closed {
            return self.trailers(key, end, head);
        }
        let checked = match head.check_response() {
            _ if head.is_too_large() => Err("a head larger than SETTINGS allow"),
            Ok(()) if head.status() < 200 && end => Err("an informational response that ends the stream"),
            checked => checked,
        };
        if let Err(reason) = checked {
            return self.stream_error(key, Code::PROTOCOL_ERROR, reason);
        }
        if head.status() < 200 {
            self.control()?;
            return Ok(Some(Event::Informational { stream: key }));
        }
        stream.head_received = true;
        // Those that have no content by definition may announce a length (RFC 9113 section 8.1.1).
        let contentless = stream.bodiless || matches!(head.status(), 204 | 304);
        stream.expected = if contentless { Some(0) } else { head.content_length() };
        if end && stream.expected.is_some_and(|length| length > 0) {
            return self.stream_error(key, Code::PROTOCOL_ERROR, "a length without content");
        }
        if end {
            self.peer_ended(key);
        }
        Ok(Some(Event::Response { stream: key, end }))
    }

    fn trailers<'i>(&mut self, key: Key, end: bool, head: &Head) -> Happened<'i> {
        let Some(stream) = self.streams.get(key) else { return Ok(None) };
        if stream.remote_closed {
            return self.stream_error(key, Code::STREAM_CLOSED, "HEADERS after the end");
        }
        let incomplete = stream.expected.is_some_and(|left| left > 0);
        let checked = match head.check_trailers() {
            _ if head.is_too_large() => Err("trailers larger than SETTINGS allow"),
            _ if !end => Err("trailers that do not end the stream"),
            _ if incomplete => Err("less content than announced"),
            checked => checked,
        };
        if let Err(reason) = checked {
            return self.stream_error(key, Code::PROTOCOL_ERROR, reason);
        }
        self.peer_ended(key);
        Ok(Some(Event::Trailers { stream: key }))
    }
}
