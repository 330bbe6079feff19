//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: it follows from the lengths of its words. Decoding looks at twelve bits at a time, in which
//! two short codes have room; longer ones are found by their length.

/// The end-of-string symbol, which must not appear.
const EOS: usize = 256;

/// Bits of each symbol's code.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

/// The shortest and the longest code, in bits.
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// Bits of one look.
const LOOK: usize = 12;

static CODES: [u32; 257] = codes();
static BY_LENGTH: ByLength = by_length();
static LOOKS: [Look; 1 << LOOK] = looks();

/// The codes in their order: those of one length are numbers in a row.
struct ByLength {
    /// For each length, where its codes end: what begins with one of them or with a shorter one is less, as a number of
    /// 32 bits.
    ends: [u64; LONGEST + 1],
    /// For each length, the symbol of its first code, as a place in `symbols`.
    places: [usize; LONGEST + 1],
    symbols: [u16; 257],
}

/// The symbols at the beginning of some bits.
#[derive(Clone, Copy)]
struct Look {
    symbols: [u8; 2],
    /// How many there are.
    count: u8,
    /// The bits of their codes; more than there can be when the first code is longer than a look.
    bits: u8,
}

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let mut code = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    codes
}

const fn by_length() -> ByLength {
    const CODES: [u32; 257] = codes();
    let mut table = ByLength { ends: [0; LONGEST + 1], places: [0; LONGEST + 1], symbols: [0; 257] };
    let (mut length, mut place) = (SHORTEST, 0);
    while length <= LONGEST {
        table.places[length] = place;
        table.ends[length] = table.ends[length - 1];
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                table.symbols[place] = symbol as u16;
                table.ends[length] = (CODES[symbol] as u64 + 1) << (32 - length);
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    table
}

/// The first symbol in 32 bits, and the length of its code.
const fn first(bits: u32, table: &ByLength) -> (usize, usize) {
    let mut length = SHORTEST;
    while table.ends[length] <= bits as u64 {
        length += 1;
        if length == LONGEST {
            break;
        }
    }
    let from_first = (bits as u64 - table.ends[length - 1]) >> (32 - length);
    (table.symbols[table.places[length] + from_first as usize] as usize, length)
}

const fn looks() -> [Look; 1 << LOOK] {
    const TABLE: ByLength = by_length();
    let mut looks = [Look { symbols: [0; 2], count: 0, bits: 0 }; 1 << LOOK];
    let mut index = 0;
    while index < looks.len() {
        let look = &mut looks[index];
        let bits = (index as u32) << (32 - LOOK);
        while look.count < 2 {
            let (symbol, length) = first(bits << look.bits, &TABLE);
            if look.bits as usize + length > LOOK {
                break;
            }
            look.symbols[look.count as usize] = symbol as u8;
            look.count += 1;
            look.bits += length as u8;
        }
        if look.count == 0 {
            look.bits = u8::MAX;
        }
        index += 1;
    }
    looks
}

/// Appends the string that was encoded as `input`. False: it is malformed.
#[must_use]
pub fn decode(mut input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut end = out.len();
    // Two more, since every look writes two.
    out.resize(end + input.len() * 8 / SHORTEST + 2, 0);
    // Bits that were read, the next one highest, with zeros below them.
    let (mut bits, mut count) = (0_u64, 0_usize);
    let complete = loop {
        if let Some(eight) = input.first_chunk() {
            bits |= u64::from_be_bytes(*eight) >> count;
            let bytes = (63 - count) / 8;
            input = &input[bytes..];
            count += 8 * bytes;
            // The next byte is read again.
            bits &= !(u64::MAX >> count);
        } else {
            while count <= 56
                && let Some((byte, rest)) = input.split_first()
            {
                bits |= u64::from(*byte) << (56 - count);
                input = rest;
                count += 8;
            }
        }
        loop {
            let look = LOOKS[(bits >> (64 - LOOK)) as usize];
            if usize::from(look.bits) > count {
                break;
            }
            out[end..end + 2].copy_from_slice(&look.symbols);
            end += usize::from(look.count);
            bits <<= look.bits;
            count -= usize::from(look.bits);
        }
        if count < LONGEST && !input.is_empty() {
            continue;
        }
        // What follows the last bit is taken for ones, which no code is made of but that of EOS.
        let next = (bits >> 32) as u32 | u32::MAX.checked_shr(count as u32).unwrap_or(0);
        if next == u32::MAX {
            // Padding is shorter than a byte, and the beginning of EOS.
            break count < 8;
        }
        let (symbol, length) = first(next, &BY_LENGTH);
        if length > count {
            break false;
        }
        if symbol == EOS {
            break false;
        }
        out[end] = symbol as u8;
        end += 1;
        bits <<= length;
        count -= length;
    };
    out.truncate(end);
    complete
}

/// Bytes of the encoded form.
#[must_use]
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| LENGTHS[*byte as usize] as usize).sum();
    bits.div_ceil(8)
}

