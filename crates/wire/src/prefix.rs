//! What two runs of bytes have in common at their beginning.

/// How many bytes are the same at the beginning of both.
///
/// ```
/// assert_eq!(wire::common_prefix(b"accept: a", b"accept: b, c"), 8);
/// ```
#[inline]
#[must_use]
pub fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(x), Some(y)) = (a[at..].first_chunk::<8>(), b[at..].first_chunk()) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return at + differ.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found_wherever_it_is() {
        let bytes: Vec<u8> = (0..40).collect();
        for length in 0..=bytes.len() {
            assert_eq!(common_prefix(&bytes, &bytes[..length]), length);
            assert_eq!(common_prefix(&bytes[..length], &bytes), length);
            let mut other = bytes[..length].to_vec();
            for at in 0..length {
                other[at] ^= 0x80;
                assert_eq!(common_prefix(&bytes, &other), at, "{length}");
                other[at] ^= 0x80;
            }
        }
    }
}
