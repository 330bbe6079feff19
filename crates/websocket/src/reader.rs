//! Reads frames and puts messages together (sections 5 to 7). It decides what breaks a rule, not what to do about it.

use crate::{Close, Limits, MAX_CONTROL, Role, Violation, bits, mask, opcode};

/// A frame's head: two bytes, a length of at most eight, a mask.
const LARGEST_HEAD: usize = 14;
/// What is set aside for a message that was announced and has not come.
const FIRST_ROOM: u64 = 64 << 10;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A message, from however many frames. Text is UTF-8.
    Message {
        /// Whether it is text, or else any bytes.
        text: bool,
        /// All of it.
        content: Vec<u8>,
    },
    /// A frame of a message that goes on.
    Fragment,
    /// To be answered with a pong of the same content.
    Ping(Vec<u8>),
    /// The answer to a ping, or an unsolicited one.
    Pong(Vec<u8>),
    /// The peer closes: it sends nothing more, and is to be answered with a close frame if none was sent.
    Close(Close),
}

/// Reads what the peer sends.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    /// The bit of the second byte that says that there is a mask, if the peer has to set it.
    masked: u8,
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

/// What has arrived of a message.
#[derive(Debug)]
struct Message {
    text: bool,
    content: Vec<u8>,
    fragments: u64,
}

impl Reader {
    /// For the end of that role.
    #[must_use]
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            limits,
            masked: match role {
                Role::Server => bits::MASKED,
                Role::Client => 0,
            },
            head: [0; LARGEST_HEAD],
            head_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Whether a part of a message or frame has come and the rest has not.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        self.head_len > 0 || self.frame.is_some() || self.message.is_some()
    }

    /// How much memory is set aside for the message that has not come whole.
    #[must_use]
    pub fn held(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.content.capacity())
    }

    /// Takes bytes off the front of `input`, up to the next event. None: all were taken.
    ///
    /// # Errors
    /// The peer broke a rule; nothing more can be read.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
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
        if self.masked != 0 {
            mask::apply(&mut content[before..], frame.mask);
            frame.mask.rotate_left(count % 4);
        }
        frame.left -= count as u64;
        if frame.left > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        self.frame_ended(frame).map(Some)
    }

    /// The head of the next frame, once it is whole and if it may come now.
    fn frame_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        if self.head_len < 2 {
            if !self.fill_head(2, input) {
                return Ok(None);
            }
            if let Err(violation) = self.check_start(self.head[0], self.head[1]) {
                self.head_len = 0;
                return Err(violation);
            }
        }
        let mask_at = 2 + length_size(self.head[1]);
        // Four bytes of mask, where there is one.
        if !self.fill_head(mask_at + usize::from(self.masked >> 5), input) {
            return Ok(None);
        }
        self.head_len = 0;
        let length = announced(&self.head)?;
        let mask = match self.head[mask_at..] {
            [a, b, c, d, ..] => [a, b, c, d],
            _ => [0; 4],
        };
        let frame = Frame {
            opcode: self.head[0] & bits::OPCODE,
            last: self.head[0] & bits::FIN != 0,
            mask,
            left: length,
        };
        self.begin(&frame)?;
        Ok(Some(frame))
    }

    /// Takes bytes of a head until there are `size`; false: there are fewer.
    fn fill_head(&mut self, size: usize, input: &mut &[u8]) -> bool {
        let count = (size - self.head_len).min(input.len());
        let (part, rest) = input.split_at(count);
        self.head[self.head_len..self.head_len + count].copy_from_slice(part);
        self.head_len += count;
        *input = rest;
        self.head_len == size
    }

    /// What the first two bytes of a frame can be wrong about.
    const fn check_start(&self, first: u8, second: u8) -> Result<(), Violation> {
        let within = self.message.is_some();
        if first & bits::RESERVED != 0 {
            return Err(Violation::ReservedBit);
        }
        if second & bits::MASKED != self.masked {
            return Err(if self.masked == 0 { Violation::Masked } else { Violation::NotMasked });
        }
        match first & bits::OPCODE {
            opcode::TEXT | opcode::BINARY if within => Err(Violation::MessageWithinMessage),
            opcode::CONTINUATION if !within => Err(Violation::UnexpectedContinuation),
            opcode::CONTINUATION | opcode::TEXT | opcode::BINARY => Ok(()),
            opcode::CLOSE | opcode::PING | opcode::PONG => {
                let fits = (second & !bits::MASKED) as usize <= MAX_CONTROL;
                if first & bits::FIN != 0 && fits { Ok(()) } else { Err(Violation::ControlFrame) }
            }
            _ => Err(Violation::UnknownOpcode),
        }
    }

    /// Makes room for the content of a frame.
    fn begin(&mut self, frame: &Frame) -> Result<(), Violation> {
        if frame.is_control() {
            return Ok(());
        }
        let have = self.message.as_ref().map_or(0, |message| message.content.len());
        if frame.left > self.limits.frame {
            return Err(Violation::FrameTooLarge);
        }
        if frame.left > (self.limits.message - have) as u64 {
            return Err(Violation::MessageTooLarge);
        }
        match &mut self.message {
            Some(message) if message.fragments >= self.limits.fragments => {
                return Err(Violation::TooManyFragments);
            }
            Some(message) => message.fragments += 1,
            None => {
                let content = Vec::with_capacity(frame.left.min(FIRST_ROOM) as usize);
                self.message = Some(Message { text: frame.opcode == opcode::TEXT, content, fragments: 1 });
            }
        }
        Ok(())
    }

    fn frame_ended(&mut self, frame: Frame) -> Result<Event, Violation> {
        if frame.is_control() {
            let content = std::mem::take(&mut self.control);
            return match frame.opcode {
                opcode::PING => Ok(Event::Ping(content)),
                opcode::PONG => Ok(Event::Pong(content)),
                _ => Close::read(content).map(Event::Close),
            };
        }
        let Some(Message { text, content, .. }) = self.message.take_if(|_| frame.last) else {
            return Ok(Event::Fragment);
        };
        if text && std::str::from_utf8(&content).is_err() {
            return Err(Violation::TextNotUtf8);
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
    match second & !bits::MASKED {
        bits::TWO_BYTES => 2,
        bits::EIGHT_BYTES => 8,
        _ => 0,
    }
}

/// The length of a frame's content; it is written in as few bytes as it fits into.
fn announced(head: &[u8; LARGEST_HEAD]) -> Result<u64, Violation> {
    let (length, least) = match head[1] & !bits::MASKED {
        bits::TWO_BYTES => (u64::from(u16::from_be_bytes([head[2], head[3]])), 126),
        bits::EIGHT_BYTES => {
            let [_, _, a, b, c, d, e, f, g, h, ..] = *head;
            (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 1 << 16)
        }
        short => (u64::from(short), 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    Ok(length)
}
