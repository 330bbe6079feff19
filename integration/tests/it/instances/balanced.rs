//! Servers behind something that spreads requests over them: a port that they share, and a proxy.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use integration::{
    client::{Client, Protocol},
    launch::Launched,
    proxies::{NGINX, nginx_balancing},
    tools::require,
};

use super::{Several, answered_by};

tests!();

async fn one_port_is_shared_and_the_others_serve_it_when_one_is_killed() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--instance-ports=shared"]);
    let address = several.http("a").await;
    assert_eq!(several.http("b").await, address);
    let seen = async || {
        let mut seen = BTreeSet::new();
        for _ in 0..64 {
            seen.insert(answered_by(address).await);
        }
        seen.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(seen().await, ["a", "b"]);
    several.order("a/kill").await;
    assert_eq!(seen().await, ["b"]);
    several.order("a/start").await;
    assert_eq!(seen().await, ["a", "b"]);
}

async fn behind_nginx_the_other_answers_everything_when_one_is_killed() {
    let Some(program) = require(NGINX.tool) else { return };
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let servers = [several.http("a").await, several.http("b").await];
    let proxy = Launched::start(NGINX.tool, |[front]: [SocketAddr; 1], directory| {
        let file = directory.join("nginx.conf");
        fs::write(&file, nginx_balancing("", front, servers, directory)).expect("a file is written");
        (NGINX.command)(&program, directory, &file)
    });
    let mut client = Client::connect(Protocol::Http1, proxy.addresses[0]).await;
    let mut seen = async |count| {
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let reply = client.get("/bin/1K").await;
            assert_eq!(reply.status, 200);
            seen.insert(reply.field("x-dummy-instance").expect("a name").to_owned());
        }
        seen.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(seen(20).await, ["a", "b"]);
    several.order("b/kill").await;
    assert_eq!(seen(40).await, ["a"]);
    several.order("b/start").await;
    assert_eq!(seen(20).await, ["a", "b"]);
    several.order("a/drain").await;
    several.reaches("a", "ended").await;
    assert_eq!(seen(40).await, ["b"]);
}
