//! Tests of the encoder and the decoder together, and of the decoder's memory.

mod examples;
mod memory;

use super::{Block, Decoder, Encoder, Malformed, Prepared};
use crate::{head::Head, random::Random};

type Field = (Vec<u8>, Vec<u8>);

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, Malformed> {
    let mut head = Head::new();
    decoder.decode(block, usize::MAX, &mut head)?;
    Ok(head.fields().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

fn reason(decoder: &mut Decoder, block: &[u8]) -> &'static str {
    decoded(decoder, block).map_or_else(|malformed| malformed.0, |_| "none")
}

/// Writes a field in a way that is chosen at random; what the peer is to read.
fn write_field(random: &mut Random, block: &mut Block<'_>, prepared: &mut [Prepared]) -> Vec<Field> {
    const NAMES: [&[u8]; 7] =
        [b":path", b"accept", b"date", b"x-a", b"x-request-id", b"cookie", b"x-long-name"];
    const LETTERS: &[u8; 8] = b"abc/0 %\xfe";
    let name = NAMES[random.below(NAMES.len())];
    let value: Vec<u8> = (0..random.below(60)).map(|_| LETTERS[random.below(8)]).collect();
    match random.below(5) {
        0 => block.varying(name, &value),
        1 => block.secret(name, &value),
        2 => {
            let which = random.below(prepared.len());
            let (name, value) = (format!("x-prepared-{which}").into_bytes(), vec![b'v'; which * 20]);
            block.prepared(&mut prepared[which], |block| {
                block.constant(&name, &value);
                block.constant(b"accept", b"*/*");
            });
            return vec![(name, value), (b"accept".to_vec(), b"*/*".to_vec())];
        }
        _ => {
            let value = value[..value.len().min(1)].to_vec();
            block.constant(name, &value);
            return vec![(name.to_vec(), value)];
        }
    }
    vec![(name.to_vec(), value)]
}

#[test]
fn fields_round_trip_for_any_kind_and_table_size() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        let mut prepared = vec![Prepared::default(); 3];
        for _ in 0..40 {
            if random.one_in(4) {
                for _ in 0..random.below(3) {
                    let size = [0, 40, 100, 300, 4096, 65_536][random.below(6)];
                    encoder.allow(size);
                    decoder.allow(size);
                }
            }
            let mut out = Vec::new();
            let mut block = encoder.block(&mut out);
            let mut expected = Vec::new();
            for _ in 0..random.below(8) {
                expected.extend(write_field(&mut random, &mut block, &mut prepared));
            }
            assert_eq!(decoded(&mut decoder, &out), Ok(expected), "seed {seed}");
        }
    }
}

#[test]
fn constants_are_indexed_and_varying_fields_are_not() {
    let mut encoder = Encoder::new();
    let mut block_of = |write: &dyn Fn(&mut Block<'_>)| {
        let mut out = Vec::new();
        write(&mut encoder.block(&mut out));
        out
    };
    assert_eq!(block_of(&|block| block.status(200)), [0x88]);
    assert_eq!(block_of(&|block| block.constant(b"server", b"x")), [0x40 | 54, 1, b'x']);
    assert_eq!(block_of(&|block| block.constant(b"server", b"x")), [0x80 | 62]);
    let varying = [0, 2, b'i', b'd', 1, b'7'];
    assert_eq!(block_of(&|block| block.varying(b"id", b"7")), varying);
    assert_eq!(block_of(&|block| block.varying(b"id", b"7")), varying);
    assert_eq!(block_of(&|block| block.secret(b"id", b"7"))[0], 0x10);
    assert_eq!(block_of(&|block| block.status(503))[0], 0x40 | 8);
    for name in
        wire::HPACK_STATIC_TABLE.iter().map(|(name, _)| *name).chain(["id", "a-name-of-30-bytes-at-the-most"])
    {
        for length in [0, 1, 126, 127, 300] {
            let (known, value) = (wire::Name::new(name), vec![b'v'; length]);
            let written = block_of(&|block| block.varying_known(&known, &value));
            assert_eq!(written, block_of(&|block| block.varying(name.as_bytes(), &value)), "{name}");
        }
    }
}

