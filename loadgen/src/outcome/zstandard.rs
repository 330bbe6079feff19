//! Frames of Zstandard (RFC 8878) as what they were before they were compressed, block by block.
//!
//! Memory is bounded: a frame whose window is larger than RFC 9659 permits is refused, and decoding stops at the maximum size that the
//! caller gives. So is the number of frames.

use std::io;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder, errors::FrameDecoderError};

use super::encoding::Decoded;

/// The largest window of a frame, in bytes (RFC 9659 section 3).
const MAX_WINDOW: u64 = 8 << 20;

/// The maximum number of frames of one body, those that are skipped among them: each takes time, and may hold nothing.
const MAX_FRAMES: usize = 4096;

/// How a frame begins that is skipped, with any last four bits (RFC 8878 section 3.1.2).
const SKIPPABLE: u32 = 0x184D_2A50;

/// A last block of nothing, and room for a checksum: what ends a frame whose end was not held.
const END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// The content of one frame or more, of at most `most` bytes; `is_cut`: there was more of the body.
///
/// # Errors
/// It is something else, ends within a frame that was held whole, or has a window that is too large.
pub(super) fn decoded(mut body: &[u8], is_cut: bool, most: usize) -> io::Result<Decoded> {
    let mut content = Vec::new();
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut frames = 0;
    while !body.is_empty() && content.len() <= most {
        frames += 1;
        if frames > MAX_FRAMES {
            let said = format!("it has more than {MAX_FRAMES} frames");
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        if let Some(length) = skippable(body) {
            let Some(behind) = body.get(length..) else {
                ended(is_cut)?;
                break;
            };
            body = behind;
            continue;
        }
        let begun = decoder.reset(&mut body);
        if begun.is_err() && body.is_empty() && is_cut {
            break;
        }
        begun.map_err(invalid)?;
        frame(&mut decoder, &mut body, is_cut, most, &mut content)?;
    }
    let is_cut = is_cut || content.len() > most;
    content.truncate(most);
    Ok(Decoded { content, is_cut })
}

fn frame(
    decoder: &mut FrameDecoder,
    body: &mut &[u8],
    is_cut: bool,
    most: usize,
    content: &mut Vec<u8>,
) -> io::Result<()> {
    while !decoder.is_finished() && content.len() <= most {
        if let Err(error) = decoder.decode_blocks(&mut *body, BlockDecodingStrategy::UptoBlocks(1)) {
            if !body.is_empty() || !is_cut {
                return Err(invalid(error));
            }
            // What was decoded is held back for blocks that may refer to it: none does.
            decoder.decode_blocks(&END[..], BlockDecodingStrategy::UptoBlocks(1)).map_err(invalid)?;
            decoder.collect_to_writer(content)?;
            return Ok(());
        }
        decoder.collect_to_writer(&mut *content)?;
    }
    let sums = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
    match sums {
        (Some(said), Some(found)) if decoder.is_finished() && said != found => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another one"))
        }
        _ => Ok(()),
    }
}

/// The length of the frame to be skipped that a body begins with, if it does.
fn skippable(body: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
    let is_skippable = number(0)? & 0xFFFF_FFF0 == SKIPPABLE;
    let length = number(4).filter(|_| is_skippable)?;
    usize::try_from(length).ok()?.checked_add(8)
}

fn ended(is_cut: bool) -> io::Result<()> {
    if is_cut { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn coded(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn content(body: &[u8], is_cut: bool) -> Option<(Vec<u8>, bool)> {
        decoded(body, is_cut, 1 << 20).ok().map(|Decoded { content, is_cut }| (content, is_cut))
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let skipped = [&SKIPPABLE.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        let body = [&skipped[..], &coded(b"hel"), &skipped, &coded(b"lo")].concat();
        assert_eq!(content(&body, false), Some((b"hello".to_vec(), false)));
        let mut unfinished = skipped.clone();
        unfinished.truncate(9);
        assert_eq!(content(&unfinished, false), None);
        assert_eq!(content(&unfinished, true), Some((Vec::new(), true)));
    }

    #[test]
    fn a_body_has_a_limited_number_of_frames() {
        let nothing = [0x28, 0xB5, 0x2F, 0xFD, 0, 13 << 3, 1, 0, 0];
        assert_eq!(content(&nothing.repeat(MAX_FRAMES), false), Some((Vec::new(), false)));
        let error = decoded(&nothing.repeat(MAX_FRAMES + 1), true, 10).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 4096 frames");
        let skipped = [&SKIPPABLE.to_le_bytes()[..], &[0; 4]].concat();
        assert!(decoded(&skipped.repeat(MAX_FRAMES + 1), false, 10).is_err());
    }

    #[test]
    fn the_beginning_of_what_was_not_held_to_its_end_is_known() {
        // More than a block holds.
        let whole: Vec<u8> = (0..300_000_u32).map(|n| (n / 7 % 251) as u8).collect();
        let body = coded(&whole);
        for length in [1, 5, 12, body.len() / 2, body.len() - 1] {
            let (found, is_cut) = content(&body[..length], true).unwrap();
            assert!(is_cut && whole.starts_with(&found), "{length}");
            assert_eq!(content(&body[..length], false), None, "{length}");
        }
        let (most_of_it, _) = content(&body[..body.len() - 5], true).unwrap();
        assert!(most_of_it.len() >= 128 << 10, "{}", most_of_it.len());
    }

    #[test]
    fn a_window_is_not_larger_than_content_codings_may_have() {
        // Magic number, no flags, the exponent of the window, and an empty last block.
        let with_window = |exponent: u8| [0x28, 0xB5, 0x2F, 0xFD, 0, exponent << 3, 1, 0, 0];
        assert_eq!(content(&with_window(13), false), Some((Vec::new(), false)), "8 MiB");
        for exponent in [14, 31] {
            assert!(decoded(&with_window(exponent), true, 10).is_err(), "{exponent}");
        }
    }

    #[test]
    fn no_more_comes_out_than_may_be_held_and_a_checksum_is_checked() {
        let bomb = coded(&vec![0; 8 << 20]);
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        for most in [0, 1, 5000] {
            let Decoded { content, is_cut } = decoded(&bomb, false, most).unwrap();
            assert_eq!((content.len(), is_cut), (most, true));
        }
        // Magic number, a checksum and one segment, of 5 bytes; they are the last block, as they are.
        let head = [0x28, 0xB5, 0x2F, 0xFD, 0x24, 5, 41, 0, 0];
        let wrong = [&head[..], b"hello", &[0; 4]].concat();
        let error = decoded(&wrong, false, 100).unwrap_err().to_string();
        assert_eq!(error, "its checksum is another one");
    }
}
