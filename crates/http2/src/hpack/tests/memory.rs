//! A decoder with its memory and one without must say the same of every block.

use crate::{
    head::Head,
    hpack::{Decoder, huffman},
    random::Random,
};

/// Two decoders in step.
struct Pair {
    with: Decoder,
    without: Decoder,
    /// Used again and again, as a connection does.
    head: Head,
    recalled: usize,
}

impl Pair {
    fn new() -> Self {
        let (with, without) = (Decoder::new(4096), Decoder::new(4096));
        Self { with, without, head: Head::new(), recalled: 0 }
    }

    /// Decodes a block with both; whether it could be decoded.
    fn decode(&mut self, block: &[u8], limit: usize, context: &str) -> bool {
        self.without.forget();
        let mut expected = Head::new();
        let plainly = self.without.decode(block, limit, &mut expected);
        let cleverly = self.with.decode(block, limit, &mut self.head);
        assert_eq!(cleverly, plainly, "{context}: {block:02x?}");
        if plainly.is_ok() {
            assert_eq!(self.head, expected, "{context}: {block:02x?}");
            assert_eq!(self.head.check_request(), expected.check_request());
            self.recalled += usize::from(self.with.remembers(block));
        }
        plainly.is_ok()
    }
}

fn text(random: &mut Random, text: &[u8], out: &mut Vec<u8>) {
    if random.one_in(2) {
        out.push(0x80 | huffman::encoded_len(text) as u8);
        huffman::encode(text, out);
    } else {
        out.push(text.len() as u8);
        out.extend_from_slice(text);
    }
}

/// One field in any of the representations of RFC 7541 section 6.
fn field(random: &mut Random) -> Vec<u8> {
    const NAMES: [&[u8]; 11] = [
        b"x-a",
        b"x-b",
        b"content-length",
        b"te",
        b"connection",
        b":path",
        b":path",
        b":status",
        b":odd",
        b"X-Upper",
        b"",
    ];
    const VALUES: [&[u8]; 8] =
        [b"", b"1", b"22", b"trailers", b"/path", b" x", b"a\0b", b"a rather long value"];
    let mut out = Vec::new();
    match random.below(8) {
        0..3 => out.push(0x80 | (1 + random.below(66)) as u8),
        kind => {
            let first = [0x40, 0x00, 0x10, 0x00, 0x00][kind - 3];
            if random.one_in(2) {
                let most = if first == 0x40 { 63 } else { 15 };
                out.push(first | (1 + random.below(most - 1)) as u8);
            } else {
                out.push(first);
                let name = random.pick(&NAMES);
                text(random, name, &mut out);
            }
            let value = random.pick(&VALUES);
            text(random, value, &mut out);
        }
    }
    out
}

