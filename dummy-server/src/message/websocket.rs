//! The options that a WebSocket is opened with.

use std::{num::NonZeroU32, time::Duration};

/// What the endpoint does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends each back.
    Echo,
    /// Answers the first and closes.
    EchoOnceAndClose,
}

/// What was asked for along with the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is done with messages.
    pub mode: Mode,
    /// Bytes in each frame of what is sent back; none: a message is one frame.
    pub fragment: Option<NonZeroU32>,
    /// How often a ping is sent, of which the first is sent immediately.
    pub ping: Option<Duration>,
}
