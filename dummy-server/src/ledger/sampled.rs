//! The heads of a sampled request and its reply while that is on its way.

use std::cell::OnceCell;

use contract::ledger::{ReplyHead, Sample};

#[derive(Debug)]
pub(super) struct Sampled {
    sample: Sample,
    /// What is written of the reply is known where nothing else is changed.
    reply: OnceCell<ReplyHead>,
}

impl Sampled {
    pub(super) fn new(sample: Sample) -> Self {
        Self { sample, reply: OnceCell::new() }
    }

    pub(super) fn replied(&self, head: impl FnOnce() -> ReplyHead) {
        self.reply.get_or_init(head);
    }

    pub(super) fn into_sample(self) -> Sample {
        Sample { reply: self.reply.into_inner(), ..self.sample }
    }
}
