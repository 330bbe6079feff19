//! Proxies that pass everything on while it comes, in both directions, each with a bad habit or without: what `loadgen probe`
//! finds is known beforehand.
//!
//! One speaks HTTP/1.1 (`exchanges`), with a connection to the server for each request; the other knows the frames of HTTP/2 and
//! nothing of what is in them (`frames`). Threads block, as nothing here is fast.

mod exchanges;
mod frames;

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What it does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Nothing.
    None,
    /// A request that was not answered, or with 503, is sent once more.
    Repeat,
    /// A cut reply in chunks is given its last chunk.
    EndCutReplies,
    /// A connection to the server is kept, whether that has closed it or not.
    ReuseEnded,
    /// A request is passed on when all of it has come.
    HoldUploads,
    /// A reply is passed on when all of it has come.
    HoldReplies,
    /// `/after/1` is answered with the reply before.
    Cross,
    /// A client that has gone is not noticed.
    IgnoreAborts,
    /// Trailers of replies become fields.
    MergeTrailers,
    /// Interim replies are dropped.
    DropInterims,
    /// Every other one of them is, beginning with the second one.
    DropInterimsInTurn,
    /// Targets below `/x` are changed.
    ChangeTargets,
    /// Upgrades are not passed on.
    DropUpgrades,
    /// HTTP/2: resets get another code.
    RenameResets,
    /// HTTP/2: a reset becomes an end.
    EndResets,
    /// HTTP/2: GOAWAY is dropped.
    DropGoaways,
}

/// A proxy; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// Of HTTP/1.1, in front of a server.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn of_exchanges(server: SocketAddr, habit: Habit) -> Self {
        let interims = Arc::new(AtomicUsize::new(0));
        Self::start(move |client| exchanges::serve(client, server, habit, &interims))
    }

    /// Of connections, whose frames it reads if they are of HTTP/2.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn of_frames(server: SocketAddr, habit: Habit) -> Self {
        Self::start(move |client| frames::serve(client, server, habit))
    }

    fn start(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let serve = serve.clone();
                // Whatever breaks ends the client's connection.
                thread::spawn(move || drop(serve(client)));
            }
        });
        Self { address, over }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// How long a read blocks before it is seen whether it is still of use.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Has the connection end with RST when it is dropped, and wakes up who reads from it.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(std::net::Shutdown::Read);
}

/// Reads more; false at the end.
fn read_more(stream: &mut impl io::Read, input: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    let count = stream.read(&mut buffer)?;
    input.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}
