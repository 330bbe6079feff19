//! Which requests of verified runs this server has seen, and how their replies ended: see [`contract::ledger`].
//!
//! Each worker owns a [`Ledger`], which shares nothing. A request without a token costs nothing here. Who wants to know asks
//! the [`Aggregator`], which asks all workers. Nothing here reads a field or knows a protocol.

mod aggregator;
mod book;
mod instants;
mod noted;
mod past;
mod sampled;
mod uploads;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use contract::{
    id::{Id, IdReader},
    ledger::{End, FIRST_CANARY, KeptFields, MAX_HEADS, ReplyHead, Sample, Seen, SeenWriter, is_sampled},
    pattern::{Pattern, Range},
};

pub(crate) use self::{
    aggregator::{Aggregator, LedgerQuery},
    noted::Noted,
    uploads::UploadWatch,
};
use self::{
    book::Book,
    instants::SharedClock,
    past::{Past, Ring},
    sampled::Sampled,
};
use crate::cut::Cut;

/// How many loads of runs a worker remembers: a plan may have 16.
const MAX_BOOKS: usize = 64;
/// What all of them may hold together, in KiB: pages for 134 million numbers.
const MAX_SIZE: usize = 32 << 10;
/// What one that begins has room for at least: pages for 16 million numbers.
const MIN_ROOM: usize = 4 << 10;
/// Of how many that are gone it is known.
const MAX_EVICTED: usize = 1024;
/// For how many requests memory is kept for the next ones.
const MAX_SPARE: usize = 1024;

/// What one worker has seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    epoch: u32,
    instance: &'static str,
    /// One for each load of a run; the one that was begun last comes last.
    books: RefCell<Vec<Book>>,
    ring: RefCell<Ring>,
    /// Books that are gone: of which load of a run, and how many sightings they had.
    evicted: RefCell<Vec<((u32, u8), u64)>>,
    /// How many books were begun.
    begun: Cell<u64>,
    /// What books hold, in KiB.
    size: Cell<usize>,
    /// The largest piece of a body, in bytes.
    piece: usize,
    numbered: OnceCell<Pattern>,
    clock: SharedClock,
    /// The token that came last, and what the last reply said of its own.
    tokens: RefCell<IdReader>,
    texts: RefCell<SeenWriter>,
    /// Memory for what is known of the next ones: nearly each request of a verified run needs some, and gives it back soon.
    #[expect(clippy::vec_box, reason = "each is moved to a request without being copied")]
    spare: RefCell<Vec<Box<TrackedRequest>>>,
}

/// The connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CameOn<'a> {
    pub(crate) id: u64,
    /// What has counted it last: it is changed here.
    pub(crate) counted_by: &'a Cell<u64>,
}

/// A request with a token, from its head to the end of its reply. Dropping it notes how it ended.
#[derive(Debug)]
pub(crate) struct Sighting {
    ledger: Rc<Ledger>,
    /// Until it is dropped.
    known: Option<Box<TrackedRequest>>,
}

/// What is known of a request so far.
#[derive(Debug, Default)]
struct TrackedRequest {
    past: Past,
    /// The book that it is noted in.
    book: u64,
    /// Of a numbered body.
    length: Option<u64>,
    cut: Option<Cut>,
    /// Whether its head is wanted.
    is_sampled: bool,
    sampled: Option<Box<Sampled>>,
}

impl Ledger {
    /// What numbered bodies are cut from: made when the first one is asked for.
    #[inline]
    fn numbered(&self) -> Pattern {
        *self.numbered.get_or_init(|| Pattern::numbered(self.piece))
    }

    /// Of the server with this name, which drew `epoch` when it started.
    /// Bodies are cut in pieces of `piece` bytes.
    pub(crate) fn new(instance: &'static str, epoch: u32, piece: usize) -> Rc<Self> {
        Rc::new(Self { epoch, instance, piece, ..Self::default() })
    }

    /// Reads a token; none where something else stands in its place.
    #[inline]
    pub(crate) fn read(&self, token: &[u8]) -> Option<Id> {
        self.tokens.borrow_mut().read(token)
    }

