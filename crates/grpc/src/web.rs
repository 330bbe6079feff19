//! gRPC-Web: messages are framed as in gRPC, the trailers are a last frame of the body, and in the text form all of it
//! is in base64. Which calls a page may make is decided by CORS, not here.

use base64::{
    DecodeError, Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::BytesMut;

use crate::{
    ends_type,
    message::{Invalid, PREFIX, Prefix},
};

/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// Bytes of text that are decoded in one step: whole groups of four.
const GROUPS: usize = 16 << 10;
/// The base64 of bodies and of binary metadata: peers may pad or not (gRPC over HTTP/2, "Custom-Metadata"), and padding
/// stands wherever a peer has flushed.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a body consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Frames.
    Binary,
    /// Frames in base64.
    Text,
}

impl Form {
    /// The form that a content type names; none if it is not gRPC-Web's.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let rest = content_type.strip_prefix(b"application/grpc-web")?;
        let (form, rest) = match rest.strip_prefix(b"-text") {
            Some(rest) => (Self::Text, rest),
            None => (Self::Binary, rest),
        };
        ends_type(rest).then_some(form)
    }

    /// Its content type, with Protobuf as the format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        }
    }
}

/// A frame of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// A message.
    Message {
        /// Whether it is compressed.
        compressed: bool,
        /// The message without its prefix.
        content: &'b [u8],
    },
    /// The trailers, as lines; see [`fields`].
    Trailers(&'b [u8]),
}

impl<'b> Frame<'b> {
    /// Takes a frame off the front of a body; none when it has not come whole.
    ///
    /// # Errors
    /// The frame is invalid.
    pub fn read(body: &mut &'b [u8]) -> Result<Option<Self>, Invalid> {
        let Some((flag, after)) = body.split_first() else { return Ok(None) };
        let Some(length) = after.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((content, rest)) = body[PREFIX..].split_at_checked(length) else { return Ok(None) };
        let frame = match *flag {
            TRAILERS => Self::Trailers(content),
            flag @ (0 | 1) => Self::Message { compressed: flag == 1, content },
            flag => return Err(Invalid::Flag(flag)),
        };
        *body = rest;
        Ok(Some(frame))
    }
}

/// Names and values of trailers that came in a frame. A line without a colon is a name without a value.
pub fn fields(trailers: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = trailers.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        (line[..colon].trim_ascii(), line.get(colon + 1..).unwrap_or_default().trim_ascii())
    })
}

/// The frame of trailers.
#[must_use]
pub fn trailers<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> Vec<u8> {
    let mut framed = vec![0; PREFIX];
    for (name, value) in fields {
        for part in [name, b": ", value, b"\r\n"] {
            framed.extend_from_slice(part);
        }
    }
    let length = (framed.len() - PREFIX) as u32;
    framed[..PREFIX].copy_from_slice(&Prefix { compressed: false, length }.bytes());
    framed[0] = TRAILERS;
    framed
}

/// A part of a body in base64, with its padding.
#[must_use]
pub fn encode(part: &[u8]) -> String {
    BASE64.encode(part)
}

/// Decodes a body in base64 as it comes.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Text that does not make a whole group of four yet.
    rest: Vec<u8>,
}

impl Decoder {
    /// Bytes of text that wait for the rest of their group.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Adds to `body` what the next part of the text says.
    ///
    /// # Errors
    /// It is not base64.
    pub fn decode(&mut self, part: &[u8], body: &mut BytesMut) -> Result<(), DecodeError> {
        self.rest.extend_from_slice(part);
        self.rest.retain(|byte| !byte.is_ascii_whitespace());
        self.decode_groups(self.rest.len() / 4 * 4, body)
    }

    /// Adds what is left at the end of the text.
    ///
    /// # Errors
    /// It is not base64.
    pub fn finish(&mut self, body: &mut BytesMut) -> Result<(), DecodeError> {
        self.decode_groups(self.rest.len(), body)
    }

