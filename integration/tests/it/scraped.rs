//! The metrics in both of their text forms, read by the rules of each: Prometheus's text format 0.0.4 and OpenMetrics
//! 1.0.0.

use std::collections::{BTreeMap, BTreeSet};

use integration::{
    client::{Client, Protocol, Request, fetch},
    server::Server,
};

tests!();

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// As Prometheus 3 asks.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn scraped(server: &Server, accept: Option<&str>) -> (String, String) {
    let request = Request::get("/metrics");
    let request = accept.into_iter().fold(request, |request, accept| request.field("accept", accept));
    let reply = fetch(Protocol::Http1, server.admin, request).await;
    assert_eq!(reply.status, 200);
    (reply.field("content-type").expect("a type").to_owned(), reply.text().to_owned())
}

async fn metrics_are_prometheus_text_unless_open_metrics_is_asked_for() {
    let server = Server::start();
    for (accept, expected) in [
        (None, TEXT),
        (Some("*/*"), TEXT),
        (Some("text/plain"), TEXT),
        (Some(FIREFOX), TEXT),
        (Some("application/openmetrics-text;q=0.1, text/plain;q=0.2"), TEXT),
        (Some("application/openmetrics-text"), OPEN_METRICS),
        (Some(PROMETHEUS), OPEN_METRICS),
    ] {
        let (content_type, text) = scraped(&server, accept).await;
        assert_eq!(content_type, expected, "{accept:?}");
        assert_eq!(text.ends_with("# EOF\n"), expected == OPEN_METRICS, "{accept:?}");
    }
}

async fn both_exposition_formats_are_valid_and_equivalent() {
    let server = Server::with(&["--proxy-protocol=optional"]);
    for protocol in Protocol::ALL {
        let mut client = Client::connect(protocol, server.http).await;
        for target in ["/bin/1000", "/status/503", "/?dummy-abort=fin@after-headers"] {
            let _ = client.try_exchange(&Request::get(target)).await;
        }
    }
    let (_, text) = scraped(&server, None).await;
    let (_, open) = scraped(&server, Some(OPEN_METRICS)).await;
    let (text, open) = (Families::read(&text, false), Families::read(&open, true));
    assert_eq!(text.0.keys().collect::<Vec<_>>(), open.0.keys().collect::<Vec<_>>());
    for (name, family) in &text.0 {
        assert_eq!((family, name), (&open.0[name], name));
    }
    for (name, kind) in [
        ("dummy_server_requests_total", "counter"),
        ("dummy_server_received_bytes_total", "counter"),
        ("dummy_server_connections_open", "gauge"),
        ("dummy_server_request_duration_seconds", "histogram"),
        ("dummy_server_worker_cpu_seconds_total", "counter"),
        ("dummy_server_turn_lag_seconds", "histogram"),
    ] {
        let family = text.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(family.kind == kind && !family.series.is_empty(), "{name}: {family:?}");
    }
}

async fn the_servers_own_cpu_time_and_turn_lag_are_reported_and_grow() {
    let server = Server::with(&["--workers=2"]);
    let value = |text: &str, series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).trim().parse().expect("a number")
    };
    let figures = |text: &str| {
        [
            "dummy_server_worker_cpu_seconds_total{worker=\"0\"}",
            "dummy_server_worker_cpu_seconds_total{worker=\"1\"}",
            "dummy_server_turn_lag_seconds_sum",
            "dummy_server_turn_lag_seconds_count",
            "dummy_server_turn_lag_seconds_bucket{le=\"+Inf\"}",
        ]
        .map(|series| value(text, series))
    };
    let (_, first) = scraped(&server, None).await;
    let before = figures(&first);
    let deadline = tokio::time::Instant::now() + integration::PATIENCE;
    loop {
        let (_, text) = scraped(&server, None).await;
        let now = figures(&text);
        if before.iter().zip(now).all(|(before, now)| now > *before) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not move:\n{first}\n{text}");
        // The server takes its time, and does some work in it.
        let reply = fetch(Protocol::Http1, server.http, Request::get("/delay/50")).await;
        assert_eq!(reply.status, 200);
    }
}

/// Families of metrics by name; counters by the name of their sample.
#[derive(Debug)]
struct Families(BTreeMap<String, Family>);

#[derive(Debug, PartialEq, Eq)]
struct Family {
    help: String,
    kind: String,
    /// Names and labels.
    series: BTreeSet<String>,
}

impl Families {
    /// Reads either form.
    ///
    /// # Panics
    /// When the text breaks a rule of that form.
    fn read(text: &str, open: bool) -> Self {
        assert!(text.ends_with('\n') && !text.contains('\r'));
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines.pop_if(|line| *line == "# EOF").is_some(),
            open,
            "only OpenMetrics says where it ends"
        );
        let mut families = BTreeMap::new();
        let (mut help, mut current) = (None, None::<(String, String)>);
        for line in lines {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, text] => help = Some((name.to_owned(), text.to_owned())),
                ["#", "TYPE", name, kind] => {
                    let (own, help) = help.take().expect("each family has a help, which comes first");
                    assert_eq!(own, name, "{line}");
                    let full =
                        if open && kind == "counter" { format!("{name}_total") } else { name.to_owned() };
                    assert_eq!(kind == "counter", full.ends_with("_total"), "{line}");
                    let family = Family { help, kind: kind.to_owned(), series: BTreeSet::new() };
                    assert!(families.insert(full.clone(), family).is_none(), "{full} comes twice");
                    current = Some((full, kind.to_owned()));
                }
                ["#", "UNIT", name, unit] if open => assert!(name.ends_with(&format!("_{unit}")), "{line}"),
                ["#", ..] => panic!("no comments but those: {line}"),
                _ => {
                    let (full, kind) = current.as_ref().expect("a sample belongs to a family");
                    let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                    let _: f64 = value.parse().unwrap_or_else(|_| panic!("a value is a number: {line}"));
                    let name = series.split('{').next().expect("a name");
                    assert!(names(full, kind).contains(&name.to_owned()), "{line} is not of {full}");
                    let family: &mut Family = families.get_mut(full).expect("it was put there");
                    assert!(family.series.insert(series.to_owned()), "{series} comes twice");
                }
            }
        }
        Self(families)
    }
}

/// What samples of a family are called.
fn names(family: &str, kind: &str) -> Vec<String> {
    match kind {
        "histogram" => ["bucket", "sum", "count"].map(|suffix| format!("{family}_{suffix}")).to_vec(),
        _ => vec![family.to_owned()],
    }
}
