//! The heads of a sampled request and its reply, until the reply has ended.

use std::{cell::OnceCell, rc::Rc};

use contract::ledger::{KeptFields, ReplyHead, RequestHead, Sample};

/// The trailers of a request, once its body has arrived completely: that may be when its reply has ended.
pub(super) type Trailers = Rc<OnceCell<KeptFields>>;

#[derive(Debug)]
pub(super) struct Sampled {
    sample: Sample,
    /// What is written of the reply is known where nothing else is changed.
    pub(super) reply: OnceCell<ReplyHead>,
    pub(super) came: Trailers,
    pub(super) sent: OnceCell<KeptFields>,
}

impl Sampled {
    pub(super) fn new(sample: Sample) -> Self {
        Self { sample, reply: OnceCell::new(), came: Trailers::default(), sent: OnceCell::new() }
    }

    /// A reply that is `whole` has the trailers that were sent, or none.
    pub(super) fn into_sample(self, whole: bool) -> Sample {
        let Self { sample, reply, came, sent } = self;
        let trailers = whole.then(|| sent.into_inner().unwrap_or_default());
        let reply = reply.into_inner().map(|head| ReplyHead { trailers, ..head });
        let request = RequestHead { trailers: came.get().cloned(), ..sample.request };
        Sample { request, reply, ..sample }
    }
}
