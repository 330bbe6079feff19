//! Integers with a prefix (RFC 7541 section 5.1).

use super::Malformed;

/// No index, length or size is larger: more is an attack or garbage.
const LARGEST: u64 = u32::MAX as u64;

/// Reads one whose prefix is the low `bits` of the first byte, off the front of `input`.
#[inline]
pub(super) fn read(input: &mut &[u8], bits: u32) -> Result<usize, Malformed> {
    let (&first, rest) = input.split_first().ok_or(Malformed("a field breaks off"))?;
    let mask = (1_usize << bits) - 1;
    let prefix = first as usize & mask;
    *input = rest;
    if prefix < mask { Ok(prefix) } else { read_long(input, mask) }
}

fn read_long(input: &mut &[u8], prefix: usize) -> Result<usize, Malformed> {
    let mut value = prefix as u64;
    for shift in (0..=28).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or(Malformed("an integer breaks off"))?;
        *input = rest;
        value += u64::from(byte & 0x7f) << shift;
        if value > LARGEST {
            break;
        }
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| Malformed("an integer is too large"));
        }
    }
    Err(Malformed("an integer is too large"))
}

/// Writes one whose prefix is the low `bits` of the first byte; `first` has the others.
#[inline]
pub(super) fn write(value: usize, bits: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        out.push(first | value as u8);
        return;
    }
    out.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7541_examples_round_trip() {
        for (value, bits, bytes) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut out = Vec::new();
            write(value, bits, 0, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(read(&mut &out[..], bits), Ok(value));
        }
    }

    #[test]
    fn integers_round_trip() {
        for bits in 4..=7 {
            for value in (0..2000).chain([16_383, 16_384, 1 << 20, LARGEST as usize]) {
                let mut out = Vec::new();
                write(value, bits, 0, &mut out);
                let mut input = &out[..];
                assert_eq!(read(&mut input, bits), Ok(value));
                assert!(input.is_empty());
            }
        }
    }

    #[test]
    fn oversized_and_truncated_integers_are_refused() {
        assert!(read(&mut &[31, 255, 255, 255, 255, 255, 255, 1][..], 5).is_err());
        assert!(read(&mut &[31, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0][..], 5).is_err());
        assert!(read(&mut &[31, 0x80][..], 5).is_err());
        assert!(read(&mut &[][..], 5).is_err());
    }
}
