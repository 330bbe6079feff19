//! Heads of a few requests, as each end knows them: what a proxy adds to them, drops and rewrites is the difference.
//!
//! Which requests those are follows from the run and the number alone, so that both ends keep the same ones without asking each
//! other. Of the values of fields that carry secrets, neither end keeps more than a length and a checksum.

use serde::{Deserialize, Serialize};

use super::fnv::fnv1a;
use crate::field::TOKEN;

/// The maximum number of requests of a load that are sampled.
pub const MAX_SAMPLES: usize = 256;

/// The first numbers: each of them is sampled.
const FIRST: u64 = 64;
/// From this number on, none is sampled.
const END: u64 = 1 << 30;
/// In how many parts of equal length the numbers between two powers of two are divided; one number of each is sampled.
const PARTS: u32 = 8;

/// The longest target and value that are kept whole, in bytes, and how much is kept of longer ones.
const MAX_TARGET: usize = 512;
const MAX_VALUE: usize = 256;
const KEPT: usize = 128;
/// The longest name; a field with a longer one is left out.
const MAX_NAME: usize = 128;
/// The maximum number of fields of a head, and of bytes of their names and values.
const MAX_FIELDS: usize = 128;
const MAX_BYTES: usize = 4096;
/// The longest text that a statement may have for any of them: what is kept, with each byte that is not text replaced.
const MAX_STATED: usize = 4 * MAX_TARGET;

/// Whether the head of the request with this number is kept.
///
/// ```
/// use contract::ledger::is_sampled;
///
/// assert!((0..64).all(|number| is_sampled(7, number)));
/// assert_eq!((0..1 << 16).filter(|number| is_sampled(7, *number)).count(), 64 + 8 * 10);
/// ```
#[inline]
#[must_use]
pub const fn is_sampled(run: u32, number: u64) -> bool {
    if number < FIRST {
        return true;
    }
    let within = (1 << (number.ilog2() - PARTS.ilog2())) - 1;
    let part = number & !within;
    // Which one of its part differs by run, so that no connection, whose turn comes every so often, is always left out.
    let drawn = (part ^ ((run as u64) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    number & within == drawn & within && number < END
}

/// One sampled request, as a server has seen and answered it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its number.
    pub number: u64,
    /// The number of the connection that it came on, by which the server distinguishes its connections.
    pub connection: u64,
    /// The version of HTTP, such as `HTTP/1.1`.
    pub version: String,
    /// Whether it came inside TLS.
    pub tls: bool,
    /// The head of the request.
    pub request: RequestHead,
    /// The head of the reply, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyHead>,
}

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestHead {
    /// The method.
    pub method: String,
    /// The target as on the wire, or HTTP/2's `:path`.
    pub target: String,
    /// Its fields; of HTTP/2's pseudo-fields, `:authority` alone.
    pub fields: KeptFields,
    /// The fields behind its content; none where that did not come whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailers: Option<KeptFields>,
}

/// The head of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyHead {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: KeptFields,
    /// The fields behind its content; none where that is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trailers: Option<KeptFields>,
}

/// Fields in the order and the case that they had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFields {
    /// Names and values.
    pub list: Vec<(String, String)>,
    /// How many more there were, for which there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl RequestHead {
    /// Of a request without fields yet.
    #[must_use]
    pub fn new(run: u32, method: &[u8], target: &[u8]) -> Self {
        let (method, target) = (kept(run, method, MAX_NAME), kept(run, target, MAX_TARGET));
        Self { method, target, ..Self::default() }
    }

    /// How many fields there was no room for.
    #[must_use]
    pub fn left_out(&self) -> u32 {
        left_out(&self.fields, self.trailers.as_ref())
    }
}

impl ReplyHead {
    /// How many fields there was no room for.
    #[must_use]
    pub fn left_out(&self) -> u32 {
        left_out(&self.fields, self.trailers.as_ref())
    }
}

fn left_out(fields: &KeptFields, trailers: Option<&KeptFields>) -> u32 {
    fields.left_out.saturating_add(trailers.map_or(0, |trailers| trailers.left_out))
}

impl KeptFields {
    /// These fields, as far as there is room.
    #[must_use]
    pub fn of<'f>(run: u32, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) -> Self {
        let mut kept = Self::default();
        fields.into_iter().for_each(|(name, value)| kept.push(run, name, value));
        kept
    }

    /// Adds a field at the end, as far as there is room. Of a secret, only its length and a checksum of 32 bits are kept, of a
    /// long value the beginning, its length and the checksum.
    pub fn push(&mut self, run: u32, name: &[u8], value: &[u8]) {
        let room = MAX_BYTES.saturating_sub(self.size());
        let has_room = name.len() + value.len().min(MAX_VALUE) <= room;
        if name.len() > MAX_NAME || self.list.len() >= MAX_FIELDS || !has_room {
            self.left_out += 1;
            return;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let value = if is_secret(&name) { redacted(run, value) } else { kept(run, value, MAX_VALUE) };
        self.list.push((name, value));
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.list.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The first value of this name, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.list.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn is_plausible(&self) -> bool {
        let texts = self.list.iter().flat_map(|(name, value)| [name, value]);
        self.list.len() <= MAX_FIELDS && texts.into_iter().all(|text| text.len() <= MAX_STATED)
    }
}

impl Sample {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        let of = |fields: &KeptFields| {
            fields.size() + fields.list.len() * size_of::<(String, String)>() + size_of::<Self>()
        };
        let all =
            |fields: &KeptFields, trailers: &Option<KeptFields>| of(fields) + trailers.as_ref().map_or(0, of);
        let reply = self.reply.as_ref().map_or(0, |reply| all(&reply.fields, &reply.trailers));
        all(&self.request.fields, &self.request.trailers) + self.request.target.len() + reply
    }

    /// Whether a server can have kept it.
    pub(super) fn is_plausible(&self) -> bool {
        let texts = [&self.version, &self.request.method, &self.request.target];
        texts.iter().all(|text| text.len() <= MAX_STATED)
            && are_plausible(&self.request.fields, self.request.trailers.as_ref())
            && self.reply.as_ref().is_none_or(|reply| are_plausible(&reply.fields, reply.trailers.as_ref()))
    }
}

