//! What the peer sends.

use super::{Connection, Continuing, DRAIN_PING, Event, PREFACE, Partial, Role, Stage};
use crate::{
    error::{Code, Error},
    frame::{self, flag, kind},
    head::Head,
    limits::spend,
    settings,
    streams::{Ended, Key},
};

/// An answer from a stage: what has happened, if anything.
type Happened<'i> = Result<Option<Event<'i>>, Error>;

/// WINDOW_UPDATE that gives less than this costs as much as it is worth.
const SMALL_UPDATE: u32 = 1024;

impl Connection {
    /// Takes in what was read, off the front of `input`, up to the next event. None: everything that can be
    /// taken in was; the rest, if any, is the beginning of a frame and is to be offered again with what follows
    /// it. Heads and trailers are put into `head`.
    ///
    /// # Errors
    /// The peer broke the protocol. GOAWAY is in the output, which is to be written before the connection is
    /// closed.
    #[inline]
    pub fn receive<'i>(&mut self, input: &mut &'i [u8], head: &mut Head) -> Happened<'i> {
        if self.failed {
            *input = &[];
            return Ok(None);
        }
        match self.take_in(input, head) {
            Ok(event) => Ok(event),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn take_in<'i>(&mut self, input: &mut &'i [u8], head: &mut Head) -> Happened<'i> {
        if self.stage == Stage::Magic && !self.magic(input)? {
            return Ok(None);
        }
        loop {
            if let Some(stream) = self.unprocessed.pop_front() {
                return Ok(Some(Event::Unprocessed { stream }));
            }
            if let Some(partial) = self.partial {
                match self.rest_of_data(partial, input) {
                    Some(event) => return Ok(Some(event)),
                    None if input.is_empty() => return Ok(None),
                    None => continue,
                }
            }
            let Some(frame) = frame::Head::read(input) else { return Ok(None) };
            self.admit(&frame)?;
            let after = &input[frame::HEAD..];
            let happened = if let Some((payload, rest)) = after.split_at_checked(frame.len) {
                *input = rest;
                self.frame(&frame, payload, head)?
            } else {
                if frame.kind != kind::DATA || frame.has(flag::PADDED) {
                    return Ok(None);
                }
                *input = &[];
                self.data_frame(&frame, after)?
            };
            if happened.is_some() {
                return Ok(happened);
            }
        }
    }

    /// The client's magic. False: more of it is awaited.
    fn magic(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let compared = input.len().min(PREFACE.len());
        if input[..compared] != PREFACE[..compared] {
            return Err(Error::protocol("this is not how HTTP/2 begins"));
        }
        if compared < PREFACE.len() {
            return Ok(false);
        }
        *input = &input[PREFACE.len()..];
        self.stage = Stage::Settings;
        Ok(true)
    }

    /// Whether this frame may come now (RFC 9113 sections 3.4, 4.2 and 6.10).
    #[inline]
    fn admit(&self, frame: &frame::Head) -> Result<(), Error> {
        if frame.len > self.settings.bounds().frame as usize {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "a frame larger than SETTINGS allow"));
        }
        if let Some(continuing) = &self.continuing {
            if frame.kind != kind::CONTINUATION || frame.stream != continuing.stream {
                return Err(Error::protocol("a field block was interrupted"));
            }
        } else if frame.kind == kind::CONTINUATION {
            return Err(Error::protocol("CONTINUATION of nothing"));
        }
        if self.stage == Stage::Settings && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err(Error::protocol("the first frame is not SETTINGS"));
        }
        Ok(())
    }

    #[inline]
    fn frame<'i>(&mut self, frame: &frame::Head, payload: &'i [u8], head: &mut Head) -> Happened<'i> {
        match frame.kind {
            kind::HEADERS => self.headers(frame, payload, head),
            kind::DATA => self.data_frame(frame, payload),
            kind::WINDOW_UPDATE => self.window_update(frame, payload),
            kind::CONTINUATION => self.continuation(frame, payload, head),
            kind::RST_STREAM => self.rst_stream(frame, payload),
            kind::SETTINGS => self.peer_settings(frame, payload),
            kind::PING => self.peer_ping(frame, payload),
            kind::GOAWAY => self.goaway(frame, payload),
            kind::PRIORITY => self.priority(frame, payload),
            kind::PUSH_PROMISE => Err(Error::protocol("PUSH_PROMISE, which was not allowed")),
            kind::PRIORITY_UPDATE if frame.stream != 0 => Err(Error::protocol("PRIORITY_UPDATE on a stream")),
            _ => self.control().map(|()| None),
        }
    }

    /// Spends a frame that brings nothing.
    fn control(&mut self) -> Result<(), Error> {
        if spend(&mut self.budgets.control) {
            return Ok(());
        }
        Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many frames that bring nothing"))
    }

    /// Books an answer to a control frame, of so many bytes, that is in the output now.
    fn answered(&mut self, bytes: usize) -> Result<(), Error> {
        // Of those before at most as many wait as the output has bytes.
        self.answers = (self.answers + bytes).min(self.output.len());
        if self.answers <= self.limits.waiting_control {
            return Ok(());
        }
        Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many answers that wait to be read"))
    }

    fn empty(&mut self) -> Result<(), Error> {
        if spend(&mut self.budgets.empty) {
            return Ok(());
        }
        Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many empty frames"))
    }

    /// Whether a stream was never opened.
    fn is_idle(&self, id: u32) -> bool {
        id > self.highest.max(self.ignored) || id.is_multiple_of(2)
    }

    /// How a stream has ended that is neither open nor idle.
    fn ended(&self, id: u32) -> Option<Ended> {
        // What comes for streams above those that GOAWAY has announced is as if they had been reset (RFC 9113
        // section 6.8).
        if id > self.highest { Some(Ended::ResetHere) } else { self.streams.ended(id) }
    }

    fn data_frame<'i>(&mut self, frame: &frame::Head, payload: &'i [u8]) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("DATA on no stream"));
        }
        if !self.receive.take(frame.len) {
            return Err(Error::new(Code::FLOW_CONTROL_ERROR, "more than the connection's window"));
        }
        let data = frame::unpadded(frame, payload)?;
        // What has not come of an unpadded frame counts as well.
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
            return self.stream_error(key, code);
        }
        if missing > 0 {
            self.partial = Some(Partial { stream: frame.stream, left: missing, end });
            return Ok((!data.is_empty()).then_some(Event::Data { stream: key, data, end: false }));
        }
        // Padding is used up at once.
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

    fn data_of_no_stream<'i>(&mut self, frame: &frame::Head, came: usize) -> Happened<'i> {
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
    fn rest_of_data<'i>(&mut self, partial: Partial, input: &mut &'i [u8]) -> Option<Event<'i>> {
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

    /// The peer has sent the last of a stream. If this end has too, the stream is no more.
    #[inline]
    fn peer_ended(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.remote_closed = true;
            if stream.local_closed {
                self.remove(key, Ended::Well);
            }
        }
    }

    #[inline]
    fn headers<'i>(&mut self, frame: &frame::Head, payload: &[u8], head: &mut Head) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("HEADERS on no stream"));
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

    fn continuation<'i>(&mut self, frame: &frame::Head, payload: &[u8], head: &mut Head) -> Happened<'i> {
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
            Some(slot) if depends_on_itself => self.stream_error(Key { slot, id }, Code::PROTOCOL_ERROR),
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
        let faulty = undefined || depends_on_itself || head.check_request().is_err();
        let malformed = !head.is_too_large() && faulty;
        if malformed || end && head.content_length().is_some_and(|length| length > 0) {
            self.refuse(id, Code::PROTOCOL_ERROR)?;
            self.streams.remember(id, Ended::ResetHere);
            return Ok(None);
        }
        let mut stream = self.new_stream(id);
        stream.head_received = true;
        stream.remote_closed = end;
        stream.expected = head.content_length();
        let stream = self.streams.insert(stream);
        Ok(Some(Event::Request { stream, end }))
    }

    /// Refuses a stream beyond the number allowed. That is no fault as long as the client has not seen SETTINGS, and
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

    /// HEADERS on a stream that is no more, or never was (RFC 9113 section 5.1).
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
        if head.is_too_large() || head.check_response().is_err() || head.status() < 200 && end {
            return self.stream_error(key, Code::PROTOCOL_ERROR);
        }
        if head.status() < 200 {
            self.control()?;
            return Ok(Some(Event::Informational { stream: key }));
        }
        stream.head_received = true;
        // Those that have no content by definition may tell a length (RFC 9113 section 8.1.1).
        let contentless = stream.bodiless || matches!(head.status(), 204 | 304);
        stream.expected = if contentless { Some(0) } else { head.content_length() };
        if end && stream.expected.is_some_and(|length| length > 0) {
            return self.stream_error(key, Code::PROTOCOL_ERROR);
        }
        if end {
            self.peer_ended(key);
        }
        Ok(Some(Event::Response { stream: key, end }))
    }

    fn trailers<'i>(&mut self, key: Key, end: bool, head: &Head) -> Happened<'i> {
        let Some(stream) = self.streams.get(key) else { return Ok(None) };
        if stream.remote_closed {
            return self.stream_error(key, Code::STREAM_CLOSED);
        }
        let incomplete = stream.expected.is_some_and(|left| left > 0);
        if !end || incomplete || head.is_too_large() || head.check_trailers().is_err() {
            return self.stream_error(key, Code::PROTOCOL_ERROR);
        }
        self.peer_ended(key);
        Ok(Some(Event::Trailers { stream: key }))
    }

    fn window_update<'i>(&mut self, frame: &frame::Head, payload: &[u8]) -> Happened<'i> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "WINDOW_UPDATE that is not 4 bytes"));
        };
        let increment = u32::from_be_bytes(bytes) & 0x7fff_ffff;
        // Where the whole window is small, its parts are.
        if increment < SMALL_UPDATE.min(self.remote.initial_window_size / 2) {
            self.control()?;
        }
        if frame.stream == 0 {
            if increment == 0 {
                return Err(Error::protocol("WINDOW_UPDATE of nothing"));
            }
            if !self.send.change(i64::from(increment)) {
                return Err(Error::new(Code::FLOW_CONTROL_ERROR, "a window above 2^31 - 1"));
            }
            return Ok(None);
        }
        let Some(slot) = self.streams.find(frame.stream) else {
            if self.is_idle(frame.stream) {
                return Err(Error::protocol("WINDOW_UPDATE on a stream that was never opened"));
            }
            return Ok(None);
        };
        let key = Key { slot, id: frame.stream };
        if increment == 0 {
            return self.stream_error(key, Code::PROTOCOL_ERROR);
        }
        let fits = self.streams.get(key).is_none_or(|stream| stream.send.change(i64::from(increment)));
        if !fits {
            return self.stream_error(key, Code::FLOW_CONTROL_ERROR);
        }
        self.enqueue(key);
        Ok(None)
    }

    fn rst_stream<'i>(&mut self, frame: &frame::Head, payload: &[u8]) -> Happened<'i> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "RST_STREAM that is not 4 bytes"));
        };
        if self.is_idle(frame.stream) {
            return Err(Error::protocol("RST_STREAM on a stream that was never opened"));
        }
        let code = Code(u32::from_be_bytes(bytes));
        let Some(slot) = self.streams.find(frame.stream) else { return self.control().map(|()| None) };
        let stream = Key { slot, id: frame.stream };
        self.counters.resets_received += 1;
        let budget = &mut self.budgets.resets;
        if self.role == Role::Server && !spend(budget) {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many streams were reset"));
        }
        self.remove(stream, Ended::ResetThere);
        Ok(Some(Event::Reset { stream, code, by_peer: true }))
    }

    fn peer_settings<'i>(&mut self, frame: &frame::Head, payload: &[u8]) -> Happened<'i> {
        if frame.stream != 0 {
            return Err(Error::protocol("SETTINGS on a stream"));
        }
        self.control()?;
        if frame.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(Error::new(Code::FRAME_SIZE_ERROR, "SETTINGS with ACK and a payload"));
            }
            let bounds = self.settings.bounds();
            if self.settings.acknowledge() {
                // The next one has its own time.
                self.settings_since = None;
                self.follow_settings(bounds);
            }
            return Ok(None);
        }
        let before = self.remote;
        self.remote.read(payload)?;
        let push = settings::values(payload, settings::ENABLE_PUSH).next().is_some();
        if self.role == Role::Client && self.remote.enable_push && push {
            return Err(Error::protocol("a server can't enable push"));
        }
        // Each size that it passes through counts (RFC 7541 section 4.2).
        settings::values(payload, settings::HEADER_TABLE_SIZE)
            .for_each(|size| self.encoder.allow(size as usize));
        let change = i64::from(self.remote.initial_window_size) - i64::from(before.initial_window_size);
        if change != 0 {
            self.change_windows(change)?;
        }
        frame::head(self.output.buffer(), 0, kind::SETTINGS, flag::ACK, 0);
        self.answered(frame::HEAD)?;
        self.stage = Stage::Open;
        Ok(Some(Event::Settings))
    }

    /// RFC 9113 section 6.9.2.
    fn change_windows(&mut self, change: i64) -> Result<(), Error> {
        let mut roomier = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            if !stream.send.change(change) {
                return Err(Error::new(Code::FLOW_CONTROL_ERROR, "a window above 2^31 - 1"));
            }
            if stream.wants {
                roomier.push(Key { slot, id: stream.id });
            }
        }
        for key in roomier {
            self.enqueue(key);
        }
        Ok(())
    }

    fn peer_ping<'i>(&mut self, frame: &frame::Head, payload: &[u8]) -> Happened<'i> {
        if frame.stream != 0 {
            return Err(Error::protocol("PING on a stream"));
        }
        let Ok(payload) = <[u8; 8]>::try_from(payload) else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "PING that is not 8 bytes"));
        };
        self.control()?;
        if !frame.has(flag::ACK) {
            frame::ping(self.output.buffer(), true, payload);
            return self.answered(frame::HEAD + payload.len()).map(|()| None);
        }
        if payload == DRAIN_PING && self.announced.is_some() {
            self.finish_drain();
            return Ok(None);
        }
        Ok(Some(Event::Pong(payload)))
    }

    fn goaway<'i>(&mut self, frame: &frame::Head, payload: &'i [u8]) -> Happened<'i> {
        if frame.stream != 0 {
            return Err(Error::protocol("GOAWAY on a stream"));
        }
        let Some((&[l0, l1, l2, l3, c0, c1, c2, c3], debug)) = payload.split_first_chunk::<8>() else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "GOAWAY that is too short"));
        };
        self.control()?;
        let last = u32::from_be_bytes([l0, l1, l2, l3]) & 0x7fff_ffff;
        if self.allowed.is_some_and(|before| last > before) {
            return Err(Error::protocol("GOAWAY that takes back another"));
        }
        self.allowed = Some(last);
        if self.role == Role::Client {
            let above = self.streams.iter_mut().filter(|(_, stream)| stream.id > last);
            let above: Vec<Key> = above.map(|(slot, stream)| Key { slot, id: stream.id }).collect();
            for key in above {
                self.remove(key, Ended::ResetHere);
                self.unprocessed.push_back(key);
            }
        }
        let code = Code(u32::from_be_bytes([c0, c1, c2, c3]));
        Ok(Some(Event::GoAway { last, code, debug }))
    }

    /// Priorities are out of use (RFC 9113 section 5.3.2), but for what makes them wrong.
    fn priority<'i>(&mut self, frame: &frame::Head, payload: &[u8]) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("PRIORITY on no stream"));
        }
        self.control()?;
        let code = match <&[u8; 5]>::try_from(payload) {
            Ok(priority) if dependency(priority) != frame.stream => return Ok(None),
            Ok(_) => Code::PROTOCOL_ERROR,
            Err(_) => Code::FRAME_SIZE_ERROR,
        };
        match self.streams.find(frame.stream) {
            Some(slot) => self.stream_error(Key { slot, id: frame.stream }, code),
            // RST_STREAM must not be sent for a stream that is idle (RFC 9113 section 6.4).
            None if self.is_idle(frame.stream) => Err(Error::new(code, "PRIORITY that is malformed")),
            None => self.refuse(frame.stream, code).map(|()| None),
        }
    }
}

/// The stream on which another depends.
fn dependency(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}
