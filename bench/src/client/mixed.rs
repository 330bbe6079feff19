//! The paths of a load whose requests are all different.

use crate::load::Body;

/// How many different paths a mixed load has.
const MIXED: usize = 10_000;

/// The paths of [`Body::K1`] alternately, each with an id of 36 characters that no other has: always the same ones.
pub(super) fn mixed() -> impl Iterator<Item = String> {
    (0..MIXED).map(|index| {
        let paths = Body::K1.paths();
        let [high, low] = [0, 1].map(|half| scrambled(2 * index as u64 + half));
        let [a, b, c] = [high >> 32, high >> 16 & 0xffff, high & 0xffff];
        let [d, e] = [low >> 48, low & 0xffff_ffff_ffff];
        format!("{}?id={a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}", paths[index % paths.len()])
    })
}

/// A number whose digits look like chance: steps of an odd constant, mixed in two multiplications, each of
/// which can be undone, so that different numbers stay different.
const fn scrambled(number: u64) -> u64 {
    let spread = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let once = (spread ^ (spread >> 29)).wrapping_mul(0xd1b5_4a32_d192_ed03);
    once ^ (once >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn mixed_paths_alternate_with_unique_ids() {
        let paths: Vec<String> = mixed().collect();
        let ids: BTreeSet<&str> = paths.iter().filter_map(|path| Some(path.split_once("?id=")?.1)).collect();
        assert_eq!(ids.len(), MIXED);
        for id in ids {
            assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        }
        let (even, odd) = (paths.iter().step_by(2), paths.iter().skip(1).step_by(2));
        assert_eq!(even.filter(|path| path.starts_with("/bin/1K?id=")).count(), MIXED / 2);
        assert_eq!(odd.filter(|path| path.starts_with("/bin/1024?id=")).count(), MIXED / 2);
    }
}
