//! Rounds of one run, each with its own records: how much they differ is what a comparison rests on.

use std::io::Read;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{InvalidRecords, Summary, file};

/// The most rounds that are kept.
pub const MAX_ROUNDS: usize = 100;

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
        #[derive(Deserialize)]
        struct Kept<'t> {
            #[serde(borrow)]
            rounds: Option<Vec<&'t RawValue>>,
        }
        let text = file::text(from)?;
        let kept: Kept<'_> = serde_json::from_slice(&text).map_err(InvalidRecords::from_json)?;
        let rounds = match kept.rounds {
            None => vec![file::parse(&text)?],
            Some(rounds) if rounds.len() > MAX_ROUNDS => {
                return Err(InvalidRecords::of(format!("more than {MAX_ROUNDS} rounds")));
            }
            Some(rounds) => {
                rounds.iter().map(|round| file::parse(round.get().as_bytes())).collect::<Result<_, _>>()?
            }
        };
        Self::new(rounds).ok_or_else(|| InvalidRecords::of("no rounds".to_owned()))
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
