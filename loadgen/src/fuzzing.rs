//! A reader of content, for fuzz targets alone: no part of the library's interface.

use crate::outcome::encoding;

/// The content of a body with these codings, of at most `most` bytes, and whether there is more of it; `is_cut`: there was more of the
/// body.
///
/// # Errors
/// It can't be decoded, and why.
pub fn decoded(codings: &str, body: &[u8], is_cut: bool, most: usize) -> Result<(Vec<u8>, bool), String> {
    encoding::decoded(codings, body, is_cut, most).map(|decoded| (decoded.content, decoded.is_cut))
}
