//! Messages of verified gRPC streams, which have no fields: each carries its token in its first field, `message` of the echo service
//! and `payload` of the test service.
//!
//! A call's messages are numbered within the run as its calls are, in their own load. A digit of a token that changes on the way
//! would make it that of another message: its checksum stands behind it.

use super::MESSAGE_TOKEN;
use crate::{
    id::{self, Id},
    pattern::byte_at,
};

/// The first of the loads that messages of streams have as theirs, beyond those of plans: the load of their calls and this number.
pub const FIRST_OF_STREAMS: u8 = 64;

/// How long a token with its checksum is, in bytes.
pub const CHECKED_TOKEN: usize = id::LENGTH + 1 + 8;

/// How long what carries a token is, in bytes.
pub const STREAM_MESSAGE: usize = 64;

/// Where its parts begin.
const ID: usize = MESSAGE_TOKEN.len();
const REST: usize = ID + CHECKED_TOKEN;

/// The text that carries the token of this message.
///
/// ```
/// use contract::{id::Id, ledger::{stream_message, stream_message_id}};
///
/// let id = Id { run: 0xabc, load: 64, number: 255, attempt: 0 };
/// let text = stream_message(id);
/// assert_eq!(&text, b"dummy-token=00000abc-40-00000000000000ff-00.487ac2c7QRSTUVWXYZ01");
/// assert_eq!(stream_message_id(&text), Some(id));
/// ```
#[must_use]
pub fn stream_message(id: Id) -> [u8; STREAM_MESSAGE] {
    let mut text = [b'.'; STREAM_MESSAGE];
    text[..ID].copy_from_slice(MESSAGE_TOKEN);
    text[ID..REST].copy_from_slice(&checked_token(id));
    for (offset, byte) in (0..).zip(&mut text).skip(REST) {
        *byte = byte_at(offset);
    }
    text
}

/// A message's token with its checksum, as a reply of the test service has it.
///
/// ```
/// use contract::{id::Id, ledger::{checked_token, checked_token_id}};
///
/// let id = Id { run: 0xabc, load: 64, number: 255, attempt: 0 };
/// let text = checked_token(id);
/// assert_eq!(&text, b"00000abc-40-00000000000000ff-00.487ac2c7");
/// assert_eq!(checked_token_id(&text), Some(id));
/// ```
#[must_use]
pub fn checked_token(id: Id) -> [u8; CHECKED_TOKEN] {
    let mut text = [b'.'; CHECKED_TOKEN];
    let token = id.text();
    text[..id::LENGTH].copy_from_slice(&token);
    text[id::LENGTH + 1..].copy_from_slice(&id::digits(crc32c::crc32c(&token)));
    text
}

/// The id in a token with its checksum; none where any of it has changed.
#[inline]
#[must_use]
pub fn checked_token_id(text: &[u8]) -> Option<Id> {
    let (token, checksum) = text.split_at_checked(id::LENGTH)?;
    let checksum = checksum.strip_prefix(b".").filter(|digits| digits.len() == 8).and_then(id::eight)?;
    (checksum == crc32c::crc32c(token)).then(|| Id::read(token))?
}

/// The id of a message that carries a token, which has arrived as it was written. What stands behind its checksum is not looked at.
#[inline]
#[must_use]
pub fn stream_message_id(text: &[u8]) -> Option<Id> {
    checked_token_id(text.strip_prefix(MESSAGE_TOKEN)?.get(..CHECKED_TOKEN)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_which_any_bit_has_changed_is_none() {
        for number in [0, 9, u64::MAX] {
            let id = Id { run: 7, load: FIRST_OF_STREAMS, number, attempt: 1 };
            let text = stream_message(id);
            assert!(text.is_ascii(), "it stands in a string");
            for (at, bit) in (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let mut changed = text;
                changed[at] ^= 1 << bit;
                assert_eq!(stream_message_id(&changed), (at >= REST).then_some(id), "{at}");
            }
            for length in 0..REST {
                assert_eq!(stream_message_id(&text[..length]), None, "{length}");
            }
        }
        assert_eq!(stream_message_id(b"hello"), None);
    }
}
