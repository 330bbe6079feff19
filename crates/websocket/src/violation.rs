//! What a peer can do wrong. It knows nothing about what the limits are called where they are set.

use std::fmt;

use crate::code;

/// A rule or a limit that the peer broke. Nothing more can be read; the connection is closed with [`Violation::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A bit is set that no extension has given a meaning (section 5.2).
    ReservedBit,
    /// A server got a frame without a mask (section 5.1).
    NotMasked,
    /// A client got a frame with a mask (section 5.1).
    Masked,
    /// An opcode that is reserved (section 5.2).
    UnknownOpcode,
    /// A control frame in fragments, or of more than 125 bytes (section 5.5).
    ControlFrame,
    /// A message begins within another one (section 5.4).
    MessageWithinMessage,
    /// A continuation while no message has begun (section 5.4).
    UnexpectedContinuation,
    /// A length that is not in its shortest form, or above 63 bits (section 5.2).
    Length,
    /// A close frame of one byte (section 5.5.1).
    HalfCloseCode,
    /// A close code that is reserved or may not be sent (section 7.4).
    CloseCode,
    /// A reason of a close that is not UTF-8 (section 5.5.1).
    ReasonNotUtf8,
    /// A text message that is not UTF-8 (section 5.6).
    TextNotUtf8,
    /// A frame beyond [`Limits::frame`](crate::Limits::frame).
    FrameTooLarge,
    /// A message beyond [`Limits::message`](crate::Limits::message).
    MessageTooLarge,
    /// A message beyond [`Limits::fragments`](crate::Limits::fragments).
    TooManyFragments,
}

impl Violation {
    /// The code to close the connection with.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::ReasonNotUtf8 | Self::TextNotUtf8 => code::INVALID_PAYLOAD,
            Self::FrameTooLarge | Self::MessageTooLarge => code::MESSAGE_TOO_BIG,
            Self::TooManyFragments => code::POLICY_VIOLATION,
            _ => code::PROTOCOL_ERROR,
        }
    }

    /// The reason to close it with.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "a reserved bit is set",
            Self::NotMasked => "a frame is not masked",
            Self::Masked => "a frame is masked",
            Self::UnknownOpcode => "an unknown opcode",
            Self::ControlFrame => "a control frame in fragments or above 125 bytes",
            Self::MessageWithinMessage => "a message begins before the one before has ended",
            Self::UnexpectedContinuation => "a continuation of nothing",
            Self::Length => "a length that is written wrongly",
            Self::HalfCloseCode => "half a close code",
            Self::CloseCode => "a close code that may not be sent",
            Self::ReasonNotUtf8 => "a reason that is not UTF-8",
            Self::TextNotUtf8 => "text is not UTF-8",
            Self::FrameTooLarge => "a frame above the maximum size",
            Self::MessageTooLarge => "a message above the maximum size",
            Self::TooManyFragments => "a message in too many fragments",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
