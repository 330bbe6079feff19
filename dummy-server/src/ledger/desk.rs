//! Where a server is asked what it has seen: the answers of all workers, put together.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use contract::ledger::{Packed, Pages, Statement, VERSION};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::Ledger;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many questions may wait at a worker.
const QUESTIONS: usize = 16;
/// Of how many numbers that several workers have seen the exchanges are asked for.
const MAX_ASKED: usize = 256;

/// Asks a worker what it has seen.
#[derive(Debug)]
pub(crate) struct Question {
    run: u32,
    load: u8,
    /// Whose exchanges are asked for, in order.
    numbers: Vec<u64>,
    /// None if it has seen nothing.
    answer: oneshot::Sender<Option<(Statement, Pages)>>,
}

/// A worker was too busy to answer.
#[derive(Debug, thiserror::Error)]
#[error("worker {0} was too busy to answer; ask again")]
pub(crate) struct Unanswered(usize);

/// The way to all workers of a server.
#[derive(Debug)]
pub(crate) struct Desk {
    workers: Vec<mpsc::Sender<Question>>,
    instance: String,
    epoch: u32,
}

impl Desk {
    /// Of the server with this name and so many workers, with what each of them takes its questions from.
    pub(crate) fn new(
        instance: &str,
        workers: usize,
    ) -> (Self, impl Iterator<Item = mpsc::Receiver<Question>> + use<>) {
        let (workers, questions): (Vec<_>, Vec<_>) = (0..workers).map(|_| mpsc::channel(QUESTIONS)).unzip();
        // Drawn from what the process draws for its hash tables.
        let epoch = RandomState::new().hash_one(std::process::id()) as u32;
        (Self { workers, instance: instance.to_owned(), epoch }, questions.into_iter())
    }

    /// What was drawn when the server started.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What all workers together have seen of a load of a run.
    pub(crate) async fn statement(&self, run: u32, load: u8) -> Result<Statement, Unanswered> {
        let (statement, by_several) = self.together(run, load, &[]).await?;
        if by_several.is_empty() {
            return Ok(statement);
        }
        // Once more, with what became of each before another worker saw it.
        let numbers: Vec<u64> = by_several.into_iter().take(MAX_ASKED).collect();
        Ok(self.together(run, load, &numbers).await?.0)
    }

    async fn together(
        &self,
        run: u32,
        load: u8,
        numbers: &[u64],
    ) -> Result<(Statement, BTreeSet<u64>), Unanswered> {
        let ask = |worker: &mpsc::Sender<Question>| {
            let (answer, answered) = oneshot::channel();
            let _ = worker.try_send(Question { run, load, numbers: numbers.to_vec(), answer });
            answered
        };
        let answers: Vec<_> = self.workers.iter().map(ask).collect();
        let deadline = Instant::now() + PATIENCE;
        let mut all = Statement {
            version: VERSION,
            run,
            load,
            instance: self.instance.clone(),
            epoch: self.epoch,
            ..Statement::default()
        };
        let (mut pages, mut by_several) = (Pages::default(), BTreeSet::new());
        for (worker, answer) in answers.into_iter().enumerate() {
            let answer = timeout_at(deadline, answer).await.ok().and_then(Result::ok);
            if let Some((statement, others)) = answer.ok_or(Unanswered(worker))? {
                by_several.extend(all.merge(&mut pages, &statement, &others));
            }
        }
        all.forgotten += pages.left_out();
        all.pages = Packed::of(&pages);
        Ok((all, by_several))
    }
}

impl Ledger {
    /// Answers until nobody can ask any more.
    pub(crate) async fn answer(&self, mut questions: mpsc::Receiver<Question>) {
        while let Some(Question { run, load, numbers, answer }) = questions.recv().await {
            // Who asked may have gone.
            let _ = answer.send(self.statement(run, load, &numbers));
        }
    }

    fn statement(&self, run: u32, load: u8, numbers: &[u64]) -> Option<(Statement, Pages)> {
        let books = self.books.borrow();
        let book = books.iter().find(|book| book.is_of(run, load))?;
        Some(book.statement((self.instance, self.epoch), numbers, &self.ring.borrow()))
    }
}
