//! heyyall's command line and its configuration: several endpoints in one run, each with its share.

use std::{collections::BTreeMap, ffi::OsString, fs::File, num::NonZeroU32, path::PathBuf, time::Duration};

use command_line::{Accepted, Refusal};
use contract::quantity::{self, LONGEST_TIME};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    adapters::{Adapted, Keeping, Page, fields, id_header, read_json, told_as, version},
    formats::{DetailWord, Format},
    output::Output,
    values::{normalization, whole},
};
use crate::{
    plan::{
        Body, Builder, MAX_NAME, Plan, PlanError, RequestOptions, Share, Target, Version, accepted, load,
    },
    report::heyyall::HeyyallEndpoint as Reported,
};

/// Its options, which are known with one dash there.
const OPTIONS: [&str; 8] = ["config", "loglevel", "out", "detail", "nf", "cpus", "help", "report"];

/// The log level from which on no progress is shown: that of errors.
const QUIET: u8 = 3;

/// The maximum number of endpoints that are read: more can't have a whole percentage each.
const MAX_ENDPOINTS: usize = 1000;

const URL: Accepted = Accepted {
    flag: "URL",
    values: "http://host:port or https://host:port, with an optional path",
    example: "http://localhost:8080/users",
};
const METHOD: Accepted = Accepted { flag: "Method", ..accepted::METHOD };
const HEADERS: Accepted =
    Accepted { flag: "Headers", values: "an object of header fields", example: r#"{"Accept": "*/*"}"# };
const BODY: Accepted = Accepted { flag: "RqstBody", ..accepted::BODY };
const RATE: Accepted = Accepted {
    flag: "RqstRate",
    values: "a whole number from 0 (as fast as responses come) to 100000000",
    example: "1000",
};
const CONCURRENCY: Accepted =
    Accepted { flag: "MaxConcurrentRqsts", values: "a whole number from 1 to 1000000", example: "10" };
const NUMBER: Accepted = Accepted {
    flag: "NumRequests",
    values: "a whole number from 1 to 1000000000000000, or 0 beside a RunDuration",
    example: "1000",
};
const DURATION: Accepted = Accepted {
    flag: "RunDuration",
    values: "a time up to 8760h, such as 10s or 5m, or 0s beside NumRequests",
    example: "10s",
};
const PERCENT: Accepted = Accepted {
    flag: "RqstPercent",
    values: "whole numbers from 0 whose sum over all endpoints is 100, or NumRequests instead in each of them",
    example: "50",
};
/// What `CertFile` and `KeyFile` accept, and an example.
const IDENTITY: (&str, &str) = (
    "files in PEM, both or none of them: CertFile with a certificate and its chain, KeyFile with its key",
    r#""CertFile": "client.pem", "KeyFile": "client.key""#,
);

/// `heyyall`.
#[derive(Clone, Debug, clap::Args)]
pub struct Heyyall {
    /// JSON file of at most 4M with RqstRate, MaxConcurrentRqsts and so on
    ///
    /// RunDuration, NumRequests, KeyFile, CertFile and Endpoints, each with URL, Method, RqstBody, RqstPercent (or NumRequests,
    /// exactly), Headers, KeyFile and CertFile. Endpoints may be on several hosts.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Form of the report: text, or heyyall's json
    #[arg(long, value_name = "FORM", value_parser = form, default_value = "text")]
    out: Format,

    /// How much text shows: short or long
    ///
    /// long adds each endpoint's percentiles and network details, which json has in any case.
    #[arg(long, value_enum, value_name = "DETAIL", default_value_t = DetailWord::Long, hide_possible_values = true)]
    detail: DetailWord,

    /// Limit the histogram to N times the shortest time
    ///
    /// One more bin has all that is beyond. 0: no limit. A whole number, 0 or from 2 to 1000000.
    #[arg(long, value_name = "N", default_value = "0", value_parser = normalization, allow_negative_numbers = true)]
    nf: u32,

    /// Number of threads, no more than there are CPUs; 0: all
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole::<usize>, allow_negative_numbers = true)]
    cpus: usize,

    /// 0 to 5: from 3 on, no progress is shown
    #[arg(long, value_name = "N", default_value = "2", value_parser = log_level, allow_negative_numbers = true)]
    loglevel: u8,

    #[command(flatten)]
    kept: Keeping,
}

