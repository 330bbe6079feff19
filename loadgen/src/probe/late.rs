//! What a column has found, until its last look: what is repeated late, is seen after its case has ended.

use tokio::time::{Instant, sleep_until};

use super::{
    cases,
    combined::combined,
    finding::CaseFinding,
    found::{Cell, Role},
    gate::Gate,
    sightings::Sightings,
    transcript::Line,
    trial::Trial,
};
use crate::plan::Protocol;

/// The rounds of a variant.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) rounds: Vec<(CaseFinding, Vec<Line>)>,
    pub(super) curl: Option<String>,
    /// Of rounds, the numbers of their POSTs that are to arrive once.
    pub(super) posts: Vec<(usize, u64)>,
    /// How many rounds were to be tried, if the probe was interrupted.
    pub(super) interrupted_of: Option<u32>,
}

impl Tried {
    /// One of which there is nothing to show but this.
    pub(super) fn without(finding: CaseFinding) -> Self {
        Self { rounds: vec![(finding, Vec::new())], ..Self::default() }
    }

    pub(super) fn cell(mut self, role: Role) -> Cell {
        let tried = self.rounds.len();
        if tried == 0 {
            self.rounds.push((CaseFinding::not_asked(), Vec::new()));
        }
        let mut cell = combined(self.rounds, self.curl, role);
        if let (1.., Some(wanted)) = (tried, self.interrupted_of) {
            cell.what = format!("{}; interrupted after {tried} of {wanted}", cell.what);
        }
        cell
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
            if finding.rules.is_empty()
                && let Some(late) = cases::repeated_later(Sightings::of(&statements, *number).count)
            {
                *finding = late;
            }
        }
    }
}