    /// A head with this token was read, or a message, which has no head to be sampled: it did not have its own connection.
    #[inline]
    pub(crate) fn saw(
        self: &Rc<Self>,
        id: Id,
        method: &[u8],
        received_ns: u64,
        came_on: Option<CameOn<'_>>,
    ) -> Sighting {
        let mut known = self.spare.borrow_mut().pop().unwrap_or_default();
        known.past = Past::new(id, method, received_ns);
        (known.length, known.cut, known.sampled) = (None, None, None);
        let mut books = self.books.borrow_mut();
        let is_next = books.last_mut().is_some_and(|last| {
            last.key() == (id.run, id.load)
                && came_on.as_ref().is_none_or(|came_on| came_on.counted_by.get() == last.serial)
                && last.saw_new(id)
        });
        let at = match is_next {
            true => books.len() - 1,
            false => self.saw_otherwise(&mut books, &mut known.past, came_on.as_ref()),
        };
        let book = &books[at];
        known.book = book.serial;
        known.is_sampled = is_sampled(id.run, id.number)
            && came_on.is_some()
            && id.attempt == 0
            // Nobody asks for those of canaries and handshakes.
            && id.load < FIRST_CANARY
            && self.room() > 0
            && book.samples.len() < MAX_HEADS;
        Sighting { ledger: Rc::clone(self), known: Some(known) }
    }

    /// A head was read that is not simply the next one of the run that is under way; where the book is that it is noted in.
    #[inline(never)]
    fn saw_otherwise(&self, books: &mut Vec<Book>, past: &mut Past, came_on: Option<&CameOn<'_>>) -> usize {
        let id = past.id;
        let at = match books.iter().rposition(|book| book.key() == (id.run, id.load)) {
            Some(at) => at,
            None => {
                self.begin(books, id);
                books.len() - 1
            }
        };
        let book = &mut books[at];
        let before = book.size();
        let room = self.room();
        (past.sighting, past.repeat) = book.saw(past, &self.ring.borrow(), room);
        if let Some(came_on) = came_on
            && came_on.counted_by.replace(book.serial) != book.serial
        {
            book.came_on(came_on.id, room);
        }
        self.size.set(self.size.get() + book.size() - before);
        at
    }

    /// Begins a book for a load of a run. Where there are too many, or too many pages in them, the oldest goes, and how much it
    /// had seen is remembered.
    #[cold]
    fn begin(&self, books: &mut Vec<Book>, id: Id) {
        let mut evicted = self.evicted.borrow_mut();
        while !books.is_empty() && (books.len() >= MAX_BOOKS || self.size.get() > MAX_SIZE - MIN_ROOM) {
            // Nobody asks for those of canaries once their runs have begun.
            let is_canary = |book: &Book| book.key().1 >= FIRST_CANARY;
            let book = books.remove(books.iter().position(is_canary).unwrap_or(0));
            self.size.set(self.size.get() - book.size());
            if evicted.len() == MAX_EVICTED {
                evicted.remove(0);
            }
            evicted.push((book.key(), book.sightings()));
        }
        let of_this = evicted.extract_if(.., |(key, _)| *key == (id.run, id.load));
        let forgotten = of_this.fold(0, |all: u64, (_, seen)| all.saturating_add(seen));
        let serial = self.begun.get() + 1;
        self.begun.set(serial);
        books.push(Book::new((id.run, id.load), serial, forgotten));
    }

    /// How much books may still grow, in KiB.
    fn room(&self) -> usize {
        MAX_SIZE.saturating_sub(self.size.get())
    }

    #[inline]
    fn ended(&self, serial: u64, past: &Past, cut: Option<Cut>, sampled: Option<Box<Sampled>>) {
        self.ring.borrow_mut().push(past);
        let is_noted = sampled.is_none()
            && self
                .books
                .borrow_mut()
                .last_mut()
                .is_some_and(|book| book.serial == serial && book.answered(past));
        if !is_noted {
            self.ended_otherwise(serial, past, cut, sampled);
        }
    }

    /// A request has ended that is not simply one of the run that is under way which was answered.
    #[inline(never)]
    fn ended_otherwise(&self, serial: u64, past: &Past, cut: Option<Cut>, sampled: Option<Box<Sampled>>) {
        self.note(serial, |book, room| {
            book.ended(past, cut, room);
            if let Some(sampled) = sampled {
                book.keep(sampled.into_sample(past.end == End::Whole), room);
            }
        });
    }

