//! The content of close frames (sections 5.5.1 and 7.4). When to close, and how long to wait for the peer's close frame,
//! is up to the caller.

use crate::Violation;

/// Codes that say why a connection is closed (section 7.4.1, and the registry of IANA).
pub mod code {
    /// All is done.
    pub const NORMAL: u16 = 1000;
    /// The end that closes goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: u16 = 1007;
    /// The peer broke a rule that has no other code.
    pub const POLICY_VIOLATION: u16 = 1008;
    /// A message is too large.
    pub const MESSAGE_TOO_BIG: u16 = 1009;
    /// The server is overloaded.
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

/// The content of a close frame, which is well-formed: nothing, or a code and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close(Vec<u8>);

impl Close {
    pub(crate) fn read(content: Vec<u8>) -> Result<Self, Violation> {
        match content[..] {
            [] => {}
            [high, low, ref reason @ ..] => {
                if !may_be_sent(u16::from_be_bytes([high, low])) {
                    return Err(Violation::CloseCode);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Violation::ReasonNotUtf8);
                }
            }
            [_] => return Err(Violation::HalfCloseCode),
        }
        Ok(Self(content))
    }

    /// The reason that the peer gave, if any.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.0.first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    /// The reason in words; it may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.0.get(2..).and_then(|reason| std::str::from_utf8(reason).ok()).unwrap_or_default()
    }

    /// All of it, to be sent back.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether a code may stand in a frame (section 7.4).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
