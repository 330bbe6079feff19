//! SETTINGS (RFC 9113 section 6.5, RFC 8441 section 3).

use std::collections::VecDeque;

use crate::{
    error::{Code, Error},
    flow::LARGEST_WINDOW,
    frame::{self, kind},
};

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The values of one setting in a payload, in order.
pub(crate) fn values(payload: &[u8], id: u16) -> impl Iterator<Item = u32> + '_ {
    let entries = payload.chunks_exact(6).filter(move |entry| entry[..2] == id.to_be_bytes());
    entries.map(|entry| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
}

/// What one end allows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the table with which the other end may compress fields.
    pub header_table_size: u32,
    /// Whether the other end may push.
    pub enable_push: bool,
    /// Maximum number of streams that the other end may have open; `None`: unlimited.
    pub max_concurrent_streams: Option<u32>,
    /// Bytes that may be sent on a stream before it is given more window, at most 2^31 - 1.
    pub initial_window_size: u32,
    /// Bytes of the largest frame, 16,384 to 2^24 - 1.
    pub max_frame_size: u32,
    /// Bytes of the longest list of fields, as section 6.5.2 counts them; `None`: unlimited.
    pub max_header_list_size: Option<u32>,
    /// Whether extended CONNECT is understood.
    pub enable_connect_protocol: bool,
}

impl Default for Settings {
    /// The initial values of the document.
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            enable_push: true,
            max_concurrent_streams: None,
            initial_window_size: 65_535,
            max_frame_size: 16_384,
            max_header_list_size: None,
            enable_connect_protocol: false,
        }
    }
}

impl Settings {
    /// Writes a SETTINGS frame with what differs from the initial values.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_changes(&Self::default(), out);
    }

    /// Writes a SETTINGS frame with what differs from those before.
    pub fn write_changes(&self, before: &Self, out: &mut Vec<u8>) {
        let before = before.entries();
        let entries = self.entries().into_iter().zip(before).filter(|(now, before)| now != before);
        frame::head(out, entries.clone().count() * 6, kind::SETTINGS, 0, 0);
        for ((id, value), _) in entries {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn entries(&self) -> [(u16, u32); 7] {
        [
            (HEADER_TABLE_SIZE, self.header_table_size),
            (ENABLE_PUSH, u32::from(self.enable_push)),
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams.unwrap_or(u32::MAX)),
            (INITIAL_WINDOW_SIZE, self.initial_window_size),
            (MAX_FRAME_SIZE, self.max_frame_size),
            (MAX_HEADER_LIST_SIZE, self.max_header_list_size.unwrap_or(u32::MAX)),
            (ENABLE_CONNECT_PROTOCOL, u32::from(self.enable_connect_protocol)),
        ]
    }

    /// Takes in the payload of a SETTINGS frame.
    pub(crate) fn read(&mut self, payload: &[u8]) -> Result<(), Error> {
        if !payload.len().is_multiple_of(6) {
            return Err(Error::new(Code::FRAME_SIZE_ERROR, "SETTINGS of a size that is not a multiple of 6"));
        }
        for entry in payload.chunks_exact(6) {
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            self.set(u16::from_be_bytes([entry[0], entry[1]]), value)?;
        }
        Ok(())
    }

    fn set(&mut self, id: u16, value: u32) -> Result<(), Error> {
        let switch = |reason| match value {
            0 | 1 => Ok(value == 1),
            _ => Err(Error::protocol(reason)),
        };
        match id {
            HEADER_TABLE_SIZE => self.header_table_size = value,
            ENABLE_PUSH => self.enable_push = switch("ENABLE_PUSH is neither 0 nor 1")?,
            MAX_CONCURRENT_STREAMS => self.max_concurrent_streams = Some(value),
            INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                return Err(Error::new(Code::FLOW_CONTROL_ERROR, "an initial window above 2^31 - 1"));
            }
            INITIAL_WINDOW_SIZE => self.initial_window_size = value,
            MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                return Err(Error::protocol("a largest frame below 2^14 or above 2^24 - 1"));
            }
            MAX_FRAME_SIZE => self.max_frame_size = value,
            MAX_HEADER_LIST_SIZE => self.max_header_list_size = Some(value),
            ENABLE_CONNECT_PROTOCOL => {
                let enable = switch("ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")?;
                if self.enable_connect_protocol && !enable {
                    // RFC 8441 section 3.
                    return Err(Error::protocol("ENABLE_CONNECT_PROTOCOL was taken back"));
                }
                self.enable_connect_protocol = enable;
            }
            // Unknown ones are ignored.
            _ => {}
        }
        Ok(())
    }
}

/// What this end has announced. Until the peer acknowledges it, what was announced before holds, too, and of
/// both whatever allows more (RFC 9113 sections 6.5.3 and 6.9.3).
#[derive(Debug)]
pub(crate) struct Announced {
    /// What is meant: the last announcement.
    latest: Settings,
    /// Those that are not acknowledged, the oldest first.
    pending: VecDeque<Bounds>,
    bounds: Bounds,
}

/// What a peer must not go beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) frame: u32,
    pub(crate) window: u32,
    pub(crate) table: u32,
}

impl Bounds {
    fn of(settings: &Settings) -> Self {
        Self {
            frame: settings.max_frame_size,
            window: settings.initial_window_size,
            table: settings.header_table_size,
        }
    }

    fn widen(self, other: &Self) -> Self {
        Self {
            frame: self.frame.max(other.frame),
            window: self.window.max(other.window),
            table: self.table.max(other.table),
        }
    }
}

impl Announced {
    /// The first announcement: before it, the initial values hold.
    pub(crate) fn new(settings: Settings) -> Self {
        let initial = Bounds::of(&Settings::default());
        let first = Bounds::of(&settings);
        Self { latest: settings, pending: VecDeque::from([first]), bounds: initial.widen(&first) }
    }

    #[inline]
    pub(crate) fn latest(&self) -> &Settings {
        &self.latest
    }

    #[inline]
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn awaits_acknowledgement(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn announce(&mut self, settings: Settings) {
        self.latest = settings;
        self.pending.push_back(Bounds::of(&settings));
        self.bounds = self.bounds.widen(&Bounds::of(&settings));
    }

    /// The peer follows the oldest announcement that it had not acknowledged. False: there was none.
    pub(crate) fn acknowledge(&mut self) -> bool {
        let Some(acknowledged) = self.pending.pop_front() else { return false };
        self.bounds = self.pending.iter().fold(acknowledged, Bounds::widen);
        true
    }
}
