//! The servers that requests go to, and what connections to each of them begin with.
//!
//! A plan has one, or several: then each request is for one of them.

use std::collections::HashMap;

use command_line::Refusal;

use super::{
    PlanError, RequestOptions, Route, Share, Target, Tls, TlsOptions, Version, known_keys::key_of,
    load::MAX_TOTAL, places::ValuePlaces, route, target::Braces, tls,
};

/// The maximum number of servers of a plan.
pub const MAX_TARGETS: usize = 64;

/// A server, and how connections get to it.
#[derive(Clone, Debug)]
pub struct Site {
    pub(crate) target: Target,
    pub(crate) tls: Option<Tls>,
    pub(crate) route: Route,
    /// Whether its protocol was to be found out and could not be, so that one was taken that nearly every server speaks.
    pub(crate) is_assumed: bool,
}

impl Site {
    /// Where it is. The path is that of the first target that names it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What connections begin TLS with, if it is spoken there.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// How connections get there.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}

/// All servers of a plan in the making, the first of which is the target's own.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    all: Vec<Target>,
    /// What some have of TLS that is their own, and where that is said.
    own_tls: HashMap<usize, (TlsOptions, String)>,
    version: Version,
    braces: Braces,
}

impl Targets {
    pub(super) fn new(first: Target, version: Version, braces: Braces) -> Self {
        Self { all: vec![first], own_tls: HashMap::new(), version, braces }
    }

    /// The index of a server, and the path that was said with it, if one was.
    pub(super) fn find(&mut self, text: &str) -> Result<(usize, Option<String>), PlanError> {
        let target = Target::parse_with(text, self.version, self.braces)?;
        // Of a URL of calls without a path, it is that of the usual method.
        let is_said = target.path != "/" && (!target.grpc || text.ends_with(&target.path));
        let path = is_said.then(|| target.path.clone());
        let server = |target: &Target| Target { path: String::new(), ..target.clone() };
        if let Some(index) = self.all.iter().position(|known| server(known) == server(&target)) {
            return Ok((index, path));
        }
        for one in [&self.all[0], &target] {
            if one.websocket {
                let accepted = "one target where messages are sent, or several others";
                let shown = format!("the target {one} beside others");
                return Err(PlanError(Refusal::new(shown, accepted, "target: http://localhost:8080")));
            }
        }
        if self.all.len() == MAX_TARGETS {
            let shown = format!("a plan with more than {MAX_TARGETS} targets");
            return Err(PlanError(Refusal::new(
                shown,
                format!("at most {MAX_TARGETS}"),
                "target: http://localhost:8080",
            )));
        }
        self.all.push(target);
        Ok((self.all.len() - 1, path))
    }

    /// A server has its own TLS settings, which are given at a place in a file.
    pub(super) fn secure(&mut self, text: &str, own: &TlsOptions, place: &str) -> Result<(), PlanError> {
        let (index, _) = self.find(text)?;
        let said = self.own_tls.entry(index).or_insert_with(|| (own.clone(), place.to_owned()));
        if said.0 == *own {
            return Ok(());
        }
        let wrong = format!("{} for the second time, with other options of TLS", self.all[index]);
        Err(PlanError(Refusal::new(wrong, "each server once", "- url: https://localhost:8443").at(place)))
    }

    /// What they are called: host and port, and where several have the same, the scheme.
    pub(super) fn labels(&self) -> Vec<String> {
        (0..self.all.len()).map(|index| self.label(index)).collect()
    }

    fn label(&self, index: usize) -> String {
        let place = self.all[index].place();
        match self.all.iter().filter(|target| target.place() == place).count() {
            1 => place,
            _ => Target { path: String::new(), ..self.all[index].clone() }.to_string(),
        }
    }

