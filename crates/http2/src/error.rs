//! Error codes (RFC 9113 section 7) and what ends a connection.

use std::{fmt, str::FromStr};

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
    /// Not processed: it may be retried.
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

/// The names of the document, each at the place of its number.
const NAMES: [&str; Code::KNOWN] = [
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

impl Code {
    /// How many the document has: 0 and those that follow.
    pub const KNOWN: usize = 14;

    /// Those that the document has, with their names.
    pub fn all() -> impl ExactSizeIterator<Item = (Self, &'static str)> {
        NAMES.into_iter().enumerate().map(|(number, name)| (Self(number as u32), name))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:x}", self.0),
        }
    }
}

/// A text that is neither a name of [`Code::all`] nor a number of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCode;

impl fmt::Display for NoCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither the name of an error code of HTTP/2 nor a number of 32 bits")
    }
}

impl std::error::Error for NoCode {}

/// Reads a name, in either case and with `-` for `_`, or a number, which need not be one that has a name.
impl FromStr for Code {
    type Err = NoCode;

    fn from_str(text: &str) -> Result<Self, NoCode> {
        let named = text.replace('-', "_");
        if let Some((code, _)) = Self::all().find(|(_, name)| name.eq_ignore_ascii_case(&named)) {
            return Ok(code);
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.map(Self).ok_or(NoCode)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_by_name_and_by_number() {
        for (code, name) in Code::all() {
            assert_eq!(name.parse(), Ok(code));
            assert_eq!((code.to_string(), code.0.to_string().parse()), (name.to_owned(), Ok(code)));
        }
        assert_eq!(Code::all().last(), Some((Code::HTTP_1_1_REQUIRED, "HTTP_1_1_REQUIRED")));
        assert_eq!("enhance-your-calm".parse(), Ok(Code::ENHANCE_YOUR_CALM));
        assert_eq!("4294967295".parse(), Ok(Code(u32::MAX)));
        for none in ["", "nothing", "+1", "-1", "4294967296", "CANCEL "] {
            assert_eq!(none.parse::<Code>(), Err(NoCode), "{none}");
        }
    }
}
