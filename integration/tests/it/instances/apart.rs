//! What each server has for itself, and what all share.

use std::{collections::BTreeSet, fs, io, net::TcpListener, sync::Mutex};

use integration::{
    binaries::command,
    client::{Client, Protocol, Request, fetch, link},
    metrics::{Metrics, REQUESTS},
    process::Process,
};
use rustix::process::Signal;

use super::{Several, answered_by, is_refused};
use crate::operation::run;

tests!();

async fn each_has_its_own_name_ports_and_counters(protocol: Protocol) {
    let several = Several::start(&["--instances=3", "--instance=box"]);
    let list = several.ask("GET", "/instances").await.json();
    let names: Vec<_> =
        list["instances"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["box-1", "box-2", "box-3"]);
    let mut ports = BTreeSet::new();
    for (requests, name) in ["box-1", "box-2", "box-3"].into_iter().enumerate() {
        ports.extend([several.http(name).await.port(), several.address(name, "grpc").await.port()]);
        let mut client = Client::connect(protocol, several.http(name).await).await;
        for _ in 0..=requests {
            let reply = client.get("/bin/100").await;
            assert_eq!((reply.status, reply.field("x-dummy-instance")), (200, Some(name)));
        }
        assert_eq!(client.get("/").await.json()["_myhostname"], name);
        let shown = several.shown(name).await;
        assert_eq!(
            (&shown["phase"], &shown["ready"], &shown["starts"]),
            (&"serving".into(), &true.into(), &1.into())
        );
        assert_eq!(shown["connections"], 1, "{shown}");
    }
    assert_eq!(ports.len(), 6);
    let of = |name| [("instance", name), ("endpoint", "bin")];
    let all_counted = |metrics: &Metrics| metrics.sum(REQUESTS, &[("endpoint", "bin")]) == 6;
    let metrics = Metrics::until(several.admin, all_counted).await;
    assert_eq!(["box-1", "box-2", "box-3"].map(|name| metrics.sum(REQUESTS, &of(name))), [1, 2, 3]);
    // What the process has once has no name, and each help text stands once.
    assert!(metrics.text().lines().any(|line| line.starts_with("dummy_server_memory_budget_bytes ")));
    let helps = metrics.text().lines().filter(|line| line.starts_with("# TYPE dummy_server_requests_total "));
    assert_eq!(helps.count(), 1);
}

async fn connections_of_all_are_listed_with_their_own_names_and_ids() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--workers=2"]);
    let mut clients = Vec::new();
    for name in ["a", "b", "a", "b"] {
        let mut client = Client::connect(Protocol::Http1, several.http(name).await).await;
        client.get("/health").await;
        clients.push(client);
    }
    let list = several.ask("GET", "/connections").await.json();
    let connections = list["connections"].as_array().expect("a list");
    let of = |field: &str| connections.iter().map(|one| one[field].to_string()).collect::<Vec<_>>();
    assert_eq!(list["open"], 4);
    let mut names = of("instance");
    names.sort();
    assert_eq!(names, [r#""a""#, r#""a""#, r#""b""#, r#""b""#]);
    assert_eq!(of("id").into_iter().collect::<BTreeSet<_>>().len(), 4, "{list}");
    assert_eq!(of("worker").into_iter().collect::<BTreeSet<_>>().len(), 2, "{list}");
}

async fn ports_are_in_a_row() {
    let (base, several) = (0..50)
        .find_map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").ok()?;
            let base = free.local_addr().ok()?.port();
            let rest: io::Result<Vec<_>> = (1..3)
                .map(|step| TcpListener::bind(("127.0.0.1", base.checked_add(step).unwrap_or(1))))
                .collect();
            rest.ok().map(|rest| drop((free, rest)))?;
            Some((
                base,
                Several::start(&[
                    "--instances=3",
                    "--instance=x",
                    "--grpc-addr=",
                    &format!("--addr=127.0.0.1:{base}"),
                ]),
            ))
        })
        .expect("three free ports in a row");
    for (port, name) in (base..).zip(["x-1", "x-2", "x-3"]) {
        assert_eq!(answered_by(([127, 0, 0, 1], port).into()).await, name);
    }
    let said = several.process.await_stderr("lines with the addresses", |log| Some(log.to_owned()));
    assert!(said.contains(&format!("x-2 listening http=127.0.0.1:{}", base + 1)), "{said}");
}

