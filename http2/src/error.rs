//! Error codes (RFC 9113 section 7) and what ends a connection.

use std::fmt;

/// A code of RST_STREAM and GOAWAY; those that the document does not know are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u32);

impl Code {
    /// Graceful.
    pub const NO_ERROR: Self = Self(0);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Something went wrong inside.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// The peer sent more than the window allows.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    /// A frame for a stream that is closed.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a size that it can't have.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// Not processed: it may be sent again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// No longer wanted.
    pub const CANCEL: Self = Self(8);
    /// A field block that can't be decoded.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The other end of a CONNECT has failed.
    pub const CONNECT_ERROR: Self = Self(10);
    /// The peer asks for too much work.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// TLS that is not good enough.
    pub const INADEQUATE_SECURITY: Self = Self(12);
    /// To be tried with HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(13);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:x}", self.0),
        }
    }
}

/// Why a connection is over: what the peer did. GOAWAY with the code is in the output already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The code that GOAWAY carries.
    pub code: Code,
    /// What was wrong.
    pub reason: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Error {}

impl Error {
    pub(crate) const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason }
    }

    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self::new(Code::PROTOCOL_ERROR, reason)
    }
}
