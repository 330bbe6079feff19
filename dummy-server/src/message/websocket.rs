//! The options that a WebSocket is opened with.

use std::{num::NonZeroU32, time::Duration};

/// What the endpoint does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sends each back.
    Echo,
    /// Answers the first and closes.
    EchoOnceAndClose,
}

/// What was asked for along with the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// Bytes in each frame of what is sent back; none: a message is one frame.
    pub(crate) fragment: Option<NonZeroU32>,
    /// How often a ping is sent, of which the first is sent immediately.
    pub(crate) ping: Option<Duration>,
}