    /// Changes a book, unless it is gone; `change` is given the KiB by which it may grow.
    #[inline]
    fn note(&self, serial: u64, change: impl FnOnce(&mut Book, usize)) {
        let mut books = self.books.borrow_mut();
        if let Some(book) = books.iter_mut().rev().find(|book| book.serial == serial) {
            let before = book.size();
            change(book, self.room());
            self.size.set(self.size.get() + book.size() - before);
        }
    }
}

impl Sighting {
    #[inline]
    fn known(&self) -> &TrackedRequest {
        self.known.as_deref().expect("it is there until it is dropped")
    }

    #[inline]
    fn known_mut(&mut self) -> &mut TrackedRequest {
        self.known.as_deref_mut().expect("it is there until it is dropped")
    }

    /// Whether its head is to be [kept](Self::keep), and that of its reply.
    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.known().is_sampled
    }

    /// Its head, as it came.
    pub(crate) fn keep(&mut self, sample: Sample) {
        let known = self.known_mut();
        let Id { number, .. } = known.past.id;
        known.sampled = Some(Box::new(Sampled::new(Sample { number, ..sample })));
    }

    /// The head of its reply, as it is sent.
    pub(crate) fn keep_reply(&self, fields: impl FnOnce(u32) -> ReplyHead) {
        if let Some(sampled) = &self.known().sampled {
            sampled.reply.get_or_init(|| fields(self.known().past.id.run));
        }
    }

    /// It has no body, and so no trailers.
    pub(crate) fn came_without_body(&self) {
        if let Some(sampled) = &self.known().sampled {
            sampled.came.get_or_init(KeptFields::default);
        }
    }

    /// The trailers of its reply, as they are sent.
    pub(crate) fn keep_trailers<'f>(&self, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) {
        if let Some(sampled) = &self.known().sampled {
            sampled.sent.get_or_init(|| KeptFields::of(self.known().past.id.run, fields));
        }
    }

    /// Passes on what its reply says of it.
    #[inline]
    pub(crate) fn tell(&self, told: impl FnOnce(&[u8])) {
        let Past { id, sighting, status, received_ns, replied_ns, .. } = self.known().past;
        let Ledger { epoch, clock, texts, .. } = &*self.ledger;
        let instants = clock.instants(received_ns, replied_ns);
        told(texts.borrow_mut().text(&Seen {
            id,
            sighting,
            epoch: *epoch,
            length: self.known().length,
            status,
            instants,
        }));
    }

    /// The content of its reply, as far as that is a body from its beginning: the one of its number.
    #[inline]
    pub(crate) fn numbered(&mut self, range: Range) -> Range {
        if !range.is_from_start() {
            return range;
        }
        let known = self.known_mut();
        known.length = Some(range.left());
        let number = known.past.id.number;
        range.numbered(self.ledger.numbered(), number)
    }

    /// It is a message that came behind a later one of its WebSocket. What comes again is a repeat, wherever it comes.
    #[cold]
    pub(crate) fn came_behind(&self) {
        let TrackedRequest { book, past, .. } = self.known();
        if past.repeat.is_none() {
            self.ledger.note(*book, |book, room| book.came_behind(past.id.number, room));
        }
    }

    /// The reply has begun.
    #[inline]
    pub(crate) fn replied(&mut self, status: u16, replied_ns: u64) {
        let past = &mut self.known_mut().past;
        (past.status, past.replied_ns) = (status, replied_ns);
    }

    /// The last byte of the reply was handed over.
    #[inline]
    pub(crate) fn whole(&mut self) {
        let past = &mut self.known_mut().past;
        if past.end == End::Open {
            past.end = End::Whole;
        }
    }

    /// It ends with this cut, as requested; `refused` says whether the client can safely retry.
    pub(crate) fn cut(&mut self, cut: Cut, refused: bool) {
        let known = self.known_mut();
        known.cut = Some(cut);
        known.past.end = if refused { End::Refused } else { End::CutOnPurpose };
    }

    /// If it ends now, it is the server that has ended it.
    pub(crate) fn cut_by_server(&mut self) {
        let past = &mut self.known_mut().past;
        if past.end == End::Open {
            past.end = End::CutByServer;
        }
    }

    /// When it ended, and how many bytes of content were handed over.
    #[inline]
    pub(crate) fn ended(&mut self, ended_ns: u64, sent: u64) {
        let past = &mut self.known_mut().past;
        (past.ended_ns, past.sent) = (ended_ns, sent);
    }
}

