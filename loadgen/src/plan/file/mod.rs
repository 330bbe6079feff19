//! Plans from files in YAML, or in JSON, which is YAML as well: described by `plan.schema.json`.

mod calls;
mod client;
mod expectations;
mod keys;
mod tree;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use command_line::Refusal;
use contract::quantity::{self, LONGEST_TIME};

use self::{
    keys::{Keys, Plain},
    tree::Node,
};
use super::{
    Body, Builder, ClientOptions, OnOverload, PlanError, RequestOptions, Share, accepted,
    mix::MAX_REQUESTS,
    places::{Place, Places},
    request_options::read_file,
    site::MAX_TARGETS,
};

/// The largest file that is accepted, in bytes.
pub const MAX_FILE: u64 = 4 << 20;

/// The JSON Schema of plans.
pub const SCHEMA: &str = include_str!("../../../plan.schema.json");

const PLAN: &[&str] = &["target", "targets", "seed", "proto", "proto_path", "defaults", "requests", "load"];
const LOAD: &[&str] = &[
    "rate",
    "stages",
    "poisson",
    "warmup",
    "max_lag",
    "total",
    "duration",
    "max_in_flight",
    "on_overload",
    "connections",
    "fixed_connections",
    "streams",
    "timeout",
    "connect_timeout",
    "workers",
    "h2_stream_window",
    "h2_connection_window",
    "h2_max_frame_size",
    "h2_header_table_size",
    "pipeline",
    "idle_connections",
    "recv_rate",
    "send_rate",
    "message_size",
    "binary",
    "ping_interval",
];
const DEFAULTS: &[&str] = &[
    "method",
    "path",
    "headers",
    "body",
    "body_file",
    "body_template",
    "chunked",
    "trailers",
    "expect_continue",
    "rows",
    "expect",
    "deadline",
    "grpc_encoding",
    "messages",
    "message_interval",
    "raw_message",
];
const REQUEST: &[&str] = &[
    "name",
    "target",
    "weight",
    "count",
    "method",
    "path",
    "headers",
    "body",
    "body_file",
    "body_template",
    "chunked",
    "trailers",
    "expect_continue",
    "rows",
    "expect",
    "deadline",
    "grpc_encoding",
    "messages",
    "message_interval",
    "raw_message",
];

/// A plan as a file has it, before what is said elsewhere.
#[derive(Clone, Debug)]
pub struct PlanFile {
    target: Option<String>,
    /// Beside that.
    others: Vec<String>,
    /// What the file says, on top of any target.
    says: Vec<Said>,
    places: Places,
}

/// One thing that a file says.
#[derive(Clone, Debug)]
enum Said {
    Seed(u64),
    Proto(PathBuf),
    ProtoPath(PathBuf),
    Defaults(Box<RequestOptions>),
    Request(Box<RequestOptions>),
    Rate(f64),
    Stages(String),
    Poisson(bool),
    Warmup(std::time::Duration),
    MaxLag(std::time::Duration),
    Total(u64),
    Duration(std::time::Duration),
    MaxInFlight(usize),
    OnOverload(OnOverload),
    Connections(usize),
    FixedConnections(bool),
    Streams(usize),
    Timeout(std::time::Duration),
    ConnectTimeout(std::time::Duration),
    Workers(usize),
    Client(ClientOptions),
    MessageSize(u64),
    Binary(bool),
    PingInterval(std::time::Duration),
}

