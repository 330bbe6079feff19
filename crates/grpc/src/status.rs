//! How calls end: codes, and statuses as fields ("Responses" and "Status-Message" of gRPC over HTTP/2). What a code is
//! used for is up to the caller.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use wire::Fields;

/// The field of a code.
pub const STATUS: &str = "grpc-status";
/// The field of a message, percent-encoded.
pub const MESSAGE: &str = "grpc-message";
/// The field of a `google.rpc.Status`, in base64.
pub const DETAILS: &str = "grpc-status-details-bin";

/// What is encoded in a message: more than the specification asks for, as other libraries do.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'?')
    .add(b'{')
    .add(b'}');

/// Makes the codes from their numbers and names, in order.
macro_rules! codes {
    ($($code:ident = $number:literal $name:literal,)*) => {
        /// How a call ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`")] $code = $number,)*
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// Its name in the specification.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }
        }
    };
}

codes! {
    Ok = 0 "OK",
    Cancelled = 1 "CANCELLED",
    Unknown = 2 "UNKNOWN",
    InvalidArgument = 3 "INVALID_ARGUMENT",
    DeadlineExceeded = 4 "DEADLINE_EXCEEDED",
    NotFound = 5 "NOT_FOUND",
    AlreadyExists = 6 "ALREADY_EXISTS",
    PermissionDenied = 7 "PERMISSION_DENIED",
    ResourceExhausted = 8 "RESOURCE_EXHAUSTED",
    FailedPrecondition = 9 "FAILED_PRECONDITION",
    Aborted = 10 "ABORTED",
    OutOfRange = 11 "OUT_OF_RANGE",
    Unimplemented = 12 "UNIMPLEMENTED",
    Internal = 13 "INTERNAL",
    Unavailable = 14 "UNAVAILABLE",
    DataLoss = 15 "DATA_LOSS",
    Unauthenticated = 16 "UNAUTHENTICATED",
}

impl Code {
    /// The code of that number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The code of a name like `UNAVAILABLE`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// Reads the value of [`STATUS`]; `None` if it is not a valid code.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let number = match value {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [b'1', digit @ b'0'..=b'9'] => 10 + digit - b'0',
            _ => return None,
        };
        Self::from_number(number.into())
    }
}

/// Adds the fields of a status; an empty message and empty details are left out.
pub fn write(fields: &mut Fields, code: Code, message: &str, details: &[u8]) {
    fields.push(STATUS, itoa::Buffer::new().format(code as u8));
    if !message.is_empty() {
        fields.push(MESSAGE, &*encode_message(message));
    }
    if !details.is_empty() {
        fields.push(DETAILS, STANDARD_NO_PAD.encode(details));
    }
}

/// A message as the value of [`MESSAGE`].
#[must_use]
pub fn encode_message(message: &str) -> Cow<'_, str> {
    utf8_percent_encode(message, ENCODED).into()
}

/// The message of a value of [`MESSAGE`]. What is not well-formed is kept as far as it can be.
#[must_use]
pub fn decode_message(value: &[u8]) -> Cow<'_, str> {
    percent_decode(value).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_their_numbers() {
        assert_eq!(Code::ALL.len(), 17);
        for (number, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, number);
            assert_eq!(Code::read(number.to_string().as_bytes()), Some(*code));
            assert_eq!(Code::from_number(i32::try_from(number).unwrap()), Some(*code));
        }
        for value in ["", "17", "-1", "00", "01", "1 ", "100", "ok"] {
            assert_eq!(Code::read(value.as_bytes()), None, "{value}");
        }
        assert_eq!((Code::from_number(-1), Code::from_number(17)), (None, None));
    }

    #[test]
    fn invalid_percent_encoding_is_kept_as_is() {
        for (value, message) in
            [("a%20b", "a b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%BC", "ü"), ("%ff", "\u{fffd}")]
        {
            assert_eq!(decode_message(value.as_bytes()), message);
        }
    }

    #[test]
    fn empty_message_and_details_are_omitted() {
        let mut fields = Fields::new();
        write(&mut fields, Code::Ok, "", b"");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"grpc-status"[..], &b"0"[..])]);
    }
}
