//! Plans from files in YAML, or in JSON, which is also YAML: described by `plan.schema.json`.

mod calls;
mod client;
mod expectations;
mod keys;
mod loads;
mod said;
mod targets;
mod tree;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use command_line::Refusal;
use contract::quantity;

use self::{
    keys::{Keys, Plain},
    loads::OneLoad,
    said::Said,
    tree::Node,
};
use super::{
    Body, Builder, PlanError, RequestOptions, Share, TlsOptions, accepted,
    known_keys::{DEFAULTS, LOAD, OF_REQUEST, PLAN},
    mix::MAX_REQUESTS,
    places::{Position, ValuePlaces},
    request_options::read_file,
    site::MAX_TARGETS,
};

/// The largest file that is accepted, in bytes.
pub const MAX_FILE: u64 = 4 << 20;

/// The JSON Schema of plans.
pub const SCHEMA: &str = include_str!("../../../plan.schema.json");

/// A plan as a file has it, before what is said elsewhere.
#[derive(Clone, Debug)]
pub struct PlanFile {
    target: Option<String>,
    /// Beside that.
    others: Vec<String>,
    /// What some of them have of TLS that is their own, and where.
    own_tls: Vec<(String, TlsOptions, String)>,
    /// What the file says, on top of any target.
    says: Vec<Said>,
    /// Several loads, if there are.
    loads: Vec<OneLoad>,
    places: ValuePlaces,
}

/// One of several loads of a plan.
#[derive(Clone, Debug)]
pub struct LoadInFile {
    /// A plan in the making.
    pub builder: Builder,
    /// Bounds that it is held against, which nothing has read yet.
    pub thresholds: Vec<WrittenThreshold>,
}

/// A bound as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenThreshold {
    /// The bound.
    pub text: String,
    /// Where it stands: file, line and column.
    pub place: String,
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
        let mut file = Self {
            target: None,
            others: Vec::new(),
            own_tls: Vec::new(),
            says: Vec::new(),
            loads: Vec::new(),
            places: ValuePlaces::of(name),
        };
        let plan = Keys::of(&root, PLAN, name)?;
        plan.at_most_one(&["target", "targets"])?;
        plan.at_most_one(&["load", "loads"])?;
        if let Some(node) = plan.get("target") {
            file.target = Some(plan.text("target")?.unwrap_or_default());
            file.places.put_of_run("url", node.place());
        }
        if let Some(node) = plan.get("targets") {
            let all = plan.list("targets")?;
            if all.is_empty() || all.len() > MAX_TARGETS {
                let wrong = format!("{} targets", all.len());
                let accepted = format!("a list of 1 to {MAX_TARGETS} URLs");
                return Err(plan.refused(node, &wrong, &accepted, "- http://localhost:8080"));
            }
            for (index, target) in all.iter().enumerate() {
                let (text, own_tls) = targets::read(target, name, folder)?;
                let (line, column) = target.place();
                file.places.put_target(&text, target.place());
                file.own_tls
                    .extend(own_tls.map(|own| (text.clone(), own, format!("{name}:{line}:{column}"))));
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
                let known: Vec<&str> = OF_REQUEST.iter().chain(DEFAULTS).copied().collect();
                let keys = Keys::of(node, &known, name)?;
                file.places.put_request(node.place(), options(&keys));
                file.says.push(Said::Request(Box::new(request(&keys, folder)?)));
            }
        }
        if let Some(node) = plan.get("load") {
            let load = Keys::of(node, LOAD, name)?;
            loads::put_places(&load, &mut file.places);
            file.says.extend(loads::said(&load)?);
        }
        file.loads = loads::read(&plan, &file.names())?;
        Ok(file)
    }

    /// Where its requests go, unless that is said elsewhere.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// The names of its requests, in order.
    fn names(&self) -> Vec<Option<String>> {
        let name = |said: &Said| match said {
            Said::Request(request) => Some(request.name.clone()),
            _ => None,
        };
        self.says.iter().filter_map(name).collect()
    }

    /// Whether it has [several loads](Self::several).
    #[must_use]
    pub fn has_loads(&self) -> bool {
        !self.loads.is_empty()
    }

    /// A plan in the making, to a target that is said elsewhere if it is.
    ///
    /// # Errors
    /// There is none, or the file has several loads.
    pub fn builder(&self, target: Option<&str>) -> Result<Builder, PlanError> {
        match self.loads.first() {
            None => self.builder_of(target, None),
            Some(load) => {
                let accepted = "load in place of loads, or no load at all";
                let refusal =
                    Refusal::new("several loads where one can be run", accepted, "load: {rate: 100}");
                Err(PlanError(refusal.at(self.places.shown(load.place))))
            }
        }
    }

    /// The same of several loads, of which there are none without `loads`.
    ///
    /// # Errors
    /// There is no target.
    pub fn several(&self, target: Option<&str>) -> Result<Vec<LoadInFile>, PlanError> {
        let of = |(index, load): (usize, &OneLoad)| {
            let builder = self.builder_of(target, Some((index, load)))?.among(self.loads.len());
            let bound = |(text, place): &(String, Position)| WrittenThreshold {
                text: text.clone(),
                place: self.places.shown(*place),
            };
            Ok(LoadInFile { builder, thresholds: load.thresholds.iter().map(bound).collect() })
        };
        self.loads.iter().enumerate().map(of).collect()
    }

    fn builder_of(
        &self,
        target: Option<&str>,
        load: Option<(usize, &OneLoad)>,
    ) -> Result<Builder, PlanError> {
        let mut places = self.places.clone();
        if target.is_some() {
            places.forget("url");
        }
        if let Some((_, load)) = load {
            places = load.placed(places);
        }
        let is_own = target.is_none();
        let mut index = 0..;
        let says: Vec<_> = self
            .says
            .iter()
            .filter(|said| match (said, load) {
                // Each has an index.
                (Said::Request(_), load) => {
                    let index = index.next();
                    load.zip(index).is_none_or(|((_, load), index)| load.sends(index))
                }
                _ => true,
            })
            .collect();
        // Where all requests say where they go, that is where the first one goes.
        let of_first = says.iter().find_map(|said| match said {
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
        let own_tls = self.own_tls.iter().filter(|_| is_own).cloned();
        let builder = own_tls
            .fold(builder, |builder, (target, options, place)| builder.target_tls_at(target, options, place));
        let builder = says.into_iter().fold(builder, |builder, said| match (said, load) {
            // Others than those of the loads before it.
            (Said::Seed(seed), Some((index, _))) => builder.seed(seed.wrapping_add(index as u64)),
            (said, _) => said.clone().to(builder),
        });
        let of_load = load.iter().flat_map(|(_, load)| load.says.iter().cloned());
        Ok(of_load.fold(builder, |builder, said| said.to(builder)))
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
fn options(keys: &Keys<'_>) -> HashMap<String, Position> {
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
            "weight" => &["weight"],
            "count" => &["count"],
            "expect" => {
                if let tree::Value::Map(entries) = &node.value {
                    places.extend(entries.iter().map(|entry| (entry.key.clone(), entry.value.place())));
                }
                &["expect"]
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
