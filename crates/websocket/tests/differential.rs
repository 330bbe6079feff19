//! The same bytes read here and by tungstenite: both read the same messages, and both refuse the same frames.

use std::io::{self, Read, Write};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    protocol::{CloseFrame, Role as TheirRole, WebSocketConfig},
};
use websocket::{Event, Limits, Reader, Role, opcode, write};

const LIMITS: Limits = Limits { message: 70_000, frame: 70_000, fragments: u64::MAX };
const ROLES: [Role; 2] = [Role::Server, Role::Client];
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Bytes to read, in pieces, and bytes that were written.
struct Pipe<'a> {
    input: &'a [u8],
    piece: usize,
    output: Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.len().min(self.piece).min(buffer.len());
        let (part, rest) = self.input.split_at(count);
        buffer[..count].copy_from_slice(part);
        self.input = rest;
        Ok(count)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was read, by either.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// Nothing more is read.
    Refused,
}

fn ours(role: Role, mut input: &[u8]) -> Vec<Said> {
    let mut reader = Reader::new(role, LIMITS);
    let mut said = Vec::new();
    loop {
        said.push(match reader.read(&mut input) {
            Ok(Some(Event::Message { text: true, content })) => Said::Text(content),
            Ok(Some(Event::Message { text: false, content })) => Said::Binary(content),
            Ok(Some(Event::Ping(content))) => Said::Ping(content),
            Ok(Some(Event::Pong(content))) => Said::Pong(content),
            Ok(Some(Event::Fragment)) => continue,
            Ok(Some(Event::Close(close))) => Said::Close(close.code(), close.reason().to_owned()),
            Ok(None) => return said,
            Err(_) => Said::Refused,
        });
        if matches!(said.last(), Some(Said::Close(..) | Said::Refused)) {
            return said;
        }
    }
}

fn theirs(role: Role, input: &[u8], piece: usize) -> Vec<Said> {
    let mut socket = socket(role, input, piece);
    let mut said = Vec::new();
    loop {
        said.push(match socket.read() {
            Ok(Message::Text(text)) => Said::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(content)) => Said::Binary(content.to_vec()),
            Ok(Message::Ping(content)) => Said::Ping(content.to_vec()),
            Ok(Message::Pong(content)) => Said::Pong(content.to_vec()),
            Ok(Message::Close(None)) => Said::Close(None, String::new()),
            Ok(Message::Close(Some(frame))) if frame.reason == "Protocol violation" => Said::Refused,
            Ok(Message::Close(Some(frame))) => Said::Close(Some(frame.code.into()), frame.reason.to_string()),
            Ok(Message::Frame(frame)) => panic!("{frame:?} is not a message"),
            Err(Error::Protocol(error)) if error.to_string().contains("without closing handshake") => {
                return said;
            }
            Err(_) => Said::Refused,
        });
        if matches!(said.last(), Some(Said::Close(..) | Said::Refused)) {
            return said;
        }
    }
}

fn socket(role: Role, input: &[u8], piece: usize) -> WebSocket<Pipe<'_>> {
    let role = match role {
        Role::Server => TheirRole::Server,
        Role::Client => TheirRole::Client,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIMITS.message))
        .max_frame_size(usize::try_from(LIMITS.frame).ok());
    WebSocket::from_raw_socket(Pipe { input, piece, output: Vec::new() }, role, Some(config))
}

fn mask(reader: Role, random: &mut StdRng) -> Option<[u8; 4]> {
    (reader == Role::Server).then(|| random.random())
}

fn text(random: &mut StdRng) -> String {
    let size = [0, 1, 40, 62, 63, 200, 32_767, 33_000][random.random_range(0..8)];
    "ü".repeat(size)
}

/// A message in fragments, with control frames in between.
fn message(out: &mut Vec<u8>, reader: Role, random: &mut StdRng) {
    let content = text(random).into_bytes();
    let mut rest = &content[..];
    let mut opcode = if random.random() { opcode::TEXT } else { opcode::BINARY };
    loop {
        let count = if random.random() { rest.len() } else { random.random_range(0..=rest.len()) };
        let (part, after) = rest.split_at(count);
        write::frame(out, opcode, after.is_empty(), part, mask(reader, random));
        if random.random_ratio(1, 3) {
            let opcode = if random.random() { opcode::PING } else { opcode::PONG };
            let content = vec![b'?'; random.random_range(0..=125)];
            write::frame(out, opcode, true, &content, mask(reader, random));
        }
        if after.is_empty() {
            return;
        }
        (opcode, rest) = (opcode::CONTINUATION, after);
    }
}

