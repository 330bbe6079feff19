//! Counts by status, as a map of those that are not zero.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Statuses are counted from 0 to here.
pub(super) const STATUSES: usize = 1000;

pub(super) fn serialize<S: Serializer>(statuses: &[u64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map((0u16..).zip(statuses).filter(|(_, count)| **count > 0))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let mut statuses = vec![0; STATUSES];
    for (status, count) in BTreeMap::<u16, u64>::deserialize(from)? {
        let place = statuses.get_mut(usize::from(status));
        *place.ok_or_else(|| D::Error::custom(format!("a status of {status}")))? = count;
    }
    Ok(statuses)
}
