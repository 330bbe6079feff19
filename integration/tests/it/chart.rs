//! The Helm chart: what it renders, what it refuses, and that both programs accept the arguments it passes.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use integration::{
    authority::{Authority, Key},
    binaries::{self, ServerProcess},
    client::{
        Protocol, Request, fetch,
        link::{speaks_tls, trusting},
    },
    launch::Port,
    report::Report,
    tools,
};
use serde_json::Value;

use crate::yaml;

/// `helm template` asks no cluster for its version; without one it assumes one older than the chart takes.
const KUBERNETES: &str = "1.31.0";

tests!();

fn the_chart_has_the_version_of_the_programs() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).expect("the chart has a description");
    let [described] = &yaml::documents(&text)[..] else { panic!("one document: {text}") };
    // All packages of the workspace have one version.
    for field in ["version", "appVersion"] {
        assert_eq!(described[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
}

fn the_chart_passes_lint_with_every_set_of_values() {
    let Some(helm) = Helm::find() else { return };
    for values in helm.sets_of_values() {
        let mut command = helm.command("lint");
        command.arg("--strict").arg(chart());
        let output = with_values(&mut command, values.as_deref()).output().expect("helm starts");
        assert!(output.status.success(), "{values:?}: {}", shown(&output));
    }
}

fn manifests_match_the_golden_files() {
    let Some(helm) = Helm::find() else { return };
    let mut compared = 0;
    for values in helm.sets_of_values() {
        let stem = values.as_deref().and_then(Path::file_stem).and_then(OsStr::to_str);
        let name = stem.map_or("default", |stem| stem.trim_end_matches("-values"));
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/chart-{name}.yaml"));
        let mut command = helm.template();
        let output = with_values(&mut command, values.as_deref()).output().expect("helm starts");
        assert!(output.status.success(), "{name}: {}", shown(&output));
        let rendered = String::from_utf8(output.stdout).expect("manifests are text");
        if env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(&golden, &rendered).expect("the golden file is written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            rendered == expected,
            "{name}: not what {} has (UPDATE_GOLDENS=1 takes it over):\n{rendered}",
            golden.display()
        );
        compared += 1;
    }
    assert_eq!(compared, 3, "a set of values came or went: say so here");
}

fn the_grace_period_is_the_sum_of_the_drain_and_a_margin() {
    let Some(helm) = Helm::find() else { return };
    for (delay, timeout, margin) in [(5, 60, 5), (0, 1, 1), (30, 600, 20)] {
        let drain =
            format!("drain.delaySeconds={delay},drain.timeoutSeconds={timeout},drain.marginSeconds={margin}");
        let deployment = helm.render(&[&drain]).of_kind("Deployment");
        let grace = deployment.pointer("/spec/template/spec/terminationGracePeriodSeconds");
        assert_eq!(grace.and_then(Value::as_u64), Some(delay + timeout + margin));
        let args = arguments(&deployment, "/containers/0/args");
        assert!(args.contains(&format!("--drain-delay={delay}s")), "{args:?}");
        assert!(args.contains(&format!("--drain-timeout={timeout}s")), "{args:?}");
    }
}

fn values_that_are_unknown_or_out_of_range_are_refused() {
    let Some(helm) = Helm::find() else { return };
    let refused = [
        ("replicas=3", "'replicas' not allowed"),
        ("server.buffer=1", "'buffer' not allowed"),
        ("server.bufferSize=32", "/server/bufferSize"),
        ("server.workers=0", "/server/workers"),
        ("server.logRequests=true", "'logRequests' not allowed"),
        ("server.accessLog=xml", "/server/accessLog"),
        ("server.accessLogSample=0", "/server/accessLogSample"),
        ("admin.token=secret", "'token' not allowed"),
        ("admin.tokenSecret.key=", "/admin/tokenSecret/key"),
        ("server.extraArgs={quiet}", "/server/extraArgs/0"),
        ("drain.timeoutSeconds=0", "/drain/timeoutSeconds"),
        ("drain.delaySeconds=soon", "/drain/delaySeconds"),
        ("tls.clientAuth=maybe", "/tls/clientAuth"),
        ("tls.cert=x", "'cert' not allowed"),
        ("service.http.port=70000", "/service/http/port"),
        ("resources.limits.cpu=many", "/resources/limits/cpu"),
        ("loadgen.protocol=h3", "/loadgen/protocol"),
        ("loadgen.path=bin", "/loadgen/path"),
        ("loadgen.rate=-1", "/loadgen/rate"),
        ("loadgen.rate=fast", "/loadgen/rate"),
    ];
    for (value, reason) in refused {
        let output = helm.template().args(["--set", value]).output().expect("helm starts");
        assert!(!output.status.success(), "{value} was taken");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(reason), "{value}: {said}");
    }
}

fn a_load_without_an_end_is_refused() {
    let Some(helm) = Helm::find() else { return };
    let endless = "loadgen.enabled=true,loadgen.total=0,loadgen.durationSeconds=0";
    let output = helm.template().args(["--set", endless]).output().expect("helm starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("loadgen needs an end"), "{}", shown(&output));
}

fn every_pod_meets_the_restricted_standard() {
    let Some(helm) = Helm::find() else { return };
    let manifests = helm.render(&["loadgen.enabled=true"]);
    let mut names = Vec::new();
    for manifest in &manifests.0 {
        let pod = if manifest["kind"] == "Pod" { manifest.get("spec") } else { manifest.pointer(TO_POD) };
        let Some(pod) = pod else { continue };
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}: DUMMY_SERVER_* belongs to the server");
        // kubectl logs and helm test --logs need no name of a container, and fail when one has not started.
        assert_eq!(pod.get("initContainers"), None, "{name}");
        let [container] = &pod["containers"].as_array().expect("containers")[..] else {
            panic!("{name} has one container");
        };
        // The images have no need of a shell.
        assert_eq!(container.get("command"), None, "{name}");
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{container}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{container}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{container}");
        names.push(name.trim_start_matches("target-dummy-server"));
    }
    names.sort_unstable();
    assert_eq!(names, ["", "-load-1", "-test-h2c", "-test-http"]);
}

fn the_admin_token_comes_from_a_secret() {
    let Some(helm) = Helm::find() else { return };
    let variable = |values: &[&str]| {
        let deployment = helm.render(values).of_kind("Deployment");
        let env = server_of(&deployment)["env"].as_array().expect("variables").clone();
        env.into_iter().find(|variable| variable["name"] == "DUMMY_SERVER_ADMIN_TOKEN")
    };
    assert_eq!(variable(&[]), None);
    let found = variable(&["admin.tokenSecret.name=admin,admin.tokenSecret.key=bearer"]).expect("a variable");
    assert_eq!(found["valueFrom"]["secretKeyRef"], serde_json::json!({ "name": "admin", "key": "bearer" }));
    assert_eq!(found.get("value"), None, "the token itself is in no manifest");
}

fn both_off_and_false_disable_the_access_log() {
    let Some(helm) = Helm::find() else { return };
    for (value, expected) in [("off", "off"), ("false", "off"), ("text", "text"), ("json", "json")] {
        let deployment = helm.render(&[&format!("server.accessLog={value}")]).of_kind("Deployment");
        let args = arguments(&deployment, "/containers/0/args");
        assert!(args.contains(&format!("--access-log={expected}")), "{value}: {args:?}");
    }
}

fn the_service_targets_ports_of_the_pod() {
    let Some(helm) = Helm::find() else { return };
    let manifests = helm.render(&["tls.secretName=of-somebody"]);
    let deployment = manifests.of_kind("Deployment");
    let of_pod = |name: &str| {
        let ports = server_of(&deployment)["ports"].as_array().expect("ports");
        let port = ports.iter().find(|port| port["name"] == name);
        port.unwrap_or_else(|| panic!("the pod has no port {name}"))["containerPort"].clone()
    };
    let service = manifests.of_kind("Service");
    let ports = service["spec"]["ports"].as_array().expect("ports").iter();
    let seen: Vec<_> = ports
        .map(|port| {
            let text = |field: &str| port[field].as_str().unwrap_or_else(|| panic!("no {field}"));
            (text("name"), text("appProtocol"), of_pod(text("targetPort")))
        })
        .collect();
    let expected = [
        ("http", "http", Value::from(8080)),
        ("h2c", "kubernetes.io/h2c", Value::from(8080)),
        ("grpc", "grpc", Value::from(50051)),
        ("https", "https", Value::from(8443)),
    ];
    assert_eq!(seen, expected);
    assert_eq!(service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]);
    for probe in ["livenessProbe", "readinessProbe"] {
        let asked = &server_of(&deployment)[probe]["httpGet"]["port"];
        assert_eq!(of_pod(asked.as_str().expect("a name")), 9091, "{probe}");
    }
}

