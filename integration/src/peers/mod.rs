//! Servers that are not dummy-server: some behave badly, one keeps a record of when requests arrive.

mod http1;
mod http2;
mod record;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::LocalSet,
};

pub use self::{
    http1::{BadHttp1, bad_http1},
    http2::{BadHttp2, bad_http2},
    record::{Record, in_place},
};
use crate::cases::block_on;

/// A server on its own thread; stopped when dropped.
#[derive(Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Accepts connections and leaves each to `serve`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start<F: AsyncFn(TcpStream) + Copy + Send + 'static>(serve: F) -> Self {
        Self::with(move || serve)
    }

    /// The same, for a `serve` that has to be made on the thread it runs on.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn with<F: AsyncFn(TcpStream) + Clone + 'static>(make: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let thread = thread::spawn(move || {
            block_on(async {
                let accept = LocalSet::new();
                tokio::select! {
                    () = accept.run_until(accept_all(listener, counter, make())) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, connections, stop: Some(stop), thread: Some(thread) }
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // When the thread has ended already, there is nothing to stop.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

async fn accept_all<F: AsyncFn(TcpStream) + Clone + 'static>(
    listener: std::net::TcpListener,
    connections: Arc<AtomicUsize>,
    serve: F,
) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("the peer accepts");
        connections.fetch_add(1, Ordering::Relaxed);
        let serve = serve.clone();
        tokio::task::spawn_local(async move { serve(stream).await });
    }
}
