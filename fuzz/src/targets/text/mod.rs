//! What reads text and messages from strangers: numbers, targets, behaviours, plans, ranges, arguments, records. Inputs are
//! UTF-8 as far as they are texts. Nothing panics, and what is accepted is within its documented bounds.

pub mod access_log;
pub mod arguments;
pub mod behaviour;
pub mod ledger;
pub mod plan;
pub mod plan_file;
pub mod quantity;
pub mod range;
pub mod records;
pub mod router;
pub mod template;

/// The longest time that paths and queries accept, in milliseconds.
const MOST_MILLIS: u128 = u32::MAX as u128;
/// An hour: the longest delay of behaviours and plans.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// An input as text, which is what the programs have made of it when they read it.
fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// The number that the first bytes of an input make, and the rest of it.
fn number(input: &[u8]) -> (u64, &[u8]) {
    let (first, rest) = input.split_at(input.len().min(8));
    (first.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), rest)
}