/// Appends the encoded form.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut waiting, mut count) = (0_u64, 0_u32);
    for byte in text {
        let length = u32::from(LENGTHS[*byte as usize]);
        waiting = waiting << length | u64::from(CODES[*byte as usize]);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((waiting >> count) as u8);
        }
    }
    if count > 0 {
        // Filled up with ones, which begin EOS.
        out.push((waiting << (8 - count)) as u8 | (0xff >> count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn round(text: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        encode(text, &mut encoded);
        assert_eq!(encoded.len(), encoded_len(text));
        let mut decoded = Vec::new();
        assert!(decode(&encoded, &mut decoded));
        assert_eq!(decoded, text);
        encoded
    }

    #[test]
    fn rfc_7541_examples_round_trip() {
        assert_eq!(
            round(b"www.example.com"),
            [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]
        );
        assert_eq!(round(b"no-cache"), [0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]);
        assert_eq!(round(b"302"), [0x64, 0x02]);
    }

    #[test]
    fn every_byte_round_trips() {
        for first in 0..=255_u8 {
            round(&[first]);
            let text: Vec<u8> = (0..40_u8).map(|step| first.wrapping_add(step.wrapping_mul(37))).collect();
            round(&text);
        }
        round(b"");
    }

    /// Bit by bit, as the document has it.
    fn plainly(input: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut code, mut length) = (Vec::new(), 0, 0);
        for bit in input.iter().flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1))) {
            (code, length) = (code << 1 | bit, length + 1);
            if let Some(symbol) = (0..257).find(|&s| LENGTHS[s] == length && CODES[s] == code) {
                out.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(out)
    }

    #[test]
    fn decoding_agrees_with_a_bit_by_bit_decoder() {
        let (mut good, mut random) = (0, Random::new(7));
        for _ in 0..2_000 {
            let mut input = Vec::new();
            if random.one_in(2) {
                let text: Vec<u8> = (0..random.below(40))
                    .map(|_| {
                        if random.one_in(8) { random.below(256) as u8 } else { b'0' + random.below(70) as u8 }
                    })
                    .collect();
                encode(&text, &mut input);
            }
            input.extend(
                (0..random.below(4)).map(|_| if random.one_in(2) { 0xff } else { random.below(256) as u8 }),
            );
            let mut out = b"before".to_vec();
            let decoded = decode(&input, &mut out).then(|| out[6..].to_vec());
            assert_eq!(decoded, plainly(&input), "{input:02x?}");
            good += usize::from(decoded.is_some());
        }
        assert!((500..1_500).contains(&good), "{good} were codes");
    }

    #[test]
    fn padding_must_be_short_and_all_ones() {
        let mut out = Vec::new();
        // "0" is 00000: three bits are left.
        assert!(decode(&[0b0000_0111], &mut out));
        assert!(!decode(&[0b0000_0110], &mut out), "not of ones");
        assert!(!decode(&[0b0000_0111, 0xff], &mut out), "longer than seven bits");
        assert!(!decode(&[0xff, 0xff, 0xff, 0xff], &mut out), "EOS");
    }
}
