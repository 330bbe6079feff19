//! HPACK: the decoder with its memory against one whose memory never helps, and what was decoded through the
//! encoder and back.

use http2::{
    Head,
    hpack::{Decoder, Encoder},
};

use crate::feedback::met;

/// Words that blocks are made of.
pub const WORDS: &[&[u8]] = &[
    &[0x82, 0x86, 0x84],
    &[0x88],
    &[0xbe],
    &[0x40, 1, b'a', 1, b'b'],
    &[0x00, 1, b'c', 1, b'd'],
    &[0x10, 1, b'e', 1, b'f'],
    &[0x20],
    &[0x3f, 0xe1, 0x1f],
    &[0x5f, 0x1d],
    &[0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
    b":path",
    b"content-length",
    b"transfer-encoding",
];

/// Something else in the memory: nothing that follows is like it, and it leaves the table alone.
const OTHER: &[u8] = &[0x00, 0x01, b'~', 0x00];

/// The first byte is the limit of lists, in units of 64 bytes, with 255 for none; then come blocks, each after its
/// length in one byte. The length 255 stands for SETTINGS that allow a table of as many bytes as the byte after it
/// says, in units of 64.
pub fn run(input: &[u8]) {
    let Some((&limit, mut rest)) = input.split_first() else { return };
    let limit = if limit == 255 { 1 << 20 } else { usize::from(limit) * 64 };
    let (mut clever, mut plain) = (Decoder::new(4096), Decoder::new(4096));
    let (mut one, mut two) = (Head::new(), Head::new());
    let mut again = Again::default();
    while let Some((&len, after)) = rest.split_first() {
        if len == 255 {
            let Some((&size, after)) = after.split_first() else { return };
            clever.allow(usize::from(size) * 64);
            plain.allow(usize::from(size) * 64);
            rest = after;
            met("allowed");
            continue;
        }
        let (block, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        // A table that must shrink would refuse it, as it would the next block.
        let fresh = plain.decode(OTHER, usize::MAX, &mut two);
        let said = clever.decode(block, limit, &mut one);
        if fresh.is_err() {
            met("must shrink");
            return;
        }
        assert_eq!(said, plain.decode(block, limit, &mut two), "both say the same");
        if let Err(malformed) = said {
            return met(malformed.0);
        }
        assert!(one == two, "both read the same:\n{one:?}\n{two:?}");
        let shape = (one.pseudo_fields(), one.fields().len().min(9), one.is_too_large(), one.status() / 100);
        met((shape, one.content_length().is_some(), block.first().map(|first| first >> 4)));
        again.encode(&one);
    }
}

/// Sends on what was read.
#[derive(Default)]
struct Again {
    encoder: Encoder,
    decoder: Option<Decoder>,
    block: Vec<u8>,
    head: Head,
}

impl Again {
    fn encode(&mut self, read: &Head) {
        self.block.clear();
        let mut block = self.encoder.block(&mut self.block);
        for (place, (name, value)) in read.fields().iter().enumerate() {
            match (place + value.len()) % 3 {
                0 => block.constant(name, value),
                1 => block.varying(name, value),
                _ => block.secret(name, value),
            }
        }
        let decoder = self.decoder.get_or_insert_with(|| Decoder::new(4096));
        decoder.decode(&self.block, usize::MAX, &mut self.head).expect("the encoder keeps to the rules");
        assert!(self.head.fields() == read.fields(), "what was read comes back");
    }
}
