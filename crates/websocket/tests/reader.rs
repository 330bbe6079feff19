//! What a reader makes of bytes, in pieces of any size.

use websocket::{Close, Event, Limits, Reader, Role, Violation, code, opcode, write};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LIMITS: Limits = Limits { message: 1000, frame: 500, fragments: 4 };

/// What the peer of that role's end puts on its frames.
fn mask(reader: Role) -> Option<[u8; 4]> {
    (reader == Role::Server).then_some([7, 1, 250, 99])
}

/// A frame with that first byte.
fn frame(reader: Role, first: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write::frame(&mut bytes, first, false, content, mask(reader));
    bytes
}

/// All events of these bytes, when they come in such pieces.
fn events(role: Role, bytes: &[u8], piece: usize) -> Result<Vec<Event>, Violation> {
    let mut reader = Reader::new(role, LIMITS);
    let mut events = Vec::new();
    for mut input in bytes.chunks(piece) {
        while let Some(event) = reader.read(&mut input)? {
            if event != Event::Fragment {
                events.push(event);
            }
        }
        assert!(input.is_empty());
    }
    assert!(!reader.is_within());
    Ok(events)
}

fn close_of(content: &[u8]) -> Close {
    let mut reader = Reader::new(Role::Client, LIMITS);
    match reader.read(&mut &frame(Role::Client, FIN | opcode::CLOSE, content)[..]) {
        Ok(Some(Event::Close(close))) => close,
        other => panic!("{other:?} is not a close frame"),
    }
}

#[test]
fn messages_and_control_frames_come_out_however_they_are_cut() {
    let long = vec![b'x'; 400];
    for role in [Role::Server, Role::Client] {
        let frame = |first, content: &[u8]| frame(role, first, content);
        let bytes = [
            frame(FIN | opcode::TEXT, "grün".as_bytes()),
            frame(opcode::TEXT, b"gr\xc3"),
            frame(FIN | opcode::PING, b"there?"),
            frame(opcode::CONTINUATION, b""),
            frame(FIN | opcode::CONTINUATION, b"\xbcn"),
            frame(FIN | opcode::PONG, b"!"),
            frame(FIN | opcode::BINARY, &long),
            frame(FIN | opcode::BINARY, b""),
            frame(FIN | opcode::CLOSE, b"\x03\xe8bye"),
            frame(FIN | opcode::CLOSE, b""),
        ]
        .concat();
        let text = || Event::Message { text: true, content: "grün".into() };
        for piece in [1, 2, 3, 7, 64, bytes.len()] {
            let expected = [
                text(),
                Event::Ping(b"there?".into()),
                text(),
                Event::Pong(b"!".into()),
                Event::Message { text: false, content: long.clone() },
                Event::Message { text: false, content: Vec::new() },
                Event::Close(close_of(b"\x03\xe8bye")),
                Event::Close(close_of(b"")),
            ];
            assert_eq!(events(role, &bytes, piece).unwrap(), expected, "{role:?} {piece}");
        }
    }
}

