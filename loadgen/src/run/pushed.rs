//! Ledgers that servers post by themselves: what one that leaves has seen is known when it can't be asked any more.
//!
//! A listener takes them while a run goes on, within bounds: of this run alone, no more and no larger ones than are kept of
//! servers that are asked. Nothing here judges them.

use runtime::mutex::lock;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use contract::{
    id::Ids,
    ledger::{FIRST_CANARY, Statement},
};
use http1::{Event, Limits, Version, request, write};

use super::ledgers::{MAX_ANSWER, MAX_ANSWERS, MAX_SERVERS};

/// How long a server may take to post a ledger, and to send a part of it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(5);
/// The maximum number of servers that post concurrently; further ones are closed, and may come again.
const MAX_CONNECTIONS: usize = 16;

/// What takes ledgers of a run; it ends when dropped.
#[derive(Debug)]
pub(super) struct Pushes {
    address: SocketAddr,
    shared: Arc<PushState>,
}

#[derive(Debug)]
struct PushState {
    run: u32,
    is_over: AtomicBool,
    connections: AtomicUsize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// By load and epoch.
    statements: BTreeMap<(u8, u32), Arc<Statement>>,
    /// About how many bytes those take.
    held: u64,
    /// How many there was no room for.
    left_out: u64,
}

impl Pushes {
    /// Listens for those of a run.
    pub(super) fn listen(address: SocketAddr, run: u32) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (connections, taken) = (AtomicUsize::new(0), Mutex::default());
        let shared = Arc::new(PushState { run, is_over: AtomicBool::new(false), connections, taken });
        let accepting = Arc::clone(&shared);
        thread::Builder::new()
            .name("loadgen-ledgers".to_owned())
            .spawn(move || accept(&listener, &accepting))?;
        Ok(Arc::new(Self { address, shared }))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come of a load until now, by the epochs of the servers: also of one that has posted what it has seen of another
    /// load, and has seen nothing of this one.
    pub(super) fn of(&self, ids: Ids) -> BTreeMap<u32, Arc<Statement>> {
        let taken = self.shared.taken();
        let own = taken.statements.range((ids.load, 0)..=(ids.load, u32::MAX));
        let mut all: BTreeMap<_, _> =
            own.map(|((_, epoch), statement)| (*epoch, Arc::clone(statement))).collect();
        for ((_, epoch), of_other) in &taken.statements {
            if of_other.loads.is_empty() || of_other.loads.contains(&ids.load) {
                continue;
            }
            let nothing = || {
                let Statement { version, run, epoch, .. } = **of_other;
                let instance = of_other.instance.clone();
                Arc::new(Statement { version, run, load: ids.load, instance, epoch, ..Statement::default() })
            };
            all.entry(*epoch).or_insert_with(nothing);
        }
        all
    }

    /// As if a server had posted it.
    #[cfg(test)]
    pub(super) fn posted(&self, statement: Statement) {
        assert_eq!(self.shared.keep(statement), 200);
    }

    /// How many ledgers there was no room for.
    pub(super) fn left_out(&self) -> u64 {
        self.shared.taken().left_out
    }
}

impl Drop for Pushes {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // It waits for a connection: this is the last one.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            let own: IpAddr =
                if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            address.set_ip(own);
        }
        drop(TcpStream::connect_timeout(&address, PAUSE));
    }
}

impl PushState {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }

    /// What is answered to a request with this body.
    fn take(&self, body: &[u8]) -> u16 {
        let Ok(statements) = Statement::read_all(body) else { return 400 };
        // Nobody asks for those of canaries and handshakes.
        let is_of_this = |statement: &Statement| statement.run == self.run && statement.load < FIRST_CANARY;
        let mut status = 404;
        for statement in statements.into_iter().filter(is_of_this) {
            status = self.keep(statement);
            if status != 200 {
                break;
            }
        }
        status
    }

    /// What is answered to a ledger of this run.
    fn keep(&self, statement: Statement) -> u16 {
        let mut taken = self.taken();
        let key = (statement.load, statement.epoch);
        let before = taken.statements.get(&key).map(|before| (before.sightings, before.size()));
        // What is posted again is the same, or has gone on.
        if before.is_some_and(|(sightings, _)| sightings > statement.sightings) {
            return 200;
        }
        let is_full = before.is_none() && taken.statements.len() >= MAX_SERVERS;
        // It takes the place of what was posted before.
        let others = taken.held - before.map_or(0, |(_, size)| size);
        let held = others.saturating_add(statement.size());
        if is_full || held > MAX_ANSWERS {
            taken.left_out += 1;
            return 413;
        }
        taken.held = held;
        taken.statements.insert(key, Arc::new(statement));
        200
    }
}