fn are_plausible(fields: &KeptFields, trailers: Option<&KeptFields>) -> bool {
    fields.is_plausible() && trailers.is_none_or(KeptFields::is_plausible)
}

/// Whether the values of a field are confidential.
fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    const PARTS: [&str; 5] = ["token", "secret", "passw", "api-key", "session"];
    let name = name.to_ascii_lowercase();
    NAMES.contains(&&*name) || name != TOKEN && PARTS.iter().any(|part| name.contains(part))
}

fn redacted(run: u32, value: &[u8]) -> String {
    format!("(redacted: {} bytes, {:08x})", value.len(), checksum(run, value))
}

/// A text of up to `most` bytes as it is; of a longer one the beginning, and what distinguishes it from others.
fn kept(run: u32, text: &[u8], most: usize) -> String {
    if text.len() <= most {
        return String::from_utf8_lossy(text).into_owned();
    }
    let beginning = String::from_utf8_lossy(&text[..KEPT.min(most)]);
    format!("{beginning}... ({} bytes, {:08x})", text.len(), checksum(run, text))
}

/// Distinguishes values of a run (FNV-1a, folded). It hides nothing that can be guessed: guesses can be tried against it.
fn checksum(run: u32, value: &[u8]) -> u32 {
    let hash = fnv1a(run.to_le_bytes().into_iter().chain(value.iter().copied()));
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_samples_as_many_and_other_ones_far_behind_the_first() {
        let sampled =
            |run: u32, to: u64| (0..to).filter(|number| is_sampled(run, *number)).collect::<Vec<_>>();
        for run in [0, 1, 7, u32::MAX] {
            assert_eq!(sampled(run, 1 << 20).len(), 64 + 8 * 14, "{run}");
        }
        assert_ne!(sampled(1, 1 << 12), sampled(2, 1 << 12));
        // Not all of one of several connections that take turns.
        let behind = &sampled(1, 1 << 20)[64..];
        assert!((0..4).all(|turn| behind.iter().any(|number| number % 4 == turn)), "{behind:?}");
        // One for each of 8 parts from 2^6 to 2^30, and none beyond.
        assert_eq!(64 + 8 * (30 - 6), MAX_SAMPLES);
        assert!(!is_sampled(0, u64::MAX) && !(END..END + (1 << 20)).any(|number| is_sampled(3, number)));
    }

    #[test]
    fn a_head_is_kept_within_bounds_and_what_is_cut_still_differs() {
        let mut fields = KeptFields::default();
        for length in [MAX_VALUE, MAX_VALUE + 1] {
            fields.push(1, b"X-Long", &vec![b'a'; length]);
        }
        assert_eq!(fields.list[0].1.len(), MAX_VALUE);
        assert!(fields.list[1].1.contains("... (257 bytes, "), "{fields:?}");
        let mut other = KeptFields::default();
        other.push(1, b"X-Long", &[vec![b'a'; MAX_VALUE], vec![b'b']].concat());
        assert_ne!(other.list[0].1, fields.list[1].1, "differs behind what is shown");
        for _ in 0..1000 {
            fields.push(1, b"x-more", &[0xff; MAX_VALUE]);
        }
        assert!(fields.left_out > 900 && fields.is_plausible(), "{}", fields.left_out);
        fields.push(1, &[b'n'; MAX_NAME + 1], b"");
        assert_eq!(RequestHead::new(1, b"GET", &[b'/'; MAX_TARGET]).target.len(), MAX_TARGET);
        assert!(RequestHead::new(1, b"GET", &[b'/'; MAX_TARGET + 1]).target.ends_with(')'));
    }

    #[test]
    fn secrets_are_not_kept_and_still_differ_from_others() {
        let kept = |name: &str, value: &str| {
            let mut fields = KeptFields::default();
            fields.push(1, name.as_bytes(), value.as_bytes());
            fields.list.remove(0).1
        };
        for name in
            ["Authorization", "cookie", "Set-Cookie", "Proxy-Authorization", "x-api-key", "X-Auth-Token"]
        {
            let value = kept(name, "hunter2");
            assert!(value.starts_with("(redacted: 7 bytes") && !value.contains("hunter"), "{value}");
            assert_eq!(value, kept(name, "hunter2"));
            assert_ne!(value, kept(name, "hunter3"));
        }
        for name in [TOKEN, "host", "x-dummy-seen", ":authority"] {
            assert_eq!(kept(name, "hunter2"), "hunter2");
        }
    }
}
