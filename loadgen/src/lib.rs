//! An open-loop load generator that says what its figures are worth.
//!
//! The way of the data: [`Args`] (what was typed) become a [`Plan`] (what is meant); a [`schedule`] says when requests
//! are due; `run` starts the workers, each of which brings due requests and connections together and fills a
//! [`recorder`]; merged, the recorders become a [`Summary`], which a [`report`] writes.

pub mod args;
mod clock;
mod command;
mod control;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod interrupt;
mod once;
mod outcome;
mod pacer;
pub mod plan;
pub mod progress;
pub mod recorder;
pub mod report;
mod run;
pub mod schedule;
pub mod summary;
mod wait;
mod worker;

pub use args::Args;
pub use clock::{Clock, Nanos};
pub use command::{Exit, command};
pub use control::{Control, Phase};
pub use once::{Exchanged, once};
pub use outcome::Cause;
pub use plan::{Output, Plan, PlanError};
pub use run::run;
pub use summary::{Summary, Verdict};
