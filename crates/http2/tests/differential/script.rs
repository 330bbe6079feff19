//! What the scripts of both roles are made of: frames, fields, and the streams that something odd is done to.

use http2::frame::{self, flag, kind};

pub(crate) const END: u8 = flag::END_STREAM;
/// The flags of a HEADERS frame that is a whole message.
pub(crate) const WHOLE: u8 = flag::END_STREAM | flag::END_HEADERS;

/// The bytes of one end in the making.
pub(crate) trait Script {
    /// The fields of a head that is legal.
    const HEAD: &'static [u8];

    fn bytes(&mut self) -> &mut Vec<u8>;

    /// A stream whose head is to come. From now on nothing legal comes on it.
    fn fresh(&mut self) -> u32;

    /// An identifier of the client's that is not in use yet.
    fn idle(&mut self) -> u32;

    fn put(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put(self.bytes(), kind, flags, stream, payload);
    }

    /// A stream whose content is to come. From now on nothing legal comes on it.
    fn open(&mut self) -> u32 {
        let id = self.fresh();
        self.put(kind::HEADERS, flag::END_HEADERS, id, Self::HEAD);
        id
    }

    /// A stream whose message is complete.
    fn complete(&mut self) -> u32 {
        let id = self.fresh();
        self.put(kind::HEADERS, WHOLE, id, Self::HEAD);
        id
    }

    /// A stream that was reset.
    fn reset(&mut self) -> u32 {
        let id = self.open();
        self.put(kind::RST_STREAM, 0, id, &[0, 0, 0, 8]);
        id
    }

    /// A message without content that has this head.
    fn message(&mut self, block: &[u8]) {
        let id = self.fresh();
        self.put(kind::HEADERS, WHOLE, id, block);
    }

    /// A message without content that has another field in its head.
    fn message_with(&mut self, name: &[u8], value: &[u8]) {
        self.message(&[Self::HEAD, &field(name, value)].concat());
    }

    /// A message with this content that has another field in its head.
    fn content_with(&mut self, name: &[u8], value: &[u8], content: &[u8]) {
        let id = self.fresh();
        self.put(kind::HEADERS, flag::END_HEADERS, id, &[Self::HEAD, &field(name, value)].concat());
        self.put(kind::DATA, END, id, content);
    }
}

pub(crate) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    frame::head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// A literal field.
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0, name.len() as u8][..], name, &[value.len() as u8], value].concat()
}

/// A thing that an end might do and that is odd.
pub(crate) type Odd<S> = (&'static str, fn(&mut S));
