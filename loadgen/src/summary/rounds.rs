//! Rounds of one run, each with its own records: how much they differ is what a comparison rests on.

use std::{fmt, io::Read};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{InvalidRecords, Loads, RoundsOfLoads, Summary, file};
use crate::plan::MAX_LOADS;

/// The maximum number of rounds that are kept; of several loads, that of records: rounds times loads.
pub const MAX_ROUNDS: usize = 100;

/// The longest file that is read, in bytes: a hundred rounds of half an hour each need 50 MiB.
const MAX_LENGTH: u64 = 256 << 20;

/// What a JSON report is of.
#[derive(Clone, Debug)]
pub enum KeptReport {
    /// One run, or its rounds.
    Rounds(Rounds),
    /// Several loads at the same time.
    Loads(Loads),
    /// Rounds of several loads.
    RoundsOfLoads(RoundsOfLoads),
}

impl KeptReport {
    /// Reads a JSON report.
    ///
    /// # Errors
    /// It is something else, longer than any report, of another version, has too many rounds or loads, or counts that do not
    /// add up.
    pub fn read(from: &mut dyn Read) -> Result<Self, InvalidRecords> {
        #[derive(Deserialize)]
        struct Parts<'t> {
            #[serde(borrow)]
            rounds: Option<Listed<'t, MAX_ROUNDS>>,
            #[serde(borrow)]
            loads: Option<Listed<'t, MAX_LOADS>>,
        }
        #[derive(Deserialize)]
        struct Round<'t> {
            #[serde(borrow)]
            loads: Option<Listed<'t, MAX_LOADS>>,
        }
        let text = file::text(from, MAX_LENGTH)?;
        let parts: Parts<'_> = serde_json::from_slice(&text).map_err(InvalidRecords::from_json)?;
        let rounds = match (parts.rounds, parts.loads) {
            (None, None) => vec![file::parse(&text)?],
            (None, Some(Listed(loads))) => return Ok(Self::Loads(Loads::parse(&loads)?)),
            (Some(_), Some(_)) => return Err(InvalidRecords::of("both rounds and loads".to_owned())),
            (Some(Listed(rounds)), None) if rounds.len() > MAX_ROUNDS => {
                return Err(InvalidRecords::of(format!("more than {MAX_ROUNDS} rounds")));
            }
            (Some(Listed(rounds)), None) => {
                // Which of both, the first one says.
                let first = rounds.first().map(|round| serde_json::from_str::<Round<'_>>(round.get()));
                let first = first.transpose().map_err(InvalidRecords::from_json)?;
                if matches!(first, Some(Round { loads: Some(_) })) {
                    let loads = |round: &&RawValue| {
                        let round: Round<'_> =
                            serde_json::from_str(round.get()).map_err(InvalidRecords::from_json)?;
                        Loads::parse(&round.loads.map_or_else(Vec::new, |Listed(loads)| loads))
                    };
                    let rounds = rounds.iter().map(loads).collect::<Result<_, _>>()?;
                    let wrong =
                        format!("rounds of different loads, or more than {MAX_ROUNDS} rounds times loads");
                    let rounds = RoundsOfLoads::new(rounds).ok_or_else(|| InvalidRecords::of(wrong))?;
                    return Ok(Self::RoundsOfLoads(rounds));
                }
                rounds.iter().map(|round| file::parse(round.get().as_bytes())).collect::<Result<_, _>>()?
            }
        };
        let rounds = Rounds::new(rounds).ok_or_else(|| InvalidRecords::of("no rounds".to_owned()))?;
        Ok(Self::Rounds(rounds))
    }
}

/// What is in a list, up to one more than `MOST`: that is enough to say that it has too many, and the others take no memory.
struct Listed<'t, const MOST: usize>(Vec<&'t RawValue>);

impl<'de: 't, 't, const MOST: usize> Deserialize<'de> for Listed<'t, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Lister<const MOST: usize>;

        impl<'t, const MOST: usize> Visitor<'t> for Lister<MOST> {
            type Value = Listed<'t, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() <= MOST
                    && let Some(next) = list.next_element()?
                {
                    first.push(next);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Listed(first))
            }
        }

        from.deserialize_seq(Lister)
    }
}

