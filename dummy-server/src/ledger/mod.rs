//! Which requests of verified runs this server has seen, and what became of their replies: see [`contract::ledger`].
//!
//! Each worker owns a [`Ledger`], which shares nothing. A request without a token costs nothing here. Who wants to know asks
//! the [`Desk`], which asks all workers. Nothing here reads a field or knows a protocol.

mod book;
mod desk;
mod past;

use std::{cell::RefCell, rc::Rc};

use contract::{
    id::Id,
    ledger::{End, Seen, SeenText},
    pattern::Range,
};

pub(crate) use self::desk::{Desk, Question};
use self::{
    book::{Book, MAX_BOOKS},
    past::{Past, Ring},
};
use crate::cut::Cut;

/// What one worker has seen.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: u32,
    instance: &'static str,
    /// One for each load of a run; the one that was begun last comes last.
    books: RefCell<Vec<Book>>,
    ring: RefCell<Ring>,
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
        Rc::new(Self { epoch, instance, books: RefCell::default(), ring: RefCell::default() })
    }

    /// A head with this token was read.
    pub(crate) fn saw(self: &Rc<Self>, id: Id, method: &[u8], received_ns: u64) -> Box<Sighting> {
        let mut past = Past::new(id, method, received_ns);
        let mut books = self.books.borrow_mut();
        let at = match books.last() {
            Some(last) if last.is_of(id.run, id.load) => books.len() - 1,
            _ => books.iter().position(|book| book.is_of(id.run, id.load)).unwrap_or_else(|| {
                // The oldest run is forgotten: nobody has asked for long.
                if books.len() == MAX_BOOKS {
                    books.remove(0);
                }
                books.push(Book::new(id.run, id.load));
                books.len() - 1
            }),
        };
        past.sighting = books[at].saw(&past, &self.ring.borrow());
        Box::new(Sighting { ledger: Rc::clone(self), past, length: None, cut: None })
    }

    fn ended(&self, past: &Past, cut: Option<Cut>) {
        let mut books = self.books.borrow_mut();
        if let Some(book) = books.iter_mut().rev().find(|book| book.is_of(past.id.run, past.id.load)) {
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