#[test]
fn each_broken_rule_has_a_close_code() {
    for role in [Role::Server, Role::Client] {
        let frame = |first, content: &[u8]| frame(role, first, content);
        let mut other_role = frame(FIN | opcode::TEXT, b"");
        other_role[1] ^= MASKED;
        let other = if role == Role::Server { Violation::NotMasked } else { Violation::Masked };
        let bit = mask(role).map_or(0, |_| MASKED);
        let wide = [&[FIN | opcode::TEXT, bit | 126, 0, 125][..], &[0; 129]].concat();
        let huge = |first| [&[FIN | opcode::BINARY, bit | 127, first][..], &[0; 11]].concat();
        for (bytes, violation, code) in [
            (other_role, other, code::PROTOCOL_ERROR),
            (wide, Violation::Length, code::PROTOCOL_ERROR),
            (huge(0x80), Violation::Length, code::PROTOCOL_ERROR),
            (frame(FIN | 0x40 | opcode::TEXT, b""), Violation::ReservedBit, code::PROTOCOL_ERROR),
            (frame(FIN | 3, b""), Violation::UnknownOpcode, code::PROTOCOL_ERROR),
            (frame(FIN | 11, b""), Violation::UnknownOpcode, code::PROTOCOL_ERROR),
            (frame(opcode::PING, b""), Violation::ControlFrame, code::PROTOCOL_ERROR),
            (frame(FIN | opcode::PING, &[0; 126]), Violation::ControlFrame, code::PROTOCOL_ERROR),
            (frame(FIN, b""), Violation::UnexpectedContinuation, code::PROTOCOL_ERROR),
            (
                [frame(opcode::TEXT, b"a"), frame(FIN | opcode::TEXT, b"b")].concat(),
                Violation::MessageWithinMessage,
                code::PROTOCOL_ERROR,
            ),
            (frame(FIN | opcode::CLOSE, b"\x03"), Violation::HalfCloseCode, code::PROTOCOL_ERROR),
            (frame(FIN | opcode::CLOSE, b"\x03\xed"), Violation::CloseCode, code::PROTOCOL_ERROR),
            (frame(FIN | opcode::CLOSE, b"\x03\xe8\xff"), Violation::ReasonNotUtf8, code::INVALID_PAYLOAD),
            (frame(FIN | opcode::TEXT, b"\xff"), Violation::TextNotUtf8, code::INVALID_PAYLOAD),
            (frame(FIN | opcode::BINARY, &[0; 501]), Violation::FrameTooLarge, code::MESSAGE_TOO_BIG),
            (huge(0x7f), Violation::FrameTooLarge, code::MESSAGE_TOO_BIG),
        ] {
            for piece in [1, bytes.len()] {
                let found = events(role, &bytes, piece).unwrap_err();
                assert_eq!((found, found.code()), (violation, code), "{role:?} {:?}", &bytes[..2]);
            }
        }
    }
}

#[test]
fn a_message_is_limited_over_all_of_its_fragments() {
    for role in [Role::Server, Role::Client] {
        let fragments = |size: usize, count: usize| {
            let mut bytes = frame(role, opcode::BINARY, &vec![0; size]);
            (1..count).for_each(|_| bytes.extend(frame(role, opcode::CONTINUATION, &vec![0; size])));
            bytes[0] |= if count == 1 { FIN } else { 0 };
            bytes
        };
        assert_eq!(events(role, &fragments(400, 3), 100), Err(Violation::MessageTooLarge));
        assert_eq!(events(role, &fragments(1, 5), 100), Err(Violation::TooManyFragments));
        assert_eq!(events(role, &fragments(500, 1), 100).unwrap().len(), 1);
        let most = [fragments(250, 3), frame(role, FIN | opcode::CONTINUATION, &[0; 250])].concat();
        assert_eq!(events(role, &most, 100).unwrap().len(), 1);
        assert_eq!(Violation::TooManyFragments.code(), code::POLICY_VIOLATION);
    }
}

#[test]
fn an_announced_length_allocates_no_memory() {
    let limits = Limits { message: 1 << 40, frame: 1 << 40, fragments: 1 };
    for role in [Role::Server, Role::Client] {
        let mut reader = Reader::new(role, limits);
        let mut head = Vec::new();
        write::head(&mut head, opcode::BINARY, true, 100 << 32, mask(role));
        assert_eq!(reader.read(&mut &head[..]), Ok(None));
        assert!(reader.is_within() && reader.held() <= 64 << 10);
    }
}

#[test]
fn a_close_has_a_code_and_a_reason_or_neither() {
    let close = close_of(b"\x03\xe8bye");
    assert_eq!((close.code(), close.reason(), close.as_bytes()), (Some(1000), "bye", &b"\x03\xe8bye"[..]));
    let close = close_of(b"");
    assert_eq!((close.code(), close.reason(), close.as_bytes()), (None, "", &b""[..]));
}
