//! Content that a server has compressed, as it was before: for checks of it, and to be shown.
//!
//! What comes out is bounded, whatever goes in, and so is what it takes: a window is at most 16 MiB. gzip, deflate, br and zstd are decoded,
//! which is what browsers accept; others are named.

use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use flate2::{
    bufread::GzDecoder,
    read::{DeflateDecoder, ZlibDecoder},
};
use wire::Fields;

use super::zstandard;

/// The maximum number of codings of one body, each of which is decoded on its own.
const MAX_CODINGS: usize = 4;

/// The maximum number of members of a body in gzip: empty ones give nothing, and each takes its time.
const MAX_MEMBERS: usize = 4096;

/// What is read at a time of content in br, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// Content without its codings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) content: Vec<u8>,
    /// Whether there is more than may be held, or more than what came was held of.
    pub(crate) is_cut: bool,
}

/// The codings that a head says its content has (RFC 9110 section 8.4), in lower case; none without any.
pub(crate) fn of(fields: &Fields) -> Option<String> {
    let values =
        fields.get_all("content-encoding").map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
    let all = values.collect::<Vec<_>>().join(",");
    let is_coded = named(&all).next().is_some();
    is_coded.then_some(all)
}

/// The content of a body with these codings, of at most `most` bytes; `is_cut`: there was more of the body.
///
/// # Errors
/// It can't be decoded, and why.
pub(crate) fn decoded(codings: &str, body: &[u8], is_cut: bool, most: usize) -> Result<Decoded, String> {
    let mut now = Decoded { content: body.to_vec(), is_cut };
    let codings: Vec<&str> = named(codings).collect();
    if codings.len() > MAX_CODINGS {
        return Err(format!("it has {} codings, and at most {MAX_CODINGS} are decoded", codings.len()));
    }
    // The one that was applied last is the first to go. A body of nothing has none: that of HEAD, for one.
    for coding in codings.into_iter().rev().filter(|_| !body.is_empty()) {
        let Decoded { content, is_cut } = now;
        now = match coding {
            "gzip" | "x-gzip" => read(Members::of(&content), is_cut, most),
            // Some servers leave out the frame of zlib.
            "deflate" if is_zlib(&content) => read(ZlibDecoder::new(&*content), is_cut, most),
            // The decoder would take it, and as much memory as it asks for.
            "br" if has_large_window(&content) => Err(io::Error::other("its window is larger than RFC 7932 has them")),
            "br" => read(Decompressor::new(content.chain(EndOfInput), BROTLI_BUFFER), is_cut, most),
            "zstd" => zstandard::decoded(&content, is_cut, most),
            "deflate" => read(DeflateDecoder::new(&*content), is_cut, most),
            other => {
                let other: String = other.chars().take(20).collect();
                return Err(format!(
                    "it is in '{}', and only gzip, deflate, br and zstd are decoded (-H 'accept-encoding: gzip')",
                    other.escape_debug()
                ));
            }
        }
        .map_err(|error| format!("it is not {coding}: {error}"))?;
    }
    Ok(now)
}

fn named(codings: &str) -> impl Iterator<Item = &str> {
    codings.split(',').map(str::trim).filter(|coding| !coding.is_empty() && *coding != "identity")
}

/// Whether it begins as zlib does (RFC 1950 section 2.2).
fn is_zlib(content: &[u8]) -> bool {
    matches!(content, [method, flags, ..] if method & 0xf == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0)
}

/// Whether it begins as br does with windows of up to 1 GiB, which is what RFC 7932 section 9.1 keeps free.
fn has_large_window(content: &[u8]) -> bool {
    content.first().is_some_and(|first| first & 0x7f == 0x11)
}

/// Where what was held has ended: a decoder that asks for more has come to no end.
struct EndOfInput;

impl Read for EndOfInput {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Content in gzip, which may have several members (RFC 1952 section 2.2).
struct Members<'c> {
    /// The one that is read; none behind the last one.
    member: Option<GzDecoder<&'c [u8]>>,
    /// How many more there may be.
    more: usize,
}

impl<'c> Members<'c> {
    fn of(content: &'c [u8]) -> Self {
        Self { member: Some(GzDecoder::new(content)), more: MAX_MEMBERS - 1 }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let rest = *member.get_ref();
            self.member = (!rest.is_empty()).then(|| GzDecoder::new(rest));
            let more = self.more.checked_sub(usize::from(self.member.is_some()));
            self.more =
                more.ok_or_else(|| io::Error::other(format!("it has more than {MAX_MEMBERS} members")))?;
        }
        Ok(0)
    }
}

