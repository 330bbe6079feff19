//! The subcommands: what is done instead of the run that options describe.

use clap::Subcommand;

use super::{adapters::Adapter, kept::Kept, probe_args::Probe};

/// What is done instead of the run that options describe.
#[derive(Clone, Debug, Subcommand)]
pub enum Instead {
    /// Something with reports that were kept.
    #[command(flatten)]
    Kept(Kept),
    /// Report what a proxy does in the cases that matter, with dummy-server behind it
    ///
    /// Failures, streams, interim responses, targets, trailers and more: dummy-server is instructed what to do, and asked what it has seen.
    /// Each case is kept, changed, answered by the proxy itself, refused, unstable, not applicable, or broken, which is against a MUST.
    /// Proxies are not scored. The exit code is 99 if a MUST is broken, and 1 if the probe could not judge or could not ask all cases. No
    /// environment variables are read.
    Probe(Probe),
    /// A run that another load generator's options describe.
    #[command(flatten)]
    Adapted(Adapter),
}
