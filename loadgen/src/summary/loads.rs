//! Several loads that went on at the same time, each with its own records, and rounds of them.

use serde_json::value::RawValue;

use super::{CannotMerge, InvalidRecords, MAX_ROUNDS, Summary, file};
use crate::plan::MAX_LOADS;

/// At least one load, in order, each with its own name.
#[derive(Clone, Debug)]
pub struct Loads(Vec<Summary>);

impl Loads {
    /// None without a load, with more than [`MAX_LOADS`], with one that has no name, or with a name that comes twice.
    #[must_use]
    pub fn new(loads: Vec<Summary>) -> Option<Self> {
        let names: Vec<_> = loads.iter().map(|load| load.run.load_name.as_deref()).collect();
        let is_new = |(index, name): (usize, &Option<&str>)| name.is_some() && !names[..index].contains(name);
        let are_told_apart = names.iter().enumerate().all(is_new);
        (are_told_apart && (1..=MAX_LOADS).contains(&loads.len())).then_some(Self(loads))
    }

    pub(super) fn parse(loads: &[&RawValue]) -> Result<Self, InvalidRecords> {
        if loads.len() > MAX_LOADS {
            return Err(InvalidRecords::of(format!("more than {MAX_LOADS} loads")));
        }
        let all = loads.iter().map(|load| file::parse(load.get().as_bytes())).collect::<Result<_, _>>()?;
        let wrong = "no loads, or one without a name or with that of another";
        Self::new(all).ok_or_else(|| InvalidRecords::of(wrong.to_owned()))
    }

    /// The loads in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Summary] {
        &self.0
    }

    /// Their names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|load| load.run.load_name.as_deref())
    }

    /// Adds shards that ran at the same time, each to the load of its name, as [`Summary::merge`] does.
    ///
    /// # Errors
    /// They are not the same loads, or one of them can't be merged; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), CannotMerge> {
        let of = |loads: &Self| -> Vec<String> { loads.names().map(str::to_owned).collect() };
        let (mine, theirs) = (of(self), of(other));
        if mine.len() != theirs.len() || theirs.iter().any(|name| !mine.contains(name)) {
            let (one, other) = (mine.join(", "), theirs.join(", "));
            return Err(CannotMerge::Differs { what: "the set of loads", one, other });
        }
        let of_same_name =
            |load: &Summary| other.0.iter().find(|shard| shard.run.load_name == load.run.load_name);
        let of_load = |name: String| |why| CannotMerge::OfLoad { name, why: Box::new(why) };
        // What differs is said before whether they went on at the same time, be it of a later load.
        for (load, name) in self.0.iter().zip(&mine) {
            of_same_name(load).map_or(Ok(()), |shard| load.check(shard)).map_err(of_load(name.clone()))?;
        }
        let mut merged = self.0.clone();
        for (load, name) in merged.iter_mut().zip(mine) {
            if let Some(shard) = of_same_name(load) {
                load.merge(shard).map_err(of_load(name))?;
            }
        }
        self.0 = merged;
        Ok(())
    }
}

/// At least one round of the same loads, in order.
#[derive(Clone, Debug)]
pub struct RoundsOfLoads(Vec<Loads>);

impl RoundsOfLoads {
    /// None without a round, with rounds whose loads differ, or with more than [`MAX_ROUNDS`] records: rounds times loads.
    #[must_use]
    pub fn new(rounds: Vec<Loads>) -> Option<Self> {
        let [first, others @ ..] = rounds.as_slice() else { return None };
        let are_same = others.iter().all(|round| round.names().eq(first.names()));
        let records = rounds.len() * first.as_slice().len();
        (are_same && records <= MAX_ROUNDS).then_some(Self(rounds))
    }

    /// The rounds in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Loads] {
        &self.0
    }

    /// Each load, in order, with what came of it in each round.
    pub fn by_load(&self) -> impl Iterator<Item = (&str, Vec<Summary>)> {
        let names = self.0.iter().take(1).flat_map(Loads::names).enumerate();
        names
            .map(|(index, name)| (name, self.0.iter().map(|round| round.as_slice()[index].clone()).collect()))
    }
}

impl From<Loads> for RoundsOfLoads {
    /// One round.
    fn from(loads: Loads) -> Self {
        Self(vec![loads])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::{Planted, run};

    fn loads(names: &[&str]) -> Option<Loads> {
        let load = |name: &&str| {
            let mut summary = run("-r 10 -d 1s a:1", |_, _| Planted::default());
            summary.run.load_name = Some((*name).to_owned());
            summary
        };
        Loads::new(names.iter().map(load).collect())
    }

    #[test]
    fn shards_are_added_to_the_loads_of_their_names() {
        let mut merged = loads(&["a", "b"]).unwrap();
        let mut shards = loads(&["b", "a"]).unwrap();
        shards.0[0].records.merge(&merged.0[0].records);
        merged.merge(&shards).unwrap();
        let succeeded: Vec<_> = merged.as_slice().iter().map(|load| load.records.counts.succeeded).collect();
        assert_eq!(succeeded, [20, 30]);
    }

    #[test]
    fn other_loads_are_not_added_and_nothing_is_changed() {
        let mut merged = loads(&["a", "b"]).unwrap();
        for (names, said) in [
            (&["a"][..], "the set of loads differs: 'a, b' and 'a'"),
            (&["a", "c"], "the set of loads differs: 'a, b' and 'a, c'"),
            (&["a", "b", "c"], "the set of loads differs: 'a, b' and 'a, b, c'"),
        ] {
            assert_eq!(merged.merge(&loads(names).unwrap()).unwrap_err().to_string(), said);
        }
        let mut other = loads(&["a", "b"]).unwrap();
        other.0[1].run.target = "http://b/".to_owned();
        let error = merged.merge(&other).unwrap_err().to_string();
        assert!(error.starts_with("the load 'b': target differs: "), "{error}");
        assert_eq!(merged.as_slice()[0].records.counts.succeeded, 10);
    }

    #[test]
    fn rounds_have_the_same_loads_and_as_many_records_as_are_kept() {
        let round = loads(&["a", "b", "c", "d"]).unwrap();
        assert!(RoundsOfLoads::new(vec![round.clone(); MAX_ROUNDS / 4]).is_some());
        assert!(RoundsOfLoads::new(vec![round.clone(); MAX_ROUNDS / 4 + 1]).is_none());
        assert!(RoundsOfLoads::new(Vec::new()).is_none());
        assert!(RoundsOfLoads::new(vec![round, loads(&["a", "b"]).unwrap()]).is_none());
        assert!(loads(&["a", "a"]).is_none() && loads(&[]).is_none());
    }
}
