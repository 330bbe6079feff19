//! Frames that carry no message: they change windows, settings and streams, or have no effect.

use super::{Happened, dependency};
use crate::{
    connection::{Connection, Event, Role, Stage, shutdown::DRAIN_PING},
    error::{Code, Error},
    frame::{self, flag, kind},
    limits::spend,
    settings,
    streams::{Ended, Key},
};

/// WINDOW_UPDATE that gives less than this costs as much as it is worth.
const SMALL_UPDATE: u32 = 1024;
/// SETTINGS that move the windows of this many streams cost as much as two that move none.
const STREAMS_PER_COST: usize = 64;

impl Connection {
    /// Counts the bytes of an answer to a control frame that is in the output now.
    fn answered(&mut self, bytes: usize) -> Result<(), Error> {
        // Of those before at most as many wait as the output has bytes.
        self.answers = (self.answers + bytes).min(self.output.len());
        if self.answers <= self.limits.waiting_control {
            return Ok(());
        }
        Err(Error::new(Code::ENHANCE_YOUR_CALM, "too many answers that wait to be read"))
    }

    pub(super) fn window_update<'i>(&mut self, frame: &frame::FrameHead, payload: &[u8]) -> Happened<'i> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "WINDOW_UPDATE that is not 4 bytes"));
        };
        let increment = u32::from_be_bytes(bytes) & 0x7fff_ffff;
        // Where the whole window is small, its parts are.
        let is_small = increment < SMALL_UPDATE.min(self.remote.initial_window_size / 2);
        if is_small && !spend(&mut self.budgets.updates) {
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
            return self.stream_error(key, Code::PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
        }
        let fits = self.streams.get(key).is_none_or(|stream| stream.send.change(i64::from(increment)));
        if !fits {
            return self.stream_error(key, Code::FLOW_CONTROL_ERROR, "a window above 2^31-1");
        }
        self.enqueue(key);
        Ok(None)
    }

    pub(super) fn rst_stream<'i>(&mut self, frame: &frame::FrameHead, payload: &[u8]) -> Happened<'i> {
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

    pub(super) fn peer_settings<'i>(&mut self, frame: &frame::FrameHead, payload: &[u8]) -> Happened<'i> {
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
            // It costs work for each stream, and a peer with many has no reason to do this often.
            for _ in 0..self.streams.len() / STREAMS_PER_COST {
                self.control()?;
            }
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

    pub(super) fn peer_ping<'i>(&mut self, frame: &frame::FrameHead, payload: &[u8]) -> Happened<'i> {
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

    pub(super) fn goaway<'i>(&mut self, frame: &frame::FrameHead, payload: &'i [u8]) -> Happened<'i> {
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

    /// Priorities are out of use (RFC 9113 section 5.3.2), except for what makes them wrong.
    pub(super) fn priority<'i>(&mut self, frame: &frame::FrameHead, payload: &[u8]) -> Happened<'i> {
        if frame.stream == 0 {
            return Err(Error::protocol("PRIORITY on stream 0"));
        }
        self.control()?;
        let code = match <&[u8; 5]>::try_from(payload) {
            Ok(priority) if dependency(priority) != frame.stream => return Ok(None),
            Ok(_) => Code::PROTOCOL_ERROR,
            Err(_) => Code::FRAME_SIZE_ERROR,
        };
        match self.streams.find(frame.stream) {
            Some(slot) => {
                self.stream_error(Key { slot, id: frame.stream }, code, "PRIORITY that is malformed")
            }
            // RST_STREAM must not be sent for a stream that is idle (RFC 9113 section 6.4).
            None if self.is_idle(frame.stream) => Err(Error::new(code, "PRIORITY that is malformed")),
            None => self.refuse(frame.stream, code).map(|()| None),
        }
    }
}
