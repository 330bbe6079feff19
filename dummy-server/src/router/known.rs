//! Targets that lead where they led before.

use super::Route;
use crate::stats::Endpoint;

/// Targets that were routed before: steady traffic asks for few. Each has one place, by a hash.
#[derive(Debug)]
pub(crate) struct KnownTargets(Box<[Option<KnownTarget>; KNOWN]>);

const KNOWN: usize = 64;
/// Longer targets are not kept.
const LONGEST_KNOWN: usize = 40;

#[derive(Clone, Copy, Debug)]
struct KnownTarget {
    len: u8,
    text: [u8; LONGEST_KNOWN],
    endpoint: Endpoint,
    route: Route,
}

impl Default for KnownTargets {
    fn default() -> Self {
        Self(Box::new([None; KNOWN]))
    }
}

impl KnownTargets {
    /// Where a target leads, if it is known.
    #[inline]
    pub(crate) fn get(&self, target: &[u8]) -> Option<(Endpoint, Route)> {
        let known = self.0[place(target)].as_ref()?;
        let is_same = known.text[..usize::from(known.len)] == *target;
        is_same.then_some((known.endpoint, known.route))
    }

    /// Keeps where a target leads.
    pub(crate) fn keep(&mut self, target: &[u8], endpoint: Endpoint, route: Route) {
        if target.len() <= LONGEST_KNOWN {
            let mut text = [0; LONGEST_KNOWN];
            text[..target.len()].copy_from_slice(target);
            self.0[place(target)] = Some(KnownTarget { len: target.len() as u8, text, endpoint, route });
        }
    }
}

/// The end of a target says more than its beginning.
fn place(target: &[u8]) -> usize {
    let end =
        target.iter().rev().take(8).fold(target.len() as u64, |hash, byte| hash << 8 ^ u64::from(*byte));
    (end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::{super::route, *};

    #[test]
    fn a_known_target_leads_to_the_route_that_was_found() {
        let mut known = KnownTargets::default();
        let targets = ["/", "/bin/1K", "/bin/2K", "/bin/1K?chunked=1", "/status/404", "/x/y"];
        for _ in 0..2 {
            for target in targets {
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let (endpoint, found) = route(path, query);
                let found = found.unwrap();
                if let Some(remembered) = known.get(target.as_bytes()) {
                    assert_eq!(remembered, (endpoint, found), "{target}");
                }
                known.keep(target.as_bytes(), endpoint, found);
                assert_eq!(known.get(target.as_bytes()), Some((endpoint, found)), "{target}");
            }
        }
        assert_eq!(known.get(b""), None);
        assert_eq!(known.get("/long".repeat(99).as_bytes()), None);
    }
}
