//! What the peer sends: bytes become frames here, and the file of each kind handles them.

mod control;
mod data;
mod headers;

use super::{Connection, Event, PREFACE, Stage};
use crate::{
    error::{Code, Error},
    frame::{self, flag, kind},
    head::Head,
    limits::spend,
    streams::Ended,
};

/// An answer from a stage: what has happened, if anything.
type Happened<'i> = Result<Option<Event<'i>>, Error>;

/// Bytes of HEADERS around their block: padding with its length, and a priority.
const AROUND_A_BLOCK: usize = 1 + 255 + 5;

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
            Err(error) => Err(self.fail(error)),
            happened => happened,
        }
    }

    #[inline]
    fn take_in<'i>(&mut self, input: &mut &'i [u8], head: &mut Head) -> Happened<'i> {
        if self.stage == Stage::Preface && !self.preface(input)? {
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
            let Some(frame) = frame::FrameHead::read(input) else { return Ok(None) };
            self.admit(&frame)?;
            let after = &input[frame::HEAD..];
            let happened = if let Some((payload, rest)) = after.split_at_checked(frame.len) {
                *input = rest;
                self.frame(&frame, payload, head)
            } else {
                if frame.kind != kind::DATA || frame.has(flag::PADDED) {
                    return Ok(None);
                }
                *input = &[];
                self.data_frame(&frame, after)
            };
            // As it is: what is taken apart and put together again is copied twice.
            if !matches!(happened, Ok(None)) {
                return happened;
            }
        }
    }

    /// The client's preface. False: more of it is awaited.
    fn preface(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
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
    fn admit(&self, frame: &frame::FrameHead) -> Result<(), Error> {
        if frame.len > self.settings.bounds().frame as usize {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "a frame larger than SETTINGS allow"));
        }
        // Such frames are kept until they are whole, and frames may be much larger than blocks.
        let too_long = frame.len > self.limits.block + AROUND_A_BLOCK;
        if too_long && matches!(frame.kind, kind::HEADERS | kind::CONTINUATION) {
            return Err(Error::new(Code::ENHANCE_YOUR_CALM, "a field block without end"));
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
    fn frame<'i>(&mut self, frame: &frame::FrameHead, payload: &'i [u8], head: &mut Head) -> Happened<'i> {
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
}

/// The stream on which another depends.
fn dependency(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}
