//! The compose lab: its file, the configuration of its proxy, and, where an engine runs, the lab itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use contract::echo::{EchoRequest, EchoResponse};
use futures_util::{SinkExt as _, StreamExt as _};
use integration::{
    binaries::{self, ServerProcess},
    client::{GrpcClient, Protocol, Request, WebSocket, fetch, websocket},
    proxy::{Behind, Fronts, Kind, Proxy},
    tools,
};
use serde_json::Value;

use crate::yaml;

tests!();

fn the_lab_has_the_pair_and_a_proxy_between_them() {
    let Some(lab) = lab() else { return };
    let services = lab["services"].as_object().expect("services");
    let names: BTreeSet<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["dummy-server", "loadgen", "nginx"]));

    let dockerfile = fs::read_to_string(top().join("Dockerfile")).expect("a Dockerfile");
    for name in ["dummy-server", "loadgen"] {
        let build = &services[name]["build"];
        assert_eq!(Path::new(build["context"].as_str().expect("a context")).canonicalize().ok(), Some(top()));
        let target = build["target"].as_str().expect("a target");
        let stage = dockerfile
            .lines()
            .any(|line| line.starts_with("FROM ") && line.ends_with(&format!(" AS {target}")));
        assert!(stage, "the Dockerfile has no stage {target}");
    }
    assert_eq!(services["loadgen"]["depends_on"]["nginx"]["condition"], "service_healthy");
    assert!(services["nginx"]["healthcheck"]["test"].is_array(), "what is waited for can be known");

    let mounts = services["nginx"]["volumes"].as_array().expect("mounts");
    for mount in mounts {
        let source = mounted(mount);
        assert!(source.is_file(), "{} is mounted and is not there", source.display());
    }
    assert_eq!(mounts.len(), 1);
}

fn the_lab_is_published_on_loopback_alone() {
    let Some(lab) = lab() else { return };
    let services = lab["services"].as_object().expect("services").values();
    let ports: Vec<_> = services.filter_map(|service| service["ports"].as_array()).flatten().collect();
    for port in &ports {
        // A string in older versions of Compose, an object in newer ones.
        let host = port.as_str().map_or_else(|| port["host_ip"].as_str(), |text| text.split(':').next());
        assert_eq!(host, Some("127.0.0.1"), "{port}");
    }
    assert_eq!(ports.len(), 6);
}

async fn the_proxy_of_the_lab_passes_everything_on() {
    let Some(nginx) = tools::require("nginx") else { return };
    let server = ServerProcess::start(&["--instance", "behind"]);
    let proxy = Proxy::start(LAB_NGINX, &nginx, Behind { http: server.http, grpc: server.grpc });

    for (protocol, front) in [(Protocol::Http1, proxy.fronts.http1), (Protocol::Http2, proxy.fronts.h2c)] {
        let reply = fetch(protocol, front, Request::get("/bin/100K")).await;
        assert_eq!((reply.status, reply.body.len()), (200, 100 << 10));
        assert_eq!(reply.field("x-dummy-instance"), Some("behind"));
        let upload = fetch(protocol, front, Request::post("/upload", vec![b'x'; 3 << 20])).await;
        assert_eq!(upload.json()["bytes_received"], 3 << 20);
    }

    let mut socket = websocket(proxy.fronts.http1, "/ws").await;
    socket.send(WebSocket::text("through the lab")).await.expect("sent");
    assert_eq!(
        socket.next().await.expect("an answer").expect("a message"),
        WebSocket::text("through the lab")
    );

    let message = EchoRequest { message: "called".to_owned(), ..EchoRequest::default() };
    let mut client = GrpcClient::connect(proxy.fronts.grpc).await;
    let (answer, status) = client.unary::<EchoResponse>("/echo.EchoService/Echo", &message).await;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(answer.expect("an answer").message.contains("called"));
}

