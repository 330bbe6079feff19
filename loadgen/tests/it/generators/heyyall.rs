//! heyyall's words, its configuration and its report.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

#[cfg(feature = "embedded")]
use super::Dummy;
use super::{Ran, assert_refused, ended, loadgen, program, server, typed};

/// A configuration in a file.
pub(super) struct Config {
    _folder: TempDir,
    file: PathBuf,
}

impl Config {
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).unwrap();
        Self { _folder: folder, file }
    }

    /// Of endpoints, and a number of requests at a concurrency of 4.
    pub(super) fn of(total: u64, endpoints: &Value) -> Self {
        Self::with(&json!({"NumRequests": total}), endpoints)
    }

    /// The same with other values for some keys.
    pub(super) fn with(other: &Value, endpoints: &Value) -> Self {
        let mut config =
            json!({"RqstRate": 0, "MaxConcurrentRqsts": 4, "RunDuration": "0s", "NumRequests": 0});
        config.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        config["Endpoints"] = endpoints.clone();
        Self::text(config.to_string())
    }

    pub(super) fn run(&self, words: &str) -> Ran {
        let config = ["heyyall", "-config", self.file.to_str().unwrap()];
        loadgen(&[&config[..], &words.split_whitespace().collect::<Vec<_>>()].concat())
    }
}

/// An endpoint with its share.
pub(super) fn endpoint(url: &str, method: &str, percent: u64) -> Value {
    json!({"URL": url, "Method": method, "RqstBody": "", "RqstPercent": percent})
}

#[test]
fn endpoints_may_be_on_several_hosts() {
    let ((a, of_a), (b, of_b)) = (server(), server());
    let url = |peer: &crate::peer::Peer| format!("http://{}/x", peer.address);
    let config = Config::of(40, &json!([endpoint(&url(&a), "GET", 75), endpoint(&url(&b), "GET", 25)]));
    let ran = config.run("-out json -nf 0 -cpus 1");
    let counts = [of_a, of_b].map(|seen| seen.lock().requests.len());
    assert_eq!((ran.code, counts), (Some(0), [30, 10]), "{ran:?}");
    for peer in [&a, &b] {
        assert!(ran.out.contains(&url(peer)), "{ran:?}");
    }
}

#[test]
fn four_requests_at_50_25_and_25_percent_are_two_one_and_one() {
    let (peer, seen) = server();
    let url = |path: &str| format!("http://{}{path}", peer.address);
    let config = Config::of(
        4,
        &json!([
            endpoint(&url("/users"), "GET", 50),
            {"URL": url("/users"), "Method": "POST", "RqstBody": "{\"name\":\"{{seq}}\"}", "RqstPercent": 25,
             "Headers": {"Content-Type": "application/json", "X-Key": "a: b"}},
            endpoint(&url("/404?x=1"), "PUT", 25),
        ]),
    );
    let ran = config.run("-out json -nf 10 -cpus 2 -loglevel 1 -detail short");
    assert!(ran.code == Some(0) && ran.err.is_empty(), "{ran:?}");
    let counts: Vec<_> = seen.counts().into_iter().collect();
    assert_eq!(
        counts,
        [("GET /users".to_owned(), 2), ("POST /users".to_owned(), 1), ("PUT /404?x=1".to_owned(), 1)]
    );
    let requests = seen.requests();
    let post = requests.iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(
        (&*post.body, post.field("content-type")),
        ("{\"name\":\"{{seq}}\"}", Some("application/json"))
    );
    assert_eq!(post.field("x-key"), Some("a: b"));
    assert!(requests.iter().all(|request| (request.field("x-key").is_some()) == (request.method == "POST")));

    let report = ran.json();
    let summary = json!({url("/users"): {"GET": 2, "POST": 1}, url("/404?x=1"): {"PUT": 1}});
    assert_eq!(report["EndpointSummary"], summary);
    let stats = &report["RunSummary"]["RqstStats"];
    assert_eq!(
        (&stats["TotalRqsts"], &stats["SucceededRqsts"], &stats["FailedRqsts"]),
        (&4.into(), &3.into(), &1.into())
    );
    assert_eq!(report["RunSummary"]["HTTPStatusDist"], json!({"200": 3, "404": 1}));
    assert!(report["RunSummary"]["RqstRatePerSec"].as_f64().unwrap() > 0.0);
    for (url, method, status, count) in [
        (url("/users"), "GET", "200", 2),
        (url("/users"), "POST", "200", 1),
        (url("/404?x=1"), "PUT", "404", 1),
    ] {
        let detail = &report["EndpointDetails"][&url];
        assert_eq!(
            (&detail["URL"], &detail["HTTPMethodStatusDist"][method]),
            (&url.into(), &json!({status: count}))
        );
        assert_eq!(detail["HTTPMethodRqstStats"][method]["TotalRqsts"], count);
    }
    let get = &report["EndpointDetails"][url("/users")]["HTTPMethodRqstStats"]["GET"];
    assert_times(get);
    assert_times(stats);
    for times in ["TCPConnSetupNanos", "RqstRoundTripNanos"] {
        assert!(report["RunSummary"][times]["P99"].as_u64().unwrap() > 0, "{times}: {report:#}");
    }
    assert_eq!(
        (&report["RunSummary"]["TLSHandshakeNanos"], &report["RunSummary"]["DNSLookupNanos"]),
        (&Value::Null, &Value::Null)
    );
}

