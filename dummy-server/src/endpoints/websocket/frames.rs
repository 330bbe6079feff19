//! What a client's end of a WebSocket sends, as a state machine: bytes in, messages and control frames out (RFC 6455
//! section 5). It knows no socket.
//!
//! It keeps what has come of one message and nothing else, so that an idle socket costs next to nothing: the reader of
//! the library that loadgen's tests use keeps the room of the largest message there ever was.

/// A frame's head: two bytes, a length of at most eight, a mask.
const LARGEST_HEAD: usize = 14;
/// What a control frame carries at most (section 5.5).
const LARGEST_CONTROL: u64 = 125;
/// What is set aside for a message that was announced and has not come.
const FIRST_ROOM: u64 = 64 << 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// Opcodes (section 5.2).
pub(super) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// Codes that say why a socket is closed (section 7.4.1).
pub(super) mod code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const AWAY: u16 = 1001;
    pub(crate) const PROTOCOL: u16 = 1002;
    pub(crate) const INVALID: u16 = 1007;
    pub(crate) const POLICY: u16 = 1008;
    pub(crate) const SIZE: u16 = 1009;
    pub(crate) const LATER: u16 = 1013;
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A message, from however many frames. Text is UTF-8.
    Message { text: bool, content: Vec<u8> },
    /// A frame of a message that goes on.
    Fragment,
    /// To be answered with the same content.
    Ping(Vec<u8>),
    /// An answer to a ping.
    Pong,
    /// The peer says goodbye: the whole content, which is well-formed.
    Close(Vec<u8>),
}

/// A rule or limit that the peer broke: how the socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

const fn protocol(reason: &'static str) -> Broken {
    Broken { code: code::PROTOCOL, reason }
}

/// Reads what a client sends.
#[derive(Debug)]
pub(super) struct Reader {
    /// Bytes of a message, and of a frame.
    most: (usize, u64),
    head: [u8; LARGEST_HEAD],
    head_len: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
}

/// The frame whose content is awaited.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    last: bool,
    mask: [u8; 4],
    left: u64,
}

/// What has come of a message.
#[derive(Debug)]
struct Message {
    text: bool,
    content: Vec<u8>,
}

