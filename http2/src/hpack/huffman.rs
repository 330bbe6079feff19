//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: it follows from the lengths of its words. Decoding goes by a table of states, four
//! bits at a time.

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
const SHORTEST: u8 = 5;
const LONGEST: u8 = 30;

static CODES: [u32; 257] = codes();
static STEPS: [[Step; 16]; 256] = steps();

/// What four bits do in a state.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    what: u8,
}

/// A symbol is complete.
const EMIT: u8 = 1;
/// A string may end here: what is left over is a prefix of EOS and shorter than a byte.
const END: u8 = 2;
/// EOS has come.
const BAD: u8 = 4;

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let mut code = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] == length {
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

/// The tree of the code: for each inner node, where a bit leads. Nodes are numbered from the root, which is 0;
/// symbols follow at 1000.
const fn tree() -> [[u16; 2]; 256] {
    const CODES: [u32; 257] = codes();
    let mut nodes = [[0_u16; 2]; 256];
    let mut used = 1;
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        let mut node = 0;
        let mut left = LENGTHS[symbol];
        while left > 0 {
            left -= 1;
            let bit = (CODES[symbol] >> left & 1) as usize;
            if left == 0 {
                nodes[node][bit] = 1000 + symbol as u16;
            } else {
                if nodes[node][bit] == 0 {
                    nodes[node][bit] = used;
                    used += 1;
                }
                node = nodes[node][bit] as usize;
            }
        }
        symbol += 1;
    }
    nodes
}

const fn steps() -> [[Step; 16]; 256] {
    const TREE: [[u16; 2]; 256] = tree();
    let mut steps = [[Step { next: 0, symbol: 0, what: 0 }; 16]; 256];
    // The states in which a string may end: at the root, and up to seven ones below it.
    let mut ends = [false; 256];
    let (mut node, mut depth) = (0, 0);
    while depth <= 7 {
        ends[node] = true;
        node = TREE[node][1] as usize;
        depth += 1;
    }
    let mut state = 0;
    while state < 256 {
        let mut bits = 0;
        while bits < 16 {
            let mut step = Step { next: 0, symbol: 0, what: 0 };
            let mut node = state as u16;
            let mut left = 4;
            while left > 0 {
                left -= 1;
                node = TREE[node as usize][bits >> left & 1];
                if node == 1000 + EOS as u16 {
                    step.what |= BAD;
                    node = 0;
                } else if node >= 1000 {
                    step.what |= EMIT;
                    step.symbol = (node - 1000) as u8;
                    node = 0;
                }
            }
            step.next = node as u8;
            if ends[node as usize] {
                step.what |= END;
            }
            steps[state][bits] = step;
            bits += 1;
        }
        state += 1;
    }
    steps
}

/// Appends the string that was encoded as `input`. False: it is malformed.
#[must_use]
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(input.len() * 8 / SHORTEST as usize + 1);
    let mut state = 0;
    let mut what = END;
    for byte in input {
        for bits in [byte >> 4, byte & 15] {
            let step = STEPS[state as usize][bits as usize];
            what = step.what;
            if what & EMIT != 0 {
                out.push(step.symbol);
            }
            if what & BAD != 0 {
                return false;
            }
            state = step.next;
        }
    }
    what & END != 0
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
    fn the_examples_of_the_document() {
        assert_eq!(
            round(b"www.example.com"),
            [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]
        );
        assert_eq!(round(b"no-cache"), [0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]);
        assert_eq!(round(b"302"), [0x64, 0x02]);
    }

    #[test]
    fn every_byte_comes_back_in_every_company() {
        for first in 0..=255_u8 {
            round(&[first]);
            let text: Vec<u8> = (0..40_u8).map(|step| first.wrapping_add(step.wrapping_mul(37))).collect();
            round(&text);
        }
        round(b"");
    }

    #[test]
    fn padding_is_short_and_of_ones() {
        let mut out = Vec::new();
        // "0" is 00000: three bits are left.
        assert!(decode(&[0b0000_0111], &mut out));
        assert!(!decode(&[0b0000_0110], &mut out), "not of ones");
        assert!(!decode(&[0b0000_0111, 0xff], &mut out), "longer than seven bits");
        assert!(!decode(&[0xff, 0xff, 0xff, 0xff], &mut out), "EOS");
    }
}
