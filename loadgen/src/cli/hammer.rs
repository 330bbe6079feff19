//! go-hammer's command line and its scenarios: one request at a constant rate.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::Subcommand;
use command_line::{Accepted, Refusal};
use serde::Deserialize;

use super::{
    adapters::{Adapted, Reporting, fields, id_header, read_json, told_as, version},
    values::{rate, time},
};
use crate::plan::{Plan, PlanError, accepted};

/// How long it sends requests, unless another time is given.
const DURATION: Duration = Duration::from_secs(60);

/// The kinds of requests that a scenario can name.
const HAMMERS: [&str; 3] = ["", "http", "httphammer"];

/// A `hammer` of a scenario.
const HAMMER: Accepted = Accepted { flag: "hammer", values: "HTTPHammer or http", example: "HTTPHammer" };

/// `hammer`.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Hammer {
    #[command(flatten)]
    hits: Hits,

    #[command(subcommand)]
    run: Option<HammerCommand>,
}

/// What may stand behind `hammer`.
#[derive(Clone, Debug, Subcommand)]
enum HammerCommand {
    /// The same, or a scenario
    Run(HammerRun),
}

/// `hammer run`.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct HammerRun {
    #[command(flatten)]
    hits: Hits,

    #[command(subcommand)]
    scenario: Option<Scenario>,
}

/// What may stand behind `hammer run`.
#[derive(Clone, Debug, Subcommand)]
enum Scenario {
    /// Run a scenario from a file
    Scenario(ScenarioFile),
}

/// `hammer run scenario`.
#[derive(Clone, Debug, clap::Args)]
struct ScenarioFile {
    /// JSON file of at most 4M with duration, tps, hammer and hammerConfig
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,

    #[command(flatten)]
    reporting: Reporting,
}

/// What is sent, and how fast.
#[derive(Clone, Debug, clap::Args)]
struct Hits {
    /// Where requests go: http://host:port or https://host:port
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Method
    #[arg(long, default_value = "GET")]
    method: String,

    /// Request body; '' is none
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    payload: String,

    /// Header fields, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "", hide_default_value = true)]
    headers: String,

    /// Send requests for this long: seconds, or like 1m30s
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = time, allow_negative_numbers = true)]
    duration: Duration,

    /// Requests per second (0.001 to 100000000)
    #[arg(long, value_name = "N", default_value = "1", value_parser = rate, allow_negative_numbers = true)]
    tps: f64,

    #[command(flatten)]
    reporting: Reporting,
}

/// A scenario as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Described {
    #[serde(default = "minute")]
    duration: u64,
    #[serde(default = "one")]
    tps: f64,
    #[serde(default)]
    hammer: String,
    hammer_config: HammerRequest,
}

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HammerRequest {
    endpoint: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn minute() -> u64 {
    DURATION.as_secs()
}

fn one() -> f64 {
    1.0
}

impl Hammer {
    /// What is to be run.
    pub(super) fn adapted(&self) -> Result<Adapted, PlanError> {
        match &self.run {
            Some(HammerCommand::Run(HammerRun { scenario: Some(Scenario::Scenario(file)), .. })) => {
                file.adapted()
            }
            Some(HammerCommand::Run(HammerRun { hits, .. })) => hits.adapted(),
            None => self.hits.adapted(),
        }
    }
}

impl Hits {
    fn adapted(&self) -> Result<Adapted, PlanError> {
        let Some(endpoint) = &self.endpoint else {
            let example = "loadgen hammer --endpoint=http://localhost:8080 --tps=10";
            return Err(PlanError(Refusal::new("no --endpoint", accepted::ENDPOINT.values, example)));
        };
        let headers = match self.headers.as_str() {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text).map_err(|error| {
                let Accepted { flag, values, example } = accepted::HEADERS;
                PlanError(
                    Refusal::new("invalid value", values, example)
                        .given_with(flag)
                        .because(error.to_string()),
                )
            })?,
        };
        let (method, payload) = (self.method.clone(), self.payload.clone());
        let request = HammerRequest { endpoint: endpoint.clone(), method, payload, headers };
        Ok(self.reporting.of(plan(request, self.tps, self.duration)?))
    }
}

impl ScenarioFile {
    fn adapted(&self) -> Result<Adapted, PlanError> {
        let Some(path) = &self.path else {
            let example = "loadgen hammer run scenario --path=scenario.json";
            return Err(PlanError(Refusal::new("no --path", accepted::SCENARIO.values, example)));
        };
        let scenario: Described = read_json(path, &accepted::SCENARIO)?;
        let in_file = |PlanError(refusal)| PlanError(Refusal::at(refusal, path.display().to_string()));
        if !HAMMERS.contains(&&*scenario.hammer.to_ascii_lowercase()) {
            let refusal = Refusal::of_value(HAMMER.flag, &scenario.hammer, HAMMER.values, HAMMER.example);
            return Err(in_file(PlanError(refusal)));
        }
        let duration = Duration::from_secs(scenario.duration);
        Ok(self.reporting.of(plan(scenario.hammer_config, scenario.tps, duration).map_err(in_file)?))
    }
}

/// The plan of one request at a rate.
fn plan(request: HammerRequest, tps: f64, duration: Duration) -> Result<Plan, PlanError> {
    let HammerRequest { endpoint, method, payload, headers } = request;
    let fields = fields(&headers, &accepted::HEADERS)?;
    let mut plan = Plan::builder(&endpoint)
        .version(version(&endpoint, true, &accepted::ENDPOINT)?)
        .templates(false)
        .request_id_header(id_header(fields.iter()))
        .rate(tps)
        .duration(duration)
        .method(if method.is_empty() { "GET" } else { &method });
    plan = fields.into_iter().fold(plan, crate::plan::Builder::header);
    if !payload.is_empty() {
        plan = plan.body(payload);
    }
    let names = [
        ("url", &accepted::ENDPOINT),
        ("header", &accepted::HEADERS),
        ("body", &accepted::PAYLOAD),
        ("rate", &accepted::TPS),
    ];
    plan.build().map_err(|error| told_as(error, &names))
}