impl Reader {
    /// With the largest message and the largest frame that are accepted, in bytes.
    pub(super) fn new(message: usize, frame: u64) -> Self {
        Self {
            most: (message, frame),
            head: [0; LARGEST_HEAD],
            head_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Whether a part of a message or frame has come and the rest has not.
    pub(super) fn is_within(&self) -> bool {
        self.head_len > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// How much memory is set aside for the message that has not come whole.
    pub(super) fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.content.capacity())
    }

    /// Takes bytes off the front of `input`, up to the next event. None: all were taken.
    ///
    /// # Errors
    /// The peer broke a rule; nothing more can be read.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Broken> {
        let mut frame = match self.frame.take() {
            Some(frame) => frame,
            None => match self.frame_head(input)? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        let count = input.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
        let (part, rest) = input.split_at(count);
        *input = rest;
        let content = match &mut self.message {
            Some(message) if !frame.is_control() => &mut message.content,
            _ => &mut self.control,
        };
        let before = content.len();
        content.extend_from_slice(part);
        unmask(&mut content[before..], frame.mask);
        frame.mask.rotate_left(count % 4);
        frame.left -= count as u64;
        if frame.left > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        self.frame_ended(frame).map(Some)
    }

    /// The head of the next frame, once it is whole and if it may come now.
    fn frame_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Broken> {
        let whole = |head: &[u8]| 2 + length_size(head[1]) + 4;
        let mut size = if self.head_len < 2 { 2 } else { whole(&self.head) };
        loop {
            let count = (size - self.head_len).min(input.len());
            let (part, rest) = input.split_at(count);
            self.head[self.head_len..self.head_len + count].copy_from_slice(part);
            self.head_len += count;
            *input = rest;
            if self.head_len < size {
                return Ok(None);
            }
            if size > 2 {
                break;
            }
            self.check_start(self.head[0], self.head[1])?;
            size = whole(&self.head);
        }
        self.head_len = 0;
        let length = announced(&self.head)?;
        let mask = size - 4;
        let frame = Frame {
            opcode: self.head[0] & OPCODE,
            last: self.head[0] & FIN != 0,
            mask: [self.head[mask], self.head[mask + 1], self.head[mask + 2], self.head[mask + 3]],
            left: length,
        };
        self.begin(&frame)?;
        Ok(Some(frame))
    }

    /// What the first two bytes of a frame can be wrong about.
    fn check_start(&self, first: u8, second: u8) -> Result<(), Broken> {
        let within = self.message.is_some();
        if first & RESERVED != 0 {
            return Err(protocol("a reserved bit is set"));
        }
        if second & MASKED == 0 {
            return Err(protocol("a frame is not masked"));
        }
        match first & OPCODE {
            opcode::TEXT | opcode::BINARY if within => {
                Err(protocol("a message begins before the one before has ended"))
            }
            opcode::CONTINUATION if !within => Err(protocol("a continuation of nothing")),
            opcode::CONTINUATION | opcode::TEXT | opcode::BINARY => Ok(()),
            opcode::CLOSE | opcode::PING | opcode::PONG => {
                let fits = u64::from(second & !MASKED) <= LARGEST_CONTROL;
                if first & FIN != 0 && fits {
                    Ok(())
                } else {
                    Err(protocol("a control frame in fragments or above 125 bytes"))
                }
            }
            _ => Err(protocol("an unknown opcode")),
        }
    }

    /// Makes room for the content of a frame.
    fn begin(&mut self, frame: &Frame) -> Result<(), Broken> {
        if frame.is_control() {
            return Ok(());
        }
        let (message, largest) = self.most;
        let have = self.message.as_ref().map_or(0, |message| message.content.len());
        if frame.left > largest {
            return Err(Broken { code: code::SIZE, reason: "a frame above --ws-max-frame" });
        }
        if frame.left > (message - have) as u64 {
            return Err(Broken { code: code::SIZE, reason: "a message above --ws-max-message" });
        }
        if frame.opcode != opcode::CONTINUATION {
            let content = Vec::with_capacity(frame.left.min(FIRST_ROOM) as usize);
            self.message = Some(Message { text: frame.opcode == opcode::TEXT, content });
        }
        Ok(())
    }

    fn frame_ended(&mut self, frame: Frame) -> Result<Event, Broken> {
        if frame.is_control() {
            let content = std::mem::take(&mut self.control);
            return match frame.opcode {
                opcode::PING => Ok(Event::Ping(content)),
                opcode::PONG => Ok(Event::Pong),
                _ => goodbye(content),
            };
        }
        let Some(Message { text, content }) = self.message.take_if(|_| frame.last) else {
            return Ok(Event::Fragment);
        };
        if text && std::str::from_utf8(&content).is_err() {
            return Err(Broken { code: code::INVALID, reason: "text is not UTF-8" });
        }
        Ok(Event::Message { text, content })
    }
}

impl Frame {
    const fn is_control(&self) -> bool {
        self.opcode >= opcode::CLOSE
    }
}

/// Bytes of the length that follow the second byte.
const fn length_size(second: u8) -> usize {
    match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// The length of a frame's content; it is written in as few bytes as it fits into.
fn announced(head: &[u8; LARGEST_HEAD]) -> Result<u64, Broken> {
    let (length, least) = match head[1] & !MASKED {
        126 => (u64::from(u16::from_be_bytes([head[2], head[3]])), 126),
        127 => {
            let [_, _, a, b, c, d, e, f, g, h, ..] = *head;
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 1 << 16)
        }
        short => (u64::from(short), 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(protocol("a length that is written wrongly"));
    }
    Ok(length)
}

/// Checks the content of a close frame (sections 5.5.1 and 7.4).
fn goodbye(content: Vec<u8>) -> Result<Event, Broken> {
    match content[..] {
        [] => {}
        [high, low, ref reason @ ..] => {
            if !matches!(u16::from_be_bytes([high, low]), 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(protocol("a close code that may not be sent"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Broken { code: code::INVALID, reason: "a reason that is not UTF-8" });
            }
        }
        [_] => return Err(protocol("half a close code")),
    }
    Ok(Event::Close(content))
}

/// Takes the mask off (section 5.3).
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Writes the head of a frame that a server sends, without a mask.
pub(super) fn head(out: &mut Vec<u8>, opcode: u8, last: bool, length: usize) {
    out.push(opcode | if last { FIN } else { 0 });
    match length {
        0..126 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn frame(first: u8, content: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 250, 99];
        let mut bytes = Vec::new();
        head(&mut bytes, first & OPCODE, first & FIN != 0, content.len());
        bytes[0] |= first & RESERVED;
        bytes[1] |= MASKED;
        bytes.extend_from_slice(&mask);
        bytes.extend(content.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// All events of these bytes, when they come in such parts.
    fn events(bytes: &[u8], part: usize) -> Result<Vec<Event>, Broken> {
        let mut reader = Reader::new(1000, 500);
        let mut events = Vec::new();
        for mut input in bytes.chunks(part) {
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

    #[test]
    fn messages_and_control_frames_come_out_however_they_are_cut() {
        let long = vec![b'x'; 400];
        let bytes = [
            frame(FIN | opcode::TEXT, "grün".as_bytes()),
            frame(opcode::TEXT, b"gr\xc3"),
            frame(FIN | opcode::PING, b"there?"),
            frame(opcode::CONTINUATION, b""),
            frame(FIN | opcode::CONTINUATION, b"\xbcn"),
            frame(FIN | opcode::PONG, b""),
            frame(FIN | opcode::BINARY, &long),
            frame(FIN | opcode::BINARY, b""),
            frame(FIN | opcode::CLOSE, b"\x03\xe8bye"),
            frame(FIN | opcode::CLOSE, b""),
        ]
        .concat();
        let text = || Event::Message { text: true, content: "grün".into() };
        for part in [1, 2, 3, 7, 64, bytes.len()] {
            let expected = [
                text(),
                Event::Ping(b"there?".into()),
                text(),
                Event::Pong,
                Event::Message { text: false, content: long.clone() },
                Event::Message { text: false, content: Vec::new() },
                Event::Close(b"\x03\xe8bye".into()),
                Event::Close(Vec::new()),
            ];
            assert_eq!(events(&bytes, part).unwrap(), expected, "{part}");
        }
    }

    #[test]
    fn each_rule_has_its_code() {
        let mut unmasked = frame(FIN | opcode::TEXT, b"");
        unmasked[1] &= !MASKED;
        let mut wide = vec![FIN | opcode::TEXT, MASKED | 126, 0, 125, 0, 0, 0, 0];
        wide.extend([0; 125]);
        for (bytes, code) in [
            (unmasked, code::PROTOCOL),
            (wide, code::PROTOCOL),
            (frame(FIN | 0x40 | opcode::TEXT, b""), code::PROTOCOL),
            (frame(FIN | 3, b""), code::PROTOCOL),
            (frame(FIN | 11, b""), code::PROTOCOL),
            (frame(opcode::PING, b""), code::PROTOCOL),
            (frame(FIN | opcode::PING, &[0; 126]), code::PROTOCOL),
            (frame(FIN | opcode::CONTINUATION, b""), code::PROTOCOL),
            ([frame(opcode::TEXT, b"a"), frame(FIN | opcode::TEXT, b"b")].concat(), code::PROTOCOL),
            (frame(FIN | opcode::CLOSE, b"\x03"), code::PROTOCOL),
            (frame(FIN | opcode::CLOSE, b"\x03\xed"), code::PROTOCOL),
            (frame(FIN | opcode::CLOSE, b"\x03\xe8\xff"), code::INVALID),
            (frame(FIN | opcode::TEXT, b"\xff"), code::INVALID),
            (frame(FIN | opcode::BINARY, &[0; 501]), code::SIZE),
            (vec![FIN | opcode::BINARY, MASKED | 127, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], code::SIZE),
        ] {
            for part in [1, bytes.len()] {
                assert_eq!(events(&bytes, part).unwrap_err().code, code, "{:?}", &bytes[..2]);
            }
        }
    }

    #[test]
    fn a_message_is_limited_over_all_of_its_fragments() {
        let fragment = frame(opcode::CONTINUATION, &[0; 400]);
        let bytes = [frame(opcode::BINARY, &[0; 400]), fragment.clone(), fragment].concat();
        assert_eq!(events(&bytes, 100).unwrap_err().code, code::SIZE);
    }

    #[test]
    fn room_is_made_for_what_has_come_and_not_for_what_was_announced() {
        let mut reader = Reader::new(1 << 40, 1 << 40);
        let head = [FIN | opcode::BINARY, MASKED | 127, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(reader.read(&mut &head[..]), Ok(None));
        assert!(reader.message.unwrap().content.capacity() as u64 <= FIRST_ROOM);
    }
}