async fn the_server_takes_the_arguments_of_the_deployment() {
    let Some(helm) = Helm::find() else { return };
    let deployment = helm.render(&["server.workers=2"]).of_kind("Deployment");
    let given = arguments(&deployment, "/containers/0/args");
    let flags: Vec<String> = given.iter().flat_map(|flag| on_this_machine(flag)).collect();
    let server = ServerProcess::start(&flags.iter().map(String::as_str).collect::<Vec<_>>());

    let reply = fetch(Protocol::Http1, server.http, Request::get("/health")).await;
    assert_eq!(reply.field("x-dummy-instance"), Some("pod-0"));
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = &server_of(&deployment)[probe]["httpGet"]["path"];
        let request = Request::get(path.as_str().expect("a path"));
        let reply = fetch(Protocol::Http1, server.admin, request).await;
        assert_eq!(reply.status, 200, "{probe}");
    }
}

async fn the_server_finds_the_files_of_the_secret() {
    let Some(helm) = Helm::find() else { return };
    let values = "tls.secretName=of-somebody,tls.clientAuth=optional";
    let deployment = helm.render(&[values]).of_kind("Deployment");
    let volume = deployment.pointer("/spec/template/spec/volumes/0").expect("a volume");
    assert_eq!(volume["secret"]["secretName"], "of-somebody");
    let mount = &server_of(&deployment)["volumeMounts"][0];
    assert_eq!(mount["name"], volume["name"]);
    // The keys of a Secret of type kubernetes.io/tls become files of these names.
    let authority = Authority::root();
    let certificate = authority.issue("server", Key::Ecdsa);
    let folder = authority.directory();
    for (from, to) in
        [(&certificate.chain, "tls.crt"), (&certificate.key, "tls.key"), (&authority.file(), "ca.crt")]
    {
        fs::copy(from, folder.join(to)).expect("a file is copied");
    }
    let mounted = mount["mountPath"].as_str().expect("a path");
    let here = folder.to_str().expect("a path of text");
    let given = arguments(&deployment, "/containers/0/args");
    let flags = given.iter().flat_map(|flag| on_this_machine(&flag.replace(mounted, here)));
    let server = ServerProcess::start(&as_strs(&flags.collect::<Vec<_>>()));
    speaks_tls(server.tls.expect("TLS is served"), trusting(authority.pem().as_bytes()));
    let reply = fetch(Protocol::Http2, server.tls.expect("TLS is served"), Request::get("/")).await;
    assert_eq!(reply.json()["tls"]["alpn"], "h2");
}

