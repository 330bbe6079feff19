//! Frames of WebSocket, read by either role: the same bytes in other pieces mean the same, nothing that comes out is
//! larger than allowed, and what was read is read again when it is written.

use std::mem::discriminant;

use contract::{
    id::{self, Id},
    ledger::{MESSAGE_TOKEN, message_id},
};
use websocket::{Event, Limits, MAX_CONTROL, Reader, Role, Violation, code, opcode, write};

use crate::feedback::met;

/// Words that frames are made of, with masks and without; masks of zero leave contents as they are.
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
    &[0x81, 0x02, b'h', b'i'],
    &[0x82, 0x00],
    &[0x01, 0x03, b'g', b'r', 0xc3],
    &[0x80, 0x02, 0xbc, b'n'],
    &[0x00, 0x01, 5],
    &[0x89, 0x01, 0],
    &[0x8a, 0x00],
    &[0x88, 0x00],
    &[0x88, 0x03, 3, 0xe8, b'x'],
    &[0x82, 0x7e, 0, 126],
    &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
    &[0x81, 0xab, 0, 0, 0, 0],
    &[0x82, 0x2c],
    b"dummy-token=00000abc-00-00000000000000ff-01",
];

/// Limits that inputs of a few bytes can meet, or those that they can't.
fn limits(small: bool) -> Limits {
    if small {
        Limits { message: 100, frame: 60, fragments: 3 }
    } else {
        Limits { fragments: u64::MAX, ..Limits::default() }
    }
}

/// What was read, and whether the rest of something is awaited then.
type Said = (Vec<Event>, Result<bool, Violation>);

fn read(role: Role, input: &[u8], piece: usize, limits: Limits) -> Said {
    let mut reader = Reader::new(role, limits);
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
                Err(violation) => return (events, Err(violation)),
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
            check_token(content);
        }
        Event::Ping(content) | Event::Pong(content) => assert!(content.len() <= MAX_CONTROL),
        Event::Fragment => {}
        Event::Close(close) => {
            let content = close.as_bytes();
            assert!(content.len() <= MAX_CONTROL && content.len() != 1);
            assert_eq!(close.code().is_some(), content.len() >= 2);
            assert!(close.code().is_none_or(|code| (code::NORMAL..5000).contains(&code)));
            assert_eq!(close.reason().as_bytes(), content.get(2..).unwrap_or_default());
        }
    }
}

/// The id of a message is the one that it begins with, as it is written.
fn check_token(content: &[u8]) {
    let (prefix, rest) = content.split_at(content.len().min(MESSAGE_TOKEN.len()));
    let Some(id) = message_id(content) else {
        let has_id = rest.get(..id::LENGTH).is_some_and(|text| Id::read(text).is_some());
        return assert!(prefix != MESSAGE_TOKEN || !has_id, "{content:?}");
    };
    assert!(prefix == MESSAGE_TOKEN && rest.starts_with(&id.text()), "{content:?}");
    met(("token", id.attempt == 0, rest.len() > id::LENGTH));
}

/// Adds a frame as the other end of `reader` sends it.
fn frame(out: &mut Vec<u8>, reader: Role, opcode: u8, last: bool, content: &[u8]) {
    let mask = (reader == Role::Server).then_some([content.len() as u8, 0x5a, 0, 0xff]);
    write::frame(out, opcode, last, content, mask);
}

/// The bytes of these events, with messages in fragments of at most `fragment` bytes.
fn written(reader: Role, events: &[Event], fragment: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = |opcode, last, content: &[u8]| frame(&mut out, reader, opcode, last, content);
    for event in events {
        match event {
            Event::Message { text, content } => {
                let mut kind = if *text { opcode::TEXT } else { opcode::BINARY };
                let mut rest = &content[..];
                loop {
                    let (part, after) = rest.split_at(fragment.min(rest.len()));
                    frame(kind, after.is_empty(), part);
                    if after.is_empty() {
                        break;
                    }
                    (kind, rest) = (opcode::CONTINUATION, after);
                }
            }
            Event::Ping(content) => frame(opcode::PING, true, content),
            Event::Fragment => {}
            Event::Pong(content) => frame(opcode::PONG, true, content),
            Event::Close(close) => frame(opcode::CLOSE, true, close.as_bytes()),
        }
    }
    out
}

/// The first byte chooses the limits, and the size of pieces and fragments.
pub fn run(input: &[u8]) {
    let Some((&config, rest)) = input.split_first() else { return };
    let (limits, piece) = (limits(config & 0x80 != 0), usize::from(config & 0x7f) + 1);
    for role in [Role::Server, Role::Client] {
        run_as(role, rest, piece, limits);
    }
}

fn run_as(role: Role, input: &[u8], piece: usize, limits: Limits) {
    let whole = read(role, input, input.len().max(1), limits);
    for piece in [1, piece] {
        assert_eq!(read(role, input, piece, limits), whole, "in pieces of {piece}");
    }
    let (events, verdict) = whole;
    let mut before = None;
    for event in &events {
        check(event, limits.message);
        let size = match event {
            Event::Message { text, content } => content.len().min(600) / 50 + usize::from(*text),
            Event::Ping(content) => content.len() / 40,
            Event::Close(close) => close.as_bytes().len() / 40,
            Event::Pong(_) | Event::Fragment => 0,
        };
        met((role as u8, discriminant(event), size, before));
        before = Some(discriminant(event));
    }
    met((role as u8, verdict, before));
    // In whole messages, and in as many fragments as there may be.
    let least = limits.message.div_ceil(usize::try_from(limits.fragments).unwrap_or(usize::MAX));
    let largest = usize::try_from(limits.frame).unwrap_or(usize::MAX);
    for piece in [piece, usize::MAX] {
        // Both ends write what the other reads.
        for reader in [role, other(role)] {
            let bytes = written(reader, &events, piece.clamp(least, largest));
            let again = read(reader, &bytes, piece.min(bytes.len().max(1)), limits);
            assert_eq!((&again.0, again.1), (&events, Ok(false)), "what was written is read");
        }
    }
}

const fn other(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}
