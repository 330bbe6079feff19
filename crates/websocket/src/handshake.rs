//! The keys of the opening handshake (section 4): a client's key is checked and answered, and one is made. The request and
//! the reply around them are HTTP's, and randomness is the caller's.

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};

/// What `Sec-WebSocket-Version` says.
pub const VERSION: &str = "13";

/// Joined to a key before it is hashed (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bits that are left over in the last letter have no meaning: all decoders take them.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The value of `Sec-WebSocket-Key` for a nonce, which is to be random.
#[must_use]
pub fn key(nonce: [u8; 16]) -> String {
    BASE64_STANDARD.encode(nonce)
}

/// The value of `Sec-WebSocket-Accept` that answers a key (section 4.2.2). None: the key is not 16 bytes in base64.
#[must_use]
pub fn accept(key: &[u8]) -> Option<String> {
    let mut nonce = [0; 18];
    if !matches!(LENIENT.decode_slice(key, &mut nonce), Ok(16)) {
        return None;
    }
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(GUID);
    Some(BASE64_STANDARD.encode(sha1.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_6455_sample_key_is_made_and_accepted() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64_whatever_bits_are_left_over() {
        for (key, valid) in [
            ("dGhlIHNhbXBsZSBub25jZR==", true),
            ("dGhlIHNhbXBsZSBub25j", false),
            ("dGhlIHNhbXBsZSBub25jZQ", false),
            ("dGhlIHNhbXBsZSBub25jZXM=", false),
            ("dGhlIHNhbXBsZSBub25jZXM0ZGhlIHNhbXBsZSBub25jZQ==", false),
            ("!!!!!!!!!!!!!!!!!!!!!!==", false),
            ("", false),
        ] {
            assert_eq!(accept(key.as_bytes()).is_some(), valid, "{key}");
        }
    }
}
