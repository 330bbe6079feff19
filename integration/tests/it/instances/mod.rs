//! Several servers in one process of dummy-server: names and ports, and each drained, killed, made unhealthy and started
//! again by the admin port while the others serve.

mod apart;
mod balanced;
mod ends;
mod orders;

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    time::Instant,
};

use integration::{
    PATIENCE,
    binaries::command,
    client::{Client, Exchange, Protocol, Request, fetch},
    launch::Port,
    process::{Finished, Process},
};
use serde_json::Value;

use crate::operation::SOON;

tests!();

/// A process with several servers.
pub(crate) struct Several {
    process: Process,
    pub(crate) admin: SocketAddr,
    /// Those of servers that were asked for: one that has ended must not be taken for another test's server.
    kept: Mutex<Vec<Port>>,
}

impl Several {
    /// Starts it on free ports, unless the flags say otherwise, and waits until it listens.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let own = ["--addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"];
        let given =
            |flag: &&&str| flags.iter().any(|other| other.split('=').next() == flag.split('=').next());
        let mut command = command("dummy-server");
        command.args(own.iter().filter(|flag| !given(flag))).arg("--pprof-addr=").args(flags);
        let process = Process::start(&mut command);
        let admin = process.await_stderr("line with the admin port", |log| {
            log.split_once(" listening admin=")?.1.split_whitespace().next()?.parse().ok()
        });
        Self { process, admin, kept: Mutex::default() }
    }

    async fn ask(&self, method: &str, path: &str) -> Exchange {
        fetch(Protocol::Http1, self.admin, Request::new(method, path)).await
    }

    /// Asks a server for something, which it does.
    pub(crate) async fn order(&self, path: &str) -> Value {
        let reply = self.ask("POST", &format!("/instances/{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    pub(crate) async fn shown(&self, name: &str) -> Value {
        let reply = self.ask("GET", &format!("/instances/{name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits until a server is in this phase.
    async fn reaches(&self, name: &str, phase: &str) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.shown(name).await;
            if shown["phase"] == phase {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "it is not {phase}: {shown}");
            tokio::task::yield_now().await;
        }
    }

    async fn address(&self, name: &str, kind: &str) -> SocketAddr {
        let shown = self.shown(name).await;
        let address = shown["addresses"][kind].as_str().and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{shown}"));
        let port = Port::keep_at(address).expect("the server shares its port");
        self.kept.lock().expect("no test panics with it").push(port);
        address
    }

    pub(crate) async fn http(&self, name: &str) -> SocketAddr {
        self.address(name, "http").await
    }

    async fn finish(self) -> Finished {
        tokio::task::spawn_blocking(move || self.process.finish(SOON)).await.expect("it was waited for")
    }
}

/// Which server answers a request on its own connection.
async fn answered_by(address: SocketAddr) -> String {
    let reply = Client::connect(Protocol::Http1, address).await.get("/bin/10").await;
    assert_eq!(reply.status, 200);
    reply.field("x-dummy-instance").expect("a name").to_owned()
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A connection with a request that is not answered for a minute.
fn busy(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(b"GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    stream
}
