//! One step of rustls's state machine, carried out on the buffers of a session.

use std::io::IoSlice;

use rustls::{
    Error,
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic},
};
use tokio::io::ReadBuf;

use super::{outgoing::Outgoing, plaintext::Plaintext};

/// What a session reads and writes beside the ciphertext that comes in.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) plaintext: Plaintext,
    pub(super) outgoing: Outgoing,
    /// The peer sends nothing more.
    pub(super) ended: bool,
}

/// What is to be encrypted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order<'a> {
    Data(&'a [IoSlice<'a>]),
    CloseNotify,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another step.
    Step,
    /// Nothing, until plaintext has been read.
    Room,
    /// Nothing, until there is more ciphertext.
    Input,
    /// Nothing: this many bytes of the order were encrypted.
    Encrypted(usize),
}

impl Buffers {
    /// Does what `state` wants. `at` is moved behind the ciphertext that was used up by that.
    pub(super) fn step<D>(
        &mut self,
        state: ConnectionState<'_, '_, D>,
        at: &mut usize,
        buf: &mut ReadBuf<'_>,
        order: Option<Order<'_>>,
    ) -> Result<Next, Error> {
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    *at += record.discard;
                    self.plaintext.add(record.payload, buf);
                }
                // An order does not wait for a reader.
                Ok(if self.plaintext.is_empty() || order.is_some() { Next::Step } else { Next::Room })
            }
            ConnectionState::EncodeTlsData(message) => self.encode(message).map(|()| Next::Step),
            ConnectionState::TransmitTlsData(transmit) => {
                // It is as good as sent: nothing overtakes it.
                transmit.done();
                Ok(Next::Step)
            }
            ConnectionState::PeerClosed => {
                self.ended = true;
                Ok(Next::Step)
            }
            ConnectionState::Closed => {
                self.ended = true;
                Ok(Next::Input)
            }
            ConnectionState::WriteTraffic(mut traffic) => match order {
                Some(order) => self.encrypt(&mut traffic, order).map(Next::Encrypted),
                None => Ok(Next::Input),
            },
            // The handshake waits for the peer. Early data does not occur: no configuration enables it.
            _ => Ok(Next::Input),
        }
    }

    /// Encodes a message of rustls's own: of a handshake, or an alert.
    pub(super) fn encode<D>(&mut self, mut message: EncodeTlsData<'_, D>) -> Result<(), Error> {
        let written = self.outgoing.append(|room| {
            message.encode(room).map_err(|error| match error {
                EncodeError::InsufficientSize(size) => size.required_size,
                EncodeError::AlreadyEncoded => 0,
            })
        });
        written.map_err(|_| Error::EncryptError)
    }

    fn encrypt<D>(&mut self, traffic: &mut WriteTraffic<'_, D>, order: Order<'_>) -> Result<usize, Error> {
        let encrypted = match order {
            Order::Data(slices) => {
                self.outgoing.encrypt(slices, |part, room| traffic.encrypt(part, room).map_err(wanted_room))
            }
            Order::CloseNotify => {
                self.outgoing.append(|room| traffic.queue_close_notify(room).map_err(wanted_room)).map(|()| 0)
            }
        };
        encrypted.map_err(|_| Error::EncryptError)
    }
}

/// How much room is wanted; 0 when no room would do.
#[expect(clippy::needless_pass_by_value, reason = "a mapping of errors takes it")]
fn wanted_room(error: EncryptError) -> usize {
    match error {
        EncryptError::InsufficientSize(size) => size.required_size,
        EncryptError::EncryptExhausted => 0,
    }
}
