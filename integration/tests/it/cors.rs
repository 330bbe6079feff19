//! Cross-origin requests: nothing is allowed unless CORS is enabled.

use integration::{
    client::{Client, Exchange, Protocol, Request},
    server::Server,
};

tests!();

const PAGE: &str = "http://page.test";

fn preflight(target: &str, fields: &str) -> Request {
    Request::new("OPTIONS", target)
        .field("origin", PAGE)
        .field("access-control-request-method", "PATCH")
        .field("access-control-request-headers", fields)
}

fn allowed(reply: &Exchange) -> Option<&str> {
    reply.field("access-control-allow-origin")
}

fn assert_readable(reply: &Exchange, what: &str) {
    assert_eq!(allowed(reply), Some(PAGE), "{what}");
    assert_eq!(
        reply.field("access-control-expose-headers"),
        Some("x-dummy-instance, server-timing"),
        "{what}"
    );
    assert_eq!(reply.field("vary"), Some("origin"), "{what}");
}

fn assert_welcome(reply: &Exchange, fields: &str, what: &str) {
    assert_eq!((reply.status, reply.body.len(), allowed(reply)), (204, 0, Some(PAGE)), "{what}");
    assert_eq!(reply.field("access-control-allow-methods"), Some("PATCH"), "{what}");
    assert_eq!(reply.field("access-control-allow-headers"), Some(fields), "{what}");
    let origins = reply.fields.iter().filter(|(name, _)| name == "access-control-allow-origin");
    assert_eq!(origins.count(), 1, "{what}");
}

fn assert_nothing_allowed(reply: &Exchange, what: &str) {
    let said = reply.fields.iter().find(|(name, _)| name.starts_with("access-control-"));
    assert_eq!(said, None, "{what}");
}

async fn cors_is_off_by_default(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/", "/bin/10", "/health", "/bin/none"] {
        assert_nothing_allowed(&client.exchange(Request::get(target).field("origin", PAGE)).await, target);
        let reply = client.exchange(preflight(target, "x-own")).await;
        assert_nothing_allowed(&reply, target);
        assert_ne!(reply.status, 204, "{target} takes OPTIONS like any other method");
    }
}

async fn the_cors_flag_allows_every_origin(protocol: Protocol) {
    let server = Server::with(&["--cors"]);
    let mut client = Client::connect(protocol, server.http).await;
    for target in
        ["/", "/bin/10", "/health", "/bin/none", "/status/503", "/delay/1", "/?dummy-status=500", "/?dummy-x"]
    {
        let reply = client.exchange(Request::get(target).field("origin", PAGE)).await;
        assert_readable(&reply, target);
        assert_nothing_allowed(&client.get(target).await, "a request of no page");
    }
    for target in ["/", "/bin/10", "/health"] {
        assert_welcome(
            &client.exchange(preflight(target, "x-own, x-dummy-delay")).await,
            "x-own, x-dummy-delay",
            target,
        );
    }
    let no_question = client.exchange(Request::new("OPTIONS", "/").field("origin", PAGE)).await;
    assert_eq!((no_question.status, no_question.json()["method"].as_str()), (200, Some("OPTIONS")));
    assert_readable(&no_question, "OPTIONS without a question");
}

async fn a_query_or_field_enables_cors_for_one_request(protocol: Protocol) {
    let server = Server::start();
    let mut client = Client::connect(protocol, server.http).await;
    for target in ["/?dummy-cors=true", "/bin/10?dummy-cors", "/delay/1?dummy-cors=YES"] {
        assert_readable(&client.exchange(Request::get(target).field("origin", PAGE)).await, target);
        assert_welcome(&client.exchange(preflight(target, "x-own")).await, "x-own", target);
    }
    let by_field = Request::get("/").field("origin", PAGE).field("x-dummy-cors", "true");
    assert_readable(&client.exchange(by_field).await, "a field");
    // A browser names the fields beforehand, and sends none of them.
    assert_welcome(&client.exchange(preflight("/", "x-dummy-cors")).await, "x-dummy-cors", "a field to come");
    assert_nothing_allowed(
        &client.exchange(Request::get("/").field("origin", PAGE)).await,
        "the next request",
    );
}

async fn a_query_disables_cors_for_one_request(protocol: Protocol) {
    let server = Server::with(&["--cors"]);
    let mut client = Client::connect(protocol, server.http).await;
    let target = "/?dummy-cors=false";
    assert_nothing_allowed(&client.exchange(Request::get(target).field("origin", PAGE)).await, target);
    let reply = client.exchange(preflight(target, "x-own")).await;
    assert_nothing_allowed(&reply, "a preflight");
    assert_eq!(reply.json()["method"], "OPTIONS");
}

async fn cors_fields_that_a_reply_has_already_are_kept(protocol: Protocol) {
    let server = Server::with(&["--cors"]);
    let mut client = Client::connect(protocol, server.http).await;
    let target = "/?dummy-header=Access-Control-Allow-Origin:http://other.test";
    let reply = client.exchange(Request::get(target).field("origin", PAGE)).await;
    assert_eq!(allowed(&reply), Some("http://other.test"));
    assert_eq!(reply.field("access-control-expose-headers"), None);
}
