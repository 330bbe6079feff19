//! All requests of a run, their shares, and how they are distinguished in reports.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use command_line::Refusal;
use prost_reflect::DescriptorPool;

use super::{
    PlanError, Request, RequestOptions, Share, Target, Version, accepted,
    accepted::refused_because,
    load::MAX_TOTAL,
    mix::{MAX_REQUESTS, MAX_SEQUENCE, Mix},
    places::ValuePlaces,
    request::Common,
    request_options::read_file,
    rows::{MAX_ROWS_FILE, Rows},
    site::OfSite,
    target::{self, Braces},
};

/// The maximum number of names that reports distinguish.
pub const MAX_NAMES: usize = 64;

/// The maximum number of lines of a file of URLs.
pub const MAX_URLS: usize = 100_000;

/// The longest name of a request, in bytes.
pub const MAX_NAME: usize = 128;

/// What requests beyond [`MAX_NAMES`] are called together.
const OTHERS: &str = "(others)";

/// The requests of a run: at least one.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    all: Arc<[Request]>,
    mix: Mix,
    names: Names,
    /// How many there are together, if that follows from their counts.
    total: Option<u64>,
    /// The index of the server that each goes to.
    sites: Arc<[u16]>,
}

/// How requests are distinguished in reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Each name once; empty with one request alone.
    pub(crate) all: Arc<[String]>,
    /// The index of each request's name.
    pub(crate) of_request: Arc<[u16]>,
}

impl Requests {
    /// Whether values of theirs are drawn.
    pub(super) fn are_random(&self) -> bool {
        self.all.iter().any(Request::is_random)
    }

    /// Whether each has its own count.
    pub(super) fn has_counts(&self) -> bool {
        self.total.is_some()
    }

    /// One alone.
    pub(super) fn only(request: Request) -> Result<Self, PlanError> {
        Self::only_of(request, None)
    }

    /// One alone, with its share, which may be a count.
    pub(super) fn only_of(request: Request, share: Option<Share>) -> Result<Self, PlanError> {
        Self::of(vec![request], &[share]).map_err(WrongShare::alone)
    }

    /// Keeps those of `all` servers that any of them goes to.
    pub(super) fn used<T>(&mut self, all: Vec<T>) -> Vec<T> {
        let is_used = |index: usize| self.sites.iter().any(|site| usize::from(*site) == index);
        let used: Vec<bool> = (0..all.len()).map(is_used).collect();
        let before = |index: u16| used[..usize::from(index)].iter().filter(|used| **used).count() as u16;
        self.sites = self.sites.iter().map(|site| before(*site)).collect();
        all.into_iter().zip(used).filter_map(|(one, used)| used.then_some(one)).collect()
    }

    /// The index of the server that each goes to.
    pub(super) fn sites(&self) -> Arc<[u16]> {
        Arc::clone(&self.sites)
    }

