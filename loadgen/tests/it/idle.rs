//! Connections that are kept open beside the load, without requests.

use std::{
    io::{self, Write as _},
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex},
};

use loadgen::Summary;

use crate::{
    frames::serve_http2,
    peer::{closed_port, plan, read_request, run, serve},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// Wanted, opened, open at the end, and closed by the server and by loadgen.
fn idle(summary: &Summary) -> [u64; 5] {
    let idle = summary.records.connections.idle.as_deref().unwrap();
    [idle.wanted, idle.opened, idle.open(), idle.closed_by_server, idle.closed_by_loadgen]
}

fn text(summary: &Summary) -> String {
    let mut text = Vec::new();
    loadgen::report::text::write(summary.into(), loadgen::report::text::Style::Plain, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A number that others wait for.
#[derive(Default)]
struct Gate(Mutex<usize>, Condvar);

impl Gate {
    fn pass(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }

    fn wait(&self, for_count: usize) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |count| *count < for_count).unwrap());
    }
}

#[test]
fn idle_connections_are_open_beside_the_load_and_counted_apart() {
    for workers in [1, 2] {
        let gate = Arc::new(Gate::default());
        let passed = Arc::clone(&gate);
        let peer = serve(move |_, mut stream| {
            passed.pass();
            while read_request(&mut stream).is_some() {
                passed.wait(7);
                stream.write_all(OK).unwrap();
            }
        });
        let line = format!("-n 20 -c 2 --workers {workers} --idle-connections 5 http://{}", peer.address);
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 20, "{:?}", summary.records.failures);
        assert_eq!(idle(&summary), [5, 5, 5, 0, 0]);
        let found = &summary.records.connections;
        assert_eq!((found.opened, found.closed_by_loadgen, peer.connections()), (2, 2, 7));
        let text = text(&summary);
        assert!(
            text.contains("Idle connections        5 of 5 open at the end, 0 closed by the server\n"),
            "{text}"
        );
    }
    let summary = run(&format!(
        "-n 1 -c 1 --idle-connections 0 http://{}",
        serve(|_, mut stream| {
            read_request(&mut stream);
            stream.write_all(OK).unwrap();
        })
        .address
    ));
    assert_eq!(summary.records.connections.idle, None);
}

