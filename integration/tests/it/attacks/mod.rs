//! Abusive clients: each is rejected explicitly, takes little memory and CPU time, and delays no other client.
//!
//! The server is a separate process with one worker, which the attacker shares with a bystander: a client that sends
//! a request every so often. All of them are to be answered, and none long after it was due.

mod bombs;
mod disconnects;
mod greedy;
mod http1;
mod http2;
mod loads;
mod memory;
mod raw;
mod slow;
mod websockets;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use integration::{
    binaries::ServerProcess,
    cases::block_on,
    client::{Client, Protocol},
    metrics::{CONNECTIONS, Metrics},
};
use tokio::{sync::watch, time::interval};

tests!();

const MIB: u64 = 1 << 20;

/// What most attacks may cost: the buffers of a connection, and what an allocator keeps.
const LITTLE: u64 = 16 * MIB;

/// How often the bystander sends a request.
const PACE: Duration = Duration::from_millis(50);
/// How many it sends at least while there is an attack.
const FEWEST: u64 = 5;
/// How long after it was due a request of the bystander may be answered, on a machine with other work.
const SLOWEST: Duration = Duration::from_secs(5);
/// CPU time that an attack may take of all but the admin port, of a build without optimization.
const CPU: Duration = Duration::from_secs(8);

/// A server, and a client that uses it as it is meant.
struct Scene {
    server: ServerProcess,
    before: Usage,
    /// How many requests of the bystander have been answered.
    answered: watch::Receiver<u64>,
    over: Arc<AtomicBool>,
    bystander: JoinHandle<Duration>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// The maximum resident memory, in bytes.
    memory: u64,
    cpu: Duration,
}

impl Scene {
    /// Starts both.
    async fn start(flags: &[&str]) -> Self {
        let server = ServerProcess::start(&[&["--workers=1"], flags].concat());
        for protocol in Protocol::ALL {
            assert_eq!(Client::connect(protocol, server.http).await.get("/bin/100K").await.status, 200);
        }
        let before = Usage::of(server.process().id());
        let ((count, answered), over) = (watch::channel(0), Arc::<AtomicBool>::default());
        let (end, address) = (Arc::clone(&over), server.http);
        // On a thread of its own: attackers are busy.
        let bystander = thread::spawn(move || {
            block_on(async {
                let mut clients = Vec::new();
                for protocol in Protocol::ALL {
                    clients.push(Client::connect(protocol, address).await);
                }
                let (start, mut ticks) = (Instant::now(), interval(PACE));
                let (mut due, mut slowest) = (None, Duration::ZERO);
                // All that were due while the attack went on are sent, though it may be late.
                while due.is_none_or(|due| u128::from(*count.borrow()) < due) {
                    if due.is_none() && end.load(Ordering::Acquire) {
                        due = Some(start.elapsed().as_millis() / PACE.as_millis());
                    }
                    let tick = ticks.tick().await;
                    let of_turn = (*count.borrow() % 2) as usize;
                    let reply = clients[of_turn].get("/bin/1000").await;
                    assert_eq!((reply.status, reply.body.len()), (200, 1000));
                    count.send_modify(|count| *count += 1);
                    slowest = slowest.max(tick.elapsed());
                }
                slowest
            })
        });
        Self { server, before, answered, over, bystander }
    }

    /// Waits until the server has ended all connections of the attackers.
    async fn only_the_bystander_is_left(&self) {
        let own = Protocol::ALL.len() as u64;
        Metrics::until(self.server.admin, |metrics| metrics.sum(CONNECTIONS, &[]) == own).await;
    }

    /// Ends the bystander, and checks that it was served and that the attack took no more than `memory` bytes.
    async fn end(mut self, memory: u64) {
        // An error is the end of the bystander, which is reported below.
        let _ = self.answered.wait_for(|count| *count >= FEWEST).await;
        let after = Usage::of(self.server.process().id());
        self.over.store(true, Ordering::Release);
        let slowest = self.bystander.join().expect("the bystander is served all the while");
        assert!(slowest <= SLOWEST, "a request was answered {slowest:?} after it was due");
        let grown = after.memory.saturating_sub(self.before.memory);
        assert!(grown <= memory, "the attack took {} KiB", grown >> 10);
        let cpu = after.cpu.saturating_sub(self.before.cpu);
        assert!(cpu <= CPU, "the attack took {cpu:?} of CPU time");
        for protocol in Protocol::ALL {
            let mut client = Client::connect(protocol, self.server.http).await;
            assert_eq!(client.get("/health").await.status, 200, "after the attack");
        }
    }
}

impl Usage {
    fn of(pid: u32) -> Self {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a process of ours");
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process of ours");
        let ticks: u64 = threads
            .map(|thread| thread.expect("its number").file_name().into_string().expect("a number"))
            // It answers what the test asks while it waits, however often that is, and nothing else.
            .filter(|thread| read(&format!("task/{thread}/comm")).trim() != "admin")
            .map(|thread| ticks(&read(&format!("task/{thread}/stat"))))
            .sum();
        Self { memory: kib << 10, cpu: Duration::from_millis(ticks * 10) }
    }
}

/// User and system time of a thread, in ticks of 10 ms: after the name, which may hold anything and stands in brackets.
fn ticks(stat: &str) -> u64 {
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    rest.split(' ').skip(11).take(2).map(|time| time.parse::<u64>().expect("ticks")).sum()
}