fn form(text: &str) -> Result<Format, &'static str> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("text or json"),
    }
}

fn log_level(text: &str) -> Result<u8, &'static str> {
    let level = quantity::count_within(text, &(0..=5));
    level.and_then(|level| u8::try_from(level).ok()).ok_or("0 to 5")
}

/// The words with two dashes before those options of heyyall's that have one.
pub(super) fn with_two_dashes(words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|word| word != "heyyall") {
        return words;
    }
    command_line::with_two_dashes(words, |name| OPTIONS.contains(&name)).collect()
}

/// A configuration as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
#[derive(Default)]
struct Config {
    rqst_rate: u64,
    max_concurrent_rqsts: usize,
    run_duration: String,
    num_requests: u64,
    key_file: PathBuf,
    cert_file: PathBuf,
    /// Of older ones: `-out` says it.
    output_type: IgnoredAny,
    endpoints: Vec<EndpointConfig>,
}

/// What requests are sent to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase", default)]
struct EndpointConfig {
    #[serde(rename = "URL")]
    url: String,
    method: String,
    rqst_body: String,
    rqst_percent: Option<u64>,
    num_requests: u64,
    headers: BTreeMap<String, String>,
    key_file: PathBuf,
    cert_file: PathBuf,
}

impl Heyyall {
    /// What is to be run.
    pub(super) fn adapted(&self) -> Result<Adapted, PlanError> {
        let Some(path) = &self.config else {
            let example = "loadgen heyyall -config config.json";
            return Err(PlanError(Refusal::new("no -config", accepted::CONFIG.values, example)));
        };
        let config: Config = read_json(path, &accepted::CONFIG)?;
        let name = path.display().to_string();
        let at_run = |PlanError(refusal)| PlanError(Refusal::at(refusal, &name));
        config.check_endpoints().map_err(at_run)?;
        let mut requests = Vec::new();
        let mut endpoints = Vec::new();
        let at = |index: usize| format!("{name}, endpoint {}", index + 1);
        for (index, endpoint) in config.endpoints.iter().enumerate() {
            let refused = |PlanError(refusal)| PlanError(Refusal::at(refusal, at(index)));
            let request = endpoint.request(config.has_counts()).map_err(refused)?;
            let named = endpoint.named(index, &endpoints);
            if endpoint.is_sent(config.has_counts()) {
                requests.push(RequestOptions { name: Some(named.name.clone()), ..request });
                endpoints.push(named);
            }
        }
        let At { url, identity: (cert, key) } =
            first_target(&config).map_err(|(index, PlanError(refusal))| PlanError(refusal.at(at(index))))?;
        let plan = config.with_load(Plan::builder(url), self.cpus).map_err(at_run)?;
        let names = id_header(requests.iter().flat_map(|request| &request.headers));
        let plan = plan.version(Version::Http1).templates(false).request_id_header(names).identity(cert, key);
        let plan = requests.into_iter().fold(plan, Builder::request);
        let told = [
            ("rate", &RATE),
            ("connections", &CONCURRENCY),
            ("max-in-flight", &CONCURRENCY),
            ("total", &NUMBER),
            ("duration", &DURATION),
        ];
        let plan = plan.build().map_err(|error| at_run(told_as(of_identity(error), &told)))?;
        let kept =
            Keeping { no_progress: self.kept.no_progress || self.loglevel >= QUIET, ..self.kept.clone() };
        let output =
            Output { detail: self.detail.into(), ..Output::of(self.out, &kept, NonZeroU32::new(self.nf)) };
        Ok(Adapted { plan, output, page: Page::Heyyall(endpoints) })
    }
}

