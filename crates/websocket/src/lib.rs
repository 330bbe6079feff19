//! WebSocket (RFC 6455) as a state machine for both roles: bytes in, messages and control frames out. Nothing here
//! knows a socket, a runtime, a clock or a URL.
//!
//! A [`Reader`] reads what the peer sends: a server's requires masks, a client's refuses them (section 5.1). It takes
//! what it used off the front of the input and keeps what has come of one message and nothing else, so that an idle
//! connection costs next to nothing. Room is made for what has arrived, not for what a frame announces. What breaks a rule
//! or a [limit](Limits) is a [`Violation`], which has the code that the connection is closed with.
//!
//! The functions of [`mod@write`] write frames of either role. They check nothing: a caller may break any rule on purpose.
//! [`handshake`] has the keys of the opening handshake; its fields are the job of HTTP.
//!
//! A client sends a message in two fragments with a ping in between, and a server echoes it:
//!
//! ```
//! use websocket::{Event, Limits, Reader, Role, code, opcode, write};
//!
//! // Of a client each frame has a mask, which is to be unpredictable (section 5.3).
//! let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
//! let mut sent = Vec::new();
//! write::frame(&mut sent, opcode::TEXT, false, b"Hel", mask);
//! write::frame(&mut sent, opcode::PING, true, b"there?", mask);
//! write::frame(&mut sent, opcode::CONTINUATION, true, b"lo", mask);
//! write::close(&mut sent, code::NORMAL, "bye", mask);
//!
//! let mut server = Reader::new(Role::Server, Limits::default());
//! let (mut input, mut output) = (&sent[..], Vec::new());
//! while let Some(event) = server.read(&mut input)? {
//!     match event {
//!         Event::Message { text, content } => {
//!             let opcode = if text { opcode::TEXT } else { opcode::BINARY };
//!             write::frame(&mut output, opcode, true, &content, None);
//!         }
//!         Event::Ping(content) => write::frame(&mut output, opcode::PONG, true, &content, None),
//!         Event::Close(close) => write::frame(&mut output, opcode::CLOSE, true, close.as_bytes(), None),
//!         Event::Fragment | Event::Pong(_) => {}
//!     }
//! }
//!
//! let mut client = Reader::new(Role::Client, Limits::default());
//! let mut input = &output[..];
//! assert_eq!(client.read(&mut input)?, Some(Event::Pong(b"there?".to_vec())));
//! assert_eq!(client.read(&mut input)?, Some(Event::Message { text: true, content: b"Hello".to_vec() }));
//! let Some(Event::Close(close)) = client.read(&mut input)? else { panic!("the close is answered") };
//! assert_eq!((close.code(), close.reason()), (Some(code::NORMAL), "bye"));
//! # Ok::<(), websocket::Violation>(())
//! ```

mod close;
pub mod handshake;
mod mask;
mod reader;
mod violation;
pub mod write;

pub use close::{Close, code};
pub use mask::apply as apply_mask;
pub use reader::{Event, Reader};
pub use violation::Violation;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads frames with a mask.
    Server,
    /// Reads frames without one.
    Client,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a message in bytes, over all of its frames.
    pub message: usize,
    /// Maximum size of the content of a frame in bytes.
    pub frame: u64,
    /// Maximum number of frames in a message.
    pub fragments: u64,
}

impl Default for Limits {
    /// 16 MiB in up to 64 Ki frames.
    fn default() -> Self {
        Self { message: 16 << 20, frame: 16 << 20, fragments: 64 << 10 }
    }
}

/// Maximum size of the content of a control frame in bytes (section 5.5).
pub const MAX_CONTROL: usize = 125;

/// Opcodes (section 5.2).
pub mod opcode {
    /// A frame of the message that has begun.
    pub const CONTINUATION: u8 = 0;
    /// The first frame of a message in UTF-8.
    pub const TEXT: u8 = 1;
    /// The first frame of a message of any bytes.
    pub const BINARY: u8 = 2;
    /// The last frame of an end.
    pub const CLOSE: u8 = 8;
    /// To be answered with a pong of the same content.
    pub const PING: u8 = 9;
    /// The answer to a ping.
    pub const PONG: u8 = 10;
}

/// Bits and lengths of a frame's head (section 5.2).
mod bits {
    pub(crate) const FIN: u8 = 0x80;
    pub(crate) const RESERVED: u8 = 0x70;
    pub(crate) const OPCODE: u8 = 0x0f;
    pub(crate) const MASKED: u8 = 0x80;
    /// Stands for a length of two bytes, which follows.
    pub(crate) const TWO_BYTES: u8 = 126;
    /// Stands for a length of eight bytes, which follows.
    pub(crate) const EIGHT_BYTES: u8 = 127;
}
