//! When a server saw a request and handed its reply over, by the monotonic clock of its host: the last part of
//! [`Seen`](super::Seen).
//!
//! All processes of a host share that clock, in whatever container or network namespace they are, unless they have a time
//! namespace of their own. So both ends say which [`Host`] their clock belongs to, and instants of another one are compared with
//! nothing.

use std::num::NonZeroU32;

use super::fnv::fnv1a;

/// Whose monotonic clock it is: a digest, in 24 bits, of what the kernel drew when it started and of the time namespace.
///
/// ```
/// use contract::ledger::Host;
///
/// let boot = "5f9c2d70-0d2b-4a3c-9d5d-2f3b8a1c7e64";
/// let one = Host::of(boot, "time:[4026531834]");
/// assert_eq!(one, Host::of(boot, "time:[4026531834]"));
/// assert_ne!(one, Host::of(boot, "time:[4026532288]"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host(NonZeroU32);

impl Host {
    /// Of a boot id and the name of a time namespace.
    #[must_use]
    pub fn of(boot_id: &str, time_namespace: &str) -> Self {
        // What differs in one digit shall differ here.
        let hash = fnv1a(boot_id.trim().bytes().chain(*b" ").chain(time_namespace.trim().bytes()));
        let folded = (hash ^ hash >> 24 ^ hash >> 48) as u32 & 0x00ff_ffff;
        Self(NonZeroU32::new(folded).unwrap_or(NonZeroU32::MIN))
    }
}

/// When a request was seen and its reply handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instants {
    /// Whose clock it is; none where that can't be found out.
    pub host: Option<Host>,
    /// When the head of the request was seen, in nanoseconds, modulo 2^48: three days.
    pub seen: u64,
    /// How much later the head of the reply was handed over, in nanoseconds, below [`Self::LONGEST`].
    pub server: u64,
}

/// Digits of six bits.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_~";

/// How many digits host and instant have.
const HOST: usize = 4;
const SEEN: usize = 8;
/// How many digits the server's own time has at most.
const SERVER: usize = 7;

impl Instants {
    /// The longest text.
    pub const LENGTH: usize = HOST + SEEN + SERVER;

    /// Times of a server of this length, 73 minutes, or more are not reported.
    pub const LONGEST: u64 = 1 << (6 * SERVER);

    /// The bits of an instant that are reported.
    pub const INSTANT: u64 = (1 << (6 * SEEN)) - 1;

    /// Writes it to the beginning of `text`; how long it is.
    #[inline]
    pub(super) fn write(&self, text: &mut [u8; Self::LENGTH]) -> usize {
        put(self.host.map_or(0, |host| host.0.get()).into(), &mut text[..HOST]);
        self.write_seen(text);
        self.write_server(text)
    }

    /// Writes when the request was seen to its place in `text`, which begins with the host.
    #[inline]
    pub(super) fn write_seen(&self, text: &mut [u8; Self::LENGTH]) {
        put(self.seen, &mut text[HOST..HOST + SEEN]);
    }

    /// Writes the server's time to the end of `text`, behind all else; how long all of it is.
    #[inline]
    pub(super) fn write_server(&self, text: &mut [u8; Self::LENGTH]) -> usize {
        let bits = 64 - (self.server | 1).leading_zeros() as usize;
        let end = HOST + SEEN + bits.div_ceil(6).min(SERVER);
        put(self.server, &mut text[HOST + SEEN..end]);
        end
    }

    /// Reads one; none where something else stands there.
    #[inline]
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (host, rest) = text.split_at_checked(HOST)?;
        let (seen, server) = rest.split_at_checked(SEEN)?;
        let host = NonZeroU32::new(number(host)? as u32).map(Host);
        Some(Self { host, seen: number(seen)?, server: read_server(server)? })
    }

    /// Reads the next one, which mostly has the host and often the instant of this, which was read from `known`: whether it is
    /// one of the same host. Both become it.
    #[inline]
    pub(super) fn read_next(&mut self, text: &[u8], known: &mut [u8; Self::LENGTH]) -> bool {
        let Some((host, rest)) = text.split_first_chunk::<HOST>() else { return false };
        let Some((seen, server)) = rest.split_first_chunk::<SEEN>() else { return false };
        if host[..] != known[..HOST] {
            return false;
        }
        if seen[..] != known[HOST..HOST + SEEN] {
            let Some(number) = number(seen) else { return false };
            self.seen = number;
            known[HOST..HOST + SEEN].copy_from_slice(seen);
        }
        let Some(server) = read_server(server) else { return false };
        self.server = server;
        true
    }
}

/// The server's time, in as many digits as it needs.
#[inline]
fn read_server(text: &[u8]) -> Option<u64> {
    match text {
        [_] | [b'1'..=b'~', ..] if text.len() <= SERVER => number(text),
        _ => None,
    }
}

/// The last digits of a number, as many as there is room for.
#[inline]
fn put(mut value: u64, text: &mut [u8]) {
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(value & 63) as usize];
        value >>= 6;
    }
}

/// What each byte stands for; anything else has more than six bits.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// The number that at most eight digits are.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    let (mut number, mut all) = (0, 0);
    for digit in digits {
        let value = VALUES[usize::from(*digit)];
        all |= value;
        number = number << 6 | u64::from(value & 63);
    }
    (all < 64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(instants: Instants) -> Vec<u8> {
        let mut text = [0; Instants::LENGTH];
        let end = instants.write(&mut text);
        text[..end].to_vec()
    }

    #[test]
    fn instants_are_read_as_they_were_written_up_to_the_largest() {
        let host = Host::of("5f9c2d70-0d2b-4a3c-9d5d-2f3b8a1c7e64", "time:[4026531834]");
        for host in [None, Some(host), NonZeroU32::new(0x00ff_ffff).map(Host)] {
            for seen in [0, 1, 123_456_789_012, Instants::INSTANT] {
                for server in [0, 1, 63, 64, 4095, 4096, 1 << 30, Instants::LONGEST - 1] {
                    let instants = Instants { host, seen, server };
                    assert_eq!(Instants::read(&text(instants)), Some(instants));
                }
            }
        }
        let longest = Instants { host: None, seen: 0, server: Instants::LONGEST - 1 };
        assert_eq!(text(longest).len(), Instants::LENGTH);
        assert_eq!(text(Instants { host: None, seen: 65, server: 0 }), b"0000000000110");
    }

    #[test]
    fn anything_else_is_not_an_instant() {
        for other in [
            "",
            "0000",
            "000000000000",
            "00000000000000",
            "000000000000-",
            "00000000000011111111",
            "é00000000001",
        ] {
            assert_eq!(Instants::read(other.as_bytes()), None, "{other}");
        }
    }
}
