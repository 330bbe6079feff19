//! Ledgers of servers that end while a verified run goes on, posted to loadgen or lost with them.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
    time::Duration,
};

use integration::{
    PATIENCE,
    binaries::command,
    planted::{Fault, Planted},
    process::{Finished, Process},
    report::Report,
};
use rustix::process::Signal;

tests!();

/// The request with which the server ends: it does not arrive, and is the last one.
const LAST: u64 = 100;
const SENT: u64 = LAST + 1;
/// Time for what waits for a server that is gone.
const SOON: Duration = Duration::from_secs(60);

/// Passes connections on to where ledgers are taken, which is known only when loadgen runs.
struct Forward {
    address: SocketAddr,
    to: Arc<OnceLock<SocketAddr>>,
    /// How many connections there were.
    count: Arc<Mutex<u64>>,
}

impl Forward {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (to, count) = (Arc::new(OnceLock::<SocketAddr>::new()), Arc::new(Mutex::new(0)));
        let (target, counted) = (Arc::clone(&to), Arc::clone(&count));
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                *counted.lock().unwrap() += 1;
                let Some(server) = target.get().and_then(|address| TcpStream::connect(address).ok()) else {
                    continue;
                };
                thread::spawn(move || passed_on(&client, &server));
            }
        });
        Self { address, to, count }
    }
}

fn passed_on(client: &TcpStream, server: &TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| io::copy(&mut &*client, &mut &*server));
        let _ = io::copy(&mut &*server, &mut &*client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
}

/// A server as a separate process, and where it listens.
fn server(flags: &[String]) -> (Process, SocketAddr) {
    let mut server = command("dummy-server");
    server.args(["--addr=127.0.0.1:0", "--grpc-addr=", "--admin-addr=", "--pprof-addr="]).args(flags);
    let process = Process::start(&mut server);
    let address = process.await_stderr("line with the address", |text| {
        let (_, rest) = text.split_once("listening http=")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    (process, address)
}

/// A run at whose end the only server has drained and its process has ended, with and without a place for its ledger.
fn run_until_the_server_has_gone(flags: &[String], listens: bool, forward: &Forward) -> Finished {
    let (process, address) = server(flags);
    let server = Mutex::new(Some(process));
    let (ended, has_ended) = mpsc::sync_channel(1);
    let planted = Planted::start(address, move |number| {
        if number < LAST {
            return Fault::None;
        }
        if let Some(server) = server.lock().unwrap().take() {
            server.signal(Signal::TERM);
            let _ = ended.send(server.finish(PATIENCE).code);
        }
        Fault::Lose
    });
    let (url, total) = (format!("http://{}/bin/1K", planted.address), SENT.to_string());
    let mut loadgen = command("loadgen");
    loadgen.args(["--no-progress", "-o", "json", "--verify", "-c", "1", "-n", &total, &url]);
    if listens {
        loadgen.arg("--ledger-listen=0");
    }
    let running = Process::start(&mut loadgen);
    if listens {
        let at = running.await_stderr("address of ledgers", |text| {
            let (_, rest) = text.split_once("ledgers are taken at http://")?;
            rest.split_once('/')?.0.parse::<SocketAddr>().ok()
        });
        forward.to.set(at).expect("it is known once");
    }
    let finished = running.finish(SOON);
    assert_eq!(has_ended.recv().expect("the server has ended"), Some(0));
    finished
}

fn a_drained_server_whose_process_is_gone_is_judged_by_what_it_has_posted() {
    let forward = Forward::start();
    let flags = [format!("--ledger-push=http://{}/", forward.address), "--drain-timeout=10s".to_owned()];
    let finished = run_until_the_server_has_gone(&flags, true, &forward);
    assert_eq!(finished.code, Some(0), "{finished}");
    let report = Report::parse(&finished.stdout);
    let verify = &report.json()["verify"];
    assert_eq!(*forward.count.lock().unwrap(), 1, "one ledger, of one run");
    assert_eq!(
        (&verify["sent"], &verify["arrived"], &verify["sightings"]),
        (&SENT.into(), &LAST.into(), &LAST.into())
    );
    assert_eq!(verify["never_arrived"]["unanswered"]["count"], SENT - LAST, "{verify:#}");
    assert_eq!((&verify["unjudged"], verify["epochs_lost"].as_array().map(Vec::len)), (&0.into(), Some(0)));
    assert_eq!(verify["heads"]["requests"].as_u64().map(|count| count >= 64), Some(true), "heads come along");
}

fn without_a_post_of_a_server_that_is_gone_its_requests_cannot_be_judged() {
    let forward = Forward::start();
    // One has no address to post to, and one can't connect to its address.
    let nowhere = format!("--ledger-push=http://{}/", forward.address);
    for (flags, listens) in [(vec![], true), (vec![nowhere], false)] {
        let finished = run_until_the_server_has_gone(&flags, listens, &forward);
        let report = Report::parse(&finished.stdout);
        let verify = &report.json()["verify"];
        assert_eq!(verify["unjudged"], SENT - LAST, "{verify:#}");
        assert_eq!(verify["epochs_lost"].as_array().map(Vec::len), Some(1), "{verify:#}");
    }
}

fn where_ledgers_can_not_be_taken_the_run_does_not_begin() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for (listen, code, why) in [
        (address.as_str(), 1, "can't listen on"),
        ("localhost:1", 2, "'localhost:1' for --ledger-listen; accepted: a port of loopback"),
    ] {
        let mut loadgen = command("loadgen");
        loadgen.args(["--verify", "-n", "1", "--ledger-listen", listen, "http://127.0.0.1:1/"]);
        let finished = Process::start(&mut loadgen).finish(PATIENCE);
        assert_eq!(finished.code, Some(code), "{finished}");
        assert!(finished.stderr.contains(why), "{finished}");
    }
    let mut loadgen = command("loadgen");
    loadgen.args(["-n", "1", "--ledger-listen=0", "http://127.0.0.1:1/"]);
    let finished = Process::start(&mut loadgen).finish(PATIENCE);
    assert!(
        finished.code == Some(2) && finished.stderr.contains("--ledger-listen needs --verify"),
        "{finished}"
    );
}