fn change(random: &mut Random, block: &mut Vec<Vec<u8>>) {
    let place = random.below(block.len() + 1);
    match random.below(8) {
        0 => block.insert(place, field(random)),
        1 if place < block.len() => drop(block.remove(place)),
        2 => block.insert(0, vec![0x20 | random.below(31) as u8]),
        3 => block.insert(0, vec![0x3f, random.below(128) as u8 | 0x80, random.below(31) as u8]),
        4 if place < block.len() => {
            let byte = random.below(block[place].len().max(1));
            if let Some(byte) = block[place].get_mut(byte) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ if place < block.len() => block[place] = field(random),
        _ => {}
    }
}

#[test]
fn cached_blocks_decode_the_same_as_without_the_cache() {
    let mut recalled = 0;
    for seed in 0..4000 {
        let mut random = Random::new(seed);
        let mut pair = Pair::new();
        // A base that is a request more often than not.
        let mut base: Vec<Vec<u8>> = vec![vec![0x82], vec![0x86], vec![0x84]];
        base.truncate(random.below(5));
        base.extend((0..random.below(5)).map(|_| field(&mut random)));
        for _ in 0..30 {
            let mut block = base.clone();
            for _ in 0..[0, 1, 1, 2][random.below(4)] {
                change(&mut random, &mut block);
            }
            if random.one_in(10) {
                base.clone_from(&block);
            }
            let mut bytes = block.concat();
            if random.one_in(30) {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            let limit = if random.one_in(5) { random.below(400) } else { usize::MAX };
            if !pair.decode(&bytes, limit, &format!("seed {seed}")) {
                break;
            }
        }
        recalled += pair.recalled;
    }
    assert!(recalled > 4000, "only {recalled} blocks were met in the memory");
}

#[test]
fn a_table_size_update_is_not_read_as_a_field() {
    // Trailers begin with a plain field, in the place of which a size comes.
    let trailers = [0x00, 1, b'a', 1, b'b', 0x00, 1, b'c', 1, b'd'];
    let mut pair = Pair::new();
    assert!(pair.decode(&trailers, usize::MAX, "first"));
    assert!(pair.decode(&[&[0x20], &trailers[..]].concat(), usize::MAX, "with a size before it"));
    assert!(pair.decode(&trailers, usize::MAX, "again"));
    assert!(!pair.decode(&[&trailers[..5], &[0x20, 1, b'b']].concat(), usize::MAX, "with a size inside"));
}

#[test]
fn a_cached_list_over_the_limit_is_not_reused() {
    let block = [0x82, 0x86, 0x84, 0x00, 1, b'a', 1, b'b'];
    let mut pair = Pair::new();
    assert!(pair.decode(&block, usize::MAX, "without a limit"));
    assert!(pair.decode(&block, 100, "with one"));
    assert!(pair.head.is_too_large());
    assert!(pair.decode(&block, usize::MAX, "without a limit again"));
    assert!(!pair.head.is_too_large());
}

#[test]
fn a_varying_field_keeps_the_rest_cached() {
    let block =
        |id: u8| [&[0x82, 0x86, 0x84, 0x00, 2, b'i', b'd', 1, id, 0x00, 1, b'z', 1, b'y'][..]].concat();
    let mut pair = Pair::new();
    for id in b'0'..=b'9' {
        assert!(pair.decode(&block(id), usize::MAX, "varying"));
        assert_eq!(pair.head.fields().get("id"), Some(&[id][..]));
        assert!(pair.with.remembers(&block(b'0')), "the first block is still the one in memory");
    }
}

#[test]
fn several_varying_fields_keep_the_rest_cached() {
    let block = |id: &[u8], time: &[u8]| {
        let field = |name: u8, value: &[u8]| [&[0x00, 1, name, value.len() as u8][..], value].concat();
        [&[0x82, 0x86, 0x84][..], &field(b'i', id), &field(b'z', b"y"), &field(b't', time)].concat()
    };
    let mut pair = Pair::new();
    for (id, time) in [("0", "0"), ("1", "1"), ("", "2"), ("longer", ""), ("0", "3"), ("0", "0")] {
        assert!(pair.decode(&block(id.as_bytes(), time.as_bytes()), usize::MAX, "varying"));
        assert_eq!(pair.head.fields().get("i"), Some(id.as_bytes()));
        assert_eq!(pair.head.fields().get("t"), Some(time.as_bytes()));
        assert!(pair.with.remembers(&block(b"0", b"0")), "the first block is still the one in memory");
    }
    for (id, time) in [("a\0", "b"), ("a", " b"), ("a\n", "\n")] {
        assert!(pair.decode(&block(id.as_bytes(), time.as_bytes()), usize::MAX, "no value"));
        assert!(pair.head.check_request().is_err());
    }
    // As long as it lasts, and no longer.
    let whole = block(b"4", b"5");
    assert!(pair.decode(&block(b"0", b"0"), usize::MAX, "again"));
    for limit in [0, 100, 200, 230, usize::MAX] {
        assert!(pair.decode(&whole, limit, "limited"));
        assert!(pair.decode(&block(b"0", b"0"), usize::MAX, "again"));
    }
}

#[test]
fn a_varying_path_keeps_the_rest_cached() {
    let block = |path: &[u8]| {
        [&[0x82, 0x86, 0x04, path.len() as u8][..], path, &[0x41, 1, b'h', 0x00, 1, b'z', 1, b'y']].concat()
    };
    // The second time, the authority is in the table.
    let later = |path: &[u8]| {
        [&[0x82, 0x86, 0x04, path.len() as u8][..], path, &[0xbe, 0x00, 1, b'z', 1, b'y']].concat()
    };
    let mut pair = Pair::new();
    assert!(pair.decode(&block(b"/0"), usize::MAX, "first"));
    for path in [&b"/0"[..], b"/1", b"/longer", b"/"] {
        assert!(pair.decode(&later(path), usize::MAX, "varying"));
        assert_eq!((pair.head.path(), pair.head.check_request()), (path, Ok(())));
        assert!(pair.with.remembers(&later(b"/0")), "the first block is still the one in memory");
    }
    assert!(pair.decode(&later(b" /"), usize::MAX, "no value"));
    assert!(pair.head.check_request().is_err());
    assert!(pair.decode(&later(b"/2"), usize::MAX, "after that"));
    assert_eq!(pair.head.check_request(), Ok(()));
}

#[test]
fn long_blocks_and_long_lists_are_not_cached() {
    let mut pair = Pair::new();
    let long = [&[0x00, 1, b'a', 0x7f, 0xff, 0x0f][..], &[b'x'; 127 + 127 + (15 << 7)]].concat();
    assert!(pair.decode(&long, usize::MAX, "long"));
    assert!(!pair.with.remembers(&long));
    // A name of 3000 bytes in the table, and a short block that has it twenty times.
    let named = [&[0x40, 0x7f, 0xb9, 0x16][..], &[b'n'; 3000], &[1, b'v']].concat();
    let many = [0x80 | 62; 20];
    assert!(pair.decode(&named, usize::MAX, "into the table"));
    assert!(pair.decode(&many, usize::MAX, "many"));
    assert!(!pair.with.remembers(&many));
    assert!(pair.decode(&many[..2], usize::MAX, "few"));
    assert!(pair.with.remembers(&many[..2]));
}