async fn loadgen_takes_the_arguments_of_the_job_and_of_the_test() {
    let Some(helm) = Helm::find() else { return };
    let server = ServerProcess::start(&[]);
    let target = format!("loadgen.target=h2c://{}/bin/1K", server.http);
    let load = "loadgen.enabled=true,loadgen.total=60,loadgen.rate=500,loadgen.output=json";
    let job = helm.render(&[load, &target]).of_kind("Job");
    let finished = binaries::loadgen(&as_strs(&arguments(&job, "/containers/0/args")));
    assert_eq!(finished.code, Some(0), "{finished}");
    Report::parse(&finished.stdout).assert_all_succeeded(60);

    let manifests = helm.render(&[]);
    let pods: Vec<_> = manifests.0.iter().filter(|manifest| manifest["kind"] == "Pod").collect();
    assert_eq!(pods.len(), 2, "one for each protocol");
    for pod in pods {
        assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
        let args = pod["spec"]["containers"][0]["args"].as_array().expect("arguments").iter().map(|arg| {
            let arg = arg.as_str().expect("text");
            let hosts = ["target-dummy-server.default.svc:80/", "target-dummy-server.default.svc:8081/"];
            hosts.iter().fold(arg.to_owned(), |arg, host| arg.replace(host, &format!("{}/", server.http)))
        });
        let finished = binaries::loadgen(&as_strs(&args.collect::<Vec<_>>()));
        assert_eq!(finished.code, Some(0), "{finished}");
    }
    let sent = |protocol| [("endpoint", "health"), ("protocol", protocol)];
    let metrics = server.metrics().await;
    let counts =
        [sent("HTTP/1.1"), sent("HTTP/2")].map(|labels| metrics.sum("dummy_server_requests_total", &labels));
    assert_eq!(counts, [10, 10], "{}", metrics.text());
}