/// In order, and with all that heyyall has.
fn assert_times(stats: &Value) {
    let percentiles = &stats["RqstDurationPercentilesNanos"];
    let found: Vec<_> = [
        &stats["MinRqstDurationNanos"],
        &percentiles["P50"],
        &percentiles["P75"],
        &percentiles["P90"],
        &percentiles["P95"],
        &percentiles["P99"],
        &stats["MaxRqstDurationNanos"],
    ]
    .map(|time| time.as_u64().unwrap_or_else(|| panic!("{stats:#}")))
    .into();
    assert!(found[0] > 0 && found.is_sorted(), "{found:?}");
    let average = stats["AvgRqstDurationNanos"].as_u64().unwrap();
    assert!(found[0] <= average && average <= found[6], "{stats:#}");
    assert!(stats["TotalRequestDurationNanos"].as_u64().unwrap() >= average);
}

#[cfg(feature = "embedded")]
#[test]
fn a_number_of_requests_is_exact_and_as_fast_as_responses_come_or_at_a_rate() {
    let server = Dummy::start();
    let url = |path: &str| format!("http://{}{path}", server.address());
    let endpoints = json!([endpoint(&url("/bin/1K"), "GET", 33), endpoint(&url("/upload"), "POST", 67)]);
    let mut sent = [0, 0];
    for rate in [0, 500] {
        let config =
            Config::with(&json!({"RqstRate": rate, "NumRequests": 100, "MaxConcurrentRqsts": 7}), &endpoints);
        let ran = config.run("-out=json");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        sent = [sent[0] + 33, sent[1] + 67];
        let counted =
            ["bin", "upload"].map(|name| server.counted("requests", &[&format!("endpoint=\"{name}\"")]));
        assert_eq!((counted, server.counted("requests", &[])), (sent, sent[0] + sent[1]), "rate {rate}");
        assert!(server.counted("connections", &[]) <= 14);
        assert_eq!(ran.json()["EndpointSummary"][url("/upload")]["POST"], 67);
    }
}

#[test]
fn no_more_requests_are_in_flight_than_is_said_and_percentages_of_zero_are_none() {
    let (peer, seen) = server();
    let url = |path: &str| format!("http://{}{path}", peer.address);
    let endpoints = json!([endpoint(&url("/a"), "GET", 100), endpoint(&url("/b"), "DELETE", 0)]);
    let ran =
        Config::with(&json!({"NumRequests": 300, "MaxConcurrentRqsts": 3}), &endpoints).run("-out json");
    assert_eq!(seen.counts().into_iter().collect::<Vec<_>>(), [("GET /a".to_owned(), 300)]);
    assert!(seen.most_in_flight() <= 3 && peer.connections() == 3, "{}", seen.most_in_flight());
    let report = ran.json();
    assert_eq!(report["EndpointSummary"], json!({url("/a"): {"GET": 300}}));
    assert_eq!(report["EndpointDetails"][url("/a")]["HTTPMethodStatusDist"], json!({"GET": {"200": 300}}));
}

#[test]
fn a_run_lasts_as_long_as_configured() {
    let (peer, seen) = server();
    let endpoints = json!([endpoint(&format!("http://{}/", peer.address), "GET", 100)]);
    let config =
        Config::with(&json!({"RqstRate": 40, "RunDuration": "1s", "OutputType": "JSON"}), &endpoints);
    let ran = config.run("-out json -loglevel 4");
    assert_eq!((ran.code, seen.requests().len()), (Some(0), 40), "{ran:?}");
    let lasted = ran.json()["RunSummary"]["RunDurationNanos"].as_u64().unwrap();
    assert!(lasted >= 975_000_000, "the last one is due then: {lasted}");
}

