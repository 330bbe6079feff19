//! The ends of a server's threads: each is reported to what waits for the server, however it came about.

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
pub(crate) struct Reporter(mpsc::SyncSender<News>);

impl Reporter {
    /// And where it is heard, of at most that many threads.
    pub(crate) fn new(threads: usize) -> (Self, mpsc::Receiver<News>) {
        // Each has an end, and the drain has one.
        let (sender, receiver) = mpsc::sync_channel(threads + 1);
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
    pub(crate) async fn watch(self, shutdown: crate::drain::Shutdown) {
        shutdown.reached(Phase::Aborted).await;
        // Nobody may be waiting.
        let _ = self.0.try_send(News::Aborted);
    }
}

/// Says that its thread has panicked, if it has.
struct Guard(Reporter);

impl Guard {
    fn say(&self, news: News) {
        // Nobody may be waiting.
        let _ = self.0.0.try_send(news);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(News::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Shutdown;

    /// What is heard of a thread that runs this.
    fn heard(
        run: impl FnOnce(Reporter) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
    ) -> Vec<News> {
        let (reporter, news) = Reporter::new(1);
        let thread = runtime::worker::spawn("test", None, move || run(reporter)).unwrap();
        let _ = thread.join();
        news.iter().collect()
    }

    #[test]
    fn a_worker_says_how_many_connections_were_open_at_its_end() {
        let news = heard(|reporter| Box::pin(reporter.worker(async { 7 })));
        assert!(matches!(news[..], [News::Worker(7)]), "{news:?}");
    }

    #[test]
    fn a_panic_of_any_thread_is_reported() {
        let worker = heard(|reporter| Box::pin(reporter.worker(async { panic!("in a test") })));
        assert!(matches!(worker[..], [News::Panicked]), "{worker:?}");
        let other = heard(|reporter| Box::pin(reporter.thread(async { panic!("in a test") })));
        assert!(matches!(other[..], [News::Panicked]), "{other:?}");
        assert!(heard(|reporter| Box::pin(reporter.thread(async {}))).is_empty());
    }

    #[test]
    fn the_end_of_the_drain_timeout_is_reported() {
        let shutdown = Shutdown::new();
        shutdown.abort();
        let news = heard(move |reporter| Box::pin(reporter.watch(shutdown)));
        assert!(matches!(news[..], [News::Aborted]), "{news:?}");
    }
}
