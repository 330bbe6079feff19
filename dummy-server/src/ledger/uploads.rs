//! The body of a request with a token as it comes in: whether it arrived completely, and as announced.
//!
//! Nothing is computed of a body that was not announced, and nothing at all is kept of a request without a token.

use std::rc::Rc;

use contract::{
    id::Id,
    ledger::{Announced, Differing, Digest, KeptFields},
};

use super::{Ledger, Sighting, sampled::Trailers};

/// What is noted of the body of one request.
#[derive(Debug)]
pub(crate) struct UploadWatch {
    ledger: Rc<Ledger>,
    /// What its sighting is noted in.
    book: u64,
    id: Id,
    digest: Option<(Announced, Digest)>,
    /// Whether nothing is announced of it where nothing was removed on the way: it is a call.
    is_call: bool,
    has_content: bool,
    /// Where its trailers are kept, if its head is.
    trailers: Option<Trailers>,
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum Came {
    /// Before its end.
    Broken,
    /// Whole, and there was nothing to announce.
    Whole,
    /// Whole, and what was announced of it did not arrive.
    Unannounced,
    /// Whole and as announced.
    AsAnnounced,
    /// Whole, and otherwise.
    Otherwise(Box<Differing>),
}

impl Sighting {
    /// What its body is watched by; what the request announces of it, if that is anything: calls announce nothing.
    pub(crate) fn watch_upload(&self, announced: Option<Announced>, is_call: bool) -> Box<UploadWatch> {
        let (ledger, known) = (Rc::clone(&self.ledger), self.known());
        let (book, id) = (known.book, known.past.id);
        let digest = announced.map(|announced| (announced, Digest::of_length(announced.length)));
        let trailers = known.sampled.as_ref().map(|sampled| Trailers::clone(&sampled.came));
        Box::new(UploadWatch { ledger, book, id, digest, is_call, has_content: false, trailers })
    }
}

impl UploadWatch {
    /// More of it has arrived.
    #[inline]
    pub(crate) fn came(&mut self, data: &[u8]) {
        self.has_content |= !data.is_empty();
        if let Some((_, digest)) = &mut self.digest {
            digest.update(data);
        }
    }

    /// Its trailers have arrived.
    pub(crate) fn trailers<'f>(&self, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) {
        if let Some(trailers) = &self.trailers {
            trailers.get_or_init(|| KeptFields::of(self.id.run, fields));
        }
    }

    /// Nothing more comes.
    pub(crate) fn ended(self, is_whole: bool) {
        let Self { ledger, book, id, digest, is_call, has_content, trailers } = self;
        if let Some(trailers) = trailers.filter(|_| is_whole) {
            trailers.get_or_init(KeptFields::default);
        }
        let came = match digest {
            _ if !is_whole => Came::Broken,
            None if is_call || !has_content => Came::Whole,
            None => Came::Unannounced,
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
        ledger.note(book, |book, room| book.upload_ended(id, came, room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(ledger: &Rc<Ledger>, number: u64, came: &[&[u8]], is_whole: bool) {
        let mut sighting = ledger.saw(Id { run: 1, load: 0, number, attempt: 0 }, b"POST", 1, None);
        let mut watch = sighting.watch_upload(Some(Announced::of(b"hello")), false);
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
        assert_eq!(uploads.numbers, [1]);
        assert_eq!((uploads.examples[0].number, uploads.examples[0].came.length), (1, 6));
        // A reply that only reports that is not a success.
        use contract::ledger::State;
        assert_eq!(
            [0, 1, 2, 3].map(|number| pages.get(number)),
            [State::WHOLE, State::WHOLE, State::FAILED, State::WHOLE]
        );
        assert_eq!((statement.repeats.after_failure, statement.adds_up()), (1, true));
    }

    #[test]
    fn a_body_that_differs_each_time_it_comes_is_of_one_request() {
        let ledger = Ledger::new("one", 7, 1024);
        for came in [b"hallo", b"hello", b"hullo"] {
            upload(&ledger, 4, &[came], true);
        }
        let (statement, _) = ledger.statement(1, 0, &[]).unwrap();
        let uploads = statement.uploads;
        assert_eq!((uploads.checked, uploads.differing, uploads.numbers), (3, 2, vec![4]));
    }

    #[test]
    fn bodies_of_which_nothing_was_announced_are_counted_but_for_calls_and_empty_ones() {
        let ledger = Ledger::new("one", 7, 1024);
        for (number, is_call, came) in [(0, false, "a"), (1, true, "a"), (2, false, ""), (3, false, "b")] {
            let sighting = ledger.saw(Id { run: 1, load: 0, number, attempt: 0 }, b"POST", 1, None);
            let mut watch = sighting.watch_upload(None, is_call);
            watch.came(came.as_bytes());
            watch.ended(true);
        }
        let (statement, _) = ledger.statement(1, 0, &[]).unwrap();
        assert_eq!((statement.uploads.unannounced, statement.uploads.checked), (2, 0));
    }

    #[test]
    fn a_further_attempt_is_not_taken_for_the_one_whose_body_broke_off() {
        use contract::ledger::State;
        let ledger = Ledger::new("one", 7, 1024);
        let id = |attempt| Id { run: 1, load: 0, number: 5, attempt };
        let (mut first, mut second) =
            (ledger.saw(id(0), b"POST", 1, None), ledger.saw(id(1), b"POST", 2, None));
        first.watch_upload(None, false).ended(false);
        for (sighting, status) in [(&mut second, 200), (&mut first, 400)] {
            sighting.replied(status, 3);
            sighting.whole();
        }
        drop((second, first));
        let (statement, pages) = ledger.statement(1, 0, &[]).unwrap();
        assert_eq!(
            (pages.get(5), &statement.resent[..]),
            (State::FAILED, &[(5, 1, State::WHOLE.bits())][..])
        );
        assert_eq!(statement.uploads.broken, [5]);
    }
}
