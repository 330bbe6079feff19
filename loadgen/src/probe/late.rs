//! What a column has found, until its last look: what is repeated late, is seen after its case has ended.

use tokio::time::{Instant, sleep_until};

use super::{
    cases, combined,
    finding::Finding,
    found::{Cell, Role},
    gate::Gate,
    sightings::Sightings,
    transcript::Line,
    trial::Trial,
};
use crate::plan::Protocol;

/// The rounds of a variant.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) rounds: Vec<(Finding, Vec<Line>)>,
    pub(super) curl: Option<String>,
    /// Of rounds, the numbers of their POSTs that are to arrive once.
    pub(super) posts: Vec<(usize, u64)>,
}

impl Tried {
    /// One of which there is nothing to show but this.
    pub(super) fn without(finding: Finding) -> Self {
        Self { rounds: vec![(finding, Vec::new())], curl: None, posts: Vec::new() }
    }

    pub(super) fn cell(self, role: Role) -> Cell {
        combined(self.rounds, self.curl, role)
    }
}

/// Asks the servers once more how often each POST has arrived.
pub(super) async fn look_again(gate: &Gate, protocol: Protocol, tried: &mut [Tried]) {
    if gate.is_direct || tried.iter().all(|tried| tried.posts.is_empty()) {
        return;
    }
    // What the last one comes to after its reply.
    sleep_until(Instant::now() + gate.patience()).await;
    // If it has gone meanwhile, that was said of its last case.
    let Ok(statements) = Trial::new(gate, protocol).statements().await else { return };
    for tried in tried {
        for (round, number) in &tried.posts {
            let (finding, _) = &mut tried.rounds[*round];
            if finding.rule.is_none()
                && let Some(late) = cases::repeated_later(Sightings::of(&statements, *number).count)
            {
                *finding = late;
            }
        }
    }
}
