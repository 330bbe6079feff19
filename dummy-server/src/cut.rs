//! How a user wants a reply, or its whole connection, to end: one type from the grammar of behaviours to the socket.
//! What breaks a rule or takes too long is not a cut.

/// What comes in place of the rest of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The connection ends with a TCP RST.
    Reset,
    /// The connection ends with a TCP FIN, without a word of the protocol.
    Close,
    /// Nothing more comes until one of the two wants to end the connection. Then HTTP/2 resets the stream with CANCEL,
    /// and HTTP/1 closes.
    Hang,
    /// Nothing more comes, though more was announced: HTTP/2 ends the stream as if all was there, and HTTP/1 closes.
    Short,
    /// HTTP/2 alone: RST_STREAM with this code.
    ResetStream(u32),
    /// HTTP/2 alone: GOAWAY with this code, then FIN.
    GoAway(u32),
}

impl Cut {
    /// All of them as users call them, in the order of [`Cut::index`].
    pub(crate) const NAMES: [&'static str; 6] = ["rst", "fin", "hang", "short", "stream-reset", "goaway"];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Reset => 0,
            Self::Close => 1,
            Self::Hang => 2,
            Self::Short => 3,
            Self::ResetStream(_) => 4,
            Self::GoAway(_) => 5,
        }
    }
}
