//! Proxies that pass everything on while it comes, in both directions, each with a bad habit or without: what `loadgen probe`
//! finds is known beforehand.
//!
//! One speaks HTTP/1.1 (`exchanges`), with a connection to the server for each request; the other knows the frames of HTTP/2 and
//! nothing of what is in them (`frames`). Threads block, as nothing here is fast.

mod exchanges;
mod frames;
mod heads;

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::AtomicUsize,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use crate::ending::Ending;

/// What it does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Nothing.
    None,
    /// A request that was not answered, or with 503, is retried once.
    Repeat,
    /// The first POST that was not answered is answered with 502, and retried when another one comes that is to hang.
    RepeatLate,
    /// A cut reply in chunks is given its last chunk.
    EndCutReplies,
    /// A connection to the server is kept, whether that has closed it or not.
    ReuseEnded,
    /// A request is passed on when all of it has arrived.
    HoldUploads,
    /// A reply is passed on when all of it has arrived.
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
    /// Replies to HEAD get content, and 204 a transfer coding.
    AddContent,
    /// 204 gets a `Content-Length`.
    AddLengths,
    /// A target in absolute form loses its host, and `Host` stays as it was.
    KeepHost,
    /// A request with content is passed on when all of it has arrived, after 102 (Processing).
    SayProcessing,
    /// What can't be read is refused, and the connection is kept.
    KeepRefused,
    /// Content in chunks is refused.
    RefuseChunks,
    /// A request with another one right behind it is refused.
    RefusePipelines,
    /// Fields of requests that begin with `x-probe-5` are dropped.
    DropFields,
    /// What `Connection` names is passed on, and so is `Host`.
    KeepHops,
    /// A field that may be there once is taken where it stands first, and a length beside a coding is dropped.
    Mend,
    /// Fields of requests are sorted, in lower case, and there is one more.
    SortFields,
    /// Chunk extensions are refused.
    RefuseExtensions,
    /// HTTP/1.0 becomes HTTP/1.1 on the way to the server.
    RaiseVersion,
    /// A client that has ended its direction is taken for one that has gone.
    EndHalfClosed,
    /// It ends when it is asked for what 503 is the reply to.
    Die,
    /// From then on, it replies with what is not HTTP.
    Garble,
    /// Each piece takes long, in both directions (`of_frames` alone).
    Slow,
    /// HTTP/2: resets get another code.
    RenameResets,
    /// HTTP/2: a reset becomes an end.
    EndResets,
    /// HTTP/2: replies on streams above 21 end with REFUSED_STREAM.
    RefuseStreams,
    /// HTTP/2: it is begun, and each reply is a reset.
    ResetReplies,
    /// HTTP/2: 200 on streams above 21 becomes 500.
    FailStreams,
    /// HTTP/2: GOAWAY is dropped.
    DropGoaways,
}

/// What a proxy does, and what it remembers.
#[derive(Clone, Debug)]
struct Manner {
    habit: Habit,
    /// Of interim replies, and whether it has come to what ends it.
    counted: Arc<AtomicUsize>,
    /// The request that is retried.
    failed: Arc<Mutex<Vec<u8>>>,
    /// Where the target of each request is reported.
    told: Option<SyncSender<String>>,
}

/// A proxy; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    ending: Ending,
}

impl Relay {
    /// Of HTTP/1.1, in front of a server.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn of_exchanges(server: SocketAddr, habit: Habit) -> Self {
        Self::of_manner(server, habit, None)
    }

    /// The same; each request's target is reported before it is passed on.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn telling(server: SocketAddr, habit: Habit) -> (Self, Receiver<String>) {
        let (told, targets) = mpsc::sync_channel(MAX_TARGETS);
        (Self::of_manner(server, habit, Some(told)), targets)
    }

    fn of_manner(server: SocketAddr, habit: Habit, told: Option<SyncSender<String>>) -> Self {
        let manner = Manner { habit, counted: Arc::default(), failed: Arc::default(), told };
        Self::start(move |client, _| exchanges::serve(client, server, &manner))
    }

    /// Of connections, whose frames it reads if they are of HTTP/2.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn of_frames(server: SocketAddr, habit: Habit) -> Self {
        Self::start(move |client, ending| frames::serve(client, server, habit, ending))
    }

    fn start(serve: impl Fn(TcpStream, &Ending) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let ending = Ending::default();
        let awaited = ending.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if awaited.has_come() {
                    break;
                }
                let (serve, ending) = (serve.clone(), awaited.clone());
                // Whatever breaks ends the client's connection, and one error the proxy.
                thread::spawn(move || {
                    let served = serve(client, &ending);
                    if served.is_err_and(|error| error.kind() == io::ErrorKind::HostUnreachable) {
                        ending.end();
                        drop(TcpStream::connect(address));
                    }
                });
            }
        });
        Self { address, ending }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ending.end();
        drop(TcpStream::connect(self.address));
    }
}

/// How many targets that nobody has read are kept.
const MAX_TARGETS: usize = 1000;

/// What each piece takes with [`Habit::Slow`].
const SLOWNESS: Duration = Duration::from_millis(600);

/// How long a read blocks before it is seen whether it is still of use.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Has the connection end with RST when it is dropped, and wakes up the thread that reads from it.
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
