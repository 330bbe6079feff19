//! Several loads that went on at the same time, each with its own records.

use serde_json::value::RawValue;

use super::{InvalidRecords, Summary, file};
use crate::plan::MAX_LOADS;

/// At least one load, in order.
#[derive(Clone, Debug)]
pub struct Loads(Vec<Summary>);

impl Loads {
    /// None without a load, with more than [`MAX_LOADS`], or with one that has no name.
    #[must_use]
    pub fn new(loads: Vec<Summary>) -> Option<Self> {
        let are_named = loads.iter().all(|load| load.run.load_name.is_some());
        (are_named && (1..=MAX_LOADS).contains(&loads.len())).then_some(Self(loads))
    }

    pub(super) fn parse(loads: &[&RawValue]) -> Result<Self, InvalidRecords> {
        if loads.len() > MAX_LOADS {
            return Err(InvalidRecords::of(format!("more than {MAX_LOADS} loads")));
        }
        let all = loads.iter().map(|load| file::parse(load.get().as_bytes())).collect::<Result<_, _>>()?;
        Self::new(all).ok_or_else(|| InvalidRecords::of("no loads, or one without a name".to_owned()))
    }

    /// The loads in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Summary] {
        &self.0
    }
}