#[test]
fn minimum_and_final_table_size_updates_precede_the_next_block() {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    encoder.allow(100);
    encoder.allow(10);
    encoder.allow(200);
    encoder.block(&mut out).status(200);
    assert_eq!(out, [0x20 | 10, 0x3f, (200 - 31) | 0x80, 1, 0x88]);
    out.clear();
    encoder.block(&mut out).status(200);
    assert_eq!(out, [0x88]);
}

#[test]
fn the_table_size_limit_applies_once_settings_are_acknowledged() {
    let insert = [0x40, 1, b'a', 1, b'b'];
    let mut decoder = Decoder::new(0);
    assert_eq!(reason(&mut decoder, &insert), "none", "the peer has not seen SETTINGS");
    assert_eq!(reason(&mut decoder, &[0x80 | 62]), "none");
    decoder.allow(0);
    let mut obedient = Decoder::new(0);
    obedient.allow(0);
    assert_eq!(reason(&mut obedient, &[0x20, 0x82]), "none");
    assert_eq!(reason(&mut obedient, &[0x20 | 1]), "the table's size is beyond what SETTINGS allow");
    let reluctant = reason(&mut decoder, &[0x80 | 62]);
    assert_eq!(reluctant, "the table's size was not brought down to what SETTINGS allow");
}

#[test]
fn truncated_blocks_and_invalid_indices_are_malformed() {
    let cases: [(&[u8], &str); 13] = [
        (&[0x80], "an index points at nothing"),
        (&[0x80 | 62], "an index points at nothing"),
        (&[0x7f, 0xff, 0xff, 0xff, 0x7f], "an index points at nothing"),
        (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f], "an integer is too large"),
        (&[0xff], "an integer breaks off"),
        (&[0x40 | 62, 0], "an index points at nothing"),
        (&[0x00], "a field breaks off"),
        (&[0x00, 1, b'a'], "a field breaks off"),
        (&[0x00, 2, b'a'], "a string breaks off"),
        (&[0x00, 1, b'a', 0x7f, 0xff, 0x01], "a string breaks off"),
        (&[0x00, 0x81, 0x00, 0], "a string is not a Huffman code"),
        (&[0x82, 0x20], "the table's size changes inside a block"),
        (&[0x3f, 0xe2, 0x1f], "the table's size is beyond what SETTINGS allow"),
    ];
    for (block, expected) in cases {
        assert_eq!(reason(&mut Decoder::new(4096), block), expected, "{block:02x?}");
    }
}

#[test]
fn a_field_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(4096);
    assert_eq!(reason(&mut decoder, &[0x40, 1, b'a', 1, b'b']), "none");
    let mut large = vec![0x40, 1, b'a', 0x7f, 0x81, 0x1f];
    large.resize(large.len() + 4096, b'x');
    assert_eq!(decoded(&mut decoder, &large).map(|fields| fields[0].1.len()), Ok(4096));
    assert_eq!(reason(&mut decoder, &[0x80 | 62]), "an index points at nothing");
}

#[test]
fn a_list_over_the_limit_is_counted_and_keeps_the_table_in_sync() {
    let mut decoder = Decoder::new(4096);
    let mut head = Head::new();
    let block = [0x82, 0x40, 1, b'a', 1, b'b', 0x86];
    decoder.decode(&block, 50, &mut head).unwrap();
    assert!(head.is_too_large() && head.fields().is_empty());
    assert_eq!(head.list_size(), (7 + 3) + (1 + 1) + (7 + 4) + 3 * 32);
    decoder.decode(&[0x80 | 62], 50, &mut head).unwrap();
    assert_eq!(head.fields().at(0), Some((&b"a"[..], &b"b"[..])));
}
