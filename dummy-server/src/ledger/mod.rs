//! Which requests of verified runs this server has seen, and what became of their replies: see [`contract::ledger`].
//!
//! Each worker owns a [`Ledger`], which shares nothing. A request without a token costs nothing here. Who wants to know asks
//! the [`Desk`], which asks all workers. Nothing here reads a field or knows a protocol.

mod book;
mod desk;
mod past;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use contract::{
    id::Id,
    ledger::{End, Seen, SeenText},
    pattern::Range,
};

pub(crate) use self::desk::{Desk, Question};
use self::{
    book::Book,
    past::{Past, Ring},
};
use crate::cut::Cut;

/// How many loads of runs a worker remembers: a plan may have 16.
const MAX_BOOKS: usize = 64;
/// Pages for all of them: 32 MiB, 134 million numbers.
const MAX_PAGES: usize = 32 << 10;
/// One that begins has room for so many at least: those of 16 million numbers.
const FEWEST_PAGES: usize = 4 << 10;
/// Of how many that are gone it is known.
const MAX_EVICTED: usize = 1024;

/// What one worker has seen.
#[derive(Debug)]
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
}

/// A request with a token, from its head to the end of its reply. Dropping it notes how it ended.
#[derive(Debug)]
pub(crate) struct Sighting {
    ledger: Rc<Ledger>,
    past: Past,
    /// Of a numbered body.
    length: Option<u64>,
    cut: Option<Cut>,
}

impl Ledger {
    /// Of the server with this name, which drew `epoch` when it started.
    pub(crate) fn new(instance: &'static str, epoch: u32) -> Rc<Self> {
        let (books, ring, evicted) = (RefCell::default(), RefCell::default(), RefCell::default());
        Rc::new(Self { epoch, instance, books, ring, evicted, begun: Cell::new(0) })
    }

    /// A head with this token was read.
    pub(crate) fn saw(self: &Rc<Self>, id: Id, method: &[u8], received_ns: u64) -> Box<Sighting> {
        let mut past = Past::new(id, method, received_ns);
        let mut books = self.books.borrow_mut();
        let at = match books.last() {
            Some(last) if last.is_of(id.run, id.load) => books.len() - 1,
            _ => books.iter().position(|book| book.is_of(id.run, id.load)).unwrap_or_else(|| {
                self.begin(&mut books, id);
                books.len() - 1
            }),
        };
        past.book = books[at].serial;
        past.sighting = books[at].saw(&past, &self.ring.borrow());
        Box::new(Sighting { ledger: Rc::clone(self), past, length: None, cut: None })
    }

    /// Begins a book for a load of a run. Where there are too many, or too many pages in them, the oldest goes, and how much it
    /// had seen is remembered.
    #[cold]
    fn begin(&self, books: &mut Vec<Book>, id: Id) {
        let mut evicted = self.evicted.borrow_mut();
        let pages = |books: &[Book]| books.iter().map(Book::pages).sum::<usize>();
        while !books.is_empty() && (books.len() >= MAX_BOOKS || pages(books) > MAX_PAGES - FEWEST_PAGES) {
            let book = books.remove(0);
            if evicted.len() == MAX_EVICTED {
                evicted.remove(0);
            }
            evicted.push((book.key(), book.sightings()));
        }
        let forgotten =
            evicted.iter().filter(|(key, _)| *key == (id.run, id.load)).map(|(_, seen)| seen).sum();
        let serial = self.begun.get() + 1;
        self.begun.set(serial);
        let room = MAX_PAGES - pages(books);
        books.push(Book::new((id.run, id.load), serial, room, forgotten));
    }

    fn ended(&self, past: &Past, cut: Option<Cut>) {
        let mut books = self.books.borrow_mut();
        // What it was noted in may be gone.
        if let Some(book) = books.iter_mut().rev().find(|book| book.serial == past.book) {
            book.ended(past, cut);
        }
        self.ring.borrow_mut().push(*past);
    }
}

impl Sighting {
    /// What its reply says of it.
    #[inline]
    pub(crate) fn text(&self) -> SeenText {
        let Past { id, sighting, .. } = self.past;
        Seen { id, sighting, epoch: self.ledger.epoch, length: self.length }.text()
    }

    /// The content of its reply, as far as that is a body from its beginning: the one of its number.
    #[inline]
    pub(crate) fn numbered(&mut self, range: Range) -> Range {
        if !range.is_from_start() {
            return range;
        }
        self.length = Some(range.left());
        range.numbered(self.past.id.number)
    }

    /// The reply has begun.
    #[inline]
    pub(crate) fn replied(&mut self, status: u16, replied_ns: u64) {
        let past = &mut self.past;
        (past.status, past.replied_ns) = (status, replied_ns);
    }

    /// The last byte of the reply was handed over.
    #[inline]
    pub(crate) fn whole(&mut self) {
        let past = &mut self.past;
        if past.end == End::Open {
            past.end = End::Whole;
        }
    }

    /// It ends in this way, as was asked for; `refused` says whether it is safely sent again.
    pub(crate) fn cut(&mut self, cut: Cut, refused: bool) {
        self.cut = Some(cut);
        self.past.end = if refused { End::Refused } else { End::CutOnPurpose };
    }

    /// If it ends now, it is the server that has ended it.
    pub(crate) fn cut_by_server(&mut self) {
        let past = &mut self.past;
        if past.end == End::Open {
            past.end = End::CutByServer;
        }
    }

    /// When it ended, and how many bytes of content were handed over.
    #[inline]
    pub(crate) fn ended(&mut self, ended_ns: u64, sent: u64) {
        let past = &mut self.past;
        (past.ended_ns, past.sent) = (ended_ns, sent);
    }
}

impl Drop for Sighting {
    fn drop(&mut self) {
        let past = &mut self.past;
        if past.end == End::Open {
            past.end = End::CutByPeer;
        }
        self.ledger.ended(&self.past, self.cut);
    }
}
