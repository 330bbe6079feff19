//! Where a server is asked what it has seen: the answers of all workers, put together.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
    time::Duration,
};

use contract::ledger::{FIRST_CANARY, Packed, Pages, Sample, Statement, VERSION};
use runtime::mutex::lock;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::Ledger;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many questions may wait at a worker.
const QUESTIONS: usize = 16;
/// Of how many numbers that several workers have seen the exchanges are asked for.
const MAX_ASKED: usize = 256;
/// The maximum number of requests that are asked for again because they were seen more often than there are entries of them.
const MAX_SHOWN: usize = 64;

/// Asks a worker what it has seen.
#[derive(Debug)]
pub(crate) struct LedgerQuery {
    run: u32,
    load: u8,
    /// Whose exchanges are asked for, in order.
    numbers: Vec<u64>,
    /// None if it has seen nothing.
    answer: oneshot::Sender<Option<LoadSightings>>,
}

/// A worker was too busy to answer.
#[derive(Debug, thiserror::Error)]
#[error("worker {0} was too busy to answer; ask again")]
pub(crate) struct Unanswered(usize);

/// What a worker has seen of a load of a run.
pub(super) type LoadSightings = (Statement, Pages);

/// The way to all workers of a server, and what those have left that ended.
#[derive(Debug)]
pub(crate) struct Aggregator {
    workers: Vec<mpsc::Sender<LedgerQuery>>,
    /// One answer is put together at a time: each copies what all workers have seen.
    permit: Semaphore,
    /// By worker.
    left: Mutex<Vec<(usize, LoadSightings)>>,
    /// Loads of which those had seen something that they no longer had room for.
    evicted: Mutex<BTreeSet<(u32, u8)>>,
    instance: String,
    epoch: u32,
}

impl Aggregator {
    /// Of the server with this name and this number of workers, with the queue that each of them takes its questions from.
    pub(crate) fn new(
        instance: &str,
        workers: usize,
    ) -> (Self, impl Iterator<Item = mpsc::Receiver<LedgerQuery>> + use<>) {
        let (workers, questions): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(QUESTIONS)).unzip();
        // Drawn from what the process draws for its hash tables.
        let epoch = RandomState::new().hash_one(std::process::id()) as u32;
        (
            Self {
                workers,
                permit: Semaphore::new(1),
                left: Mutex::default(),
                evicted: Mutex::default(),
                instance: instance.to_owned(),
                epoch,
            },
            questions.into_iter(),
        )
    }

    /// About how many bytes those have left that ended: pages, heads, and what is noted of single requests.
    pub(crate) fn left_size(&self) -> usize {
        let size = |statement: &Statement| {
            let heads: usize = statement.samples.iter().map(Sample::size).sum();
            let uploads = &statement.uploads;
            let notes = size_of_val(&statement.resent[..])
                + size_of_val(&statement.entries[..])
                + size_of_val(&statement.seen_again.counts[..])
                + size_of_val(&statement.out_of_order.numbers[..])
                + size_of_val(&uploads.broken[..])
                + size_of_val(&uploads.numbers[..])
                + size_of_val(&uploads.examples[..]);
            heads + notes
        };
        lock(&self.left).iter().map(|(_, (statement, pages))| pages.bytes() + size(statement)).sum()
    }

    /// Keeps of what was left how much it was, and nothing else: it is reported as forgotten.
    pub(crate) fn forget(&self) {
        for (_, (statement, pages)) in &mut *lock(&self.left) {
            let forgotten = statement.forgotten.saturating_add(statement.sightings);
            let Statement { run, load, version, .. } = *statement;
            *statement = Statement { version, run, load, forgotten, ..Statement::default() };
            *pages = Pages::default();
        }
    }

    /// What was drawn when the server started.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What all workers together have seen of a load of a run.
    pub(crate) async fn statement(&self, run: u32, load: u8) -> Result<Statement, Unanswered> {
        // Nobody closes it.
        let _permit = self.permit.acquire().await;
        let (statement, by_several) = self.together(run, load, &[]).await?;
        let numbers: BTreeSet<u64> = incomplete(&statement).chain(by_several).take(MAX_ASKED).collect();
        if numbers.is_empty() {
            return Ok(statement);
        }
        // Once more, with how each had ended before another worker saw it.
        let numbers: Vec<u64> = numbers.into_iter().collect();
        Ok(self.together(run, load, &numbers).await?.0)
    }

    /// Of which loads of runs workers that have ended have left something, the last one first: canaries and handshakes, which
    /// nobody asks for, are none.
    pub(crate) fn left_of(&self) -> Vec<(u32, u8)> {
        let mut loads = Vec::new();
        for (_, (statement, _)) in lock(&self.left).iter().rev() {
            let load = (statement.run, statement.load);
            if load.1 < FIRST_CANARY && !loads.contains(&load) {
                loads.push(load);
            }
        }
        loads
    }

    /// What all workers together have left of a load of a run: all that was seen, once all have ended.
    pub(crate) fn left_statement(&self, run: u32, load: u8) -> Statement {
        let (mut all, _) = self.sum(run, load, &[]);
        let evicted = lock(&self.evicted);
        let loads = self.left_of().into_iter().chain(evicted.iter().copied());
        let loads: BTreeSet<u8> = loads.filter(|of| of.0 == run).map(|(_, load)| load).collect();
        all.loads = loads.into_iter().collect();
        all
    }

    async fn together(
        &self,
        run: u32,
        load: u8,
        numbers: &[u64],
    ) -> Result<(Statement, BTreeSet<u64>), Unanswered> {
        let ask = |worker: &mpsc::Sender<LedgerQuery>| {
            let (answer, answered) = oneshot::channel();
            let _ = worker.try_send(LedgerQuery { run, load, numbers: numbers.to_vec(), answer });
            answered
        };
        let asked = self.workers.iter().enumerate().filter(|(_, worker)| !worker.is_closed());
        let answers: Vec<_> = asked.map(|(index, worker)| (index, ask(worker))).collect();
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        for (worker, answer) in answers {
            match timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => seen.push((worker, answer)),
                // It has ended meanwhile, and left what it had seen.
                Ok(Err(_)) if self.workers[worker].is_closed() => {}
                _ => return Err(Unanswered(worker)),
            }
        }
        Ok(self.sum(run, load, &seen))
    }

    /// What workers have answered together with what others have left, and the numbers that several of them have seen.
    fn sum(
        &self,
        run: u32,
        load: u8,
        answers: &[(usize, Option<LoadSightings>)],
    ) -> (Statement, BTreeSet<u64>) {
        let (instance, epoch) = (self.instance.clone(), self.epoch);
        let mut all = Statement { version: VERSION, run, load, instance, epoch, ..Statement::default() };
        let (mut pages, mut by_several) = (Pages::default(), BTreeSet::new());
        let left = lock(&self.left);
        let of_others = left.iter().filter(|(worker, (statement, _))| {
            (statement.run, statement.load) == (run, load)
                && !answers.iter().any(|(answered, _)| answered == worker)
        });
        let seen = answers.iter().filter_map(|(_, answer)| answer.as_ref());
        for (statement, others) in seen.chain(of_others.map(|(_, left)| left)) {
            by_several.extend(all.merge(&mut pages, statement, others));
        }
        all.forgotten += pages.left_out();
        all.pages = Packed::of(&pages);
        (all, by_several)
    }
}