    /// With what connections to each begin with.
    pub(super) fn sites(
        self,
        tls: &tls::RunTlsOptions,
        route: &route::RouteOptions,
    ) -> Result<Vec<Site>, PlanError> {
        let any_tls = self.all.iter().any(|target| target.tls);
        let none = tls::RunTlsOptions::default();
        let own_tls = self.own_tls;
        let sites = self.all.into_iter().enumerate().map(|(index, target)| {
            let of_run = if target.tls || !any_tls { tls } else { &none };
            let tls = match own_tls.get(&index) {
                None => Tls::new(&target, of_run)?,
                Some((own, place)) => Tls::new(&target, &own.over(of_run))
                    .map_err(|PlanError(refusal)| PlanError(refusal.at(place).in_keys(key_of)))?,
            };
            let route = Route::new(&target, route)?;
            Ok(Site { target, tls, route, is_assumed: false })
        });
        let sites = sites.collect::<Result<Vec<Site>, PlanError>>()?;
        Route::check_resolved(&sites)?;
        Ok(sites)
    }
}

/// A request that is for one server.
#[derive(Clone, Debug)]
pub(super) struct OfSite {
    /// Its place among those of the plan.
    pub(super) origin: usize,
    /// The index of the server.
    pub(super) site: usize,
    pub(super) options: RequestOptions,
}

/// Which request goes to which server: those that say nothing go to `by_default`, or where these are several, to each of
/// them in turn. `has_path`: there is a path for those that say none.
pub(super) fn spread(
    targets: &mut Targets,
    by_default: &[String],
    has_path: bool,
    several: Vec<RequestOptions>,
    places: Option<&ValuePlaces>,
) -> Result<Vec<OfSite>, PlanError> {
    let of_default = by_default.iter().map(|text| targets.find(text)).collect::<Result<Vec<_>, _>>()?;
    let ways = of_default.len().max(1) as u64;
    let path_of = |own: &Option<String>, of_url: &Option<String>| {
        // A URL without a path is that of the root, whatever others to the same server are.
        own.clone().or_else(|| of_url.clone()).or_else(|| (!has_path).then(|| "/".to_owned()))
    };
    // Where what is left over of a count goes on.
    let mut next = 0;
    let mut all = Vec::new();
    for (origin, options) in several.into_iter().enumerate() {
        let told = |PlanError(refusal)| match places {
            Some(places) => PlanError(places.told_of_request(origin, refusal)),
            None => PlanError(refusal),
        };
        let scaled = |share: Option<Share>| match share {
            Some(Share::Count(count)) => Some(Share::Count(count)),
            Some(Share::Weight(weight)) => Some(Share::Weight(weight.saturating_mul(ways))),
            None => (ways > 1).then_some(Share::Weight(ways)),
        };
        match &options.target {
            Some(text) => {
                let (site, path) = targets.find(text).map_err(told)?;
                let share = scaled(options.share);
                let path = path_of(&options.path, &path);
                all.push(OfSite { origin, site, options: RequestOptions { path, share, ..options } });
            }
            None if of_default.is_empty() => all.push(OfSite { origin, site: 0, options }),
            None => {
                let begin = next;
                if let Some(Share::Count(count)) = options.share {
                    next = (next + count % ways) % ways;
                }
                for (turn, (site, path)) in (0..).zip(&of_default) {
                    let share = match options.share {
                        Some(Share::Count(count)) => {
                            let is_one_more = (turn + ways - begin) % ways < count % ways;
                            let part = count / ways + u64::from(is_one_more);
                            if part == 0 {
                                continue;
                            }
                            Some(Share::Count(part.min(MAX_TOTAL)))
                        }
                        share => share,
                    };
                    let path = path_of(&options.path, path);
                    let label = targets.label(*site);
                    let name = options.name.as_ref().map(|name| format!("{name} at {label}"));
                    let options = RequestOptions { name, path, share, ..options.clone() };
                    all.push(OfSite { origin, site: *site, options });
                }
            }
        }
    }
    Ok(all)
}

/// What is spoken there and where it is, of all of them, each once and in order.
pub(crate) fn protocols(sites: &[Site]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for site in sites {
        let name = site.target.protocol_name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
