//! Frames of WebSocket: the same bytes in other pieces mean the same, nothing that comes out is larger than allowed, and
//! what was read is read again when it is written.

#[path = "../../../dummy-server/src/endpoints/websocket/frames.rs"]
#[expect(dead_code, reason = "names for what the server alone sends")]
mod frames;

use std::mem::discriminant;

use self::frames::{Broken, Event, Reader, code, opcode};
use crate::feedback::met;

/// Words that frames are made of; masks of zero leave contents as they are.
pub const WORDS: &[&[u8]] = &[
    &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'],
    &[0x82, 0x80, 0, 0, 0, 0],
    &[0x01, 0x83, 0, 0, 0, 0, b'g', b'r', 0xc3],
    &[0x80, 0x82, 0, 0, 0, 0, 0xbc, b'n'],
    &[0x00, 0x81, 1, 2, 3, 4, 5],
    &[0x89, 0x81, 9, 9, 9, 9, 0],
    &[0x8a, 0x80, 0, 0, 0, 0],
    &[0x88, 0x80, 0, 0, 0, 0],
    &[0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, b'x'],
    &[0x82, 0xfe, 0, 126, 0, 0, 0, 0],
    &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// What control frames carry at most.
const LARGEST_CONTROL: usize = 125;

/// The largest message and the largest frame: such that inputs of a few bytes can meet, or those of the default.
fn limits(small: bool) -> (usize, usize) {
    if small { (100, 60) } else { (16 << 20, 16 << 20) }
}

/// What was read, and whether the rest of something is awaited then.
type Said = (Vec<Event>, Result<bool, Broken>);

fn read(input: &[u8], piece: usize, (message, frame): (usize, usize)) -> Said {
    let mut reader = Reader::new(message, frame as u64);
    let mut events = Vec::new();
    for mut part in input.chunks(piece) {
        loop {
            let before = part.len();
            match reader.read(&mut part) {
                Ok(Some(event)) => {
                    assert!(part.len() < before, "reading goes on");
                    // In how many frames a message came is not what it means.
                    if event != Event::Fragment {
                        events.push(event);
                    }
                }
                Ok(None) => break,
                Err(broken) => return (events, Err(broken)),
            }
        }
        assert!(part.is_empty(), "all is taken");
    }
    (events, Ok(reader.is_within()))
}

/// What the rules say of everything that comes out.
fn check(event: &Event, largest: usize) {
    match event {
        Event::Message { text, content } => {
            assert!(content.len() <= largest);
            assert!(content.capacity() <= 2 * largest, "{} for {}", content.capacity(), content.len());
            assert!(!text || std::str::from_utf8(content).is_ok());
        }
        Event::Ping(content) => assert!(content.len() <= LARGEST_CONTROL),
        Event::Pong | Event::Fragment => {}
        Event::Close(content) => {
            assert!(content.len() <= LARGEST_CONTROL && content.len() != 1);
            if let Some((why, reason)) = content.split_first_chunk() {
                assert!((code::NORMAL..5000).contains(&u16::from_be_bytes(*why)));
                assert!(std::str::from_utf8(reason).is_ok());
            }
        }
    }
}

/// A frame as a client sends it: the server's own head, and a mask.
fn write(out: &mut Vec<u8>, opcode: u8, last: bool, content: &[u8]) {
    let mask = [content.len() as u8, 0x5a, 0, 0xff];
    let start = out.len();
    frames::head(out, opcode, last, content.len());
    out[start + 1] |= 0x80;
    out.extend_from_slice(&mask);
    out.extend(content.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The bytes of these events, with messages in fragments of at most so many bytes.
fn written(events: &[Event], fragment: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        match event {
            Event::Message { text, content } => {
                let mut kind = if *text { opcode::TEXT } else { opcode::BINARY };
                let mut rest = &content[..];
                loop {
                    let (part, after) = rest.split_at(fragment.min(rest.len()));
                    write(&mut out, kind, after.is_empty(), part);
                    if after.is_empty() {
                        break;
                    }
                    (kind, rest) = (opcode::CONTINUATION, after);
                }
            }
            Event::Ping(content) => write(&mut out, opcode::PING, true, content),
            Event::Fragment => {}
            Event::Pong => write(&mut out, opcode::PONG, true, b""),
            Event::Close(content) => write(&mut out, opcode::CLOSE, true, content),
        }
    }
    out
}

/// The first byte chooses the limits, and the size of pieces and fragments.
pub fn run(input: &[u8]) {
    let Some((&config, rest)) = input.split_first() else { return };
    let (limits, piece) = (limits(config & 0x80 != 0), usize::from(config & 0x7f) + 1);
    let whole = read(rest, rest.len().max(1), limits);
    for piece in [1, piece] {
        assert_eq!(read(rest, piece, limits), whole, "in pieces of {piece}");
    }
    let (events, verdict) = whole;
    let mut before = None;
    for event in &events {
        check(event, limits.0);
        let size = match event {
            Event::Message { text, content } => content.len().min(600) / 50 + usize::from(*text),
            Event::Ping(content) | Event::Close(content) => content.len() / 40,
            Event::Pong | Event::Fragment => 0,
        };
        met((discriminant(event), size, before));
        before = Some(discriminant(event));
    }
    met((verdict.map_err(|broken| (broken.code, broken.reason)), before));
    for piece in [piece, usize::MAX] {
        let bytes = written(&events, piece.min(limits.1));
        let again = read(&bytes, piece.min(bytes.len().max(1)), limits);
        assert_eq!((&again.0, again.1), (&events, Ok(false)), "what was written is read");
    }
}
