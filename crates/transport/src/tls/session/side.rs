//! What differs between the two sides of a session.

use std::ops::DerefMut;

use rustls::{
    client::{ClientConnectionData, UnbufferedClientConnection},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{UnbufferedConnectionCommon, UnbufferedStatus},
};

use crate::tls::{ClientCertificate, settings};

/// The server's side.
pub type Server = UnbufferedServerConnection;
/// The client's side.
pub type Client = UnbufferedClientConnection;

/// One side of a session: rustls has a type for each, with the same methods.
pub trait Side: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> {
    /// What rustls keeps of this side alone.
    type Data;

    /// Goes on with ciphertext, as `process_tls_records` of the connection does.
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// The server name that the peer asked for in what was just processed.
    fn requested_name() -> Option<Box<str>>;

    /// The client's certificate, if this is the server's side and has been shown one.
    fn client_certificate(&self) -> Option<ClientCertificate>;
}

impl Side for Server {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn requested_name() -> Option<Box<str>> {
        settings::take_requested_name()
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.peer_certificates().and_then(<[_]>::first).map(ClientCertificate::of)
    }
}

impl Side for Client {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn requested_name() -> Option<Box<str>> {
        None
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        None
    }
}