#[test]
fn each_endpoint_may_have_an_exact_number_instead() {
    let (peer, seen) = server();
    let endpoint = |path: &str, number: u64| json!({"URL": format!("http://{}{path}", peer.address), "Method": "GET", "NumRequests": number});
    let config = Config::of(0, &json!([endpoint("/a", 7), endpoint("/b", 2), endpoint("/c", 1)]));
    assert_eq!(config.run("").code, Some(0));
    let expected =
        [("GET /a", 7), ("GET /b", 2), ("GET /c", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(seen.counts(), BTreeMap::from(expected));
    let config = Config::of(11, &json!([endpoint("/a", 7), endpoint("/b", 2), endpoint("/c", 1)]));
    assert_refused(
        &config.run(""),
        "invalid value '11' for NumRequests: the counts of the requests are 10 together",
    );
}

#[test]
fn errors_of_every_kind_are_counted_and_end_nothing() {
    let (peer, _) = server();
    let url = |path: &str| format!("http://{}{path}", peer.address);
    let endpoints = json!([endpoint(&url("/500"), "GET", 50), endpoint(&url("/x"), "GET", 50)]);
    let report = Config::of(40, &endpoints).run("-out json").json();
    assert_eq!(report["RunSummary"]["HTTPStatusDist"], json!({"200": 20, "500": 20}));
    let closed = crate::peer::closed_port();
    let endpoints = json!([
        endpoint(&format!("http://{closed}/a"), "GET", 50),
        endpoint(&format!("http://{closed}/b"), "GET", 50)
    ]);
    let ran = Config::of(10, &endpoints).run("-out json");
    let report = ran.json();
    assert_eq!((ran.code, &report["RunSummary"]["RqstStats"]["FailedRqsts"]), (Some(1), &10.into()));
    let failures = report["RunSummary"]["Failures"].as_object().unwrap();
    assert_eq!(failures.values().map(|seen| seen["Rqsts"].as_u64().unwrap()).sum::<u64>(), 10);
}

#[cfg(feature = "embedded")]
#[test]
fn the_histogram_spans_a_multiple_of_the_shortest_time_and_its_last_bin_has_the_rest() {
    let server = Dummy::start();
    let slow = format!("http://{}/?dummy-delay=1ms:90,200ms:10", server.address());
    let config = Config::of(200, &json!([endpoint(&slow, "GET", 100)]));
    let report = config.run("-out json -nf 2").json();
    let stats = &report["RunSummary"]["RqstStats"];
    let bins = report["RunSummary"]["RqstHistogram"].as_array().unwrap();
    let (min, span) = (&stats["MinRqstDurationNanos"], &stats["NormalizedMaxRqstDurationNanos"]);
    assert_eq!(span.as_u64(), min.as_u64().map(|min| min * 2), "{stats:#}");
    assert_eq!((bins.len(), &bins[9]["UpToNanos"]), (11, span));
    assert_eq!(bins[10]["UpToNanos"], stats["MaxRqstDurationNanos"]);
    assert_eq!(bins.iter().map(|bin| bin["Rqsts"].as_u64().unwrap()).sum::<u64>(), 200);
    assert!(bins[10]["Rqsts"].as_u64().unwrap() >= 1);
    // Without it, the histogram has no such bin.
    let bins = config.run("-out json").json()["RunSummary"]["RqstHistogram"].clone();
    assert_eq!(bins.as_array().unwrap().len(), 10);
    for text in [
        config.run("-nf 2 -detail short"),
        typed(&format!("--nf 2 -n 200 -c 4 {slow}")),
        typed(&format!("load-tester -u {slow} -n 200 -c 4 --nf=2")),
    ] {
        assert!(text.out.contains("\nThe last bin has all that is beyond the others.\n"), "{text:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("run.json");
    let kept = kept.to_str().unwrap();
    config.run(&format!("--report {kept}"));
    let again = typed(&format!("report {kept} --nf 2"));
    assert!(again.out.contains("The last bin has all that is beyond"), "{again:?}");
    assert!(!typed(&format!("report {kept}")).out.contains("The last bin"));
}

#[test]
fn the_text_has_percentiles_of_each_endpoint_and_of_the_network() {
    let (peer, _) = server();
    // A name is looked up.
    let url = |path: &str| format!("http://localhost:{}{path}", peer.address.port());
    let endpoints = json!([endpoint(&url("/a"), "GET", 50), endpoint(&url("/a"), "DELETE", 50)]);
    let config = Config::of(20, &endpoints);
    let long = config.run("-out text").out;
    let (_, tables) = long.split_once("\nEndpoints ").unwrap_or_else(|| panic!("{long}"));
    let (endpoints, network) = tables.split_once("\nNetwork ").unwrap();
    for (table, parts) in [
        (
            endpoints,
            &[
                "min    median       P75       P90       P95       P99",
                "GET http://localhost:",
                "DELETE http://",
                "10 responses",
                "\n  all   ",
            ][..],
        ),
        (network, &["DNS lookup", "TCP connect", "TLS handshake              -", "round trip"]),
    ] {
        parts.iter().for_each(|part| assert!(table.contains(part), "no '{part}' in {table}"));
    }
    assert!(!network.contains("DNS lookup                 -"), "{network}");
    assert!(long.lines().all(|line| line.len() <= 80), "{long}");
    let short = config.run("-detail short").out;
    assert!(short.contains("Achieved rate") && !short.contains("\nNetwork"), "{short}");
    assert!(config.run("-out json").json()["RunSummary"]["DNSLookupNanos"]["P50"].is_number());
}

/// The variable of the system's authorities is how heyyall is made to trust another one, too.
#[cfg(feature = "embedded")]
#[test]
fn endpoints_over_tls_are_shown_the_client_s_certificate() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let authority = write("ca.pem", issuer.pem());
    let issued = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        [write(&format!("{name}.pem"), certificate.pem()), write(&format!("{name}.key"), key.serialize_pem())]
    };
    let ([server_cert, server_key], [cert, key]) = (issued("server"), issued("client"));
    let server = Dummy::with(&[
        "--tls-addr=127.0.0.1:0",
        "--tls-client-auth=required",
        &format!("--tls-client-ca={authority}"),
        &format!("--tls-cert={server_cert}"),
        &format!("--tls-key={server_key}"),
    ]);
    let url = |path: &str| format!("https://localhost:{}{path}", server.tls_port());
    let mut endpoints = json!([endpoint(&url("/bin/1K"), "GET", 50), endpoint(&url("/upload"), "POST", 50)]);
    let run = |config: &Config| {
        let config = ["heyyall", "-config", config.file.to_str().unwrap(), "-out", "json"];
        ended(program().args(config).env("SSL_CERT_FILE", &authority).env_remove("SSL_CERT_DIR"))
    };
    let of_run = json!({"NumRequests": 20, "CertFile": &cert, "KeyFile": &key});
    let ran = run(&Config::with(&of_run, &endpoints));
    assert_eq!(
        (ran.code, &ran.json()["RunSummary"]["RqstStats"]["SucceededRqsts"]),
        (Some(0), &20.into()),
        "{ran:?}"
    );
    assert!(ran.json()["RunSummary"]["TLSHandshakeNanos"]["P50"].as_u64() > Some(0));
    for endpoint in endpoints.as_array_mut().unwrap() {
        endpoint["CertFile"] = (&*cert).into();
        endpoint["KeyFile"] = (&*key).into();
    }
    // That of an endpoint comes before that of the run.
    let of_run = json!({"NumRequests": 20, "CertFile": "none.pem", "KeyFile": "none.key"});
    assert_eq!(run(&Config::with(&of_run, &endpoints)).code, Some(0));
    assert_eq!(server.counted("requests", &["protocol=\"HTTP/1.1\""]), 40);
    let endpoints = json!([endpoint(&url("/"), "GET", 100)]);
    let ran = run(&Config::of(3, &endpoints));
    assert_eq!(
        (ran.code, &ran.json()["RunSummary"]["RqstStats"]["FailedRqsts"]),
        (Some(1), &3.into()),
        "{ran:?}"
    );
    assert_refused(
        &run(&Config::with(&of_run, &endpoints)),
        "can't read none.key: No such file or directory",
    );
    let without_key = json!({"NumRequests": 20, "CertFile": &cert});
    assert_refused(
        &run(&Config::with(&without_key, &endpoints)),
        "CertFile needs KeyFile; accepted: files in PEM",
    );
}

#[test]
fn long_urls_are_distinguished() {
    let (peer, seen) = server();
    let path = "x".repeat(200);
    let url = |end: &str| format!("http://{}/{path}{end}", peer.address);
    let endpoints = json!([
        endpoint(&url("1"), "GET", 25),
        endpoint(&url("2"), "GET", 25),
        endpoint(&url("1"), "GET", 50)
    ]);
    let report = Config::of(40, &endpoints).run("-out json").json();
    assert_eq!(report["EndpointSummary"], json!({url("1"): {"GET": 30}, url("2"): {"GET": 10}}));
    assert_eq!(seen.counts()[&format!("GET /{path}2")], 10);
}
