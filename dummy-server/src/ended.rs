//! The ends of a server's threads: whoever waits for the server hears of each, however it came about.

use std::sync::mpsc;

use crate::drain::Phase;

/// What there is to hear.
#[derive(Debug)]
pub(crate) enum News {
    /// A worker has ended, with that many connections open.
    Worker(usize),
    /// A thread has panicked.
    Panicked,
    /// The time of the drain is up, or it was cut short.
    Aborted,
}

/// Where it is said.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(mpsc::Sender<News>);

impl Reporter {
    /// And where it is heard.
    pub(crate) fn new() -> (Self, mpsc::Receiver<News>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Runs a worker's thread; its result is the number of connections that were open.
    pub(crate) async fn worker(self, run: impl Future<Output = usize>) {
        let guard = Guard(self);
        let open = run.await;
        guard.say(News::Worker(open));
    }

    /// Runs another thread.
    pub(crate) async fn thread(self, run: impl Future<Output = ()>) {
        let _guard = Guard(self);
        run.await;
    }

    /// Says when the server is to end, whether or not its workers do.
    pub(crate) async fn watch(self, shutdown: crate::Shutdown) {
        shutdown.reached(Phase::Aborted).await;
        // Nobody may be waiting.
        let _ = self.0.send(News::Aborted);
    }
}

/// Says that its thread has panicked, if it has.
struct Guard(Reporter);

impl Guard {
    fn say(&self, news: News) {
        // Nobody may be waiting.
        let _ = self.0.0.send(news);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(News::Panicked);
        }
    }
}