/// The numbers that were seen more often than there are entries of them: the first ones, which are shown.
fn incomplete(statement: &Statement) -> impl Iterator<Item = u64> {
    let mut entries: BTreeMap<(u64, u8), u32> = BTreeMap::new();
    for entry in &statement.entries {
        *entries.entry((entry.number, entry.attempt)).or_default() += 1;
    }
    let again = statement.seen_again.counts.iter().filter(|(.., count)| *count > 1);
    let again = again.filter(move |(number, attempt, count)| {
        entries.get(&(*number, *attempt)).is_none_or(|of| of < count)
    });
    again.map(|(number, ..)| *number).take(MAX_SHOWN)
}

impl Ledger {
    /// Leaves what its worker, which ends, has seen; what is open is cut off with it.
    pub(crate) fn leave(&self, worker: usize, aggregator: &Aggregator) {
        let (books, ring) = (self.books.borrow(), self.ring.borrow());
        let seen = books.iter().map(|book| {
            let (mut statement, pages) = book.statement((self.instance, self.epoch), &[], &ring);
            statement.cut_by_server += std::mem::take(&mut statement.open);
            (worker, (statement, pages))
        });
        lock(&aggregator.left).extend(seen);
        let mut evicted = lock(&aggregator.evicted);
        evicted.extend(self.evicted.borrow().iter().map(|(load, _)| *load));
    }

    /// Answers until nobody can ask any more.
    pub(crate) async fn answer(&self, mut questions: mpsc::Receiver<LedgerQuery>) {
        while let Some(LedgerQuery { run, load, numbers, answer }) = questions.recv().await {
            // Who asked may have gone.
            let _ = answer.send(self.statement(run, load, &numbers));
        }
    }

    pub(super) fn statement(&self, run: u32, load: u8, numbers: &[u64]) -> Option<LoadSightings> {
        let books = self.books.borrow();
        let Some(book) = books.iter().find(|book| book.key() == (run, load)) else {
            let evicted = self.evicted.borrow();
            let forgotten = evicted.iter().filter(|(key, _)| *key == (run, load)).map(|(_, seen)| seen).sum();
            let counts = Statement { forgotten, ..Statement::default() };
            return (forgotten > 0).then(|| (counts, Pages::default()));
        };
        Some(book.statement((self.instance, self.epoch), numbers, &self.ring.borrow()))
    }
}