fn accept(listener: &TcpListener, shared: &Arc<PushState>) {
    for client in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else {
            // Such as no more descriptors: it does not spin.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let own = Arc::clone(shared);
        let serving = thread::Builder::new().name("loadgen-ledger".to_owned()).spawn(move || {
            // One that breaks off has posted nothing.
            let _ = serve(client, &own);
            own.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if serving.is_err() {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Answers one request, and closes the connection.
fn serve(mut client: TcpStream, shared: &PushState) -> io::Result<()> {
    client.set_read_timeout(Some(PAUSE))?;
    client.set_write_timeout(Some(PAUSE))?;
    let status = match read(&mut client, PATIENCE)? {
        Ok(body) => shared.take(&body),
        Err(status) => status,
    };
    let mut reply = Vec::new();
    write::status_line(&mut reply, Version::Http11, status, write::reason(status).as_bytes());
    write::field(&mut reply, b"connection", b"close");
    write::number_field(&mut reply, b"content-length", 0);
    write::end_head(&mut reply);
    client.write_all(&reply)
}

/// The body of a POST, or the status with which the request is refused.
fn read(client: &mut impl io::Read, patience: Duration) -> io::Result<Result<Vec<u8>, u16>> {
    let began = Instant::now();
    let mut reader = request::RequestReader::new(Limits::default());
    let mut head = request::RequestHead::default();
    let (mut rest, mut body) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = client.read(&mut buffer)?;
        if count == 0 || began.elapsed() > patience {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest.extend_from_slice(&buffer[..count]);
        let mut input = &rest[..];
        loop {
            let is_over = match reader.read(&mut input, &mut head) {
                Ok(None) => break,
                Ok(Some(Event::Head { .. })) if head.method != b"POST" => return Ok(Err(405)),
                Ok(Some(Event::Head { end })) => end,
                Ok(Some(Event::Data(part))) => {
                    if (body.len() + part.len()) as u64 > MAX_ANSWER {
                        return Ok(Err(413));
                    }
                    body.extend_from_slice(part);
                    false
                }
                Ok(Some(Event::End)) => true,
                Ok(Some(Event::Informational)) => false,
                Err(rejection) => return Ok(Err(rejection.status)),
            };
            if is_over {
                return Ok(Ok(body));
            }
        }
        let left = input.len();
        rest.drain(..rest.len() - left);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use contract::ledger::VERSION;

    use super::*;

    fn statement(run: u32, load: u8, epoch: u32, sightings: u64) -> Statement {
        Statement { version: VERSION, run, load, epoch, sightings, whole: sightings, ..Statement::default() }
    }

    fn post(pushes: &Pushes, request: &[u8]) -> String {
        let mut client = TcpStream::connect(pushes.address()).unwrap();
        // What is refused early may be closed while it is written.
        let _ = client.write_all(request);
        let mut reply = String::new();
        let _ = client.read_to_string(&mut reply);
        reply
    }

    fn posted(pushes: &Pushes, statements: &[Statement]) -> String {
        let body = serde_json::to_vec(statements).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        post(pushes, &[head.as_bytes(), &body].concat())
    }

    fn listening() -> Arc<Pushes> {
        Pushes::listen((Ipv4Addr::LOCALHOST, 0).into(), 7).unwrap()
    }

    #[test]
    fn ledgers_of_this_run_are_taken_by_load_and_epoch_and_each_counts_once() {
        let pushes = listening();
        for sightings in [5, 9, 6] {
            let reply = posted(&pushes, &[statement(7, 0, 1, sightings), statement(7, 1, 1, 3)]);
            assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        }
        assert!(posted(&pushes, &[statement(7, 0, 2, 4)]).starts_with("HTTP/1.1 200 "));
        let of = |load| {
            let taken = pushes.of(Ids { run: 7, load });
            taken.into_iter().map(|(epoch, statement)| (epoch, statement.sightings)).collect::<Vec<_>>()
        };
        assert_eq!((of(0), of(1), of(2)), (vec![(1, 9), (2, 4)], vec![(1, 3)], Vec::new()));
    }

    #[test]
    fn a_server_that_has_posted_all_of_its_loads_has_seen_nothing_of_others() {
        let pushes = listening();
        let of_two = Statement { loads: vec![0, 2], instance: "one".to_owned(), ..statement(7, 0, 1, 5) };
        assert!(posted(&pushes, &[of_two]).starts_with("HTTP/1.1 200 "));
        assert!(
            posted(&pushes, &[statement(7, 0, 2, 5)]).starts_with("HTTP/1.1 200 "),
            "it says nothing of others"
        );
        let of = |load| {
            pushes.of(Ids { run: 7, load }).into_values().map(Arc::unwrap_or_clone).collect::<Vec<_>>()
        };
        let nothing = Statement { instance: "one".to_owned(), ..statement(7, 1, 1, 0) };
        assert_eq!((of(1), of(2)), (vec![nothing], Vec::new()));
        assert!(
            posted(&pushes, &[Statement { loads: vec![0; 257], ..statement(7, 0, 3, 5) }])
                .starts_with("HTTP/1.1 400 ")
        );
    }

    #[test]
    fn what_is_not_a_ledger_of_this_run_is_refused_and_nothing_of_it_is_kept() {
        let pushes = listening();
        assert!(posted(&pushes, &[statement(8, 0, 1, 5)]).starts_with("HTTP/1.1 404 "));
        assert!(posted(&pushes, &[]).starts_with("HTTP/1.1 404 "));
        let wrong = Statement { version: VERSION + 1, ..statement(7, 0, 1, 5) };
        assert!(posted(&pushes, &[wrong]).starts_with("HTTP/1.1 400 "));
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "400"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "400"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let reply = post(&pushes, request.as_bytes());
            assert_eq!(reply.get(9..12), Some(status), "{request}: {reply}");
        }
        assert_eq!((pushes.of(Ids { run: 7, load: 0 }).len(), pushes.left_out()), (0, 0));
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_while_it_comes() {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", MAX_ANSWER + 1);
        let mut client = head.as_bytes().chain(io::repeat(b' '));
        assert_eq!(read(&mut client, PATIENCE).unwrap(), Err(413));
        let mut largest = head.replace(&(MAX_ANSWER + 1).to_string(), &MAX_ANSWER.to_string()).into_bytes();
        largest.resize(largest.len() + MAX_ANSWER as usize, b' ');
        assert_eq!(read(&mut &largest[..], PATIENCE).unwrap().map(|body| body.len() as u64), Ok(MAX_ANSWER));
        assert!(read(&mut &largest[..1000], PATIENCE).is_err(), "it broke off");
        assert!(read(&mut &largest[..], Duration::ZERO).is_err(), "it took too long");
    }

    #[test]
    fn no_more_servers_are_kept_than_are_asked() {
        let pushes = listening();
        let mut taken = pushes.shared.taken();
        for epoch in 0..MAX_SERVERS as u32 {
            taken.statements.insert((0, epoch), Arc::new(statement(7, 0, epoch, 1)));
            taken.held += statement(7, 0, epoch, 1).size();
        }
        drop(taken);
        assert!(posted(&pushes, &[statement(7, 0, 0, 2)]).starts_with("HTTP/1.1 200 "), "it is kept already");
        assert!(posted(&pushes, &[statement(7, 0, u32::MAX, 1)]).starts_with("HTTP/1.1 413 "));
        assert_eq!((pushes.of(Ids { run: 7, load: 0 }).len(), pushes.left_out()), (MAX_SERVERS, 1));
    }
    #[test]
    fn what_is_posted_again_takes_the_place_of_what_was_posted_before() {
        let pushes = listening();
        let first = statement(7, 0, 1, 5);
        assert!(posted(&pushes, std::slice::from_ref(&first)).starts_with("HTTP/1.1 200 "));
        assert_eq!(pushes.shared.taken().held, first.size());
        // As if others had taken all room but that of this one.
        pushes.shared.taken().held = MAX_ANSWERS;
        assert!(posted(&pushes, &[statement(7, 0, 1, 6)]).starts_with("HTTP/1.1 200 "));
        assert!(posted(&pushes, &[statement(7, 0, 2, 1)]).starts_with("HTTP/1.1 413 "));
        let held = pushes.shared.taken().held;
        assert_eq!((held, pushes.left_out()), (MAX_ANSWERS, 1));
    }

    #[test]
    fn ledgers_of_canaries_and_handshakes_are_not_taken() {
        let pushes = listening();
        for load in [FIRST_CANARY, u8::MAX] {
            assert!(posted(&pushes, &[statement(7, load, 1, 5)]).starts_with("HTTP/1.1 404 "), "{load}");
        }
        assert!(pushes.shared.taken().statements.is_empty());
    }
}
