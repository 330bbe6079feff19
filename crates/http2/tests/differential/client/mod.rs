//! Both clients: a server's bytes, and what comes of the requests that were open before them.

mod answer;
mod differences;
mod odd;
mod ours;
mod script;
mod theirs;

use answer::{Answers, FAILED};
pub(crate) use differences::DIFFERENCES;
use http2::frame::kind;
pub(crate) use odd::odd;
pub(crate) use ours::ours;
pub(crate) use script::Script;
pub(crate) use theirs::theirs;

use crate::{Verdict, Word, ending, frames};

/// What the server may send on a stream: more than half of what it may send on the connection.
const WINDOW: u32 = 40_000;

/// The events that the callers got, with what the output shows of them.
fn verdict(answers: &Answers, output: &[u8]) -> Verdict {
    let mut verdict = Verdict::new();
    for (head, payload) in frames(output) {
        let Some(code) = ending(&head, payload) else { continue };
        let stream = if head.kind == kind::GOAWAY { 0 } else { head.stream };
        verdict.insert(stream, Word { code: Some(code), ..Word::default() });
    }
    let has_ended = verdict.contains_key(&0);
    for (id, answer) in answers {
        let was_reset = verdict.contains_key(id);
        // The code says more. Without one it may have failed with the connection, as does what is not over.
        let is_known =
            if answer.said == FAILED { was_reset || has_ended } else { has_ended && !answer.is_over };
        if !is_known {
            verdict.entry(*id).or_default().said.clone_from(&answer.said);
        }
    }
    verdict
}