async fn a_default_behaviour_is_of_all() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--behaviour=status=503"]);
    let statuses = async || {
        let mut statuses = Vec::new();
        for name in ["a", "b"] {
            let address = several.http(name).await;
            statuses.push(Client::connect(Protocol::Http1, address).await.get("/bin/1").await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [503, 503]);
    let request = Request { body: b"status=418".to_vec(), ..Request::new("PUT", "/behaviour") };
    assert_eq!(fetch(Protocol::Http1, several.admin, request).await.status, 200);
    assert_eq!(statuses().await, [418, 418]);
    assert_eq!(several.ask("DELETE", "/behaviour").await.status, 200);
    assert_eq!(statuses().await, [200, 200]);
}

async fn lines_of_the_access_log_have_the_name() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--access-log=json"]);
    answered_by(several.http("b").await).await;
    several.order("b/kill").await;
    several.order("b/start").await;
    answered_by(several.http("b").await).await;
    several
        .process
        .await_stdout("two lines", |log| (log.matches(r#""instance":"b""#).count() == 2).then_some(()));
    several.process.signal(Signal::TERM);
    assert_eq!(several.finish().await.code, Some(0), "the log does not hold up the end");
}

async fn each_serves_tls_with_a_certificate_for_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("ca.pem");
    let own = format!("--tls-self-signed={}", path.display());
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--tls-addr=127.0.0.1:0", &own]);
    let trusting = link::trusting(&fs::read(&path).expect("the server has written its CA"));
    let (one, two) = (several.address("a", "tls").await, several.address("b", "tls").await);
    assert_ne!(one, two);
    for address in [one, two] {
        let stream = tokio::net::TcpStream::connect(address).await.expect("connected");
        link::Link::shake_hands(stream, trusting.clone()).await.expect("a handshake");
    }
}

fn flags_that_make_no_sense_together_are_one_line_and_exit_2() {
    for (flags, said) in [
        (
            &["--instances=0"][..],
            "invalid value '0' for --instances; accepted: a whole number from 1 to 64; example: ",
        ),
        (&["--instances=65"], "invalid value '65' for --instances; accepted: a whole number from 1 to 64"),
        (
            &["--instances=2", "--addr", "127.0.0.1:65535"],
            "2 servers in a row need ports up to 65536; accepted: a port from 1",
        ),
        (
            &["--instance-names=a,a"],
            "invalid value 'a,a' for --instance-names; accepted: 1 to 64 different names",
        ),
    ] {
        let finished = run(flags);
        assert_eq!((finished.code, finished.stderr.lines().count()), (Some(2), 1), "{flags:?}: {finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
}

async fn one_server_is_shown_and_has_no_label() {
    let mut command = command("dummy-server");
    command.args([
        "--addr=127.0.0.1:0",
        "--grpc-addr=",
        "--admin-addr=127.0.0.1:0",
        "--pprof-addr=",
        "--instance=x",
    ]);
    let process = Process::start(&mut command);
    let admin = process.await_stderr("line with the addresses", |log| {
        log.split_once(" listening http=")?.1.split_once(" admin=")?.1.split_whitespace().next()?.parse().ok()
    });
    let several = Several { process, admin, kept: Mutex::default() };
    let http = several.http("x").await;
    assert_eq!(answered_by(http).await, "x");
    Metrics::until(admin, |metrics| metrics.sum(REQUESTS, &[("endpoint", "bin")]) == 1).await;
    assert!(!Metrics::read(admin).await.text().contains("instance="));
    several.order("x/kill").await;
    assert!(is_refused(http));
    several.order("x/start").await;
    assert_eq!(answered_by(http).await, "x");
    several.process.signal(Signal::TERM);
    assert_eq!(several.finish().await.code, Some(0));
}