#[test]
fn idle_connections_of_http2_answer_pings() {
    let gate = Arc::new(Gate::default());
    let passed = Arc::clone(&gate);
    let peer = serve_http2(&[], move |_, wire| {
        wire.send(PING, 0, 0, b"dummyrun")?;
        let (_, pong) = wire.until(PING)?;
        assert_eq!(pong, b"dummyrun");
        passed.pass();
        loop {
            let stream = wire.request()?;
            passed.wait(4);
            wire.reply(stream)?;
        }
    });
    let summary = run(&format!("-n 5 -c 1 -m 1 --idle-connections 3 {}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 5, "{:?}", summary.records.failures);
    assert_eq!((idle(&summary), peer.connections()), ([3, 3, 3, 0, 0], 4));
}

#[test]
fn idle_connections_that_the_server_closes_are_opened_again() {
    let gate = Arc::new(Gate::default());
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let peer = serve(move |_, mut stream| {
        open.lock().unwrap().push(stream.try_clone().unwrap());
        gate.pass();
        let address = stream.peer_addr().unwrap();
        if read_request(&mut stream).is_some() {
            gate.wait(4);
            for other in open.lock().unwrap().iter() {
                if other.peer_addr().is_ok_and(|other| other != address) {
                    other.shutdown(Shutdown::Both).unwrap();
                }
            }
            // The three that were closed are there again.
            gate.wait(7);
            stream.write_all(OK).unwrap();
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    let summary = run(&format!("-n 1 -c 1 --idle-connections 3 http://{}", peer.address));
    assert_eq!(summary.records.counts.succeeded, 1, "{:?}", summary.records.failures);
    assert_eq!((idle(&summary), peer.connections()), ([3, 6, 3, 3, 0], 7));
    assert_eq!(summary.records.connections.closed_by_server, 0);
}

#[test]
fn idle_connections_end_with_goaway_and_with_what_breaks_the_protocol() {
    for (scheme, bytes, [by_server, by_loadgen]) in [
        ("", &[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], [1, 0]),
        ("", &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 1]),
        ("http://", b"HTTP/1.1 408 Request Timeout\r\n\r\n", [0, 1]),
    ] {
        let gate = Arc::new(Gate::default());
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let begin = |open: &Mutex<Vec<TcpStream>>, gate: &Gate, stream: &TcpStream| {
            open.lock().unwrap().push(stream.try_clone().unwrap());
            gate.pass();
        };
        // Says it on the idle one, and waits for the one that takes its place.
        let requested = move |open: &Mutex<Vec<TcpStream>>, gate: &Gate, stream: &TcpStream| {
            gate.wait(2);
            let own = stream.peer_addr().unwrap();
            let all = open.lock().unwrap();
            let mut other =
                all.iter().find(|other| other.peer_addr().is_ok_and(|other| other != own)).unwrap();
            other.write_all(bytes).unwrap();
            drop(all);
            gate.wait(3);
        };
        let peer = if scheme.is_empty() {
            serve_http2(&[], move |_, wire| {
                begin(&open, &gate, &wire.0);
                let stream = wire.request()?;
                requested(&open, &gate, &wire.0);
                wire.reply(stream)?;
                wire.leave()
            })
        } else {
            serve(move |_, mut stream| {
                begin(&open, &gate, &stream);
                if read_request(&mut stream).is_some() {
                    requested(&open, &gate, &stream);
                    stream.write_all(OK).unwrap();
                }
            })
        };
        let summary = run(&format!("-n 1 -c 1 -m 1 --idle-connections 1 {scheme}{}", peer.address));
        assert_eq!(summary.records.counts.succeeded, 1, "{:?}", summary.records.failures);
        assert_eq!(idle(&summary), [1, 2, 1, by_server, by_loadgen], "{bytes:?}");
    }
}

#[test]
fn idle_connections_that_can_not_be_opened_are_reported() {
    let summary = run(&format!("-n 1 -c 1 --idle-connections 2 http://{}", closed_port()));
    assert_eq!(idle(&summary), [2, 0, 0, 0, 0]);
    let failure = summary.records.connections.idle.unwrap().failure.unwrap();
    assert!(failure.contains("refused"), "{failure}");
}

#[test]
fn idle_connections_to_a_server_that_closes_them_are_tried_again_ever_more_rarely() {
    for scheme in ["http://", "", "ws://"] {
        let peer = serve(|_, stream| drop(stream));
        let summary = run(&format!("-n 2 -r 1 -c 1 -m 1 --idle-connections 10 {scheme}{}", peer.address));
        // A row of pauses that double is over in a second, then there is one each second.
        let most = 11 * (12 + summary.elapsed.as_secs() as usize) + 20;
        assert!(peer.connections() <= most, "{scheme}: {} of at most {most}", peer.connections());
        let connections = &summary.records.connections;
        let idle = connections.idle.as_deref().unwrap();
        if scheme != "http://" {
            assert_eq!((idle.opened, connections.opened), (0, 0), "{scheme}");
            assert!(idle.failed >= 10 && connections.failed > 0, "{scheme}: {connections:?}");
            let text = text(&summary).split_whitespace().collect::<Vec<_>>().join(" ");
            let attempts = format!("{} of {} attempts failed (", idle.failed, idle.attempts());
            assert!(text.contains(&attempts), "{scheme}: {text}");
        }
        // One more of each opener may have been accepted than this end has seen.
        let counted = (idle.attempts() + connections.attempts()) as usize;
        assert!(counted + 11 >= peer.connections(), "{scheme}: {counted} of {}", peer.connections());
    }
}

#[test]
fn idle_connections_share_the_pace_and_the_open_files() {
    let peer = serve(|_, mut stream| {
        while read_request(&mut stream).is_some() {
            stream.write_all(OK).unwrap();
        }
    });
    let line = format!(
        "-r 20 -d 400ms -c 2 --workers 1 --idle-connections 50 --connections-per-second 20 http://{}",
        peer.address
    );
    let summary = run(&line);
    let idle = summary.records.connections.idle.unwrap();
    // At once, then by time; 50 ms may be made up for.
    let most = 2 + ((summary.elapsed.as_secs_f64() + 0.05) * 20.0) as u64;
    let opened = summary.records.connections.opened + idle.opened;
    assert!(idle.opened >= 1 && opened <= most, "{opened} of {most}");
    let plan = plan("-c 10 --idle-connections 100 a:1");
    let within = |limit| plan.clone().within_files(limit, loadgen::plan::OtherEnd::Elsewhere);
    assert!(within(1000).is_ok());
    let refused = within(130).unwrap_err().to_string();
    assert!(
        refused.starts_with("invalid value '100' for --idle-connections: this process may open 130 files"),
        "{refused}"
    );
}

#[cfg(feature = "embedded")]
#[test]
fn idle_connections_are_open_over_tls() {
    use crate::server::Server;

    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    let flags = ["--tls-addr=127.0.0.1:0", &format!("--tls-self-signed={}", authority.display())];
    let server = Server::with(&flags);
    for flag in ["--http1.1", "--http2"] {
        let line = format!(
            "-n 30 -c 1 {flag} --idle-connections 4 --cacert {} https://{}/bin/1K",
            authority.display(),
            server.tls()
        );
        let summary = run(&line);
        assert_eq!(summary.records.counts.succeeded, 30, "{flag}: {:?}", summary.records.failures);
        assert_eq!(idle(&summary), [4, 4, 4, 0, 0], "{flag}");
        assert_eq!(summary.records.connections.handshake.len(), 1, "those of the load alone");
    }
}
