//! What this end sends.

use bytes::Bytes;
use wire::Output;

use super::{Connection, LARGEST_ID, Role};
use crate::{
    error::Code,
    frame::{self, flag, kind},
    hpack::Block,
    settings::{Bounds, Settings},
    streams::{Ended, Key},
};

impl Connection {
    /// Client: how many more streams may be opened now.
    #[must_use]
    pub fn room(&self) -> usize {
        let usable =
            self.is_settled() && self.allowed.is_none() && !self.failed && self.highest < LARGEST_ID - 1;
        if !usable {
            return 0;
        }
        let most = self.remote.max_concurrent_streams.map_or(usize::MAX, |most| most as usize);
        most.saturating_sub(self.streams.len())
    }

    /// Client: opens a stream with a request whose fields `write` writes. `end`: without content; `bodiless`:
    /// the method is HEAD. None when there is no [`Connection::room`].
    pub fn open(&mut self, end: bool, bodiless: bool, write: impl FnOnce(&mut Block<'_>)) -> Option<Key> {
        if self.role != Role::Client || self.room() == 0 {
            return None;
        }
        self.highest = if self.highest == 0 { 1 } else { self.highest + 2 };
        let (key, stream) = self.new_stream(self.highest);
        stream.local_closed = end;
        stream.bodiless = bodiless;
        self.block(key.id, end, write);
        Some(key)
    }

    /// Sends a head (informational, final) or trailers, whose fields `write` writes. Nothing happens when the
    /// stream no longer exists.
    #[inline]
    pub fn head(&mut self, key: Key, end: bool, write: impl FnOnce(&mut Block<'_>)) {
        if self.streams.peek(key).is_some_and(|stream| !stream.local_closed) {
            self.block(key.id, end, write);
            if end {
                self.end(key);
            }
        }
    }

    #[inline]
    fn block(&mut self, id: u32, end: bool, write: impl FnOnce(&mut Block<'_>)) {
        let out = self.output.buffer();
        let start = out.len();
        let flags = flag::END_HEADERS | if end { flag::END_STREAM } else { 0 };
        frame::head(out, 0, kind::HEADERS, flags, id);
        write(&mut self.encoder.block(out));
        let len = out.len() - start - frame::HEAD;
        if len <= self.remote.max_frame_size as usize {
            let [_, a, b, c] = (len as u32).to_be_bytes();
            out[start..start + 3].copy_from_slice(&[a, b, c]);
        } else {
            split(out, start, self.remote.max_frame_size as usize, id, end);
        }
    }

    /// How many bytes of content may be sent on a stream now. When that is less than the caller has, it says
    /// so with [`Connection::want`].
    #[must_use]
    #[inline]
    pub fn data_room(&self, key: Key) -> usize {
        let stream = self.streams.peek(key).map_or(0, |stream| stream.send.room());
        stream.min(self.send.room())
    }

    /// Sends content, at most as much as there is room for: this is not checked, so that a peer can be met that
    /// does not keep to it.
    #[inline]
    pub fn data(&mut self, key: Key, bytes: Bytes, end: bool) {
        let len = bytes.len();
        let mut rest = bytes;
        self.frames(key, len, end, |output, part| output.push(rest.split_to(part)));
    }

    /// [`Connection::data`] of bytes that live for ever.
    #[inline]
    pub fn data_static(&mut self, key: Key, bytes: &'static [u8], end: bool) {
        let mut rest = bytes;
        self.frames(key, bytes.len(), end, |output, part| {
            let (now, later) = rest.split_at(part);
            rest = later;
            output.push_static(now);
        });
    }

    #[inline]
    fn frames(&mut self, key: Key, len: usize, end: bool, mut push: impl FnMut(&mut Output, usize)) {
        let Some(stream) = self.streams.get(key).filter(|stream| !stream.local_closed) else { return };
        stream.send.spend(len);
        self.send.spend(len);
        // Not where the peer doles out its window: those updates are what costs.
        if len > 0 && stream.send.room() > 0 && self.send.room() > 0 {
            self.budgets.sent(&self.limits);
        }
        let most = self.remote.max_frame_size as usize;
        let mut left = len;
        loop {
            let part = left.min(most);
            left -= part;
            let last = left == 0;
            let flags = if end && last { flag::END_STREAM } else { 0 };
            if part > 0 || flags != 0 {
                frame::head(self.output.buffer(), part, kind::DATA, flags, key.id);
                push(&mut self.output, part);
            }
            if last {
                break;
            }
        }
        if end {
            self.end(key);
        }
    }

    /// This end has sent the last of a stream.
    #[inline]
    fn end(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.local_closed = true;
            if stream.remote_closed {
                self.remove(key, Ended::Well);
            }
        }
    }

    /// The caller has content for the stream: [`Connection::next_ready`] reports when there is room.
    pub fn want(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.wants = true;
            self.enqueue(key);
        }
    }

    /// The next stream for which there is room, round robin.
    pub fn next_ready(&mut self) -> Option<Key> {
        while self.send.room() > 0 {
            let key = self.ready.pop_front()?;
            if let Some(stream) = self.streams.get(key) {
                stream.queued = false;
                if stream.wants && stream.send.room() > 0 {
                    stream.wants = false;
                    return Some(key);
                }
            }
        }
        None
    }

    /// The caller has consumed this many bytes of received content: the peer is given window for them. Those of a
    /// stream that has ended were given back with its end.
    #[inline]
    pub fn release(&mut self, key: Key, bytes: usize) {
        let Some(stream) = self.streams.get(key) else { return };
        let bytes = bytes.min(stream.held as usize);
        stream.held -= bytes as u32;
        if !stream.remote_closed
            && let Some(increment) = stream.receive.used(bytes)
        {
            frame::window_update(self.output.buffer(), key.id, increment);
        }
        self.give_back(bytes);
    }

    /// Resets a stream.
    pub fn reset(&mut self, key: Key, code: Code) {
        if self.streams.peek(key).is_some() {
            frame::rst_stream(self.output.buffer(), key.id, code.0);
            self.remove(key, Ended::ResetHere);
        }
    }

    /// Server: the reply is complete. If the request is not, the rest of it is not wanted (RFC 9113 section 8.1).
    pub fn finish(&mut self, key: Key) {
        if self.streams.peek(key).is_some_and(|stream| stream.local_closed && !stream.remote_closed) {
            self.reset(key, Code::NO_ERROR);
            self.budgets.progress(&self.limits);
        }
    }

    /// Sends PING; [`super::Event::Pong`] is its answer.
    pub fn ping(&mut self, payload: [u8; 8]) {
        frame::ping(self.output.buffer(), false, payload);
    }

    /// Changes what the peer is allowed. More applies immediately; less applies when the peer has acknowledged it, but
    /// for the number of streams and the length of lists, beyond which a single stream is refused.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        let before = *self.settings.latest();
        let mut settings = before;
        change(&mut settings);
        settings.write_changes(&before, self.output.buffer());
        let bounds = self.settings.bounds();
        self.settings.announce(settings);
        self.follow_settings(bounds);
    }

    /// Takes over what the peer must not go beyond from now on.
    pub(super) fn follow_settings(&mut self, before: Bounds) {
        let bounds = self.settings.bounds();
        let size = self.settings.latest().initial_window_size;
        let change = i64::from(bounds.window) - i64::from(before.window);
        for (_, stream) in self.streams.iter_mut() {
            stream.receive.resize(change, size);
        }
        if bounds.table != before.table {
            self.decoder.allow(bounds.table as usize);
        }
    }
}

/// Cuts the block that begins at `start` into a HEADERS frame and CONTINUATION frames.
fn split(out: &mut Vec<u8>, start: usize, most: usize, id: u32, end: bool) {
    let block = out.split_off(start + frame::HEAD);
    out.truncate(start);
    let parts = block.len().div_ceil(most);
    for (index, part) in block.chunks(most).enumerate() {
        let last = if index + 1 == parts { flag::END_HEADERS } else { 0 };
        let (kind, flags) = match index {
            0 => (kind::HEADERS, last | if end { flag::END_STREAM } else { 0 }),
            _ => (kind::CONTINUATION, last),
        };
        frame::head(out, part.len(), kind, flags, id);
        out.extend_from_slice(part);
    }
}