async fn loadgen_takes_the_arguments_of_the_lab() {
    let (Some(lab), Some(nginx)) = (lab(), tools::require("nginx")) else { return };
    let server = ServerProcess::start(&[]);
    let proxy = Proxy::start(LAB_NGINX, &nginx, Behind { http: server.http, grpc: server.grpc });
    let front = format!("http://{}/", proxy.fronts.http1);
    let args: Vec<_> =
        command_of(&lab, "loadgen").iter().map(|a| a.replace("http://nginx:8080/", &front)).collect();
    let finished = binaries::loadgen(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(finished.code, Some(0), "{finished}");
    let counted = server.metrics().await;
    assert_eq!(
        counted.sum("dummy_server_requests_total", &[("endpoint", "bin")]),
        5000,
        "{}",
        counted.text()
    );
}

async fn the_server_takes_the_arguments_of_the_lab() {
    let Some(lab) = lab() else { return };
    let args = command_of(&lab, "dummy-server");
    let server = ServerProcess::start(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let reply = fetch(Protocol::Http1, server.http, Request::get("/health")).await;
    assert_eq!(reply.field("x-dummy-instance"), Some("lab"));
}

/// Needs an engine and the images, which `.ci/full` builds: building them here would take minutes.
fn the_lab_runs_to_completion() {
    if !answers(Command::new("docker").arg("info")) {
        return tools::skip("docker-engine", "no engine");
    }
    let Some(lab) = lab() else { return };
    let services = lab["services"].as_object().expect("services").values();
    for image in services.filter_map(|service| service["image"].as_str()) {
        if !answers(Command::new("docker").args(["image", "inspect", image])) {
            return tools::skip("docker-engine", "images are not built");
        }
    }
    let up = run_lab(&["up", "--no-build", "--abort-on-container-exit", "--exit-code-from", "loadgen"]);
    let down = run_lab(&["down", "--timeout", "1"]);
    assert!(up.status.success(), "{}", shown(&up));
    assert!(down.status.success(), "{}", shown(&down));
}

/// The lab's nginx with its own configuration: only the addresses and what belongs to a container are changed.
const LAB_NGINX: Kind = Kind { tool: "nginx", configuration: adapted, command };

fn adapted(behind: Behind, fronts: Fronts, directory: &Path) -> String {
    let mut text = fs::read_to_string(top().join("lab/nginx.conf")).expect("the lab has a configuration");
    let dir = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {dir}/{name};\n"))
        .concat();
    let changes = [
        // One process, so that none is left when it is killed.
        ("worker_processes auto;".to_owned(), "daemon off;\nmaster_process off;".to_owned()),
        ("pid /var/run/nginx.pid;".to_owned(), format!("pid {dir}/pid;")),
        ("\nhttp {\n".to_owned(), format!("\nhttp {{\n{temporary}")),
        ("listen 8080;".to_owned(), format!("listen {};", fronts.http1)),
        ("listen 8081 ".to_owned(), format!("listen {} ", fronts.h2c)),
        ("listen 50051 ".to_owned(), format!("listen {} ", fronts.grpc)),
        ("server dummy-server:8080;".to_owned(), format!("server {};", behind.http)),
        ("server dummy-server:50051;".to_owned(), format!("server {};", behind.grpc)),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(&from).count(), 1, "lab/nginx.conf has {from} once");
        text = text.replace(&from, &to);
    }
    text
}

fn command(program: &Path, directory: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-e").arg("stderr").arg("-c").arg(configuration);
    command
}

/// The lab as Compose understands it; `None` when Compose is not here.
fn lab() -> Option<Value> {
    let output = compose()?.arg("config").output().expect("compose starts");
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).expect("YAML is text");
    Some(yaml::documents(&text).into_iter().next().expect("the lab is a document"))
}

/// Compose as a plugin of Docker, or as the program it once was.
fn compose() -> Option<Command> {
    let mut command = if answers(Command::new("docker").args(["compose", "version"])) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new(tools::require("docker-compose")?)
    };
    command.args(["--project-name", "dummy-lab-test", "--file"]).arg(top().join("docker-compose.yml"));
    Some(command)
}

fn run_lab(args: &[&str]) -> Output {
    let mut command = compose().expect("compose was here a moment ago");
    let ports = ["", "_H2C", "_GRPC"].map(|port| format!("LAB{port}_PORT"));
    let of_server = ["LAB_SERVER_PORT", "LAB_SERVER_GRPC_PORT", "LAB_ADMIN_PORT"];
    for port in ports.iter().map(String::as_str).chain(of_server) {
        command.env(port, "0");
    }
    command.args(args).output().expect("compose starts")
}

fn command_of(lab: &Value, service: &str) -> Vec<String> {
    let words = lab["services"][service]["command"].as_array().expect("a command as a list");
    words.iter().map(|word| word.as_str().expect("text").to_owned()).collect()
}

/// What a mount takes from this machine: `from:to:ro`, or an object in newer versions of Compose.
fn mounted(mount: &Value) -> PathBuf {
    let source = mount.as_str().map_or_else(|| mount["source"].as_str(), |text| text.split(':').next());
    PathBuf::from(source.expect("a mount has a source"))
}

fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the package lies in a workspace")
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