fn read(decoder: impl Read, is_cut: bool, most: usize) -> io::Result<Decoded> {
    let mut content = Vec::new();
    let mut decoder = decoder.take(most as u64 + 1);
    match decoder.read_to_end(&mut content) {
        // Its end was not held.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && is_cut => {}
        read => {
            read?;
            // A decoder may have ended where there is more.
            if !is_cut && content.len() <= most {
                let more = decoder.read(&mut [0])?;
                debug_assert_eq!(more, 0, "it had ended");
            }
        }
    }
    let is_cut = is_cut || content.len() > most;
    content.truncate(most);
    Ok(Decoded { content, is_cut })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const HELLO_IN_BR: &[u8] = b"\x0b\x02\x80hello\x03";

    fn coded(coding: &str, content: &[u8]) -> Vec<u8> {
        let level = Compression::fast();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            "zstd" => compress_to_vec(content, CompressionLevel::Fastest),
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn content(codings: &str, body: &[u8]) -> Result<(String, bool), String> {
        let Decoded { content, is_cut } = decoded(codings, body, false, 1000)?;
        Ok((String::from_utf8(content).unwrap(), is_cut))
    }

    #[test]
    fn content_is_as_it_was_before() {
        let hello = || Ok(("hello".to_owned(), false));
        assert_eq!(content("gzip", &coded("gzip", b"hello")), hello());
        assert_eq!(content("x-gzip", &coded("gzip", b"hello")), hello());
        assert_eq!(content("deflate", &coded("zlib", b"hello")), hello());
        assert_eq!(content("deflate", &coded("raw", b"hello")), hello());
        assert_eq!(content("deflate, gzip", &coded("gzip", &coded("zlib", b"hello"))), hello());
        assert_eq!(content("br", HELLO_IN_BR), hello());
        assert_eq!(content("zstd", &coded("zstd", b"hello")), hello());
        assert_eq!(content("br, zstd, gzip", &coded("gzip", &coded("zstd", HELLO_IN_BR))), hello());
        assert_eq!(content("identity", b"hello"), hello());
        let members = [coded("gzip", b"hel"), coded("gzip", b"lo")].concat();
        assert_eq!(content("gzip", &members), hello());
        assert_eq!(content("gzip", b""), Ok((String::new(), false)));
        let mut fields = Fields::new();
        assert_eq!(of(&fields), None);
        fields.push("content-encoding", "identity");
        assert_eq!(of(&fields), None);
        fields.push("content-encoding", "GZIP");
        assert_eq!(of(&fields).as_deref(), Some("identity,gzip"));
    }

    #[test]
    fn content_that_is_not_in_its_encoding_is_reported() {
        let whole = coded("gzip", &b"hello".repeat(50));
        for (codings, body, said) in [
            ("gzip", &b"hello"[..], "it is not gzip: "),
            ("gzip", &whole[..whole.len() - 9], "it is not gzip: "),
            ("deflate", b"\xff\xff\xff", "it is not deflate: "),
            ("br", b"\xff\xff\xff", "it is not br: "),
            ("br", &HELLO_IN_BR[..5], "it is not br: "),
            ("br", &[HELLO_IN_BR, b"junk"].concat(), "it is not br: "),
            // Windows of up to 1 GiB, which browsers do not take.
            ("br", b"\x11\x1e\x00\x00\x00", "it is not br: its window is larger than RFC 7932 has them"),
            ("zstd", b"hello", "it is not zstd: "),
            ("compress", b"x", "it is in 'compress', and only gzip, deflate, br and zstd"),
            ("gzip,gzip,gzip,gzip,gzip", b"x", "it has 5 codings, and at most 4"),
        ] {
            let error = content(codings, body).unwrap_err();
            assert!(error.starts_with(said), "{codings}: {error}");
        }
        // The beginning of what was not held to its end.
        let cut = decoded("gzip", &whole[..whole.len() - 9], true, 1000).unwrap();
        assert!(cut.is_cut && b"hello".repeat(50).starts_with(&cut.content));
        let cut = decoded("br", &HELLO_IN_BR[..6], true, 1000).unwrap();
        assert!(cut.is_cut && b"hello".starts_with(&cut.content));
    }

    #[test]
    fn no_more_comes_out_than_may_be_held() {
        let bomb = coded("gzip", &coded("gzip", &vec![0; 8 << 20]));
        assert!(bomb.len() < 1000, "{}", bomb.len());
        for most in [0, 1, 5000] {
            let Decoded { content, is_cut } =
                decoded("gzip", &coded("gzip", &vec![0; 1 << 20]), false, most).unwrap();
            assert_eq!((content.len(), is_cut), (most, true));
            let within = decoded("gzip,gzip", &bomb, false, most);
            assert!(within.is_ok_and(|within| within.content.len() <= most), "{most}");
        }
        for most in [0, 1, 4] {
            let Decoded { content, is_cut } = decoded("br", HELLO_IN_BR, false, most).unwrap();
            assert_eq!((content.len(), is_cut), (most, true));
        }
        let nothing = coded("gzip", b"");
        assert_eq!(content("gzip", &nothing.repeat(MAX_MEMBERS)), Ok((String::new(), false)));
        let error = content("gzip", &nothing.repeat(MAX_MEMBERS + 1)).unwrap_err();
        assert_eq!(error, "it is not gzip: it has more than 4096 members");
        let exact = decoded("gzip", &coded("gzip", b"hello"), false, 5).unwrap();
        assert_eq!(exact, Decoded { content: b"hello".to_vec(), is_cut: false });
    }
}
