//! An open-loop load generator that says what its figures are worth.
//!
//! The way of the data: a [`Plan`] says what is meant, and its [`schedule`] when requests are due; a [`Run`] starts the
//! workers, each of which brings due requests and connections together and fills a [`recorder`]; merged, the recorders
//! become a [`Summary`], which a [`report`] writes. The program around that, from arguments to exit codes, is [`cli`].

pub mod cli;
mod clock;
pub mod compare;
mod comparison;
mod control;
#[cfg(feature = "embedded")]
pub mod embedded;
#[doc(hidden)]
pub mod fuzzing;
mod numbers;
mod outcome;
mod pacer;
pub mod plan;
#[cfg(test)]
mod planted;
pub mod probe;
pub mod recorder;
pub mod report;
mod resolve;
mod run;
pub mod schedule;
pub mod search;
pub mod summary;
pub mod verdict;
pub mod verify;
mod worker;

pub use clock::Nanos;
pub use control::{Handle, Phase};
pub use outcome::{Cause, ExpectedStatus};
pub use plan::{Plan, PlanError};
pub use run::{Run, Running, RunningTogether, Together};
pub use summary::Summary;