    fn decode_groups(&mut self, length: usize, body: &mut BytesMut) -> Result<(), DecodeError> {
        let mut groups = &self.rest[..length];
        while !groups.is_empty() {
            // Padding ends what is decoded in one step.
            let most = groups.len().min(GROUPS);
            let padding = groups[..most].iter().position(|byte| *byte == b'=');
            let part = padding.map_or(most, |at| ((at / 4 + 1) * 4).min(groups.len()));
            body.extend_from_slice(&BASE64.decode(&groups[..part])?);
            groups = &groups[part..];
        }
        self.rest.drain(..length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text says that comes in pieces of `size`.
    fn decoded(text: &[u8], size: usize) -> Result<BytesMut, DecodeError> {
        let (mut decoder, mut body) = (Decoder::default(), BytesMut::new());
        for part in text.chunks(size) {
            decoder.decode(part, &mut body)?;
            assert!(decoder.len() < 4);
        }
        decoder.finish(&mut body)?;
        assert!(decoder.is_empty());
        Ok(body)
    }

    #[test]
    fn text_is_decoded_in_pieces_of_any_size_with_padding_anywhere() {
        let long = encode(&[7; 20_000]);
        for (text, expected) in [
            ("", &b""[..]),
            ("AAECAw==", b"\0\x01\x02\x03"),
            ("AAECAw", b"\0\x01\x02\x03"),
            ("AA==AQ==AgM=", b"\0\x01\x02\x03"),
            (" AAEC\r\nAw== ", b"\0\x01\x02\x03"),
            (&long, &[7; 20_000]),
        ] {
            for size in [1, 3, 4, 5, 1000, 100_000] {
                assert_eq!(decoded(text.as_bytes(), size).as_deref(), Ok(expected), "{size}");
            }
        }
        for text in [&b"!!!!"[..], b"AAAAA"] {
            assert!(decoded(text, 9).is_err());
        }
    }

    #[test]
    fn forms_are_detected_by_content_type() {
        for (content_type, expected) in [
            ("application/grpc-web", Some(Form::Binary)),
            ("application/grpc-web+proto", Some(Form::Binary)),
            ("application/grpc-web; charset=utf-8", Some(Form::Binary)),
            ("application/grpc-web-text", Some(Form::Text)),
            ("application/grpc-web-text+proto", Some(Form::Text)),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("application/grpc-webx", None),
        ] {
            assert_eq!(Form::of(content_type.as_bytes()), expected, "{content_type}");
        }
        for form in [Form::Binary, Form::Text] {
            assert_eq!(Form::of(form.content_type().as_bytes()), Some(form));
        }
    }

    #[test]
    fn frames_round_trip() {
        let lines = [(&b"grpc-status"[..], &b"0"[..]), (b"x", b"a: b")];
        let body = [&b"\0\0\0\0\x02hi\x01\0\0\0\0"[..], &trailers(lines.into_iter())].concat();
        for end in 0..body.len() {
            let mut rest = &body[..end];
            while Frame::read(&mut rest).unwrap().is_some() {}
            assert!(!rest.is_empty() || [0, 7, 12].contains(&end), "{end}");
        }
        let mut rest = &body[..];
        let mut next = || Frame::read(&mut rest).unwrap();
        assert_eq!(next(), Some(Frame::Message { compressed: false, content: b"hi" }));
        assert_eq!(next(), Some(Frame::Message { compressed: true, content: b"" }));
        let Some(Frame::Trailers(found)) = next() else { panic!("trailers come last") };
        assert_eq!(found, b"grpc-status: 0\r\nx: a: b\r\n");
        assert_eq!(fields(found).collect::<Vec<_>>(), lines);
        assert_eq!(next(), None);
        assert_eq!(Frame::read(&mut &b"\x02\0\0\0\0"[..]), Err(Invalid::Flag(2)));
    }
}