impl PlanFile {
    /// Reads a file. Files that it names are sought beside it.
    ///
    /// # Errors
    /// It can't be read, or has something else than a plan: one line with file, line and column, and what is accepted.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = read_file(path, MAX_FILE, &accepted::PLAN)?;
        let text = std::str::from_utf8(&text)
            .map_err(|_| accepted::refused_because(&accepted::PLAN, path.display(), "it is not UTF-8"))?;
        Self::parse(text, &path.display().to_string(), path.parent().unwrap_or(Path::new("")))
    }

    /// Reads the text of a file that is called `name` in messages; files that it names are in `folder`.
    ///
    /// # Errors
    /// It has something else than a plan.
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, PlanError> {
        let root = tree::parse(text, name)?;
        let mut file = Self { target: None, others: Vec::new(), says: Vec::new(), places: Places::of(name) };
        let plan = Keys::of(&root, PLAN, name)?;
        plan.at_most_one(&["target", "targets"])?;
        if let Some(node) = plan.get("target") {
            file.target = Some(plan.text("target")?.unwrap_or_default());
            file.places.put_of_run("url", node.place());
        }
        if let Some(node) = plan.get("targets") {
            let targets = plan.list("targets")?;
            if targets.is_empty() || targets.len() > MAX_TARGETS {
                let wrong = format!("{} targets", targets.len());
                let accepted = format!("a list of 1 to {MAX_TARGETS} URLs");
                return Err(plan.refused(node, &wrong, &accepted, "- http://localhost:8080"));
            }
            for (index, target) in targets.iter().enumerate() {
                let text = Plain::of(target, name).text("targets")?;
                if index == 0 {
                    file.target = Some(text);
                    file.places.put_of_run("url", target.place());
                } else {
                    file.others.push(text);
                }
            }
        }
        if let Some(seed) = plan.read("seed", accepted::SEED.values, "1", quantity::count)? {
            file.says.push(Said::Seed(seed));
        }
        for (key, said) in [("proto", Said::Proto as fn(PathBuf) -> Said), ("proto_path", Said::ProtoPath)] {
            if let Some(node) = plan.get(key) {
                file.places.put_of_run(&key.replace('_', "-"), node.place());
            }
            file.says.extend(calls::files(&plan, key, folder)?.into_iter().map(said));
        }
        if let Some(node) = plan.get("defaults") {
            let defaults = request(&Keys::of(node, DEFAULTS, name)?, folder)?;
            file.says.push(Said::Defaults(Box::new(defaults)));
        }
        if let Some(node) = plan.get("requests") {
            let requests = plan.list("requests")?;
            if requests.is_empty() || requests.len() > MAX_REQUESTS {
                let wrong = format!("{} requests", requests.len());
                let accepted = format!("a list of 1 to {MAX_REQUESTS} requests");
                return Err(plan.refused(node, &wrong, &accepted, "- path: /items"));
            }
            for node in requests {
                let keys = Keys::of(node, REQUEST, name)?;
                file.places.put_request(node.place(), options(&keys));
                file.says.push(Said::Request(Box::new(request(&keys, folder)?)));
            }
        }
        if let Some(node) = plan.get("load") {
            file.load(&Keys::of(node, LOAD, name)?)?;
        }
        Ok(file)
    }

    fn load(&mut self, load: &Keys<'_>) -> Result<(), PlanError> {
        for (key, node) in load.iter() {
            self.places.put_of_run(&key.replace('_', "-"), node.place());
        }
        let time = |text: &str| quantity::duration_or_seconds(text, LONGEST_TIME);
        let whole = |text: &str| quantity::count(text).and_then(|count| usize::try_from(count).ok());
        let all = [
            load.read_as(&accepted::RATE, |text| quantity::decimal_within(text, &(0.0..=f64::MAX)))?
                .map(Said::Rate),
            load.text("stages")?.map(Said::Stages),
            load.flag("poisson")?.map(Said::Poisson),
            load.read_as(&accepted::WARMUP, time)?.map(Said::Warmup),
            load.read_as(&accepted::MAX_LAG, time)?.map(Said::MaxLag),
            load.read_as(&accepted::TOTAL, quantity::count)?.map(Said::Total),
            load.read_as(&accepted::DURATION, time)?.map(Said::Duration),
            load.read_as(&accepted::MAX_IN_FLIGHT, whole)?.map(Said::MaxInFlight),
            load.read("on_overload", "queue or drop", "drop", |text| match text {
                "queue" => Some(OnOverload::Queue),
                "drop" => Some(OnOverload::Drop),
                _ => None,
            })?
            .map(Said::OnOverload),
            load.read_as(&accepted::CONNECTIONS, whole)?.map(Said::Connections),
            load.flag("fixed_connections")?.map(Said::FixedConnections),
            load.read_as(&accepted::STREAMS, whole)?.map(Said::Streams),
            load.read_as(&accepted::TIMEOUT, time)?.map(Said::Timeout),
            load.read_as(&accepted::CONNECT_TIMEOUT, time)?.map(Said::ConnectTimeout),
            load.read_as(&accepted::WORKERS, whole)?.map(Said::Workers),
            Some(Said::Client(client::read(load)?)),
            load.read_as(&accepted::MESSAGE_SIZE, quantity::size)?.map(Said::MessageSize),
            load.flag("binary")?.map(Said::Binary),
            load.read_as(&accepted::PING_INTERVAL, time)?.map(Said::PingInterval),
        ];
        self.says.extend(all.into_iter().flatten());
        Ok(())
    }

    /// Where its requests go, unless that is said elsewhere.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// A plan in the making, to a target that is said elsewhere if it is.
    ///
    /// # Errors
    /// There is none.
    pub fn builder(&self, target: Option<&str>) -> Result<Builder, PlanError> {
        let mut places = self.places.clone();
        if target.is_some() {
            places.forget("url");
        }
        let is_own = target.is_none();
        // Where all requests say where they go, that is where the first one goes.
        let of_first = self.says.iter().find_map(|said| match said {
            Said::Request(request) => Some(request.target.as_deref()),
            _ => None,
        });
        let target = target.or(self.target()).or(of_first.flatten()).ok_or_else(|| {
            let why = "no target, which is neither in the plan nor given beside it";
            PlanError(
                Refusal::new(why, "target: a URL", "target: http://localhost:8080").at(self.places.name()),
            )
        })?;
        let builder = Builder::new(target.to_owned()).with_places(Arc::new(places));
        // A target that is given elsewhere is the only one.
        let others = self.others.iter().filter(|_| is_own);
        let builder = others.fold(builder, |builder, other| builder.another_target(other));
        Ok(self.says.iter().fold(builder, |builder, said| match said.clone() {
            Said::Seed(seed) => builder.seed(seed),
            Said::Proto(file) => builder.proto(file),
            Said::ProtoPath(folder) => builder.proto_path(folder),
            Said::Defaults(defaults) => builder.defaults(*defaults),
            Said::Request(request) => builder.request(*request),
            Said::Rate(rate) => builder.rate(rate),
            Said::Stages(stages) => builder.stages(stages),
            Said::Poisson(poisson) => builder.poisson(poisson),
            Said::Warmup(time) => builder.warmup(time),
            Said::MaxLag(time) => builder.max_lag(time),
            Said::Total(total) => builder.total(total),
            Said::Duration(duration) => builder.duration(duration),
            Said::MaxInFlight(count) => builder.max_in_flight(count),
            Said::OnOverload(on_overload) => builder.on_overload(on_overload),
            Said::Connections(count) => builder.connections(count),
            Said::FixedConnections(fixed) => builder.fixed_connections(fixed),
            Said::Streams(count) => builder.streams(count),
            Said::Timeout(timeout) => builder.timeout(timeout),
            Said::ConnectTimeout(timeout) => builder.connect_timeout(timeout),
            Said::Workers(count) => builder.workers(count),
            Said::Client(options) => builder.with_client(options),
            Said::MessageSize(bytes) => builder.message_size(bytes),
            Said::Binary(binary) => builder.binary(binary),
            Said::PingInterval(interval) => builder.ping_interval(interval),
        }))
    }
}

