//! The ledger of a verified run: which requests a server saw, how often, and how its replies ended.
//!
//! loadgen writes a token, the [`Id`] of a request, into the field [`TOKEN`](crate::field::TOKEN). The server
//! notes it and repeats it in [`SEEN`](crate::field::SEEN), so that a reply that is another request's is found out. At the
//! end of the run loadgen asks each server for its [`Statement`], and holds what both have seen against each other.
//!
//! ```
//! use contract::ledger::{Pages, State};
//!
//! let mut pages = Pages::default();
//! pages.set(70_000, State::WHOLE);
//! assert_eq!((pages.get(70_000), pages.get(1)), (State::WHOLE, State::UNSEEN));
//! assert_eq!(pages.count(), 1);
//! ```

mod again;
mod fnv;
mod heads;
mod instants;
mod packed;
mod pages;
mod repeats;
mod seen;
mod statement;
mod streams;
mod upload;

use crate::id::{self, Id};
pub use again::SeenAgain;
pub use heads::{KeptFields, MAX_SAMPLES, ReplyHead, RequestHead, Sample, is_sampled};
pub use instants::{Host, Instants};
pub use packed::Packed;
pub use pages::{MAX_PAGES, NUMBERS_PER_PAGE, Pages};
pub use repeats::{Repeat, Repeats};
pub use seen::{Seen, SeenReader, SeenText, SeenWriter};
pub use statement::{End, Entry, InvalidStatement, MAX_ENTRIES, MAX_HEADS, OutOfOrder, Statement, VERSION};
pub use streams::{
    CHECKED_TOKEN, FIRST_OF_STREAMS, STREAM_MESSAGE, checked_token, checked_token_id, stream_message,
    stream_message_id,
};
pub use upload::{Announced, Differing, Digest, MAX_BLOCKS, MAX_BROKEN, MAX_DIFFERING, Uploads};

/// What a message of a verified run begins with, on a WebSocket: the id of the message follows.
pub const MESSAGE_TOKEN: &[u8] = b"dummy-token=";

/// The load that opening handshakes of WebSockets have as theirs in a verified run, whose ledger nobody asks for: it is their
/// replies that say which server it is.
pub const HANDSHAKES: u8 = u8::MAX;

/// The id of a message of a verified run; none of any other message.
#[inline]
#[must_use]
pub fn message_id(content: &[u8]) -> Option<Id> {
    Id::read(content.strip_prefix(MESSAGE_TOKEN)?.get(..id::LENGTH)?)
}

/// The first of the loads that canaries have as theirs, beyond those of plans: what they try is of no run's ledger.
pub const FIRST_CANARY: u8 = 128;

/// What a server knows of a request of some number, in two bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State(u8);

impl State {
    /// It never arrived, or was refused before processing, so that the client can safely retry.
    pub const UNSEEN: Self = Self(0);
    /// Its head was seen, and its reply is not complete.
    pub const OPEN: Self = Self(1);
    /// It ended badly: the reply reported a failure of the server (5xx), or was broken off.
    pub const FAILED: Self = Self(2);
    /// Its reply was handed over whole.
    pub const WHOLE: Self = Self(3);

    /// Of the two lowest bits.
    #[must_use]
    pub const fn of_bits(bits: u8) -> Self {
        Self(bits & 3)
    }

    /// As two bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}
