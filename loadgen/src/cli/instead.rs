//! The subcommands: what is done instead of the run that options describe.

use clap::Subcommand;

use super::{adapters::Adapter, kept::Kept};

/// What is done instead of the run that options describe.
#[derive(Clone, Debug, Subcommand)]
pub enum Instead {
    /// Something with reports that were kept.
    #[command(flatten)]
    Kept(Kept),
    /// A run that another load generator's options describe.
    #[command(flatten)]
    Adapted(Adapter),
}