impl Config {
    /// Whether endpoints have exact numbers of requests: where none has a percentage.
    fn has_counts(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.rqst_percent.is_none())
    }

    /// As many endpoints as can be, whose shares are all that is sent.
    fn check_endpoints(&self) -> Result<(), PlanError> {
        let count = self.endpoints.len();
        if count == 0 || count > MAX_ENDPOINTS {
            let accepted = format!("a list of 1 to {MAX_ENDPOINTS} Endpoints");
            let example =
                r#""Endpoints": [{"URL": "http://localhost:8080/", "Method": "GET", "RqstPercent": 100}]"#;
            return Err(PlanError(Refusal::new(format!("{count} Endpoints"), accepted, example)));
        }
        let refused = |shown: String, why: &str| {
            let Accepted { flag, values, example } = PERCENT;
            Err(PlanError(Refusal::of_value(flag, shown, values, example).because(why)))
        };
        if self.has_counts() {
            return match self.endpoints.iter().all(|endpoint| endpoint.num_requests > 0) {
                true => Ok(()),
                false => refused("0".to_owned(), "an endpoint has neither a percentage nor NumRequests"),
            };
        }
        let percents = self.endpoints.iter().map(|endpoint| endpoint.rqst_percent.unwrap_or(0));
        match percents.fold(0_u64, u64::saturating_add) {
            100 => Ok(()),
            sum => refused(sum.to_string(), "that is the sum over all endpoints"),
        }
    }

    /// With how much is sent, how fast, and for how long.
    fn with_load(&self, plan: Builder, cpus: usize) -> Result<Builder, PlanError> {
        let concurrency = self.max_concurrent_rqsts;
        let time = match self.run_duration.as_str() {
            "" => Some(Duration::ZERO),
            text => quantity::duration_or_seconds(text, LONGEST_TIME),
        };
        let Some(time) = time else {
            let Accepted { flag, values, example } = DURATION;
            return Err(PlanError(Refusal::of_value(flag, &self.run_duration, values, example)));
        };
        let is_counted = self.num_requests > 0 || self.has_counts();
        if is_counted != time.is_zero() {
            let wrong = match is_counted {
                true => "RunDuration and NumRequests exclude each other",
                false => "neither RunDuration nor NumRequests",
            };
            return Err(PlanError(Refusal::new(
                wrong,
                "one of them",
                r#""RunDuration": "10s", "NumRequests": 0"#,
            )));
        }
        // No more than have something to do; in an open loop, connections are opened when they are needed.
        let connections = concurrency.min(match (self.rqst_rate, self.num_requests) {
            (0, 0) => usize::MAX,
            (0, number) => usize::try_from(number).unwrap_or(usize::MAX),
            _ => load::DEFAULT_CONNECTIONS,
        });
        let mut plan = plan.connections(connections).max_in_flight(concurrency);
        if self.rqst_rate > 0 {
            plan = plan.rate(self.rqst_rate as f64);
        }
        if self.num_requests > 0 {
            plan = plan.total(self.num_requests);
        }
        if !time.is_zero() {
            plan = plan.duration(time);
        }
        let available = runtime::cpus::available().get();
        let workers = cpus.min(available).min(connections);
        Ok(if workers > 0 { plan.workers(workers) } else { plan })
    }
}

impl EndpointConfig {
    /// Its method: GET if there is none.
    fn method(&self) -> &str {
        if self.method.is_empty() { "GET" } else { &self.method }
    }

    /// Whether it has a share of the requests.
    fn is_sent(&self, has_counts: bool) -> bool {
        has_counts || self.rqst_percent.is_some_and(|percent| percent > 0)
    }

    fn target(&self) -> Result<Target, PlanError> {
        let version = version(&self.url, false, &URL)?;
        let target = Target::parse(&self.url, version);
        target.map_err(|error| told_as(error, &[("url", &URL)]))
    }

