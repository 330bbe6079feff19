//! The body of a request with a token as it comes in: whether it came whole, and is the one that was announced.
//!
//! Nothing is computed of a body that was not announced, and nothing at all is kept of a request without a token.

use std::rc::Rc;

use contract::{
    id::Id,
    ledger::{Announced, Differing, Digest},
};

use super::{Ledger, Sighting};

/// What is noted of the body of one request.
#[derive(Debug)]
pub(crate) struct UploadWatch {
    ledger: Rc<Ledger>,
    /// What its sighting is noted in.
    book: u64,
    id: Id,
    digest: Option<(Announced, Digest)>,
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum Came {
    /// Before its end.
    Broken,
    /// Whole, and nothing was announced of it.
    Whole,
    /// Whole and as announced.
    AsAnnounced,
    /// Whole, and otherwise.
    Otherwise(Box<Differing>),
}

impl Sighting {
    /// What its body is watched by; what the request announces of it, if that is anything.
    pub(crate) fn watch_upload(&self, announced: Option<Announced>) -> Box<UploadWatch> {
        let (ledger, past) = (Rc::clone(&self.ledger), &self.past);
        let digest = announced.map(|announced| (announced, Digest::of_length(announced.length)));
        Box::new(UploadWatch { ledger, book: past.book, id: past.id, digest })
    }
}

impl UploadWatch {
    /// More of it has come.
    #[inline]
    pub(crate) fn came(&mut self, data: &[u8]) {
        if let Some((_, digest)) = &mut self.digest {
            digest.update(data);
        }
    }

    /// Nothing more comes.
    pub(crate) fn ended(self, is_whole: bool) {
        let Self { ledger, book, id, digest } = self;
        let came = match digest {
            _ if !is_whole => Came::Broken,
            None => Came::Whole,
            Some((announced, digest)) if digest.came() == announced => Came::AsAnnounced,
            Some((announced, digest)) => {
                let came = digest.came();
                let (block, ends) = digest.into_blocks();
                let (instance, Id { number, attempt, .. }) = (ledger.instance.to_owned(), id);
                Came::Otherwise(Box::new(Differing {
                    number,
                    attempt,
                    instance,
                    announced,
                    came,
                    block,
                    ends,
                }))
            }
        };
        ledger.upload_ended(book, id, came);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(ledger: &Rc<Ledger>, number: u64, came: &[&[u8]], is_whole: bool) {
        let mut sighting = ledger.saw(Id { run: 1, load: 0, number, attempt: 0 }, b"POST", 1, None);
        let mut watch = sighting.watch_upload(Some(Announced::of(b"hello")));
        came.iter().for_each(|part| watch.came(part));
        watch.ended(is_whole);
        sighting.replied(if is_whole { 200 } else { 400 }, 2);
        sighting.whole();
    }

    #[test]
    fn bodies_are_compared_with_what_was_announced_and_those_that_broke_off_are_named_until_they_come_whole()
    {
        let ledger = Ledger::new("one", 7, 1024);
        upload(&ledger, 0, &[b"hel", b"lo"], true);
        upload(&ledger, 1, &[b"hello", b"!"], true);
        upload(&ledger, 2, &[b"hel"], false);
        upload(&ledger, 3, &[b"hel"], false);
        upload(&ledger, 3, &[b"hello"], true);
        let (statement, pages) = ledger.statement(1, 0, &[]).unwrap();
        let uploads = &statement.uploads;
        assert_eq!((uploads.checked, uploads.differing, &uploads.broken[..]), (3, 1, &[2][..]));
        assert_eq!((uploads.examples[0].number, uploads.examples[0].came.length), (1, 6));
        // A reply that only says so is no success.
        use contract::ledger::State;
        assert_eq!(
            [0, 1, 2, 3].map(|number| pages.get(number)),
            [State::WHOLE, State::WHOLE, State::FAILED, State::WHOLE]
        );
        assert_eq!((statement.repeats.after_failure, statement.adds_up()), (1, true));
    }
}
