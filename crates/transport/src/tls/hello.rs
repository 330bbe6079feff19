//! The server name (SNI) in the bytes of a ClientHello: for one that was refused because of it, of which rustls says no
//! more than that.

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// The first name of the `server_name` extension (RFC 6066 section 3), if these bytes begin with a record that holds
/// it.
pub(super) fn server_name(record: &[u8]) -> Option<&[u8]> {
    let mut record = Reader(record);
    if record.u8()? != HANDSHAKE {
        return None;
    }
    record.take(2)?; // Version.
    let mut message = Reader(record.vector(2)?);
    if message.u8()? != CLIENT_HELLO {
        return None;
    }
    message.take(3 + 2 + 32)?; // Length, version, random.
    for size in [1, 2, 1] {
        message.vector(size)?; // Session, cipher suites, compression.
    }
    let mut extensions = Reader(message.vector(2)?);
    loop {
        let kind = extensions.u16()?;
        let mut value = Reader(extensions.vector(2)?);
        if kind == SERVER_NAME {
            let mut names = Reader(value.vector(2)?);
            return if names.u8()? == HOST_NAME { names.vector(2) } else { None };
        }
    }
}

/// What is left of the bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes whose number stands before them, in one or two bytes.
    fn vector(&mut self, size: usize) -> Option<&'a [u8]> {
        let length = if size == 1 { usize::from(self.u8()?) } else { usize::from(self.u16()?) };
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// The ClientHello of a real client.
    fn client_hello(name: &'static str) -> Vec<u8> {
        let config =
            ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_server_name_is_found_in_a_whole_client_hello_only() {
        let bytes = client_hello("dummy.test");
        assert_eq!(server_name(&bytes), Some(&b"dummy.test"[..]));
        assert_eq!(server_name(&client_hello("127.0.0.1")), None, "clients name no addresses");
        for end in 0..bytes.len() {
            assert_eq!(server_name(&bytes[..end]), None, "the record is cut off after {end} bytes");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            let _ = server_name(&broken);
        }
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n\r\n"), None);
    }
}