/// At least one round, in order.
#[derive(Clone, Debug)]
pub struct Rounds(Vec<Summary>);

impl Rounds {
    /// None without a round, or with more than [`MAX_ROUNDS`].
    #[must_use]
    pub fn new(rounds: Vec<Summary>) -> Option<Self> {
        (1..=MAX_ROUNDS).contains(&rounds.len()).then_some(Self(rounds))
    }

    /// Reads the JSON report of one run, or of one with rounds.
    ///
    /// # Errors
    /// It is something else, longer than any report, of another version, has too many rounds, or counts that do not add up.
    pub fn read(from: &mut dyn Read) -> Result<Self, InvalidRecords> {
        match KeptReport::read(from)? {
            KeptReport::Rounds(rounds) => Ok(rounds),
            KeptReport::Loads(_) | KeptReport::RoundsOfLoads(_) => {
                Err(InvalidRecords::of("of several loads, not of one run or its rounds".to_owned()))
            }
        }
    }

    /// The rounds in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Summary] {
        &self.0
    }

    /// The only round, if there is no other.
    #[must_use]
    pub fn into_one(self) -> Option<Summary> {
        let [one] = <[Summary; 1]>::try_from(self.0).ok()?;
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, run};

    fn file(rounds: usize, padding: usize) -> Vec<u8> {
        let mut round = Vec::new();
        run("-r 10 -d 1s a:1", |_, _| Planted::default()).write(&mut round).unwrap();
        let round = format!("{}{}", String::from_utf8(round).unwrap(), " ".repeat(padding));
        format!("{{\"version\":2,\"rounds\":[{}]}}", vec![round; rounds].join(",")).into_bytes()
    }

    #[test]
    fn as_many_rounds_are_read_as_are_kept() {
        // Longer together than any run alone.
        let rounds = Rounds::read(&mut file(MAX_ROUNDS, 200_000).as_slice()).unwrap();
        assert_eq!(rounds.as_slice().len(), MAX_ROUNDS);
        for (rounds, wrong) in [(0, "no rounds"), (MAX_ROUNDS + 1, "more than 100 rounds")] {
            let error = Rounds::read(&mut file(rounds, 0).as_slice()).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn what_has_rounds_and_loads_is_neither() {
        for both in ["\"rounds\":[{}],\"loads\":[{}]", "\"loads\":[],\"rounds\":[]"] {
            let text = format!("{{\"version\":2,{both}}}");
            let error = KeptReport::read(&mut text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("both rounds and loads"), "{error}");
        }
    }

    #[test]
    fn no_more_is_held_of_a_list_than_shows_that_it_is_too_long() {
        let zeros = |count: usize| format!("[0{}]", ",0".repeat(count - 1));
        let many = zeros(1_000_000);
        let Listed::<MAX_LOADS>(held) = serde_json::from_str(&many).unwrap();
        assert_eq!(held.len(), MAX_LOADS + 1);
        for (key, said) in [("rounds", "more than 100 rounds"), ("loads", "more than 16 loads")] {
            let long = format!("{{\"version\":2,\"{key}\":{}}}", zeros(1_000_000));
            let error = KeptReport::read(&mut long.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        let round = format!("{{\"loads\":{}}}", zeros(17));
        let error = KeptReport::read(&mut format!("{{\"rounds\":[{round}]}}").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 16 loads"), "{error}");
    }

    #[test]
    fn a_file_without_end_and_a_run_that_is_too_long_are_refused() {
        let error = Rounds::read(&mut std::io::repeat(b' ')).unwrap_err();
        assert!(error.to_string().contains("longer than 268435456 bytes"), "{error}");
        let mut long = file(1, 0);
        long.splice(0..0, std::iter::repeat_n(b' ', 17 << 20));
        assert_eq!(Rounds::read(&mut long.as_slice()).unwrap().as_slice().len(), 1, "around the rounds");
        let mut run_alone = Vec::new();
        run("-r 10 -d 1s a:1", |_, _| Planted::default()).write(&mut run_alone).unwrap();
        run_alone.splice(0..0, std::iter::repeat_n(b' ', 17 << 20));
        assert!(
            Rounds::read(&mut run_alone.as_slice()).unwrap_err().to_string().contains("longer than 16777216")
        );
    }
}