impl Drop for Sighting {
    fn drop(&mut self) {
        let Some(mut known) = self.known.take() else { return };
        if known.past.end == End::Open {
            known.past.end = End::CutByPeer;
        }
        let sampled = known.sampled.take();
        self.ledger.ended(known.book, &known.past, known.cut, sampled);
        let mut spare = self.ledger.spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::ledger::{NUMBERS_PER_PAGE, State};

    use super::*;

    const GET: &[u8] = b"GET";

    fn see(ledger: &Rc<Ledger>, run: u32, number: u64, attempt: u8) -> Sighting {
        let came_on = CameOn { id: 1, counted_by: &Cell::new(0) };
        ledger.saw(Id { run, load: 0, number, attempt }, GET, 1, Some(came_on))
    }

    #[test]
    fn connections_are_counted_once_for_each_run_however_runs_take_turns_on_them() {
        let ledger = Ledger::new("one", 7, 1024);
        let connections = [Cell::new(0), Cell::new(0), Cell::new(0)];
        for number in 0..100 {
            for (run, first) in [(1, 0), (2, 1)] {
                for (id, counted_by) in (0..).zip(&connections).skip(first) {
                    let came_on = CameOn { id, counted_by };
                    drop(ledger.saw(Id { run, load: 0, number, attempt: 0 }, GET, 1, Some(came_on)));
                }
            }
        }
        let counted = |run| ledger.statement(run, 0, &[]).map(|(statement, _)| statement.connections);
        assert_eq!((counted(1), counted(2), counted(3)), (Some(3), Some(2), None));
    }

    #[test]
    fn heads_of_sampled_requests_are_kept_within_the_same_limit_as_all_else() {
        let ledger = Ledger::new("one", 7, 1024);
        let mut fields = KeptFields::default();
        (0..16).for_each(|_| fields.push(1, b"x-long", &[b'a'; 256]));
        let keep = |run: u32, number: u64, attempt: u8| {
            let mut sighting = see(&ledger, run, number, attempt);
            let request = contract::ledger::RequestHead { fields: fields.clone(), ..Default::default() };
            let is_sampled = sighting.is_sampled();
            if is_sampled {
                sighting.keep(Sample { request, ..Sample::default() });
                sighting.keep_reply(|_| ReplyHead { status: 200, ..ReplyHead::default() });
            }
            is_sampled
        };
        assert!(keep(1, 5, 0) && !keep(1, 5, 1) && !keep(1, 1 << 40, 0));
        let (statement, _) = ledger.statement(1, 0, &[]).unwrap();
        assert_eq!((statement.samples.len(), statement.samples[0].number), (1, 5));
        assert_eq!(statement.samples[0].reply.as_ref().map(|reply| reply.status), Some(200));
        for load in [FIRST_CANARY, u8::MAX] {
            let came_on = CameOn { id: 1, counted_by: &Cell::new(0) };
            let id = Id { run: 1, load, number: 5, attempt: 0 };
            assert!(!ledger.saw(id, GET, 1, Some(came_on)).is_sampled(), "{load}");
        }
        // As often as it is repeated.
        let kept = (0..2 * MAX_HEADS).filter(|_| keep(1, 6, 0)).count();
        assert_eq!(kept, MAX_HEADS - 1);
        for run in 2..MAX_BOOKS as u32 {
            (0..MAX_HEADS).for_each(|_| {
                keep(run, 1, 0);
            });
        }
        let held: usize = ledger.books.borrow().iter().map(Book::size).sum();
        assert_eq!(ledger.size.get(), held);
        assert!(held <= MAX_SIZE + 2 * MAX_BOOKS, "{held}");
    }

    #[test]
    fn books_hold_no_more_than_their_limit_whatever_numbers_and_runs_are_sent() {
        let ledger = Ledger::new("one", 7, 1024);
        // All runs begin while there is room, and then grow in turn, each number in its own page.
        for number in 0..1500 {
            for run in 0..MAX_BOOKS as u32 {
                drop(see(&ledger, run, number * NUMBERS_PER_PAGE, 0));
                drop(see(&ledger, run, number, 1));
            }
        }
        let held: usize = ledger.books.borrow().iter().map(Book::size).sum();
        assert_eq!(ledger.size.get(), held);
        assert!((MAX_SIZE..=MAX_SIZE + 2 * MAX_BOOKS).contains(&held), "{held}");
        let forgotten =
            ledger.books.borrow().last().unwrap().statement(("one", 7), &[], &Ring::default()).0.forgotten;
        assert!(forgotten > 0, "what did not fit is counted");
    }

    #[test]
    fn a_book_that_is_evicted_is_remembered_as_forgotten_and_its_open_sightings_end_without_harm() {
        let ledger = Ledger::new("one", 7, 1024);
        let open = see(&ledger, 0, 1, 0);
        drop(see(&ledger, 0, 2, 0));
        for run in 1..=MAX_BOOKS as u32 {
            drop(see(&ledger, run, 1, 0));
        }
        drop(see(&ledger, 0, 3, 0));
        drop(open);
        // As often as it comes back, what had gone is counted once.
        assert!(ledger.evicted.borrow().iter().all(|(key, _)| *key != (0, 0)));
        let books = ledger.books.borrow();
        let again = books.iter().find(|book| book.key() == (0, 0)).unwrap();
        let (statement, pages) = again.statement(("one", 7), &[], &Ring::default());
        assert_eq!((statement.sightings, statement.forgotten, statement.open), (1, 2, 0));
        let (aggregator, _) = Aggregator::new("one", 1);
        ledger.leave(0, &aggregator);
        assert!(!aggregator.left_of().contains(&(1, 0)), "nobody has to be told of it");
        assert_eq!(aggregator.left_statement(1, 1).loads, [0], "it went for the one that came back");
        let left = aggregator.left_statement(0, 0);
        assert_eq!((left.sightings, left.forgotten, left.loads), (1, 2, vec![0]));
        assert_eq!((pages.count(), statement.adds_up()), (1, true));
        assert_eq!(ledger.statement(1, 0, &[]).map(|(statement, _)| statement.forgotten), Some(1));
    }

    #[test]
    fn a_repeat_is_counted_by_how_the_sighting_before_it_ended() {
        let ledger = Ledger::new("one", 7, 1024);
        let end = |status: u16, refused: bool| {
            let mut sighting = see(&ledger, 9, u64::from(status), 0);
            if refused {
                sighting.cut(Cut::GoAway(0), true);
            } else {
                sighting.replied(status, 2);
                sighting.whole();
            }
        };
        for (status, refused) in
            [(200, false), (200, false), (503, false), (503, false), (100, true), (100, false)]
        {
            end(status, refused);
        }
        let first = see(&ledger, 9, 1, 0);
        drop((see(&ledger, 9, 1, 0), first));
        let (statement, pages) = ledger.statement(9, 0, &[]).unwrap();
        let repeats = statement.repeats;
        let kinds = [repeats.after_success, repeats.after_failure, repeats.after_refusal, repeats.concurrent];
        assert_eq!((kinds, statement.refused, pages.count()), ([1; 4], 1, 4));
        assert!(statement.adds_up() && statement.sightings == 8);
    }

    #[test]
    fn a_refused_sighting_is_not_a_repeat_whichever_of_several_at_the_same_time_it_was() {
        let refuse = |mut sighting: Sighting| sighting.cut(Cut::GoAway(0), true);
        let serve = |mut sighting: Sighting| {
            sighting.replied(200, 2);
            sighting.whole();
        };
        for attempt in [0, 1] {
            let ledger = Ledger::new("one", 7, 1024);
            let both = |number| (see(&ledger, 9, number, attempt), see(&ledger, 9, number, attempt));
            let (first, second) = both(0);
            refuse(second);
            serve(first);
            let (first, second) = both(1);
            refuse(first);
            serve(second);
            let (first, second) = both(2);
            serve(first);
            refuse(second);
            let (first, second) = both(3);
            refuse(second);
            refuse(first);
            // After both were refused, it is retried and refused again, and then served.
            refuse(see(&ledger, 9, 3, attempt));
            serve(see(&ledger, 9, 3, attempt));
            let (statement, pages) = ledger.statement(9, 0, &[]).unwrap();
            let repeats = statement.repeats;
            assert_eq!((statement.sightings, statement.refused, statement.whole), (10, 6, 4));
            assert_eq!(repeats.all() - repeats.after_refusal, 0, "{repeats:?}");
            assert_eq!(statement.distinct(&pages) + statement.refused, statement.sightings);
            let states = statement.resent_states();
            let state = |number| states.get(&number).copied().unwrap_or_else(|| pages.get(number));
            assert!((0..4).all(|number| state(number) == State::WHOLE) && statement.adds_up());
        }
    }
}
