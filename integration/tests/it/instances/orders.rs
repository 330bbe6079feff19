//! Other orders to a server, and what is refused.

use integration::client::{Call, Client, GrpcClient, Protocol, Request, fetch};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{Several, answered_by};
use crate::grpc_calls::{CHECK, WATCH};

tests!();

async fn an_unhealthy_one_says_so_and_serves() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    let (a, b) = (several.http("a").await, several.http("b").await);
    let health = async |address| {
        let reply = Client::connect(Protocol::Http1, address).await.get("/health").await;
        (reply.status, reply.text().to_owned())
    };
    let mut grpc = GrpcClient::connect(several.address("a", "grpc").await).await;
    let mut checked = async || {
        let request = HealthCheckRequest::default();
        grpc.unary::<HealthCheckResponse>(CHECK, &request).await.0.map(|answer| answer.status())
    };
    assert_eq!(checked().await, Some(ServingStatus::Serving));
    let mut watcher = GrpcClient::connect(several.address("a", "grpc").await).await;
    let mut watch: Call<HealthCheckResponse> = watcher.begin(WATCH, &[]).await;
    watch.send(&HealthCheckRequest::default());
    watch.finish_sending();
    let watched =
        async |watch: &mut Call<HealthCheckResponse>| watch.next().await.map(|answer| answer.status());
    assert_eq!(watched(&mut watch).await, Some(ServingStatus::Serving));
    let shown = several.order("a/unhealthy").await;
    assert_eq!((&shown["phase"], &shown["ready"]), (&"serving".into(), &false.into()));
    assert_eq!(health(a).await, (503, r#"{"status":"unhealthy"}"#.to_owned()));
    assert_eq!(checked().await, Some(ServingStatus::NotServing));
    assert_eq!(watched(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(answered_by(a).await, "a");
    assert_eq!(health(b).await.0, 200);
    let ready = async |path: &str| several.ask("GET", path).await.status;
    assert_eq!((ready("/instances/a/readyz").await, ready("/instances/b/readyz").await), (503, 200));
    assert_eq!(ready("/readyz").await, 200, "one of them is ready");
    several.order("b/unhealthy").await;
    assert_eq!(ready("/readyz").await, 503);
    several.order("a/healthy").await;
    assert_eq!(watched(&mut watch).await, Some(ServingStatus::Serving));
    assert_eq!((health(a).await.0, checked().await), (200, Some(ServingStatus::Serving)));
    assert_eq!((ready("/readyz").await, ready("/instances/a/readyz").await), (200, 200));
}

async fn what_cannot_be_done_is_refused_with_what_can() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b"]);
    for (method, path, status, error, accepted) in [
        ("GET", "/instances/c", 404, "unknown instance 'c'", "a, b"),
        ("POST", "/instances/c/kill", 404, "unknown instance 'c'", "a, b"),
        (
            "POST",
            "/instances/a/explode",
            404,
            "invalid action 'explode'",
            "drain, kill, start, unhealthy, healthy",
        ),
        (
            "POST",
            "/instances/a/start",
            409,
            "can't start instance 'a': it is running",
            "an instance that has ended or was killed",
        ),
    ] {
        let reply = several.ask(method, path).await;
        assert_eq!(reply.status, status, "{method} {path}");
        let said = reply.json();
        assert_eq!((&said["error"], &said["accepted"]), (&error.into(), &accepted.into()), "{method} {path}");
        assert!(said["example"].is_string(), "{said}");
    }
    several.order("a/kill").await;
    // What has happened already is not an error.
    let again = several.ask("POST", "/instances/a/kill").await;
    assert_eq!(
        (again.status, &again.json()["phase"], &again.json()["starts"]),
        (200, &"killed".into(), &1.into())
    );
    for action in ["drain", "unhealthy", "healthy"] {
        let reply = several.ask("POST", &format!("/instances/a/{action}")).await;
        assert_eq!((reply.status, &reply.json()["accepted"]), (409, &"start".into()), "{action}");
    }
    assert_eq!(several.ask("GET", "/instances/a/kill").await.status, 405);
    let page = Request::new("POST", "/instances/b/kill").field("origin", "http://elsewhere.example");
    assert_eq!(fetch(Protocol::Http1, several.admin, page).await.status, 403);
    assert_eq!(several.shown("b").await["phase"], "serving");
    several.order("b/drain").await;
    several.reaches("b", "ended").await;
    for action in ["drain", "kill"] {
        assert_eq!(several.ask("POST", &format!("/instances/b/{action}")).await.status, 409, "{action}");
    }
}

async fn a_token_is_required_to_list_and_to_change() {
    let several = Several::start(&["--instances=2", "--instance-names=a,b", "--admin-token=open-sesame"]);
    assert_eq!(several.ask("GET", "/instances").await.status, 401);
    assert_eq!(several.ask("POST", "/instances/a/kill").await.status, 401);
    let request = Request::new("POST", "/instances/a/kill").field("authorization", "Bearer open-sesame");
    assert_eq!(fetch(Protocol::Http1, several.admin, request).await.status, 200);
}
