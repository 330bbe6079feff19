//! `/digest` and `/bin/{size}?digest=true`: digests of what was received, and of what is sent, so that a change on the
//! way is noticed.

use std::task::{Context, Poll};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use contract::{field, pattern};
use http::StatusCode;
use serde_json::json;

use crate::message::{
    reply::{Answer, Body, JSON, Part, Reply, Stream, Whole, reading},
    upload::Upload,
};

/// Bytes that are digested and sent in one piece.
const PIECE: u64 = 64 << 10;

/// CRC-32C and SHA-256 of bytes as they come.
struct Digests {
    crc32c: u32,
    sha256: digest::Context,
}

impl Digests {
    fn new() -> Self {
        Self { crc32c: 0, sha256: digest::Context::new(&digest::SHA256) }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.sha256.update(bytes);
    }

    fn sha256(&self) -> digest::Digest {
        self.sha256.clone().finish()
    }
}

/// Reads the body and answers with its digests, in JSON and as trailers.
pub(super) fn handle(mut upload: Upload) -> Answer {
    reading(async move {
        let (mut digests, mut received) = (Digests::new(), 0);
        while let Some(part) = upload.pull(usize::MAX).await {
            let part = part.map_err(|error| (received, error))?;
            digests.update(&part);
            received += part.len() as u64;
        }
        let crc32c = format!("{:08x}", digests.crc32c);
        let sha256: String = digests.sha256().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let value = json!({ "bytes_received": received, "crc32c": crc32c, "sha256": sha256 });
        let trailers = [(field::CRC32C, crc32c), (field::SHA256, sha256)].into_iter().collect();
        let body = Whole::body(format!("{value}\n").into(), Part::Trailers(trailers), None);
        let mut reply = Reply::new(StatusCode::OK, JSON, body);
        reply.fields.push("trailer", format!("{}, {}", field::CRC32C, field::SHA256));
        Ok(reply)
    })
}

/// Adds to a reply of the pattern the digests of its content, as trailer `Content-Digest` (RFC 9530 section 2).
pub(super) fn trailing(mut reply: Reply) -> Reply {
    if let Body::Pattern { range, .. } = &reply.body {
        let digested = Digested { range: range.clone(), digests: Digests::new(), ended: false };
        reply.fields.push("trailer", CONTENT_DIGEST);
        reply.body = Body::Stream(Box::new(digested));
    }
    reply
}

const CONTENT_DIGEST: &str = "content-digest";

/// A range of the pattern, with its digests behind it.
struct Digested {
    range: pattern::Range,
    digests: Digests,
    ended: bool,
}

impl Stream for Digested {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.range.left() > 0 {
            let piece = self.range.piece(PIECE);
            self.digests.update(piece);
            return Poll::Ready(Some(Part::Data(Bytes::from_static(piece))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let sha256 = BASE64_STANDARD.encode(self.digests.sha256());
        let crc32c = BASE64_STANDARD.encode(self.digests.crc32c.to_be_bytes());
        let value = format!("sha-256=:{sha256}:, crc32c=:{crc32c}:");
        Poll::Ready(Some(Part::Trailers([(CONTENT_DIGEST, value)].into_iter().collect())))
    }
}
