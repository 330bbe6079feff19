//! What version 2 says besides addresses: type, length and value, one after the other (sections 2.2.1 to 2.2.7).

use super::Error;

const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;
const SSL: u8 = 0x20;
/// Type and length.
const HEAD: usize = 3;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// Its type.
    pub kind: u8,
    /// The name of that type; none for one that is not known here.
    pub name: Option<&'static str>,
    /// Its value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Bytes that mean a text, or anything.
    Bytes(Box<[u8]>),
    /// What the proxy says of the client's TLS.
    Ssl(Box<Ssl>),
}

/// What a proxy says of the client's TLS (section 2.2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssl {
    /// The client spoke TLS.
    pub tls: bool,
    /// It showed a certificate on this connection.
    pub certificate_on_connection: bool,
    /// It showed one in this session.
    pub certificate_in_session: bool,
    /// The result of the certificate's verification; 0 is well.
    pub verify: u32,
    /// Version, cipher, subject and so on.
    pub tlvs: Vec<Tlv>,
}

/// All of them, without those that are there for nothing but their length.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<Tlv>, Error> {
    let mut tlvs = Vec::new();
    for part in parts(bytes) {
        let (kind, value) = part?;
        let value = match kind {
            NOOP => continue,
            CRC32C if value.len() != 4 => {
                return Err(Error::Malformed("a CRC-32C that is not four bytes long"));
            }
            SSL => Value::Ssl(Box::new(ssl(value)?)),
            _ => Value::Bytes(value.into()),
        };
        tlvs.push(Tlv { kind, name: name(kind), value });
    }
    Ok(tlvs)
}

/// Compares the checksum, if there is one, with that of the whole header, in which it is zero. TLVs begin at `at`.
pub(super) fn verify(header: &[u8], at: usize) -> Result<(), Error> {
    let mut position = at;
    for part in parts(&header[at..]) {
        let (kind, value) = part?;
        if kind == CRC32C && value.len() == 4 {
            let place = position + HEAD;
            let sum = crc32c::crc32c(&header[..place]);
            let sum = crc32c::crc32c_append(sum, &[0; 4]);
            let sum = crc32c::crc32c_append(sum, &header[place + 4..]);
            if value != sum.to_be_bytes() {
                return Err(Error::Checksum);
            }
        }
        position += HEAD + value.len();
    }
    Ok(())
}

/// Flags of the client, the result of the verification, and its own TLVs.
fn ssl(bytes: &[u8]) -> Result<Ssl, Error> {
    let &[flags, a, b, c, d, ref rest @ ..] = bytes else {
        return Err(Error::Malformed("a value of SSL that is too short"));
    };
    let mut tlvs = Vec::new();
    for part in parts(rest) {
        let (kind, value) = part?;
        tlvs.push(Tlv { kind, name: name(kind), value: Value::Bytes(value.into()) });
    }
    Ok(Ssl {
        tls: flags & 1 != 0,
        certificate_on_connection: flags & 2 != 0,
        certificate_in_session: flags & 4 != 0,
        verify: u32::from_be_bytes([a, b, c, d]),
        tlvs,
    })
}

/// Types and values, until the end or the first that is cut off.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Error>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let part = bytes.split_first_chunk::<HEAD>().and_then(|(&[kind, high, low], rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            bytes = rest;
            Some((kind, value))
        });
        if part.is_none() {
            bytes = &[];
        }
        Some(part.ok_or(Error::Malformed("a TLV that is longer than the header")))
    })
}

/// Registered types, and those of large clouds (section 2.2.7 and their own documents).
fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x01 => "ALPN",
        0x02 => "AUTHORITY",
        CRC32C => "CRC32C",
        NOOP => "NOOP",
        0x05 => "UNIQUE_ID",
        SSL => "SSL",
        0x21 => "SSL_VERSION",
        0x22 => "SSL_CN",
        0x23 => "SSL_CIPHER",
        0x24 => "SSL_SIG_ALG",
        0x25 => "SSL_KEY_ALG",
        0x26 => "SSL_GROUP",
        0x27 => "SSL_SIG_SCHEME",
        0x28 => "SSL_CLIENT_CERT",
        0x30 => "NETNS",
        0xe0 => "GCP",
        0xea => "AWS",
        0xee => "AZURE",
        _ => return None,
    })
}