    /// The same with the types of calls' messages, of those that go to one server.
    pub(super) fn knowing(
        mut self,
        site: usize,
        types: &DescriptorPool,
        source: &str,
    ) -> Result<Self, PlanError> {
        let all =
            self.all.iter().zip(self.sites.iter()).map(|(request, of)| match usize::from(*of) == site {
                true => request.clone().knowing(types, source),
                false => Ok(request.clone()),
            });
        self.all = all.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The same with what is prepared of each, by its index, where anything is.
    pub(super) fn changed(mut self, change: impl Fn(usize, &Request) -> Option<Request>) -> Self {
        let all = self.all.iter().enumerate();
        self.all =
            all.map(|(index, request)| change(index, request).unwrap_or_else(|| request.clone())).collect();
        self
    }

    /// Several, which are like `defaults` in what they do not say themselves; what is the same for those of a server is in
    /// `common`, by its index.
    pub(super) fn new(
        common: &[Common<'_>],
        defaults: &RequestOptions,
        several: Vec<OfSite>,
        places: Option<&Arc<ValuePlaces>>,
    ) -> Result<Self, PlanError> {
        if several.len() > MAX_REQUESTS {
            let shown = format!("a plan of {} requests", several.len());
            return Err(PlanError(Refusal::new(shown, format!("at most {MAX_REQUESTS}"), "- path: /items")));
        }
        let shares: Vec<_> = several.iter().map(|of| of.options.share).collect();
        let sites = several.iter().map(|of| of.site as u16).collect();
        let origins: Vec<_> = several.iter().map(|of| of.origin).collect();
        let all = several.into_iter().map(|OfSite { origin, site, options }| {
            let is_call = common[site].target.grpc;
            let own = options.call.clone();
            let mut options = options.over(defaults);
            if !is_call {
                // What is said of all calls is not of what is none.
                options.call = own;
            }
            let request = Request::new(common[site], options);
            match places {
                Some(places) => request
                    .map(|request| request.standing_in(places, origin))
                    .map_err(|PlanError(refusal)| PlanError(places.told_of_request(origin, refusal))),
                None => request,
            }
        });
        let requests = Self::of(all.collect::<Result<_, _>>()?, &shares).map_err(|wrong| match places {
            Some(places) => PlanError(places.told_of_request(origins[wrong.request], wrong.refusal)),
            None => wrong.alone(),
        })?;
        Ok(Self { sites, ..requests })
    }

    /// Those of a log, one for each method, with the paths of its requests; a body goes with methods that are about one.
    pub(super) fn replayed(
        common: Common<'_>,
        defaults: &RequestOptions,
        methods: Vec<(String, Vec<String>)>,
        methods_of: &[u32],
    ) -> Result<Self, PlanError> {
        let all = methods.into_iter().map(|(method, paths)| {
            let has_body = ["POST", "PUT", "PATCH"].contains(&method.as_str());
            let options = RequestOptions {
                name: Some(method.clone()),
                method: Some(method),
                body: defaults.body.clone().filter(|_| has_body),
                chunked: defaults.chunked.filter(|_| has_body),
                trailers: if has_body { defaults.trailers.clone() } else { Vec::new() },
                expect_continue: defaults.expect_continue.filter(|_| has_body),
                ..defaults.clone()
            };
            let paths = Rows::of_one_column("path", paths.into_iter())
                .map_err(|error| refused_because(&accepted::REPLAY, "a log", error.to_string()))?;
            Ok(Request::new(common, options)?.with_paths(paths))
        });
        let all = all.collect::<Result<Vec<_>, PlanError>>()?;
        let shares = vec![None; all.len()];
        let mut requests = Self::of(all, &shares).map_err(WrongShare::alone)?;
        requests.mix = Mix::listed(methods_of);
        Ok(requests)
    }

    /// One for each line of a file, all with the same share.
    pub(super) fn of_urls(
        common: Common<'_>,
        version: Version,
        defaults: RequestOptions,
        file: &Path,
    ) -> Result<Self, PlanError> {
        let text = read_file(file, MAX_ROWS_FILE, &accepted::URL_FILE)?;
        let refused = |why: String| refused_because(&accepted::URL_FILE, file.display(), why);
        let text = std::str::from_utf8(&text).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let mut paths = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if paths.len() == MAX_URLS {
                return Err(refused(format!("it has more than {MAX_URLS} lines")));
            }
            paths.push(
                path_of(line, common.target, version)
                    .map_err(|why| refused(format!("line {number}: {why}")))?,
            );
        }
        if paths.is_empty() {
            return Err(refused("it is empty".to_owned()));
        }
        if paths.len() > MAX_NAMES {
            let paths =
                Rows::of_one_column("path", paths.into_iter()).map_err(|error| refused(error.to_string()))?;
            let only = Request::new(common, defaults)?.with_paths(paths);
            return Self::of(vec![only], &[None]).map_err(WrongShare::alone);
        }
        let by_default = if defaults.body.is_some() { "POST" } else { "GET" };
        let method = defaults.method.clone().unwrap_or_else(|| by_default.to_owned());
        let several = paths.into_iter().map(|path| {
            let name = Some(format!("{method} {path}"));
            let path = match common.braces {
                Braces::Literal => path,
                Braces::Placeholder => path.replace("{{", "{{'{{'}}"),
            };
            let options = RequestOptions { name, path: Some(path), ..RequestOptions::default() };
            OfSite { origin: 0, site: 0, options }
        });
        Self::new(&[common], &defaults, several.collect(), None)
    }

    fn of(all: Vec<Request>, shares: &[Option<Share>]) -> Result<Self, WrongShare> {
        let wrong = |request: usize, shown: &dyn Fn(&str) -> String, accepted: String, example: &str| {
            let name = all.get(request).map(|request| shown_name(&request.name)).unwrap_or_default();
            WrongShare { request, refusal: Refusal::new(shown(&name), accepted, example) }
        };
        let counts: Vec<_> = shares
            .iter()
            .filter_map(|share| match share {
                Some(Share::Count(count)) => Some(*count),
                _ => None,
            })
            .collect();
        let uncounted = shares.iter().position(|share| !matches!(share, Some(Share::Count(_))));
        if !counts.is_empty()
            && let Some(index) = uncounted
        {
            let shown = |name: &str| format!("no count for the request '{name}', where others have one");
            return Err(wrong(
                index,
                &shown,
                "a count for each of them, or weights".to_owned(),
                "count: 100",
            ));
        }
        let weights: Vec<_> = shares
            .iter()
            .map(|share| match share {
                Some(Share::Weight(share) | Share::Count(share)) => *share,
                None => 1,
            })
            .collect();
        // Of those that are too much together, the largest is reported.
        let largest = (0..weights.len()).rev().max_by_key(|index| weights[*index]).unwrap_or_default();
        let (key, others) = if counts.is_empty() { ("weight", "weights") } else { ("count", "counts") };
        let mix = Mix::new(&weights).ok_or_else(|| {
            let shown = |name: &str| format!("the {key} {} of the request '{name}'", weights[largest]);
            let accepted = format!(
                "whole numbers from 1, where the sum of all {others} is at most {MAX_SEQUENCE} once they are divided by what they have in common"
            );
            wrong(largest, &shown, accepted, &format!("{key}: 50"))
        })?;
        let total = counts.iter().try_fold(0, |sum: u64, count| sum.checked_add(*count));
        let total = total.filter(|total| *total <= MAX_TOTAL).ok_or_else(|| {
            let shown = |name: &str| format!("the count {} of the request '{name}'", weights[largest]);
            let accepted = format!("at most {MAX_TOTAL} requests together");
            wrong(largest, &shown, accepted, "count: 1000")
        })?;
        let total = (!counts.is_empty()).then_some(total);
        let names = if mix.is_mixed() { Names::of(&all) } else { Names::default() };
        let sites = vec![0; all.len()].into();
        Ok(Self { all: all.into(), mix, names, total, sites })
    }

    /// How many requests there are to be, with what is said elsewhere.
    pub(super) fn total(&self, said: Option<u64>) -> Result<Option<u64>, PlanError> {
        match (self.total, said) {
            (Some(sum), Some(total)) if sum != total => {
                let why = format!("the counts of the requests are {sum} together");
                let accepted = "no total beside counts, or their sum";
                Err(PlanError(Refusal::of_value("total", total, accepted, sum.to_string()).because(why)))
            }
            (sum, total) => Ok(sum.or(total)),
        }
    }

    /// All, in order.
    pub(super) fn all(&self) -> &[Request] {
        &self.all
    }

    /// How they follow each other.
    pub(super) fn mix(&self) -> &Mix {
        &self.mix
    }

    /// How they are distinguished.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }
}

/// The path of a line, which is one or a URL of the target.
fn path_of(line: &str, target: &Target, version: Version) -> Result<String, String> {
    if line.starts_with('/') {
        return target::path(line, Braces::Literal).map_err(|PlanError(refusal)| refusal.to_string());
    }
    let url = Target::parse(line, version).map_err(|PlanError(refusal)| refusal.to_string())?;
    let of = |target: &Target| (target.host.clone(), target.port, target.tls, target.zone.clone());
    if of(&url) == of(target) { Ok(url.path) } else { Err(format!("{url} is not of the target {target}")) }
}

impl Names {
    fn of(requests: &[Request]) -> Self {
        let distinct: HashSet<_> = requests.iter().map(|request| shown_name(&request.name)).collect();
        let most = if distinct.len() > MAX_NAMES { MAX_NAMES - 1 } else { MAX_NAMES };
        let mut all: Vec<String> = Vec::new();
        let mut known: HashMap<String, u16> = HashMap::new();
        let mut of_request = Vec::new();
        for request in requests {
            let mut name = shown_name(&request.name);
            if all.len() >= most && !known.contains_key(&name) {
                name = OTHERS.to_owned();
            }
            of_request.push(*known.entry(name.clone()).or_insert_with(|| {
                all.push(name);
                (all.len() - 1) as u16
            }));
        }
        Self { all: all.into(), of_request: of_request.into() }
    }
}

/// What is wrong with the share that a request has, by its index.
struct WrongShare {
    request: usize,
    refusal: Refusal,
}

impl WrongShare {
    /// Of requests that stand in no file.
    fn alone(self) -> PlanError {
        PlanError(self.refusal)
    }
}

/// A name as reports print it.
fn shown_name(name: &str) -> String {
    let mut name = name.replace(char::is_control, "?");
    while name.len() > MAX_NAME {
        name.pop();
    }
    name
}
