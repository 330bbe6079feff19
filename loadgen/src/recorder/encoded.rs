//! Histograms as text: HDR V2 in base64, with the digits that this program gives them.
//!
//! What is read may come from anywhere: it takes no more memory than what this program would have written.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Counter, Histogram,
    serialization::{Deserializer as HdrDeserializer, Serializer as _, V2Serializer},
};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{self, Error as _, SeqAccess},
    ser::Error as _,
};

use super::plausible::LARGEST;

/// The longest that is read, in bytes of base64.
const MAX_TEXT: usize = 1 << 20;
/// How V2 begins: its number, length of the counts, offset, digits, lowest and highest value, ratio.
const COOKIE: u32 = 0x1c84_9303 | 0x10;
const HEADER: usize = 40;
/// Histograms that grow have a highest value beyond [`super::LONGEST`], but not beyond this.
const MAX_HIGHEST: u64 = 1 << 43;
/// What is as long as [`super::LONGEST`] lies below this in a histogram.
const BEYOND: u64 = 1 << 42;
/// What no count is written as, and the reader can't take.
const NO_COUNT: [u8; 9] = [0xff; 9];

pub(super) fn serialize<T: Counter, S: Serializer>(
    histogram: &Histogram<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).map_err(S::Error::custom)?;
    to.serialize_str(&STANDARD.encode(bytes))
}

pub(super) fn deserialize<'de, T: Counter, D: Deserializer<'de>, const DIGITS: u8>(
    from: D,
) -> Result<Histogram<T>, D::Error> {
    let text = String::deserialize(from)?;
    decode(&text, DIGITS).map_err(|why| D::Error::custom(format!("invalid histogram: {why}")))
}

fn decode<T: Counter>(text: &str, digits: u8) -> Result<Histogram<T>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is longer than {MAX_TEXT} characters"));
    }
    let bytes = STANDARD.decode(text).map_err(|error| format!("invalid base64: {error}"))?;
    // The reader below takes memory as the header says.
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let long = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let is_of_its_size = number(4).is_some_and(|length| bytes.len() == HEADER + length as usize);
    if number(0) != Some(COOKIE) || !is_of_its_size || bytes.windows(9).any(|nine| nine == NO_COUNT) {
        return Err("it is not in the V2 format of HDR, or cut".to_owned());
    }
    if number(12) != Some(digits.into()) {
        return Err(format!("expected {digits} significant digits"));
    }
    if long(16) != Some(1) || long(24).is_none_or(|highest| highest > MAX_HIGHEST) {
        return Err("its values exceed one hour".to_owned());
    }
    let mut bytes = bytes.as_slice();
    let mut read: Histogram<T> =
        HdrDeserializer::new().deserialize(&mut bytes).map_err(|error| error.to_string())?;
    if read.max() >= BEYOND {
        return Err("its values exceed one hour".to_owned());
    }
    if read.len() > LARGEST {
        return Err(format!("its counts exceed {LARGEST}"));
    }
    read.auto(true);
    Ok(read)
}

/// A list of at most `MOST`, which is seen before the memory is taken for more.
#[derive(Debug)]
pub(super) struct AtMost<T, const MOST: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor<T, const MOST: usize>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> de::Visitor<'de> for Visitor<T, MOST> {
            type Value = AtMost<T, MOST>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a list of at most {MOST}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(next) = list.next_element()? {
                    if all.len() == MOST {
                        return Err(A::Error::custom(format!("a list is longer than {MOST}")));
                    }
                    all.push(next);
                }
                Ok(AtMost(all))
            }
        }

        from.deserialize_seq(Visitor(std::marker::PhantomData))
    }
}

/// For `#[serde(with)]`: histograms of the run as a whole, with three digits.
pub(super) mod fine {
    use super::*;

    pub(in crate::recorder) use super::serialize;

    pub(in crate::recorder) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Histogram<u64>, D::Error> {
        let read = super::deserialize::<u64, D, 3>(from)?;
        // As it was before: of bounds that are fixed.
        let mut same = crate::recorder::times::histogram();
        same.add(&read).map_err(D::Error::custom)?;
        Ok(same)
    }
}

/// The same for parts of the run, with two digits.
pub(super) mod coarse {
    use super::*;

    pub(in crate::recorder) use super::serialize;

    pub(in crate::recorder) fn deserialize<'de, T: Counter, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Histogram<T>, D::Error> {
        super::deserialize::<T, D, 2>(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::LONGEST;

    fn encoded(histogram: &Histogram<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).unwrap();
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<Histogram<u64>, String> {
        decode(&STANDARD.encode(bytes), 2)
    }

    #[test]
    fn histograms_are_read_as_they_were_written_and_go_on() {
        let mut histogram = Histogram::<u64>::new(2).unwrap();
        assert_eq!(decoded(&encoded(&histogram)).unwrap(), histogram);
        for value in [0, 1, 1000, LONGEST] {
            histogram.record_n(value, 1 + value % 7).unwrap();
        }
        let mut read = decoded(&encoded(&histogram)).unwrap();
        assert_eq!(read, histogram);
        read.record(LONGEST).unwrap();
        assert_eq!(read.len(), histogram.len() + 1);
    }

    #[test]
    fn what_is_none_is_refused_without_taking_the_memory_it_names() {
        let mut histogram = Histogram::<u64>::new(2).unwrap();
        histogram.record(1000).unwrap();
        let good = encoded(&histogram);
        let with = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            bytes
        };
        let with_counts = |counts: &[u8]| {
            let length = (counts.len() as u32).to_be_bytes();
            [&good[..4], &length, &good[8..HEADER], counts].concat()
        };
        let mut beyond = Histogram::<u64>::new(2).unwrap();
        beyond.record(LONGEST * 2).unwrap();
        let mut low = Histogram::<u64>::new_with_bounds(1000, 1_000_000, 2).unwrap();
        low.record(5000).unwrap();
        for (bytes, said) in [
            (Vec::new(), "V2"),
            (good[..39].to_vec(), "V2"),
            (good[..good.len() - 1].to_vec(), "cut"),
            (with(0, &0x1c84_9314_u32.to_be_bytes()), "V2"),
            (with(4, &u32::MAX.to_be_bytes()), "cut"),
            (with(12, &5_u32.to_be_bytes()), "digits"),
            (with(24, &u64::MAX.to_be_bytes()), "one hour"),
            (encoded(&beyond), "one hour"),
            (encoded(&low), "one hour"),
            (with_counts(&NO_COUNT), "V2"),
        ] {
            let error = decoded(&bytes).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!(decode::<u64>("not base64!", 2).unwrap_err().contains("base64"));
        assert!(decode::<u64>(&"A".repeat(MAX_TEXT + 4), 2).unwrap_err().contains("longer than"));
        // Counts that the header has no room for.
        assert!(decoded(&with(24, &2_u64.to_be_bytes())).is_err());
    }
}
