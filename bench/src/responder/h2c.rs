//! HTTP/2 as the responder knows it: heads of frames, and a ready reply for each request.
//!
//! It decodes no fields, keeps no streams and counts no windows: its clients open large ones.

use http2::frame::{FrameHead, HEAD, flag, head, kind, ping};

/// Identifier of SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// More streams than any row opens.
const STREAMS: u32 = 1000;

/// The one reply: HEADERS and DATA, whose streams are filled in per request.
#[derive(Debug)]
pub(super) struct Reply {
    frames: Vec<u8>,
    /// Where the head of the DATA frame is.
    data_at: usize,
}

/// Bytes of a frame's head before its stream.
const STREAM_AT: usize = 5;

impl Reply {
    /// A reply with `body`, at most 16,384 bytes, which every client takes in one frame.
    pub(super) fn new(body: &[u8]) -> Self {
        let block = block(body.len());
        let mut frames = Vec::new();
        head(&mut frames, block.len(), kind::HEADERS, flag::END_HEADERS, 0);
        frames.extend_from_slice(&block);
        let data_at = frames.len();
        head(&mut frames, body.len(), kind::DATA, flag::END_STREAM, 0);
        frames.extend_from_slice(body);
        Self { frames, data_at }
    }

    fn write(&self, out: &mut Vec<u8>, stream: u32) {
        let start = out.len();
        out.extend_from_slice(&self.frames);
        for at in [start, start + self.data_at] {
            out[at + STREAM_AT..at + HEAD].copy_from_slice(&stream.to_be_bytes());
        }
    }
}

/// `:status: 200`, and two literals without indexing with names of the static table (RFC 7541 sections 6.2.2
/// and appendix A), which leaves nothing to remember.
fn block(length: usize) -> Vec<u8> {
    const STATUS_200: u8 = 0x88;
    const CONTENT_TYPE: [u8; 2] = [0x0f, 31 - 15];
    const CONTENT_LENGTH: [u8; 2] = [0x0f, 28 - 15];
    let mut block = vec![STATUS_200];
    for (name, value) in
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, length.to_string())]
    {
        block.extend_from_slice(&name);
        // No value here is longer than what fits in this byte.
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// Writes what a server says first (RFC 9113 section 3.4).
pub(super) fn greet(out: &mut Vec<u8>) {
    head(out, 6, kind::SETTINGS, 0, 0);
    out.extend_from_slice(&MAX_CONCURRENT_STREAMS.to_be_bytes());
    out.extend_from_slice(&STREAMS.to_be_bytes());
}

/// Answers all whole frames at the front of `bytes` and gives how many bytes those were.
pub(super) fn answer(bytes: &[u8], reply: &Reply, out: &mut Vec<u8>) -> usize {
    let mut done = 0;
    while let Some(frame) = FrameHead::read(&bytes[done..]) {
        let start = done + HEAD;
        let Some(payload) = bytes.get(start..start + frame.len) else { break };
        match frame.kind {
            kind::HEADERS if frame.has(flag::END_STREAM) => reply.write(out, frame.stream),
            kind::SETTINGS if !frame.has(flag::ACK) => head(out, 0, kind::SETTINGS, flag::ACK, 0),
            kind::PING if !frame.has(flag::ACK) => {
                if let Some(&payload) = payload.first_chunk() {
                    ping(out, true, payload);
                }
            }
            _ => {}
        }
        done = start + frame.len;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, flags and stream of each frame, and what it carries.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, &[u8])> {
        let mut list = Vec::new();
        while let Some(frame) = FrameHead::read(bytes) {
            let (payload, rest) = bytes[HEAD..].split_at(frame.len);
            list.push((frame.kind, frame.flags, frame.stream, payload));
            bytes = rest;
        }
        assert!(bytes.is_empty(), "the last frame is whole");
        list
    }

    fn request(out: &mut Vec<u8>, stream: u32, flags: u8) {
        head(out, 2, kind::HEADERS, flags, stream);
        out.extend_from_slice(&[0x82, 0x86]);
    }

    #[test]
    fn each_request_gets_headers_and_data_on_its_stream() {
        let reply = Reply::new(b"hello");
        let mut bytes = Vec::new();
        for stream in [1, 3] {
            request(&mut bytes, stream, flag::END_HEADERS | flag::END_STREAM);
        }
        let mut out = Vec::new();
        assert_eq!(answer(&bytes, &reply, &mut out), bytes.len());
        let block = block(5);
        let expected: Vec<(u8, u8, u32, &[u8])> = [1, 3]
            .into_iter()
            .flat_map(|stream| {
                [
                    (kind::HEADERS, flag::END_HEADERS, stream, &block[..]),
                    (kind::DATA, flag::END_STREAM, stream, &b"hello"[..]),
                ]
            })
            .collect();
        assert_eq!(frames(&out), expected);
    }

    #[test]
    fn settings_and_pings_are_acknowledged_and_acknowledgements_are_not() {
        let mut bytes = Vec::new();
        greet(&mut bytes);
        ping(&mut bytes, false, *b"12345678");
        head(&mut bytes, 0, kind::SETTINGS, flag::ACK, 0);
        ping(&mut bytes, true, *b"12345678");
        // More to come, a window and an unknown kind.
        request(&mut bytes, 1, flag::END_HEADERS);
        http2::frame::window_update(&mut bytes, 0, 1);
        head(&mut bytes, 0, 99, 1, 1);
        let mut out = Vec::new();
        assert_eq!(answer(&bytes, &Reply::new(b""), &mut out), bytes.len());
        let expected: [(u8, u8, u32, &[u8]); 2] =
            [(kind::SETTINGS, flag::ACK, 0, b""), (kind::PING, flag::ACK, 0, b"12345678")];
        assert_eq!(frames(&out), expected);
    }

    #[test]
    fn an_incomplete_frame_is_left_unread() {
        let mut bytes = Vec::new();
        ping(&mut bytes, false, *b"12345678");
        let whole = bytes.len();
        request(&mut bytes, 1, flag::END_STREAM);
        for cut in whole..bytes.len() {
            let mut out = Vec::new();
            assert_eq!(answer(&bytes[..cut], &Reply::new(b""), &mut out), whole, "cut at {cut}");
        }
    }
}