    /// What is sent there. A mistake is found here, where it is known which endpoint has it.
    fn request(&self, has_counts: bool) -> Result<RequestOptions, PlanError> {
        let percent = Share::Weight(self.rqst_percent.unwrap_or(0));
        let request = RequestOptions {
            share: Some(if has_counts { Share::Count(self.num_requests) } else { percent }),
            method: Some(self.method().to_owned()),
            target: Some(self.url.clone()),
            path: Some(self.target()?.path),
            headers: fields(&self.headers, &HEADERS)?,
            body: (!self.rqst_body.is_empty()).then(|| Body::Bytes(self.rqst_body.clone().into())),
            ..RequestOptions::default()
        };
        let alone = RequestOptions { share: None, target: None, ..request.clone() };
        let id_header = id_header(request.headers.iter());
        let plan =
            Plan::builder("http://localhost").templates(false).request_id_header(id_header).defaults(alone);
        let names = [("method", &METHOD), ("header", &HEADERS), ("body", &BODY), ("path", &URL)];
        plan.build().map_err(|error| told_as(error, &names))?;
        Ok(request)
    }

    /// How its requests are called: by method and URL, as far as a name can have them.
    fn named(&self, index: usize, others: &[Reported]) -> Reported {
        let (url, method) = (self.url.clone(), self.method().to_owned());
        if let Some(same) = others.iter().find(|other| (&other.url, &other.method) == (&url, &method)) {
            return same.clone();
        }
        let mut name = format!("{method} {url}");
        if name.len() > MAX_NAME {
            name = format!("endpoint {}: {name}", index + 1);
            name.truncate(name.floor_char_boundary(MAX_NAME));
        }
        Reported { name, url, method }
    }
}

/// A mistake in the files of the client's certificate, in the words of a configuration.
fn of_identity(PlanError(refusal): PlanError) -> PlanError {
    let said = refusal.to_string();
    match said.split_once("; accepted: ") {
        Some((wrong, rest)) if rest.contains("--cert") => {
            let wrong = wrong.replace("--cert", "CertFile").replace("--key", "KeyFile");
            PlanError(Refusal::new(wrong, IDENTITY.0, IDENTITY.1))
        }
        _ => PlanError(refusal),
    }
}

/// Where requests go, and which certificate the client has.
#[derive(Debug, Default)]
struct At {
    url: String,
    /// Files of a certificate and its key, as far as TLS is spoken.
    identity: (Option<PathBuf>, Option<PathBuf>),
}

/// The first endpoint's, with the certificate of all: it is the same for all, so far. An error has the index of the first that
/// differs.
fn first_target(config: &Config) -> Result<At, (usize, PlanError)> {
    let file = |own: &PathBuf, of_run: &PathBuf| {
        [own, of_run].into_iter().find(|path| !path.as_os_str().is_empty()).cloned()
    };
    let identity = |endpoint: &EndpointConfig| {
        (file(&endpoint.cert_file, &config.cert_file), file(&endpoint.key_file, &config.key_file))
    };
    let mut first: Option<&EndpointConfig> = None;
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let Some(first) = first.replace(first.unwrap_or(endpoint)) else { continue };
        let refused = |wrong: &str, accepted: &str, example: &str| {
            Err((index, PlanError(Refusal::new(wrong, accepted, example))))
        };
        if identity(endpoint) != identity(first) {
            let accepted = "one certificate for all endpoints, so far";
            return refused("another client certificate", accepted, r#""CertFile": "client.pem""#);
        }
    }
    let Some(first) = first else { return Ok(At::default()) };
    let mut is_tls = false;
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        is_tls |= endpoint.target().map_err(|error| (index, error))?.tls;
    }
    let (cert, key) = identity(first);
    // Where no TLS is spoken they are not used, but a mistake is one.
    for (file, flag) in [(&cert, "CertFile"), (&key, "KeyFile")] {
        if let Some(path) = file.as_ref().filter(|_| !is_tls)
            && let Err(error) = File::open(path)
        {
            let wrong = format!("{flag}: can't read {}: {error}", path.display());
            return Err((0, PlanError(Refusal::new(wrong, IDENTITY.0, IDENTITY.1))));
        }
    }
    Ok(At { url: first.url.clone(), identity: if is_tls { (cert, key) } else { Default::default() } })
}