/// A request, or what requests have where they say nothing else.
fn request(keys: &Keys<'_>, folder: &Path) -> Result<RequestOptions, PlanError> {
    const SHARES: &str = "a whole number from 1";
    let share = |text: &str| quantity::count(text).filter(|share| *share > 0);
    keys.at_most_one(&["weight", "count"])?;
    keys.at_most_one(&["body", "body_file", "body_template"])?;
    let weight = keys.read("weight", SHARES, "50", share)?.map(Share::Weight);
    let count = keys.read("count", SHARES, "1000", share)?.map(Share::Count);
    let file = |key: &str| -> Result<Option<PathBuf>, PlanError> {
        Ok(keys.text(key)?.map(|file| folder.join(file)))
    };
    let body = keys.text("body")?.map(|text| Body::Bytes(text.into()));
    let body = body.or(file("body_file")?.map(Body::File)).or(file("body_template")?.map(Body::Template));
    Ok(RequestOptions {
        name: keys.text("name")?,
        share: weight.or(count),
        target: keys.text("target")?,
        method: keys.text("method")?,
        path: keys.text("path")?,
        headers: fields(keys, "headers")?,
        body,
        chunked: keys.flag("chunked")?,
        expect_continue: keys.flag("expect_continue")?,
        trailers: fields(keys, "trailers")?,
        rows: file("rows")?,
        expect: expectations::read(keys)?,
        call: calls::read(keys)?,
    })
}

/// Where what a request has stands, by the options that are the same.
fn options(keys: &Keys<'_>) -> HashMap<String, Place> {
    let mut places = HashMap::new();
    for (key, node) in keys.iter() {
        let options: &[&str] = match key {
            "headers" => &["header"],
            "trailers" => &["trailer"],
            // A template is a body as well.
            "body_file" | "body_template" => &["body-file", "body"],
            "body" => &["body"],
            "target" => &["url"],
            "method" => &["method"],
            "path" => &["path"],
            "rows" => &["rows"],
            "expect" => {
                if let tree::Value::Map(entries) = &node.value {
                    places.extend(entries.iter().map(|entry| (entry.key.clone(), entry.value.place())));
                }
                &[]
            }
            key if calls::OF_CALLS.contains(&key) => {
                places.insert(key.replace('_', "-"), node.place());
                &[]
            }
            _ => &[],
        };
        places.extend(options.iter().map(|option| ((*option).to_owned(), node.place())));
    }
    places
}

/// A list of `name: value`, or a map.
fn fields(keys: &Keys<'_>, key: &str) -> Result<Vec<String>, PlanError> {
    match keys.get(key).map(|node| &node.value) {
        None => Ok(Vec::new()),
        Some(tree::Value::Map(entries)) => entries
            .iter()
            .map(|entry| {
                let value = Plain::of(&entry.value, keys.name()).text(&entry.key)?;
                Ok(format!("{}: {value}", entry.key))
            })
            .collect(),
        Some(_) => {
            keys.list(key)?.iter().map(|field: &Node| Plain::of(field, keys.name()).text(key)).collect()
        }
    }
}

#[cfg(test)]
mod tests;