#[test]
fn our_messages_are_read_by_tungstenite_and_by_us() {
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..200 {
        let role = ROLES[round % 2];
        let mut bytes = Vec::new();
        (0..3).for_each(|_| message(&mut bytes, role, &mut random));
        write::close(&mut bytes, random.random_range(3000..5000), "bye", mask(role, &mut random));
        let (ours, theirs) = (ours(role, &bytes), theirs(role, &bytes, 1 + round * 100));
        assert_eq!(ours, theirs, "{role:?} {round}");
        assert!(ours.len() >= 4 && matches!(ours.last(), Some(Said::Close(Some(3000..), _))));
    }
}

#[test]
fn messages_that_tungstenite_wrote_are_read() {
    let mut random = StdRng::seed_from_u64(2);
    for (writer, reader) in [(TheirRole::Client, Role::Server), (TheirRole::Server, Role::Client)] {
        let pipe = Pipe { input: &[], piece: 1, output: Vec::new() };
        let mut socket = WebSocket::from_raw_socket(pipe, writer, None);
        let mut sent = Vec::new();
        for _ in 0..20 {
            let text = text(&mut random);
            sent.push(Said::Text(text.clone().into_bytes()));
            socket.send(Message::text(text.clone())).unwrap();
            sent.push(Said::Binary(text.clone().into_bytes()));
            socket.send(Message::binary(text)).unwrap();
            sent.push(Said::Ping(b"there?".to_vec()));
            socket.send(Message::Ping("there?".into())).unwrap();
        }
        sent.push(Said::Close(Some(1001), "bye".to_owned()));
        socket.close(Some(CloseFrame { code: 1001.into(), reason: "bye".into() })).unwrap();
        assert_eq!(ours(reader, &socket.get_ref().output), sent);
    }
}

/// A frame of a few bytes whose head and content may be wrong.
fn odd_frame(out: &mut Vec<u8>, reader: Role, random: &mut StdRng) {
    let first = match random.random_range(0..4) {
        0 => random.random(),
        1 => random.random::<u8>() & (FIN | 1),
        _ => FIN | [opcode::TEXT, opcode::BINARY, opcode::PING, opcode::CLOSE][random.random_range(0..4)],
    };
    let size = random.random_range(0..if first & 8 == 0 { 300 } else { 130 });
    let mut content = vec![b'a'; size];
    if let (8, Some(code)) = (first & 15, content.first_chunk_mut()) {
        // tungstenite does not know 1014, which IANA has registered since.
        *code = [random.random_range(990_u16..1014), random.random_range(1015..5010)]
            [random.random_range(0..2)]
        .to_be_bytes();
    }
    // Of a message that goes on tungstenite checks each fragment, and this crate the whole.
    if first & FIN != 0 && size > 2 && random.random_ratio(1, 4) {
        content[random.random_range(2..size)] = random.random();
    }
    let start = out.len();
    write::frame(out, first, false, &content, mask(reader, random));
    if random.random_ratio(1, 20) {
        out[start + 1] ^= MASKED;
    }
}

#[test]
fn invalid_frames_are_refused_by_tungstenite_and_by_us() {
    let mut random = StdRng::seed_from_u64(3);
    let mut refused = 0;
    for round in 0..20_000 {
        let role = ROLES[round % 2];
        let mut bytes = Vec::new();
        (0..4).for_each(|_| odd_frame(&mut bytes, role, &mut random));
        // For a length that was read wrongly.
        write::frame(&mut bytes, FIN | opcode::PONG, false, &[0; 8], mask(role, &mut random));
        let ours = ours(role, &bytes);
        refused += usize::from(ours.contains(&Said::Refused));
        assert_eq!(ours, theirs(role, &bytes, bytes.len()), "{role:?} {bytes:?}");
    }
    assert!((5_000..19_000).contains(&refused), "{refused}");
}
