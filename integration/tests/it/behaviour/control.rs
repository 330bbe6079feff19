//! The server's default: by flag, and by the admin port while it runs.

use integration::{
    client::{Client, Protocol, Request, fetch},
    server::Server,
};

tests!();

async fn the_default_behaviour_applies_unless_overridden(protocol: Protocol) {
    let server = Server::with(&["--behaviour", "status=503&header=X-Default:1"]);
    let mut client = Client::connect(protocol, server.http).await;
    for (target, status, field) in [
        ("/bin/1", 503, Some("1")),
        ("/", 503, Some("1")),
        ("/bin/1?dummy-status=418", 418, Some("1")),
        ("/bin/1?dummy-default=off", 200, None),
    ] {
        let reply = client.get(target).await;
        assert_eq!((reply.status, reply.field("x-default")), (status, field), "{target}");
    }
}

async fn admin(server: &Server, method: &str, body: &str) -> integration::client::Exchange {
    let mut request = Request::new(method, "/behaviour");
    request.body = body.into();
    fetch(Protocol::Http1, server.admin, request).await
}

async fn the_admin_port_changes_the_default_behaviour(protocol: Protocol) {
    let server = Server::with(&["--workers", "2"]);
    // A connection that was there before; each worker hears of a change.
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(Client::connect(protocol, server.http).await);
    }
    assert_eq!(admin(&server, "GET", "").await.json()["behaviour"], "");
    for (method, body, status) in
        [("PUT", "status=503", 503), ("PUT", "status=404", 404), ("DELETE", "", 200)]
    {
        let reply = admin(&server, method, body).await;
        assert_eq!((reply.status, reply.json()["behaviour"].as_str()), (200, Some(body)));
        assert_eq!(admin(&server, "GET", "").await.json()["behaviour"], body);
        for client in &mut clients {
            assert_eq!(client.get("/bin/1").await.status, status);
        }
    }
}

async fn probes_are_exempt_from_the_default_behaviour(protocol: Protocol) {
    let server = Server::with(&["--behaviour", "status=503"]);
    let mut client = Client::connect(protocol, server.http).await;
    for (target, status) in [("/health", 200), ("/help", 200), ("/health?dummy-status=500", 500)] {
        assert_eq!(client.get(target).await.status, status, "{target}");
    }
}

async fn an_invalid_default_is_refused_and_changes_nothing() {
    let server = Server::with(&["--behaviour", "status=404"]);
    let reply = admin(&server, "PUT", "status=503&stats=1").await;
    assert_eq!(reply.status, 400);
    assert!(reply.json()["error"].as_str().unwrap().contains("dummy-stats"));
    assert_eq!(admin(&server, "GET", "").await.json()["behaviour"], "status=404");
    assert_eq!(fetch(Protocol::Http1, server.http, Request::get("/")).await.status, 404);
}