fn the_job_fails_when_the_server_does_not_come_up_in_time() {
    let Some(helm) = Helm::find() else { return };
    // Nothing listens there, and nobody else is given it.
    let kept = Port::keep().expect("a port");
    let closed = kept.address;
    let target = format!("loadgen.target=http://{closed}/health");
    let job = helm.render(&["loadgen.enabled=true,loadgen.waitSeconds=1", &target]).of_kind("Job");
    let finished = binaries::loadgen(&as_strs(&arguments(&job, "/containers/0/args")));
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{finished}");
    assert!(finished.stderr.contains("--wait-for-target"), "{finished}");
}

/// From a manifest that makes pods to its pod.
const TO_POD: &str = "/spec/template/spec";

struct Helm {
    program: PathBuf,
}

struct Manifests(Vec<Value>);

impl Helm {
    fn find() -> Option<Self> {
        tools::require("helm").map(|program| Self { program })
    }

    /// A command in an environment without the user's own plugins and registries.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).env_remove("KUBECONFIG").env("HELM_PLUGINS", "/nonexistent");
        command
    }

    fn template(&self) -> Command {
        let mut command = self.command("template");
        command.args(["--kube-version", KUBERNETES, "target"]).arg(chart());
        command
    }

    fn render(&self, values: &[&str]) -> Manifests {
        let mut command = self.template();
        command.args(values.iter().flat_map(|value| ["--set", value]));
        let output = command.output().expect("helm starts");
        assert!(output.status.success(), "{values:?}: {}", shown(&output));
        Manifests(yaml::documents(&String::from_utf8(output.stdout).expect("manifests are text")))
    }

    /// The chart's defaults, and each file of values that comes with it.
    fn sets_of_values(&self) -> Vec<Option<PathBuf>> {
        let entries = fs::read_dir(chart().join("ci")).expect("the chart has sets of values");
        let mut files: Vec<_> = entries.map(|entry| Some(entry.expect("an entry").path())).collect();
        files.sort();
        files.insert(0, None);
        files
    }
}

impl Manifests {
    /// The only manifest of its kind.
    fn of_kind(&self, kind: &str) -> Value {
        let mut found = self.0.iter().filter(|manifest| manifest["kind"] == kind);
        let manifest = found.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(found.next().is_none(), "more than one {kind}");
        manifest.clone()
    }
}

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm")
}

fn with_values<'a>(command: &'a mut Command, values: Option<&Path>) -> &'a mut Command {
    if let Some(file) = values {
        command.arg("--values").arg(file);
    }
    command
}

/// The container of the Deployment.
fn server_of(deployment: &Value) -> &Value {
    deployment.pointer("/spec/template/spec/containers/0").expect("a container")
}

/// A list of strings in the pod of a manifest.
fn arguments(manifest: &Value, pointer: &str) -> Vec<String> {
    let list = manifest.pointer(&format!("{TO_POD}{pointer}")).and_then(Value::as_array);
    let list = list.unwrap_or_else(|| panic!("no list at {pointer}"));
    list.iter().map(|item| item.as_str().expect("arguments are text").to_owned()).collect()
}

fn as_strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// A flag of the pod with its name filled in; an address becomes a free port on loopback, as two words, which is
/// how the harness knows that it is given.
fn on_this_machine(flag: &str) -> Vec<String> {
    let (name, _) = flag.split_once('=').expect("the chart writes --name=value");
    if name.ends_with("addr") {
        vec![name.to_owned(), "127.0.0.1:0".to_owned()]
    } else {
        vec![flag.replace("$(POD_NAME)", "pod-0")]
    }
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
